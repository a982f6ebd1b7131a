"""Plans for accounts on margin tiers and scenario grids: the least of all that reach the target, by cutting planes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import contagion_graph as cg
from tests.test_margins import by_definition, market

C = cg.collateral
SEEDS = range(20)
Slack = Callable[[Any], float]


class Book:
    """Accounts on tiers and grids, most of them below their margin, and what one of them has above it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 21])
        graph, self.known = market(self.rng, n=12)
        lack = graph.maintenance.to_numpy() * self.rng.uniform(-0.2, 0.6, 12)
        self.graph = graph.assign(cash=graph.cash - graph.slack.to_numpy() - lack, depth=20.0 * graph.gross_value.sum())
        self.lacking = np.flatnonzero(lack > 0.0).tolist()

    def slack(self, row: int, held: Any, money: float, target: float = 0.0) -> float:
        """Return E - (1 + target) M of an account that holds other units, for which it paid or got money."""
        one = {**self.known, "quantity": [held], "on": [self.known["on"][row]]}
        equity = self.graph.cash[row] + held @ self.graph.price + money
        return float(equity - (1.0 + target) * by_definition(one, self.graph.assets)[0])


def least(cost: Any, slack: Slack, upper: Any, size: float) -> float:
    """Return the least c.x with slack(x) >= 0, a concave function, by cuts at what was found before."""
    rng, slopes, levels, x = np.random.default_rng(0), [], [], np.zeros(cost.size)
    for _ in range(300):
        at, step = x + 1e-7 * size * rng.random(x.size), 1e-8 * size
        slopes.append(np.array([(slack(at + step * one) - slack(at)) / step for one in np.eye(x.size)]))
        levels.append(slack(at) - slopes[-1] @ at)
        bounds = list(zip(np.zeros(x.size), upper, strict=True))
        found = optimize.linprog(cost, A_ub=-np.array(slopes), b_ub=levels, bounds=bounds)
        assert found.status == 0
        x = found.x
        if slack(x) >= -1e-8 * size:
            return float(cost @ x)
    raise AssertionError("no end of cuts")


@pytest.mark.parametrize("target", [0.0, 0.25])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_cheapest_top_up_is_that_of_cutting_planes(seed: int, target: float):
    """Of cash, two assets with tiers and one without; deposits of the latter net on a grid alone."""
    book = Book(seed)
    graph, columns = book.graph, np.array([0, 2, 1])
    cost = np.append(0.05, book.rng.uniform(0.0, 0.05, columns.size))
    plan = C.top_up(graph, {"asset": ["", *graph.assets[columns]], "cost": cost}, target=target)
    after = plan.apply(graph)
    assert (
        (after.equity - (1.0 + target) * after.maintenance >= -1e-12 * graph.gross_value).to_numpy()[book.lacking].all()
    )
    found = plan.table.groupby("trader")["cost"].sum()
    for row in book.lacking[:5]:
        use = columns if graph.account_margin[row] else columns[:2]
        share = cost if graph.account_margin[row] else cost[:3]
        if not graph.account_margin[row]:
            share = np.append(share, cost[3])
        q = graph.quantity.toarray()[row]

        def slack(x: Any, row: int = row, q: Any = q, use: Any = use) -> float:
            held = q.copy()
            held[use] += x[1 : 1 + use.size] / graph.price[use]
            plain = (1.0 - (1.0 + target) * graph.margin_long[1]) * x[1 + use.size :].sum()
            return book.slack(row, held, x[0] + plain, target)

        size = np.abs(q) @ graph.price + 1.0
        expected = least(share, slack, np.full(share.size, np.inf), size)
        assert found.get(graph.account_index[row][0], 0.0) == pytest.approx(expected, rel=1e-5, abs=1e-7 * size)


