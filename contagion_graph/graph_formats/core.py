"""The core of a cascade: the traders, assets and holdings that a picture of a large market keeps."""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from contagion_graph.margin.result import CascadeResult
from contagion_graph.solvers.arrays import largest, ratio

Rows = np.ndarray[Any, np.dtype[np.int64]]


def core_traders(result: CascadeResult, k: int) -> Rows:
    """Return the positions of at most k traders, ascending: half with the most closed, then the largest losses.

    What a trader closes is the closed share of its gross value before the shock; a trader that closes
    nothing, or loses nothing, is taken only where there is room.

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
    closing = largest(sold, min(k // 2, int((sold > 0.0).sum())))
    losing = largest(traders["loss"])
    others = losing[~np.isin(losing, closing)][: k - len(closing)]
    return np.sort(np.concatenate([closing, others]))


class Core(NamedTuple):
    """What a picture of a cascade shows.

    Parameters
    ----------
    traders : ndarray of int
        Positions in the graph, the largest loss first.
    assets : ndarray of int
        Those of which these traders hold most, the most first.
    held : csr_array, shape (traders, assets)
        Signed value before the shock [currency].
    """

    traders: Rows
    assets: Rows
    held: sparse.csr_array


def core_of(result: CascadeResult, k: int, k_assets: int) -> Core:
    """Return at most k traders, as in `core_traders`, and of what they hold at most k_assets assets."""
    chosen = core_traders(result, k)
    rows = chosen[largest(result.traders["loss"].to_numpy()[chosen])]
    held = result.graph.to_scipy()[rows]
    assets = largest(abs(held).sum(axis=0), k_assets)
    return Core(rows, assets, held[:, assets])


def share_of_loss(result: CascadeResult, rows: Rows) -> float:
    """Return the share of some traders in the losses of all traders that lose; 1 where none loses."""
    lost = np.maximum(result.traders["loss"].to_numpy(), 0.0)
    return float(ratio(lost[rows].sum(), lost.sum(), 1.0))
