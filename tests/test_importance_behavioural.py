"""Knock-outs, Shapley values, overlaps and DebtRank against brute force, dense definitions and closed forms."""

import warnings
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph._solution import Status
from contagion_graph.distress.debtrank import propagate
from tests.markets import graph_of, model_of
from tests.reference.small_markets import small_market
from tests.shared_data import SHARED, case

importance = cg.importance
MEASURES = ("loss", "shortfall", "uncovered")


def market(seed: int, *, one_sided: bool) -> tuple[cg.ExposureGraph, cg.MarginCascade, dict[str, float]]:
    drawn = small_market(np.random.default_rng(seed), one_sided=one_sided)
    graph = graph_of(drawn.market)
    return graph, model_of(drawn.rules), dict(zip(graph.assets, drawn.shock, strict=True))


def crowd(seed: int, n: int = 60, m: int = 6) -> tuple[cg.ExposureGraph, dict[str, float]]:
    """Draw a market with one side an asset, heavy tails, traders with several accounts, an asset that nobody sells."""
    rng = np.random.default_rng(seed)
    value = (rng.random((n, m)) < 0.5) * rng.lognormal(0.0, 1.0, (n, m)) * (rng.pareto(1.2, (n, 1)) + 1.0)
    value[:, 0] += 0.1
    side = np.where(rng.random(m) < 0.7, 1.0, -1.0)
    cash = value.sum(axis=1) * rng.uniform(0.03, 0.4, n) - (value * side).sum(axis=1)
    graph = cg.ExposureGraph.from_arrays(
        value * side,
        price=1.0,
        depth=value.sum(axis=0) * rng.uniform(0.5, 5.0),
        margin_long=0.05,
        margin_short=0.05,
        cash=cash,
        sellable=[True] * (m - 1) + [False],
        pool=np.arange(n) // (2 * n // 3),
        insurance_fund=0.01 * value.sum() * rng.random(),
        traders=np.arange(n) % (2 * n // 3),
    )
    return graph, dict(zip(graph.assets, -side * rng.uniform(0.0, 0.15, m), strict=True))


def brute_force(graph: cg.ExposureGraph, model: Any, shock: Any) -> pd.DataFrame:
    """Run with all and without each trader, with the shock and without, and take differences: one column a measure."""

    def amounts(result: cg.CascadeResult, left_out: str | None = None) -> np.ndarray:
        loss, pools = result.accounts["loss"], result.pools
        own = 0.0 if left_out is None else loss.xs(left_out, level="trader").sum()
        return np.array([loss.sum() - own, pools["shortfall"].sum(), pools["uncovered"].sum()])

    whole = [(sign, each, model.run(graph, each)) for sign, each in ((1.0, shock), (-1.0, {}))]
    total = {}
    for trader in graph.traders:
        rest = graph.subset(traders=graph.traders.drop(trader))
        changes = [sign * (amounts(full, trader) - amounts(model.run(rest, each))) for sign, each, full in whole]
        total[trader] = sum(changes)
    return pd.DataFrame.from_dict(total, orient="index", columns=MEASURES)


def assert_top(found: pd.Series, every: pd.Series, k: int, slip: float) -> None:
    """Check that values are the k largest and belong to their traders; these can differ only where values tie."""
    largest = every.sort_values(ascending=False).head(k)
    np.testing.assert_allclose(found.to_numpy(), largest.to_numpy(), atol=slip)
    np.testing.assert_allclose(found.to_numpy(), every[found.index].to_numpy(), atol=slip)


# --- knock-out --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_sided", [True, False])
@pytest.mark.parametrize("block", range(5))
def test_knockout_is_leaving_one_out(block: int, one_sided: bool):
    moved = 0
    for seed in range(10 * block, 10 * (block + 1)):
        graph, model, shock = market(seed, one_sided=one_sided)
        if len(graph.traders) == 1:
            continue
        measure = MEASURES[max(seed % 5 - 2, 0)]
        expected = brute_force(graph, model, shock)[measure]
        slip = 1e-9 * graph.gross_value.sum()
        found = importance.knockout(graph, model, shock, measure=measure)
        np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), atol=slip)
        assert_top(importance.knockout(graph, model, shock, k=2, measure=measure), expected, 2, slip)
        moved += (expected.abs() > slip).any()
    assert moved > 0


