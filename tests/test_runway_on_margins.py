"""Runways and breach prices on margin tiers and scenario grids: below nobody breaches, above somebody does."""

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.collateral.monitoring.runway import fund_runway, runway, runway_along
from tests.option_books import option_market
from tests.test_margins import market
from tests.test_runway import EDGE, breaks

SEEDS = range(25)


def random_graph(seed: int) -> cg.ExposureGraph:
    """Draw accounts on rates, tiers and two grids, near their margins and far from them; some are in breach."""
    rng = np.random.default_rng([seed, 22])
    graph, _ = market(rng, n=20)
    above = graph.gross_value.to_numpy() * rng.uniform(-0.05, 0.8, 20)
    return graph.assign(cash=graph.cash - graph.slack.to_numpy() + above, insurance_fund=50.0)


def assert_first(graph: cg.ExposureGraph, direction: dict[str, float], move: float, trader: object) -> None:
    """Check that nobody breaches before a move along a direction, and this trader after it."""
    if np.isnan(move):
        last = 0.999999 / -min(direction.values()) if min(direction.values()) < 0.0 else 1e6
        for share in (0.01, 0.1, 0.5, 0.9, 1.0):
            assert breaks(graph, {asset: share * last * part for asset, part in direction.items()}).size == 0
        assert pd.isna(trader)
        return
    below, above = ({asset: f * move * part for asset, part in direction.items()} for f in (1.0 - EDGE, 1.0 + EDGE))
    for share in (0.2, 0.5, 0.9, 1.0):
        assert breaks(graph, {asset: share * part for asset, part in below.items()}).size == 0
    assert trader in graph.account_index.get_level_values(0)[breaks(graph, above)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_price_alone(seed: int):
    graph = random_graph(seed)
    table = runway(graph)
    assert table.index.tolist() == graph.assets.tolist()
    assert table.notna().to_numpy().sum() > 4
    for asset, row in table.iterrows():
        assert_first(graph, {str(asset): -1.0}, row["fall"], row["trader_fall"])
        assert_first(graph, {str(asset): 1.0}, row["rise"], row["trader_rise"])
    pd.testing.assert_frame_equal(cg.SolvencyMonitor(graph).runway(), table)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_direction(seed: int):
    graph, rng = random_graph(seed), np.random.default_rng(seed)
    for part in (rng.normal(size=6), np.abs(rng.normal(size=6)), -np.abs(rng.normal(size=6))):
        direction = dict(zip(graph.assets, part.tolist(), strict=True))
        first = runway_along(graph, direction)
        assert_first(graph, direction, first.move, np.nan if first.account is None else first.account[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_flat_rates_as_tiers_have_the_runway_of_flat_rates(seed: int):
    flat = random_graph(seed)
    flat = flat.assign(cash=flat.cash + 100.0)
    tiers = {"asset": flat.assets, "lower": np.zeros(6), "rate": np.full(6, 0.1)}
    plain = cg.ExposureGraph.from_arrays(
        flat.quantity.toarray(), price=flat.price, margin_long=0.1, margin_short=0.1, cash=flat.cash, assets=flat.assets
    )
    pd.testing.assert_frame_equal(runway(plain.assign(margin_tiers=tiers)), runway(plain), rtol=1e-10)
    along = [runway_along(graph, {"A0": -1.0, "A1": 0.5}) for graph in (plain, plain.assign(margin_tiers=tiers))]
    assert along[0].move == pytest.approx(along[1].move, nan_ok=True)
    assert along[0].account == along[1].account


def test_what_is_made_of_an_asset_moves_with_it():
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["A"] * 2, "asset": ["ETH", "wrapped"], "quantity": [1.0, 1.0]},
        {"asset": ["ETH", "wrapped"], "price": [100.0, 100.0]},
        accounts={"trader": ["A"], "cash": [-150.0], "margin": ["pm"]},
        backing={"asset": ["wrapped"], "underlying": ["ETH"], "weight": [1.0]},
        margin_scenarios={"grid": ["pm"] * 2, "move": [-0.1, 0.0]},
    )
    table = runway(graph)  # 200 (1 - x) - 150 = 20 (1 - x), and with wrapped alone 200 - 100 x - 150 = 20 - 10 x
    assert table["fall"].tolist() == pytest.approx([1.0 / 6.0, 1.0 / 3.0])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_breach_price_is_where_the_account_breaches(seed: int):
    graph, found = random_graph(seed), 0
    monitor = cg.SolvencyMonitor(graph)
    for row, column in zip(*graph.quantity.nonzero(), strict=True):
        asset = graph.assets[column]
        price = monitor.breach_price(graph.account_index[row], asset)
        if np.isnan(price):
            ends = [graph.assign(price={asset: 1e-9}), graph.assign(price={asset: 1e9})]
            assert ends[0].slack.iloc[row] * ends[1].slack.iloc[row] > 0.0
            continue
        before, after = (graph.assign(price={asset: price * factor}).slack.iloc[row] for factor in (1 - 1e-6, 1 + 1e-6))
        assert before * after < 0.0
        found += 1
    assert found > 10


def test_breach_prices_of_options_on_grids():
    """The price of an option alone moves: its margin follows its underlying, whose breach price is refused."""
    graph = option_market(3).graph
    monitor, found = cg.SolvencyMonitor(graph), 0
    for row, column in zip(*graph.quantity.nonzero(), strict=True):
        asset = graph.assets[column]
        if asset in ("BTC", "ETH"):
            continue
        price = monitor.breach_price(graph.account_index[row], asset)
        if np.isfinite(price):
            moved = cg.SolvencyMonitor(graph)
            moved.price(asset, price)
            assert moved.account(graph.account_index[row])["slack"] == pytest.approx(
                0.0, abs=1e-9 * (1.0 + graph.price.max())
            )
            found += 1
    assert found > 3
    with pytest.raises(cg.ParameterError, match="instruments are priced from 'BTC'"):
        monitor.breach_price(graph.account_index[0], "BTC")


@pytest.mark.parametrize("seed", range(6))
def test_until_a_fund_is_used(seed: int):
    graph = random_graph(seed).assign(depth=1e6)
    model, direction = cg.MarginCascade(penalty=0.02), {"A0": -1.0}
    rest, scale = model.run(graph).arrays.fund_used[0], 1e-6 * graph.gross_value.sum()
    move = fund_runway(graph, model, direction, tol=1e-4)
    if np.isnan(move):
        assert model.run(graph, {"A0": -1.0}).arrays.fund_used[0] <= rest + scale
        return
    assert model.run(graph, {"A0": -move}).arrays.fund_used[0] > rest
    assert model.run(graph, {"A0": -max(0.0, move - 1e-4)}).arrays.fund_used[0] <= rest + scale or move <= 1e-4