@pytest.mark.parametrize("objective", ["turnover", "cost"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_least_deleveraging_is_that_of_cutting_planes(seed: int, objective: Any):
    book = Book(seed)
    graph = book.graph
    share = np.zeros(6) if objective == "turnover" else book.rng.uniform(0.0005, 0.002, 6)
    rows = [row for row in book.lacking if graph.equity.iloc[row] > 0.05 * graph.maintenance.iloc[row]]
    plan = C.deleverage(graph, objective=objective, cost=share, accounts=[graph.account_index[row] for row in rows])
    assert (plan.apply(graph).slack >= -1e-12 * graph.gross_value).to_numpy()[rows].all()
    closed = plan.table.assign(
        value=plan.table["quantity"] * graph.price[graph.assets.get_indexer(plan.table["asset"])]
    )
    found = closed.groupby("trader")["value" if objective == "turnover" else "cost"].sum()
    for row in rows:
        slack, value = closing(book, row, share)
        size = value.sum() + 1.0
        expected = least(np.ones(6) if objective == "turnover" else share, slack, value, size)
        assert found[graph.account_index[row][0]] == pytest.approx(expected, rel=1e-5, abs=1e-7 * size)


def closing(book: Book, row: int, share: Any) -> tuple[Slack, Any]:
    """Return E - M of an account by the value that it closes of each asset, and what there is to close."""
    q, price = book.graph.quantity.toarray()[row], book.graph.price

    def slack(x: Any) -> float:
        held = q - np.sign(q) * x / price
        return book.slack(row, held, np.sign(q) @ x - share @ x)

    return slack, np.abs(q) * price


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_no_closing_that_helps_has_less_impact(seed: int):
    book = Book(seed)
    row = next(row for row in book.lacking if book.graph.equity.iloc[row] > 0.05 * book.graph.maintenance.iloc[row])
    plan = C.deleverage(book.graph, objective="impact", accounts=[book.graph.account_index[row]])
    assert plan.apply(book.graph).slack.iloc[row] >= -1e-9 * book.graph.gross_value.iloc[row]
    slack, value = closing(book, row, np.zeros(6))
    tried = 0
    for _ in range(2_000):
        x = value * book.rng.random(6) ** book.rng.choice([0.2, 1.0, 5.0])
        if slack(x) >= 0.0:
            assert plan.total <= (x**2 / (2.0 * book.graph.depth)).sum() * (1.0 + 1e-6)
            tried += 1
    assert tried > 10


def test_by_hand():
    """Of a hedge that nets, closing one leg alone helps nothing; a deposit of the leg that is short is worth more."""
    graph = cg.ExposureGraph.from_arrays(
        [[10.0, -20.0], [30.0, 0.0]], price=100.0, margin_long=0.1, cash=[1_150.0, -2_400.0],
        traders=["Ann", "Bob"], assets=["spot", "perp"],
        margin_tiers={"asset": ["spot"] * 2, "lower": [0.0, 1_000.0], "rate": [0.1, 0.3]},
        margin_scenarios={"grid": ["pm"] * 3, "move": [-0.2, 0.0, 0.2]}, account_margin=["pm", ""],
        asset_group=["BTC"] * 2,
    )  # fmt: skip
    assert graph.slack.tolist() == [150.0 - 200.0, 600.0 - 700.0]
    assert C.top_up(graph, {"asset": [""]}).apply(graph).slack.tolist() == pytest.approx([0.0, 0.0], abs=1e-8)
    plan = C.top_up(graph, {"asset": ["spot"], "cost": [0.01]})  # worth 1.2 of its value to Ann, 0.7 to Bob
    assert plan.table["quantity"].tolist() == pytest.approx([50.0 / 120.0, 100.0 / 70.0])
    plan = C.deleverage(graph)
    assert plan.table[["trader", "asset"]].to_numpy().tolist() == [["Ann", "perp"], ["Bob", "spot"]]
    assert plan.table["quantity"].tolist() == pytest.approx([2.5, 100.0 / 30.0])
    with pytest.raises(cg.InfeasibleError, match=r"What binds: .*all of its spot closed"):
        C.deleverage(graph.assign(cash={"Bob": -3_100.0}))


def test_cash_of_another_account_reaches_one_on_a_grid():
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["Ann"] * 2, "pool": ["one", "two"], "asset": ["X"] * 2, "quantity": [10.0, 30.0]},
        {"asset": ["X"], "price": [100.0]},
        accounts={"trader": ["Ann"] * 2, "pool": ["one", "two"], "cash": [-850.0, 1_000.0], "margin": ["pm", ""]},
        margin_tiers={"asset": ["X"] * 2, "lower": [0.0, 1_000.0], "rate": [0.1, 0.3]},
        margin_scenarios={"grid": ["pm"] * 2, "move": [-0.2, 0.0]},
    )
    plan = C.transfer(graph, {"from_pool": ["two"], "to_pool": ["one"], "fee": [0.02]})
    assert plan.table["quantity"].tolist() == pytest.approx([50.0, 50.0])
    assert plan.apply(graph).slack.tolist() == pytest.approx([0.0, 4_000.0 - 50.0 / 0.98 - 700.0], abs=1e-8)


