"""The equilibria of a margin cascade, with their tables."""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import numpy as np
import pandas as pd

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph.errors import ConvergenceError, ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Scenario
from contagion_graph.margin.equilibria.fixed_points import converge, extremal_fixed_points, repeat
from contagion_graph.margin.equilibria.isotone import is_isotone
from contagion_graph.margin.equilibria.iterates import BEYOND, Iterate, MonotoneIterate, PlainIterate
from contagion_graph.margin.equilibria.jacobian import State
from contagion_graph.margin.equilibria.newton import search
from contagion_graph.margin.equilibria.position_book import Relief, book_of
from contagion_graph.margin.equilibria.result import Equilibria
from contagion_graph.margin.equilibria.static_map import Case, payers_of
from contagion_graph.margin.prepare import prepared
from contagion_graph.margin.result import CascadeArrays, CascadeResult
from contagion_graph.margin.rounds.account_state import by_layer
from contagion_graph.margin.rounds.fills import passes_on
from contagion_graph.margin.rounds.path import weights
from contagion_graph.rules.declarations import declared
from contagion_graph.solvers.iteration import conclude

if TYPE_CHECKING:
    from contagion_graph.margin.model import MarginCascade

TwoSided = Literal["auto", "conservative", "bracket"]
NEAR = 1e-9  # T may move the shares of an equilibrium by no more


def case_of(graph: ExposureGraph, scenario: Scenario, rules: "MarginCascade", relief: Relief | None) -> Case:
    """Gather what both iterates share, for a graph with the margins that the liquidation rule goes by."""
    book = book_of(graph, relief)
    base, scale = weights(graph, scenario.price_shocked, rules)
    columns = replace(scenario, price_shocked=book.columns(scenario.price_shocked))
    return Case(book, columns, rules, rules.impact.for_assets(graph.assets), base, payers_of(book, rules, scale))


def relief_of(graph: ExposureGraph, two_sided: TwoSided) -> Relief | None:
    """Return how the book has to be cut: not at all where no asset is held on both sides."""
    if two_sided == "conservative":
        return "none"
    return None if two_sided == "auto" and is_isotone(graph) else "other"


def equilibria(graph: ExposureGraph, scenario: Scenario, rules: "MarginCascade", two_sided: TwoSided) -> Equilibria:
    """Return the least and the greatest equilibrium with their tables; `MarginCascade.equilibria` describes them."""
    _check(rules)
    graph, _ = prepared(graph, rules, any_waterfall=True)
    if passes_on(graph._rows, rules):
        raise ParameterError(
            "equilibria know no rounds, in which positions pass from account to account: take Deleverage out of the "
            "waterfall, and column vault out of table accounts, or use run"
        )
    case = case_of(graph, scenario, rules, relief_of(graph, two_sided))
    found = extremal_fixed_points(case)
    tables = [
        CascadeResult(graph, rules, arrays_of(iterate, scenario), solution)
        for iterate, solution in zip((found.lower, found.upper), found.solutions, strict=True)
    ]
    points = None if found.points is None else pd.DataFrame(found.points.T, index=graph.account_index)
    return Equilibria(least=tables[0], greatest=tables[1], one_sided=case.book.relief != "other", points=points)


class FromOpen(NamedTuple):
    """An equilibrium that the static map leads to from nothing closed.

    Parameters
    ----------
    result : CascadeResult
        Its tables.
    case, state : Case, State
        What the map is made of, and the state of the equilibrium.
    one_sided : bool
        Whether it is for certain the least; a netted book may have others, and none of them the least.
    """

    result: CascadeResult
    case: Case
    state: State
    one_sided: bool


def from_open(
    graph: ExposureGraph, scenario: Scenario, rules: "MarginCascade", on_failure: OnFailure = "raise"
) -> FromOpen:
    """Return the equilibrium that the static map leads to from nothing closed, without the greatest or a certificate.

    Raises
    ------
    ConvergenceError
        It does not converge; in a netted book that can mean that there is no equilibrium.
    """
    _check(rules)
    graph, _ = prepared(graph, rules)
    one_sided = is_isotone(graph)
    case = case_of(graph, scenario, rules, None)
    end: Iterate
    if one_sided:
        solution, _ = converge(end := MonotoneIterate(case, from_above=False))
    else:
        solution = repeat(end := PlainIterate(case))
    book = "" if one_sided else "; assets are held on both sides, and what some accounts close relieves others"
    where = f"no equilibrium was reached from nothing closed in {solution.steps:,} rounds{book}"
    conclude(
        solution, on_failure, where, "Raise max_rounds, or use indirect_exposure or look_through with a size: they run."
    )
    rows = np.flatnonzero(end.share)
    state = State(end.sold, end.rate, rows, end.share[rows])
    return FromOpen(CascadeResult(graph, rules, arrays_of(end, scenario), solution), end.case, state, one_sided)


