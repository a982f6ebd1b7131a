"""Maintenance margins of accounts on margin tiers and on scenario grids, at any prices.

M_i = sum_j max_l (r_l |q_ij| p_j - d_l) on rates and tiers, and on a grid the sum over risk groups of max(0, max_s
-sum_j q_ij L_js) and the contingency: each is a sum of largest affine pieces of the positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.chunks import BLOCK, chunk_borders
from contagion_graph.graph.rows import RowReductions
from contagion_graph.solvers.arrays import ratio, row_of_cells
from contagion_graph.state import Segments, Tiers
from contagion_graph.tables.schema import EVERY

Codes = np.ndarray[Any, Any]  # of whole numbers
NONE = -1  # no scenario is a loss; no netting set
COLUMNS = ("margin", "part", "piece", "rate", "move", "vol_factor", "contingency", "cost")  # of the table of margins
NOTHING = {"move": 0.0, "vol_factor": 1.0, "weight": 0.0}  # a scenario that counts nothing


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


def tier_schedule(column: Codes, lower: FloatArray, rate: FloatArray, m: int) -> Tiers:
    """Return margin tiers by column, each with the amount that makes the margin continuous.

    d_l = d_(l-1) + lower_l (rate_l - rate_(l-1)), d = 0 in the first tier of a column.

    Parameters
    ----------
    column, lower, rate : ndarray, shape (t,)
        The tiers in any order: column of the asset, notional from which the tier counts [currency], margin rate.
    m : int
        Number of columns.

    Examples
    --------
    >>> import numpy as np
    >>> tier_schedule(np.array([1, 1]), np.array([100.0, 0.0]), np.array([0.05, 0.02]), 2).amount.round(9).tolist()
    [0.0, 3.0]
    """
    order = np.lexsort((lower, column))
    column, lower, rate = column[order], lower[order], rate[order]
    first = np.searchsorted(column, np.arange(m + 1))
    steps: FloatArray = lower * np.diff(rate, prepend=0.0)
    begins = np.isin(np.arange(column.size), first[:-1])
    steps[begins] = 0.0
    sums = np.concatenate([[0.0], np.cumsum(steps)])
    return Tiers(first, lower, rate, sums[1:] - sums[first[column]])


@dataclass(frozen=True, eq=False)
class Grid:
    """The accounts of a graph that are on one scenario grid, and its scenarios by column.

    Parameters
    ----------
    name : str
        Of the grid.
    rows : ndarray of int
        The accounts, ascending.
    move, vol_factor, weight : ndarray, shape (m, S)
        The scenarios of each column's underlying.
    contingency : ndarray, shape (m,)
        Share of the underlying's price for each net short option of a strike.
    cells : ndarray of int
        The cells of the accounts in the order of the segments.
    segments : Segments
        The cells by account and risk group; their quantities are those of the graph.
    group : ndarray of int
        Risk group of each segment.
    pairs : tuple of ndarray
        Of each option cell, its place among `cells` and the number of its pair (account, netting set); of each pair, a
        column and the segment.
    arrays : ndarray, shape (m, S), or None
        Gains of one unit that were given [currency]; None: what the columns gain in the scenarios.
    """

    name: str
    rows: Codes
    move: FloatArray
    vol_factor: FloatArray
    weight: FloatArray
    contingency: FloatArray
    cells: Codes
    segments: Segments
    group: Codes
    pairs: tuple[Codes, Codes, Codes, Codes]
    arrays: FloatArray | None = None

    def gains(self, columns: Columns, price: FloatArray) -> FloatArray:
        """Return L: what one unit of each column gains in each scenario, shape (m, S) [currency per unit]."""
        if self.arrays is not None:
            return self.arrays
        return np.ascontiguousarray(self.weight * columns.gains(price, self.move, self.vol_factor))

    def costs(
        self, columns: Columns, price: FloatArray, quantity: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray, Codes]:
        """Return the margin of each account; of each segment scenario margin, contingency and the scenario that binds.

        Parameters
        ----------
        columns : Columns
            What the columns are priced from.
        price : ndarray, shape (m,)
            Currency per unit.
        quantity : ndarray, optional
            Units in all cells of the graph; None: those that it holds.
        """
        from contagion_graph.kernels import grids

        segments = self.segments if quantity is None else self.segments._replace(quantity=quantity[self.cells])
        borders = np.minimum(chunk_borders(segments.start[segments.first]) * BLOCK, self.rows.size)
        margin, cost, scenario = grids.grid_rows(segments, self.gains(columns, price), borders)
        short = self._short_options(columns, price, segments.quantity, cost.size)
        if short.any():
            margin += np.bincount(self.account_of_segment, weights=short, minlength=margin.size)
        return margin, cost, short, scenario

    def of_segments(self, name: str, scenario: Codes) -> FloatArray:
        """Return the move or vol_factor of the scenario that binds in each segment; NaN where columns differ in it."""
        block = getattr(self, name)[self.segments.column]
        segment = np.repeat(np.arange(scenario.size), np.diff(self.segments.start))
        of_cells = block[np.arange(segment.size), scenario[segment]]
        own = of_cells[self.segments.start[:-1]]
        differ = np.bincount(segment, weights=of_cells != own[segment], minlength=scenario.size) > 0.0
        return np.where((scenario == NONE) | differ, np.nan, own)

    @property
    def account_of_segment(self) -> Codes:
        """The place among `rows` of each segment's account."""
        return np.repeat(np.arange(self.rows.size), np.diff(self.segments.first))

    def _short_options(self, columns: Columns, price: FloatArray, quantity: FloatArray, n_segments: int) -> FloatArray:
        """Return the contingency of each segment: net short options of a strike, priced by their underlying."""
        place, pair, column, segment = self.pairs
        net = np.bincount(pair, weights=quantity[place], minlength=column.size)
        each = self.contingency[column] * price[columns.underlying[column]]
        short = np.bincount(segment, weights=np.maximum(-net, 0.0) * each, minlength=n_segments)
        return short.astype(np.float64)


