"""The single positions behind the matrices of a graph."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray, IntArray
from contagion_graph.tables.schema import Labels


@dataclass(frozen=True, eq=False)
class PositionRecords:
    """The single positions, in the order in which they were given.

    Parameters
    ----------
    account, asset : int32 arrays, shape (positions,)
        Row and column of each position.
    quantity, entry_price, margin : float64 arrays, shape (positions,)
        Units; currency per unit (NaN = fully paid); own margin rate (NaN = the asset's).
    own_cash : float64 array, shape (n,)
        The accounts' own cash, without the -quantity * entry_price of derivatives [currency].
    position, kind : Labels or None
        Identifiers and kinds, where they were given.
    """

    account: IntArray
    asset: IntArray
    quantity: FloatArray
    entry_price: FloatArray
    margin: FloatArray
    own_cash: FloatArray
    position: Labels | None = None
    kind: Labels | None = None

    def entry_value(self) -> FloatArray:
        """Return sum quantity * entry_price of each account's derivatives, shape (n,) [currency]."""
        value = self.quantity * self.entry_price
        return self.account_sums(np.nan_to_num(value, copy=False))

    def account_sums(self, amount: FloatArray) -> FloatArray:
        """Add up an amount for each position over the positions of each account, shape (n,)."""
        sums = np.zeros(self.own_cash.size)
        np.add.at(sums, self.account, amount)  # np.bincount would first write the rows as 64-bit numbers
        return sums

    def of(self, keep: Any) -> "PositionRecords":
        """Return the records where a mask holds."""

        def part(labels: Labels | None) -> Labels | None:
            return None if labels is None else Labels(labels.codes[keep], labels.values)

        return replace(
            self,
            account=self.account[keep],
            asset=self.asset[keep],
            quantity=self.quantity[keep],
            entry_price=self.entry_price[keep],
            margin=self.margin[keep],
            position=part(self.position),
            kind=part(self.kind),
        )

    def subset(self, rows: Any, columns: Any) -> "PositionRecords":
        """Return the records of the accounts and assets where these masks hold, renumbered."""
        kept = self.of(rows[self.account] & columns[self.asset])
        account, asset = (np.cumsum(mask, dtype=np.int32) - 1 for mask in (rows, columns))
        return replace(kept, account=account[kept.account], asset=asset[kept.asset], own_cash=self.own_cash[rows])
