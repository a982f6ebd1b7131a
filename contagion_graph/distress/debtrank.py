"""Linear DebtRank: relative losses of equity, passed on until nothing more is lost."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from contagion_graph.errors import ParameterError
from contagion_graph.rules.checks import check_number
from contagion_graph.solvers.iterate import iterate
from contagion_graph.solvers.solution import Solution
from contagion_graph.tables.schema import FloatArray


class Propagation(NamedTuple):
    """Where distress ends.

    Parameters
    ----------
    level : ndarray
        h at the end, in [0, 1], in the shape of the initial one.
    solution : Solution
        How it ended; its residual is the largest rise that was still to come in the next step.
    """

    level: FloatArray
    solution: Solution


def propagate(
    apply: Callable[[FloatArray], FloatArray], initial: FloatArray, *, tol: float = 1e-12, max_steps: int = 10_000
) -> Propagation:
    """Pass relative losses of equity on until they are at rest: h <- min(1, h + Lambda dh).

    h_i is the share of its equity that node i has lost, dh what it lost in the last step, and Lambda_ij >= 0 the share
    of i's equity that is lost when j loses all of its own. Where nobody loses everything, h = (I - Lambda)^-1 h_0;
    small losses die out if the spectral radius of Lambda is below 1. Only products Lambda dh are asked for. h never
    falls, so it comes to rest in any case; where the spectral radius is just above or below 1 that takes many steps.

    Parameters
    ----------
    apply : callable
        Takes dh, returns Lambda dh in the same shape: (n,), or (n, b) for b cases together.
    initial : ndarray, shape (n,) or (n, b)
        h_0 in [0, 1].
    tol : float
        It stops before a step in which no node would lose more than this share of its equity; 0: until nothing changes.
    max_steps : int
        Steps after which to give up.

    Returns
    -------
    Propagation

    Raises
    ------
    ParameterError
        An initial loss outside [0, 1], or a product that is below 0 or no number.

    References
    ----------
    Bardoscia, Battiston, Caccioli & Caldarelli (2015), PLoS ONE 10(6): e0130406, equation 8. Battiston, Puliga,
    Kaushik, Tasca & Caldarelli (2012), Scientific Reports 2: 541, where a node passes on its first loss only.

    Examples
    --------
    >>> import numpy as np
    >>> exposure = np.array([[0.0, 0.5], [0.2, 0.0]])
    >>> end = propagate(lambda loss: exposure @ loss, np.array([0.1, 0.0]))
    >>> end.level.round(6).tolist(), end.solution.status.name
    ([0.111111, 0.022222], 'CONVERGED')
    """
    check_number("propagate", "tol", tol, low=0, high=1)
    check_number("propagate", "max_steps", max_steps, low=1, whole=True)
    level = np.array(initial, dtype=np.float64)
    if not ((level >= 0.0) & (level <= 1.0)).all():
        raise ParameterError("propagate: an initial loss is outside [0, 1]; give shares of equity")
    rise, to_come = level, level

    def change(_: int) -> tuple[float, bool]:
        nonlocal to_come
        passed_on = apply(rise)
        if not (passed_on >= 0.0).all():
            raise ParameterError("propagate: a loss passed on is below 0 or no number; Lambda must be finite and >= 0")
        to_come = np.minimum(level + passed_on, 1.0)
        size = float((to_come - level).max(initial=0.0))
        return size, size <= tol

    def advance(_: int) -> None:
        nonlocal level, rise
        level, rise = to_come, to_come - level

    solution, _ = iterate(change, advance, max_steps=max_steps)
    return Propagation(level, solution)
