"""Plans do not depend on the unit of currency or of an asset, and every plan is held to its needs and a lower bound."""

from typing import Any

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.solvers.programme import Programme

UNITS = [1e-18, 1e-6, 1.0, 158.0, 1e7, 3e7, 1e12]  # of currency: wei, cents, yen, ...


def priced(graph: cg.ExposureGraph, unit: float, units: Any) -> cg.ExposureGraph:
    """Return the same book in another unit of currency, and of each asset."""
    frames = graph.to_frames()
    by_asset = dict(zip(graph.assets, np.broadcast_to(units, len(graph.assets)), strict=True))
    scale = frames["positions"]["asset"].map(by_asset).to_numpy(float)
    frames["positions"] = frames["positions"].assign(quantity=frames["positions"]["quantity"] * scale)
    price = frames["assets"]["price"] * unit / frames["assets"]["asset"].map(by_asset).to_numpy(float)
    frames["assets"] = frames["assets"].assign(price=price, depth=frames["assets"]["depth"] * unit)
    frames["accounts"] = frames["accounts"].assign(cash=frames["accounts"]["cash"] * unit)
    return cg.ExposureGraph.from_tables(**frames)


def test_a_large_short_is_bought_back_as_far_as_needed():
    """Lack 196,264 = 315,780 - 119,516; closing ETH gains 2 % of 3,000 a unit, BTC 1 %: 196,264 / 60 ETH."""
    graph = cg.ExposureGraph.from_arrays(
        [[-1.2, -5243.0]], price=[1e5, 3e3], margin_long=[0.01, 0.02], margin_short=[0.01, 0.02], cash=[15_968_516.0],
        assets=["BTC", "ETH"],
    )  # fmt: skip
    plan = cg.collateral.deleverage(graph)
    assert plan.table["asset"].tolist() == ["ETH"]
    assert plan.table["quantity"].tolist() == pytest.approx([196_264 / 60], rel=1e-9)
    assert plan.apply(graph).slack.item() == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("lack", [0.5, 999.0, 1001.0, 1e6, 1e9])
def test_an_asset_of_a_small_price_counts_by_its_value(lack: float):
    """At 1e-5 a unit with a margin rate of 10 %, closing `lack` / 0.1 of value makes up for `lack`."""
    held = 1e12 * lack
    graph = cg.ExposureGraph.from_arrays(
        [[held]], price=[1e-5], margin_long=0.1, cash=[-0.9 * held * 1e-5 - lack], assets=["SHIB"]
    )
    plan = cg.collateral.deleverage(graph)
    favour = 1e-12 * 1.9 * held * 1e-5  # of |cash| + gross value: plans round in the account's favour
    assert plan.total == pytest.approx(10.0 * (lack + favour), rel=1e-8)


def best_closing(rate: np.ndarray, value: np.ndarray, cost: np.ndarray, lack: float, objective: str) -> float | None:
    """Return the least objective of closing one account: the largest gain for each unit of the objective first."""
    net = rate - cost
    unit = np.ones_like(cost) if objective == "turnover" else cost
    order = sorted(np.flatnonzero(net > 0.0), key=lambda j: unit[j] / net[j])
    total = 0.0
    for j in order:
        closed = min(value[j], lack / net[j])
        total, lack = total + unit[j] * closed, lack - net[j] * closed
        if closed < value[j]:
            return total
    return total if lack <= 1e-12 * value.sum() else None


@pytest.mark.parametrize("seed", range(195))
def test_books_with_assets_of_any_price(seed: int):
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 6))
    price = 10.0 ** rng.uniform(-9.0, 6.0, m)
    value = 10.0 ** rng.uniform(0.0, 7.0, m)
    rate, cost = rng.uniform(0.005, 0.3, m), rng.uniform(0.0, 0.004, m)
    side = np.where(rng.random(m) < 0.5, -1.0, 1.0)
    lack = float(rng.uniform(0.0, 1.1) * ((rate - cost) * value).sum())
    equity = float(rate @ value) - lack
    graph = cg.ExposureGraph.from_arrays(
        [side * value / price], price=price, margin_long=rate, margin_short=rate, cash=[equity - float(side @ value)]
    )
    lack = -float(graph.slack.item())
    if lack <= 0.0:
        return
    objective = ["turnover", "cost"][seed % 2]
    best = best_closing(rate, value, cost, lack, objective)
    if best is None:
        with pytest.raises(cg.InfeasibleError) as error:
            cg.collateral.deleverage(graph, cost=cost, objective=objective)
        short = lack - ((rate - cost) * value).sum()
        assert error.value.missing[graph.account_index[0]] == pytest.approx(short, rel=1e-6, abs=1e-9 * lack)
        return
    plan = cg.collateral.deleverage(graph, cost=cost, objective=objective)
    assert plan.total == pytest.approx(best, rel=1e-7)
    assert plan.solution.converged
    assert plan.solution.error_bound <= 1e-7
    assert -plan.apply(graph).slack.item() <= 1e-9 * lack + 1e-12 * (np.abs(graph.cash).sum() + value.sum())


