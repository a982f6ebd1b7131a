"""Exposures: against one-by-one runs of the oracle, against differences of equilibria, and in every form."""

import tracemalloc
from collections import Counter
from dataclasses import replace
from itertools import count, islice, pairwise

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.graph.scenario import scenario
from contagion_graph.margin.equilibria.equilibria import from_open
from tests.markets import graph_of, model_of
from tests.reference import dense_equilibria as oracle
from tests.reference.dense_cascade import dense_cascade
from tests.reference.dense_state import Outcome
from tests.reference.random_markets import Case, random_case
from tests.reference.small_markets import small_market
from tests.shared_data import case as reference_case

MARKETS = 100


def pair(**changed: object) -> cg.ExposureGraph:
    """Return A, who holds X and Y on thin equity, and B, who holds Y only."""
    arguments = {"price": 10.0, "depth": 1000.0, "margin_long": 0.1, "cash": [-90.0, 0.0], "assets": ["X", "Y"]}
    return cg.ExposureGraph.from_arrays([[9.0, 2.0], [0.0, 4.0]], traders=["A", "B"], **(arguments | changed))


def oracle_run(case: Case, shock: np.ndarray, defaults: np.ndarray | None = None) -> Outcome:
    n = len(case.market.cash)
    nobody = np.zeros(n, dtype=bool)
    return dense_cascade(case.market, case.rules, shock, np.zeros(n), nobody if defaults is None else defaults)


def cases(number: int) -> list[Case]:
    """Draw markets in which something can pass from one account to another."""
    drawn = (random_case(seed) for seed in count())
    joined = (
        case
        for case in drawn
        if case.rules.sharing is not None or np.isfinite(case.market.depth[case.market.sellable]).any()
    )
    return list(islice(joined, number))


def scale_of(case: Case, graph: cg.ExposureGraph) -> float:
    return float(graph.gross_value.sum() + np.abs(case.market.cash).sum())


# --- indirect exposure ------------------------------------------------------------------------------------------------


def test_indirect_exposure_is_that_of_one_by_one_runs_of_the_oracle():
    met: Counter[str] = Counter()
    for seed, case in enumerate(cases(MARKETS)):
        graph, m = graph_of(case.market), len(case.market.price)
        size = float(np.random.default_rng(seed).choice([-0.3, -0.1, -0.05, 0.1, -1.0], p=[0.25, 0.3, 0.2, 0.2, 0.05]))
        found = cg.indirect_exposure(graph, model_of(case.rules), size)
        rest = oracle_run(case, np.zeros(m))
        runs = [oracle_run(case, size * np.eye(m)[j]) for j in range(m)]
        expected = np.stack([run.indirect - rest.indirect for run in runs], axis=1)
        largest = max(float(np.abs(run.proceeds).sum()) for run in [rest, *runs])
        tolerance = 1e-9 * (scale_of(case, graph) + largest)
        np.testing.assert_allclose(found.to_pandas(), expected, atol=tolerance, err_msg=str(seed))
        for run in runs:
            met["socialised"] += bool(run.socialised.any())
            met["capped"] += run.cap_binds
            met["quiet"] += not run.rounds
            met["baseline"] += bool(rest.rounds)
        met["pools"] += len(case.market.insurance_fund) > 1
        met["profit"] += case.rules.sharing == "profit"
        met[case.rules.liquidation[0]] += 1
        met["factored"] += found.cells.nnz < expected.size
    assert set(met) >= {"full", "target", "close_factor", "leverage", "repay"}
    assert min(met.values()) >= 5, met


@pytest.mark.parametrize("seed", [3, 4, 11, 27])
def test_a_trader_is_the_sum_of_its_accounts(seed: int):
    case = random_case(seed)
    graph, model = graph_of(case.market), model_of(case.rules)
    frames = graph.to_frames()
    for name in ("positions", "accounts"):
        frames[name]["subaccount"] = frames[name]["trader"]
        frames[name]["trader"] = [f"T{int(label[1:]) // 3}" for label in frames[name]["trader"]]
    joint = cg.ExposureGraph.from_tables(**frames)
    assert len(joint.traders) < len(joint.account_index) == len(graph.account_index)
    single = cg.indirect_exposure(graph, model, -0.2).to_pandas()
    owner = [f"T{int(label[1:]) // 3}" for label in single.index]
    found = cg.indirect_exposure(joint, model, -0.2).to_pandas()
    tolerance = 1e-9 * scale_of(case, graph)
    pd.testing.assert_frame_equal(
        found.sort_index(), single.groupby(owner).sum(), atol=tolerance, check_names=False, rtol=0
    )
    some = cg.indirect_exposure(joint, model, -0.2, traders=["T1", "T0"], assets=graph.assets[::-1])
    pd.testing.assert_frame_equal(some.to_pandas(), found.loc[["T1", "T0"], graph.assets[::-1]], atol=tolerance, rtol=0)


