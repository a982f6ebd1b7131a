"""DebtRank on the exposure graph: losses of equity that are passed on through sales of assets held in common.

A trader that has lost the share h_j of its equity has sold the share slope_j h_j of its portfolio. The loss of trader i
from it, as a share of i's equity e_i, is

    Lambda_ij = slope_j sum_k P_ik P_jk / D_k / e_i,

P the value held and D the depth of asset k, longs and shorts apart (`Overlap`). The loss of a trader from its own sales
counts too. Lambda is never formed. A trader without positive equity at the prices before the shock takes no part, with
the shock or without, and its h is NaN.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph.distress.debtrank import propagate
from contagion_graph.errors import ParameterError
from contagion_graph.graph.backing import noted
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock, check_graph, scenario
from contagion_graph.importance.overlap_index import overlap_of
from contagion_graph.solvers.arrays import ratio
from contagion_graph.solvers.iteration import check_on_failure, conclude
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument, rows_of

SHARE = Number("share", low=0.0, high=1.0)
TOGETHER = 64  # defaults that are followed in one pass


class _Spread:
    """Equity of the traders of a graph, and the propagation of losses among them."""

    def __init__(self, graph: ExposureGraph, slope: Any, name: str) -> None:
        self.name, self.overlap = name, overlap_of(graph, name)
        self.slope = argument("slope", slope, graph.traders, SHARE, base=1.0)
        self.equity = graph._rows.per_trader(graph._rows.equity)
        self.solvent = self.equity > 0.0
        self.per_equity = ratio(1.0, self.equity, 0.0)

    def losses(self, initial: FloatArray, tol: float, max_iter: int, on_failure: OnFailure) -> FloatArray:
        """Return the losses at convergence from initial ones, (n,) or (n, b)."""
        sold, lost = (each if initial.ndim == 1 else each[:, None] for each in (self.slope, self.per_equity))
        end = propagate(lambda rise: lost * self.overlap.apply(sold * rise), initial, tol=tol, max_iter=max_iter)
        rise = f"some trader lost {end.solution.residual:.2g} of its equity in the last of {max_iter:,} iterations"
        conclude(end.solution, on_failure, f"{self.name}: {rise}", "Raise max_iter, or tol.")
        return end.level


def debtrank(
    graph: ExposureGraph,
    shock: Shock | None = None,
    *,
    equity_shock: Mapping[Any, float] | None = None,
    slope: Any = 1.0,
    tol: float = 1e-9,
    max_iter: int = 10_000,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return the share of its equity that each trader loses in a shock, the losses from all later sales included.

    h <- min(1, h + Lambda dh) until it converges, Lambda_ij = slope_j sum_k P_ik P_jk / D_k / e_i, from h_i = min(1,
    direct loss_i / e_i + equity_shock_i). Linear in between: there is no margin, traders sell from the first loss on,
    and prices move linearly. Without a shock, nothing happens.

    Parameters
    ----------
    graph : ExposureGraph
        Who holds what; e is a trader's equity before the shock. Assets that are not sellable are not sold.
    shock : mapping or Series asset -> relative price change, optional
        -0.30 = falls by 30 %. A trader that gains from it starts at 0.
    equity_shock : mapping or Series trader -> share of equity in [0, 1], optional
        Lost at the start, in addition to the losses from the shock; 1 = defaults.
    slope : number, or mapping or Series by trader
        Share in [0, 1] of its portfolio that a trader has sold when all its equity is lost. 1 - equity / assets keeps
        leverage constant.
    tol : float
        Certified error of every h, as a share of the trader's equity.
    max_iter : int
        Largest number of iterations.
    on_failure : {"raise", "warn", "ignore"}
        What to do where it does not converge: the losses so far are then returned.

    Returns
    -------
    Series
        In [0, 1], by trader; NaN where equity is not positive.

    Raises
    ------
    ParameterError
        What is no graph; neither a shock nor an equity_shock; no asset that has a finite depth; an unknown label; a
        number out of range.
    ConvergenceError
        Not converged after `max_iter` iterations, and `on_failure` is "raise".

    References
    ----------
    Bardoscia, Battiston, Caccioli & Caldarelli (2015), PLoS ONE 10(6): e0130406; the exposures here are the
    liquidity-weighted overlaps of Cont & Schaanning (2019), J. Banking & Finance 104.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[50.0, 0.0], [50.0, 50.0], [0.0, 50.0]], price=1.0, depth=1000.0, cash=[-40.0, -80.0, -40.0],
    ...     traders=["A", "B", "C"], assets=["X", "Y"],
    ... )
    >>> cg.importance.debtrank(graph, {"X": -0.05}).round(4).to_dict()
    {'A': 0.4167, 'B': 0.25, 'C': 0.0833}
    """
    check_graph(graph)
    check_on_failure(on_failure)
    if shock is None and equity_shock is None:
        raise ParameterError("debtrank: give a shock, or an equity_shock by trader")
    spread = _Spread(graph, slope, "debtrank")
    lost = graph._rows.per_trader(-(graph.quantity @ (scenario(graph, shock).price_shocked - graph.price)))
    start = np.maximum(lost, 0.0) * spread.per_equity
    if equity_shock is not None:
        start += argument("equity_shock", equity_shock, graph.traders, SHARE) * spread.solvent
    level = spread.losses(np.minimum(start, 1.0), tol, max_iter, on_failure)
    level[~spread.solvent] = np.nan
    return noted(pd.Series(level, graph.traders.rename("trader"), name="debtrank"), graph)


