"""Walks on the weighted bipartite exposure graph, damped towards a prior: BiRank, co-HITS, PageRank.

W is the matrix of weights (traders x assets, >= 0), by default |value| in currency; D_u and D_p hold its row and column
sums. All three are one linear system, symmetric once it is scaled, so that a few products with W and its transpose
solve it. Equal inputs give equal bits on one machine.
"""

from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import check_number
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.importance.incidence import Of, Sides, Weight, sides
from contagion_graph.importance.krylov import Pair, Stop, solve_coupled
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import vector

Damping = float | tuple[float, float]
Prior = tuple[Any, Any] | None


def birank(
    graph: ExposureGraph,
    *,
    of: Of = "traders",
    damping: Damping = 0.85,
    prior: Prior = None,
    weight: Weight = "value",
    sort: bool = False,
    tol: float = 1e-12,
    max_iter: int = 1000,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return BiRank: scores that are smooth along links and close to a prior, links normalised by both their ends.

    p = alpha S^T u + (1 - alpha) p0 and u = beta S p + (1 - beta) u0 with S = D_u^-1/2 W D_p^-1/2.

    Parameters
    ----------
    graph, of
        As in `hits`.
    damping : float or pair of float
        In [0, 1]: alpha (assets) and beta (traders), or one number for both.
    prior : pair, optional
        Of traders and of assets, u0 and p0: each a Series or mapping by label (0 where it names none), an array, or
        None = the same for all; numbers >= 0, which are scaled to sum to 1 a side.
    weight, sort
        As in `hits`.
    tol : float
        Largest sum of the |residuals| of p (with u inserted), as a share of that at p = 0.
    max_iter, on_failure
        As in `hits`.

    Returns
    -------
    Series
        Dimensionless. (1 - beta) u0 or (1 - alpha) p0 without links. With alpha = beta = 1 every multiple of the
        square roots of the strengths is a solution: scaled to sum to 1 on each side, 0 without links.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `hits`; a prior that names unknown labels, or has a weight below 0.

    References
    ----------
    He, Gao, Kan & Wang (2017), IEEE Transactions on Knowledge and Data Engineering 29(1), equation 6.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.birank(graph).round(4).to_dict()
    {'A': 0.4234, 'B': 0.5505}
    """
    side, stop = sides(graph, "birank", of, weight=weight), Stop("birank", tol, max_iter, on_failure)
    alpha, beta = _dampings("birank", damping)
    u0, p0 = _prior("birank", graph, prior)
    strengths = side.strengths()
    if alpha == beta == 1.0:
        return side.series(*(_shares(np.sqrt(strength)) for strength in strengths), sort=sort)
    roots = _roots(strengths)
    scales, fixed = (1.0 / roots[0], 1.0 / roots[1]), ((1.0 - beta) * u0, (1.0 - alpha) * p0)
    scores = solve_coupled(side.matrix, scales, (alpha, beta), fixed, np.ones_like(p0), stop=stop)
    return side.series(*scores, sort=sort)


def cohits(
    graph: ExposureGraph,
    *,
    of: Of = "traders",
    damping: Damping = 0.85,
    prior: Prior = None,
    weight: Weight = "value",
    sort: bool = False,
    tol: float = 1e-12,
    max_iter: int = 1000,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return co-HITS: a walk between the sides that restarts from the prior of a side with a given probability.

    p = alpha W^T D_u^-1 u + (1 - alpha) p0 and u = beta W D_p^-1 p + (1 - beta) u0.

    Parameters
    ----------
    graph, of, damping, prior, weight, sort, tol, max_iter, on_failure
        As in `birank`.

    Returns
    -------
    Series
        Dimensionless; each side sums to 1 where every node has links. (1 - beta) u0 or (1 - alpha) p0
        without links. With alpha = beta = 1 it is the share in all strength.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `birank`.

    References
    ----------
    Deng, Lyu & King (2009), KDD '09, equations 3 and 4.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.cohits(graph).round(4).to_dict()
    {'A': 0.3707, 'B': 0.6293}
    """
    side, stop = sides(graph, "cohits", of, weight=weight), Stop("cohits", tol, max_iter, on_failure)
    alpha, beta = _dampings("cohits", damping)
    u0, p0 = _prior("cohits", graph, prior)
    if alpha == beta == 1.0:
        return side.series(*(_shares(strength) for strength in side.strengths()), sort=sort)
    return side.series(*_walk(side, (alpha, beta), (u0, p0), stop), sort=sort)


def pagerank(
    graph: ExposureGraph,
    *,
    of: Of = "traders",
    damping: float = 0.85,
    prior: Prior = None,
    weight: Weight = "value",
    sort: bool = False,
    tol: float = 1e-12,
    max_iter: int = 1000,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return PageRank in the bipartite graph: the distribution of a walk along links that restarts at random.

    x = d A D^-1 x + (1 - d) v with A = [[0, W], [W^T, 0]], D its row sums, d the damping; a walk on a node without
    links restarts. x sums to 1 over both sides together.

    Parameters
    ----------
    graph, of
        As in `birank`.
    damping : float
        d in [0, 1).
    prior : pair, optional
        v, of traders and of assets, as in `birank`, but scaled to sum to 1 over both; None = 1 for each on that side.
    weight, sort, tol, max_iter, on_failure
        As in `birank`.

    Returns
    -------
    Series
        Probabilities; of nodes without links, in proportion to v.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `birank`.

    References
    ----------
    Brin & Page (1998), Computer Networks 30, section 2.1.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.pagerank(graph).round(4).to_dict()
    {'A': 0.1853, 'B': 0.3147}
    """
    check_number("pagerank", "damping", damping, low=0, high=1, below=True)
    side, stop = sides(graph, "pagerank", of, weight=weight), Stop("pagerank", tol, max_iter, on_failure)
    v = _prior("pagerank", graph, prior, together=True)
    traders, assets = _walk(side, (damping, damping), v, stop)
    mass = traders.sum() + assets.sum()  # below 1 by what walked onto nodes without links
    return side.series(traders / mass, assets / mass, sort=sort)


def _walk(side: Sides, gains: tuple[float, float], starts: Pair, stop: Stop) -> Pair:
    """Return p = a W^T D_u^-1 u + (1 - a) p0 and u = b W D_p^-1 p + (1 - b) u0, with `gains` a, b and `starts` u0, p0.

    u = D_u^1/2 u' and p = D_p^1/2 p' makes it symmetric; the residual counts in p, where a walk conserves sums.
    """
    roots = _roots(side.strengths())
    fixed = (1.0 - gains[1]) * starts[0] / roots[0], (1.0 - gains[0]) * starts[1] / roots[1]
    scaled = solve_coupled(side.matrix, (1.0 / roots[0], 1.0 / roots[1]), gains, fixed, roots[1], stop=stop)
    return scaled[0] * roots[0], scaled[1] * roots[1]


def _roots(strengths: Pair) -> Pair:
    """Return the square roots of the strengths, 1 where there are no links."""
    traders, assets = (np.sqrt(np.where(strength > 0.0, strength, 1.0)) for strength in strengths)
    return traders, assets


def _shares(values: FloatArray) -> FloatArray:
    return values / (values.sum() or 1.0)


def _dampings(name: str, damping: Damping) -> tuple[float, float]:
    """Return alpha and beta."""
    both = damping if isinstance(damping, tuple) else (damping, damping)
    if len(both) != 2:
        raise ParameterError(f"{name}: damping is {damping!r}; it must be a number, or the pair alpha (assets), beta")
    for number in both:
        check_number(name, "damping", number, low=0, high=1)
    return both


def _prior(name: str, graph: ExposureGraph, prior: Prior, *, together: bool = False) -> Pair:
    """Return the prior weights of traders and of assets, scaled to sum to 1: together, or each."""
    given = (None, None) if prior is None else prior
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ParameterError(f"{name}: prior must be a pair, of traders and of assets; None for a side: equal weights")
    faults, kind = Faults(ParameterError), Number("weight", low=0.0)
    traders = vector("prior of traders", 1.0 if given[0] is None else given[0], graph.traders, kind, faults)
    assets = vector("prior of assets", 1.0 if given[1] is None else given[1], graph.assets, kind, faults)
    faults.raise_if_any()
    sums = traders.sum(), assets.sum()
    if together:
        sums = (sums[0] + sums[1],) * 2
    if not min(sums):
        raise ParameterError(f"{name}: the prior of a side is 0 everywhere; give some node a weight above 0")
    return traders / sums[0], assets / sums[1]
