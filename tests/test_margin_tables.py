"""Tables of margins through every door, their faults, and what refuses a graph whose margins are no flat rates."""

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.public import FUNCTIONS

NAN = np.nan


def tables(**changed: Any) -> dict[str, Any]:
    """Return the tables of a small venue with tiers of one asset and two grids."""
    return {
        "positions": {
            "trader": ["A", "A", "B", "C", "C"],
            "asset": ["BTC", "ETH", "BTC", "ETH", "SOL"],
            "quantity": [2.0, -10.0, 30.0, 40.0, -100.0],
        },
        "assets": {
            "asset": ["BTC", "ETH", "SOL"],
            "price": [1_000.0, 100.0, 10.0],
            "margin_long": [0.05, 0.1, 0.2],
            "margin_short": [0.05, 0.1, 0.2],
            "group": ["", "alts", "alts"],
            "depth": [1e7, 1e6, 1e5],
        },
        "accounts": {"trader": ["A", "B", "C"], "cash": [5e3, 5e3, 5e3], "margin": ["", "wide", "narrow"]},
        "margin_tiers": {"asset": ["BTC", "BTC"], "lower": [0.0, 1_000.0], "rate": [0.05, 0.1]},
        "margin_scenarios": {
            "grid": ["wide"] * 3 + ["narrow"] * 3 + ["narrow"] * 3,
            "underlying": [""] * 6 + ["SOL"] * 3,
            "move": [-0.2, 0.0, 0.2, -0.1, 0.0, 0.1, -0.3, 0.0, 0.3],
            "weight": [1.0] * 9,
        },
        **changed,
    }


def venue(**changed: Any) -> cg.ExposureGraph:
    return cg.ExposureGraph.from_tables(**tables(**changed))


def changed(name: str, **columns: Any) -> dict[str, Any]:
    """Return the tables with other columns in one of them; None takes a column away."""
    table = tables()[name] | columns
    return {name: {column: values for column, values in table.items() if values is not None}}


def test_figures_by_hand():
    """A: 2 BTC on tiers 0.05 x 1,000 + 0.1 x 1,000, 10 ETH at 0.1; B: 0.2 x 30,000; C: see the next test."""
    graph = venue()
    assert graph.maintenance.tolist() == pytest.approx([250.0, 6_000.0, 100.0])
    table = graph.margin_table()
    assert table["margin"].tolist() == ["tiers", "rates", "wide", "narrow"]
    assert table["part"].tolist() == ["BTC", "ETH", "BTC", "alts"]
    assert table["piece"].tolist() == [1, 0, 0, 0]
    assert table["cost"].tolist() == pytest.approx([150.0, 100.0, 6_000.0, 100.0])


def test_a_group_moves_together():
    """ETH long and SOL short in one group: the same scenario for both, 4,000 x -0.1 + 1,000 x 0.3 = -100."""
    assert venue().maintenance["C"].item() == pytest.approx(100.0)
    apart = venue().assign(asset_group=["", "", ""])
    assert apart.maintenance["C"].item() == pytest.approx(400.0 + 300.0)


