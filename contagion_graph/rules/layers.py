"""Layers of a loss waterfall: who pays what accounts leave unpaid, and in which order."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from math import inf
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.rows import RowReductions
from contagion_graph.graph.scenario import check_graph
from contagion_graph.solvers.arrays import ratio
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument

Base = Literal["equity", "deposits", "profit", "open_interest", "share", "fund_contribution"]
Kind = Literal["own", "fund", "purse", "members", "deleverage"]
Ranking = Literal["profit", "hyperliquid", "pro_rata", "random"]
Trigger = Literal["equity", "fund"]
LegShare = Literal["value", "margin"]
LARGEST = np.finfo(np.float64).max


class Layer:
    """What layers of a waterfall share.

    Attributes
    ----------
    kind : {"own", "fund", "purse", "members", "deleverage"}
        Who pays: the account itself, the insurance fund of the pool, another purse of it, its open members; or
        counterparties, by whom its positions are closed before anything is sold.
    name : str
        What it is called in results; a waterfall names each layer once.
    """

    kind: Kind
    name: str

    def _capacity(self, graph: ExposureGraph, price_shocked: FloatArray) -> FloatArray:
        """Return what the layer could pay at most in each pool, shape (v,) [currency]."""
        raise NotImplementedError


class Resource(Layer):
    """A layer that pays what has been put in: the account's own contribution, or a purse of the pool."""

    def _amounts(self, rows: RowReductions) -> FloatArray:
        """Return what there is, by account or by pool [currency]."""
        raise NotImplementedError

    def _capacity(self, graph: ExposureGraph, price_shocked: FloatArray) -> FloatArray:
        """Return what there is in each pool, shape (v,) [currency]."""
        rows, amounts = graph._rows, self._amounts(graph._rows)
        return rows.column_sums(rows.membership, amounts) if self.kind == "own" else amounts


@dataclass(frozen=True)
class OwnContribution(Resource):
    """The account that leaves a shortfall pays first, with its own initial margin and fund contribution.

    It pays min(r_i, s_i): r_i = initial_margin_i + fund_contribution_i, columns of table accounts [currency]. They are
    segregated: no part of its cash, nor of its equity.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> positions, assets = {"trader": ["A"], "asset": ["X"], "quantity": [1.0]}, {"asset": ["X"], "price": [50.0]}
    >>> accounts = {"trader": ["A"], "cash": [-45.0], "fund_contribution": [3.0]}
    >>> graph = cg.ExposureGraph.from_tables(positions, assets, accounts=accounts)
    >>> model = cg.MarginCascade(waterfall=(cg.OwnContribution(), cg.InsuranceFund()))
    >>> model.run(graph, {"X": -0.2}, defaults=["A"]).layers[["used", "left"]].values.tolist()
    [[3.0, 0.0], [0.0, 0.0]]
    """

    kind = "own"
    name = "own_contribution"

    def _amounts(self, rows: RowReductions) -> FloatArray:
        """Return what each account has put in, shape (n,) [currency]."""
        columns = [rows.account_column(name) for name in ("initial_margin", "fund_contribution")]
        given = [column for column in columns if column is not None]
        if not given:
            raise ParameterError(
                "OwnContribution: table accounts has neither column initial_margin nor fund_contribution; add one"
            )
        return np.sum(given, axis=0)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class InsuranceFund(Resource):
    """The insurance fund of the pool pays what it has; penalties flow into it.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0], insurance_fund=5.0)
    >>> cg.InsuranceFund()._amounts(graph._rows).tolist()
    [5.0]
    """

    kind = "fund"
    name = "insurance_fund"

    def _amounts(self, rows: RowReductions) -> FloatArray:
        """Return the fund of each pool, shape (v,) [currency]."""
        return rows.insurance_fund


@dataclass(frozen=True)
class Purse(Resource):
    """Another purse of the pool, such as capital of the venue or of the clearing house: it pays what it has.

    Parameters
    ----------
    name : str
        What it is called: "skin_in_the_game".
    amount : number, or mapping or Series of pool to number, optional
        What it holds [currency]: in each pool, or in those that are named, and nothing in others. None: column `name`
        of table pools.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0])
    >>> cg.Purse("skin_in_the_game", amount=7.0)._amounts(graph._rows).tolist()
    [7.0]
    """

    name: str
    _: KW_ONLY
    amount: "float | Mapping[str, float] | pd.Series[float] | None" = None
    kind = "purse"

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Mapping | pd.Series | None):
            check_number(f"Purse {self.name!r}", "amount", self.amount, low=0)

    def _amounts(self, rows: RowReductions) -> FloatArray:
        """Return what it holds in each pool, shape (v,) [currency]."""
        if self.amount is None:
            column = rows.pool_column(self.name)
            if column is None:
                raise ParameterError(
                    f"Purse {self.name!r}: table pools has no column {self.name!r}; add it, or give the purse an amount"
                )
            return column
        return argument(f"Purse {self.name!r}: amount", self.amount, rows.pools, Number("currency", low=0), base=0.0)


