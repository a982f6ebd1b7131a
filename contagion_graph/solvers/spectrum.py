"""The spectral radius of a matrix without negative entries."""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, eigs

from contagion_graph._solution import Solution, Status
from contagion_graph.errors import ConvergenceError

DENSE = 400  # nodes of a component up to which all eigenvalues at once are cheap, and exact


def spectral_radius(matrix: sparse.csr_array, owner: str, nodes: str = "nodes") -> float:
    """Return the spectral radius of a nonnegative matrix: the largest of its strongly connected components.

    Parameters
    ----------
    matrix : csr_array, shape (n, n)
        Without negative entries.
    owner, nodes : str
        Who asks, and what rows stand for, for the message of an error.

    Returns
    -------
    float
        0 where no cycle has only positive entries.

    Raises
    ------
    ConvergenceError
        The largest eigenvalue of a component of more than 400 nodes was not found.

    Examples
    --------
    >>> float(round(spectral_radius(sparse.csr_array([[0.0, 2.0, 9.0], [8.0, 0.0, 9.0], [0.0, 0.0, 1.0]]), "A"), 9))
    4.0
    """
    if matrix.nnz == 0:
        return 0.0
    _, component = connected_components(matrix, directed=True, connection="strong")
    order = np.argsort(component, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    found = [_of_component(matrix[rows][:, rows], owner, nodes) for rows in members if rows.size > 1]
    return max([float(matrix.diagonal().max()), *found])


def _of_component(matrix: sparse.csr_array, owner: str, nodes: str) -> float:
    """Return the spectral radius of a nonnegative irreducible matrix: its eigenvalue with the largest real part."""
    size = matrix.shape[0]
    if size <= DENSE:
        return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
    try:  # the same start gives the same bits
        return float(eigs(matrix, k=1, which="LR", v0=np.ones(size), return_eigenvectors=False)[0].real)
    except ArpackNoConvergence as error:
        solution = Solution(Status.NOT_FOUND, size * 10, np.nan)
        raise ConvergenceError(f"{owner}: the eigenvalue of {size} {nodes} was not found. {error}", solution) from error
