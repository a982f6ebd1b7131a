"""Spectral importance: closed forms, definitions applied once more, and networkx on random graphs."""

import warnings
from collections.abc import Callable
from functools import partial

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import contagion_graph as cg
from contagion_graph import importance
from tests.shared_data import case

SPECTRAL = {
    name: getattr(importance, name)
    for name in ("birank", "cohits", "eigenvector", "fitness_complexity", "hits", "katz", "pagerank")
}
ALL = pytest.mark.parametrize("measure", SPECTRAL.values(), ids=SPECTRAL)
SEEDS = pytest.mark.parametrize("seed", range(50))


def graph_of(values, **vectors) -> cg.ExposureGraph:
    return cg.ExposureGraph.from_arrays(np.asarray(values, dtype=float), price=1.0, **vectors)


def random_values(seed: int) -> np.ndarray:
    """Draw signed values with gaps; every fifth graph has several components or nodes without links."""
    draw = np.random.default_rng(seed)
    shape = draw.integers(2, 12, 2)
    values = draw.lognormal(0.0, 1.0, shape) * draw.choice([-1.0, 1.0], shape)
    return values * (draw.random(shape) < (0.25 if seed % 5 == 0 else 0.7))


def connected_values(seed: int) -> np.ndarray:
    values = random_values(seed)
    values[0, values[0] == 0.0] = 0.1
    values[values[:, 0] == 0.0, 0] = 0.2
    return values


def both(measure: Callable[..., pd.Series], graph: cg.ExposureGraph, **options) -> tuple[np.ndarray, np.ndarray]:
    traders, assets = (measure(graph, of=of, **options) for of in ("traders", "assets"))
    assert traders.index.equals(graph.traders)
    assert assets.index.equals(graph.assets)
    return traders.to_numpy(), assets.to_numpy()


def of_networkx(graph: cg.ExposureGraph, scores: dict[str, float]) -> np.ndarray:
    return np.array(
        [scores[f"trader:{label}"] for label in graph.traders] + [scores[f"asset:{a}"] for a in graph.assets]
    )


# --- numbers of the literature, and closed forms --------------------------------------------------------------------


def test_the_reference_case():
    reference = case("bipartite_centralities")
    given, expected, near = reference["inputs"], reference["expected"], {"rel": reference["tolerance"]}
    graph = graph_of(given["W"])
    u, p = both(importance.birank, graph, damping=(given["alpha"], given["beta"]), prior=(given["u0"], given["p0"]))
    assert u == pytest.approx(expected["birank_u"], **near)
    assert p == pytest.approx(expected["birank_p"], **near)
    assert importance.birank(graph, damping=1.0).to_numpy() == pytest.approx(expected["birank_unit_u"], **near)
    u, p = both(importance.hits, graph)
    assert u == pytest.approx(expected["hits_u"], **near)
    assert p == pytest.approx(expected["hits_p"], **near)
    fitness, complexity = both(importance.fitness_complexity, graph_of(given["fitness_M"]), n_iter=1)
    assert fitness == pytest.approx(expected["fitness_after_1"], **near)
    assert complexity == pytest.approx(expected["complexity_after_1"], **near)


@SEEDS
def test_undamped_birank_is_the_root_of_the_strengths_and_a_fixed_point(seed: int):
    weights = np.abs(random_values(seed))
    u, p = both(importance.birank, graph_of(weights), damping=1.0)
    for scores, strength in ((u, weights.sum(axis=1)), (p, weights.sum(axis=0))):
        assert scores == pytest.approx(np.sqrt(strength) / np.sqrt(strength).sum(), rel=1e-12)
    near = both(importance.birank, graph_of(connected_values(seed)), damping=1.0 - 1e-9)
    limit = both(importance.birank, graph_of(connected_values(seed)), damping=1.0)
    for close, exact in zip(near, limit, strict=True):
        assert close / close.sum() == pytest.approx(exact, rel=1e-6)


def test_undamped_cohits_is_the_share_in_all_strength():
    u, p = both(importance.cohits, graph_of([[3.0, 1.0], [0.0, 4.0]]), damping=1.0)
    assert u.tolist() == [0.5, 0.5]
    assert p.tolist() == [0.375, 0.625]


# --- definitions, applied once more ---------------------------------------------------------------------------------


@SEEDS
def test_hits_and_eigenvector_are_at_rest(seed: int):
    weights = np.abs(connected_values(seed))
    u, p = both(importance.hits, graph_of(weights))
    sigma = np.linalg.svd(weights, compute_uv=False)[0]
    assert weights @ p == pytest.approx(sigma * u, rel=1e-9)
    assert weights.T @ u == pytest.approx(sigma * p, rel=1e-9)
    assert (np.linalg.norm(u), np.linalg.norm(p)) == pytest.approx((1.0, 1.0), rel=1e-12)
    halves = both(importance.eigenvector, graph_of(weights))
    assert np.concatenate(halves) == pytest.approx(np.concatenate([u, p]) / np.sqrt(2.0), rel=1e-12)


