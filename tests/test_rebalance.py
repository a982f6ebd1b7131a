"""The cheapest top-up, deleveraging, transfer and stabilisation, against brute force; and what plans leave true."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import rebalance_before_the_storm as example
from scipy import optimize

import contagion_graph as cg
from tests.reference.vertices import best_point, best_vertex
from tests.shared_data import case


def venue(rng: np.random.Generator, n: int, m: int, **options: Any) -> cg.ExposureGraph:
    """Return accounts long and short of m assets, some of them in breach."""
    quantity = rng.normal(size=(n, m)) * 10.0 * (rng.random((n, m)) < 0.8)
    quantity[:, 0] += 1.0
    price, margin = rng.uniform(1.0, 100.0, m), rng.uniform(0.02, 0.3, m)
    maintenance = np.abs(quantity * price) @ margin
    cash = maintenance * rng.uniform(0.6, 1.3, n) - quantity @ price
    return cg.ExposureGraph.from_arrays(
        quantity, price=price, margin_long=margin, margin_short=margin, cash=cash, depth=1e4, **options
    )


def after_holds(graph: cg.ExposureGraph, plan: cg.collateral.Plan, target: float) -> cg.ExposureGraph:
    """Apply a plan; every account that it was for has its target."""
    after = plan.apply(graph)
    scale = graph.gross_value.to_numpy() + np.abs(graph.cash) + 1.0
    lack = (1.0 + target) * after.maintenance.to_numpy() - after.equity.to_numpy()
    assert (lack <= 1e-9 * scale).all()
    return after


def test_the_published_programmes():
    reference = case("collateral_lp")
    top, down = reference["inputs"]["topup"], reference["inputs"]["delever"]
    expected, tol = reference["expected"], reference["tolerance"]
    names = [f"c{k}" for k in range(3)]
    graph = cg.ExposureGraph.from_arrays(
        [[0.0, 0.0, 0.0, 1.0]],
        price=[1.0, 1.0, 1.0, 1000.0],
        margin_long=[*top["haircut"], 0.15],
        cash=[-1000.0],
        assets=[*names, "risk"],
    )
    plan = cg.collateral.top_up(graph, {"asset": names, "cost": top["cost"], "available": top["avail"]})
    x = plan.table.set_index("asset")["quantity"].reindex(names, fill_value=0.0)
    assert x.to_numpy() == pytest.approx(expected["topup_x"], abs=tol)
    assert plan.total == pytest.approx(expected["topup_cost"], abs=tol)
    notional = np.array(down["notional"])
    graph = cg.ExposureGraph.from_arrays(
        [notional], price=1.0, margin_long=down["mm"], cash=[down["equity"] - notional.sum()], assets=names
    )
    assert graph.slack.item() == pytest.approx(-expected["shortage"])
    plan = cg.collateral.deleverage(graph, cost=down["cost"])
    x = plan.table.set_index("asset")["quantity"].reindex(names, fill_value=0.0)
    assert x.to_numpy() == pytest.approx(expected["delever_x"], abs=tol)
    assert plan.total == pytest.approx(expected["delever_turnover"], abs=tol)
    after_holds(graph, plan, 0.0)


@pytest.mark.parametrize("seed", range(200))
def test_the_cheapest_collateral_is_that_of_every_vertex(seed: int):
    """With lots (every other seed) it is that of every combination of whole lots."""
    rng, lots = np.random.default_rng(seed), seed % 2 == 1
    graph, target = venue(rng, 2, 2), float(rng.choice([0.0, 0.3]))
    lack = (1 + target) * graph.maintenance.to_numpy() - graph.equity.to_numpy()
    risky = np.flatnonzero(lack > 0.0)
    if risky.size == 0:
        assert cg.collateral.top_up(graph, {"asset": [""]}, target=target).table.empty
        return
    offer = {
        "asset": ["", "0"],
        "cost": rng.uniform(0.0, 0.1, 2),
        "available": rng.uniform(0.3, 1.5, 2) * lack[risky].sum(),
        "limit": [1.0, float(rng.uniform(0.3, 1.0))],
        "lot": lack.max() / 3.0 / np.array([1.0, graph.price[0]]) if lots else [np.nan, np.nan],
    }
    step = offer["lot"] * np.array([1.0, graph.price[0]]) if lots else np.ones(2)
    gain = step * np.array([1.0, 1.0 - (1 + target) * graph.margin_long[0]])
    collateral = np.maximum(graph.quantity.toarray(), 0.0) @ graph.price + np.maximum(graph.cash, 0.0)
    A, b = [], []
    for place, row in enumerate(risky):
        A.append(-np.kron(np.eye(risky.size)[place], gain))
        b.append(-lack[row])
        share = offer["limit"][1]
        A.append(np.kron(np.eye(risky.size)[place], step * (np.array([0.0, 1.0]) - share)))
        held = max(graph.quantity.toarray()[row, 0], 0.0) * graph.price[0]
        b.append(max(share * collateral[row] - held, 0.0))
    for k in range(2):
        A.append(np.tile(step * np.eye(2)[k], risky.size))
        b.append(offer["available"][k])
    cost = np.tile(step * offer["cost"], risky.size)
    A, b = np.array(A), np.array(b)
    best = best_point(cost, A, b, 5) if lots else best_vertex(cost, A, b)
    if best is None:
        with pytest.raises(cg.InfeasibleError, match="lacks") as error:
            cg.collateral.top_up(graph, offer, target=target)
        assert sum(error.value.missing.values()) > 0.0
        return
    plan = cg.collateral.top_up(graph, offer, target=target)
    assert plan.total == pytest.approx(best, rel=1e-7, abs=1e-9)
    after_holds(graph, plan, target)


@pytest.mark.parametrize("seed", range(200))
def test_the_least_deleveraging_is_that_of_every_vertex(seed: int):
    rng, lots = np.random.default_rng(seed), seed % 2 == 1
    graph, objective = venue(rng, 1, 3), ["turnover", "cost"][seed // 2 % 2]
    cost = rng.uniform(0.0, 0.05, 3)
    units = np.abs(graph.quantity.toarray()[0])
    lack = float(graph.maintenance.item() - graph.equity.item())
    lot = np.where(lots, np.maximum(units / 3.0, 1e-3), 0.0)
    step = np.where(lots, lot, 1.0) * graph.price
    most = np.floor(units / np.where(lots, lot, 1.0) + 1e-9) if lots else units
    if lack <= 0.0:
        assert cg.collateral.deleverage(graph, cost=cost).table.empty
        return
    A = np.vstack([-(graph.margin_long - cost) * step, np.eye(3)])
    b = np.concatenate([[-lack], most])
    c = step if objective == "turnover" else cost * step
    best = best_point(c, A, b, 4) if lots else best_vertex(c, A, b)
    options = {"cost": cost, "objective": objective, "lots": lot if lots else None}
    if best is None:
        with pytest.raises(cg.InfeasibleError, match="closed"):
            cg.collateral.deleverage(graph, **options)
        return
    plan = cg.collateral.deleverage(graph, **options)
    assert plan.total == pytest.approx(best, rel=1e-7, abs=1e-9)
    after_holds(graph, plan, 0.0)


@pytest.mark.parametrize("seed", range(20))
def test_the_least_impact_is_that_of_another_solver(seed: int):
    rng = np.random.default_rng(seed)
    graph, cost = venue(rng, 3, 3), rng.uniform(0.0, 0.01, 3)
    plan = cg.collateral.deleverage(graph, cost=cost, objective="impact")
    held, value = graph.quantity.toarray(), np.abs(graph.quantity.toarray()) * graph.price
    lack = np.maximum(graph.maintenance.to_numpy() - graph.equity.to_numpy(), 0.0)

    def objective(share: np.ndarray) -> float:
        x = share.reshape(value.shape) * value
        sides = [np.where(side, x, 0.0).sum(axis=0) for side in (held > 0, held < 0)]
        return (cost * x).sum() + (np.array(sides) ** 2).sum() / 2e4

    def enough(share: np.ndarray) -> np.ndarray:
        return ((graph.margin_long - cost) * share.reshape(value.shape) * value).sum(axis=1) - lack

    other = optimize.minimize(
        objective, np.full(9, 0.5), bounds=[(0, 1)] * 9, constraints={"type": "ineq", "fun": enough}, method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    assert enough(other.x).min() >= -1e-6
    assert plan.total <= other.fun * (1.0 + 1e-5) + 1e-9
    after_holds(graph, plan, 0.0)


def two_pools(rng: np.random.Generator) -> cg.ExposureGraph:
    """Return one trader, at risk in pool c, with cash in a and b."""
    return cg.ExposureGraph.from_tables(
        positions={"trader": ["Ann"], "asset": ["ETH"], "quantity": [10.0], "pool": ["c"]},
        assets={"asset": ["ETH"], "price": [100.0], "margin_long": [0.1]},
        accounts={"trader": ["Ann"] * 3, "pool": ["a", "b", "c"], "cash": [*rng.uniform(0.0, 80.0, 2), -950.0]},
    )


@pytest.mark.parametrize("seed", range(200))
def test_the_cheapest_transfer_is_that_of_every_vertex(seed: int):
    rng = np.random.default_rng(seed)
    graph, fee, capacity = two_pools(rng), rng.uniform(0.0, 0.2, 2), rng.uniform(10.0, 90.0, 2)
    routes = {"from_pool": ["a", "b"], "to_pool": ["c", "c"], "fee": fee, "capacity": capacity}
    A = np.vstack([-(1.0 - fee), np.eye(2), np.eye(2)])
    cash = graph.cash[graph.account_index.get_level_values("pool") != "c"]
    best = best_vertex(fee, A, np.concatenate([[-50.0], capacity, cash]))
    if best is None:
        with pytest.raises(cg.InfeasibleError, match=r"capacity of|cash to spare in Ann / "):
            cg.collateral.transfer(graph, routes)
        return
    plan = cg.collateral.transfer(graph, routes)
    assert plan.total == pytest.approx(best, rel=1e-7, abs=1e-9)
    after = after_holds(graph, plan, 0.0)
    assert after.equity.sum() == pytest.approx(graph.equity.sum() - plan.total)


def test_a_slow_route_is_not_used_and_nobody_else_pays():
    graph = two_pools(np.random.default_rng(3))
    routes = {"from_pool": ["a", "b"], "to_pool": ["c", "c"], "delay": [7.0, 0.1], "fee": [0.0, 0.1]}
    with pytest.raises(cg.InfeasibleError, match="Ann / c / "):
        cg.collateral.transfer(graph.assign(cash={("Ann", "b", ""): 1.0}), routes, deadline=1.0)
    plan = cg.collateral.transfer(graph.assign(cash={("Ann", "b", ""): 100.0}), routes, deadline=1.0)
    assert set(plan.table["pool"]) == {"b", "c"}


def needs_of(graph: cg.ExposureGraph, keep: np.ndarray, shocked: np.ndarray) -> float:
    """Return the least cash that keeps some accounts of a one-sided market open, by a loop over rounds."""
    q, mu = graph.quantity.toarray(), graph.margin_units.toarray()
    closed, price = np.zeros(len(q), dtype=bool), shocked
    need = np.zeros(len(q))
    while True:
        lack = mu @ price - graph.cash - q @ price
        need = np.maximum(need, np.where(keep, lack, 0.0))
        more = (lack > 0.0) & ~keep & ~closed
        if not more.any():
            return float(need.sum())
        closed |= more
        price = shocked * np.exp(-(q[closed].sum(axis=0) * graph.price) / graph.depth)


@pytest.mark.parametrize("seed", range(200))
def test_the_least_intervention_is_that_of_all_combinations(seed: int):
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    quantity = rng.random((n, m)) * 10.0
    cash = -(quantity.sum(axis=1) * 100.0) * rng.uniform(0.6, 0.9, n)
    graph = cg.ExposureGraph.from_arrays(quantity, price=100.0, depth=1e4, margin_long=0.05, cash=cash)
    shock = dict(zip(graph.assets, rng.uniform(-0.3, 0.0, m), strict=True))
    shocked = graph.price * (1.0 + np.array(list(shock.values())))
    event = ["contagion", "closure"][seed % 2]
    direct = graph.margin_units @ shocked > graph.cash + graph.quantity @ shocked
    must = ~direct if event == "contagion" else np.ones(n, dtype=bool)
    costs = [needs_of(graph, must | ((number >> np.arange(n)) % 2 == 1), shocked) for number in range(2**n)]
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    end = cg.collateral.stabilise(graph, model, shock, event=event)
    assert end.plan.total == pytest.approx(min(costs), rel=1e-9, abs=1e-6)
    assert end.lower_bound == pytest.approx(min(costs), rel=1e-9, abs=1e-6)
    verified = model.run(end.plan.apply(graph), shock).arrays.closed
    assert (verified[must] == 0.0).all()
    assert (verified == end.result.arrays.closed).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("liquidation", [cg.FullLiquidation(), cg.TargetMargin(0.1), cg.CloseFactor()])
def test_with_shared_losses_on_a_netted_book_it_still_stops_where_promised(seed: int, liquidation: Any):
    rng = np.random.default_rng(seed)
    graph = venue(rng, 8, 3).assign(insurance_fund=10.0)
    model = cg.MarginCascade(liquidation, penalty=0.01)
    end = cg.collateral.stabilise(graph, model, {"0": -0.1}, event=["3", "7"])
    assert (end.result.arrays.breach_round[[3, 7]] == 0).all()
    assert end.lower_bound is None
    again = model.run(end.plan.apply(graph), {"0": -0.1})
    assert again.accounts["closed"].to_numpy() == pytest.approx(end.result.accounts["closed"].to_numpy(), abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_on_tables_keeps_positions_entry_prices_and_the_sum_of_money(seed: int):
    graph = cg.generate.perpetuals(1500, 4, rng=seed)
    shocked = graph.assign(price=graph.price * [0.7, 1.2, 0.9, 0.8])
    solvent = shocked.account_index[(shocked.equity > 0.0) & (shocked.slack < 0.0)]
    assert len(solvent)
    plan = cg.collateral.deleverage(shocked, target=0.2, cost=1e-9, accounts=list(solvent))
    after = plan.apply(shocked)
    assert (after.slack[solvent] >= 0.2 * after.maintenance[solvent] - 1e-6).all()
    assert after.equity.sum() == pytest.approx(shocked.equity.sum() - plan.table["cost"].sum())
    assert after.account_index.equals(shocked.account_index)
    assert (after.gross_value <= shocked.gross_value + 1e-6).all()
    untouched = ~shocked.account_index.isin(solvent)
    assert (after.cash[untouched] == shocked.cash[untouched]).all()


def two_longs() -> cg.ExposureGraph:
    """Return Ann, whom a fall of 10 % brings into breach, and Bob, whom her sales do."""
    return cg.ExposureGraph.from_arrays(
        [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -750.0], traders=["Ann", "Bob"]
    )


def test_plans_and_stabilisations_are_results():
    graph, model = two_longs(), cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    plan = cg.collateral.deleverage(graph.assign(cash=[-910.0, -750.0]))
    assert repr(plan) == "<Plan: 1 line for 1 account; total 100. Converged.>"
    assert plan.summary().to_dict() == {"accounts": 1.0, "lines": 1.0, "total": pytest.approx(100.0), "cost": 0.0}
    assert plan.to_frames()["plan"].columns.tolist() == plan.table.columns.tolist()
    assert plan.solution.converged
    assert plan.model is None
    end = cg.collateral.stabilise(graph, model, {"0": -0.10})
    assert end.model is model
    assert end.plan.model is model
    assert end.solution.converged
    assert end.solution.steps == 1
    assert set(end.to_frames()) == {"summary", "plan", "accounts"}
    total = end.plan.total
    assert end.summary()[["total", "lower_bound", "spared", "closed"]].tolist() == [total, total, 1.0, 1.0]
    assert repr(end) == (
        f"<Stabilisation: {total:,.6g} for 1 account (at least {total:,.6g} is needed); 1 close. Converged.>"
    )


def test_needs_that_are_not_found_are_told():
    """Bob lacks something after Ann's sales, Dan after Cleo's: two cascades do not say what keeps both open."""
    graph = cg.ExposureGraph.from_arrays(
        [[10.0]] * 4,
        price=[100.0],
        depth=1e4,
        margin_long=0.1,
        cash=[-850.0, -750.0, -750.0, -700.0],
        traders=["Ann", "Bob", "Cleo", "Dan"],
    )
    model, shock, event = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), {"0": -0.10}, ["Bob", "Dan"]
    whole = cg.collateral.stabilise(graph, model, shock, event=event)
    assert (whole.result.accounts.loc[event, "closed"] == 0.0).all()
    with pytest.raises(cg.ConvergenceError, match=r"stabilise: Stopped .* raise max_iter") as error:
        cg.collateral.stabilise(graph, model, shock, event=event, max_iter=1)
    assert error.value.solution.steps == 1
    with pytest.warns(cg.ConvergenceWarning, match="keep fewer accounts open"):
        cut = cg.collateral.stabilise(graph, model, shock, event=event, max_iter=1, on_failure="warn")
    assert not cut.solution.converged
    assert "Stopped" in repr(cut)
    for wrong in ({"max_iter": 0}, {"on_failure": "stop"}):
        with pytest.raises(cg.ParameterError):
            cg.collateral.stabilise(graph, model, shock, **wrong)


GRAPH = venue(np.random.default_rng(0), 6, 2).assign(cash=-1e6)
REFUSED = [
    (lambda: cg.collateral.top_up(GRAPH, {"asset": ["EHT"]}), cg.TableError, "unknown label 'EHT'"),
    (lambda: cg.collateral.top_up(GRAPH, {"asset": []}), cg.ParameterError, "no rows"),
    (lambda: cg.collateral.top_up(GRAPH, {"asset": [""], "cost": [-1.0]}), cg.TableError, "eligible.cost"),
    (lambda: cg.collateral.top_up(GRAPH, {"asset": [""], "lot": [0.0]}), cg.TableError, "eligible.lot"),
    (lambda: cg.collateral.top_up(GRAPH, {"asset": ["", ""]}), cg.TableError, "repeated"),
    (
        lambda: cg.collateral.top_up(GRAPH, {"asset": [""], "available": [10.0]}),
        cg.InfeasibleError,
        r": available cash\. A",
    ),
    (lambda: cg.collateral.top_up(GRAPH, {"asset": [""]}, target=-1.0), cg.ParameterError, "target"),
    (lambda: cg.collateral.top_up(GRAPH, {"asset": [""]}, accounts=["Zoe"]), cg.ParameterError, "'Zoe'"),
    (lambda: cg.collateral.top_up("graph", {"asset": [""]}), cg.ParameterError, "graph is a str"),
    (lambda: cg.collateral.deleverage(GRAPH), cg.InfeasibleError, "all of its 0 closed"),
    (lambda: cg.collateral.deleverage(GRAPH, objective="speed"), cg.ParameterError, "objective is 'speed'"),
    (lambda: cg.collateral.deleverage(GRAPH, objective="impact", lots=1.0), cg.ParameterError, "lots are whole"),
    (lambda: cg.collateral.deleverage(GRAPH, cost={"Y": 0.1}), cg.ParameterError, "unknown label 'Y'"),
    (lambda: cg.collateral.deleverage(GRAPH, cost=2.0), cg.ParameterError, "cost"),
    (lambda: cg.collateral.deleverage(GRAPH, lots=np.nan), cg.ParameterError, "lots"),
    (lambda: cg.collateral.transfer(GRAPH, {"from_pool": ["x"], "to_pool": ["pool"]}), cg.TableError, "label 'x'"),
    (lambda: cg.collateral.transfer(GRAPH, {"from_pool": ["pool"]}), cg.TableError, "to_pool"),
    (
        lambda: cg.collateral.transfer(GRAPH, {"from_pool": ["pool"], "to_pool": ["pool"]}),
        cg.InfeasibleError,
        "nothing that may be used helps it",
    ),
    (
        lambda: cg.collateral.transfer(GRAPH, {"from_pool": ["pool"], "to_pool": ["pool"]}, deadline=-1.0),
        cg.ParameterError,
        "deadline",
    ),
    (lambda: cg.collateral.stabilise(GRAPH, cg.MarginCascade(), None, event="rain"), cg.ParameterError, "'rain'"),
    (lambda: cg.collateral.stabilise(GRAPH, cg.MarginCascade(), None, event=["Zoe"]), cg.ParameterError, "'Zoe'"),
    (lambda: cg.collateral.stabilise(GRAPH, "model", None), cg.ParameterError, "give a MarginCascade"),
    (
        lambda: cg.collateral.stabilise(GRAPH, cg.MarginCascade(cg.LeverageTarget(5, target=4)), None),
        cg.ParameterError,
        "not LeverageTarget",
    ),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_cannot_be_is_refused_by_name(number: int):
    call, error, words = REFUSED[number]
    with pytest.raises(error, match=words):
        call()


def test_a_plan_for_another_graph_is_refused():
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-950.0], traders=["Ann"])
    plan = cg.collateral.deleverage(graph)
    with pytest.raises(cg.ParameterError, match="closes 5 units of '0' and holds 1"):
        plan.apply(graph.subset(traders=["Ann"]).from_arrays([[1.0]], price=[100.0], traders=["Ann"]))
    with pytest.raises(cg.ParameterError, match="no account 'Ann"):
        plan.apply(cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], traders=["Bob"]))
    empty = cg.collateral.Plan(pd.DataFrame(columns=plan.table.columns), total=0.0)
    assert empty.apply(graph).equity.tolist() == graph.equity.tolist()


def test_the_example_stops_the_cascade_where_the_shock_alone_stops(capsys: pytest.CaptureFixture[str]):
    graph = example.build_graph()
    table = example.outcomes(graph)
    assert (table["closed by the shock"].drop("nothing") <= table.loc["nothing", "closed by the shock"]).all()
    end = example.stop(graph)
    shocked = graph.price * np.where(graph.assets == "ETH", 1.0 + example.SHOCK["ETH"], 1.0)
    direct = graph.margin_units @ shocked > graph.cash + graph.quantity @ shocked
    assert not (end.result.arrays.breach_round[~direct] > 0).any()
    example.main()
    assert f"{end.plan.total:,.0f}" in capsys.readouterr().out
