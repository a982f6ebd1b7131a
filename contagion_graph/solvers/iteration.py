"""The loop of every iteration, and what to do when a computation did not converge."""

from collections.abc import Callable, Iterable
from typing import get_args

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import OnFailure
from contagion_graph._validate import check_choice
from contagion_graph.errors import ConvergenceError, ConvergenceWarning, tell


def iterate(
    change: Callable[[int], tuple[float, bool]], advance: Callable[[int], None], *, max_steps: int
) -> tuple[Solution, list[float]]:
    """Carry out steps until the state has converged, or `max_steps` are done.

    Parameters
    ----------
    change : callable
        Takes the number of the step to come, from 1; returns how much it would change, as a share of the whole, and
        whether the state counts as converged: that step is then not carried out.
    advance : callable
        Carries out the step.
    max_steps : int
        The most steps.

    Returns
    -------
    tuple of Solution and list of float
        How it ended, and the size of each step that was carried out.

    Examples
    --------
    >>> state = [1.0]
    >>> def halve(step):
    ...     state[0] /= 2
    >>> solution, sizes = iterate(lambda step: (state[0] / 2, state[0] < 0.1), halve, max_steps=10)
    >>> solution.status.name, solution.steps, sizes
    ('CONVERGED', 4, [0.5, 0.25, 0.125, 0.0625])
    """
    sizes: list[float] = []
    for step in range(1, max_steps + 1):
        size, converged = change(step)
        if converged:
            return Solution(Status.CONVERGED, step - 1, size), sizes
        advance(step)
        sizes.append(size)
    size, converged = change(max_steps + 1)
    return Solution(Status.CONVERGED if converged else Status.STEP_LIMIT, max_steps, size), sizes


def furthest(solutions: Iterable[Solution]) -> Solution:
    """Return the solution that is furthest from convergence."""
    return max(solutions, key=lambda solution: (not solution.converged, solution.residual))


def check_on_failure(on_failure: str) -> None:
    """Refuse what is no way to treat a failure; before the work, not after it."""
    check_choice("on_failure", on_failure, get_args(OnFailure))


def conclude(solution: Solution, on_failure: OnFailure, where: str, remedy: str) -> None:
    """Raise, warn or keep quiet about a computation that did not converge.

    Parameters
    ----------
    solution : Solution
        How it ended.
    on_failure : {"raise", "warn", "ignore"}
        What to do where it did not converge.
    where : str
        The model or function, and what is known of the answer: the start of the message.
    remedy : str
        What the user can do about it: the end of the message. It names the argument that limits the steps.

    Raises
    ------
    ConvergenceError
        It did not converge, and `on_failure` is "raise".

    Examples
    --------
    >>> conclude(Solution(Status.STEP_LIMIT, 9, 0.5), "raise", "hits", "Raise max_iter.")
    Traceback (most recent call last):
    contagion_graph.errors.ConvergenceError: hits: Stopped at the step limit before it converged. Raise max_iter.
    """
    if solution.converged or on_failure == "ignore":
        return
    message = f"{where}: {solution.status.value} {remedy}"
    if on_failure == "raise":
        raise ConvergenceError(message, solution)
    tell(message, ConvergenceWarning)