@SEEDS
def test_the_damped_measures_are_at_rest(seed: int):
    weights = np.abs(random_values(seed))
    draw = np.random.default_rng(seed)
    u0, p0 = draw.random(weights.shape[0]), draw.random(weights.shape[1])
    alpha, beta = draw.uniform(0.0, 1.0, 2)
    rows, columns = (np.where(s > 0.0, s, 1.0) for s in (weights.sum(axis=1), weights.sum(axis=0)))
    given = {"damping": (alpha, beta), "prior": (u0, p0)}
    u0, p0 = u0 / u0.sum(), p0 / p0.sum()
    for measure, forth, home in (
        (importance.birank, *[weights / np.sqrt(np.outer(rows, columns))] * 2),
        (importance.cohits, weights / columns, weights / rows[:, None]),
    ):
        u, p = both(measure, graph_of(weights), **given)
        assert u == pytest.approx(beta * forth @ p + (1.0 - beta) * u0, rel=1e-9)
        assert p == pytest.approx(alpha * home.T @ u + (1.0 - alpha) * p0, rel=1e-9)


@SEEDS
def test_fitness_and_complexity_are_at_rest(seed: int):
    weights = np.abs(connected_values(seed)) + 0.5
    fitness, complexity = both(importance.fitness_complexity, graph_of(weights), tol=1e-12)
    again = weights @ complexity
    assert again / again.mean() == pytest.approx(fitness, rel=1e-9)
    again = 1.0 / (weights.T @ (1.0 / fitness))
    assert again / again.mean() == pytest.approx(complexity, rel=1e-9)


# --- networkx -------------------------------------------------------------------------------------------------------


@SEEDS
def test_networkx_agrees(seed: int):
    graph = graph_of(random_values(seed))
    network = graph.to_networkx()
    if not network.number_of_edges():
        pytest.skip("networkx needs an edge")
    expected = of_networkx(graph, nx.pagerank(network, alpha=0.85, tol=1e-15, max_iter=10_000))
    assert np.concatenate(both(importance.pagerank, graph)) == pytest.approx(expected, rel=1e-9)
    sigma = np.linalg.svd(np.abs(graph.to_scipy().toarray()), compute_uv=False)[0]
    expected = of_networkx(graph, nx.katz_centrality_numpy(network, alpha=0.85 / sigma, weight="weight"))
    assert np.concatenate(both(importance.katz, graph)) == pytest.approx(expected, rel=1e-9)


@SEEDS
def test_networkx_agrees_on_connected_graphs(seed: int):
    graph = graph_of(connected_values(seed))
    network = graph.to_networkx()
    expected = of_networkx(graph, nx.eigenvector_centrality_numpy(network, weight="weight"))
    assert np.concatenate(both(importance.eigenvector, graph)) == pytest.approx(np.abs(expected), rel=1e-9)
    traders, assets = both(importance.hits, graph)
    directed = nx.DiGraph([(one, other, data) for one, other, data in network.edges(data=True)])
    hubs, authorities = nx.hits(directed, tol=1e-15)
    hubs, authorities = ({**dict.fromkeys(network, 0.0), **scores} for scores in (hubs, authorities))
    expected = of_networkx(graph, hubs)[: len(traders)]
    assert traders / traders.sum() == pytest.approx(expected, rel=1e-9)
    expected = of_networkx(graph, authorities)[len(traders) :]
    assert assets / assets.sum() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(1, 5))
def test_networkx_agrees_on_birank(seed: int):
    graph = graph_of(connected_values(seed))
    network = graph.to_networkx()
    tops = [f"trader:{label}" for label in graph.traders]
    given = {node: 1.0 / len(tops) if node in tops else 1.0 / len(graph.assets) for node in network}
    given = {"top_personalization": given, "bottom_personalization": given, "weight": "weight"}
    expected = nx.bipartite.birank(network, tops, alpha=0.8, beta=0.6, tol=1e-15, max_iter=1000, **given)
    ours = np.concatenate(both(importance.birank, graph, damping=(0.6, 0.8)))
    assert ours == pytest.approx(of_networkx(graph, expected), rel=1e-9)


# --- edges ----------------------------------------------------------------------------------------------------------


