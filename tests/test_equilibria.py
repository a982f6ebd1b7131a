"""Equilibria: both ends against brute force, bounds that hold, certificates that are true, and what shocks can do."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.graph.scenario import scenario
from contagion_graph.margin.equilibria.equilibria import case_of
from tests.markets import graph_of, model_of
from tests.reference import dense_equilibria as oracle
from tests.reference.random_markets import Case
from tests.reference.small_markets import small_market
from tests.shared_data import case as reference_case

RULES = [("full",), ("close_factor", 0.5, 0.9), ("target", 0.0), ("target", 0.3)]


def inputs(case: Case, graph: cg.ExposureGraph | None = None) -> tuple[cg.ExposureGraph, dict, dict]:
    """Return the graph (a given one, or that of the market), the shock, and the given losses and defaults of a case."""
    graph = graph_of(case.market) if graph is None else graph
    given = {
        "losses": {f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
        "defaults": [f"t{k}" for k in np.flatnonzero(case.defaults)],
    }
    return graph, dict(zip(graph.assets, case.shock, strict=True)), given


def both_ends(case: Case, graph: cg.ExposureGraph | None = None, **options) -> cg.Equilibria:
    built, shock, given = inputs(case, graph)
    return model_of(case.rules).equilibria(built, shock, **given, **options)


def closed(both: cg.Equilibria) -> tuple[np.ndarray, np.ndarray]:
    return both.least.arrays.closed, both.greatest.arrays.closed


def market(seed: int, *, one_sided: bool) -> Case:
    """Draw a market of up to 10 accounts, fewer where an account can take three values."""
    case = small_market(np.random.default_rng(seed), one_sided=one_sided)
    if case.rules.liquidation[0] == "close_factor" and len(case.market.cash) > 7:
        return replace(case, rules=replace(case.rules, liquidation=("full",)))
    return case


@pytest.mark.parametrize("block", range(10))
def test_one_sided_ends_are_the_least_and_the_greatest_of_all_fixed_points(block: int):
    several = 0
    for seed in range(100 * block, 100 * (block + 1)):
        case = market(seed, one_sided=True)
        both = both_ends(case)
        least, greatest = closed(both)
        assert both.one_sided
        if case.rules.liquidation[0] == "target":
            low, high = oracle.least_and_greatest(case)
            np.testing.assert_allclose([least, greatest], [low, high], atol=1e-9)
            continue
        points = oracle.fixed_points(case)
        np.testing.assert_array_equal(least, points.min(axis=0))
        np.testing.assert_array_equal(greatest, points.max(axis=0))
        assert (points == least).all(axis=1).any()
        assert both.least.solution.error_bound == both.greatest.solution.error_bound == 0.0
        several += len(points) > 1
    assert several >= 30  # at least 300 of the 1,000


@pytest.mark.parametrize("block", range(10))
def test_netted_bounds_hold_every_equilibrium_and_decide_who_is_decided(block: int):
    undecided = []
    for seed in range(100 * block, 100 * (block + 1)):
        case = market(seed, one_sided=False)
        both = both_ends(case)
        least, greatest = closed(both)
        if case.rules.liquidation[0] == "target":
            if not oracle.isotone(case):
                np.testing.assert_allclose([least, greatest], oracle.bracket(case), atol=1e-9)
            continue
        points = oracle.fixed_points(case)
        np.testing.assert_array_equal(least, points.min(axis=0))
        np.testing.assert_array_equal(greatest, points.max(axis=0))
        if not both.one_sided:
            assert sorted(map(tuple, both.points.to_numpy().T)) == sorted(map(tuple, points))
        undecided.append(both.undecided)
    assert 0.0 < np.mean(undecided) < 0.9


@pytest.mark.parametrize("two_sided", ["auto", "conservative"])
def test_tables_of_both_ends_are_those_of_the_oracle(two_sided: str):
    for seed in range(60):
        case = market(seed, one_sided=two_sided == "auto")
        both = both_ends(case, two_sided=two_sided)
        scale = max(float(both.least.graph._rows.initial.gross.sum()), 1.0)
        for end, share in zip((both.least, both.greatest), closed(both), strict=True):
            expected = oracle.tables(case, share, None if two_sided == "auto" else two_sided)
            for name in ("equity_before", "equity_after", "loss", "direct", "impact", "penalty"):
                np.testing.assert_allclose(end.accounts[name], getattr(expected, name), atol=1e-9 * scale, err_msg=name)
            for name in ("socialised", "shortfall"):
                np.testing.assert_allclose(end.accounts[name], getattr(expected, name), atol=1e-9 * scale, err_msg=name)
            for name in ("fund_used", "fund_received", "fund_after", "uncovered"):
                np.testing.assert_allclose(end.pools[name], getattr(expected, name), atol=1e-9 * scale, err_msg=name)
            np.testing.assert_allclose(end.assets["price_after"], expected.prices.p_long, rtol=1e-12)
            accounts, pools = end.accounts, end.pools
            balance = accounts["loss"].sum() + pools["fund_used"].sum() + pools["uncovered"].sum()
            causes = accounts[["direct", "impact", "penalty"]].to_numpy().sum()
            assert balance == pytest.approx(causes, abs=1e-9 * scale)


@pytest.fixture(scope="module")
def one_sided_markets() -> list[tuple[Case, cg.ExposureGraph]]:
    rng = np.random.default_rng(5)
    cases = [small_market(rng, one_sided=True) for _ in range(125)]
    return [(case, graph_of(case.market)) for case in cases]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("sharing", [None, "equity"])
def test_the_static_map_is_isotone_on_one_sided_books(rule: tuple, sharing: str | None, one_sided_markets: list):
    rng = np.random.default_rng(5)
    for drawn, graph in one_sided_markets:
        case = replace(drawn, rules=replace(drawn.rules, liquidation=rule, sharing=sharing))
        _, shock, given = inputs(case, graph)
        model = model_of(case.rules)
        apply = case_of(graph, scenario(graph, shock, **given), model, None).apply
        for _ in range(40):  # 125 x 40 pairs, with and without sharing: 10,000 for each rule
            low = rng.random(len(graph.account_index)) * rng.integers(0, 2, len(graph.account_index))
            high = np.minimum(low + rng.random(low.size) * rng.integers(0, 2, low.size), 1.0)
            images = apply(low), apply(high)
            assert (images[0] <= images[1] + 1e-12).all()
        np.testing.assert_allclose(images, [oracle.apply(case, low), oracle.apply(case, high)], atol=1e-9)


def test_more_stress_never_closes_less_at_either_end():
    rng = np.random.default_rng(8)
    changed = 0
    for _ in range(500):
        case = small_market(rng, one_sided=True)
        if case.rules.sharing == "profit":  # these weights move with the shock itself
            case = replace(case, rules=replace(case.rules, sharing="equity"))
        side = np.sign([sum(q for _, j, q, *_ in case.market.positions if j == k) for k in range(len(case.shock))])
        graph, which = graph_of(case.market), rng.integers(3)
        harder, other = case, graph
        if which == 0:
            harder = replace(case, shock=np.clip(case.shock - side * 0.1 * rng.random(side.size), -1.0, None))
        elif which == 1:
            other = graph.assign(depth=graph.depth * 0.7)
        else:
            other = graph.assign(insurance_fund=graph.insurance_fund * 0.5)
        mild, hard = both_ends(case, graph), both_ends(harder, other)
        for before, after in zip(closed(mild), closed(hard), strict=True):
            assert (after >= before - 1e-9).all(), which
            changed += bool((after > before).any())
        for before, after in ((mild.least, hard.least), (mild.greatest, hard.greatest)):
            rise = (after.arrays.price_after - before.arrays.price_after) / case.market.price
            assert (side * rise <= 1e-9).all()  # of what is held long no price rises, of what is held short none falls
    assert changed > 100


def test_a_certified_error_bound_is_never_below_the_true_error():
    certified = 0
    for seed in range(200):
        case = small_market(np.random.default_rng(seed), one_sided=True)
        case = replace(case, rules=replace(case.rules, liquidation=("target", 0.2), tol=[1e-12, 1e-4][seed % 2]))
        both = both_ends(case)
        gross = both.least.graph._rows.initial.gross
        for end, true in zip((both.least, both.greatest), oracle.least_and_greatest(case), strict=True):
            error = np.abs(end.arrays.closed - true) @ gross / gross.sum()
            bound = end.solution.error_bound
            assert bound is None or bound >= error * (1 - 1e-9) - 1e-15
            assert (bound is None) or end.solution.error_estimate is None
            certified += bound is not None
    assert certified > 350


def test_a_state_that_is_reported_at_rest_is_a_fixed_point():
    for seed in range(100):
        case = market(seed, one_sided=True)
        for share in closed(both_ends(case)):
            np.testing.assert_allclose(oracle.static_map(case, share), share, atol=1e-10)


def test_path_and_least_equilibrium_close_the_same_accounts_where_nothing_is_shared():
    same = total = 0
    for seed in range(200):
        case = small_market(np.random.default_rng(seed), one_sided=True)
        case = replace(case, rules=replace(case.rules, liquidation=("full",), sharing=None))
        graph, shock, given = inputs(case)
        path = model_of(case.rules).run(graph, shock, **given).arrays.closed
        least, greatest = closed(both_ends(case))
        assert (path <= greatest).all()
        same += bool((path == least).all())
        total += 1
    assert same >= 0.99 * total


def test_reference_case_of_four_equilibria():
    case = reference_case("unified_cascade_toy")
    given, expected = case["inputs"], case["expected"]
    alpha, price = np.array(given["alpha"]), np.array(given["p0"])
    graph = cg.ExposureGraph.from_arrays(
        given["H"],
        price=price,
        depth=price / alpha,  # f = exp(-alpha S): one unit sold moves the price by alpha
        margin_long=given["mm"],
        cash=given["cash"],
        insurance_fund=given["fund"],
        share=given["soc_base"],
    )
    model = cg.MarginCascade(
        penalty=given["fee"], penalty_cap=None, waterfall=(cg.InsuranceFund(), cg.ProRata("share"))
    )
    both = model.equilibria(graph, {"0": -given["shock"][0]})
    assert both.one_sided
    assert [share.tolist() for share in closed(both)] == [expected["least"], expected["greatest"]]
    least = both.least
    for figure, name in ((least.assets["price_after"], "final_price"), (least.accounts["shortfall"], "bankrupt"),
                         (least.accounts["socialised"], "loss_socialised")):  # fmt: skip
        np.testing.assert_allclose(figure, expected[name], rtol=case["tolerance"], atol=case["tolerance"], err_msg=name)
    sold = least.assets["units_sold"] > 0
    average = least.assets["value_sold"][sold] / least.assets["units_sold"][sold]
    np.testing.assert_allclose(average, np.array(expected["vwap"])[sold], rtol=case["tolerance"])
    assert least.pools["fund_used"].sum() == pytest.approx(expected["fund_used"])
    assert least.accounts["loss"].iloc[expected["indirect_only_victims_without_shocked_asset"][0]] > 0
    through = case_of(graph, scenario(graph, {"0": -given["shock"][0]}), model, None).apply
    states = [np.array(state, dtype=float) for state in product([0, 1], repeat=6)]
    assert [s.tolist() for s in states if (through(s) == s).all()] == sorted(expected["fixed_points_of_T"])
    path = model.run(graph, {"0": -given["shock"][0]}).arrays.breach_round
    assert [np.flatnonzero(path == step).tolist() for step in (1, 2, 3)] == expected["path_waves"]


def two_sided_market() -> tuple[cg.ExposureGraph, dict[str, float]]:
    """Return T1 long X and short Y, T2 long Y: each closing helps the other, so neither comes first by itself."""
    graph = cg.ExposureGraph.from_arrays(
        [[1.0, -1.0], [0.0, 1.0]],
        price=[1.0, 1.0],
        depth=[np.inf, 25.0],
        cash=[0.07 - 0.03, 0.03 - 1.0],
        traders=["T1", "T2"],
        assets=["X", "Y"],
    )
    return graph, {"X": -0.10, "Y": -0.05}


def test_reference_case_of_a_netted_book_without_a_least_equilibrium():
    expected = reference_case("two_sided_equilibria")["expected"]
    graph, shock = two_sided_market()
    model = cg.MarginCascade(impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(),))
    both = model.equilibria(graph, shock)
    assert not both.one_sided
    assert sorted(both.points.to_numpy().T.astype(int).tolist()) == expected["fixed_points"]
    assert [share.astype(int).tolist() for share in closed(both)] == expected["mixed_monotone_bracket"]
    assert both.account_status.unique().tolist() == ["undecided"]


@pytest.mark.parametrize(("order", "name"), [(["T1"], "order_T1_first"), (["T2", "T1"], "order_T2_first")])
def test_in_a_netted_book_the_order_decides(order: list[str], name: str):
    graph, shock = two_sided_market()
    model = cg.MarginCascade(impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(),))
    closed_in_order = model.run(graph, shock, order=order).arrays.closed
    assert closed_in_order.astype(int).tolist() == reference_case("two_sided_equilibria")["expected"][name]
    drawn = {tuple(model.run(graph, shock, order=np.random.default_rng(seed)).arrays.closed) for seed in range(20)}
    assert drawn == {(0.0, 1.0), (1.0, 0.0)}


def test_an_order_never_leaves_a_breach_and_closes_one_account_a_round():
    for seed in range(60):
        case = small_market(np.random.default_rng(seed), one_sided=False)
        case = replace(case, rules=replace(case.rules, liquidation=("full",)), defaults=np.zeros_like(case.defaults))
        graph, shock, given = inputs(case)
        model, order = model_of(case.rules), list(np.random.default_rng(seed).permutation(graph.traders))
        due, every = (
            model.run(graph, shock, **given, order=order, revaluation=mode) for mode in ("incremental", "full")
        )
        np.testing.assert_array_equal(due.arrays.closed, every.arrays.closed)
        assert (due.rounds["breached"] == 1).all()
        again = model.run(graph, shock, **given, order=np.random.default_rng(1)).arrays
        together = model.run(graph, shock, **given).arrays
        assert again.closed.any() == together.closed.any()


@pytest.mark.parametrize("order", [["T3"], "T1"], ids=str)
def test_an_order_of_unknown_traders_is_refused(order: list[str] | str):
    with pytest.raises((cg.TableError, cg.ParameterError), match="order"):
        cg.MarginCascade().run(two_sided_market()[0], order=order)


def test_the_unstable_equilibrium_in_between_is_found_when_asked_for():
    case = reference_case("firesale_multiple_equilibria")
    given, expected = case["inputs"], case["expected"]
    holdings = np.column_stack([given["S"], given["L"]])
    graph = cg.ExposureGraph.from_arrays(
        holdings,
        price=1.0,
        depth=[1 / given["c"], np.inf],
        cash=given["e"] - holdings.sum(axis=1),
        sellable=[True, False],
    )
    model = cg.named.breuer_summer_urosevic(given["leverage_cap"], coefficient=1.0)
    between = model.equilibrium_near(graph, closed=[1.0, 0.7, 0.5])
    fall = 1.0 - between.assets["price_after"].iloc[0]
    assert fall == pytest.approx(expected["delta_unstable_middle"], abs=case["tolerance"])
    both = model.equilibria(graph)
    assert both.least.assets["price_after"].iloc[0] > 1.0 - fall > both.greatest.assets["price_after"].iloc[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"two_sided": "both"}, "two_sided is 'both'"),
        ({"on_failure": "shrug"}, "on_failure is 'shrug'"),
    ],
)
def test_choices_that_do_not_exist_are_refused(options: dict, words: str):
    with pytest.raises(cg.ParameterError, match=words):
        cg.MarginCascade().equilibria(two_sided_market()[0], **options)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"impact": cg.ExponentialImpact(volume="current")}, "volume='initial'"),
        ({"trade_price_weight": 0.5}, "trade_price_weight=None"),
        ({"liquidation": cg.RepayAndSeize()}, "FullLiquidation"),
    ],
)
def test_rules_that_speak_of_rounds_are_refused(rules: dict, words: str):
    with pytest.raises(cg.ParameterError, match=words):
        cg.MarginCascade(**rules).equilibria(two_sided_market()[0])


def one_asset(**changes) -> cg.ExposureGraph:
    return cg.ExposureGraph.from_arrays([[1.0]], **({"price": 1.0, "depth": 10.0, "margin_long": 0.1} | changes))


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda: cg.LeverageTarget(cap=20, target=25), "LeverageTarget: cap is 20"),
        (lambda: cg.FloorExponentialImpact(floor=-0.1), "floor is -0.1"),
        (lambda: cg.OrderBookImpact([(0.2, 0.9), (0.1, 0.8)]), "levels"),
        (lambda: cg.SquareRootImpact(0.0), "coefficient is 0"),
        (lambda: cg.TargetMargin(-0.1), "buffer is -0.1"),
        (lambda: cg.MarginCascade(penalty=1.5), "penalty is 1.5"),
        (lambda: one_asset(depth=0.0), "depth"),
        (lambda: one_asset(margin_long=1.2), "margin_long"),
        (lambda: cg.MarginCascade().equilibria(one_asset(), {"0": -1.5}), "changes by -1.5"),
        (lambda: cg.MarginCascade().equilibrium_near(one_asset(), closed=[1.1]), "from 0 to 1"),
        (lambda: cg.MarginCascade().equilibria("the graph"), "build an ExposureGraph"),
        (lambda: cg.named.with_market_depth(one_asset(), 0.0), "alpha"),
    ],
)
def test_misuse_is_refused_with_the_reason(misuse, words: str):
    with pytest.raises((cg.ParameterError, cg.TableError), match=words):
        misuse()


def test_step_limit_is_reported_with_the_solution():
    graph = cg.ExposureGraph.from_arrays([[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850, -800])
    model = cg.MarginCascade(liquidation=cg.TargetMargin(0.2), max_rounds=2)
    with pytest.raises(cg.ConvergenceError) as caught:
        model.equilibria(graph, {"0": -0.1})
    assert caught.value.solution.status is cg.Status.STEP_LIMIT
    assert model.equilibria(graph, {"0": -0.1}, on_failure="ignore").least.solution.steps == 2


@pytest.mark.parametrize("quantity", [[[0.0]], [[1.0]], [[-1.0]], [[0.0, 0.0], [0.0, 0.0]]], ids=str)
@pytest.mark.parametrize("two_sided", ["auto", "conservative", "bracket"])
def test_markets_in_which_nothing_happens(quantity: list, two_sided: str):
    both = cg.MarginCascade().equilibria(
        cg.ExposureGraph.from_arrays(quantity, price=2.0, cash=5.0), two_sided=two_sided
    )
    assert both.unique
    assert both.undecided == 0.0
    assert both.gap.accounts == 0
    assert set(both.account_status) == {"certainly open"}


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_currency_does_not_matter(scale: float):
    graph, shock, given = inputs(market(11, one_sided=True))
    other = graph.assign(price=graph.price * scale, cash=graph.cash * scale, depth=graph.depth * scale,
                        insurance_fund=graph.insurance_fund * scale)  # fmt: skip
    given["losses"] = {}
    model = model_of(market(11, one_sided=True).rules)
    np.testing.assert_array_equal(*(np.array(closed(model.equilibria(g, shock, **given))) for g in (graph, other)))


def test_a_deposit_and_a_debt_in_one_cell_are_not_one_sided():
    graph = cg.ExposureGraph.from_tables(
        positions={"trader": ["A", "A"], "asset": ["X", "X"], "quantity": [10.0, -8.0], "margin": [0.5, 0.5]},
        assets={"asset": ["X"], "price": [1.0], "depth": [10.0]},
        accounts={"trader": ["A"], "cash": [6.5]},
    )
    model = cg.MarginCascade(impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(),))
    both = model.equilibria(graph)
    assert not both.one_sided
    assert both.points.shape == (1, 0)  # Q = 2 but 9 units to cover: a lower price helps, and no state is at rest
    assert both.undecided == 1.0
