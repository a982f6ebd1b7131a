"""What each trader loses over many scenarios: sums, counts, and its largest losses, updated a batch at a time.

A trader's row of the tail ascends; of equal losses that of the later scenario is the lesser. So the losses kept are the
same, and in the same places, whatever the order in which the batches come.
"""

import numpy as np
from numba import njit

from contagion_graph.chunks import WIDTH
from contagion_graph.kernels.compiling import Chunks, chunked
from contagion_graph.state import Array, Cells, Ends, Members, Tally, Touched


def add_batch(
    cells: Cells, members: Members, ends: Ends, touched: Touched, span: tuple[int, int], floor: Array, tally: Tally
) -> Array:
    """Add the losses of a batch of scenarios to the tally; return the gross loss of each scenario.

    loss_i = sum_j q_ij (p0_j - p'_j) + b_i C ;  standalone_i = min(sum_j q_ij (p0_j - p_j), max(E_i, 0)), of accounts
    that were neither closed nor short of paying; the losses of the others are given. Gross loss = sum over traders of
    max(loss, 0), the loss of a trader that of all its accounts.

    Parameters
    ----------
    span : (int, int)
        The number of the batch's first scenario, and how many it has.
    floor : array
        Losses of each trader below which none is among its largest.
    """
    borders = np.linspace(0, tally.loss.size, 65).astype(np.int64)
    gross = np.zeros((borders.size - 1, WIDTH))
    _add(tally.loss.size, borders.size - 1, cells, members, ends, touched, span, floor, borders, tally, gross)
    total: Array = gross.sum(axis=0)[: span[1]]
    return total


@chunked
def _add(
    chunks: Chunks, cells: Cells, members: Members, ends: Ends, touched: Touched, span: tuple[int, int],
    floor: Array, borders: Array, tally: Tally, gross: Array,
) -> None:  # fmt: skip
    for chunk in range(chunks[0], chunks[1]):
        loss, alone, closed = np.empty(WIDTH), np.empty(WIDTH), np.empty(WIDTH, dtype=np.bool_)
        after, shocked = np.empty(WIDTH), np.empty(WIDTH)
        largest, which = np.empty(WIDTH), np.empty(WIDTH, dtype=np.int32)
        for trader in range(borders[chunk], borders[chunk + 1]):
            loss[:] = 0.0
            alone[:] = 0.0
            closed[:] = False
            for k in range(members.first[trader], members.first[trader + 1]):
                row = members.rows[k]
                _values(cells, ends, row, after, shocked)
                _losses(members, ends, row, after, shocked)
                for entry in range(touched.first[row], touched.first[row + 1]):
                    after[touched.scenario[entry]] = touched.loss[entry]
                    closed[touched.scenario[entry]] |= touched.closed[entry]
                for b in range(WIDTH):
                    loss[b] += after[b]
                    alone[b] += shocked[b]
            for b in range(WIDTH):
                gross[chunk, b] += max(loss[b], 0.0)
            _count(tally, trader, span[1], loss, alone, closed)
            if tally.tail.shape[1]:
                count = _sorted(loss, span, max(floor[trader], tally.tail[trader, 0]), largest, which)
                if count:  # few are among the largest; a view of a row costs more than most comparisons
                    _keep(tally.tail[trader], tally.which[trader], largest[:count], which[:count])


@njit(inline="always")
def _values(cells: Cells, ends: Ends, row: int, after: Array, shocked: Array) -> None:
    after[:] = 0.0
    shocked[:] = 0.0
    for cell in range(cells.indptr[row], cells.indptr[row + 1]):
        q, column = cells.quantity[cell], cells.indices[cell]
        for b in range(WIDTH):
            after[b] += q * ends.after[column, b]
            shocked[b] += q * ends.shocked[column, b]


@njit(inline="always")
def _losses(members: Members, ends: Ends, row: int, after: Array, shocked: Array) -> None:
    """Turn values into losses: of the whole cascade, and had nobody reacted."""
    value, base, channel = members.value[row], members.base[row], members.channel[row]
    most = max(members.cash[row] + value, 0.0)
    for b in range(WIDTH):
        after[b] = value - after[b] + base * ends.loss_rate[channel, b]
        shocked[b] = min(value - shocked[b], most)


@njit(inline="always")
def _count(tally: Tally, trader: int, size: int, loss: Array, alone: Array, closed: Array) -> None:
    total, square, standalone, count = 0.0, 0.0, 0.0, 0
    for b in range(size):
        total += loss[b]
        square += loss[b] * loss[b]
        standalone += alone[b]
        count += closed[b]
    tally.loss[trader] += total
    tally.square[trader] += square
    tally.standalone[trader] += standalone
    tally.closed[trader] += count


@njit(inline="always")
def _less(loss: float, scenario: int, other: float, other_scenario: int) -> bool:
    return loss < other or (loss == other and scenario > other_scenario)


@njit(inline="always")
def _sorted(loss: Array, span: tuple[int, int], floor: float, largest: Array, which: Array) -> int:
    """Put the losses of a batch from a floor on into order, the least first; return how many there are."""
    count = 0
    for b in range(span[1] - 1, -1, -1):  # of equal ones the later is the lesser
        if loss[b] >= floor:
            place = count
            while place and largest[place - 1] > loss[b]:
                largest[place], which[place] = largest[place - 1], which[place - 1]
                place -= 1
            largest[place], which[place] = loss[b], span[0] + b
            count += 1
    return count


@njit(cache=True)
def _keep(tail: Array, which: Array, loss: Array, scenario: Array) -> None:
    """Merge losses in ascending order into those kept, and drop the least of all."""
    size, new = loss.size, 0
    while new < min(size, tail.size) and _less(tail[new], which[new], loss[size - 1 - new], scenario[size - 1 - new]):
        new += 1
    old, next_one = new, size - new  # the least of those kept give way to the largest new ones
    if 0 < new < tail.size and tail[new] == -np.inf:  # there is room for more
        old = int(np.searchsorted(tail, -np.inf, side="right"))
    for place in range(old - new, tail.size):
        if next_one == size:
            break
        if old < tail.size and _less(tail[old], which[old], loss[next_one], scenario[next_one]):
            tail[place], which[place] = tail[old], which[old]
            old += 1
        else:
            tail[place], which[place] = loss[next_one], scenario[next_one]
            next_one += 1


@njit(cache=True)
def merge_tails(tally: Tally, other: Tally) -> None:
    """Keep the largest losses of two tallies in the first."""
    for trader in range(tally.loss.size if tally.tail.shape[1] else 0):
        if other.tail[trader, -1] >= tally.tail[trader, 0]:
            _keep(tally.tail[trader], tally.which[trader], other.tail[trader], other.which[trader])
