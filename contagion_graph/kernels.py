"""The compiled passes over the rows of a sparse matrix: the only file that knows numba.

A matrix is its three CSR arrays. `rows` are the rows to look at, in ascending order, and `borders` cut that list into
a fixed number of chunks. Each row is summed in column order, each chunk in row order, and the chunks in their order,
so the result is the same to the last bit on any number of threads. The number of threads is numba's
(NUMBA_NUM_THREADS); a few rows are not worth waking threads for. Where a pass exists twice, serial and threaded, that
is because numba's cache tells functions apart by name only.

**Only the rows that can have changed.** Let an account have slack s = E - M at its last look. Until its closed share
changes, its slack falls by at most g (T - T') + b (C - C'): g = sum_j |q_j - mu_j| p0_j, T a clock that each round
advances by max_j |p'_j - p_j| / p0_j, b its weight in loss sharing, C the sum of its channels' water levels so far, T'
and C' their values then. So nothing can have happened to it before

    T + C  >=  key  =  T' + C' + s / max(g, b),

and `look` passes over it. Every s is lessened by a guard, far above the rounding of a row's sums, so that the answer is
bit for bit that of looking at every row. Blocks of rows keep their least key: most blocks are passed over whole.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange

from contagion_graph.chunks import BLOCK

Array = np.ndarray[Any, Any]
ROWS_WORTH_THREADS = 10_000
GUARD = 1e-12


# numba's cache files on users' disks name these classes: a renamed one could not be loaded there
class Cells(NamedTuple):
    """Who holds what: the cells of Q and mu (n x m)."""

    indptr: Array
    indices: Array
    quantity: Array
    margin_units: Array


class Market(NamedTuple):
    """The prices p (m), which assets are sellable, and the number of this set of prices (1 entry)."""

    price: Array
    sellable: Array
    number: Array


class Channels(NamedTuple):
    """Who bears losses: the cells of b (n x c), the level C' from which each counts, and the levels C (c)."""

    indptr: Array
    indices: Array
    base: Array
    since: Array
    level: Array


class Accounts(NamedTuple):
    """The state of the accounts (n each), what the last look at each of them found, and the least key of each block."""

    money: Array  # cash + R
    closed: Array  # gamma
    levied: Array  # D, what was socialised before the levels in `since`
    sensitivity: Array  # g
    worth: Array  # cash + R + (1-gamma) Q~.p + (Q-Q~).p
    maintenance: Array  # M
    key: Array
    seen: Array  # number of the prices at which it was last looked at
    block_key: Array


def value_rows(cells: Cells, price: Array, rows: Array, borders: Array) -> tuple[Array, Array, Array]:
    """Return the value, the gross value and the maintenance margin of rows at a price.

    value_k = sum_j q_ij p_j ;  gross_k = sum_j |q_ij| p_j ;  margin_k = sum_j mu_ij p_j ;  i = rows[k]  [currency]
    """
    out = np.empty((3, rows.size))
    if rows.size > ROWS_WORTH_THREADS:
        _value_threads(cells, price, rows, borders, out)
    else:
        _value_chunk(cells, price, rows, 0, rows.size, out)
    return out[0], out[1], out[2]


def column_sums(
    indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, borders: Array, n_columns: int
) -> Array:
    """Return the weighted sum of rows, a number for each column: y_j = sum_k weight_k a_ij ;  i = rows[k]."""
    parts = np.zeros((borders.size - 1, n_columns))
    run = _sum_threads if rows.size > ROWS_WORTH_THREADS else _sum_chunks
    run(indptr, indices, data, rows, weight, borders, parts)
    return ordered_sum(parts)


@njit(cache=True)
def _value_chunk(cells: Cells, price: Array, rows: Array, first: int, last: int, out: Array) -> None:
    for k in range(first, last):
        v = g = m = 0.0
        for cell in range(cells.indptr[rows[k]], cells.indptr[rows[k] + 1]):
            p = price[cells.indices[cell]]
            v += cells.quantity[cell] * p
            g += abs(cells.quantity[cell]) * p
            m += cells.margin_units[cell] * p
        out[0, k] = v
        out[1, k] = g
        out[2, k] = m


