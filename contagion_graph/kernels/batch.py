"""Many scenarios in one pass over the rows: who can be in breach at the shocked prices, or soon after.

A row is read once, and its slack at the prices of `WIDTH` scenarios taken together:

    s_b = cash + sum_j (q_j - mu_j) p_jb ,   b = 1 ... WIDTH

A row is near a scenario where its key, T + s / max(g, b) (see looks.py), lies at most `ahead` beyond the clock T of
that scenario; nothing can happen to the others before the clock has gone so far. All that is kept of a row is a bit for
each scenario.
"""

import numpy as np
from numba import njit, prange

from contagion_graph.chunks import BLOCK, WIDTH
from contagion_graph.kernels.compiling import AHEAD, fetch_row, one_or_many
from contagion_graph.kernels.looks import GUARD
from contagion_graph.state import Array, Batch, Cells, Rest

SLACKER = 1.0 + 1e-9  # a row that is not near is farther away than `ahead`, whatever the rounding of this comparison


def near_rows(slopes: Cells, rest: Rest, batch: Batch, borders: Array) -> Array:
    """Return for every row a mask: bit b is set where the row is near scenario b.

    Parameters
    ----------
    slopes : Cells
        The graph's, with q - mu in the place of q.
    borders : array
        Blocks at which the chunks begin and end.
    """
    marks = np.zeros(rest.cash.size, dtype=np.uint64)
    _near(rest.cash.size)(slopes, rest, batch, borders, marks)
    return marks


@one_or_many
def _near(slopes: Cells, rest: Rest, batch: Batch, borders: Array, marks: Array) -> None:
    for chunk in prange(borders.size - 1):
        slack = np.empty(WIDTH)
        farthest = (batch.clock + batch.ahead).max()
        for row in range(borders[chunk] * BLOCK, min(borders[chunk + 1] * BLOCK, marks.size)):
            if rest.key[row] <= farthest:
                _slacks(slopes, rest.cash[row], batch.price, row, slack)
                marks[row] = _mask(rest, batch, row, slack)


@njit(inline="always")
def _slacks(slopes: Cells, cash: float, price: Array, row: int, slack: Array) -> None:
    for b in range(WIDTH):
        slack[b] = cash
    for cell in range(slopes.indptr[row], slopes.indptr[row + 1]):
        d, column = slopes.quantity[cell], slopes.indices[cell]
        for b in range(WIDTH):
            slack[b] += d * price[column, b]


@njit(inline="always")
def _mask(rest: Rest, batch: Batch, row: int, slack: Array) -> np.uint64:
    mask = np.uint64(0)
    for b in range(WIDTH):
        size = abs(rest.cash[row]) + rest.extent[row] * batch.growth[b]
        slope = max(rest.sensitivity[row] + GUARD * size, rest.base[row] * (1.0 + GUARD))
        far = slack[b] - GUARD * size > batch.ahead[b] * slope * SLACKER
        mask |= np.uint64(not far) << np.uint64(b)
    return mask


@njit(cache=True)
def marked(marks: Array, scenario: int) -> Array:
    """Return the rows that are near a scenario, ascending."""
    bit, count = np.uint64(1) << np.uint64(scenario), 0
    rows = np.empty(marks.size, dtype=np.int64)
    for row in range(marks.size):
        rows[count] = row
        count += (marks[row] & bit) != 0
    return rows[:count].copy()


@njit(cache=True)
def gather(cells: Cells, rows: Array, out: Cells) -> None:
    """Copy the cells of rows next to each other; `out.indptr` says where each of them goes."""
    for k in range(rows.size):
        if k + AHEAD < rows.size:
            fetch_row(cells.indptr, cells.indices, cells.quantity, cells.margin_units, rows[k + AHEAD])
        here = out.indptr[k]
        for cell in range(cells.indptr[rows[k]], cells.indptr[rows[k] + 1]):
            out.indices[here] = cells.indices[cell]
            out.quantity[here] = cells.quantity[cell]
            out.margin_units[here] = cells.margin_units[cell]
            here += 1
