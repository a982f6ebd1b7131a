"""The compiled passes over the rows of a sparse matrix: the only file that knows numba.

A matrix is its three CSR arrays. `rows` are the rows to look at, in ascending order, and `borders` cut that list into
a fixed number of chunks. Each row is summed in column order, each chunk in row order, and the chunks in their order,
so the result is the same to the last bit on any number of threads. The number of threads is numba's
(NUMBA_NUM_THREADS).
"""

from typing import Any

import numpy as np
from numba import njit, prange

Array = np.ndarray[Any, Any]


@njit(parallel=True, cache=True)
def value_rows(indptr: Array, indices: Array, quantity: Array, margin_units: Array, price: Array, rows: Array,
               borders: Array) -> tuple[Array, Array, Array]:  # fmt: skip
    """Return the value, the gross value and the maintenance margin of rows at a price.

    value_k = sum_j q_ij p_j ;  gross_k = sum_j |q_ij| p_j ;  margin_k = sum_j mu_ij p_j ;  i = rows[k]  [currency]
    """
    value = np.zeros(rows.size)
    gross = np.zeros(rows.size)
    margin = np.zeros(rows.size)
    for chunk in prange(borders.size - 1):
        for k in range(borders[chunk], borders[chunk + 1]):
            row = rows[k]
            v = g = m = 0.0
            for cell in range(indptr[row], indptr[row + 1]):
                p = price[indices[cell]]
                v += quantity[cell] * p
                g += abs(quantity[cell]) * p
                m += margin_units[cell] * p
            value[k] = v
            gross[k] = g
            margin[k] = m
    return value, gross, margin


@njit(parallel=True, cache=True)
def column_sums(indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, borders: Array,
                n_columns: int) -> Array:  # fmt: skip
    """Return the weighted sum of rows, a number for each column: y_j = sum_k weight_k a_ij ;  i = rows[k]."""
    parts = np.zeros((borders.size - 1, n_columns))
    for chunk in prange(borders.size - 1):
        for k in range(borders[chunk], borders[chunk + 1]):
            row = rows[k]
            for cell in range(indptr[row], indptr[row + 1]):
                parts[chunk, indices[cell]] += weight[k] * data[cell]
    total = np.zeros(n_columns)
    for chunk in range(borders.size - 1):
        total += parts[chunk]
    return total