@pytest.mark.parametrize("seed", range(12))
def test_bounds_keep_the_largest(seed: int):
    (graph, shock), rng = crowd(seed, n=30), np.random.default_rng(seed)
    model = cg.MarginCascade(
        waterfall=(cg.InsuranceFund(),),
        impact=cg.LinearImpact() if seed % 2 else cg.ExponentialImpact(),
        penalty=float(rng.choice([0.0, 0.05])),
        trade_price_weight=None if seed % 3 else 0.5,
    )
    slip = 1e-9 * graph.gross_value.sum()
    everything = brute_force(graph, model, shock)
    for measure in MEASURES:
        every = everything[measure]
        found = importance.knockout(graph, model, shock, k=5, measure=measure)
        assert "bounds" in found.attrs["method"]
        assert_top(found, every, 5, slip)
        np.testing.assert_allclose(importance.knockout(graph, model, shock, measure=measure), every, atol=slip)


@pytest.mark.parametrize("seed", range(10))
def test_no_knockout_is_above_its_bound(seed: int):
    from contagion_graph.importance.absences.coalitions import Game
    from contagion_graph.importance.absences.knockout_bounds import Bounds

    (graph, shock), rng = crowd(seed), np.random.default_rng(seed)
    for measure in MEASURES:
        game = Game(
            graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),), penalty=0.02), shock, measure=measure, name="test"
        )
        candidates = np.flatnonzero(game.shocked.matters & ~game.quiet.matters)
        bounds, slip = Bounds(game), 1e-9 * graph.gross_value.sum()
        exact = pd.Series({trader: game.knockout(trader) for trader in candidates})
        for size in (candidates.size, candidates.size // 3, 2, 1):
            group = rng.permutation(candidates)[: max(size, 1)]
            assert (exact[group].to_numpy() <= bounds.group(group) + slip).all()


def test_bounds_spare_runs():
    graph, shock = crowd(1, n=500)
    graph = graph.assign(depth=graph.depth * 20, cash=graph.cash + 0.03 * graph.gross_value.to_numpy())
    every = importance.knockout(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), shock)
    few = importance.knockout(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), shock, k=5)
    assert few.attrs["runs"] < every.attrs["runs"] / 2


def test_netted_books_say_that_all_were_run():
    graph = cg.generate.perpetuals(60, 3, rng=2)
    found = importance.knockout(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), {"BTC": -0.3}, k=3)
    assert "longs and shorts of an asset meet" in found.attrs["method"]
    assert_top(
        found, brute_force(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), {"BTC": -0.3})["loss"], 3, 1e-6
    )


@pytest.mark.parametrize("liquidation", [cg.TargetMargin(0.1), cg.LeverageTarget(cap=10, target=8)])
def test_knockout_of_other_rules(liquidation: Any):
    graph, shock = crowd(5, n=12)
    model, shock = cg.MarginCascade(liquidation=liquidation), {asset: 3 * change for asset, change in shock.items()}
    expected = brute_force(graph, model, shock)["loss"]
    assert expected.abs().max() > 0
    np.testing.assert_allclose(importance.knockout(graph, model, shock), expected, atol=1e-9 * graph.gross_value.sum())


def test_knockout_of_the_toy_and_of_some_traders():
    given = case("unified_cascade_toy")["inputs"]
    graph = cg.ExposureGraph.from_arrays(
        given["H"],
        price=given["p0"],
        depth=np.array(given["p0"]) / given["alpha"],
        margin_long=given["mm"],
        cash=given["cash"],
        insurance_fund=given["fund"],
        share=given["soc_base"],
        traders=list("ABCDEF"),
        assets=["X", "Y", "Z"],
    )
    model, shock = (
        cg.MarginCascade(penalty=given["fee"], waterfall=(cg.InsuranceFund(), cg.ProRata("share"))),
        {"X": -given["shock"][0]},
    )
    expected = brute_force(graph, model, shock)["loss"]
    found = importance.knockout(graph, model, shock, traders=["E", "A"])
    assert found.index.tolist() == ["E", "A"]
    np.testing.assert_allclose(found, expected[["E", "A"]], atol=1e-9)
    assert importance.knockout(graph, model, shock, k=1).index.tolist() == [expected.idxmax()]
    assert importance.knockout(graph, model, shock, k=99).size == 6


