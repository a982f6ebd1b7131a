"""The derivative of the static map against differences of the oracle's map, and what it says at kinks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from scipy import sparse

import contagion_graph as cg
from contagion_graph.graph.scenario import scenario
from contagion_graph.kernels.products import cross_products
from contagion_graph.margin.equilibria.jacobian import State, jacobians, rule_slopes, state_at
from contagion_graph.margin.equilibria.nonsmooth import at_kink
from contagion_graph.margin.equilibria.position_book import book_of
from contagion_graph.margin.equilibria.static_map import Case, payers_of
from contagion_graph.margin.prepare import prepared
from contagion_graph.rules.impact import ImpactRecord
from tests.markets import graph_of, model_of
from tests.reference import dense_equilibria as oracle
from tests.reference.random_markets import Case as Drawn
from tests.reference.small_markets import small_market

MARKETS = 200
STEP = 1e-6


def case_of(graph: cg.ExposureGraph, model: cg.MarginCascade, shock: object = None, losses: object = None) -> Case:
    """Gather what the derivative needs."""
    graph, impact = prepared(graph, model)
    hit = scenario(graph, shock, losses)
    base = np.zeros(len(graph.account_index))
    if model.sharing is not None:
        base = model.sharing.weights(graph, hit.price_shocked)
    return Case(book_of(graph), hit, model, impact, base, payers_of(book_of(graph), model))


def case_of_drawn(drawn: Drawn) -> Case:
    """Gather the same of a random market; given defaults are put in by hand."""
    graph = graph_of(drawn.market)
    losses = {f"t{k}": loss for k, loss in enumerate(drawn.losses) if loss}
    case = case_of(graph, model_of(drawn.rules), dict(zip(graph.assets, drawn.shock, strict=True)), losses)
    return case._replace(scenario=replace(case.scenario, defaults=drawn.defaults))


def small_map(s: oracle.Setting, z: np.ndarray) -> np.ndarray:
    """Return G(z) from the oracle's pieces: prices and burdens of z = (S, l), the rule, then sales and loss rates."""
    m = len(s.price_before)
    x = z[:m] * s.per_unit
    impact = s.rules.impact
    p = s.price_shocked * oracle.price_factor(impact, x)
    w = s.price_shocked * oracle.mean_price_factor(impact, np.zeros(m), x)
    prices = oracle.Prices(p, p, w, w)
    burden = oracle.borne(s, z[m:])
    equity = s.books.cash + oracle.worth(s.books.sell + s.books.keep, p, p) - burden
    maintenance = oracle.margin(s, prices, s.books.margin_sell) + oracle.margin(s, prices, s.books.margin_keep)
    gamma = np.where(equity < maintenance, oracle.close_share(s, prices, equity, maintenance, burden), 0.0)
    gamma = np.where(s.defaults, 1.0, gamma)
    # an infinite rate, with nobody left to share, is a constant like any other
    rate = oracle.loss_rate(s, gamma, prices)
    return np.concatenate([s.books.sell.T @ gamma, np.where(np.isinf(rate), 0.0, rate)])


