"""Cascades in markets from which some traders are absent, or in which they hold less.

An absent trader holds nothing: no position, no cash, no part in losses that are shared. For all other traders that is
the same as if its accounts could not be liquidated and had no weight in loss sharing: they then sell nothing, leave no
shortfall and bear none. So `Case.without` leaves the matrices as they are, and gives these accounts cash that no price
change can use up; the initial values of the graph stay valid.

**The set of closed accounts is monotone in the set of traders present**, where there are no `isotone_obstacles`: whole
accounts close, margins depend on no other account, no loss is shared (an open account is tested on cash + Q.p alone),
what is sold counts at the price before the shock (how far sales have moved along the price impact depends on who has
closed, not on when), every sellable asset is held on one side only and no cell needs more margin than it is worth (a
price that moves against that side increases the slack of no account). Let C_r(A) be the accounts that have closed by
round r where traders A are absent. If A is a subset of B, C_r(B) is a subset of C_r(A): so it is for r = 0, and if for
r, sales have moved at least as far without A, prices are no better, and an account present without B that is in breach
is in breach there too. So an account that does not close when all are present never closes, and a market of the other
accounts alone has the same prices: absences are run on that one. Where a rule does not declare that margins and weights
of an account depend on no other account, an absence is run on the market of those present instead, and every rule is
asked anew.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from contagion_graph._cached import carry_over
from contagion_graph._typing import BoolArray, FloatArray, OnFailure
from contagion_graph._validate import check_choice, check_model
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.rows import BY_LABEL, BY_PLACE, BY_VALUE
from contagion_graph.graph.scenario import Shock, check_no_instruments, scenario
from contagion_graph.margin.equilibria.isotone import isotone_obstacles
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.prepare import prepared
from contagion_graph.margin.result import CascadeResult
from contagion_graph.rules.declarations import declared
from contagion_graph.rules.layers import InsuranceFund, SharingRule
from contagion_graph.solvers.arrays import scaled_rows

Measure = Literal["loss", "shortfall", "uncovered"]
Numbers = np.ndarray[Any, np.dtype[np.int64]]
UNBREAKABLE = 1e300  # cash that no price uses up, and that is still finite where it is added to something


@dataclass(frozen=True, eq=False)
class GivenWeights(SharingRule):
    """Loss sharing by weights that are given.

    Parameters
    ----------
    base : ndarray, shape (n,)
        Weight b >= 0 of every account.
    """

    base: FloatArray

    def weights(self, graph: ExposureGraph, price_shocked: FloatArray) -> FloatArray:
        """Return the weights."""
        return self.base.copy()


class Case:
    """One scenario, run on the whole market and on parts of it.

    Parameters
    ----------
    graph : ExposureGraph
        The whole market.
    model : MarginCascade
        The cascade.
    shock : mapping or Series asset -> relative price change, or None
        The scenario.
    on_failure : {"raise", "warn", "ignore"}
        What to do where a cascade does not converge.
    """

    def __init__(
        self, graph: ExposureGraph, model: MarginCascade, shock: Shock | None, on_failure: OnFailure = "raise"
    ) -> None:
        self.graph, self.model, self.shock, self.on_failure, self.runs = graph, model, shock, on_failure, 1
        self.full = model.run(graph, shock, on_failure=on_failure)
        self.base = np.zeros(len(graph.account_index))
        if model.sharing is not None:
            self.base = model.sharing.weights(graph, scenario(graph, shock).price_shocked)

    @cached_property
    def separable(self) -> bool:
        """Whether margins and weights of the traders present do not depend on which others are absent."""
        liquidation, sharing = self.model.liquidation, self.model.sharing
        by_account = sharing is None or declared(sharing, "by_account") is True
        return by_account and declared(liquidation, "margins") is not None

    @cached_property
    def matters(self) -> BoolArray:
        """The traders whose absence can change anything for others, shape (traders,).

        An account that is never in breach sells nothing; where its pool shares no loss, it bears none either.
        """
        end, graph = self.full.arrays, self.graph
        if not self.separable:
            return np.ones(len(graph.traders), dtype=bool)
        shared = end.pool_shortfall > end.fund_used
        accounts = end.breach_round > 0
        if self.model.sharing is not None and shared.any():
            accounts = accounts | (shared[graph._rows.pool_of] & (self.base > 0.0))
        return np.bincount(graph._rows.trader_of[accounts], minlength=len(graph.traders)) > 0

    @cached_property
    def market(self) -> tuple[ExposureGraph, FloatArray, Numbers]:
        """The market on which absences are run: a graph, weights in loss sharing, the trader number of each account."""
        graph = self.graph
        if self.matters.all() or not self.matters.any() or isotone_obstacles(graph, self.model):
            return graph, self.base, graph._rows.trader_of.astype(np.int64)
        rows = self.matters[graph._rows.trader_of]
        part = graph.subset(traders=graph.traders[self.matters])
        return part, self.base[rows], graph._rows.trader_of[rows].astype(np.int64)

    def without(self, absent: BoolArray) -> CascadeResult:
        """Run the scenario without some traders; the rows of their accounts in the result have no meaning."""
        if not self.separable:
            self.runs += 1
            present = self.graph.subset(traders=self.graph.traders[~absent])
            return self.model.run(present, self.shock, on_failure=self.on_failure)
        market, base, trader_of = self.market
        gone = absent[trader_of]
        graph = replace(market, cash=np.where(gone, UNBREAKABLE, market.cash))
        carry_over(market._rows, graph._rows, (*BY_LABEL, *BY_PLACE, *BY_VALUE))  # none of it depends on cash
        return self._run(graph, np.where(gone, 0.0, base))

    def scaled(self, part: FloatArray) -> CascadeResult:
        """Run the scenario with every account held in this part, from 0 to 1: positions, cash, weight in sharing."""
        graph, q, sharing = self.graph, self.graph.quantity, self.model.sharing
        if sharing is not None and not (self.separable and declared(sharing, "proportional") is True):
            raise ParameterError(
                f"{type(sharing).__name__} does not declare by_account and proportional: its weights where accounts "
                "hold less are not known (docs/adding-a-rule.md)"
            )
        quantity, margin = scaled_rows(q, part), scaled_rows(graph.margin_units, part)
        smaller = replace(graph, quantity=quantity, margin_units=margin, cash=graph.cash * part, records=None)
        return self._run(smaller, self.base * part)

    def _run(self, graph: ExposureGraph, base: FloatArray) -> CascadeResult:
        self.runs += 1
        members = () if self.model.sharing is None else (GivenWeights(base),)
        return replace(self.model, waterfall=(InsuranceFund(), *members)).run(
            graph, self.shock, on_failure=self.on_failure
        )


class Game:
    """The effect of a shock on the market or a part of it, less what happens there without the shock.

    Parameters
    ----------
    graph, model, shock
        As in `Case`.
    measure : {"loss", "shortfall", "uncovered"}
        What is measured.
    name : str
        The calling function, for messages.
    on_failure : {"raise", "warn", "ignore"}
        As in `Case`.
    """

    def __init__(
        self,
        graph: ExposureGraph,
        model: MarginCascade,
        shock: Shock,
        *,
        measure: str,
        name: str,
        on_failure: OnFailure = "raise",
    ) -> None:
        check_model(model, MarginCascade, "cg.MarginCascade()")
        self.margins = prepared(graph, model, any_margin=True)[0]._margins
        check_no_instruments(graph, name)
        check_choice(f"{name}: measure", measure, get_args(Measure))
        self.graph, self.measure = graph, measure
        self.shocked, self.quiet = (Case(graph, model, each, on_failure) for each in (shock, None))
        self.cases = [(1.0, self.shocked)]
        if self.quiet.full.arrays.breach_round.any():  # else no coalition has an account in breach without a shock
            self.cases.append((-1.0, self.quiet))
        self.held = graph._rows.column_sums(graph.quantity, np.ones(len(graph.account_index)))

    @cached_property
    def rows_of(self) -> list[Numbers]:
        """The rows of the accounts of each trader, ascending."""
        order = np.argsort(self.graph._rows.trader_of, kind="stable")
        sizes = np.bincount(self.graph._rows.trader_of, minlength=len(self.graph.traders))
        return np.split(order, np.cumsum(sizes)[:-1])

    def without(self, absent: Numbers) -> float:
        """Return the measure where these traders are absent."""
        gone, held = self._left_by(absent)
        if gone.all():
            return 0.0
        return sum(sign * self.measured(case.without(gone), held) for sign, case in self.cases)

    @property
    def matters(self) -> BoolArray:
        """The traders whose absence can change anything for others, shape (traders,)."""
        return np.asarray(np.any([case.matters for _, case in self.cases], axis=0))

    def knockout(self, trader: int) -> float:
        """Return the reduction of the measure without a trader; of losses, only those of the others count."""
        change, (gone, held) = 0.0, self._left_by(np.array([trader]))
        for (sign, case), with_all in zip(self.cases, self.with_all, strict=True):
            if case.matters[trader]:
                change += sign * (with_all[trader] - self.measured(case.without(gone), held))
        return change

    def _left_by(self, absent: Numbers) -> tuple[BoolArray, FloatArray]:
        """Return who is absent, shape (traders,), and the units that the others hold, shape (assets,)."""
        gone = np.zeros(len(self.graph.traders), dtype=bool)
        gone[absent] = True
        rows = np.sort(np.concatenate([self.rows_of[trader] for trader in absent])) if absent.size else absent
        return gone, self.held - self.graph._rows.column_sums(self.graph.quantity, np.ones(rows.size), rows)

    @cached_property
    def with_all(self) -> list[FloatArray]:
        """The measure of each case with all present, for losses less the trader's own; (traders,) each."""
        values = [np.full(len(self.graph.traders), self.measured(case.full, self.held)) for _, case in self.cases]
        if self.measure == "loss":
            own = [case.full.traders["loss"].to_numpy() for _, case in self.cases]
            values = [value - loss for value, loss in zip(values, own, strict=True)]
        return values

    def scaled(self, part: FloatArray) -> float:
        """Return the measure where every account is held in this part."""
        if not part.any():
            return 0.0
        held = self.graph._rows.column_sums(self.graph.quantity, part)
        return sum(sign * self.measured(case.scaled(part), held) for sign, case in self.cases)

    def measured(self, result: CascadeResult, held: FloatArray) -> float:
        """Return the measure of a run; the loss is that of the traders that hold these units in total.

        sum (E(p0) - E at the end) = held.p0 - (held - sold).p - sum (proceeds - penalty - socialised + shortfall):
        cash cancels, so that of absent accounts plays no part.
        """
        end = result.arrays
        if self.measure == "loss":
            kept = end.proceeds - end.penalty - end.socialised + end.shortfall
            left = held @ (self.graph.price - end.price_after) + end.sold @ end.price_after
            return float(left - kept.sum())
        return float((end.pool_shortfall if self.measure == "shortfall" else end.uncovered).sum())
