"""Looks at the accounts, and only at those that can have changed.

Let an account have slack s = E - M at its last look. Until its closed share changes, its slack falls by at most
g (T - T') + b (C - C'): g = sum_j |q_j - mu_j| p0_j, T a clock that each round advances by max_j |p'_j - p_j| / p0_j, b
its weight in loss sharing, C the sum of its channels' water levels so far, T' and C' their values then. So nothing can
have happened to it before

    T + C  >=  key  =  T' + C' + s / max(g, b),

and `look` passes over it. Every s is lessened by a guard, far above the rounding of a row's sums, so that the answer is
bit for bit that of looking at every row. Blocks of rows keep their least key: most blocks are passed over whole.
"""

import numpy as np
from numba import njit, prange

from contagion_graph.chunks import BLOCK
from contagion_graph.kernels.compiling import fetch_row, one_or_many
from contagion_graph.state import Accounts, Array, Cells, Channels, Market

GUARD = 1e-12
LARGEST = np.finfo(np.float64).max


@njit(cache=True)
def first_keys(
    cash: Array, value: Array, gross: Array, margin: Array, sensitivity: Array, base: Array, key: Array
) -> None:
    """Set the keys of accounts at rest, T = C = 0: key_i = s_i / max(g_i, b_i)."""
    for row in range(key.size):
        slack = cash[row] + value[row] - margin[row]
        key[row] = _span(slack, abs(cash[row]) + gross[row], sensitivity[row], base[row])


@njit(inline="always")
def _span(slack: float, size: float, sensitivity: float, base: float) -> float:
    """Return s / max(g, b), with s lessened, and g and b raised, by more than rounding can amount to."""
    left = slack - GUARD * size
    slope = max(sensitivity + GUARD * size, base * (1.0 + GUARD))
    if slope == 0.0:
        return np.inf if left > 0.0 else 0.0
    return float(max(left, 0.0) / slope * (1.0 - GUARD))


@njit(cache=True)
def least_keys(key: Array, block_key: Array) -> None:
    """Set the least key of each block of rows."""
    for block in range(block_key.size):
        block_key[block] = key[block * BLOCK : (block + 1) * BLOCK].min()


@njit(cache=True)
def levies(channels: Channels, levied: Array, rows: Array) -> Array:
    """Return the socialised losses of rows: L_i = D_i + sum_k b_ik (C_k - C'_ik) ;  i = rows[k]  [currency]."""
    out = np.empty(rows.size)
    for k in range(rows.size):
        out[k] = _levy(channels, levied, rows[k])
    return out


@njit(inline="always")
def _levy(channels: Channels, levied: Array, row: int) -> float:
    total = levied[row]
    for cell in range(channels.indptr[row], channels.indptr[row + 1]):
        total += channels.base[cell] * (channels.level[channels.indices[cell]] - channels.since[cell])
    return float(total)


@njit(inline="always")
def _reached(channels: Channels, accounts: Accounts, clock: float, reach: Array, block: int, found: Array) -> int:
    """Put the rows of a block whose key T + C reaches into `found`, ascending; return how many."""
    last, count = min(clock + reach.max(), LARGEST), 0  # the keys of closed accounts are infinite
    if accounts.block_key[block] > last:
        return 0
    for row in range(block * BLOCK, min((block + 1) * BLOCK, accounts.key.size)):
        found[count] = row
        count += accounts.key[row] <= last
    near, count = count, 0
    for k in range(near):
        row, horizon = found[k], clock
        for cell in range(channels.indptr[row], channels.indptr[row + 1]):
            horizon += reach[channels.indices[cell]]
        found[count] = row
        count += accounts.key[row] <= horizon
    return count