def differences(f: Callable[[np.ndarray], np.ndarray], z: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return central differences of f, extrapolated once, one column a coordinate."""
    columns = []
    for k, h in enumerate(steps):
        unit = np.eye(len(z))[k] * h
        near, far = ((f(z + t * unit) - f(z - t * unit)) / (2 * t * h) for t in (1.0, 2.0))
        columns.append((4 * near - far) / 3)
    return np.stack(columns, axis=1)


def smooth_points(one_sided: bool) -> Iterator[tuple[Drawn, oracle.Setting, Case, State]]:
    """Draw markets with TargetMargin and states away from kinks, in most of which some account closes a part."""
    for seed in count(1):
        rng = np.random.default_rng([seed, one_sided])
        drawn = small_market(rng, one_sided=one_sided)
        rules = replace(drawn.rules, liquidation=("target", float(rng.choice([0.0, rng.uniform(0.02, 0.5)]))))
        drawn = replace(drawn, rules=rules, shock=np.maximum(drawn.shock, -0.9))
        s, case = oracle.setting(drawn), case_of_drawn(drawn)
        m, gamma = len(s.price_before), rng.random(len(s.books.cash)) * rng.choice([0.1, 0.5, 1.0])
        sold = s.books.sell.T @ gamma
        rate = small_map(s, np.concatenate([sold, np.zeros(len(s.fund))]))[m:]
        rate *= rng.uniform(0.5, 1.5, len(rate))
        state = state_at(case, sold, rate)
        kinks = at_kink(case, state, tol=2e-4)
        floored = rules.impact == "linear" and (np.abs(sold * s.per_unit - 1) < 1e-3).any()
        if not (kinks.accounts.any() or kinks.channels.any() or floored):
            yield drawn, s, case, state


def scales(s: oracle.Setting) -> tuple[np.ndarray, np.ndarray]:
    """Return one unit of x in units sold, and loss rates that cost the largest member its gross value."""
    held = np.abs(s.books.sell + s.books.keep) @ s.price_before + np.abs(s.books.cash) + 1.0
    units = 1.0 / np.where(s.per_unit > 0, s.per_unit, s.price_before)
    with np.errstate(divide="ignore"):
        rates = np.array([np.min((held / s.books.base)[member > 0], initial=1e3) for member in s.members.T])
    return units, rates


@pytest.mark.parametrize("one_sided", [True, False])
def test_the_jacobian_is_the_difference_quotient_of_the_oracle(one_sided: bool):
    met = dict.fromkeys(("partial", "shared", "deeper", "unsellable", "pools", "penalty", "no sharing"), 0)
    points = smooth_points(one_sided)
    for _ in range(MARKETS // 2):
        drawn, s, case, state = next(points)
        m, z, unit = len(s.price_before), np.concatenate([state.sold, state.rate]), np.concatenate(scales(s))
        (J, P), found = jacobians(case, state), differences(lambda at, s=s: small_map(s, at), z, STEP * unit)
        scaled, expected = (matrix * unit / unit[:, None] for matrix in (J, found))
        np.testing.assert_allclose(scaled, expected, rtol=1e-6, atol=1e-6 * np.abs(scaled).max() + 1e-9)
        found = differences(
            lambda p, s=s, z=z: small_map(replace(s, price_shocked=p), z), s.price_shocked, STEP * s.price_shocked
        )
        scaled, expected = (matrix * s.price_shocked / unit[:, None] for matrix in (P, found))
        np.testing.assert_allclose(scaled, expected, rtol=1e-6, atol=1e-6 * np.abs(scaled).max() + 1e-9)
        met["partial"] += bool((state.share < 1).any())
        met["shared"] += bool((J[m:, :] != 0).any())
        met["deeper"] += bool((J[m:, :m] != 0).any())
        met["unsellable"] += not drawn.market.sellable.all()
        met["pools"] += len(s.fund) > 1
        met["penalty"] += drawn.rules.penalty > 0
        met["no sharing"] += drawn.rules.sharing is None
    assert min(met.values()) >= 10, met


# --- every rule and impact, by the library's own map -----------------------------------------------------------------

IMPACTS = {
    "linear": cg.LinearImpact(),
    "exponential": cg.ExponentialImpact(),
    "floor": cg.FloorExponentialImpact(0.4),
    "root": cg.SquareRootImpact(0.3),
    "product": cg.ConstantProductImpact(),
    "book": cg.OrderBookImpact([(-0.5, 1.2), (0.03, 0.95), (0.4, 0.7), (2.0, 0.1)]),
}
RULES = {
    "target": cg.TargetMargin(0.2),
    "leverage": cg.LeverageTarget(cap=12.0, target=11.0),
    "close factor": cg.CloseFactor(0.5, full_below=0.5),
    "full": cg.FullLiquidation(),
}


def leveraged(seed: int, *, shorts: bool = False) -> cg.ExposureGraph:
    """Draw 30 accounts in 4 assets and 2 pools with a leverage of about 10; the last asset is not sellable."""
    rng = np.random.default_rng(seed)
    value = rng.lognormal(0.0, 0.7, (30, 4)) * (rng.random((30, 4)) < 0.7)
    value *= rng.choice([1.0, -1.0], (30, 4)) if shorts else 1.0
    price = rng.lognormal(1.0, 1.0, 4)
    gross = np.abs(value).sum(axis=1)
    return cg.ExposureGraph.from_arrays(
        value / price,
        price=price,
        depth=np.abs(value).sum(axis=0) * rng.uniform(1.5, 3.0, 4),
        margin_long=0.09,
        margin_short=0.07,
        cash=gross * rng.uniform(0.07, 0.15, 30) - value.sum(axis=1),
        pool=rng.integers(0, 2, 30),
        insurance_fund=0.01,
        sellable=[True, True, True, False],
    )


def library_map(case: Case, z: np.ndarray) -> np.ndarray:
    """Return G(z) from the passes that iterate it."""
    k = len(case.book.price)
    state = state_at(case, z[:k], z[k:])
    share = np.zeros(len(case.book.account_index))
    share[state.rows] = state.share
    prices = case.prices(state.sold, np.zeros(k))
    rate = case.loss_rate(share, state.rows, case.value_closed(prices, state.rows)[0])
    return np.concatenate([case.sold(share), np.where(np.isinf(rate), 0.0, rate)])


@pytest.mark.parametrize("impact", IMPACTS)
@pytest.mark.parametrize("rule", RULES)
def test_the_jacobian_serves_every_rule_and_impact(rule: str, impact: str):
    model = cg.MarginCascade(RULES[rule], impact=IMPACTS[impact], penalty=0.03)
    parts = 0
    for seed in range(16):
        graph = leveraged(seed)
        case = case_of(graph, model, dict.fromkeys(graph.assets, -0.03))
        sold = np.random.default_rng(seed).uniform(0.05, 0.1, 4) * graph.depth / graph.price
        state = state_at(case, sold, np.array([0.01, 0.02]))
        if at_kink(case, state, tol=1e-4).accounts.any():
            continue
        z, unit = np.concatenate([sold, state.rate]), np.concatenate([graph.depth / graph.price, np.ones(2)])
        J = jacobians(case, state).by_state * unit / unit[:, None]
        found = differences(lambda at, case=case: library_map(case, at), z, STEP * unit) * unit / unit[:, None]
        np.testing.assert_allclose(J, found, rtol=1e-6, atol=1e-6 * np.abs(J).max() + 1e-9)
        parts += bool(J[:4, :4].any())
    assert parts >= 2 if rule in ("target", "leverage") else parts == 0


def test_the_jacobian_of_a_book_cut_by_side_has_both_sides():
    model = cg.MarginCascade(RULES["target"], impact=cg.ExponentialImpact(), penalty=0.03)
    graph = leveraged(3, shorts=True)
    case = case_of(graph, model)
    case = case._replace(
        book=book_of(graph, "none"), scenario=replace(case.scenario, price_shocked=np.tile(graph.price, 2))
    )
    unit = np.concatenate([np.tile(graph.depth / graph.price, 2), np.ones(2)])
    z = np.random.default_rng(1).uniform(0.02, 0.05, 10) * unit * np.repeat([1, -1, 1], [4, 4, 2])
    state = state_at(case, z[:8], z[8:])
    assert not at_kink(case, state, tol=1e-4).accounts.any()
    J = jacobians(case, state).by_state * unit / unit[:, None]
    found = differences(lambda at: library_map(case, at), z, STEP * unit) * unit / unit[:, None]
    assert J[:3, 4:7].any()
    np.testing.assert_allclose(J, found, rtol=1e-6, atol=1e-6 * np.abs(J).max())


# --- what it is for -------------------------------------------------------------------------------------------------


def newton(case: Case) -> tuple[State, int]:
    """Find a fixed point of G from nothing sold, by Newton's method without any safeguard."""
    k = len(case.book.price)
    z, step, size = np.zeros(k + len(case.book.pools)), 0, np.inf
    while size > 1e-13 and step < 30:
        slope = jacobians(case, state_at(case, z[:k], z[k:])).by_state
        move = np.linalg.solve(np.eye(len(z)) - slope, library_map(case, z) - z)
        z, step = z + move, step + 1
        size = np.abs(move).max() / (1 + np.abs(z).max())
    return state_at(case, z[:k], z[k:]), step


def test_newton_and_a_small_shock_by_the_implicit_function_theorem():
    graph = leveraged(5)
    graph = graph.assign(depth=20 * graph.depth)
    model = cg.MarginCascade(cg.TargetMargin(0.1), impact=cg.LinearImpact(), penalty=0.01)

    def point(shock: float) -> tuple[Case, State, int]:
        case = case_of(graph, model, {"0": shock})
        return case, *newton(case)

    case, state, steps = point(-0.02)
    z = np.concatenate([state.sold, state.rate])
    np.testing.assert_allclose(library_map(case, z), z, rtol=1e-12, atol=1e-14)
    assert steps <= 8
    assert (state.share < 1).any()
    assert not at_kink(case, state).accounts.any()
    J, P = jacobians(case, state)
    answer = np.linalg.solve(np.eye(len(z)) - J, P[:, 0])
    h = 1e-6
    near = [np.concatenate([at.sold, at.rate]) for _, at, _ in (point(-0.02 + h), point(-0.02 - h))]
    np.testing.assert_allclose((near[0] - near[1]) / (2 * h * graph.price[0]), answer, rtol=1e-5, atol=1e-8)


# --- kinks and refusals ---------------------------------------------------------------------------------------------


def alone(equity: float, *, fund: float = 0.0, penalty: float = 0.0) -> Case:
    """One account that holds 100 units at 1, and a member that holds cash."""
    graph = cg.ExposureGraph.from_arrays(
        [[100.0], [0.0]], price=1.0, margin_long=0.1, cash=[equity - 100.0, 50.0], insurance_fund=fund
    )
    return case_of(graph, cg.MarginCascade(cg.TargetMargin(), penalty=penalty))


KINKS = {
    "E = M": (alone(10.0), True, False),
    "gamma = 0.5": (alone(5.0), False, False),
    "gamma = 1": (alone(2.0, penalty=0.02), True, False),
    "E = 0, V = 0": (alone(0.0), True, False),
    "E < 0": (alone(-5.0), False, False),
    "fund used up": (alone(-5.0, fund=5.0), False, True),
    "fund left": (alone(-5.0, fund=6.0), False, False),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_are_told(name: str):
    case, account, channel = KINKS[name]
    kinks = at_kink(case, state_at(case, np.zeros(1), np.zeros(1)))
    assert kinks.accounts.tolist() == [account, False]
    assert kinks.channels.tolist() == [channel]


@pytest.mark.parametrize(("cash", "kink"), [(-90.0, True), (-91.0, False), (-85.5, True), (-84.0, False)])
def test_kinks_are_told_where_proceeds_are_not_marks(cash: float, kink: bool):
    """At p = 0.9 and w = 0.95: E = cash + 90 is 0, and just the 4.5 that the penalty takes; V is far from 0."""
    graph = cg.ExposureGraph.from_arrays([[100.0]], price=1.0, depth=1e3, margin_long=0.1, cash=[cash])
    case = case_of(graph, cg.MarginCascade(cg.TargetMargin(), impact=cg.LinearImpact(), penalty=0.05))
    assert at_kink(case, state_at(case, np.array([100.0]), np.zeros(1))).accounts.tolist() == [kink]


@pytest.mark.parametrize(
    ("rule", "kink"),
    [
        (cg.CloseFactor(0.5, full_below=1.0 - 5.0 / 95.0), True),  # E = 5, M = 10, D = 95: just this health
        (cg.CloseFactor(0.5, full_below=0.94), False),
        (cg.CloseFactor(1.0, full_below=1.0 - 5.0 / 95.0), False),
    ],
)
def test_the_jump_of_a_close_factor_is_told(rule: cg.CloseFactor, kink: bool):
    graph = cg.ExposureGraph.from_arrays([[100.0]], price=1.0, margin_long=0.1, cash=[-95.0])
    case = case_of(graph, cg.MarginCascade(rule))
    assert at_kink(case, state_at(case, np.zeros(1), np.zeros(1))).accounts.tolist() == [kink]


@pytest.mark.parametrize(
    ("impact", "at"),
    [
        ("linear", [1.0]),
        ("book", [-0.5, 0.03, 0.4, 2.0]),
        ("root", [1.0 / 0.09]),
        ("exponential", []),
        ("floor", []),
        ("product", []),
    ],
)
def test_kinks_of_impacts_are_told_where_something_is_sold(impact: str, at: list[float]):
    graph = leveraged(1)
    case = case_of(graph, cg.MarginCascade(RULES["target"], impact=IMPACTS[impact]))
    unit = graph.depth / graph.price
    for x in (*at, 0.1):
        sold = np.array([x, 0.0, 0.7, 0.0]) * unit
        told = at_kink(case, state_at(case, sold, np.zeros(2))).columns
        assert told.tolist() == [x in at, False, False, False]


@pytest.mark.parametrize("seed", range(5))
def test_the_product_of_two_matrices_with_the_same_rows(seed: int):
    rng = np.random.default_rng(seed)
    left, right = (sparse.random_array((40, m), density=0.2, rng=rng, format="csr") for m in (7, 5))
    parts = cross_products(left, right, np.array([0, 0, 25, 40, 40]))
    np.testing.assert_allclose(parts.sum(axis=0), (left.T @ right).toarray(), rtol=1e-14)
    np.testing.assert_allclose(parts[2], (left[25:].T @ right[25:]).toarray(), rtol=1e-14)
    assert not cross_products(left[:0], right[:0], np.zeros(3, dtype=np.int64)).any()


def test_a_step_has_no_slope_and_other_rules_are_refused():
    assert rule_slopes(cg.FullLiquidation(), 0.1) == rule_slopes(cg.CloseFactor(), 0.1) == (0.0, 0.0, 0.0)
    with pytest.raises(cg.ParameterError, match="the closed share of RepayAndSeize has no derivative here; take Full"):
        rule_slopes(cg.RepayAndSeize(), 0.0)


def test_an_infinite_slope_is_refused_where_it_counts():
    model = cg.MarginCascade(cg.TargetMargin(), impact=cg.SquareRootImpact(0.1))
    graph = leveraged(1)
    case = case_of(graph, model, dict.fromkeys(graph.assets, -0.03))
    with pytest.raises(cg.ParameterError, match="SquareRootImpact is infinitely steep where nothing is sold; st"):
        jacobians(case, state_at(case, np.zeros(4), np.zeros(2)))
    state = state_at(case, np.array([1.0, 1.0, 1.0, 0.0]), np.zeros(2))  # the last is never sold
    assert np.isfinite(jacobians(case, state).by_state).all()


def test_an_impact_without_a_slope_is_refused():
    class Flat(ImpactRecord):
        def price_factor(self, x: np.ndarray) -> np.ndarray:
            return np.ones_like(x)

        def average_factor(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
            return np.ones_like(start)

        def inverse(self, factor: np.ndarray) -> np.ndarray:
            return np.full_like(factor, np.inf)

    case = case_of(leveraged(1), cg.MarginCascade(cg.TargetMargin(), impact=Flat()))
    with pytest.raises(cg.ParameterError, match=r"Flat has no slope\(x\) and average_slope\(x\)"):
        jacobians(case, state_at(case, np.zeros(4), np.zeros(2)))


def test_an_infinite_loss_rate_closes_who_bears_it():
    case = alone(-5.0)
    state = state_at(case, np.zeros(1), np.array([np.inf]))
    assert state.share.tolist() == [1.0, 1.0]
    assert jacobians(case, state).by_state.tolist() == [[0.0, 0.0], [0.0, 0.0]]
