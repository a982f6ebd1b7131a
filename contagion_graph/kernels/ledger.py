"""The ledger of the accounts at the end of a cascade, by one pass: what each had, what it lost, and to what."""

import numpy as np

from contagion_graph.kernels.compiling import Chunks, chunked
from contagion_graph.state import Array, Cells, Closed, Marks

COLUMNS = (
    *("equity_before", "equity_after", "loss", "direct", "impact", "penalty", "socialised", "shortfall"),
    *("standalone", "indirect", "closed"),
)


def account_ledger(
    cells: Cells, cash: Array, value: Array, losses: Array, closed: Closed, marks: Marks, borders: Array
) -> Array:
    """Return the figures of `COLUMNS` of every account, shape (11, n) [currency; closed: share of the longs].

    left_i = sum_j (1 - gamma_i s_j) q_ij p_j, gamma and p those of the side on which q_ij is held; worth = cash -
    losses + proceeds - penalty - socialised + left; the equity after is worth, at least 0 where all is closed, and else
    with what was not paid of a shortfall.

    Parameters
    ----------
    cash, value, losses : array, shape (n,)
        Before the shock; value at the prices before it; given losses [currency].
    borders : array
        Rows at which the chunks begin and end.
    """
    out = np.empty((len(COLUMNS), cash.size))
    _ledger(cash.size, borders.size - 1, cells, cash, value, losses, closed, marks, borders, out)
    return out


@chunked
def _ledger(
    chunks: Chunks, cells: Cells, cash: Array, value: Array, losses: Array, closed: Closed, marks: Marks,
    borders: Array, out: Array,
) -> None:  # fmt: skip
    indptr, indices, quantity, _ = cells
    closed_long, closed_short, proceeds, penalty, socialised, shortfall = closed
    shocked, long, short, sellable = marks
    for row in range(borders[chunks[0]], borders[chunks[1]]):
        at_shock = left = 0.0
        for cell in range(indptr[row], indptr[row + 1]):
            q, j = quantity[cell], indices[cell]
            at_shock += q * shocked[j]
            share = 1.0 - (closed_long[row] if q > 0.0 else closed_short[row]) * sellable[j]
            left += q * (share * (long[j] if q > 0.0 else short[j]))
        before, direct = cash[row] + value[row], value[row] - at_shock + losses[row]
        after = cash[row] - losses[row] + proceeds[row] - penalty[row] - socialised[row] + left
        if closed_long[row] == 1.0 and closed_short[row] == 1.0:
            after = 0.0 if after < 0.0 else after  # what is no number stays so
        else:
            after += shortfall[row]
        most = max(before, 0.0)
        alone = most if direct > most else direct
        out[0, row], out[1, row], out[2, row], out[3, row] = before, after, before - after, direct
        out[4, row], out[5, row] = at_shock - (left + proceeds[row]), penalty[row]
        out[6, row], out[7, row] = socialised[row], shortfall[row]
        out[8, row], out[9, row], out[10, row] = alone, before - after - alone, closed_long[row]
