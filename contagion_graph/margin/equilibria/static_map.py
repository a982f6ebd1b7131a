"""The static map T of docs/equilibria.md: closed shares to closed shares.

T values every account on its whole book, at the prices and loss rates that the closed shares gamma imply, and returns
the share that the liquidation rule asks of each. Its fixed points are the equilibria.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.graph.scenario import Scenario
from contagion_graph.margin.equilibria.position_book import Book, BookRows
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.margin.rounds.account_state import Rows, by_layer
from contagion_graph.margin.rounds.channel_sums import ChannelSums
from contagion_graph.margin.rounds.closing import breached_accounts
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.rules.layers import Resource, SharingRule
from contagion_graph.rules.liquidation import BreachedAccounts, has_equity
from contagion_graph.solvers.arrays import product, ratio


class Prices(NamedTuple):
    """Terminal price p and average price w of each column of a book [currency per unit]."""

    terminal: FloatArray
    average: FloatArray


class Payers(NamedTuple):
    """Who pays shortfalls: own contributions (n), empty where there are none, and the layers after them, in order.

    A layer is what a purse of each pool holds (v), or the cap of a layer of members.
    """

    own: FloatArray
    layers: tuple[FloatArray | float, ...]


def payers_of(book: Book, rules: CascadeRules, scale: tuple[float, ...] = (1.0,)) -> Payers:
    """Return who pays shortfalls; the weights of each layer of members were multiplied by `scale`."""
    own, layers, caps = np.zeros(0), list[FloatArray | float](), iter(scale)
    for layer in rules.waterfall:
        if layer.kind == "own":
            own = cast(Resource, layer)._amounts(book)
        elif layer.kind == "members":
            layers.append(cast(SharingRule, layer).cap / next(caps))
        else:
            layers.append(cast(Resource, layer)._amounts(book))
    return Payers(own, tuple(layers))


class Case(NamedTuple):
    """What both iterates share: book, scenario in its columns, rules, impact, weights (n) or (n, l), and who pays."""

    book: Book
    scenario: Scenario
    rules: CascadeRules
    impact: ImpactRecord
    base: FloatArray
    payers: Payers

    def prices(self, sold: FloatArray, sold_other: FloatArray) -> Prices:
        """Return p = p_bar f(x) and w = p_bar mean(f over [0, x])."""
        size = self.book.size(sold, sold_other)
        factors = self.impact.price_factor(size), self.impact.average_factor(np.zeros_like(size), size)
        terminal, average = (product(self.scenario.price_shocked, factor.ravel()) for factor in factors)
        return Prices(terminal, average)

    def sold(self, share: FloatArray, rows: Rows | None = None) -> FloatArray:
        """Return S = Q~^T gamma [units], over all accounts or some."""
        book = self.book
        if rows is None and (share == 1.0).all():
            sold = book.group.total(book.held)
        else:
            if rows is None:
                rows = np.flatnonzero(share)
                share = share[rows]
            sold = book.column_sums(book.quantity, share, rows)
        return np.where(book.sellable, sold, 0.0)

    def distance(self, share: FloatArray, other: FloatArray, rows: Rows | None = None) -> float:
        """Return how far apart closed shares are, of all accounts or some, as a share of the gross value of all."""
        gross = self.book.initial.gross
        apart = self.book.total(np.abs(share - other) * (gross if rows is None else gross[rows]), rows)
        return apart / self.book.gross_total if apart > 0.0 else 0.0

    def value_closed(
        self, prices: Prices, rows: Rows | None, copied: BookRows | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return V, Q~.w and the penalty of accounts that close whole, V = cash + Q~.w + (Q-Q~).p - penalty.

        The rows are those of the book, or of rows that were copied; None: all of them.
        """
        money, kept, proceeds, charge = self.closing(prices, rows, copied)
        if self._charged_whole:
            return money - charge + kept, proceeds, charge
        value = money + kept
        return less_penalty(value, charge), proceeds, np.minimum(charge, np.maximum(value, 0.0))

    def closing(
        self, prices: Prices, rows: Rows | None, copied: BookRows | None = None
    ) -> tuple[FloatArray, FloatArray | float, FloatArray, FloatArray]:
        """Return cash + Q~.w, (Q-Q~).p, Q~.w and penalty |Q~|.w of accounts that close whole [currency]."""
        book, sellable = copied or self.book, self.book.sellable
        losses = self.scenario.losses if copied is None else copied.losses
        proceeds, gross, _ = book.valuation(np.where(sellable, prices.average, 0.0), rows)
        kept = 0.0 if sellable.all() else book.valuation(np.where(sellable, 0.0, prices.terminal), rows)[0]
        these = slice(None) if rows is None else rows
        money = book.cash[these] - losses[these] + proceeds
        return money, kept, proceeds, product(self.rules.penalty, gross)

    def loss_rate(
        self, share: FloatArray, rows: Rows, value: FloatArray, bearing: Callable[[], list[ChannelSums]] | None = None
    ) -> FloatArray:
        """Return l_k = max(0, sum gamma_i max(0, -V_i) - fund_k) / sum b_i (1 - gamma_i) of every pool.

        Of several layers of members, one after the other, shape (l v,): a layer with a cap leaves the rest to the next
        one. `value` is V of `rows`, all that can be below 0, `bearing` what is known of b (1 - gamma). 0 where there is
        nothing to share, infinite where no account is left to share it. Penalties that enter a fund do not pay here:
        an account that closes would relieve others.
        """
        book, (own, layers) = self.book, self.payers
        lost = share[rows] * np.maximum(-value, 0.0)
        if own.size:
            lost = np.maximum(lost - own[rows], 0.0)
        due, rates = book.column_sums(book.membership, lost, rows), list[FloatArray]()
        for layer in layers:
            if isinstance(layer, np.ndarray):
                due = np.maximum(due - layer, 0.0)
            elif not due.any():
                rates.append(np.zeros_like(due))
            else:
                sums = (self.bearing(share) if bearing is None else bearing())[len(rates)].total()
                level = ratio(due, sums, np.where(due > 0.0, np.inf, 0.0))
                rates.append(np.minimum(level, layer))
                due = np.maximum(due - layer * sums, 0.0) if layer < np.inf else np.zeros_like(due)
        return np.concatenate(rates) if rates else np.zeros_like(due)

    def bearing(self, share: FloatArray) -> list[ChannelSums]:
        """Return the weights b (1 - gamma) with which accounts share losses, of each layer of members."""
        found = []
        for base in by_layer(self.base).T:
            weight = np.zeros_like(share)
            np.multiply(base, 1.0 - share, out=weight, where=share < 1.0)
            found.append(ChannelSums(self.book, weight))
        return found

    def closed_share(self, prices: Prices, rows: Rows, equity: FloatArray, maintenance: FloatArray) -> FloatArray:
        """Return gamma' of accounts at E and M: 0 without a breach, 1 in breach with E <= 0, else the rule's share."""
        breach = equity < maintenance
        share = np.where(breach, 1.0, 0.0)
        if not self.rules.closes_whole:
            partial = breach & (equity > 0.0)
            accounts = self.breached(prices, rows[partial], equity[partial], maintenance[partial])
            share[partial] = np.where(has_equity(accounts), self.rules.liquidation.closed_sides(accounts).long, 1.0)
        share[self.scenario.defaults[rows]] = 1.0
        return share

    def apply(self, share: FloatArray, sold_other: FloatArray | None = None) -> FloatArray:
        """Return T(gamma), looking at every account; t(gamma, y) where the other bound has sold something else."""
        sold = self.sold(share)
        prices = self.prices(sold, sold if sold_other is None else sold_other)
        rows = np.flatnonzero(share > 0.0)
        rate = self.loss_rate(share, rows, self.value_closed(prices, rows)[0])
        return self.closed_share(prices, self.book.all_rows, *self.margins(prices, rate))

    def margins(self, prices: Prices, rate: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return E and M of every account on its whole book [currency]."""
        equity, _, maintenance = self.marks(prices, rate)
        return equity, maintenance

    def borne(self, rate: FloatArray) -> FloatArray | float:
        """Return b.l of every account [currency]; 0 where b = 0, also at an infinite rate."""
        if not rate.any():
            return 0.0
        base, pools = by_layer(self.base), len(self.book.pools)
        with np.errstate(invalid="ignore"):
            parts = [
                np.where(base[:, k] > 0.0, base[:, k] * rate[k * pools : (k + 1) * pools][self.book.pool_of], 0.0)
                for k in range(base.shape[1])
            ]
        return parts[0] if len(parts) == 1 else np.sum(parts, axis=0)

    def open_and_closed(self, prices: Prices) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return cash + Q.p and mu.p, and V, of every account [currency]."""
        from contagion_graph.kernels import row_sums

        book, money = self.book, self.book.cash - self.scenario.losses
        closed = np.where(book.sellable, prices.average, prices.terminal)
        fee = np.where(book.sellable, product(self.rules.penalty, prices.average), 0.0)
        rows, borders = book.chunked(None)
        value, margin, fetched, penalty = row_sums.mark_rows(book.cells, prices.terminal, closed, fee, rows, borders)
        fetched += money
        value += money
        return value, margin, fetched - penalty if self._charged_whole else less_penalty(fetched, penalty)

    @property
    def _charged_whole(self) -> bool:
        """Whether no cap can lessen a penalty."""
        return self.rules.penalty_cap is None or self.rules.penalty == 0.0

    def marks(self, prices: Prices, rate: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return E = cash + Q.p - b.l, |Q|.p and M = mu.p of every account on its whole book [currency]."""
        equity, gross, maintenance = self.book.valuation(prices.terminal)
        equity += self.book.cash - self.scenario.losses
        equity -= self.borne(rate)
        return equity, gross, maintenance

    def breached(self, prices: Prices, rows: Rows, equity: FloatArray, maintenance: FloatArray) -> BreachedAccounts:
        """Return what the liquidation rule sees of accounts in breach at E and M."""
        seen, _ = breached_accounts(self.book, prices.terminal, rows, (equity, maintenance), self.rules.penalty)
        return seen


def less_penalty(value: FloatArray, penalty: FloatArray) -> FloatArray:
    """Return V - min(penalty, max(0, V)): a penalty takes at most what is left."""
    return np.maximum(value - penalty, np.minimum(value, 0.0))
