"""The rounds of the margin cascade: the irreversible path.

A round maps (prices, loss levels) over the accounts to (units sold per asset, shortfall per channel) and back to
(prices, loss levels). Symbols as in docs/notation.md: E equity, M maintenance, gamma the closed share, S units sold, R
what closing has realised, L what was socialised. Assets that are not sellable never trade: their price stays the
shocked one, so their value and margin are constants of an account.
"""

from typing import Any, Protocol

import numpy as np

from contagion_graph.errors import ConvergenceError, ParameterError
from contagion_graph.graph import ExposureGraph
from contagion_graph.margin.waterfall import share_losses
from contagion_graph.results import CascadeArrays
from contagion_graph.rules.impact import Impact
from contagion_graph.rules.liquidation import BreachedAccounts, Liquidation
from contagion_graph.rules.sharing import ProRata
from contagion_graph.shocks import Scenario
from contagion_graph.solvers.solution import Solution, Status
from contagion_graph.tables.schema import FloatArray
from contagion_graph.tables.vectors import label_text

Rows = np.ndarray[Any, np.dtype[np.int64]]


class Rules(Protocol):
    """The parameters of a cascade, as `MarginCascade` describes them."""

    @property
    def liquidation(self) -> Liquidation:
        """Which share an account in breach closes."""

    @property
    def impact(self) -> Impact:
        """How prices answer to sales."""

    @property
    def sharing(self) -> ProRata | None:
        """Who bears what the fund cannot pay."""

    @property
    def penalty(self) -> float:
        """Share of the closed gross value."""

    @property
    def penalty_to_fund(self) -> float:
        """Share of the penalty that enters the fund."""

    @property
    def tol(self) -> float:
        """Share of gross value below which partial closings are not carried out."""

    @property
    def max_rounds(self) -> int:
        """Rounds after which to give up."""


