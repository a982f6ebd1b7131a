"""Banks that keep a capital ratio: cash pays debt first, sales follow a pecking order and settle in the next round.

The rounds keep the units that every bank has left of every asset, because a pecking order closes another share of each.
The margin cascade keeps two shares an account, of longs and of shorts, and so is fast; this model is for banks.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import BoolArray, FloatArray, OnFailure
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError, nearest
from contagion_graph.graph.backing import moved_note
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock, check_graph, check_no_instruments, scenario
from contagion_graph.rules.capital import CapitalRatio
from contagion_graph.rules.impact import ExponentialImpact, ImpactRecord
from contagion_graph.solvers.arrays import product, ratio, row_of_cells, with_data
from contagion_graph.solvers.iteration import check_on_failure, conclude, iterate
from contagion_graph.tables.labels import label_text
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument

REPAYABLE = Number("share of debt", low=0.0, high=1.0)
NEGLIGIBLE = 1e-12  # share of what could be sold at the start: sales worth less are not carried out


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RegulatedBanks(Result):
    """What a shock does to banks that keep a capital ratio.

    Parameters
    ----------
    model : CapitalRatio
        The ratio that the banks keep.
    banks : DataFrame by account
        `equity_before` the shock and `equity_after` [currency], `ratio_before` and `ratio_after` (NaN where nothing
        counts), `repaid` debt, `proceeds` of sales [currency], `default_round` (0 = none).
    assets : DataFrame by asset
        `price_before`, `price_shocked`, `price_after` [currency per unit], `units_sold`, `value_sold` [currency].
    rounds : DataFrame by round
        `failed` and `acted`, numbers of banks; `repaid`, and `offered`, the value offered for sale [currency]. What the
        last row offers was not sold.
    units_sold : DataFrame, rounds x assets
        What each round sold.
    solution : Solution
        How the rounds ended; its residual is the value still offered, as a share of what could be sold at the start.
    passed_down : int or None
        Assets to whose price the shock was passed down; None: the graph has no backing.
    """

    model: CapitalRatio
    banks: pd.DataFrame
    assets: pd.DataFrame
    rounds: pd.DataFrame
    units_sold: pd.DataFrame
    solution: Solution
    passed_down: int | None = None

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            banks; rounds (of sales); failed; repaid, value_sold; equity_before, equity_after [currency]; largest_fall
            (the largest fall of a price by sales, as a share of the shocked price); passed_down (assets to whose price
            the shock was passed down), where the graph has a backing.
        """
        banks, assets = self.banks, self.assets
        after, shocked = assets["price_after"].to_numpy(), assets["price_shocked"].to_numpy()
        return pd.Series(
            {
                "banks": len(banks),
                "rounds": len(self.units_sold),
                "failed": np.count_nonzero(banks["default_round"]),
                "repaid": banks["repaid"].sum(),
                "value_sold": assets["value_sold"].sum(),
                "equity_before": banks["equity_before"].sum(),
                "equity_after": banks["equity_after"].sum(),
                "largest_fall": np.max(1.0 - ratio(after, shocked, 1.0), initial=0.0),
                **({} if self.passed_down is None else {"passed_down": self.passed_down}),
            },
            name="value",
            dtype=np.float64,
        )

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"banks": self.banks, "assets": self.assets, "rounds": self.rounds, "units_sold": self.units_sold}

    def __repr__(self) -> str:
        s = self.summary()
        return (
            f"<RegulatedBanks: {s['failed']:,.0f} of {s['banks']:,.0f} banks fail in {s['rounds']:,.0f} rounds of "
            f"sales; {s['value_sold']:,.6g} sold{moved_note(self.passed_down)}. {self.solution.status.value}>"
        )


class Books(NamedTuple):
    """What the ratios go by: value held (n x m), and of every bank its equity E and exposure X [currency]."""

    value: sparse.csr_array
    equity: FloatArray
    exposure: FloatArray


