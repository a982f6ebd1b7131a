"""The report: what stands on the page is what the result says; labels are text; it loads nothing."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import lxml.html
import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.graph_formats.core import core_traders, share_of_loss
from contagion_graph.io.summary_text import report, sentences
from contagion_graph.report import page as page_module
from contagion_graph.report import tables, view

HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "<!--",
    "-->",
    "&amp;",
    '"><img src=x onerror=alert(1)>',
    "$x",
]
HOSTILE += ["${title}", "\U0001f600", "שלום", "x\x01y", "=cmd", "constructor", "long " * 300]


def market(n: int = 300, labels: list[str] | None = None, m: int = 6) -> cg.CascadeResult:
    """Return a cascade of several rounds in which a third of n accounts close."""
    rng = np.random.default_rng(1)
    held = rng.pareto(1.5, (n, m)) * np.where(rng.random((n, m)) < 0.85, 1.0, -0.5) * (rng.random((n, m)) < 0.5)
    held[:, 0] += 1.0
    cash = -(held * 10.0).sum(axis=1) * rng.uniform(0.0, 0.93, n)
    graph = cg.ExposureGraph.from_arrays(
        held,
        price=10.0,
        depth=np.abs(held).sum(axis=0) * 12.0,
        margin_long=0.05,
        margin_short=0.05,
        cash=cash,
        insurance_fund=5.0,
        traders=labels,
        assets=None if labels is None else labels[:m],
    )
    return cg.MarginCascade(penalty=0.01).run(graph, {graph.assets[0]: -0.2})


@pytest.fixture(scope="module")
def result() -> cg.CascadeResult:
    found = market()
    assert len(found.rounds) > 3
    assert found.pools["socialised"].sum() > 0.0
    return found


@pytest.fixture(scope="module")
def text(result: cg.CascadeResult, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    return cg.write_report(result, path, facts={"seed": 42}).path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[cg.CascadeResult, str]:
    result = market(len(HOSTILE), HOSTILE)
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    written = cg.write_report(result, path, title="<b>$title</b>", facts={"<i>": "</table>"})
    return result, written.path.read_text(encoding="utf-8")


def data_of(text: str) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text).group(1))


def cells_of(text: str, name: str) -> dict[str, list[float]]:
    (table,) = lxml.html.fromstring(text).xpath(f"//table[@id='table-{name}']")
    rows = table.xpath(".//tbody/tr")
    return {
        row.xpath("./th")[0].text_content(): [float(cell.get("data-order") or "nan") for cell in row.xpath("./td")]
        for row in rows
    }


def test_the_tables_are_those_of_the_result(result: cg.CascadeResult, text: str):
    traders = cells_of(text, "traders")
    expected = result.traders.assign(caused=cg.blame(result)["from_others"])[[*tables.TRADERS, "caused"]]
    assert list(traders) == expected.sort_values("loss", ascending=False, kind="stable").index.tolist()
    np.testing.assert_array_equal(list(traders.values()), expected.loc[list(traders)])
    np.testing.assert_array_equal(list(cells_of(text, "rounds").values()), result.rounds.to_numpy(dtype=float))
    np.testing.assert_array_equal(list(cells_of(text, "pools").values()), result.pools.to_numpy())
    change = result.assets["price_after"] / result.assets["price_before"] - 1.0
    assert {asset: row[0] for asset, row in cells_of(text, "assets").items()} == change.to_dict()


def test_the_summary_is_that_of_the_command_line(result: cg.CascadeResult, text: str):
    page = lxml.html.fromstring(text)
    shown = [paragraph.text_content() for paragraph in page.xpath("//section[@id='summary']/p")]
    assert report(result).splitlines()[: len(shown)] == shown


def test_sentences_on_a_market_that_stays_as_it_is():
    """Two that hold X stay as they are; nobody loses, and nobody gains "-0"."""
    graph = cg.ExposureGraph.from_arrays([[1.0], [2.0]], price=10.0)
    *_, totals, bystanders = sentences(cg.MarginCascade().run(graph))
    assert totals == "The traders that lose, lose 0; those that gain, gain 0."
    assert bystanders == "0 of 2 traders lose without being directly exposed: 0 in total."


def test_the_graph_is_the_core_of_the_result(result: cg.CascadeResult, text: str):
    data, traders = data_of(text), result.traders
    labels = [one["label"] for one in data["traders"]]
    rows = core_traders(result, view.TRADERS)
    assert set(labels) == set(traders.index[rows])
    assert traders.loc[labels, "loss"].is_monotonic_decreasing
    assert [one["round"] for one in data["traders"]] == traders.loc[labels, "breach_round"].tolist()
    assert f"{len(rows)} of 300 traders" in text
    assert f"with {share_of_loss(result, rows):.0%} of all losses" in text
    held = result.graph.to_scipy().toarray()
    assets = [one["label"] for one in data["assets"]]
    for trader, asset, value, _ in data["edges"]:
        cell = held[int(labels[trader]), int(assets[asset])]
        assert value == pytest.approx(cell, rel=1e-5)
    assert len(data["edges"]) == np.count_nonzero(held[[int(label) for label in labels]][:, [int(a) for a in assets]])
    steps = data["steps"]
    assert [step["round"] for step in steps] == list(range(len(result.rounds) + 1))
    change = result.assets["price_after"] / result.assets["price_before"] - 1.0
    np.testing.assert_allclose(steps[-1]["changes"], change.loc[assets], rtol=1e-5)


def test_the_core_has_who_closes_and_who_loses(result: cg.CascadeResult):
    rows = core_traders(result, 20)
    assert len(rows) == len(set(rows)) == 20
    sold = result.traders["closed"] * result.graph._rows.per_trader(result.graph.gross_value)
    assert set(sold.nlargest(10).index) <= set(result.traders.index[rows])
    assert share_of_loss(result, rows) > 0.2
    assert len(core_traders(result, 10_000)) == 300
    assert share_of_loss(result, core_traders(result, 10_000)) == 1.0


def test_nodes_do_not_lie_upon_each_other(text: str):
    data = data_of(text)
    places = np.array([[one["x"], one["y"]] for one in data["traders"] + data["assets"]])
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(places)) * 1e9
    assert apart.min() > 15.0


def test_what_it_takes_to_compute_it_again_is_on_the_page(result: cg.CascadeResult, text: str):
    page = lxml.html.fromstring(text)
    facts = {row[0].text_content(): row[1].text_content() for row in page.xpath("//section[@id='again']//tr")}
    assert facts["seed"] == "42"
    assert facts["0"] == "-20 %"
    assert facts["penalty"] == "0.01"
    assert facts["liquidation"] == "FullLiquidation()"
    assert facts["contagion-graph"] == cg.__version__
    assert facts["numpy"] == np.__version__
    assert "Converged" in facts["solver"]
    again = cg.MarginCascade(penalty=0.01).run(result.graph, {"0": -0.2})
    assert again.summary().equals(result.summary())


def test_given_losses_are_named(result: cg.CascadeResult, tmp_path: Path):
    hit = cg.MarginCascade().run(result.graph, losses={"3": 2.5})
    assert "2.5 on 1 accounts" in cg.write_report(hit, tmp_path / "x.html").path.read_text(encoding="utf-8")


def test_the_page_loads_nothing(text: str):
    page = lxml.html.fromstring(text)
    assert page.xpath("//@src") == []
    references = {str(url) for url in page.xpath("//@href | //@*[name()='xlink:href']")}
    assert all(url.startswith("#") for url in references)
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"url\((?!#)|@import", own)
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.count("'sha256-") == len(page.xpath("//script[not(@type)]")) == 3
    assert not re.search(r"https?:|unsafe-eval|script-src[^;]*unsafe-inline", policy)


def test_ids_are_unique_and_references_lead_somewhere(text: str):
    page = lxml.html.fromstring(text)
    ids = page.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert {url[1:] for url in page.xpath("//a/@href")} <= set(ids)
    used = {url[1:] for url in page.xpath("//@*[name()='xlink:href']")} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert used <= set(ids)
    assert len(page.xpath("//figure/*[name()='svg'][@role='img'][@aria-label]")) == 4


def test_hostile_labels_stay_text(hostile: tuple[cg.CascadeResult, str]):
    result, text = hostile
    page = lxml.html.fromstring(text)
    assert len(page.xpath("//script")) == 4
    assert page.xpath("//img/@id") == ["printed"]
    assert page.xpath("//b") == page.xpath("//i") == []
    assert page.xpath("//title")[0].text_content() == "<b>$title</b>"
    shown = {cell.text_content() for cell in page.xpath("//table[@id='table-traders']/tbody//th")}
    printable = {label.replace("\x01", "") for label in result.traders.index}
    assert {label.replace("\x01", "") for label in shown} == printable
    assert {one["label"] for one in data_of(text)["traders"]} == set(result.traders.index)
    assert "<!--" not in text.split("<body>")[1].split('id="data"')[1].split("<script>")[0]


def test_the_same_result_gives_the_same_bytes(result: cg.CascadeResult, text: str, tmp_path: Path):
    assert cg.write_report(result, tmp_path / "x.html", facts={"seed": 42}).path.read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]


def test_large_tables_end_with_a_note(tmp_path: Path):
    text = cg.write_report(market(1500), tmp_path / "x.html").path.read_text(encoding="utf-8")
    assert len(cells_of(text, "traders")) == 1000
    assert "The first 1,000 of 1,500 rows. The whole table is <code>result.traders</code>" in text
    assert len(text) < 3e6
    assert len(data_of(text)["traders"]) == view.TRADERS


def test_without_matplotlib_the_page_says_what_is_left_out(
    result: cg.CascadeResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    text = cg.write_report(result, tmp_path / "x.html").path.read_text(encoding="utf-8")
    assert "Figures are left out: matplotlib is not installed" in text
    assert "<svg" not in text.split("<main>")[1].split("</main>")[0]
    assert len(cells_of(text, "traders")) == 300


@pytest.mark.parametrize("depth", [np.inf, 100.0])
def test_small_and_quiet_markets_have_a_page(depth: float, tmp_path: Path):
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=[10.0], depth=depth)
    text = cg.write_report(cg.MarginCascade().run(graph), tmp_path / "x.html").path.read_text(encoding="utf-8")
    assert "0 of 1 accounts breached" in text
    assert "All 1 traders and 1 of 1 assets." in text
    assert "no price moved before the first round" in text
    assert [step["round"] for step in data_of(text)["steps"]] == [0]


def test_a_count_has_all_its_digits(tmp_path: Path):
    n = 2_536
    graph = cg.ExposureGraph.from_arrays([[1.0]] * n, price=100.0, margin_long=0.5, cash=[-60.0] * n)
    text = cg.write_report(cg.MarginCascade().run(graph), tmp_path / "x.html").path.read_text(encoding="utf-8")
    assert "<dt>accounts in breach</dt><dd>2,536</dd>" in text


def test_an_equilibrium_has_a_page_without_rounds(result: cg.CascadeResult, tmp_path: Path):
    end = (
        cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
        .equilibria(result.graph, {"0": -0.2}, two_sided="conservative")
        .greatest
    )
    text = cg.write_report(end, tmp_path / "x.html").path.read_text(encoding="utf-8")
    assert [step["words"] for step in data_of(text)["steps"]][1:] == ["The equilibrium."]
    assert "certified error at most" in text or "residual" in text


def test_many_rounds_are_thinned(tmp_path: Path):
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], depth=1e7, margin_long=0.1, cash=[-950.0])
    slow = cg.MarginCascade(liquidation=cg.CloseFactor(0.01)).run(graph)
    steps = data_of(cg.write_report(slow, tmp_path / "x.html").path.read_text(encoding="utf-8"))["steps"]
    assert len(steps) == min(view.STEPS, len(slow.rounds) + 1)
    assert (steps[0]["round"], steps[-1]["round"]) == (0, len(slow.rounds))


def test_what_is_no_result_is_refused_and_nothing_is_left(
    result: cg.CascadeResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(cg.ParameterError, match="result is a ExposureGraph"):
        cg.write_report(result.graph, tmp_path / "x.html")
    with pytest.raises(OSError, match="nowhere"):
        cg.write_report(result, tmp_path / "nowhere" / "x.html")
    monkeypatch.setattr(page_module, "tables_of", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cg.write_report(result, tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []


def test_the_libraries_carry_their_licences_and_their_versions():
    notes = page_module.asset("README.md")
    for name, pattern in (("cytoscape", r'version="([\d.]+)"'), ("dataTables", r"DataTables ([\d.]+)")):
        found = re.findall(pattern, page_module.asset(f"{name}.min.js"))
        assert any(f"{version}, `" in notes for version in found)
        assert "Permission is hereby granted, free of charge" in page_module.asset(f"{name}.LICENSE.txt")


def test_the_own_script_never_writes_html():
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page_module.asset("report.js")
    )
