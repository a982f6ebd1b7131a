"""Structural importance: networkx, dense oracles and closed forms; overlap, concentration, comparison, stability."""

from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import contagion_graph as cg
from contagion_graph import importance
from contagion_graph.importance import portfolio_overlap, structure
from tests.shared_data import case
from tests.test_importance_spectral import SEEDS, both, connected_values, graph_of, of_networkx, random_values

OF = pytest.mark.parametrize("of", ["traders", "assets"])


def network_with_lengths(graph: cg.ExposureGraph) -> nx.Graph:
    network = graph.to_networkx()
    for *_, data in network.edges(data=True):
        data["length"] = 1.0 / data["weight"]
    return network


# --- links, paths, cores --------------------------------------------------------------------------------------------


@SEEDS
def test_networkx_agrees(seed: int):
    graph = graph_of(random_values(seed))
    network = network_with_lengths(graph)
    for measure, expected in (
        (importance.degree, dict(network.degree())),
        (importance.strength, dict(network.degree(weight="weight"))),
        (importance.betweenness, nx.betweenness_centrality(network, weight="length", normalized=False)),
        (importance.closeness, nx.closeness_centrality(network, distance="length")),
        (importance.coreness, nx.core_number(network)),
    ):
        ours = np.concatenate(both(measure, graph))
        assert ours == pytest.approx(of_networkx(graph, expected), rel=1e-9, abs=1e-12), measure.__name__


def test_betweenness_of_unit_weights_counts_equal_paths():
    graph = graph_of(np.arange(1.0, 7.0).reshape(2, 3))
    expected = nx.betweenness_centrality(graph.to_networkx(), normalized=False)
    ours = np.concatenate(both(importance.betweenness, graph, weight="unit"))
    assert ours == pytest.approx(of_networkx(graph, expected))


