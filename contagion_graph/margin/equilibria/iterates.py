"""Iterates of the static map, and the revaluation of the accounts whose closed shares can have changed.

Where the shares only rise, prices only fall, and an account that was not in breach at its last valuation is valued
again when it is a candidate for a breach (docs/screening.md); where they only fall, the mirror image holds. In a netted
book shares may rise and fall: then every account that closes something is valued again each time.
"""

from abc import ABC, abstractmethod

import numpy as np

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import FloatArray
from contagion_graph.errors import ConvergenceError
from contagion_graph.graph.scenario import Scenario
from contagion_graph.kernels.revaluation import GUARD
from contagion_graph.margin.equilibria.closed_accounts import ClosedAccounts
from contagion_graph.margin.equilibria.static_map import Case, Prices
from contagion_graph.margin.rounds.account_state import Market, Rows, by_layer, union
from contagion_graph.margin.rounds.channel_sums import ChannelSums
from contagion_graph.solvers.arrays import ratio
from contagion_graph.tables.labels import label_text

LARGEST = np.finfo(np.float64).max
SPARE = 1e-9  # of how far prices may move: more than rounding
BEYOND = 1e150  # a price without a bound, while others are computed: no account that gains by it is in breach
Valued = tuple[Rows, FloatArray, FloatArray]


class UnboundedError(ConvergenceError):
    """An iterate has come to an infinite price, which its fixed point then has too."""


class Iterate(ABC):
    """Closed shares under repeated application of the static map, and what they imply.

    Parameters
    ----------
    case : Case
        What the map is made of.
    share : ndarray, shape (n,)
        Closed shares to begin with; the iterate's own from now on.
    """

    from_above = False
    prices: Prices

    def __init__(self, case: Case, share: FloatArray) -> None:
        self.case, self.share, self.possible = case, share, True
        self.sold, self.fresh = case.sold(share), True
        self.against = np.zeros_like(self.sold)  # what others have sold, where it goes alone
        self.moved = np.flatnonzero(share)  # accounts whose share is above 0, or was
        self.market: Market | None = None
        self.rate = np.zeros(len(case.book.pools) * max(len(case.rules.members), 1))
        self.closed = ClosedAccounts(case)
        self.bearing: list[ChannelSums] | None = None
        self.revaluations = 0

    def follow(self, sold_other: FloatArray) -> tuple[Rows, FloatArray]:
        """Return the accounts that T moves, and their new closed shares, given what the other iterate has sold."""
        self.prices = self._bounded(self.case.prices(self.sold, sold_other))
        infinite = np.flatnonzero(~np.isfinite(self.prices.average))
        if infinite.size:  # known to all parts of a graph
            assets = self.case.book.assets
            solution = Solution(Status.UNBOUNDED, steps=0, residual=np.inf, revaluations=self.revaluations)
            end = "greatest" if self.from_above else "least"
            raise UnboundedError(
                f"price of asset {assets[infinite[0] % len(assets)]!r} is infinite in the {end} equilibrium. "
                f"{Status.UNBOUNDED.value}",
                solution,
            )
        rows, equity, maintenance = self._revalue()
        self._check_finite(rows, equity, maintenance)
        share = self._admitted(rows, self.case.closed_share(self.prices, rows, equity, maintenance))
        moved = share != self.share[rows]
        return rows[moved], share[moved]

    def _bounded(self, prices: Prices) -> Prices:
        """Return prices with which values are finite: of a netted book, what the other iterate buys may have none."""
        if self.from_above or self.case.book.relief != "other":
            return prices
        return Prices(*(np.minimum(price, BEYOND) for price in prices))

    def _loss_rate(self, rows: Rows) -> FloatArray:
        """Return the loss rates that follow from all accounts that close something."""
        if self.case.rules.sharing is None:
            return self.rate
        self.closed.add(rows)
        return self.case.loss_rate(self.share, rows, self.closed.value_closed(self.prices, rows), self._bearing)

    def _bearing(self) -> list[ChannelSums]:
        """Return the weights with which accounts share losses."""
        if self.bearing is None:
            self.bearing = self.case.bearing(self.share)
        return self.bearing

    @abstractmethod
    def _revalue(self) -> Valued:
        """Return the accounts whose shares can have changed, with E and M on their whole books."""

    @abstractmethod
    def _admitted(self, rows: Rows, share: FloatArray) -> FloatArray:
        """Return the shares to which these accounts may move."""

    def _put_in_force(self, again: Rows) -> Market:
        """Put the present prices and loss rates in force, and revalue the candidates, and also these accounts."""
        rate = np.minimum(self.rate, LARGEST)
        if self.market is None:
            case, here = self.case, self.case.scenario
            here = Scenario(self.prices.terminal, here.losses, here.defaults)
            self.market = Market(case.book, here, case.base.copy(), mirrored=self.from_above, loss_rate=rate)
        else:
            self.market.revalue_next(again)
            self.market.set_loss_rates(rate)
            self.market.move_prices(self.prices.terminal)
        self.revaluations = self.market.revaluations
        return self.market

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
        for sums, base in zip(self.bearing or (), by_layer(self.case.base).T, strict=False):
            sums.amount[rows] = np.where(share < 1.0, base[rows] * (1.0 - share), 0.0)
            sums.changed(rows)
        if not self.from_above:
            self.moved = union(self.moved, rows, self.share.size)