def test_nothing_happens_without_a_shock_or_a_breach():
    graph, _ = crowd(3)
    assert (importance.knockout(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), {}) == 0.0).all()
    assert importance.knockout(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), {}, k=3).size == 3


@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_the_largest_50_of_the_banks_of_2011(margin: float):
    folder = Path(SHARED, "data", "eba_2011")
    if not folder.exists():
        pytest.skip(f"{folder} is absent; set CONTAGION_GRAPH_SHARED to the folder with the data")
    from eba_2011_fire_sale import SHOCK, build_graph

    banks = build_graph(folder)
    graph = cg.ExposureGraph.from_arrays(
        banks.quantity, price=1.0, depth=3 * banks.depth, margin_long=margin, cash=banks.cash, traders=banks.traders,
        assets=banks.assets,
    )  # fmt: skip
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    every = brute_force(graph, model, SHOCK)["loss"]
    found = importance.knockout(graph, model, SHOCK, k=50)
    assert "bounds" in found.attrs["method"]
    assert (every > 0).sum() > 50
    assert_top(found, every, 50, 1e-9 * graph.gross_value.sum())
    assert set(found.index) == set(every.nlargest(50).index)


# --- vulnerable banks -------------------------------------------------------------------------------------------------


def test_systemicness_and_vulnerability_reproduce_the_case():
    given = case("glt_vulnerable_banks")
    inputs, expected = given["inputs"], given["expected"]
    total, share = np.array(inputs["A"]), np.array(inputs["M"])
    graph = cg.ExposureGraph.from_arrays(
        total[:, None] * share, price=1.0, depth=1 / np.array(inputs["price_impact"]), cash=-np.array(inputs["D"])
    )
    shock = dict(zip(graph.assets, inputs["shock"], strict=True))
    systemic = importance.systemicness(graph, shock)
    assert systemic.to_numpy() == pytest.approx(-np.array(expected["S"]), abs=given["tolerance"])
    assert systemic.sum() == pytest.approx(-expected["AV"], abs=given["tolerance"])
    vulnerable = importance.indirect_vulnerability(graph, shock)
    assert vulnerable.to_numpy() == pytest.approx(-np.array(expected["IV"]), abs=given["tolerance"])
    assert (systemic.name, vulnerable.name) == ("systemicness", "indirect_vulnerability")


# --- Shapley ----------------------------------------------------------------------------------------------------------


def test_the_airport_game_exactly_and_sampled():
    given = case("shapley_airport")
    costs, phi = np.array(given["inputs"]["costs"]), np.array(given["expected"]["phi"])

    def runway(planes: np.ndarray) -> float:
        return float(costs[planes].max(initial=0.0))

    exact = importance.shapley_values(runway, 4)
    np.testing.assert_allclose(exact["shapley"], phi, atol=given["tolerance"])
    assert (exact["standard_error"] == 0.0).all()
    sampled = importance.shapley_values(runway, 4, n_permutations=2000, rng=1)
    assert (np.abs(sampled["shapley"] - phi) <= 4 * sampled["standard_error"]).all()
    assert sampled["shapley"].sum() == pytest.approx(7.0)


def test_confidence_intervals_hold_as_often_as_they_say():
    costs = np.array([1.0, 2.0, 3.0, 7.0])
    phi = np.array([0.25, 0.5833333333333333, 1.0833333333333333, 5.0833333333333333])

    def runway(planes: np.ndarray) -> float:
        return float(costs[planes].max(initial=0.0))

    tables = [importance.shapley_values(runway, 4, n_permutations=100, rng=seed) for seed in range(300)]
    inside = np.mean([(table["low"] <= phi) & (phi <= table["high"]) for table in tables], axis=0)
    assert ((inside > 0.88) & (inside < 0.99)).all()


