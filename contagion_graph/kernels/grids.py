"""Maintenance margins that are no flat rates, of what accounts have left: margin tiers, and scenario grids.

Both are sums of largest affine pieces of the positions. Where a next sale is given, its relief comes with the margin:
by how much the margin falls, per unit of a further share of all that is left and sellable, while the same pieces bind.
"""

import numpy as np
from numba import njit

from contagion_graph.kernels.compiling import Chunks, chunked
from contagion_graph.state import Array, Cells, Left, Segments, Strikes, Tiers

NONE = -1  # no scenario is a loss; no netting set


def tier_rows(cells: Cells, tiers: Tiers, price: Array, left: Left, rows: Array, borders: Array) -> tuple[Array, Array]:
    """Return the maintenance margin of rows, and its relief, shape (len(rows),) each [currency].

    margin_k = sum_j r_l n_ij - d_l ;  n_ij = |q_ij| p_j ;  l the last tier of asset j that begins at n_ij or below: the
    largest of its affine pieces;  mu_ij p_j where asset j has no tiers;  i = rows[k]

    Parameters
    ----------
    borders : array
        Where among the rows the chunks begin and end.
    """
    out = np.empty((2, rows.size))
    _tiers(rows.size, borders.size - 1, cells, tiers, price, left, rows, borders, out)
    return out[0], out[1]


@njit(inline="always")
def tier_of(tiers: Tiers, j: int, notional: float) -> int:
    """Return the last tier of an asset that has tiers which begins at a notional or below."""
    tier = tiers.first[j]
    while tier + 1 < tiers.first[j + 1] and notional >= tiers.lower[tier + 1]:
        tier += 1
    return int(tier)


@njit(inline="always")
def _kept(closed: tuple[float, float, float], falls: float, q: float) -> float:
    """Return which share of a position stays."""
    return (1.0 - (closed[1] if q < 0.0 else closed[0]) * falls) * (1.0 - closed[2] * falls)


@njit(inline="always")
def _falling(closed: tuple[float, float, float], falls: float, q: float) -> float:
    """Return which share of a position the next sale takes at most."""
    return (1.0 - (closed[1] if q < 0.0 else closed[0]) * falls) * falls


@chunked
def _tiers(
    chunks: Chunks, cells: Cells, tiers: Tiers, price: Array, left: Left, rows: Array, borders: Array, out: Array
) -> None:
    indptr, indices, quantity, margin_units = cells
    first, _, rate, amount = tiers
    closed_long, closed_short, sellable, following = left
    for k in range(borders[chunks[0]], borders[chunks[1]]):
        row, margin, relief = rows[k], 0.0, 0.0
        closed = closed_long[row], closed_short[row], following[k] if following.size else 0.0
        for cell in range(indptr[row], indptr[row + 1]):
            j, q = indices[cell], quantity[cell]
            kept, falling = _kept(closed, sellable[j], q), _falling(closed, sellable[j], q)
            if first[j] == first[j + 1]:
                flat = margin_units[cell] * price[j]
                margin += flat * kept
                relief += flat * falling
            else:
                notional = abs(q) * price[j]
                tier = tier_of(tiers, j, notional * kept)
                margin += rate[tier] * (notional * kept) - amount[tier]
                relief += rate[tier] * (notional * falling)
        out[0, k], out[1, k] = margin, relief


