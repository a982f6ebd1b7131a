"""What fails once its value has fallen too far, and what that costs."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contagion_graph._result import Result
from contagion_graph._typing import FloatArray, IntArray
from contagion_graph._validate import check_number
from contagion_graph.solvers.iterate import iterate
from contagion_graph.solvers.solution import Solution

if TYPE_CHECKING:
    from contagion_graph.collateral.backing.backing import Backing


@dataclass(frozen=True)
class FailureCost:
    """What an asset loses for good once its value has fallen too far: a depeg, a redemption that is halted.

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


@dataclass(frozen=True, eq=False, repr=False)
class BackedPrices(Result):
    """The prices of assets after a shock was passed down to all that is made of them.

    Parameters
    ----------
    table : DataFrame
        One row an asset: price_before, price_after [currency per unit], change (relative), failure_round (the round in
        which the asset failed; 0 = it did not).
    model : Backing
        What the assets are made of.
    solution : Solution
        How the rounds of failure ended.
    """

    table: pd.DataFrame
    _: KW_ONLY
    model: "Backing"
    solution: Solution

    @property
    def shock(self) -> "pd.Series[float]":
        """The relative change of each asset, to be given to `MarginCascade.run`."""
        return self.table["change"].rename("shock")

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            assets, changed, failed (numbers of assets), rounds (of failure), largest_fall (relative).
        """
        change, failed = self.table["change"], self.table["failure_round"]
        figures = {
            "assets": len(change),
            "changed": np.count_nonzero(change),
            "failed": np.count_nonzero(failed),
            "rounds": failed.max(),
            "largest_fall": max(0.0, -change.min()),
        }
        return pd.Series(figures, dtype=float)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"assets": self.table}

    def __repr__(self) -> str:
        s = self.summary()
        return (
            f"<BackedPrices: {s['changed']:.0f} of {s['assets']:.0f} assets changed, {s['failed']:.0f} failed; largest "
            f"fall {s['largest_fall']:.4g}. {self.solution.status.value}>"
        )


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