@ALL
def test_the_answer_is_a_named_series_that_is_sorted_if_asked(measure):
    graph = graph_of([[1.0, 2.0], [0.0, 5.0], [3.0, 1.0]], traders=["A", "B", "C"], assets=["X", "Y"])
    scores = measure(graph)
    names = {"fitness_complexity": "fitness"}
    assert scores.name == names.get(measure.__name__, measure.__name__)
    assert scores.index.tolist() == ["A", "B", "C"]
    pd.testing.assert_series_equal(measure(graph, sort=True), scores.sort_values(ascending=False))
    assert measure(graph, of="assets").index.tolist() == ["X", "Y"]
    pd.testing.assert_series_equal(measure(graph), scores, check_exact=True)


@ALL
def test_currency_units_sides_and_order_do_not_matter(measure):
    values = connected_values(3) + 0.3
    traders, assets = both(measure, graph_of(values))
    for factor in (1e-150, 1e-9, 1e9, 1e150):
        for ours, scaled in zip((traders, assets), both(measure, graph_of(values * factor)), strict=True):
            assert scaled == pytest.approx(ours, rel=1e-9)
    order = np.random.default_rng(0).permutation(len(traders))
    permuted, same = both(measure, graph_of(values[order]))
    assert permuted == pytest.approx(traders[order], rel=1e-9)
    assert same == pytest.approx(assets, rel=1e-9)
    if measure is not importance.fitness_complexity:
        swapped = both(measure, graph_of(values.T))
        assert swapped[0] == pytest.approx(assets, rel=1e-9)
        assert swapped[1] == pytest.approx(traders, rel=1e-9)


@pytest.mark.parametrize("name", ["hits", "eigenvector", "fitness_complexity"])
def test_nodes_without_links_are_0(name: str):
    traders, assets = both(SPECTRAL[name], graph_of([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [2.0, 3.0, 0.0]]))
    assert traders[1] == assets[2] == 0.0
    assert (np.delete(traders, 1) > 0.0).all()
    assert not np.concatenate(both(SPECTRAL[name], graph_of(np.zeros((2, 3))))).any()


def test_damped_measures_give_nodes_without_links_their_prior():
    graph = graph_of([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [2.0, 3.0, 0.0]])
    for measure in (importance.birank, importance.cohits):
        traders, assets = both(measure, graph)
        assert (traders[1], assets[2]) == pytest.approx((0.15 / 3, 0.15 / 3), rel=1e-12)
    empty = graph_of(np.zeros((2, 3)))
    assert np.concatenate(both(importance.pagerank, empty)) == pytest.approx(0.2, rel=1e-12)
    assert np.concatenate(both(importance.katz, empty)) == pytest.approx(np.sqrt(0.2), rel=1e-12)
    assert not np.concatenate(both(importance.birank, empty, damping=1.0)).any()


def test_one_trader_and_one_asset():
    graph = graph_of([[-5.0]])
    expected = {"eigenvector": np.sqrt(0.5), "hits": 1.0, "katz": np.sqrt(0.5), "pagerank": 0.5, "birank": 1.0}
    for name, value in {**expected, "cohits": 1.0, "fitness_complexity": 1.0}.items():
        assert both(SPECTRAL[name], graph) == (pytest.approx(value), pytest.approx(value))
    traders, assets = both(importance.hits, graph_of([[3.0, 4.0]]))
    assert traders.tolist() == [1.0]
    assert assets == pytest.approx([0.6, 0.8])


def test_hits_is_in_the_component_with_the_largest_singular_value():
    traders, assets = both(importance.hits, graph_of([[1.0, 0.0], [0.0, 3.0]]))
    assert traders == pytest.approx([0.0, 1.0], abs=1e-12)
    assert assets == pytest.approx([0.0, 1.0], abs=1e-12)
    traders, _ = both(importance.hits, graph_of([[2.0, 0.0], [0.0, 2.0]]))
    assert traders == pytest.approx([np.sqrt(0.5)] * 2, rel=1e-12)


def test_more_steps_than_lanczos_keeps_vectors():
    size = 400  # the path graph: eigenvalues are close together
    values = sparse.diags_array([np.ones(size), np.ones(size - 1)], offsets=[0, 1]).toarray()
    u, p = both(importance.hits, graph_of(values), max_iter=100_000)
    sigma = np.linalg.svd(values, compute_uv=False)[0]
    assert values @ p == pytest.approx(sigma * u, abs=1e-10)
    assert sigma == pytest.approx(u @ values @ p, rel=1e-12)


def test_weights_are_what_is_asked_for():
    graph = cg.ExposureGraph.from_arrays([[2.0, -1.0], [0.0, 3.0]], price=[10.0, 1.0])
    value, quantity, unit = ([20.0, 1.0], [2.0, 1.0], [1.0, 1.0])
    for weight, row in (("value", value), ("quantity", quantity), ("unit", unit)):
        last = 1.0 if weight == "unit" else 3.0
        same = importance.hits(graph_of([row, [0.0, last]]))
        pd.testing.assert_series_equal(importance.hits(graph, weight=weight), same)


