"""Sparse matrices cell by cell: the row of each cell, values of rows over cells, the same cells with other data."""

from typing import Any

import numpy as np
from scipy import sparse

from contagion_graph._typing import IntArray


def over_cells(matrix: sparse.csr_array, of_rows: Any) -> Any:
    """Return values of rows, or factors, repeated for each cell that is stored, shape (nnz,).

    Examples
    --------
    >>> over_cells(sparse.csr_array([[1.0, 2.0], [0.0, 3.0]]), np.array([10.0, 20.0])).tolist()
    [10.0, 10.0, 20.0]
    """
    return np.repeat(of_rows, np.diff(matrix.indptr))


def row_of_cells(matrix: sparse.csr_array) -> IntArray:
    """Return the row of each cell that is stored, shape (nnz,); `matrix.indices` has the columns.

    Examples
    --------
    >>> row_of_cells(sparse.csr_array([[1.0, 2.0], [0.0, 3.0]])).tolist()
    [0, 0, 1]
    """
    return np.asarray(over_cells(matrix, np.arange(matrix.shape[0])))


def with_data(matrix: sparse.csr_array, data: Any) -> sparse.csr_array:
    """Return a matrix with the same cells and other data, shape (nnz,); it shares the arrays of the cells.

    Examples
    --------
    >>> with_data(sparse.csr_array([[1.0, 2.0], [0.0, 3.0]]), np.ones(3)).toarray().tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def scaled_rows(matrix: sparse.csr_array, factors: Any) -> sparse.csr_array:
    """Return a matrix with its rows multiplied by factors, shape (n,).

    Examples
    --------
    >>> scaled_rows(sparse.csr_array([[1.0, 2.0], [0.0, 3.0]]), np.array([10.0, 20.0])).toarray().tolist()
    [[10.0, 20.0], [0.0, 60.0]]
    """
    return with_data(matrix, matrix.data * over_cells(matrix, factors))