def test_sampled_betweenness_is_exact_with_all_nodes_and_unbiased_with_some():
    graph = graph_of(connected_values(3))
    exact = importance.betweenness(graph)
    nodes = len(graph.traders) + len(graph.assets)
    assert importance.betweenness(graph, n_samples=nodes).to_numpy() == pytest.approx(exact.to_numpy())
    few = [importance.betweenness(graph, n_samples=nodes // 2, rng=seed) for seed in range(400)]
    assert np.mean(few, axis=0) == pytest.approx(exact.to_numpy(), rel=0.1, abs=0.3)
    pd.testing.assert_series_equal(importance.betweenness(graph, n_samples=nodes // 2, rng=7), few[7], check_exact=True)


@OF
def test_searches_from_many_nodes_are_refused_with_the_way_out(of: str, monkeypatch):
    monkeypatch.setattr(structure, "MOST_SEARCHED", 2)
    graph = graph_of(np.ones((3, 3)))
    with pytest.raises(cg.ParameterError, match="give n_samples="):
        importance.betweenness(graph, of=of)
    assert importance.betweenness(graph, of=of, n_samples=2, rng=0).name == "betweenness"
    with pytest.raises(cg.ParameterError, match=f"3 {of} are more than the 2"):
        importance.closeness(graph, of=of)


# --- SinkRank -------------------------------------------------------------------------------------------------------


def dense_sinkrank(weights: np.ndarray) -> np.ndarray:
    """Return (n - 1) / sum of (1 - P without s)^-1 for each s, in the component of s."""
    columns = weights.sum(axis=0)
    links = weights @ (weights / np.where(columns > 0.0, columns, 1.0)).T
    np.fill_diagonal(links, 0.0)
    component = sparse.csgraph.connected_components(sparse.csr_array(links), directed=False)[1]
    scores = np.zeros(len(weights))
    for s in range(len(weights)):
        others = np.flatnonzero((component == component[s]) & (np.arange(len(weights)) != s))
        if others.size:
            chain = links[np.ix_(others, others)] / links[others].sum(axis=1, keepdims=True)
            scores[s] = others.size / np.linalg.inv(np.eye(others.size) - chain).sum()
    return scores


def test_sinkrank_of_the_complete_graph():
    reference = case("bipartite_centralities")
    count = reference["inputs"]["sink_n"]
    for values in (np.ones((count, 1)), 7.0 * np.ones((count, 3)), np.ones((count, 2 * count))):
        scores = importance.sinkrank(graph_of(values))
        assert scores.to_numpy() == pytest.approx(reference["expected"]["sinkrank_complete"], rel=1e-9)
        assert scores.iloc[0] == pytest.approx(1.0 / (count - 1), rel=1e-9)


@SEEDS
def test_sinkrank_is_that_of_dense_absorbing_chains(seed: int):
    values = random_values(seed)
    traders, assets = both(importance.sinkrank, graph_of(values))
    assert traders == pytest.approx(dense_sinkrank(np.abs(values)), rel=1e-9, abs=1e-15)
    assert assets == pytest.approx(dense_sinkrank(np.abs(values).T), rel=1e-9, abs=1e-15)


def test_sinkrank_keeps_its_digits_where_weights_are_far_apart():
    values = np.abs(connected_values(3)) * 10.0 ** np.random.default_rng(0).integers(-6, 7, connected_values(3).shape)
    for factor in (1e-100, 1.0, 1e100):
        scores = np.concatenate(both(importance.sinkrank, graph_of(values * factor)))
        assert scores == pytest.approx(np.concatenate([dense_sinkrank(values), dense_sinkrank(values.T)]), rel=1e-5)


def test_sinkrank_of_a_node_that_nobody_walks_to_is_0():
    graph = graph_of([[1.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]])
    assert importance.sinkrank(graph).tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0])
    assert importance.sinkrank(graph_of([[3.0]])).tolist() == [0.0]
    assert importance.sinkrank(graph_of(np.zeros((3, 2)))).tolist() == [0.0] * 3


def test_sinkrank_takes_the_rows_in_blocks_and_refuses_two_large_sides(monkeypatch):
    graph = graph_of(connected_values(2))
    whole = importance.sinkrank(graph)
    monkeypatch.setattr(structure, "CELLS_AT_ONCE", 1)
    pd.testing.assert_series_equal(importance.sinkrank(graph), whole)
    monkeypatch.setattr(structure, "MOST_INVERTED", 1)
    with pytest.raises(cg.ParameterError, match="both sides have more than 1 nodes"):
        importance.sinkrank(graph)


# --- overlap and concentration --------------------------------------------------------------------------------------


def test_the_reference_overlap_and_its_endogenous_risk_index():
    reference = case("bipartite_centralities")
    given, expected, near = reference["inputs"], reference["expected"], {"rel": reference["tolerance"]}
    matrix = importance.overlap(graph_of(given["holdings"], depth=given["depth"]), measure="liquidity").matrix.toarray()
    assert matrix == pytest.approx(np.array(expected["Omega"]), **near)
    values, vectors = np.linalg.eigh(matrix)
    assert values[-1] == pytest.approx(expected["omega_spectral_radius"], **near)
    assert np.abs(vectors[:, -1]) == pytest.approx(expected["ERI"], **near)


@OF
def test_cosine_and_jaccard_are_those_of_dense_vectors(of: str):
    for seed in range(20):
        values = connected_values(seed)
        graph, rows = graph_of(values), values if of == "traders" else values.T
        length, held = np.linalg.norm(rows, axis=1), rows != 0.0
        cosine = rows @ rows.T / np.outer(length, length)
        assert importance.overlap(graph, of=of).matrix.toarray() == pytest.approx(cosine, rel=1e-12, abs=1e-15)
        common, either = held @ held.T.astype(int), (held[:, None] | held[None]).sum(axis=2)
        jaccard = importance.overlap(graph, measure="jaccard", of=of).matrix
        assert jaccard.toarray() == pytest.approx(common / either, rel=1e-12)


@OF
@pytest.mark.parametrize("measure", ["cosine", "jaccard"])
def test_the_largest_overlaps_are_those_of_the_matrix(of: str, measure: str, monkeypatch):
    graph = graph_of(np.concatenate([random_values(seed=1)] * 2))
    cells = sparse.triu(importance.overlap(graph, measure=measure, of=of).matrix, k=1).tocoo()
    cells = sorted(zip(-cells.data, cells.row, cells.col, strict=True))
    for at_once in (1, 7, 10_000_000):
        monkeypatch.setattr(portfolio_overlap, "PRODUCTS_AT_ONCE", at_once)
        pairs = importance.overlap_pairs(graph, measure=measure, of=of, k=5)
        labels = {"traders": graph.traders, "assets": graph.assets}[of]
        assert pairs[of[:-1]].tolist() == [labels[row] for _, row, _ in cells[:5]]
        assert pairs["other"].tolist() == [labels[column] for _, _, column in cells[:5]]
        assert pairs["overlap"].tolist() == [-value for value, *_ in cells[:5]]


def test_overlap_of_nothing_and_of_assets_without_impact():
    empty = graph_of(np.zeros((2, 2)))
    for measure in ("cosine", "jaccard", "liquidity"):
        assert importance.overlap(empty, measure=measure).matrix.nnz == 0
        assert importance.overlap_pairs(empty, measure=measure).empty
    assert importance.overlap(graph_of([[1.0], [2.0]]), measure="liquidity").matrix.nnz == 0
    assert importance.overlap(graph_of([[1e-200], [-1e200]])).matrix.toarray() == pytest.approx(
        np.array([[1, -1], [-1, 1]])
    )


def test_overlap_refuses_what_would_not_fit_and_says_what_to_do(monkeypatch):
    graph = graph_of(np.ones((4, 3)))
    monkeypatch.setattr(portfolio_overlap, "MOST_STORED", 9)
    with pytest.raises(cg.ParameterError, match=r"overlap: 16 pairs .* graph.subset"):
        importance.overlap(graph)
    assert importance.overlap(graph, of="assets").matrix.shape == (3, 3)
    assert len(importance.overlap_pairs(graph)) == 6
    monkeypatch.setattr(portfolio_overlap, "MOST_COMPUTED", 9)
    with pytest.raises(cg.ParameterError, match="overlap_pairs: 48 pairs"):
        importance.overlap_pairs(graph)


def test_concentration_is_the_sum_of_squared_shares():
    graph = cg.ExposureGraph.from_arrays(
        [[2.0, 0.0, 0.0], [1.0, -4.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 0.0]],
        price=[10.0, 5.0, 1.0],
        traders=["A", "B", "A", "C"],
        pool=["P", "P", "R", "S"],
        assets=["X", "Y", "Z"],
    )
    traders = {"A": 0.75**2 + 0.25**2, "B": (1 / 3) ** 2 + (2 / 3) ** 2, "C": 0.0}
    assert importance.concentration(graph).to_dict() == pytest.approx(traders)
    assets = {"X": 0.75**2 + 0.25**2, "Y": (1 / 3) ** 2 + (2 / 3) ** 2, "Z": 0.0}
    assert importance.concentration(graph, of="assets").to_dict() == pytest.approx(assets)
    pools = importance.concentration(graph, of="pools", sort=True)
    assert pools.to_dict() == pytest.approx({"R": 1.0, "P": 0.4**2 + 0.6**2, "S": 0.0})
    assert pools.index.name == "pool"


# --- comparison and stability ---------------------------------------------------------------------------------------


def test_compare_gives_values_ranks_and_kendall():
    graph = graph_of([[1.0, 2.0], [0.0, 5.0], [3.0, 1.0]], traders=["A", "B", "C"])
    opposite = pd.Series([1.0, 2.0, 3.0], index=["C", "A", "B"], name="mine")
    comparison = importance.compare(graph, [importance.strength, importance.degree, opposite])
    table = comparison.table
    assert table["mine"].tolist() == [2.0, 3.0, 1.0]
    assert table["strength_rank"].tolist() == [3, 1, 2]
    assert table["degree_rank"].tolist() == [1, 3, 1]
    assert comparison.kendall.loc["strength", "mine"] == pytest.approx(1 / 3)
    assert np.diag(comparison.kendall).tolist() == [1.0] * 3


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        ([], "no measure"),
        (importance.degree, "measures is one measure; give a list"),
        (pd.Series([1.0, 2.0], index=["0", "1"], name="x"), "measures is one measure; give a list"),
        ([importance.degree, importance.degree], "'degree' repeats"),
        ([pd.Series([1.0, 2.0], index=["0", "1"])], "None repeats or is missing"),
        ([importance.degree, pd.Series([1.0, 2.0], index=["0", "X"], name="x")], "other nodes"),
        ([importance.degree, pd.Series([1.0, np.nan], index=["0", "1"], name="x")], "'x' is NaN at"),
        ([3.0], "no Series"),
        ([pd.Series([1.0, 2.0], index=["0", "0"], name="x")], "one value a label"),
    ],
)
def test_compare_refuses(measures: Any, message: str):
    with pytest.raises(cg.ParameterError, match=message):
        importance.compare(graph_of([[1.0, 2.0], [0.0, 5.0]]), measures)


