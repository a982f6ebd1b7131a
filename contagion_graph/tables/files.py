"""Files that nobody ever sees half-written: written beside their place, then renamed."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a path beside `path`; what was written there takes its place at the end, and is gone after an error."""
    beside = path.with_name(f".{path.name}.partial")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_file(path: Path) -> Iterator[IO[bytes]]:
    """Lend an open file that replaces `path` at the end; packed where the name ends in .gz, equal bytes each time."""
    with replacing(path) as beside, beside.open("wb") as raw:
        if path.suffix != ".gz":
            yield raw
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed:
            yield cast(IO[bytes], packed)
