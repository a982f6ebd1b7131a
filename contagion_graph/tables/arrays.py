"""From plain arrays to the arrays of a graph, and from the arrays of a graph to those of a part of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import BoolArray
from contagion_graph.errors import SHOWN, Faults
from contagion_graph.solvers.arrays import with_data
from contagion_graph.tables.assemble import account_index, check_size, kept_table
from contagion_graph.tables.instruments import with_prices, without_prices
from contagion_graph.tables.labels import (
    is_label,
    label_text,
    labels_of_frame,
    note_repeated,
    places_of,
    text_index,
    values_in_order,
)
from contagion_graph.tables.margins import check_links
from contagion_graph.tables.schema import CROSS_MARGIN, EVERY, POOL, SCHEMAS, Number
from contagion_graph.tables.vectors import row_of, vector

NO_CELLS = "Give a sparse or dense matrix of numbers, accounts x assets, with at least one of each."
UNITS = Number("units")
TWICE = "Give every label once; a trader once in each pool."


@dataclass(frozen=True)
class VectorArgument:
    """Which table and column the vector argument of a graph stands for."""

    table: str
    column: str

    @property
    def kind(self) -> Number:
        """Range and unit of the column."""
        kind = SCHEMAS[self.table].columns[self.column]
        return kind if isinstance(kind, Number) else Number("true or false", low=0, high=1)

    def values(self, value: Any, indexes: Mapping[str, Any], faults: Faults, *, base: Any = None) -> Any:
        """Return one number, or flag, a label; see `vectors.vector`."""
        numbers = vector(self.column, value, indexes[self.table], self.kind, faults, base=base)
        return numbers if isinstance(SCHEMAS[self.table].columns[self.column], Number) else numbers.astype(bool)


VECTORS = {
    **{name: VectorArgument("assets", name) for name in ("price", "depth", "margin_long", "margin_short", "sellable")},
    **{name: VectorArgument("accounts", name) for name in ("cash", "share")},
    "insurance_fund": VectorArgument("pools", "insurance_fund"),
}
NAMED = {"account_margin": "account_index", "asset_group": "assets"}  # labels by label of these
TABLES = ("instruments", "margin_tiers", "margin_scenarios")
CHANGEABLE = ("price", "depth", "sellable", "insurance_fund", "cash", "share")

DEFAULTS = {"sellable": True, "price": np.nan, "depth": np.nan}  # what a mapping does not name: 0, or NaN: a fault


def arrays_from_vectors(
    quantity: Any, vectors: Mapping[str, Any], *, pool: Any, traders: Any, assets: Any, unpriced: Any = ()
) -> dict[str, Any]:
    """Return the fields of a graph from a matrix and vectors; raise one error with all faults.

    `unpriced` are the assets that may have no price; it is then NaN.
    """
    faults = Faults()
    cells = cells_of("quantity", quantity, faults, NO_CELLS)
    n, m = cells.shape
    rows, columns = labels_of_frame("quantity", quantity, faults)
    trader_index = labels_of("traders", rows if traders is None else traders, n, faults)
    asset_index = labels_of("assets", columns if assets is None else assets, m, faults)
    note_repeated("assets", asset_index, faults, TWICE)
    cells = in_order("quantity", cells, (rows, columns), (trader_index, asset_index), faults)
    pool_codes, pools = _pools(pool, trader_index, faults)
    trader_codes, distinct = pd.factorize(trader_index)
    account_codes = [trader_codes, pool_codes, np.zeros(n, dtype=np.int8)]
    levels = [pd.Index(distinct, dtype="str"), pools, pd.Index([CROSS_MARGIN], dtype="str")]
    accounts = account_index(levels, account_codes)
    if accounts.has_duplicates:
        _note_twice(accounts, trader_index, faults)
    check_cells("quantity", cells, UNITS, faults, rows=("trader", trader_index), columns=("asset", asset_index))
    indexes = {"assets": asset_index, "accounts": accounts, "pools": pools}
    vectors, blank = without_prices(vectors, asset_index, unpriced)
    numbers = {
        name: None if value is None else VECTORS[name].values(value, indexes, faults, base=DEFAULTS.get(name))
        for name, value in vectors.items()
    }
    faults.raise_if_any()
    if blank.any():
        numbers["price"] = np.where(blank, np.nan, np.asarray(numbers["price"]))
    long, short = numbers["margin_long"], numbers["margin_short"]
    rate = np.where(cells.data >= 0, long[cells.indices], short[cells.indices])  # type: ignore[index]
    graph = {
        "quantity": cells,
        "margin_units": with_data(cells, np.abs(cells.data) * rate),
        **numbers,
        "account_index": accounts,
        "assets": asset_index,
        "pools": pools,
    }
    check_size(graph)
    return graph


def with_margins(graph: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a graph with other tables and labels of margins, checked; raise one error with all faults.

    Parameters
    ----------
    graph : mapping
        The fields; what is missing is None.
    given : mapping
        Of `TABLES` and `NAMED`, what is new; None takes it away.
    """
    faults, missing = Faults(), dict.fromkeys((*TABLES, *NAMED, "records", "backing", "payoffs"))
    fields: dict[str, Any] = {**missing, **graph}
    for name in TABLES:
        if name in given:
            table = given[name]
            fields[name] = None if table is None else kept_table(name, table, fields["assets"])
    if "instruments" in given:
        fields["payoffs"] = given.get("payoffs")
        fields |= with_prices(fields)
        check_size(fields)
    for name, index in NAMED.items():
        if name in given:
            fields[name] = _named(name, given[name], fields[index], fields[name], faults)
    faults.raise_if_any()
    check_links(fields)
    return fields


