"""The files of tables, and files that nobody ever sees half-written: written beside their place, then renamed."""

import gzip
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from os import PathLike
from pathlib import Path
from secrets import token_hex
from time import time
from typing import IO, cast

from contagion_graph.errors import Faults, ParameterError

SUFFIXES = (".csv", ".parquet")
DAY = 86_400.0  # seconds; what is being written is younger


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


def path_of(name: str, value: object) -> Path:
    """Return a path; refuse what is none: most often, arguments that were swapped.

    Examples
    --------
    >>> path_of("folder", 3)
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: folder is a int; give a path
    """
    if not isinstance(value, str | PathLike):
        raise ParameterError(f"{name} is a {type(value).__name__}; give a path")
    return Path(value)


def check_target(path: Path) -> None:
    """Refuse a folder where a file is to be written, and a file in no folder: before the work, not after it."""
    if path.is_dir():
        raise ParameterError(f"{str(path)!r} is a folder; give the path of a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{str(path)!r} is in no folder that exists; make {str(path.parent)!r} first")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a path beside `path`; what was written there takes its place at the end, and is gone after an error.

    The file beside it is new, whatever others write at the same time. A link stays a link: the file that it leads to is
    replaced. What is no plain file, as a pipe or a device, is lent itself.
    """
    check_target(path)
    path = path.resolve()
    if path.exists() and not path.is_file():
        yield path
        return
    beside = _beside(path)
    beside.touch(exist_ok=False)  # never a file, or a link, that is there already
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """Return a name beside a path that nobody has; hidden, and short enough whatever the path is called."""
    return path.with_name(f".{path.name[:40]}.{token_hex(8)}.partial")


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Lend a folder beside `path`, which is new or empty; it takes its place at the end, and is gone after an error."""
    beside = _beside(path)
    for old in path.parent.glob(f".{escape(path.name[:40])}.*.partial"):  # what a killed process left
        if time() - old.stat().st_mtime > DAY:
            shutil.rmtree(old, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        yield beside
        if path.is_dir():
            path.rmdir()
        beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def replacing_set(folder: Path, stale: str) -> Iterator[Path]:
    """Lend a folder for a set of files, which take their places in `folder` together at the end.

    Files there whose whole name matches the pattern `stale`, and that are not of the set, go: they belong to an earlier
    one. After an error all is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    beside = _beside(folder / "files")
    try:
        beside.mkdir()
        yield beside
        new = sorted(path.name for path in beside.iterdir())
        for name in new:
            check_target(folder / name)
        for name in new:
            (beside / name).replace(folder / name)
        for path in folder.iterdir():
            if path.name not in new and path.is_file() and re.fullmatch(stale, path.name):
                path.unlink()
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