@njit(parallel=True, cache=True)
def _value_threads(cells: Cells, price: Array, rows: Array, borders: Array, out: Array) -> None:
    for chunk in prange(borders.size - 1):
        _value_chunk(cells, price, rows, borders[chunk], borders[chunk + 1], out)


@njit(cache=True)
def _sum_chunk(
    indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, first: int, last: int, part: Array
) -> None:
    for k in range(first, last):
        for cell in range(indptr[rows[k]], indptr[rows[k] + 1]):
            part[indices[cell]] += weight[k] * data[cell]


@njit(cache=True)
def _sum_chunks(
    indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, borders: Array, parts: Array
) -> None:
    for chunk in range(borders.size - 1):
        _sum_chunk(indptr, indices, data, rows, weight, borders[chunk], borders[chunk + 1], parts[chunk])


@njit(parallel=True, cache=True)
def _sum_threads(
    indptr: Array, indices: Array, data: Array, rows: Array, weight: Array, borders: Array, parts: Array
) -> None:
    for chunk in prange(borders.size - 1):
        _sum_chunk(indptr, indices, data, rows, weight, borders[chunk], borders[chunk + 1], parts[chunk])


@njit(cache=True)
def ordered_sum(parts: Array) -> Array:
    """Add up the parts of a sum, one after the other."""
    total = np.zeros(parts.shape[1])
    for chunk in range(parts.shape[0]):
        total += parts[chunk]
    return total


@njit(parallel=True, cache=True)
def first_keys(
    cash: Array, value: Array, gross: Array, margin: Array, sensitivity: Array, base: Array, key: Array
) -> None:
    """Set the keys of accounts at rest, T = C = 0: key_i = s_i / max(g_i, b_i)."""
    for row in prange(key.size):
        slack = cash[row] + value[row] - margin[row]
        key[row] = _span(slack, abs(cash[row]) + gross[row], sensitivity[row], base[row])


@njit(inline="always")
def _span(slack: float, size: float, sensitivity: float, base: float) -> float:
    """Return s / max(g, b), with s lessened, and g and b raised, by more than rounding can amount to."""
    left = slack - GUARD * size
    slope = max(sensitivity + GUARD * size, base * (1.0 + GUARD))
    if slope == 0.0:
        return np.inf if left >= 0.0 else 0.0
    return float(max(left, 0.0) / slope * (1.0 - GUARD))


@njit(cache=True)
def least_keys(key: Array, block_key: Array) -> None:
    """Set the least key of each block of rows."""
    for block in range(block_key.size):
        block_key[block] = key[block * BLOCK : (block + 1) * BLOCK].min()


@njit(cache=True)
def block_sums(indptr: Array, indices: Array, data: Array, blocks: Array, sums: Array) -> None:
    """Set the column sums of some blocks of rows of a matrix: the parts of an ordered sum over all rows."""
    for k in range(blocks.size):
        first, last = blocks[k] * BLOCK, min((blocks[k] + 1) * BLOCK, indptr.size - 1)
        sums[blocks[k]] = 0.0
        for cell in range(indptr[first], indptr[last]):
            sums[blocks[k], indices[cell]] += data[cell]


def levies(channels: Channels, levied: Array, rows: Array) -> Array:
    """Return the socialised losses of rows: L_i = D_i + sum_k b_ik (C_k - C'_ik) ;  i = rows[k]  [currency]."""
    out = np.empty(rows.size)
    (_levies_threads if rows.size > ROWS_WORTH_THREADS else _levies)(channels, levied, rows, out)
    return out


@njit(inline="always")
def _levy(channels: Channels, levied: Array, row: int) -> float:
    total = levied[row]
    for cell in range(channels.indptr[row], channels.indptr[row + 1]):
        total += channels.base[cell] * (channels.level[channels.indices[cell]] - channels.since[cell])
    return float(total)


@njit(cache=True)
def _levies(channels: Channels, levied: Array, rows: Array, out: Array) -> None:
    for k in range(rows.size):
        out[k] = _levy(channels, levied, rows[k])


@njit(parallel=True, cache=True)
def _levies_threads(channels: Channels, levied: Array, rows: Array, out: Array) -> None:
    for k in prange(rows.size):
        out[k] = _levy(channels, levied, rows[k])


