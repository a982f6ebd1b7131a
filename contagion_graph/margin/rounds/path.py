"""The rounds of the margin cascade: the irreversible path.

A round maps (prices, loss rates) over the accounts to (units sold per asset, shortfall per channel) and back to
(prices, loss rates). Symbols and steps are those of docs/cascade.md: E equity, M maintenance, gamma the closed share,
S units sold, x their value over depth, R what closing has realised, L what was socialised. The closed share has two
sides, of what is held long and of what is held short; most rules keep them equal.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import BoolArray, FloatArray, IntArray
from contagion_graph.errors import ConvergenceError, ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.rows import RowReductions
from contagion_graph.graph.scenario import Scenario
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.margin.result import CascadeArrays
from contagion_graph.margin.rounds.account_state import Market, Rows, union
from contagion_graph.margin.rounds.closing import Closing, breached_accounts
from contagion_graph.margin.rounds.fills import FillRows, Fills
from contagion_graph.margin.rounds.instrument_book import InstrumentBook
from contagion_graph.margin.rounds.loss_waterfall import Waterfall
from contagion_graph.margin.trades import Trade
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.rules.liquidation import ClosedSides, has_equity
from contagion_graph.solvers.arrays import product, ratio
from contagion_graph.solvers.iteration import iterate
from contagion_graph.state import Orders
from contagion_graph.tables.labels import label_text


class Path:
    """One cascade and the steps of its rounds.

    Parameters
    ----------
    graph : RowReductions
        The graph before the scenario, or its candidates.
    scenario : Scenario
        Shocked prices, given losses, given defaults.
    rules : CascadeRules
        Liquidation, sharing, penalty.
    impact : ImpactRecord
        That of the rules, in the order of the graph's assets.
    market : Market
        The accounts at the scenario's prices.
    rank : ndarray, shape (n,), optional
        Accounts close one at a time, the lowest rank in breach first; None: all that are in breach close together.
    fund : ndarray, shape (v,), optional
        Insurance funds in the place of the graph's [currency].
    scale : tuple of float
        By what the weights of each layer of members were multiplied.
    positions : FillRows, optional
        The graph, where its positions may pass from account to account; None: they do not.
    """

    def __init__(
        self,
        graph: RowReductions,
        scenario: Scenario,
        rules: CascadeRules,
        impact: ImpactRecord,
        market: Market,
        *,
        rank: IntArray | None = None,
        fund: FloatArray | None = None,
        scale: tuple[float, ...] = (1.0,),
        positions: FillRows | None = None,
    ) -> None:
        n, m = graph.cash.size, graph.price.size
        self.graph, self.scenario, self.rules, self.impact = graph, scenario, rules, impact
        self.market = market
        self.sold, self.value_sold, self.size = np.zeros(m), np.zeros(m), np.zeros(m)
        self.breach_round = np.zeros(n, dtype=np.int32)
        self.proceeds, self.penalty, self.shortfall = np.zeros(n), np.zeros(n), np.zeros(n)
        self.waterfall = Waterfall(market, rules, fund, scale)
        self.fills = None if positions is None else Fills(market, positions, self.waterfall)
        if self.fills is not None and (scenario.defaults & self.fills.is_vault).any():
            account = graph.account_index[np.flatnonzero(scenario.defaults & self.fills.is_vault)[0]]
            raise ParameterError(f"defaults: account {label_text(account)!r} is a vault, which is never liquidated")
        self.rounds: list[dict[str, float]] = []
        self.trades: list[Trade] = []
        self.rank, self.gross_value = rank, graph.gross_total
        columns = graph.price_map if scenario.columns is None else scenario.columns
        self.book = None if columns is None else InstrumentBook(columns, scenario.price_shocked)

    def change(self, step: int) -> tuple[float, bool]:
        """Return the value that the round to come closes, as a share of gross value, and whether it is not worth it."""
        graph, closing = self.graph, self.next_closing(step)
        closing.check(graph)
        parts = self._units(closing), graph.chunk_sums(graph.membership, closing.value, closing.rows)
        counts = [closing.rows.size + self.taken, np.count_nonzero(closing.whole) + self.taken]
        sums = graph.group.total(np.hstack(parts), counts)
        value, self.next, self.units = float(sums[graph.price.size : -2].sum()), closing, sums[: graph.price.size]
        self.first = {"breached": int(sums[-2]), "closed_value": value}
        negligible = value <= self.rules.tol * self.gross_value and not sums[-1]
        return value / self.gross_value if self.gross_value else 0.0, negligible

    def advance(self, step: int) -> None:
        """Carry out the round: close, move the prices, settle."""
        rows, sides = self.next.rows, self.next.sides
        before = self.trades[-1].after if self.trades else self.scenario.price_shocked
        self.breach_round[rows] = np.where(self.breach_round[rows] == 0, step, self.breach_round[rows])
        average, penalty = self.trade(self.next)
        after = self.market.price.copy()
        moved = ratio(after, before, 1.0)
        left, shortfall = self.shortfalls(self.next)
        settled = self.waterfall.settle(left, shortfall, self.penalties)
        self.rounds.append(self.first | {"largest_move": float(np.abs(moved - 1).max())} | settled.totals)
        closed, prices = (rows, sides.long, sides.short, penalty), (before, average, after)
        _, due, rise, capped, layer, paid = settled
        self.trades.append(Trade(*closed, *prices, left, shortfall, due, rise, capped, layer, paid))

    def next_closing(self, step: int) -> Closing:
        """Return what accounts in breach close, after take-overs and deleveraging (steps 2 and 3)."""
        self.taken = 0
        rows, equity = self.breached(step)
        if self.fills is None or not rows.size:
            return self.closing(rows, equity)
        closing = self.closing(rows, equity)
        taken = ~closing.gone & ~(self.scenario.defaults[rows] & (step == 1))
        taken[taken] = self.fills.take_over(step, rows[taken], equity[taken])
        self.breach_round[rows[taken]] = step
        self.taken = int(np.count_nonzero(taken))
        rows, equity = rows[~taken], equity[~taken]
        if self.fills.deleverage(step, rows, equity, closing.gone[~taken]):
            return self.closing(rows, self.market.equity(rows), closing.whole[~taken])
        return self.closing(rows, equity)

    def breached(self, step: int) -> tuple[Rows, FloatArray]:
        """Return the accounts in breach, and their equity (steps 1 and 2).

        In breach is an account that is not wholly closed and has E < M; in the first round the given defaults too.
        Where accounts close one at a time, only the first of them by rank, after all given defaults.
        """
        market, (rows, equity) = self.market, self.market.candidates()
        slack = equity - market.accounts.maintenance[rows]
        self._check_finite(step - 1, "price of asset", market.price, lambda j: self.graph.assets[j])
        self._check_finite(step - 1, "slack of account", slack, lambda k: self.graph.account_index[rows[k]])
        below = (slack < 0.0) & ~self.closed_whole(rows)
        if self.fills is not None:
            below &= ~self.fills.is_vault[rows]
        rows, equity = rows[below], equity[below]
        if step == 1 and self.scenario.defaults.any():
            given = np.flatnonzero(self.scenario.defaults)
            rows = given if self.rank is not None else union(rows, given, len(self.graph.account_index))
            return rows, market.equity(rows)
        if self.rank is not None and rows.size:
            first = np.argmin(self.rank[rows])
            return rows[[first]], equity[[first]]
        return rows, equity

    def closed_whole(self, rows: Rows) -> BoolArray:
        """Say which accounts have closed everything."""
        state = self.market.accounts
        whole: BoolArray = (state.closed_long[rows] == 1.0) & (state.closed_short[rows] == 1.0)
        return whole

    def closing(self, rows: Rows, equity: FloatArray, wholly: BoolArray | bool = False) -> Closing:
        """Return the shares theta of what they have left that accounts in breach close (step 3); some close wholly."""
        if rows.size == 0:
            return Closing(rows, ClosedSides(equity, equity, equity), equity, equity, equity, equity < 0.0)
        state, price, penalty = self.market.accounts, self.market.price, self.rules.penalty
        left = 1.0 - state.closed_long[rows], 1.0 - state.closed_short[rows]
        margins, cash = (equity, state.maintenance[rows]), state.money[rows] - (state.worth[rows] - equity)
        held = (state.longs[rows], state.shorts[rows]) if self.graph.sellable.all() else None
        accounts, short = breached_accounts(self.graph, price, rows, margins, penalty, left, cash, held)
        accounts = self.market.seen(rows, accounts)
        sides = self.rules.liquidation.closed_sides(accounts)
        gone = ~has_equity(accounts)
        whole = gone | self.scenario.defaults[rows] | wholly
        longs = np.where(whole, 1.0, sides.long)
        shorts = longs if sides.short is sides.long else np.where(whole, 1.0, sides.short)
        repaid = np.where(whole, self.rules.liquidation.repaid_whole(accounts), sides.repaid)
        sides = ClosedSides(longs, shorts, repaid)
        held = sides.long * left[0], sides.short * left[1]
        return Closing(rows, sides, *held, sides.long * accounts.closable_long + sides.short * short, gone)

    def trade(self, closing: Closing) -> tuple[FloatArray, FloatArray]:
        """Sell, move the prices, settle at the round's price, charge penalty and bonus (steps 4 to 6).

        Return the average price of the round, and the penalty of each account.
        """
        graph, rules, (rows, sides, longs, shorts, *_) = self.graph, self.rules, closing
        units = np.where(graph.sellable, self.units, 0.0)
        price, average = self._move(units) if rules.liquidation.in_book else (self.market.price.copy(),) * 2
        self.sold += units
        self.value_sold += units * average
        bonus = rules.liquidation.bonus * sides.repaid
        orders = Orders(rows, longs, shorts, sides.long == 1.0, sides.short == 1.0, bonus)
        penalty = rules.penalty, rules.penalty_cap == "equity"
        proceeds, charged, self.equity = self.market.settle(orders, price, average, penalty)
        self.proceeds[rows] += proceeds
        self.penalty[rows] += charged
        self.penalties = graph.chunk_sums(graph.membership, charged - bonus, rows)
        return average, charged

    def _units(self, closing: Closing) -> FloatArray:
        """Return the net units that accounts close, within each chunk."""
        graph, (rows, _, longs, shorts, *_) = self.graph, closing
        units, tilt = graph.chunk_sums(graph.quantity, (longs + shorts) / 2.0, rows), (longs - shorts) / 2.0
        if tilt.any():  # a q = (a + b)/2 q + (a - b)/2 |q| where q > 0, and b q likewise where q < 0
            units += graph.chunk_sums(abs(graph.quantity[rows]), tilt, rows)
        return units

    def _move(self, units: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the price after a sale, and the price at which it trades."""
        graph, impact, start, before = self.graph, self.impact, self.size, self.market.price
        sold = self.sold + units
        if self.book is not None:
            passed_on = self.book.sell(units, before, graph.sellable)
            units, sold = units + passed_on, sold + self.book.passed_on
        if impact.volume == "current":
            self.size = start + (units * before) / graph.depth
        else:
            self.size = (sold * graph.price) / graph.depth
        factor = impact.price_factor(self.size)
        after = product(self.scenario.price_shocked, factor)
        if self.rules.trade_price_weight is None:
            average_factor = impact.average_factor(start, self.size)
            average = product(self.scenario.price_shocked, average_factor)
        else:
            weight = self.rules.trade_price_weight
            average = before + weight * (after - before)
            average_factor = factor if self.book is None else self.book.factor + weight * (factor - self.book.factor)
        if self.book is None:
            return after, average
        self.book.factor = factor
        return self.book.priced(after, factor), self.book.priced(average, average_factor)

    def shortfalls(self, closing: Closing) -> tuple[Rows, FloatArray]:
        """Return which accounts, now wholly closed, leave a shortfall, and how much (step 7)."""
        short = self.closed_whole(closing.rows) & (self.equity < 0.0)
        rows, shortfall = closing.rows[short], -self.equity[short]
        self.shortfall[rows] = shortfall
        return rows, shortfall

    def _check_finite(self, step: int, what: str, values: FloatArray, label_of: Callable[[int], Any]) -> None:
        if not np.isfinite(values).all():
            wrong = np.flatnonzero(~np.isfinite(values))
            label = label_text(label_of(wrong[0]))
            when = f"after round {step}" if step else "at the shocked prices"
            solution = Solution(Status.NON_FINITE, step, np.nan, self.market.revaluations)
            raise ConvergenceError(f"{what} {label!r} is {values[wrong[0]]} {when}. {solution.status.value}", solution)

    def arrays(self) -> CascadeArrays:
        """Return the state at the end."""
        state = self.market.accounts
        (two_shares,) = self.graph.count([not np.array_equal(state.closed_long, state.closed_short)])
        return CascadeArrays(
            price_shocked=self.scenario.price_shocked,
            price_after=self.market.price,
            sold=self.sold,
            value_sold=self.value_sold,
            losses=self.scenario.losses,
            closed=state.closed_long,
            closed_short=state.closed_short if two_shares else None,
            breach_round=self.breach_round,
            proceeds=self.proceeds if self.fills is None else self.proceeds + self.fills.proceeds,
            penalty=self.penalty,
            socialised=self.market.socialised(self.graph.all_rows),
            shortfall=self.shortfall,
            pool_shortfall=self.waterfall.shortfall,
            fund_used=self.waterfall.fund_used,
            fund_received=self.waterfall.received,
            uncovered=self.waterfall.uncovered,
            rounds=self.rounds,
            trades=tuple(self.trades),
            price_given=self.scenario.price_given,
            passed_on=None if self.book is None else self.book.passed_on,
            columns=None if self.book is None else self.book.columns,
            own_used=self.waterfall.own_used if self.waterfall.has_own else None,
            layers_used=self.waterfall.used,
            passed=None if self.fills is None else self.fills.passed(),
        )


