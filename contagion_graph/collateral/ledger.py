"""The numbers behind a monitor: accounts, cells, prices and sums by pool, in arrays that grow and are reused.

Cells are kept row by row, each row in column order, in one arena. A row that outgrows its place moves to the end; when
the end is reached, all rows are packed anew. So memory follows what is held now, not how often it changed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from contagion_graph.graph import ExposureGraph
from contagion_graph.state import Watch
from contagion_graph.tables.schema import BoolArray, FloatArray

SPARE = 1.25  # places in an arena, over what is held when it is packed
ROOM = 4  # places that a row gets beyond what it needs when it moves
CELLS = ("column", "quantity", "margin_units", "low", "high")
Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Crossed:
    """The rows that an event brought into breach and those that it brought out of it."""

    breached: Rows
    recovered: Rows


NOBODY = Crossed(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


class Ledger:
    """Accounts under a stream of events, by row and column.

    Parameters
    ----------
    graph : ExposureGraph
        The state before the first event.
    """

    def __init__(self, graph: ExposureGraph) -> None:
        from contagion_graph.kernels import watch as kernels

        self._kernels = kernels
        self.n, self.m = len(graph.accounts), len(graph.assets)
        v, blocks = len(graph.pools), -(-self.n // kernels.WATCH_BLOCK)
        quantity, margin_units = graph.quantity.copy(), graph.margin_units.copy()
        quantity.sort_indices()
        margin_units.sort_indices()
        self.watch = Watch(
            start=quantity.indptr[:-1].astype(np.int64),
            length=np.diff(quantity.indptr).astype(np.int32),
            column=quantity.indices.astype(np.uint32),
            quantity=quantity.data,
            margin_units=margin_units.data,
            low=np.full(quantity.nnz, np.inf),  # due at any price
            high=np.full(quantity.nnz, np.inf),
            cash=graph.cash.copy(),
            status=np.zeros(self.n, dtype=np.int8),
            price=graph.price.copy(),
            low_top=np.zeros((self.m, blocks)),
            high_top=np.full((self.m, blocks), np.inf),
        )
        self.pool_of = graph.pool_of.astype(np.int32)
        self.room = self.watch.length.copy()  # places of each row
        self.used = quantity.nnz  # places of the arena
        self.fund = graph.insurance_fund.copy()
        self.held, self.cash = np.zeros((v, self.m)), np.zeros(v)
        self.held_under, self.cash_under = np.zeros((v, self.m)), np.zeros(v)
        self.breached, self.under = np.zeros(v, dtype=np.int64), np.zeros(v, dtype=np.int64)
        self.size = np.bincount(self.pool_of, minlength=v)
        self._changed, self._before = np.empty(self.n, dtype=np.int64), np.empty(self.n, dtype=np.int8)
        rows = np.arange(self.n)
        kernels.add_rows(self.watch, rows, np.ones(self.n), self.pool_of, self.held, self.cash)
        self._look_at_blocks(np.arange(blocks))

    # --- what happens -------------------------------------------------------------------------------------------------

    def move(self, columns: Rows, prices: FloatArray) -> Crossed:
        """Put prices in force, and look at the accounts about which these can have changed something."""
        self.watch.price[columns] = prices
        if columns.size == 1:
            notes = (self._changed, self._before)
            count = self._kernels.look_at_column(self.watch, self.n, int(columns[0]), *notes)
            return self._settle(self._changed[:count], self._before[:count]) if count else NOBODY
        return self._look_at_blocks(self._kernels.due_blocks(self.watch, self.n, columns))

    def shift(self, row: int, cash: float) -> None:
        """Add to the cash of an account; `look` then judges it."""
        pool = self.pool_of[row]
        self.watch.cash[row] += cash
        self.cash[pool] += cash
        if self.watch.status[row] == self._kernels.UNDER:
            self.cash_under[pool] += cash

    def put(self, row: int, column: int, cell: tuple[float, float]) -> None:
        """Put a cell (quantity, margin units) in force; `look` then judges the account."""
        pool, gained = self.pool_of[row], cell[0] - self.cell(row, column)[0]
        self.held[pool, column] += gained
        if self.watch.status[row] == self._kernels.UNDER:
            self.held_under[pool, column] += gained
        self._put(row, column, cell)

    def look(self, row: int) -> Crossed:
        """Judge an account after it was changed."""
        before = self.watch.status[row]
        if self._kernels.look_row(self.watch, row) == before:
            return NOBODY
        return self._settle(np.array([row]), np.array([before]))

    def open_account(self, pool: int, cash: float) -> int:
        """Add an account without positions; return its row."""
        row = self.n
        if row == self.watch.cash.size:
            self._grow_accounts()
        self.n += 1
        self.watch.start[row], self.watch.length[row], self.room[row] = self.used, 0, 0
        self.watch.cash[row], self.watch.status[row], self.pool_of[row] = cash, self._kernels.SOUND, pool
        self.cash[pool] += cash
        self.size[pool] += 1
        self.look(row)
        return row

    def list_asset(self, price: float) -> int:
        """Add an asset that nobody holds; return its column."""
        column = self.m
        if column == self.watch.price.size:
            tops = (0, column + 8)
            self.watch = self.watch._replace(
                price=_grown(self.watch.price, *tops),
                low_top=_grown(self.watch.low_top, *tops),
                high_top=_grown(self.watch.high_top, *tops, fill=np.inf),
            )
            self.held, self.held_under = (_grown(sums, 1, column + 8) for sums in (self.held, self.held_under))
        self.m += 1
        self.watch.price[column] = price
        return column

    # --- what is ------------------------------------------------------------------------------------------------------

    def cell(self, row: int, column: int) -> tuple[float, float]:
        """Return the quantity and the margin units of an account in an asset."""
        quantity, margin_units = self._kernels.cell_of(self.watch, row, column)
        return float(quantity), float(margin_units)

    def values(self) -> tuple[FloatArray, FloatArray]:
        """Return equity and maintenance of all accounts [currency]."""
        return self._kernels.value_rows(self.watch, self.n)

    def value(self, row: int) -> tuple[float, float]:
        """Return equity and maintenance of an account [currency]."""
        equity, maintenance = self._kernels.value_row(self.watch, row)
        return float(equity), float(maintenance)

    def in_breach(self) -> BoolArray:
        """Return which accounts are in breach."""
        breach: BoolArray = self.watch.status[: self.n] != self._kernels.SOUND
        return breach

    def pools(self) -> tuple[FloatArray, FloatArray]:
        """Return the sum of equities, and of positive equities, of each pool [currency]."""
        equity = self.cash + self.held @ self.watch.price
        return equity, np.maximum(equity - (self.cash_under + self.held_under @ self.watch.price), 0.0)

    def packed(self) -> tuple[Any, Any, FloatArray, FloatArray]:
        """Return all cells row by row: row pointers, columns, quantities, margin units."""
        pointers = np.concatenate([[0], np.cumsum(self.watch.length[: self.n])])
        arrays = [np.empty(pointers[-1], dtype=one.dtype) for one in self.watch[2:5]]
        for one, other in zip(self.watch[2:5], arrays, strict=True):
            self._kernels.copy_cells(self.watch, self.n, pointers, one, other)
        return pointers, arrays[0], arrays[1], arrays[2]

    # --- how ----------------------------------------------------------------------------------------------------------

    def _look_at_blocks(self, blocks: Rows) -> Crossed:
        notes = (self._changed, self._before)
        rows = self._kernels.look_at_blocks(self.watch, self.n, blocks, *notes)
        return self._settle(rows, self._before[: rows.size].copy())

    def _settle(self, rows: Rows, before: Any) -> Crossed:
        """Bring the sums by pool up to date with rows whose status changed."""
        after, sound, under = self.watch.status[rows], self._kernels.SOUND, self._kernels.UNDER
        pools = self.pool_of[rows]
        np.add.at(self.breached, pools, (after != sound) * 1 - (before != sound))
        change = (after == under) * 1 - (before == under)
        np.add.at(self.under, pools, change)
        if change.any():
            self._add(rows[change != 0], change[change != 0].astype(np.float64))
        return Crossed(rows[before == sound], rows[after == sound])

    def _add(self, rows: Rows, sign: FloatArray) -> None:
        """Add accounts under water to the sums over them, or subtract them; sums over none are exactly 0."""
        self._kernels.add_rows(self.watch, rows, sign, self.pool_of, self.held_under, self.cash_under)
        none = self.under == 0
        self.held_under[none], self.cash_under[none] = 0.0, 0.0

    def _put(self, row: int, column: int, cell: tuple[float, float]) -> None:
        """Put a cell in force; give the row more room first, at the end of the arena, where it has none."""
        if not self._kernels.put_cell(self.watch, row, column, self.room[row], *cell):
            need = int(self.watch.length[row]) + ROOM
            if self.used + need > self.watch.column.size:
                self._pack(need)
            self._kernels.move_row(self.watch, row, self.used)
            self.room[row] = need
            self.used += need
            self._kernels.put_cell(self.watch, row, column, need, *cell)

    def _pack(self, need: int) -> None:
        """Put all rows side by side into a new arena with places to spare."""
        start = np.cumsum(self.watch.length, dtype=np.int64) - self.watch.length
        self.used = int(self.watch.length[: self.n].sum())
        size = int(SPARE * self.used) + need + ROOM
        packed = {}
        for name in CELLS:
            packed[name] = np.empty(size, dtype=getattr(self.watch, name).dtype)
            self._kernels.copy_cells(self.watch, self.n, start, getattr(self.watch, name), packed[name])
        self.room = self.watch.length.copy()
        self.watch = self.watch._replace(start=start, **packed)

    def _grow_accounts(self) -> None:
        size = self.n + self.n // 4 + self._kernels.WATCH_BLOCK
        blocks = -(-size // self._kernels.WATCH_BLOCK)
        names = ("start", "length", "cash", "status")
        self.watch = self.watch._replace(
            **{name: _grown(getattr(self.watch, name), 0, size) for name in names},
            low_top=_grown(self.watch.low_top, 1, blocks),
            high_top=_grown(self.watch.high_top, 1, blocks, fill=np.inf),
        )
        self.pool_of, self.room = _grown(self.pool_of, 0, size), _grown(self.room, 0, size)
        self._changed, self._before = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int8)


def _grown(array: Any, axis: int, size: int, fill: float = 0.0) -> Any:
    """Return an array that is longer along an axis, the new places filled."""
    shape = list(array.shape)
    shape[axis] = size - shape[axis]
    return np.concatenate([array, np.full(shape, fill, dtype=array.dtype)], axis=axis)
