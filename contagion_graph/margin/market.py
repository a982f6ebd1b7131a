"""The state of a cascade's accounts and loss levels, and the looks at them.

Which rows a look has to visit is explained in kernels.py; everything else here is bookkeeping for it.
"""

from typing import Any

import numpy as np

from contagion_graph.chunks import BLOCK
from contagion_graph.graph import ExposureGraph
from contagion_graph.shocks import Scenario
from contagion_graph.tables.schema import FloatArray

Rows = np.ndarray[Any, np.dtype[np.int64]]


class Market:
    """Accounts, channels and prices while a cascade runs.

    Parameters
    ----------
    graph : ExposureGraph
        The graph before the scenario.
    scenario : Scenario
        Shocked prices, given losses, given defaults.
    base : ndarray, shape (n,)
        Weights in loss sharing.
    look_at_all : bool
        Look at every row at every price, instead of those that can have changed.
    """

    def __init__(self, graph: ExposureGraph, scenario: Scenario, base: FloatArray, *, look_at_all: bool) -> None:
        from contagion_graph import kernels

        n, v = len(graph.accounts), len(graph.pools)
        value, gross, maintenance = graph.rest
        self.graph, self.base, self.look_at_all, self._kernels = graph, base, look_at_all, kernels
        cells, members = graph.quantity, graph.membership
        self.price = scenario.price_shocked.copy()
        self._number = np.ones(1, dtype=np.int32)
        self._cells = kernels.Cells(cells.indptr, cells.indices, cells.data, graph.margin_units.data)
        self._market = kernels.Market(self.price, graph.sellable.astype(np.float64), self._number)
        self.channels = kernels.Channels(members.indptr, members.indices, base.copy(), np.zeros(n), np.zeros(v))
        self.accounts = kernels.Accounts(
            money=graph.cash - scenario.losses,
            closed=np.zeros(n),
            levied=np.zeros(n),
            sensitivity=graph.sensitivity,
            worth=np.empty(n),
            maintenance=np.empty(n),
            key=np.empty(n),
            seen=np.zeros(n, dtype=np.int32),
            block_key=np.empty(-(-n // BLOCK)),
        )
        at_rest = (value + graph.cash, maintenance, gross + np.abs(graph.cash), graph.sensitivity)
        kernels.first_keys(*at_rest, base, self.accounts.key)
        kernels.least_keys(self.accounts.key, self.accounts.block_key)
        self._block_base = np.zeros((-(-n // BLOCK), v))
        self._stale = np.ones(-(-n // BLOCK), dtype=bool)
        self.look_again(np.flatnonzero((scenario.losses > 0.0) | scenario.defaults))
        self.looks = 0
        self.clock = float(np.abs(scenario.price_shocked / graph.price - 1.0).max())
        self.looked: Rows = np.empty(0, dtype=np.int64)
        self.look()

    def look(self, rise: FloatArray | float = 0.0) -> None:
        """Mark the accounts that can be in breach at the present prices, or could be if the loss levels rose so much.

        `looked` then holds every account seen at these prices.
        """
        reach = np.full_like(self.channels.level, np.inf) if self.look_at_all else self.channels.level + rise
        state = (self._cells, self._market, self.channels, self.accounts)
        rows = self._kernels.look(*state, self.clock, reach, self.graph.block_borders)
        self.looks += rows.size
        self.looked = np.sort(np.concatenate([self.looked, rows])) if self.looked.size else rows

    def move_prices(self, price: FloatArray) -> None:
        """Put new prices in force, and look at the accounts that these can have brought into breach."""
        self.clock += float((np.abs(price - self.price) / self.graph.price).max())
        self.price[:] = price
        self._number += 1
        self.looked = np.empty(0, dtype=np.int64)
        self.look()

    def look_again(self, rows: Rows) -> None:
        """Have these rows looked at next time, whatever their keys."""
        self.accounts.key[rows] = -np.inf
        self.accounts.block_key[rows // BLOCK] = -np.inf

    def levies(self, rows: Rows) -> FloatArray:
        """Return what was socialised to accounts so far [currency]."""
        return self._kernels.levies(self.channels, self.accounts.levied, rows)

    def equity(self, rows: Rows) -> FloatArray:
        """Return the equity of accounts that were looked at at the present prices [currency]."""
        return self.accounts.worth[rows] - self.levies(rows)

    def exempt(self, rows: Rows) -> None:
        """Take accounts out of loss sharing: what they have borne so far stays."""
        self.accounts.levied[rows] = self.levies(rows)
        self.channels.base[rows] = 0.0
        self._stale[rows // BLOCK] = True

    def readmit(self, rows: Rows) -> None:
        """Put accounts back into loss sharing, from the present loss levels on, and look at them at the next prices."""
        self.look_again(rows)
        self.channels.base[rows] = self.base[rows]
        self.channels.since[rows] = self.channels.level[self.channels.indices[rows]]
        self._stale[rows // BLOCK] = True

    def open_base(self) -> FloatArray:
        """Return the sum of the weights of each channel, shape (v,)."""
        members = (self.channels.indptr, self.channels.indices, self.channels.base)
        self._kernels.block_sums(*members, np.flatnonzero(self._stale), self._block_base)
        self._stale[:] = False
        return self._kernels.ordered_sum(self._block_base)