def test_what_the_market_does_at_rest_is_taken_off():
    """C is under water already: it is closed in every run, and that moves Y without any shock."""
    graph = cg.ExposureGraph.from_arrays(
        [[9.0, 2.0], [0.0, 4.0], [0.0, 20.0]], price=10.0, depth=1000.0, margin_long=0.1, cash=[-90.0, 0.0, -195.0],
        traders=["A", "B", "C"], assets=["X", "Y"],
    )  # fmt: skip
    model = cg.MarginCascade()
    found = cg.indirect_exposure(graph, model, -0.2)
    rest, run = model.run(graph).traders["indirect"], model.run(graph, {"X": -0.2}).traders["indirect"]
    assert found.baseline.traders["indirect"].tolist() == rest.tolist()
    assert rest["B"] > 0.0
    np.testing.assert_allclose(found.asset("X"), run - rest, atol=1e-12)
    assert found.asset("X")["B"] < run["B"]


@pytest.fixture(scope="module")
def venue() -> cg.ExposureGraph:
    return cg.generate.perpetuals(600, 12, n_positions=2_000, rng=5)


@pytest.fixture(scope="module")
def exposure(venue: cg.ExposureGraph) -> object:
    return cg.indirect_exposure(venue, cg.MarginCascade(penalty=0.01), -0.3)


def test_every_form_says_the_same(venue: cg.ExposureGraph, exposure: object):
    whole = exposure.to_pandas()
    assert (exposure.shape, whole.shape) == ((600, 12), (600, 12))
    for size in (None, 1, 7, 600, 10_000):
        pd.testing.assert_frame_equal(pd.concat(exposure.blocks(size)), whole, rtol=0, atol=1e-9)
    for label in venue.traders[::97]:
        np.testing.assert_allclose(exposure.trader(label), whole.loc[label], atol=1e-9)
    for label in venue.assets:
        np.testing.assert_allclose(exposure.asset(label), whole[label], atol=1e-9)
    assert repr(exposure) == (
        "<IndirectExposure: 600 traders x 12 assets; indirect loss when the asset moves by -0.3 [currency]>"
    )


