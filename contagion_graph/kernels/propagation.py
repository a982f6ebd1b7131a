"""Distress passed on along links, round by round, among the nodes that are still in play.

At the stress h_j, what it has lost over its equity, node j passes on the share g(h_j) of what it owes, and its
creditor i so suffers h_i <- h_i + sum_j Lambda_ij (g_now - g_before)_j. A node that has passed on everything drops out,
as a row and as a column: its own stress is worked out once, at the end. Every case is followed alone, so that its bits
depend on no other case.

**When to stop.** Let d be the rises of g in a round and d' those of an earlier one, m rounds ago. If d <= theta d' in
every node, and g is linear, then every later rise is at most theta times the one m rounds before it, and all the stress
still to come is at most theta / (1 - theta) times what came since: a bound, not an estimate. For g(h) =
h exp(alpha (h - 1)), whose slope grows with h, theta is enlarged by exp(2 alpha (m + 1) D), D the stress that came and
will come: slopes m rounds apart differ by no more over all rounds together. That holds up to theta = 1/2, where D is at
most twice what came.
"""

from typing import Any

import numpy as np
from numba import njit, prange

from contagion_graph.kernels.compiling import one_or_many
from contagion_graph.state import GONE, Array, Links, Passing

WORTH_DROPPING = 0.6  # others drop out of the arrays when so few of the rows are still in play


def spread(links: Links, passing: Passing, given: Array, tol: float, max_rounds: int) -> tuple[Array, ...]:
    """Pass distress on in every case until it rests, is known within `tol`, or `max_rounds` are over.

    Parameters
    ----------
    given : array, shape (b, n)
        Stress at the start.

    Returns
    -------
    tuple of arrays
        Stress at the end, and what each node passed on, g, shape (b, n); the round in which its equity was gone,
        0 = never, shape (b, n); and shape (b, 2): the rounds, and the bound on what is still to come, infinite where
        nothing is known.
    """
    level, share, wave = given.copy(), np.zeros_like(given), np.zeros(given.shape, dtype=np.int32)
    ends = np.empty((given.shape[0], 2))
    many = given.size if given.shape[0] > 1 else 0
    _spread(many)(links, passing, given, (tol, max_rounds), level, share, wave, ends)
    return level, share, wave, ends


@one_or_many
def _spread(
    links: Links, passing: Passing, given: Array, limits: tuple[float, int], level: Array, share: Array, wave: Array,
    ends: Array,
) -> None:  # fmt: skip
    for case in prange(given.shape[0]):
        _follow(links, passing, limits, level[case], share[case], wave[case], ends[case])
        _pull_all(links, given[case], share[case], level[case])


@njit(cache=True)
def _passed_on(passing: Passing, node: Any, level: float) -> float:
    """Return g(h)."""
    if passing.threshold.size:
        return 1.0 if level >= passing.threshold[node] * GONE else 0.0
    if level >= 1.0:
        return 1.0
    return float(level * np.exp(passing.alpha * (level - 1.0))) if passing.alpha else level


@njit(cache=True)
def _follow(
    links: Links, passing: Passing, limits: tuple[float, int], level: Array, share: Array, wave: Array, end: Array
) -> None:
    n = level.size
    rise, earlier, done = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_)
    rows, count, packed = np.arange(n), n, False
    kept = Links(np.empty(0, np.int64), np.empty(0, np.uint32), np.empty(0))
    rounds, compared, climbed = 0, 0, 0.0
    while True:
        ratio = _look(passing, level, share, wave, (rise, earlier, done), rows[:count], rounds + 1)
        end[0], end[1] = rounds, _bound(ratio, climbed, passing.alpha * (rounds - compared + 1))
        if end[1] <= limits[0] or rounds == limits[1]:
            return
        if 2 * rounds >= 3 * compared:
            earlier[:], compared, climbed = rise, rounds, 0.0
        rounds += 1
        if packed:  # `links` cannot be written to and so is of another kind than `kept`
            climbed += _pull(kept, rise, level, done, rows[:count])
        else:
            climbed += _pull(links, rise, level, done, rows[:count])
        alive = count - int(np.count_nonzero(done[rows[:count]]))
        if alive < WORTH_DROPPING * count:
            if packed:
                _drop(kept, kept, rise, done, rows[:count])
            else:
                cells = _cells_in_play(links, done)
                kept = Links(np.empty(alive + 1, np.int64), np.empty(cells, np.uint32), np.empty(cells))
                _drop(links, kept, rise, done, rows)
                packed = True
            count = alive


