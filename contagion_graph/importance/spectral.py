"""Spectral importance on the weighted bipartite exposure graph: scores that depend on the scores of neighbours.

W is the matrix of weights (traders x assets, >= 0), by default |value| in currency; D_u and D_p hold its row and column
sums. Only products with W and its transpose are computed. Equal inputs give equal bits on one machine.
"""

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray, OnFailure
from contagion_graph._validate import check_number
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.importance.incidence import Of, Sides, Weight, sides
from contagion_graph.importance.krylov import Stop, leading_vector, solve_coupled
from contagion_graph.solvers.iteration import iterate


def hits(
    graph: ExposureGraph,
    *,
    of: Of = "traders",
    weight: Weight = "value",
    sort: bool = False,
    tol: float = 1e-12,
    max_iter: int = 1000,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return hub scores of traders or authority scores of assets: the leading singular vectors of W.

    sigma u = W p and sigma p = W^T u with the largest sigma; u >= 0, p >= 0, |u| = |p| = 1 (Euclidean).

    Parameters
    ----------
    graph : ExposureGraph
        Who holds what.
    of : {"traders", "assets"}
        The side to return: u or p.
    weight : {"value", "quantity", "unit"}
        Weight of a link, over the trader's accounts: sum |quantity| price [currency], sum |quantity| [units], or 1.
    sort : bool
        Whether to sort from the largest down; else in label order.
    tol : float
        Largest residual |W^T W p - sigma^2 p|, as a share of sigma^2.
    max_iter : int
        Largest number of iterations, one product with W^T W each.
    on_failure : {"raise", "warn", "ignore"}
        What to do where it does not converge: the last scores are then returned.

    Returns
    -------
    Series
        Dimensionless, by label. 0 without links, and in all components but those with the largest sigma (where several
        share it: the limit of power iteration from the strengths). All 0 if there are no positions.

    Raises
    ------
    ParameterError
        What is no graph, or a name or number that cannot be.
    ConvergenceError
        Not converged after `max_iter` iterations, and `on_failure` is "raise".

    References
    ----------
    Kleinberg (1999), Journal of the ACM 46(5), section 3.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.hits(graph, sort=True).round(4).to_dict()
    {'B': 0.7971, 'A': 0.6038}
    """
    side, stop = sides(graph, "hits", of, weight=weight), Stop("hits", tol, max_iter, on_failure)
    _, traders, assets = _singular(side, stop)
    return side.series(traders, assets, sort=sort)


def eigenvector(
    graph: ExposureGraph,
    *,
    of: Of = "traders",
    weight: Weight = "value",
    sort: bool = False,
    tol: float = 1e-12,
    max_iter: int = 1000,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return eigenvector centrality in the bipartite graph: the score of a node is the weighted sum of its neighbours'.

    lambda x = A x with A = [[0, W], [W^T, 0]], x = (u, p) >= 0, |u|^2 + |p|^2 = 1 (Euclidean). As lambda is the largest
    singular value of W, u and p are those of `hits` over the square root of 2, and the ranks are the same.

    Parameters
    ----------
    graph, of, weight, sort, tol, max_iter, on_failure
        As in `hits`.

    Returns
    -------
    Series
        Dimensionless, by label; 0 where `hits` is 0.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `hits`.

    References
    ----------
    Bonacich (1972), Journal of Mathematical Sociology 2(1).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.eigenvector(graph).round(4).to_dict()
    {'A': 0.427, 'B': 0.5636}
    """
    side, stop = sides(graph, "eigenvector", of, weight=weight), Stop("eigenvector", tol, max_iter, on_failure)
    _, traders, assets = _singular(side, stop)
    return side.series(traders / np.sqrt(2.0), assets / np.sqrt(2.0), sort=sort)


def katz(
    graph: ExposureGraph,
    *,
    of: Of = "traders",
    damping: float = 0.85,
    weight: Weight = "value",
    sort: bool = False,
    tol: float = 1e-12,
    max_iter: int = 1000,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return Katz centrality in the bipartite graph: the weighted number of walks that end at a node, by length.

    x = alpha A x + 1 with A = [[0, W], [W^T, 0]] and alpha = damping / sigma, sigma the largest singular value of W. So
    the unit of account does not matter, and the sum over walks always converges: walks of length k count alpha^k times
    their weight. Then |x| = 1 (Euclidean, both sides together).

    Parameters
    ----------
    graph, of
        As in `hits`.
    damping : float
        In [0, 1): alpha as a share of 1 / sigma.
    weight, sort, tol, max_iter, on_failure
        As in `hits`; `tol` holds for sigma, and for the sum of the |residuals| of x as a share of that at x = 0.

    Returns
    -------
    Series
        Dimensionless, above 0. Nodes without links have the smallest value; without any position, all nodes are equal.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `hits`.

    References
    ----------
    Katz (1953), Psychometrika 18(1).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.katz(graph).round(4).to_dict()
    {'A': 0.431, 'B': 0.5622}
    """
    check_number("katz", "damping", damping, low=0, high=1, below=True)
    side, stop = sides(graph, "katz", of, weight=weight), Stop("katz", tol, max_iter, on_failure)
    sigma, traders, assets = _singular(side, stop)
    alpha = damping / sigma if sigma else 0.0
    ones = np.ones_like(traders), np.ones_like(assets)
    scales = alpha * ones[0], ones[1]
    traders, assets = solve_coupled(side.matrix, scales, (1.0, 1.0), ones, ones[1], stop=stop)
    norm = np.hypot(np.linalg.norm(traders), np.linalg.norm(assets))
    return side.series(traders / norm, assets / norm, sort=sort)


def fitness_complexity(
    graph: ExposureGraph,
    *,
    of: Of = "traders",
    n_iter: int | None = None,
    weight: Weight = "value",
    sort: bool = False,
    tol: float = 1e-10,
    max_iter: int = 10_000,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return the fitness of traders or the complexity of assets: an asset of traders of low fitness is not complex.

    F = W Q and Q = 1 / (W^T (1 / F)), both from the last values, each then divided by its mean; F = Q = 1 at the start.

    Parameters
    ----------
    graph, of
        As in `hits`.
    n_iter : int, optional
        Exact number of iterations; None: until convergence.
    weight, sort
        As in `hits`; weight="unit" is the matrix of the paper.
    tol : float
        Largest change of an F or a Q in an iteration, dimensionless (their means are 1).
    max_iter : int
        Largest number of iterations. Where the graph is nested, F or Q of some nodes go to 0 like 1 / iteration: give
        `n_iter`, and read the ranks.
    on_failure
        As in `hits`.

    Returns
    -------
    Series
        Named fitness or complexity; dimensionless, mean 1 over the nodes with links; 0 without links.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `hits`.

    References
    ----------
    Tacchella, Cristelli, Caldarelli, Gabrielli & Pietronero (2012), Scientific Reports 2:723, equation 1. Pugliese,
    Zaccaria & Pietronero (2016), European Physical Journal Special Topics 225: nodes whose fitness goes to 0.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0, 1.0], [1.0, 0.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.fitness_complexity(graph, n_iter=1).round(4).to_dict()
    {'A': 1.3333, 'B': 0.6667}
    """
    stop = Stop("fitness_complexity", tol, max_iter, on_failure)
    if n_iter is not None:
        check_number("fitness_complexity", "n_iter", n_iter, low=0, whole=True)
    side = sides(graph, "fitness_complexity", of, weight=weight)
    linked = [degree > 0.0 for degree in side.degrees()]
    now = new = linked[0].astype(np.float64), linked[1].astype(np.float64)
    back = side.matrix.T

    def change(_: int) -> tuple[float, bool]:
        nonlocal new
        with np.errstate(divide="ignore", over="ignore"):
            inverse = back @ np.where(linked[0], 1.0 / now[0], 0.0)
            new = _mean_one(side.matrix @ now[1], linked[0]), _mean_one(1.0 / inverse, linked[1])
        size = max(float(np.abs(after - before).max()) for after, before in zip(new, now, strict=True))
        return size, n_iter is None and size <= tol

    def advance(_: int) -> None:
        nonlocal now
        now = new

    if n_iter is None:
        stop.run(change, advance)
    else:
        iterate(change, advance, max_steps=n_iter)
    return side.series(*now, sort=sort).rename(side.pick("fitness", "complexity"))


def _singular(side: Sides, stop: Stop) -> tuple[float, FloatArray, FloatArray]:
    """Return the largest singular value of W and its vectors, of length 1; all 0 where W is."""
    matrix, back = side.matrix, side.matrix.T
    strengths = side.strengths()
    if not matrix.nnz:
        return 0.0, *strengths
    unit = float(matrix.data.max())  # the squares of very large or small weights would leave the range

    def forth(assets: FloatArray) -> FloatArray:
        return np.asarray(matrix @ assets) / unit

    _, assets = leading_vector(lambda p: np.asarray(back @ forth(p)) / unit, strengths[1] / unit, stop=stop)
    assets = np.abs(assets)  # rounding leaves -1e-17 where 0 is meant
    traders = forth(assets)
    sigma = float(np.linalg.norm(traders))
    return sigma * unit, traders / sigma, assets


def _mean_one(values: FloatArray, linked: BoolArray) -> FloatArray:
    """Return values over their mean among the nodes with links, 0 for the others."""
    values = np.where(linked, values, 0.0)
    values = values / (values.max() or 1.0)
    return np.asarray(values / (values.sum() or 1.0) * np.count_nonzero(linked))
