"""One end of the equilibria: closed shares that only rise from 0, or only fall from 1.

The static map T of docs/equilibria.md values every account on its whole book, at the prices and loss rates that the
closed shares gamma imply. Where the shares only rise, prices only fall, and an account that was not in breach at its
last look is looked at again when it can have come into breach; where they only fall, the mirror image holds. In a
netted book they may turn: then whoever closes something is looked at again each time.
"""

from typing import NamedTuple

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.errors import ConvergenceError
from contagion_graph.graph.scenario import Scenario
from contagion_graph.margin.equilibria.position_book import Book
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.margin.rounds.account_state import Market, Rows, union
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.rules.liquidation import BreachedAccounts
from contagion_graph.solvers.arrays import ratio
from contagion_graph.solvers.solution import Solution, Status
from contagion_graph.tables.vectors import label_text

LARGEST = np.finfo(np.float64).max


class Prices(NamedTuple):
    """Terminal price p and average price w of each column of a book [currency per unit]."""

    terminal: FloatArray
    average: FloatArray


class Case(NamedTuple):
    """What both ends share: the book, the scenario in its columns, the rules, the impact and the weights."""

    book: Book
    scenario: Scenario
    rules: CascadeRules
    impact: ImpactRecord
    base: FloatArray

    def prices(self, sold: FloatArray, sold_other: FloatArray) -> Prices:
        """Return p = p_bar f(x) and w = p_bar mean(f over [0, x])."""
        size = self.book.size(sold, sold_other)
        factors = self.impact.price_factor(size), self.impact.average_factor(np.zeros_like(size), size)
        terminal, average = (self.scenario.price_shocked * factor.ravel() for factor in factors)
        return Prices(terminal, average)

    def sold(self, share: FloatArray, rows: Rows | None = None) -> FloatArray:
        """Return S = Q~^T gamma [units], over all accounts or some."""
        if rows is None:
            rows = np.flatnonzero(share)
            share = share[rows]
        return np.where(self.book.sellable, self.book.column_sums(self.book.quantity, share, rows), 0.0)

    def distance(self, share: FloatArray, other: FloatArray, rows: Rows | None = None) -> float:
        """Return how far apart closed shares are, of all accounts or some, as a share of the gross value of all."""
        gross = self.book.initial.gross
        apart = self.book.total(np.abs(share - other) * (gross if rows is None else gross[rows]), rows)
        return apart / self.book.gross_total if apart > 0.0 else 0.0

    def value_closed(self, prices: Prices, rows: Rows) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return V = cash + Q~.w - penalty |Q~|.w + (Q-Q~).p, Q~.w and the penalty, of accounts that close whole."""
        book, sellable = self.book, self.book.sellable
        proceeds, gross, _ = book.valuation(np.where(sellable, prices.average, 0.0), rows)
        kept = 0.0 if sellable.all() else book.valuation(np.where(sellable, 0.0, prices.terminal), rows)[0]
        penalty = self.rules.penalty * gross
        return book.cash[rows] - self.scenario.losses[rows] + proceeds - penalty + kept, proceeds, penalty

    def loss_rate(self, share: FloatArray, rows: Rows, value: FloatArray) -> FloatArray:
        """Return l_k = max(0, sum gamma_i max(0, -V_i) - fund_k) / sum b_i (1 - gamma_i) of every pool.

        `value` is V of `rows`, all that can be below 0. 0 where there is nothing to share, infinite where nobody is
        left to share it. Penalties that enter a fund do not pay here: an account that closes would relieve the others.
        """
        book = self.book
        lost = book.column_sums(book.membership, share[rows] * np.maximum(-value, 0.0), rows)
        excess = np.maximum(lost - book.insurance_fund, 0.0)
        if self.rules.sharing is None or not excess.any():
            return np.zeros_like(excess)
        left = np.flatnonzero(share < 1.0)
        open_base = book.column_sums(book.membership, self.base[left] * (1.0 - share[left]), left)
        return ratio(excess, open_base, np.where(excess > 0.0, np.inf, 0.0))

    def closed_share(self, prices: Prices, rows: Rows, equity: FloatArray, maintenance: FloatArray) -> FloatArray:
        """Return gamma' of accounts at E and M: 0 without a breach, 1 in breach with E <= 0, else the rule's share."""
        breach = equity < maintenance
        share = np.where(breach, 1.0, 0.0)
        if not self.rules.closes_whole:
            partial = breach & (equity > 0.0)
            accounts = self.breached(prices, rows[partial], equity[partial], maintenance[partial])
            share[partial] = self.rules.liquidation.closed_sides(accounts).long
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
        """Return b.l of every account [currency]; whoever bears nothing bears nothing of an infinite rate either."""
        if not rate.any():
            return 0.0
        with np.errstate(invalid="ignore"):
            return np.where(self.base > 0.0, self.base * rate[self.book.pool_of], 0.0)

    def open_and_closed(self, prices: Prices) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return cash + Q.p and mu.p, and V, of every account [currency]."""
        from contagion_graph.kernels import row_sums

        book, money = self.book, self.book.cash - self.scenario.losses
        closed = np.where(book.sellable, prices.average, prices.terminal)
        fee = np.where(book.sellable, self.rules.penalty * prices.average, 0.0)
        rows, borders = book.chunked(None)
        value, margin, fetched, penalty = row_sums.mark_rows(book.cells, prices.terminal, closed, fee, rows, borders)
        fetched += money
        fetched -= penalty
        value += money
        return value, margin, fetched

    def marks(self, prices: Prices, rate: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return E = cash + Q.p - b.l, |Q|.p and M = mu.p of every account on its whole book [currency]."""
        equity, gross, maintenance = self.book.valuation(prices.terminal)
        equity += self.book.cash - self.scenario.losses
        equity -= self.borne(rate)
        return equity, gross, maintenance

    def breached(self, prices: Prices, rows: Rows, equity: FloatArray, maintenance: FloatArray) -> BreachedAccounts:
        """Return what the liquidation rule sees of accounts in breach at E and M."""
        book = self.book
        value, gross, margin = book.valuation(np.where(book.sellable, prices.terminal, 0.0), rows)
        kept = np.where(book.sellable, 0.0, prices.terminal)
        kept_value, kept_gross, _ = book.valuation(kept, rows) if kept.any() else (0.0, 0.0, 0.0)
        cash = equity - value - kept_value  # less what is socialised
        return BreachedAccounts(
            equity=equity,
            maintenance=maintenance,
            closable_maintenance=margin,
            closable_gross=gross,
            debt=(gross - value + kept_gross - kept_value) / 2.0 + np.maximum(-cash, 0.0),
            penalty=self.rules.penalty,
            closable_long=(gross + value) / 2.0,
        )


class Bound:
    """Closed shares that rise from 0 (or fall from 1) under the static map, and what they imply.

    Parameters
    ----------
    case : Case
        What is bounded.
    upper : bool
        Fall from 1.
    start : ndarray, shape (n,), optional
        Closed shares to begin with, from which the map moves no share the other way.
    fixed : ndarray, shape (n,), optional
        Shares that are given and do not move; NaN where free.
    turning : bool
        The map is just applied, from 0, and a share may rise and fall: then this is no bound.
    """

    def __init__(
        self,
        case: Case,
        *,
        upper: bool,
        start: FloatArray | None = None,
        fixed: FloatArray | None = None,
        turning: bool = False,
    ) -> None:
        self.case, self.upper, self.turning, self.possible, self.fixed = case, upper, turning, True, fixed
        start = np.where(case.scenario.defaults, 1.0, float(upper)) if start is None else start
        self.share = start.copy() if fixed is None else np.where(np.isnan(fixed), start, fixed)
        self.sold, self.fresh = case.sold(self.share), True
        self.moved = np.flatnonzero(self.share)  # whose share is above 0, or was
        self.market: Market | None = None
        self.in_debt = case.book.all_rows  # who can leave a shortfall; shrinks while prices rise
        self.rate = np.zeros(len(case.book.pools))
        self.revaluations = 0

    def follow(self, sold_other: FloatArray) -> tuple[Rows, FloatArray]:
        """Return the accounts that T moves, and their new closed shares, given what the other bound has sold."""
        case = self.case
        self.prices = case.prices(self.sold, sold_other)
        rows, equity, maintenance = self._revalue_all() if self.upper and not self.revaluations else self._revalue()
        self._check_finite(rows, equity, maintenance)
        share, before = case.closed_share(self.prices, rows, equity, maintenance), self.share[rows]
        if not self.turning:  # rounding must not turn the shares around
            share = np.minimum(share, before) if self.upper else np.maximum(share, before)
        if self.fixed is not None:  # the map moves a given share away, and will for good
            given = ~np.isnan(self.fixed[rows])
            self.possible &= not self.case.book.count([np.count_nonzero(given & (share != before))]).any()
            share = np.where(given, before, share)
        if self.market is not None and not self.turning:
            self.market.leave_out(rows[share == (0.0 if self.upper else 1.0)])
        moved = share != before
        return rows[moved], share[moved]

    def _revalue_all(self) -> tuple[Rows, FloatArray, FloatArray]:
        """Return all accounts with E and M on their whole books: what may be the only look costs one pass."""
        case = self.case
        equity, maintenance, value = case.open_and_closed(self.prices)
        self.in_debt = np.flatnonzero((value < 0.0) & (self.share > 0.0))
        self.rate = case.loss_rate(self.share, self.in_debt, value[self.in_debt])
        self.revaluations = equity.size
        return case.book.all_rows, equity - case.borne(self.rate), maintenance

    def _revalue(self) -> tuple[Rows, FloatArray, FloatArray]:
        """Return the accounts whose shares can have changed, with E and M on their whole books."""
        case, rows = self.case, self.in_debt if self.upper else self.moved
        rows = rows[self.share[rows] > 0.0]
        value = case.value_closed(self.prices, rows)[0]
        if self.upper:
            self.in_debt = rows[value < 0.0]
        self.rate = case.loss_rate(self.share, rows, value)
        rate = np.minimum(self.rate, LARGEST)
        share = self.share[self.moved]
        moving = self.moved[(share > 0.0) & (self.upper | self.turning | (share < 1.0))]
        smooth = self.turning or not case.rules.closes_whole  # they move with every price
        if self.market is None:
            here = Scenario(self.prices.terminal, case.scenario.losses, case.scenario.defaults)
            self.market = Market(case.book, here, case.base.copy(), mirrored=self.upper, loss_rate=rate)
        else:
            if smooth:
                self.market.revalue_next(moving)
                if self.turning:
                    self._allow_for_relief(float((self.market.channels.loss_rate - rate).max(initial=0.0)))
            self.market.set_loss_rates(rate)
            self.market.move_prices(self.prices.terminal)
        self.revaluations = self.market.revaluations
        rows, equity = (moving, self.market.equity(moving)) if smooth and self.upper else self.market.candidates()
        if self.turning:  # who has recovered is not due
            rows = union(rows, moving, len(case.book.account_index))
            equity = self.market.equity(rows)
        equity, maintenance = self.market.sign * equity, self.market.sign * self.market.accounts.maintenance[rows]
        return rows, equity, maintenance

    def _allow_for_relief(self, fall: float) -> None:
        """Keep triggers valid where loss rates fall by so much: T makes up for C, since T + C alone is compared."""
        if fall < 1.0:
            self.market.price_move += fall  # type: ignore[union-attr]
        else:
            self.market.revalue_next(self.case.book.all_rows)  # type: ignore[union-attr]

    def _check_finite(self, rows: Rows, equity: FloatArray, maintenance: FloatArray) -> None:
        if equity.max(initial=-np.inf) < np.inf and np.isfinite(maintenance.max(initial=0.0)):
            return  # no NaN either
        wrong = np.flatnonzero(np.isnan(equity) | (equity == np.inf) | ~np.isfinite(maintenance))
        if wrong.size:
            label = label_text(self.case.book.account_index[rows[wrong[0]]])
            solution = Solution(Status.NON_FINITE, 0, np.nan, self.revaluations)
            raise ConvergenceError(
                f"equity of account {label!r} is {equity[wrong[0]]}. {Status.NON_FINITE.value}", solution
            )

    def refresh(self) -> bool:
        """Add up anew what is sold, so that no rounding of single moves is left; say whether that changes anything."""
        if self.fresh:
            return False
        before, self.sold, self.fresh = self.sold, self.case.sold(self.share), True
        return bool((before != self.sold).any())

    def move(self, rows: Rows, share: FloatArray) -> None:
        """Put new closed shares in force."""
        self.sold, self.fresh = self.sold + self.case.sold(share - self.share[rows], rows), False
        self.share[rows] = share
        if not self.upper:
            self.moved = union(self.moved, rows, self.share.size)
