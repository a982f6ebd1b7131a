"""The least cash after which a cascade stops at an event."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import BoolArray, FloatArray, OnFailure
from contagion_graph._validate import ROUNDING, check_number
from contagion_graph.collateral.rebalancing.plan import Plan, Rows, plan_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import AccountKey, Shock, check_no_instruments, scenario
from contagion_graph.margin.attribution.replay import replay
from contagion_graph.margin.equilibria.isotone import isotone_obstacles
from contagion_graph.margin.model import MarginCascade, check_run
from contagion_graph.margin.result import CascadeResult
from contagion_graph.rules.declarations import declared
from contagion_graph.solvers.iteration import conclude, iterate
from contagion_graph.tables.schema import CASH
from contagion_graph.tables.vectors import account_rows

REMEDY = (
    "Accounts that get cash bear more of the losses, and need more again: use a base of sharing that cash does not "
    "raise, keep fewer accounts open, or raise max_iter."
)
FEW = 6  # further accounts of which every combination is tried


@dataclass(frozen=True, eq=False, repr=False)
class Stabilisation(Result):
    """The least intervention found, and the cascade after it.

    Parameters
    ----------
    plan : Plan
        Cash for accounts, before the shock [currency]; `plan.total` is what it costs.
    result : CascadeResult
        The cascade of the same shock once the cash is there: what had to stay open stays open.
    spared : MultiIndex
        The accounts that stay open because of the plan, those among them that did not have to be.
    lower_bound : float or None
        No intervention of less can do it [currency]; None where nothing can be proven: losses are shared, closings are
        partial, or assets are held on both sides.
    model : MarginCascade
        How accounts are liquidated.
    solution : Solution
        How the computation of the needs ended.
    """

    plan: Plan
    _: KW_ONLY
    result: CascadeResult
    spared: pd.MultiIndex
    lower_bound: float | None
    model: MarginCascade
    solution: Solution

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            total (the cash), lower_bound (NaN: none) [currency], spared, closed (accounts), uncovered [currency].
        """
        after = self.result.summary()
        bound = np.nan if self.lower_bound is None else self.lower_bound
        figures = {"total": self.plan.total, "lower_bound": bound, "spared": len(self.spared)}
        return pd.Series({**figures, "closed": after["closed"], "uncovered": after["uncovered"]}, dtype=float)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {**self.plan._tables(), "accounts": self.result.accounts}

    def __repr__(self) -> str:
        s = self.summary()
        bound = "no lower bound" if self.lower_bound is None else f"at least {self.lower_bound:,.6g} is needed"
        return (
            f"<Stabilisation: {self.plan.total:,.6g} for {s['spared']:,.0f} account{'' if s['spared'] == 1 else 's'} "
            f"({bound}); {s['closed']:,.0f} close. {self.solution.status.value}>"
        )


def stabilise(
    graph: ExposureGraph,
    model: MarginCascade,
    shock: Shock | None,
    *,
    event: str | Iterable[AccountKey] = "contagion",
    max_iter: int = 1000,
    on_failure: OnFailure = "raise",
) -> Stabilisation:
    """Find the least cash, given to accounts before a shock, after which a cascade stops at an event.

    The accounts that must stay open get, round by round, what they lack when they come into breach, M_i - E_i, until
    none does: where the book is one-sided this is the least with which they, and no others, can be kept. Saving an
    account that need not be saved can be cheaper, because it then sells nothing. With few of them every combination is
    tried; with many, one after the other, the largest first, as long as it pays. The cascade is run with the plan in
    force, always.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shock.
    model : MarginCascade
        Its liquidation rule has the margins of the graph; `LeverageTarget` has its own.
    shock : mapping or Series asset -> relative price change
        What is to be withstood.
    event : {"contagion", "closure"} or iterable of traders or (trader, pool, subaccount)
        What must not happen: "contagion", that an account closes which the shock alone does not bring into breach;
        "closure", that any account closes; or that one of these closes.
    max_iter : int
        Cascades after which to give up the search for the needs of one set of accounts.
    on_failure : {"raise", "warn", "ignore"}
        What to do where the needs do not converge: shares of losses grow with the cash that is given.

    Returns
    -------
    Stabilisation
        The plan, the cascade after it, and a lower bound of its cost.

    Raises
    ------
    ParameterError
        An event that is none, an account that the graph does not have, a model that cash cannot help.
    ConvergenceError
        The needs do not converge, and `on_failure` is "raise"; or a cascade does not.

    References
    ----------
    Bailouts as the least fixed point of needs, on the monotone map of Tarski (1955), Pacific J. Mathematics 5(2).

    Examples
    --------
    Bob is liquidated only because Ann's sales move the price.

    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -750.0], traders=["Ann", "Bob"]
    ... )
    >>> model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    >>> end = cg.collateral.stabilise(graph, model, {"0": -0.10})
    >>> end.plan.table[["trader", "asset", "action", "quantity"]].round(2)
      trader asset   action  quantity
    0    Bob        deposit     17.08
    >>> end.result.accounts["closed"].tolist()
    [1.0, 0.0]
    """
    check_run(graph, model, on_failure, any_margin=True)
    check_no_instruments(graph, "stabilise")
    if declared(model.liquidation, "margins") != "graph":
        raise ParameterError(
            "stabilise: the cash that keeps an account open is known for rules that declare margins = 'graph', not "
            f"{type(model.liquidation).__name__}"
        )
    check_number("stabilise", "max_iter", max_iter, low=1, whole=True)
    needs = _Needs(graph, model, shock, max_iter)
    keep = _kept(needs, event)
    best, (cash, closing, solution) = keep, needs.of(keep)
    conclude(solution, on_failure, "stabilise", REMEDY)
    alone = float(cash.sum())
    optional = closing[np.argsort(-graph._rows.initial.gross[closing], kind="stable")]
    for chosen in _choices(optional):
        wanted = keep.copy() if optional.size <= FEW else best.copy()
        wanted[list(chosen)] = True
        if needs.direct[wanted].sum() >= cash.sum():
            continue  # it costs at least that
        other, _, ended = needs.of(wanted)
        if ended.converged and other.sum() < cash.sum():
            best, cash, solution = wanted, other, ended
    rows = np.flatnonzero(cash)
    columns = {"asset": CASH, "action": "deposit", "quantity": cash[rows], "cost": cash[rows]}
    return Stabilisation(
        plan_of(graph, rows, cash.sum(), solution=solution, model=model, **columns),
        result=needs.run(cash),
        spared=graph.account_index[rows],
        lower_bound=_lower_bound(needs, keep, (alone, float(cash.sum())), optional),
        model=model,
        solution=solution,
    )