def grid_rows(
    segments: Segments, gains: Array, strikes: Strikes, left: Left, places: Array, rows: Array, borders: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Return the margin of accounts and its relief; of each segment its cost, contingency, and what binds.

    The cost of a segment is max(0, max_s -sum_j q_ij L_js) over the cells j of a risk group of account i, its
    contingency sum over netting sets max(0, -sum q_ij) c; the margin of an account is the sum over its segments
    [currency]. The scenario that binds is -1 where none is a loss; it is looked for only where a next sale is given.
    Segments of other accounts are not set.

    Parameters
    ----------
    segments : Segments
        Cells of the accounts of the grid, by risk group.
    gains : ndarray, shape (m, S)
        L: what one unit of each asset gains in each scenario, C-contiguous [currency per unit].
    strikes : Strikes
        Which assets net by strike; of no asset where none does.
    left : Left
        What is left of the positions of all rows.
    places, rows : ndarray of int
        Of the accounts asked for, the place in the grid, and the row.
    borders : ndarray
        Where among the accounts the chunks begin and end.
    """
    out, of_segments = np.empty((2, rows.size)), np.empty((2, segments.start.size - 1))
    scenario = np.empty(segments.start.size - 1, dtype=np.int32)
    ends = np.argmin(gains, axis=1), np.argmax(gains, axis=1)
    arrays = (segments, gains, *ends, strikes, left, places, rows, borders, out, of_segments, scenario)
    _grids(rows.size, borders.size - 1, *arrays)
    return out[0], out[1], of_segments[0], of_segments[1], scenario


@chunked
def _grids(
    chunks: Chunks, segments: Segments, gains: Array, lowest: Array, highest: Array, strikes: Strikes, left: Left,
    places: Array, rows: Array, borders: Array, out: Array, of_segments: Array, scenario: Array,
) -> None:  # fmt: skip
    first, start, columns, quantity = segments
    closed_long, closed_short, sellable, following = left
    netting, cost_of_short = strikes
    gain = np.empty(gains.shape[1])
    for k in range(borders[chunks[0]], borders[chunks[1]]):
        row, margin, relief = rows[k], 0.0, 0.0
        closed = closed_long[row], closed_short[row], following[k] if following.size else 0.0
        for segment in range(first[places[k]], first[places[k] + 1]):
            begin, end, contingency = start[segment], start[segment + 1], 0.0
            if end == begin + 1:  # of one cell the extremes are known
                q, column = quantity[begin], columns[begin]
                binding = lowest[column] if q > 0.0 else highest[column]
                least = q * _kept(closed, sellable[column], q) * gains[column, binding]
            else:
                gain[:] = 0.0
                for cell in range(begin, end):
                    q, column = quantity[cell], columns[cell]
                    q *= _kept(closed, sellable[column], q)
                    of_column = gains[column]
                    for s in range(gain.size):
                        gain[s] += q * of_column[s]
                least, binding = _least(gain), 0
                while following.size and binding + 1 < gain.size and gain[binding] != least:
                    binding += 1
            if least < 0.0 and following.size:
                for cell in range(begin, end):
                    q, column = quantity[cell], columns[cell]
                    relief -= q * _falling(closed, sellable[column], q) * gains[column, binding]
            if netting.size:
                contingency, freed = _contingency(
                    columns, quantity, netting, cost_of_short, sellable, closed, begin, end
                )
                relief += freed
            cost, scenario[segment] = max(-least, 0.0), binding if least < 0.0 else NONE
            of_segments[0, segment], of_segments[1, segment] = cost, contingency
            margin += cost + contingency
        out[0, k], out[1, k] = margin, relief


@njit(inline="always")
def _contingency(
    columns: Array, quantity: Array, netting: Array, cost: Array, sellable: Array, closed: tuple[float, float, float],
    begin: int, end: int,
) -> tuple[float, float]:  # fmt: skip
    """Return what the net short options of a segment cost, by netting set, and how much of it the next sale frees."""
    total = freed = net = falling = 0.0
    for cell in range(begin, end):
        q, column = quantity[cell], columns[cell]
        net += q * _kept(closed, sellable[column], q)
        falling += q * _falling(closed, sellable[column], q)
        own = netting[column]
        if own == NONE or cell + 1 == end or netting[columns[cell + 1]] != own:
            if own != NONE and net < 0.0:
                total -= net * cost[column]
                freed -= falling * cost[column]
            net = falling = 0.0
    return total, freed


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})  # a least value has the same bits in any order
def _least(gain: Array) -> float:
    least = gain[0]
    for s in range(1, gain.size):
        least = min(least, gain[s])
    return float(least)