def _named(where: str, value: Any, index: Any, base: Any, faults: Faults) -> "pd.Index[str] | None":
    """Return a label for each label of an index: by label, where what is not named keeps its own, or in its order."""
    if value is None:
        return None
    if not isinstance(value, Mapping | pd.Series):
        return labels_of_any(where, value, index, faults)
    labels = np.full(len(index), "", dtype=object) if base is None else base.to_numpy(dtype=object).copy()
    named = np.zeros(len(index), dtype=bool)
    for key, label in value.items():
        rows = row_of(where, key, index, faults)
        if named[rows].any():
            faults.add(where, f"{label_text(key)!r} is named twice", "Name each label once.")
        named[rows] = True
        if not is_label(label):
            faults.add(where, f"{label_text(key)!r}: {label!r} is no name", 'Give a text; "" takes it away.')
            continue
        labels[rows] = str(label)
    return text_index(labels)


def labels_of_any(where: str, value: Any, index: Any, faults: Faults) -> "pd.Index[str]":
    """Return labels in the order of an index; they may be blank."""
    found = text_index(value, where, faults)
    if len(found) != len(index):
        faults.add(where, f"has {len(found)} labels, expected {len(index)}", 'Give one a row, "" where there is none.')
        return pd.Index([""] * len(index), dtype="str")
    return found


def cells_of(where: str, matrix: Any, faults: Faults, remedy: str) -> sparse.csr_array:
    """Return a copy of a matrix, each cell stored once; raise at once where it is none, or has no cells."""
    try:
        cells = sparse.csr_array(matrix, dtype=np.float64, copy=True)
    except (TypeError, ValueError) as error:
        faults.add(where, f"is not a matrix of numbers ({error})", remedy)
        faults.raise_if_any()
    if len(cells.shape) != 2 or 0 in cells.shape:
        faults.add(where, f"has shape {cells.shape}", remedy)
        faults.raise_if_any()
    cells.sum_duplicates()
    return cells


def in_order(
    where: str,
    cells: sparse.csr_array,
    given: "tuple[pd.Index[str] | None, pd.Index[str] | None]",
    indexes: "tuple[pd.Index[str], pd.Index[str]]",
    faults: Faults,
) -> sparse.csr_array:
    """Return the cells of a frame with its rows and columns in the order of two indexes; note labels that differ."""
    rows, columns = (
        places_of(f"{where} ({name})", labels, index, faults)
        for name, labels, index in zip(("rows", "columns"), given, indexes, strict=True)
    )
    cells = cells if rows is None else cells[rows]
    if columns is not None:
        cells = cells[:, columns]
        cells.sort_indices()
    return cells


def labels_of(where: str, labels: Any, size: int, faults: Faults) -> "pd.Index[str]":
    """Return labels as an index of text, "0", "1", ... where there are none."""
    index = text_index(pd.RangeIndex(size) if labels is None else labels, where, faults)
    if len(index) != size:
        faults.add(where, f"has {len(index)} labels, expected {size}", "Give one label a row or column of the matrix.")
        return text_index(pd.RangeIndex(size))
    blank = np.flatnonzero(index == "")
    if blank.size:
        faults.add_rows(where, "blank", "Give every row a label.", rows=blank.tolist(), examples=["''"] * blank.size)
    return index