def weights(
    graph: ExposureGraph, price_shocked: FloatArray, rules: CascadeRules
) -> tuple[FloatArray, tuple[float, ...]]:
    """Return the weights of the accounts in the layers of members, and by what those of each layer were multiplied.

    The weights are an array of the caller's own, shape (n,) or (n, l). Those of several layers are brought to the size
    of gross values, by powers of two: then a level says how far it moves slack, as a relative move of prices does.
    """
    members = [layer.weights(graph, price_shocked) for layer in rules.members]
    if len(members) < 2:
        return (members[0] if members else np.zeros(len(graph.account_index))), (1.0,)
    scale = tuple(_power(graph._rows.gross_total, graph.total(each)) for each in members)
    return np.stack(members, axis=1) * scale, scale


def _power(size: float, total: float) -> float:
    """Return the power of two by which a total comes near to a size; 1 where there is none."""
    power = np.exp2(np.round(np.log2(size) - np.log2(total))) if size > 0.0 and total > 0.0 else 1.0
    return float(power) if 0.0 < power < np.inf else 1.0


def run_path(path: Path) -> Solution:
    """Carry out rounds until no account is in breach, or what is left to close is negligible."""
    solution, _ = iterate(path.change, path.advance, max_steps=path.rules.max_rounds)
    (revaluations,) = path.graph.count([path.market.revaluations])
    return replace(solution, revaluations=int(revaluations))
