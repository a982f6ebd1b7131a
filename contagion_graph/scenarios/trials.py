"""Shocks tried one after the other: does an event happen, and can a larger shock only bring it on."""

import numpy as np
import pandas as pd

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import BoolArray, FloatArray, OnFailure
from contagion_graph._validate import check_model
from contagion_graph.errors import ParameterError
from contagion_graph.graph.backing import reached_by
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.margin.equilibria.isotone import isotone_obstacles
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.prepare import prepared
from contagion_graph.margin.result import CascadeResult
from contagion_graph.scenarios.events import Event, FundEmpty, KnownEvent, TraderClosed
from contagion_graph.solvers.iteration import check_on_failure

FIGURES = ("breached", "closed", "gross_loss", "shortfall", "fund_used", "uncovered")


class Trials:
    """One model on one graph, an event, and the cascade without a shock that it is measured against."""

    def __init__(
        self, owner: str, graph: ExposureGraph, model: MarginCascade, event: Event, on_failure: OnFailure
    ) -> None:
        check_graph(graph)
        check_model(model, MarginCascade, "cg.MarginCascade()")
        check_on_failure(on_failure)
        if isinstance(event, type) or not callable(event):
            raise ParameterError(
                f"{owner}: event is {event!r:.60}; give one of scenarios.FundEmpty(), Uncovered(), ShareClosed(share), "
                "TraderClosed(trader), LossAbove(amount), or a function of a result and the baseline"
            )
        self.model, self.graph, self.event, self.on_failure = model, graph, event, on_failure
        self.baseline, self.runs = model.run(graph, on_failure=on_failure), 1
        if isinstance(event, FundEmpty | TraderClosed):
            event.check(self.baseline)
        if event(self.baseline, self.baseline):
            raise ParameterError(f"{owner}: event happens without a shock too; give one that a shock brings about")
        ordered = isinstance(event, KnownEvent) and event.follows_closures
        self.monotone = ordered and not isotone_obstacles(graph, model)
        self.possible = not isinstance(event, KnownEvent) or event._possible(self.baseline)
        self.gains = _who_gains(prepared(graph, model, any_margin=True, any_waterfall=True)[0])

    def run(self, change: FloatArray) -> CascadeResult:
        """Run the cascade of relative price changes in the order of the assets."""
        self.runs += 1
        return self.model.run(self.graph, pd.Series(change, index=self.graph.assets), on_failure=self.on_failure)

    def happens(self, change: FloatArray) -> bool:
        """Say whether they bring the event about."""
        return self.possible and bool(self.event(self.run(change), self.baseline))

    def certain(self, direction: FloatArray) -> bool:
        """Say whether a larger move in a direction can only bring the event on."""
        falls, rises = self.gains
        down, up = reached_by(self.graph, direction < 0.0), reached_by(self.graph, direction > 0.0)
        return self.monotone and not (falls[down].any() or rises[up].any())

    def solution(self, *, found: bool, width: float, certain: bool) -> Solution:
        """Return the report of a search: its steps are cascades, its residual is the width of the last interval."""
        status = Status.CONVERGED if found else Status.NOT_FOUND
        return Solution(status, self.runs, width, error_bound=width if certain and found else None)


def figures_of(results: dict[str, CascadeResult]) -> pd.DataFrame:
    """Return the main figures of some cascades, one column each."""
    columns = {name: result.summary()[list(FIGURES)] for name, result in results.items()}
    return pd.DataFrame(columns).rename_axis("figure")


def _who_gains(graph: ExposureGraph) -> tuple[BoolArray, BoolArray]:
    """Return for each asset whether an account gains slack from its fall, and whether one does from its rise."""
    cells, m = graph.quantity, len(graph.assets)
    held, margin = cells.data, graph.margin_units.data
    falls, rises = np.zeros(m, dtype=bool), np.zeros(m, dtype=bool)
    falls[cells.indices[(held < 0.0) | (margin > np.maximum(held, 0.0))]] = True
    rises[cells.indices[held > 0.0]] = True
    return falls, rises
