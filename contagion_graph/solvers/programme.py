"""Linear, mixed-integer and convex quadratic programmes, each answer verified, and what binds where there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, sparse
from scipy.sparse import csgraph

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import ConvergenceError, MissingExtraError

MISS = 1e-9  # share of a need or a limit by which an answer may miss it
GAP = 1e-6  # share of the objective by which an answer may be above its lower bound
FINE = 1e-9  # share of a need: whole units that gain less are rounded up after the solution
TIGHT = 1e-7
OPTIONS = {"primal_feasibility_tolerance": 1e-10, "mip_rel_gap": 0.0}
ATTEMPTS = (("highs", 1e-10, True), ("highs", 1e-7, False), ("highs-ipm", 1e-10, True))  # tolerance of costs, presolve
Squares = tuple[sparse.csr_array, FloatArray]


class Optimum(NamedTuple):
    """A verified answer: every need is reached, every limit kept, and no x that does so has a value below the bound.

    Parameters
    ----------
    x : ndarray, shape (k,)
        The choice.
    value, bound : float
        The objective at x, and what it is at least.
    steps : int
        Iterations of the solver.
    missed : float
        Largest share of a need that is missed, at most `MISS`.
    """

    x: FloatArray
    value: float
    bound: float
    steps: int = 0
    missed: float = 0.0

    @property
    def solution(self) -> Solution:
        """The report: residual is the share missed, error_bound the gap as a share of the objective."""
        gap = (self.value - self.bound) / self.value if self.value > 0.0 else 0.0
        return Solution(Status.CONVERGED, self.steps, self.missed, error_bound=max(gap, 0.0))


@dataclass(frozen=True, eq=False)
class Programme:
    """Choose x to minimise c.x (+ the cost of squares) with G x >= g, A x <= a, 0 <= x <= u.

    The unit of each x, need, limit and cost is its own: before a programme is solved, needs are scaled to 1, divisible
    x to the share of a need that they gain, limits to about 1, and costs to the cheapest share of a need.

    Parameters
    ----------
    cost : ndarray, shape (k,)
        c >= 0.
    gain, need : csr_array of shape (n, k), ndarray of shape (n,)
        G and g > 0: what has to be reached.
    use, limit : csr_array of shape (r, k), ndarray of shape (r,)
        A and a >= 0: what there is.
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

    def solve(self, owner: str, squares: Squares | None = None) -> Optimum | None:
        """Return the verified optimum, or None where no x reaches all needs.

        Parameters
        ----------
        owner : str
            Whose programme it is, for messages.
        squares : pair of csr_array of shape (m, k) and ndarray of shape (m,), optional
            P and q of a cost sum_j q_j (P x)_j^2 / 2 on top; all x are divisible then.

        Returns
        -------
        Optimum or None
            Linear programmes by the simplex method, whole numbers by branch and bound (HiGHS), squares by an
            interior-point method (Clarabel).

        Raises
        ------
        ConvergenceError
            The solver stopped, or its answer misses a need, a limit or the lower bound.
        """
        if self.cost.size == 0:
            return None if self.need.size else Optimum(self.cost, 0.0, 0.0)
        unit, scaled = self._scaled()
        if squares is None:
            found = scaled._linear(owner)
        else:
            found = scaled._quadratic(owner, (sparse.csr_array(squares[0] @ sparse.diags_array(unit)), squares[1]))
        if found is None:
            return None
        scaled._verify(owner, found)
        x = found.x * unit
        fine = self.whole & ~scaled.whole
        return found._replace(x=np.where(fine, np.minimum(np.ceil(x), self.upper), x))

    def shortfall(self, owner: str) -> tuple[FloatArray, FloatArray]:
        """Return what is missing of each need at best, the sum as small as can be, and the x that leaves it so."""
        n, k = self.gain.shape
        relaxed = replace(
            self,
            cost=np.concatenate([np.zeros(k), np.ones(n)]),
            gain=sparse.hstack([self.gain, sparse.eye_array(n)], format="csr"),
            use=sparse.hstack([self.use, sparse.csr_array((self.use.shape[0], n))], format="csr"),
            upper=np.concatenate([self.upper, np.full(n, np.inf)]),
            whole=np.concatenate([self.whole, np.zeros(n, bool)]),
        )
        found = relaxed.solve(owner)
        assert found is not None, "missing nothing but the needs themselves, it has a solution"
        return found.x[k:], found.x[:k]

    def binding(self, row: int, x: FloatArray, limits: Sequence[str], uppers: Sequence[str]) -> list[str]:
        """Return the names of the limits and finite upper bounds that keep need `row` from being reached at x."""
        helps = np.zeros(x.size, dtype=bool)
        helps[self.gain.indices[self.gain.indptr[row] : self.gain.indptr[row + 1]]] = True
        helps &= np.asarray(self.gain[[row]].sum(axis=0)).ravel() > 0.0
        at_limit = self.limit - self.use @ x <= TIGHT * (self.limit + abs(self.use) @ x)
        touches = (abs(self.use) @ helps.astype(np.float64)) > 0.0
        at_upper = helps & np.isfinite(self.upper) & (self.upper - x <= TIGHT * self.upper)
        named = [limits[k] for k in np.flatnonzero(at_limit & touches).tolist()]
        return list(dict.fromkeys(named + [uppers[k] for k in np.flatnonzero(at_upper).tolist()]))

    def _scaled(self) -> tuple[FloatArray, "Programme"]:
        """Return the unit of each x, and the programme in these units, with needs of 1."""
        gain = sparse.diags_array(1.0 / self.need) @ self.gain
        used = sparse.diags_array(1.0 / np.where(self.limit > 0.0, self.limit, 1.0)) @ self.use
        reach, takes = _largest(gain, 0), _largest(used, 0)
        whole = self.whole & (reach >= FINE)
        share = np.where(reach > 0.0, reach, np.where(takes > 0.0, takes, 1.0))
        unit = np.where(whole, 1.0, 1.0 / share)
        by_unit = sparse.diags_array(unit)
        use = sparse.csr_array(self.use @ by_unit)
        size = _largest(use, 1)
        size = np.where(self.limit > 0.0, np.minimum(self.limit, size), size)
        size = np.where(size > 0.0, size, 1.0)
        return unit, Programme(
            cost=self.cost * unit,
            gain=sparse.csr_array(gain @ by_unit),
            need=np.ones_like(self.need),
            use=sparse.csr_array(sparse.diags_array(1.0 / size) @ use),
            limit=self.limit / size,
            upper=self.upper / unit,
            whole=whole,
        )

    def _linear(self, owner: str) -> Optimum | None:
        """Solve a scaled programme; costs of rows that nothing connects are scaled each by themselves."""
        n, weight = self.need.size, self._weights()
        cost = self.cost * weight[-self.cost.size :]
        answer = self._highs(owner, cost)
        if answer is None:
            return None
        x = np.clip(answer.x, 0.0, self.upper)
        over = np.maximum(self.use @ x - self.limit, 0.0)
        if (over > MISS * np.maximum(self.limit, 1.0)).any():  # small coefficients are dropped
            again = replace(self, limit=np.maximum(self.limit - 2.0 * over, 0.0))._highs(owner, cost)
            answer = again or answer
            x = np.clip(answer.x, 0.0, self.upper)
        value = float(self.cost @ x)
        if self.whole.any():
            gap = max(answer.fun - answer.mip_dual_bound, 0.0) / answer.fun if answer.fun > 0.0 else 0.0
            return Optimum(np.where(self.whole, np.rint(x), x), value, value * (1.0 - gap), int(answer.nit))
        duals = np.maximum(-answer.ineqlin.marginals, 0.0) / weight[: -self.cost.size]
        return Optimum(x, value, self._bound(x, duals[:n], duals[n:]), int(answer.nit))

    def _weights(self) -> FloatArray:
        """Return one over the least cost of a need in each connected part, by row, then by x."""
        rows = sparse.vstack([self.gain, self.use], format="csr")
        part = csgraph.connected_components(sparse.block_array([[None, rows], [rows.T, None]], format="csr"))[1]
        reach = _largest(self.gain, 0)
        counts, least = (self.cost > 0.0) & (reach > 0.0), np.full(part.max(initial=0) + 1, np.inf)
        np.minimum.at(least, part[rows.shape[0] :][counts], self.cost[counts] / reach[counts])
        return np.asarray((1.0 / np.where(np.isfinite(least), least, 1.0))[part])

    def _highs(self, owner: str, cost: FloatArray) -> Any:
        """Return the solver's answer, None where it finds none; where it stops, it is asked in another way."""
        for method, dual, presolve in ATTEMPTS[: 2 if self.whole.any() else 3]:
            answer: Any = optimize.linprog(
                cost,
                A_ub=sparse.vstack([-self.gain, self.use], format="csr"),
                b_ub=np.concatenate([-self.need, self.limit]),
                bounds=np.column_stack([np.zeros_like(self.upper), self.upper]),
                method=method,
                integrality=self.whole.astype(int),
                options={**OPTIONS, "dual_feasibility_tolerance": dual, "presolve": presolve},
            )
            if answer.status == 0:
                return answer
            if answer.status == 2:
                return None
        raise _stopped(owner, f"the solver stopped: {answer.message}", int(answer.nit or 0))

    def _bound(self, x: FloatArray, by_need: FloatArray, by_limit: FloatArray) -> float:
        """Return the lower bound of duality: of all prices of needs and limits that are not negative, each is one.

        Prices of needs are lowered until no x between its bounds would pay for more than it costs, so that the rounding
        of the solver's prices does not count times an upper bound that is far away.
        """
        cells = self.gain.tocoo()
        need, column = cells.coords
        left = self.cost - self.gain.T @ by_need + self.use.T @ by_limit
        over = (left[column] < 0.0) & (cells.data > 0.0) & (x[column] < self.upper[column] * (1.0 - MISS))
        cut = np.zeros_like(by_need)
        np.maximum.at(cut, need[over], -left[column[over]] / cells.data[over])
        by_need = np.maximum(by_need - cut, 0.0)
        left = np.minimum(self.cost - self.gain.T @ by_need + self.use.T @ by_limit, 0.0)
        left[np.isinf(self.upper) & (left > -MISS * np.abs(self.cost).max())] = 0.0
        paid = np.multiply(left, self.upper, out=np.zeros_like(left), where=left < 0.0)
        return float(by_need.sum() - by_limit @ self.limit + paid.sum())

    def _quadratic(self, owner: str, squares: Squares) -> Optimum | None:
        """Solve a scaled programme with squares, and bound it by its tangent at the answer, which lies below it."""
        pressure, price = squares
        found = _clarabel(owner, self, pressure, price)
        if found is None:
            return None
        x, steps = found
        short = np.maximum(1.0 - self.gain @ x, 0.0)  # what the interior point misses, to be made up in proportion
        x = np.minimum(x * (1.0 + 2.0 * (abs(self.gain) > 0.0).T @ short), self.upper)
        sold = pressure @ x
        slope = self.cost + pressure.T @ (price * sold)
        tangent = replace(self, cost=slope).solve(owner)
        if tangent is None:
            raise _stopped(owner, "two solvers disagree on whether the needs can be reached", steps)
        value = float(self.cost @ x + price @ sold**2 / 2.0)
        return Optimum(x, value, value - float(slope @ x) + tangent.bound, steps)

    def _verify(self, owner: str, found: Optimum) -> None:
        missed = float((1.0 - self.gain @ found.x).max(initial=0.0))
        over = float(((self.use @ found.x - self.limit) / np.maximum(self.limit, 1.0)).max(initial=0.0))
        gap = found.value - found.bound
        if missed > MISS or over > MISS or not gap <= GAP * found.value + MISS**2 * float(self.cost.max()):
            raise _stopped(
                owner,
                f"the answer of the solver cannot be verified: it misses a need by {missed:.3g} and a limit by "
                f"{over:.3g} of their size, and is {gap / max(found.value, 1e-300):.3g} above the lower bound",
                found.steps,
            )


