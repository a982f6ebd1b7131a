"""The disparity filter: its definition, by integration and by drawing, and what it leaves of a graph."""

from pathlib import Path

import numpy as np
import pytest
from scipy import integrate

import contagion_graph as cg
from contagion_graph.importance.backbone import probabilities


def dense_backbone(weights: np.ndarray, alpha: float) -> np.ndarray:
    """Say which cells are kept, by the formula as it is printed."""
    kept = np.zeros(weights.shape, dtype=bool)
    for i, j in np.argwhere(weights > 0):
        for line in (weights[i], weights[:, j]):
            k, share = np.count_nonzero(line), weights[i, j] / line.sum()
            if k > 1:
                inner = (k - 1) * integrate.quad(lambda x, k=k: (1 - x) ** (k - 2), 0, share)[0]
                kept[i, j] |= 1 - inner < alpha
    return kept


def random_graph(seed: int) -> cg.ExposureGraph:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 12, 2)
    quantity = rng.lognormal(0, 2.5, (n, m)) * rng.choice([-1, 0, 1], (n, m))
    return cg.ExposureGraph.from_arrays(quantity, price=rng.uniform(1, 9, m), cash=rng.uniform(0, 9, n))


@pytest.mark.parametrize("seed", range(100))
def test_it_is_the_formula(seed: int):
    graph, alpha = random_graph(seed), float(np.random.default_rng(seed).uniform(0.01, 0.6))
    weights = np.abs(graph.to_scipy().toarray())
    found = cg.backbone(graph, significance=alpha)
    np.testing.assert_array_equal(found.quantity.toarray() != 0, dense_backbone(weights, alpha))
    np.testing.assert_allclose(found.equity, graph.equity, rtol=1e-12, atol=1e-9)
    assert found.quantity.nnz == found.margin_units.nnz == np.count_nonzero(found.quantity.toarray())


def test_shares_cut_at_random_are_significant_as_often_as_alpha_says():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(6), 20_000)
    graph = cg.ExposureGraph.from_arrays(shares, price=1.0)
    by_trader, _ = probabilities(graph.quantity)
    for alpha in (0.01, 0.05, 0.3):
        assert (by_trader < alpha).mean() == pytest.approx(alpha, abs=4 * np.sqrt(alpha / by_trader.size))


def test_accounts_of_one_trader_count_together_and_records_follow():
    tables = {
        "positions": {
            "trader": ["A", "A", "A", "A", "B"],
            "asset": ["X", "X", "Y", "Z", "Y"],
            "subaccount": ["", "s", "", "", ""],
            "quantity": [40.0, -40.0, 1.0, 1.0, 1.0],
            "entry_price": [None, 3.0, 2.0, None, 4.0],
        },
        "assets": {"asset": ["X", "Y", "Z"], "price": [5.0, 5.0, 5.0]},
        "accounts": {"trader": ["A", "A", "B"], "subaccount": ["", "s", ""], "cash": [1.0, 2.0, 3.0]},
    }
    graph = cg.ExposureGraph.from_tables(**tables)
    found = cg.backbone(graph, significance=0.01)
    assert found.to_frames()["positions"]["quantity"].tolist() == [40.0, -40.0]
    np.testing.assert_allclose(found.equity, graph.equity, rtol=1e-12)
    again = cg.ExposureGraph.from_tables(**found.to_frames())
    np.testing.assert_allclose(again.equity, graph.equity, rtol=1e-12)


def test_less_is_kept_at_a_smaller_level_and_one_edge_is_no_evidence(tmp_path: Path):
    graph = cg.generate.perpetuals(500, 10, rng=1)
    kept = [cg.backbone(graph, significance=alpha).n_positions for alpha in (0.5, 0.05, 0.005)]
    assert graph.n_positions > kept[0] > kept[1] > kept[2] > 0
    alone = cg.ExposureGraph.from_arrays([[5.0]], price=1.0)
    assert cg.backbone(alone, significance=0.99).n_positions == 0
    assert cg.write_gexf(cg.backbone(graph), tmp_path / "core.gexf").edges == kept[1]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_a_level_that_cannot_be_is_refused(alpha: float):
    with pytest.raises(cg.ParameterError, match="backbone: significance is"):
        cg.backbone(random_graph(0), significance=alpha)
