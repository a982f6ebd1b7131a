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
from contagion_graph.kernels.compiling import AHEAD, fetch, fetch_row, fetch_state, one_or_many
from contagion_graph.state import Accounts, Array, Cells, Channels, Market

GUARD = 1e-12
LARGEST = np.finfo(np.float64).max


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def least_keys(key: Array, block_key: Array) -> None:
    """Set the least key of each block of rows."""
    for block in range(block_key.size):
        block_key[block] = key[block * BLOCK : (block + 1) * BLOCK].min()


@njit(cache=True, nogil=True)
def levies(channels: Channels, levied: Array, rows: Array) -> Array:
    """Return the socialised losses of rows: L_i = D_i + sum_k b_ik (C_k - C'_ik) ;  i = rows[k]  [currency]."""
    member, pool, base, since, level = channels
    out = np.empty(rows.size)
    for k in range(rows.size):
        out[k] = _levy(member, pool, base, since, level, levied, rows[k])
    return out


@njit(inline="always")
def _levy(member: Array, pool: Array, base: Array, since: Array, level: Array, levied: Array, row: int) -> float:
    total = levied[row]
    for cell in range(member[row], member[row + 1]):
        total += base[cell] * (level[pool[cell]] - since[cell])
    return float(total)


@njit(inline="always")
def _reached(
    member: Array, pool: Array, key: Array, block_key: Array, clock: float, reach: Array, block: int, found: Array
) -> int:
    """Put the rows of a block whose key T + C reaches into `found`, ascending; return how many."""
    last, count = min(clock + reach.max(), LARGEST), 0  # the keys of closed accounts are infinite
    if block_key[block] > last:
        return 0
    for row in range(block * BLOCK, min((block + 1) * BLOCK, key.size)):
        found[count] = row
        count += key[row] <= last
    if reach.size == 1:
        return count
    near, count = count, 0
    for k in range(near):
        row, horizon = found[k], clock
        for cell in range(member[row], member[row + 1]):
            horizon += reach[pool[cell]]
        found[count] = row
        count += key[row] <= horizon
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
        counts[chunk] = _look_blocks(cells, market, channels, accounts, time, borders[chunk], borders[chunk + 1])


@njit(cache=True)
def _look_blocks(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, time: tuple[float, Array], first: int,
    last: int,
) -> int:  # fmt: skip
    # fields are taken out here, not in the loops: numba counts a reference each time
    (clock, reach), found, looks = time, np.empty(BLOCK, dtype=np.int64), 0
    indptr, indices, quantity, margin_units = cells
    price, sellable, number = market
    member, pool, base, since, level = channels
    money, closed_long, closed_short, levied, sensitivity, worth, maintenance, key, seen, block_key = accounts
    for block in range(first, last):
        reached, count = _reached(member, pool, key, block_key, clock, reach, block, found), 0
        for k in range(reached):
            found[count] = found[k]
            if seen[found[k]] != number[0]:
                fetch_row(indptr, indices, quantity, margin_units, found[k])
                fetch_state(member, pool, base, since, levied, found[k])
                fetch_state(money, closed_long, closed_short, sensitivity, worth, found[k])
                fetch(maintenance, found[k])
                count += 1
        for k in range(count):
            row = found[k]
            e, m, size = money[row], 0.0, abs(money[row])
            longs, shorts = closed_long[row], closed_short[row]
            for cell in range(indptr[row], indptr[row + 1]):
                column = indices[cell]
                closed = shorts if quantity[cell] < 0.0 else longs
                p = (1.0 - closed * sellable[column]) * price[column]
                e += quantity[cell] * p
                m += margin_units[cell] * p
                size += abs(quantity[cell] * p)
            worth[row], maintenance[row], seen[row] = e, m, number[0]
            levy, weight, now = _levy(member, pool, base, since, level, levied, row), 0.0, clock
            for cell in range(member[row], member[row + 1]):
                weight = max(weight, base[cell])
                now += level[pool[cell]]
            if not np.isfinite(e - levy - m):
                key[row] = -np.inf  # broken: to be judged, and named
            elif longs == 1.0 and shorts == 1.0:
                key[row] = np.inf
            else:
                key[row] = now + _span(e - levy - m, size + levy, sensitivity[row], weight)
        if count:
            block_key[block] = key[block * BLOCK : (block + 1) * BLOCK].min()
        looks += count
    return looks


@njit(cache=True, nogil=True)
def due_rows(
    channels: Channels, accounts: Accounts, clock: float, reach: Array, number: int, found: Array
) -> tuple[Array, Array]:
    """Return the rows seen at these prices whose key T + C reaches, ascending, and their equity: all to be judged now.

    E_i = worth_i - L_i  [currency]
    """
    member, pool, base, since, level = channels
    key, block_key, seen = accounts.key, accounts.block_key, accounts.seen
    worth, levied = accounts.worth, accounts.levied
    count = 0
    for block in range(block_key.size):
        reached = found[count:]
        for row in reached[: _reached(member, pool, key, block_key, clock, reach, block, reached)]:
            found[count] = row
            count += seen[row] == number
    rows, equity = found[:count].copy(), np.empty(count)
    for k in range(count):
        if k + AHEAD < count:
            fetch_state(member, pool, base, since, levied, rows[k + AHEAD])
            fetch(worth, rows[k + AHEAD])
        equity[k] = worth[rows[k]] - _levy(member, pool, base, since, level, levied, rows[k])
    return rows, equity
