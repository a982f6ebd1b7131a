"""Cascades over time in GEXF: a dynamic file tells what the rounds of the result tell, and so do the slices."""

import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import etree

import contagion_graph as cg
from contagion_graph.graph_formats.columns import plain
from tests import hostile
from tests.test_gexf import SEEDS, assert_valid, read

GEXF = {"g": "http://gexf.net/1.3", "viz": "http://gexf.net/1.3/viz"}
RULES = {
    "full": cg.FullLiquidation(),
    "target": cg.TargetMargin(0.1),
    "close factor": cg.CloseFactor(0.3),
    "two sides": cg.RepayAndSeize(0.5, bonus=0.1),
}
Span = tuple[float, float, str]


class Element:
    """A node or an edge of a dynamic file: what it is, when it is there, and what it is when."""

    def __init__(self, xml: Any, titles: dict[str, str]) -> None:
        self.id, self.ends = plain(xml.get("id")), tuple(plain(xml.get(end) or "") for end in ("source", "target"))
        self.kind = plain(xml.get("kind") or "")
        self.spells = [(float(s.get("start")), float(s.get("end"))) for s in xml.iterfind("g:spells/g:spell", GEXF)]
        self.values: dict[str, list[Span]] = defaultdict(list)
        for value in xml.iterfind("g:attvalues/g:attvalue", GEXF):
            name, start, end = titles[value.get("for")], value.get("start"), value.get("end")
            self.values[name].append((float(start or -1), float(end or -1), plain(value.get("value"))))

    def there(self, time: float) -> bool:
        """Say whether it is there at a time."""
        return any(start <= time < end for start, end in self.spells)

    def at(self, name: str, time: float) -> str | None:
        """Return a value at a time."""
        found = [value for start, end, value in self.values[name] if start <= time < end]
        assert len(found) <= 1
        return found[0] if found else None


def elements(path: Path, kind: str) -> list[Element]:
    """Parse a file."""
    root = etree.parse(path).getroot()
    graph = root.find("g:graph", GEXF)
    assert (graph.get("mode"), graph.get("timerepresentation")) == ("dynamic", "interval")
    declared = root.iterfind(f".//g:attributes[@class='{kind}']/g:attribute", GEXF)
    titles = {a.get("id"): a.get("title") for a in declared}
    return [Element(xml, titles) for xml in root.iterfind(f".//g:{kind}s/g:{kind}", GEXF)]


def market(seed: int, rule: str) -> cg.CascadeResult:
    """Return a cascade of several rounds on a random venue; every third trader has a second account."""
    graph = cg.generate.perpetuals(120, 6, rng=seed)
    if seed % 2:
        tables = graph.to_frames()
        second = tables["accounts"]["trader"].str.replace(r"[258]$", "X", regex=True)
        names = dict(zip(tables["accounts"]["trader"], second, strict=True))
        for name in ("accounts", "positions"):
            tables[name]["subaccount"] = tables[name]["trader"]
            tables[name]["trader"] = tables[name]["trader"].map(names)
        graph = cg.ExposureGraph.from_tables(**tables)
    graph = graph.assign(depth=graph.depth / 4.0, sellable={graph.assets[-1]: False})
    model = cg.MarginCascade(liquidation=RULES[rule], penalty=0.01)
    return model.run(graph, dict.fromkeys(graph.assets, -0.15), on_failure="ignore")


@pytest.fixture(params=[(0, "full"), (1, "full"), (2, "target"), (3, "close factor"), (4, "two sides")], scope="module")
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[cg.CascadeResult, Path]:
    result = market(*request.param)
    assert len(result.rounds) > 2
    path = tmp_path_factory.mktemp("dynamic") / "cascade.gexf"
    cg.write_gexf(result, path, mode="dynamic")
    assert_valid(path)
    return result, path


def test_each_round_has_the_accounts_of_the_result(told: tuple[cg.CascadeResult, Path]):
    result, path = told
    traders = [node for node in elements(path, "node") if node.id.startswith("trader:")]
    for step, breached in result.rounds["breached"].items():
        counts = {node.id: int(node.at("accounts_closing", step) or 0) for node in traders}
        assert sum(counts.values()) == breached
        rows = result.arrays.trades[step - 1].rows
        names, number = np.unique(result.graph.traders[result.graph._rows.trader_of[rows]], return_counts=True)
        expected = {f"trader:{name}": count for name, count in zip(names, number, strict=True)}
        assert {node: count for node, count in counts.items() if count} == expected
        assert {node.id for node in traders if node.at("status", step) == "closing"} == set(expected)


