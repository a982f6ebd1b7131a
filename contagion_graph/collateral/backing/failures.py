"""Failure costs: assets that fail once their value is below a threshold, and what they lose then."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import numpy as np

from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray, IntArray
from contagion_graph._validate import check_number
from contagion_graph.solvers.iteration import iterate


@dataclass(frozen=True)
class FailureCost:
    """What an asset loses for good once its value is below a threshold: a depeg, a redemption that is halted.

    Parameters
    ----------
    threshold : float
        An asset fails when its value is below this share of its initial value, in [0, 1].
    cost : float
        Share of its initial value that it then loses of its own worth; that does not fall below 0.

    References
    ----------
    Elliott, Golub & Jackson (2014), American Economic Review 104(10), equation 2.

    Examples
    --------
    >>> FailureCost(0.9, cost=0.05)
    FailureCost(threshold=0.9, cost=0.05)
    """

    threshold: float
    _: KW_ONLY
    cost: float

    def __post_init__(self) -> None:
        check_number("FailureCost", "threshold", self.threshold, low=0, high=1)
        check_number("FailureCost", "cost", self.cost, low=0)


def failure_rounds(
    values_of: Callable[[FloatArray], FloatArray],
    own: FloatArray,
    least: FloatArray,
    cost: FloatArray,
    max_rounds: int | None = None,
) -> tuple[FloatArray, IntArray, Solution]:
    """Take its cost of failure off the own worth of all that are worth less than the least, until no other one fails.

    Parameters
    ----------
    values_of : callable
        Takes own worth, shape (m,), returns values; it never falls where own worth rises.
    own, least, cost : ndarray, shape (m,)
        Own worth r; the value below which one fails; what failing takes off r, which does not fall below 0.
    max_rounds : int, optional
        None: m, in which all can fail.

    Returns
    -------
    tuple of ndarray, ndarray of int, Solution
        Values; the round in which each failed, 0 = not; how it ended.

    Examples
    --------
    >>> failure_rounds(lambda own: own, np.array([1.0, 2.0]), np.array([1.5, 1.5]), np.array([0.5, 0.5]))[:2]
    (array([0.5, 2. ]), array([1, 0], dtype=int32))
    """
    failed_in = np.zeros(own.size, dtype=np.int32)
    value = values_of(own)

    def change(_: int) -> tuple[float, bool]:
        count = int(np.count_nonzero((value < least) & (failed_in == 0)))
        return count / max(own.size, 1), count == 0

    def advance(step: int) -> None:
        nonlocal value
        failed_in[(value < least) & (failed_in == 0)] = step
        value = values_of(np.maximum(own - np.where(failed_in > 0, cost, 0.0), 0.0))

    solution, _ = iterate(change, advance, max_steps=own.size if max_rounds is None else max_rounds)
    return value, failed_in, solution
