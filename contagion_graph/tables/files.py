"""The files of tables, and files that nobody ever sees half-written: written beside their place, then renamed."""

import gzip
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from contagion_graph.errors import Faults

SUFFIXES = (".csv", ".parquet")


def table_files(folder: Path, names: Iterable[str], faults: Faults) -> dict[str, Path]:
    """Return the file of each table that a folder holds, positions and assets at least; what is wrong is noted."""
    if not folder.is_dir():
        faults.add("folder", f"{str(folder)!r} is not a folder", "Give one that holds positions.csv and assets.csv.")
        return {}
    found = {name: [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").exists()] for name in names}
    for name, paths in found.items():
        if not paths and name in ("positions", "assets"):
            faults.add(name, f"no {name}.csv or {name}.parquet in {str(folder)!r}", "Add it.")
        if len(paths) > 1:
            faults.add(name, f"there is a {paths[0].name} and a {paths[1].name}", "Keep one of them.")
    return {name: paths[0] for name, paths in found.items() if paths}


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
def replacing_folder(path: Path) -> Iterator[Path]:
    """Lend a folder beside `path`, which is new or empty; it takes its place at the end, and is gone after an error."""
    beside = path.with_name(f".{path.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)  # what a killed process left
    try:
        beside.mkdir(parents=True)
        yield beside
        if path.is_dir():
            path.rmdir()
        beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def replacing_file(path: Path) -> Iterator[IO[bytes]]:
    """Lend an open file that replaces `path` at the end; packed where the name ends in .gz, equal bytes each time."""
    with replacing(path) as beside, beside.open("wb") as raw:
        if path.suffix != ".gz":
            yield raw
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed:
            yield cast(IO[bytes], packed)