def test_traders_go_when_they_are_closed_whole(told: tuple[cg.CascadeResult, Path]):
    result, path = told
    whole = result.graph._rows.per_trader(~result.arrays.closed_whole) == 0
    last = result.graph._rows.per_trader(np.zeros(len(result.graph.account_index)))
    for step, trade in enumerate(result.arrays.trades, start=1):
        last[result.graph._rows.trader_of[trade.rows]] = step
    end = len(result.rounds) + 2
    found = {node.id: node for node in elements(path, "node")}
    for name, gone, step in zip(result.graph.traders, whole, last, strict=True):
        assert found[f"trader:{name}"].spells == [(0, step + 1 if gone else end)]
        assert found[f"trader:{name}"].at("status", end - 1) in ((None,) if gone else ("open", "reduced"))
        assert found[f"trader:{name}"].at("status", 0) == "open"
    assert all(found[f"asset:{name}"].spells == [(0, end)] for name in result.graph.assets)


def test_prices_are_those_of_the_rounds(told: tuple[cg.CascadeResult, Path]):
    result, path = told
    found, trades = {node.id: node for node in elements(path, "node")}, result.arrays.trades
    prices = [result.graph.price, *(trade.before for trade in trades), result.arrays.price_after]
    for time, row in enumerate(prices):
        for name, price in zip(result.graph.assets, row, strict=True):
            assert float(found[f"asset:{name}"].at("price_now", time) or "nan") == price


def test_holdings_shrink_as_they_are_traded(told: tuple[cg.CascadeResult, Path]):
    result, path = told
    edges, graph = elements(path, "edge"), result.graph
    flows = [edge for edge in edges if edge.kind.startswith("closing: ")]
    units = np.zeros(len(graph.assets))
    for edge in flows:
        units[graph.assets.get_loc(edge.ends[1].removeprefix("asset:"))] += float(edge.values["quantity"][0][2])
    np.testing.assert_allclose(units, result.arrays.sold, rtol=1e-9, atol=1e-9 * np.abs(graph.quantity.data).max())
    traded = {step for edge in flows for step, _ in edge.spells}
    assert traded == set(result.rounds.index)
    sold = sum(float(value) for edge in flows for _, _, value in edge.values["traded"])
    assert sold == pytest.approx(result.arrays.value_sold.sum(), rel=1e-9, abs=1e-9 * graph._rows.initial.gross.sum())
    end = len(result.rounds) + 1
    for edge in edges:
        if edge not in flows:
            closed = 1.0 - float(edge.values["closed"][0][2])
            left = edge.at("held", end)
            assert float(left) == pytest.approx(closed, abs=1e-12) if left else not edge.there(end)


def test_every_element_has_a_spell_inside_the_file(told: tuple[cg.CascadeResult, Path]):
    result, path = told
    nodes = {node.id: node for node in elements(path, "node")}
    for element in [*nodes.values(), *elements(path, "edge")]:
        assert element.spells
        assert all(0 <= start < end <= len(result.rounds) + 2 for start, end in element.spells)
        for end in filter(None, element.ends):
            assert all(nodes[end].spells[0][1] >= last for _, last in element.spells)


def test_slices_show_each_time(told: tuple[cg.CascadeResult, Path], tmp_path: Path):
    result, path = told
    written = cg.write_gexf(result, tmp_path / "slice.gexf", mode="slices")
    assert len(written.paths) == len(result.rounds) + 2
    nodes, edges = elements(path, "node"), elements(path, "edge")
    colours: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for time, one in enumerate(written.paths):
        if time < 3:
            assert_valid(one)
        found = read(one)
        assert set(found) == {node.id for node in nodes}
        assert found.number_of_edges() == sum(edge.there(time) for edge in edges)
        for node in nodes:
            data = found.nodes[node.id]
            if node.id.startswith("trader:"):
                assert data["status"] == (node.at("status", time) or "closed")
                colours[data["status"]].add(tuple(data["viz"]["color"][k] for k in "rgb"))
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == len(colours)


@pytest.mark.parametrize("seed", SEEDS)
def test_hostile_cascades_are_valid_over_time(seed: int, tmp_path: Path):
    result = hostile.result(seed)
    for nodes in ("bipartite", "positions", "assets") if seed % 2 else ("traders", "bipartite"):
        cg.write_gexf(result, tmp_path / f"{nodes}.gexf", mode="dynamic", nodes=nodes)
        assert_valid(tmp_path / f"{nodes}.gexf")
    for path in cg.write_gexf(result, tmp_path / "slice.gexf.gz", mode="slices").paths:
        assert path.suffixes == [".gexf", ".gz"]
        plain = tmp_path / "plain.gexf"
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        assert_valid(plain)
    closing = [int(node.at("accounts_closing", 1) or 0) for node in elements(tmp_path / "bipartite.gexf", "node")]
    assert sum(closing) == (result.rounds["breached"].iloc[0] if len(result.rounds) else 0)


def test_what_has_no_rounds_is_refused(tmp_path: Path):
    graph = hostile.graph(4)
    with pytest.raises(cg.ParameterError, match="mode='dynamic' shows rounds and a graph has none; give the result of"):
        cg.write_gexf(graph, tmp_path / "a.gexf", mode="dynamic")
    least = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).equilibria(graph.assign(sellable=True)).least
    with pytest.raises(cg.ParameterError, match="an equilibrium has none"):
        cg.write_gexf(least, tmp_path / "a.gexf", mode="slices")
    assert list(tmp_path.iterdir()) == []
