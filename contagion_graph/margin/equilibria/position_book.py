"""The book of a graph as the static map sees it: one column an asset, or one for its longs and one for its shorts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._cached import cached_property, carry_over
from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.rows import RowReductions
from contagion_graph.margin.candidates.subgraph import cells_of_rows
from contagion_graph.margin.rounds.account_state import Rows

Relief = Literal["none", "other"]
BOOK = "book"  # where the rows of a graph keep it


@dataclass(frozen=True, eq=False)
class Book(RowReductions):
    """What accounts hold, with the columns of the static map.

    Parameters
    ----------
    quantity, margin_units : csr_array, shape (n, k)
        Units held, and units that equity must cover; k = m, or 2 m: the longs of every asset, then the shorts.
    cash : ndarray, shape (n,)
        Currency.
    price, size_of_unit : ndarray, shape (k,)
        Currency per unit; p0 / depth: how far selling one unit moves along the price impact.
    sellable : ndarray of bool, shape (k,)
        Whether a column is ever sold.
    account_index, assets : MultiIndex, Index
        Label of each row, and of each asset.
    pools : Index
        Label of each pool.
    insurance_fund : ndarray, shape (v,)
        Currency.
    attributes : mapping of table name to DataFrame
        Further columns of tables, as the graph's.
    relief : {None, "none", "other"}
        None: one column an asset. Else two, and what is bought back of an asset relieves its longs: not at all, or as
        far as the other bound says.
    """

    quantity: sparse.csr_array
    margin_units: sparse.csr_array
    cash: FloatArray
    price: FloatArray
    size_of_unit: FloatArray
    sellable: BoolArray
    account_index: pd.MultiIndex
    assets: "pd.Index[str]"
    pools: "pd.Index[str]"
    insurance_fund: FloatArray
    attributes: Mapping[str, pd.DataFrame]
    relief: Relief | None = None

    @cached_property
    def held(self) -> FloatArray:
        """Units that the accounts of each chunk hold together of each column, shape (chunks, k)."""
        return self.chunk_sums(self.quantity, np.ones(self.cash.size))

    def columns(self, values: FloatArray) -> FloatArray:
        """Return a value of each asset as one of each column."""
        return values if self.relief is None else np.concatenate([values, values])

    def size(self, sold: FloatArray, sold_other: FloatArray) -> FloatArray:
        """Return the argument x of the price impact, shape (k / m, m).

        One column an asset: x = S p0 / depth. Two: longs are valued after the sales of this bound less the purchases
        of the other, shorts after the purchases of this bound less the sales of the other.
        """
        if self.relief is None:
            return (sold * self.size_of_unit)[None]
        half = sold.size // 2
        opposite = np.concatenate([sold_other[half:], sold_other[:half]]) if self.relief == "other" else 0.0
        return ((sold + opposite) * self.size_of_unit).reshape(2, half)


class BookRows(RowReductions):
    """Some rows of a book, copied next to each other, for their values.

    Parameters
    ----------
    book : Book
        The book.
    rows : ndarray of int
        The rows, ascending.
    losses : ndarray, shape (n,)
        Given losses of all accounts [currency].
    """

    def __init__(self, book: RowReductions, rows: Rows, losses: FloatArray) -> None:
        self.rows, self.losses = rows, losses[rows]
        self.cells, self.cash, self.sellable = cells_of_rows(book.cells, rows), book.cash[rows], book.sellable
        self.row_borders = np.searchsorted(rows, book.row_borders)


def book_of(graph: ExposureGraph, relief: Relief | None = None) -> Book:
    """Return the book of a graph, with one column an asset, or (relief given) with one for each side of it.

    A graph keeps its last book: to cut it costs more than a greatest fixed point.
    """
    known = vars(graph._rows)
    if BOOK not in known or known[BOOK].relief != relief:
        known[BOOK] = _cut(graph, relief)
    return known[BOOK]  # type: ignore[no-any-return]


def _cut(graph: ExposureGraph, relief: Relief | None) -> Book:
    with np.errstate(divide="ignore"):
        unit = graph.price / graph.depth
    quantity, margin_units = graph.quantity, graph.margin_units
    if relief is not None:
        quantity, margin_units = _split(quantity, margin_units)
    sides = 1 if relief is None else 2
    book = Book(
        quantity=quantity,
        margin_units=margin_units,
        cash=graph.cash,
        price=np.tile(graph.price, sides),
        size_of_unit=np.tile(unit, sides),
        sellable=np.tile(graph.sellable, sides),
        account_index=graph.account_index,
        assets=graph.assets,
        pools=graph.pools,
        insurance_fund=graph.insurance_fund,
        attributes=graph.attributes,
        relief=relief,
    )
    kept = ["initial", "membership", "all_rows", "block_borders", "gross_total", "group"]
    if quantity.indptr is graph.quantity.indptr:  # no cell was added
        kept += ["falls"]
    carry_over(graph._rows, book, kept)
    return book


def _split(quantity: sparse.csr_array, margin_units: sparse.csr_array) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Put longs and shorts into columns of their own; of margin above the quantity held long, the rest is a short's.

    A deposit and a debt of one asset in one account net in the quantity and add up in the margin.
    """
    (n, m), held = quantity.shape, quantity.data
    columns = quantity.indices + np.where(held > 0.0, 0, m).astype(quantity.indices.dtype)
    above = np.flatnonzero((held > 0.0) & (margin_units.data > held))
    cells = (held, columns, quantity.indptr)
    if above.size == 0:
        return sparse.csr_array(cells, (n, 2 * m)), sparse.csr_array((margin_units.data, *cells[1:]), (n, 2 * m))
    rows = np.repeat(np.arange(n), np.diff(quantity.indptr))
    rows, columns = np.append(rows, rows[above]), np.append(columns, columns[above] + m)
    at_long, excess = margin_units.data.copy(), margin_units.data[above] - held[above]
    at_long[above] = held[above]
    values = np.append(held, np.zeros(above.size)), np.append(at_long, excess)
    order = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(quantity.indptr.dtype)
    split = [sparse.csr_array((one[order], columns[order], indptr), (n, 2 * m)) for one in values]
    return split[0], split[1]
