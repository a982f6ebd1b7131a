"""Networks from margins: the margins hold, zeros stay zero, entropy is at its maximum, links are few."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import milp

import contagion_graph as cg
from contagion_graph.synthetic.reconstruct import maximum_entropy, minimum_density
from tests.shared_data import case


def margins(seed: int) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return the margins of a random matrix with zeros, and where its zeros are forced."""
    rng = np.random.default_rng(seed)
    square = bool(seed % 2)
    n = int(rng.integers(3, 12))
    m = n if square else int(rng.integers(2, 12))
    matrix = rng.integers(0, 20, (n, m)) * (rng.random((n, m)) < 0.5)
    forbidden = rng.random((n, m)) < 0.2
    if square:
        np.fill_diagonal(forbidden, True)
    matrix[forbidden] = 0
    return matrix.sum(axis=1), matrix.sum(axis=0), forbidden


@pytest.mark.parametrize("method", [maximum_entropy, minimum_density])
def test_margins_hold_and_zeros_stay_zero(method: Any):
    options = {"rng": 3, "n_tries": 6} if method is minimum_density else {"tol": 1e-6, "max_iter": 300}
    met = 0
    for seed in range(100):
        rows, columns, forbidden = margins(seed)
        try:
            matrix = method(rows, columns, forbidden=forbidden, **options).to_numpy()
        except cg.ConvergenceError:  # with random zeros the only matrix may have many more, or be hard to find
            continue
        met += 1
        assert (matrix >= 0.0).all()
        assert not matrix[forbidden].any()
        near = 1e-5 * (1.0 + rows.sum())
        np.testing.assert_allclose(matrix.sum(axis=1), rows, atol=near)
        np.testing.assert_allclose(matrix.sum(axis=0), columns, atol=near)
    assert met > 60


def test_maximum_entropy_is_a_scaled_pattern():
    """X_ij = u_i v_j: all 2 x 2 minors vanish, and without zeros it is the product of the margins."""
    rng = np.random.default_rng(1)
    rows, columns = rng.random(8), rng.random(8)
    columns *= rows.sum() / columns.sum()
    full = maximum_entropy(rows, columns, forbidden=None).to_numpy()
    np.testing.assert_allclose(full, np.outer(rows, columns) / rows.sum(), rtol=1e-10)
    hollow = maximum_entropy(rows, columns).to_numpy()
    assert not np.diag(hollow).any()
    for i, j, k, m in [(0, 1, 2, 3), (4, 2, 7, 5), (6, 3, 0, 1)]:
        assert hollow[i, k] * hollow[j, m] == pytest.approx(hollow[i, m] * hollow[j, k], rel=1e-9)


def test_no_matrix_with_these_margins_has_more_entropy():
    rng = np.random.default_rng(2)
    best = maximum_entropy([3.0, 2.0, 4.0, 1.0], [2.0, 4.0, 1.0, 3.0]).to_numpy()
    entropy = -(best[best > 0] * np.log(best[best > 0])).sum()
    for _ in range(200):
        i, j, k, m = rng.permutation(4)
        other = best.copy()
        moved = 0.1 * rng.random() * min(best[i, k], best[j, m])
        if i in (k, m) or j in (k, m):
            continue
        other[[i, j], [k, m]] -= moved
        other[[i, j], [m, k]] += moved
        assert -(other[other > 0] * np.log(other[other > 0])).sum() <= entropy + 1e-12


def test_the_seven_banks_of_anand_craig_and_von_peter():
    given = case("nrm_anand_7bank_reconstruction")
    inputs, expected = given["inputs"], given["expected"]
    rows = pd.Series(inputs["row_sums_assets"], index=inputs["names"], dtype=float)
    columns = pd.Series(inputs["col_sums_liabilities"], index=inputs["names"], dtype=float)
    entropy = maximum_entropy(rows, columns)
    assert entropy.index.tolist() == entropy.columns.tolist() == inputs["names"]
    np.testing.assert_allclose(entropy, expected["max_entropy"], atol=given["tolerance"]["max_entropy"])
    np.testing.assert_allclose(entropy, expected["max_entropy_rounded2"], atol=0.0051)
    few = minimum_density(rows, columns, rng=0)
    np.testing.assert_allclose(few.sum(axis=1), rows, atol=1e-12)
    np.testing.assert_allclose(few.sum(), columns, atol=1e-12)
    assert (few.to_numpy() > 0).sum() <= expected["min_density_links"]