def _pools(pool: Any, traders: "pd.Index[str]", faults: Faults) -> "tuple[np.ndarray[Any, Any], pd.Index[str]]":
    if pool is None:
        return np.zeros(len(traders), dtype=np.int8), pd.Index([POOL], dtype="str")
    given = labels_of("pool", values_in_order("pool", pool, traders, faults), len(traders), faults)
    codes, pools = pd.factorize(given)
    return codes, pd.Index(pools, dtype="str")


def _note_twice(accounts: pd.MultiIndex, traders: "pd.Index[str]", faults: Faults) -> None:
    rows = np.flatnonzero(accounts.duplicated())
    faults.add_rows("traders", "repeated", TWICE, rows=rows.tolist(), examples=[repr(traders[k]) for k in rows[:SHOWN]])


def check_cells(
    where: str,
    cells: sparse.csr_array,
    kind: Number,
    faults: Faults,
    *,
    rows: tuple[str, Any],
    columns: tuple[str, Any],
) -> None:
    """Note the cells of a matrix that are outside their range; rows and columns come with what they are called."""
    wrong = np.flatnonzero(np.isnan(cells.data) | kind.fault_of(cells.data))
    if wrong.size:
        row = np.searchsorted(cells.indptr, wrong, side="right") - 1
        shown = [
            f"{cells.data[cell]}, {rows[0]} {rows[1][i]!r}, {columns[0]} {columns[1][cells.indices[cell]]!r}"
            for cell, i in zip(wrong[:SHOWN], row, strict=False)
        ]
        problem = "not finite" if not np.isfinite(cells.data[wrong]).any() else "out of range"
        faults.add_rows(where, problem, f"It must be {kind}.", rows=row.tolist(), examples=shown)


def subset_arrays(graph: Mapping[str, Any], rows: BoolArray, columns: BoolArray, pools: BoolArray) -> dict[str, Any]:
    """Return the fields of the part of a graph where the masks of accounts, assets and pools hold."""
    accounts, records = graph["account_index"], graph["records"]
    trader_codes, traders = pd.factorize(accounts.codes[0][rows])
    codes = [trader_codes, (np.cumsum(pools) - 1)[accounts.codes[1][rows]], accounts.codes[2][rows]]
    levels = [accounts.levels[0][traders], graph["pools"][pools], accounts.levels[2]]
    quantity = graph["quantity"][rows][:, columns]
    cash = graph["cash"][rows]
    if records is not None:
        records = records.subset(rows, columns)
        cash = records.own_cash - records.entry_value()
    masks = {"accounts": rows, "assets": columns, "pools": pools}
    scenarios = _rows_within(graph["margin_scenarios"], ("underlying",), graph["assets"][columns])
    return {
        **graph,
        "quantity": quantity,
        "margin_units": with_data(quantity, graph["margin_units"][rows][:, columns].data),
        "cash": cash,
        **{
            name: graph[name][columns]
            for name in ("price", "depth", "margin_long", "margin_short", "sellable", "assets")
        },
        **{name: graph[name][pools] for name in ("insurance_fund", "pools")},
        "share": None if graph["share"] is None else graph["share"][rows],
        "account_index": account_index(levels, codes),
        "records": records,
        "attributes": {name: frame[masks[name]] for name, frame in graph["attributes"].items()},
        "backing": _rows_within(graph["backing"], ("asset", "underlying"), graph["assets"][columns]),
        "obligation_table": _rows_within(graph["obligation_table"], ("debtor", "creditor"), levels[0]),
        "instruments": _rows_within(graph["instruments"], ("asset",), graph["assets"][columns]),
        "margin_tiers": _rows_within(graph["margin_tiers"], ("asset",), graph["assets"][columns]),
        "margin_scenarios": scenarios,
        "layers": _rows_within(graph["layers"], ("pool",), graph["pools"][pools]),
        "account_margin": _known_grids(graph["account_margin"], rows, scenarios),
        "asset_group": None if graph["asset_group"] is None else graph["asset_group"][columns],
    }


def _rows_within(table: pd.DataFrame | None, keys: tuple[str, ...], kept: "pd.Index[str]") -> pd.DataFrame | None:
    if table is None:
        return None
    within = np.logical_and.reduce([table[key].isin(kept) | (table[key] == EVERY) for key in keys])
    return table[within].reset_index(drop=True)


def _known_grids(margin: Any, rows: BoolArray, scenarios: pd.DataFrame | None) -> "pd.Index[str] | None":
    """Return the grids of some accounts; one of which no scenario is left is of accounts that hold nothing now."""
    if margin is None or scenarios is None:
        return None
    return margin[rows].where(margin[rows].isin(scenarios["grid"]), "")  # type: ignore[no-any-return]