def test_a_ranking_is_stable_without_noise_and_moves_with_it():
    graph = graph_of(connected_values(3), depth=100.0)
    still = importance.stability(graph, importance.hits, noise=0.0, n_draws=3)
    assert not still.nodes[["mean_change", "worst_change"]].to_numpy().any()
    assert still.kendall.tolist() == [1.0] * 3
    moved = importance.stability(graph, importance.hits, noise=1.0, n_draws=20, rng=5)
    assert (moved.nodes["worst_change"] >= moved.nodes["mean_change"]).all()
    assert moved.nodes["worst_change"].max() > 0
    assert moved.kendall.between(-1.0, 1.0).all()
    pd.testing.assert_series_equal(moved.nodes["value"], importance.hits(graph), check_names=False)
    again = importance.stability(graph, importance.hits, noise=1.0, n_draws=20, rng=5)
    pd.testing.assert_frame_equal(moved.nodes, again.nodes, check_exact=True)


def test_measures_that_rank_nobody_have_a_tau():
    graph = graph_of([[1.0, 2.0], [0.0, 5.0], [3.0, 1.0]], traders=["A", "B", "C"])
    same, flat = (pd.Series(value, index=["A", "B", "C"], name=name) for value, name in ((2.0, "same"), (7.0, "flat")))
    tau = importance.compare(graph, [importance.strength, same, flat]).kendall
    assert tau.to_numpy().tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    assert importance.stability(graph, lambda _: same, n_draws=2).kendall.tolist() == [1.0, 1.0]