def farmer(
    graph: ExposureGraph,
    ratio: CapitalRatio,
    shock: Shock | None = None,
    *,
    impact: ImpactRecord | None = None,
    cash: str | None = None,
    repayable: Any = 1.0,
    max_rounds: int = 10_000,
    on_failure: OnFailure = "raise",
) -> RegulatedBanks:
    """Run the fire sales of banks that keep a capital ratio, as in the models of Farmer et al.

    In each round every bank is marked, E_i = assets - debt. Below the minimum ratio it fails and sells all it can.
    Below the buffer it needs the capital of N_i = X_i - E_i / target, X_i its exposure: in a leverage ratio it repays
    min(N_i, cash, repayable debt) at once, and sells what N_i exceeds its cash by; in a risk-weighted ratio it sells
    until N_i of exposure is gone. It sells by the pecking order. All sales of a round move the price together, p_j =
    p_shocked_j f(S_j p0_j / depth_j), and are paid in cash half way between the prices before and after.

    Parameters
    ----------
    graph : ExposureGraph
        Banks hold assets and no shorts; debt is negative cash. Only what is `sellable` is sold.
    ratio : CapitalRatio
        Minimum, buffer and target, what counts, and the pecking order.
    shock : mapping or Series asset -> relative price change, optional
        -0.30 = falls by 30 %.
    impact : ImpactRecord, optional
        None: `ExponentialImpact()`.
    cash : str, optional
        The asset that is cash in hand, beside the graph's cash where that is positive.
    repayable : number, array_like, or mapping or Series by account
        Share of its debt that a bank may repay early, in [0, 1].
    max_rounds : int
        The most rounds of sales; the banks are valued once more after the last one.
    on_failure : {"raise", "warn", "ignore"}
        What to do where banks still offer something after `max_rounds`: "ignore" where that is a horizon.

    Returns
    -------
    RegulatedBanks

    Raises
    ------
    ParameterError
        No graph, no ratio, a bank with a short, an asset that the graph does not have, an impact with
        `volume="current"`, a shock or share that the graph does not know or that is out of range.
    ConvergenceError
        Banks still offer something after `max_rounds`.

    References
    ----------
    Farmer, Kleinnijenhuis, Nahai-Williamson & Wetzer (2020), Bank of England Staff Working Paper 861. Cont & Schaanning
    (2017), Norges Bank Working Paper 2/2017: selling back to a leverage target.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[40.0, 56.0, 4.0]], price=1.0, depth=1e3, cash=[-95.0], sellable=[True, False, False],
    ...     assets=["bonds", "loans", "cash"],
    ... )
    >>> rule = cg.named.CapitalRatio(0.03, buffer=0.04, target=0.05)
    >>> result = cg.named.farmer(graph, rule, {"bonds": -0.03}, cash="cash", max_rounds=1, on_failure="ignore")
    >>> result.rounds["repaid"].round(3).tolist(), result.rounds["offered"].round(3).tolist()
    ([4.0, 18.62], [18.8, 10.903])
    """
    check_graph(graph)
    check_no_instruments(graph, "farmer")
    if not isinstance(ratio, CapitalRatio):
        raise ParameterError(f"ratio is a {type(ratio).__name__}; give a CapitalRatio")
    check_number("farmer", "max_rounds", max_rounds, low=0, whole=True)
    check_on_failure(on_failure)
    state = _Rounds(graph, ratio, shock, ExponentialImpact() if impact is None else impact, cash, repayable)
    solution, _ = iterate(state.change, state.advance, max_steps=max_rounds)
    where = f"farmer: after {solution.steps:,} rounds banks still offer {solution.residual:.2g} of what could be sold"
    conclude(solution, on_failure, where, "Raise max_rounds, or ignore it where that is the horizon.")
    return state.result(solution)


