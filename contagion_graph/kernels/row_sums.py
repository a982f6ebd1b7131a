"""Values of rows, and sums over rows in a fixed order."""

import numpy as np
from numba import njit

from contagion_graph.chunks import BLOCK
from contagion_graph.kernels.compiling import AHEAD, LINE, Chunks, chunked, fetch, fetch_row
from contagion_graph.state import Array, Cells


def value_rows(cells: Cells, price: Array, rows: Array, borders: Array) -> tuple[Array, Array, Array]:
    """Return the value, the gross value and the maintenance margin of rows at a price.

    value_k = sum_j q_ij p_j ;  gross_k = sum_j |q_ij| p_j ;  margin_k = sum_j mu_ij p_j ;  i = rows[k]  [currency]
    """
    out = np.empty((3, rows.size))
    _value(rows.size, borders.size - 1, cells, price, rows, borders, out)
    return out[0], out[1], out[2]


@chunked
def _value(chunks: Chunks, cells: Cells, price: Array, rows: Array, borders: Array, out: Array) -> None:
    for chunk in range(chunks[0], chunks[1]):
        for k in range(borders[chunk], borders[chunk + 1]):
            if k + AHEAD < rows.size:
                fetch_row(cells.indptr, cells.indices, cells.quantity, cells.margin_units, rows[k + AHEAD])
            v = g = m = 0.0
            for cell in range(cells.indptr[rows[k]], cells.indptr[rows[k] + 1]):
                p = price[cells.indices[cell]]
                v += cells.quantity[cell] * p
                g += abs(cells.quantity[cell]) * p
                m += cells.margin_units[cell] * p
            out[0, k] = v
            out[1, k] = g
            out[2, k] = m


def largest_cells(cells: Cells, unit: Array, borders: Array) -> Array:
    """Return the largest |q_ij| c_j of each row; 0 where it has no cell."""
    out = np.zeros(cells.indptr.size - 1)
    _largest(out.size, borders.size - 1, cells, unit, borders, out)
    return out


@chunked
def _largest(chunks: Chunks, cells: Cells, unit: Array, borders: Array, out: Array) -> None:
    for row in range(borders[chunks[0]], borders[chunks[1]]):
        for cell in range(cells.indptr[row], cells.indptr[row + 1]):
            out[row] = max(out[row], abs(cells.quantity[cell]) * unit[cells.indices[cell]])


def column_squares(cells: Cells, weight: Array, borders: Array, n_columns: int) -> Array:
    """Return the weighted sums of squares of the rows of each chunk: y_cj = sum_i weight_i q_ij^2."""
    parts = np.zeros((borders.size - 1, n_columns))
    _squares(weight.size, borders.size - 1, cells, weight, borders, parts)
    return parts


@chunked
def _squares(chunks: Chunks, cells: Cells, weight: Array, borders: Array, parts: Array) -> None:
    for chunk in range(chunks[0], chunks[1]):
        for row in range(borders[chunk], borders[chunk + 1]):
            if weight[row] > 0.0:
                for cell in range(cells.indptr[row], cells.indptr[row + 1]):
                    parts[chunk, cells.indices[cell]] += weight[row] * cells.quantity[cell] ** 2


def mark_rows(cells: Cells, price: Array, closed: Array, fee: Array, rows: Array, borders: Array) -> Array:
    """Return what rows are worth if they stay open and if they close, by one pass, shape (4, len(rows)) [currency].

    value_k = sum_j q_ij p_j ;  margin_k = sum_j mu_ij p_j ;  closed_k = sum_j q_ij c_j ;  fee_k = sum_j |q_ij| f_j
    """
    out = np.empty((4, rows.size))
    _mark(rows.size, borders.size - 1, cells, price, closed, fee, rows, borders, out)
    return out


@chunked
def _mark(
    chunks: Chunks, cells: Cells, price: Array, closed: Array, fee: Array, rows: Array, borders: Array, out: Array
) -> None:
    for chunk in range(chunks[0], chunks[1]):
        for k in range(borders[chunk], borders[chunk + 1]):
            v = m = c = f = 0.0
            for cell in range(cells.indptr[rows[k]], cells.indptr[rows[k] + 1]):
                column, q = cells.indices[cell], cells.quantity[cell]
                v += q * price[column]
                m += cells.margin_units[cell] * price[column]
                c += q * closed[column]
                f += abs(q) * fee[column]
            out[0, k] = v
            out[1, k] = m
            out[2, k] = c
            out[3, k] = f


def column_sums(
    indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, borders: Array, n_columns: int
) -> Array:
    """Return the weighted sums of the rows of each chunk, one a column: y_cj = sum_k weight_k a_ij ;  i = rows[k]."""
    parts = np.zeros((borders.size - 1, n_columns))
    if rows.size:
        _sums(rows.size, borders.size - 1, indptr, indices, data, rows, weight, borders, parts)
    return parts


@chunked
def _sums(
    chunks: Chunks, indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, borders: Array,
    parts: Array,
) -> None:  # fmt: skip
    for chunk in range(chunks[0], chunks[1]):
        for k in range(borders[chunk], borders[chunk + 1]):
            if k + AHEAD < rows.size:
                ahead = np.intp(indptr[rows[k + AHEAD]])
                fetch(data, ahead)
                fetch(data, ahead + LINE)
                fetch(indices, ahead)
            for cell in range(indptr[rows[k]], indptr[rows[k] + 1]):
                parts[chunk, indices[cell]] += weight[k] * data[cell]


@njit(cache=True, nogil=True)
def ordered_sum(parts: Array) -> Array:
    """Add up the parts of a sum, one after the other."""
    total = np.zeros(parts.shape[1])
    for chunk in range(parts.shape[0]):
        total += parts[chunk]
    return total


@njit(cache=True, nogil=True)
def block_sums(indptr: Array, indices: Array, data: Array, blocks: Array, sums: Array) -> None:
    """Set the column sums of some blocks of rows of a matrix."""
    for k in range(blocks.size):
        first, last = blocks[k] * BLOCK, min((blocks[k] + 1) * BLOCK, indptr.size - 1)
        sums[blocks[k]] = 0.0
        for cell in range(indptr[first], indptr[last]):
            sums[blocks[k], indices[cell]] += data[cell]


@njit(cache=True)
def chunk_sums(sums: Array, borders: Array) -> Array:
    """Add up the sums of blocks, those of each chunk by themselves."""
    parts = np.zeros((borders.size - 1, sums.shape[1]))
    for chunk in range(borders.size - 1):
        for block in range(borders[chunk], borders[chunk + 1]):
            parts[chunk] += sums[block]
    return parts


@njit(cache=True)
def sides_met(cells: Cells, column: Array) -> tuple[Array, Array]:
    """Say of each column whether it has a cell above 0, and one that is below 0 or needs more margin than it holds.

    mu_ij > max(0, q_ij) counts as the other side: it gains from a lower price. Once one of the columns asked about has
    both, the search ends.
    """
    above, other = np.zeros(column.size, dtype=np.bool_), np.zeros(column.size, dtype=np.bool_)
    for cell in range(cells.quantity.size):
        held, j = cells.quantity[cell], cells.indices[cell]
        above[j] |= held > 0.0
        other[j] |= held < 0.0 or cells.margin_units[cell] > max(held, 0.0)
        if above[j] and other[j] and column[j]:
            break
    return above, other
