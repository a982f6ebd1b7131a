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
    falling = -np.asarray(values)
    near = np.arange(falling.size)
    if k is not None and 0 < k < falling.size:
        least = np.partition(falling, k - 1)[k - 1]
        near = near if np.isnan(least) else np.flatnonzero(falling <= least)
    return near[np.argsort(falling[near], kind="stable")[:k]]
