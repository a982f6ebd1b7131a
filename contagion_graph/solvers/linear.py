"""Linear systems x = A x + f with A >= 0 and a spectral radius below 1, and bounds on the errors of x."""

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, gmres, splu

from contagion_graph._typing import FloatArray

DIRECT = 1000  # nodes that branch on cycles, up to which a factorisation is always affordable
TERMS = 40  # of the series: so many products cost less than one factorisation
RESTART, CYCLES, REFINEMENTS = 40, 25, 60  # of GMRES
EPS = float(np.finfo(np.float64).eps)


class NonnegativeSystem:
    """A system x = A x + f with a sparse matrix A >= 0, shape (k, k), solved for several f.

    Its matrix I - A is a nonsingular M-matrix exactly if the spectral radius of A is below 1; then f >= 0 gives x >= 0.

    Parameters
    ----------
    transfer : sparse matrix, shape (k, k)
        A, without negative entries.

    Examples
    --------
    >>> system = NonnegativeSystem(sparse.csr_array([[0.0, 0.5], [0.5, 0.0]]))
    >>> x = system.solve(np.array([1.0, 0.0]))
    >>> x.round(6).tolist(), bool(system.error_of(x, np.array([1.0, 0.0])).max() < 1e-14)
    ([1.333333, 0.666667], True)
    >>> NonnegativeSystem(sparse.csr_array([[0.0, 2.0], [0.6, 0.0]])).error_of(x, x) is None
    True
    """

    def __init__(self, transfer: Any) -> None:
        self.transfer = sparse.csr_array(transfer)
        self.size = self.transfer.shape[0]

    @cached_property
    def branching(self) -> int:
        """How many nodes at most branch on cycles: 2 (edges - nodes + components - 1) of the undirected graph.

        Leaves and chains are eliminated without fill; only these nodes can fill in, to at most their square.
        """
        pattern = self.transfer + self.transfer.T
        edges = (pattern.nnz - np.count_nonzero(pattern.diagonal())) // 2
        components = connected_components(pattern, directed=False, return_labels=False)
        return int(max(0, min(2 * (edges - self.size + components - 1), self.size)))

    @cached_property
    def direct(self) -> bool:
        """Whether a factorisation stays sparse enough."""
        return self.size <= DIRECT or self.branching <= DIRECT

    @cached_property
    def _factors(self) -> Any:
        matrix = sparse.csc_array(sparse.eye_array(self.size) - self.transfer)
        # columns are diagonally dominant: no pivoting is needed, and the order may be chosen for the fill alone
        return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})

    def solve(self, right: FloatArray) -> FloatArray:
        """Return x as close as rounding allows, whatever the method; `error_of` says how close.

        The series f + A f + A^2 f + ... where few terms do, else a factorisation where it stays sparse, else GMRES.
        """
        x = self._series(right)
        if x is not None:
            return x
        x = self._factors.solve(right) if self.direct else self._krylov(right, np.zeros_like(right), 1e-10)
        for _ in range(REFINEMENTS):
            left, noise = self._residual(x, right)
            if (np.abs(left) <= 4.0 * noise).all():
                break
            better = x + self._factors.solve(left) if self.direct else self._krylov(left, x, 1e-6)
            if np.abs(self._residual(better, right)[0]).max() >= 0.5 * np.abs(left).max():
                break
            x = better
        return x

    def error_of(self, x: FloatArray, right: FloatArray, uncertain: FloatArray | float = 0.0) -> FloatArray | None:
        """Return bounds on the error of each entry of x, rounding included; None where none can be proven.

        `uncertain` bounds the errors that `right` came with.
        A vector v >= 0 with (I - A) v >= |right - (I - A) x| > 0 proves that I - A is a nonsingular M-matrix,
        and that no entry of x is off by more than v.
        """
        left, noise = self._residual(x, right)
        target = np.abs(left) + noise + uncertain + np.finfo(np.float64).tiny
        v = self._series(target)
        if v is None and self.direct:
            v = self._factors.solve(target)
        if v is None:
            target = np.full_like(target, target.max())
            v = self._krylov(target, np.zeros_like(target), 1e-2)
        image = v - self.transfer @ v
        share = float(np.min(image / target, initial=1.0)) * (1.0 - 1e-6)  # the image itself is rounded
        return v / share if share > 0.0 and (v >= 0.0).all() else None

    def _series(self, right: FloatArray) -> FloatArray | None:
        """Return the sum of A^k f where it converges within a few terms."""
        x, term = right.copy(), right
        for _ in range(TERMS):
            term = self.transfer @ term
            x += term
            if (np.abs(term) <= 0.5 * EPS * np.abs(x)).all():
                return x
        return None

    def _residual(self, x: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return right - (I - A) x, and a bound on what rounding does to it."""
        terms = np.diff(self.transfer.indptr) + 3.0
        size = np.abs(right) + np.abs(x) + self.transfer @ np.abs(x)
        return right - (x - self.transfer @ x), EPS * terms * size

    def _krylov(self, right: FloatArray, start: FloatArray, rtol: float) -> FloatArray:
        """Return start plus the solution for `right`, to a relative residual, by GMRES."""
        unit = float(np.abs(right).max(initial=0.0)) or 1.0  # squares of tiny or huge numbers would leave the range
        matrix = LinearOperator((self.size, self.size), matvec=lambda x: x - self.transfer @ x, dtype=np.float64)
        step, _ = gmres(matrix, right / unit, rtol=rtol, atol=0.0, restart=RESTART, maxiter=CYCLES)
        return start + unit * np.asarray(step)