def look(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, clock: float, reach: Array, borders: Array
) -> int:
    """Look at the rows whose key T + C reaches and that were not seen at these prices; return how many.

    E + L = cash + R + sum_j (1 - gamma s_j) q_j p_j and M = sum_j (1 - gamma s_j) mu_j p_j, s_j = 1 where sellable and
    gamma that of the side on which q_j is held, go into `worth` and `maintenance`; the keys are set anew.

    Parameters
    ----------
    clock : float
        T.
    reach : array, shape (c,)
        The levels C that count here: those of the channels, or higher ones that could come. Infinite: all rows.
    borders : array
        Blocks at which the chunks begin and end.
    """
    due = int(np.count_nonzero(accounts.block_key <= clock + reach.max()))
    counts = np.zeros(borders.size - 1, dtype=np.int64)
    _look(due * BLOCK if counts.size > 1 else 0)(cells, market, channels, accounts, (clock, reach), borders, counts)
    return int(counts.sum())


@one_or_many
def _look(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, time: tuple[float, Array], borders: Array,
    counts: Array,
) -> None:  # fmt: skip
    for chunk in prange(borders.size - 1):
        found = np.empty(BLOCK, dtype=np.int64)
        for block in range(borders[chunk], borders[chunk + 1]):
            counts[chunk] += _look_block(cells, market, channels, accounts, time, block, found)


@njit(cache=True)
def _look_block(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, time: tuple[float, Array], block: int,
    found: Array,
) -> int:  # fmt: skip
    reached, count = _reached(channels, accounts, time[0], time[1], block, found), 0
    for k in range(reached):
        found[count] = found[k]
        if accounts.seen[found[k]] != market.number[0]:
            fetch_row(cells, found[k])
            count += 1
    for k in range(count):
        _look_row(cells, market, channels, accounts, time[0], found[k])
    if count:
        accounts.block_key[block] = accounts.key[block * BLOCK : (block + 1) * BLOCK].min()
    return count


@njit(inline="always")
def _look_row(cells: Cells, market: Market, channels: Channels, accounts: Accounts, clock: float, row: int) -> None:
    e, m, size = accounts.money[row], 0.0, abs(accounts.money[row])
    longs, shorts = accounts.closed_long[row], accounts.closed_short[row]
    for cell in range(cells.indptr[row], cells.indptr[row + 1]):
        column = cells.indices[cell]
        closed = shorts if cells.quantity[cell] < 0.0 else longs
        p = (1.0 - closed * market.sellable[column]) * market.price[column]
        e += cells.quantity[cell] * p
        m += cells.margin_units[cell] * p
        size += abs(cells.quantity[cell] * p)
    accounts.worth[row], accounts.maintenance[row], accounts.seen[row] = e, m, market.number[0]
    levy, weight, now = _levy(channels, accounts.levied, row), 0.0, clock
    for cell in range(channels.indptr[row], channels.indptr[row + 1]):
        weight = max(weight, channels.base[cell])
        now += channels.level[channels.indices[cell]]
    if not np.isfinite(e - levy - m):
        accounts.key[row] = -np.inf  # broken: to be judged, and named
    elif longs == 1.0 and shorts == 1.0:
        accounts.key[row] = np.inf
    else:
        accounts.key[row] = now + _span(e - levy - m, size + levy, accounts.sensitivity[row], weight)


@njit(cache=True)
def due_rows(
    channels: Channels, accounts: Accounts, clock: float, reach: Array, number: int, found: Array
) -> tuple[Array, Array]:
    """Return the rows seen at these prices whose key T + C reaches, ascending, and their equity: all to be judged now.

    E_i = worth_i - L_i  [currency]
    """
    count = 0
    for block in range(accounts.block_key.size):
        reached = found[count:]
        for row in reached[: _reached(channels, accounts, clock, reach, block, reached)]:
            found[count] = row
            count += accounts.seen[row] == number
    rows, equity = found[:count].copy(), np.empty(count)
    for k in range(count):
        equity[k] = accounts.worth[rows[k]] - _levy(channels, accounts.levied, rows[k])
    return rows, equity
