"""What is drawn, and where: filters, layouts, sizes, colours, the size guard, and files that are whole or not there."""

import gzip
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from lxml import etree

import contagion_graph as cg
from contagion_graph.graph_formats import from_any
from contagion_graph.graph_formats.core import core_traders
from tests.test_gexf import assert_valid, read

GRAPH = cg.generate.perpetuals(300, 8, rng=5)
RESULT = cg.MarginCascade(penalty=0.01).run(GRAPH, {"ETH": -0.4})


def viz(found: nx.MultiGraph, name: str) -> dict[str, Any]:
    return {node: data["viz"][name] for node, data in found.nodes(data=True)}


def describe(path: Path) -> str:
    return etree.parse(path).findtext(".//{http://gexf.net/1.3}description") or ""


def test_the_core_is_kept_and_its_share_is_told(tmp_path: Path):
    path = tmp_path / "core.gexf"
    written, found = cg.write_gexf(RESULT, path, k=20), read(path)
    kept = {node.removeprefix("trader:") for node in found if node.startswith("trader:")}
    assert kept == set(GRAPH.traders[core_traders(RESULT, 20)])
    losses = RESULT.traders["loss"].clip(lower=0.0)
    assert written.share == pytest.approx(losses[list(kept)].sum() / losses.sum(), rel=1e-12)
    assert (
        f"Kept: 20 traders and {len(found) - 20} assets, {written.edges} edges, with {written.share:.1%} of all losses."
        in (describe(path))
    )
    assert all(found.degree(node) > 0 for node in found)


def test_of_a_graph_those_are_kept_who_hold_most(tmp_path: Path):
    written, found = cg.write_gexf(GRAPH, tmp_path / "a.gexf", k=7), read(tmp_path / "a.gexf")
    gross = pd.Series(GRAPH._rows.per_trader(GRAPH._rows.initial.gross), GRAPH.traders)
    assert {node for node in found if node[:7] == "trader:"} == {f"trader:{name}" for name in gross.nlargest(7).index}
    assert written.share == pytest.approx(gross.nlargest(7).sum() / gross.sum(), rel=1e-12)
    assets = cg.write_gexf(GRAPH, tmp_path / "b.gexf", nodes="assets", k=3)
    assert (assets.nodes, assets.edges, assets.measure) == (3, 3, "open interest")
    traders = cg.write_gexf(GRAPH, tmp_path / "c.gexf", nodes="traders", k=7)
    assert set(read(tmp_path / "c.gexf")) == {f"trader:{name}" for name in gross.nlargest(7).index}
    assert traders.share == written.share


def test_light_edges_and_lonely_nodes_go(tmp_path: Path):
    cg.write_gexf(GRAPH, tmp_path / "all.gexf")
    everything = read(tmp_path / "all.gexf")
    heavy = {(one, other) for one, other, data in everything.edges(data=True) if data["weight"] >= 5e4}
    written, found = cg.write_gexf(GRAPH, tmp_path / "a.gexf", min_weight=5e4), read(tmp_path / "a.gexf")
    assert set(found.edges()) == heavy
    assert written.nodes == len({end for ends in heavy for end in ends}) < len(everything)


@pytest.mark.parametrize("nodes", ["bipartite", "positions", "traders"])
def test_positions_follow_a_filter_over_time(nodes: Any, tmp_path: Path):
    full = cg.write_gexf(RESULT, tmp_path / "a.gexf", nodes=nodes, mode="dynamic", k=30, min_weight=100.0)
    assert_valid(tmp_path / "a.gexf")
    assert full.edges > 0


def test_the_guard_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(from_any, "LARGEST", 100)
    with pytest.raises(cg.ParameterError) as told:
        cg.write_gexf(GRAPH, tmp_path / "a.gexf")
    assert "edges are more than the 100 that Gephi can draw; keep the core with k=1000" in str(told.value)
    least = float(str(told.value).split("min_weight=")[1].split(",")[0])
    assert cg.write_gexf(GRAPH, tmp_path / "a.gexf", min_weight=least * 1.01).edges <= 100


def test_no_trader_covers_another_on_the_rings(tmp_path: Path):
    for source in (GRAPH, RESULT):
        cg.write_gexf(source, tmp_path / "a.gexf")
        found = read(tmp_path / "a.gexf")
        places, sizes = viz(found, "position"), viz(found, "size")
        xy = np.array([[place["x"], place["y"]] for place in places.values()])
        size = np.array(list(sizes.values()))
        apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
        np.fill_diagonal(apart, np.inf)
        assert np.all(apart > size[:, None] + size[None])


def test_who_breaches_first_stands_nearest(tmp_path: Path):
    cg.write_gexf(RESULT, tmp_path / "a.gexf")
    found = read(tmp_path / "a.gexf")
    places, first = viz(found, "position"), RESULT.traders["breach_round"]
    radius = pd.Series({n: np.hypot(places[f"trader:{n}"]["x"], places[f"trader:{n}"]["y"]) for n in first.index})
    by_round = radius.groupby(first.where(first > 0, first.max() + 1)).agg(["min", "max"])
    assert len(by_round) > 3
    # rounds may share a ring
    assert np.all(by_round["max"].to_numpy()[:-1] <= by_round["min"].to_numpy()[1:] + 0.02)
    assets = [np.hypot(places[f"asset:{n}"]["x"], places[f"asset:{n}"]["y"]) for n in GRAPH.assets]
    assert max(assets) < radius.min()