def grid_of(
    name: str,
    rows: Codes,
    quantity: sparse.csr_array,
    group: Codes,
    columns: Columns,
    **scenarios: Any,
) -> Grid:
    """Return a grid with the cells of some accounts sorted by account and risk group; `Grid` describes the rest."""
    account, column = row_of_cells(quantity), quantity.indices
    place = np.full(quantity.shape[0], NONE)
    place[rows] = np.arange(rows.size)
    cells = np.flatnonzero(place[account] != NONE)
    cells = cells[np.lexsort((column[cells], group[column[cells]], account[cells]))]
    own, held = place[account[cells]], column[cells]
    starts = np.flatnonzero(np.diff(own, prepend=NONE) | np.diff(group[held], prepend=NONE))
    segments = Segments(
        first=np.searchsorted(own[starts], np.arange(rows.size + 1)),
        start=np.append(starts, cells.size),
        column=held.astype(np.int64),
        quantity=quantity.data[cells],
    )
    segment = np.repeat(np.arange(starts.size), np.diff(segments.start))
    options = np.flatnonzero((columns.netting[held] != NONE) & (scenarios["contingency"][held] > 0.0))
    keys = pd.MultiIndex.from_arrays([segment[options], columns.netting[held[options]]])
    pair, distinct = pd.factorize(keys)
    one = options[np.unique(pair, return_index=True)[1]] if len(distinct) else options
    pairs = (options, pair, held[one].astype(np.int64), segment[one])
    return Grid(name, rows, cells=cells, segments=segments, group=group[held[starts]], pairs=pairs, **scenarios)


