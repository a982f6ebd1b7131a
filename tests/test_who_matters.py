"""The example on systemic importance runs on both data sets, and the page on how to choose says what is true."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from real_data import data_folder

import contagion_graph as cg

pytest.importorskip("matplotlib", reason="the example draws with matplotlib")

import eba_2011_fire_sale as eba
import who_matters as example
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PAGE = Path(__file__).parent.parent / "docs" / "how-to-choose.md"
MEASURES = ["systemicness", "knockout", "indirect_contagion_index", "debtrank_impact", "hits"]


def need(name: str) -> Path:
    try:
        return data_folder(name)
    except SystemExit as absent:
        pytest.skip(str(absent))


@pytest.fixture(scope="module")
def banks() -> cg.importance.Comparison:
    need(eba.DATA)
    return example.banks()


@pytest.fixture(scope="module")
def accounts() -> cg.importance.Comparison:
    need(example.compound_v2.DATA)
    return example.accounts()


@pytest.fixture(scope="module")
def bank_graph() -> cg.ExposureGraph:
    """Return the banks at ten times the depth, as in the example."""
    graph = eba.build_graph(need(eba.DATA))
    return graph.assign(depth=10.0 * graph.depth)


MODEL = cg.MarginCascade(impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(),))


# --- the example ------------------------------------------------------------------------------------------------------


def test_the_systemicness_of_banks_adds_up(banks: cg.importance.Comparison, bank_graph: cg.ExposureGraph):
    whole = cg.named.greenwood_landier_thesmar(bank_graph, eba.SHOCK, cap=eba.MOST_LEVERAGE, limited=True)
    assert len(banks.table) == 90
    assert banks.table["systemicness"].sum() == pytest.approx(whole.aggregate_vulnerability, rel=1e-12)
    assert whole.aggregate_vulnerability == pytest.approx(eba.fire_sale(bank_graph).aggregate_vulnerability)


def test_the_first_of_compound_are_a_part_of_its_whole(accounts: cg.importance.Comparison):
    graph = example.compound_v2.build_graph(need(example.compound_v2.DATA))
    shock = {"ETH": -0.30}
    whole = cg.named.greenwood_landier_thesmar(graph, shock, cap=eba.MOST_LEVERAGE, limited=True)
    assert len(accounts.table) == example.LARGEST
    assert whole.systemicness.sum() == pytest.approx(whole.aggregate_vulnerability, rel=1e-12)
    assert accounts.table["systemicness"].to_dict() == whole.systemicness[accounts.table.index].to_dict()
    assert (graph.equity.groupby(level="trader").sum()[accounts.table.index] > 0.0).all()


@pytest.mark.parametrize("market", ["banks", "accounts"])
def test_ranks_are_those_of_the_values(market: str, request: pytest.FixtureRequest):
    comparison = request.getfixturevalue(market)
    assert list(example.ranks(comparison)) == MEASURES
    assert comparison.table["systemicness_rank"].is_monotonic_increasing
    for name, places in example.ranks(comparison).items():
        values = comparison.table[name].to_numpy()
        assert places.tolist() == [1 + int((values > value).sum()) for value in values]
    assert np.diag(comparison.kendall).tolist() == pytest.approx([1.0] * 5)


def test_what_the_docstring_says_of_the_banks(banks: cg.importance.Comparison, bank_graph: cg.ExposureGraph):
    assert banks.table.index[0] == "ES059"
    assert banks.table.loc["ES059", "knockout"] == 0.0
    assert (banks.kendall.loc[MEASURES[2:], MEASURES[2:]] > 0.75).to_numpy().all()
    given = eba.build_graph(need(eba.DATA))
    assert (MODEL.run(given, eba.SHOCK).arrays.closed == 1.0).all()
    lost = cg.importance.knockout(given, MODEL, eba.SHOCK)
    assert lost.abs().max() < 1e-9 * given.gross_value.sum()
    closed = MODEL.run(bank_graph, eba.SHOCK).traders["closed"]
    assert closed["ES059"] == 0.0
    assert 0 < (closed == 1.0).sum() < 90


def test_what_the_docstring_says_of_compound(accounts: cg.importance.Comparison):
    graph = example.compound_v2.build_graph(need(example.compound_v2.DATA))
    places, largest = example.ranks(accounts), graph.gross_value.groupby(level="trader").sum().idxmax()
    assert places.loc[largest].tolist() == [1, 5, 1, 76, 1]
    assert accounts.table.loc[largest, "knockout"] == 0.0
    held = graph.to_scipy()[graph.traders.get_indexer(accounts.table.index)].toarray()
    bat, eth = graph.assets.get_indexer(["BAT", "ETH"])
    row = accounts.table.index.get_loc(largest)
    assert 6.0 < held[row, bat] / graph.depth[bat] < 7.0
    with_eth = accounts.table["debtrank_impact"][held[:, eth] > 0.0]
    assert with_eth.median() == pytest.approx(0.175, abs=5e-4)
    assert ((with_eth > 0.17) & (with_eth < 0.19)).mean() > 0.95


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return the list to which figures are added when they are saved."""
    saved: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: (saved.append(self), save(self, *args, **kw))[1])
    return saved


