"""What it takes to get a graph: each door in a process of its own, with the most memory that the process ever held.

Run as ``python -m benchmarks.loading DOOR FOLDER``, this is such a process: it prints seconds and gigabytes.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet

import contagion_graph as cg
from benchmarks.reference import large
from benchmarks.timing import memory

Row = tuple[str, str, str, str]  # work, measured, budget, note
TABLES = ("positions", "assets", "pools", "accounts")


def rows(graph: cg.ExposureGraph) -> Iterator[Row]:
    """Yield what it takes to load the positions of a graph by each door, to build it from arrays, and to run it."""
    with tempfile.TemporaryDirectory() as folder:
        cg.write_tables(graph, folder, format="parquet")
        for door in ("Parquet", *MAKES):
            if door not in NEEDS or find_spec(NEEDS[door]) is not None:
                yield from door_rows(door, folder, graph.n_positions)
        seconds, before, peak = in_a_process("arrays", folder)
        yield "build the graph from arrays", f"{seconds:.1f} s", "", f"{peak - before:.2f} GB over the arrays"
        seconds, before, peak = in_a_process("cascade", folder)
        yield "peak memory of a large cascade over its graph", f"{peak - before:.2f} GB", "", f"graph {before:.2f} GB"
    with tempfile.TemporaryDirectory() as folder:
        cg.write_tables(graph, folder)
        yield from door_rows("CSV", folder, graph.n_positions)


def door_rows(door: str, folder: str, n_positions: int) -> Iterator[Row]:
    """Yield the time of a door and the most memory of its process."""
    seconds, before, peak = in_a_process(door, folder)
    budgets = ("5 s", "1.5 GB") if door == "Parquet" else ("", "")
    yield f"load {n_positions / 1e6:g}M rows, {door} to a checked graph", f"{seconds:.1f} s", budgets[0], ""
    table = ", the table among it" if door in MAKES else ""
    yield "peak memory of that process", f"{peak:.2f} GB", budgets[1], f"{before:.2f} GB before{table}"


def in_a_process(door: str, folder: str) -> tuple[float, float, float]:
    """Return the seconds of one load, and the memory before it and at its peak [GB]."""
    printed = subprocess.check_output([sys.executable, "-m", "benchmarks.loading", door, folder], text=True)
    seconds, before, peak = map(float, printed.split())
    return seconds, before, peak


def arrow(path: Path) -> Any:
    """Return a table as an Arrow table."""
    return pyarrow.parquet.read_table(path)


def categories(path: Path) -> Any:
    """Return a table as a pandas frame whose labels are categories."""
    frame = pd.read_parquet(path)
    return frame.astype(dict.fromkeys(frame.select_dtypes("str"), "category"))


def polars(path: Path) -> Any:
    """Return a table as a polars frame."""
    import polars

    return polars.read_parquet(path)


def duckdb(path: Path) -> Any:
    """Return a table as one of a DuckDB database in memory."""
    import duckdb

    duckdb.execute(f"create table {path.stem} as from '{path}'")
    return duckdb.table(path.stem)


MAKES: dict[str, Callable[[Path], Any]] = {
    "Arrow": arrow,
    "pandas": pd.read_parquet,
    "pandas categories": categories,
    "polars": polars,
    "DuckDB": duckdb,
}
NEEDS = {"polars": "polars", "DuckDB": "duckdb"}


def work_of(door: str, folder: Path) -> Callable[[], object]:
    """Return the work that is measured, after having prepared what it starts from."""
    read, build = cg.read_tables, cg.ExposureGraph.from_tables  # imported here, not while the clock runs
    if door in ("Parquet", "CSV"):
        return lambda: read(folder)
    if door in MAKES:
        tables = {name: MAKES[door](folder / f"{name}.parquet") for name in TABLES}
        return lambda: build(**tables)
    graph = cg.read_tables(folder)
    if door == "arrays":
        vectors = {name: getattr(graph, name) for name in ("price", "depth", "margin_long", "margin_short", "cash")}
        return lambda: cg.ExposureGraph.from_arrays(graph.quantity, **vectors)
    market, shock = large(graph)
    return lambda: cg.MarginCascade().run(market, shock)


def main(door: str, folder: str) -> None:
    """Print the seconds of the work, and the memory before it and at its peak [GB]."""
    work = work_of(door, Path(folder))
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
    before, start = memory("VmRSS"), time.perf_counter()
    result = work()
    print(time.perf_counter() - start, before, memory("VmHWM"))
    del result


if __name__ == "__main__":
    main(*sys.argv[1:])
