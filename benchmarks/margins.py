"""What scenario grids cost beside flat rates: an evaluation of all accounts, and cascades with a third on a grid."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

import contagion_graph as cg
from benchmarks.timing import median
from contagion_graph.state import nothing_closed

Row = tuple[str, str, str, str]  # work, measured, budget, note
SCENARIOS, GROUPS, SHARE = 32, 10, 1 / 3


def with_grid(graph: cg.ExposureGraph) -> cg.ExposureGraph:
    """Return a graph with a third of its accounts on a grid, on which assets net in ten groups."""
    rng = np.random.default_rng(0)
    move = np.linspace(-0.1, 0.1, SCENARIOS)
    move[SCENARIOS // 2] = 0.0
    on = np.where(rng.random(len(graph.account_index)) < SHARE, "pm", "")
    graph = graph.assign(
        margin_scenarios=pd.DataFrame({"grid": "pm", "move": move}),
        account_margin=on,
        asset_group=[f"group {k % GROUPS}" for k in range(len(graph.assets))],
    )
    assert graph._rows.linear.slack.size  # computed before a clock runs, as `initial` and the margins
    return graph


def rows(market: cg.ExposureGraph, shock: dict[str, float]) -> Iterator[Row]:
    """Yield one evaluation of a grid over one plain valuation, and what it adds to cascades in such evaluations."""
    graph, of_all = with_grid(market), market._rows
    grid, left = graph._margins.grids[0], nothing_closed(*graph.quantity.shape)
    places, borders = np.arange(grid.rows.size), np.searchsorted(grid.rows, of_all.row_borders)
    share = grid.segments.column.size / graph.quantity.nnz
    once = median(lambda: grid.costs(graph.price, left, places, borders), runs=7)[0] / share
    plain = median(lambda: of_all.valuation(graph.price), runs=7)[0]
    name = f"a grid of {SCENARIOS} scenarios over all accounts / a plain valuation"
    yield name, f"{once / plain:.1f} times", "6 times", ""
    for name, rule in (("cascade", cg.FullLiquidation()), ("TargetMargin", cg.TargetMargin(0.1))):
        model = cg.MarginCascade(liquidation=rule)
        flat, on_grid = (median(partial(model.run, each, shock), runs=5)[0] for each in (market, graph))
        closed = float((model.run(graph, shock).arrays.closed > 0.0).mean())
        note = f"{100 * closed:.1f} % closed; {1e3 * on_grid:.0f} and {1e3 * flat:.0f} ms"
        yield f"{name}, a third on a grid, less flat rates", f"{(on_grid - flat) / once:.1f} evaluations", "2.5", note
