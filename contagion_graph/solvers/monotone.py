"""Iteration of an isotone map to its least or greatest fixed point, until that is enclosed."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray
from contagion_graph.solvers.iteration import iterate

DOUBLINGS, PATIENCE = 8, 1.1
ROUNDING = 1e-15  # of the scale: what a step may hide
CLEAR = 1e-9  # of the scale: a step from which directions and ratios can be read


class Problem(NamedTuple):
    """An isotone map of states >= 0, shape (k,), and where to start.

    Parameters
    ----------
    apply : callable
        T: takes a state, returns a state; a larger one gives no smaller one.
    start : ndarray, shape (k,)
        No fixed point lies beyond it: T(start) <= start from above, T(start) >= start from below.
    scale : ndarray, shape (k,)
        In which unit an error of each entry counts, > 0.
    """

    apply: Callable[[FloatArray], FloatArray]
    start: FloatArray
    scale: FloatArray


def approach(
    problem: Problem,
    *,
    from_above: bool,
    tol: float,
    max_steps: int,
    watch: Callable[[int, FloatArray], None] | None = None,
) -> tuple[FloatArray, Solution]:
    """Apply the map until its greatest (or least) fixed point is enclosed within `tol`, or nothing moves.

    A small step is not a small error. From above, any z <= T(z) below an iterate encloses the greatest fixed point:
    z = x - c d, c doubled until it does; the mirror image holds for the least. d has the direction of an earlier step:
    that of the last ones is lost in rounding where convergence is slow. `watch` is called with each state.

    Examples
    --------
    >>> halfway = Problem(lambda x: 0.5 * x + 1.0, np.array([8.0]), np.ones(1))
    >>> x, solution = approach(halfway, from_above=True, tol=1e-9, max_steps=99)
    >>> x.round(6).tolist(), solution.error_bound <= 1e-9
    ([2.0], True)
    """
    sign = -1.0 if from_above else 1.0
    state = problem.start
    after, size, ratio = problem.apply(state), 0.0, 0.0
    error: float | None = None
    direction, due_again = problem.scale, 1.0

    def change(step: int) -> tuple[float, bool]:
        nonlocal error, size, ratio, direction, due_again
        moves = np.maximum(sign * (after - state), 0.0)
        before, size = size, float(np.max(moves / problem.scale, initial=0.0))
        if size > CLEAR or step == 1:
            direction = moves
        if size > CLEAR and before > 0.0:
            ratio = min(size / before, 1.0 - ROUNDING)
        if size / (1.0 - ratio) <= tol and (step >= due_again or size == 0.0):
            error = _enclosed(problem, after, moves, direction, sign * 2.0 / (1.0 - ratio))
            due_again = step * PATIENCE
        return size, size == 0.0 or (error is not None and error <= tol)

    def advance(step: int) -> None:
        nonlocal state, after
        state, after = after, problem.apply(after)
        if watch is not None:
            watch(step, state)

    solution, _ = iterate(change, advance, max_steps=max_steps)
    return after, replace(solution, error_bound=error)


def _enclosed(problem: Problem, x: FloatArray, moves: FloatArray, direction: FloatArray, factor: float) -> float | None:
    """Return how far, in units of the scale, an entry is off at most; None where nothing was proven."""
    step = np.maximum(direction, CLEAR * float(np.max(direction / problem.scale)) * problem.scale)
    if not step.any():
        return 0.0  # the start is a fixed point, and none lies beyond it
    step *= factor * np.max(np.maximum(moves, ROUNDING * problem.scale) / step)
    z = enclose(lambda z: bool((np.sign(factor) * (z - problem.apply(z)) >= 0.0).all()), x, step, low=0.0)
    return None if z is None else float(np.max(np.abs(z - x) / problem.scale, initial=0.0))


def enclose(
    holds: Callable[[FloatArray], bool],
    x: FloatArray,
    step: FloatArray,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    tries: int = DOUBLINGS,
) -> FloatArray | None:
    """Return a state on the other side of the extremal fixed point that an isotone map approaches from x.

    z = x + c step, c = 1, 2, 4, ... until z >= T(z) where the map rises from x, or z <= T(z) where it falls: then there
    is a fixed point between x and z, and the extremal one is no further.

    Parameters
    ----------
    holds : callable
        Says of a state z whether T does not carry it further.
    x, step : ndarray, shape (k,)
        A state from which the map moves in the direction of `step`.
    low, high : float
        The range of states.
    tries : int
        How many c to try.

    Returns
    -------
    ndarray of shape (k,), or None
        z; None where no c was found, which proves nothing.

    Examples
    --------
    >>> enclose(lambda z: bool((z >= 0.5 * z + 1.0).all()), np.array([1.0]), np.array([0.3])).tolist()
    [2.2]
    """
    for _ in range(tries):
        z = np.clip(x + step, low, high)
        if holds(z):
            return z
        step = 2.0 * step
    return None
