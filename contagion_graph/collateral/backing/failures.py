"""What fails once its value has fallen too far, and what that costs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray, IntArray
from contagion_graph._validate import check_number
from contagion_graph.solvers.iterate import iterate
from contagion_graph.solvers.solution import Solution


@dataclass(frozen=True)
class FailureCost:
    """What an asset loses for good once its value has fallen too far: a depeg, a redemption that is halted.

    Parameters
    ----------
    threshold : float
        An asset fails when its value is below this share of its value at rest, in (0, 1].
    cost : float
        Share of its value at rest that it then loses of its own worth; that does not fall below 0.

    References
    ----------
    Elliott, Golub & Jackson (2014), American Economic Review 104(10), equation 2.

    Examples
    --------
    >>> FailureCost(threshold=0.9, cost=0.05)
    FailureCost(threshold=0.9, cost=0.05)
    """

    threshold: float
    cost: float

    def __post_init__(self) -> None:
        check_number("FailureCost", "threshold", self.threshold, low=0, high=1)
        check_number("FailureCost", "cost", self.cost, low=0)


@dataclass(frozen=True, eq=False)
class Revaluation:
    """What assets are worth after a shock was passed down.

    Parameters
    ----------
    table : DataFrame
        One row an asset: price_before, price_after [currency per unit], change (relative), wave (the step in which
        the asset failed; 0 = it did not).
    solution : Solution
        How the waves of failure ended.
    """

    table: pd.DataFrame
    solution: Solution

    @property
    def shock(self) -> "pd.Series[float]":
        """The relative change of each asset, to be given to `MarginCascade.run`."""
        return self.table["change"].rename("shock")


def failure_waves(
    values_of: Callable[[FloatArray], FloatArray], own: FloatArray, least: FloatArray, cost: FloatArray
) -> tuple[FloatArray, IntArray, Solution]:
    """Let whoever is worth less than the least lose its cost of own worth, until nobody else fails.

    Parameters
    ----------
    values_of : callable
        Takes own worth, shape (m,), returns values; it never falls where own worth rises.
    own, least, cost : ndarray, shape (m,)
        Own worth r; the value below which one fails; what failing takes off r, which does not fall below 0.

    Returns
    -------
    tuple of ndarray, ndarray of int, Solution
        Values; the wave in which each failed, 0 = not; how it ended.

    Examples
    --------
    >>> failure_waves(lambda own: own, np.array([1.0, 2.0]), np.array([1.5, 1.5]), np.array([0.5, 0.5]))[:2]
    (array([0.5, 2. ]), array([1, 0], dtype=int32))
    """
    wave = np.zeros(own.size, dtype=np.int32)
    value = values_of(own)

    def change(_: int) -> tuple[float, bool]:
        count = int(np.count_nonzero((value < least) & (wave == 0)))
        return count / max(own.size, 1), count == 0

    def advance(step: int) -> None:
        nonlocal value
        wave[(value < least) & (wave == 0)] = step
        value = values_of(np.maximum(own - np.where(wave > 0, cost, 0.0), 0.0))

    solution, _ = iterate(change, advance, max_steps=own.size)
    return value, wave, solution