@njit(cache=True)
def _look(
    passing: Passing, level: Array, share: Array, wave: Array, work: tuple[Array, Array, Array], rows: Array,
    number: int,
) -> float:  # fmt: skip
    """Set how much more each node passes on; return the largest ratio to an earlier round, -1 where nobody does."""
    rise, earlier, done = work
    ratio = -1.0
    for k in range(np.uintp(rows.size)):
        node = np.uintp(rows[k])
        grown = 0.0
        if not done[node]:
            passes = _passed_on(passing, node, level[node])
            if wave[node] == 0 and level[node] >= (passing.threshold[node] if passing.threshold.size else 1.0) * GONE:
                wave[node] = number
            if passes > share[node] and not (passing.once and share[node] > 0.0):
                grown = passes - share[node]
                if grown > ratio * earlier[node]:  # a product is cheaper than a quotient, and seldom is one larger
                    ratio = grown / earlier[node] if earlier[node] > 0.0 else np.inf
                share[node] = passes
            done[node] = wave[node] > 0 if passing.once else share[node] == 1.0
        rise[node] = grown
    return ratio


@njit(cache=True)
def _bound(ratio: float, climbed: float, steepness: float) -> float:
    """Return the most stress that can still come to a node; `steepness` is alpha (m + 1)."""
    if ratio < 0.0:
        return 0.0
    theta = ratio * np.exp(min(4.0 * steepness * climbed, 700.0))
    if theta >= 1.0 or (steepness > 0.0 and theta > 0.5):
        return np.inf
    return float(theta / (1.0 - theta) * climbed)


@njit(cache=True)
def _pull(links: Links, rise: Array, level: Array, done: Array, rows: Array) -> float:
    """Add what each row's debtors pass on to its stress; return the largest climb."""
    climb = 0.0
    for k in range(np.uintp(rows.size)):  # unsigned numbers need no test for negative ones
        node = np.uintp(rows[k])
        if not done[node]:
            total = 0.0
            for cell in range(np.uintp(links.indptr[k]), np.uintp(links.indptr[k + np.uintp(1)])):
                total += links.share[cell] * rise[links.indices[cell]]
            level[node] += total
            climb = max(climb, total)
    return climb


@njit(cache=True)
def _cells_in_play(links: Links, done: Array) -> int:
    """Return how many cells the rows in play have."""
    cells = 0
    for node in range(done.size):
        if not done[node]:
            cells += links.indptr[node + 1] - links.indptr[node]
    return cells


@njit(cache=True)
def _drop(links: Links, kept: Links, rise: Array, done: Array, rows: Array) -> None:
    """Copy the rows and columns still in play, in order and perhaps in place."""
    count, cells, first = 0, 0, links.indptr[0]
    for k in range(rows.size):
        node, last = rows[k], links.indptr[k + 1]
        if done[node]:
            rise[node] = 0.0
        else:
            rows[count], kept.indptr[count] = node, cells
            for cell in range(first, last):
                kept.indices[cells], kept.share[cells] = links.indices[cell], links.share[cell]
                cells += not done[links.indices[cell]]  # what is not kept is written over
            count += 1
        first = last
    kept.indptr[count] = cells


@njit(cache=True)
def _pull_all(links: Links, given: Array, share: Array, level: Array) -> None:
    """Set h = given + Lambda g."""
    for node in range(np.uintp(level.size)):
        total = 0.0
        for cell in range(np.uintp(links.indptr[node]), np.uintp(links.indptr[node + np.uintp(1)])):
            total += links.share[cell] * share[links.indices[cell]]
        level[node] = given[node] + total
