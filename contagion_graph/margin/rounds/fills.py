"""Positions that pass from account to account: auto-deleveraging, and take-overs by vaults.

Both close what an account has left at its bankruptcy prices, so that it ends at exactly 0: leg j of account i at
p_j - E_i w_j / q_ij, w_j the share of the leg in the account. Deleveraging closes the legs of accounts at or below 0
against others in their pool, in the order of a ranking; a vault takes accounts whole. None of that reaches a book.
"""

from typing import cast

import numpy as np
from scipy import sparse

from contagion_graph._cached import carry_over
from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.collectives import WHOLE
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.rows import BY_LABEL, SHARED, RowReductions
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.margin.rounds.account_state import Market, Rows
from contagion_graph.margin.rounds.counterparties import Counterparties
from contagion_graph.margin.rounds.loss_waterfall import Waterfall
from contagion_graph.margin.trades import Fill, Passed
from contagion_graph.rules.layers import Deleverage

VAULT, BELOW = "vault", "takeover_below"


class FillRows(RowReductions):
    """The rows of a graph whose positions may pass to others: with cells of their own, for vaults one for each asset.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the cascade.
    layer : Deleverage or None
        The ranking of counterparties.
    """

    def __init__(self, graph: ExposureGraph, layer: Deleverage | None) -> None:
        rows, v = graph._rows, len(graph.pools)
        vars(self).update({name: getattr(rows, name) for name in (*SHARED, "price_map")})
        vaults = np.flatnonzero(_vaults(rows))
        self.quantity, self.margin_units = _widened(rows.quantity, vaults), _widened(rows.margin_units, vaults)
        for vault in vaults:  # it is never liquidated
            self.margin_units.data[slice(*self.margin_units.indptr[vault : vault + 2])] = 0.0
        carry_over(rows, self, (*BY_LABEL, "initial", "gross_total", "falls"))
        self.tiered = None if graph._margins is None else graph._margins.kept(self.all_rows, self.cells)
        self.margins = self.tiered
        self.vault_of = np.full(v, -1)
        self.vault_of[rows.pool_of[vaults]] = vaults
        below = rows.pool_column(BELOW)
        self.below = np.zeros(v) if below is None else below
        self.layer = layer
        self.order = np.zeros(0) if layer is None else layer._order(rows)
        self.entry = np.zeros(0) if layer is None else _entry_prices(graph, self.quantity)


def passes_on(rows: RowReductions, rules: CascadeRules) -> bool:
    """Say whether positions may pass from account to account."""
    return any(layer.kind == "deleverage" for layer in rules.waterfall) or bool(_vaults(rows).any())


def fill_rows(graph: ExposureGraph, rules: CascadeRules) -> FillRows | None:
    """Return rows whose positions may pass to others, where the rules or the graph say so.

    Raises
    ------
    ParameterError
        Several vaults in a pool, a graph in parts, or scenario grids.
    """
    rows, layers = graph._rows, [layer for layer in rules.waterfall if layer.kind == "deleverage"]
    if not passes_on(rows, rules):
        return None
    vault = _vaults(rows)
    several = np.flatnonzero(np.bincount(rows.pool_of[vault], minlength=len(graph.pools)) > 1)
    if several.size:
        raise ParameterError(f"accounts.vault: pool {graph.pools[several[0]]!r} has several vaults; mark one account")
    grids = graph._margins is not None and len(graph._margins.grids) > 0
    if rows.group is not WHOLE or grids:
        lacks = "all accounts in one process" if rows.group is not WHOLE else "margins of rates or tiers, not of grids"
        raise ParameterError(f"MarginCascade: deleveraging and take-overs by vaults need {lacks}")
    return FillRows(graph, cast(Deleverage, layers[0]) if layers else None)


def _vaults(rows: RowReductions) -> BoolArray:
    vault = rows.account_column(VAULT)
    return np.zeros(rows.cash.size, dtype=bool) if vault is None else vault > 0.0


def _widened(matrix: sparse.csr_array, wide: Rows) -> sparse.csr_array:
    """Return a copy of a matrix in which some rows have a cell for each column."""
    (n, m), size = matrix.shape, np.diff(matrix.indptr)
    is_wide = np.zeros(n, dtype=bool)
    is_wide[wide] = True
    indptr = np.concatenate([[0], np.cumsum(np.where(is_wide, m, size))]).astype(matrix.indptr.dtype)
    indices, data = np.empty(indptr[-1], dtype=matrix.indices.dtype), np.empty(indptr[-1])
    kept, source = np.repeat(~is_wide, np.diff(indptr)), np.repeat(~is_wide, size)
    indices[kept], data[kept] = matrix.indices[source], matrix.data[source]
    for row in wide:
        indices[indptr[row] : indptr[row + 1]] = np.arange(m)
        data[indptr[row] : indptr[row + 1]] = matrix[[row]].toarray()[0]
    return sparse.csr_array((data, indices, indptr), (n, m))