@dataclass(frozen=True, eq=False)
class GraphMargins:
    """The margins of a graph that are no flat rates.

    Parameters
    ----------
    columns : Columns
        What the columns are priced from.
    tiers : Tiers or None
        Margin tiers by column; accounts on no grid are on these, and on flat rates where an asset has none.
    grids : sequence of Grid
        Scenario grids with the accounts that are on them; no account is on two.
    group_names : Index
        The names of the risk groups.
    """

    columns: Columns
    tiers: Tiers | None
    grids: Sequence[Grid]
    group_names: "pd.Index[str]"

    def maintenance(self, rows: RowReductions, price: FloatArray, flat: FloatArray) -> FloatArray:
        """Return the maintenance margin of every account at a price, shape (n,) [currency].

        Parameters
        ----------
        rows : RowReductions
            The graph.
        price : ndarray, shape (m,)
            Currency per unit.
        flat : ndarray, shape (n,)
            What flat rates make of it.
        """
        margin = flat.copy()
        if self.tiers is not None:
            others = self.on_rates(rows)
            margin[others] = self._on_tiers(rows, price, others)
        for grid in self.grids:
            margin[grid.rows] = grid.costs(self.columns, price)[0]
        return margin

    def table(
        self, rows: RowReductions, price: FloatArray, accounts: pd.MultiIndex, assets: "pd.Index[str]"
    ) -> pd.DataFrame:
        """Return the parts of every account's margin, by account: `ExposureGraph.margin_table` describes it."""
        parts = [self._rate_parts(rows, price, assets), *(self._grid_parts(grid, price) for grid in self.grids)]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in ("account", *COLUMNS)}
        order = np.argsort(columns["account"], kind="stable")
        frame = pd.DataFrame(
            {name: columns[name][order] for name in COLUMNS}, index=accounts[columns["account"][order]]
        )
        return frame.astype({"margin": "str", "part": "str"})

    def _rate_parts(self, rows: RowReductions, price: FloatArray, assets: "pd.Index[str]") -> dict[str, Any]:
        """Return a part for each cell of the accounts that are on rates and tiers."""
        cells = np.flatnonzero(np.isin(row_of_cells(rows.quantity), self.on_rates(rows)))
        column, notional = (
            rows.quantity.indices[cells],
            np.abs(rows.quantity.data[cells]) * price[rows.quantity.indices[cells]],
        )
        cost = rows.margin_units.data[cells] * price[column]
        rate, piece, tiered = (
            ratio(cost, notional, np.nan),
            np.zeros(cells.size, dtype=np.int64),
            np.zeros(cells.size, bool),
        )
        if self.tiers is not None:
            first, lower, rates, amount = self.tiers
            tiered = first[column] < first[column + 1]
            for held in np.unique(column[tiered]):
                here = column == held
                piece[here] = np.searchsorted(lower[first[held] : first[held + 1]], notional[here], side="right") - 1
            tier = (first[column] + piece)[tiered]
            rate[tiered], cost[tiered] = rates[tier], rates[tier] * notional[tiered] - amount[tier]
        nothing = np.full(cells.size, np.nan)
        return {
            "account": row_of_cells(rows.quantity)[cells],
            "margin": np.where(tiered, "tiers", "rates"),
            "part": assets[column].to_numpy(dtype=object),
            "piece": piece,
            "rate": rate,
            "move": nothing,
            "vol_factor": nothing,
            "contingency": np.zeros(cells.size),
            "cost": cost,
        }

    def _grid_parts(self, grid: Grid, price: FloatArray) -> dict[str, Any]:
        """Return a part for each risk group of the accounts on a grid."""
        _, cost, short, scenario = grid.costs(self.columns, price)
        of_scenario = {name: grid.of_segments(name, scenario) for name in ("move", "vol_factor")}
        return {
            "account": grid.rows[grid.account_of_segment],
            "margin": np.full(cost.size, grid.name, dtype=object),
            "part": self.group_names[grid.group].to_numpy(dtype=object),
            "piece": scenario.astype(np.int64),
            "rate": np.full(cost.size, np.nan),
            **of_scenario,
            "contingency": short,
            "cost": cost + short,
        }

    def on_rates(self, rows: RowReductions) -> Any:
        """Return the accounts that are on no grid, ascending."""
        taken = np.zeros(rows.cash.size, dtype=bool)
        for grid in self.grids:
            taken[grid.rows] = True
        return np.flatnonzero(~taken)

    def _on_tiers(self, rows: RowReductions, price: FloatArray, accounts: Any) -> FloatArray:
        from contagion_graph.kernels import grids

        return grids.tier_rows(rows.cells, self.tiers, price, *rows.chunked(accounts))  # type: ignore[arg-type]


def risk_groups(assets: "pd.Index[str]", group: "pd.Index[str] | None", columns: Columns) -> tuple[Codes, Any]:
    """Return the risk group of each column, shape (m,), and the names of the groups: by default the underlyings.

    Examples
    --------
    >>> import pandas as pd
    >>> codes, names = risk_groups(pd.Index(["X", "Y", "Z"]), pd.Index(["a", "", "a"]), LinearColumns(3))
    >>> codes.tolist(), names.tolist()
    ([0, 1, 0], ['a', 'Y'])
    """
    named = assets[columns.underlying]
    if group is not None:
        named = pd.Index(np.where(group != "", group, named), dtype="str")
    codes, names = pd.factorize(named)
    return codes, names


def margins_of(graph: Any) -> GraphMargins | None:
    """Return the margins of a graph that are no flat rates; None: all are."""
    tiers, margin = graph.margin_tiers, graph.account_margin
    grids = () if margin is None else [grid for grid in margin.unique() if grid != ""]
    if (tiers is None or tiers.empty) and not len(grids):
        return None
    m, columns = len(graph.assets), graph._columns
    schedule = None
    if tiers is not None and not tiers.empty:
        column = graph.assets.get_indexer(tiers["asset"])
        schedule = tier_schedule(column, tiers["lower"].to_numpy(), tiers["rate"].to_numpy(), m)
    made = [
        grid_of(
            grid,
            np.flatnonzero(margin == grid),
            graph.quantity,
            graph._risk_groups[0],
            columns,
            **_scenarios(graph.margin_scenarios, grid, graph.assets[columns.underlying]),
        )
        for grid in grids
    ]
    return GraphMargins(columns, schedule, made, graph._risk_groups[1])


def _scenarios(table: pd.DataFrame, grid: str, underlying: "pd.Index[str]") -> dict[str, FloatArray]:
    """Return move, vol_factor and weight by column and scenario, and the contingency by column.

    A column has the scenarios of its underlying, or else those of every one; where there are fewer than of another
    column, what is left counts nothing.
    """
    table = table[table["grid"] == grid]
    named = dict(iter(table.groupby("underlying", sort=False)))
    own = [named.get(name, named.get(EVERY, table[:0])) for name in underlying]
    size = max((len(each) for each in own), default=1)
    found = {name: np.full((len(own), size), blank) for name, blank in NOTHING.items()}
    contingency = np.zeros(len(own))
    for column, each in enumerate(own):
        for name, block in found.items():
            block[column, : len(each)] = each[name]
        contingency[column] = each["contingency"].max() if len(each) else 0.0
    return {**found, "contingency": contingency}
