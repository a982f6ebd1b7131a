"""The disparity filter: the significant positions of the graph of traders and assets."""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.importance.incidence import exposures
from contagion_graph.solvers.arrays import row_of_cells


def backbone(graph: ExposureGraph, *, significance: float = 0.05) -> ExposureGraph:
    """Return the graph of the positions that are too large, for their trader or for their asset, to be chance.

    Were the value s_i that a trader spreads over its k_i assets cut at random (k_i - 1 uniform points), a share of at
    least p_ij = w_ij / s_i in one of them would have the probability

        alpha_ij = 1 - (k_i - 1) integral_0^p_ij (1 - x)^(k_i - 2) dx = (1 - p_ij)^(k_i - 1)

    and likewise for an asset over its traders. A position of a trader in an asset is kept where alpha_ij is
    below `significance` at one of its two ends; an end with one edge only is no evidence. The filter keeps edges that
    are large for their node, whatever the size of the node; a threshold on the weight keeps those of large nodes only.

    Parameters
    ----------
    graph : ExposureGraph
        Who holds what; w_ij is the gross value that trader i holds in asset j, its accounts together [currency].
    significance : float
        Level of significance, in (0, 1); the smaller, the less is kept.

    Returns
    -------
    ExposureGraph
        The same accounts, assets and pools. Positions that are not kept are removed, and their value at `price` is
        added to cash, so that no equity changes. For display, not for shocks.

    Raises
    ------
    ParameterError
        What is no graph, or a significance outside (0, 1).

    References
    ----------
    Serrano, Boguñá & Vespignani (2009), PNAS 106(16): 6483, eq. 2.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[97.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]], price=1.0)
    >>> cg.backbone(graph).quantity.toarray().tolist()
    [[97.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    check_number("backbone", "significance", significance, low=0, above=True, high=1, below=True)
    weights = exposures(graph, "backbone")
    traders, assets = probabilities(weights)
    kept = np.minimum(traders, assets) < significance
    keys = _keys(row_of_cells(weights), weights.indices, graph)[kept]
    q = graph.quantity
    account = row_of_cells(q)
    stays = np.isin(_keys(graph._rows.trader_of[account], q.indices, graph), keys)
    worth = q.data * graph.price[q.indices]
    cash = graph.cash + np.bincount(account[~stays], weights=worth[~stays], minlength=q.shape[0])
    indptr = np.concatenate([[0], np.cumsum(stays)])[q.indptr].astype(q.indptr.dtype)
    records = graph.records
    if records is not None:
        records = records.of(np.isin(_keys(graph._rows.trader_of[records.account], records.asset, graph), keys))
        records = replace(records, own_cash=cash + records.entry_value())
    return replace(
        graph,
        quantity=sparse.csr_array((q.data[stays], q.indices[stays], indptr), q.shape),
        margin_units=sparse.csr_array((graph.margin_units.data[stays], q.indices[stays], indptr), q.shape),
        cash=cash,
        records=records,
    )


def probabilities(weights: sparse.csr_array) -> tuple[FloatArray, FloatArray]:
    """Return alpha_ij of every cell, from its row's side and from its column's; weights above 0."""
    rows, columns = weights.shape
    return _alpha(weights.data, row_of_cells(weights), rows), _alpha(weights.data, weights.indices, columns)


def _alpha(weight: FloatArray, node: Any, size: int) -> FloatArray:
    strength = np.bincount(node, weights=weight, minlength=size)
    degree = np.bincount(node, minlength=size)
    return np.asarray((1.0 - np.minimum(weight / strength[node], 1.0)) ** (degree[node] - 1.0))


def _keys(trader: Any, asset: Any, graph: ExposureGraph) -> Any:
    return np.asarray(trader, dtype=np.int64) * len(graph.assets) + asset