@pytest.mark.parametrize("k", [1, 5, 100, 7_200, 10_000])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("not_held", [False, True])
def test_the_largest_entries(
    venue: cg.ExposureGraph, exposure: object, k: int, absolute: bool, not_held: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("contagion_graph.exposure.matrix.CELLS_AT_ONCE", 500)  # 15 blocks
    flat = exposure.to_pandas().stack()
    flat = flat[~np.ravel(venue.quantity.toarray() != 0.0)] if not_held else flat
    expected = flat.iloc[np.argsort(-(flat.abs() if absolute else flat), kind="stable")[:k]]
    found = exposure.top(k, not_held=not_held, absolute=absolute)
    np.testing.assert_allclose(found["value"], expected, atol=1e-9)
    assert found.columns.tolist() == ["trader", "asset", "value"]
    looked_up = flat.loc[pd.MultiIndex.from_frame(found[["trader", "asset"]])]
    np.testing.assert_allclose(looked_up, found["value"], atol=1e-9)


def test_equal_entries_come_in_order():
    graph = cg.ExposureGraph.from_arrays(np.eye(4), price=2.0)
    found = cg.direct_exposure(graph).top(3)
    assert found.to_dict("list") == {"trader": ["0", "1", "2"], "asset": ["0", "1", "2"], "value": [2.0] * 3}


def test_a_trader_without_the_shocked_asset_loses_in_the_reference_case():
    given = (reference := reference_case("unified_cascade_toy"))["inputs"]
    price = np.array(given["p0"])
    graph = cg.ExposureGraph.from_arrays(
        given["H"], price=price, depth=price / given["alpha"], margin_long=given["mm"], cash=given["cash"],
        insurance_fund=given["fund"], share=given["soc_base"],
    )  # fmt: skip
    model = cg.MarginCascade(penalty=given["fee"], waterfall=(cg.InsuranceFund(), cg.ProRata("share")))
    found = cg.indirect_exposure(graph, model, -given["shock"][0])
    victim = str(reference["expected"]["indirect_only_victims_without_shocked_asset"][0])
    assert found.held[[int(victim)], :].toarray()[0, 0] == 0.0
    assert found.trader(victim)["0"] > 1.0
    assert (victim, "0") in set(found.top(10, not_held=True)[["trader", "asset"]].itertuples(index=False, name=None))


def test_nothing_of_size_accounts_times_assets_is_held():
    graph = cg.generate.perpetuals(110_000, 100, n_positions=330_000, rng=1)
    graph = graph.assign(depth=50.0 * graph.depth)
    model = cg.MarginCascade()
    model.run(graph, {"BTC": -0.1})  # what the graph knows at rest is computed, and the passes are compiled
    tracemalloc.start()
    found = cg.indirect_exposure(graph, model, -0.1)
    found.top(5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (110_000, 100)
    assert peak < 8 * 110_000 * 100 / 3  # a third of the dense matrix
    assert found.terms[0][0] is graph.quantity
    assert found.cells.nnz < 11_000
    with pytest.raises(cg.ParameterError, match=r"11,000,000 entries.*top\(k\)"):
        found.to_pandas()


# --- direct exposure --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", [True, False])
def test_direct_exposure_is_what_is_held(net: bool):
    for seed in range(20):
        graph = graph_of(random_case(seed).market)
        held = graph.quantity.toarray() * graph.price
        np.testing.assert_allclose(cg.direct_exposure(graph, net=net).to_pandas(), held if net else np.abs(held))


# --- the curve --------------------------------------------------------------------------------------------------------


def test_the_curve_is_that_of_one_by_one_runs():
    kinks = 0
    for seed, case in enumerate(cases(30)):
        graph, model, m = graph_of(case.market), model_of(case.rules), len(case.market.price)
        sizes = [-0.4, 0.1, -0.05, 0.0, -0.2]
        curve = cg.exposure_curve(graph, model, "a0", sizes=sizes)
        assert curve.index.tolist() == sorted(sizes)
        rest = oracle_run(case, np.zeros(m))
        runs = [oracle_run(case, size * np.eye(m)[0]) for size in sorted(sizes)]
        tolerance = 1e-9 * (scale_of(case, graph) + max(float(np.abs(run.proceeds).sum()) for run in [rest, *runs]))
        for measure in ("loss", "indirect"):
            expected = [getattr(run, measure) - getattr(rest, measure) for run in runs]
            np.testing.assert_allclose(curve[measure], expected, atol=tolerance, err_msg=f"{seed} {measure}")
        states = [(run.breach_round > 0) + 1 * ((run.closed_long == 1) & (run.closed_short == 1)) for run in runs]
        changed = [0, *(int((b != a).sum()) for a, b in pairwise(states))]
        assert curve["closed", "changed"].tolist() == changed
        assert curve["closed", "kink"].tolist() == [number > 0 for number in changed]
        assert curve["closed", "accounts"].tolist() == [int((run.breach_round > 0).sum()) for run in runs]
        kinks += sum(number > 0 for number in changed)
    assert kinks > 20


# --- marginal exposure ------------------------------------------------------------------------------------------------


def smooth_market(seed: int, *, one_sided: bool) -> Case:
    """Draw a market with TargetMargin, without weights that move with prices or prices of 0."""
    rng = np.random.default_rng([seed, 77])
    case = small_market(rng, one_sided=one_sided)
    sharing = "equity" if case.rules.sharing == "profit" else case.rules.sharing
    rules = replace(
        case.rules, liquidation=("target", float(rng.choice([0.0, rng.uniform(0.02, 0.5)]))), sharing=sharing
    )
    depth = case.market.depth * rng.choice([1.0, 3.0] if one_sided else [3.0, 10.0])
    shock = np.clip(case.shock, -0.3, 0.3)
    nothing = np.zeros(len(case.losses))
    return replace(
        case, rules=rules, shock=shock, losses=nothing, defaults=nothing > 0, market=replace(case.market, depth=depth)
    )


def equity_from_rest(case: Case, shock: np.ndarray) -> np.ndarray:
    """Return equity at the equilibrium that the oracle's map leads to from nothing closed."""
    case = replace(case, shock=shock)
    s = oracle.setting(case)
    return oracle.tables(case, oracle.iterate(lambda x: oracle.respond(s, x, x), np.zeros(len(s.losses)))).equity_after


def differences(case: Case, way: np.ndarray) -> np.ndarray:
    """Return the derivative of that along a way of shocks, by central differences, extrapolated once."""
    near, far = (
        (equity_from_rest(case, case.shock + t * way) - equity_from_rest(case, case.shock - t * way)) / (2 * t)
        for t in (1e-5, 2e-5)
    )
    return (4 * near - far) / 3


@pytest.mark.parametrize(("one_sided", "markets"), [(True, 200), (False, 50)])
def test_marginal_exposure_is_the_difference_quotient_of_the_equilibrium(one_sided: bool, markets: int):
    met: Counter[str] = Counter()
    for seed in count():
        case = smooth_market(seed, one_sided=one_sided)
        graph, model = graph_of(case.market), model_of(case.rules)
        if model.sharing is None and np.isinf(case.market.depth[case.market.sellable]).all():
            continue
        shock = dict(zip(graph.assets, case.shock, strict=True))
        try:
            found = cg.marginal_exposure(graph, model, shock, tol=1e-3)
        except cg.ConvergenceError:
            assert not one_sided
            continue
        assert found.one_sided or not one_sided
        if len(found.kinks) or len(found.kink_pools) or len(found.kink_assets):
            continue
        way = np.random.default_rng(seed).uniform(-1.0, 1.0, len(graph.assets))
        values, expected = found.to_pandas() @ (graph.price * way), differences(case, way)
        largest = max(np.abs(expected).max(), graph.gross_value.max())
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-6 * largest, err_msg=str(seed))
        closed = found.equilibrium.arrays.closed
        met["markets"] += 1
        met["partial"] += bool(((closed > 0) & (closed < 1)).any())
        met["whole"] += bool((closed == 1).any())
        met["socialised"] += bool(found.equilibrium.arrays.socialised.any())
        met["untouched"] += not closed.any()
        met["one side"] += found.one_sided
        if met["markets"] == markets:
            break
    assert all(met[name] >= markets // 10 for name in ("partial", "whole", "untouched")), met
    assert met["socialised"] >= markets // 10 or not one_sided
    assert met["one side"] == markets if one_sided else met["one side"] < markets // 2


@pytest.mark.parametrize("rule", [cg.TargetMargin(0.1), cg.FullLiquidation()])
@pytest.mark.parametrize("seed", range(3))
def test_the_equilibrium_of_a_netted_venue_is_one(rule: object, seed: int):
    """Only due rows are looked at, while shares and loss rates rise and fall: a look at all must find nothing to do."""
    graph = cg.generate.perpetuals(3_000, 20, n_positions=20_000, rng=seed, n_pools=3)
    graph = graph.assign(depth=6.0 * graph.depth, insurance_fund=0.0)
    shock = dict.fromkeys(graph.assets, -0.15)
    try:
        found = from_open(graph, scenario(graph, shock), cg.MarginCascade(rule, penalty=0.01))
    except cg.ConvergenceError:
        assert rule == cg.FullLiquidation()
        return
    share = found.result.arrays.closed
    assert not found.one_sided
    assert found.state.rate.any()
    assert np.count_nonzero(share) > 100
    assert found.result.solution.revaluations < found.result.solution.steps * share.size
    np.testing.assert_allclose(found.case.apply(share), share, rtol=0, atol=1e-9)


def test_at_rest_the_marginal_exposure_is_what_is_held(venue: cg.ExposureGraph):
    found = cg.marginal_exposure(pair(), cg.MarginCascade(cg.TargetMargin()))
    np.testing.assert_allclose(found.to_pandas(), pair().quantity.toarray(), atol=1e-15)
    some = cg.marginal_exposure(venue, cg.MarginCascade(), assets=["ETH"], traders=venue.traders[:3])
    np.testing.assert_allclose(some.asset("ETH"), venue.quantity[:3].toarray()[:, 1])


def test_a_step_has_the_slope_within_it():
    """A is closed whole whatever X does: B answers to Y alone, at the price at which A sold it."""
    found = cg.marginal_exposure(pair(), cg.MarginCascade(), {"X": -0.12}).to_pandas()
    assert found.loc["B"].tolist() == pytest.approx([0.0, 4.0 * np.exp(-0.02)])


def test_a_kink_is_told():
    graph = pair(cash=[-99.0, 0.0])  # E = 11 = M
    found = cg.marginal_exposure(graph, cg.MarginCascade(cg.TargetMargin()))
    assert found.kinks.tolist() == [("A", "pool", "")]
    assert found.kink_pools.tolist() == found.kink_assets.tolist() == []
    assert cg.marginal_exposure(pair(), cg.MarginCascade()).kinks.tolist() == []


def test_look_through_is_the_holding_and_what_others_add():
    graph, model = pair(), cg.MarginCascade(cg.TargetMargin())
    held = cg.look_through(graph, model, {"X": -0.13})
    marginal = cg.marginal_exposure(graph, model, {"X": -0.13}).to_pandas()
    pd.testing.assert_frame_equal(held.effective.to_pandas(), marginal)
    np.testing.assert_allclose(held.direct.to_pandas(), graph.quantity.toarray())
    np.testing.assert_allclose(held.indirect.to_pandas(), marginal - graph.quantity.toarray(), atol=1e-12)


@pytest.mark.parametrize("size", [-0.2, 0.15])
def test_look_through_with_a_size_is_the_loss_per_price_move(size: float):
    for case in cases(10):
        graph, model = graph_of(case.market), model_of(case.rules)
        held = cg.look_through(graph, model, size=size)
        rest = model.run(graph).traders["loss"]
        for j, asset in enumerate(graph.assets):
            run = model.run(graph, {asset: size}).traders["loss"]
            expected = -(run - rest) / (graph.price[j] * size)
            tolerance = 1e-9 * scale_of(case, graph) / graph.price[j]
            np.testing.assert_allclose(held.effective.asset(asset), expected, atol=tolerance)
            beyond = expected - graph.quantity.toarray()[:, j]
            np.testing.assert_allclose(held.indirect.asset(asset), beyond, atol=tolerance)


# --- results ----------------------------------------------------------------------------------------------------------


def test_measures_are_results_with_figures_and_tables():
    graph, model = pair(), cg.MarginCascade(cg.TargetMargin())
    indirect = cg.indirect_exposure(graph, model, -0.13)
    marginal = cg.marginal_exposure(graph, model, {"X": -0.13})
    held = cg.look_through(graph, model, {"X": -0.13})
    direct = cg.direct_exposure(graph)
    for found in (indirect, marginal, direct):
        whole = found.to_pandas()
        assert found.summary()["total"] == pytest.approx(whole.to_numpy().sum(), rel=1e-12)
        frame = found.to_frames()["exposure"]
        pd.testing.assert_frame_equal(frame.set_index("trader"), whole)
        assert found.solution.converged
        assert "<table" in found._repr_html_()
    assert (indirect.model, marginal.model, held.model, direct.model) == (model, model, model, None)
    assert indirect.summary()["size"] == -0.13
    assert list(marginal.to_frames()) == ["summary", "exposure", "kinks"]
    assert list(held.to_frames()) == ["summary", "effective", "direct", "indirect"]
    figures = held.summary()
    assert figures["effective"] == pytest.approx(figures["direct"] + figures["indirect"], rel=1e-12)
    assert repr(held) == "<LookThrough: 2 traders x 2 assets; units held in effect>"
    assert "<table" in held._repr_html_()


# --- traders ----------------------------------------------------------------------------------------------------------


def test_exposure_to_traders_is_that_of_one_by_one_runs():
    pairs = 0
    for seed, case in enumerate(cases(12)):
        graph, model = graph_of(case.market), model_of(case.rules)
        n = len(case.market.cash)
        rest = oracle_run(case, case.shock)
        found = cg.exposure_to_traders(graph, model, dict(zip(graph.assets, case.shock, strict=True)), k=2 * n)
        loss = np.stack([oracle_run(case, case.shock, np.arange(n) == j).loss - rest.loss for j in range(n)], axis=1)
        np.fill_diagonal(loss, 0.0)
        tolerance = 1e-9 * (scale_of(case, graph) + float(np.abs(rest.proceeds).sum()))
        best = np.sort(loss[loss > 10 * tolerance])[::-1][: 2 * n]
        np.testing.assert_allclose(found["loss"][: best.size], best, atol=tolerance, err_msg=str(seed))
        for trader, defaulter, lost in found.itertuples(index=False):
            assert trader != defaulter
            assert lost == pytest.approx(loss[int(trader[1:]), int(defaulter[1:])], abs=tolerance)
        pairs += len(found)
    assert pairs > 100


def test_exposure_to_some_traders():
    found = cg.exposure_to_traders(pair(), cg.MarginCascade(), traders=["A"], k=3)
    assert found[["trader", "defaulter"]].to_numpy().tolist() == [["B", "A"]]
