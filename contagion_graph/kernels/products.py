"""Products of two sparse matrices with the same rows that come to a small dense one."""

from typing import Any

import numpy as np
from numba import njit

from contagion_graph.state import Array


def cross_products(left: Any, right: Any, borders: Array) -> Array:
    """Return A^T B of the rows of each chunk of two CSR matrices, dense: c_kjl = sum_i a_ij b_il, row after row."""
    out = np.zeros((borders.size - 1, left.shape[1], right.shape[1]))
    for chunk in np.flatnonzero(np.diff(borders)):
        rows = (borders[chunk], borders[chunk + 1])
        _cross(left.indptr, left.indices, left.data, right.indptr, right.indices, right.data, rows, out[chunk])
    return out


@njit(cache=True)
def _cross(
    indptr: Array, indices: Array, data: Array, other_indptr: Array, other_indices: Array, other_data: Array,
    rows: tuple[int, int], out: Array,
) -> None:  # fmt: skip
    for row in range(rows[0], rows[1]):
        for cell in range(indptr[row], indptr[row + 1]):
            value, line = data[cell], out[indices[cell]]
            if value != 0.0:
                for other in range(other_indptr[row], other_indptr[row + 1]):
                    line[other_indices[other]] += value * other_data[other]
