"""The loop of every iteration: steps until a state has converged."""

from collections.abc import Callable

from contagion_graph.solvers.solution import Solution, Status


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
