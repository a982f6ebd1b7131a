"""Looks at accounts under a stream of prices, and only at those about which something can have changed.

An account is sound (E >= M), in breach (E < M, E > 0) or under water (E < M, E <= 0). Let it be looked at at prices p,
and be sound, with slack s = E - M. At prices p' its slack has fallen by sum_j |d_j| |p'_j - p_j| at most, over the
assets that moved against it, d = q - mu. So nothing happened to it before one of its prices moved against it by

    r = s / sum_j |d_j| p_j,          that is, before p'_j <= low_j = p_j (1 - r), or p'_j >= high_j = p_j (1 + r)

where d_j > 0, or d_j < 0. In breach, M - E bounds the way to recovery and E, with q for d, the way under water;
under water, -E the way back. Each cell keeps its `low` and `high`; each asset, for each block of accounts, the highest
low and the lowest high. A price passes over every block between whose two it stays, and looks only at rows whose
own bound it reached. Every s is lessened by a guard, far above the rounding of a row's sums, and no interval reaches
beyond `FAR` times the price, so that the status is always the one that a full pass over the rows would find.
"""

import numpy as np
from numba import njit, prange

from contagion_graph.kernels.compiling import one_or_many
from contagion_graph.state import Array, Watch

WATCH_BLOCK = 64
SOUND, BREACH, UNDER = 0, 1, 2
GUARD = 1e-12
FAR = 16.0
CHUNKS = 16  # pieces in which blocks are looked at, on any number of threads


@njit(inline="always")
def _status(equity: float, maintenance: float) -> int:
    if equity - maintenance >= 0.0:
        return SOUND
    return UNDER if equity <= 0.0 else BREACH


@njit(inline="always")
def _way(left: float, size: float, sensitivity: float) -> float:
    """Return the share by which prices can move before `left` is used up, lessened by more than rounding amounts to."""
    slope = sensitivity + GUARD * size
    return max(left - GUARD * size, 0.0) / slope * (1.0 - GUARD) if slope > 0.0 else np.inf


@njit(inline="always")
def _look_row(watch: Watch, row: int) -> int:
    """Judge a row at the present prices, set its intervals anew, and return its status."""
    value = maintenance = gross = slope = 0.0
    cells = range(watch.start[row], watch.start[row] + watch.length[row])
    for cell in cells:
        p = watch.price[watch.column[cell]]
        value += watch.quantity[cell] * p
        maintenance += watch.margin_units[cell] * p
        gross += abs(watch.quantity[cell]) * p
        slope += abs(watch.quantity[cell] - watch.margin_units[cell]) * p
    equity = watch.cash[row] + value
    status = _status(equity, maintenance)
    size = abs(watch.cash[row]) + gross + maintenance
    to_line = _way(abs(equity - maintenance), size, slope) if status != UNDER else np.inf
    to_zero = _way(abs(equity), size, gross) if status != SOUND else np.inf
    if to_line == 0.0 or to_zero == 0.0:
        for cell in cells:
            watch.low[cell] = watch.high[cell] = watch.price[watch.column[cell]]
        return status
    against = 1.0 if status == SOUND else -1.0
    for cell in cells:
        p = watch.price[watch.column[cell]]
        side = against * (watch.quantity[cell] - watch.margin_units[cell])
        low = p * (1.0 - to_line) if side > 0.0 else 0.0
        high = p * (1.0 + to_line) if side < 0.0 else np.inf
        if status != SOUND:
            side = watch.quantity[cell] if status == BREACH else -watch.quantity[cell]
            low = max(low, p * (1.0 - to_zero)) if side > 0.0 else low
            high = min(high, p * (1.0 + to_zero)) if side < 0.0 else high
        watch.low[cell], watch.high[cell] = low, min(high, FAR * p)
    return status


@njit(inline="always")
def _raise_tops(watch: Watch, row: int) -> None:
    block = row // WATCH_BLOCK
    for cell in range(watch.start[row], watch.start[row] + watch.length[row]):
        column = watch.column[cell]
        watch.low_top[column, block] = max(watch.low_top[column, block], watch.low[cell])
        watch.high_top[column, block] = min(watch.high_top[column, block], watch.high[cell])


