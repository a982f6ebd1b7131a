"""Distress passed on along links, round by round, among the nodes that are still in play.

At the stress h_j, what it has lost over its equity, node j passes on the share g(h_j) of what it owes, and its
creditor i so suffers h_i <- h_i + sum_j Lambda_ij (g_now - g_before)_j. A node that has passed on everything drops out,
as a row and as a column: its own stress is worked out once, at the end. Several cases go in step, one a lane: a cell is
read once for all of them. What a lane does not need adds 0 to it, so that its bits depend on no other case.

**When to stop.** Let d be the rises of g in a round and d' those of an earlier one, m rounds ago. If d <= theta d' in
every node, and g is linear, then every later rise is at most theta times the one m rounds before it, and all the stress
still to come is at most theta / (1 - theta) times what came since: a bound, not an estimate. For g(h) =
h exp(alpha (h - 1)), whose slope grows with h, theta is enlarged by exp(2 alpha (m + 1) D), D the stress that came and
will come: slopes m rounds apart differ by no more over all rounds together. That holds up to theta = 1/2, where D is at
most twice what came.
"""

from typing import Any

import numpy as np
from numba import njit

from contagion_graph.kernels.compiling import Chunks, chunked
from contagion_graph.kernels.lanes import choose, every, exp, fill, lanes_of, load, store
from contagion_graph.state import GONE, Array, Cases, Links, Passing

LANES = 8  # cases that are followed in step
GOING, RATIO, CLIMBED = range(3)  # what is known of each: whether it goes on, and what bounds all that is to come
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
    level, share, wave = np.empty_like(given), np.empty_like(given), np.empty(given.shape, dtype=np.int32)
    ends = np.empty((given.shape[0], 2))
    lanes = lanes_of(1 if given.shape[0] == 1 else LANES)
    found = level, share, wave, ends
    blocks = -(-given.shape[0] // len(lanes))
    _spread(given.size, blocks, links, passing, given, (tol, max_rounds), lanes, found)
    return found


@chunked
def _spread(
    chunks: Chunks, links: Links, passing: Passing, given: Array, limits: tuple[float, int], lanes: Any,
    found: tuple[Array, ...],
) -> None:  # fmt: skip
    level, share, wave, ends = found
    width = len(lanes)
    for block in range(chunks[0], chunks[1]):
        own = slice(block * width, min((block + 1) * width, given.shape[0]))
        cases = _side_by_side(given[own], lanes)
        _follow(links, passing, limits, lanes, cases, ends[own])
        _pull_all(links, given[own], lanes, cases)
        _apart(cases, level[own], share[own], wave[own])


@njit(cache=True)
def _side_by_side(given: Array, lanes: Any) -> Cases:
    """Return the start of some cases."""
    b, n = given.shape
    shape = n, len(lanes)
    cases = Cases(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape))
    for node in range(n):
        for case in range(b):
            cases.level[node, case] = given[case, node]
    return cases


@njit(cache=True)
def _apart(cases: Cases, level: Array, share: Array, wave: Array) -> None:
    """Write the ends of some cases."""
    for case in range(level.shape[0]):
        for node in range(level.shape[1]):
            level[case, node], share[case, node] = cases.level[node, case], cases.share[node, case]
            wave[case, node] = np.int32(cases.wave[node, case])


@njit(cache=True)
def _follow(links: Links, passing: Passing, limits: tuple[float, int], lanes: Any, cases: Cases, ends: Array) -> None:
    n = cases.level.shape[0]
    done, rows, count, packed = np.zeros(n, np.bool_), np.arange(n), n, False
    kept = Links(np.empty(0, np.int64), np.empty(0, np.uint32), np.empty(0))
    rounds, compared, known = 0, 0, np.zeros((3, len(lanes)))
    for case in range(ends.shape[0]):
        known[GOING, case] = 1.0
    while True:
        store(known, RATIO, _look(passing, lanes, cases, load(known, GOING, lanes), done, rows[:count], rounds + 1))
        if not _some_go_on(known, passing.alpha * (rounds - compared + 1), rounds, limits, ends):
            return
        if 2 * rounds >= 3 * compared:
            for node in range(n):
                store(cases.earlier, node, load(cases.rise, node, lanes))
            store(known, CLIMBED, fill(0.0, lanes))
            compared = rounds
        rounds += 1
        if packed:  # `links` cannot be written to and so is of another kind than `kept`
            climb = _pull(kept, passing.once, lanes, cases, done, rows[:count])
        else:
            climb = _pull(links, passing.once, lanes, cases, done, rows[:count])
        store(known, CLIMBED, load(known, CLIMBED, lanes) + climb)
        alive = count - int(np.count_nonzero(done[rows[:count]]))
        if alive < WORTH_DROPPING * count:
            if packed:
                _drop(kept, kept, cases.rise, done, rows[:count])
            else:
                cells = _cells_in_play(links, done)
                kept = Links(np.empty(alive + 1, np.int64), np.empty(cells, np.uint32), np.empty(cells))
                _drop(links, kept, cases.rise, done, rows)
                packed = True
            count = alive


