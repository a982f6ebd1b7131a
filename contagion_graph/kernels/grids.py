"""Maintenance margins that are no flat rates: margin tiers, and scenario grids by risk group."""

import numpy as np
from numba import njit

from contagion_graph.kernels.compiling import Chunks, chunked
from contagion_graph.state import Array, Cells, Segments, Tiers


def tier_rows(cells: Cells, tiers: Tiers, price: Array, rows: Array, borders: Array) -> Array:
    """Return the maintenance margin of rows at a price, shape (len(rows),) [currency].

    margin_k = sum_j r_l n_ij - d_l ;  n_ij = |q_ij| p_j ;  l the last tier of asset j that begins at n_ij or below: the
    largest of its affine pieces;  mu_ij p_j where asset j has no tiers;  i = rows[k]
    """
    out = np.empty(rows.size)
    _tiers(rows.size, borders.size - 1, cells, tiers, price, rows, borders, out)
    return out


@njit(inline="always")
def _last_tier(tiers: Tiers, column: int, notional: float) -> int:
    tier, end = tiers.first[column], tiers.first[column + 1]
    while tier + 1 < end and notional >= tiers.lower[tier + 1]:
        tier += 1
    return int(tier)


@chunked
def _tiers(chunks: Chunks, cells: Cells, tiers: Tiers, price: Array, rows: Array, borders: Array, out: Array) -> None:
    for chunk in range(chunks[0], chunks[1]):
        for k in range(borders[chunk], borders[chunk + 1]):
            margin = 0.0
            for cell in range(cells.indptr[rows[k]], cells.indptr[rows[k] + 1]):
                j = cells.indices[cell]
                if tiers.first[j] == tiers.first[j + 1]:
                    margin += cells.margin_units[cell] * price[j]
                else:
                    notional = abs(cells.quantity[cell]) * price[j]
                    tier = _last_tier(tiers, j, notional)
                    margin += tiers.rate[tier] * notional - tiers.amount[tier]
            out[k] = margin


def grid_rows(segments: Segments, gains: Array, borders: Array) -> tuple[Array, Array, Array]:
    """Return the margin of accounts, and of each segment its margin and the scenario that binds; -1: none is a loss.

    margin of a segment = max(0, max_s -sum_j q_ij L_js) over the cells j of a risk group of account i;  that of the
    account is the sum over its segments [currency]

    Parameters
    ----------
    segments : Segments
        Cells of the accounts, by risk group.
    gains : ndarray, shape (m, S)
        L: what one unit of each asset gains in each scenario, C-contiguous [currency per unit].
    borders : ndarray
        Accounts at which the chunks begin and end.
    """
    margin, cost = np.empty(segments.first.size - 1), np.empty(segments.start.size - 1)
    scenario = np.empty(cost.size, dtype=np.int32)
    ends = np.argmin(gains, axis=1), np.argmax(gains, axis=1)
    _grids(margin.size, borders.size - 1, segments, gains, *ends, borders, margin, cost, scenario)
    return margin, cost, scenario


@chunked
def _grids(
    chunks: Chunks, segments: Segments, gains: Array, lowest: Array, highest: Array, borders: Array, margin: Array,
    cost: Array, scenario: Array,
) -> None:  # fmt: skip
    gain = np.empty(gains.shape[1])
    for chunk in range(chunks[0], chunks[1]):
        for k in range(borders[chunk], borders[chunk + 1]):
            margin[k] = 0.0
            for segment in range(segments.first[k], segments.first[k + 1]):
                start, end = segments.start[segment], segments.start[segment + 1]
                if end == start + 1:  # of one cell the extremes are known
                    q, column = segments.quantity[start], segments.column[start]
                    binding = lowest[column] if q > 0.0 else highest[column]
                    least = q * gains[column, binding]
                else:
                    _add_up(segments, gains, start, end, gain)
                    least = _least(gain)
                    binding = 0
                    while binding + 1 < gain.size and gain[binding] != least:
                        binding += 1
                cost[segment] = max(-least, 0.0)
                scenario[segment] = binding if least < 0.0 else -1
                margin[k] += cost[segment]


@njit(inline="always")
def _add_up(segments: Segments, gains: Array, start: int, end: int, gain: Array) -> None:
    """Set what cells gain together in each scenario."""
    gain[:] = 0.0
    for cell in range(start, end):
        row, q = gains[segments.column[cell]], segments.quantity[cell]
        for s in range(gain.size):
            gain[s] += q * row[s]


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})  # a least value has the same bits in any order
def _least(gain: Array) -> float:
    least = gain[0]
    for s in range(1, gain.size):
        least = min(least, gain[s])
    return float(least)
