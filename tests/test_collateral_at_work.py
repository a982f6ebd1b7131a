"""The monitor and the proof from the command line, and the two examples."""

import json
import re
import subprocess
import sys
from pathlib import Path

import live_monitor
import numpy as np
import proof_of_solvency
import pytest

import contagion_graph as cg
from contagion_graph.cli.main import main
from contagion_graph.io.price_stream import read_ticks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a market of two: Ann breaches below 83.33, Bob at no price."""
    graph = cg.ExposureGraph.from_arrays(
        [[2.0, 0.0], [1.0, 1.0]],
        price=[100.0, 10.0],
        margin_long=0.1,
        cash=[-150.0, 0.0],
        insurance_fund=5.0,
        traders=["Ann", "Bob"],
        assets=["ETH", "BTC"],
    )
    cg.write_tables(graph, tmp_path / "tables")
    return tmp_path / "tables"


def prices(folder: Path, text: str) -> list[str]:
    path = folder.parent / "stream.csv"
    path.write_text(text, encoding="utf-8")
    return ["monitor", str(folder), "--prices", str(path)]


def test_monitor_shows_who_breaches_and_who_recovers(folder: Path, capsys: pytest.CaptureFixture[str]):
    command = prices(folder, "sequence,asset,price\n1,ETH,90\n2,ETH,80\n2,BTC,9\n3,ETH,85\n")
    assert main([*command, "--out", str(folder.parent / "end")]) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines() if re.match(r"\s+\d+  ETH", line)]
    assert lines == [
        ["2", "ETH", "80", "+1", "1", "0", "1.0505", "-Ann"],
        ["3", "ETH", "85", "0", "1", "1.0439", "+Ann"],
    ]
    assert "ETH -1.961% (Ann)" in shown
    end = cg.read_tables(folder.parent / "end")
    assert end.price.tolist() == [85.0, 9.0]
    assert end.equity.tolist() == [20.0, 94.0]


def test_monitor_passes_over_what_is_refused_or_stops_there(folder: Path, capsys: pytest.CaptureFixture[str]):
    command = prices(folder, "asset,price\nETH,90\nETH,-1\nXRP,5\nETH,80\n")
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "2 events refused." in out
    assert err.splitlines() == [
        "refused: the price of 'ETH' is -1.0; it must be a finite number above 0",
        "refused: asset 'XRP' is unknown; list it first",
    ]
    assert main([*command, "--strict"]) == 2
    assert "contagion-graph: the price of 'ETH' is -1.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("asset,prices\nETH,1\n", "column 'price' is missing"),
        ("asset,price\nETH,cheap\n", "line 2: ['ETH', 'cheap'] is no price of an asset"),
        ("asset,price\nETH,1\n,2\n", "line 3: ['', '2'] is no price of an asset"),
        ("sequence,asset,price\none,ETH,1\n", "line 2: ['one', 'ETH', '1'] is no price"),
        ("sequence,asset,price\n4,ETH,1\n4,ETH,2\n", "line 3: event 4 names 'ETH' twice"),
    ],
)
def test_a_stream_that_cannot_be_read_names_the_line(
    folder: Path, text: str, problem: str, capsys: pytest.CaptureFixture[str]
):
    assert main(prices(folder, text)) == 2
    assert problem in capsys.readouterr().err


def test_a_stream_without_numbers_is_one_event_a_row(tmp_path: Path):
    path = tmp_path / "stream.csv"
    path.write_text("price,asset\n1,ETH\n2,ETH\n", encoding="utf-8")
    assert [(tick.sequence, tick.prices) for tick in read_ticks(path)] == [(None, {"ETH": 1.0}), (None, {"ETH": 2.0})]


def test_prove_and_verify(folder: Path, capsys: pytest.CaptureFixture[str]):
    out, secret = folder.parent / "proof", folder.parent / "secret"
    command = ["prove", str(folder), "--secret", str(secret)]
    assert main([*command, "--out", str(out), "--trader", "Bob"]) == 0
    shown = capsys.readouterr().out
    assert "proof_3.json: Bob / pool, BTC" in shown
    root = re.search(r"^root (\w{64})$", shown, re.MULTILINE)[1]
    proofs = [str(out / f"proof_{k}.json") for k in (1, 2, 3)]
    assert main(["verify", str(out / "statement.json"), *proofs, "--root", root]) == 0
    shown = capsys.readouterr().out
    assert "counted: Bob / pool, accounts: owed 110, owing 0" in shown
    assert "counted: Bob / pool, balance:BTC: long 1, short 0\nholds: statement 0" in shown
    ran = [sys.executable, "-I", "verify.py", "statement.json", "proof_1.json", root]
    assert subprocess.check_output(ran, cwd=out, text=True) == "counted: [11000000000, 0]\n"
    assert main([*command, "--out", str(out), "--trader", "Bob"]) == 0  # the same secret, the same trees
    assert f"root {root}" in capsys.readouterr().out
    assert secret.stat().st_mode & 0o077 == 0
    after = folder.parent / "after"
    assert main([*command, "--out", str(after), "--previous", str(out / "statement.json")]) == 0
    root = re.search(r"^root (\w{64})$", capsys.readouterr().out, re.MULTILINE)[1]
    statement = str(after / "statement.json")
    assert main(["verify", statement, "--root", root, "--previous", str(out / "statement.json")]) == 0
    assert main(["verify", statement, "--root", root, "--previous", statement]) == 1
    assert main(["verify", statement, "--root", "0" * 64]) == 1
    assert main(["verify", statement, proofs[0], "--root", root]) == 1
    assert "does not hold: the path does not lead to the root" in capsys.readouterr().out
    Path(proofs[0]).write_text(json.dumps({"tree": "accounts"}))
    assert main(["verify", statement, proofs[0], "--root", root]) == 1


def test_prove_refuses_by_name(folder: Path, capsys: pytest.CaptureFixture[str]):
    out = folder.parent / "proof"
    assert main(["prove", str(folder), "--out", str(out), "--trader", "Cleo"]) == 2
    assert "--trader 'Cleo' has no account" in capsys.readouterr().err
    (folder / "no.json").write_text("{")
    assert main(["prove", str(folder), "--out", str(out), "--previous", str(folder / "no.json")]) == 2
    assert "no.json is no JSON file" in capsys.readouterr().err


def test_the_live_monitor_sees_the_crash_and_the_way_back():
    graph, rng = cg.generate.perpetuals(2_000, 10, rng=0), np.random.default_rng(1)
    monitor = cg.SolvencyMonitor(graph)
    stream = live_monitor.ticks(dict(zip(graph.assets, graph.price.tolist(), strict=True)), 800, rng)
    rows = list(live_monitor.watch(monitor, stream, 40))
    assert [row["event"] for row in rows] == list(range(40, 801, 40))
    breached = [row["in breach"] for row in rows]
    assert max(breached[:13]) < 10 < breached[14]
    assert breached[-1] < 0.7 * breached[14]
    assert breached[-1] == sum(row["breached"] - row["recovered"] for row in rows)
    assert rows[-1]["solvency"] == monitor.pools["solvency"].min()
    assert "in breach (+" in live_monitor.line(rows[0], 800)


def test_the_example_of_a_proof_catches_the_cheats():
    graph, first, second = proof_of_solvency.statements()
    assert second.statement["trees"]["accounts"]["sums"][0] < first.statement["trees"]["accounts"]["sums"][0]
    assert proof_of_solvency.holds(second.statement, second.proof(graph.account_index[7]), second.root).startswith(
        "counted"
    )
    outcomes = proof_of_solvency.cheats(graph, first, second)
    assert len(outcomes) == 3
    assert all(outcome.startswith("refused") for outcome in outcomes.values())
    assert proof_of_solvency.unnoticed(100, 1, 10) == pytest.approx(0.9)
    assert proof_of_solvency.unnoticed(5_000, 50, 100) == pytest.approx(0.99**100, rel=0.02)
