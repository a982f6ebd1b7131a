"""The state of the accounts and loss rates of a cascade, and the revaluation of accounts.

Which accounts have to be valued again is explained in kernels/revaluation.py and docs/screening.md.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from contagion_graph import state
from contagion_graph._typing import FloatArray
from contagion_graph.chunks import BLOCK, STRIP
from contagion_graph.graph.rows import Margins, RowReductions
from contagion_graph.graph.scenario import Scenario
from contagion_graph.margin.rounds.channel_sums import ChannelSums
from contagion_graph.rules.liquidation import BreachedAccounts

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


def by_layer(base: FloatArray) -> FloatArray:
    """Return weights in loss sharing with a column a layer of members: of (n,) or (n, l) the view (n, l)."""
    return base[:, None] if base.ndim == 1 else base


def largest(base: FloatArray) -> FloatArray:
    """Return the largest weight of each account in any layer of members, shape (n,)."""
    return base if base.ndim == 1 else base.max(axis=1)


def sums_of(graph: RowReductions, base: FloatArray) -> list[ChannelSums]:
    """Return the sums of the weights of each layer of members."""
    return [ChannelSums(graph, each) for each in ([base] if base.ndim == 1 else base.T)]


class Market:
    """Accounts, channels and prices while a cascade runs.

    Parameters
    ----------
    graph : RowReductions
        The graph before the scenario.
    scenario : Scenario
        Shocked prices, given losses, given defaults.
    base : ndarray, shape (n,) or (n, l)
        Weights in loss sharing, of each of l layers; changed here. A channel is a pool in a layer.
    full : bool
        Value every account again at every price, instead of those that can have come into breach.
    mirrored : bool
        Watch for recovery instead of breach: prices rise from those of the scenario, loss rates fall, and an account is
        a candidate when M - E, not E - M, can have fallen below 0. Cash, prices and loss rates are held with their sign
        changed, so that the same kernel serves.
    loss_rate : ndarray, shape (l v,), optional
        Loss rates from the start.
    """

    def __init__(
        self,
        graph: RowReductions,
        scenario: Scenario,
        base: FloatArray,
        *,
        full: bool = False,
        mirrored: bool = False,
        loss_rate: FloatArray | None = None,
    ) -> None:
        from contagion_graph.kernels import revaluation

        n, v = graph.cash.size, len(graph.pools)
        self.graph, self.full, self._passes = graph, full, revaluation
        self.sign = -1.0 if mirrored else 1.0
        self.price, self._number = self.sign * scenario.price_shocked, np.ones(1, dtype=np.int32)
        self._market = state.Market(self.price, graph.sellable.astype(np.float64), self._number)
        self._base = by_layer(base)
        self.layers = self._base.shape[1]
        rates = np.zeros(v * self.layers)
        self.channels = state.Channels(*self._members(), base.ravel(), np.zeros(base.size), rates)
        self.accounts = state.Accounts(
            money=self.sign * graph.cash,
            closed_long=np.zeros(n),
            closed_short=np.zeros(n),
            settled=np.zeros(n),
            sensitivity=graph.sensitivity,
            longs=np.empty(n),
            shorts=np.empty(n),
            worth=np.empty(n),
            maintenance=np.empty(n),
            trigger=np.empty(n),
            valued=np.zeros(n, dtype=np.int32),
            strip_trigger=np.empty(-(-n // STRIP)),
        )
        self.margins = graph.margins
        if graph.margins is not None and scenario.columns is not None:
            self.margins = graph.margins.priced_by(scenario.columns)
        if mirrored or self.margins is not graph.margins:  # of margins at other vols no bound is known
            self.accounts.trigger[:] = -np.inf
        else:
            shock = graph.moves(scenario.price_shocked, scenario.price_shocked)
            revaluation.first_triggers(*graph.linear, largest(base), shock, self.accounts.trigger)
        revaluation.least_triggers(self.accounts.trigger, self.accounts.strip_trigger)
        self._found, self._margin_put = np.empty(n, dtype=np.int64), np.zeros(n, dtype=np.int32)
        self._borders = np.minimum(graph.block_borders * BLOCK, n)
        self._open = sums_of(graph, base)
        hit = scenario.hit
        self.accounts.money[hit] -= self.sign * scenario.losses[hit]
        self.revalue_next(hit)
        self.revaluations, self.shares_losses = 0, False
        if loss_rate is not None:
            self.set_loss_rates(loss_rate)
        self.price_move = 0.0
        self.revalue()

    def revalue(self, rise: FloatArray | float = 0.0) -> None:
        """Revalue the candidates for a breach at the present prices, or for one if loss rates rose so much."""
        arrays = (self.graph.cells, self._market, self.channels, self.accounts)
        self.revaluations += self._passes.revalue(*arrays, self._moved(rise), self._borders, self._found)
        if self.margins is not None:
            self._put_margins(self.margins)

    def _put_margins(self, margins: Margins) -> None:
        """Put the margins of accounts valued at the present prices in the place of those at flat rates."""
        number = self._number[0]
        rows = np.flatnonzero((self.accounts.valued == number) & (self._margin_put != number) & margins.apart)
        margin = self.sign * self._margins_left(margins, rows, np.zeros(0))[0]
        self._passes.put_margins(self.channels, self.accounts, self.price_move, rows, margin)
        self._margin_put[rows] = number

    def _margins_left(self, margins: Margins, rows: Rows, share: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the margins of accounts when each closes a share of what it has left, and how much more frees."""
        left = state.Left(self.accounts.closed_long, self.accounts.closed_short, self._market.sellable, share)
        return margins.of(self.sign * self.price, left, rows, self.graph.row_borders)

    def candidates(self, rise: FloatArray | float = 0.0) -> tuple[Rows, FloatArray]:
        """Return the candidates, ascending, and their equity; they have been valued at the present prices."""
        rows = self.candidate_rows(rise)
        return rows, self.equity(rows)

    def candidate_rows(self, rise: FloatArray | float = 0.0) -> Rows:
        """Return the candidates, ascending."""
        seen = (self._number[0], True, 0, self._found.size)
        found: Rows = self._passes.candidate_rows(
            self.channels, self.accounts, self._moved(rise), *seen, self._found
        ).copy()
        return found

    def seen(self, rows: Rows, accounts: BreachedAccounts) -> BreachedAccounts:
        """Return what the liquidation rule sees of rows, given what it sees on flat rates."""
        margins = self.margins
        if margins is None:
            return accounts

        def margin_left(share: FloatArray) -> tuple[FloatArray, FloatArray]:
            margin, relief = self._margins_left(margins, rows, share)
            return margin, -relief

        freed = accounts.maintenance - margin_left(np.ones(rows.size))[0]
        return replace(accounts, closable_maintenance=freed, margin_left=margin_left)

    def _moved(self, rise: FloatArray | float) -> tuple[float, FloatArray]:
        rates = self.channels.loss_rate + (np.inf if self.full else rise)
        with np.errstate(over="ignore"):  # infinite is right where rates are that high
            return self.price_move, rates + self._passes.GUARD * (self.price_move + np.abs(rates))

    def move_prices(self, price: FloatArray) -> None:
        """Put new prices in force, and revalue the candidates."""
        self._put_prices(price)
        self.revalue()

    def move_to(self, price: FloatArray) -> float:
        """Return the cumulative price move T if these prices were put in force."""
        return self.price_move + float((np.abs(self.sign * price - self.price) / self.graph.unit).max())

    def _put_prices(self, price: FloatArray) -> None:
        self.price_move = self.move_to(price)
        self.price[:] = self.sign * price
        self._number += 1

    def settle(
        self, orders: state.Orders, price: FloatArray, average: FloatArray, penalty: tuple[float, bool]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Put new prices in force, close what accounts close at the average prices, and revalue the candidates.

        Accounts that are then wholly closed are taken out of loss sharing. Return what each of the orders fetched, what
        it was charged, and the equity of its account at the new prices [currency].
        """
        self._put_prices(price)
        average = np.where(self.graph.sellable, average, 0.0)
        accounts = (self.graph.cells, self._market, self.channels, self.accounts)
        borders = np.searchsorted(orders.rows, self._borders)
        settled = self._passes.settle(*accounts, orders, average, penalty, self.price_move, borders)
        self._changed(orders.rows)
        self.revaluations += orders.rows.size
        self.revalue()
        return settled

    def set_loss_rates(self, loss_rate: FloatArray) -> None:
        """Put loss rates in force; `move_prices` then revalues."""
        self.channels.loss_rate[:] = self.sign * loss_rate
        self.shares_losses = True

    def leave_out(self, rows: Rows) -> None:
        """Revalue these rows no more."""
        self.accounts.trigger[rows] = np.inf

    def revalue_next(self, rows: Rows) -> None:
        """Have these rows revalued next time, whatever their triggers."""
        self.accounts.trigger[rows] = -np.inf
        self.accounts.strip_trigger[rows // STRIP] = -np.inf

    def socialised(self, rows: Rows) -> FloatArray:
        """Return what was socialised to accounts so far [currency]."""
        if not self.shares_losses:
            return np.zeros(rows.size)
        return self._passes.socialised(self.channels, self.accounts.settled, rows)

    def equity(self, rows: Rows) -> FloatArray:
        """Return the equity of accounts that were valued at the present prices [currency]."""
        return self.accounts.worth[rows] - self.socialised(rows)

    def exempt(self, rows: Rows, layer: int = 0) -> FloatArray:
        """Take accounts out of a layer, and return their weights; the losses that they have borne so far stay."""
        weights: FloatArray = self._base[rows, layer]
        self.accounts.settled[rows] = self.socialised(rows)
        self._base[rows, layer] = 0.0
        if self.layers > 1:  # what other layers took is in `settled` too
            pools = self.graph.pool_of[rows]
            for k in range(self.layers):
                self.since[rows, k] = self.rates(k)[pools]
        self._changed(rows)
        return weights

    def readmit(self, rows: Rows, weights: FloatArray, layer: int = 0) -> None:
        """Put accounts back into a layer, from the present loss rates on, and revalue them at the next prices."""
        self.revalue_next(rows)
        self._base[rows, layer] = weights
        self.since[rows, layer] = self.rates(layer)[self.graph.pool_of[rows]]
        self._changed(rows)

    def open_base(self, layer: int = 0) -> FloatArray:
        """Return the sum of the weights of each pool in a layer, shape (v,)."""
        return self._open[layer].total()

    def weights(self, rows: Rows, layer: int) -> FloatArray:
        """Return the weights of accounts in a layer."""
        weights: FloatArray = self._base[rows, layer]
        return weights

    def rates(self, layer: int) -> FloatArray:
        """Return the loss rates of the pools in a layer, shape (v,), to be read and written."""
        v = len(self.graph.pools)
        return self.channels.loss_rate[layer * v : (layer + 1) * v]

    def highest_rates(self, rise: FloatArray | float = 0.0) -> FloatArray:
        """Return the highest loss rate of any pool in each layer, shape (l,), or as if rates rose so much."""
        rates: FloatArray = (self.channels.loss_rate + rise).reshape(self.layers, -1)
        highest: FloatArray = rates.max(axis=1)
        return highest

    def rise_of(self, rise: FloatArray, layer: int) -> FloatArray:
        """Return how far the rates of all channels rise where those of a layer do."""
        out = np.zeros_like(self.channels.loss_rate)
        out[layer * rise.size : (layer + 1) * rise.size] = rise
        return out

    @property
    def since(self) -> FloatArray:
        """The loss rates from which accounts count in each layer, shape (n, l), to be read and written."""
        since: FloatArray = self.channels.since.reshape(-1, self.layers)
        return since

    def _members(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return row pointers and columns of the channels of each account."""
        first, pool = self.graph.members
        if self.layers == 1:
            return first, pool
        v = pool.dtype.type(len(self.graph.pools))
        layers = np.arange(self.layers, dtype=pool.dtype) * v
        return first * self.layers, (pool[:, None] + layers).ravel()

    def _changed(self, rows: Rows) -> None:
        for sums in self._open:
            sums.changed(rows)
