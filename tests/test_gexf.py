"""GEXF files: valid, and read back by others as what was written."""

import gzip
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from lxml import etree

import contagion_graph as cg
from contagion_graph.graph_formats.columns import plain
from tests import hostile
from tests.reference import plain_network
from tests.shared_data import SHARED

SEEDS = range(20)
SCHEMA = SHARED / "schemas" / "gexf-1.3" / "gexf.rng"


def assert_valid(path: Path) -> None:
    """Check a file against the RelaxNG schema of GEXF 1.3."""
    if not SCHEMA.exists():
        pytest.skip(f"{SCHEMA} is absent; set CONTAGION_GRAPH_SHARED to the folder with the schemas")
    schema = etree.RelaxNG(etree.parse(SCHEMA))
    assert schema.validate(etree.parse(path, etree.XMLParser(huge_tree=True))), schema.error_log.last_error


def sources(seed: int) -> dict[str, Any]:
    return {"graph": hostile.graph(seed), "result": hostile.result(seed)}


def read(path: Path) -> nx.MultiGraph:
    """Read a file by networkx, as a graph whose texts are plain again."""
    found = nx.MultiGraph(nx.read_gexf(path))
    return nx.relabel_nodes(found, {node: plain(node) for node in found})


def clean(data: dict[str, Any], *but: str) -> dict[str, Any]:
    return {
        plain(name): plain(value) if isinstance(value, str) else value
        for name, value in data.items()
        if name not in but
    }


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check attributes: equal texts, flags and whole numbers of equal types, numbers within rounding of a sum."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert type(found[name]) is type(value), name
        assert found[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["graph", "result"])
def test_networkx_reads_back_what_was_written(seed: int, kind: str, tmp_path: Path):
    source = sources(seed)[kind]
    graph = source.graph if kind == "result" else source
    path = tmp_path / "static.gexf"
    written = cg.write_gexf(source, path)
    assert_valid(path)
    found, nodes, edges = read(path), plain_network.nodes(source), plain_network.edges(graph)
    assert (found.number_of_nodes(), found.number_of_edges()) == (written.nodes, written.edges)
    assert set(found) == set(nodes)
    for node, data in found.nodes(data=True):
        assert_same(clean(data, "viz"), nodes[node])
        assert data["viz"]["position"].keys() == {"x", "y", "z"}
    assert found.number_of_edges() == len(edges)
    both = {kind for _, _, kind, short in edges if not short} & {kind for _, _, kind, short in edges if short}
    expected = {
        (trader, asset, kind + " (short)" * (short and kind in both)): amounts
        for (trader, asset, kind, short), amounts in edges.items()
    }
    for one, other, data in found.edges(data=True):
        trader, asset = (one, other) if one.startswith("trader:") and nodes[one]["side"] == "trader" else (other, one)
        amounts = expected.pop((trader, asset, plain(data["position_kind"])))
        assert data["quantity"] == pytest.approx(amounts["quantity"], rel=1e-12)
        assert data["value"] == pytest.approx(amounts["value"], rel=1e-12)
        assert np.float32(data["weight"]) == max(np.float32(abs(data["value"])), np.finfo(np.float32).tiny) > 0
    assert expected == {}


@pytest.mark.parametrize("nodes", ["positions", "traders", "assets"])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_nodes_is_valid_and_complete(seed: int, nodes: Any, tmp_path: Path):
    source = sources(seed)["result"]
    written = cg.write_gexf(source, tmp_path / "some.gexf.gz", nodes=nodes)
    (tmp_path / "some.gexf").write_bytes(gzip.decompress((tmp_path / "some.gexf.gz").read_bytes()))
    assert_valid(tmp_path / "some.gexf")
    found, graph = read(tmp_path / "some.gexf"), source.graph
    traders, assets = [f"trader:{x}" for x in graph.traders], [f"asset:{x}" for x in graph.assets]
    expected = {"positions": [*traders, *assets], "traders": traders, "assets": assets}[nodes]
    positions = set(found) - set(expected)
    assert len(positions) == (graph.n_positions if nodes == "positions" else 0)
    assert (len(found), found.number_of_edges()) == (written.nodes, written.edges)
    if nodes == "positions":
        assert all(found.degree(node) == 2 for node in positions)
        return
    matrix = cg.importance.overlap(
        graph, measure="liquidity" if nodes == "traders" else "cosine", of=nodes
    ).matrix.toarray()
    place = {node: k for k, node in enumerate(expected)}
    for one, other, data in found.edges(data=True):
        cell = matrix[place[one], place[other]]
        assert (data["overlap"], data["sign"]) == (pytest.approx(cell, rel=1e-12), np.sign(cell))
        matrix[place[one], place[other]] = matrix[place[other], place[one]] = 0.0
    np.testing.assert_array_equal(matrix, np.diag(np.diag(matrix)))
