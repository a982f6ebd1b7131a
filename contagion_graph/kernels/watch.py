"""Accounts under a stream of prices: after each price, only the candidates are revalued (docs/screening.md).

An account is sound (E >= M), in breach (E < M, E > 0) or under water (E < M, E <= 0). Let it be valued at prices p, and
be sound, with slack s = E - M. At prices p' its slack has fallen by sum_j |d_j| |p'_j - p_j| at most, over the assets
that moved against it, d = q - mu. So it is sound as long as none of its prices moved against it by more than

    r = s / sum_j |d_j| p_j,          that is, before p'_j <= low_j = p_j (1 - r), or p'_j >= high_j = p_j (1 + r)

where d_j > 0, or d_j < 0. In breach, M - E bounds the way to recovery and E, with q for d, the way under water; under
water, -E the way back. Each cell keeps its trigger prices `low` and `high`. For each asset, each block of accounts
keeps the highest low and the lowest high (the first to be reached), and each tile of blocks those of its blocks. A
price that lies between both passes over the whole tile or block (screening). Rows of which a price has reached a
trigger are candidates: they are revalued, and their triggers set anew.

Where asset j has tiers, mu in d is |q| times the lowest rate of a long, the highest of a short: E - M never
falls faster. Rows on scenario grids have no triggers; `book.put_margins` gives them the status of their margin.

Every s is lessened by a guard, far above the rounding of a row's sums, and no trigger lies beyond `FAR` times the
price, so that the status is always the one that a full revaluation would find. Triggers are kept in single precision,
half of the memory for a pass to read; they are rounded towards the price, which makes a row a candidate earlier.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from contagion_graph.kernels.compiling import Chunks, chunked, fetch_row
from contagion_graph.kernels.grids import tier_of
from contagion_graph.state import Array, Tiers, Watch

WATCH_BLOCK = 64
SOUND, BREACH, UNDER = 0, 1, 2
GUARD = 1e-12
FAR = 16.0
CHUNKS = 16  # pieces in which tiles are revalued, on any number of threads
TILE = 16  # blocks; the highest lows of an asset in them are one cache line, those of all assets lie side by side
UP, DOWN, LEAST = 1.0 + 2.0**-23, 1.0 - 2.0**-23, 2.0**-149  # more than single precision rounds by; near 0
LARGEST = float(
    np.finfo(np.float32).max
)  # of a price beyond it the triggers are below it: its holders are always candidates


def tiles_of(n: int) -> int:
    """Return how many tiles n rows take."""
    return -(-n // (WATCH_BLOCK * TILE))


@njit(inline="always")
def status_of(equity: float, maintenance: float) -> int:
    """Return whether an account is sound, in breach, or under water."""
    if equity - maintenance >= 0.0:
        return SOUND
    return UNDER if equity <= 0.0 else BREACH


def margin_of(tiers: Tiers | None, j: Any, q: float, mu: float, p: float) -> float:
    """Return the margin of q units of an asset that have mu margin units, at a price; compiled code calls it."""
    raise NotImplementedError


@overload(margin_of)
def _margin_of(tiers: Any, j: Any, q: Any, mu: Any, p: Any) -> Any:
    def flat(tiers: Any, j: Any, q: Any, mu: Any, p: Any) -> Any:
        return mu * p

    def with_tiers(tiers: Any, j: Any, q: Any, mu: Any, p: Any) -> Any:
        margin = mu * p
        if tiers.first[j] < tiers.first[j + 1]:
            tier = tier_of(tiers, j, abs(q) * p)
            margin = tiers.rate[tier] * (abs(q) * p) - tiers.amount[tier]
        return margin

    return flat if isinstance(tiers, types.NoneType) else with_tiers  # loops over flat rates look for no tier


def _units(tiers: Tiers | None, j: Any, q: float, mu: float) -> float:
    """Return mu in d: where a price moves against its holder, slack falls by at most |q - mu| times the move."""
    raise NotImplementedError


@overload(_units)
def _units_of(tiers: Any, j: Any, q: Any, mu: Any) -> Any:
    def flat(tiers: Any, j: Any, q: Any, mu: Any) -> Any:
        return mu

    def with_tiers(tiers: Any, j: Any, q: Any, mu: Any) -> Any:
        begin, end = tiers.first[j], tiers.first[j + 1]
        units = mu
        if begin < end:
            tier = begin
            if q < 0.0:
                tier = end - 1
            units = abs(q) * tiers.rate[tier]
        return units

    return flat if isinstance(tiers, types.NoneType) else with_tiers


@njit(inline="always")
def _way(left: float, size: float, sensitivity: float) -> float:
    """Return the share by which prices can move before `left` is used up, lessened by more than rounding amounts to."""
    slope = sensitivity + GUARD * size
    return max(left - GUARD * size, 0.0) / slope * (1.0 - GUARD) if slope > 0.0 else np.inf


@njit(inline="always")
def _ends(watch: Watch, row: Any) -> tuple[Any, Any]:
    """Return the first cell of a row and where they end, unsigned: such indexes need no test for negative ones."""
    first = np.uintp(watch.start[row])
    return first, first + np.uintp(watch.length[row])


@njit(inline="always")
def _revalue_row(watch: Watch, row: Any) -> int:
    """Value a row at the present prices, set its triggers, and return its status."""
    value = maintenance = gross = slope = 0.0
    first, end = _ends(watch, row)
    for cell in range(first, end):
        j, q, mu = watch.column[cell], watch.quantity[cell], watch.margin_units[cell]
        p = watch.price[j]
        value += q * p
        maintenance += margin_of(watch.tiers, j, q, mu, p)
        gross += abs(q) * p
        slope += abs(q - _units(watch.tiers, j, q, mu)) * p
    equity = watch.cash[row] + value
    status = status_of(equity, maintenance)
    size = abs(watch.cash[row]) + gross + maintenance
    to_line = _way(abs(equity - maintenance), size, slope) if status != UNDER else np.inf
    to_zero = _way(abs(equity), size, gross) if status != SOUND else np.inf
    # shares of the price: with d, down to `fall` and up to `rise`; with q, where that counts, to `lower` and `upper`
    fall, rise = max(1.0 - to_line, 0.0) * UP, min(1.0 + to_line, FAR) * DOWN
    lower, upper = max(1.0 - to_zero, 0.0) * UP, min(1.0 + to_zero, FAR) * DOWN
    against, beyond = 1.0 if status == SOUND else -1.0, (0.0, 1.0, -1.0)[status]
    for cell in range(first, end):
        j, q, mu = watch.column[cell], watch.quantity[cell], watch.margin_units[cell]
        p = watch.price[j]
        side, other = against * (q - _units(watch.tiers, j, q, mu)), beyond * q
        low, high = fall if side > 0.0 else 0.0, rise if side < 0.0 else FAR
        low, high = max(low, lower) if other > 0.0 else low, min(high, upper) if other < 0.0 else high
        watch.low[cell] = np.float32(min(p * low + LEAST, LARGEST) if low > 0.0 else 0.0)
        watch.high[cell] = np.float32(min(p * high, LARGEST) - LEAST)
    return status


@njit(inline="always")
def _widen_blocks(watch: Watch, row: int) -> None:
    block = row // WATCH_BLOCK
    tile, k = block // TILE, block % TILE
    for cell in range(*_ends(watch, row)):
        column, low, high = watch.column[cell], watch.low[cell], watch.high[cell]
        watch.block_low[tile, column, k] = max(watch.block_low[tile, column, k], low)
        watch.block_high[tile, column, k] = min(watch.block_high[tile, column, k], high)
        watch.tile_low[column, tile] = max(watch.tile_low[column, tile], low)
        watch.tile_high[column, tile] = min(watch.tile_high[column, tile], high)


@njit(cache=True)
def revalue_row(watch: Watch, row: int) -> int:
    """Revalue one row, after it was changed; return its status."""
    watch.status[row] = _revalue_row(watch, row)
    _widen_blocks(watch, row)
    return int(watch.status[row])


@njit(cache=True)
def revalue_column(watch: Watch, n: int, column: int, changed: Array, before: Array) -> int:
    """Revalue the rows whose trigger in one asset its price has reached; return how many changed their status.

    Which rows, and their status before, go into `changed` and `before`.
    """
    p, count = watch.price[column], 0
    tile_low, tile_high = watch.tile_low[column], watch.tile_high[column]
    for tile in range(tile_low.size):
        if p > tile_low[tile] and p < tile_high[tile]:
            continue
        block_low, block_high = watch.block_low[tile, column], watch.block_high[tile, column]
        for k in range(TILE):
            if p <= block_low[k] or p >= block_high[k]:
                count = _revalue_holders(watch, n, column, tile * TILE + k, (changed, before), count)
        tile_low[tile], tile_high[tile] = block_low.max(), block_high.min()
    return count


@njit(inline="always")
def _revalue_holders(watch: Watch, n: int, column: int, block: int, notes: tuple[Array, Array], count: int) -> int:
    """Revalue the rows of a block whose trigger in one asset its price has reached; return how many are noted."""
    p, low, high = watch.price[column], 0.0, np.inf
    for row in range(block * WATCH_BLOCK, min((block + 1) * WATCH_BLOCK, n)):
        for cell in range(*_ends(watch, row)):
            if watch.column[cell] < column:
                continue
            if watch.column[cell] == column:
                if p <= watch.low[cell] or p >= watch.high[cell]:
                    count = _note(watch, row, notes[0], notes[1], count)
                    _widen_blocks(watch, row)
                low, high = max(low, watch.low[cell]), min(high, watch.high[cell])
            break
    watch.block_low[block // TILE, column, block % TILE], watch.block_high[block // TILE, column, block % TILE] = (
        low,
        high,
    )
    return count


@njit(inline="always")
def _note(watch: Watch, row: Any, changed: Array, before: Array, count: int) -> int:
    """Revalue a row, and note it where its status changed; return how many are noted."""
    old = watch.status[row]
    watch.status[row] = _revalue_row(watch, row)
    if watch.status[row] == old:
        return count
    changed[count], before[count] = row, old
    return count + 1


@njit(cache=True)
def candidate_tiles(watch: Watch, columns: Array) -> Array:
    """Return of each tile whether a price of these columns has reached a trigger there."""
    candidate = np.zeros(watch.tile_low.shape[1], dtype=np.bool_)
    for column in columns:
        p, tile_low, tile_high = watch.price[column], watch.tile_low[column], watch.tile_high[column]
        for tile in range(candidate.size):
            candidate[tile] |= (p <= tile_low[tile]) | (p >= tile_high[tile])
    return candidate


def revalue_columns(watch: Watch, n: int, columns: Array, changed: Array, before: Array) -> Array:
    """Revalue the rows whose trigger in one of several assets its price has reached; return those whose status changed.

    `before` gets the status before, at the place of each row in the result.
    """
    candidate = candidate_tiles(watch, columns)
    borders = np.linspace(0, candidate.size, CHUNKS + 1).astype(np.int64)
    counts = np.zeros(CHUNKS, dtype=np.int64)
    rows = int(np.count_nonzero(candidate)) * TILE * WATCH_BLOCK
    _revalue_tiles(rows, CHUNKS, watch, n, (columns, candidate), changed, before, borders, counts)
    firsts = (borders[:-1] * (TILE * WATCH_BLOCK)).tolist()
    parts = [slice(first, first + count) for first, count in zip(firsts, counts.tolist(), strict=True)]
    noted, old = (np.concatenate([array[part] for part in parts]) for array in (changed, before))
    before[: old.size] = old
    return noted


@chunked
def _revalue_tiles(
    chunks: Chunks, watch: Watch, n: int, what: tuple[Array, Array], changed: Array, before: Array,
    borders: Array, counts: Array,
) -> None:  # fmt: skip
    for chunk in range(chunks[0], chunks[1]):
        row = borders[chunk] * TILE * WATCH_BLOCK
        notes = changed[row:], before[row:]
        counts[chunk] = _revalue_chunk(watch, n, what, borders[chunk], borders[chunk + 1], notes)


@njit(cache=True)
def _revalue_chunk(
    watch: Watch, n: int, what: tuple[Array, Array], first: int, last: int, notes: tuple[Array, Array]
) -> int:
    (columns, candidate), count, found = what, 0, np.empty(WATCH_BLOCK, dtype=np.uintp)
    above, below = _single(watch.price, columns)
    left = np.empty((watch.price.size, TILE), dtype=np.uint8)
    for tile in range(np.uintp(first), np.uintp(last)):
        if not candidate[tile]:
            continue
        block_low, block_high = watch.block_low[tile], watch.block_high[tile]
        _candidate_blocks(above.ravel(), below.ravel(), block_low.ravel(), block_high.ravel(), left.ravel())
        for k in range(np.uintp(TILE)):
            if left[0, k]:
                row = (tile * np.uintp(TILE) + k) * np.uintp(WATCH_BLOCK)
                end = min(row + np.uintp(WATCH_BLOCK), np.uintp(n))
                for one in found[: _candidate_rows(watch, row, end, found)]:
                    count = _note(watch, one, notes[0], notes[1], count)
                _gather_blocks(watch, row, end, block_low, block_high, k)
        _set_tile(block_low, block_high, watch.tile_low[:, tile], watch.tile_high[:, tile])
    return count


@njit(cache=True)
def _single(price: Array, columns: Array) -> tuple[Array, Array]:
    """Return the single-precision numbers next to the prices of some columns, from above and from below, for a tile."""
    above = np.full((price.size, TILE), np.inf, dtype=np.float32)
    below = -above
    for column in columns:
        p, near = price[column], np.float32(price[column])
        above[column] = near if near >= p else np.nextafter(near, np.float32(np.inf))
        below[column] = near if near <= p else np.nextafter(near, np.float32(-np.inf))
    return above, below


@njit(cache=True)
def _candidate_blocks(above: Array, below: Array, block_low: Array, block_high: Array, left: Array) -> None:
    """Find, for every asset alike, the blocks of a tile in which a price has reached a trigger; reset their bounds."""
    for k in range(left.size):  # long loops without branches: sixteen numbers at a time
        left[k] = (above[k] <= block_low[k]) | (below[k] >= block_high[k])
    words = left.view(np.uint64)
    one = other = np.uint64(0)
    for k in range(0, words.size, 2):
        one, other = one | words[k], other | words[k + 1]
    for k in range(0, words.size, 2):
        words[k], words[k + 1] = one, other
    for k in range(left.size):
        block_low[k] = np.float32(0.0) if left[k] else block_low[k]
        block_high[k] = np.float32(np.inf) if left[k] else block_high[k]


@njit(cache=True, fastmath={"nnan", "nsz"})  # several lanes at a time
def _set_tile(block_low: Array, block_high: Array, tile_low: Array, tile_high: Array) -> None:
    for column in range(block_low.shape[0]):
        low, high = block_low[column, 0], block_high[column, 0]
        for k in range(1, TILE):
            low, high = max(low, block_low[column, k]), min(high, block_high[column, k])
        tile_low[column], tile_high[column] = low, high


@njit(inline="always")
def _candidate_rows(watch: Watch, first: Any, last: Any, found: Array) -> Any:
    """Find the rows of which a price has reached a trigger, and have their cells fetched; return how many there are.

    Rows without cells always are candidates, which costs almost nothing.
    """
    count = np.uintp(0)
    for row in range(first, last):
        start, end = _ends(watch, row)
        candidate = start == end
        for cell in range(start, end):
            p = watch.price[watch.column[cell]]
            candidate |= (p <= watch.low[cell]) | (p >= watch.high[cell])
        found[count] = row  # without a branch, which would be predicted wrongly at each candidate
        count += np.uintp(candidate)
    for k in range(count):
        fetch_row(watch.start, watch.column, watch.quantity, watch.margin_units, found[k])
    return count


@njit(inline="always")
def _gather_blocks(watch: Watch, first: Any, last: Any, low: Array, high: Array, k: Any) -> None:
    """Raise bounds of a block to the highest low and the lowest high of its rows; rows side by side are one run."""
    row = first
    while row < last:
        start, end = _ends(watch, row)
        row += np.uintp(1)
        while row < last and np.uintp(watch.start[row]) == end:
            end += np.uintp(watch.length[row])
            row += np.uintp(1)
        for cell in range(start, end):
            j = watch.column[cell]
            low[j, k], high[j, k] = max(low[j, k], watch.low[cell]), min(high[j, k], watch.high[cell])