def test_main_prints_tables_and_draws(
    banks: cg.importance.Comparison,
    accounts: cg.importance.Comparison,
    drawn: list[Figure],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(example, "banks", lambda: banks)
    monkeypatch.setattr(example, "accounts", lambda: accounts)
    example.main(str(tmp_path / "ranks.png"))
    report = capsys.readouterr().out
    for part in ("90 banks, EBA 2011", "ES059", "Compound v2, 100 largest", "26587", "Kendall's tau"):
        assert part in report
    assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")
    assert_no_text_overlaps(drawn[0])


def assert_no_text_overlaps(figure: Figure) -> None:
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axes in figure.axes:
        for labels in (axes.get_xticklabels(), axes.get_yticklabels(), axes.get_legend().get_texts()):
            boxes = [label.get_window_extent(renderer) for label in labels if label.get_text()]
            assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
        legend = axes.get_legend().get_window_extent(renderer)
        for line in axes.get_lines():
            points = line.get_transform().transform(line.get_xydata())
            assert not any(legend.contains(*point) for point in points)


@pytest.mark.parametrize("market", ["banks", "accounts"])
def test_absent_data_is_one_clear_line(market: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONTAGION_GRAPH_SHARED", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^no data at .*: set CONTAGION_GRAPH_SHARED to the folder that holds data/"):
        getattr(example, market)()


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_blocks_of_the_page_run():
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    examples = doctest.DocTestParser().get_examples(text)
    assert len(blocks) == 3
    assert len(examples) == sum(len(doctest.DocTestParser().get_examples(block)) for block in blocks)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testfile(str(PAGE), module_relative=False, optionflags=flags).failed == 0


def test_every_name_in_the_table_exists():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall(r"`(?!result)([\w.]+)", row.split("|")[2])}
    assert len(named) > 20
    for name in named:
        assert callable(
            getattr(cg, name.removeprefix("cg.")) if name.startswith("cg.") else getattr(cg.importance, name)
        )


def test_the_page_quotes_the_banks(banks: cg.importance.Comparison, bank_graph: cg.ExposureGraph):
    of, text = cg.importance, " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"with {banks.table.loc['ES059', 'systemicness']:.4f} of the {banks.table['systemicness'].sum():.4f}" in text
    assert banks.table["knockout"].idxmax() == "IT040"
    assert f"that of IT040 is {banks.table['knockout'].max():,.0f} million" in text
    tau = banks.kendall["knockout"].round(2)
    assert f"({tau['systemicness']:.2f} for the banks)" in text
    assert f"a knock-out ({tau['indirect_contagion_index']:.2f})" in text
    tied = banks.table["knockout"] == 0.0
    assert f"({tied.sum()} of the 90 banks: rank {banks.table.loc[tied, 'knockout_rank'].iloc[0]})" in text
    given = eba.build_graph(need(eba.DATA))
    pair = [
        of.compare(graph, [of.indirect_contagion_index, of.debtrank_impact]).kendall.iloc[0, 1]
        for graph in (bank_graph, given)
    ]
    assert f"is {pair[0]:.2f} at ten times the depth, and {pair[1]:.2f} at the depth itself" in text


def test_the_page_quotes_how_stable_they_are(bank_graph: cg.ExposureGraph):
    of, text = cg.importance, " ".join(PAGE.read_text(encoding="utf-8").split())
    measures = {
        "index": of.indirect_contagion_index,
        "systemicness": lambda graph: of.systemicness(graph, eba.SHOCK, cap=eba.MOST_LEVERAGE, limited=True),
        "knockout": lambda graph: of.knockout(graph, MODEL, eba.SHOCK),
        "debtrank": lambda graph: of.debtrank_impact(graph).fillna(0.0),
    }
    worst = {
        (name, noise): of.stability(bank_graph, measure, noise=noise, n_draws=20, rng=0).kendall.min()
        for name, measure in measures.items()
        for noise in (0.01, 0.001)
    }
    assert f"{worst['index', 0.01]:.3f} for the indirect contagion index" in text
    assert f"{worst['systemicness', 0.01]:.2f} for systemicness" in text
    assert f"{worst['knockout', 0.01]:.2f} for the knock-out" in text
    assert f"{worst['debtrank', 0.01]:.2f} for DebtRank" in text
    least = min(worst[name, 0.001] for name in ("systemicness", "knockout", "debtrank"))
    assert f"at 0.1 % it is {least:.2f} or more for the last three" in text


def test_the_knockout_of_every_large_account_of_compound():
    graph = example.compound_v2.build_graph(need(example.compound_v2.DATA))
    model, shock, records = example.compound_v2.MODEL, {"ETH": -0.3}, graph.records
    owed = records.account_sums(np.maximum(-records.quantity * graph.price[records.asset], 0.0))
    large = graph.account_index.get_level_values("trader")[owed > 1.0]
    assert len(large) == 1_044  # accounts that owe more than 1 ETH: README of the data
    knockout = cg.importance.knockout(graph, model, shock, traders=large)
    assert sorted(knockout.index) == sorted(large)
    assert knockout.notna().all()

    def lost_by_others(market: cg.ExposureGraph, trader: str) -> float:
        shocked, calm = (
            model.run(market, change).traders["loss"].drop(trader, errors="ignore") for change in (shock, {})
        )
        return float(shocked.sum() - calm.sum())

    for trader in [*knockout.nlargest(2).index, knockout.abs().idxmin()]:
        without = graph.subset(traders=graph.traders.drop(trader))
        expected = lost_by_others(graph, trader) - lost_by_others(without, trader)
        assert knockout[trader] == pytest.approx(expected, abs=1e-6)
