"""The rounds of the margin cascade: the irreversible path.

A round maps (prices, loss levels) over the accounts to (units sold per asset, shortfall per channel) and back to
(prices, loss levels). Symbols and steps are those of docs/cascade.md: E equity, M maintenance, gamma the closed share,
S units sold, R what closing has realised, L what was socialised.
"""

from typing import Any

import numpy as np

from contagion_graph.errors import ConvergenceError, ParameterError
from contagion_graph.graph import ExposureGraph
from contagion_graph.margin.market import Market, Rows
from contagion_graph.margin.rules import CascadeRules
from contagion_graph.margin.waterfall import share_losses
from contagion_graph.results import CascadeArrays
from contagion_graph.rules.liquidation import BreachedAccounts
from contagion_graph.shocks import Scenario
from contagion_graph.solvers.solution import Solution, Status
from contagion_graph.tables.schema import FloatArray
from contagion_graph.tables.vectors import label_text


class Path:
    """One cascade and the steps of its rounds.

    Parameters
    ----------
    graph : ExposureGraph
        The graph before the scenario.
    scenario : Scenario
        Shocked prices, given losses, given defaults.
    rules : CascadeRules
        Liquidation, impact, sharing, penalty.
    look_at_all : bool
        Look at every row in every round.
    """

    def __init__(
        self, graph: ExposureGraph, scenario: Scenario, rules: CascadeRules, *, look_at_all: bool = False
    ) -> None:
        n, m, v = len(graph.accounts), len(graph.assets), len(graph.pools)
        self.graph, self.scenario, self.rules = graph, scenario, rules
        base = np.zeros(n) if rules.sharing is None else rules.sharing.weights(graph, scenario.price_shocked)
        self.market = Market(graph, scenario, base, look_at_all=look_at_all)
        self.sold, self.value_sold = np.zeros(m), np.zeros(m)
        self.breach_round = np.zeros(n, dtype=np.int32)
        self.proceeds, self.penalty, self.shortfall = np.zeros(n), np.zeros(n), np.zeros(n)
        self.fund, self.fund_used, self.fund_received = graph.insurance_fund.copy(), np.zeros(v), np.zeros(v)
        self.pool_shortfall, self.uncovered = np.zeros(v), np.zeros(v)
        self.rounds: list[dict[str, float]] = []

    def breached(self, step: int) -> tuple[Rows, FloatArray]:
        """Return who is in breach, and its equity (steps 1 and 2).

        In breach is who is not wholly closed and has E < M; in the first round the given defaults too.
        """
        market, (rows, equity) = self.market, self.market.due()
        slack = equity - market.accounts.maintenance[rows]
        self._check_finite(step - 1, "price of asset", market.price, self.graph.assets, range(len(market.price)))
        self._check_finite(step - 1, "slack of account", slack, self.graph.accounts, rows)
        below = (slack < 0.0) & (market.accounts.closed[rows] < 1.0)
        if step == 1 and self.scenario.defaults.any():
            rows = np.union1d(rows[below], np.flatnonzero(self.scenario.defaults))
            return rows, market.equity(rows)
        return rows[below], equity[below]

    def closed_share(self, rows: Rows, equity: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the share theta of what it has left that each account closes, and its gross value (step 3)."""
        graph, price, state = self.graph, self.market.price, self.market.accounts
        value, gross, margin = graph.valuation(np.where(graph.sellable, price, 0.0), rows)
        left = 1.0 - state.closed[rows]
        short = left * (gross - value) / 2.0
        if not graph.sellable.all():
            value, kept, _ = graph.valuation(np.where(graph.sellable, 0.0, price), rows)
            short += (kept - value) / 2.0
        debt = short + np.maximum(state.worth[rows] - equity - state.money[rows], 0.0)
        accounts = BreachedAccounts(
            equity=equity,
            maintenance=state.maintenance[rows],
            closable_maintenance=left * margin,
            closable_gross=left * gross,
            debt=debt,
            penalty=self.rules.penalty,
        )
        share = self.rules.liquidation.closed_share(accounts)
        share = np.where((equity <= 0.0) | self.scenario.defaults[rows], 1.0, share)
        return share, share * accounts.closable_gross

    def trade(self, rows: Rows, share: FloatArray) -> None:
        """Sell, move the prices, settle at the round's average price, charge the penalty (steps 4 to 6)."""
        graph, rules, market, state = self.graph, self.rules, self.market, self.market.accounts
        part = share * (1.0 - state.closed[rows])
        units = np.where(graph.sellable, graph.column_sums(graph.quantity, part, rows), 0.0)
        start, end = ((sold * graph.price) / graph.depth for sold in (self.sold, self.sold + units))
        average = self.scenario.price_shocked * rules.impact.average_factor(start, end)
        self.sold += units
        self.value_sold += units * average
        value, gross, _ = graph.valuation(np.where(graph.sellable, average, 0.0), rows)
        fee = rules.penalty * part * gross
        self.proceeds[rows] += part * value
        self.penalty[rows] += fee
        received = rules.penalty_to_fund * graph.column_sums(graph.membership, fee, rows)
        self.fund += received
        self.fund_received += received
        state.money[rows] += part * value - fee
        state.closed[rows] = np.where(share == 1.0, 1.0, state.closed[rows] + part)
        market.exempt(rows[state.closed[rows] == 1.0])
        market.look_again(rows)
        market.move_prices(self.scenario.price_shocked * rules.impact.price_factor(end))

    def settle(self, rows: Rows) -> dict[str, float]:
        """Settle the shortfalls of accounts now wholly closed: the fund pays, open members share the rest (7 and 8)."""
        graph = self.graph
        rows = rows[self.market.accounts.closed[rows] == 1.0]
        shortfall = np.maximum(-self.market.equity(rows), 0.0)
        self.shortfall[rows] = shortfall
        due = graph.column_sums(graph.membership, shortfall, rows)
        used = np.minimum(due, self.fund)
        uncovered = share_losses(self.market, due - used)
        self.fund -= used
        self.fund_used += used
        self.pool_shortfall += due
        self.uncovered += uncovered
        totals = {"shortfall": due, "fund_used": used, "socialised": due - used - uncovered, "uncovered": uncovered}
        return {name: float(amount.sum()) for name, amount in totals.items()}

    def _check_finite(self, step: int, what: str, values: FloatArray, labels: Any, positions: Any) -> None:
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            label = label_text(labels[positions[wrong[0]]])
            when = f"after round {step}" if step else "at the shocked prices"
            solution = Solution(Status.NON_FINITE, step, np.nan, self.market.looks)
            raise ConvergenceError(f"{what} {label!r} is {values[wrong[0]]} {when}. {solution.status.value}", solution)

    def arrays(self) -> CascadeArrays:
        """Return what the path has come to."""
        state = self.market.accounts
        return CascadeArrays(
            price_shocked=self.scenario.price_shocked,
            price_after=self.market.price,
            sold=self.sold,
            value_sold=self.value_sold,
            losses=self.scenario.losses,
            closed=state.closed,
            breach_round=self.breach_round,
            proceeds=self.proceeds,
            penalty=self.penalty,
            socialised=self.market.levies(self.graph.all_rows),
            shortfall=self.shortfall,
            pool_shortfall=self.pool_shortfall,
            fund_used=self.fund_used,
            fund_received=self.fund_received,
            uncovered=self.uncovered,
            rounds=self.rounds,
        )


def run_path(
    graph: ExposureGraph, scenario: Scenario, rules: CascadeRules, *, look_at_all: bool = False
) -> tuple[CascadeArrays, Solution]:
    """Carry out rounds until nobody is in breach, or what is left to close is negligible."""
    path = Path(graph, scenario, rules, look_at_all=look_at_all)
    gross_value = graph.rest[1].sum()
    for step in range(1, rules.max_rounds + 1):
        rows, equity = path.breached(step)
        if rows.size == 0:
            return path.arrays(), Solution(Status.CONVERGED, step - 1, 0.0, path.market.looks)
        share, closing = path.closed_share(rows, equity)
        _check_share(share, graph, rows)
        if not (share == 1.0).any() and closing.sum() <= rules.tol * gross_value:
            residual = float(closing.sum() / gross_value)
            return path.arrays(), Solution(Status.CONVERGED, step - 1, residual, path.market.looks)
        path.breach_round[rows] = np.where(path.breach_round[rows] == 0, step, path.breach_round[rows])
        before = path.market.price.copy()
        path.trade(rows, share)
        moved = np.divide(path.market.price, before, out=np.ones_like(before), where=before > 0)
        first = {
            "breached": rows.size,
            "closed_value": float(closing.sum()),
            "largest_move": float(np.abs(moved - 1).max()),
        }
        path.rounds.append(first | path.settle(rows))
    return path.arrays(), Solution(Status.STEP_LIMIT, rules.max_rounds, _open_breach(path), path.market.looks)


def _open_breach(path: Path) -> float:
    """Return the value that was still to be closed at the step limit, as a share of gross value."""
    (rows, equity), gross_value = path.breached(path.rules.max_rounds + 1), path.graph.rest[1].sum()
    return float(path.closed_share(rows, equity)[1].sum() / gross_value) if rows.size and gross_value else 0.0


def _check_share(share: FloatArray, graph: ExposureGraph, rows: Rows) -> None:
    wrong = np.flatnonzero(~((share > 0.0) & (share <= 1.0)))
    if wrong.size:
        account = label_text(graph.accounts[rows[wrong[0]]])
        raise ParameterError(
            f"the liquidation rule closes {share[wrong[0]]} of account {account!r}; it must be in (0, 1]"
        )