def test_accounts_of_one_trader_do_not_net():
    graph = cg.ExposureGraph.from_arrays([[2.0], [-2.0], [1.0]], price=1.0, traders=list("AAB"), pool=list("PQP"))
    assert importance.cohits(graph, damping=1.0).to_dict() == {"A": 0.8, "B": 0.2}


def test_a_prior_by_label_draws_importance_to_itself():
    graph = graph_of([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], traders=["A", "B", "C"])
    for measure in (importance.birank, importance.cohits):
        scores = measure(graph, prior=({"B": 2.0}, None))
        assert scores["B"] > scores["A"] == pytest.approx(scores["C"])
    alone = importance.pagerank(graph, prior=(pd.Series({"B": 2.0}), [0.0, 0.0]))
    network = graph.to_networkx()
    expected = nx.pagerank(network, personalization={"trader:B": 1.0}, tol=1e-15, max_iter=1000)
    assert alone.to_numpy() == pytest.approx(of_networkx(graph, expected)[:3], rel=1e-9)


# --- failure --------------------------------------------------------------------------------------------------------


@ALL
def test_a_measure_that_is_not_at_rest_says_so(measure):
    graph = graph_of(connected_values(1))
    with pytest.raises(
        cg.ConvergenceError, match=f"{measure.__name__}: residual .* after 1 iterations.* Raise max_iter"
    ) as caught:
        measure(graph, max_iter=1)
    assert caught.value.solution.status is cg.Status.STEP_LIMIT
    assert caught.value.solution.steps == 1
    assert caught.value.solution.residual > 0.0


@ALL
def test_a_measure_that_does_not_converge_warns_or_keeps_quiet(measure):
    graph = graph_of(connected_values(1))
    with pytest.warns(cg.ConvergenceWarning, match=f"{measure.__name__}: residual"):
        scores = measure(graph, max_iter=2, on_failure="warn")
    assert np.isfinite(scores).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = measure(graph, max_iter=2, on_failure="ignore")
        converged = measure(graph, max_iter=100_000, on_failure="warn")
    pd.testing.assert_series_equal(scores, quiet)
    assert scores.to_numpy() == pytest.approx(converged.to_numpy(), rel=0.5)


@ALL
def test_what_is_no_graph_is_refused(measure):
    with pytest.raises(cg.ParameterError, match="graph"):
        measure(pd.DataFrame())


def test_a_nested_graph_has_no_rest_in_reach_but_steps():
    graph = graph_of(np.tri(6)[:, ::-1].T)
    with pytest.raises(cg.ConvergenceError):
        importance.fitness_complexity(graph, max_iter=50)
    ranks = importance.fitness_complexity(graph, n_iter=50).rank()
    assert ranks.tolist() == importance.degree(graph).rank().tolist()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hits", {"of": "trader"}, "hits: of is 'trader'; it must be one of traders, assets"),
        ("hits", {"weight": "price"}, "hits: weight is 'price'; it must be one of value, quantity, unit"),
        ("hits", {"tol": 0.0}, "hits: tol is 0.0"),
        ("hits", {"tol": float("nan")}, "hits: tol is nan"),
        ("eigenvector", {"max_iter": 0}, "eigenvector: max_iter is 0"),
        ("katz", {"damping": 1.0}, "katz: damping is 1.0"),
        ("pagerank", {"damping": float("nan")}, "pagerank: damping is nan"),
        ("birank", {"damping": (0.5, 1.5)}, "birank: damping is 1.5"),
        ("birank", {"damping": (0.5,)}, "pair alpha"),
        ("birank", {"prior": [1.0]}, "prior must be a pair"),
        ("cohits", {"prior": ([0.0, 0.0], None)}, "0 everywhere"),
        ("fitness_complexity", {"n_iter": -1}, "n_iter is -1"),
    ],
)
def test_wrong_parameters_are_refused(name: str, options: dict[str, object], message: str):
    with pytest.raises(cg.ParameterError, match=message):
        SPECTRAL[name](graph_of([[1.0], [2.0]]), **options)


def test_a_wrong_prior_is_refused_with_its_labels():
    graph = graph_of([[1.0], [2.0]], traders=["Ann", "Bob"])
    for prior, message in (({"Bop": 1.0}, "did you mean 'Bob'"), ([1.0, np.nan], "NaN"), ([1.0], "shape")):
        with pytest.raises(cg.ParameterError, match=message):
            importance.birank(graph, prior=(prior, None))


def test_a_measure_can_be_given_its_options_beforehand():
    graph = graph_of([[1.0, 2.0], [3.0, 1.0]])
    pd.testing.assert_series_equal(partial(importance.hits, of="assets")(graph), importance.hits(graph, of="assets"))