def test_who_is_insolvent_in_a_draw_is_left_out_of_it():
    """C has an equity of 1 on a position of 50: noise of 10 % takes it below 0 now and then, and DebtRank is NaN."""
    graph = cg.ExposureGraph.from_arrays(
        [[50.0, 0.0], [50.0, 50.0], [0.0, 50.0]], price=1.0, depth=1000.0, cash=[-20.0, -40.0, -49.0],
        traders=["A", "B", "C"],
    )  # fmt: skip
    found = importance.stability(graph, importance.debtrank_impact, noise=0.1, n_draws=30, rng=1)
    assert found.nodes["undefined"].tolist()[:2] == [0, 0]
    assert 5 < found.nodes.loc["C", "undefined"] < 25
    assert np.isfinite(found.nodes["mean_change"]).all()
    assert found.kendall.between(-1.0, 1.0).all()
    gone = importance.stability(
        graph,
        lambda market: importance.strength(market) * (1.0 if market is graph else np.nan),
        noise=0.1,
        n_draws=2,
        rng=1,
    )
    assert gone.nodes["mean_change"].isna().all()
    assert gone.kendall.tolist() == [1.0, 1.0]  # of no node


def test_noise_reaches_the_depth():
    graph = graph_of(connected_values(3), depth=100.0)
    seen = []

    def total_depth(one: cg.ExposureGraph) -> pd.Series:
        seen.append((one.depth.sum(), one.price.sum()))
        return importance.degree(one)

    importance.stability(graph, total_depth, n_draws=2, rng=0)
    assert len({depth for depth, _ in seen}) == len({price for _, price in seen}) == 3
    for options, message in (({"noise": -1.0}, "noise"), ({"n_draws": 0}, "draws")):
        with pytest.raises(cg.ParameterError, match=message):
            importance.stability(graph, importance.degree, **options)


