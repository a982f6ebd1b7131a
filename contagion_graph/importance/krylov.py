"""Leading eigenvector and linear systems of a symmetric matrix that is only applied: Lanczos, conjugate gradients."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import eigh_tridiagonal

from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import check_number
from contagion_graph.solvers.iteration import check_on_failure, conclude, iterate

Apply = Callable[[FloatArray], FloatArray]
Pair = tuple[FloatArray, FloatArray]
KEPT = 64  # vectors after which Lanczos starts again from the best it has


@dataclass(frozen=True)
class Stop:
    """When the iteration of a measure stops: it has converged within `tol`, or carried out `max_iter` iterations."""

    name: str
    tol: float
    max_iter: int
    on_failure: OnFailure = "raise"

    def __post_init__(self) -> None:
        check_number(self.name, "tol", self.tol, low=0, above=True, high=1, below=True)
        check_number(self.name, "max_iter", self.max_iter, low=1, whole=True)
        check_on_failure(self.on_failure)

    def run(self, change: Callable[[int], tuple[float, bool]], advance: Callable[[int], None]) -> None:
        """Iterate until convergence; `on_failure` says what happens where it is not reached."""
        solution, _ = iterate(change, advance, max_steps=self.max_iter)
        where = f"{self.name}: residual {solution.residual:.2g} after {solution.steps:,} iterations, tol {self.tol:g}"
        conclude(solution, self.on_failure, where, "Raise max_iter, or tol.")


def leading_vector(apply: Apply, start: FloatArray, *, stop: Stop) -> tuple[float, FloatArray]:
    """Return the largest eigenvalue of a symmetric matrix A and its eigenvector of length 1.

    It stops where |A x - value x| <= tol value. Where the eigenvalue is a multiple one, x is the part of `start` in its
    eigenspace, as power iteration would end there; `start` has such a part.

    Examples
    --------
    >>> value, vector = leading_vector(lambda x: x[::-1], np.array([1.0, 2.0]), stop=Stop("A", 1e-12, 9))
    >>> round(value, 12), vector.round(6).tolist()
    (1.0, [0.707107, 0.707107])
    """
    basis = np.empty((KEPT + 1, start.size))
    basis[0] = start / np.linalg.norm(start)
    diagonal: list[float] = []
    beside: list[float] = []
    value, part = 0.0, np.ones(1)

    def change(_: int) -> tuple[float, bool]:
        nonlocal value, part
        if not diagonal:
            return 1.0, False
        last = len(diagonal) - 1
        values, vectors = eigh_tridiagonal(diagonal, beside[:last], select="i", select_range=(last, last))
        value, part = float(values[0]), vectors[:, 0]
        residual = abs(beside[last] * part[last])
        return residual / value if value else 0.0, residual <= stop.tol * value

    def advance(_: int) -> None:
        if len(diagonal) == KEPT:
            best = part @ basis[:KEPT]
            basis[0] = best / np.linalg.norm(best)
            diagonal.clear()
            beside.clear()
        known = basis[: len(diagonal) + 1]
        image = apply(known[-1])
        diagonal.append(float(known[-1] @ image))
        image = image - (known @ image) @ known  # also from the old ones: rounding would bring them back
        beside.append(float(np.linalg.norm(image)))
        basis[len(diagonal)] = image / beside[-1] if beside[-1] else 0.0

    stop.run(change, advance)
    vector = part @ basis[: len(part)]
    return value, vector / np.linalg.norm(vector)


def solve(apply: Apply, right: FloatArray, scale: FloatArray, *, stop: Stop) -> FloatArray:
    """Return x with A x = right, A symmetric and positive definite, by conjugate gradients.

    It stops where sum scale |right - A x| <= tol sum scale |right|.

    Examples
    --------
    >>> solve(lambda x: 2.0 * x, np.array([2.0, 6.0]), np.ones(2), stop=Stop("A", 1e-12, 9)).tolist()
    [1.0, 3.0]
    """
    unit = float(np.abs(right).max()) or 1.0  # squares of very small or large numbers would leave the range
    x, rest = np.zeros_like(right), right / unit
    towards, square, reference = rest.copy(), float(rest @ rest), float(scale @ np.abs(rest))

    def change(_: int) -> tuple[float, bool]:
        size = float(scale @ np.abs(rest))
        return size / reference if reference else 0.0, size <= stop.tol * reference

    def advance(_: int) -> None:
        nonlocal x, rest, towards, square
        image = apply(towards)
        length = square / float(towards @ image)
        x = x + length * towards
        rest = rest - length * image
        before, square = square, float(rest @ rest)
        towards = rest + (square / before) * towards

    stop.run(change, advance)
    return x * unit


def solve_coupled(
    matrix: sparse.csr_array, scales: Pair, gains: tuple[float, float], fixed: Pair, size: FloatArray, *, stop: Stop
) -> Pair:
    """Return u and p with u = b S p + f and p = a S^T u + g, where S = diag(scales) W diag(scales) and a, b in [0, 1].

    u is put in, so that conjugate gradients solve (1 - a b S^T S) p = a S^T f + g; the largest singular value of S,
    times the root of a b, is below 1. `gains` are a and b, `fixed` f and g; `size` weighs the residual, as in `solve`.

    Examples
    --------
    >>> ones = np.ones(1), np.ones(1)
    >>> u, p = solve_coupled(sparse.csr_array([[0.5]]), ones, (1.0, 1.0), ones, ones[1], stop=Stop("x", 1e-12, 9))
    >>> u.tolist(), p.tolist()
    ([2.0], [2.0])
    """
    back, (rows, columns), (a, b) = matrix.T, scales, gains

    def forth(p: FloatArray) -> FloatArray:
        return np.asarray(rows * (matrix @ (columns * p)))

    def home(u: FloatArray) -> FloatArray:
        return np.asarray(columns * (back @ (rows * u)))

    p = solve(lambda x: x - a * b * home(forth(x)), a * home(fixed[0]) + fixed[1], size, stop=stop)
    return b * forth(p) + fixed[0], p
