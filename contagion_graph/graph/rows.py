"""The rows of an exposure graph, one an account, as models add them up; what holds at initial prices is kept."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._cached import cached_property
from contagion_graph._typing import BoolArray, FloatArray, IntArray
from contagion_graph._validate import ROUNDING
from contagion_graph.chunks import BLOCK, chunk_borders, unsigned
from contagion_graph.errors import ParameterError, nearest
from contagion_graph.graph.collectives import WHOLE, Collectives
from contagion_graph.graph.price_map import PriceMap
from contagion_graph.state import Cells, Left, nothing_closed


class Initial(NamedTuple):
    """Value Q.p, gross value |Q|.p and maintenance M of every account at initial prices, shape (n,) each."""

    value: FloatArray
    gross: FloatArray
    maintenance: FloatArray


SHARED = (
    *("quantity", "margin_units", "cash", "price", "depth", "sellable", "insurance_fund"),
    *("account_index", "assets", "pools", "attributes"),
)
BY_LABEL = ("trader_of", "pool_of", "members", "membership")  # what the other fields change nothing of
BY_PLACE = ("all_rows", "block_borders", "row_borders")  # ... nor of these, but where cells are added
BY_VALUE = ("initial", "gross_total", "falls", "unit", "cells")  # of quantity, margin_units and price


class Margins(Protocol):
    """Margins that are no flat rates; graph/margins.py has them."""

    @property
    def apart(self) -> BoolArray:
        """Which accounts are on other margins than flat rates."""

    def of(self, price: FloatArray, left: Left, rows: Any, row_borders: Any) -> tuple[FloatArray, FloatArray]:
        """Return the maintenance margin of accounts on what they have left, and its relief."""

    def of_all(self, rows: "RowReductions") -> FloatArray:
        """Return the maintenance margin of every account on all that it holds, at the prices of the graph."""

    def priced_by(self, columns: PriceMap) -> "Margins":
        """Return the margins when columns are priced in another way: after a shock of vols."""

    def most(self, quantity: sparse.csr_array, margin_units: FloatArray, unit: FloatArray) -> FloatArray:
        """Return units mu of each cell that bound how fast slack falls."""

    def kept(self, rows: Any, cells: Cells, weight: FloatArray | None = None) -> "Margins":
        """Return the margins of some accounts, whose cells are these, times a weight of each."""


class Linear(NamedTuple):
    """How slack falls at most from what it is at `price`, shape (n,) each [currency]."""

    slack: FloatArray  # s = E - M
    extent: FloatArray  # |cash| + |Q|.p0: rounding is measured by it
    net: FloatArray  # sum_j (q_j - mu_j) unit_j, of `bounding`
    sensitivity: FloatArray  # g, the sum of their sizes


def _numbers_of(attributes: Mapping[str, pd.DataFrame], table: str, column: str) -> FloatArray | None:
    frame = attributes.get(table)
    if frame is None or column not in frame:
        return None
    numbers: FloatArray = np.array(pd.to_numeric(frame[column], errors="coerce"), dtype=np.float64)
    if (np.isnan(numbers) & frame[column].notna().to_numpy()).any() or (numbers < 0.0).any():
        raise ParameterError(f"{table}.{column} must hold numbers from 0 up (blank = 0)")
    numbers[np.isnan(numbers)] = 0.0
    return numbers


def cells_of(quantity: sparse.csr_array, margin_units: sparse.csr_array) -> Cells:
    """Return the arrays of two matrices with the same cells, as the kernels take them."""
    return Cells(quantity.indptr, unsigned(quantity.indices), quantity.data, margin_units.data)


class RowReductions:
    """The rows of an `ExposureGraph`, whose fields it shares, and their sums in the fixed order of the chunks.

    A graph has one, `_rows`. It is no part of the public interface.
    """

    quantity: sparse.csr_array
    margin_units: sparse.csr_array
    cash: FloatArray
    price: FloatArray
    depth: FloatArray
    sellable: BoolArray
    insurance_fund: FloatArray
    account_index: pd.MultiIndex
    assets: "pd.Index[str]"
    pools: "pd.Index[str]"
    attributes: Mapping[str, pd.DataFrame]
    group: Collectives = WHOLE
    margins: "Margins | None" = None
    price_map: PriceMap | None = None

    @classmethod
    def of(cls, graph: Any, **more: Any) -> Self:
        """Return the rows of a graph, with further attributes."""
        rows = cls()
        vars(rows).update({name: getattr(graph, name) for name in SHARED} | more)
        return rows

    def account_column(self, name: str) -> FloatArray | None:
        """Return a further column of table accounts, 0 where it is blank, shape (n,); None: there is none."""
        return _numbers_of(self.attributes, "accounts", name)

    def pool_column(self, name: str) -> FloatArray | None:
        """Return a further column of table pools, shape (v,); None: there is none."""
        return _numbers_of(self.attributes, "pools", name)

    @property
    def traders(self) -> "pd.Index[str]":
        """The trader labels, in order of their first account."""
        return self.account_index.levels[0]

    @cached_property
    def trader_of(self) -> IntArray:
        """Position of each account's trader in `traders`, shape (n,)."""
        return np.asarray(self.account_index.codes[0])

    @cached_property
    def pool_of(self) -> IntArray:
        """Position of each account's pool in `pools`, shape (n,)."""
        return np.asarray(self.account_index.codes[1])

    @cached_property
    def members(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Row pointers and columns of `membership`, as the kernels take them."""
        return self.membership.indptr, unsigned(self.membership.indices)

    @cached_property
    def membership(self) -> sparse.csr_array:
        """Accounts x channels: 1 where an account's shortfall falls on the channel; a channel is a pool."""
        rows = np.arange(len(self.account_index) + 1)
        return sparse.csr_array(
            (np.ones(len(self.account_index)), self.pool_of, rows), (len(self.account_index), len(self.pools))
        )

    def weights_by_channel(self, base: FloatArray, rows: Any = None) -> sparse.csr_array:
        """Return weights in loss sharing, accounts (all, or some) x channels; none is stored where it is 0."""
        members, base = (self.membership, base) if rows is None else (self.membership[rows], base[rows])
        weighted = sparse.csr_array((base, members.indices, members.indptr), members.shape, copy=True)
        weighted.eliminate_zeros()  # 0 times an infinite loss rate is 0
        return weighted

    @cached_property
    def block_borders(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The blocks of rows at which the fixed chunks begin and end."""
        return chunk_borders(self.quantity.indptr)

    @cached_property
    def cells(self) -> Cells:
        """The arrays of `quantity` and `margin_units` as the kernels take them."""
        return cells_of(self.quantity, self.margin_units)

    @cached_property
    def all_rows(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The numbers of all rows, shape (n,)."""
        return np.arange(self.cash.size)

    def valuation(self, price: FloatArray, rows: Any = None) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return Q.p, |Q|.p and mu.p of all accounts, or of some rows (ascending), at a price [currency]."""
        from contagion_graph.kernels import row_sums

        return row_sums.value_rows(self.cells, price, *self.chunked(rows))

    def margined(self, price: FloatArray, rows: Any = None) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return Q.p, |Q|.p and the margins of accounts, or of some rows (ascending), on any margin [currency]."""
        value, gross, maintenance = self.valuation(price, rows)
        if self.margins is not None:
            rows = self.all_rows if rows is None else rows
            left = nothing_closed(self.cash.size, price.size)
            maintenance = self.margins.of(price, left, rows, self.row_borders)[0]
        return value, gross, maintenance

    def column_sums(self, matrix: sparse.csr_array, weight: FloatArray, rows: Any = None) -> FloatArray:
        """Return A^T w for a matrix A with one row an account, over all rows or some (ascending), in a fixed order."""
        return self.group.total(self.chunk_sums(matrix, weight, rows))

    def chunk_sums(self, matrix: sparse.csr_array, weight: FloatArray, rows: Any = None) -> FloatArray:
        """Return A^T w within each chunk, shape (chunks, columns); a matrix may have `rows` for its only rows."""
        from contagion_graph.kernels import row_sums

        rows, borders = self.chunked(rows)
        if matrix.shape[0] == rows.size:
            rows = self.all_rows[: rows.size]
        cells = (matrix.indptr, unsigned(matrix.indices), matrix.data)
        return row_sums.column_sums(*cells, rows, weight, borders, matrix.shape[1])

    def cross_sums(self, left: sparse.csr_array, right: sparse.csr_array, rows: Any) -> FloatArray:
        """Return A^T B of two matrices that have `rows` (ascending) for their only rows, in a fixed order; dense."""
        from contagion_graph.kernels.products import cross_products

        parts = cross_products(left, right, self.chunked(rows)[1])
        return self.group.total(parts.reshape(len(parts), -1)).reshape(parts.shape[1:])

    def total(self, amount: FloatArray, rows: Any = None) -> float:
        """Return the sum of an amount over all accounts, or some rows (ascending), in a fixed order."""
        return float(self.column_sums(self.membership, amount, rows).sum())

    def count(self, counts: Any) -> IntArray:
        """Return the sums of whole numbers, or of truth values, that were counted over the rows that are here."""
        return self.group.total(np.empty((1, 0)), counts).astype(np.int64)

    def first(self, flags: BoolArray) -> Any:
        """Return the first account that something is true of as an array of its row; empty if its row is not here."""
        rows = np.flatnonzero(flags)[:1]
        chunk = np.searchsorted(self.row_borders, rows, side="right") - 1
        having = np.flatnonzero(self.count(np.bincount(chunk, minlength=self.row_borders.size - 1)))
        return rows if np.array_equal(having[:1], chunk) else rows[:0]

    @cached_property
    def row_borders(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The rows at which the fixed chunks begin and end."""
        borders: np.ndarray[Any, np.dtype[np.int64]] = np.minimum(self.block_borders * BLOCK, self.cash.size)
        return borders

    def chunked(self, rows: Any) -> tuple[Any, Any]:
        """Return the rows of a pass (None: all), and where its chunks begin and end among them."""
        if rows is None:
            return self.all_rows, self.row_borders
        return rows, np.searchsorted(rows, self.row_borders)

    @cached_property
    def gross_total(self) -> float:
        """The gross value of all accounts at `price` [currency]."""
        return self.total(self.initial.gross)

    @cached_property
    def initial(self) -> Initial:
        """Value, gross value and maintenance of every account at `price`, shape (n,) each [currency]."""
        initial = Initial(*self.valuation(self.price))
        if self.margins is not None:
            initial = initial._replace(maintenance=self.margins.of_all(self))
        for array in initial:
            array.flags.writeable = False
        return initial

    @property
    def equity(self) -> FloatArray:
        """Equity E = cash + Q.p of every account at `price`, shape (n,) [currency]."""
        return self.cash + self.initial.value

    @property
    def in_breach(self) -> BoolArray:
        """Whether an account is in breach at `price`, E < M, by more than rounding, shape (n,)."""
        value, gross, maintenance = self.initial
        below: BoolArray = self.cash + value - maintenance < -ROUNDING * (np.abs(self.cash) + gross)
        return below

    @cached_property
    def unit(self) -> FloatArray:
        """What counts as a move of 1 of each price, shape (m,) [currency per unit]: p0, or u0 |dF/du| where it is more.

        So an option far out of the money, whose price triples, counts no more than its underlying. Any number above 0
        is right: the sensitivity is in the same unit.
        """
        if self.price_map is None:
            return self.price
        return np.maximum(self.price, self.price[self.price_map.underlying] * self.price_map.delta_bounds)

    @cached_property
    def falls(self) -> tuple[FloatArray, FloatArray]:
        """The sums sum_j d_ij unit_j and g = sum_j |d_ij| unit_j, d = q - mu of `bounding`, shape (n,) each."""
        from contagion_graph.kernels import row_sums

        cells = self.bounding
        difference = cells._replace(quantity=cells.quantity - cells.margin_units)
        net, sensitivity, _ = row_sums.value_rows(difference, self.unit, *self.chunked(None))
        net.flags.writeable = sensitivity.flags.writeable = False
        return net, sensitivity

    @property
    def sensitivity(self) -> FloatArray:
        """The most that each account's slack can move: g of `falls`, shape (n,)."""
        return self.falls[1]

    @cached_property
    def bounding(self) -> Cells:
        """The cells with units mu such that no slack falls faster than (q - mu) p; flat rates: those of `cells`."""
        if self.margins is None:
            return self.cells
        return self.cells._replace(margin_units=self.margins.most(self.quantity, self.margin_units.data, self.unit))

    @cached_property
    def linear(self) -> Linear:
        """How slack falls from what it is at `price`."""
        value, gross, maintenance = self.initial
        return Linear(self.cash + (value - maintenance), np.abs(self.cash) + gross, *self.falls)

    def moves(self, low: FloatArray, high: FloatArray) -> tuple[float, float]:
        """Return the largest fall to `low`, and rise to `high`, of a price in its unit."""
        fall = max(float(((self.price - low) / self.unit).max(initial=0.0)), 0.0)
        rise = max(float(((high - self.price) / self.unit).max(initial=0.0)), 0.0)
        if self.price_map is not None and self.margins is not None:  # margins that follow prices of what is not held
            fall = rise = max(fall, rise)
        return fall, rise

    def hint(self, label: str) -> str:
        """Return which of all traders a mistyped label may mean, for messages."""
        return nearest(label, self.traders)

    # --- by trader ----------------------------------------------------------------------------------------------------

    def per_trader(self, amount: Any) -> FloatArray:
        """Add up an amount of each account over the accounts of each trader, shape (traders,)."""
        sums = np.bincount(self.trader_of, weights=amount, minlength=len(self.traders))
        return sums.astype(np.float64)

    def least_per_trader(self, amount: IntArray) -> IntArray:
        """Return the least of the whole numbers above 0 over the accounts of each trader; 0 where none is."""
        never = np.iinfo(np.int32).max
        least = np.full(len(self.traders), never, dtype=np.int32)
        np.minimum.at(least, self.trader_of, np.where(amount > 0, amount, never))
        return np.where(least == never, 0, least)

    @property
    def counted_traders(self) -> BoolArray:
        """Which of `traders` count here: all, unless some of their accounts are elsewhere."""
        return np.ones(len(self.traders), dtype=bool)

    def trader_rows(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """Add up the rows of a matrix with one row an account; itself where account i is all that trader i has."""
        trader, size = self.trader_of, len(self.traders)
        if np.array_equal(trader, np.arange(size)):
            return matrix
        cells = (np.ones(trader.size), (trader, np.arange(trader.size)))
        sums: sparse.csr_array = (sparse.csr_array(cells, (size, trader.size)) @ matrix).tocsr()
        return sums
