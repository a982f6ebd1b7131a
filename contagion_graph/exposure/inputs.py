"""Inputs of every measure of exposure: a graph and a model, checked, and the traders to sum over."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.backing import is_backed
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.model import check_run
from contagion_graph.margin.prepare import warn_in_breach
from contagion_graph.tables.vectors import rows_of

Positions = np.ndarray[Any, np.dtype[np.int64]]


def check_inputs(graph: Any, model: Any, on_failure: str, *, any_margin: bool = False) -> None:
    """Refuse what is no graph or no model, and markets in which no account can affect another; warn of breaches."""
    check_run(graph, model, on_failure, any_margin=any_margin)
    if model.sharing is None and np.isinf(graph.depth[graph.sellable]).all() and not is_backed(graph):
        raise ParameterError(
            "nothing indirect can happen: no asset that can be sold has a depth, so no sale moves a price, and the "
            "waterfall of the model has no members; give assets a depth (graph.assign(depth=...)), or the "
            "waterfall members"
        )
    warn_in_breach(graph, model)


class Traders(NamedTuple):
    """Some traders of a graph, and the sums over their accounts.

    Parameters
    ----------
    labels : Index
        The t traders.
    sums : csr_array, shape (t, n), or None
        1 where an account is a trader's; None: row i is account i.
    accounts : ndarray of bool, shape (n,)
        Whether an account belongs to one of the traders.
    """

    labels: "pd.Index[str]"
    sums: sparse.csr_array | None
    accounts: BoolArray

    def add(self, rows: sparse.csr_array) -> sparse.csr_array:
        """Return one row a trader from one row an account."""
        return rows if self.sums is None else (self.sums @ rows).tocsr()

    def add_vector(self, amount: FloatArray) -> FloatArray:
        """Return one number a trader from one number an account."""
        return amount if self.sums is None else np.asarray(self.sums @ amount)


def traders_of(graph: ExposureGraph, traders: Any) -> Traders:
    """Return some traders of a graph by label, in the order given, or all.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0], [1.0]], price=10.0, traders=["A", "B"])
    >>> traders_of(graph, ["B"]).add(graph.quantity).toarray().tolist()
    [[1.0]]
    """
    chosen, size, of = rows_of(traders, graph.traders, "traders"), len(graph.account_index), graph._rows.trader_of
    if traders is None and np.array_equal(of, np.arange(len(graph.traders))):
        return Traders(graph.traders, None, np.ones(size, dtype=bool))
    row = np.full(len(graph.traders), -1)
    row[chosen] = np.arange(chosen.size)
    theirs = row[of] >= 0
    cells = (np.ones(np.count_nonzero(theirs)), (row[of[theirs]], np.flatnonzero(theirs)))
    return Traders(graph.traders[chosen], sparse.csr_array(cells, shape=(chosen.size, size)), theirs)
