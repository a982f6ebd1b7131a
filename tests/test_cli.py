"""The command line, called as a user calls it."""

import io
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

import contagion_graph as cg
from contagion_graph.cli import progress as progress_module
from contagion_graph.cli.main import COMMANDS, main
from contagion_graph.cli.progress import progress
from contagion_graph.io.summary_text import report

RESULT_TABLES = {"summary", "traders", "accounts", "assets", "pools", "rounds", "waterfall"}
PICTURES = {"graph.gexf", "cascade.gexf", "report.html", "figures"}
FIGURES = {"cascade", "waterfall", "waterfall-losers", "bipartite", "losses"}


class Terminal(io.StringIO):
    """An error stream that says it is a terminal."""

    def isatty(self) -> bool:  # noqa: D102
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a small market: Ann thinly margined, Bob not, Cleo without ETH."""
    graph = cg.ExposureGraph.from_arrays(
        [[10.0, 5.0], [10.0, 0.0], [0.0, 20.0]],
        price=[100.0, 20.0],
        depth=5e3,
        margin_long=0.1,
        cash=[-960.0, -500.0, 0.0],
        traders=["Ann", "Bob", "Cleo"],
        assets=["ETH", "BTC"],
    )
    cg.write_tables(graph, tmp_path / "tables")
    return tmp_path / "tables"


def test_demo_prints_a_report_and_writes_all_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--accounts", "500", "--seed", "3", "--out", str(tmp_path / "demo")]) == 0
    shown = capsys.readouterr().out
    for text in ("500 accounts, 40 assets", "Shock: ETH -30%", "accounts breached, ", "Loss by channel"):
        assert text in shown
    out = tmp_path / "demo"
    assert {path.stem for path in out.glob("*.csv")} == RESULT_TABLES
    assert {path.name for path in out.iterdir() if path.suffix != ".csv"} == PICTURES | {"graph"}
    assert {path.stem for path in (out / "figures").glob("*.svg")} == FIGURES
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<td>generate.perpetuals(500, 40, rng=3)</td>" in page
    assert 'mode="dynamic"' in (out / "cascade.gexf").read_text(encoding="utf-8")
    assert 'mode="static"' in (out / "graph.gexf").read_text(encoding="utf-8")
    assert f"Open {out / 'report.html'} in a browser." in shown
    graph = cg.read_tables(tmp_path / "demo" / "graph")
    assert len(graph.account_index) == 500
    traders = pd.read_csv(tmp_path / "demo" / "traders.csv")
    result = cg.MarginCascade(penalty=0.01, penalty_to_fund=0.5).run(graph, {"ETH": -0.3})
    assert traders["loss"].sum() == pytest.approx(result.traders["loss"].sum(), rel=1e-12)


def test_check_counts_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(folder)]) == 0
    assert "3 accounts, 2 assets, 4 positions" in (shown := capsys.readouterr().out)
    assert "No faults. 0 of 3 accounts are in breach before any shock." in shown


def test_check_lists_every_fault_and_exits_with_1(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "assets.csv").write_text("asset,price,depth\nETH,-1,5\nBCT,1,zero\n")
    assert main(["check", str(folder)]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("3 faults (rows count from 0):")
    assert "unknown label 'BTC' (did you mean 'BCT'?)" in shown


def test_run_is_the_library(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    arguments = ["run", str(folder), "--shock", "ETH=-5%", "--shock", "BTC=-0.02", "--impact", "linear"]
    rules = ["--liquidation", "target:0.2", "--penalty", "0.01", "--sharing", "none"]
    assert main([*arguments, *rules, "--out", str(tmp_path / "out"), "--format", "parquet"]) == 0
    model = cg.MarginCascade(
        liquidation=cg.TargetMargin(0.2), impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(),), penalty=0.01
    )
    result = model.run(cg.read_tables(folder), {"ETH": -0.05, "BTC": -0.02})
    assert report(result) in capsys.readouterr().out
    assert result.summary()["breached"] > 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == PICTURES | {f"{t}.parquet" for t in RESULT_TABLES}
    assert "<td>the tables in tables</td>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    accounts = pd.read_parquet(tmp_path / "out" / "accounts.parquet").set_index(["trader", "pool", "subaccount"])
    pd.testing.assert_frame_equal(accounts, result.accounts)


def test_run_without_out_writes_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["run", str(folder), "--shock", "ETH=-1%"]) == 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--shock", "EHT=-30%"], "unknown asset 'EHT' (did you mean 'ETH'?)"),
        (["--shock", "ETH"], "--shock 'ETH' is not ASSET=CHANGE"),
        (["--shock", "ETH=much"], "--shock 'ETH=much' is not ASSET=CHANGE"),
        (["--shock", "ETH=-130%"], "changes by -1.3"),
        (["--liquidation", "half"], "--liquidation 'half' is not"),
        (["--liquidation", "target:big"], "--liquidation 'target:big' is not"),
        (["--liquidation", "target:-1"], "TargetMargin: buffer is -1.0"),
        (["--penalty", "3"], "MarginCascade: penalty is 3.0"),
        (["--sharing", "share"], "needs column share"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments, expected
):
    code = main(["run", str(folder), *arguments])
    message = capsys.readouterr().err
    assert code == 2
    assert expected in message
    assert message.startswith("contagion-graph: ")


def test_quiet_is_quiet_and_writes_all_the_same(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["run", str(folder), "--shock", "ETH=-5%", "--quiet", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr() == ("", "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == PICTURES | {f"{t}.csv" for t in RESULT_TABLES}
    assert main(["run", str(tmp_path / "nowhere"), "--quiet"]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_without_matplotlib_a_run_says_what_it_leaves_out(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert main(["run", str(folder), "--shock", "ETH=-5%", "--out", str(tmp_path / "out")]) == 0
    assert "Figures are left out, in the report too: plots need matplotlib" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == PICTURES - {"figures"} | {
        f"{t}.csv" for t in RESULT_TABLES
    }


def test_figures_of_files_and_page_are_drawn_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save, saved = Figure.savefig, []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *to, **how: saved.append(figure) or save(figure, *to, **how))
    assert main(["run", str(folder), "--shock", "ETH=-5%", "--quiet", "--out", str(tmp_path / "out")]) == 0
    assert {path.stem for path in (tmp_path / "out" / "figures").glob("*.svg")} == FIGURES
    assert len(saved) == len(FIGURES)
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8").count("<figure>") == len(FIGURES) - 1


def test_a_large_market_goes_to_gephi_as_its_core(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["demo", "--accounts", "2100", "--out", str(tmp_path / "demo")]) == 0
    assert "(2,000 traders with " in capsys.readouterr().out
    nodes = (tmp_path / "demo" / "graph.gexf").read_text(encoding="utf-8").count('<node id="trader:')
    assert 1000 < nodes <= 2000


def test_an_interrupted_command_leaves_without_a_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cg.MarginCascade, "run", interrupted)
    assert main(["run", str(folder)]) == 130
    assert capsys.readouterr().err == "contagion-graph: interrupted\n"


@pytest.mark.parametrize(("patience", "shown"), [(0.05, True), (60.0, False)])
def test_a_progress_bar_shows_when_patience_is_over(patience: float, shown: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress_module, "PATIENCE", patience)
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with progress(3, quiet=False) as step:
        step("reading")
        time.sleep(0.5)  # a step that is longer than patience shows while it lasts
        assert ("reading" in stream.getvalue()) is shown
        step("cascade")
    assert ("step 1 of 3" in stream.getvalue()) is shown


@pytest.mark.parametrize("terminal", [True, False])
def test_no_progress_bar_for_the_quiet_and_in_files(terminal: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress_module, "PATIENCE", 0.01)
    monkeypatch.setattr(sys, "stderr", stream := Terminal() if terminal else io.StringIO())
    with progress(1, quiet=terminal) as step:
        step("reading")
        time.sleep(0.1)
    assert stream.getvalue() == ""


def test_a_missing_folder_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", str(tmp_path / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "nowhere")]) == 1


def test_a_close_factor_takes_two_numbers(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", str(folder), "--shock", "ETH=-5%", "--liquidation", "close-factor:0.5:0.9"]) == 0
    model = cg.MarginCascade(liquidation=cg.CloseFactor(0.5, full_below=0.9))
    assert report(model.run(cg.read_tables(folder), {"ETH": -0.05})) in capsys.readouterr().out


def test_the_installed_command_answers():
    shown = subprocess.check_output([sys.executable, "-m", "contagion_graph.cli", "--help"], text=True)
    for command in ("demo", "check", "run"):
        assert command in shown


def test_help_imports_no_command():
    code = "import sys; from contagion_graph.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: "
    code += "print(sorted({'numpy', 'pandas', 'scipy', 'numba'} & set(sys.modules)))"
    shown = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert shown.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_names_defaults(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert "default: None" not in shown
    assert "default: False" not in shown
    assert ("(default: " in shown) is (name not in {"check", "monitor", "verify"})


def test_long_lists_of_rounds_are_shortened():
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], depth=1e7, margin_long=0.1, cash=[-950.0])
    result = cg.MarginCascade(liquidation=cg.CloseFactor(0.01)).run(graph, {})
    assert len(result.rounds) > 10
    shown = report(result).split("Rounds\n")[1].split("\n\n")[0].splitlines()
    assert len(shown) == 1 + 8 + 1 + 2


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"contagion-graph {cg.__version__}\n"


def test_a_percentage_is_no_number(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["run", "folder", "--penalty", "5%"])
    assert "argument --penalty: '5%' is no number; write 0.05 for 5 %" in capsys.readouterr().err