def needs_of(book: Book, graph: cg.ExposureGraph, keep: Any, shocked: Any) -> float:
    """Return the least cash that keeps some accounts of a one-sided market open, by a loop over rounds."""
    q = graph.quantity.toarray()
    closed, need, price = np.zeros(len(q), dtype=bool), np.zeros(len(q)), shocked
    while True:
        margin = by_definition({**book.known, "quantity": q, "price": price}, graph.assets)
        lack = margin - graph.cash - q @ price
        need = np.maximum(need, np.where(keep, lack, 0.0))
        more = (lack > 0.0) & ~keep & ~closed
        if not more.any():
            return float(need.sum())
        closed |= more
        price = shocked * np.exp(-(q[closed].sum(axis=0) * graph.price) / graph.depth)


@pytest.mark.parametrize("seed", range(40))
def test_the_least_intervention_is_that_of_all_combinations(seed: int):
    book = Book(seed)
    rng, names = book.rng, list("abcde")
    q = np.abs(book.graph.quantity.toarray()[:5]) + 1.0
    book.known["on"] = book.known["on"][:5]
    tables = {name: getattr(book.graph, name) for name in ("margin_tiers", "margin_scenarios")}
    graph = cg.ExposureGraph.from_arrays(
        q, price=book.graph.price, traders=names, assets=book.graph.assets, margin_long=book.known["flat"],
        depth=8.0 * (q @ book.graph.price).sum(),
        asset_group=book.known["groups"], account_margin=book.known["on"], **tables,
    )  # fmt: skip
    graph = graph.assign(cash=-graph.equity.to_numpy() + graph.maintenance.to_numpy() * rng.uniform(1.02, 1.6, 5))
    shock = dict(zip(graph.assets, rng.uniform(-0.08, 0.0, 6), strict=True))
    shocked, model = (
        graph.price * (1.0 + np.array(list(shock.values()))),
        cg.MarginCascade(waterfall=(cg.InsuranceFund(),)),
    )
    event = ["contagion", "closure"][seed % 2]
    margin = by_definition({**book.known, "quantity": q, "price": shocked}, graph.assets)
    must = margin <= graph.cash + q @ shocked if event == "contagion" else np.ones(5, dtype=bool)
    costs = [needs_of(book, graph, must | ((k >> np.arange(5)) % 2 == 1), shocked) for k in range(32)]
    end = C.stabilise(graph, model, shock, event=event)
    assert end.plan.total == pytest.approx(min(costs), rel=1e-9, abs=1e-6)
    assert end.lower_bound is None
    verified = model.run(end.plan.apply(graph), shock).arrays.closed
    assert (verified[must] == 0.0).all()
