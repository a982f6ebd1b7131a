"""The tables of a graph and of a network of obligations: their columns, units, ranges, and what a blank stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray, IntArray

POOL = "pool"
CROSS_MARGIN = ""
CASH = ""
EVERY = ""  # the underlying of scenarios that hold for every one that is not named
ACCOUNT_LEVELS = ("trader", "pool", "subaccount")
REQUIRED = object()
BLANKS = ("", "na", "n/a", "nan", "null", "none")
SIGNS = {"deposit": 1, "long": 1, "debt": -1, "short": -1, "borrow": -1}
UNREAD = "(not read)"  # stands for the labels of a column whose type cannot be labels; a fault says so
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Label:
    """A column of labels; text or integers, kept as text."""

    default: Any = REQUIRED


@dataclass(frozen=True)
class Number:
    """A column of numbers in [low, high], or (low, high] where `above` is set."""

    unit: str
    low: float = -np.inf
    high: float = np.inf
    above: bool = False
    infinite: bool = False
    default: Any = REQUIRED
    open: bool = False  # a blank may be filled from other tables
    attribute: bool = False  # checked, and then kept as an attribute of the rows

    def fault_of(self, values: FloatArray) -> BoolArray:
        """Say which values are outside the range."""
        with np.errstate(invalid="ignore"):
            outside = (values <= self.low if self.above else values < self.low) | (values > self.high)
        return outside if self.infinite else outside | np.isinf(values)

    def __str__(self) -> str:
        low = "" if self.low == -np.inf else f" {'above' if self.above else 'from'} {self.low:g}"
        high = "" if self.high == np.inf else f" to {self.high:g}"
        return f"a{' ' if self.infinite else ' finite '}number{low}{high} ({self.unit})"


@dataclass(frozen=True)
class Flag:
    """A column of true and false."""

    default: bool
    attribute: bool = False


@dataclass(frozen=True)
class TableSchema:
    """What a table holds.

    Parameters
    ----------
    columns : mapping of name to Label, Number or Flag
        The columns that are read.
    shown : tuple of str
        Columns whose labels identify a row in messages.
    unique : tuple of str
        Columns that together may not repeat; empty where rows may.
    attributes : bool
        Whether other columns are kept as attributes; otherwise they are not used, and a warning says so.
    """

    columns: Mapping[str, Label | Number | Flag]
    shown: tuple[str, ...]
    unique: tuple[str, ...] = ()
    attributes: bool = False

    def columns_of(self, kind: type[Label | Number | Flag]) -> list[str]:
        """Return the columns of one kind."""
        return [name for name, own in self.columns.items() if isinstance(own, kind)]

    @property
    def checked_attributes(self) -> frozenset[str]:
        """The columns that are checked, and then kept as attributes."""
        return frozenset(name for name, own in self.columns.items() if getattr(own, "attribute", False))


SHARE = "share, 0.05 = 5 %"
SCHEMAS: dict[str, TableSchema] = {
    "positions": TableSchema(
        {
            "trader": Label(),
            "asset": Label(),
            "quantity": Number("units; + long or deposit, - short or borrow"),
            "pool": Label(default=POOL),
            "subaccount": Label(default=CROSS_MARGIN),
            "entry_price": Number("currency per unit; blank = fully paid", low=0, default=np.nan),
            "margin": Number(SHARE, low=0, high=1, default=np.nan),
            "position": Label(default=None),
            "kind": Label(default=None),
        },
        shown=("trader", "asset"),
    ),
    "assets": TableSchema(
        {
            "asset": Label(),
            "price": Number("currency per unit", low=0, above=True, open=True),
            "depth": Number("currency; blank = no impact", low=0, above=True, infinite=True, default=np.inf),
            "margin_long": Number(SHARE, low=0, high=1, default=0.0),
            "margin_short": Number(SHARE, low=0, high=1, default=0.0),
            "sellable": Flag(default=True),
            "group": Label(default=None),
        },
        shown=("asset",),
        unique=("asset",),
        attributes=True,
    ),
    "pools": TableSchema(
        {
            "pool": Label(),
            "insurance_fund": Number("currency", low=0, default=0.0),
            "takeover_below": Number("share of the maintenance margin", low=0, high=1, default=0.0, attribute=True),
        },
        shown=("pool",),
        unique=("pool",),
        attributes=True,
    ),
    "accounts": TableSchema(
        {
            "trader": Label(),
            "pool": Label(default=POOL),
            "subaccount": Label(default=CROSS_MARGIN),
            "cash": Number("currency", default=0.0),
            "share": Number("weight in loss sharing", low=0, default=0.0),
            "margin": Label(default=None),
            "initial_margin": Number("currency, segregated", low=0, default=0.0, attribute=True),
            "fund_contribution": Number("currency", low=0, default=0.0, attribute=True),
            "vault": Flag(default=False, attribute=True),
        },
        shown=("trader",),
        unique=("trader", "pool", "subaccount"),
        attributes=True,
    ),
    "backing": TableSchema(
        {
            "asset": Label(),
            "underlying": Label(),
            "weight": Number("share of the asset's value that is the underlying's", low=0, high=1),
            "haircut": Number(SHARE, low=0, high=1, default=0.0),
        },
        shown=("asset", "underlying"),
        unique=("asset", "underlying"),
    ),
    "obligations": TableSchema(
        {
            "debtor": Label(),
            "creditor": Label(),
            "amount": Number("currency due", low=0),
            "seniority": Number("rank; the lowest is paid first", low=0, default=0.0),
        },
        shown=("debtor", "creditor"),
    ),
    "instruments": TableSchema(
        {
            "asset": Label(),
            "underlying": Label(),
            "kind": Label(),
            "ratio": Number("units of the underlying a unit; blank = 1", low=0, above=True, default=np.nan),
            "strike": Number("currency per unit of the underlying", low=0, above=True, default=np.nan),
            "expiry": Number("years from now", low=0, above=True, default=np.nan),
            "vol": Number("a year, 0.8 = 80 %; blank = from the price", low=0, default=np.nan),
            "pass_through": Number("share of the delta that reaches the underlying", low=0, high=1, default=1.0),
        },
        shown=("asset",),
        unique=("asset",),
    ),
    "margin_tiers": TableSchema(
        {
            "asset": Label(),
            "lower": Number("currency, notional from which the tier counts", low=0),
            "rate": Number(SHARE, low=0, high=1),
        },
        shown=("asset",),
    ),
    "margin_scenarios": TableSchema(
        {
            "grid": Label(),
            "underlying": Label(default=EVERY),
            "move": Number("relative change of the underlying's price", low=-1, above=True),
            "vol_factor": Number("what volatilities are multiplied by", low=0, above=True, default=1.0),
            "weight": Number("share of the gain that counts", low=0, high=1, default=1.0),
            "contingency": Number("share of the underlying's price a net short option", low=0, high=1, default=0.0),
        },
        shown=("grid", "underlying"),
    ),
    "layers": TableSchema(
        {
            "pool": Label(),
            "rank": Number("place in the order in which layers pay; the lowest first"),
            "layer": Label(),
            "kind": Label(),
            "amount": Number("currency", low=0, default=np.nan),
            "base": Label(default=""),
            "cap": Number("times the base; blank = without a cap", low=0, default=np.nan),
        },
        shown=("pool", "layer"),
        unique=("pool", "layer"),
    ),
    "eligible": TableSchema(
        {
            "asset": Label(default=CASH),
            "cost": Number("share of the value that is added", low=0, default=0.0),
            "available": Number("currency, to all accounts together", low=0, infinite=True, default=np.inf),
            "limit": Number("share of an account's collateral", low=0, high=1, default=1.0),
            "lot": Number("units; blank = any amount", low=0, above=True, default=np.nan),
        },
        shown=("asset",),
        unique=("asset",),
    ),
    "routes": TableSchema(
        {
            "from_pool": Label(),
            "to_pool": Label(),
            "capacity": Number("currency sent, by all traders together", low=0, infinite=True, default=np.inf),
            "fee": Number("share of what is sent", low=0, high=1, default=0.0),
            "delay": Number("days", low=0, default=0.0),
        },
        shown=("from_pool", "to_pool"),
        unique=("from_pool", "to_pool"),
    ),
    "nodes": TableSchema(
        {
            "node": Label(),
            "external_assets": Number("currency", low=0, default=0.0),
            "external_liabilities": Number("currency", low=0, default=0.0),
        },
        shown=("node",),
        unique=("node",),
    ),
    "equity_holdings": TableSchema(
        {"issuer": Label(), "holder": Label(), "share": Number("share of the issuer's equity", low=0, high=1)},
        shown=("issuer", "holder"),
        unique=("issuer", "holder"),
    ),
}
GRAPH_TABLES = (
    *("positions", "assets", "pools", "accounts", "backing", "obligations", "instruments"),
    *("margin_tiers", "margin_scenarios", "layers"),
)


@dataclass(frozen=True)
class Labels:
    """Labels as codes into their distinct values."""

    codes: IntArray
    values: "pd.Index[str]"

    def at(self, row: int) -> str:
        """Return the label of a row."""
        return str(self.values[self.codes[row]]) if self.codes[row] >= 0 else ""


@dataclass
class Table:
    """A checked table: one entry a column, blanks filled; `given` names the columns that the input had."""

    name: str
    size: int
    given: frozenset[str]
    labels: dict[str, Labels] = field(default_factory=dict)
    numbers: dict[str, FloatArray] = field(default_factory=dict)
    flags: dict[str, BoolArray] = field(default_factory=dict)
    attributes: pd.DataFrame = field(default_factory=pd.DataFrame)

    def row_label(self, row: int) -> str:
        """Return what identifies a row, for messages: "trader 'A', asset 'ETH'"."""
        shown = SCHEMAS[self.name].shown
        return ", ".join(f"{name} {self.labels[name].at(row)!r}" for name in shown if name in self.labels)
