"""The reference market of the benchmarks, its two shocks, and the unit u."""

from typing import ClassVar

import contagion_graph as cg
from benchmarks.timing import median

ASSETS, POSITIONS = 200, 10_000_000
SMALL = {"ETH": -0.05}
DEEP = 4.0  # the large shock runs at so many times the depth: a tenth of the accounts closes, not a third


class Reference:
    """The reference venue, made when first asked for, and the unit u."""

    _graphs: ClassVar[dict[int, cg.ExposureGraph]] = {}

    @classmethod
    def graph(cls, positions: int = POSITIONS) -> cg.ExposureGraph:
        """Return a venue with so many positions and a tenth as many accounts, its initial values computed."""
        if positions not in cls._graphs:
            n_accounts, n_assets = positions // 10, min(ASSETS, positions // 1000)
            graph = cg.generate.perpetuals(n_accounts, n_assets, n_positions=positions, rng=0)
            cls._graphs = {**cls._graphs, positions: with_initial_values(graph)}
        return cls._graphs[positions]

    @classmethod
    def unit(cls) -> float:
        """Return the seconds of one `csr_array @ vector` of the reference matrix."""
        graph = cls.graph()
        return median(lambda: graph.quantity @ graph.price, runs=15)[0]


def with_initial_values(graph: cg.ExposureGraph) -> cg.ExposureGraph:
    """Compute the initial values of a graph, and what else it keeps, before a clock runs."""
    for name in ("initial", "falls", "membership", "block_borders", "cells", "all_rows"):
        getattr(graph._rows, name)
    return graph


def large(graph: cg.ExposureGraph) -> tuple[cg.ExposureGraph, dict[str, float]]:
    """Return the market and the shock that close more than a tenth of the accounts."""
    return with_initial_values(graph.assign(depth=graph.depth * DEEP)), dict.fromkeys(graph.assets, -0.2)
