"""Maintenance margins of accounts on margin tiers and on scenario grids, at any prices.

M_i = sum_j max_l (r_l |q_ij| p_j - d_l) on rates and tiers, and on a grid the sum over risk groups of max(0, max_s
-sum_j q_ij L_js) and the contingency: each is a sum of largest affine pieces of the positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._cached import cached_property
from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.graph.rows import RowReductions, cells_of
from contagion_graph.graph.scenario_grids import NONE, Codes, Columns, Grid, grid_of
from contagion_graph.solvers.arrays import ratio, row_of_cells
from contagion_graph.state import Cells, Left, Tiers, nothing_closed
from contagion_graph.tables.schema import EVERY

COLUMNS = ("margin", "part", "piece", "rate", "move", "vol_factor", "contingency", "cost")  # of the table of margins
NOTHING = {"move": 0.0, "vol_factor": 1.0, "weight": 0.0}  # a scenario that counts nothing


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
    amount = np.zeros(column.size)
    for j in np.unique(column):
        own = slice(first[j], first[j + 1])
        amount[own] = np.cumsum(lower[own] * np.diff(rate[own], prepend=rate[own][0]))
    return Tiers(first, lower, rate, amount)


@dataclass(frozen=True, eq=False)
class GraphMargins:
    """The margins of a graph that are no flat rates.

    Parameters
    ----------
    tiers : Tiers or None
        Margin tiers by column; accounts on no grid are on these, and on flat rates where an asset has none.
    grids : sequence of Grid
        Scenario grids with the accounts that are on them; no account is on two.
    group_names : Index
        The names of the risk groups.
    cells : Cells
        What all accounts hold.
    weight : ndarray, shape (n,), optional
        How many accounts each of them stands for; None: one.
    """

    tiers: Tiers | None
    grids: Sequence[Grid]
    group_names: "pd.Index[str]"
    cells: Cells
    weight: FloatArray | None = None

    @cached_property
    def on_grids(self) -> tuple[Codes, Codes]:
        """Which grid each account is on, -1 where on none, and its place there."""
        number, place = np.full(self.n, NONE), np.zeros(self.n, dtype=np.int64)
        for k, grid in enumerate(self.grids):
            number[grid.rows], place[grid.rows] = k, np.arange(grid.rows.size)
        return number, place

    @property
    def n(self) -> int:
        """How many accounts there are."""
        return int(self.cells.indptr.size) - 1

    @cached_property
    def apart(self) -> BoolArray:
        """Which accounts are on a grid, or, where there are tiers, on rates and tiers, shape (n,)."""
        apart: BoolArray = np.full(self.n, self.tiers is not None) | (self.on_grids[0] != NONE)
        return apart

    def of(self, price: FloatArray, left: Left, rows: Codes, row_borders: Codes) -> tuple[FloatArray, FloatArray]:
        """Return the maintenance margin of accounts, and its relief, shape (len(rows),) each [currency].

        The relief is by how much the margin falls per unit of a further share of what is left and sellable; it is no
        figure where nobody closes more.

        Parameters
        ----------
        price : ndarray, shape (m,)
            Currency per unit.
        left : Left
            What is left of the cells.
        rows : ndarray of int
            The accounts, ascending.
        row_borders : ndarray of int
            Rows at which the chunks begin and end.
        """
        from contagion_graph.kernels import grids

        out, number, place = np.empty((2, rows.size)), *(each[rows] for each in self.on_grids)
        for k in range(NONE, len(self.grids)):
            own = np.flatnonzero(number == k)
            some, borders = rows[own], np.searchsorted(rows[own], row_borders)
            asked = left._replace(next=left.next[own] if left.next.size else left.next)
            if k == NONE:
                out[:, own] = grids.tier_rows(self.cells, self.schedule(price.size), price, asked, some, borders)
            else:
                out[:, own] = self.grids[k].costs(price, asked, place[own], borders)[:2]
        if self.weight is not None:
            out *= self.weight[rows]
        return out[0], out[1]

    def of_all(self, rows: RowReductions) -> FloatArray:
        """Return the maintenance margin of every account on all that it holds, at the prices of the graph, (n,)."""
        return self.of(rows.price, nothing_closed(self.n, rows.price.size), rows.all_rows, rows.row_borders)[0]

    def kept(self, rows: Codes, cells: Cells, weight: FloatArray | None = None) -> "GraphMargins":
        """Return the margins of some accounts, ascending, which are then all, and whose cells are these."""
        number, place = (each[rows] for each in self.on_grids)
        own = [np.flatnonzero(number == k) for k in range(len(self.grids))]
        grids = [grid.kept(place[some], some) for grid, some in zip(self.grids, own, strict=True)]
        return replace(self, grids=grids, cells=cells, weight=weight)

    def priced_by(self, columns: Columns) -> "GraphMargins":
        """Return the margins when columns are priced in another way: after a shock of vols."""
        return replace(self, grids=[replace(grid, columns=columns) for grid in self.grids])

    def most(self, quantity: sparse.csr_array, margin_units: FloatArray, unit: FloatArray) -> FloatArray:
        """Return units mu of each cell such that no slack falls faster than (q - mu) p where a price moves against it.

        Of a long, the lowest margin counts; of a short, the highest. `unit` is a move of 1 of each price (m).
        """
        account, column, q = row_of_cells(quantity), quantity.indices, quantity.data
        units = margin_units.copy()
        if self.tiers is not None:
            first, _, rate, _ = self.tiers
            tiered = np.flatnonzero(np.diff(first)[column] > 0)
            ends = np.where(q[tiered] > 0.0, first[column[tiered]], first[column[tiered] + 1] - 1)
            units[tiered] = np.abs(q[tiered]) * rate[ends]
        number = self.on_grids[0][account]
        for k, grid in enumerate(self.grids):
            own = np.flatnonzero(number == k)
            units[own] = -q[own] * grid.most(unit)[column[own]]
        return units

    def schedule(self, m: int) -> Tiers:
        """Return the tiers of m columns; of none where there are no tiers."""
        none = np.zeros(0)
        return self.tiers if self.tiers is not None else Tiers(np.zeros(m + 1, dtype=np.int64), none, none, none)

    def table(self, rows: RowReductions) -> pd.DataFrame:
        """Return the parts of every account's margin, by account: `ExposureGraph.margin_table` describes it."""
        left = nothing_closed(self.n, rows.price.size)
        parts = [self._rate_parts(rows), *(self._grid_parts(grid, rows.price, left) for grid in self.grids)]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in ("account", *COLUMNS)}
        order = np.argsort(columns["account"], kind="stable")
        index = rows.account_index[columns["account"][order]]
        frame = pd.DataFrame({name: columns[name][order] for name in COLUMNS}, index=index)
        return frame.astype({"margin": "str", "part": "str"})

    def _rate_parts(self, rows: RowReductions) -> dict[str, Any]:
        """Return a part for each cell of the accounts that are on rates and tiers."""
        account = row_of_cells(rows.quantity)
        cells = np.flatnonzero(self.on_grids[0][account] == NONE)
        column = rows.quantity.indices[cells]
        price = rows.price[column]
        notional, flat = np.abs(rows.quantity.data[cells]) * price, rows.margin_units.data[cells] * price
        tiered, tier, first = self.pieces(column, notional)
        rates = np.zeros(1) if self.tiers is None else self.tiers.rate
        nothing = np.full(cells.size, np.nan)
        return {
            "account": account[cells],
            "margin": np.where(tiered, "tiers", "rates"),
            "part": rows.assets[column].to_numpy(dtype=object),
            "piece": tier - first,
            "rate": np.where(tiered, rates[tier], ratio(flat, notional, np.nan)),
            "move": nothing,
            "vol_factor": nothing,
            "contingency": np.zeros(cells.size),
            "cost": self.of_legs(column, notional, flat),
        }

    def of_legs(self, column: Codes, notional: FloatArray, flat: FloatArray) -> FloatArray:
        """Return the margin of single positions, by the tiers of their assets, else at flat rates [currency]."""
        if self.tiers is None:
            return flat
        tiered, tier, _ = self.pieces(column, notional)
        return np.where(tiered, self.tiers.rate[tier] * notional - self.tiers.amount[tier], flat)

    def pieces(self, column: Codes, notional: FloatArray) -> tuple[Codes, Codes, Codes]:
        """Return of positions whether their asset has tiers, the tier that binds, and the first tier of the asset.

        Where the asset has none, 0 stands for both tiers.
        """
        none = np.zeros(column.size, dtype=np.int64)
        if self.tiers is None:
            return none.astype(bool), none, none
        first, lower, _, _ = self.tiers
        tiered = first[column] < first[column + 1]
        begin = np.where(tiered, first[column], 0)
        tier = begin.copy()
        for step in range(1, int(np.diff(first).max(initial=1))):
            above = np.minimum(begin + step, lower.size - 1)
            tier[tiered & (begin + step < first[column + 1]) & (notional >= lower[above])] += 1
        return tiered, tier, begin

    def _grid_parts(self, grid: Grid, price: FloatArray, left: Left) -> dict[str, Any]:
        """Return a part for each risk group of the accounts on a grid."""
        all_places, none_next = np.arange(grid.rows.size), left._replace(next=np.zeros(grid.rows.size))
        found = grid.costs(price, none_next, all_places, np.array([0, grid.rows.size]))
        return {
            "account": grid.rows[grid.account_of_segment],
            "margin": np.full(found.cost.size, grid.name, dtype=object),
            "part": self.group_names[grid.group].to_numpy(dtype=object),
            "piece": found.scenario.astype(np.int64),
            "rate": np.full(found.cost.size, np.nan),
            "move": grid.of_segments("move", found.scenario),
            "vol_factor": grid.of_segments("vol_factor", found.scenario),
            "contingency": found.contingency,
            "cost": found.cost + found.contingency,
        }


def risk_groups(assets: "pd.Index[str]", group: "pd.Index[str] | None", columns: Columns) -> tuple[Codes, Any]:
    """Return the risk group of each column, shape (m,), and the names of the groups: by default the underlyings.

    Examples
    --------
    >>> import pandas as pd
    >>> from contagion_graph.graph.scenario_grids import LinearColumns
    >>> codes, names = risk_groups(pd.Index(["X", "Y", "Z"]), pd.Index(["a", "", "a"]), LinearColumns(3))
    >>> codes.tolist(), names.tolist()
    ([0, 1, 0], ['a', 'Y'])
    """
    named = assets[columns.underlying]
    if group is not None:
        group = pd.Index(np.where(group != "", group, group[columns.underlying]), dtype="str")
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
    return GraphMargins(schedule, made, graph._risk_groups[1], cells_of(graph.quantity, graph.margin_units))


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
