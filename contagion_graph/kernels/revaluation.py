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
from contagion_graph.kernels.compiling import AHEAD, Chunks, chunked, fetch_row, fetch_state
from contagion_graph.state import Accounts, Array, Cells, Channels, Market, Orders

GUARD = 1e-12
LARGEST = np.finfo(np.float64).max


@njit(cache=True, nogil=True)
def first_triggers(
    slack: Array, extent: Array, net: Array, sensitivity: Array, base: Array, shock: tuple[float, float], trigger: Array
) -> None:
    """Set the triggers of all accounts after a shock, from their slack before it; there T = C = 0.

    trigger_i = (s_i - u_i F - d_i R) / max(g_i, b_i); u and d are the parts of g that lose where prices fall, and where
    they rise: u + d = g, u - d = net.

    Parameters
    ----------
    shock : two floats
        The largest relative fall F and rise R of a price.
    """
    fall, rise = shock
    for row in range(trigger.size):
        slope = sensitivity[row]
        loss = (slope + net[row]) / 2.0 * fall + (slope - net[row]) / 2.0 * rise
        size = (extent[row] + slope) * (1.0 + fall + rise)
        trigger[row] = _distance(slack[row] - loss, size, slope, base[row])


@njit(cache=True, nogil=True)
def least_triggers(trigger: Array, strip_trigger: Array) -> None:
    """Set the least trigger of each strip of rows."""
    for strip in range(strip_trigger.size):
        strip_trigger[strip] = _least(trigger[strip * STRIP : (strip + 1) * STRIP])


@njit(fastmath={"nnan", "nsz"})
def _least(trigger: Array) -> float:
    least = np.inf
    for k in range(trigger.size):  # triggers are numbers: the compiler may take several at a time
        least = min(least, trigger[k])
    return float(least)


@njit(inline="always")
def _close_strip(rows: Array, k: int, trigger: Array, strip_trigger: Array) -> None:
    """Set the least trigger of the strip of rows[k], after the last of the ascending rows that is in it."""
    strip = rows[k] // STRIP
    if k + 1 == rows.size or rows[k + 1] // STRIP != strip:
        strip_trigger[strip] = _least(trigger[strip * STRIP : (strip + 1) * STRIP])


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


@njit(nogil=True)
def _furthest(member: Array, moved: tuple[float, Array]) -> float:
    """Return the highest T + C of any account: an account counts in one pool of each layer of members."""
    out, rates = moved
    layers = max(member[1] - member[0], 1) if member.size > 1 else 1
    pools = rates.size // layers
    for layer in range(layers):
        out += rates[layer * pools : (layer + 1) * pools].max()
    return float(out)


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
    furthest, count = min(_furthest(member, moved), LARGEST), 0  # the triggers of closed accounts are infinite
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
    rows = int(np.count_nonzero(accounts.strip_trigger <= _furthest(channels.indptr, moved)))  # at least
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
    # fields are taken out here, not in the loop: numba counts a reference each time
    indptr, indices, quantity, margin_units = cells
    price, sellable, number = market
    member, pool, base, since, loss_rate = channels
    (
        money,
        closed_long,
        closed_short,
        settled,
        sensitivity,
        longs,
        shorts,
        worth,
        maintenance,
        trigger,
        valued,
        least,
    ) = accounts
    for k in range(rows.size):
        if k + AHEAD < rows.size:
            ahead = rows[k + AHEAD]
            fetch_row(indptr, indices, quantity, margin_units, ahead)
            fetch_state(member, pool, base, since, settled, ahead)
            fetch_state(money, closed_long, closed_short, sensitivity, worth, ahead)
            fetch_state(longs, shorts, maintenance, trigger, valued, ahead)
        row = rows[k]
        left = closed_long[row], closed_short[row]
        held = _held(indptr, indices, quantity, margin_units, price, sellable, left, row)
        longs[row], shorts[row], maintenance[row], valued[row] = held[0], held[1], held[2], number[0]
        worth[row] = money[row] + (held[0] - held[1])
        trigger[row] = _trigger(
            member, pool, base, since, loss_rate, settled, row, money[row], held, left, sensitivity[row], price_move
        )
        _close_strip(rows, k, trigger, least)


@njit(inline="always")
def _held(
    indptr: Array, indices: Array, quantity: Array, margin_units: Array, price: Array, sellable: Array,
    closed: tuple[float, float], row: int,
) -> tuple[float, float, float]:  # fmt: skip
    """Return what a row has left: the value of its longs, that of its shorts, and its maintenance margin."""
    long, short, margin = 0.0, 0.0, 0.0
    for cell in range(indptr[row], indptr[row + 1]):
        column, q = indices[cell], quantity[cell]
        p = (1.0 - (closed[1] if q < 0.0 else closed[0]) * sellable[column]) * price[column]
        value = q * p
        long += value if q > 0.0 else 0.0
        short -= value if q < 0.0 else 0.0
        margin += margin_units[cell] * p
    return long, short, margin


