"""The compiled passes over the rows of a sparse matrix: the only file that knows numba.

A matrix is its three CSR arrays. `rows` are the rows to look at, in ascending order, and `borders` cut that list into
a fixed number of chunks. Each row is summed in column order, each chunk in row order, and the chunks in their order,
so the result is the same to the last bit on any number of threads. The number of threads is numba's
(NUMBA_NUM_THREADS); a few rows are not worth waking threads for.
"""

from typing import Any

import numpy as np
from numba import njit, prange

Array = np.ndarray[Any, Any]
ROWS_WORTH_THREADS = 10_000


def value_rows(
    indptr: Array, indices: Array, quantity: Array, margin_units: Array, price: Array, rows: Array, borders: Array
) -> tuple[Array, Array, Array]:
    """Return the value, the gross value and the maintenance margin of rows at a price.

    value_k = sum_j q_ij p_j ;  gross_k = sum_j |q_ij| p_j ;  margin_k = sum_j mu_ij p_j ;  i = rows[k]  [currency]
    """
    out = np.empty((3, rows.size))
    run = _value_threads if rows.size > ROWS_WORTH_THREADS else _value_chunk
    span = borders if rows.size > ROWS_WORTH_THREADS else borders[[0, -1]]
    run(indptr, indices, quantity, margin_units, price, rows, span, out)
    return out[0], out[1], out[2]


def column_sums(
    indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, borders: Array, n_columns: int
) -> Array:
    """Return the weighted sum of rows, a number for each column: y_j = sum_k weight_k a_ij ;  i = rows[k]."""
    parts = np.zeros((borders.size - 1, n_columns))
    run = _sum_threads if rows.size > ROWS_WORTH_THREADS else _sum_chunks
    run(indptr, indices, data, rows, weight, borders, parts)
    return _ordered_sum(parts)


@njit(cache=True)
def _value_chunk(
    indptr: Array,
    indices: Array,
    quantity: Array,
    margin_units: Array,
    price: Array,
    rows: Array,
    span: Array,
    out: Array,
) -> None:
    for k in range(span[0], span[1]):
        v = g = m = 0.0
        for cell in range(indptr[rows[k]], indptr[rows[k] + 1]):
            p = price[indices[cell]]
            v += quantity[cell] * p
            g += abs(quantity[cell]) * p
            m += margin_units[cell] * p
        out[0, k] = v
        out[1, k] = g
        out[2, k] = m


@njit(parallel=True, cache=True)
def _value_threads(
    indptr: Array,
    indices: Array,
    quantity: Array,
    margin_units: Array,
    price: Array,
    rows: Array,
    borders: Array,
    out: Array,
) -> None:
    for chunk in prange(borders.size - 1):
        _value_chunk(indptr, indices, quantity, margin_units, price, rows, borders[chunk : chunk + 2], out)


@njit(cache=True)
def _sum_chunk(
    indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, span: Array, part: Array
) -> None:
    for k in range(span[0], span[1]):
        for cell in range(indptr[rows[k]], indptr[rows[k] + 1]):
            part[indices[cell]] += weight[k] * data[cell]


@njit(cache=True)
def _sum_chunks(
    indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, borders: Array, parts: Array
) -> None:
    for chunk in range(borders.size - 1):
        _sum_chunk(indptr, indices, data, rows, weight, borders[chunk : chunk + 2], parts[chunk])


@njit(parallel=True, cache=True)
def _sum_threads(
    indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, borders: Array, parts: Array
) -> None:
    for chunk in prange(borders.size - 1):
        _sum_chunk(indptr, indices, data, rows, weight, borders[chunk : chunk + 2], parts[chunk])


@njit(cache=True)
def _ordered_sum(parts: Array) -> Array:
    total = np.zeros(parts.shape[1])
    for chunk in range(parts.shape[0]):
        total += parts[chunk]
    return total