def _largest(matrix: Any, axis: int) -> FloatArray:
    if 0 in matrix.shape:
        return np.zeros(matrix.shape[1 - axis])
    return np.asarray(abs(matrix).max(axis=axis).toarray(), dtype=np.float64).ravel()


def _stopped(owner: str, what: str, steps: int) -> ConvergenceError:
    return ConvergenceError(f"{owner}: {what}", Solution(Status.NOT_FOUND, steps, np.nan))


def _clarabel(owner: str, scaled: Programme, pressure: Any, price: FloatArray) -> tuple[FloatArray, int] | None:
    """Return x and the steps, None where it is infeasible; z = P x are variables of their own, scaled as well."""
    try:
        import clarabel
    except ImportError as error:
        message = "quadratic programmes need clarabel, which is not installed; pip install 'contagion-graph[convex]'"
        raise MissingExtraError(message) from error
    (m, k), size = pressure.shape, _largest(pressure, 1)
    size[size == 0.0] = 1.0
    alone = scaled.cost + abs(pressure).power(2).T @ price / 2.0  # the objective where one x makes up a need
    least = np.full(scaled.need.size, np.inf)
    cells = scaled.gain.tocoo()
    helps = cells.data > 0.0
    np.minimum.at(least, cells.coords[0][helps], alone[cells.coords[1][helps]])
    weight = 1.0 / max(least[np.isfinite(least)].max(initial=0.0), np.finfo(float).tiny)
    squares = sparse.diags_array(np.concatenate([np.zeros(k), weight * price * size**2])).tocsc()
    bounded, eye = np.isfinite(scaled.upper), sparse.eye_array(k, format="csr")
    blocks = [
        [sparse.diags_array(1.0 / size) @ pressure, -sparse.eye_array(m)],
        [-scaled.gain, sparse.csr_array((scaled.need.size, m))],
        [scaled.use, sparse.csr_array((scaled.limit.size, m))],
        [-eye, sparse.csr_array((k, m))],
        [eye[bounded], sparse.csr_array((int(bounded.sum()), m))],
    ]
    right = [np.zeros(m), -scaled.need, scaled.limit, np.zeros(k), scaled.upper[bounded]]
    cones = [clarabel.ZeroConeT(m), clarabel.NonnegativeConeT(sum(each.size for each in right[1:]))]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
    system, cost = sparse.block_array(blocks, format="csc"), np.concatenate([weight * scaled.cost, np.zeros(m)])
    answer: Any = clarabel.DefaultSolver(squares, cost, system, np.concatenate(right), cones, settings).solve()
    if "Infeasible" in str(answer.status):
        return None
    if "Solved" not in str(answer.status):
        raise _stopped(owner, f"the solver stopped: {answer.status}", int(answer.iterations))
    return np.clip(np.asarray(answer.x, dtype=np.float64)[:k], 0.0, scaled.upper), int(answer.iterations)
