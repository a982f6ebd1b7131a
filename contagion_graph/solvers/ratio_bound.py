"""How much is still to come of steps that shrink: a certified geometric bound."""

import numpy as np

from contagion_graph._typing import FloatArray


def ratio_bound(moves: FloatArray, earlier: FloatArray) -> float:
    """Return theta / (1 - theta), theta the largest ratio of the entries of a step to those of an earlier one.

    In an isotone, subhomogeneous iteration, steps that are at most theta times an earlier one stay so: at most
    theta / (1 - theta) times what came since the earlier one, itself included, is still to come.

    Parameters
    ----------
    moves, earlier : ndarray of one shape
        Sizes of the moves of a step and of an earlier one, >= 0.

    Returns
    -------
    float
        0 where nothing moves; infinite where theta is 1 or more.

    Examples
    --------
    >>> ratio_bound(np.array([1.0, 0.0]), np.array([4.0, 8.0])), ratio_bound(np.ones(1), np.zeros(1))
    (0.3333333333333333, inf)
    """
    moving = moves > 0.0
    with np.errstate(divide="ignore"):
        theta = float((moves[moving] / earlier[moving]).max(initial=0.0))
    return theta / (1.0 - theta) if theta < 1.0 else np.inf
