"""Scenario grids: what one unit of each column gains in each scenario, and the margin of the accounts on a grid."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.solvers.arrays import ranges, row_of_cells
from contagion_graph.state import Left, Segments, Strikes

Codes = np.ndarray[Any, Any]  # of whole numbers
NONE = -1  # no scenario is a loss; no netting set


class Columns(Protocol):
    """What the columns of a graph are priced from."""

    @property
    def underlying(self) -> Codes:
        """The column that each is priced from, shape (m,)."""

    @property
    def netting(self) -> Codes:
        """Which options share underlying, strike and expiry, shape (m,); -1: no option."""

    def gains(self, price: FloatArray, move: FloatArray, vol_factor: FloatArray) -> FloatArray:
        """Return F(u (1 + move), vol x vol_factor) - F(u, vol) of each column and scenario, shape (m, S)."""

    def steepest(self, move: FloatArray, weight: FloatArray, unit: FloatArray) -> FloatArray:
        """Return how many units the weighted gains of each column can change by as prices move by 1, shape (m,)."""


class LinearColumns(NamedTuple):
    """Columns that are assets themselves: each gains its price times the move."""

    m: int

    @property
    def underlying(self) -> Codes:
        """Each column itself."""
        return np.arange(self.m)

    @property
    def netting(self) -> Codes:
        """No column is an option."""
        return np.full(self.m, NONE)

    def gains(self, price: FloatArray, move: FloatArray, vol_factor: FloatArray) -> FloatArray:
        """Return price times move."""
        gained: FloatArray = price[:, None] * move
        return gained

    def steepest(self, move: FloatArray, weight: FloatArray, unit: FloatArray) -> FloatArray:
        """Return the largest weighted move: gains move with the price itself."""
        return np.asarray(np.maximum((weight * move).max(axis=1), 0.0))


class Costs(NamedTuple):
    """What accounts on a grid need: margin of each and its relief; of each segment cost, contingency, what binds."""

    margin: FloatArray
    relief: FloatArray
    cost: FloatArray
    contingency: FloatArray
    scenario: Codes


@dataclass(frozen=True, eq=False)
class Grid:
    """The accounts of a graph that are on one scenario grid, and its scenarios by column.

    Parameters
    ----------
    name : str
        Of the grid.
    rows : ndarray of int
        The accounts, ascending.
    columns : Columns
        What the columns are priced from.
    group_of : ndarray of int, shape (m,)
        Risk group of each column.
    move, vol_factor, weight : ndarray, shape (m, S)
        The scenarios of each column's underlying.
    contingency : ndarray, shape (m,)
        Share of the underlying's price for each net short option of a strike.
    segments : Segments
        The cells of the accounts by account, risk group and netting set; their quantities are those of the graph.
    arrays : ndarray, shape (m, S), or None
        Gains of one unit that were given [currency]; None: what the columns gain in the scenarios.
    """

    name: str
    rows: Codes
    columns: Columns
    group_of: Codes
    move: FloatArray
    vol_factor: FloatArray
    weight: FloatArray
    contingency: FloatArray
    segments: Segments
    arrays: FloatArray | None = None

    @property
    def group(self) -> Codes:
        """The risk group of each segment."""
        return self.group_of[self.segments.column[self.segments.start[:-1]]]

    @property
    def account_of_segment(self) -> Codes:
        """The place among `rows` of each segment's account."""
        return np.repeat(np.arange(self.rows.size), np.diff(self.segments.first))

    @property
    def segment_of_cell(self) -> Codes:
        """The segment of each of `cells`."""
        return np.repeat(np.arange(self.segments.start.size - 1), np.diff(self.segments.start))

    def gains(self, price: FloatArray) -> FloatArray:
        """Return L: what one unit of each column gains in each scenario, shape (m, S) [currency per unit]."""
        if self.arrays is not None:
            return self.arrays
        return np.ascontiguousarray(self.weight * self.columns.gains(price, self.move, self.vol_factor))

    def costs(self, price: FloatArray, left: Left, places: Codes, borders: Codes) -> Costs:
        """Return what some of the accounts need, and each of their risk groups.

        Parameters
        ----------
        price : ndarray, shape (m,)
            Currency per unit.
        left : Left
            What is left of the positions of the graph.
        places : ndarray of int
            The accounts, by their place among `rows`, ascending.
        borders : ndarray of int
            Where among them the chunks begin and end.
        """
        from contagion_graph.kernels import grids

        rows = self.rows[places]
        return Costs(
            *grids.grid_rows(self.segments, self.gains(price), self._strikes(price), left, places, rows, borders)
        )

    def kept(self, places: Codes, rows: Codes) -> "Grid":
        """Return the grid with some of its accounts, which are other rows."""
        first, start, column, quantity = self.segments
        segments = ranges(first[places], first[places + 1])
        cells = ranges(start[segments], start[segments + 1])
        ends = np.concatenate([[0], np.cumsum(np.diff(start)[segments])])
        firsts = np.concatenate([[0], np.cumsum(np.diff(first)[places])])
        return replace(self, rows=rows, segments=Segments(firsts, ends, column[cells], quantity[cells]))

    def most(self, unit: FloatArray) -> FloatArray:
        """Return by how much more than its price the slack of a unit of each column can move, shape (m,).

        In units of `unit`, when no price has moved by more than 1 of them.
        """
        steepest, netting = self.columns.steepest(self.move, self.weight, unit), self.columns.netting != NONE
        if netting.any():
            steepest = steepest + np.where(netting, self.contingency * unit[self.columns.underlying] / unit, 0.0)
        return steepest

    def of_segments(self, name: str, scenario: Codes) -> FloatArray:
        """Return the move or vol_factor of the scenario that binds in each segment; NaN where columns differ in it."""
        segment = self.segment_of_cell
        of_cells = getattr(self, name)[self.segments.column, scenario[segment]]
        own = of_cells[self.segments.start[:-1]]
        differ = np.bincount(segment, weights=of_cells != own[segment], minlength=scenario.size) > 0.0
        return np.where((scenario == NONE) | differ, np.nan, own)

    def _strikes(self, price: FloatArray) -> Strikes:
        """Return which columns net, and what each net short unit of them costs; of no column where that is nothing."""
        netting = np.where(self.contingency > 0.0, self.columns.netting, NONE)
        if (netting == NONE).all():
            return Strikes(netting[:0], self.contingency[:0])
        return Strikes(netting, self.contingency * price[self.columns.underlying])


def grid_of(
    name: str, rows: Codes, quantity: sparse.csr_array, group_of: Codes, columns: Columns, **scenarios: Any
) -> Grid:
    """Return a grid with the cells of some accounts; `Grid` describes the rest."""
    segments = segments_of(rows, quantity, group_of, columns.netting)
    return Grid(name, rows, columns, group_of, segments=segments, **scenarios)


def segments_of(rows: Codes, quantity: sparse.csr_array, group_of: Codes, netting: Codes) -> Segments:
    """Return the cells of some accounts sorted by account, risk group and netting set."""
    account, column = row_of_cells(quantity), quantity.indices
    place = np.full(quantity.shape[0], NONE)
    place[rows] = np.arange(rows.size)
    cells = np.flatnonzero(place[account] != NONE)
    held = column[cells]
    cells = cells[np.lexsort((held, netting[held], group_of[held], account[cells]))]
    own, held = place[account[cells]], column[cells].astype(np.int64)
    starts = np.flatnonzero(np.diff(own, prepend=NONE) | np.diff(group_of[held], prepend=NONE))
    return Segments(
        first=np.searchsorted(own[starts], np.arange(rows.size + 1)),
        start=np.append(starts, cells.size),
        column=held,
        quantity=quantity.data[cells],
    )
