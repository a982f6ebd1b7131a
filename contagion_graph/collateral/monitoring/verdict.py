"""The verdict on an event: accounts that came into breach or recovered, and the solvency of every pool."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph.collateral.monitoring.account_index import Directory, Triple
from contagion_graph.collateral.monitoring.ledger import Crossed, Ledger
from contagion_graph.solvers.arrays import ratio


@dataclass(frozen=True, eq=False, repr=False)
class Verdict:
    """The state after an event.

    Parameters
    ----------
    sequence : int
        The number of the event.
    assets, liabilities : ndarray, shape (v,)
        Of each pool: its fund plus the sum of equities; the sum of positive equities [currency].
    """

    sequence: int
    assets: FloatArray
    liabilities: FloatArray
    _crossed: Crossed
    _directory: Directory

    @property
    def breached(self) -> list[Triple]:
        """The accounts (trader, pool, subaccount) that came into breach."""
        return [self._directory.label(row) for row in self._crossed.breached.tolist()]

    @property
    def recovered(self) -> list[Triple]:
        """The accounts that are no longer in breach."""
        return [self._directory.label(row) for row in self._crossed.recovered.tolist()]

    @property
    def solvency(self) -> "pd.Series[float]":
        """Assets over liabilities of each pool; NaN without liabilities."""
        index = pd.Index(self._directory.pools, dtype="str", name="pool")
        return pd.Series(ratio(self.assets, self.liabilities, np.nan), index=index, name="solvency")

    def __repr__(self) -> str:
        counts = self._crossed.breached.size, self._crossed.recovered.size
        owed = self.liabilities.sum()
        solvency = f"{self.assets.sum() / owed:.4f}" if owed > 0.0 else "undefined"
        return f"<Verdict {self.sequence}: {counts[0]:,} breached, {counts[1]:,} recovered; solvency {solvency}>"


def verdict_of(sequence: int, ledger: Ledger, directory: Directory, crossed: Crossed) -> Verdict:
    """Return the verdict on an event that has just been carried out."""
    equity, liabilities = ledger.pools()
    return Verdict(sequence, ledger.fund + equity, liabilities, crossed, directory)
