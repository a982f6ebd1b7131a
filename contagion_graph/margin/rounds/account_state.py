"""The state of a cascade's accounts and loss levels, and the looks at them.

Which rows a look has to visit is explained in kernels/looks.py; everything else here is bookkeeping for it.
"""

from typing import Any

import numpy as np

from contagion_graph import state
from contagion_graph._typing import FloatArray
from contagion_graph.chunks import BLOCK, STRIP
from contagion_graph.graph.rows import RowReductions
from contagion_graph.graph.scenario import Scenario

Rows = np.ndarray[Any, np.dtype[np.int64]]


def union(rows: Rows, others: Rows, size: int) -> Rows:
    """Return the rows that are in one of two lists, ascending; np.union1d hashes them, which is slow.

    Examples
    --------
    >>> import numpy as np
    >>> union(np.array([3, 5]), np.array([1, 3]), 6).tolist()
    [1, 3, 5]
    """
    member = np.zeros(size, dtype=bool)
    member[rows] = member[others] = True
    return np.flatnonzero(member)


class Market:
    """Accounts, channels and prices while a cascade runs.

    Parameters
    ----------
    graph : RowReductions
        The graph before the scenario.
    scenario : Scenario
        Shocked prices, given losses, given defaults.
    base : ndarray, shape (n,)
        Weights in loss sharing; changed here.
    full : bool
        Value every account again at every price, instead of those that can have come into breach.
    mirrored : bool
        Watch for recovery instead of breach: prices rise from those of the scenario, loss levels fall, and an account
        is due when M - E, not E - M, can have fallen below 0. Cash, prices and levels are held with their sign changed,
        so that the same looks serve.
    level : ndarray, shape (v,), optional
        Loss levels from the start.
    """

    def __init__(
        self,
        graph: RowReductions,
        scenario: Scenario,
        base: FloatArray,
        *,
        full: bool = False,
        mirrored: bool = False,
        level: FloatArray | None = None,
    ) -> None:
        from contagion_graph.kernels import looks, row_sums

        n, v = graph.cash.size, len(graph.pools)
        self.graph, self.full, self._passes, self._sums = graph, full, looks, row_sums
        self.sign = -1.0 if mirrored else 1.0
        self.price, self._number = self.sign * scenario.price_shocked, np.ones(1, dtype=np.int32)
        size = -(-n // BLOCK)
        self._market = state.Market(self.price, graph.sellable.astype(np.float64), self._number)
        self.channels = state.Channels(*graph.members, base, np.zeros(n), np.zeros(v))
        self.accounts = state.Accounts(
            money=self.sign * graph.cash,
            closed_long=np.zeros(n),
            closed_short=np.zeros(n),
            levied=np.zeros(n),
            sensitivity=graph.sensitivity,
            worth=np.empty(n),
            maintenance=np.empty(n),
            key=np.empty(n),
            seen=np.zeros(n, dtype=np.int32),
            strip_key=np.empty(-(-n // STRIP)),
        )
        if mirrored:
            self.accounts.key[:] = -np.inf
        else:
            moves = scenario.price_shocked / graph.price - 1.0
            shock = float(-moves.min(initial=0.0)), float(moves.max(initial=0.0))
            looks.first_keys(graph.cash, *graph.initial, graph.sensitivity, base, shock, self.accounts.key)
        looks.least_keys(self.accounts.key, self.accounts.strip_key)
        self._found = np.empty(n, dtype=np.int64)
        self._borders = np.minimum(graph.block_borders * BLOCK, n)
        self._block_base, self._stale = np.zeros((size, v)), np.ones(size, dtype=bool)
        hit = scenario.hit
        self.accounts.money[hit] -= self.sign * scenario.losses[hit]
        self.look_again(hit)
        self.looks, self.socialised = 0, False
        if level is not None:
            self.set_levels(level)
        self.clock = 0.0
        self.look()

    def look(self, rise: FloatArray | float = 0.0) -> None:
        """Mark the accounts that can be in breach at the present prices, or could be if loss levels rose so much."""
        state = (self.graph.cells, self._market, self.channels, self.accounts)
        self.looks += self._passes.look(*state, self._time(rise), self._borders, self._found)

    def due(self, rise: FloatArray | float = 0.0) -> tuple[Rows, FloatArray]:
        """Return those accounts, ascending, and their equity; they have been looked at at the present prices."""
        seen = (self._number[0], True, 0, self._found.size)
        rows = self._passes.reached_rows(self.channels, self.accounts, self._time(rise), *seen, self._found).copy()
        return rows, self.equity(rows)

    def _time(self, rise: FloatArray | float) -> tuple[float, FloatArray]:
        return self.clock, self.channels.level + (np.inf if self.full else rise)

    def move_prices(self, price: FloatArray) -> None:
        """Put new prices in force, and look at the accounts that these can have brought into breach."""
        price = self.sign * price
        self.clock += float((np.abs(price - self.price) / self.graph.price).max())
        self.price[:] = price
        self._number += 1
        self.look()

    def set_levels(self, level: FloatArray) -> None:
        """Put loss levels in force; `move_prices` then looks."""
        self.channels.level[:] = self.sign * level
        self.socialised = True

    def forget(self, rows: Rows) -> None:
        """Look at these rows no more."""
        self.accounts.key[rows] = np.inf

    def look_again(self, rows: Rows) -> None:
        """Have these rows looked at next time, whatever their keys."""
        self.accounts.key[rows] = -np.inf
        self.accounts.strip_key[rows // STRIP] = -np.inf

    def levies(self, rows: Rows) -> FloatArray:
        """Return what was socialised to accounts so far [currency]."""
        if not self.socialised:
            return np.zeros(rows.size)
        return self._passes.levies(self.channels, self.accounts.levied, rows)

    def equity(self, rows: Rows) -> FloatArray:
        """Return the equity of accounts that were looked at at the present prices [currency]."""
        return self.accounts.worth[rows] - self.levies(rows)

    def exempt(self, rows: Rows) -> FloatArray:
        """Take accounts out of loss sharing, and return their weights; what they have borne so far stays."""
        weights: FloatArray = self.channels.base[rows]
        self.accounts.levied[rows] = self.levies(rows)
        self.channels.base[rows] = 0.0
        self._stale[rows // BLOCK] = True
        return weights

    def readmit(self, rows: Rows, weights: FloatArray) -> None:
        """Put accounts back into loss sharing, from the present loss levels on, and look at them at the next prices."""
        self.look_again(rows)
        self.channels.base[rows] = weights
        self.channels.since[rows] = self.channels.level[self.channels.indices[rows]]
        self._stale[rows // BLOCK] = True

    def open_base(self) -> FloatArray:
        """Return the sum of the weights of each channel, shape (v,)."""
        members = (self.channels.indptr, self.channels.indices, self.channels.base)
        self._sums.block_sums(*members, np.flatnonzero(self._stale), self._block_base)
        self._stale[:] = False
        return self.graph.group.total(self._sums.chunk_sums(self._block_base, self.graph.block_borders))
