"""The numbers behind a monitor: accounts, cells, prices and sums by pool, in arrays that grow and are reused.

Cells are kept row by row, each row in column order, in one arena. A row that outgrows its place moves to the end; when
the end is reached, all rows are packed anew. So memory follows what is held now, not how often it changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.collateral.monitoring.breach_moves import slack_lines
from contagion_graph.collateral.monitoring.grid_accounts import GridAccounts
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.margins import GraphMargins
from contagion_graph.solvers.arrays import ranges
from contagion_graph.state import Cells, PoolSums, Tiers, Watch

SPARE = 1.25  # places in an arena, over what is held when it is packed
CELLS = ("column", "quantity", "margin_units", "low", "high")
BY_ACCOUNT = dict.fromkeys(("start", "length", "room", "cash", "status"), 0)  # arrays, and the axis that grows
BY_TILE = {"block_low": 0, "block_high": 0, "tile_low": 1, "tile_high": 1}
BY_ASSET = {"price": 0, "block_low": 1, "block_high": 1, "tile_low": 0, "tile_high": 0}
Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Crossed:
    """The rows that an event brought into breach and those that it brought out of it."""

    breached: Rows
    recovered: Rows


NO_ACCOUNT = Crossed(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


def together(crossed: Sequence[Crossed]) -> Crossed:
    """Join what the parts of an event changed."""
    some = [one for one in crossed if one is not NO_ACCOUNT]
    if len(some) < 2:
        return some[0] if some else NO_ACCOUNT
    return Crossed(*(np.concatenate([getattr(one, name) for one in some]) for name in ("breached", "recovered")))


class Ledger:
    """Accounts under a stream of events, by row and column.

    Parameters
    ----------
    graph : ExposureGraph
        The state before the first event.
    """

    def _load_kernels(self) -> None:
        from contagion_graph.kernels import book, watch

        self._book, self._watch = book, watch

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the kernels, which no pickle can hold."""
        return {name: value for name, value in vars(self).items() if name not in ("_book", "_watch")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._load_kernels()

    def __init__(self, graph: ExposureGraph) -> None:
        self._load_kernels()
        watch = self._watch
        margins = graph._margins or GraphMargins(None, (), graph.assets, graph._rows.cells)
        self.n, self.m = len(graph.account_index), len(graph.assets)
        v, tiles = len(graph.pools), watch.tiles_of(self.n)
        quantity, margin_units = graph.quantity.copy(), graph.margin_units.copy()
        quantity.sort_indices()
        margin_units.sort_indices()
        length, single = np.diff(quantity.indptr).astype(np.int32), np.float32
        self.watch = Watch(
            start=quantity.indptr[:-1].astype(np.int64),
            length=length,
            room=length.copy(),
            used=np.array([quantity.nnz]),
            column=quantity.indices.astype(np.uint32),
            quantity=quantity.data,
            margin_units=margin_units.data,
            low=np.full(quantity.nnz, np.inf, dtype=single),  # every row is a candidate at first, and so are the tiles
            high=np.full(quantity.nnz, np.inf, dtype=single),
            cash=graph.cash.copy(),
            status=np.zeros(self.n, dtype=np.int8),
            price=graph.price.copy(),
            block_low=np.full((tiles, self.m, watch.TILE), np.inf, dtype=single),
            block_high=np.full((tiles, self.m, watch.TILE), np.inf, dtype=single),
            tile_low=np.full((self.m, tiles), np.inf, dtype=single),
            tile_high=np.full((self.m, tiles), np.inf, dtype=single),
            tiers=margins.tiers,
        )
        self.sums = PoolSums(
            pool=graph._rows.pool_of.astype(np.int32),
            held=np.zeros((v, self.m)),
            cash=np.zeros(v),
            held_under=np.zeros((v, self.m)),
            cash_under=np.zeros(v),
            breached=np.zeros(v, dtype=np.int64),
            under=np.zeros(v, dtype=np.int64),
        )
        self.fund = graph.insurance_fund.copy()
        self.size = np.bincount(self.sums.pool, minlength=v)
        self._changed, self._before = np.empty(self.n, dtype=np.int64), np.empty(self.n, dtype=np.int8)
        self._book.add_rows(self.watch, self.sums, self.n)
        self._revalue_columns(np.arange(self.m))
        self.put_grids(margins)

    # --- events -------------------------------------------------------------------------------------------------------

    def move(self, columns: Rows, prices: FloatArray) -> Crossed:
        """Put prices in force, and revalue the accounts whose trigger prices these have reached, or on grids."""
        self.watch.price[columns] = prices
        crossed = self._revalue_column(columns) if columns.size == 1 else self._revalue_columns(columns)
        if not self.grids.rows.size:
            return crossed
        self.grids.prices_moved()
        moved = np.zeros(self.m, dtype=bool)
        moved[columns] = True
        held = self._book.holders(self.watch, self.grids.rows, moved)
        return together([crossed, self._put_margins(self.grids.rows[held])])

    def _revalue_column(self, columns: Rows) -> Crossed:
        count = self._watch.revalue_column(self.watch, self.n, int(columns[0]), self._changed, self._before)
        return self._settle(self._changed[:count], self._before[:count]) if count else NO_ACCOUNT

    def change(
        self, row: int, cash: float, *, column: int = 0, units: float = 0.0, rates: tuple[float, float] = (0.0, 0.0)
    ) -> Crossed:
        """Add cash to an account, and units of an asset at the margin rates of what is opened, long and short."""
        event = (row, cash, column, units, rates)
        before, after = self._book.change(self.watch, self.sums, *event)
        if before < 0:
            self._pack(int(self.watch.length[row]) + self._book.ROOM)
            before, after = self._book.change(self.watch, self.sums, *event)
        if row in self.grids:
            self._put_margins(np.array([row]))
            after = self.watch.status[row]
        return NO_ACCOUNT if before == after else self._crossed(np.array([row]), np.array([before]))

    def put_grids(self, margins: GraphMargins) -> None:
        """Put the scenario grids of the present graph in force."""
        self.grids = GridAccounts(margins.grids)
        self._put_margins(self.grids.rows)

    def open_account(self, pool: int, cash: float) -> int:
        """Add an account without positions; return its row."""
        row = self.n
        if row == self.watch.cash.size:
            self._grow_accounts()
        self.n += 1
        self.watch.start[row], self.watch.length[row], self.watch.room[row] = self.watch.used[0], 0, 0
        self.watch.cash[row], self.watch.status[row], self.sums.pool[row] = 0.0, self._watch.SOUND, pool
        self.size[pool] += 1
        self.change(row, cash)
        return row

    def list_asset(self, price: float) -> int:
        """Add an asset that no account holds; return its column."""
        column = self.m
        if column == self.watch.price.size:
            size = column + 8
            self.watch = _grown(self.watch, BY_ASSET, size)
            self.sums = _grown(self.sums, {"held": 1, "held_under": 1}, size)
            if self.watch.tiers is not None:
                self.watch = self.watch._replace(tiers=_without_more(self.watch.tiers, size))
        self.m += 1
        self.watch.price[column] = price
        return column

    # --- queries ------------------------------------------------------------------------------------------------------

    def has_tiers(self, columns: Any) -> BoolArray:
        """Return whether assets have margin tiers."""
        if self.watch.tiers is None:
            return np.zeros(columns.size, dtype=bool)
        first = self.watch.tiers.first
        return np.asarray(first[columns] < first[columns.astype(np.int64) + 1])

    def cell(self, row: int, column: int) -> tuple[float, float]:
        """Return the quantity and the margin units of an account in an asset."""
        quantity, margin_units = self._book.cell_of(self.watch, row, column)
        return float(quantity), float(margin_units)

    def values(self) -> tuple[FloatArray, FloatArray]:
        """Return equity and maintenance of all accounts [currency]."""
        equity, maintenance = self._book.value_rows(self.watch, self.n)
        maintenance[self.grids.rows] = self._margin(self.grids.rows)
        return equity, maintenance

    def value(self, row: int) -> tuple[float, float]:
        """Return equity and maintenance of an account [currency]."""
        equity, maintenance = self._book.value_row(self.watch, row)
        if row in self.grids:
            maintenance = self._margin(np.array([row]))[0]
        return float(equity), float(maintenance)

    def value_after(self, row: int, column: int, units: float) -> tuple[float, float]:
        """Return equity and maintenance of an account if it held so many more units of an asset [currency]."""
        held = self.cell(row, column)
        self._book.put_cell(self.watch, row, column, *self._book.traded(*held, units, (0.0, 0.0)))
        after = self.value(row)
        self._book.put_cell(self.watch, row, column, *held)
        return after

    def breach_move(self, row: int, column: int) -> float:
        """Return the relative move of one price at which equity is maintenance, on any margin; NaN: there is none.

        Slack only rises with one price, or only falls, and it is concave.
        """
        (quantity, margin_units), price = self._cells(np.array([row])), self.watch.price[: self.m]
        equity, maintenance = self.value(row)
        cells = Cells(quantity.indptr, quantity.indices, quantity.data, margin_units)
        margins = GraphMargins(
            self.watch.tiers, self.grids.grids(row, quantity, price), pd.Index([], dtype="str"), cells
        )
        change = np.where(np.arange(self.m) == column, 1.0, 0.0)
        lines = slack_lines(margins, quantity, margin_units, np.array([equity - maintenance]), price, change)
        move = lines.roots(np.zeros(1), np.ones(1, dtype=bool))
        return float(move[0]) if lines.at(move)[1][0] != 0.0 else float("nan")

    def in_breach(self) -> BoolArray:
        """Return which accounts are in breach."""
        return np.asarray(self.watch.status[: self.n] != self._watch.SOUND)

    def pools(self) -> tuple[FloatArray, FloatArray]:
        """Return the sum of equities, and of positive equities, of each pool [currency]."""
        sums = self.sums
        return self._book.pool_values(self.watch.price, sums.held, sums.cash, sums.held_under, sums.cash_under)

    def packed(self) -> tuple[Any, Any, FloatArray, FloatArray]:
        """Return all cells row by row: row pointers, columns, quantities, margin units."""
        pointers = np.concatenate([[0], np.cumsum(self.watch.length[: self.n])])
        cells = self.watch.column, self.watch.quantity, self.watch.margin_units
        arrays = [np.empty(pointers[-1], dtype=one.dtype) for one in cells]
        for one, other in zip(cells, arrays, strict=True):
            self._book.copy_cells(self.watch, self.n, pointers, one, other)
        return pointers, arrays[0], arrays[1], arrays[2]

    # --- internals ----------------------------------------------------------------------------------------------------

    def _revalue_columns(self, columns: Rows) -> Crossed:
        rows = self._watch.revalue_columns(self.watch, self.n, columns, self._changed, self._before)
        return self._settle(rows, self._before[: rows.size])

    def _settle(self, rows: Rows, before: Any) -> Crossed:
        self._book.settle(self.watch, self.sums, rows, before)
        return self._crossed(rows, before)

    def _crossed(self, rows: Rows, before: Any) -> Crossed:
        sound = self._watch.SOUND
        return Crossed(rows[before == sound], rows[self.watch.status[rows] == sound])

    def _margin(self, rows: Rows) -> FloatArray:
        """Return the margins of accounts on scenario grids at the present prices [currency]."""
        return self.grids.margin(rows, self._cells(rows)[0], self.watch.price[: self.m])

    def _cells(self, rows: Rows) -> tuple[sparse.csr_array, FloatArray]:
        """Return what accounts hold, and their margin units by cell."""
        length = self.watch.length[rows]
        cells = ranges(self.watch.start[rows], self.watch.start[rows] + length)
        held = self.watch.quantity[cells], self.watch.column[cells].astype(np.int32)
        quantity = sparse.csr_array((*held, np.concatenate([[0], np.cumsum(length)])), (rows.size, self.m))
        return quantity, self.watch.margin_units[cells]

    def _put_margins(self, rows: Rows) -> Crossed:
        """Give accounts on scenario grids the status of their margins."""
        if not rows.size:
            return NO_ACCOUNT
        before = self.watch.status[rows]
        self._book.put_margins(self.watch, self.sums, rows, self._margin(rows))
        changed = before != self.watch.status[rows]
        return self._crossed(rows[changed], before[changed])

    def _pack(self, need: int) -> None:
        """Put all rows side by side into a new arena with places to spare."""
        start, used = np.cumsum(self.watch.length, dtype=np.int64) - self.watch.length, int(self.watch.length.sum())
        size = int(SPARE * used) + need
        packed: dict[str, Any] = {}
        for name in CELLS:
            packed[name] = np.empty(size, dtype=getattr(self.watch, name).dtype)
            self._book.copy_cells(self.watch, self.n, start, getattr(self.watch, name), packed[name])
        room = self.watch.length.copy()
        self.watch = self.watch._replace(start=start, room=room, used=np.array([used]), **packed)

    def _grow_accounts(self) -> None:
        size = self.n + self.n // 4 + self._watch.WATCH_BLOCK
        self.watch = _grown(_grown(self.watch, BY_ACCOUNT, size), BY_TILE, self._watch.tiles_of(size))
        self.sums = _grown(self.sums, {"pool": 0}, size)
        self._changed, self._before = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int8)


def _without_more(tiers: Tiers, m: int) -> Tiers:
    """Return tiers of more assets, of which the new ones have none."""
    first = tiers.first
    return tiers._replace(first=np.append(first, np.full(m + 1 - first.size, first[-1])))


def _grown(arrays: Any, axes: Mapping[str, int], size: int) -> Any:
    """Return a record whose named arrays are longer, each along its axis; no trigger lies in the new places."""
    longer = {}
    for name, axis in axes.items():
        array = getattr(arrays, name)
        shape = [*array.shape[:axis], size - array.shape[axis], *array.shape[axis + 1 :]]
        fill = np.inf if name.endswith("_high") else 0.0
        longer[name] = np.concatenate([array, np.full(shape, fill, dtype=array.dtype)], axis=axis)
    return arrays._replace(**longer)