def test_sixteen_players_are_sampled():
    weight = np.arange(16.0)
    table = importance.shapley_values(lambda inside: float(weight[inside].sum()), 16, n_permutations=3, rng=0)
    np.testing.assert_allclose(table["shapley"], weight)


@pytest.mark.parametrize("seed", range(15))
def test_shapley_adds_up_and_is_the_mean_over_all_orders(seed: int):
    graph, model, shock = market(seed, one_sided=seed % 2 == 0)
    players, measure = list(graph.traders[:4]), MEASURES[seed % 3]
    slip = 1e-9 * graph.gross_value.sum()

    def worth(present: list[str]) -> float:
        part = [trader for trader in graph.traders if trader in present or trader not in players]
        if not part:
            return 0.0
        smaller = graph.subset(traders=part)
        runs = [model.run(smaller, each) for each in (shock, {})]
        totals = [run.traders["loss"].sum() if measure == "loss" else run.pools[measure].sum() for run in runs]
        return float(totals[0] - totals[1])

    table = importance.shapley(graph, model, shock, traders=players, measure=measure)
    assert table["shapley"].sum() == pytest.approx(worth(players) - worth([]), abs=slip)
    orders = list(permutations(players))
    mean = dict.fromkeys(players, 0.0)
    known = {frozenset(s): worth(list(s)) for size in range(len(players) + 1) for s in combinations(players, size)}
    for order in orders:
        for k, trader in enumerate(order):
            after, before = known[frozenset(order[: k + 1])], known[frozenset(order[:k])]
            mean[trader] += (after - before) / len(orders)
    np.testing.assert_allclose(table["shapley"], pd.Series(mean)[players], atol=slip)


@pytest.mark.parametrize("seed", range(10))
def test_all_traders_share_the_loss_of_the_pools(seed: int):
    graph, model, shock = market(seed, one_sided=False)
    expected = model.run(graph, shock).pools["shortfall"].sum() - model.run(graph).pools["shortfall"].sum()
    for table in (
        importance.shapley(graph, model, shock)["shapley"],
        importance.aumann_shapley(graph, model, shock, n_points=3, n_permutations=2, rng=0)["aumann_shapley"],
        importance.shapley(graph, model, shock, n_permutations=5, rng=0)["shapley"],
    ):
        assert table.sum() == pytest.approx(expected, abs=1e-9 * graph.gross_value.sum())
        assert table.index.tolist() == graph.traders.tolist()


def twins() -> tuple[cg.ExposureGraph, cg.MarginCascade, dict[str, float]]:
    """Return a market in which A and B are alike and D is never in danger, sells nothing and shares nothing."""
    graph = cg.ExposureGraph.from_arrays(
        [[10.0, 0.0], [10.0, 0.0], [4.0, 5.0], [1.0, 0.0]],
        price=100.0,
        depth=5e3,
        margin_long=0.1,
        cash=[-850.0, -850.0, -780.0, 1e3],
        traders=list("ABCD"),
        assets=["X", "Y"],
    )
    return graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), {"X": -0.1}


def test_alike_traders_share_alike_and_a_dummy_nothing():
    graph, model, shock = twins()
    for measure in ("shortfall", "uncovered"):
        exact = importance.shapley(graph, model, shock, measure=measure)["shapley"]
        grown = importance.aumann_shapley(graph, model, shock, measure=measure, rng=0)["aumann_shapley"]
        assert exact["A"] == pytest.approx(exact["B"], rel=1e-12)
        assert exact["A"] > 0
        assert grown["A"] == pytest.approx(grown["B"], rel=1e-2)
        assert exact["D"] == grown["D"] == 0.0


def test_aumann_shapley_of_a_quadratic_loss_is_its_integral():
    value, depth = np.array([300.0, 100.0, 50.0]), 1e4
    graph = cg.ExposureGraph.from_arrays(value[:, None], price=1.0, depth=depth, margin_long=1.0, cash=-0.5 * value)
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),), impact=cg.LinearImpact())
    shares = importance.aumann_shapley(graph, model, {"0": -0.01}, measure="loss", n_points=3, n_permutations=2, rng=0)
    # all are in breach at any size, with and without the shock, and sell S = sum value at the mean price 1 - S / (2 D)
    expected = 0.01 * value - 0.01 * value * value.sum() / (2 * depth)
    np.testing.assert_allclose(shares["aumann_shapley"], expected, rtol=1e-9)


