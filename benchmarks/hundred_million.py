"""10^8 positions with text for labels: written piece by piece, loaded and run in a process of its own, partitioned.

Run as ``python -m benchmarks.hundred_million STEP FOLDER SIZE``, it is such a process: it prints seconds and gigabytes.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

import contagion_graph as cg
from benchmarks.loading import Row
from benchmarks.reference import SMALL, large
from benchmarks.timing import memory

SIZE, PIECE, ASSETS, POOLS, PARTS = 100_000_000, 5_000_000, 200, 4, 16
NAMES = {
    "write": "write 100M positions to Parquet, {} at a time",
    "load": "load them, Parquet to a checked graph",
    "small": "the small cascade on that graph",
    "large": "the large cascade on that graph",
    "partition": f"partition them into {PARTS} parts",
    "read": "read one of the parts",
}


def rows() -> Iterator[Row]:
    """Yield what every step takes; needs 8 GB of disk, and the memory that the rows tell."""
    with tempfile.TemporaryDirectory() as folder:
        for step in ("write", "run", "partition", "read"):
            yield from rows_of(step, folder)


def rows_of(step: str, folder: str, size: int = SIZE) -> Iterator[Row]:
    """Yield the rows of one step, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.hundred_million", step, folder, str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for printed in process.stdout:
            name, seconds, peak, note = printed.rstrip("\n").split("\t")
            yield NAMES[name].format(f"{PIECE // 10**6}M"), seconds, "", f"{peak} peak{note and '; '}{note}"
    assert process.returncode == 0


def write(folder: Path, size: int) -> str:
    """Write venues of 5M positions each as one: traders are numbered on, depths and insurance funds add up."""
    for name in ("positions", "accounts"):
        (folder / f"{name}.parquet").mkdir()
    depth = fund = 0.0
    for k in range(size // PIECE):
        graph = cg.generate.perpetuals(PIECE // 10, ASSETS, n_positions=PIECE, rng=k, n_pools=POOLS)
        depth, fund = depth + graph.depth, fund + graph.insurance_fund
        frames = graph.to_frames()
        for name, columns in (
            ("positions", ["asset", "quantity", "pool", "entry_price"]),
            ("accounts", ["pool", "cash"]),
        ):
            trader = f"V{k:03d}-" + frames[name]["trader"]
            frames[name][columns].assign(trader=trader).to_parquet(folder / f"{name}.parquet" / f"{k:03d}.parquet")
    frames["assets"].assign(depth=depth).to_parquet(folder / "assets.parquet")
    frames["pools"].assign(insurance_fund=fund).to_parquet(folder / "pools.parquet")
    used = sum(path.stat().st_size for path in (folder / "positions.parquet").iterdir())
    return f"{used / 1e9:.1f} GB, {pd.read_parquet(folder / 'accounts.parquet').shape[0]:,} accounts"


def run(folder: Path, size: int) -> None:
    """Load the graph, and run a small cascade and a large one."""
    start = time.perf_counter()
    graph = cg.read_tables(folder)
    assert graph.n_positions == size
    tell("load", start, f"{memory('VmRSS'):.1f} GB held")
    for name, (market, shock) in (("small", (graph, SMALL)), ("large", large(graph))):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
        start = time.perf_counter()
        result = cg.MarginCascade().run(market, shock)
        closed = (result.arrays.closed > 0).mean()
        tell(name, start, f"{closed:.2%} closed, {len(result.rounds)} rounds")


def tell(step: str, start: float, note: str = "") -> None:
    """Print the seconds since a start and the peak of this process [GB]."""
    print(step, f"{time.perf_counter() - start:.1f} s", f"{memory('VmHWM'):.2f} GB", note, sep="\t", flush=True)


def main(step: str, folder: str, size: str) -> None:
    """Do a step, and print what it took."""
    start, place = time.perf_counter(), Path(folder)
    if step == "write":
        note = write(place, int(size))
        tell(step, start, note)
    elif step == "run":
        run(place, int(size))
    elif step == "partition":
        cg.distributed.partition(place, place / "parts", n_parts=PARTS)
        tell(step, start)
    else:
        part = cg.distributed.read_part(place / "parts", PARTS // 2)
        tell(step, start, f"{part.n_positions:,} positions")


if __name__ == "__main__":
    main(*sys.argv[1:])
