"""Looks at the accounts, and only at those that can have changed.

Let an account have slack s = E - M at its last look. Until its closed share changes, its slack falls by at most
g (T - T') + b (C - C'): g = sum_j |q_j - mu_j| p0_j, T a clock that each round advances by max_j |p'_j - p_j| / p0_j, b
its weight in loss sharing, C the sum of its channels' water levels so far, T' and C' their values then. So nothing can
have happened to it before

    T + C  >=  key  =  T' + C' + s / max(g, b),

and `look` passes over it. Every s is lessened by a guard, far above the rounding of a row's sums, so that the answer is
bit for bit that of looking at every row. Strips of rows keep their least key: most strips are passed over whole.
"""

import numpy as np
from numba import njit

from contagion_graph.chunks import STRIP
from contagion_graph.kernels.compiling import AHEAD, Chunks, chunked, fetch, fetch_row, fetch_state
from contagion_graph.state import Accounts, Array, Cells, Channels, Market

GUARD = 1e-12
LARGEST = np.finfo(np.float64).max


@njit(cache=True, nogil=True)
def first_keys(
    cash: Array, value: Array, gross: Array, margin: Array, sensitivity: Array, base: Array, shock: tuple[float, float],
    key: Array,
) -> None:  # fmt: skip
    """Set the keys of accounts that were at rest before a shock, T = C = 0 after it.

    key_i = (s_i - u_i max_j (p0_j - p_j)+ / p0_j - d_i max_j (p_j - p0_j)+ / p0_j) / max(g_i, b_i); u and d are the
    parts of g that lose where prices fall, and where they rise: u + d = g, u - d = sum_j (q_ij - mu_ij) p0_j.

    Parameters
    ----------
    shock : two floats
        The largest relative fall and rise of a price.
    """
    fall, rise = shock
    for row in range(key.size):
        net, reach = value[row] - margin[row], sensitivity[row]
        loss = (reach + net) / 2.0 * fall + (reach - net) / 2.0 * rise
        size = abs(cash[row]) + (gross[row] + reach) * (1.0 + fall + rise)
        key[row] = _span(cash[row] + net - loss, size, reach, base[row])


@njit(cache=True, nogil=True)
def least_keys(key: Array, strip_key: Array) -> None:
    """Set the least key of each strip of rows."""
    for strip in range(strip_key.size):
        strip_key[strip] = _least(key[strip * STRIP : (strip + 1) * STRIP])


@njit(fastmath={"nnan", "nsz"})
def _least(key: Array) -> float:
    least = np.inf
    for k in range(key.size):  # keys are numbers: the compiler may take several at a time
        least = min(least, key[k])
    return float(least)


@njit(inline="always")
def _span(slack: float, size: float, sensitivity: float, base: float) -> float:
    """Return s / max(g, b), with s lessened, and g and b raised, by more than rounding can amount to."""
    left = slack - GUARD * size
    slope = max(sensitivity + GUARD * size, base * (1.0 + GUARD))
    if slope == 0.0:
        return np.inf if left > 0.0 else 0.0
    return float(max(left, 0.0) / slope * (1.0 - GUARD))


@njit(cache=True, nogil=True)
def levies(channels: Channels, levied: Array, rows: Array) -> Array:
    """Return the socialised losses of rows: L_i = D_i + sum_k b_ik (C_k - C'_ik) ;  i = rows[k]  [currency]."""
    member, pool, base, since, level = channels
    out = np.empty(rows.size)
    for k in range(rows.size):
        if k + AHEAD < rows.size:
            fetch_state(member, pool, base, since, levied, rows[k + AHEAD])
        out[k] = _levy(member, pool, base, since, level, levied, rows[k])
    return out


@njit(inline="always")
def _levy(member: Array, pool: Array, base: Array, since: Array, level: Array, levied: Array, row: int) -> float:
    total = levied[row]
    for cell in range(member[row], member[row + 1]):
        total += base[cell] * (level[pool[cell]] - since[cell])
    return float(total)


@njit(inline="always")
def _horizon(member: Array, pool: Array, clock: float, reach: Array, row: int) -> float:
    if reach.size == 1:
        return float(clock + reach[0])
    horizon = clock
    for cell in range(member[row], member[row + 1]):
        horizon += reach[pool[cell]]
    return float(horizon)


