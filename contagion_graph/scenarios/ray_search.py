"""Shocks tried one after the other: does the event happen, and where along a ray does it begin."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.margin.equilibria.position_book import is_isotone
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.result import CascadeResult
from contagion_graph.rules.liquidation import FullLiquidation
from contagion_graph.scenarios.events import Event, FundEmpty, Known, TraderClosed

FIGURES = ("breached", "closed", "loss", "shortfall", "fund_used", "uncovered")


class Trials:
    """One model on one graph, an event, and the cascade without a shock that it is measured against."""

    def __init__(self, owner: str, model: MarginCascade, graph: ExposureGraph, event: Event) -> None:
        check_graph(graph)
        if not isinstance(model, MarginCascade):
            raise ParameterError(f"{owner}: model is a {type(model).__name__}; it must be a MarginCascade")
        if isinstance(event, type) or not callable(event):
            raise ParameterError(
                f"{owner}: event is {event!r:.60}; give one of scenarios.FundEmpty(), Uncovered(), ShareClosed(share), "
                "TraderClosed(trader), LossAbove(amount), or a function of a result and the baseline"
            )
        self.model, self.graph, self.event = model, graph, event
        self.baseline, self.runs = model.run(graph), 1
        if isinstance(event, FundEmpty | TraderClosed):
            event.check(self.baseline)
        if event(self.baseline, self.baseline):
            raise ParameterError(f"{owner}: the event holds even without a shock; no shock brings it about")
        self.monotone = _closings_grow(model, graph) and isinstance(event, Known) and event.follows_closures
        self.gains = _who_gains(graph)

    def run(self, change: FloatArray) -> CascadeResult:
        """Run the cascade of relative price changes in the order of the assets."""
        self.runs += 1
        return self.model.run(self.graph, pd.Series(change, index=self.graph.assets))

    def happens(self, change: FloatArray) -> bool:
        """Say whether they bring the event about."""
        return bool(self.event(self.run(change), self.baseline))

    def certain(self, direction: FloatArray) -> bool:
        """Say whether a larger move in a direction can only bring the event on."""
        falls, rises = self.gains
        return self.monotone and not (falls[direction < 0.0].any() or rises[direction > 0.0].any())


def first_size(happens: Callable[[float], bool], high: float, *, steps: int, tol: float) -> tuple[float, float] | None:
    """Return sizes lo < hi, at most tol apart, without and with the event: the first of a scan, then by bisection.

    Examples
    --------
    >>> first_size(lambda size: size >= 0.3, 1.0, steps=1, tol=0.1)
    (0.25, 0.3125)
    >>> first_size(lambda size: size > 2.0, 1.0, steps=1, tol=0.1) is None
    True
    """
    found = next((k for k in range(1, steps + 1) if happens(high * k / steps)), None)
    return None if found is None else narrowed(happens, high * (found - 1) / steps, high * found / steps, tol)


def narrowed(happens: Callable[[float], bool], low: float, high: float, tol: float) -> tuple[float, float]:
    """Bisect between a size without the event and one with it."""
    while high - low > tol:
        middle = (low + high) / 2.0
        low, high = (low, middle) if happens(middle) else (middle, high)
    return low, high


def figures_of(results: dict[str, CascadeResult]) -> pd.DataFrame:
    """Return the main figures of some cascades, one column each."""
    return pd.DataFrame({name: result.summary()[list(FIGURES)] for name, result in results.items()})


def _closings_grow(model: MarginCascade, graph: ExposureGraph) -> bool:
    """Say whether earlier closings can only lead to more of them.

    They couple accounts through prices alone (no shared losses), prices depend on who is closed and not on when, and
    accounts close whole.
    """
    rule: Any = model.liquidation
    by_state = type(rule) is FullLiquidation and model.sharing is None and model.impact.volume == "initial"
    return by_state and is_isotone(graph)


def _who_gains(graph: ExposureGraph) -> tuple[BoolArray, BoolArray]:
    """Return for each asset whether an account gains slack from its fall, and whether one does from its rise."""
    cells, m = graph.quantity, len(graph.assets)
    held, margin = cells.data, graph.margin_units.data
    falls, rises = np.zeros(m, dtype=bool), np.zeros(m, dtype=bool)
    falls[cells.indices[(held < 0.0) | (margin > np.maximum(held, 0.0))]] = True
    rises[cells.indices[held > 0.0]] = True
    return falls, rises
