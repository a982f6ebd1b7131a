"""Plots: what is drawn, read back from the artists; labels that are hostile; sizes at both ends; stable bytes."""

import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gallery
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from scipy import sparse

import contagion_graph as cg
from contagion_graph.plot import canvas

mpl.use("Agg")
from matplotlib import pyplot

HOSTILE = [
    "a$b$c",
    "_x_",
    "<script>alert(1)</script>",
    "\U0001f600\U0010ffff",
    "שלום",
    "x\ny\x00\x1b",
    "%d {0} \\frac",
    "long " * 400,
    "nan",
    "=cmd",
    "$",
]


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    pyplot.close("all")


def market(n: int = 40, labels: list[str] | None = None, m: int = 3, **fields: Any) -> cg.ExposureGraph:
    """Return n accounts, some of which breach when the first asset falls by 30 %, and leave shortfalls."""
    rng = np.random.default_rng(n)
    held = rng.integers(1, 20, (n, m)) * np.where(rng.random((n, m)) < 0.8, 1.0, -0.3)
    fields = {"depth": 1e4, "margin_long": 0.05, "margin_short": 0.05, "insurance_fund": 50.0, **fields}
    cash = -held.sum(axis=1) * 10.0 * rng.uniform(0.3, 0.9, n)
    assets = None if labels is None else [f"{k % 10}{label}"[:3000] for k, label in enumerate((labels * m)[:m])]
    return cg.ExposureGraph.from_arrays(held, price=10.0, cash=cash, traders=labels, assets=assets, **fields)


def run(graph: cg.ExposureGraph, fall: float = -0.3) -> cg.CascadeResult:
    return cg.MarginCascade(liquidation=cg.CloseFactor(0.5), penalty=0.01).run(graph, {graph.assets[0]: fall})


@pytest.fixture(scope="module")
def result() -> cg.CascadeResult:
    found = run(market())
    assert len(found.rounds) > 3
    assert (found.rounds[["fund_used", "socialised"]].sum() > 0.0).all()
    return found


def options() -> cg.ExposureGraph:
    """Return a small venue of options on portfolio margin."""
    return cg.generate.options(200, rng=1)


def all_plots(result: cg.CascadeResult) -> dict[str, Callable[[], Any]]:
    """Return every plot of one market."""
    graph, asset = result.graph, result.graph.assets[0]
    some = graph.traders[:3]
    of = cg.importance

    def ends() -> Any:
        held = graph.subset(assets=[asset])
        return {
            size: cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).equilibria(held, {asset: size})
            for size in (-0.2, 0.0)
        }

    return {
        "cascade": lambda: cg.plot.cascade(result),
        "waterfall": lambda: cg.plot.waterfall(result),
        "bipartite": lambda: cg.plot.bipartite(result),
        "exposure": lambda: cg.plot.exposure(cg.indirect_exposure(graph, result.model, -0.2)),
        "exposure_curve": lambda: cg.plot.exposure_curve(
            cg.exposure_curve(graph, result.model, asset, sizes=[-0.2, -0.1], traders=some)
        ),
        "tipping": lambda: cg.plot.tipping(ends()),
        "importance": lambda: cg.plot.importance(of.compare(graph, [of.strength, of.hits])),
        "loss_distribution": lambda: cg.plot.loss_distribution(result.traders["loss"]),
        "margin_scenarios": lambda: cg.plot.margin_scenarios(options(), options().traders[0]),
        "greeks": lambda: cg.plot.greeks(options()),
        "waterfall_layers": lambda: cg.plot.waterfall_layers(result),
        "adl_policies": lambda: cg.plot.adl_policies(cg.adl_policies(result.graph, result.model, {asset: -0.5})),
    }


PLOTS = list(all_plots(run(market())))


def figure_of(ax: Any) -> Any:
    return np.ravel(ax)[0].figure


def shown_texts(figure: Any) -> list[Any]:
    """Return every text that a reader sees, drawn."""
    figure.canvas.draw()
    texts = figure.findobj(mpl.text.Text)
    return [text for text in texts if text.get_visible() and text.get_text().strip() and _inside(text, figure)]


