"""Arithmetic of arrays that has one right answer where numpy's is undefined or depends on the machine."""

from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray


def ratio(above: Any, below: Any, otherwise: Any) -> FloatArray:
    """Return above / below where below > 0, and something else where not.

    Parameters
    ----------
    above, below : array_like
        Of shapes that broadcast.
    otherwise : number or array_like
        What stands where below is 0, less, or NaN.

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> ratio([1.0, 0.0], [2.0, 0.0], 1.0).tolist()
    [0.5, 1.0]
    """
    below = np.asarray(below, dtype=np.float64)
    result = np.empty(np.broadcast_shapes(np.shape(above), below.shape))
    result[...] = otherwise
    np.divide(above, below, out=result, where=below > 0.0)
    return result


def largest(values: Any, k: int | None = None) -> Any:
    """Return the positions of the k largest values, the largest first, equal ones in their order; None: of all.

    Parameters
    ----------
    values : array_like
        Numbers; NaN comes last.
    k : int, optional
        How many, at most.

    Returns
    -------
    ndarray of int

    Examples
    --------
    >>> largest([1.0, 3.0, 3.0, 2.0], 3).tolist()
    [1, 2, 3]
    """
    values = np.asarray(values)
    if k is None or not 0 < k < values.size:
        return np.argsort(-values, kind="stable")[:k]
    falling = -values
    falling.partition(k - 1)
    near = np.flatnonzero(~(values < -falling[k - 1]))  # the k largest, equal ones, and all NaN
    return near[np.argsort(-values[near], kind="stable")[:k]]