class SharingRule(Layer):
    """What layers share in which members of a pool pay by weight; a layer of your own inherits it, adds `weights`.

    Open member i pays min(lambda b_i, E_i): b_i its weight, E_i its positive equity, lambda the level that raises what
    is due. The levels of a cascade add up to at most `cap`.

    A rule declares what analyses beyond `MarginCascade.run` may rely on. None = not known: they then ask for the
    weights anew, or refuse the rule. A subclass that replaces `weights` declares again (docs/adding-a-rule.md).

    Attributes
    ----------
    weights : callable
        Takes a graph and the shocked prices, returns the weight b >= 0 of every account, shape (n,), as an array that
        the cascade may change.
    cap : float
        How many times its weight a member pays at most; infinite: without a limit.
    fixed : bool or None
        Whether the weights are the same at all shocked prices.
    by_account : bool or None
        Whether the weight of an account depends on no other account.
    proportional : bool or None
        Whether an account that holds a share of all that it holds has this share of its weight.
    """

    kind = "members"
    name = "members"
    cap: float = inf
    fixed: bool | None = None
    by_account: bool | None = None
    proportional: bool | None = None
    weights: Callable[[ExposureGraph, FloatArray], FloatArray]

    def _capacity(self, graph: ExposureGraph, price_shocked: FloatArray) -> FloatArray:
        """Return cap times the weights of the members of each pool, shape (v,) [currency]."""
        if self.cap == inf:
            return np.full(len(graph.pools), inf)
        return self.cap * graph._rows.column_sums(graph._rows.membership, self.weights(graph, price_shocked))


@dataclass(frozen=True)
class ProRata(SharingRule):
    """Members of a pool bear its losses in proportion to a base that is fixed before the cascade, without a cap.

    Parameters
    ----------
    base : {"equity", "deposits", "profit", "open_interest", "share", "fund_contribution"}
        Positive equity at p0; positive own cash plus fully paid long positions at p0; positive unrealised profit of
        derivatives (positions with an entry price) at the shocked price; gross value at p0; column `share` or
        `fund_contribution` of table accounts.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0], [-1.0]], price=[10.0], cash=[5.0, 12.0])
    >>> ProRata("equity").weights(graph, graph.price).tolist()
    [25.0, 2.0]
    """

    base: Base = "equity"
    name = "pro_rata"
    by_account = True
    proportional = True

    def __post_init__(self) -> None:
        check_choice("ProRata: base", self.base, get_args(Base))

    @property
    def fixed(self) -> bool:  # type: ignore[override] # that of a record does not change
        """Whether the base is one of the prices before the shock: all but profit."""
        return self.base != "profit"

    def weights(self, graph: ExposureGraph, price_shocked: FloatArray) -> FloatArray:
        """Return the base weight b_i >= 0 of every account, shape (n,), as an array of the caller's own."""
        if self.base == "equity":
            equity = graph._rows.equity
            return np.maximum(equity, 0.0, out=equity)
        if self.base == "open_interest":
            return graph._rows.initial.gross.copy()
        if self.base == "deposits":
            return _deposits(graph)
        return _profit(graph, price_shocked) if self.base == "profit" else _column(graph, self.base)


@dataclass(frozen=True)
class Members(ProRata):
    """Members of a pool bear its losses in proportion to a base, each up to a multiple of it.

    A default fund: `Members("fund_contribution")`; the assessments after it: `Members("fund_contribution",
    name="assessments")`. Members pay from their equity, at once.

    Parameters
    ----------
    base : {"equity", "deposits", "profit", "open_interest", "share", "fund_contribution"}
        As in `ProRata`.
    cap : float
        How many times its base a member pays at most, in all rounds together; infinite: without a limit.
    name : str
        What the layer is called.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.Members("share", cap=0.5)
    Members(base='share', cap=0.5, name='members')
    """

    base: Base = "fund_contribution"
    _: KW_ONLY
    cap: float = 1.0
    name: str = "members"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cap != inf:
            check_number("Members", "cap", self.cap, low=0)


