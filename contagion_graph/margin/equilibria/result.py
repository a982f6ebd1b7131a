"""The equilibria of a cascade: the least and the greatest, how far apart they are, and the status of each account."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion_graph._result import Pair
from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.margin.result import CascadeResult

SAME = 1e-9  # closed shares that differ by no more count as equal: smooth rules are solved to rounding, not to the bit
OPEN, CLOSED, UNDECIDED = "certainly open", "certainly closed", "undecided"


class Gap(NamedTuple):
    """How far apart the least and the greatest are.

    Parameters
    ----------
    assets : DataFrame
        One row an asset: price_least, price_greatest [currency per unit], difference.
    pools : DataFrame
        One row a pool: uncovered_least, uncovered_greatest [currency], difference.
    accounts : int
        Number of accounts whose closed shares differ.
    """

    assets: pd.DataFrame
    pools: pd.DataFrame
    accounts: int


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Equilibria(Pair[CascadeResult]):
    """The least and the greatest equilibrium of a margin cascade, or bounds around all of them.

    Where closing can never help another account (`one_sided`), `least` and `greatest` are equilibria: no equilibrium
    closes less than the one or more than the other. In netted books they bound every equilibrium; where few accounts
    are undecided, every equilibrium is found and listed in `points`, and the bounds are the tightest possible.

    Parameters
    ----------
    least, greatest : CascadeResult
        The tables of both; `solution` says how certain each is.
    one_sided : bool
        Whether both are equilibria for certain.
    points : DataFrame or None
        Closed shares of every equilibrium: one column an equilibrium, one row an account; None where not all are known.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=2e3, margin_long=0.1, cash=[-850.0, -600.0], traders=["A", "B"]
    ... )
    >>> both = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).equilibria(graph, {"0": -0.02})
    >>> both.unique, both.account_status.tolist()
    (False, ['undecided', 'undecided'])
    """

    one_sided: bool
    points: pd.DataFrame | None

    @property
    def unique(self) -> bool:
        """Whether the least and the greatest close the same shares, to 1e-9: there is one equilibrium."""
        return not self._apart.any()

    @property
    def _closed(self) -> tuple[FloatArray, FloatArray]:
        return self.least.arrays.closed, self.greatest.arrays.closed

    @cached_property
    def _apart(self) -> BoolArray:
        low, high = self._closed
        return np.abs(high - low) > SAME

    @cached_property
    def account_status(self) -> pd.Series:
        """Status of each account: "certainly closed" (in part, where both agree), "certainly open" or "undecided"."""
        status = np.where(self._apart, UNDECIDED, np.where(self._closed[0] > 0.0, CLOSED, OPEN))
        return pd.Series(status, index=self.least.graph.account_index, name="equilibria")

    @property
    def undecided(self) -> float:
        """Share of the accounts that close differently at the least and the greatest."""
        return float(self._apart.mean())

    @property
    def gap(self) -> Gap:
        """How far apart the two are, by asset, by pool and in accounts."""
        both = {"least": self.least, "greatest": self.greatest}
        assets = pd.DataFrame({f"price_{name}": end.assets["price_after"] for name, end in both.items()})
        pools = pd.DataFrame({f"uncovered_{name}": end.pools["uncovered"] for name, end in both.items()})
        assets["difference"] = assets["price_greatest"] - assets["price_least"]
        pools["difference"] = pools["uncovered_greatest"] - pools["uncovered_least"]
        return Gap(assets, pools, int(self._apart.sum()))

    def __repr__(self) -> str:
        low, high = ((closed > 0.0).sum() for closed in self._closed)
        kind = "least and greatest" if self.one_sided else "bounds"
        note = "; shocks passed down through table backing" if "price_given" in self.least.assets else ""
        apart = "one equilibrium" if self.unique else f"{self.undecided:.1%} of accounts undecided"
        return f"<Equilibria: {kind} close {low:,} and {high:,} of {len(self._apart):,} accounts; {apart}{note}>"