def fewest_links(rows: np.ndarray, columns: np.ndarray) -> int:
    """Return the true minimum, by integer programming: x_ij <= min(r_i, c_j) b_ij, b binary, no diagonal."""
    n = len(rows)
    cells = [(i, j) for i in range(n) for j in range(n) if i != j]
    size = len(cells)
    cost = np.r_[np.zeros(size), np.ones(size)]
    sums = np.zeros((2 * n, 2 * size))
    for cell, (i, j) in enumerate(cells):
        sums[i, cell] = sums[n + j, cell] = 1.0
    caps = np.array([min(rows[i], columns[j]) for i, j in cells])
    linked = np.hstack([np.eye(size), -np.diag(caps)])
    solved = milp(
        cost,
        constraints=[(sums, np.r_[rows, columns], np.r_[rows, columns]), (linked, -np.inf, 0.0)],
        integrality=np.r_[np.zeros(size), np.ones(size)],
        bounds=(0.0, np.r_[caps, np.ones(size)]),
    )
    return round(solved.fun)


def test_minimum_density_is_at_or_next_to_the_true_minimum():
    exact, over = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        matrix = rng.integers(1, 9, (5, 5)) * (rng.random((5, 5)) < 0.5)
        np.fill_diagonal(matrix, 0)
        rows, columns = matrix.sum(axis=1).astype(float), matrix.sum(axis=0).astype(float)
        least = fewest_links(rows, columns)
        found = int((minimum_density(rows, columns, rng=seed).to_numpy() > 0).sum())
        assert least <= found <= least + 2
        exact += found == least
        over += found - least
    assert exact >= 16
    assert over <= 6


def test_the_same_seed_gives_the_same_network():
    totals = np.arange(1.0, 9.0)
    one, same, other = (minimum_density(totals, totals, rng=seed, n_tries=3) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)


def test_a_reconstructed_network_can_be_cleared():
    rows = pd.Series([4.0, 3.0, 1.0], index=["A", "B", "C"])
    owed = maximum_entropy(rows, rows)
    network = cg.ObligationNetwork.from_arrays(owed, external_assets=1.0, nodes=owed.index)
    np.testing.assert_allclose(cg.EisenbergNoe().run(network).payments, rows)


def test_nothing_is_reconstructed_from_nothing():
    assert not maximum_entropy(np.zeros(3), np.zeros(3)).to_numpy().any()
    assert not minimum_density(np.zeros(3), np.zeros(3)).to_numpy().any()


@pytest.mark.parametrize("method", [maximum_entropy, minimum_density])
@pytest.mark.parametrize(
    ("rows", "columns", "forbidden", "message"),
    [
        ([1.0, -1.0], [0.0, 0.0], None, "row_sums: out of range in 1 row"),
        ([1.0, np.nan], [1.0, 0.0], None, "row_sums: NaN in 1 row"),
        ([], [], None, "row_sums: is empty"),
        ([1.0, 1.0], [1.0, 2.0], None, "column_sums: add up to 3, row_sums to 2"),
        ([1.0], [0.5, 0.5], "diagonal", "forbidden: is 'diagonal' for 1 rows and 2 columns"),
        ([1.0, 1.0], [1.0, 1.0], [[0, 1]], "forbidden: has shape"),
        ([3.0, 1.0], [3.0, 1.0], "diagonal", "row_sums: '0' has 3, those that it may deal with have 1"),
    ],
)
def test_each_fault_is_named(method: Any, rows: Any, columns: Any, forbidden: Any, message: str):
    with pytest.raises(cg.ParameterError, match=message):
        method(rows, columns, forbidden=forbidden)


def test_margins_that_no_pattern_allows_are_reported():
    forbidden = np.array([[False, True, True], [False, True, True], [False, False, False]])
    with pytest.raises(cg.ConvergenceError, match="No matrix with these zeros has these sums"):
        maximum_entropy([2.0, 2.0, 2.0], [3.0, 2.0, 1.0], forbidden=forbidden, max_iter=50)
    with pytest.raises(cg.ConvergenceError, match="none of 5 tries"):
        minimum_density([2.0, 2.0, 2.0], [3.0, 2.0, 1.0], forbidden=forbidden, n_tries=5)
    with pytest.warns(cg.ConvergenceWarning, match="raise max_iter"):
        off = maximum_entropy([2.0, 2.0, 2.0], [3.0, 2.0, 1.0], forbidden=forbidden, max_iter=50, on_failure="warn")
    assert off.sum().sum() < 6.0
