"""The least and the greatest clearing vector, with or without common assets."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd

from contagion_graph._result import Pair
from contagion_graph.clearing.common_asset_result import CommonAssetResult
from contagion_graph.clearing.result import ClearingResult

SAME = 1e-9  # recovery rates, and shares of the shocked price, that differ by no more count as equal
R = TypeVar("R", bound=ClearingResult | CommonAssetResult)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ClearingEquilibria(Pair[R]):
    """The least and the greatest clearing vector: no other pays less than the one or more than the other.

    Parameters
    ----------
    least, greatest : ClearingResult or CommonAssetResult
        Without common assets, a node that defaults in the least one only has a round after all rounds of the greatest.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays([[0.0, 100.0], [100.0, 0.0]], external_assets=0.0)
    >>> both = cg.EisenbergNoe().equilibria(network)
    >>> both.unique, both.least.payments.tolist(), both.greatest.payments.tolist()
    (False, [0.0, 0.0], [100.0, 100.0])
    """

    @cached_property
    def _clearing(self) -> list[ClearingResult]:
        ends = self.least, self.greatest
        return [end.clearing if isinstance(end, CommonAssetResult) else end for end in ends]

    @cached_property
    def gap(self) -> "pd.Series[float]":
        """What each node pays more at the greatest than at the least clearing vector, in all [currency]."""
        least, greatest = self._clearing
        more = ((greatest.tier_shares - least.tier_shares) * greatest.system.due).sum(axis=0)
        return pd.Series(more, index=greatest.network.nodes, name="gap")

    @property
    def price_gap(self) -> float:
        """The largest difference of a price, as a share of the shocked one; 0 without common assets."""
        shares = [end.price_share for end in (self.least, self.greatest) if isinstance(end, CommonAssetResult)]
        return float(np.max(np.ptp(shares, axis=0), initial=0.0)) if shares else 0.0

    @property
    def unique(self) -> bool:
        """Whether both are the same: payments to 1e-9 of what is due, prices to 1e-9 of the shocked ones."""
        same_payments = np.abs(self.gap) <= SAME * self._clearing[1].system.total
        return bool(same_payments.all() and self.price_gap <= SAME)

    def __repr__(self) -> str:
        low, high = (int((end.round_of > 0).sum()) for end in reversed(self._clearing))
        apart = f"clearing vectors differ by up to {self.gap.sum():,.6g} of payments"
        if self.price_gap:
            apart += f", prices by up to {self.price_gap:.4g}"
        counts = f"{low:,} to {high:,} of {len(self.gap):,} nodes default"
        return f"<ClearingEquilibria: {counts}; {'one clearing vector' if self.unique else apart}>"
