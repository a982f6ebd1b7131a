"""The least fixed point of slow distress by linear systems, and a bound on the error of an answer.

With g the share of what each node owes that it has passed on, g = T(g) = min(1, p(given + Lambda g)), p(h) =
h exp(alpha (h - 1)). Where rounds are slow, `least_solution` solves for all that is still to come at once. p is
convex below 1, so its tangents, cut off at 1, lie below it, and each system ends at or below the exact answer; with
alpha = 0 the tangent is p itself, and the first system has the answer.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.solvers.arrays import scaled_rows
from contagion_graph.solvers.linear import NonnegativeSystem

SYSTEMS = 60
SWEEPS = 50  # rounds from above before the next system is solved, which costs as much as a hundred
MARGINS = (1e-6, 1e-9, 1e-12)  # a stress as near to 1 counts as below it: as if the cap did not help
EPS = float(np.finfo(np.float64).eps)


def passed_on(level: FloatArray, alpha: float) -> FloatArray:
    """Return p(h) = h exp(alpha (h - 1)), at most 1."""
    capped = np.minimum(level, 1.0)
    return capped * np.exp(alpha * (capped - 1.0))


def least_solution(
    coupling: sparse.csr_array, alpha: float, given: FloatArray, share: FloatArray
) -> tuple[FloatArray, float]:
    """Return the least fixed point at or above shares that lie below it, and a bound on the error of the stress.

    Parameters
    ----------
    coupling : csr_array, shape (n, n)
        Lambda, creditors x debtors.
    alpha : float
        How late distress is passed on.
    given, share : ndarray, shape (n,)
        Stress at the start; g, with g <= T(g), and at or below every fixed point.

    Returns
    -------
    tuple of ndarray and float
        g; the most by which a stress below 1 can differ from the exact one, infinite where nothing can be proven.

    Examples
    --------
    >>> slow = sparse.csr_array([[0.0, 1.0], [0.9999, 0.0]])
    >>> share, bound = least_solution(slow, 0.0, np.array([1e-5, 0.0]), np.zeros(2))
    >>> share.round(9).tolist(), bound < 1e-9
    ([0.1, 0.09999], True)
    """
    before = np.inf
    for _ in range(SYSTEMS):
        level = given + coupling @ share
        rise = np.maximum(passed_on(level, alpha) - share, 0.0)
        size = float(rise.max(initial=0.0))
        if size <= 4.0 * EPS or size > 0.5 * before:  # what is left is rounding
            break
        slope = np.where(share < 1.0, _slope(level, alpha), 0.0)
        share = np.minimum(share + _still_to_come(coupling, slope, rise, 1.0 - share), 1.0)
        before = size
    return share, bound_of(coupling, alpha, given, share)


def bound_of(coupling: sparse.csr_array, alpha: float, given: FloatArray, share: FloatArray) -> float:
    """Return a bound on the error of every stress below 1, for shares g near a fixed point; infinite where none.

    With r = T(g) - g, rounding included, and A = p' Lambda among the nodes below 1, a vector v >= 0 with
    (I - A) v >= |r| proves |g - g*| <= v, as long as that is too little to move a node over the margin at the cap.
    """
    level = given + coupling @ share
    noise = EPS * (np.diff(coupling.indptr) + 6.0) * (1.0 + alpha) * level
    off = np.abs(passed_on(level, alpha) - share) + noise
    for margin in MARGINS:
        near = (level > 0.0) & (level < 1.0 + margin)
        links = coupling[near][:, near]
        slope = _slope(np.minimum(level[near] + margin, 1.0), alpha)
        v = NonnegativeSystem(scaled_rows(links, slope)).error_of(np.zeros(slope.size), off[near])
        most = np.inf if v is None else float((links @ v + noise[near]).max(initial=0.0))
        if most < margin:
            return most
    return np.inf


def _slope(level: FloatArray, alpha: float) -> FloatArray:
    """Return p'(h) = (1 + alpha h) exp(alpha (h - 1))."""
    return (1.0 + alpha * level) * np.exp(alpha * (level - 1.0))


def _still_to_come(coupling: sparse.csr_array, slope: FloatArray, rise: FloatArray, room: FloatArray) -> FloatArray:
    """Return d = min(room, rise + slope Lambda d), the only solution among the nodes that a rise can reach.

    From above: first every node that can be reached takes all its room. Where that is too much, nodes are released,
    and all the released are solved for together; a node once released never takes all its room again.
    """
    reach = _reached(coupling, rise > 0.0)
    come = np.where(reach, room, 0.0)
    full = reach
    while True:
        still = _still_full(coupling, slope, rise, room, (full, come))
        if (still == full).all():
            return come
        full = still
        free = reach & ~full
        come = np.where(full, room, 0.0)
        among = scaled_rows(coupling[free], slope[free])
        right = rise[free] + among @ come
        come[free] = np.clip(NonnegativeSystem(among[:, free]).solve(right), 0.0, room[free])


def _still_full(
    coupling: sparse.csr_array, slope: FloatArray, rise: FloatArray, room: FloatArray,
    above: tuple[BoolArray, FloatArray],
) -> BoolArray:  # fmt: skip
    """Return which nodes still take all their room in rounds from above, each of which costs one product.

    Rounds only fall, and not below the solution: a node that takes less than its room in one of them does so at the
    solution.
    """
    full, come = above
    for number in range(SWEEPS):
        wanted = rise + slope * (coupling @ come)
        still = full & (wanted >= room)
        if number == 0 and (still == full).all():
            break
        full, come = still, np.where(still, room, np.minimum(wanted, come))
    return full


def _reached(coupling: sparse.csr_array, start: BoolArray) -> BoolArray:
    """Return which nodes distress gets to from some, themselves among them."""
    n, seeds = start.size, np.flatnonzero(start)
    onward = coupling.T.tocsr()
    indptr = np.append(onward.indptr, onward.nnz + seeds.size)
    cells = np.append(onward.data != 0.0, np.ones(seeds.size)), np.append(onward.indices, seeds), indptr
    order = breadth_first_order(sparse.csr_array(cells, shape=(n + 1, n + 1)), n, return_predecessors=False)
    reach = np.zeros(n + 1, dtype=bool)
    reach[order] = True
    return reach[:n]