# --- overlap ----------------------------------------------------------------------------------------------------------


def holders(seed: int, *, netted: bool) -> cg.ExposureGraph:
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(2, 30)), int(rng.integers(1, 12))
    quantity = (rng.random((n, m)) < rng.uniform(0.2, 0.9)) * rng.lognormal(0.0, 1.5, (n, m))
    quantity *= rng.choice([-1.0, 1.0], (n, m)) if netted else 1.0
    depth = rng.lognormal(5.0, 1.0, m)
    depth[1:][rng.random(m - 1) < 0.2] = np.inf
    return cg.ExposureGraph.from_arrays(
        quantity,
        price=rng.lognormal(0.0, 1.0, m),
        depth=depth,
        sellable=np.append(True, rng.random(m - 1) < 0.8),
        cash=np.abs(quantity).sum(axis=1) * rng.uniform(0.0, 20.0, n),
        pool=np.arange(n) // -(-2 * n // 3),
        traders=np.arange(n) % -(-2 * n // 3),
    )


def dense_overlap(graph: cg.ExposureGraph, *, signed: bool = False) -> np.ndarray:
    """Return Omega in full, longs and shorts apart, or with signs."""
    member = np.equal.outer(np.arange(len(graph.traders)), graph._rows.trader_of).astype(float)
    value, per_value = graph.quantity.toarray() * graph.price, np.where(graph.sellable, 1 / graph.depth, 0.0)
    parts = [value] if signed else [np.maximum(value, 0.0), np.maximum(-value, 0.0)]
    return sum((member @ part * per_value) @ (member @ part).T for part in parts)


@pytest.mark.parametrize("netted", [True, False])
@pytest.mark.parametrize("block", range(5))
def test_indices_are_their_dense_definitions(block: int, netted: bool):
    for seed in range(10 * block, 10 * (block + 1)):
        graph = holders(seed, netted=netted)
        for signed in (True, False):
            omega = dense_overlap(graph, signed=signed)
            found = importance.indirect_contagion_index(graph, netted=signed)
            others = omega.sum(axis=1) - np.diag(omega)
            np.testing.assert_allclose(found, others, rtol=1e-9, atol=1e-12 * omega.max(initial=1.0))
        alone = (omega - np.diag(np.diag(omega)) == 0.0).all(axis=1)
        omega[alone] = omega[:, alone] = 0.0
        index = importance.endogenous_risk_index(graph, tol=1e-12)
        values, vectors = np.linalg.eigh(omega)
        if not omega.any():
            assert (index == 0.0).all()
        elif values.size == 1 or values[-2] < 0.99 * values[-1]:
            perron = np.abs(vectors[:, -1])
            np.testing.assert_allclose(index, perron / perron.sum(), atol=1e-8)
        assert (index[alone] == 0.0).all()


def test_who_shares_nothing_has_no_index_however_large():
    graph = cg.ExposureGraph.from_arrays(
        [[1.0, 0.0], [2.0, 0.0], [0.0, 1e6]], price=1.0, depth=100.0, traders=["A", "B", "Giant"]
    )
    assert importance.indirect_contagion_index(graph)["Giant"] == 0.0
    assert importance.endogenous_risk_index(graph).round(9).to_dict() == {
        "A": 0.333333333,
        "B": 0.666666667,
        "Giant": 0.0,
    }
    apart = graph.subset(traders=["A", "Giant"])
    assert (importance.endogenous_risk_index(apart) == 0.0).all()


# --- DebtRank ---------------------------------------------------------------------------------------------------------


def test_linear_debtrank_reproduces_the_case():
    given = case("debtrank_linear")
    matrix, start = np.array(given["inputs"]["Lambda"]), np.array(given["inputs"]["h0"])
    end = propagate(lambda rise: matrix @ rise, start, tol=0.0)
    np.testing.assert_allclose(end.level, given["expected"]["h"], atol=given["tolerance"])
    both = propagate(lambda rise: matrix @ rise, np.column_stack([start, np.ones(3)]), tol=0.0)
    np.testing.assert_allclose(both.level, np.column_stack([end.level, np.ones(3)]), rtol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_debtrank_that_nobody_saturates_is_linear(seed: int):
    rng = np.random.default_rng(seed)
    matrix = rng.random((8, 8)) * (rng.random((8, 8)) < 0.4)
    matrix *= 0.8 / max(np.abs(np.linalg.eigvals(matrix)).max(), 0.1)
    start = rng.random(8) * 1e-6
    end = propagate(lambda rise: matrix @ rise, start, tol=0.0)
    np.testing.assert_allclose(end.level, np.linalg.solve(np.eye(8) - matrix, start), rtol=1e-11)


def test_debtrank_saturates_and_reports_its_steps():
    end = propagate(lambda rise: 3.0 * rise, np.array([0.2]))
    assert end.level.tolist() == [1.0]
    slow = propagate(lambda rise: 0.99 * rise, np.array([1e-3]), max_iter=5)
    assert slow.solution.status is Status.STEP_LIMIT
    with pytest.raises(cg.ParameterError, match=r"outside \[0, 1\]"):
        propagate(lambda rise: rise, np.array([1.5]))
    with pytest.raises(cg.ParameterError, match="below 0 or no number"):
        propagate(lambda rise: -rise, np.array([0.5]))


@pytest.mark.parametrize("netted", [True, False])
@pytest.mark.parametrize("seed", range(15))
def test_debtrank_of_a_graph_is_its_dense_definition(seed: int, netted: bool):
    graph, rng = holders(seed, netted=netted), np.random.default_rng(seed)
    equity = graph.equity.groupby(level=0, observed=True).sum()[graph.traders].to_numpy()
    solvent, size = equity > 0, len(graph.traders)
    slope = rng.uniform(0.1, 1.0, size)
    matrix = dense_overlap(graph) * slope * np.where(solvent, 1 / np.where(solvent, equity, 1.0), 0.0)[:, None]
    shock = dict(zip(graph.assets, rng.uniform(-0.3, 0.1, len(graph.assets)), strict=True))
    direct = np.zeros(size)
    np.add.at(direct, graph._rows.trader_of, -(graph.quantity @ (graph.price * np.array(list(shock.values())))))
    level = rise = np.where(solvent, np.clip(direct / np.where(solvent, equity, 1.0), 0.0, 1.0), 0.0)
    for _ in range(20_000):
        new = np.minimum(1.0, level + matrix @ rise)
        level, rise = new, new - level
    options = {"slope": dict(zip(graph.traders, slope, strict=True)), "tol": 1e-14, "max_iter": 100_000}
    found = importance.debtrank(graph, shock, **options)
    np.testing.assert_allclose(found[solvent], level[solvent], atol=1e-9)
    assert found[~solvent].isna().all()
    impact = importance.debtrank_impact(graph, **options)
    for trader in graph.traders[solvent]:
        alone = importance.debtrank(graph, equity_shock={trader: 1.0}, **options).drop(trader)
        lost = (alone * pd.Series(equity, graph.traders)).sum() / equity[solvent].sum()
        assert impact[trader] == pytest.approx(lost, abs=1e-9)


def test_debtrank_unsaturated_is_the_inverse():
    graph = holders(4, netted=False).assign(cash=1e4)
    equity = graph.equity.groupby(level=0).sum()[graph.traders].to_numpy()
    matrix = dense_overlap(graph) / equity[:, None]
    start = dict.fromkeys(graph.traders, 0.001)
    expected = np.linalg.solve(np.eye(equity.size) - matrix, np.full(equity.size, 0.001))
    np.testing.assert_allclose(importance.debtrank(graph, equity_shock=start, tol=0.0), expected, rtol=1e-11)


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["knockout", "shapley", "aumann_shapley"])
def test_faults_of_cascade_measures(name: str):
    (graph, model, shock), measure = twins(), getattr(importance, name)
    for options, message in (
        ({"traders": ["Aa"]}, "unknown label 'Aa' .did you mean 'A'"),
        ({"traders": "A"}, "give a list of labels"),
        ({"traders": []}, "is empty"),
        ({"traders": ["A", "A"]}, "named twice"),
        ({"measure": "fear"}, "measure is 'fear'"),
    ):
        with pytest.raises(cg.ParameterError, match=message):
            measure(graph, model, shock, **options)
    with pytest.raises(cg.ParameterError, match="model is a str"):
        measure(graph, "cascade", shock)
    with pytest.raises(cg.ParameterError, match="unknown asset"):
        measure(graph, model, {"Z": -0.1})


def test_faults_of_sizes():
    graph, model, shock = twins()
    with pytest.raises(cg.ParameterError, match="k is 0"):
        importance.knockout(graph, model, shock, k=0)
    with pytest.raises(cg.ParameterError, match="n_players is 0"):
        importance.shapley_values(lambda inside: 0.0, 0)
    for options in ({"n_permutations": 1}, {"n_permutations": 3}, {"n_points": 0}):
        with pytest.raises(cg.ParameterError):
            importance.aumann_shapley(graph, model, shock, **options)
    with pytest.raises(cg.ParameterError, match="n_permutations is 1"):
        importance.shapley(graph, model, shock, n_permutations=1)


def test_cascades_that_do_not_converge_warn_or_keep_quiet():
    graph, _, shock = twins()
    slow = cg.MarginCascade(cg.TargetMargin(0.2), waterfall=(cg.InsuranceFund(),), max_rounds=1)
    measures = {
        "knockout": lambda **options: importance.knockout(graph, slow, shock, **options),
        "shapley": lambda **options: importance.shapley(graph, slow, shock, **options)["shapley"],
        "aumann_shapley": lambda **options: importance.aumann_shapley(
            graph, slow, shock, n_points=2, n_permutations=2, rng=0, **options
        )["aumann_shapley"],
    }
    for measure in measures.values():
        with pytest.raises(cg.ConvergenceError, match="Raise max_rounds"):
            measure()
        with pytest.warns(cg.ConvergenceWarning, match="Raise max_rounds"):
            warned = measure(on_failure="warn")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pd.testing.assert_series_equal(measure(on_failure="ignore"), warned)
        with pytest.raises(cg.ParameterError, match="on_failure is 'no'"):
            measure(on_failure="no")


@pytest.mark.parametrize("measure", [importance.stability, importance.betweenness])
def test_a_seed_that_is_none_is_refused_by_name(measure):
    graph, _, _ = twins()
    further = {importance.stability: {"measure": importance.degree}, importance.betweenness: {"n_samples": 2}}
    with pytest.raises(cg.ParameterError, match=f"{measure.__name__}: rng is 'dice'"):
        measure(graph, rng="dice", **further[measure])


@pytest.mark.parametrize("name", ["indirect_contagion_index", "endogenous_risk_index", "debtrank_impact"])
def test_without_depth_no_sale_costs_anything(name: str):
    graph = cg.ExposureGraph.from_arrays([[1.0], [2.0]], price=1.0)
    with pytest.raises(cg.ParameterError, match=f"{name}: no sellable asset has a finite depth"):
        getattr(importance, name)(graph)


def test_faults_of_debtrank():
    graph, _, _ = twins()
    with pytest.raises(cg.ParameterError, match="give a shock, or an equity_shock"):
        importance.debtrank(graph)
    with pytest.raises(cg.ParameterError, match="did you mean 'A'"):
        importance.debtrank(graph, equity_shock={"Aa": 1.0})
    with pytest.raises(cg.ParameterError, match="out of range"):
        importance.debtrank(graph, equity_shock={"A": 2.0})
    with pytest.raises(cg.ParameterError, match="slope"):
        importance.debtrank(graph, {"X": -0.1}, slope=1.5)
    with pytest.raises(cg.ConvergenceError, match="Raise max_iter"):
        importance.debtrank(graph, {"X": -0.001}, max_iter=1)
    with pytest.raises(cg.ParameterError, match="unknown label"):
        importance.debtrank_impact(graph, traders=["Z"])
