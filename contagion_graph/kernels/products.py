"""Products of two sparse matrices with the same rows that come to a small dense one."""

from typing import Any

import numpy as np
from numba import njit

from contagion_graph.state import Array


def cross_product(left: Any, right: Any) -> Array:
    """Return A^T B of two CSR matrices with the same rows, dense, summed row after row: c_jl = sum_i a_ij b_il."""
    out = np.zeros((left.shape[1], right.shape[1]))
    _cross(left.indptr, left.indices, left.data, right.indptr, right.indices, right.data, out)
    return out


@njit(cache=True)
def _cross(
    indptr: Array, indices: Array, data: Array, other_indptr: Array, other_indices: Array, other_data: Array, out: Array
) -> None:
    for row in range(indptr.size - 1):
        for cell in range(indptr[row], indptr[row + 1]):
            value, line = data[cell], out[indices[cell]]
            if value != 0.0:
                for other in range(other_indptr[row], other_indptr[row + 1]):
                    line[other_indices[other]] += value * other_data[other]
