"""Revaluation of the accounts that can have come into breach, and of no others (docs/screening.md).

Let an account have slack s = E - M when it is valued. Until its closed share changes, its slack falls by at most
g (T - T') + b (C - C'): g = sum_j |q_j - mu_j| p0_j; T the cumulative price move, which each round raises by
max_j |p'_j - p_j| / p0_j; b its weight in loss sharing; C the loss rate of its channel, the sum of its water levels so
far; T' and C' their values then. So it is no candidate for a breach before

    T + C  >=  trigger  =  T' + C' + s / max(g, b),

and `revalue` leaves it out. Every s is lessened by a guard, far above the rounding of a row's sums, so that the answer
is bit for bit that of valuing every row. T is a relative move and C a loss per unit of weight: where weights are very
large or small, one of the two is lost in their sum. So triggers are lowered, and T + C raised, by a guard of |T| + |C|
too. Strips of rows keep their least trigger: most strips are left out whole.
"""

import numpy as np
from numba import njit

from contagion_graph.chunks import STRIP
from contagion_graph.kernels.compiling import AHEAD, Chunks, chunked, fetch, fetch_row, fetch_state
from contagion_graph.state import Accounts, Array, Cells, Channels, Market

GUARD = 1e-12
LARGEST = np.finfo(np.float64).max


@njit(cache=True, nogil=True)
def first_triggers(
    cash: Array, value: Array, gross: Array, margin: Array, sensitivity: Array, base: Array, shock: tuple[float, float],
    trigger: Array,
) -> None:  # fmt: skip
    """Set the triggers of all accounts after a shock, from their values before it; there T = C = 0.

    trigger_i = (s_i - u_i max_j (p0_j - p_j)+ / p0_j - d_i max_j (p_j - p0_j)+ / p0_j) / max(g_i, b_i); u and d are the
    parts of g that lose where prices fall, and where they rise: u + d = g, u - d = sum_j (q_ij - mu_ij) p0_j.

    Parameters
    ----------
    shock : two floats
        The largest relative fall and rise of a price.
    """
    fall, rise = shock
    for row in range(trigger.size):
        net, slope = value[row] - margin[row], sensitivity[row]
        loss = (slope + net) / 2.0 * fall + (slope - net) / 2.0 * rise
        size = abs(cash[row]) + (gross[row] + slope) * (1.0 + fall + rise)
        trigger[row] = _distance(cash[row] + net - loss, size, slope, base[row])


@njit(cache=True, nogil=True)
def least_triggers(trigger: Array, strip_trigger: Array) -> None:
    """Set the least trigger of each strip of rows."""
    for strip in range(strip_trigger.size):
        strip_trigger[strip] = _least(trigger[strip * STRIP : (strip + 1) * STRIP])


@njit(fastmath={"nnan", "nsz"})
def _least(trigger: Array) -> float:
    least = np.inf
    for k in range(trigger.size):  # triggers are numbers: the compiler may take several at a moved
        least = min(least, trigger[k])
    return float(least)


@njit(inline="always")
def _distance(slack: float, size: float, sensitivity: float, base: float) -> float:
    """Return s / max(g, b), with s lessened, and g and b raised, by more than rounding can amount to."""
    left = slack - GUARD * size
    slope = max(sensitivity + GUARD * size, base * (1.0 + GUARD))
    if slope == 0.0:
        return np.inf if left > 0.0 else 0.0
    return float(max(left, 0.0) / slope * (1.0 - GUARD))


@njit(cache=True, nogil=True)
def socialised(channels: Channels, settled: Array, rows: Array) -> Array:
    """Return the socialised losses of rows: L_i = D_i + sum_k b_ik (C_k - C'_ik) ;  i = rows[k]  [currency]."""
    member, pool, base, since, loss_rate = channels
    out = np.empty(rows.size)
    for k in range(rows.size):
        if k + AHEAD < rows.size:
            fetch_state(member, pool, base, since, settled, rows[k + AHEAD])
        out[k] = _socialised(member, pool, base, since, loss_rate, settled, rows[k])
    return out


@njit(inline="always")
def _socialised(
    member: Array, pool: Array, base: Array, since: Array, loss_rate: Array, settled: Array, row: int
) -> float:
    total = settled[row]
    for cell in range(member[row], member[row + 1]):
        total += base[cell] * (loss_rate[pool[cell]] - since[cell])
    return float(total)


@njit(inline="always")
def _horizon(member: Array, pool: Array, price_move: float, rates: Array, row: int) -> float:
    if rates.size == 1:
        return float(price_move + rates[0])
    horizon = price_move
    for cell in range(member[row], member[row + 1]):
        horizon += rates[pool[cell]]
    return float(horizon)


