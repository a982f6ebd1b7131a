"""The examples on real data: figures reproduced, identities held, reports printed; skipped where the data is absent."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import compound_v2 as compound
import eba_2011 as eba
import numpy as np
import pandas as pd
import pytest
import us_banks as us
from real_data import data_folder

import contagion_graph as cg

NAMES = ("compound_v2", "eba_2011", "us_banks")
MODULES = dict(zip(NAMES, (compound, eba, us), strict=True))


def folder_of(module: ModuleType) -> Path:
    try:
        return data_folder(module.DATA)
    except SystemExit as absent:
        pytest.skip(str(absent))


def truth(module: ModuleType) -> dict[str, Any]:
    return json.loads((folder_of(module) / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def accounts() -> pd.DataFrame:
    return pd.read_parquet(folder_of(compound) / "accounts.parquet")


@pytest.fixture(scope="module")
def compound_graph() -> cg.ExposureGraph:
    return compound.build_graph(folder_of(compound))


@pytest.fixture(scope="module")
def compound_runs(compound_graph: cg.ExposureGraph) -> dict[float, tuple[cg.CascadeResult, cg.CascadeResult]]:
    return {times: compound.cascades(compound_graph, 0.30, times) for times in (0.25, 1.0, 4.0, np.inf)}


@pytest.fixture(scope="module")
def eba_result() -> cg.CascadeResult:
    return eba.MODEL.run(eba.sovereign_graph(folder_of(eba)), eba.SHOCK)


@pytest.fixture(scope="module")
def us_results() -> dict[str, cg.CascadeResult]:
    graph = us.build_graph(folder_of(us))
    return {"none": us.MODEL.run(graph, us.SHOCK), "linear": us.MODEL.run(us.with_impact(graph), us.SHOCK)}


def assert_identities(result: cg.CascadeResult) -> None:
    rows, pools = result.accounts, result.pools
    tolerance = 1e-9 * result.graph.gross_value.sum()
    parts = rows["direct"] + rows["impact"] + rows["penalty"]
    assert (rows["loss"] - (parts + rows["socialised"] - rows["shortfall"])).abs().max() <= tolerance
    assert rows["loss"].sum() + pools["fund_used"].sum() + pools["uncovered"].sum() == pytest.approx(
        parts.sum(), rel=0, abs=tolerance
    )
    after = pools["fund_before"] - pools["fund_used"] + pools["fund_received"]
    assert (pools["fund_after"] - after).abs().max() <= tolerance


# --- Compound v2 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fall", ["0.05", "0.10", "0.20", "0.30", "0.40", "0.50"])
def test_compound_reproduces_the_reference(compound_graph: cg.ExposureGraph, fall: str) -> None:
    count, debt = compound.liquidatable(compound_graph, float(fall))
    assert [count, round(debt, 1)] == truth(compound)[compound.REFERENCE][fall]


def test_compound_graph_holds_the_data(compound_graph: cg.ExposureGraph, accounts: pd.DataFrame) -> None:
    graph, reference = compound_graph, truth(compound)
    assert len(graph.traders) == len(graph.account_index) == reference["accounts"]
    weighted = (graph.slack + debts(graph)).to_numpy()
    recorded = accounts["collateral_value_eth"].clip(lower=0.0)
    assert np.abs(weighted - recorded).max() < 1e-9
    assert debts(graph).sum() == pytest.approx(reference["total_borrow_eth"], rel=1e-6)


def debts(graph: cg.ExposureGraph) -> "pd.Series[float]":
    """Return what each account owes; all prices are 1."""
    positions = graph.to_frames()["positions"]
    owed = -positions["quantity"].clip(upper=0.0).groupby(positions["trader"]).sum()
    return owed.reindex(graph.traders, fill_value=0.0).set_axis(graph.account_index)


def test_compound_at_rest(compound_graph: cg.ExposureGraph, accounts: pd.DataFrame) -> None:
    """The records show one account more under water than the graph: the one that owes nothing but YFI."""
    owes = accounts["borrow_value_eth"] > compound.DUST
    recorded = owes & (accounts["borrow_value_eth"] > accounts["collateral_value_eth"])
    inside = owes.to_numpy() & (compound_graph.slack < 0.0).to_numpy()
    assert recorded.sum() == truth(compound)["of_which_hf_lt_1 "] == 1375
    assert compound.liquidatable(compound_graph, 0.0)[0] == inside.sum() == 1374
    assert accounts.loc[recorded & ~inside, "borrow_value_eth"].tolist() == pytest.approx([2.47306159e-05])
    assert not (inside & ~recorded).any()


@pytest.mark.parametrize("fall", [0.05, 0.30, 0.50])
def test_compound_first_round_breaches_who_is_liquidatable(compound_graph: cg.ExposureGraph, fall: float) -> None:
    result = compound.MODEL.run(compound_graph, {"ETH": -fall})
    owes = compound_graph.attributes["accounts"]["borrow_value_eth"].to_numpy() > compound.DUST
    first = (result.accounts["breach_round"] == 1).to_numpy()
    assert (first & owes).sum() == compound.liquidatable(compound_graph, fall)[0]
    assert result.rounds["breached"].iloc[0] == first.sum()


def test_compound_identities(compound_runs: dict[float, tuple[cg.CascadeResult, cg.CascadeResult]]) -> None:
    for pair in compound_runs.values():
        for result in pair:
            assert result.solution.converged
            assert_identities(result)


@pytest.mark.parametrize(
    ("times", "breached", "impact", "uncovered", "bystanders", "their_loss"),
    [
        (0.25, 2021, 17873.12, 1344.77, 1155, 247.96),
        (1.0, 1868, 4072.78, 694.48, 1021, 59.43),
        (4.0, 1823, 1004.72, 530.47, 894, 15.06),
    ],
)
def test_compound_cascade(
    compound_runs: dict[float, tuple[cg.CascadeResult, cg.CascadeResult]],
    times: float,
    breached: int,
    impact: float,
    uncovered: float,
    bystanders: int,
    their_loss: float,
) -> None:
    rows = compound.figures(*compound_runs[times])
    assert (rows["breached"], rows["accounts without ETH that lose"]) == (breached, bystanders)
    assert rows["  breached without a shock"] == 1549
    amounts = [rows["impact"], rows["uncovered"], rows["  their loss"]]
    assert amounts == pytest.approx([impact, uncovered, their_loss], abs=0.005)


def test_compound_bystanders_hold_no_eth(
    compound_graph: cg.ExposureGraph, compound_runs: dict[float, tuple[cg.CascadeResult, cg.CascadeResult]]
) -> None:
    hit = compound.bystander_losses(*compound_runs[1.0])
    eth = compound_graph.to_scipy()[:, [compound_graph.assets.get_loc("ETH")]].toarray().ravel()
    assert not eth[compound_graph.traders.get_indexer(hit.index)].any()
    assert hit.min() > compound.DUST
    assert hit.is_monotonic_decreasing
    assert compound.bystander_losses(*compound_runs[np.inf]).empty  # no impact, no bystander


# --- EBA 2011 ---------------------------------------------------------------------------------------------------------


def test_eba_official_outcome() -> None:
    banks, reference = eba.read_banks(folder_of(eba)), truth(eba)
    count, lacking = eba.below(banks, 0.05)
    assert len(banks) == reference["banks"]
    assert count == reference["below_5pct_adverse_2012"] == 20
    assert lacking == pytest.approx(reference["shortfall_eur_m"], abs=1e-5)
    raised = "2012_adv_after_apr2011"
    count, lacking = eba.below(banks, 0.05, raised)
    assert count == reference["below_5pct_after_apr2011_raisings"] == 8
    assert lacking == pytest.approx(reference["shortfall_after_eur_m"], abs=1e-5)
    assert eba.below(banks, 0.06, raised)[0] - count == reference["between_5_and_6pct_after"] == 16


def test_eba_capital_is_equity() -> None:
    banks = eba.read_banks(folder_of(eba))
    graph = eba.capital_graph(banks, 0.05)
    assert graph.equity.to_numpy() == pytest.approx(banks["ct1_2012_adv"].to_numpy(), rel=0, abs=1e-9 * 1e6)
    assert graph.maintenance.to_numpy() == pytest.approx(0.05 * banks["rwa_2012_adv"].to_numpy())


def test_eba_direct_loss(eba_result: cg.CascadeResult) -> None:
    reference, rows = truth(eba), eba_result.accounts
    assert rows["direct"].sum() == pytest.approx(reference["direct_loss_50pct_eur_m"], abs=1e-3)
    assert rows["equity_before"].sum() == pytest.approx(reference["common_equity_2010_eur_m"], abs=1.0)
    ratio = rows["direct"].sum() / rows["equity_before"].sum()
    assert ratio == pytest.approx(reference["direct_loss_over_common_equity"], abs=5e-6)  # its sixth digit is off
    assert rows["impact"].abs().max() <= 1e-9 * eba_result.graph.gross_value.sum()


def test_eba_who_falls_and_identities(eba_result: cg.CascadeResult) -> None:
    left = eba_result.accounts["equity_before"] - eba_result.accounts["direct"]
    assert (eba_result.arrays.closed == 1.0).tolist() == (left < 0.0).tolist()
    assert (left < 0.0).sum() == 20
    assert eba_result.summary()["uncovered"] == pytest.approx(-left[left < 0.0].sum())
    assert_identities(eba_result)


# --- US banks ---------------------------------------------------------------------------------------------------------


def test_us_without_impact_is_the_direct_loss(us_results: dict[str, cg.CascadeResult]) -> None:
    balance = 1e3 * pd.read_parquet(folder_of(us) / "balance_q27.parquet").set_index("rssd").astype(float)
    left = balance["equity"] - 0.2 * (balance["ln_re_dom"] + balance["ln_re_for"])
    size = balance.drop(columns="equity").sum(axis=1)
    banks = us.fallen(us_results["none"])
    below = left[left < 0.0].index.astype(str)
    assert set(banks.index) == set(below)
    assert banks["shortfall"].sum() == pytest.approx(-left[left < 0.0].sum(), rel=1e-9)
    assert banks["assets"].sum() == pytest.approx(size[left < 0.0].sum(), rel=1e-12)
    assert banks.index[:10].tolist() == size[left < 0.0].nlargest(10).index.astype(str).tolist()


def test_us_figures(us_results: dict[str, cg.CascadeResult]) -> None:
    graph, none, linear = us_results["none"].graph, *(us.figures(us_results[name]) for name in ("none", "linear"))
    assert (len(graph.traders), len(graph.assets), graph.n_positions) == (7810, 20, 82436)
    assert none["banks below zero"] == linear["of them by the shock itself"] == 3143
    assert [none["their assets"], none["their shortfall"]] == pytest.approx([1952.4, 62.2], abs=0.05)
    assert none["direct, all banks"] == pytest.approx(743.7, abs=0.05)
    assert linear["banks below zero"] == 6905
    assert [linear["their assets"], linear["their shortfall"]] == pytest.approx([10230.7, 533.3], abs=0.05)
    assert us.fallen(us_results["none"]).index[:3].tolist() == ["259518", "212465", "983448"]


def test_us_prices_are_what_was_sold(us_results: dict[str, cg.CascadeResult]) -> None:
    assets = us_results["linear"].assets
    moved = 1.0 - assets["units_sold"] / us.DEPTH  # every price is 1 before the shock
    moved[["cash", "ffs_repo"]] = 1.0
    assert (assets["price_after"] / assets["price_shocked"]).to_numpy() == pytest.approx(
        moved.clip(lower=0.0).to_numpy()
    )
    assert set(us.fallen(us_results["none"]).index) < set(us.fallen(us_results["linear"]).index)


def test_us_identities(us_results: dict[str, cg.CascadeResult]) -> None:
    for result in us_results.values():
        assert result.solution.converged
        assert_identities(result)


# --- all of them ------------------------------------------------------------------------------------------------------

PRINTED = {
    "compound_v2": ["1,621", "23,011.8  1,621 accounts, 23,011.8 ETH", "1,374", "depth x 0.25", "depth x 4"],
    "eba_2011": ["20 banks below 5 %, short of 26,828.5", "8 banks below 5 %, short of 2,494.2; 16", "381,262.2"],
    "us_banks": ["7,810 traders", "3,143.0", "259518", "no impact  with impact"],
}


@pytest.mark.parametrize("name", NAMES)
def test_main_prints_a_report(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder_of(MODULES[name])
    MODULES[name].main()
    printed = capsys.readouterr().out
    for part in PRINTED[name]:
        assert part in printed


@pytest.mark.parametrize("name", NAMES)
def test_absent_data_is_one_clear_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAGION_GRAPH_SHARED", str(tmp_path))
    with pytest.raises(
        SystemExit, match=r"^no data at .*: set CONTAGION_GRAPH_SHARED to the folder that holds data/"
    ) as stop:
        MODULES[name].main()
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize("name", NAMES)
def test_the_default_folder_is_beside_the_repository(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAGION_GRAPH_SHARED", raising=False)
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / MODULES[name].DATA
    if folder.is_dir():
        assert data_folder(MODULES[name].DATA) == folder
    else:
        with pytest.raises(SystemExit, match=re.escape(str(folder))):
            data_folder(MODULES[name].DATA)
