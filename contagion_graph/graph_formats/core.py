"""The traders without whom a cascade cannot be told: what a picture of a large market keeps."""

from typing import Any

import numpy as np

from contagion_graph.margin.result import CascadeResult

Rows = np.ndarray[Any, np.dtype[np.int64]]


def core_traders(result: CascadeResult, k: int) -> Rows:
    """Return the positions of at most `k` traders, ascending: half who close most, the rest who lose most.

    What a trader closes is the closed share of its gross value before the shock; who closes nothing, or loses nothing,
    is taken only where there is room.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [30.0], [1.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, 0.0, 0.0]
    ... )
    >>> core_traders(cg.MarginCascade().run(graph, {"0": -0.10}), 2).tolist()  # "0" closes, "1" loses most
    [0, 1]
    """
    graph, traders = result.graph, result.traders
    sold = traders["closed"].to_numpy() * graph._rows.per_trader(graph._rows.initial.gross)
    closing = np.argsort(-sold, kind="stable")[: min(k // 2, int((sold > 0.0).sum()))]
    losing = np.argsort(-traders["loss"].to_numpy(), kind="stable")
    others = losing[~np.isin(losing, closing)][: k - len(closing)]
    return np.sort(np.concatenate([closing, others]))


def share_of_loss(result: CascadeResult, rows: Rows) -> float:
    """Return which share of what all losing traders lose these lose; 1 where nobody loses."""
    lost = np.maximum(result.traders["loss"].to_numpy(), 0.0)
    return float(lost[rows].sum() / lost.sum()) if lost.any() else 1.0