def _entry_prices(graph: ExposureGraph, quantity: sparse.csr_array) -> FloatArray:
    """Return what a unit of each cell cost; positions without an entry price cost the price before the shock."""
    price: FloatArray = graph.price[quantity.indices]
    if graph.records is None:
        return price
    records = graph.records
    paid = np.where(np.isnan(records.entry_price), graph.price[records.asset], records.entry_price)
    place = np.arange(1.0, quantity.data.size + 1.0)  # the cell of each position, plus 1
    numbers = sparse.csr_array((place, quantity.indices, quantity.indptr), quantity.shape)
    cell = np.asarray(numbers[records.account, records.asset]).astype(np.int64) - 1
    cost = np.bincount(cell[cell >= 0], (records.quantity * paid)[cell >= 0], quantity.data.size)
    found: FloatArray = np.divide(cost, quantity.data, out=price, where=quantity.data != 0.0)
    return found


class Fills:
    """Take-overs and deleveraging of one cascade.

    Parameters
    ----------
    market : Market
        The accounts.
    graph : FillRows
        Their positions, which are changed here.
    waterfall : Waterfall
        Whose purses say whether accounts are deleveraged.
    """

    def __init__(self, market: Market, graph: FillRows, waterfall: Waterfall) -> None:
        self.market, self.graph, self.waterfall = market, graph, waterfall
        self.made: list[Fill] = []
        self.transfer, self.proceeds = np.zeros(graph.cash.size), np.zeros(graph.cash.size)
        self.is_vault = np.zeros(graph.cash.size, dtype=bool)
        self.is_vault[graph.vault_of[graph.vault_of >= 0]] = True

    def take_over(self, number: int, rows: Rows, equity: FloatArray) -> BoolArray:
        """Let vaults that can bear it take accounts in breach with equity, but E < f M; say which (step 2b)."""
        graph, pool, state = self.graph, self.graph.pool_of[rows], self.market.accounts
        taken: BoolArray = (graph.vault_of[pool] >= 0) & (equity < graph.below[pool] * state.maintenance[rows])
        taken &= state.longs[rows] + state.shorts[rows] > 0.0
        if taken.any():
            vaults = np.flatnonzero(self.is_vault)
            self._value(vaults)
            able = dict(zip(graph.pool_of[vaults], self.market.equity(vaults) > 0.0, strict=True))
            taken &= np.array([able.get(each, False) for each in pool])
        for row, own in zip(rows[taken].tolist(), equity[taken].tolist(), strict=True):
            self._pass_whole(number, row, own)
        return taken

    def _pass_whole(self, number: int, row: int, equity: float) -> None:
        """Pass all that an account has left to the vault of its pool."""
        vault, (cells, held) = int(self.graph.vault_of[self.graph.pool_of[row]]), self._held(row)
        prices = self._bankruptcy_prices(cells, held, equity, "value")
        asset = self.graph.quantity.indices[cells]
        self._add(self.graph.quantity.indptr[vault] + asset, held, prices)
        for each in zip(asset.tolist(), held.tolist(), prices.tolist(), self.market.price[asset].tolist(), strict=True):
            self._book(Fill(number, "take_over", row, vault, *each))
        self.graph.quantity.data[cells] = self.graph.margin_units.data[cells] = 0.0
        accounts, rows = self.market.accounts, np.array([row])
        for layer in range(self.market.layers):
            self.market.exempt(rows, layer)
        accounts.closed_long[row] = accounts.closed_short[row] = 1.0
        accounts.money[row] = accounts.settled[row]
        self._changed(np.array([row, vault]))

    def deleverage(self, number: int, rows: Rows, equity: FloatArray, gone: BoolArray) -> bool:
        """Close accounts without equity against counterparties; say whether there are any (step 3b)."""
        layer = self.graph.layer
        if layer is None or not gone.any():
            return False
        if layer.trigger == "fund":
            pool = self.graph.pool_of[rows]
            deficit = np.maximum(-equity - self.waterfall.own_left(rows), 0.0) * gone
            due = np.bincount(pool, deficit, len(self.graph.pools))
            gone = gone & (due > self.waterfall.left_before(layer))[pool]
        if not gone.any():
            return False
        self._value(self.graph.all_rows)
        others = Counterparties(self.market, layer, self.graph.order, self.graph.entry, rows)
        worst = np.lexsort((rows[gone], equity[gone]))
        for row, own in zip(rows[gone][worst].tolist(), equity[gone][worst].tolist(), strict=True):
            self._close_against(number, row, own, others)
        self.market.revalue()
        return True

    def _close_against(self, number: int, row: int, equity: float, others: Counterparties) -> None:
        """Close the legs of an account against those who stand on the other side."""
        assert self.graph.layer is not None
        cells, held = self._held(row)
        sold = self.graph.sellable[self.graph.quantity.indices[cells]]
        cells, held = cells[sold], held[sold]
        if not self.market.price[self.graph.quantity.indices[cells]].any():
            return  # legs without value have no bankruptcy price
        asset, all_closed, changed = self.graph.quantity.indices[cells], True, [np.array([row])]
        prices = self._bankruptcy_prices(cells, held, equity, self.graph.layer.share)
        marks = self.market.price[asset]
        legs = (each.tolist() for each in (cells, asset, held, prices, marks))
        for cell, column, units, price, mark in zip(*legs, strict=True):
            taken = others.take(row, column, units, price - mark)
            sign = float(np.sign(units))
            all_closed &= taken.missing == 0.0
            closed = abs(units) - taken.missing
            self._reduce(np.array([row]), np.array([cell]), np.array([sign * closed]))
            self._reduce(taken.rows, taken.cells, -sign * taken.units)
            for target, part in zip(taken.rows.tolist(), taken.units.tolist(), strict=True):
                self._book(Fill(number, "deleverage", row, target, column, sign * part, price, mark))
            changed.append(taken.rows)
        if all_closed:  # it ends at 0, not at what rounding leaves
            cells, held = self._held(row)
            kept = float(held @ self.market.price[self.graph.quantity.indices[cells]])
            self.market.accounts.money[row] = self.market.socialised(np.array([row]))[0] - kept
        self._changed(np.concatenate(changed))

    def _bankruptcy_prices(self, cells: Rows, held: FloatArray, equity: float, share: str) -> FloatArray:
        """Return p - E w / q of each leg, w its share in the account, by value or by margin."""
        graph, marks = self.graph, self.market.price[self.graph.quantity.indices[cells]]
        weight = np.abs(held) * marks
        if share == "margin":
            flat = graph.margin_units.data[cells] * held / graph.quantity.data[cells] * marks
            margin = flat if graph.tiered is None else graph.tiered.of_legs(graph.quantity.indices[cells], weight, flat)
            weight = margin if margin.any() else weight
        prices: FloatArray = marks - equity * weight / (float(weight.sum()) * held)
        return prices

    def _held(self, row: int) -> tuple[Rows, FloatArray]:
        """Return the cells in which a row has something left, and how many units."""
        graph, accounts = self.graph, self.market.accounts
        cells = np.arange(*graph.quantity.indptr[row : row + 2])
        quantity = graph.quantity.data[cells]
        closed = np.where(quantity < 0.0, accounts.closed_short[row], accounts.closed_long[row])
        held = quantity * np.where(graph.sellable[graph.quantity.indices[cells]], 1.0 - closed, 1.0)
        return cells[held != 0.0], held[held != 0.0]

    def _add(self, cells: Rows, units: FloatArray, prices: FloatArray) -> None:
        """Add units to cells of a vault, which then cost an average."""
        quantity = self.graph.quantity.data
        if self.graph.entry.size:
            cost, after = quantity[cells] * self.graph.entry[cells] + units * prices, quantity[cells] + units
            self.graph.entry[cells] = np.divide(cost, after, out=prices.copy(), where=after != 0.0)
        quantity[cells] += units

    def _reduce(self, rows: Rows, cells: Rows, units: FloatArray) -> None:
        """Take units off what cells of rows have left; their margin falls in proportion."""
        graph, accounts = self.graph, self.market.accounts
        before = graph.quantity.data[cells]
        left = 1.0 - np.where(before < 0.0, accounts.closed_short[rows], accounts.closed_long[rows])
        after = before - units / left
        after[np.abs(after) <= 1e-15 * np.abs(before)] = 0.0
        graph.margin_units.data[cells] *= after / before
        graph.quantity.data[cells] = after

    def _book(self, fill: Fill) -> None:
        """Move money: both trade at the price of the fill; what that is off the mark is a transfer."""
        self.made.append(fill)
        for row, units in ((fill.source, fill.units), (fill.target, -fill.units)):
            self.market.accounts.money[row] += units * fill.price
            self.proceeds[row] += units * fill.mark
            self.transfer[row] += units * (fill.mark - fill.price)

    def passed(self) -> Passed:
        """Return what has passed."""
        return Passed(tuple(self.made), self.graph.quantity, self.transfer)

    def _changed(self, rows: Rows) -> None:
        """Have accounts valued again, though they have been valued at these prices."""
        self.market.accounts.valued[rows] = 0
        self.market.revalue_next(rows)

    def _value(self, rows: Rows) -> None:
        self.market.revalue_next(rows)
        self.market.revalue()
