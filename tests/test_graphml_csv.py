"""GraphML and CSV, read back by igraph, networkx and pandas as what was written."""

import re
from pathlib import Path
from typing import Any

import igraph
import networkx as nx
import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.graph_formats.columns import plain
from contagion_graph.tables.convert import FORMULA
from tests import hostile
from tests.reference import plain_network
from tests.test_gexf import SEEDS, assert_same, clean

LOOKS = ("x", "y", "size", "r", "g", "b")
TINY = float(np.finfo(np.float32).tiny)


def without_empty(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out empty texts, which these readers cannot tell from what is missing."""
    return {name: value for name, value in row.items() if value != ""}


def source_of(seed: int) -> Any:
    return hostile.result(seed) if seed % 2 else hostile.graph(seed)


def amounts(source: Any) -> list[tuple[str, str, float, float]]:
    """Return the edges that there must be, in an order of their own."""
    graph = source.graph if isinstance(source, cg.CascadeResult) else source
    found = plain_network.edges(graph)
    return sorted((trader, asset, row["quantity"], row["value"]) for (trader, asset, *_), row in found.items())


def assert_edges(found: list[tuple[str, str, float, float]], source: Any) -> None:
    expected = amounts(source)
    assert [row[:2] for row in sorted(found)] == [row[:2] for row in expected]
    np.testing.assert_allclose([row[2:] for row in sorted(found)], [row[2:] for row in expected], rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_networkx_reads_graphml(seed: int, tmp_path: Path):
    source = source_of(seed)
    written = cg.write_graphml(source, tmp_path / "some.graphml.gz")
    found, nodes = nx.MultiGraph(nx.read_graphml(written.paths[0])), plain_network.nodes(source)
    assert {plain(node) for node in found} == set(nodes)
    for node, data in found.nodes(data=True):
        assert_same(without_empty(clean(data, *LOOKS)), without_empty(nodes[plain(node)]))
        assert set(LOOKS) <= set(data)
    rows = []
    for one, other, data in found.edges(data=True):
        trader, asset = sorted((plain(one), plain(other)), key=lambda node: nodes[node]["side"], reverse=True)
        rows.append((trader, asset, data["quantity"], data["value"]))
        assert data["weight"] == max(abs(data["value"]), TINY)
    assert_edges(rows, source)


@pytest.mark.parametrize("seed", SEEDS)
def test_igraph_reads_graphml(seed: int, tmp_path: Path):
    source = source_of(seed)
    path = cg.write_graphml(source, tmp_path / "some.graphml").paths[0]
    found, nodes = igraph.Graph.Read_GraphML(str(path)), plain_network.nodes(source)
    names = [plain(name.replace("&#38;", "&")) for name in found.vs["id"]]  # the parser leaves it so in attributes
    assert set(names) == set(nodes)
    for name, vertex in zip(names, found.vs, strict=True):
        read = {plain(key.replace("&#38;", "&")): value for key, value in vertex.attributes().items()}
        for key, value in nodes[name].items():
            if isinstance(value, str):
                assert plain(read[key]) == value
            else:
                assert read[key] == pytest.approx(float(value), rel=1e-12)
        missing = {key: value for key, value in read.items() if key not in {*nodes[name], *LOOKS, "id"}}
        assert all(value is None or value in ("", False) or np.isnan(value) for value in missing.values())
    ends = [(names[edge.source], names[edge.target]) for edge in found.es]
    assert_edges([(*e, q, v) for e, q, v in zip(ends, found.es["quantity"], found.es["value"], strict=True)], source)


@pytest.mark.parametrize("seed", SEEDS)
def test_pandas_reads_csv(seed: int, tmp_path: Path):
    source = source_of(seed)
    written = cg.write_gephi_csv(source, tmp_path / "tables")
    nodes, edges = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in written.paths)
    assert (len(nodes), len(edges)) == (written.nodes, written.edges)
    expected = plain_network.nodes(source)
    assert set(nodes["Id"]) == set(expected)
    for row in nodes.rename(columns={"Label": "label"}).to_dict(orient="records"):
        known = expected[row.pop("Id")]
        for name, value in row.items():
            if name not in LOOKS:
                assert_cell(value, known.get(re.sub(f"^'{FORMULA}", r"\1", str(name)), ""))
    assert set(edges["Type"]) == {"Undirected"}
    assert not edges.duplicated(["Source", "Target", "Kind"]).any()
    numbers = edges[["quantity", "value", "Weight"]].astype(float)
    assert_edges(
        list(zip(edges["Source"], edges["Target"], numbers["quantity"], numbers["value"], strict=True)), source
    )
    np.testing.assert_array_equal(numbers["Weight"], np.maximum(numbers["value"].abs(), TINY))


def assert_cell(found: str, expected: Any) -> None:
    if isinstance(expected, bool):
        assert found == str(expected).lower()
    elif isinstance(expected, int):
        assert int(found) == expected
    elif isinstance(expected, float):
        assert float(found) == pytest.approx(expected, rel=1e-12)
    else:
        assert re.sub(f"^'{FORMULA}", r"\1", found) == expected


def test_formulas_do_not_run_in_a_spreadsheet(tmp_path: Path):
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=[1.0], traders=["=1+1"], assets=["@sum"])
    text = cg.write_gephi_csv(graph, tmp_path).paths[0].read_text(encoding="utf-8")
    assert '"\'=1+1"' in text
    assert '"\'@sum"' in text


@pytest.mark.parametrize("nodes", ["positions", "traders", "assets"])
def test_other_nodes(nodes: Any, tmp_path: Path):
    result = hostile.result(9)
    counts = cg.write_gexf(result, tmp_path / "a.gexf", nodes=nodes)
    tables = cg.write_gephi_csv(result, tmp_path, nodes=nodes)
    graphml = cg.write_graphml(result, tmp_path / "a.graphml", nodes=nodes)
    read = nx.read_graphml(graphml.paths[0])
    assert (len(read), read.number_of_edges()) == (counts.nodes, counts.edges) == (tables.nodes, tables.edges)
    assert len(pd.read_csv(tables.paths[1])) == counts.edges
