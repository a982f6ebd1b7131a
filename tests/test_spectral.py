"""How far from a spiral: closed forms, dense eigenvalues, and the cascade itself."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.margin import amplification
from tests.markets import graph_of, model_of
from tests.reference import dense_equilibria as oracle
from tests.reference.dense_cascade import Rules
from tests.reference.random_markets import Case, random_case
from tests.shared_data import case

SPIRAL = cg.MarginCascade(cg.TargetMargin(), impact=cg.LinearImpact(), penalty=0.01, waterfall=(cg.InsuranceFund(),))


def one_asset(notional: float, *, depth: float = 1e3, margin: float = 0.05, shortage: float = 0.1) -> cg.ExposureGraph:
    """One account with a notional at a price of 1, short of its margin; a negative notional is a short."""
    rates = {"margin_long": margin, "margin_short": margin}
    return cg.ExposureGraph.from_arrays(
        [[notional]], price=1.0, depth=depth, cash=[margin * abs(notional) - shortage - notional], **rates
    )


# --- closed forms ---------------------------------------------------------------------------------------------------


def test_the_cross_margin_spiral_is_its_closed_form():
    reference = case("cross_margin_spiral_closed_form")
    given, expected, tolerance = reference["inputs"], reference["expected"], reference["tolerance"]
    margin, fee, depth = given["mm"], given["fee"], given["depth"]
    critical = cg.critical_notional(depth, margin, penalty=fee)
    assert critical == pytest.approx(expected["critical_notional"], rel=tolerance)
    graph = one_asset(given["breached_notional"], depth=depth, margin=margin, shortage=given["initial_shortage"])
    model = replace(SPIRAL, penalty=fee)
    radius = cg.spectral_radius(graph, model)
    assert radius == pytest.approx(given["breached_notional"] / critical, rel=tolerance)
    assert 1 / (1 - radius) == pytest.approx(expected["multiplier"], rel=tolerance)
    first = model.run(graph).rounds["closed_value"].iloc[0]
    assert first == pytest.approx(expected["first_round"], rel=tolerance)
    assert first / (1 - radius) == pytest.approx(expected["total_liquidated"], rel=tolerance)


def test_the_leverage_spiral_is_its_closed_form():
    reference = case("leverage_spiral_closed_form")
    given, expected, tolerance = reference["inputs"], reference["expected"], reference["tolerance"]
    leverage, position = given["leverage"], given["position"]
    model = cg.MarginCascade(
        cg.LeverageTarget(cap=leverage, target=leverage), impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(),)
    )
    graph = cg.ExposureGraph.from_arrays(
        [[position]], price=1.0, depth=given["depth"], cash=[position / leverage - position], assets=["A"]
    )
    radius = cg.spectral_radius(graph, model, {"A": given["r0"]})
    assert 1 / (1 - radius) == pytest.approx(expected["multiplier"], rel=tolerance)
    assert given["r0"] / (1 - radius) == pytest.approx(expected["total_return"], rel=tolerance)
    at_critical = graph.assign(depth=expected["critical_depth"])
    assert cg.spectral_radius(at_critical, model, {"A": given["r0"]}) == pytest.approx(1.0, rel=tolerance)
    assert cg.spectral_radius(graph, model) == 0.0  # at the cap, not above it


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize(("margin", "penalty"), [(0.05, 0.01), (0.3, 0.0), (0.02, 0.0199)])
def test_the_radius_crosses_one_at_the_critical_notional(side: str, margin: float, penalty: float):
    critical = float(cg.critical_notional(1000.0, margin, penalty=penalty, side=side))
    model = replace(SPIRAL, penalty=penalty)
    for share in (0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 2.0):
        notional = critical * share * (1 if side == "long" else -1)
        radius = cg.spectral_radius(one_asset(notional, margin=margin, shortage=1e-3 * critical * margin), model)
        assert radius == pytest.approx(share, rel=1e-12)
        assert (radius > 1.0) == (share > 1.0) or share == 1.0


@pytest.mark.parametrize("impact", [cg.LinearImpact(), cg.ExponentialImpact(), cg.ConstantProductImpact()])
def test_below_one_a_small_shortage_stays_small_and_above_it_does_not(impact: object):
    """On the path what is closed falls no further, so that the spiral ends once what is left is less than critical."""
    critical = float(cg.critical_notional(1e3, 0.05, penalty=0.01))
    for share, spirals in ((0.9, False), (1.3, True)):
        graph = one_asset(share * critical, shortage=1e-4)
        closed = replace(SPIRAL, impact=impact).run(graph).accounts["closed"].iloc[0]
        first = 1e-4 / (0.04 * share * critical)
        assert 0.3 < closed < 1.0 if spirals else closed < 12 * first


def test_the_sum_of_rounds_is_the_multiplier_of_the_first():
    """Sales v0 end at (I - K)^-1 v0, to first order in a shortage that is small."""
    graph = cg.ExposureGraph.from_arrays(
        [[60.0, 40.0], [30.0, 80.0], [500.0, 500.0]],
        price=1.0,
        depth=[9e3, 5e3],
        margin_long=[0.05, 0.1],
        cash=[7.0 - 1e-6 - 100.0, 9.5 - 2e-6 - 110.0, 0.0],
    )
    result = SPIRAL.run(graph)
    book = graph.quantity.toarray()[:2]
    relief = 0.04 * book[:, 0] + 0.09 * book[:, 1]
    K = -(book.T / relief) @ (book * ([0.05, 0.1]) - book) / graph.depth
    first = book.T @ (np.array([1e-6, 2e-6]) / relief)
    np.testing.assert_allclose(result.arrays.sold, np.linalg.solve(np.eye(2) - K, first), rtol=1e-4)
    assert cg.spectral_radius(graph, SPIRAL) == pytest.approx(np.abs(np.linalg.eigvals(K)).max(), rel=1e-12)


# --- against dense arrays -------------------------------------------------------------------------------------------


def dense_operator(drawn: Case, buffer: float) -> tuple[np.ndarray, bool]:
    """Return K over all assets from its definition, account by account, and whether some account is beyond relief."""
    s = oracle.setting(drawn)
    books, p, f = s.books, s.price_shocked, s.rules.penalty
    equity = books.cash + (books.sell + books.keep) @ p
    margin_units = books.margin_sell + books.margin_keep
    slope = -p * s.per_unit / s.price_before  # dp/dv, with f'(0) = -1
    K, beyond = np.zeros((len(p), len(p))), False
    for i in np.flatnonzero(equity < margin_units @ p):
        relief = ((1 + buffer) * books.margin_sell[i] - f * np.abs(books.sell[i])) @ p
        if relief > 0:
            by_price = ((1 + buffer) * margin_units[i] - books.sell[i] - books.keep[i]) / relief
            K += np.outer(books.sell[i] * s.price_before, by_price * slope)
        else:
            beyond |= bool(equity[i] > 0 and (books.sell[i] * slope).any())
    return K, beyond


def drawn_market(seed: int) -> tuple[Case, float]:
    rng = np.random.default_rng(seed)
    drawn = random_case(seed)
    buffer = float(rng.choice([0.0, 0.2]))
    rules = Rules(("target", buffer), penalty=float(rng.choice([0.0, 0.01, 0.06])), sharing=drawn.rules.sharing)
    shock = np.minimum(drawn.shock, rng.choice([0.0, -0.05, -0.1]))
    return replace(drawn, rules=rules, shock=shock, losses=np.zeros_like(drawn.losses)), buffer


def test_the_radius_is_that_of_the_dense_operator():
    above, infinite, none = 0, 0, 0
    for seed in range(1, 101):
        drawn, buffer = drawn_market(seed)
        graph = graph_of(drawn.market)
        shock = dict(zip(graph.assets, drawn.shock, strict=True))
        model = model_of(drawn.rules)
        K, beyond = dense_operator(drawn, buffer)
        expected = np.inf if beyond else np.abs(np.linalg.eigvals(K)).max()
        found = cg.spectral_radius(graph, model, shock)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
        if buffer == 0.0:
            for rule in (cg.FullLiquidation(), cg.CloseFactor(0.5)):
                assert cg.spectral_radius(graph, replace(model, liquidation=rule), shock) == found
        above, infinite, none = above + (1 < found < np.inf), infinite + np.isinf(found), none + (found == 0)
    assert min(above, infinite, none) >= 3, (above, infinite, none)


def many_assets(m: int, seed: int, *, shorts: bool) -> cg.ExposureGraph:
    """Draw 3 m accounts in breach, each with 5 of m assets."""
    rng = np.random.default_rng(seed)
    n = 3 * m
    rows, columns = np.repeat(np.arange(n), 5), rng.integers(0, m, 5 * n)
    quantity = np.zeros((n, m))
    np.add.at(quantity, (rows, columns), rng.lognormal(0.0, 1.0, 5 * n) * (rng.choice([1, -1], 5 * n) if shorts else 1))
    gross = np.abs(quantity).sum(axis=1)
    return cg.ExposureGraph.from_arrays(
        quantity, price=1.0, depth=5e3, margin_long=0.1, margin_short=0.1, cash=0.09 * gross - quantity.sum(axis=1)
    )


@pytest.mark.parametrize("shorts", [False, True])
def test_many_assets_by_arnoldi_are_the_same(shorts: bool, monkeypatch: pytest.MonkeyPatch):
    graph = many_assets(150, 1, shorts=shorts)
    found = cg.spectral_radius(graph, SPIRAL)
    assert found == cg.spectral_radius(graph, SPIRAL)
    monkeypatch.setattr(amplification, "DENSE", 1000)
    assert found == pytest.approx(cg.spectral_radius(graph, SPIRAL), rel=1e-9)
    assert 0.01 < found < np.inf


def test_where_arnoldi_fails_all_eigenvalues_are_computed(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise amplification.linalg.ArpackNoConvergence("no", np.array([]), np.array([]))

    graph = many_assets(80, 2, shorts=False)
    expected = cg.spectral_radius(graph, SPIRAL)
    monkeypatch.setattr(amplification.linalg, "eigs", fail)
    assert cg.spectral_radius(graph, SPIRAL) == pytest.approx(expected, rel=1e-9)


# --- what is always true --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1, 11))
def test_relabelling_and_the_currency_change_nothing(seed: int):
    drawn, _ = drawn_market(seed)
    graph, model = graph_of(drawn.market), model_of(drawn.rules)
    shock = pd.Series(drawn.shock, index=graph.assets)
    expected = cg.spectral_radius(graph, model, shock)
    frames = graph.to_frames()
    turned = {name: table.iloc[::-1] for name, table in frames.items() if table is not None}
    assert cg.spectral_radius(cg.ExposureGraph.from_tables(**turned), model, shock) == pytest.approx(expected, rel=1e-9)
    market = drawn.market
    entry = [(i, j, q, None if e is None else 7 * e, r) for i, j, q, e, r in market.positions]
    money = {name: 7 * getattr(market, name) for name in ("cash", "price", "depth", "insurance_fund")}
    scaled = graph_of(replace(market, positions=entry, **money))
    assert cg.spectral_radius(scaled, model, shock) == pytest.approx(expected, rel=1e-9)


def test_nobody_in_breach_no_impact_or_nothing_to_sell_is_zero():
    assert cg.spectral_radius(one_asset(20.0, shortage=0.0), SPIRAL) == 0.0
    assert cg.spectral_radius(one_asset(20.0, depth=np.inf), SPIRAL) == 0.0
    assert cg.spectral_radius(one_asset(20.0).assign(sellable=False), SPIRAL) == 0.0
    assert cg.spectral_radius(one_asset(20.0), SPIRAL, {"0": -1.0}) == 0.0


def test_who_cannot_be_relieved_is_without_bound_while_it_has_equity():
    toxic = replace(SPIRAL, penalty=0.05)
    assert cg.spectral_radius(one_asset(20.0), toxic) == np.inf
    assert cg.spectral_radius(one_asset(20.0, shortage=2.0), toxic) == 0.0
    assert cg.spectral_radius(one_asset(20.0, depth=np.inf), toxic) == 0.0
    assert cg.spectral_radius(one_asset(20.0), replace(SPIRAL, impact=cg.SquareRootImpact(0.1))) == np.inf


def test_closed_shares_give_the_slope_of_the_static_map_there():
    graph = cg.ExposureGraph.from_arrays(
        [[20.0], [10.0], [5.0]], price=1.0, depth=1e3, margin_long=0.05, cash=[-19.1, -9.52, 0.0]
    )
    closed = np.array([0.3, 1.0, 0.0])
    price = 1.0 - 16.0 / 1e3
    answer = (0.05 - 1.0 - 0.3 * 0.04) / (0.04 * price)
    assert cg.spectral_radius(graph, SPIRAL, closed=closed) == pytest.approx(-20.0 * answer / 1e3, rel=1e-12)
    assert cg.spectral_radius(graph, SPIRAL, closed=np.ones(3)) == 0.0
    series = pd.Series(closed, index=graph.account_index)[::-1]
    assert cg.spectral_radius(graph, SPIRAL, closed=series) == cg.spectral_radius(graph, SPIRAL, closed=closed)


def test_losses_that_the_pool_shares_bring_members_into_breach():
    graph = cg.ExposureGraph.from_arrays(
        [[20.0], [10.0]], price=1.0, depth=1e6, margin_long=0.05, cash=[-21.0, -9.4], share=[0.0, 1.0]
    )
    for members, passes in (((), False), ((cg.ProRata("share"),), True)):
        model = replace(SPIRAL, waterfall=(cg.InsuranceFund(), *members))
        assert (cg.spectral_radius(graph, model, closed=[1.0, 0.0]) > 0.0) == passes


def test_volume_at_the_price_when_sold_moves_less_after_a_fall():
    graph = one_asset(20.0)
    model = replace(SPIRAL, impact=cg.LinearImpact(volume="current"))
    initial = cg.spectral_radius(graph, SPIRAL, {"0": -0.01})
    assert cg.spectral_radius(graph, model, {"0": -0.01}) == pytest.approx(0.99 * initial, rel=1e-12)
    with pytest.raises(cg.ParameterError, match="closed shares do not say what was sold"):
        cg.spectral_radius(graph, model, closed=[0.5])


def test_impacts_by_asset_take_the_order_of_the_graph():
    graph = cg.ExposureGraph.from_arrays(
        [[20.0, 0.0], [0.0, 20.0]], price=1.0, depth=1e3, margin_long=0.05, cash=-19.1, assets=["B", "A"]
    )
    steep, flat = [(1.0, 0.5)], [(1.0, 0.9)]
    for books, slope in (({"A": steep, "B": flat}, 0.5), ({"A": flat, "B": flat}, 0.1)):
        radius = cg.spectral_radius(graph, replace(SPIRAL, impact=cg.OrderBookImpact(books)))
        assert radius == pytest.approx(slope * 0.475, rel=1e-12)


# --- the critical notional ------------------------------------------------------------------------------------------


def test_critical_notional_takes_and_gives_arrays():
    found = cg.critical_notional([[1e3], [2e3]], [0.05, 0.1, 1.0], penalty=0.01, side="short")
    np.testing.assert_allclose(found, np.outer([1e3, 2e3], [0.04 / 1.05, 0.09 / 1.1, 0.99 / 2.0]))
    assert cg.critical_notional([1e3, np.inf], [1.0, 0.1]).tolist() == [np.inf, np.inf]
    assert cg.critical_notional(pd.Series([1e3, 2e3]), 0.5).tolist() == [1e3, 2e3]


REFUSED = {
    "depth": ({"depth": 0.0}, "critical_notional: depth is 0; it must be above 0$"),
    "depth NaN": ({"depth": [1.0, np.nan]}, "depth is nan at position 1; it must be above 0$"),
    "margin": ({"margin": 0.0}, "margin is 0; it must be above 0 up to 1$"),
    "margin above": ({"margin": [0.5, 1.5]}, "margin is 1.5 at position 1; it must be above 0 up to 1$"),
    "penalty": ({"penalty": -0.1}, "penalty is -0.1; it must be from 0 up to below margin$"),
    "penalty above": ({"penalty": [0.1, 0.2]}, "penalty is 0.2 at position 1; it must be from 0 up to below margin$"),
    "side": ({"side": "both"}, "side is 'both'; it must be one of long, short$"),
    "text": ({"depth": "deep"}, "critical_notional: depth is a str; give numbers"),
    "shapes": ({"depth": [1.0, 2.0], "margin": [0.1] * 3}, "critical_notional: shape mismatch"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nonsense_is_refused(name: str):
    changed, message = REFUSED[name]
    with pytest.raises(cg.ParameterError, match=message):
        cg.critical_notional(**{"depth": 1e3, "margin": 0.2, **changed})


@pytest.mark.parametrize("closed", [[0.5, 0.5], [1.5], [np.nan], 0.5])
def test_closed_shares_that_fit_no_account_are_refused(closed: object):
    with pytest.raises(cg.ParameterError, match="closed must be 1 numbers from 0 to 1, one an account"):
        cg.spectral_radius(one_asset(20.0), SPIRAL, closed=closed)


def test_a_rule_without_a_derivative_and_an_unknown_asset_are_refused():
    with pytest.raises(cg.ParameterError, match="RepayAndSeize has no derivative"):
        cg.spectral_radius(one_asset(20.0), replace(SPIRAL, liquidation=cg.RepayAndSeize()))
    with pytest.raises(cg.ParameterError, match="unknown asset 'BTC'"):
        cg.spectral_radius(one_asset(20.0), SPIRAL, {"BTC": -0.1})
