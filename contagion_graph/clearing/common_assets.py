"""Obligations and common assets sold at a falling price: one fixed point in payments and prices."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number
from contagion_graph.clearing.fictitious import Clearing, greatest, least
from contagion_graph.clearing.model import Seniority
from contagion_graph.clearing.result import ClearingResult
from contagion_graph.clearing.system import System, system_of
from contagion_graph.errors import ConvergenceError, ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.graph.scenario import AccountKey, Shock, check_graph, scenario
from contagion_graph.rules.impact import ExponentialImpact, Impact
from contagion_graph.solvers.monotone import Problem, approach
from contagion_graph.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class Books:
    """What n banks have besides claims on each other: cash, debts outside, and m assets that they sell at one price."""

    network: ObligationNetwork
    quantity: sparse.csr_array
    cash: FloatArray
    sellable: FloatArray
    price_shocked: FloatArray
    sensitivity: FloatArray
    impact: Impact

    def system(self, price: FloatArray, *, external_first: bool) -> System:
        """Return the clearing problem at these prices: all assets count at what they are sold for."""
        network = replace(self.network, external_assets=self.cash + self.quantity @ price)
        nothing = np.zeros(self.cash.size)
        return system_of(network, nothing, external_first=external_first, alpha=1.0, beta=1.0)

    def sold_share(self, price: FloatArray, received: FloatArray, due: FloatArray, ratio: float | None) -> FloatArray:
        """Return which share of its sellable assets each bank sells, shape (n,)."""
        value = self.quantity @ (self.sellable * price)
        if ratio is None:
            needed = due - self.cash - received
        else:  # equity after is not below ratio times what is still risky: claims, and assets that are kept
            risky = received + self.quantity @ price
            needed = risky - (self.cash + risky - due) / ratio
        return np.where(
            needed > 0.0, np.minimum(np.divide(needed, value, out=np.ones_like(value), where=value > 0), 1), 0
        )

    def prices(self, share: FloatArray) -> FloatArray:
        """Return the prices after these sales."""
        units = self.sellable * (self.quantity.T @ share)
        after: FloatArray = self.price_shocked * self.impact.price_factor(units * self.sensitivity)
        return after


@dataclass(frozen=True)
class CommonAssetClearing:
    """Banks that owe each other and hold the same assets: who is short of cash, or of capital, sells, and prices fall.

    With p the prices, cash c_i, holdings q_i >= 0, y_i what other banks pay, and due_i all that is owed:

        payment    min(due_i, c_i + y_i + q_i.p), shared as in `EisenbergNoe`
        sales      s_i = the least share of what can be sold with which the bank meets its rule, else everything
        prices     p_j = p_shocked_j f(x_j),   x_j = sum_i s_i q_ij p0_j / depth_j

    The rule of Amini, Filipovic & Minca (`capital_ratio=None`): cash and receipts cover what is due,
    c_i + y_i + s_i q_i.p >= due_i. That of Cifuentes, Ferrucci & Shin: equity is at least the ratio r times what is
    risky, c_i + y_i + q_i.p - due_i >= r (y_i + q_i.p - s_i q_i.p); cash, also from sales, is not. All sales trade at
    the final price; what cannot be sold still counts. A bank sells the same share of all that it can sell. The map of
    prices is isotone: there is a greatest fixed point, with the highest prices and payments, and a least one.

    Parameters
    ----------
    capital_ratio : float or None
        r in (0, 1]; None: banks sell only to pay.
    impact : Impact
        f; its `volume` must be "initial".
    seniority : {"external_first", "pari_passu"}
        As in `EisenbergNoe`.
    tol : float
        The error of prices, as a share of the shocked price, that has to be proven.
    max_steps : int
        Steps after which to give up.

    References
    ----------
    Cifuentes, Ferrucci & Shin (2005), J. of the European Economic Association 3(2-3): 556-566. Amini, Filipovic & Minca
    (2016), Operations Research Letters 44(1): 1-5.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_tables(
    ...     {"trader": ["A", "B"], "asset": ["bond", "bond"], "quantity": [10.0, 10.0]},
    ...     {"asset": ["bond"], "price": [1.0], "depth": [40.0]},
    ...     obligations={"debtor": ["A"], "creditor": ["B"], "amount": [8.0]},
    ... )
    >>> result = cg.CommonAssetClearing(impact=cg.LinearImpact()).run(graph)
    >>> result.banks["sold_share"].round(4).to_dict(), result.assets["price_after"].round(4).to_dict()
    ({'A': 1.0, 'B': 0.0}, {'bond': 0.75})
    """

    capital_ratio: float | None = None
    _: KW_ONLY
    impact: Impact = ExponentialImpact()  # noqa: RUF009 - frozen
    seniority: Seniority = "external_first"
    tol: float = 1e-12
    max_steps: int = 100_000

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_choice(f"{owner}: seniority", self.seniority, ("external_first", "pari_passu"))
        if self.capital_ratio is not None:
            check_number(owner, "capital_ratio", self.capital_ratio, low=0, above=True, high=1)
        check_number(owner, "tol", self.tol, low=0, above=True, high=1)
        check_number(owner, "max_steps", self.max_steps, low=1, whole=True)
        if getattr(self.impact, "volume", None) != "initial":
            raise ParameterError(f"{owner}: impact is {self.impact!r}; give one with volume='initial'")

    def run(
        self, graph: ExposureGraph, shock: Shock | None = None, *, losses: Mapping[AccountKey, float] | None = None
    ) -> "CommonAssetResult":
        """Find the greatest fixed point: the highest prices and payments that a shock leaves possible.

        Parameters
        ----------
        graph : ExposureGraph
            Its traders are the banks, `graph.obligations` what they owe each other. A bank's cash is the sum of its
            accounts' cash; below 0 it is a debt outside. Margins play no part.
        shock : mapping or Series asset -> relative price change
            As in `MarginCascade.run`.
        losses : mapping of trader or account triple to currency, optional
            Taken from cash.

        Returns
        -------
        CommonAssetResult

        Raises
        ------
        ParameterError
            Short positions: what has to be bought back would make prices rise.
        TableError
            A shock or loss that the graph does not know or that is out of range.
        ConvergenceError
            The step limit was reached.
        """
        return self._end(graph, shock, losses, from_above=True)

    def equilibria(
        self, graph: ExposureGraph, shock: Shock | None = None, *, losses: Mapping[AccountKey, float] | None = None
    ) -> tuple["CommonAssetResult", "CommonAssetResult"]:
        """Find the least and the greatest fixed point, in this order; parameters and errors are those of `run`."""
        return tuple(self._end(graph, shock, losses, from_above=above) for above in (False, True))  # type: ignore[return-value]

    def _end(self, graph: ExposureGraph, shock: Any, losses: Any, *, from_above: bool) -> "CommonAssetResult":
        books = _books(graph, shock, losses, self.impact)
        first = self.seniority == "external_first"
        clear = greatest if from_above else least

        def state(price: FloatArray) -> tuple[System, Clearing, FloatArray]:
            system = books.system(price, external_first=first)
            cleared = clear(system)
            share = books.sold_share(price, cleared.assets - system.external, system.total, self.capital_ratio)
            return system, cleared, share

        start = books.price_shocked if from_above else books.prices(np.ones(books.cash.size))
        problem = Problem(lambda price: books.prices(state(price)[2]), start, books.price_shocked)
        price, solution = approach(problem, from_above=from_above, tol=self.tol, max_steps=self.max_steps)
        if not solution.converged:
            raise ConvergenceError(
                f"CommonAssetClearing: after {solution.steps:,} steps the error of prices is not proven to be below "
                f"{self.tol:g}; raise max_steps or tol",
                solution,
            )
        system, cleared, share = state(price)
        clearing = ClearingResult(self, books.network, system, *cleared)
        return CommonAssetResult(graph, books, clearing, share, price, solution)


@dataclass(frozen=True, eq=False, repr=False)
class CommonAssetResult:
    """Payments, sales and prices at a fixed point.

    Parameters
    ----------
    graph : ExposureGraph
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

    graph: ExposureGraph
    books: Books
    clearing: ClearingResult
    sold_share: FloatArray
    price: FloatArray
    solution: Solution

    @property
    def model(self) -> CommonAssetClearing:
        """The model that was run."""
        model: CommonAssetClearing = self.clearing.model
        return model

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

    def __repr__(self) -> str:
        fall = 1.0 - float(np.min(self.price / self.books.price_shocked))
        sold, defaults = (int((each > 0).sum()) for each in (self.sold_share, self.clearing.default_round))
        return (
            f"<CommonAssetResult: {sold:,} of {len(self.sold_share):,} banks sell, {defaults:,} default; "
            f"the largest fall of a price by sales is {fall:.4g}. {self.solution.status.value}>"
        )


def _books(graph: ExposureGraph, shock: Any, losses: Any, impact: Impact) -> Books:
    check_graph(graph)
    case = scenario(graph, shock, losses)
    short = np.flatnonzero(graph.quantity.data < 0.0)
    if short.size:
        asset = graph.assets[graph.quantity.indices[short[0]]]
        raise ParameterError(f"graph: asset {asset!r} is held short; banks that sell common assets hold them long")
    cash = graph.per_trader(graph.cash - case.losses)
    network = graph.obligations
    outside = np.maximum(-cash, 0.0)
    return Books(
        network=replace(network, external_liabilities=outside),
        quantity=graph.trader_rows(graph.quantity),
        cash=np.maximum(cash, 0.0),
        sellable=graph.sellable.astype(np.float64),
        price_shocked=case.price_shocked,
        sensitivity=graph.price / graph.depth,
        impact=impact.for_assets(graph.assets),
    )
