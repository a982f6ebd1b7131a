"""How large a shock in a given direction must be before something happens."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import OnFailure
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import relative_changes
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.prepare import warn_in_breach
from contagion_graph.margin.result import CascadeResult
from contagion_graph.scenarios.events import Event
from contagion_graph.scenarios.trials import Trials, figures_of
from contagion_graph.solvers.ray_search import ray_search


@dataclass(frozen=True, eq=False, repr=False)
class TippingPoint(Result):
    """The size at which an event first happens along a direction, and the jump there.

    Parameters
    ----------
    model : MarginCascade
        The model that was run.
    direction : Series asset -> relative price change
        The shock of size 1.
    interval : tuple of float
        (lo, hi): at lo times the direction the event does not happen, at hi it does. Not found: (1, NaN).
    certified : bool
        No size up to lo brings the event about, and every size from hi on does, up to rounding. Otherwise hi is the
        first place that the scan saw; a shorter stretch before it can have been missed.
    baseline, below : CascadeResult
        The cascades of no shock and of lo.
    above : CascadeResult or None
        The cascade of hi; None: not found.
    solution : Solution
        How the search ended: its steps are cascades.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-850.0], assets=["ETH"])
    >>> event = cg.scenarios.ShareClosed(1.0)
    >>> cg.tipping_point(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), {"ETH": -0.2}, event=event)
    <TippingPoint: at 0.277779 of the direction, certified; accounts closed: 0 just below, 1 just above>
    >>> cg.tipping_point(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), {"ETH": -0.02}, event=event).found
    False
    """

    model: MarginCascade
    direction: "pd.Series[float]"
    interval: tuple[float, float]
    certified: bool
    baseline: CascadeResult
    below: CascadeResult
    above: CascadeResult | None
    solution: Solution

    @property
    def found(self) -> bool:
        """Whether a size in (0, 1] brings the event about."""
        return self.above is not None

    @property
    def size(self) -> float:
        """The least size that was seen to bring the event about, hi; NaN: not found."""
        return self.interval[1]

    @cached_property
    def jump(self) -> pd.DataFrame:
        """Breached and closed accounts, gross_loss, shortfall, fund_used, uncovered: baseline, below, above."""
        ends = {} if self.above is None else {"above": self.above}
        return figures_of({"baseline": self.baseline, "below": self.below, **ends})

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            found, size (share of the direction), below (the end lo of the interval), certified, cascades (run in the
            search).
        """
        figures = {"found": self.found, "size": self.size, "below": self.interval[0], "certified": self.certified}
        return pd.Series({**figures, "cascades": self.solution.steps}, name="summary", dtype=float)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"jump": self.jump}

    def __repr__(self) -> str:
        kind, closed = "certified" if self.certified else "by a scan", self.jump.loc["closed"]
        if not self.found:
            return f"<TippingPoint: not found in the direction given, {kind}; {closed['below']:,.0f} accounts closed>"
        return (
            f"<TippingPoint: at {self.size:.6g} of the direction, {kind}; accounts closed: {closed['below']:,.0f} just "
            f"below, {closed['above']:,.0f} just above>"
        )


def tipping_point(
    graph: ExposureGraph,
    model: MarginCascade,
    direction: "Mapping[Any, float] | pd.Series[float]",
    *,
    event: Event,
    n_points: int = 64,
    tol: float = 1e-6,
    on_failure: OnFailure = "raise",
) -> TippingPoint:
    """Find the least size t in (0, 1] at which the shock t * direction brings an event about.

    The event is measured against the same model run with no shock. Where more of the shock can only close more
    accounts, t is found by bisection and lies in the interval for certain: every asset that is sold is held on one
    side, no account gains slack from the direction, accounts close whole, losses are not shared, sold volume counts at
    initial prices, and the event is `ShareClosed` or `TraderClosed`. Else a scan looks for the first of `n_points`
    equal sizes, and bisection goes on below it.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shock.
    model : MarginCascade
        The rules.
    direction : mapping or Series asset -> relative price change
        The shock at t = 1, at least -1.
    event : FundEmpty, Uncovered, ShareClosed, TraderClosed, LossAbove, or function (result, baseline) -> bool
        What must happen.
    n_points : int
        Sizes of the scan.
    tol : float
        Width of the interval, as a share of the direction, from 1e-12 to 1.
    on_failure : {"raise", "warn", "ignore"}
        What to do about a cascade that does not converge.

    Returns
    -------
    TippingPoint
        With `found` False where none of the sizes tried brings the event about; if it is certified, no size does.

    Raises
    ------
    ParameterError
        An event that happens without a shock or cannot happen on this graph; a direction without a change; a direction
        with unknown assets, or changes that are none.
    ConvergenceError
        A cascade did not converge.

    Warns
    -----
    InBreachWarning
        Accounts that are in breach before any shock.

    References
    ----------
    Tarski (1955), Pacific J. Mathematics 5(2), for closings that only grow.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -750.0], traders=["Ann", "Bob"]
    ... )
    >>> model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    >>> point = cg.tipping_point(graph, model, {"0": -0.2}, event=cg.scenarios.ShareClosed(1.0))
    >>> round(point.size, 4), point.certified
    (0.3951, True)
    >>> point.jump.loc["closed"].to_dict()
    {'baseline': 0.0, 'below': 1.0, 'above': 2.0}
    """
    check_number("tipping_point", "n_points", n_points, low=1, whole=True)
    check_number("tipping_point", "tol", tol, low=1e-12, high=1)
    trials = Trials("tipping_point", graph, model, event, on_failure)
    warn_in_breach(graph, model)
    change = relative_changes(graph, direction)
    if not change.any():
        raise ParameterError("tipping_point: direction changes no price; give a shock, such as {'ETH': -0.5}")
    certain = trials.certain(change)
    happens, points = lambda size: trials.happens(size * change), 1 if certain else int(n_points)
    low, high = ray_search(happens, 0.0, 1.0, n_points=points, tol=tol) or (1.0, float("nan"))
    found = high == high  # noqa: PLR0124 - not NaN
    below, above = trials.run(low * change), trials.run(high * change) if found else None
    solution = trials.solution(found=found, width=high - low if found else 0.0, certain=certain)
    shock = pd.Series(change, index=graph.assets.rename("asset"), name="direction")
    return TippingPoint(model, shock, (low, high), certain, trials.baseline, below, above, solution)
