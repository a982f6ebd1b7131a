"""Scenario grids: what one unit of each column gains in each scenario, and the margin of the accounts on a grid."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.chunks import BLOCK, chunk_borders
from contagion_graph.solvers.arrays import row_of_cells
from contagion_graph.state import Segments

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


class Options(NamedTuple):
    """The option cells of the accounts on a grid, and the pairs (segment, netting set) in which they net.

    Parameters
    ----------
    place, pair : ndarray of int
        Of each option cell, its place among the cells of the grid, and its pair.
    column, segment : ndarray of int
        Of each pair, a column of it, and the segment.
    """

    place: Codes
    pair: Codes
    column: Codes
    segment: Codes


class Costs(NamedTuple):
    """What accounts on a grid need: margin of each account; of each segment cost, contingency, binding scenario."""

    margin: FloatArray
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
    cells : ndarray of int
        The cells of the accounts in the order of the segments.
    segments : Segments
        The cells by account and risk group; their quantities are those of the graph.
    options : Options
        Cells that net by strike.
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
    cells: Codes
    segments: Segments
    options: Options
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

    def costs(self, price: FloatArray, gains: FloatArray, quantity: FloatArray | None = None) -> Costs:
        """Return what each account needs, and each of its risk groups.

        Parameters
        ----------
        price : ndarray, shape (m,)
            Currency per unit.
        gains : ndarray, shape (m, S)
            L at this price.
        quantity : ndarray, optional
            Units in all cells of the graph; None: those that it holds.
        """
        from contagion_graph.kernels import grids

        segments = self.segments if quantity is None else self.segments._replace(quantity=quantity[self.cells])
        borders = np.minimum(chunk_borders(segments.start[segments.first]) * BLOCK, self.rows.size)
        margin, cost, scenario = grids.grid_rows(segments, gains, borders)
        net = self._net(segments.quantity)
        contingency = self._of_segments(np.maximum(-net, 0.0) * self._each(price))
        if contingency.any():
            margin += np.bincount(self.account_of_segment, weights=contingency, minlength=margin.size)
        return Costs(margin, cost, contingency, scenario)

    def slopes(
        self, price: FloatArray, gains: FloatArray, quantity: FloatArray, change: FloatArray, scenario: Codes
    ) -> FloatArray:
        """Return how the margin of each account changes when its quantities do, by the scenarios that bind.

        Parameters
        ----------
        price, gains, quantity
            As in `costs`.
        change : ndarray
            Change of the units in all cells of the graph.
        scenario : ndarray of int
            What binds in each segment.
        """
        segment, change = self.segment_of_cell, change[self.cells]
        of_cells = np.where(scenario[segment] == NONE, 0.0, gains[self.segments.column, scenario[segment]])
        slope: FloatArray = np.bincount(segment, weights=-change * of_cells, minlength=scenario.size).astype(np.float64)
        net = self._net(quantity[self.cells])
        slope = slope + self._of_segments(np.where(net < 0.0, -self._net(change), 0.0) * self._each(price))
        return np.bincount(self.account_of_segment, weights=slope, minlength=self.rows.size).astype(np.float64)

    def of_accounts(self, rows: Codes, quantity: sparse.csr_array) -> "Grid":
        """Return the grid with other accounts on it, rows of another matrix with the same columns."""
        scenarios = {name: getattr(self, name) for name in ("move", "vol_factor", "weight", "contingency", "arrays")}
        return grid_of(self.name, rows, quantity, self.group_of, self.columns, **scenarios)

    def of_segments(self, name: str, scenario: Codes) -> FloatArray:
        """Return the move or vol_factor of the scenario that binds in each segment; NaN where columns differ in it."""
        segment = self.segment_of_cell
        of_cells = getattr(self, name)[self.segments.column, scenario[segment]]
        own = of_cells[self.segments.start[:-1]]
        differ = np.bincount(segment, weights=of_cells != own[segment], minlength=scenario.size) > 0.0
        return np.where((scenario == NONE) | differ, np.nan, own)

    def _net(self, quantity: FloatArray) -> FloatArray:
        """Return the net options of each pair, given the quantities of the grid's cells."""
        weights = quantity[self.options.place]
        return np.bincount(self.options.pair, weights=weights, minlength=self.options.column.size).astype(np.float64)

    def _each(self, price: FloatArray) -> FloatArray:
        """Return what one net short option of each pair costs."""
        column = self.options.column
        cost: FloatArray = self.contingency[column] * price[self.columns.underlying[column]]
        return cost

    def _of_segments(self, of_pairs: FloatArray) -> FloatArray:
        size = self.segments.start.size - 1
        return np.bincount(self.options.segment, weights=of_pairs, minlength=size).astype(np.float64)


def grid_of(
    name: str, rows: Codes, quantity: sparse.csr_array, group_of: Codes, columns: Columns, **scenarios: Any
) -> Grid:
    """Return a grid with the cells of some accounts sorted by account and risk group; `Grid` describes the rest."""
    account, column = row_of_cells(quantity), quantity.indices
    place = np.full(quantity.shape[0], NONE)
    place[rows] = np.arange(rows.size)
    cells = np.flatnonzero(place[account] != NONE)
    cells = cells[np.lexsort((column[cells], group_of[column[cells]], account[cells]))]
    own, held = place[account[cells]], column[cells].astype(np.int64)
    starts = np.flatnonzero(np.diff(own, prepend=NONE) | np.diff(group_of[held], prepend=NONE))
    segments = Segments(
        first=np.searchsorted(own[starts], np.arange(rows.size + 1)),
        start=np.append(starts, cells.size),
        column=held,
        quantity=quantity.data[cells],
    )
    options = _options(
        held, np.repeat(np.arange(starts.size), np.diff(segments.start)), columns, scenarios["contingency"]
    )
    return Grid(name, rows, columns, group_of, cells=cells, segments=segments, options=options, **scenarios)


def _options(held: Codes, segment: Codes, columns: Columns, contingency: FloatArray) -> Options:
    place = np.flatnonzero((columns.netting[held] != NONE) & (contingency[held] > 0.0))
    pair, distinct = pd.factorize(pd.MultiIndex.from_arrays([segment[place], columns.netting[held[place]]]))
    one = place[np.unique(pair, return_index=True)[1]] if len(distinct) else place
    return Options(place, pair, held[one], segment[one])
