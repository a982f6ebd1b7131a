"""How the value of every account answers to each underlying."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph.graph.price_map import Greeks


def greeks_table(graph: Any) -> pd.DataFrame:
    """Return the sensitivities of every account to each underlying: `ExposureGraph.greeks` describes it."""
    q, m, own = graph.quantity, graph.quantity.shape[1], graph._price_map
    underlying, unit = np.arange(m), Greeks(np.ones(m), *np.zeros((3, m)))
    if own is not None:
        underlying, unit = own.underlying, own.greeks()
    held = sparse.csr_array((np.ones(q.nnz), q.indices, q.indptr), q.shape)
    pairs = (held @ _onto(underlying, np.ones(m))).tocoo()
    account, column = pairs.coords
    order = np.lexsort((column, account))
    account, column = account[order], column[order]
    values = {name: (q @ _onto(underlying, each)).tocsr()[account, column] for name, each in unit._asdict().items()}
    labels = graph.account_index[account].to_frame(index=False).assign(underlying=graph.assets[column])
    return pd.DataFrame(
        {name: np.asarray(each).ravel() for name, each in values.items()}, pd.MultiIndex.from_frame(labels)
    )


def _onto(underlying: Any, value: Any) -> sparse.csr_array:
    """Return a matrix that adds up columns by underlying, each times a value, shape (m, m)."""
    m = underlying.size
    return sparse.csr_array((value, (np.arange(m), underlying)), shape=(m, m))
