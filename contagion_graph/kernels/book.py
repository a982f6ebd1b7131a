"""Cells of accounts under a stream of events: what one holds and what all are worth, a change, and sums by pool."""

import numpy as np
from numba import njit

from contagion_graph._validate import ROUNDING
from contagion_graph.kernels.watch import SOUND, UNDER, margin_of, revalue_row, status_of
from contagion_graph.state import Array, PoolSums, Watch

ROOM = 4  # places that a row gets beyond what it needs when it moves


@njit(cache=True)
def value_rows(watch: Watch, n: int) -> tuple[Array, Array]:
    """Return E = cash + sum_j q_ij p_j and M, on rates and tiers, of all rows  [currency]."""
    equity, maintenance = np.empty(n), np.empty(n)
    for row in range(n):
        equity[row], maintenance[row] = value_row(watch, row)
    return equity, maintenance


@njit(cache=True)
def value_row(watch: Watch, row: int) -> tuple[float, float]:
    """Return equity and maintenance of a row, on rates and tiers  [currency]."""
    value = maintenance = 0.0
    for cell in range(watch.start[row], watch.start[row] + watch.length[row]):
        j, q = watch.column[cell], watch.quantity[cell]
        p = watch.price[j]
        value += q * p
        maintenance += margin_of(watch.tiers, j, q, watch.margin_units[cell], p)
    return float(watch.cash[row] + value), float(maintenance)


@njit(cache=True)
def cell_of(watch: Watch, row: int, column: int) -> tuple[float, float]:
    """Return the quantity and the margin units of a row in a column."""
    at, there = _place(watch, row, column)
    return (watch.quantity[at], watch.margin_units[at]) if there else (0.0, 0.0)


@njit(cache=True)
def put_cell(watch: Watch, row: int, column: int, quantity: float, margin_units: float) -> None:
    """Put other numbers into the cell that a row has in a column."""
    at = _place(watch, row, column)[0]
    watch.quantity[at], watch.margin_units[at] = quantity, margin_units


@njit(inline="always")
def _place(watch: Watch, row: int, column: int) -> tuple[int, bool]:
    """Return where the cell of a row in a column is, or would be, and whether it is there."""
    at, end = watch.start[row], watch.start[row] + watch.length[row]
    while at < end and watch.column[at] < column:
        at += 1
    return at, at < end and watch.column[at] == column


@njit(cache=True)
def traded(held: float, margin_units: float, units: float, rates: tuple[float, float]) -> tuple[float, float]:
    """Return the quantity and the margin units of a cell after a trade.

    What closes takes its part of the margin units away; what opens brings |units| times the rate of its side,
    rates = (long, short). What is left by rounding only is closed too.
    """
    after = held + units
    if held * units < 0.0 and abs(after) <= ROUNDING * abs(held):
        return 0.0, 0.0
    if held * units < 0.0 and abs(units) <= abs(held):
        return after, margin_units * (after / held)
    opened, kept = (units, margin_units) if held * units >= 0.0 else (after, 0.0)
    return after, kept + abs(opened) * (rates[1] if opened < 0.0 else rates[0])


@njit(cache=True)
def change(
    watch: Watch, sums: PoolSums, row: int, cash: float, column: int, units: float, rates: tuple[float, float]
) -> tuple[int, int]:
    """Add cash, and units of an asset, to a row, and revalue it; return its status before and after.

    Where the row needs a place that the arena does not have, nothing is changed, and -1, -1 are returned.
    """
    (at, there), pool, before = _place(watch, row, column), sums.pool[row], watch.status[row]
    held, margin_units = (watch.quantity[at], watch.margin_units[at]) if there else (0.0, 0.0)
    quantity, margin_units = traded(held, margin_units, units, rates)
    if quantity == 0.0 and margin_units == 0.0:
        if there:
            _move_cells(watch, at + 1, watch.start[row] + watch.length[row], -1)
            watch.length[row] -= 1
    else:
        if not there:
            at = _insert(watch, row, at)
            if at < 0:
                return -1, -1
            watch.column[at] = column
        watch.quantity[at], watch.margin_units[at] = quantity, margin_units
    watch.cash[row] += cash
    sums.cash[pool] += cash
    sums.held[pool, column] += quantity - held
    if before == UNDER:
        sums.cash_under[pool] += cash
        sums.held_under[pool, column] += quantity - held
    after = revalue_row(watch, row)
    if after != before:
        settle_row(watch, sums, row, before)
    return before, after


