"""Who stands on the other side of a position that is deleveraged, and in which order they are taken from."""

from typing import NamedTuple

import numpy as np

from contagion_graph._typing import BoolArray, FloatArray, IntArray
from contagion_graph.margin.rounds.account_state import Market, Rows
from contagion_graph.rules.layers import Deleverage

SEVERAL = 64  # counterparties of a leg that are looked at together, at first


class Taken(NamedTuple):
    """What a leg takes: the cells of its counterparties, their rows, how many units of each, and what it lacks then."""

    cells: Rows
    rows: Rows
    units: FloatArray
    missing: float


class Counterparties:
    """The cells of each pool, asset and side, in the order of a ranking, and what each can still give up.

    A queue is a pool, an asset and a side: (pool m + asset) 2 + 1 where short.

    Parameters
    ----------
    market : Market
        All accounts are valued at its prices.
    layer : Deleverage
        The ranking.
    order : ndarray, shape (n,)
        Numbers of the accounts in a ranking that is given or drawn.
    entry : ndarray, shape (cells,)
        What the units of each cell cost [currency per unit].
    out : ndarray of int
        Accounts that give up nothing: they close themselves.
    """

    def __init__(self, market: Market, layer: Deleverage, order: FloatArray, entry: FloatArray, out: Rows) -> None:
        graph, closed = market.graph, market.accounts
        self.assets, self.pool_of, self.proportional = graph.price.size, graph.pool_of, layer.pro_rata
        self.equity = np.maximum(market.equity(graph.all_rows), 0.0)
        self.equity[out] = self.equity[(closed.closed_long == 1.0) & (closed.closed_short == 1.0)] = 0.0
        self.row_of = np.repeat(graph.all_rows, np.diff(graph.quantity.indptr))
        held, asset = graph.quantity.data, graph.quantity.indices
        side = np.where(held < 0.0, closed.closed_short[self.row_of], closed.closed_long[self.row_of])
        self.units = np.where(graph.sellable[asset], held * (1.0 - side), 0.0)
        score = layer._score(self.units, market.price[asset], entry, self.equity[self.row_of])
        score = order[self.row_of] if score is None else score
        some = np.flatnonzero((self.units != 0.0) & (self.equity[self.row_of] > 0.0) & np.isfinite(score))
        queue = self._queue(self.row_of[some], asset[some], self.units[some] < 0.0)
        turn = np.lexsort((self.row_of[some], score[some], queue))
        self.cells = some[turn]
        self.first = np.searchsorted(queue[turn], np.arange(2 * self.assets * len(graph.pools) + 1))
        self.next = self.first[:-1].copy()

    def _queue(self, row: IntArray, asset: IntArray, short: BoolArray) -> Rows:
        return (self.pool_of[row].astype(np.int64) * self.assets + asset) * 2 + short

    def take(self, row: int, asset: int, units: float, gap: float) -> Taken:
        """Take units of a leg (+ long) of a row off those on the other side, at a price that is `gap` off the mark.

        Each gives up at most what it holds, and at most its equity over |gap|.
        """
        place = np.array([row]), np.array([asset]), np.array([units > 0.0])
        queue, need, size = int(self._queue(*place)[0]), abs(units), SEVERAL
        found = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))]
        end = int(self.first[queue + 1])
        while need > 0.0 and self.next[queue] < end:
            last = end if self.proportional else min(int(self.next[queue]) + size, end)
            cells = self.cells[self.next[queue] : last]
            rows, held = self.row_of[cells], np.abs(self.units[cells])
            most = held if gap == 0.0 else np.minimum(held, self.equity[rows] / abs(gap))
            part, need = in_proportion(need, held, most) if self.proportional else in_turn(need, most)
            ruined = (part == most) & (most < held)
            self.equity[rows] = np.where(ruined, 0.0, np.maximum(self.equity[rows] - part * abs(gap), 0.0))
            self.units[cells] -= np.sign(self.units[cells]) * part
            found.append((cells[part > 0.0], rows[part > 0.0], part[part > 0.0]))
            if self.proportional:
                break
            self.next[queue] += cells.size if (part == most).all() else int(np.argmin(part == most))
            size *= 2
        cells, rows, part = (np.concatenate(each) for each in zip(*found, strict=True))
        return Taken(cells, rows, part, need)


def in_turn(need: float, most: FloatArray) -> tuple[FloatArray, float]:
    """Return what each gives, the first ones all they can, and what is missing.

    Examples
    --------
    >>> import numpy as np
    >>> in_turn(5.0, np.array([2.0, 4.0, 1.0]))
    (array([2., 3., 0.]), 0.0)
    """
    after = np.cumsum(most)
    return np.clip(need - (after - most), 0.0, most), max(need - float(after[-1]), 0.0)


def in_proportion(need: float, held: FloatArray, most: FloatArray) -> tuple[FloatArray, float]:
    """Return min(level held, most), with the one level of at most 1 that raises what is needed, and what is missing.

    Examples
    --------
    >>> import numpy as np
    >>> in_proportion(6.0, np.array([2.0, 4.0, 6.0]), np.array([2.0, 1.0, 6.0]))
    (array([1.25, 1.  , 3.75]), 0.0)
    """
    part, free = np.zeros_like(held), most > 0.0
    while need > 0.0 and free.any():
        total = float(held[free].sum())
        level = min(need / total, 1.0)
        full = free & (level * held >= most)
        if not full.any():
            part[free] = level * held[free]
            return part, max(need - total, 0.0)
        part[full] = most[full]
        need -= float(most[full].sum())
        free &= ~full
    return part, max(need, 0.0)