@njit(cache=True, nogil=True)
def candidate_rows(
    channels: Channels, accounts: Accounts, moved: tuple[float, Array], number: int, valued_now: bool, first: int,
    last: int, found: Array,
) -> Array:  # fmt: skip
    """Return the candidates from row `first` to `last`, ascending: those valued at these prices, or the others.

    Parameters
    ----------
    moved : float and array, shape (c,)
        T, and the loss rates C that count here: those of the channels, or higher ones that could come. Infinite: all
        rows.
    number : int
        That of the prices.
    valued_now : bool
        Whether candidates that were valued at these prices are meant, or the others.
    first, last : int
        Multiples of `STRIP`, or the number of all rows.
    found : array, shape (last - first,)
        Where to put them.
    """
    price_move, rates = moved
    member, pool = channels.indptr, channels.indices
    trigger, strip_trigger, valued = accounts.trigger, accounts.strip_trigger, accounts.valued
    furthest, count = min(price_move + rates.max(), LARGEST), 0  # the triggers of closed accounts are infinite
    for strip in range(-(-first // STRIP), -(-last // STRIP)):  # none where both are behind the last row
        if strip_trigger[strip] > furthest:
            continue
        picked, before = count, count
        for row in range(strip * STRIP, min((strip + 1) * STRIP, last)):
            found[picked] = row
            picked += trigger[row] <= furthest
        for k in range(before, picked):
            row = found[k]
            found[count] = row
            count += (
                trigger[row] <= _horizon(member, pool, price_move, rates, row) and (valued[row] == number) == valued_now
            )
    return found[:count]


def revalue(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, moved: tuple[float, Array], borders: Array,
    found: Array,
) -> int:  # fmt: skip
    """Revalue the candidates that were not valued at these prices; return how many.

    E + L = cash + R + sum_j (1 - gamma s_j) q_j p_j and M = sum_j (1 - gamma s_j) mu_j p_j, s_j = 1 where sellable and
    gamma that of the side on which q_j is held, go into `worth` and `maintenance`; the triggers are set anew.

    Parameters
    ----------
    moved : float and array, shape (c,)
        As for `candidate_rows`.
    borders : array
        Rows at which the chunks begin and end.
    found : array, shape (n,)
        Overwritten.
    """
    price_move, rates = moved
    rows = int(np.count_nonzero(accounts.strip_trigger <= price_move + rates.max()))  # at least
    counts = np.zeros(borders.size - 1, dtype=np.int64)
    _revalue(rows, counts.size, cells, market, channels, accounts, moved, borders, found, counts)
    return int(counts.sum())


@chunked
def _revalue(
    chunks: Chunks, cells: Cells, market: Market, channels: Channels, accounts: Accounts,
    moved: tuple[float, Array], borders: Array, found: Array, counts: Array,
) -> None:  # fmt: skip
    for chunk in range(chunks[0], chunks[1]):
        span = borders[chunk], borders[chunk + 1]
        rows = candidate_rows(
            channels, accounts, moved, market.number[0], False, span[0], span[1], found[span[0] : span[1]]
        )
        _revalue_rows(cells, market, channels, accounts, moved[0], rows)
        counts[chunk] = rows.size


@njit(cache=True)
def _revalue_rows(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, price_move: float, rows: Array
) -> None:
    # fields are taken out here, not in the loop: numba counts a reference each moved
    indptr, indices, quantity, margin_units = cells
    price, sellable, number = market
    member, pool, base, since, loss_rate = channels
    money, closed_long, closed_short, settled, sensitivity, worth, maintenance, trigger, valued, strip_trigger = (
        accounts
    )
    for k in range(rows.size):
        if k + AHEAD < rows.size:
            ahead = rows[k + AHEAD]
            fetch_row(indptr, indices, quantity, margin_units, ahead)
            fetch_state(member, pool, base, since, settled, ahead)
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
        worth[row], maintenance[row], valued[row] = e, m, number[0]
        borne, weight, now = _socialised(member, pool, base, since, loss_rate, settled, row), 0.0, price_move
        extent = abs(price_move)
        for cell in range(member[row], member[row + 1]):
            weight = max(weight, base[cell])
            now += loss_rate[pool[cell]]
            extent += abs(loss_rate[pool[cell]])
        if not np.isfinite(e - borne - m):
            trigger[row] = -np.inf  # not finite: the account is named in an error
        elif longs == 1.0 and shorts == 1.0:
            trigger[row] = np.inf
        else:
            trigger[row] = now + _distance(e - borne - m, size + borne, sensitivity[row], weight) - GUARD * extent
        strip = row // STRIP
        if k + 1 == rows.size or rows[k + 1] // STRIP != strip:
            strip_trigger[strip] = _least(trigger[strip * STRIP : (strip + 1) * STRIP])
