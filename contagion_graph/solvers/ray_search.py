"""Where along a ray something first happens: a scan, then bisection."""

from collections.abc import Callable


def ray_search(
    happens: Callable[[float], bool], low: float, high: float, *, n_points: int, tol: float
) -> tuple[float, float] | None:
    """Return sizes lo < hi, at most tol apart, at which it does not happen and does: first a scan, then bisection.

    Parameters
    ----------
    happens : callable
        Says whether it happens at a size.
    low, high : float
        The scan: `n_points` equal steps from `low`, which is not tried, up to `high`.
    n_points : int
        One is enough where what happens at a size happens at all larger ones.
    tol : float
        Width of the interval, in the unit of the sizes.

    Returns
    -------
    tuple of float or None
        None: it happens at no size of the scan.

    Examples
    --------
    >>> ray_search(lambda size: size >= 0.3, 0.0, 1.0, n_points=1, tol=0.1)
    (0.25, 0.3125)
    >>> ray_search(lambda size: size > 2.0, 0.0, 1.0, n_points=1, tol=0.1) is None
    True
    """
    sizes = [low + (high - low) * k / n_points for k in range(n_points + 1)]
    found = next((k for k in range(1, n_points + 1) if happens(sizes[k])), None)
    return None if found is None else bisect(happens, sizes[found - 1], sizes[found], tol)


def bisect(happens: Callable[[float], bool], low: float, high: float, tol: float) -> tuple[float, float]:
    """Narrow an interval down to a width: at its lower end it does not happen, at its upper end it does.

    Examples
    --------
    >>> bisect(lambda size: size >= 0.3, 0.0, 1.0, tol=0.5)
    (0.0, 0.5)
    """
    while high - low > tol:
        middle = (low + high) / 2.0
        low, high = (low, middle) if happens(middle) else (middle, high)
    return low, high