@njit(cache=True, nogil=True)
def reached_rows(
    channels: Channels, accounts: Accounts, time: tuple[float, Array], number: int, seen_now: bool, first: int,
    last: int, found: Array,
) -> Array:  # fmt: skip
    """Return the rows from `first` to `last` whose key T + C reaches, ascending: those seen at these prices, or others.

    Parameters
    ----------
    time : float and array, shape (c,)
        T, and the levels C that count here: those of the channels, or higher ones that could come. Infinite: all rows.
    number : int
        That of the prices.
    seen_now : bool
        Whether rows seen at these prices are meant, or the others.
    first, last : int
        Multiples of `STRIP`, or the number of all rows.
    found : array, shape (last - first,)
        Where to put them.
    """
    clock, reach = time
    member, pool = channels.indptr, channels.indices
    key, strip_key, seen = accounts.key, accounts.strip_key, accounts.seen
    farthest, count = min(clock + reach.max(), LARGEST), 0  # the keys of closed accounts are infinite
    for strip in range(-(-first // STRIP), -(-last // STRIP)):  # none where both are behind the last row
        if strip_key[strip] > farthest:
            continue
        near, before = count, count
        for row in range(strip * STRIP, min((strip + 1) * STRIP, last)):
            found[near] = row
            near += key[row] <= farthest
        for k in range(before, near):
            row = found[k]
            found[count] = row
            count += key[row] <= _horizon(member, pool, clock, reach, row) and (seen[row] == number) == seen_now
    return found[:count]


def look(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, time: tuple[float, Array], borders: Array,
    found: Array,
) -> int:  # fmt: skip
    """Look at the rows whose key T + C reaches and that were not seen at these prices; return how many.

    E + L = cash + R + sum_j (1 - gamma s_j) q_j p_j and M = sum_j (1 - gamma s_j) mu_j p_j, s_j = 1 where sellable and
    gamma that of the side on which q_j is held, go into `worth` and `maintenance`; the keys are set anew.

    Parameters
    ----------
    time : float and array, shape (c,)
        As for `reached_rows`.
    borders : array
        Rows at which the chunks begin and end.
    found : array, shape (n,)
        Overwritten.
    """
    clock, reach = time
    rows = int(np.count_nonzero(accounts.strip_key <= clock + reach.max()))  # at least
    counts = np.zeros(borders.size - 1, dtype=np.int64)
    _look(rows, counts.size, cells, market, channels, accounts, time, borders, found, counts)
    return int(counts.sum())


@chunked
def _look(
    chunks: Chunks, cells: Cells, market: Market, channels: Channels, accounts: Accounts,
    time: tuple[float, Array], borders: Array, found: Array, counts: Array,
) -> None:  # fmt: skip
    for chunk in range(chunks[0], chunks[1]):
        span = borders[chunk], borders[chunk + 1]
        rows = reached_rows(
            channels, accounts, time, market.number[0], False, span[0], span[1], found[span[0] : span[1]]
        )
        _look_rows(cells, market, channels, accounts, time[0], rows)
        counts[chunk] = rows.size


@njit(cache=True)
def _look_rows(cells: Cells, market: Market, channels: Channels, accounts: Accounts, clock: float, rows: Array) -> None:
    # fields are taken out here, not in the loop: numba counts a reference each time
    indptr, indices, quantity, margin_units = cells
    price, sellable, number = market
    member, pool, base, since, level = channels
    money, closed_long, closed_short, levied, sensitivity, worth, maintenance, key, seen, strip_key = accounts
    for k in range(rows.size):
        if k + AHEAD < rows.size:
            ahead = rows[k + AHEAD]
            fetch_row(indptr, indices, quantity, margin_units, ahead)
            fetch_state(member, pool, base, since, levied, ahead)
            fetch_state(money, closed_long, closed_short, sensitivity, worth, ahead)
            fetch(maintenance, ahead)
        row = rows[k]
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
        strip = row // STRIP
        if k + 1 == rows.size or rows[k + 1] // STRIP != strip:
            strip_key[strip] = _least(key[strip * STRIP : (strip + 1) * STRIP])