class _Rounds:
    """The state of the banks, and the steps of a round."""

    def __init__(
        self,
        graph: ExposureGraph,
        ratio: CapitalRatio,
        shock: Shock | None,
        impact: ImpactRecord,
        cash: str | None,
        repayable: Any,
    ) -> None:
        _check(graph, impact, cash)
        n, m = graph.quantity.shape
        self.graph, self.ratio, self.impact = graph, ratio, impact.for_assets(graph.assets)
        is_cash = np.asarray(graph.assets == cash)
        self.weights = ratio._weights_of(graph.assets, is_cash)
        self.places = [place & graph.sellable & ~is_cash for place in ratio._places_of(graph.assets, self.weights)]
        self.sellable = graph.sellable & ~is_cash
        case = scenario(graph, shock)
        self.shocked, self.passed_down = case.price_shocked, case.passed_down
        self.price, self.sold, self.value_sold = self.shocked, np.zeros(m), np.zeros(m)
        self.left = sparse.csr_array(graph.quantity * ~is_cash)
        self.cash = np.maximum(graph.cash, 0.0) + graph.quantity @ (is_cash * self.shocked)
        self.debt = np.maximum(-graph.cash, 0.0)
        self.loan = self.debt * argument("repayable", repayable, graph.account_index, REPAYABLE, base=1.0)
        self.repaid, self.proceeds, self.default_round = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int32)
        self.can_sell = float((self.left @ (self.sellable * graph.price)).sum())
        self.records: list[dict[str, float]] = []
        self.units: list[FloatArray] = []
        cash_before = np.maximum(graph.cash, 0.0) + graph.quantity @ (is_cash * graph.price)
        self.before = self.books(graph.price, cash_before)

    def books(self, price: FloatArray, cash: FloatArray) -> Books:
        """Mark what the banks hold."""
        value = sparse.csr_array(self.left * price)
        assets = value.sum(axis=1) + cash
        counted = cash if self.ratio.cash_counts else 0.0
        return Books(value, assets - self.debt, value @ self.weights + counted)

    def change(self, step: int) -> tuple[float, bool]:
        """Let the banks fail, repay, and offer for sale; return the value offered, as a share of what could be sold."""
        books, ratio = self.books(self.price, self.cash), self.ratio
        standing = self.default_round == 0
        failed = standing & (books.equity < ratio.minimum * books.exposure)
        acting = standing & ~failed & (books.equity < ratio.buffer * books.exposure)
        self.default_round[failed] = step
        need = np.where(acting, np.maximum(books.exposure - books.equity / ratio.target, 0.0), 0.0)
        repaid = np.zeros_like(need)
        if ratio.cash_counts:
            repaid = np.minimum(np.minimum(need, self.cash), self.loan)
            need = np.maximum(need - self.cash, 0.0)  # what is in hand after repaying will repay the rest
            self.cash, self.debt, self.loan = self.cash - repaid, self.debt - repaid, self.loan - repaid
            self.repaid += repaid
        self.offer = self.offered(books.value, failed, need)
        value = float((books.value.data * self.offer).sum())
        counts = {"failed": int(failed.sum()), "acted": int(acting.sum())}
        self.records.append(counts | {"repaid": float(repaid.sum()), "offered": value})
        return value / self.can_sell if self.can_sell else 0.0, value <= NEGLIGIBLE * self.can_sell

    def offered(self, value: sparse.csr_array, failed: BoolArray, need: FloatArray) -> FloatArray:
        """Return the share of each cell that is put up for sale: a place of the order after the other, until met."""
        n, m = value.shape
        share = np.zeros((n, len(self.places) + 1))  # the last column is for what stands at no place
        place_of = np.full(m, len(self.places))
        for number, place in enumerate(self.places):
            place_of[place] = number
            relief = value @ (place * self.weights)
            share[:, number] = np.minimum(ratio(need, relief, 0.0), 1.0)
            need = np.maximum(need - relief * share[:, number], 0.0)
        rows = row_of_cells(value)
        return np.where(failed[rows] & self.sellable[value.indices], 1.0, share[rows, place_of[value.indices]])

    def advance(self, step: int) -> None:
        """Carry out the sales: move the prices, and pay half way."""
        left, graph = self.left, self.graph
        sales = with_data(left, left.data * self.offer)
        units = sales.sum(axis=0)
        self.sold = self.sold + units
        after = product(self.shocked, self.impact.price_factor(self.sold * graph.price / graph.depth))
        middle = (self.price + after) / 2.0
        paid = sales @ middle
        self.left = with_data(left, left.data * (1.0 - self.offer))
        self.cash, self.proceeds = self.cash + paid, self.proceeds + paid
        self.value_sold = self.value_sold + units * middle
        self.price = after
        self.units.append(units)

    def result(self, solution: Solution) -> RegulatedBanks:
        """Return the tables of all rounds."""
        graph, after = self.graph, self.books(self.price, self.cash)
        banks = {
            "equity_before": self.before.equity,
            "equity_after": after.equity,
            "ratio_before": ratio(self.before.equity, self.before.exposure, np.nan),
            "ratio_after": ratio(after.equity, after.exposure, np.nan),
            "repaid": self.repaid,
            "proceeds": self.proceeds,
            "default_round": self.default_round,
        }
        assets = {
            "price_before": graph.price,
            "price_shocked": self.shocked,
            "price_after": self.price,
            "units_sold": self.sold,
            "value_sold": self.value_sold,
        }
        numbers = pd.RangeIndex(1, len(self.records) + 1, name="round")
        units = np.array(self.units).reshape(-1, len(graph.assets))
        return RegulatedBanks(
            model=self.ratio,
            banks=pd.DataFrame(banks, index=graph.account_index),
            assets=pd.DataFrame(assets, index=graph.assets),
            rounds=pd.DataFrame(self.records, index=numbers),
            units_sold=pd.DataFrame(units, index=numbers[: len(units)], columns=graph.assets),
            solution=solution,
            passed_down=self.passed_down,
        )


def _check(graph: ExposureGraph, impact: ImpactRecord, cash: str | None) -> None:
    """Refuse what the model does not know."""
    if cash is not None and cash not in graph.assets:
        raise ParameterError(f"farmer: cash is {cash!r}, which the graph does not have{nearest(cash, graph.assets)}")
    if impact.volume == "current":
        raise ParameterError('farmer: impact has volume="current"; what is sold counts at the price before the shock')
    short = np.flatnonzero(graph.quantity.data < 0.0)
    if short.size:
        row = int(np.searchsorted(graph.quantity.indptr, short[0], side="right")) - 1
        asset = graph.assets[graph.quantity.indices[short[0]]]
        raise ParameterError(
            f"farmer: account {label_text(graph.account_index[row])!r} is short of asset {asset!r}; banks hold assets, "
            "and owe cash"
        )