def debtrank_impact(
    graph: ExposureGraph,
    *,
    traders: Iterable[object] | None = None,
    slope: Any = 1.0,
    tol: float = 1e-9,
    max_iter: int = 10_000,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return the share of total equity that the others lose if a trader defaults, losses from later sales included.

    sum_(j other than i) h_j e_j / sum_j e_j, h where `debtrank` ends if i alone has lost all its equity, and the sums
    over traders with positive equity.

    Parameters
    ----------
    graph
        As in `debtrank`.
    traders : iterable of labels, optional
        The traders that default, one at a time (64 are computed together); None: all.
    slope, tol, max_iter, on_failure
        As in `debtrank`.

    Returns
    -------
    Series
        In [0, 1], by trader, in the order of the graph or of `traders`; NaN where equity is not positive.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `debtrank`; an unknown trader.

    References
    ----------
    Battiston, Puliga, Kaushik, Tasca & Caldarelli (2012), Scientific Reports 2: 541, the impact of a node.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[50.0, 0.0], [50.0, 50.0], [0.0, 50.0]], price=1.0, depth=1000.0, cash=[-40.0, -80.0, -40.0],
    ...     traders=["A", "B", "C"], assets=["X", "Y"],
    ... )
    >>> cg.importance.debtrank_impact(graph).round(4).to_dict()
    {'A': 0.1029, 'B': 0.1667, 'C': 0.1029}
    """
    check_on_failure(on_failure)
    spread = _Spread(graph, slope, "debtrank_impact")
    chosen = rows_of(traders, graph.traders, "debtrank_impact: traders")
    impact, total = np.full(chosen.size, np.nan), float(spread.equity[spread.solvent].sum())
    places = np.flatnonzero(spread.solvent[chosen])
    for place in np.split(places, np.arange(TOGETHER, places.size, TOGETHER)):
        start = np.zeros((len(graph.traders), place.size))
        start[chosen[place], np.arange(place.size)] = 1.0
        level = spread.losses(start, tol, max_iter, on_failure)
        level[chosen[place], np.arange(place.size)] = 0.0
        impact[place] = (np.where(spread.solvent, spread.equity, 0.0) @ level) / total
    return pd.Series(impact, graph.traders[chosen].rename("trader"), name="debtrank_impact")
