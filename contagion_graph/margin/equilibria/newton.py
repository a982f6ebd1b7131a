"""Newton's method for the static map of a smooth rule, where applying the map again and again is slow."""

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.margin.equilibria.iterates import Iterate
from contagion_graph.margin.equilibria.jacobian import jacobians, state_at

STEPS, CLOSE = 20, 1e-11


def leap(end: Iterate) -> bool:
    """Move an iterate to the fixed point that Newton's method finds from it; say whether it has moved.

    Fixed points of T are those of the small map z = (S, l) -> G(z); a step solves (I - J) dz = G(z) - z, J = dG/dz on
    the accounts that now close in part. What it finds is taken only if it is a fixed point of T on this side of where
    the end was, and closes the same accounts whole.
    """
    if not np.isfinite(end.rate).all():
        return False
    share = search(end)
    if share is None:
        return False
    sign = -1.0 if end.from_above else 1.0
    other_whole, back = (share == 1.0) != (end.share == 1.0), sign * (share - end.share) < 0.0
    off, rows = np.abs(end.case.apply(share) - share) > CLOSE, np.flatnonzero(share != end.share)
    wrong, moved = end.case.book.count([np.count_nonzero(other_whole | back | off), rows.size])
    if wrong or not moved:
        return False
    end.move(rows, share[rows])
    end.refresh()
    return True


def search(end: Iterate) -> FloatArray | None:
    """Return the closed shares at the fixed point of the small map next to those of `end`; None if the search fails."""
    case, k = end.case, end.sold.size
    z = np.concatenate([end.sold, end.rate])
    for _ in range(STEPS):
        state = state_at(case, z[:k], z[k:])
        share = np.zeros(end.share.size)
        share[state.rows] = state.share
        value = case.value_closed(case.prices(state.sold, np.zeros(k)), state.rows)[0]
        image = np.concatenate([case.sold(state.share, state.rows), case.loss_rate(share, state.rows, value)])
        if not np.isfinite(image).all():
            return None
        gap = image - z
        if (np.abs(gap) <= 1e-14 * np.maximum(np.abs(z), np.abs(image))).all():
            return share
        try:
            z = z + np.linalg.solve(np.eye(z.size) - jacobians(case, state).by_state, gap)
        except np.linalg.LinAlgError:
            return None
    return share
