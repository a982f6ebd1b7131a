"""The one loop: steps until a state is at rest."""

from collections.abc import Callable

from contagion_graph.solvers.solution import Solution, Status


def iterate(
    change: Callable[[int], tuple[float, bool]], advance: Callable[[int], None], *, max_steps: int
) -> tuple[Solution, list[float]]:
    """Advance until nothing is left to change, or nothing that counts.

    Parameters
    ----------
    change : callable
        Takes the number of the step to come, from 1; returns how much it would change, as a share of the whole, and
        whether the state counts as at rest: that step is then not carried out.
    advance : callable
        Carries out the step.
    max_steps : int
        Steps after which to give up.

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
        size, at_rest = change(step)
        if at_rest:
            return Solution(Status.CONVERGED, step - 1, size), sizes
        advance(step)
        sizes.append(size)
    size, at_rest = change(max_steps + 1)
    return Solution(Status.CONVERGED if at_rest else Status.STEP_LIMIT, max_steps, size), sizes