@dataclass(frozen=True)
class GainsHaircut(SharingRule):
    """Members whose positions have gained give up their gains, all in the same ratio, and no more than these.

    Base and cap are max(0, Q_i.(p_shocked - p0)), fixed before the cascade: variation margin gains haircutting.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0], [-1.0]], price=[10.0])
    >>> cg.GainsHaircut().weights(graph, graph.price * 1.5).tolist()
    [10.0, 0.0]
    """

    name = "gains_haircut"
    cap = 1.0
    by_account = True
    proportional = True
    fixed = False

    def weights(self, graph: ExposureGraph, price_shocked: FloatArray) -> FloatArray:
        """Return what the positions of every account have gained, shape (n,) [currency]."""
        gain = graph._rows.valuation(price_shocked)[0] - graph._rows.initial.value
        return np.maximum(gain, 0.0)


@dataclass(frozen=True)
class Deleverage(Layer):
    """Auto-deleveraging: accounts without equity are closed against others in their pool, before anything is sold.

    Leg j of account i, which closes whole with E_i <= 0, is closed at its bankruptcy price p_j - E_i w_j / q_ij, so
    that the account ends at exactly 0. Those on the other side with equity above 0 that close nothing themselves give
    up units, one after the other, each at most what it holds and at most E / |bankruptcy price - p|. What finds no
    counterparty is sold in the book, and its loss goes down the waterfall. Path only: `equilibria` refuses it.

    Parameters
    ----------
    rank : {"profit", "hyperliquid", "pro_rata", "random"}, or mapping or Series of trader to number
        Who is taken from first. "profit": the highest PnL% L, PnL% / L where PnL% < 0; PnL% = (q p - cost) / |cost| of
        the position, L = |q| p / E. "hyperliquid": the highest p / entry (short: entry / p) times L. "pro_rata": all in
        proportion to what they hold. "random": drawn once with `seed`. Numbers: the lowest first; who is not named is
        never taken from.
    trigger : {"equity", "fund"}
        "equity": always. "fund": only where the purses before this layer, and own contributions, cannot pay what is
        missing in the pool.
    share : {"value", "margin"}
        How what is missing is spread over the legs: w_j by value, or by maintenance margin.
    seed : int
        Of "random".

    References
    ----------
    .. [1] Chitra et al. (2025), Autodeleveraging: impossibilities and optimization, arXiv:2512.01112.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [-10.0]], price=100.0, margin_long=0.02, margin_short=0.02, cash=[-840.0, 1500.0]
    ... )
    >>> model = cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.Deleverage()))
    >>> model.run(graph, {"0": -0.2}).fills[["bankrupt", "counterparty", "units", "price", "amount"]].values.tolist()
    [['0', '1', 10.0, 84.0, 40.0]]
    """

    rank: "Ranking | Mapping[str, float] | pd.Series[float]" = "profit"
    _: KW_ONLY
    trigger: Trigger = "equity"
    share: LegShare = "value"
    seed: int = 0
    kind = "deleverage"
    name = "deleverage"

    def __post_init__(self) -> None:
        if not isinstance(self.rank, Mapping | pd.Series):
            check_choice("Deleverage: rank", self.rank, get_args(Ranking))
        check_choice("Deleverage: trigger", self.trigger, get_args(Trigger))
        check_choice("Deleverage: share", self.share, get_args(LegShare))
        check_number("Deleverage", "seed", self.seed, low=0, whole=True)

    def _capacity(self, graph: ExposureGraph, price_shocked: FloatArray) -> FloatArray:
        """Return infinity: what counterparties can give up depends on the prices of the rounds."""
        return np.full(len(graph.pools), inf)

    @property
    def pro_rata(self) -> bool:
        """Whether all are taken from at once, in proportion to what they hold."""
        return isinstance(self.rank, str) and self.rank == "pro_rata"

    def _order(self, rows: RowReductions) -> FloatArray:
        """Return the numbers of accounts in a ranking that is drawn or given, (n,); infinite: never taken from."""
        n = rows.cash.size
        if isinstance(self.rank, str):
            return np.random.default_rng(self.seed).permutation(n).astype(np.float64)
        kind = Number("a place in the ranking", infinite=True)
        return argument("Deleverage: rank", self.rank, rows.traders, kind, base=inf)[rows.trader_of]

    def _score(self, units: FloatArray, mark: FloatArray, entry: FloatArray, equity: FloatArray) -> FloatArray | None:
        """Return by which number positions are taken from, the lowest first, (cells,); None: by that of the account."""
        if not isinstance(self.rank, str) or self.rank == "random":
            return None
        if self.pro_rata:
            return np.zeros_like(units)
        held, side = ratio(np.abs(units), equity, 0.0), np.sign(units)
        with np.errstate(divide="ignore", invalid="ignore"):  # a cost of 0: profit without a bound
            if self.rank == "hyperliquid":
                score = np.where(side > 0.0, mark / entry * mark, entry) * held
            else:
                profit, leverage = side * (mark - entry) / np.abs(entry), held * mark
                score = np.where(profit > 0.0, profit * leverage, profit / leverage)
        return -np.clip(np.nan_to_num(score, nan=0.0, posinf=LARGEST, neginf=-LARGEST), -LARGEST, LARGEST)


