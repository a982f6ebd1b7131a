"""What it takes to write a graph for other programs."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import contagion_graph as cg
from benchmarks.loading import Row
from benchmarks.timing import median, peak_over

EDGES = 500_000


def rows() -> Iterator[Row]:
    """Yield seconds, seconds of the processor, and memory over the graph, for 50,000 traders with 500,000 positions."""
    graph = cg.generate.perpetuals(EDGES // 10, 200, n_positions=EDGES, rng=0)
    writers: dict[str, tuple[Callable[[Path], object], tuple[str, str]]] = {
        "GEXF": (lambda folder: cg.write_gexf(graph, folder / "a.gexf"), ("2 s", "0.1 GB")),
        "GraphML": (lambda folder: cg.write_graphml(graph, folder / "a.graphml"), ("", "")),
        "CSV": (lambda folder: cg.write_gephi_csv(graph, folder), ("", "")),
    }
    with tempfile.TemporaryDirectory() as folder:
        cg.write_gexf(cg.generate.perpetuals(100, 5, rng=0), Path(folder) / "small.gexf")  # libraries are loaded
        for name, (write, budgets) in writers.items():
            work = lambda write=write: write(Path(folder))  # noqa: E731
            needed = peak_over(work)  # of the first large one, while nothing lies ready
            seconds, least, most = median(work, runs=5)
            start = time.process_time()
            work()
            note = f"{least:.1f} to {most:.1f} s; {time.process_time() - start:.2f} s of the processor"
            yield f"{name} of {EDGES:,} edges", f"{seconds:.1f} s", budgets[0], note
            yield "its memory over the graph", f"{needed:.2f} GB", budgets[1], ""
