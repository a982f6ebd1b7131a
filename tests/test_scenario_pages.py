"""The command `sweep`, the examples about scenarios, and the page about them."""

import doctest
from pathlib import Path

import fund_sizing
import numpy as np
import one_correlated_asset
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.cli.main import main

PAGE = Path(__file__).parent.parent / "docs" / "scenarios.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a small venue, and a year of prices of all its assets but one, and of one that nobody holds."""
    graph = cg.generate.perpetuals(200, 6, rng=0)
    cg.write_tables(graph, tmp_path / "tables")
    returns = np.random.default_rng(0).normal(0.0, 0.04, (365, 6))
    prices = pd.DataFrame(np.exp(returns.cumsum(axis=0)), columns=[*graph.assets[:5], "GOLD"])
    prices.rename_axis("date").to_csv(tmp_path / "prices.csv")
    prices.to_parquet(tmp_path / "prices.parquet")
    return tmp_path


@pytest.mark.parametrize("model", ["student_t", "gaussian", "historical"])
def test_sweep_prints_a_report_and_writes_tables(folder: Path, model: str, capsys: pytest.CaptureFixture[str]):
    words = ["sweep", str(folder / "tables"), "--n-draws", "100", "--draw", model, "--level", "0.9"]
    assert main([*words, "--history", str(folder / "prices.csv"), "--out", str(folder / "out")]) == 0
    shown = capsys.readouterr().out
    for text in (
        "History: 365 rows, 5 of 6 assets.",
        "left out: GOLD.",
        "100 scenarios: ",
        " with liquidations, ",
        "ES 90 %",
        "Insurance fund that suffices",
    ):
        assert text in shown
    out = {path.stem: pd.read_csv(path) for path in (folder / "out").iterdir()}
    assert set(out) == {"summary", "scenarios", "shocks", "distribution", "traders"}
    assert len(out["scenarios"]) == 100
    assert out["scenarios"]["gross_loss"].sum() > 0.0


def test_sweep_is_quiet_on_request_and_the_seed_decides(folder: Path, capsys: pytest.CaptureFixture[str]):
    words = [
        "sweep",
        str(folder / "tables"),
        "--n-draws",
        "20",
        "--quiet",
        "--history",
        str(folder / "prices.parquet"),
    ]
    for seed, out in ((1, "a"), (1, "b"), (2, "c")):
        assert main([*words, "--seed", str(seed), "--out", str(folder / out)]) == 0
    assert capsys.readouterr().out == ""
    a, b, c = ((folder / out / "scenarios.csv").read_text() for out in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ("prices.txt", "is neither .csv nor .parquet"),
        ("none.csv", "none.csv"),
        ("other.csv", "has no column named like"),
    ],
)
def test_a_history_that_does_not_fit(folder: Path, history: str, message: str, capsys: pytest.CaptureFixture[str]):
    pd.DataFrame({"XAU": [1.0, 2.0, 3.0]}).to_csv(folder / "other.csv")
    assert main(["sweep", str(folder / "tables"), "--history", str(folder / history)]) == 2
    assert message in capsys.readouterr().err


def test_fund_sizing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(fund_sizing, "SCENARIOS", 400)
    table = fund_sizing.main()
    assert (table["with contagion"] > table["without contagion"]).all()
    assert table["with contagion"].is_monotonic_increasing
    assert "suffices in" in capsys.readouterr().out


def test_one_correlated_asset(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The shortfall rises with the correlation, and the fund is used up."""
    monkeypatch.setattr(one_correlated_asset, "DRAWS", 40)
    table = one_correlated_asset.main()
    assert table["shortfall"].iloc[-1] > 2.0 * table["shortfall"].iloc[0]
    assert table["from the fund"].is_monotonic_increasing
    assert "falls by 20%" in capsys.readouterr().out


def test_the_page():
    assert doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0
