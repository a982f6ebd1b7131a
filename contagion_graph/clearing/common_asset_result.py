"""Banks with common assets: their books before the sales, and payments, sales and prices at a fixed point."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray
from contagion_graph.clearing.result import ClearingResult
from contagion_graph.clearing.system import System, system_of
from contagion_graph.graph.backing import moved_note
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.solvers.arrays import product, ratio

if TYPE_CHECKING:
    from contagion_graph.clearing.common_assets import CommonAssetClearing


@dataclass(frozen=True, eq=False)
class Books:
    """What n banks have besides claims on each other: cash, debts outside, and m assets that they sell at one price.

    `passed_down` counts the assets to whose price the shock was passed down; None: the graph has no backing.
    """

    network: ObligationNetwork
    quantity: sparse.csr_array
    cash: FloatArray
    sellable: FloatArray
    price_shocked: FloatArray
    sensitivity: FloatArray
    impact: ImpactRecord
    passed_down: int | None = None

    def system(self, price: FloatArray, *, external_first: bool) -> System:
        """Return the clearing problem at these prices: all assets count at what they are sold for."""
        network = replace(self.network, external_assets=self.cash + self.quantity @ price)
        nothing = np.zeros(self.cash.size)
        return system_of(network, nothing, external_first=external_first, alpha=1.0, beta=1.0)

    def sold_share(
        self, price: FloatArray, received: FloatArray, due: FloatArray, capital_ratio: float | None
    ) -> FloatArray:
        """Return which share of its sellable assets each bank sells, shape (n,)."""
        value = self.quantity @ (self.sellable * price)
        if capital_ratio is None:
            needed = due - self.cash - received
        else:  # equity after is not below capital_ratio times what is still risky: claims, and assets that are kept
            risky = received + self.quantity @ price
            needed = risky - (self.cash + risky - due) / capital_ratio
        return np.where(needed > 0.0, np.minimum(ratio(needed, value, 1.0), 1.0), 0.0)

    def prices(self, share: FloatArray) -> FloatArray:
        """Return the prices after these sales."""
        units = self.sellable * (self.quantity.T @ share)
        return product(self.price_shocked, self.impact.price_factor(units * self.sensitivity))


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CommonAssetResult(Result):
    """Payments, sales and prices at a fixed point.

    Parameters
    ----------
    model : CommonAssetClearing
        The model that was run.
    graph : ExposureGraph
        Its traders are the banks.
    books : Books
        What the banks had before the sales.
    clearing : ClearingResult
        Who pays what at the final prices; its external assets are cash and assets at these prices.
    sold_share : ndarray, shape (n,)
        Which share of what it can sell each bank sells.
    price : ndarray, shape (m,)
        Prices after the sales [currency per unit].
    solution : Solution
        Its errors are those of prices, as shares of the shocked price.
    """

    model: "CommonAssetClearing"
    graph: ExposureGraph
    books: Books
    clearing: ClearingResult
    sold_share: FloatArray
    price: FloatArray
    solution: Solution

    @cached_property
    def banks(self) -> pd.DataFrame:
        """One row a bank: the columns of `ClearingResult.nodes`, sold_share, value_sold [currency, at final prices]."""
        books = self.books
        value = self.sold_share * (books.quantity @ (books.sellable * self.price))
        return self.clearing.nodes.assign(sold_share=self.sold_share, value_sold=value)

    @cached_property
    def assets(self) -> pd.DataFrame:
        """One row an asset: price_before, price_shocked, price_after [currency per unit], units_sold, value_sold."""
        units = self.books.sellable * (self.books.quantity.T @ self.sold_share)
        columns = {
            "price_before": self.graph.price,
            "price_shocked": self.books.price_shocked,
            "price_after": self.price,
            "units_sold": units,
            "value_sold": units * self.price,
        }
        return pd.DataFrame(columns, index=self.graph.assets.rename("asset"))

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            The figures of `ClearingResult.summary`; sellers (banks that sell); value_sold [currency, at final prices];
            largest_fall (the largest fall of a price by sales, as a share of the shocked price); passed_down (assets
            to whose price the shock was passed down), where the graph has a backing.
        """
        sales = {
            "sellers": float(np.count_nonzero(self.sold_share)),
            "value_sold": float(self.banks["value_sold"].sum()),
            "largest_fall": float(np.max(1.0 - self.price_share, initial=0.0)),
        }
        if self.books.passed_down is not None:
            sales["passed_down"] = float(self.books.passed_down)
        return pd.concat([self.clearing.summary(), pd.Series(sales)]).rename("clearing")

    @property
    def price_share(self) -> FloatArray:
        """Prices after the sales as shares of the shocked ones, shape (m,); 1 where the shocked price is 0."""
        return ratio(self.price, self.books.price_shocked, 1.0)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"banks": self.banks, "assets": self.assets}

    def __repr__(self) -> str:
        s = self.summary()
        return (
            f"<CommonAssetResult: {s['sellers']:,.0f} of {len(self.sold_share):,} banks sell, {s['defaults']:,.0f} "
            f"default; the largest fall of a price by sales is {s['largest_fall']:.4g}"
            f"{moved_note(self.books.passed_down)}. {self.solution.status.value}>"
        )
