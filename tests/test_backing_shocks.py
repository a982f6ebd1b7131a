"""Shocks of a graph with a backing: whatever takes a shock passes it down, says so, or refuses."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.graph.backing import shocked_prices
from contagion_graph.io.summary_text import report
from contagion_graph.report.facts import facts_of

from .test_aggregate import random_backing

MODEL = cg.MarginCascade(cg.TargetMargin(), impact=cg.LinearImpact())
SHOCK = {"X": -0.2}
PASSED = {"X": -0.2, "W": -0.18, "V": -0.09}  # V is to one half W
BACKING = {"asset": ["W", "V"], "underlying": ["X", "W"], "weight": [0.9, 0.5]}


def token(**more: Any) -> cg.ExposureGraph:
    """Return the holder of one token W that is X for 90 % of its value; nobody holds X."""
    return cg.ExposureGraph.from_tables(
        positions={"trader": ["H"], "asset": ["W"], "quantity": [1.0]},
        assets={"asset": ["W", "X"], "price": [100.0, 100.0], **more},
        backing={"asset": ["W"], "underlying": ["X"], "weight": [0.9]},
    )


def market() -> cg.ExposureGraph:
    """Return a market whose traders hold V, W, X and Y on margin, with obligations among two of them."""
    return cg.ExposureGraph.from_tables(
        positions={
            "trader": ["A", "A", "B", "B", "C", "D"],
            "asset": ["V", "Y", "W", "Y", "X", "Y"],
            "quantity": [50.0, 20.0, 40.0, 30.0, 10.0, 25.0],
        },
        assets={
            "asset": ["V", "W", "X", "Y"],
            "price": [10.0] * 4,
            "depth": [2e4] * 4,
            "margin_long": [0.1] * 4,
        },
        accounts={"trader": ["A", "B", "C", "D"], "cash": [-610.0, -580.0, -20.0, -180.0]},
        backing=BACKING,
        obligations={"debtor": ["A", "B"], "creditor": ["B", "C"], "amount": [30.0, 20.0]},
    )


def same(found: Any, expected: Any, tol: float = 1e-9) -> None:
    """Compare numbers, tables, and results by their tables; what backing alone has is left out."""
    if isinstance(found, cg.CascadeResult):
        for name in ("traders", "pools", "rounds", "accounts"):
            pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-9)
        return
    frame = isinstance(found, pd.DataFrame | pd.Series)
    compared = (found.to_numpy(), expected.to_numpy()) if frame else (np.asarray(found), np.asarray(expected))
    assert compared[0] == pytest.approx(compared[1], rel=1e-9, abs=tol)
    assert np.isfinite(compared[0]).all()
    assert (compared[0] != 0.0).any()


def frame_of(shock: Any) -> pd.DataFrame:
    return pd.DataFrame([shock, {asset: change / 2 for asset, change in shock.items()}])


RATIO = cg.named.CapitalRatio(0.02, buffer=0.05, target=0.06)
TAKES_A_SHOCK: dict[str, Callable[[cg.ExposureGraph, Any], Any]] = {
    "run": MODEL.run,
    "run, one account at a time": lambda g, s: MODEL.run(g, s, order=["B", "A"]),
    "equilibria": lambda g, s: MODEL.equilibria(g, s).least,
    "equilibria, greatest": lambda g, s: MODEL.equilibria(g, s).greatest,
    "equilibrium_near": lambda g, s: MODEL.equilibrium_near(g, s, closed=MODEL.equilibria(g, s).least.arrays.closed),
    "spectral_radius": lambda g, s: cg.spectral_radius(g, MODEL, s),
    "exposure_to_traders": lambda g, s: cg.exposure_to_traders(g, MODEL, s)["loss"],
    "sweep": lambda g, s: cg.sweep(g, MODEL, frame_of(s)).traders["expected_loss"],
    "sweep, fund_needed": lambda g, s: cg.sweep(g, MODEL, frame_of(s)).scenarios["gross_loss"],
    "sweep, systemic": lambda g, s: cg.sweep(g, MODEL, frame_of(s)).systemic()["mes"],
    "compare_pooling": lambda g, s: cg.collateral.compare_pooling(
        g, MODEL, frame_of(s), designs=["pool", "unified"]
    ).table["capital"],
    "stabilise": lambda g, s: cg.collateral.stabilise(g, MODEL, s).result,
    "blame": lambda g, s: cg.blame(MODEL.run(g, s)),
    "knockout": lambda g, s: cg.importance.knockout(g, MODEL, s),
    "shapley": lambda g, s: cg.importance.shapley(g, MODEL, s, measure="loss")["shapley"],
    "aumann_shapley": lambda g, s: cg.importance.aumann_shapley(g, MODEL, s, measure="loss"),
    "debtrank": cg.importance.debtrank,
    "systemicness": cg.importance.systemicness,
    "indirect_vulnerability": cg.importance.indirect_vulnerability,
    "greenwood_landier_thesmar": lambda g, s: cg.named.greenwood_landier_thesmar(g, s).traders["direct"],
    "farmer": lambda g, s: cg.named.farmer(g, RATIO, s).assets["price_after"],
    "CommonAssetClearing": lambda g, s: cg.CommonAssetClearing().run(g, s).assets["price_after"],
    "CommonAssetClearing, equilibria": lambda g, s: cg.CommonAssetClearing().equilibria(g, s).least.banks["value"],
}
SAYS_SO: dict[str, Callable[[cg.ExposureGraph, Any], Any]] = {
    "run": MODEL.run,
    "equilibria": MODEL.equilibria,
    "CommonAssetClearing": cg.CommonAssetClearing().run,
    "greenwood_landier_thesmar": cg.named.greenwood_landier_thesmar,
    "farmer": lambda g, s: cg.named.farmer(g, RATIO, s),
    "sweep": lambda g, s: cg.sweep(g, MODEL, frame_of(s)),
    "indirect_exposure": lambda g, s: cg.indirect_exposure(g, MODEL, -0.1),
    "exposure_to_traders": lambda g, s: cg.exposure_to_traders(g, MODEL, s),
    "exposure_curve": lambda g, s: cg.exposure_curve(g, MODEL, "X", sizes=[-0.1]),
    "ladder": lambda g, s: cg.scenarios.ladder(g, MODEL, [-0.1]),
    "debtrank": cg.importance.debtrank,
    "systemicness": cg.importance.systemicness,
    "indirect_vulnerability": cg.importance.indirect_vulnerability,
    "knockout": lambda g, s: cg.importance.knockout(g, MODEL, s),
    "shapley": lambda g, s: cg.importance.shapley(g, MODEL, s),
    "aumann_shapley": lambda g, s: cg.importance.aumann_shapley(g, MODEL, s, n_points=1, n_permutations=2, rng=0),
}


@pytest.mark.parametrize("name", SAYS_SO)
def test_an_answer_says_what_was_passed_down(name: str):
    """In its repr, and in its summary or attrs; W and V move with X. Without a backing nothing is said."""
    graph = market()
    answer, flat = (SAYS_SO[name](each, SHOCK) for each in (graph, graph.assign(backing=None)))
    if isinstance(answer, pd.DataFrame | pd.Series):
        assert answer.attrs["backing"] == "shocks passed down through table backing"
        assert "backing" not in flat.attrs
        return
    assert "table backing" in repr(answer)
    assert "backing" not in repr(flat)
    if name in ("run", "CommonAssetClearing", "greenwood_landier_thesmar", "farmer"):
        assert answer.summary()["passed_down"] == 2.0
        assert "passed_down" not in flat.summary()


@pytest.mark.filterwarnings("ignore::contagion_graph.BackingWarning")
@pytest.mark.parametrize("name", TAKES_A_SHOCK)
def test_whatever_takes_a_shock_passes_it_down(name: str):
    """A shock of a graph with a backing is the shock of all prices, by hand, of the graph without one."""
    graph = market()
    tol = 1e-3 if name == "aumann_shapley" else 1e-9  # an integral
    same(TAKES_A_SHOCK[name](graph, SHOCK), TAKES_A_SHOCK[name](graph.assign(backing=None), PASSED), tol)


def test_a_token_of_a_failed_asset_loses_what_is_made_of_it():
    """1 W at 100, 90 % of it X, X fails: by hand the holder keeps 10 and loses 90."""
    graph, model = token(), cg.MarginCascade()
    result = model.run(graph, {"X": -1.0})
    assert result.traders.loc["H", "loss"] == 90.0
    assert cg.indirect_exposure(graph, model, -1.0).trader("H").to_dict() == {"W": 0.0, "X": 90.0}
    assert model.equilibria(graph, {"X": -1.0}).least.traders.loc["H", "loss"] == 90.0
    assert cg.sweep(graph, model, pd.DataFrame({"X": [-1.0]})).traders.loc["H", "expected_loss"] == 90.0
    assert cg.scenarios.ladder(graph, model, [-1.0]).loc[-1.0].to_dict() == {"W": 100.0, "X": 90.0}
    assert cg.exposure_curve(graph, model, "X", sizes=[-1.0])["indirect", "H"].tolist() == [90.0]
    assert cg.look_through(graph, model, size=-0.5).effective.trader("H").tolist() == pytest.approx([1.0, 0.9])
    event = cg.scenarios.LossAbove(45.0)
    assert cg.tipping_point(graph, model, {"X": -1.0}, event=event).size == pytest.approx(0.5, abs=1e-5)
    covariance = pd.DataFrame([[0.01]], index=["X"], columns=["X"])
    found = cg.reverse_stress(graph, model, covariance, event=event, rng=0)
    assert found.shock["X"] == pytest.approx(-0.5, abs=1e-3)
    assert model.run(graph, found.shock).traders.loc["H", "loss"] == pytest.approx(45.0, rel=1e-3)


def test_without_the_table_prices_are_taken_as_they_are_given():
    graph, model = token(), cg.MarginCascade()
    flat = graph.assign(backing=None)
    assert model.run(flat, {"X": -1.0}).traders.loc["H", "loss"] == 0.0
    again = flat.assign(backing={"asset": ["W"], "underlying": ["X"], "weight": [0.5]})
    assert model.run(again, {"X": -1.0}).traders.loc["H", "loss"] == 50.0
    with pytest.raises(cg.TableError, match=r"backing.underlying: unknown label 'Z'"):
        flat.assign(backing={"asset": ["W"], "underlying": ["Z"], "weight": [0.5]})


def test_results_say_what_was_passed_down():
    graph, model = token(), cg.MarginCascade()
    result = model.run(graph, {"X": -1.0})
    assert "prices that table backing moved: 1" in repr(result)
    assert result.summary()["passed_down"] == 1
    assert result.assets["price_given"].tolist() == [100.0, 0.0]
    assert "moved through table backing: 1." in report(result)
    assert facts_of(result, {})["Shock"] == {"W": "-90 %, passed down through table backing", "X": "-100 %"}
    for said in (cg.sweep(graph, model, pd.DataFrame({"X": [-1.0]})), cg.indirect_exposure(graph, model, -1.0)):
        assert "passed down through table backing" in repr(said)
    flat = model.run(graph.assign(backing=None), {"X": -1.0})
    assert "passed_down" not in flat.summary()
    assert "price_given" not in flat.assets
    assert "backing" not in repr(flat) + report(flat)


def test_a_change_that_would_count_twice_is_told():
    """What `pass_down` returns is for a graph without the table: on top of it, W would fall to 0.8 x (0.2 + 0.8)."""
    graph, model = token(), cg.MarginCascade()
    passed = cg.collateral.Backing.from_graph(graph).pass_down({"X": -0.2}).shock
    with pytest.warns(cg.BackingWarning, match=r"'W' and what it is made of both change.*assign\(backing=None\)"):
        model.run(graph, passed)
    with pytest.warns(cg.BackingWarning):
        cg.sweep(graph, model, pd.DataFrame({"X": [-0.1], "W": [-0.09]}))
    assert model.run(graph.assign(backing=None), passed).traders.loc["H", "loss"] == pytest.approx(18.0)
    model.run(graph, {"X": -0.2, "W": -1.0})  # a bridge that fails takes all, whatever it carried


def test_a_derivative_is_refused():
    with pytest.raises(cg.ParameterError, match=r"marginal_exposure: the graph has a table backing.*look_through"):
        cg.marginal_exposure(market(), MODEL)
    with pytest.raises(cg.ParameterError, match="table backing"):
        cg.look_through(market(), MODEL)


def test_weights_above_the_whole_are_refused_by_whatever_takes_a_shock():
    graph = token().assign(backing={"asset": ["W", "W"], "underlying": ["X", "W"], "weight": [0.9, 0.5]})
    with pytest.raises(cg.TableError, match=r"the weights of asset 'W' sum to 1.4"):
        MODEL.run(graph, {"X": -0.1})


def test_assets_that_hold_only_each_other_are_named():
    cycle = {"asset": ["W", "X"], "underlying": ["X", "W"], "weight": [1.0, 1.0]}
    with pytest.raises(cg.ParameterError, match=r"the cycle (W -> X -> W|X -> W -> X) has no worth of its own"):
        MODEL.run(token().assign(backing=cycle), {"X": 0.5})


@pytest.mark.parametrize("seed", range(60))
def test_prices_are_those_of_pass_down_and_the_same_in_sweeps(seed: int):
    """C = s + (1 + s) W c; what nothing reaches stays the same to the bit."""
    rng = np.random.default_rng(seed)
    graph, weight = random_backing(rng, cyclic=seed % 2 == 0)
    m = len(graph.assets)
    changes = rng.uniform(-1.0, 0.0, (5, m)) * (rng.random((5, m)) < 0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cg.BackingWarning)
        prices = shocked_prices(graph, changes)
        for price, change in zip(prices, changes, strict=True):
            assert (price == shocked_prices(graph, change)).all()
            after = cg.collateral.Backing.from_graph(graph).pass_down(pd.Series(change, graph.assets)).table
            assert price == pytest.approx(after["price_after"].to_numpy(), rel=1e-9, abs=1e-12 * graph.price.max())
            passed = price / graph.price - 1.0
            assert passed == pytest.approx(change + (1.0 + change) * (weight @ passed), abs=1e-9)
            reached = np.linalg.matrix_power(np.eye(m) + (weight > 0.0), m) @ (change != 0.0) > 0.0
            assert (price[~reached] == graph.price[~reached]).all()


def test_a_change_of_a_price_is_made_in_one_place():
    """Wherever else p0 (1 + change) stands, a shock is not passed down."""
    folder = Path(cg.__file__).parent
    pattern = re.compile(r"price\w*(\[[^]]*\])? \* \(1(\.0)? [+-]|\(1(\.0)? \+ \w+\) \* \w*\.?price")
    places = {
        str(path.relative_to(folder)): found
        for path in folder.rglob("*.py")
        if (found := [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if pattern.search(line)])
    }
    allowed = {
        "graph/backing.py",
        "collateral/backing/backing.py",
    }
    assert set(places) == allowed, places


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_tie_with_the_threshold_is_no_failure(side: float):
    """A threshold of 1 fails what falls; what the shock does not touch has not fallen, however values are rounded."""
    rng = np.random.default_rng(5)
    for _ in range(100):
        graph, weight = random_backing(rng, cyclic=True)
        backing, m = cg.collateral.Backing.from_graph(graph), len(graph.assets)
        hit = int(rng.integers(m))
        end = backing.pass_down({graph.assets[hit]: side * 0.1}, failure=cg.collateral.FailureCost(1.0, cost=0.2)).table
        reached = np.linalg.matrix_power(np.eye(m) + (weight > 0.0), m)[:, hit] > 0.0
        assert ((end["failure_round"] > 0).to_numpy() == (reached & (side < 0.0))).all()
        assert (end["change"][~reached] == 0.0).all()
    one = cg.collateral.Backing.from_graph(token())
    tie = one.pass_down({"X": -0.2}, failure=cg.collateral.FailureCost(0.82, cost=0.0))  # W is worth 82
    assert tie.table["failure_round"].tolist() == [0, 1]


def test_the_runway_moves_what_is_made_of_an_asset():
    """1 W at 100, cash -80, margin 10: slack 10 falls by 90 per fall of W, and by 0.9 of that per fall of X."""
    graph = token(margin_long=[0.1, 0.0]).assign(cash=[-80.0])
    monitor = cg.SolvencyMonitor(graph)
    runway = monitor.runway()
    assert runway["fall"].tolist() == pytest.approx([10.0 / 90.0, 10.0 / 81.0])
    assert runway["trader_fall"].tolist() == ["H", "H"]
    assert monitor.runway_along({"X": -1.0}).move == pytest.approx(10.0 / 81.0)
    shock = {"X": -10.0 / 81.0}
    assert cg.MarginCascade().run(graph, {"X": shock["X"] * 0.999}).summary()["breached"] == 0
    assert cg.MarginCascade().run(graph, {"X": shock["X"] * 1.001}).summary()["breached"] == 1
    with pytest.raises(cg.ParameterError, match="not in proportion"):
        monitor.runway_along({"X": -1.0, "W": -0.5})


def test_a_network_of_positions_keeps_both_tables():
    graph = market()
    again = cg.ExposureGraph.from_networkx(graph.to_networkx(nodes="positions"))
    assert again.fingerprint() == graph.fingerprint()
    assert again.backing.equals(graph.backing)


def test_parts_of_a_dataset_pass_down_like_the_whole(tmp_path: Path):
    dask = pytest.importorskip("dask.distributed", reason="needs the extra `dask`")
    graph = market()
    local = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with dask.Client(**local) as client:
        folder = cg.distributed.partition(graph.to_frames(), tmp_path / "parts", n_parts=2)
        found = MODEL.run(cg.distributed.open_dataset(folder, client), SHOCK)
        expected = MODEL.run(graph, SHOCK)
        pd.testing.assert_series_equal(found.summary(), expected.summary(), check_exact=True)
        pd.testing.assert_frame_equal(found.accounts, expected.accounts, check_exact=True)