KINDS = {  # of table layers: the layer, and what it has to be called
    "own": (OwnContribution, OwnContribution.name),
    "purse": (Purse, None),
    "members": (Members, None),
    "gains": (GainsHaircut, GainsHaircut.name),
    "deleverage": (Deleverage, Deleverage.name),
}


def waterfall_of(graph: ExposureGraph) -> tuple[Layer, ...]:
    """Return the layers of table layers, for `MarginCascade(waterfall=...)`.

    Every pool has every layer, in the same order, with the same base and cap; amounts of purses differ by pool. A purse
    that is called insurance_fund is the fund of table pools.

    Parameters
    ----------
    graph : ExposureGraph
        With table layers.

    Returns
    -------
    tuple of layers

    Raises
    ------
    ParameterError
        No table layers; a kind that is none; pools whose layers differ.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_tables(
    ...     {"trader": ["A"], "asset": ["X"], "quantity": [1.0]}, {"asset": ["X"], "price": [9.0]},
    ...     layers={"pool": ["pool"] * 2, "rank": [1, 2], "layer": ["insurance_fund", "all"],
    ...             "kind": ["purse", "members"], "base": ["", "equity"]},
    ... )
    >>> cg.waterfall_of(graph)
    (InsuranceFund(), Members(base='equity', cap=inf, name='all'))
    """
    check_graph(graph)
    table = graph.layers
    if table is None:
        raise ParameterError("waterfall_of: the graph has no table layers; give it to ExposureGraph.from_tables")
    by_pool = {pool: own.sort_values("rank", kind="stable") for pool, own in table.groupby("pool", sort=False)}
    first, columns = next(iter(by_pool)), ["layer", "kind", "base", "cap"]
    for pool in graph.pools:
        if pool not in by_pool or not by_pool[pool][columns].reset_index(drop=True).equals(
            by_pool[first][columns].reset_index(drop=True)
        ):
            raise ParameterError(
                f"layers: pool {pool!r} has other layers than pool {first!r}; give every pool the same layers in the "
                "same order, with the same base and cap, and an amount of 0 where it has no such purse"
            )
    return tuple(_layer_of(row, table) for row in by_pool[first].itertuples())


def _layer_of(row: Any, table: pd.DataFrame) -> Layer:
    """Return the layer of a row of table layers."""
    check_choice(f"layers.kind of layer {row.layer!r}", row.kind, tuple(KINDS))
    kind, name = KINDS[row.kind]
    if name is not None and row.layer != name:
        raise ParameterError(f"layers.layer is {row.layer!r}; a layer of kind {row.kind} is called {name!r}")
    if row.kind == "purse" and row.layer == InsuranceFund.name:
        return InsuranceFund()
    if row.kind == "purse":
        amounts = table[table["layer"] == row.layer].set_index("pool")["amount"]
        return Purse(row.layer, amount=None if amounts.isna().all() else amounts.fillna(0.0).to_dict())
    if row.kind == "members":
        cap = inf if np.isnan(row.cap) else float(row.cap)
        return Members(row.base or "fund_contribution", cap=cap, name=row.layer)
    if row.kind == "deleverage":
        return Deleverage(row.base or "profit")
    return kind()  # type: ignore[no-any-return]


def _deposits(graph: ExposureGraph) -> FloatArray:
    records = graph.records
    if records is None:  # every cell is a fully paid position: long value = (gross + net) / 2
        return np.maximum(graph.cash, 0.0) + (graph._rows.initial.value + graph._rows.initial.gross) / 2.0
    paid = np.isnan(records.entry_price) & (records.quantity > 0)
    value = np.where(paid, records.quantity * graph.price[records.asset], 0.0)
    return np.maximum(records.own_cash, 0.0) + records.account_sums(value)


def _profit(graph: ExposureGraph, price: FloatArray) -> FloatArray:
    records = graph.records
    if records is None:
        raise ParameterError(
            "ProRata('profit') needs entry prices; build the graph from tables with column entry_price"
        )
    profit = records.quantity * (price[records.asset] - records.entry_price)
    return np.maximum(records.account_sums(np.nan_to_num(profit)), 0.0)


def _column(graph: ExposureGraph, base: Base) -> FloatArray:
    weights = graph.share if base == "share" else graph._rows.account_column(base)
    if weights is None:
        also = ", or argument share of from_arrays" if base == "share" else ""
        raise ParameterError(f"base {base!r} needs column {base} in table accounts{also}")
    return weights.copy()