DOORS: dict[str, Callable[[cg.ExposureGraph, Path], cg.ExposureGraph]] = {
    "frames": lambda graph, _: cg.ExposureGraph.from_tables(**graph.to_frames()),
    "csv": lambda graph, folder: cg.read_tables(cg.write_tables(graph, folder).paths[0].parent),
    "parquet": lambda graph, folder: cg.read_tables(cg.write_tables(graph, folder, format="parquet").paths[0].parent),
    "networkx": lambda graph, _: cg.ExposureGraph.from_networkx(graph.to_networkx(nodes="positions")),
    "pickle": lambda graph, _: pickle.loads(pickle.dumps(graph)),
    "arrays": lambda graph, _: cg.ExposureGraph.from_arrays(
        graph.quantity, price=graph.price, depth=graph.depth, margin_long=graph.margin_long, traders=["A", "B", "C"],
        margin_short=graph.margin_short, cash=graph.cash, assets=graph.assets, margin_tiers=graph.margin_tiers,
        margin_scenarios=graph.margin_scenarios, account_margin={"B": "wide", "C": "narrow"},
        asset_group={"ETH": "alts", "SOL": "alts"},
    ),
    "assign": lambda graph, _: graph.assign(
        margin_tiers=None, account_margin=None, asset_group=None, margin_scenarios=None
    ).assign(
        margin_tiers=graph.margin_tiers, margin_scenarios=graph.margin_scenarios,
        account_margin={"B": "wide", "C": "narrow"}, asset_group={"ETH": "alts", "SOL": "alts"},
    ),
    "subset": lambda graph, _: graph.subset(traders=["A", "B", "C"]),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_margins_come_through_every_door(door: str, tmp_path: Path):
    graph = venue()
    other = DOORS[door](graph, tmp_path)
    assert other.fingerprint() == graph.fingerprint()
    pd.testing.assert_series_equal(other.maintenance, graph.maintenance)


def test_the_bipartite_graph_keeps_the_margins_too():
    graph = venue()
    assert cg.ExposureGraph.from_networkx(graph.to_networkx()).maintenance.tolist() == graph.maintenance.tolist()


def test_every_table_of_margins_counts_in_the_fingerprint():
    graph = venue()
    others = [
        graph.assign(margin_tiers=None),
        graph.assign(account_margin={"A": "wide"}),
        graph.assign(asset_group={"BTC": "alts"}),
        graph.assign(
            margin_scenarios=pd.concat([graph.margin_scenarios, graph.margin_scenarios[:3].assign(grid="other")])
        ),
    ]
    assert len({each.fingerprint() for each in (graph, *others)}) == 5


def test_a_part_of_a_graph_has_the_margins_of_its_accounts_and_assets():
    graph = venue()
    assert graph.subset(traders=["C", "A"]).maintenance.tolist() == pytest.approx([250.0, 100.0])
    without = graph.subset(assets=["ETH", "SOL"])
    assert without.maintenance.tolist() == pytest.approx([100.0, 0.0, 100.0])
    assert without.margin_tiers.empty


def test_a_grid_goes_with_the_last_asset_that_it_has_scenarios_of():
    given = changed("margin_scenarios", underlying=["BTC"] * 3 + [""] * 3 + ["SOL"] * 3)
    part = venue(**given).subset(assets=["ETH", "SOL"])
    assert part.account_margin.tolist() == ["", "", "narrow"]
    assert cg.ExposureGraph.from_tables(**part.to_frames()).fingerprint() == part.fingerprint()
    alone = venue(**given).subset(traders=["B"], assets=["ETH"])
    assert alone.maintenance.tolist() == [0.0]


def test_a_graph_without_accounts_on_grids_or_tiers_has_flat_rates():
    """Grids that nobody is on change nothing; nor does a group of assets."""
    graph = venue(margin_tiers=None).assign(account_margin=None)
    assert graph.maintenance.tolist() == pytest.approx([200.0, 1_500.0, 600.0])
    assert cg.MarginCascade().run(graph, {"BTC": -0.1}).solution.converged


def test_labels_of_margins_may_be_integers():
    graph = venue(**changed("margin_scenarios", grid=[1] * 3 + [2] * 6), **changed("accounts", margin=[None, 1, 2]))
    assert graph.maintenance.tolist() == venue().maintenance.tolist()


# --- faults -----------------------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "falling rates": (changed("margin_tiers", rate=[0.2, 0.1]), "margin_tiers.rate: lower than that of the tier below"),
    "first tier not at 0": (changed("margin_tiers", lower=[10.0, 100.0]), "margin_tiers.lower: the first tier"),
    "tier twice": (changed("margin_tiers", lower=[0.0, 0.0]), "margin_tiers.lower: repeated in 1 row"),
    "tiers of nothing": (
        changed("margin_tiers", asset=["BTC", "BTK"], lower=[0.0, 0.0]),
        "margin_tiers.asset: unknown label 'BTK'"),
    "negative notional": (changed("margin_tiers", lower=[-5.0, 1_000.0]), "margin_tiers.lower: out of range"),
    "rate above 1": (changed("margin_tiers", rate=[0.2, 1.5]), "margin_tiers.rate: out of range"),
    "rate NaN": (changed("margin_tiers", rate=[0.2, NAN]), "margin_tiers.rate: blank or NaN"),
    "no rate": (changed("margin_tiers", rate=None), "margin_tiers.rate: the column is missing"),
    "grid without the move 0": (
        changed("margin_scenarios", move=[-0.2, 0.1, 0.2, -0.1, 0.0, 0.1, -0.3, 0.0, 0.3]),
        "margin_scenarios.move: a grid without the move 0 in 1 row (row 0: grid 'wide'",
    ),
    "scenario twice": (
        changed("margin_scenarios", move=[0.0, 0.0, 0.2, -0.1, 0.0, 0.1, -0.3, 0.0, 0.3]),
        "margin_scenarios.move: repeated in 1 row (row 1",
    ),
    "move below -1": (changed("margin_scenarios", move=[-1.2, 0.0, 0.2] * 3), "margin_scenarios.move: out of range"),
    "move NaN": (changed("margin_scenarios", move=[NAN, 0.0, 0.2] * 3), "margin_scenarios.move: blank or NaN"),
    "negative weight": (changed("margin_scenarios", weight=[-1.0] * 9), "margin_scenarios.weight: out of range"),
    "weight above 1": (changed("margin_scenarios", weight=[1.2] * 9), "margin_scenarios.weight: out of range"),
    "vol factor": (changed("margin_scenarios", vol_factor=[0.0] * 9), "margin_scenarios.vol_factor: out of range"),
    "contingency": (changed("margin_scenarios", contingency=[2.0] * 9), "margin_scenarios.contingency: out of range"),
    "contingencies": (
        changed("margin_scenarios", contingency=[0.01, 0.02, 0.01] + [0.0] * 6),
        "margin_scenarios.contingency: differs within the grid in 1 row (row 1",
    ),
    "unknown underlying": (
        changed("margin_scenarios", underlying=[""] * 6 + ["SOLL"] * 3),
        "margin_scenarios.underlying: unknown label 'SOLL' (did you mean 'SOL'?)",
    ),
    "unknown grid": (changed("accounts", margin=["", "wide", "narow"]), "accounts.margin: unknown grid 'narow' (did"),
    "no grids": (
        {"margin_scenarios": None} | changed("accounts", margin=["", "wide", "wide"]),
        "accounts.margin: unknown grid 'wide' in 2 rows"),
    "grid that does not cover": (
        changed("margin_scenarios", underlying=["ETH"] * 3 + [""] * 3 + ["SOL"] * 3),
        "margin_scenarios.underlying: grid 'wide' has no scenarios of 'BTC', which its accounts hold",
    ),
    "scenarios that do not match": (
        {"margin_scenarios": {"grid": ["wide", "narrow", "narrow", "narrow"], "underlying": ["", "", "SOL", "SOL"],
                              "move": [0.0, 0.0, 0.0, 0.1]}},
        "assets.group: grid 'narrow' has [1, 2] scenarios of the underlyings of group 'alts'",
    ),
    "own rate beside tiers": (
        changed("positions", margin=[0.1, None, None, None, None]),
        "positions.margin: a rate beside tiers or a grid in 1 row (row 0: trader 'A', asset 'BTC')",
    ),
    "own rate on a grid": (
        changed("positions", margin=[None, None, None, 0.1, None]),
        "positions.margin: a rate beside tiers or a grid in 1 row (row 3: trader 'C', asset 'ETH')",
    ),
    "grid as a number": (changed("accounts", margin=[0.5, 1.5, 2.5]), "accounts.margin: has type double"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_margins_are_named(name: str):
    wrong, message = FAULTS[name]
    with pytest.raises(cg.TableError) as caught:
        venue(**wrong)
    assert message in str(caught.value)
    assert len(caught.value.faults) == 1, "one mistake is one fault"


def test_faults_of_both_tables_are_in_one_error():
    with pytest.raises(cg.TableError) as caught:
        venue(**changed("margin_tiers", rate=[0.2, 0.1]), **changed("margin_scenarios", weight=[2.0] * 9))
    assert {fault.where for fault in caught.value.faults} == {"margin_tiers.rate", "margin_scenarios.weight"}


ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown grid": ({"account_margin": {"A": "wid"}}, "unknown grid 'wid' (did you mean 'wide'?)"),
    "unknown account": ({"account_margin": {"Z": "wide"}}, "account_margin: unknown label 'Z'"),
    "no name": ({"account_margin": {"A": 0.5}}, "account_margin: 'A': 0.5 is no name"),
    "named twice": ({"asset_group": pd.Series(["x", "y"], ["BTC", "BTC"])}, "asset_group: 'BTC' is named twice"),
    "too few": ({"asset_group": ["x"]}, "asset_group: has 1 labels, expected 3"),
    "tiers that fall": (
        {"margin_tiers": {"asset": ["BTC", "BTC"], "lower": [0, 1], "rate": [0.2, 0.1]}},
        "margin_tiers.rate: lower than",
    ),
    "tiers of nothing": ({"margin_tiers": {"asset": ["X"], "lower": [0], "rate": [0.2]}}, "unknown label 'X'"),
    "grids that are used": ({"margin_scenarios": None}, "accounts.margin: unknown grid"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_of_assign_are_checked(name: str):
    given, message = ARGUMENTS[name]
    with pytest.raises(cg.TableError) as caught:
        venue().assign(**given)
    assert message in str(caught.value)


# --- what takes flat rates alone --------------------------------------------------------------------------------------

MODEL = cg.MarginCascade()
FALL, LOSS = {"BTC": -0.1}, cg.scenarios.ShareClosed(0.5)
FLAT_ALONE: dict[str, Callable[[cg.ExposureGraph], Any]] = {
    "MarginCascade.equilibria": lambda graph: MODEL.equilibria(graph, FALL),
    "MarginCascade.equilibrium_near": lambda graph: MODEL.equilibrium_near(graph, FALL, closed=np.zeros(3)),
    "collateral.haircuts": lambda graph: cg.collateral.haircuts(graph, volatility=0.1, delay=1.0),
    "look_through": lambda graph: cg.look_through(graph, MODEL, FALL),
    "marginal_exposure": lambda graph: cg.marginal_exposure(graph, MODEL, FALL),
    "spectral_radius": lambda graph: cg.spectral_radius(graph, MODEL, FALL),
}
ANY_MARGIN = {  # functions that run cascades alone, the monitor, runways, plans, absences, pooling
    *("collateral.compare_pooling", "collateral.pooling"),
    *("fund_runway", "runway", "runway_along", "importance.knockout", "importance.shapley"),
    "importance.aumann_shapley",  # on grids; tests/test_absences_on_margins.py has its refusal of tiers
    *("SolvencyMonitor", "collateral.deleverage", "collateral.stabilise", "collateral.top_up", "collateral.transfer"),
    *("exposure_curve", "exposure_to_traders", "indirect_exposure", "reverse_stress", "scenarios.ladder", "sweep"),
    "tipping_point",
}
FLAT_FILLS = {"adl_policies"}  # refuse tiers and grids where positions pass: test_fills
NO_MARGINS = {  # functions of a graph that ask for no margin at other prices, or put one of their own in its place
    *("plot.greeks", "plot.margin_scenarios", "waterfall_of"),
    *("backbone", "direct_exposure", "collateral.Plan.apply"),
    *("named.caccioli_stability", "named.farmer", "named.greenwood_landier_thesmar", "named.with_market_depth"),
    "named.without_margins",
}


@pytest.mark.parametrize("name", FLAT_ALONE)
def test_what_values_margins_at_other_prices_refuses_tiers_and_grids(name: str):
    for graph in (venue(), venue(margin_tiers=None), venue().assign(account_margin=None)):
        with pytest.raises(
            cg.ParameterError, match=r"the graph has .*(margin tiers|scenario grids).*give graph\.assign"
        ):
            FLAT_ALONE[name](graph)


def test_every_function_of_a_graph_is_judged():
    found = {
        name
        for name, function in FUNCTIONS.items()
        if next(iter(inspect.signature(function).parameters), "") == "graph"
        and ("model" in inspect.signature(function).parameters or not name.startswith("importance."))
    }
    assert found - FLAT_ALONE.keys() - NO_MARGINS - ANY_MARGIN == FLAT_FILLS


def test_measures_of_importance_ask_for_no_margin():
    one, other = venue(), venue().assign(margin_tiers=None, account_margin=None)
    for measure in (cg.importance.degree, cg.importance.indirect_vulnerability, cg.importance.endogenous_risk_index):
        given = (FALL,) if measure is cg.importance.indirect_vulnerability else ()
        pd.testing.assert_frame_equal(pd.DataFrame(measure(one, *given)), pd.DataFrame(measure(other, *given)))


def test_a_rule_with_margins_of_its_own_takes_the_place_of_tiers_and_grids():
    model = cg.MarginCascade(liquidation=cg.LeverageTarget(20.0, target=15.0))
    result = model.run(venue(), FALL)
    assert result.graph.margin_tiers is None
    flat = model.run(venue().assign(margin_tiers=None, account_margin=None), FALL)
    pd.testing.assert_frame_equal(result.accounts, flat.accounts)


def test_graphs_without_margins_have_no_tiers():
    assert cg.named.without_margins(venue()).maintenance.tolist() == [0.0, 0.0, 0.0]
