"""Linear, mixed-integer and convex quadratic programmes, and what stands in the way where they have no solution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, sparse

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import MissingExtraError

TIGHT = 1e-7


@dataclass(frozen=True, eq=False)
class Programme:
    """Choose x to minimise c.x (+ what a pressure costs) with G x >= g, A x <= a, 0 <= x <= u.

    Parameters
    ----------
    cost : ndarray, shape (k,)
        c.
    gain, need : csr_array of shape (n, k), ndarray of shape (n,)
        G and g > 0: what has to be reached.
    use, limit : csr_array of shape (r, k), ndarray of shape (r,)
        A and a: what there is.
    upper : ndarray, shape (k,)
        u.
    whole : ndarray of bool, shape (k,)
        Which x are whole numbers.
    """

    cost: FloatArray
    gain: sparse.csr_array
    need: FloatArray
    use: sparse.csr_array
    limit: FloatArray
    upper: FloatArray
    whole: BoolArray

    def solve(self) -> FloatArray | None:
        """Return the optimal x, or None where nothing reaches all needs (HiGHS: simplex, branch and bound)."""
        if self.cost.size == 0:
            return None if self.need.size else self.cost
        return _highs(self.cost, self.gain, self.need, self.use, self.limit, self.upper, self.whole)

    def shortfall(self) -> tuple[FloatArray, FloatArray]:
        """Return what is missing of each need at best, the sum as small as can be, and the x that leaves it so."""
        n, k = self.gain.shape
        cost = np.concatenate([np.zeros(k), np.ones(n)])
        gain = sparse.hstack([self.gain, sparse.eye_array(n)], format="csr")
        use = sparse.hstack([self.use, sparse.csr_array((self.use.shape[0], n))], format="csr")
        upper = np.concatenate([self.upper, np.full(n, np.inf)])
        x = _highs(cost, gain, self.need, use, self.limit, upper, np.concatenate([self.whole, np.zeros(n, bool)]))
        assert x is not None, "missing nothing but the needs themselves, it has a solution"
        return x[k:], x[:k]

    def binding(self, row: int, x: FloatArray, limits: Sequence[str], uppers: Sequence[str]) -> list[str]:
        """Return the names of the limits and finite upper bounds that keep need `row` from being reached at x."""
        helps = np.zeros(x.size, dtype=bool)
        helps[self.gain.indices[self.gain.indptr[row] : self.gain.indptr[row + 1]]] = True
        helps &= np.asarray(self.gain[[row]].sum(axis=0)).ravel() > 0.0
        at_limit = self.limit - self.use @ x <= TIGHT * np.maximum(1.0, np.abs(self.limit))
        touches = (abs(self.use) @ helps.astype(np.float64)) > 0.0
        at_upper = helps & np.isfinite(self.upper) & (self.upper - x <= TIGHT * np.maximum(1.0, self.upper))
        named = [limits[k] for k in np.flatnonzero(at_limit & touches).tolist()]
        return list(dict.fromkeys(named + [uppers[k] for k in np.flatnonzero(at_upper).tolist()]))

    def solve_quadratic(self, pressure: sparse.csr_array, price: FloatArray) -> FloatArray | None:
        """Return the x that minimises c.x + sum_j price_j (P x)_j^2 / 2, by an interior-point method; all x divisible.

        Parameters
        ----------
        pressure : csr_array, shape (m, k)
            P: what is sold of each asset.
        price : ndarray, shape (m,)
            Cost of the square of each.
        """
        try:
            import clarabel
        except ImportError as error:
            message = (
                "quadratic programmes need clarabel, which is not installed; pip install 'contagion-graph[convex]'"
            )
            raise MissingExtraError(message) from error
        m, k = pressure.shape
        squares = sparse.diags_array(np.concatenate([np.zeros(k), price])).tocsc()
        zero = sparse.csr_array((self.gain.shape[0], m))
        bounded = np.isfinite(self.upper)
        eye = sparse.eye_array(k, format="csr")
        blocks = [
            [pressure, -sparse.eye_array(m)],
            [-self.gain, zero],
            [self.use, sparse.csr_array((self.use.shape[0], m))],
            [-eye, sparse.csr_array((k, m))],
            [eye[bounded], sparse.csr_array((int(bounded.sum()), m))],
        ]
        right = [np.zeros(m), -self.need, self.limit, np.zeros(k), self.upper[bounded]]
        rows = sum(each.size for each in right[1:])
        cones = [clarabel.ZeroConeT(m), clarabel.NonnegativeConeT(rows)]
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
        system = sparse.block_array(blocks, format="csc")
        cost = np.concatenate([self.cost, np.zeros(m)])
        answer: Any = clarabel.DefaultSolver(squares, cost, system, np.concatenate(right), cones, settings).solve()
        if "Solved" not in str(answer.status):
            return None
        x: FloatArray = np.clip(np.asarray(answer.x, dtype=np.float64)[:k], 0.0, self.upper)
        return x


def _highs(
    cost: FloatArray,
    gain: sparse.csr_array,
    need: FloatArray,
    use: sparse.csr_array,
    limit: FloatArray,
    upper: FloatArray,
    whole: BoolArray,
) -> FloatArray | None:
    scale = sparse.diags_array(1.0 / need)  # each need counts as 1: tolerances then are shares of it
    answer = optimize.linprog(
        cost,
        A_ub=sparse.vstack([-(scale @ gain), use], format="csr"),
        b_ub=np.concatenate([-np.ones_like(need), limit]),
        bounds=np.column_stack([np.zeros_like(upper), upper]),
        integrality=whole.astype(int),
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10, "mip_rel_gap": 0.0},
    )
    return None if answer.x is None else np.asarray(answer.x, dtype=np.float64)