@njit(cache=True)
def _some_go_on(known: Array, steepness: float, rounds: int, limits: tuple[float, int], ends: Array) -> bool:
    """Note what is known of the cases that went on so far, and end those that may."""
    some = False
    for case in range(ends.shape[0]):
        if known[GOING, case] > 0.0:
            bound = _bound(known[RATIO, case], known[CLIMBED, case], steepness)
            ends[case, 0], ends[case, 1] = rounds, bound
            if bound <= limits[0] or rounds == limits[1]:
                known[GOING, case] = 0.0
            else:
                some = True
    return some


@njit(cache=True, inline="always")
def _passed_on(passing: Passing, node: Any, level: Any, lanes: Any) -> Any:
    """Return g(h)."""
    one = fill(1.0, lanes)
    if passing.threshold.size:
        return choose(level >= fill(passing.threshold[node] * GONE, lanes), one, fill(0.0, lanes))
    capped = choose(level >= one, one, level)
    return capped * exp(fill(passing.alpha, lanes) * (capped - one)) if passing.alpha else capped


@njit(cache=True)
def _look(passing: Passing, lanes: Any, cases: Cases, going: Any, done: Array, rows: Array, number: int) -> Any:
    """Set how much more each node passes on; return the largest ratios to an earlier round, -1 where nobody does."""
    nothing, now = fill(0.0, lanes), fill(float(number), lanes)
    goes, rests = going > nothing, nothing >= going
    ratio = fill(-1.0, lanes)
    for k in range(np.uintp(rows.size)):
        node = np.uintp(rows[k])
        if done[node]:
            store(cases.rise, node, nothing)
            continue
        level, share = load(cases.level, node, lanes), load(cases.share, node, lanes)
        wave, earlier = load(cases.wave, node, lanes), load(cases.earlier, node, lanes)
        gone = fill((passing.threshold[node] if passing.threshold.size else 1.0) * GONE, lanes)
        wave = choose((wave == nothing) & (level >= gone) & goes, now, wave)
        passes = _passed_on(passing, node, level, lanes)
        grows = (passes > share) & goes
        if passing.once:
            grows = grows & (share == nothing)
        grown = choose(grows, passes - share, nothing)
        ratio = choose(grows & (grown > ratio * earlier), grown / earlier, ratio)
        share = choose(grows, passes, share)
        store(cases.share, node, share)
        store(cases.wave, node, wave)
        store(cases.rise, node, grown)
        done[node] = every(rests | _passed_all(passing.once, share, wave, lanes))
    return ratio


@njit(cache=True, inline="always")
def _passed_all(once: bool, share: Any, wave: Any, lanes: Any) -> Any:
    """Say in which lanes a node has passed on all that it ever will."""
    return wave > fill(0.0, lanes) if once else share >= fill(1.0, lanes)


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
def _pull(links: Links, once: bool, lanes: Any, cases: Cases, done: Array, rows: Array) -> Any:
    """Add what each row's debtors pass on to its stress; return the largest climb of those that still pass on."""
    nothing = fill(0.0, lanes)
    climb = nothing
    for k in range(np.uintp(rows.size)):  # unsigned numbers need no test for negative ones
        node = np.uintp(rows[k])
        if not done[node]:
            total = _received(links, k, cases.rise, lanes)
            store(cases.level, node, load(cases.level, node, lanes) + total)
            share, wave = load(cases.share, node, lanes), load(cases.wave, node, lanes)
            total = choose(_passed_all(once, share, wave, lanes), nothing, total)
            climb = choose(total > climb, total, climb)
    return climb


@njit(cache=True, inline="always")
def _received(links: Links, row: Any, passed: Array, lanes: Any) -> Any:
    """Return the sum over a row's cells of their shares of what is passed on."""
    total = fill(0.0, lanes)
    for cell in range(np.uintp(links.indptr[row]), np.uintp(links.indptr[row + np.uintp(1)])):
        total = total + fill(links.share[cell], lanes) * load(passed, links.indices[cell], lanes)
    return total


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
def _pull_all(links: Links, given: Array, lanes: Any, cases: Cases) -> None:
    """Set h = given + Lambda g."""
    for node in range(np.uintp(cases.level.shape[0])):
        store(cases.level, node, _received(links, node, cases.share, lanes))
        for case in range(given.shape[0]):
            cases.level[node, case] += given[case, node]