@njit(cache=True)
def look_row(watch: Watch, row: int) -> int:
    """Judge one row, after it was changed; return its status."""
    watch.status[row] = _look_row(watch, row)
    _raise_tops(watch, row)
    return int(watch.status[row])


@njit(cache=True)
def look_at_column(watch: Watch, n: int, column: int, changed: Array, before: Array) -> int:
    """Look at the rows whose interval in one asset its price has left; return how many changed their status.

    Which rows, and their status before, go into `changed` and `before`.
    """
    p, count = watch.price[column], 0
    low_top, high_top = watch.low_top[column], watch.high_top[column]
    for block in range(-(-n // WATCH_BLOCK)):
        if p > low_top[block] and p < high_top[block]:
            continue
        low, high = 0.0, np.inf
        for row in range(block * WATCH_BLOCK, min((block + 1) * WATCH_BLOCK, n)):
            first = watch.start[row]
            for cell in range(first, first + watch.length[row]):
                if watch.column[cell] < column:
                    continue
                if watch.column[cell] == column:
                    if p <= watch.low[cell] or p >= watch.high[cell]:
                        count = _note(watch, row, changed, before, count)
                        _raise_tops(watch, row)
                    low, high = max(low, watch.low[cell]), min(high, watch.high[cell])
                break
        low_top[block], high_top[block] = low, high
    return count


@njit(inline="always")
def _note(watch: Watch, row: int, changed: Array, before: Array, count: int) -> int:
    """Look at a row, and note it where its status changed; return how many are noted."""
    old = watch.status[row]
    watch.status[row] = _look_row(watch, row)
    if watch.status[row] == old:
        return count
    changed[count], before[count] = row, old
    return count + 1


@njit(cache=True)
def due_blocks(watch: Watch, n: int, columns: Array) -> Array:
    """Return the blocks in which a price of these columns has left an interval, ascending."""
    due = np.zeros(-(-n // WATCH_BLOCK), dtype=np.bool_)
    for column in columns:
        p, low_top, high_top = watch.price[column], watch.low_top[column], watch.high_top[column]
        for block in range(due.size):
            due[block] |= p <= low_top[block] or p >= high_top[block]
    return np.flatnonzero(due)


def look_at_blocks(watch: Watch, n: int, blocks: Array, changed: Array, before: Array) -> Array:
    """Look at the rows of blocks of which a price has left an interval; return the rows whose status changed.

    `before` gets the status before, at the place of each row in the result.
    """
    borders = np.linspace(0, blocks.size, CHUNKS + 1).astype(np.int64)
    counts = np.zeros(CHUNKS, dtype=np.int64)
    _look_at_blocks(blocks.size * WATCH_BLOCK)(watch, n, blocks, changed, before, borders, counts)
    firsts = [WATCH_BLOCK * blocks[border] if border < blocks.size else 0 for border in borders[:-1]]
    parts = [slice(first, first + count) for first, count in zip(firsts, counts, strict=True)]
    rows, old = (np.concatenate([array[part] for part in parts]) for array in (changed, before))
    before[: old.size] = old
    return rows


@one_or_many
def _look_at_blocks(
    watch: Watch, n: int, blocks: Array, changed: Array, before: Array, borders: Array, counts: Array
) -> None:
    for chunk in prange(borders.size - 1):
        low, high = np.empty(watch.price.size), np.empty(watch.price.size)
        for k in range(borders[chunk], borders[chunk + 1]):
            first = blocks[borders[chunk]] * WATCH_BLOCK
            notes = changed[first:], before[first:]
            counts[chunk] = _look_at_block(watch, n, blocks[k], low, high, notes, counts[chunk])


@njit(cache=True)  # not inlined: numba miscompiles what is, inside a prange
def _look_at_block(
    watch: Watch, n: int, block: int, low: Array, high: Array, notes: tuple[Array, Array], count: int
) -> int:
    low[:], high[:] = 0.0, np.inf
    for row in range(block * WATCH_BLOCK, min((block + 1) * WATCH_BLOCK, n)):
        if _is_due(watch, row):
            count = _note(watch, row, notes[0], notes[1], count)
        for cell in range(watch.start[row], watch.start[row] + watch.length[row]):
            column = watch.column[cell]
            low[column], high[column] = max(low[column], watch.low[cell]), min(high[column], watch.high[cell])
    for column in range(low.size):
        watch.low_top[column, block], watch.high_top[column, block] = low[column], high[column]
    return count


@njit(inline="always")
def _is_due(watch: Watch, row: int) -> bool:
    """Say whether a price has left an interval of a row; rows without cells always are, which costs next to nothing."""
    due = watch.length[row] == 0
    for cell in range(watch.start[row], watch.start[row] + watch.length[row]):
        p = watch.price[watch.column[cell]]
        due |= p <= watch.low[cell] or p >= watch.high[cell]
    return bool(due)


@njit(cache=True)
def value_rows(watch: Watch, n: int) -> tuple[Array, Array]:
    """Return E = cash + sum_j q_ij p_j and M = sum_j mu_ij p_j of all rows  [currency]."""
    equity, maintenance = np.empty(n), np.empty(n)
    for row in range(n):
        equity[row], maintenance[row] = value_row(watch, row)
    return equity, maintenance


@njit(cache=True)
def value_row(watch: Watch, row: int) -> tuple[float, float]:
    """Return equity and maintenance of a row  [currency]."""
    value = maintenance = 0.0
    for cell in range(watch.start[row], watch.start[row] + watch.length[row]):
        p = watch.price[watch.column[cell]]
        value += watch.quantity[cell] * p
        maintenance += watch.margin_units[cell] * p
    return float(watch.cash[row] + value), float(maintenance)


@njit(cache=True)
def add_rows(watch: Watch, rows: Array, sign: Array, group: Array, held: Array, cash: Array) -> None:
    """Add rows, or subtract them, to the sums of their groups: units of each asset, and cash."""
    for k in range(rows.size):
        row = rows[k]
        cash[group[row]] += sign[k] * watch.cash[row]
        for cell in range(watch.start[row], watch.start[row] + watch.length[row]):
            held[group[row], watch.column[cell]] += sign[k] * watch.quantity[cell]


@njit(cache=True)
def copy_cells(watch: Watch, n: int, start: Array, source: Array, target: Array) -> None:
    """Copy an array of cells row by row, to the first cells of the rows there."""
    for row in range(n):
        first, size, to = watch.start[row], watch.length[row], start[row]
        target[to : to + size] = source[first : first + size]


@njit(cache=True)
def cell_of(watch: Watch, row: int, column: int) -> tuple[float, float]:
    """Return the quantity and the margin units of a row in a column."""
    for cell in range(watch.start[row], watch.start[row] + watch.length[row]):
        if watch.column[cell] == column:
            return watch.quantity[cell], watch.margin_units[cell]
    return 0.0, 0.0


@njit(cache=True)
def put_cell(watch: Watch, row: int, column: int, room: int, quantity: float, margin_units: float) -> bool:
    """Put a cell in force, kept in column order, closing its place where nothing is left in it; False: no room."""
    first, end = watch.start[row], watch.start[row] + watch.length[row]
    at = first
    while at < end and watch.column[at] < column:
        at += 1
    there = at < end and watch.column[at] == column
    if quantity == 0.0 and margin_units == 0.0:
        if there:
            _move_cells(watch, at + 1, end, -1)
            watch.length[row] -= 1
        return True
    if not there:
        if end - first == room:
            return False
        _move_cells(watch, at, end, 1)
        watch.length[row] += 1
        watch.column[at] = column
    watch.quantity[at], watch.margin_units[at] = quantity, margin_units
    return True


@njit(cache=True)
def _move_cells(watch: Watch, first: int, end: int, by: int) -> None:
    cells = np.arange(first, end)
    for cell in cells if by < 0 else cells[::-1]:
        move_cell(watch, cell, cell + by)


@njit(cache=True)
def move_cell(watch: Watch, source: int, target: int) -> None:
    """Copy a cell to another place."""
    watch.column[target] = watch.column[source]
    watch.quantity[target], watch.margin_units[target] = watch.quantity[source], watch.margin_units[source]
    watch.low[target], watch.high[target] = watch.low[source], watch.high[source]


@njit(cache=True)
def move_row(watch: Watch, row: int, start: int) -> None:
    """Copy the cells of a row to another place, which is its own from then on."""
    for k in range(watch.length[row]):
        move_cell(watch, watch.start[row] + k, start + k)
    watch.start[row] = start