class Path:
    """The state of one cascade and the steps of a round.

    Parameters
    ----------
    graph : ExposureGraph
        The graph before the scenario.
    scenario : Scenario
        Shocked prices, given losses, given defaults.
    rules : Rules
        Liquidation, impact, sharing, penalty.
    """

    def __init__(self, graph: ExposureGraph, scenario: Scenario, rules: Rules) -> None:
        n, m, v = len(graph.accounts), len(graph.assets), len(graph.pools)
        self.graph, self.scenario, self.rules = graph, scenario, rules
        self.base = np.zeros(n) if rules.sharing is None else rules.sharing.weights(graph, scenario.price_shocked)
        self.price = scenario.price_shocked.copy()
        self.sold, self.value_sold = np.zeros(m), np.zeros(m)
        self.money = graph.cash - scenario.losses  # cash + R - L
        self.closed, self.breach_round = np.zeros(n), np.zeros(n, dtype=np.int32)
        self.proceeds, self.penalty, self.socialised, self.shortfall = np.zeros((4, n))
        self.fund, self.fund_used, self.fund_received = graph.insurance_fund.copy(), np.zeros(v), np.zeros(v)
        self.pool_shortfall, self.uncovered = np.zeros(v), np.zeros(v)
        self.rounds: list[dict[str, float]] = []
        kept = np.where(graph.sellable, 0.0, scenario.price_shocked)
        value, gross, margin = graph.valuation(kept) if kept.any() else (np.zeros(n), np.zeros(n), np.zeros(n))
        self.kept_value, self.kept_short, self.kept_margin = value, (gross - value) / 2.0, margin
        self.look(step=0)

    def look(self, step: int) -> None:
        """Mark every account at the present prices (step 1).

        E = cash + R + (1 - gamma) Q~.p + (Q - Q~).p - L ;  M likewise from margin_units.
        """
        value, _, margin = self.graph.valuation(np.where(self.graph.sellable, self.price, 0.0))
        left = 1.0 - self.closed
        self.held = self.kept_value + left * value
        self.equity = self.money + self.held
        self.maintenance = self.kept_margin + left * margin
        self._check_finite(step)

    def breached(self, step: int) -> Rows:
        """Return the accounts not wholly closed with E < M, and the given defaults in the first round (step 2)."""
        breach = self.equity < self.maintenance
        if step == 1:
            breach |= self.scenario.defaults
        return np.flatnonzero(breach & (self.closed < 1.0))

    def closed_share(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Return the share theta of what it has left that each account closes, and its gross value (step 3)."""
        value, gross, margin = self.graph.valuation(np.where(self.graph.sellable, self.price, 0.0), rows)
        left = 1.0 - self.closed[rows]
        accounts = BreachedAccounts(
            equity=self.equity[rows],
            maintenance=self.maintenance[rows],
            closable_maintenance=left * margin,
            closable_gross=left * gross,
            debt=left * (gross - value) / 2.0 + self.kept_short[rows] + np.maximum(-self.money[rows], 0.0),
            penalty=self.rules.penalty,
        )
        share = self.rules.liquidation.closed_share(accounts)
        share = np.where((accounts.equity <= 0.0) | self.scenario.defaults[rows], 1.0, share)
        return share, share * accounts.closable_gross

    def trade(self, rows: Rows, share: FloatArray) -> None:
        """Sell, move the prices, settle at the round's average price, charge the penalty (steps 4 to 6)."""
        graph, rules = self.graph, self.rules
        part = share * (1.0 - self.closed[rows])
        units = np.where(graph.sellable, graph.column_sums(graph.quantity, part, rows), 0.0)
        start, end = ((sold * graph.price) / graph.depth for sold in (self.sold, self.sold + units))
        average = self.scenario.price_shocked * rules.impact.average_factor(start, end)
        self.price = self.scenario.price_shocked * rules.impact.price_factor(end)
        self.sold += units
        self.value_sold += units * average
        value, gross, _ = graph.valuation(np.where(graph.sellable, average, 0.0), rows)
        fee = rules.penalty * part * gross
        self.proceeds[rows] += part * value
        self.penalty[rows] += fee
        self.money[rows] += part * value - fee
        self.closed[rows] = np.where(share == 1.0, 1.0, self.closed[rows] + part)
        received = rules.penalty_to_fund * graph.column_sums(graph.membership, fee, rows)
        self.fund += received
        self.fund_received += received

    def settle(self, rows: Rows) -> dict[str, float]:
        """Settle the shortfalls of accounts now wholly closed: the fund pays, open members share the rest (7 and 8)."""
        graph = self.graph
        rows = rows[self.closed[rows] == 1.0]
        shortfall = np.maximum(-(self.money[rows] + self.kept_value[rows]), 0.0)
        self.shortfall[rows] = shortfall
        due = graph.column_sums(graph.membership, shortfall, rows)
        used = np.minimum(due, self.fund)
        self.fund -= used
        members = np.flatnonzero((self.closed < 1.0) & (self.base > 0.0) & (self.equity > 0.0))
        paid, uncovered = share_losses(graph, due - used, members, self.base[members], self.equity[members])
        self.socialised[members] += paid
        # who pays all it has is left with exactly nothing: rounding must not decide whether it breaches
        emptied = paid == self.equity[members]
        self.money[members] = np.where(emptied, -self.held[members], self.money[members] - paid)
        self.equity[members] -= paid
        self.pool_shortfall += due
        self.fund_used += used
        self.uncovered += uncovered
        totals = {"shortfall": shortfall, "fund_used": used, "socialised": paid, "uncovered": uncovered}
        return {name: float(amount.sum()) for name, amount in totals.items()}

    def _check_finite(self, step: int) -> None:
        for name, state, index in (
            ("price of asset", self.price, self.graph.assets),
            ("equity of account", self.equity, self.graph.accounts),
            ("maintenance of account", self.maintenance, self.graph.accounts),
        ):
            wrong = np.flatnonzero(~np.isfinite(state))
            if wrong.size:
                where = f"{name} {label_text(index[wrong[0]])!r} is {state[wrong[0]]}"
                when = f"in round {step}" if step else "at the shocked prices"
                raise ConvergenceError(
                    f"{where} {when}. {Status.NON_FINITE.value}", Solution(Status.NON_FINITE, step, np.nan)
                )

    def arrays(self) -> CascadeArrays:
        """Return what the path has come to."""
        return CascadeArrays(
            price_shocked=self.scenario.price_shocked,
            price_after=self.price,
            sold=self.sold,
            value_sold=self.value_sold,
            losses=self.scenario.losses,
            closed=self.closed,
            breach_round=self.breach_round,
            proceeds=self.proceeds,
            penalty=self.penalty,
            socialised=self.socialised,
            shortfall=self.shortfall,
            pool_shortfall=self.pool_shortfall,
            fund_used=self.fund_used,
            fund_received=self.fund_received,
            uncovered=self.uncovered,
            rounds=self.rounds,
        )


def run_path(graph: ExposureGraph, scenario: Scenario, rules: Rules) -> tuple[CascadeArrays, Solution]:
    """Carry out rounds until nobody is in breach, or what is left to close is negligible."""
    path = Path(graph, scenario, rules)
    gross_value = graph.rest[1].sum()
    for step in range(1, rules.max_rounds + 1):
        rows = path.breached(step)
        if rows.size == 0:
            return path.arrays(), Solution(Status.CONVERGED, step - 1, 0.0)
        share, closing = path.closed_share(rows)
        _check_share(share, graph, rows)
        if not (share == 1.0).any() and closing.sum() <= rules.tol * gross_value:
            return path.arrays(), Solution(Status.CONVERGED, step - 1, float(closing.sum() / gross_value))
        path.breach_round[rows] = np.where(path.breach_round[rows] == 0, step, path.breach_round[rows])
        before = path.price
        path.trade(rows, share)
        path.look(step)
        moved = np.divide(path.price, before, out=np.ones_like(before), where=before > 0)
        first = {
            "breached": rows.size,
            "closed_value": float(closing.sum()),
            "largest_move": float(np.abs(moved - 1).max()),
        }
        path.rounds.append(first | path.settle(rows))
    return path.arrays(), Solution(Status.STEP_LIMIT, rules.max_rounds, _open_breach(path, gross_value))


def _open_breach(path: Path, gross_value: float) -> float:
    """Return the value that was still to be closed at the step limit, as a share of gross value."""
    rows = path.breached(step=0)
    return float(path.closed_share(rows)[1].sum() / gross_value) if rows.size and gross_value else 0.0


def _check_share(share: FloatArray, graph: ExposureGraph, rows: Rows) -> None:
    wrong = np.flatnonzero(~((share > 0.0) & (share <= 1.0)))
    if wrong.size:
        account = label_text(graph.accounts[rows[wrong[0]]])
        raise ParameterError(
            f"the liquidation rule closes {share[wrong[0]]} of account {account!r}; it must be in (0, 1]"
        )