@njit(inline="always")
def _trigger(
    member: Array, pool: Array, base: Array, since: Array, loss_rate: Array, settled: Array, row: int, money: float,
    held: tuple[float, float, float], closed: tuple[float, float], sensitivity: float, price_move: float,
) -> float:  # fmt: skip
    """Return the trigger of a row that has just been valued; -inf where it is not finite: an error then names it."""
    borne, weight, now = _socialised(member, pool, base, since, loss_rate, settled, row), 0.0, price_move
    extent = abs(price_move)
    for cell in range(member[row], member[row + 1]):
        weight = max(weight, base[cell])
        now += loss_rate[pool[cell]]
        extent += abs(loss_rate[pool[cell]])
    slack = money + (held[0] - held[1]) - borne - held[2]
    size = abs(money) + abs(held[0]) + abs(held[1]) + borne
    at = now + _distance(slack, size, sensitivity, weight) - GUARD * extent
    if closed[0] == 1.0 and closed[1] == 1.0:
        at = np.inf
    if not np.isfinite(slack):
        at = -np.inf
    return float(at)


@njit(cache=True, nogil=True)
def put_margins(channels: Channels, accounts: Accounts, price_move: float, rows: Array, margin: Array) -> None:
    """Put margins of rows (ascending) that have just been valued in the place of those at flat rates.

    Gains of options on a grid are rounded by the size of their underlying, which can be far above their value: so the
    triggers are lowered by a guard of the sensitivity too.
    """
    member, pool, base, since, loss_rate = channels
    for k in range(rows.size):
        row = rows[k]
        accounts.maintenance[row] = margin[k]
        held = accounts.longs[row], accounts.shorts[row], margin[k] + GUARD * accounts.sensitivity[row]
        left, money = (accounts.closed_long[row], accounts.closed_short[row]), accounts.money[row]
        accounts.trigger[row] = _trigger(
            member, pool, base, since, loss_rate, accounts.settled, row, money, held, left, accounts.sensitivity[row],
            price_move,
        )  # fmt: skip
        _close_strip(rows, k, accounts.trigger, accounts.strip_trigger)


def settle(
    cells: Cells, market: Market, channels: Channels, accounts: Accounts, orders: Orders, average: Array,
    penalty: tuple[float, bool], price_move: float, borders: Array,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Close what accounts close, at the round's average prices, and value what they have left at the new prices.

    Parameters
    ----------
    average : array, shape (m,)
        0 where an asset is not sellable.
    penalty : float and bool
        Share of the closed gross value that is paid, and whether at most the equity that is left.
    borders : array
        Where among the orders the chunks begin and end.

    Returns
    -------
    proceeds, charged, equity : array
        What each of them gets before the penalty, its penalty, and its equity at the new prices [currency].
    """
    out = np.empty((3, orders.rows.size))
    _settle(
        orders.rows.size, borders.size - 1, cells, market, channels, accounts, orders, average, penalty, price_move,
        borders, out,
    )  # fmt: skip
    return out[0], out[1], out[2]


@chunked
def _settle(
    chunks: Chunks, cells: Cells, market: Market, channels: Channels, accounts: Accounts, orders: Orders,
    average: Array, penalty: tuple[float, bool], price_move: float, borders: Array, out: Array,
) -> None:  # fmt: skip
    indptr, indices, quantity, margin_units = cells
    price, sellable, number = market
    member, pool, base, since, loss_rate = channels
    (
        money,
        closed_long,
        closed_short,
        settled,
        sensitivity,
        longs,
        shorts,
        worth,
        maintenance,
        trigger,
        valued,
        least,
    ) = accounts
    rows, long, short, whole_long, whole_short, bonus = orders
    for k in range(borders[chunks[0]], borders[chunks[1]]):
        if k + AHEAD < rows.size:
            ahead = rows[k + AHEAD]
            fetch_row(indptr, indices, quantity, margin_units, ahead)
            fetch_state(member, pool, base, since, settled, ahead)
            fetch_state(money, closed_long, closed_short, sensitivity, worth, ahead)
            fetch_state(longs, shorts, maintenance, trigger, valued, ahead)
        row = rows[k]
        bought = sold = 0.0
        for cell in range(indptr[row], indptr[row + 1]):
            value = quantity[cell] * average[indices[cell]]
            sold += value if value > 0.0 else 0.0
            bought -= value if value < 0.0 else 0.0
        sold, bought = long[k] * sold, short[k] * bought
        fee = penalty[0] * (sold + bought)
        money[row] += sold - bought - (fee + bonus[k])
        closed_long[row] = 1.0 if whole_long[k] else closed_long[row] + long[k]
        closed_short[row] = 1.0 if whole_short[k] else closed_short[row] + short[k]
        whole = closed_long[row] == 1.0 and closed_short[row] == 1.0
        if whole:
            settled[row] = _socialised(member, pool, base, since, loss_rate, settled, row)
            for cell in range(member[row], member[row + 1]):
                base[cell] = 0.0
        left = closed_long[row], closed_short[row]
        held = _held(indptr, indices, quantity, margin_units, price, sellable, left, row)
        longs[row], shorts[row], maintenance[row], valued[row] = held[0], held[1], held[2], number[0]
        worth[row] = money[row] + (held[0] - held[1])
        trigger[row] = _trigger(
            member, pool, base, since, loss_rate, settled, row, money[row], held, left, sensitivity[row], price_move
        )
        borne = _socialised(member, pool, base, since, loss_rate, settled, row)
        short_of = borne - worth[row]
        if penalty[1] and fee > 0.0 and short_of > 0.0:  # the penalty takes at most what is left
            back = min(fee, short_of)
            money[row] += back
            worth[row] = borne if back < fee else worth[row] + back
            trigger[row] = np.inf if whole else -np.inf
            fee -= back
        out[0, k], out[1, k], out[2, k] = sold - bought, fee + bonus[k], worth[row] - borne
        _close_strip(rows, k, trigger, least)
