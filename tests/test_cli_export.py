"""contagion-graph export, called as a user calls it."""

from pathlib import Path

import networkx as nx
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small venue."""
    path = tmp_path_factory.mktemp("venue")
    cg.write_tables(cg.generate.perpetuals(80, 6, rng=3), path)
    return path


def test_a_graph_goes_to_each_format(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    graph = cg.read_tables(folder)
    expected = cg.write_gexf(graph, tmp_path / "here.gexf")
    for to, name in (("gexf", "a.gexf"), ("graphml", "a.graphml"), ("csv", "a")):
        assert main(["export", str(folder), "--to", to, "--out", str(tmp_path / name)]) == 0
        assert f"{expected.nodes} nodes, {expected.edges} edges, 100.0% of all gross value" in capsys.readouterr().out
    assert (tmp_path / "a.gexf").read_bytes() == (tmp_path / "here.gexf").read_bytes()
    assert nx.read_graphml(tmp_path / "a.graphml").number_of_edges() == expected.edges
    assert len(pd.read_csv(tmp_path / "a" / "edges.csv")) == expected.edges


def test_a_cascade_is_that_of_the_library(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    words = ["export", str(folder), "--shock", "ETH=-40%", "--penalty", "0.01", "--k", "9", "--quiet"]
    assert main([*words, "--mode", "dynamic"]) == 0
    result = cg.MarginCascade(penalty=0.01).run(cg.read_tables(folder), {"ETH": -0.4})
    cg.write_gexf(result, "same.gexf", mode="dynamic", k=9)
    assert Path("cascade.gexf").read_bytes() == Path("same.gexf").read_bytes()
    assert main([*words, "--mode", "slices", "--out", "slice.gexf"]) == 0
    assert len(list(tmp_path.glob("slice-*.gexf"))) == len(result.rounds) + 2


def test_obligations_are_those_of_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    graph = cg.ExposureGraph.from_tables(
        positions={"trader": ["A", "B", "C"], "asset": ["ETH"] * 3, "quantity": [2.0, 1.0, 1.0]},
        assets={"asset": ["ETH"], "price": [100.0]},
        obligations={"debtor": ["A", "B"], "creditor": ["B", "C"], "amount": [30.0, 20.0]},
    )
    cg.write_tables(graph, tmp_path / "owing")
    words = ["export", str(tmp_path / "owing"), "--obligations", "--out", str(tmp_path / "debts.gexf")]
    assert main(words) == 0
    assert "3 nodes, 2 edges, 100.0% of all assets" in capsys.readouterr().out
    cg.write_gexf(cg.read_tables(tmp_path / "owing").obligations, tmp_path / "same.gexf")
    assert (tmp_path / "debts.gexf").read_bytes() == (tmp_path / "same.gexf").read_bytes()
    assert main([*words, "--nodes", "assets"]) == 2
    assert "obligations join traders" in capsys.readouterr().err


def test_quiet_says_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["export", str(folder), "--out", str(tmp_path / "a.gexf.gz"), "--quiet"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mode", "dynamic"], "--mode dynamic shows the rounds of a cascade, in gexf; give --to gexf and a --shock"),
        (["--mode", "slices", "--to", "csv", "--shock", "ETH=-1%"], "--mode slices shows the rounds"),
        (["--k", "0"], "export: k is 0; it must be a whole number from 1 up"),
        (["--obligations"], "--obligations: the folder has no table obligations"),
        (["--obligations", "--shock", "ETH=-1%"], "--obligations are those before any shock; leave out --shock"),
        (["--penalty", "0.1"], "rules are those of a cascade; give a --shock"),
        (["--min-weight", "-1"], "export: min_weight is -1.0"),
        (["--shock", "EHT=-1%"], "did you mean 'ETH'"),
        (["--out", "no/such/folder/a.gexf"], "is in no folder that exists"),
    ],
)
def test_errors_are_sentences_and_the_exit_code_is_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
):
    out = [] if "--out" in words else ["--out", str(tmp_path / "a.gexf")]
    assert main(["export", str(folder), *words, *out]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []
