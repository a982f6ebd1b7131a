"""Arithmetic of arrays that has one right answer where numpy's has none, and sparse matrices cell by cell."""

from typing import Any

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray, IntArray


def ratio(above: Any, below: Any, otherwise: Any) -> FloatArray:
    """Return above / below where below > 0, and something else where not.

    Parameters
    ----------
    above, below : array_like
        Of shapes that broadcast.
    otherwise : number or array_like
        What stands where below is 0, less, or NaN.

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> ratio([1.0, 0.0], [2.0, 0.0], 1.0).tolist()
    [0.5, 1.0]
    """
    below = np.asarray(below, dtype=np.float64)
    result = np.empty(np.broadcast_shapes(np.shape(above), below.shape))
    result[...] = otherwise
    np.divide(above, below, out=result, where=below > 0.0)
    return result


def product(price: Any, factor: Any) -> FloatArray:
    """Return price x factor, 0 where the price is 0, also at an infinite factor.

    Examples
    --------
    >>> import numpy as np
    >>> product([0.0, 2.0], [np.inf, 0.5]).tolist()
    [0.0, 1.0]
    """
    price = np.asarray(price, dtype=np.float64)
    result = np.zeros(np.broadcast_shapes(price.shape, np.shape(factor)))
    np.multiply(price, factor, out=result, where=price != 0.0)
    return result


def largest(values: Any, k: int | None = None) -> Any:
    """Return the positions of the k largest values, the largest first, equal ones in their order; None: of all.

    Parameters
    ----------
    values : array_like
        Numbers; NaN comes last.
    k : int, optional
        How many, at most.

    Returns
    -------
    ndarray of int

    Examples
    --------
    >>> largest([1.0, 3.0, 3.0, 2.0], 3).tolist()
    [1, 2, 3]
    """
    values = np.asarray(values)
    if k is None or not 0 < k < values.size:
        return np.argsort(-values, kind="stable")[:k]
    falling = -values
    falling.partition(k - 1)
    near = np.flatnonzero(~(values < -falling[k - 1]))  # the k largest, equal ones, and all NaN
    return near[np.argsort(-values[near], kind="stable")[:k]]


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


def ranges(start: Any, end: Any) -> IntArray:
    """Return the whole numbers of several ranges, one range after the other.

    Examples
    --------
    >>> import numpy as np
    >>> ranges(np.array([3, 9]), np.array([5, 10])).tolist()
    [3, 4, 9]
    """
    size = end - start
    shift = start - (np.cumsum(size) - size)
    return np.asarray(np.repeat(shift, size) + np.arange(size.sum()))


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
