"""The examples on fire sales: figures reproduced, sums that add up, reports printed; skipped where data is absent."""

import json
import re
from pathlib import Path
from types import ModuleType

import eba_2011_fire_sale as vulnerable
import eba_2016
import multiple_equilibria as tipping
import numpy as np
import pytest
from real_data import data_folder

from tests.shared_data import case


def folder_of(module: ModuleType) -> Path:
    try:
        return data_folder(module.DATA)
    except SystemExit as absent:
        pytest.skip(str(absent))


def printed(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> str:
    module.main()
    return capsys.readouterr().out


# --- vulnerable banks, 2011 -------------------------------------------------------------------------------------------

REFERENCES = {"total": "assets=total_assets(or sum if larger)", "classes": "assets=sum of 42 classes"}


@pytest.mark.parametrize("assets", REFERENCES)
def test_eba_2011_reproduces_the_reference(assets: str):
    folder = folder_of(vulnerable)
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    graph = vulnerable.build_graph(folder, assets)
    banks = vulnerable.fire_sale(graph)
    assert banks.direct.sum() == pytest.approx(truth["direct_loss_50pct_eur_m"], abs=1e-3)
    assert graph.equity.sum() == pytest.approx(truth["common_equity_2010_eur_m"], abs=1.0)
    reference = truth["own_reference_AV_over_equity_42_classes"][REFERENCES[assets]]
    assert banks.aggregate_vulnerability == pytest.approx(reference, abs=5e-5)


@pytest.mark.parametrize("assets", REFERENCES)
def test_eba_2011_contributions_add_up(assets: str):
    graph = vulnerable.build_graph(folder_of(vulnerable), assets)
    banks = vulnerable.fire_sale(graph)
    assert len(banks.systemicness) == 90
    assert len(graph.assets.drop("other", errors="ignore")) == 42
    assert banks.systemicness.sum() == banks.aggregate_vulnerability
    lost = (banks.indirect_vulnerability * graph.equity.to_numpy()).sum()
    assert lost == pytest.approx(banks.aggregate_vulnerability * graph.equity.sum())
    sold = banks.asset_sales.sum()
    left = graph.gross_value.sum() - banks.direct.sum()
    assert banks.direct.sum() < sold < left


def test_eba_2011_prints_a_report(capsys: pytest.CaptureFixture[str]):
    folder_of(vulnerable)
    report = printed(vulnerable, capsys)
    for part in ("381,262, 40.06% of equity; fire sales cost 2.3606", "cost 2.5049 times equity", "ES059"):
        assert part in report


# --- systemic loss evaluation, 2016 -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inputs() -> dict[str, list[float]]:
    return case("eba2016_firesale_sqrt")["inputs"]


def test_eba_2016_balance_sheets_are_those_of_the_case(inputs: dict[str, list[float]]):
    banks = eba_2016.read_banks(folder_of(eba_2016), losses_once=False).loc[inputs["banks"]]
    assert banks[eba_2016.BONDS].to_numpy() == pytest.approx(np.array(inputs["S"]), abs=1e-6)
    assert banks["loans"].tolist() == pytest.approx(inputs["L_total"], abs=1e-6)
    assert banks["equity"].tolist() == pytest.approx(inputs["e"], abs=1e-6)


@pytest.mark.parametrize(("swapped", "name"), [(True, "as_published"), (False, "corrected")])
def test_eba_2016_impact_parameters_are_those_of_the_case(inputs: dict[str, list[float]], swapped: bool, name: str):
    parameters = eba_2016.impact_parameters(folder_of(eba_2016), swapped=swapped)
    assert parameters["volume"].tolist() == pytest.approx(inputs[f"ADV_{name}"], rel=1e-12)
    assert parameters["volatility"].tolist() == pytest.approx(inputs[f"sigma_{name}"], rel=1e-12)


def test_counting_losses_once_leaves_more_equity_and_fewer_sellers():
    folder = folder_of(eba_2016)
    twice, once = (eba_2016.read_banks(folder, losses_once=losses_once) for losses_once in (False, True))
    assert (once["equity"] >= twice["equity"]).all()
    assert once["loans"].equals(twice["loans"])


def test_eba_2016_prints_the_published_table(capsys: pytest.CaptureFixture[str]):
    folder_of(eba_2016)
    report = re.sub(" +", " ", printed(eba_2016, capsys))
    expected = case("eba2016_firesale_sqrt")["expected"]
    for name, end in (("least", "lower"), ("greatest", "upper")):
        table = " ".join(f"{fall:.3g}" for fall in expected["published_table"][f"delta_{end}"])
        corrected = " ".join(f"{fall:.3g}" for fall in expected["full_precision_corrected"][f"delta_{end}"])
        assert f"{name} {table}\n" in report
        assert f"{name} {corrected}\n" in report
    assert f"published: {expected['n_selling_banks']} banks sell, {expected['n_full_sale']} of them all" in report
    assert "losses once: 3 banks sell, 2 of them all" in report


# --- a run that tips --------------------------------------------------------------------------------------------------


def test_the_sweep_tips():
    table = tipping.sweep()
    assert table["equilibria"].tolist() == ["one"] * 3 + ["several"] * 5 + ["one"] * 2
    assert (table["fall, least"] <= table["fall, greatest"]).all()
    assert table[["fall, least", "fall, greatest"]].apply(lambda falls: falls.is_monotonic_increasing).all()


def test_the_sweep_has_the_published_example():
    given = case("firesale_multiple_equilibria")
    banks, expected = given["inputs"], given["expected"]
    assert [banks["S"], banks["L"], banks["e"]] == [
        list(part) for part in (tipping.MARKETABLE, tipping.LOANS, tipping.EQUITY)
    ]
    assert (banks["leverage_cap"], banks["c"]) == (tipping.CAP, tipping.IMPACT)
    row = tipping.ends(tipping.IMPACT)
    for end in ("least", "greatest"):
        assert row[f"fall, {end}"] == pytest.approx(expected[f"delta_{end}"], abs=given["tolerance"])
        assert row[f"sold, {end}"] == pytest.approx(expected[f"sold_{end}"])


def test_the_sweep_prints_a_table(capsys: pytest.CaptureFixture[str]):
    report = re.sub(" +", " ", printed(tipping, capsys))
    assert "22.0 0.05648 145 0.1391 880 several" in report


@pytest.mark.parametrize("module", [vulnerable, eba_2016])
def test_absent_data_is_one_clear_line(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONTAGION_GRAPH_SHARED", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^no data at .*: set CONTAGION_GRAPH_SHARED to the folder that holds data/"):
        module.main()
