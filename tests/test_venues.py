"""Presets of venues: their tables are valid, and their figures those that are published."""

import numpy as np
import pytest

import contagion_graph as cg
from tests.shared_data import case

PRESETS = {
    "hyperliquid": cg.venues.hyperliquid,
    "binance": cg.venues.binance,
    "binance 2022": lambda: cg.venues.binance("2022"),
    "dydx": cg.venues.dydx,
    "okx": cg.venues.okx,
    "deribit": cg.venues.deribit,
    "derive": cg.venues.derive,
    "derive, a week": lambda: cg.venues.derive(days=7.0),
}
COINS = ["BTC", "ETH", "SOL", "ADA", "ZEC", "XEM"]
GRAPH = cg.ExposureGraph.from_arrays(
    np.array([[3.0, -50.0, 0.0, 2e5, 10.0, 1e4], [-2_000.0, 1.0, 1e4, 0.0, -1e5, 0.0]]), assets=COINS, cash=1e9,
    price=[1e5, 3e3, 150.0, 0.7, 50.0, 0.1], depth=1e8, margin_long=0.2, margin_short=0.2,
)  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_dated_sourced_and_says_what_it_leaves_out(name: str):
    venue = PRESETS[name]()
    assert venue.date[:2] == "20"
    assert all(venue.sources)
    assert len(venue.leaves_out) >= 3
    assert (venue.margin_tiers is None) != (venue.margin_scenarios is None)
    assert venue.name in repr(venue)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fits_a_graph(name: str):
    venue = PRESETS[name]()
    graph = venue.apply(GRAPH)
    costs = graph.margin_table().groupby(level=["trader", "pool", "subaccount"])["cost"].sum()
    assert costs.to_numpy() == pytest.approx(graph.maintenance.to_numpy())
    assert (graph.maintenance > 0.0).all()
    assert cg.ExposureGraph.from_tables(**graph.to_frames()).fingerprint() == graph.fingerprint()


def test_figures_of_hyperliquid():
    """BTC 150 million at 1.25 % and 50 at 2.5 %; 39 coins have tiers."""
    expected = case("hyperliquid_margin_tiers")["expected"]["maintenance_margin"]
    graph = cg.ExposureGraph.from_arrays([[2_000.0, 0.0], [0.0, 1e6]], price=[1e5, 10.0], assets=["BTC", "OP"])
    assert cg.venues.hyperliquid().apply(graph).maintenance.tolist() == [expected, 0.05 * 3e6 + 0.1 * 7e6]
    assert cg.venues.hyperliquid().margin_tiers["asset"].nunique() == 39


def test_figures_of_binance():
    """The maintenance amounts of BTCUSDT that the exchange showed in March 2021."""
    amounts = [0, 50, 1_300, 16_300, 266_300, 1_266_300, 2_516_300, 5_016_300, 25_016_300, 100_016_300]
    tiers = cg.venues.binance().margin_tiers.query("asset == 'BTC'")
    margin = cg.TieredMargin({"BTC": list(zip(tiers["lower"], tiers["rate"], strict=True))})
    assert margin.amounts["BTC"] == pytest.approx(amounts)
    given = case("tiers_binance_a")["inputs"]
    for name in ("ada", "zec"):
        table = cg.venues.binance("2022").margin_tiers.query(f"asset == '{name.upper()}'")
        assert table[["lower", "rate"]].to_numpy().tolist() == given[name]


def test_figures_of_dydx():
    table = cg.venues.dydx().margin_tiers.set_index("asset")["rate"]
    assert table.to_dict() == pytest.approx({"BTC": 0.012, "ETH": 0.012, "SOL": 0.03})
    model = cg.venues.dydx().model
    assert (model.penalty, model.penalty_to_fund) == (0.015, 1.0)


def test_figures_of_okx():
    """12 % of BTC, 18 % of SOL and 25 % of the others; what is long and short of one underlying nets, others do not."""
    graph = cg.ExposureGraph.from_arrays(np.diag([100.0, -100.0, 100.0]), price=1.0, assets=["BTC", "SOL", "X"])
    assert cg.venues.okx().apply(graph).maintenance.tolist() == pytest.approx([12.0, 18.0, 25.0])
    both = cg.ExposureGraph.from_arrays([[100.0, -100.0]], price=1.0, assets=["BTC", "ETH"])
    assert cg.venues.okx().apply(both).maintenance.tolist() == pytest.approx([24.0])