def look(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, clock: float, reach: Array, borders: Array
) -> int:
    """Look at the rows whose key T + C reaches and that were not seen at these prices; return how many.

    E + L = cash + R + sum_j (1 - gamma s_j) q_j p_j and M = sum_j (1 - gamma s_j) mu_j p_j, s_j = 1 where sellable, go
    into `worth` and `maintenance`; the keys are set anew.

    Parameters
    ----------
    clock : float
        T.
    reach : array, shape (c,)
        The levels C that count here: those of the channels, or higher ones that could come. Infinite: all rows.
    borders : array
        Blocks at which the chunks begin and end.
    """
    due = np.count_nonzero(accounts.block_key <= clock + reach.max())
    counts = np.zeros(borders.size - 1, dtype=np.int64)
    run = _look_threads if due * BLOCK > ROWS_WORTH_THREADS else _look_chunks
    run(cells, market, channels, accounts, (clock, reach), borders, counts)
    return int(counts.sum())


@njit(parallel=True, cache=True)
def _look_threads(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, time: tuple[float, Array], borders: Array,
    counts: Array,
) -> None:  # fmt: skip
    for chunk in prange(borders.size - 1):
        for block in range(borders[chunk], borders[chunk + 1]):
            counts[chunk] += _look_block(cells, market, channels, accounts, time, block)


@njit(cache=True)
def _look_chunks(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, time: tuple[float, Array], borders: Array,
    counts: Array,
) -> None:  # fmt: skip
    for chunk in range(borders.size - 1):
        for block in range(borders[chunk], borders[chunk + 1]):
            counts[chunk] += _look_block(cells, market, channels, accounts, time, block)


@njit(cache=True)
def _look_block(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, time: tuple[float, Array], block: int
) -> int:
    clock, reach = time
    last = clock + reach.max()
    if accounts.block_key[block] > last:
        return 0
    indptr, indices, quantity, margin_units = cells
    price, sellable, number = market.price, market.sellable, market.number[0]
    money, closed, levied, sensitivity, worth, maintenance, key, seen, block_key = accounts
    member, channel, base, since, level = channels
    count, least = 0, np.inf
    for row in range(block * BLOCK, min((block + 1) * BLOCK, key.size)):
        if key[row] > last or key[row] == np.inf:
            least = min(least, key[row])
            continue
        horizon = clock
        for cell in range(member[row], member[row + 1]):
            horizon += reach[channel[cell]]
        if seen[row] != number and key[row] <= horizon:
            e, m, size, left = money[row], 0.0, abs(money[row]), closed[row]
            for cell in range(indptr[row], indptr[row + 1]):
                column = indices[cell]
                p = (1.0 - left * sellable[column]) * price[column]
                e += quantity[cell] * p
                m += margin_units[cell] * p
                size += abs(quantity[cell]) * p
            worth[row], maintenance[row], seen[row] = e, m, number
            levy, weight, now = levied[row], 0.0, clock
            for cell in range(member[row], member[row + 1]):
                levy += base[cell] * (level[channel[cell]] - since[cell])
                weight = max(weight, base[cell])
                now += level[channel[cell]]
            if not np.isfinite(e - levy - m):
                key[row] = -np.inf  # broken: to be judged, and named
            elif left == 1.0:
                key[row] = np.inf
            else:
                key[row] = now + _span(e - levy - m, size + levy, sensitivity[row], weight)
            count += 1
        least = min(least, key[row])
    block_key[block] = least
    return count


@njit(cache=True)
def due_rows(channels: Channels, accounts: Accounts, clock: float, reach: Array, number: int, found: Array) -> Array:
    """Return the rows seen at these prices whose key T + C reaches, ascending: all that have to be judged now."""
    count, last = 0, clock + reach.max()
    for block in range(accounts.block_key.size):
        if accounts.block_key[block] > last:
            continue
        for row in range(block * BLOCK, min((block + 1) * BLOCK, accounts.key.size)):
            if accounts.key[row] > last or accounts.key[row] == np.inf:
                continue
            horizon = clock
            for cell in range(channels.indptr[row], channels.indptr[row + 1]):
                horizon += reach[channels.indices[cell]]
            if accounts.seen[row] == number and accounts.key[row] <= horizon:
                found[count] = row
                count += 1
    return found[:count].copy()
