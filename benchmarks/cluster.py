"""What a round costs on two workers of a Dask cluster on this machine, beside one process."""

import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

import contagion_graph as cg
from contagion_graph.distributed.graph import DistributedGraph

Row = tuple[str, str, str, str]  # work, measured, budget, note
ROUNDS, RUNS = (1, 9), 7
LOCAL = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}


def rows(market: cg.ExposureGraph, shock: dict[str, float]) -> Iterator[Row]:
    """Yield the cost of a round of the large cascade: what the rounds from the second to the ninth take, over eight."""
    with tempfile.TemporaryDirectory() as folder, LocalCluster(**LOCAL) as cluster, Client(cluster) as client:
        start = time.perf_counter()
        parts = cg.distributed.partition(market.to_frames(), f"{folder}/parts", n_parts=2)
        graph = cg.distributed.open_dataset(parts, client)
        first = cg.MarginCascade().run(graph, shock)
        yield "partition 10M positions in memory, open, run once", f"{time.perf_counter() - start:.0f} s", "", ""
        assert first.summary().equals(cg.MarginCascade().run(market, shock).summary())
        spread, here = (_rounds(each, shock) for each in (graph, market))
        note = f"{1e3 * spread[0]:.0f} and {1e3 * here[0]:.0f} ms; rest of a run {spread[1]:.2f} and {here[1]:.2f} s"
        over = spread[0] - 1.5 * here[0]
        yield "a round on two workers, over 1.5 of one process", f"{1e3 * over:.0f} ms", "50 ms", note
        yield (
            "an exchange of sums of 200 assets",
            f"{1e3 * _exchange(graph):.1f} ms",
            "",
            "two parts, nothing else to do",
        )


def _rounds(graph: Any, shock: dict[str, float]) -> tuple[float, float]:
    """Return the seconds of a round, and of what comes before and after: medians of alternating runs."""
    seconds = np.array([[_seconds(graph, shock, count) for count in ROUNDS] for _ in range(RUNS)])
    short, long = np.median(seconds, axis=0)
    each = (long - short) / (ROUNDS[1] - ROUNDS[0])
    return each, short - ROUNDS[0] * each


def _seconds(graph: Any, shock: dict[str, float], rounds: int) -> float:
    start = time.perf_counter()
    result = cg.MarginCascade(max_rounds=rounds).run(graph, shock, on_failure="ignore")
    result.summary()
    seconds = time.perf_counter() - start
    assert len(result.rounds) == rounds
    return seconds


class Idle:
    """A model that only adds up, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def run(self, part: Any, shock: Any, **arguments: Any) -> cg.CascadeResult:
        """Add up, then run a cascade that nothing sets off."""
        for _ in range(self.times):
            part.group.total(np.zeros((64, len(part.assets))))
        return cg.MarginCascade().run(part, {})


def _exchange(graph: DistributedGraph) -> float:
    def seconds(times: int) -> float:
        start = time.perf_counter()
        graph._play(Idle(times), "run", shock=None, defaults=None)
        return time.perf_counter() - start

    return float(np.median([seconds(100) - seconds(0) for _ in range(RUNS)])) / 100
