"""Obligations and common assets sold at a falling price: one fixed point in payments and prices."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import check_choice, check_number
from contagion_graph.clearing.common_asset_result import Books, CommonAssetResult
from contagion_graph.clearing.equilibria import ClearingEquilibria
from contagion_graph.clearing.fictitious import Clearing, greatest, least
from contagion_graph.clearing.model import Seniority
from contagion_graph.clearing.result import ClearingResult
from contagion_graph.clearing.system import System
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import AccountKey, Shock, check_graph, check_no_instruments, scenario
from contagion_graph.rules.impact import ExponentialImpact, ImpactRecord
from contagion_graph.solvers.iteration import check_on_failure, conclude
from contagion_graph.solvers.monotone import Problem, approach


@dataclass(frozen=True)
class CommonAssetClearing:
    """Banks that owe each other and hold the same assets: banks short of cash, or of capital, sell, and prices fall.

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
    impact : ImpactRecord
        f; its `volume` must be "initial".
    seniority : {"external_first", "pari_passu"}
        As in `EisenbergNoe`.
    tol : float
        The error of prices, as a share of the shocked price, that has to be proven.
    max_iter : int
        The most iterations.

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
    impact: ImpactRecord = ExponentialImpact()  # noqa: RUF009 - frozen
    seniority: Seniority = "external_first"
    tol: float = 1e-12
    max_iter: int = 100_000

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_choice(f"{owner}: seniority", self.seniority, ("external_first", "pari_passu"))
        if self.capital_ratio is not None:
            check_number(owner, "capital_ratio", self.capital_ratio, low=0, above=True, high=1)
        check_number(owner, "tol", self.tol, low=0, above=True, high=1)
        check_number(owner, "max_iter", self.max_iter, low=1, whole=True)
        if getattr(self.impact, "volume", None) != "initial":
            raise ParameterError(f"{owner}: impact is {self.impact!r}; give one with volume='initial'")

    def run(
        self,
        graph: ExposureGraph,
        shock: Shock | None = None,
        *,
        losses: Mapping[AccountKey, float] | None = None,
        on_failure: OnFailure = "raise",
    ) -> CommonAssetResult:
        """Find the greatest fixed point: the highest prices and payments that a shock leaves possible.

        Parameters
        ----------
        graph : ExposureGraph
            Its traders are the banks, `graph.obligations` what they owe each other. A bank's cash is the sum of its
            accounts' cash; below 0 it is a debt outside. Margins play no part.
        shock : mapping or Series asset -> relative price change
            As in `MarginCascade.run`.
        losses : mapping or Series of trader or account triple to currency, optional
            Taken from cash.
        on_failure : {"raise", "warn", "ignore"}
            What to do where `max_iter` is reached before the error of prices is proven to be small.

        Returns
        -------
        CommonAssetResult

        Raises
        ------
        ParameterError
            No graph; a shock or loss that the graph does not know or that is out of range; short positions: purchases
            would make prices rise.
        ConvergenceError
            `max_iter` was reached.
        """
        return self._end(graph, _books(graph, shock, losses, self.impact), on_failure, from_above=True)

    def equilibria(
        self,
        graph: ExposureGraph,
        shock: Shock | None = None,
        *,
        losses: Mapping[AccountKey, float] | None = None,
        on_failure: OnFailure = "raise",
    ) -> ClearingEquilibria[CommonAssetResult]:
        """Find the least and the greatest fixed point.

        Parameters
        ----------
        graph, shock, losses, on_failure
            As in `run`.

        Returns
        -------
        ClearingEquilibria
            Of two `CommonAssetResult`.

        Raises
        ------
        ParameterError, ConvergenceError
            As in `run`.
        """
        books = _books(graph, shock, losses, self.impact)
        least, greatest = (self._end(graph, books, on_failure, from_above=above) for above in (False, True))
        return ClearingEquilibria(least=least, greatest=greatest)

    def _end(self, graph: ExposureGraph, books: Books, on_failure: OnFailure, *, from_above: bool) -> CommonAssetResult:
        check_on_failure(on_failure)
        first = self.seniority == "external_first"
        clear = greatest if from_above else least

        def state(price: FloatArray) -> tuple[System, Clearing, FloatArray]:
            system = books.system(price, external_first=first)
            cleared = clear(system)
            share = books.sold_share(price, cleared.assets - system.external, system.total, self.capital_ratio)
            return system, cleared, share

        start = books.price_shocked if from_above else books.prices(np.ones(books.cash.size))
        scale = np.where(books.price_shocked > 0.0, books.price_shocked, 1.0)
        problem = Problem(lambda price: books.prices(state(price)[2]), start, scale)
        price, solution = approach(problem, from_above=from_above, tol=self.tol, max_steps=self.max_iter)
        where = f"CommonAssetClearing: after {solution.steps:,} steps the error of prices is not proven to be below"
        conclude(solution, on_failure, f"{where} {self.tol:g}", "Raise max_iter or tol.")
        system, cleared, share = state(price)
        clearing = ClearingResult(model=self, network=books.network, system=system, **cleared._asdict())
        return CommonAssetResult(
            model=self, graph=graph, books=books, clearing=clearing, sold_share=share, price=price, solution=solution
        )


def _books(graph: ExposureGraph, shock: Any, losses: Any, impact: ImpactRecord) -> Books:
    check_graph(graph)
    check_no_instruments(graph, "CommonAssetClearing")
    case = scenario(graph, shock, losses)
    short = np.flatnonzero(graph.quantity.data < 0.0)
    if short.size:
        asset = graph.assets[graph.quantity.indices[short[0]]]
        raise ParameterError(f"graph: asset {asset!r} is held short; banks that sell common assets hold them long")
    cash = graph._rows.per_trader(graph.cash - case.losses)
    network = graph.obligations
    outside = np.maximum(-cash, 0.0)
    return Books(
        network=replace(network, external_liabilities=outside),
        quantity=graph._rows.trader_rows(graph.quantity),
        cash=np.maximum(cash, 0.0),
        sellable=graph.sellable.astype(np.float64),
        price_shocked=case.price_shocked,
        sensitivity=graph.price / graph.depth,
        impact=impact.for_assets(graph.assets),
        passed_down=case.passed_down,
    )