@njit(cache=True)
def put_margins(watch: Watch, sums: PoolSums, rows: Array, maintenance: Array) -> None:
    """Set the status of rows on the margins that they need; no price makes them candidates."""
    for k in range(rows.size):
        row = rows[k]
        first = watch.start[row]
        watch.low[first : first + watch.length[row]] = 0.0
        watch.high[first : first + watch.length[row]] = np.inf
        before = watch.status[row]
        watch.status[row] = status_of(value_row(watch, row)[0], maintenance[k])
        if watch.status[row] != before:
            settle_row(watch, sums, row, before)


@njit(cache=True)
def holders(watch: Watch, rows: Array, moved: Array) -> Array:
    """Return which of some rows have a cell in one of the columns that moved."""
    found = np.zeros(rows.size, dtype=np.bool_)
    for k in range(rows.size):
        for cell in range(watch.start[rows[k]], watch.start[rows[k]] + watch.length[rows[k]]):
            found[k] |= moved[watch.column[cell]]
    return found


@njit(inline="always")
def _insert(watch: Watch, row: int, at: int) -> int:
    """Open a place among the cells of a row; where its own places are taken, move it to the end of the arena first.

    Return the place, -1 where the arena is full.
    """
    length, used = watch.length[row], watch.used[0]
    if length == watch.room[row]:
        if used + length + ROOM > watch.column.size:
            return -1
        at += used - watch.start[row]
        for k in range(length):
            _move_cell(watch, watch.start[row] + k, used + k)
        watch.start[row], watch.room[row] = used, length + ROOM
        watch.used[0] += length + ROOM
    _move_cells(watch, at, watch.start[row] + length, 1)
    watch.length[row] += 1
    return at


@njit(inline="always")
def _move_cells(watch: Watch, first: int, end: int, by: int) -> None:
    for k in range(end - first):
        cell = first + k if by < 0 else end - 1 - k
        _move_cell(watch, cell, cell + by)


@njit(inline="always")
def _move_cell(watch: Watch, source: int, target: int) -> None:
    watch.column[target] = watch.column[source]
    watch.quantity[target], watch.margin_units[target] = watch.quantity[source], watch.margin_units[source]
    watch.low[target], watch.high[target] = watch.low[source], watch.high[source]


@njit(cache=True)
def copy_cells(watch: Watch, n: int, start: Array, source: Array, target: Array) -> None:
    """Copy an array of cells row by row, to the first cells of the rows there."""
    for row in range(n):
        for k in range(watch.length[row]):
            target[start[row] + k] = source[watch.start[row] + k]


@njit(cache=True)
def add_rows(watch: Watch, sums: PoolSums, n: int) -> None:
    """Add the first rows to the sums of their pools."""
    for row in range(n):
        _add_row(watch, row, 1.0, sums.held[sums.pool[row]], sums.cash[sums.pool[row] : sums.pool[row] + 1])


@njit(inline="always")
def _add_row(watch: Watch, row: int, sign: float, held: Array, cash: Array) -> None:
    cash[0] += sign * watch.cash[row]
    for cell in range(watch.start[row], watch.start[row] + watch.length[row]):
        held[watch.column[cell]] += sign * watch.quantity[cell]


@njit(cache=True)
def settle(watch: Watch, sums: PoolSums, rows: Array, before: Array) -> None:
    """Bring the sums by pool up to date with rows whose status changed."""
    for k in range(rows.size):
        settle_row(watch, sums, rows[k], before[k])


@njit(cache=True)
def settle_row(watch: Watch, sums: PoolSums, row: int, before: int) -> None:
    """Bring the sums by pool up to date with one row; those over no account under water are exactly 0."""
    pool, after = sums.pool[row], watch.status[row]
    sums.breached[pool] += int(after != SOUND) - int(before != SOUND)
    sign = int(after == UNDER) - int(before == UNDER)
    sums.under[pool] += sign
    if sign:
        _add_row(watch, row, float(sign), sums.held_under[pool], sums.cash_under[pool : pool + 1])
        if sums.under[pool] == 0:
            sums.held_under[pool], sums.cash_under[pool] = 0.0, 0.0


@njit(cache=True)
def pool_values(price: Array, held: Array, cash: Array, held_under: Array, cash_under: Array) -> tuple[Array, Array]:
    """Return the sum of equities, and of positive equities, of each pool  [currency]."""
    equity, positive = cash.copy(), np.empty(cash.size)
    for pool in range(cash.size):
        under, total = cash_under[pool], 0.0
        for column in range(price.size):
            total += held[pool, column] * price[column]
            under += held_under[pool, column] * price[column]
        equity[pool] += total
        positive[pool] = max(equity[pool] - under, 0.0)
    return equity, positive