def test_scenarios_of_derive_are_those_of_its_tests():
    given = case("pm_derive_v2_a")["inputs"]["test_12_risk_cancelling_naked_short_call"]
    shocks = given["parameters"]["VolShock"]
    factors = {"Up": 1.0 + shocks["VOLRANGEUP"], "None": 1.0, "Down": 1.0 - shocks["VOLRANGEDOWN"]}
    weight = given["parameters"]["Margin"]["MM_LOSS_FACTOR"]
    expected = {
        (round(factor - 1.0, 6), factors[kind], round(weight * dampening, 9))
        for factor, kind, dampening in given["scenarios"]
        if kind in factors
    }
    table = cg.venues.derive(days=30.0).margin_scenarios
    found = zip(table["move"].round(6), table["vol_factor"], table["weight"].round(9), strict=True)
    assert set(found) == expected
    assert table["contingency"].unique().tolist() == [given["parameters"]["OtherContingency"]["MM_OPTION_PERCENT"]]


def test_scenarios_of_deribit():
    table = cg.venues.deribit(days=15.0).margin_scenarios
    assert len(table) == 27
    assert sorted(table["move"].unique()) == pytest.approx(np.linspace(-0.16, 0.16, 9))
    assert sorted(table["vol_factor"].unique()) == pytest.approx([1.0 - 0.25 * 2.0**0.3, 1.0, 1.0 + 0.5 * 2.0**0.3])


def test_what_is_no_preset_is_refused():
    with pytest.raises(cg.ParameterError, match=r"binance: date is '2030'; it must be one of 2021-03-18, 2022"):
        cg.venues.binance("2030")
    with pytest.raises(cg.ParameterError, match="dydx: the liquidity tier of BTC is 'Big'"):
        cg.venues.dydx({"BTC": "Big"})
    with pytest.raises(cg.ParameterError, match="liquidity_tiers is no mapping"):
        cg.venues.dydx({})
    with pytest.raises(cg.ParameterError, match=r"derive: days is 0\.5"):
        cg.venues.derive(days=0.5)
    with pytest.raises(cg.ParameterError, match="hyperliquid: it has margin tiers of no asset of the graph"):
        cg.venues.hyperliquid().apply(cg.ExposureGraph.from_arrays([[1.0]], price=1.0))


def test_the_waterfall_of_a_clearing_house():
    """Capital and the default fund of a default in 2018 (test_waterfall has the case), through the preset."""
    venue = cg.venues.clearing_house(assessments=2.0, gains_haircut=True)
    tables = {
        "positions": {"trader": ["D", "A", "B"], "asset": ["X"] * 3, "quantity": [228.0, 0.0, 0.0]},
        "assets": {"asset": ["X"], "price": [1.0]},
        "accounts": {"trader": ["D", "A", "B"], "cash": [-228.0, 1e3, 1e3], "fund_contribution": [0.0, 83.0, 83.0]},
        "pools": {"pool": ["pool"], "skin_in_the_game": [7.0]},
    }
    graph = venue.apply(cg.ExposureGraph.from_tables(**tables))
    layers = venue.model.run(graph, {"X": -0.5}, defaults=["D"]).layers
    assert layers["used"].tolist() == pytest.approx([0.0, 7.0, 107.0, 0.0, 0.0])
    assert layers["capacity"].tolist() == [166.0, 7.0, 166.0, 332.0, 0.0]
    assert [layer.name for layer in cg.venues.clearing_house(assessments=0.0).model.waterfall][-1] == "members"
    with pytest.raises(cg.ParameterError, match="assessments is -1"):
        cg.venues.clearing_house(assessments=-1)


@pytest.mark.parametrize("name", ["hyperliquid", "binance", "dydx"])
def test_venues_that_deleverage_do(name: str):
    """Of a venue with more than its fund to pay, positions pass, and nothing stays uncovered."""
    venue, rng = PRESETS[name](), np.random.default_rng(1)
    held = rng.normal(0.0, 5.0, (40, 1))
    held[-1] -= held.sum()
    graph = cg.ExposureGraph.from_arrays(
        held,
        price=1e5,
        depth=1e8,
        assets=["BTC"],
        cash=np.abs(held[:, 0]) * 1e5 * rng.uniform(0.05, 1.0, 40) - held[:, 0] * 1e5,
    )
    result = venue.model.run(venue.apply(graph), {"BTC": -0.3})
    assert len(result.fills) > 5
    assert result.accounts["transfer"].sum() == pytest.approx(0.0, abs=1e-3)
