"""The accounts of a monitor that are on scenario grids: each event that touches one has its margin computed anew."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.graph.scenario_grids import NONE, Grid, segments_of
from contagion_graph.state import nothing_closed

Rows = np.ndarray[Any, np.dtype[np.int64]]


class GridAccounts:
    """Which accounts are on a scenario grid, and what they need; those that are opened later are on none.

    Parameters
    ----------
    grids : sequence of Grid
        Of the graph as it was before the last event.
    """

    def __init__(self, grids: Sequence[Grid]) -> None:
        self._grids, self._gains = tuple(grids), dict[int, FloatArray]()
        self.rows: Rows = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *(grid.rows for grid in grids)]))
        self._number = np.full(int(self.rows.max(initial=NONE)) + 1, NONE)
        for k, grid in enumerate(grids):
            self._number[grid.rows] = k

    def __contains__(self, row: int) -> bool:
        return row < self._number.size and bool(self._number[row] != NONE)

    def prices_moved(self) -> None:
        """Have gains computed anew."""
        self._gains.clear()

    def margin(self, rows: Rows, quantity: sparse.csr_array, price: FloatArray) -> FloatArray:
        """Return the maintenance margin of accounts that are on a grid, shape (len(rows),) [currency].

        Parameters
        ----------
        rows : ndarray of int
            The accounts.
        quantity : csr_array, shape (len(rows), m)
            What they hold.
        price : ndarray, shape (m,)
            Currency per unit.
        """
        margin = np.empty(rows.size)
        for k in np.unique(self._number[rows]).tolist():
            own = np.flatnonzero(self._number[rows] == k)
            grid, borders = self._grid(k, quantity[own], price), np.array([0, own.size])
            margin[own] = grid.costs(price, nothing_closed(own.size, price.size), grid.rows, borders).margin
        return margin

    def grids(self, row: int, quantity: sparse.csr_array, price: FloatArray) -> list[Grid]:
        """Return the grid of an account, on which it is alone, row 0; none where it is on none."""
        return [self._grid(int(self._number[row]), quantity, price)] if row in self else []

    def _grid(self, k: int, quantity: sparse.csr_array, price: FloatArray) -> Grid:
        """Return a grid with these accounts alone, and its gains at these prices."""
        grid, rows = self._grids[k], np.arange(quantity.shape[0])
        if k not in self._gains:
            self._gains[k] = grid.gains(price)
        segments = segments_of(rows, quantity, grid.group_of, grid.columns.netting)
        return replace(grid, rows=rows, segments=segments, arrays=self._gains[k])