class PlainIterate(Iterate):
    """Closed shares from 0 on that may rise and fall: no bound of anything.

    Parameters
    ----------
    case : Case
        What the map is made of.
    """

    def __init__(self, case: Case) -> None:
        super().__init__(case, np.where(case.scenario.defaults, 1.0, 0.0))
        self.closed_until = np.full(self.share.size, -np.inf)  # the price move T up to which it closes whole

    def _admitted(self, rows: Rows, share: FloatArray) -> FloatArray:
        return share

    def _revalue(self) -> Valued:
        moving = self.moved[self.share[self.moved] > 0.0]
        self.rate = self._loss_rate(moving)
        if self.market is not None:
            self._allow_for_relief(self.market)
            moving = moving[self.closed_until[moving] <= self.market.move_to(self.prices.terminal)]
        market = self._put_in_force(moving)
        rows = union(market.candidate_rows(), moving, self.share.size)  # one that has recovered is no candidate
        equity = market.equity(rows)
        self._leave_out_under_water(market, rows, equity)
        return rows, equity, market.accounts.maintenance[rows]

    def _leave_out_under_water(self, market: Market, rows: Rows, equity: FloatArray) -> None:
        """Leave out accounts with E < 0, which close whole, until E can have risen to 0: by max(|Q|.p0, b) (T + C)."""
        accounts, case = market.accounts, self.case
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.abs(accounts.money[rows]) + accounts.longs[rows] + accounts.shorts[rows]
            depth = -equity - GUARD * (size + np.abs(accounts.worth[rows] - equity))
        slope = np.maximum(case.book.initial.gross[rows], case.base[rows])
        under = depth > 0.0
        reached = market.price_move + ratio(depth, slope, np.inf) * (1.0 - SPARE)
        self.closed_until[rows] = np.where(under, reached, -np.inf)
        market.leave_out(rows[under])

    def _allow_for_relief(self, market: Market) -> None:
        """Keep triggers valid where loss rates fall: T makes up for C, since T + C alone is compared."""
        fall = float((market.channels.loss_rate - np.minimum(self.rate, LARGEST)).max(initial=0.0))
        if fall < 1.0:
            market.price_move += fall
        else:
            market.revalue_next(self.case.book.all_rows)
            self.closed_until[:] = -np.inf


class MonotoneIterate(Iterate):
    """Closed shares that only rise, to the least fixed point, or only fall, to the greatest.

    Parameters
    ----------
    case : Case
        What the map is made of.
    from_above : bool
        Fall from 1, instead of rising from 0.
    start : ndarray, shape (n,), optional
        Closed shares to begin with, from which the map moves no share the other way.
    fixed : ndarray, shape (n,), optional
        Shares that are given and do not move; NaN where free.
    """

    def __init__(
        self, case: Case, *, from_above: bool, start: FloatArray | None = None, fixed: FloatArray | None = None
    ) -> None:
        self.from_above, self.fixed = from_above, fixed
        start = np.where(case.scenario.defaults, 1.0, float(from_above)) if start is None else start
        super().__init__(case, start.copy() if fixed is None else np.where(np.isnan(fixed), start, fixed))
        self.in_debt = case.book.all_rows  # accounts that can leave a shortfall; fewer as prices rise

    def _admitted(self, rows: Rows, share: FloatArray) -> FloatArray:
        """Return shares that rounding does not move back; say that a given share cannot hold where the map moves it."""
        before = self.share[rows]
        share = np.minimum(share, before) if self.from_above else np.maximum(share, before)
        if self.fixed is not None:
            given = ~np.isnan(self.fixed[rows])
            self.possible &= not self.case.book.count([np.count_nonzero(given & (share != before))]).any()
            share = np.where(given, before, share)
        if self.market is not None:
            self.market.leave_out(rows[share == (0.0 if self.from_above else 1.0)])
        return share

    def _revalue(self) -> Valued:
        if self.from_above and not self.revaluations:
            return self._revalue_all()
        case = self.case
        if self.from_above:
            rows = self.in_debt[self.share[self.in_debt] > 0.0]
            value = case.value_closed(self.prices, rows)[0]
            self.in_debt = rows[value < 0.0]
            self.rate = case.loss_rate(self.share, rows, value, self._bearing)
        else:
            self.rate = self._loss_rate(self.moved)
        moving = self.moved[:0] if case.rules.closes_whole else self._partly()
        market = self._put_in_force(moving)
        known = self.from_above and not case.rules.closes_whole
        rows, equity = (moving, market.equity(moving)) if known else market.candidates()
        return rows, market.sign * equity, market.sign * market.accounts.maintenance[rows]

    def _partly(self) -> Rows:
        """Return the accounts that close in part: their shares move with every price."""
        share = self.share[self.moved]
        return self.moved[(share > 0.0) & (self.from_above | (share < 1.0))]

    def _revalue_all(self) -> Valued:
        """Return all accounts with E and M on their whole books: what may be the only valuation costs one pass."""
        case = self.case
        equity, maintenance, value = case.open_and_closed(self.prices)
        self.in_debt = np.flatnonzero((value < 0.0) & (self.share > 0.0))
        self.rate = case.loss_rate(self.share, self.in_debt, value[self.in_debt], self._bearing)
        self.revaluations = equity.size
        return case.book.all_rows, equity - case.borne(self.rate), maintenance