def _choices(optional: Rows) -> Iterable[tuple[int, ...]]:
    """Return the sets of further accounts to try: all combinations of a few, each of many."""
    if optional.size > FEW:
        return ((int(row),) for row in optional)
    return (chosen for size in range(1, optional.size + 1) for chosen in combinations(optional.tolist(), size))


class _Needs:
    """What it takes to keep accounts open in one scenario."""

    def __init__(self, graph: ExposureGraph, model: MarginCascade, shock: Shock | None, max_iter: int) -> None:
        self.graph, self.model, self.shock, self.max_iter = graph, model, shock, max_iter
        value, self.gross, self.maintenance = graph._rows.margined(scenario(graph, shock).price_shocked)
        self.direct = np.maximum(self.maintenance - graph.cash - value, 0.0)  # what the shock alone makes them lack

    def run(self, cash: FloatArray) -> CascadeResult:
        """Run the cascade with cash given."""
        return self.model.run(self.graph.assign(cash=self.graph.cash + cash), self.shock)

    def of(self, keep: BoolArray) -> tuple[FloatArray, Rows, Solution]:
        """Return the cash that keeps these accounts open, the accounts that close, and how the search ended."""
        cash, size = np.where(keep, self.direct, 0.0), ROUNDING * (self.gross + np.abs(self.graph.cash))
        cash[cash > 0.0] += size[cash > 0.0]
        result = self.run(cash)

        def change(_: int) -> tuple[float, bool]:
            rows, lack = _first_lack(result, keep)
            self.lacking = rows, lack
            return float(lack.sum()) / max(float(self.gross.sum()), 1.0), rows.size == 0

        def advance(_: int) -> None:
            nonlocal result
            rows, lack = self.lacking
            cash[rows] += lack + size[rows]
            result = self.run(cash)

        solution, _ = iterate(change, advance, max_steps=self.max_iter)
        return cash, np.flatnonzero(result.arrays.breach_round > 0), solution


def _first_lack(result: CascadeResult, keep: BoolArray) -> tuple[Rows, FloatArray]:
    """Return which accounts to be kept come into breach first, and what each lacks then [currency]."""
    graph, borne = result.graph, np.zeros(keep.size)
    for one in replay(result):
        rows = one.trade.rows[keep[one.trade.rows]]
        if rows.size:
            value, _, maintenance = graph._rows.margined(one.trade.before, rows)
            return rows, np.maximum(maintenance - (graph.cash[rows] + value - borne[rows]), 0.0)
        borne += one.paid(graph._rows.all_rows).data
    return np.empty(0, dtype=np.int64), np.empty(0)


def _kept(needs: _Needs, event: str | Iterable[AccountKey]) -> BoolArray:
    """Return the accounts that must stay open."""
    if isinstance(event, str):
        if event not in ("contagion", "closure"):
            raise ParameterError(f"stabilise: event is {event!r}; it is 'contagion', 'closure' or a list of accounts")
        return needs.direct == 0.0 if event == "contagion" else np.ones(needs.direct.size, dtype=bool)
    keep = np.zeros(needs.direct.size, dtype=bool)
    keep[account_rows(event, needs.graph.account_index, "stabilise: event")] = True
    return keep


def _lower_bound(needs: _Needs, keep: BoolArray, costs: tuple[float, float], optional: Rows) -> float | None:
    """Return what no intervention can do without, where only whole closings on one side of the book couple accounts.

    `costs`: of saving those of `keep` alone, and of the best intervention found. Either no other account is saved, and
    their needs are the least; or another account is, at no less than what the shock alone makes it lack, on top of what
    it makes those of `keep` lack. With few others every combination was tried.
    """
    alone, found = costs
    if isotone_obstacles(needs.graph, needs.model):
        return None
    if optional.size <= FEW:
        return found
    return min(alone, float(needs.direct[keep].sum() + needs.direct[optional].min()))