def book(lots: bool) -> tuple[cg.ExposureGraph, dict[str, Any]]:
    """Return two accounts at risk, and what may be added: cash and an asset of which there is little."""
    graph = cg.ExposureGraph.from_arrays(
        [[10.0, 0.0], [0.0, 40.0]], price=[100.0, 50.0], margin_long=[0.1, 0.2], cash=[-950.0, -1700.0], depth=1e4,
        traders=["Ann", "Bob"], assets=["ETH", "SOL"],
    )  # fmt: skip
    offer = {"asset": ["", "SOL"], "cost": [0.05, 0.01], "available": [1000.0, 60.0], "limit": [1.0, 0.5]}
    return graph, offer | ({"lot": [1.0, 0.1]} if lots else {})


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("units", [1.0, [1e18, 1e-6], [1e-9, 1e9]])
@pytest.mark.parametrize("lots", [False, True])
def test_top_up_in_any_unit(unit: float, units: Any, lots: bool):
    graph, offer = book(lots)
    plan = cg.collateral.top_up(graph, offer)
    other = priced(graph, unit, units)
    by_asset = np.append(1.0, np.broadcast_to(units, 2)[1]) * np.array([unit, 1.0])
    scaled = offer | {"available": np.multiply(offer["available"], unit)}
    scaled |= {"lot": np.multiply(offer["lot"], by_asset)} if lots else {}
    again = cg.collateral.top_up(other, scaled)
    assert again.total == pytest.approx(plan.total * unit, rel=1e-7)
    assert (again.apply(other).slack >= -1e-8 * again.total).all()


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("units", [1.0, [1e18, 1e-6], [1e-9, 1e9]])
@pytest.mark.parametrize("objective", ["turnover", "cost", "impact", "lots"])
def test_deleverage_in_any_unit(unit: float, units: Any, objective: str):
    graph = book(lots=False)[0]
    lots = [0.25, 0.5] if objective == "lots" else None
    objective = "turnover" if lots else objective
    plan = cg.collateral.deleverage(graph, cost=[0.002, 0.001], objective=objective, lots=lots)
    other = priced(graph, unit, units)
    lots = None if lots is None else np.multiply(lots, np.broadcast_to(units, 2))
    again = cg.collateral.deleverage(other, cost=[0.002, 0.001], objective=objective, lots=lots)
    assert again.total == pytest.approx(plan.total * unit, rel=1e-6)


@pytest.mark.parametrize("unit", UNITS)
def test_transfer_in_any_unit(unit: float):
    graph = cg.ExposureGraph.from_tables(
        positions={"trader": ["Ann"], "asset": ["ETH"], "quantity": [10.0], "pool": ["c"]},
        assets={"asset": ["ETH"], "price": [100.0], "margin_long": [0.1], "depth": [1e5]},
        accounts={"trader": ["Ann"] * 3, "pool": ["a", "b", "c"], "cash": [40.0, 70.0, -950.0]},
    )
    routes = {"from_pool": ["a", "b"], "to_pool": ["c", "c"], "fee": [0.01, 0.02], "capacity": [30.0, 60.0]}
    plan = cg.collateral.transfer(graph, routes)
    scaled = routes | {"capacity": np.multiply(routes["capacity"], unit)}
    again = cg.collateral.transfer(priced(graph, unit, 1.0), scaled)
    assert again.total == pytest.approx(plan.total * unit, rel=1e-9)
    short = routes | {"capacity": np.multiply([1.0, 2.0], unit)}
    with pytest.raises(cg.InfeasibleError, match="capacity of a -> c; capacity of b -> c") as error:
        cg.collateral.transfer(priced(graph, unit, 1.0), short)
    assert list(error.value.missing.values()) == pytest.approx([(50.0 - 0.99 - 1.96) * unit])


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("units", [1.0, 1e18, 1e-9])
def test_stabilise_in_any_unit(unit: float, units: float):
    graph = cg.ExposureGraph.from_arrays(
        [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -750.0], traders=["Ann", "Bob"]
    )
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    end = cg.collateral.stabilise(graph, model, {"0": -0.1})
    again = cg.collateral.stabilise(priced(graph, unit, units), model, {"0": -0.1})
    assert again.plan.total == pytest.approx(end.plan.total * unit, rel=1e-9)
    assert again.lower_bound == pytest.approx(end.lower_bound * unit, rel=1e-9)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e9])
