"""How large a shock in a given direction must be before something happens."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import scenario
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.result import CascadeResult
from contagion_graph.scenarios.events import Event
from contagion_graph.scenarios.ray_search import Trials, figures_of, first_size


@dataclass(frozen=True, eq=False)
class TippingPoint:
    """The size at which an event first happens along a direction, and the jump there.

    Parameters
    ----------
    interval : tuple of float
        (lo, hi): at lo times the direction the event does not happen, at hi it does.
    certified : bool
        No size up to lo brings the event about, none from hi on fails to, up to rounding. Otherwise hi is the first
        place that the scan saw; a shorter stretch before it can have been missed.
    baseline, below, above : CascadeResult
        The cascades of no shock, of lo and of hi.
    """

    interval: tuple[float, float]
    certified: bool
    baseline: CascadeResult
    below: CascadeResult
    above: CascadeResult

    @property
    def size(self) -> float:
        """The least size that was seen to bring the event about, hi."""
        return self.interval[1]

    @cached_property
    def jump(self) -> pd.DataFrame:
        """Breached and closed accounts, loss, shortfall, fund_used, uncovered: baseline, just below, just above."""
        return figures_of({"baseline": self.baseline, "below": self.below, "above": self.above})


def tipping_point(
    graph: ExposureGraph,
    model: MarginCascade,
    direction: "Mapping[Any, float] | pd.Series[float]",
    *,
    event: Event,
    n_points: int = 64,
    tol: float = 1e-6,
) -> TippingPoint | None:
    """Find the least size t in (0, 1] at which the shock t * direction brings an event about.

    The event is measured against the same model run with no shock. Where more of the shock can only close more
    accounts, t is found by bisection and lies in the interval for certain: every asset that is sold is held on one
    side, the direction moves no price to anybody's advantage, accounts close whole, losses are not shared, sold volume
    counts at initial prices, and the event is `ShareClosed` or `TraderClosed`. Else a scan looks for the first of
    `n_points` equal sizes, and bisection goes on below it.

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
        Width of the interval, from 1e-12 to 1.

    Returns
    -------
    TippingPoint or None
        None: none of the sizes tried brings it about; where the bisection is certain, none does.

    Raises
    ------
    ParameterError
        An event that happens without a shock or cannot happen on this graph; a direction without a change.
    TableError
        A direction with unknown assets, or changes that are none.

    References
    ----------
    Tarski (1955), Pacific J. Mathematics 5(2), for closings that only grow.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -750.0], traders=["Ann", "Bob"]
    ... )
    >>> model = cg.MarginCascade(sharing=None)
    >>> point = cg.tipping_point(graph, model, {"0": -0.2}, event=cg.scenarios.ShareClosed(1.0))
    >>> round(point.size, 4), point.certified
    (0.3951, True)
    >>> point.jump.loc["closed"].to_dict()
    {'baseline': 0.0, 'below': 1.0, 'above': 2.0}
    """
    check_number("tipping_point", "n_points", n_points, low=1, whole=True)
    check_number("tipping_point", "tol", tol, low=1e-12, high=1)
    trials = Trials("tipping_point", model, graph, event)
    change = scenario(graph, direction).price_shocked / graph.price - 1.0
    if not change.any():
        raise ParameterError("tipping_point: direction changes no price; give a shock, such as {'ETH': -0.5}")
    certain = trials.certain(change)
    interval = first_size(
        lambda size: trials.happens(size * change), 1.0, steps=1 if certain else int(n_points), tol=tol
    )
    if interval is None:
        return None
    below, above = (trials.run(size * change) for size in interval)
    return TippingPoint(interval, certain, trials.baseline, below, above)
