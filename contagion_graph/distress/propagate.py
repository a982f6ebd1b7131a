"""How far distress spreads: rounds as long as they are quick, then linear systems; many cases in one pass."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray, IntArray
from contagion_graph.distress.extrapolate import least_solution
from contagion_graph.state import GONE, Links, Passing

ROUNDS = 64  # after which rounds are slow


class Spread(NamedTuple):
    """The least fixed point of distress, in b cases of n nodes.

    Parameters
    ----------
    level : ndarray, shape (b, n)
        h, losses over equity; above 1 where more was lost than there was.
    share : ndarray, shape (b, n)
        g, the share of what it owes that each node has passed on, in [0, 1].
    default_round : ndarray of int, shape (b, n)
        The round in which a node was found to have lost all, 1 = by what was given; 0 = never.
    rounds : ndarray, shape (b,)
        Rounds that were followed.
    bound : ndarray, shape (b,)
        Certified: no min(1, h) is further from the exact one; infinite where nothing is certified.
    """

    level: FloatArray
    share: FloatArray
    default_round: IntArray
    rounds: FloatArray
    bound: FloatArray


def spread(coupling: sparse.csr_array, passing: Passing, given: FloatArray, *, tol: float) -> Spread:
    """Return the least solution of h = given + Lambda g(h), and bounds on its error.

    Parameters
    ----------
    coupling : csr_array, shape (n, n)
        Lambda_ij >= 0, the share of creditor i's equity that is lost when debtor j passes on everything.
    passing : Passing
        What a node passes on of its stress.
    given : ndarray, shape (b, n)
        Stress at the start, >= 0, one case a row.
    tol : float
        The error of min(1, h) that is good enough.

    Returns
    -------
    Spread
        Every case is followed alone: its bits do not depend on the others.

    Examples
    --------
    >>> coupling = sparse.csr_array([[0.0, 0.5], [0.2, 0.0]])
    >>> end = spread(coupling, Passing(0.0, np.empty(0), once=False), np.array([[0.1, 0.0]]), tol=1e-12)
    >>> end.level.round(6).tolist(), bool(end.bound[0] <= 1e-12)
    ([[0.111111, 0.022222]], True)
    """
    from contagion_graph.kernels import propagation

    finite = passing.once or passing.threshold.size  # every node passes on once, or not at all
    limit = given.shape[1] + 1 if finite else ROUNDS
    level, share, default_round, outcomes = propagation.spread(links_of(coupling), passing, given, tol, limit)
    for case in np.flatnonzero(outcomes[:, 1] > tol):
        share[case], outcomes[case, 1] = least_solution(coupling, passing.alpha, given[case], share[case])
        level[case] = given[case] + coupling @ share[case]
        default_round[case][(default_round[case] == 0) & (level[case] >= GONE)] = limit + 1
    return Spread(level, share, default_round, outcomes[:, 0], outcomes[:, 1])


def links_of(coupling: sparse.csr_array) -> Links:
    """Return a matrix as the passes take it, always of the same kinds, so that they are compiled once."""
    indices = coupling.indices.astype(np.int32, copy=False).view(np.uint32)
    arrays = coupling.indptr.astype(np.int64), indices, coupling.data.view()
    for array in arrays:
        array.flags.writeable = False
    return Links(*arrays)
