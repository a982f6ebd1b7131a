"""Margin tiers and scenario grids while a cascade runs: all accounts are valued anew at every price."""

from dataclasses import replace
from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.graph.margins import GraphMargins
from contagion_graph.graph.rows import RowReductions
from contagion_graph.margin.rounds.account_state import Market, Rows
from contagion_graph.rules.liquidation import BreachedAccounts
from contagion_graph.solvers.arrays import row_of_cells
from contagion_graph.state import Cells


class MarginMarket(Market):
    """Accounts, channels and prices of a graph with margin tiers or scenario grids.

    Equity and prices are those of `Market`, with all accounts revalued at every price. Margins are computed from what
    accounts have left, before anything asks for them.

    Parameters
    ----------
    graph : RowReductions
        The graph before the scenario; it has margins that are no flat rates.
    scenario, base
        As in `Market`.
    """

    def __init__(self, graph: RowReductions, scenario: Any, base: FloatArray) -> None:
        assert isinstance(graph.margins, GraphMargins), "other graphs have a plain market"
        self.margins, self.row = graph.margins, row_of_cells(graph.quantity)
        self.falls = graph.sellable[graph.quantity.indices].astype(np.float64)
        self.on_rates = np.zeros(graph.cash.size, dtype=bool)
        self.on_rates[self.margins.on_rates(graph)] = True
        super().__init__(graph, scenario, base, full=True)

    def candidates(self, rise: FloatArray | float = 0.0) -> tuple[Rows, FloatArray]:
        """Return all accounts that are not wholly closed, and their equity; their margins are those at present."""
        self.accounts.maintenance[:] = self.margins.maintenance(self.graph, self.price, self.left())
        return super().candidates(rise)

    def seen(self, rows: Rows, accounts: BreachedAccounts) -> BreachedAccounts:
        """Return what the liquidation rule sees of rows: their margins as a function of what they close."""
        margin_left = MarginsLeft(self, rows)
        freed = accounts.maintenance - margin_left(np.ones(rows.size))[0]
        return replace(accounts, closable_maintenance=freed, margin_left=margin_left)

    def left(self) -> Cells:
        """Return what is left of the positions, in the cells of the graph."""
        state, cells = self.accounts, self.graph.cells
        closed = np.where(cells.quantity < 0.0, state.closed_short[self.row], state.closed_long[self.row])
        share = 1.0 - closed * self.falls
        return cells._replace(quantity=cells.quantity * share, margin_units=cells.margin_units * share)


class MarginsLeft:
    """The margin of some accounts when each closes a share of what it has left and can sell: value and slope.

    Parameters
    ----------
    market : MarginMarket
        The accounts at present.
    accounts : ndarray of int
        k of them, ascending.
    """

    def __init__(self, market: MarginMarket, accounts: Rows) -> None:
        self.margins, self.price, left = market.margins, market.price.copy(), market.left()
        held, start = market.graph.quantity[accounts], market.graph.quantity.indptr[accounts]
        self.row, self.column, self.k = row_of_cells(held), held.indices, accounts.size
        cells = np.arange(self.row.size) + np.repeat(start - held.indptr[:-1], np.diff(held.indptr))
        self.quantity, self.units, self.falls = left.quantity[cells], left.margin_units[cells], market.falls[cells]
        self.on_rates = market.on_rates[accounts][self.row]
        own = [grid.of_accounts(np.flatnonzero(np.isin(accounts, grid.rows)), held) for grid in self.margins.grids]
        self.grids = [(grid, grid.gains(self.price)) for grid in own if grid.rows.size]

    def __call__(self, share: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the margin of each account after it has closed a share, and its slope in that share, shape (k,)."""
        kept = 1.0 - share[self.row] * self.falls
        quantity, change = self.quantity * kept, -self.quantity * self.falls
        margin, slope = self._at_rates(quantity, change, kept)
        for grid, gains in self.grids:
            found = grid.costs(self.price, gains, quantity)
            margin[grid.rows] = found.margin
            slope[grid.rows] = grid.slopes(self.price, gains, quantity, change, found.scenario)
        return margin, slope

    def _at_rates(self, quantity: FloatArray, change: FloatArray, kept: FloatArray) -> tuple[FloatArray, FloatArray]:
        price = self.price[self.column]
        notional = np.abs(quantity) * price
        tiered, tier, _ = self.margins.pieces(self.column, notional)
        rate, amount = (np.zeros(1), np.zeros(1)) if self.margins.tiers is None else self.margins.tiers[2:]
        cost = np.where(tiered, rate[tier] * notional - amount[tier], self.units * kept * price)
        slope = np.where(tiered, rate[tier] * np.sign(self.quantity) * change * price, -self.units * self.falls * price)
        return self._of_accounts(cost), self._of_accounts(slope)

    def _of_accounts(self, of_cells: FloatArray) -> FloatArray:
        weights = np.where(self.on_rates, of_cells, 0.0)
        return np.bincount(self.row, weights=weights, minlength=self.k).astype(np.float64)
