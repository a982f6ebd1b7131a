"""Systemic importance by overlapping portfolios: the losses that the sale of one portfolio causes to others.

With P the value that a trader holds in an asset and D the asset's depth, the sale of all that trader j holds lowers the
price of asset k by the share P_jk / D_k, to first order, and costs trader i

    Omega_ij = sum_k P_ik P_jk / D_k      [currency]

Longs and shorts are kept apart: a sale causes losses to longs, a purchase to shorts, and gains on the other side are
not deducted. Only products with P and its transpose are computed, never Omega.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph, check_no_instruments
from contagion_graph.importance.krylov import Stop, leading_vector
from contagion_graph.solvers.arrays import scaled_rows, with_data


@dataclass(frozen=True, eq=False)
class Overlap:
    """The matrix Omega of a graph, as products.

    Parameters
    ----------
    held : csr_array, shape (traders, columns)
        Value held [currency]: longs in column k, shorts, above 0, in column k + m.
    per_value : ndarray, shape (columns,)
        1 / depth [1 / currency]; 0 where nothing can be sold or no sale moves the price.
    """

    held: sparse.csr_array
    per_value: FloatArray

    def apply(self, sold: FloatArray) -> FloatArray:
        """Return Omega x for the share x of its portfolio that each trader sells, (n,) or (n, b) [currency]."""
        per_value = self.per_value if sold.ndim == 1 else self.per_value[:, None]
        return np.asarray(self.held @ (per_value * (self.held.T @ sold)))

    def row_sums(self) -> FloatArray:
        """Return sum_j Omega_ij over the others, j other than i [currency]."""
        total = self.held.T @ np.ones(self.held.shape[0])
        own = with_data(self.held, self.held.data * (self.held.data * self.per_value[self.held.indices]))
        # the sums over a row run in the same order: where no other trader holds the same, the difference is exactly 0
        return np.asarray(self.held @ (total * self.per_value) - own @ np.ones(self.held.shape[1]))

    def of_rows(self, kept: Any) -> "Overlap":
        """Return the overlap among some traders; the others hold nothing in it."""
        return Overlap(scaled_rows(self.held, kept), self.per_value)


def overlap_of(graph: ExposureGraph, name: str, *, netted: bool = False) -> Overlap:
    """Return the overlap of a graph for a measure of this name; netted: longs and shorts in one column, with signs."""
    check_graph(graph)
    check_no_instruments(graph, name)
    with np.errstate(divide="ignore"):
        per_value = np.where(graph.sellable, 1.0 / graph.depth, 0.0)
    if not per_value.any():
        raise ParameterError(f"{name}: no sellable asset has a finite depth, so no sale moves a price; give depths")
    q, m = graph.quantity, len(graph.assets)
    value, columns = q.data * graph.price[q.indices], q.indices
    if not netted and (value < 0.0).any():
        columns = columns + np.where(value < 0.0, m, 0).astype(columns.dtype)
        value, per_value = np.abs(value), np.tile(per_value, 2)
    held = sparse.csr_array((value, columns, q.indptr), (q.shape[0], per_value.size))
    return Overlap(graph._rows.trader_rows(held), per_value)


def indirect_contagion_index(graph: ExposureGraph, *, netted: bool = False) -> "pd.Series[float]":
    """Return the losses of others if all that a trader holds is liquidated, to first order.

    ICI_i = sum_(j other than i) Omega_ij with Omega_ij = sum_k P_ik P_jk / D_k, P the value held and D the depth of
    asset k: the row sums of the matrix of liquidity-weighted overlaps, off the diagonal. A trader's accounts count
    together.

    Parameters
    ----------
    graph : ExposureGraph
        Who holds what; assets that are not sellable do not count.
    netted : bool
        False: a sale causes losses to longs, and a purchase to shorts. True: gains on the other side are deducted, P
        has signs, and the index can be negative.

    Returns
    -------
    Series
        Currency, by trader; exactly 0 for a trader that shares no asset with others on its side.

    Raises
    ------
    ParameterError
        No sellable asset has a finite depth.

    References
    ----------
    Cont & Schaanning (2019), Monitoring indirect contagion, J. Banking & Finance 104.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[50.0, 0.0], [20.0, 10.0], [0.0, -30.0]], price=1.0, depth=1000.0, traders=["A", "B", "C"]
    ... )
    >>> cg.importance.indirect_contagion_index(graph).round(9).to_dict()
    {'A': 1.0, 'B': 1.0, 'C': 0.0}
    >>> cg.importance.indirect_contagion_index(graph, netted=True).round(9).to_dict()
    {'A': 1.0, 'B': 0.7, 'C': -0.3}
    """
    overlap = overlap_of(graph, "indirect_contagion_index", netted=netted)
    return pd.Series(overlap.row_sums(), graph.traders.rename("trader"), name="indirect_contagion_index")


def endogenous_risk_index(
    graph: ExposureGraph, *, tol: float = 1e-9, max_iter: int = 1000, on_failure: OnFailure = "raise"
) -> "pd.Series[float]":
    """Return the Perron vector of the liquidity-weighted overlaps: importance where sales cause further sales.

    Omega x = lambda x with the largest lambda, Omega_ij = sum_k P_ik P_jk / D_k, the diagonal included, x >= 0 and sum
    x = 1. If every trader sells in proportion to its losses, the vector of losses converges to a multiple of x. It is
    computed in the space of assets, by Lanczos steps of two sparse products each: x = P D^(-1/2) y with y the leading
    vector of D^(-1/2) P'P D^(-1/2).

    Parameters
    ----------
    graph : ExposureGraph
        Who holds what; assets that are not sellable do not count. Longs and shorts are kept apart.
    tol : float
        Largest residual |Omega y - lambda y|, as a share of lambda.
    max_iter : int
        Largest number of iterations, two sparse products each.
    on_failure : {"raise", "warn", "ignore"}
        What to do where it does not converge: the last vector is then returned.

    Returns
    -------
    Series
        Shares of 1, by trader. 0 for a trader that shares no asset with others on its side, and outside the component
        of the market with the largest lambda; all 0 if no two traders share an asset.

    Raises
    ------
    ParameterError
        What is no graph; no sellable asset has a finite depth; a tolerance or limit that cannot be.
    ConvergenceError
        Not converged after `max_iter` iterations, and `on_failure` is "raise".

    References
    ----------
    Cont & Schaanning (2019), Monitoring indirect contagion, J. Banking & Finance 104.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[50.0, 0.0], [20.0, 10.0], [0.0, -30.0]], price=1.0, depth=1000.0, traders=["A", "B", "C"]
    ... )
    >>> cg.importance.endogenous_risk_index(graph).round(4).to_dict()
    {'A': 0.7071, 'B': 0.2929, 'C': 0.0}
    """
    stop = Stop("endogenous_risk_index", tol, max_iter, on_failure)
    overlap = overlap_of(graph, "endogenous_risk_index")
    sums, held = overlap.row_sums(), overlap.held
    alone = (sums == 0.0) & (np.diff(held.indptr) > 0)
    if alone.any():
        overlap = overlap.of_rows(~alone)
    index = np.zeros(sums.size)
    if sums.any():
        root, held = np.sqrt(overlap.per_value), overlap.held
        start = root * (held.T @ np.ones(sums.size))
        _, vector = leading_vector(lambda y: root * (held.T @ (held @ (root * y))), start, stop=stop)
        index = np.abs(held @ (root * vector))
        index /= index.sum()
    return pd.Series(index, graph.traders.rename("trader"), name="endogenous_risk_index")
