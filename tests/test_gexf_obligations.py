"""Networks of obligations, and results on them, as files: valid, directed, and read back as what was written."""

from functools import cache
from pathlib import Path
from typing import Any

import igraph
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from lxml import etree

import contagion_graph as cg
from contagion_graph.graph_formats.columns import plain
from tests.hostile import LABELS
from tests.test_gexf import assert_valid, clean

CASES = [(kind, seed) for seed in range(6) for kind in ("network", "clearing", "distress")]
HOT, COLD = (235, 190, 150), (165, 200, 225)  # edges on which something is lost, and others


@cache
def network(seed: int) -> cg.ObligationNetwork:
    """Return a network with labels that break careless writers, odd seeds with several ranks between the same nodes."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, len(LABELS)))
    rank, junior = (rng.lognormal(0.0, 1.0, (n, n)) * (rng.random((n, n)) < 0.4) for _ in range(2))
    outside = rng.uniform(0.0, 2.0, n) * (rng.random(n) < 0.7)
    names = rng.permutation(LABELS)[:n].tolist()
    return cg.ObligationNetwork.from_arrays(
        rank, junior=[junior] * (seed % 2), external_assets=outside, external_liabilities=0.1, nodes=names
    )


@cache
def source(kind: str, seed: int) -> Any:
    owing = network(seed)
    if kind == "network":
        return owing
    models = {"clearing": cg.RogersVeraart(alpha=0.8, beta=0.8), "distress": [cg.DebtRank(), cg.Furfine(0.3)][seed % 2]}
    return models[kind].run(owing, losses=0.3 * owing.external_assets)


def expected_nodes(kind: str, seed: int) -> pd.DataFrame:
    books = network(seed).balance_sheets
    if kind == "network":
        return books
    result = source(kind, seed)
    names = {"external_assets": "external_assets_after", "equity": "equity_after"}
    return pd.concat([books, result.nodes.rename(columns=names).assign(loss=result.loss)], axis=1)


def expected_edges(kind: str, seed: int) -> list[tuple[Any, ...]]:
    """Return debtor, creditor, rank, amount and what is lost of it, one edge after the other."""
    owing, rows = network(seed), []
    for rank, matrix in enumerate(owing.ranks):
        for i, j in zip(*matrix.nonzero(), strict=True):
            amount, lost = matrix[i, j], None
            if kind == "clearing":
                result = source(kind, seed)
                lost = amount * (1.0 - result.by_rank.iloc[i, rank] / matrix[[i]].sum())
            elif kind == "distress":
                lost = amount * source(kind, seed).nodes["marked_down"].iloc[i]
            rows.append((f"trader:{owing.nodes[i]}", f"trader:{owing.nodes[j]}", rank, amount, lost))
    return sorted(rows)


def assert_edges(found: list[tuple[Any, ...]], kind: str, seed: int) -> None:
    expected = expected_edges(kind, seed)
    assert [row[:4] for row in sorted(found)] == [row[:4] for row in expected]
    if kind != "network":
        lost = [row[4] for row in expected]
        np.testing.assert_allclose([row[4] for row in sorted(found)], lost, rtol=1e-9, atol=1e-12)


def assert_nodes(found: dict[str, dict[str, Any]], kind: str, seed: int) -> None:
    expected = expected_nodes(kind, seed)
    assert list(found) == [f"trader:{label}" for label in expected.index]
    for label, row in expected.iterrows():
        data = found[f"trader:{label}"]
        for name, value in row.items():
            assert np.isnan(value) if data.get(name) is None else float(data[name]) == value, name


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_networkx_reads_gexf(kind: str, seed: int, tmp_path: Path):
    path = tmp_path / "debts.gexf"
    written = cg.write_gexf(source(kind, seed), path)
    assert_valid(path)
    found = nx.read_gexf(path)
    assert found.is_directed()
    assert (len(found), found.number_of_edges()) == (written.nodes, written.edges)
    assert_nodes({plain(node): clean(data, "viz") for node, data in found.nodes(data=True)}, kind, seed)
    rows = [(plain(one), plain(other), data) for one, other, data in found.edges(data=True)]
    assert_edges([(*ends, data["seniority"], data["amount"], data.get("lost")) for *ends, data in rows], kind, seed)
    assert [data["weight"] for *_, data in rows] == pytest.approx([data["amount"] for *_, data in rows], rel=1e-6)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_what_networkx_reads_is_the_network_again(kind: str, seed: int, tmp_path: Path):
    cg.write_gexf(source(kind, seed), tmp_path / "debts.gexf")
    again, owing = cg.ObligationNetwork.from_networkx(nx.read_gexf(tmp_path / "debts.gexf")), network(seed)
    assert [plain(label) for label in again.nodes] == owing.nodes.tolist()
    assert len(again.ranks) == len(owing.ranks)
    for one, other in zip(again.ranks, owing.ranks, strict=True):
        np.testing.assert_array_equal(one.toarray(), other.toarray())
    np.testing.assert_array_equal(again.external_assets, owing.external_assets)
    np.testing.assert_array_equal(again.external_liabilities, owing.external_liabilities)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_igraph_reads_graphml_and_pandas_the_tables(kind: str, seed: int, tmp_path: Path):
    path = cg.write_graphml(source(kind, seed), tmp_path / "debts.graphml").paths[0]
    found = igraph.Graph.Read_GraphML(str(path))
    assert found.is_directed()
    names = [plain(name.replace("&#38;", "&")) for name in found.vs["id"]]
    none = [None] * found.ecount()
    lost = found.es["lost"] if kind != "network" else none
    ends = [(names[edge.source], names[edge.target]) for edge in found.es]
    assert_edges(
        [(*e, *rest) for e, *rest in zip(ends, found.es["seniority"], found.es["amount"], lost, strict=True)],
        kind, seed,
    )  # fmt: skip
    nodes, edges = cg.write_gephi_csv(source(kind, seed), tmp_path / "tables").paths
    table = pd.read_csv(edges, keep_default_na=False)
    assert set(table["Type"]) <= {"Directed"}
    assert len(table) == found.ecount()
    names = {column for column in pd.read_csv(nodes).columns if column not in ("Id", "Label")}
    assert names == {*expected_nodes(kind, seed), "side", "size", "r", "g", "b", "x", "y"}


def test_looks_say_who_defaults_when_and_who_loses(tmp_path: Path):
    owing = cg.ObligationNetwork.from_arrays(
        [[0, 20, 10, 0], [5, 0, 24, 0], [10, 0, 0, 1], [0, 1, 0, 0]], external_assets=[10, 10, 10, 5],
        nodes=["A", "B", "C", "D"],
    )  # fmt: skip
    result = cg.EisenbergNoe().run(owing)
    assert result.default_round.tolist() == [1, 2, 0, 0]
    # A pays 9/11 of 30, B the rest of what it has; C and D lose what they do not get
    np.testing.assert_allclose(result.loss, owing.claims - result.flows().sum(axis=0), rtol=1e-12)
    written = cg.write_gexf(result, tmp_path / "a.gexf")
    assert (written.share, written.measure) == (1.0, "losses")
    found = nx.read_gexf(tmp_path / "a.gexf")
    colour = {label: tuple(found.nodes[f"trader:{label}"]["viz"]["color"][k] for k in "rgb") for label in "ABCD"}
    assert colour == {"A": (128, 0, 38), "B": (254, 217, 118), "C": (200, 205, 210), "D": (200, 205, 210)}
    size = {label: found.nodes[f"trader:{label}"]["viz"]["size"] for label in "ABCD"}
    assert pd.Series(size).idxmax() == result.loss.idxmax()
    assert size["D"] == 3.0  # it loses nothing
    edges = etree.parse(tmp_path / "a.gexf").findall(".//{http://gexf.net/1.3}edge")
    shown = {
        (e.get("source")[-1], tuple(int(e.find("{http://gexf.net/1.3/viz}color").get(k)) for k in "rgb")) for e in edges
    }
    assert shown == {("A", HOT), ("B", HOT), ("C", COLD), ("D", COLD)}
    legend = etree.parse(tmp_path / "a.gexf").findtext(".//{http://gexf.net/1.3}description")
    assert "round of their default: rgb(128, 0, 38) in round 1" in legend
    assert (
        "Edges run from debtor to creditor: rgb(165, 200, 225); where the creditor loses, rgb(235, 190, 150)" in legend
    )


def test_filters_and_a_measure_for_the_size(tmp_path: Path):
    owing = cg.generate.perpetuals(5, 2, rng=0).obligations
    assert cg.write_gexf(owing, tmp_path / "none.gexf").edges == 0
    owing = network(5)
    kept = cg.write_gexf(owing, tmp_path / "a.gexf", k=4)
    size = (owing.external_assets + owing.claims).sum()
    largest = np.sort(owing.external_assets + owing.claims)[-4:]
    assert (kept.nodes, kept.measure) == (4, "assets")
    assert kept.share == pytest.approx(largest.sum() / size, rel=1e-12)
    heavy = cg.write_gexf(owing, tmp_path / "b.gexf", min_weight=1.0, layout="force")
    assert heavy.edges == sum(int((rank.data >= 1.0).sum()) for rank in owing.ranks)
    who = cg.single_defaults(owing, cg.DebtRank())["stress"].fillna(0.0)
    cg.write_gexf(owing, tmp_path / "c.gexf", size=who)
    assert "Size of trader nodes: stress." in (tmp_path / "c.gexf").read_text(encoding="utf-8")


def test_what_obligations_cannot_be_drawn_as_is_refused(tmp_path: Path):
    for nodes in ("bipartite", "positions", "assets"):
        with pytest.raises(cg.ParameterError, match=f"nodes='{nodes}': obligations join traders; leave it out"):
            cg.write_gexf(network(0), tmp_path / "a.gexf", nodes=nodes)
    assert cg.write_gexf(network(0), tmp_path / "a.gexf", nodes="traders").nodes == len(network(0).nodes)
    with pytest.raises(cg.ParameterError, match="mode='dynamic' shows rounds and a network has none"):
        cg.write_gexf(network(0), tmp_path / "b.gexf", mode="dynamic")
    with pytest.raises(cg.ParameterError, match="mode='slices' shows rounds and this result has none"):
        cg.write_gexf(source("distress", 0), tmp_path / "b.gexf", mode="slices")


def test_results_are_written_as_tables(tmp_path: Path):
    for kind in ("network", "clearing", "distress"):
        paths = cg.write_tables(source(kind, 1), tmp_path / kind).paths
        frame = source(kind, 1).to_frames()["nodes"]
        table = pd.read_csv(next(path for path in paths if path.stem == "nodes"), keep_default_na=False)
        assert table.columns.tolist() == frame.columns.tolist()
        assert len(table) == len(frame)