@pytest.mark.parametrize("layout", ["rings", "force"])
@pytest.mark.parametrize("nodes", ["bipartite", "positions", "traders", "assets"])
def test_a_layout_is_the_same_each_time(layout: Any, nodes: Any, tmp_path: Path):
    for name in ("a.gexf", "b.gexf"):
        cg.write_gexf(GRAPH, tmp_path / name, layout=layout, nodes=nodes, k=15)
    assert (tmp_path / "a.gexf").read_bytes() == (tmp_path / "b.gexf").read_bytes()
    places = [(place["x"], place["y"]) for place in viz(read(tmp_path / "a.gexf"), "position").values()]
    assert np.isfinite(places).all()
    assert len(set(places)) == len(places)


def test_a_layout_may_be_left_out_and_must_be_known(tmp_path: Path):
    cg.write_gexf(GRAPH, tmp_path / "a.gexf", layout="none")
    assert not any("position" in data["viz"] for _, data in read(tmp_path / "a.gexf").nodes(data=True))
    for name in ("layout", "nodes", "mode"):
        with pytest.raises(cg.ParameterError, match=f"{name} is 'circles'; it must be one of"):
            cg.write_gexf(GRAPH, tmp_path / "b.gexf", **{name: "circles"})
    with pytest.raises(cg.ParameterError, match="source is a dict; give ExposureGraph, CascadeResult, "):
        cg.write_gexf({}, tmp_path / "b.gexf")
    assert not (tmp_path / "b.gexf").exists()


def test_areas_are_in_proportion_and_colours_are_rounds(tmp_path: Path):
    cg.write_gexf(RESULT, tmp_path / "a.gexf")
    found = read(tmp_path / "a.gexf")
    size = np.array([viz(found, "size")[f"trader:{name}"] for name in GRAPH.traders])
    loss = RESULT.traders["loss"].clip(lower=0.0).to_numpy()
    area = size**2 - size.min() ** 2
    np.testing.assert_allclose(area / area.max(), loss / loss.max(), atol=0.01)
    colour = {name: tuple(viz(found, "color")[f"trader:{name}"][k] for k in "rgb") for name in GRAPH.traders}
    by_round = RESULT.traders["breach_round"].groupby(colour).nunique()
    assert (by_round == 1).all()
    assert len(by_round) == RESULT.traders["breach_round"].nunique()
    assert {colour[name] for name in RESULT.traders.query("breach_round == 0").index} == {(200, 205, 210)}
    assert "from rgb" not in describe(tmp_path / "a.gexf")
    assert "rgb(128, 0, 38) in round 1" in describe(tmp_path / "a.gexf")


def test_any_measure_may_be_the_size(tmp_path: Path):
    measure = cg.importance.pagerank(GRAPH)
    cg.write_gexf(GRAPH, tmp_path / "a.gexf", size=measure)
    sizes = viz(read(tmp_path / "a.gexf"), "size")
    order = np.argsort([sizes[f"trader:{name}"] for name in GRAPH.traders], kind="stable")
    assert np.all(np.diff(measure.to_numpy()[order]) > -0.02 * measure.max())
    assert "Size of trader nodes: pagerank." in describe(tmp_path / "a.gexf")
    with pytest.raises(cg.ParameterError, match="size must have one value for each trader"):
        cg.write_gexf(GRAPH, tmp_path / "a.gexf", size=measure.iloc[:5])


def test_a_packed_file_holds_the_same_and_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cg.write_gexf(GRAPH, tmp_path / "a.gexf")
    cg.write_gexf(GRAPH, tmp_path / "a.gexf.gz")
    assert gzip.decompress((tmp_path / "a.gexf.gz").read_bytes()) == (tmp_path / "a.gexf").read_bytes()
    before = (tmp_path / "a.gexf").read_bytes()

    def broken(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("contagion_graph.graph_formats.gexf_xml._edges", broken)
    with pytest.raises(OSError, match="the disk is full"):
        cg.write_gexf(RESULT, tmp_path / "a.gexf")
    assert (tmp_path / "a.gexf").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gexf", "a.gexf.gz"]


@pytest.mark.parametrize("nodes", ["bipartite", "positions", "assets"])
def test_small_and_empty_graphs(nodes: Any, tmp_path: Path):
    for quantity in ([[0.0]], [[2.0]], [[0.0, 0.0], [0.0, 0.0]]):
        graph = cg.ExposureGraph.from_arrays(quantity, price=1e-300, depth=1e300, cash=-1e300)
        for source in (graph, cg.MarginCascade().run(graph)):
            for mode in ("static", "dynamic") if isinstance(source, cg.CascadeResult) else ("static",):
                cg.write_gexf(source, tmp_path / "a.gexf", nodes=nodes, mode=mode)  # type: ignore[arg-type]
                assert_valid(tmp_path / "a.gexf")


def test_huge_and_tiny_weights_survive(tmp_path: Path):
    graph = cg.ExposureGraph.from_arrays([[1e200, 1e-200, 3.0]], price=1.0)
    cg.write_gexf(graph, tmp_path / "a.gexf")
    data = {other: data for _, other, data in read(tmp_path / "a.gexf").edges(data=True)}
    assert [data[f"asset:{k}"]["value"] for k in range(3)] == [1e200, 1e-200, 3.0]
    weight = [np.float32(data[f"asset:{k}"]["weight"]) for k in range(3)]
    assert weight == [np.finfo(np.float32).max, np.finfo(np.float32).tiny, 3.0]
