"""Accounts that can be in breach while prices stay in a box, and loss rates up to a limit (docs/screening.md).

Most rows are left out by numbers that are kept of each: its slack s falls by at most

    u F + d R + b C,

u and d the parts of its sensitivity g that lose where prices fall, and where they rise, F and R the largest relative
fall and rise from p0 in the box, b its weight in loss sharing and C the highest loss rate. Of the others the least
slack in the box is computed from their cells,

    s + sum_j min over [low_j, high_j] of (q_j - mu_j) (p - p0_j) - b C,

where on margins that are no flat rates no term counts above 0.
"""

import numpy as np

from contagion_graph.kernels.compiling import AHEAD, Chunks, chunked, fetch_row
from contagion_graph.kernels.revaluation import GUARD
from contagion_graph.state import Array, Before, Bounds, Cells

GROWN = 4.0  # times p0: up to there a box may go
ROUNDING = GUARD * GROWN
SAFE = 1.0 + 1e-9  # a row that is left out has slack, whatever the rounding of the comparison


def rows_in_box(cells: Cells, before: Before, bounds: Bounds, borders: Array) -> Array:
    """Return the rows that can be in breach in a box, ascending.

    Parameters
    ----------
    borders : array
        Rows at which the chunks begin and end.
    """
    found, counts = np.empty(before.slack.size, dtype=np.int64), np.zeros(borders.size - 1, dtype=np.int64)
    _rows(found.size, counts.size, cells, before, bounds, borders, found, counts)
    return np.concatenate([found[first : first + count] for first, count in zip(borders[:-1], counts, strict=True)])


@chunked
def _rows(
    chunks: Chunks, cells: Cells, before: Before, bounds: Bounds, borders: Array, found: Array, counts: Array
) -> None:
    slack, extent, net, sensitivity, base = before
    price, low, high, gains, fall, rise, loss_rate = bounds
    indptr, indices, quantity, margin_units = cells
    for chunk in range(chunks[0], chunks[1]):
        first, count = borders[chunk], borders[chunk]
        for row in range(first, borders[chunk + 1]):
            found[count] = row
            loss = (net[row] * (fall - rise) + sensitivity[row] * (fall + rise)) / 2.0 + base[row] * loss_rate
            count += not slack[row] - ROUNDING * (extent[row] + sensitivity[row]) > loss * SAFE
        last, count = count, first
        for k in range(first, last):
            if k + AHEAD < last:
                fetch_row(indptr, indices, quantity, margin_units, found[k + AHEAD])
            row = found[k]
            least, size = slack[row], GROWN * (extent[row] + sensitivity[row])
            for cell in range(indptr[row], indptr[row + 1]):
                d, column = quantity[cell] - margin_units[cell], indices[cell]
                change = d * ((low[column] if d > 0.0 else high[column]) - price[column])
                least += change if gains else min(change, 0.0)
                size += (abs(quantity[cell]) + abs(d)) * (high[column] + price[column])
            found[count] = row
            count += not least - GUARD * size > base[row] * loss_rate * SAFE
        counts[chunk] = count - first
