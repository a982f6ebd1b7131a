"""Many scenarios in one pass over the rows: who can be in breach while prices stay in a box, and what it would sell.

A row is read once, and its least slack in the boxes of up to `WIDTH` scenarios taken together:

    s_b = cash + sum_j min over [low_jb, high_jb] of (q_j - mu_j) p

A row is a candidate of a scenario where s_b <= b C, C the highest loss rate that counts: no other row comes into breach
while prices stay in the box and loss rates up to C (docs/screening.md). All that is kept of a row is a bit for each
scenario.
"""

import numpy as np
from numba import njit

from contagion_graph.chunks import BLOCK, WIDTH
from contagion_graph.kernels.compiling import AHEAD, Chunks, chunked, fetch_row
from contagion_graph.kernels.revaluation import GUARD
from contagion_graph.state import Array, Batch, Cells, Rest

PARTS = 8  # of the sum of what is sold; each is as large as the sum
SAFE = 1.0 + 1e-9  # a row that is no candidate has slack left, whatever the rounding of this comparison


def candidate_rows(cells: Cells, initial: Rest, batch: Batch, borders: Array) -> Array:
    """Return for every row a mask: the bit of each scenario of which the row is a candidate.

    Parameters
    ----------
    borders : array
        Blocks at which the chunks begin and end.
    """
    marks = np.zeros(initial.cash.size, dtype=np.uint64)
    _candidates(initial.cash.size, borders.size - 1, cells, initial, batch, borders, marks)
    return marks


@chunked
def _candidates(chunks: Chunks, cells: Cells, initial: Rest, batch: Batch, borders: Array, marks: Array) -> None:
    for chunk in range(chunks[0], chunks[1]):
        slack, furthest = np.empty(batch.bit.size), batch.furthest
        for row in range(borders[chunk] * BLOCK, min(borders[chunk + 1] * BLOCK, marks.size)):
            if initial.trigger[row] <= furthest:
                _least_slack(cells, initial.cash[row], batch, row, slack)
                marks[row] = _mask(initial, batch, row, slack)


@njit(inline="always")
def _least_slack(cells: Cells, cash: float, batch: Batch, row: int, slack: Array) -> None:
    for b in range(slack.size):
        slack[b] = cash
    for cell in range(cells.indptr[row], cells.indptr[row + 1]):
        d, column = cells.quantity[cell] - cells.margin_units[cell], cells.indices[cell]
        price = batch.low[column] if d > 0.0 else batch.high[column]
        for b in range(slack.size):
            slack[b] += d * price[b]


@njit(inline="always")
def _mask(initial: Rest, batch: Batch, row: int, slack: Array) -> np.uint64:
    mask = np.uint64(0)
    for b in range(slack.size):
        size = abs(initial.cash[row]) + initial.extent[row] * batch.growth[b]
        far = slack[b] - GUARD * size > initial.base[row] * batch.loss_rate[b] * SAFE
        mask |= np.uint64(not far) << batch.bit[b]
    return mask


def units_sold(cells: Cells, initial: Rest, batch: Batch, borders: Array, marks: Array) -> Array:
    """Mark the accounts in breach, and return the units of each asset that all marked accounts hold (m x B)."""
    parts = np.zeros((PARTS, *batch.low.shape))
    parted = borders[np.linspace(0, borders.size - 1, PARTS + 1).astype(np.int64)]
    _sold(initial.cash.size, PARTS, cells, initial, batch, parted, marks, parts)
    units: Array = parts.sum(axis=0)
    return units


@chunked
def _sold(
    chunks: Chunks, cells: Cells, initial: Rest, batch: Batch, borders: Array, marks: Array, parts: Array
) -> None:
    for chunk in range(chunks[0], chunks[1]):
        slack, closed, furthest = np.empty(batch.bit.size), np.empty(batch.bit.size), batch.furthest
        for row in range(borders[chunk] * BLOCK, min(borders[chunk + 1] * BLOCK, marks.size)):
            if initial.trigger[row] <= furthest:
                _least_slack(cells, initial.cash[row], batch, row, slack)
                marks[row] = _closed(marks[row], batch.bit, slack, closed)
                if marks[row]:
                    _sell(cells, row, closed, parts[chunk])


@njit(inline="always")
def _closed(mask: np.uint64, bit: Array, slack: Array, closed: Array) -> np.uint64:
    """Return a mask with those in breach added; `closed` is 1 where the bit of a scenario is set."""
    found = mask
    for b in range(slack.size):
        one = (mask >> bit[b]) & np.uint64(1) | np.uint64(slack[b] < 0.0)
        found |= one << bit[b]
        closed[b] = one
    return found


@njit(inline="always")
def _sell(cells: Cells, row: int, closed: Array, units: Array) -> None:
    for cell in range(cells.indptr[row], cells.indptr[row + 1]):
        q, column = cells.quantity[cell], cells.indices[cell]
        for b in range(closed.size):
            units[column, b] += q * closed[b]


@njit(cache=True)
def rows_by_scenario(marks: Array) -> tuple[Array, Array]:
    """Return where the rows of each scenario begin (WIDTH + 1), and all of them, ascending within a scenario."""
    first = np.zeros(WIDTH + 1, dtype=np.int64)
    for row in range(marks.size):
        if marks[row]:
            for b in range(WIDTH):
                first[b + 1] += (marks[row] >> np.uint64(b)) & np.uint64(1)
    first = np.cumsum(first)
    rows, place = np.empty(first[WIDTH], dtype=np.int64), first.copy()
    for row in range(marks.size):
        if marks[row]:
            for b in range(WIDTH):
                if (marks[row] >> np.uint64(b)) & np.uint64(1):
                    rows[place[b]] = row
                    place[b] += 1
    return first, rows


@njit(cache=True, nogil=True)
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