def nearest(graph: ExposureGraph, scenario: Scenario, rules: "MarginCascade", closed: FloatArray) -> CascadeResult:
    """Return the equilibrium next to some closed shares; `MarginCascade.equilibrium_near` describes it."""
    _check(rules)
    graph, _ = prepared(graph, rules)
    start = MonotoneIterate(case_of(graph, scenario, rules, None), from_above=False, start=closed)
    start.follow(start.sold)
    share = search(start)
    off = np.inf if share is None else float(np.abs(start.case.apply(share) - share).max(initial=0.0))
    status = Status.CONVERGED if off <= NEAR else Status.NOT_FOUND
    solution = Solution(status, steps=0, residual=off)
    if share is None or not solution.converged:
        raise ConvergenceError("Newton's method finds no equilibrium from there; start elsewhere", solution)
    end = MonotoneIterate(start.case, from_above=False, start=share)
    end.follow(end.sold)
    return CascadeResult(graph, rules, arrays_of(end, scenario), solution)


def _check(rules: "MarginCascade") -> None:
    """Refuse rules that speak of rounds, or of more than one closed share: the static map knows neither."""
    if rules.impact.volume != "initial":
        raise ParameterError("equilibria need an impact with volume='initial': an equilibrium knows no order of sales")
    if rules.trade_price_weight is not None:
        raise ParameterError(
            "equilibria need trade_price_weight=None: an equilibrium knows no rounds, only the average price"
        )
    rule = rules.liquidation
    lacking = " and ".join(f"{name} = True" for name in ("one_share", "monotone") if declared(rule, name) is not True)
    if lacking or rule.bonus:
        raise ParameterError(
            f"equilibria are known to exist for liquidation rules that declare {lacking or 'no bonus'} "
            "(docs/adding-a-rule.md), as FullLiquidation, CloseFactor, TargetMargin and LeverageTarget do; not for "
            f"{rule!r}; use run"
        )


def arrays_of(iterate: Iterate, scenario: Scenario) -> CascadeArrays:
    """Return what a state of the static map comes to, in label order."""
    case, share, m = iterate.case, iterate.share, scenario.price_shocked.size
    n, rows = share.size, np.flatnonzero(share > 0.0)
    proceeds, penalty, shortfall = np.zeros(n), np.zeros(n), np.zeros(n)
    value, fetched, fee = case.value_closed(iterate.prices, rows)
    proceeds[rows], penalty[rows] = share[rows] * fetched, share[rows] * fee
    shortfall[rows] = share[rows] * np.maximum(-value, 0.0)
    lost, paid = (case.book.column_sums(case.book.membership, each[rows], rows) for each in (shortfall, penalty))
    own_used, socialised, used, uncovered = _settled(iterate, shortfall, lost)
    price, fetched_each = iterate.prices.terminal, iterate.sold * iterate.prices.average
    price = np.where(price >= BEYOND, np.inf, price)
    return CascadeArrays(
        price_shocked=scenario.price_shocked,
        price_after=price[:m],
        sold=iterate.sold.reshape(-1, m).sum(axis=0),
        value_sold=fetched_each.reshape(-1, m).sum(axis=0),
        losses=scenario.losses,
        proceeds=proceeds,
        penalty=penalty,
        socialised=socialised,
        shortfall=shortfall,
        closed=share,
        breach_round=(share > 0.0).astype(np.int32),
        pool_shortfall=lost,
        fund_used=used[[layer.kind == "fund" for layer in case.rules.waterfall]].sum(axis=0),
        fund_received=case.rules.penalty_to_fund * paid,
        uncovered=uncovered,
        rounds=[],
        price_short=None if case.book.relief is None else price[m:],
        price_given=scenario.price_given,
        own_used=own_used if case.payers.own.size else None,
        layers_used=used,
    )


def _settled(
    iterate: Iterate, shortfall: FloatArray, lost: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return what own contributions paid (n), what was socialised (n), what each layer used (layers, v), and the rest.

    `lost` are the shortfalls of each pool.
    """
    case, share, v = iterate.case, iterate.share, lost.size
    book, due, used, base = case.book, lost, list[FloatArray](), by_layer(case.base)
    own_used, socialised, amounts, number = np.zeros(0), np.zeros(share.size), iter(case.payers.layers), 0
    rate = np.where(np.isfinite(iterate.rate), iterate.rate, 0.0)
    for layer in case.rules.waterfall:
        if layer.kind == "own":
            own_used = np.minimum(case.payers.own, shortfall)
            used.append(book.column_sums(book.membership, own_used))
        elif layer.kind == "members":
            next(amounts)
            rates, number = rate[number * v : (number + 1) * v], number + 1
            part = (1.0 - share) * base[:, number - 1] * rates[book.pool_of]
            socialised = part if not socialised.any() else socialised + part
            used.append(book.column_sums(book.membership, part) if rates.any() else np.zeros(v))
        else:
            used.append(np.minimum(due, cast(FloatArray, next(amounts))))
        due = due - used[-1]
    return own_used, socialised, np.array(used).reshape(-1, v), np.maximum(due, 0.0)