def _inside(text: Any, figure: Any) -> bool:
    """Whether a text is drawn: ticks beyond the limits of an axis keep their labels, but are not."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if text in (tick.label1, tick.label2):
                low, high = sorted(axis.get_view_interval())
                return low <= tick.get_loc() <= high and axis.get_visible() and axis.axes.axison
    return True


def overlaps(figure: Any) -> list[tuple[str, str]]:
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    return [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1.0 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1.0
    ]


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_prices_are_those_of_every_round(result: cg.CascadeResult):
    ax = cg.plot.prices(result, k=2)
    changes = np.array([trade.after for trade in result.arrays.trades]) / result.graph.price - 1.0
    order = np.argsort(-np.abs(changes[-1]), kind="stable")
    for line, asset in zip(ax.lines, order[:2], strict=False):
        assert line.get_ydata()[0] == result.arrays.price_shocked[asset] / result.graph.price[asset] - 1.0
        np.testing.assert_array_equal(line.get_ydata()[1:], changes[:, asset])
    (grey,) = ax.collections
    np.testing.assert_array_equal(grey.get_segments()[0][1:, 1], changes[:, order[2]])
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [*result.graph.assets[order[:2]], "other assets"]


def test_accounts_in_breach_add_up_to_the_rounds(result: cg.CascadeResult):
    ax = cg.plot.closed(result)
    first, upon = (patch.get_data().values for patch in ax.patches)
    counted = result.accounts["breach_round"].value_counts().reindex(result.rounds.index, fill_value=0)
    assert first.tolist() == counted.tolist()
    assert upon.tolist() == result.rounds["breached"].tolist()
    assert (upon > first).any()


def test_who_pays_adds_up_to_the_shortfalls(result: cg.CascadeResult):
    ax = cg.plot.fund(result)
    so_far = result.rounds[["fund_used", "socialised", "uncovered"]].cumsum().cumsum(axis=1)
    for patch, name in zip(ax.patches, so_far, strict=False):
        np.testing.assert_allclose(patch.get_data().values, so_far[name], rtol=1e-12)
    assert ax.lines[0].get_ydata()[0] == result.graph.insurance_fund.sum()


@pytest.mark.parametrize("traders", ["all", "losers"])
def test_the_waterfall_ends_at_the_loss(result: cg.CascadeResult, traders: Any):
    ax = cg.plot.waterfall(result, traders=traders)
    table = result.traders if traders == "all" else result.traders[result.traders["loss"] > 0.0]
    start, size = (np.array([getattr(bar, get)() for bar in ax.patches]) for get in ("get_x", "get_width"))
    np.testing.assert_allclose(size[:4], table[["direct", "impact", "penalty", "socialised"]].sum(), atol=1e-9)
    assert size[4] == pytest.approx(-table["shortfall"].sum())
    assert (start[5], size[5]) == (0.0, pytest.approx(table["loss"].sum()))
    np.testing.assert_allclose(start[1:5], np.cumsum(size)[:4])


def test_the_bipartite_picture_shows_rounds_prices_and_holdings(result: cg.CascadeResult):
    ax = cg.plot.bipartite(result, k=10)
    words = [text.get_text() for text in ax.texts]
    traders = result.traders
    drawn = [word for word in words if word in traders.index and not word.isdigit()] or words
    rounds = [int(word) for word in words if word.isdigit() and int(word) <= len(result.rounds)]
    assert rounds
    assert len(ax.collections[-2].get_offsets()) == 10
    sold = (traders["closed"] * result.graph._rows.per_trader(result.graph.gross_value)).nlargest(5).index
    assert set(sold) <= set(drawn)
    assert set(traders["loss"].nlargest(5).index) <= set(drawn)
    edges = sum(len(lines.get_segments()) for lines in ax.collections[:-2])
    assert edges == sparse.csr_array(result.graph.to_scipy()[[int(t) for t in _traders_of(ax, 10)]]).nnz
    for asset, row in result.assets.iterrows():
        change = row["price_after"] / row["price_before"] - 1.0
        (label,) = [word for word in words if word.startswith(f"{asset}  ")]
        assert float(label.split()[1]) == pytest.approx(100.0 * change, abs=0.5)


def _traders_of(ax: Any, count: int) -> list[str]:
    """Return the labels on the left, which follow the number of the round where there is one."""
    left = [text.get_text() for text in ax.texts if text.get_ha() == "right"]
    assert len(left) == count
    return left


def test_nodes_stand_in_the_order_of_their_rounds(result: cg.CascadeResult):
    ax = cg.plot.bipartite(result, k=12)
    rounds = result.traders["breach_round"].loc[_traders_of(ax, 12)].replace(0, 10**6)
    assert rounds.is_monotonic_increasing
    assert (np.diff(ax.collections[-2].get_offsets()[:, 1]) < 0.0).all()


def test_the_heat_map_is_the_exposure(result: cg.CascadeResult):
    exposure = cg.indirect_exposure(result.graph, result.model, -0.2)
    ax = cg.plot.exposure(exposure, k=7, k_assets=2)
    table = exposure.to_pandas()
    rows = [label.get_text() for label in ax.get_yticklabels()]
    columns = [label.get_text() for label in ax.get_xticklabels()]
    assert set(rows) == set(table.abs().sum(axis=1).nlargest(7).index)
    np.testing.assert_allclose(ax.images[0].get_array(), table.loc[rows, columns].abs())
    gains = int((table.loc[rows, columns] < 0.0).to_numpy().sum())
    assert sum("-" in text.get_text() for text in ax.texts) == gains
    assert sum("•" in text.get_text() for text in ax.texts) == 14


def test_the_curve_is_the_table_with_its_kinks(result: cg.CascadeResult):
    graph = result.graph
    table = cg.exposure_curve(graph, result.model, graph.assets[0], sizes=np.linspace(-0.3, 0.0, 9), traders=["1", "2"])
    ax = cg.plot.exposure_curve(table, column="indirect")
    drawn = {tuple(line.get_ydata()) for line in ax.lines[:2]}
    assert drawn == {tuple(table["indirect", trader]) for trader in ("1", "2")}
    marks = [segment[0][0] for segment in ax.collections[0].get_segments()]
    assert marks == table.index[table["closed", "kink"]].tolist() != []


def test_tipping_draws_both_ends():
    graph, model = gallery.long_only(), cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    both = {size: model.equilibria(graph, {"ETH": size}) for size in (-0.1, -0.3, 0.0)}
    ax = cg.plot.tipping(both, column="gross_loss")
    for line, end in zip(ax.lines, ("least", "greatest"), strict=True):
        expected = [getattr(both[size], end).summary()["gross_loss"] for size in (-0.3, -0.1, 0.0)]
        assert line.get_ydata().tolist() == expected
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["least equilibrium", "greatest equilibrium", "more than one equilibrium"]


def test_netted_books_have_bounds_not_equilibria():
    graph = market()
    ax = cg.plot.tipping({0.0: cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).equilibria(graph)})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["lower bound", "upper bound", "undecided"]


def test_ranks_are_those_of_the_comparison():
    of, graph = cg.importance, market()
    comparison = of.compare(graph, [of.strength, of.hits, of.pagerank])
    ax = cg.plot.importance(comparison, k=3)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    ranks = comparison.table.filter(regex="_rank$")
    assert set(names) <= set(ranks.index)
    for line, name in zip(ax.lines, names, strict=True):
        assert line.get_ydata().tolist() == ranks.loc[name].tolist()
    assert set(ranks.index[ranks.min(axis=1) == 1]) <= set(names)


def test_the_distribution_is_the_share_that_loses_more():
    losses = np.random.default_rng(0).pareto(1.1, 10_000) - 1.0
    ax = cg.plot.loss_distribution(losses)
    x, y = ax.lines[0].get_data()
    assert len(x) <= 400
    for at, share in list(zip(x, y, strict=True))[::37]:
        assert share == np.mean(losses >= at)
    quantiles = [line.get_xdata()[0] for line in ax.lines[1:]]
    np.testing.assert_allclose(quantiles, np.quantile(losses, [0.95, 0.99]))


# --- every plot -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLOTS)
def test_hostile_labels_are_text_and_nothing_overlaps(name: str, tmp_path: Path):
    graph = market(len(HOSTILE), HOSTILE, m=6)
    ax = all_plots(run(graph))[name]()
    figure = figure_of(ax)
    assert overlaps(figure) == []
    for text in shown_texts(figure):
        assert "\n" not in text.get_text() or text.get_text() in {"indirect\ncontagion\nindex"}
        assert text._preprocess_math(text.get_text())[1] is False  # no formula
    cg.plot.save(ax, tmp_path / "x.svg")


@pytest.mark.parametrize("name", ["cascade", "bipartite", "exposure", "importance"])
def test_many_long_labels_do_not_overlap(name: str):
    labels = [f"the account number {k} of a trader with a very long name" for k in range(60)]
    assert overlaps(figure_of(all_plots(run(market(60, labels, m=30)))[name]())) == []


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize(
    "graph",
    [
        market(1, m=1),
        market(5, m=1, depth=np.inf),
        market(8, margin_long=0.0, margin_short=0.0),
        market(6, insurance_fund=1e12),
    ],
    ids=["one account", "one asset", "no margin", "huge fund"],
)
def test_every_plot_of_every_size(name: str, graph: cg.ExposureGraph):
    assert overlaps(figure_of(all_plots(run(graph))[name]())) == []


def test_a_cascade_without_a_breach_says_so():
    calm = cg.MarginCascade().run(cg.ExposureGraph.from_arrays([[1.0]], price=[10.0]), {"0": -0.1})
    texts = [text.get_text() for one in cg.plot.cascade(calm) for text in one.texts]
    assert texts == ["no account is in breach"] * 2
    assert [text.get_text() for text in cg.plot.loss_distribution([0.0, -1.0]).texts] == ["none of 2 has a loss"]


def test_a_million_accounts_are_drawn():
    n = 1_000_000
    rng = np.random.default_rng(0)
    held = sparse.csr_array((rng.pareto(1.2, n), rng.integers(0, 5, n), np.arange(n + 1)), (n, 5))
    debt = held.sum(axis=1) * 10.0 * rng.uniform(0.0, 0.95, n)
    graph = cg.ExposureGraph.from_arrays(held, price=10.0, depth=1e8, margin_long=0.02, cash=-debt)
    result = cg.MarginCascade().run(graph, {"0": -0.1})
    assert result.summary()["breached"] > 1000
    for draw in (cg.plot.cascade, cg.plot.waterfall, cg.plot.bipartite):
        figure_of(draw(result)).canvas.draw()
    ax = cg.plot.loss_distribution(result.traders["loss"])
    assert len(ax.lines[0].get_xdata()) <= 400


@pytest.mark.parametrize("name", PLOTS)
def test_given_axes_are_used_and_returned(name: str, result: cg.CascadeResult, monkeypatch: pytest.MonkeyPatch):
    figure, given = pyplot.subplots(3 if name == "cascade" else 1)
    monkeypatch.setattr(pyplot, "subplots", lambda *_, **__: pytest.fail("a new figure"))
    drawn = getattr(cg.plot, name)
    with_ax: Any = lambda *args, **options: drawn(*args, ax=given, **options)  # noqa: E731
    monkeypatch.setattr(cg.plot, name, with_ax)
    returned = all_plots(result)[name]()
    assert list(np.ravel(returned)) == list(np.ravel(given))
    assert figure_of(returned) is figure


def test_the_circles_are_the_costs_of_the_margin_table():
    graph = options()
    table = graph.margin_table().loc[graph.traders[0]]
    ax = cg.plot.margin_scenarios(graph, graph.traders[0])
    circles = [line for line in ax.lines if line.get_markersize() == 13]
    assert [circle.get_ydata()[0] for circle in circles] == pytest.approx(
        (table["cost"] - table["contingency"]).tolist()
    )
    assert [circle.get_xdata()[0] for circle in circles] == table["move"].tolist()


def test_bars_of_a_greek_are_its_sums():
    graph = options()
    gamma, price = graph.greeks()["gamma"].unstack("underlying"), pd.Series(graph.price, index=graph.assets)
    gamma = (gamma * price[gamma.columns] ** 2 / 100.0).fillna(0.0)
    ax = cg.plot.greeks(graph, k=1)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["BTC"]
    drawn = [bar.get_width() for bar in ax.patches]
    assert drawn == pytest.approx([gamma["BTC"].clip(lower=0.0).sum(), gamma["BTC"].clip(upper=0.0).sum()])


@pytest.mark.parametrize(("name", "ending"), [("waterfall", ".pdf"), ("bipartite", ".svg"), ("tipping", ".png")])
def test_the_same_figure_gives_the_same_bytes(name: str, ending: str, result: cg.CascadeResult, tmp_path: Path):
    plot = all_plots(result)[name]
    one, other = (cg.plot.save(plot(), tmp_path / f"{k}{ending}").read_bytes() for k in (1, 2))
    assert one == other
    assert not re.search(rb"CreationDate|<dc:date>", one)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"1{ending}", f"2{ending}"]


def test_bytes_do_not_depend_on_the_process(tmp_path: Path):
    code = (
        "import sys, contagion_graph as cg; g = cg.ExposureGraph.from_arrays([[1.0]], price=[1.0], traders=['$']);"
        "cg.plot.save(cg.plot.bipartite(cg.MarginCascade().run(g, {'0': -0.1})), sys.argv[1])"
    )
    subprocess.check_call([sys.executable, "-W", "error", "-c", code, str(tmp_path / "there.svg")])
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=[1.0], traders=["$"])
    here = cg.plot.save(cg.plot.bipartite(cg.MarginCascade().run(graph, {"0": -0.1})), tmp_path / "here.svg")
    assert here.read_bytes() == (tmp_path / "there.svg").read_bytes()


# --- what is refused --------------------------------------------------------------------------------------------------


def test_without_matplotlib_the_error_names_the_extra(result: cg.CascadeResult, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(cg.MissingExtraError, match=r"contagion-graph\[plot\]"):
        cg.plot.waterfall(result)
    assert issubclass(cg.MissingExtraError, ImportError)


def test_loading_the_package_of_plots_loads_no_matplotlib():
    code = "import sys, contagion_graph as cg; cg.plot.cascade; print('matplotlib' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_what_is_no_result_is_refused(result: cg.CascadeResult, tmp_path: Path):
    both = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).equilibria(gallery.long_only(), {"ETH": -0.1})
    refused = [
        (lambda: cg.plot.cascade(both.least), "an equilibrium has no rounds"),
        (lambda: cg.plot.waterfall(both), "result is a Equilibria"),
        (lambda: cg.plot.cascade(result, ax=[1, 2]), "ax holds 2 axes"),
        (lambda: cg.plot.bipartite(result, k=0), "k is 0"),
        (lambda: cg.plot.prices(result, k=0), "k is 0"),
        (lambda: cg.plot.exposure(result), "matrix is a CascadeResult"),
        (lambda: cg.plot.exposure_curve(pd.DataFrame({"a": [1.0]})), "not what exposure_curve returned"),
        (lambda: cg.plot.tipping({}), "is no mapping"),
        (lambda: cg.plot.margin_scenarios(options(), "nobody"), "unknown label 'nobody'"),
        (lambda: cg.plot.margin_scenarios(result.graph, result.graph.traders[0]), "is on no grid"),
        (lambda: cg.plot.greeks(options(), greek="rho"), "greek"),
        (lambda: cg.plot.greeks(options(), k=0), "k is 0"),
        (lambda: cg.plot.tipping({0.1: 3}), "equilibria at 0.1"),
        (lambda: cg.plot.tipping({0.1: both}, column="lost"), "column is 'lost'"),
        (lambda: cg.plot.importance(3), "comparison is a int"),
        (lambda: cg.plot.loss_distribution([np.nan]), "not all finite"),
        (lambda: cg.plot.loss_distribution([]), "losses are empty"),
        (lambda: cg.plot.save(pyplot.figure(), tmp_path / "x.jpg"), "the ending of path is '.jpg'"),
    ]
    for call, message in refused:
        with pytest.raises(cg.ParameterError, match=re.escape(message)):
            call()
    assert list(tmp_path.iterdir()) == []


def test_equilibria_have_a_waterfall_and_a_graph():
    end = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).equilibria(gallery.long_only(), {"ETH": -0.2}).greatest
    cg.plot.waterfall(end)
    cg.plot.bipartite(end)


# --- looks ------------------------------------------------------------------------------------------------------------

# Viénot, Brettel & Mollon (1999), Color Research & Application 24: linear RGB as a protanope and a deuteranope see it.
BLIND = {
    "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


@pytest.mark.parametrize("kind", BLIND)
def test_colours_of_bars_are_told_apart_by_the_colour_blind(kind: str):
    seen = [np.array(BLIND[kind]) @ np.power(to_rgb(c), 2.2) for c in (canvas.LOSS, canvas.GAIN, canvas.TOTAL)]
    for one, other in itertools.combinations(seen, 2):
        assert np.abs(one.clip(0) ** (1 / 2.2) - other.clip(0) ** (1 / 2.2)).max() > 0.25


def test_lines_differ_without_colour():
    looks = [(style["marker"], str(style["linestyle"])) for style in map(canvas.style, range(7))]
    assert len(set(looks)) == 7


def test_rounds_grow_darker():
    colours = pyplot.get_cmap(canvas.ROUNDS)(np.linspace(0.05, 0.95, 20))[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(colours) < 0.0).all()


# --- the gallery ------------------------------------------------------------------------------------------------------


def test_the_gallery_draws_every_plot(tmp_path: Path):
    drawn = [path.stem for path in gallery.draw(tmp_path)]
    described = (Path(gallery.__file__).parent.parent / "docs" / "gallery-of-plots.md").read_text(encoding="utf-8")
    assert len(drawn) == len(gallery.PLOTS)
    for name in cg.plot.__all__:
        assert f"`{name}`" in described or f"`plot.{name}`" in described
    for name in drawn:
        assert f"## {name}" in described
