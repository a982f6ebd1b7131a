"""Linear systems x = A x + f: the answer, the bound on its error, the fill that was estimated, and what has none."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import splu

from contagion_graph.solvers.linear import DIRECT, NonnegativeSystem


def transfer(seed: int, n: int, links: float, radius: float) -> sparse.csr_array:
    """Return a random A >= 0 with columns that add up to `radius`, so that this is its spectral radius."""
    rng = np.random.default_rng(seed)
    matrix = sparse.random_array((n, n), density=links / n, rng=rng).tocsr()
    matrix += sparse.csr_array((np.full(n, 0.1), (np.roll(np.arange(n), 1), np.arange(n))), shape=(n, n))
    sums = matrix.sum(axis=0)
    matrix.data *= radius / sums[matrix.indices]
    return matrix


@pytest.mark.parametrize("radius", [0.1, 0.9, 0.9967, 0.99999])
@pytest.mark.parametrize(("n", "links"), [(40, 3.0), (1500, 0.0), (1500, 6.0)])  # small; a ring; too much fill
def test_every_method_solves_within_its_bound(n: int, links: float, radius: float):
    matrix = transfer(1, n, links, radius)
    system, right = NonnegativeSystem(matrix), np.random.default_rng(0).random(n)
    assert system.direct == (links < 6.0)
    x = system.solve(right)
    error = system.error_of(x, right)
    truth = np.linalg.solve(np.eye(n) - matrix.toarray(), right)
    assert error is not None
    assert (np.abs(x - truth) <= error + 1e-13 * truth / (1.0 - radius)).all()  # the dense answer has errors too
    assert error.max() <= max(1e-10, 1e-13 / (1.0 - radius)) * truth.max()  # rounding is amplified too


def test_a_wrong_answer_has_a_bound_that_says_so():
    matrix, right = transfer(2, 30, 3.0, 0.9), np.ones(30)
    system = NonnegativeSystem(matrix)
    x = system.solve(right)
    off = x + np.linspace(0.0, 1e-3, 30)
    error = system.error_of(off, right)
    assert error is not None
    assert (np.abs(off - x) <= error).all()
    uncertain = system.error_of(x, right, uncertain=1e-6)
    assert uncertain is not None
    assert uncertain.min() >= 1e-6


@pytest.mark.parametrize("seed", range(8))
def test_fill_is_estimated_before_it_is_made(seed: int):
    """A factor has no more entries than leaves, chains and a dense part of the branching nodes need."""
    matrix = transfer(seed, 400, [0.0, 0.3, 0.6, 1.0][seed % 4], 0.9)
    system = NonnegativeSystem(matrix)
    options = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
    factors = splu(sparse.csc_array(sparse.eye_array(400) - matrix), **options)
    assert factors.L.nnz + factors.U.nnz <= 4 * (matrix.nnz + 400) + system.branching**2
    assert system.branching <= 400


def test_a_tree_never_branches():
    parent = np.arange(1, 3000) // 2
    tree = sparse.csr_array((np.full(2999, 0.4), (parent, np.arange(1, 3000))), shape=(3000, 3000))
    system = NonnegativeSystem(tree)
    assert system.branching == 0
    assert system.direct
    assert DIRECT < 3000


@pytest.mark.parametrize("radius", [1.0, 1.2, 5.0])
def test_a_radius_of_one_or_more_has_no_bound(radius: float):
    system = NonnegativeSystem(transfer(3, 50, 3.0, radius))
    assert system.error_of(np.ones(50), np.ones(50)) is None


def test_tiny_and_huge_numbers_are_solved_alike():
    matrix, right = transfer(4, 60, 3.0, 0.9), np.random.default_rng(1).random(60)
    x = NonnegativeSystem(matrix).solve(right)
    for factor in (1e-200, 1e200):
        np.testing.assert_allclose(NonnegativeSystem(matrix).solve(right * factor), x * factor, rtol=1e-12)