def test_accounts_of_any_size_are_served_alike(size: float):
    """The small account's plan is as cheap as if it stood alone, beside one a billion times its size."""
    rate, price = [0.02, 0.1], [1e-5, 3e3]

    def graph(sizes: list[float]) -> cg.ExposureGraph:
        value = np.outer(sizes, [5e3, 1e3])
        cash = value @ np.array(rate) * 0.8 - value.sum(axis=1)
        return cg.ExposureGraph.from_arrays(value / price, price=price, margin_long=rate, cash=cash)

    alone = cg.collateral.deleverage(graph([1.0])).table["quantity"]
    beside = cg.collateral.deleverage(graph([1.0, size])).table
    assert beside.loc[beside["trader"] == "0", "quantity"].to_numpy() == pytest.approx(alone.to_numpy(), rel=1e-8)


@pytest.mark.parametrize("seed", [39, 45, 55, 71, 167, 181, 245, 257, 371])
def test_accounts_of_nine_orders_of_size_share_what_is_available(seed: int):
    """Books on which the solver gives up, or drops what small accounts take, when it is asked in one way only."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 60)), int(rng.integers(1, 12))
    unit = 10.0 ** rng.uniform(-18, 12)
    price = 10.0 ** rng.uniform(-9, 6, m) * unit
    size = 10.0 ** rng.uniform(0, 9, n)
    value = size[:, None] * rng.lognormal(0, 2, (n, m)) * (rng.random((n, m)) < 0.5) * unit
    side, rate = np.where(rng.random((n, m)) < 0.6, 1, -1), rng.uniform(0.003, 0.4, m)
    maintenance = value @ rate
    cash = maintenance * rng.uniform(0.2, 1.3, n) - (side * value).sum(axis=1)
    graph = cg.ExposureGraph.from_arrays(
        side * value / price, price=price, margin_long=rate, margin_short=rate, cash=cash
    )
    rng.uniform(0, 0.0025, m)
    offer = {
        "asset": ["", *graph.assets],
        "cost": [0.05, *rng.uniform(0, 0.05, m)],
        "available": [np.inf, *(10.0 ** rng.uniform(-3, 1, m) * maintenance.sum())],
        "limit": [1.0, *rng.uniform(0.1, 1, m)],
    }
    plan = cg.collateral.top_up(graph, offer)
    assert plan.solution.error_bound <= 1e-6
    after_lack = -plan.apply(graph).slack.to_numpy()
    assert (after_lack <= 1e-9 * (np.abs(side * value).sum(axis=1) + np.abs(cash))).all()


def test_lots_far_below_the_need_are_rounded_up():
    """A lot of one wei: the plan is whole lots, and as cheap as without lots."""
    graph = cg.ExposureGraph.from_arrays([[1e19]], price=[3e-15], margin_long=0.1, cash=[-27_500.0], assets=["wei"])
    plan = cg.collateral.deleverage(graph, lots=1.0)
    assert plan.total == pytest.approx(5_000.0, rel=1e-9)
    assert (plan.table["quantity"] == plan.table["quantity"].round()).all()


def test_a_solver_that_stops_is_not_called_infeasible(monkeypatch: pytest.MonkeyPatch):
    graph, offer = book(lots=False)
    from contagion_graph.solvers import programme

    whole = programme.optimize.linprog

    def stopped(*args: Any, **options: Any) -> Any:
        answer = whole(*args, **options)
        answer.update(x=None, status=4, message="numerical difficulties")
        return answer

    monkeypatch.setattr(programme.optimize, "linprog", stopped)
    with pytest.raises(cg.ConvergenceError, match="numerical difficulties"):
        cg.collateral.top_up(graph, offer)


def test_a_plan_that_misses_its_needs_or_costs_too_much_is_refused(monkeypatch: pytest.MonkeyPatch):
    graph, offer = book(lots=False)
    from contagion_graph.solvers import programme

    whole = programme.optimize.linprog
    for factor in (0.99, 1.01):

        def wrong(*args: Any, factor: float = factor, **options: Any) -> Any:
            answer = whole(*args, **options)
            answer.update(x=answer.x * factor)
            return answer

        monkeypatch.setattr(programme.optimize, "linprog", wrong)
        with pytest.raises(cg.ConvergenceError, match="top_up"):
            cg.collateral.top_up(graph, offer)


def test_a_programme_without_variables():
    from scipy import sparse

    empty = np.empty(0)
    nothing = Programme(
        cost=empty, gain=sparse.csr_array((0, 0)), need=empty, use=sparse.csr_array((0, 0)), limit=empty, upper=empty,
        whole=np.empty(0, dtype=bool),
    )  # fmt: skip
    answer = nothing.solve("none")
    assert answer is not None
    assert answer.x.size == 0
    assert answer.value == answer.bound == 0.0