def test_wrong_names_are_refused():
    graph = graph_of([[1.0]])
    for call in (
        lambda: importance.degree(graph, of="pools"),
        lambda: importance.concentration(graph, of="accounts"),
        lambda: importance.overlap(graph, measure="pearson"),
        lambda: importance.overlap(graph, of="pools"),
        lambda: importance.overlap(graph, measure="liquidity", of="assets"),
        lambda: importance.overlap_pairs(graph, k=0),
        lambda: importance.betweenness(graph, n_samples=3),
        lambda: importance.strength(graph, weight="cash"),
    ):
        with pytest.raises(cg.ParameterError):
            call()


# --- results ----------------------------------------------------------------------------------------------------------


def test_overlap_has_labels_figures_and_tables():
    graph = graph_of([[3.0, 0.0], [4.0, 3.0], [-1.0, 0.0]], traders=["A", "B", "C"])
    found = importance.overlap(graph)
    dense = found.to_pandas()
    assert dense.index.tolist() == dense.columns.tolist() == ["A", "B", "C"]
    np.testing.assert_array_equal(dense, found.matrix.toarray())
    for label in graph.traders:
        assert found.row(label).tolist() == dense.loc[label].tolist()
    pairs = found.to_frames()["pairs"]
    ranked = importance.overlap_pairs(graph)
    pd.testing.assert_frame_equal(
        pairs.sort_values("overlap", ascending=False, kind="stable").reset_index(drop=True), ranked
    )
    assert found.summary().round(9).to_dict() == {"nodes": 3, "pairs": 3, "largest": 0.8, "mean": round(-1.0 / 3.0, 9)}
    assert importance.overlap(graph, of="assets").labels.name == "asset"
    with pytest.raises(cg.ParameterError, match="trader: unknown label 'D'"):
        found.row("D")


def test_an_overlap_that_is_too_large_to_write_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("contagion_graph.importance.portfolio_overlap.MOST_WRITTEN", 3)
    with pytest.raises(cg.ParameterError, match="2 x 2 entries are more than"):
        importance.overlap(graph_of([[1.0], [1.0]])).to_pandas()


def test_comparison_and_stability_are_results():
    graph = graph_of([[1.0, 2.0], [0.0, 5.0], [4.0, 0.0]])
    comparison = importance.compare(graph, [importance.strength, importance.degree])
    figures = comparison.summary()
    assert figures["least_tau"] == figures["mean_tau"] == comparison.kendall.loc["strength", "degree"]
    assert list(comparison.to_frames()) == ["summary", "table", "kendall"]
    assert repr(comparison).startswith("<Comparison: 2 measures of 3 nodes")
    assert importance.compare(graph, [importance.strength]).summary()["least_tau"] == 1.0
    stable = importance.stability(graph, importance.strength, noise=0.5, n_draws=10, rng=0)
    assert stable.summary()["least_tau"] == stable.kendall.min()
    assert stable.to_frames()["kendall"].columns.tolist() == ["draw", "kendall"]
    assert repr(stable).startswith("<Stability: 3 nodes in 10 draws")
    assert comparison.solution.converged
    assert stable.model is None
