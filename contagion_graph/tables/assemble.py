"""From checked tables to the arrays of a graph: cross-references, accounts as rows, assets as columns, sparse sums."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray, IntArray
from contagion_graph.errors import SHOWN, Faults, nearest
from contagion_graph.solvers.arrays import with_data
from contagion_graph.tables.checks import check_amounts, check_values, note_rows, read_table
from contagion_graph.tables.codes import blocks, by_appearance, take, union
from contagion_graph.tables.instruments import check_instruments, check_priced, with_prices
from contagion_graph.tables.labels import text_index
from contagion_graph.tables.margins import check_grids, check_links, check_margin_table
from contagion_graph.tables.records import PositionRecords
from contagion_graph.tables.schema import ACCOUNT_LEVELS, EVERY, SCHEMAS, UNREAD, Table

FLAGGED = 4  # possible accounts a row
KEPT = {  # fields of a graph that are tables
    "backing": "backing",
    "obligation_table": "obligations",
    "instruments": "instruments",
    "margin_tiers": "margin_tiers",
    "margin_scenarios": "margin_scenarios",
    "layers": "layers",
}
LINKS = {  # columns of kept tables that name assets
    "backing": ("asset", "underlying"),
    "instruments": ("asset", "underlying"),
    "margin_tiers": ("asset",),
    "margin_scenarios": ("underlying",),
    "layers": (),
}


def read_tables(sources: Mapping[str, object], *, empty: bool = False) -> dict[str, Table]:
    """Read and check tables by name, each on its own and against the others; raise one error with all faults.

    `empty` says that there may be no positions.
    """
    faults = Faults()
    tables = {
        name: table
        for name, source in sources.items()
        if (source is not None or name in ("positions", "assets"))
        and (table := read_table(name, source, faults, empty=empty)) is not None
    }
    check_references(tables, faults)
    faults.raise_if_any()
    return tables


def kept_table(name: str, source: object, assets: "pd.Index[str]") -> pd.DataFrame:
    """Read and check table backing, instruments, layers, or one of margins, of a graph that is there."""
    faults = Faults()
    table = read_table(name, source, faults)
    if table is not None:
        for column in LINKS[name]:
            check_known(table, column, assets, "Use labels of graph.assets.", faults)
        check_kept(table, faults)
    faults.raise_if_any()
    assert table is not None, "a table that is none is a fault"
    return _frame(table)


def check_kept(table: Table, faults: Faults) -> None:
    """Note what is wrong within table instruments, margin_tiers or margin_scenarios; other tables pass."""
    check_margin_table(table, faults)
    if table.name == "instruments":
        check_instruments(table, faults)


def check_references(tables: Mapping[str, Table], faults: Faults) -> None:
    """Check what one table says of another: known assets, pools and traders; the same kinds of account."""
    for name, column, target in (
        ("positions", "asset", "assets"),
        *((name, column, "assets") for name, columns in LINKS.items() for column in columns),
        ("positions", "pool", "pools"),
        ("accounts", "pool", "pools"),
        ("layers", "pool", "pools"),
    ):
        if name in tables and target in tables:
            known = tables[target].labels[SCHEMAS[target].unique[0]].values
            check_known(tables[name], column, known, f"Add it to table {target}.", faults)
    if "obligations" in tables:
        holders = [tables[name].labels["trader"].values for name in ("accounts", "positions") if name in tables]
        for column in ("debtor", "creditor"):
            check_known(tables["obligations"], column, union(holders)[0], "Add it to table accounts.", faults)
    for name in ("instruments", "margin_tiers", "margin_scenarios"):
        if name in tables:
            check_kept(tables[name], faults)
    if "assets" in tables:
        check_priced(tables, faults)
    if "accounts" in tables and "margin" in tables["accounts"].labels:
        check_grids(tables["accounts"], tables.get("margin_scenarios"), faults)
    _check_pool_column(tables, faults)
    if "positions" in tables and "position" in tables["positions"].labels:
        _check_position_ids(tables["positions"], faults)


def check_known(table: Table, column: str, known: "pd.Index[str]", remedy: str, faults: Faults) -> None:
    """Note the labels of a column that another table does not have."""
    labels = table.labels[column]
    blank = (labels.values == EVERY) & (table.name == "margin_scenarios")
    unknown = np.flatnonzero((known.get_indexer(labels.values) < 0) & (labels.values != UNREAD) & ~blank)
    for code in unknown[:SHOWN]:
        label = str(labels.values[code])
        rows = np.flatnonzero(labels.codes == code)
        note_rows(table, column, rows, faults, f"unknown label {label!r}{nearest(label, known)}", remedy)
    if unknown.size > SHOWN:
        faults.add(f"{table.name}.{column}", f"{unknown.size - SHOWN} more unknown labels", remedy)


def _check_pool_column(tables: Mapping[str, Table], faults: Faults) -> None:
    both = [tables[name] for name in ("positions", "accounts") if name in tables]
    having = [table.name for table in both if "pool" in table.given]
    if len(both) == 2 and len(having) == 1:
        lacking = "accounts" if having == ["positions"] else "positions"
        faults.add(f"{lacking}.pool", f"the column is missing, but {having[0]} has it", "Say the pool in both tables.")


def _check_position_ids(table: Table, faults: Faults) -> None:
    codes = table.labels["position"].codes
    note_rows(table, "position", np.flatnonzero(codes < 0), faults, "blank", "Name every position, or none.")
    repeated = np.flatnonzero(pd.Series(codes).duplicated().to_numpy() & (codes >= 0))
    note_rows(table, "position", repeated, faults, "repeated", "Give every position an id of its own.")


def account_rows(tables: Mapping[str, Table]) -> tuple[pd.MultiIndex, dict[str, IntArray]]:
    """Return the accounts, those of table accounts first, and the account row of each row of either table.

    The labels of accounts leave the tables: from here on the rows stand for them.
    """
    sources = [tables[name] for name in ("accounts", "positions") if name in tables]
    levels, keys = _account_keys(sources, tables.get("pools"))
    shape = [len(level) for level in levels]
    # one flag a possible account is cheapest, unless there are far more of them than rows
    flagged = math.prod(shape) <= FLAGGED * keys.size
    rows, distinct = by_appearance(keys, math.prod(shape)) if flagged else pd.factorize(keys)
    index = account_index(levels, list(np.unravel_index(distinct, shape)))
    parts = _split(rows.astype(np.int32, copy=False), sources)
    return index, {table.name: part for table, part in zip(sources, parts, strict=True)}


def _account_keys(sources: list[Table], pools: Table | None) -> tuple[list["pd.Index[str]"], Any]:
    """Return the labels of each level, and of each row the place of its account among all combinations of them."""
    levels, places = account_levels(sources, pools)
    small = math.prod(len(level) for level in levels) <= np.iinfo(np.int32).max
    keys: Any = np.zeros(sum(table.size for table in sources), dtype=np.int32 if small else np.int64)
    for rows, table, own in zip(_split(keys, sources), sources, places, strict=True):
        write_keys(rows, [table.labels.pop(name).codes for name in ACCOUNT_LEVELS], levels, own)
    return levels, keys


def account_levels(
    sources: list[Table], pools: Table | None
) -> tuple[list["pd.Index[str]"], list[tuple[IntArray, ...]]]:
    """Return the labels of each level, and where those of each table stand among them, level by level."""
    columns = [[table.labels[name].values for table in sources] for name in ACCOUNT_LEVELS]
    unions = [union(column) for column in columns]
    if pools is not None:
        order = pools.labels["pool"].values
        unions[1] = order, [order.get_indexer(values).astype(np.int32) for values in columns[1]]
    return [level for level, _ in unions], list(zip(*(places for _, places in unions), strict=True))


def write_keys(keys: Any, codes: Sequence[IntArray], levels: Sequence[Any], places: Sequence[IntArray]) -> None:
    """Write the place of each row's account among all combinations of the levels into `keys`, which is 0."""
    for level, code, place in zip(levels, codes, places, strict=True):
        if len(level) > 1:
            keys *= len(level)
            np.add(keys, take(place, code), out=keys)


def _split(rows: Any, sources: list[Table]) -> list[Any]:
    return np.split(rows, np.cumsum([table.size for table in sources])[:-1])


def account_index(levels: list[Any], codes: list[Any]) -> pd.MultiIndex:
    """Return the labels (trader, pool, subaccount) of accounts from the distinct labels and the codes of each level."""
    return pd.MultiIndex(levels=levels, codes=codes, names=ACCOUNT_LEVELS, verify_integrity=False)


def graph_arrays(tables: Mapping[str, Table], payoffs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the fields of a graph from checked tables, and the payoffs of its own instruments."""
    positions, assets = tables["positions"], tables["assets"]
    index, rows = account_rows(tables)
    asset_index = _in_row_order(assets, "asset")
    own_cash, share = np.zeros(len(index)), None
    if "accounts" in tables:
        numbers = tables["accounts"].numbers
        own_cash[rows["accounts"]] = numbers["cash"]
        if "share" in tables["accounts"].given:
            share = np.zeros(len(index))
            share[rows["accounts"]] = numbers["share"]
    asset = positions.labels.pop("asset")
    records = PositionRecords(
        account=rows["positions"],
        asset=take(asset_index.get_indexer(asset.values).astype(np.int32), asset.codes),
        quantity=positions.numbers["quantity"],
        entry_price=positions.numbers["entry_price"],
        margin=positions.numbers["margin"],
        own_cash=own_cash,
        position=positions.labels.get("position"),
        kind=positions.labels.get("kind"),
    )
    vectors = {name: assets.numbers[name] for name in ("price", "depth", "margin_long", "margin_short")}
    shape = (len(index), len(asset_index))
    quantity, margin_units = matrices(records, shape, vectors["margin_long"], vectors["margin_short"])
    pools = index.levels[1]
    graph = {
        "quantity": quantity,
        "margin_units": margin_units,
        "cash": own_cash - records.entry_value(),
        **vectors,
        "sellable": assets.flags["sellable"],
        "insurance_fund": tables["pools"].numbers["insurance_fund"] if "pools" in tables else np.zeros(len(pools)),
        "share": share,
        "account_index": index,
        "assets": asset_index,
        "pools": pools,
        "records": records,
        "attributes": _attributes(tables, {"assets": asset_index, "pools": pools, "accounts": index}),
        **kept_frames(tables),
        "asset_group": optional_labels(assets, "group"),
        "account_margin": None if "accounts" not in tables else _of_accounts(tables["accounts"], rows, len(index)),
        "payoffs": payoffs,
    }
    graph |= with_prices(graph)
    check_links(graph)
    check_size(graph)
    return graph


def check_size(graph: Mapping[str, Any]) -> None:
    """Refuse a graph whose amounts have no sum."""
    faults = Faults()
    check_amounts({name: graph[name] for name in ("cash", "insurance_fund")}, faults)
    cells, price = graph["quantity"], graph["price"]
    check_values(cells.data, price, lambda: price[cells.indices], "price", faults)
    faults.raise_if_any()


def check_sizes(tables: Mapping[str, Table]) -> None:
    """Refuse checked tables whose amounts have no sum; positions are read whole only where some can be too large."""
    named = {"accounts.cash": ("accounts", "cash"), "pools.insurance_fund": ("pools", "insurance_fund")}
    faults, positions, assets = Faults(), tables["positions"], tables["assets"]
    check_amounts({to: tables[name].numbers[column] for to, (name, column) in named.items() if name in tables}, faults)
    prices = pd.Series(assets.numbers["price"], index=_in_row_order(assets, "asset"))
    held = positions.labels["asset"]
    by_asset: FloatArray = np.asarray(prices.reindex(held.values), dtype=np.float64)
    entry = positions.numbers.get("entry_price")
    check_values(positions.numbers["quantity"], by_asset, lambda: by_asset[held.codes], "price", faults)
    if entry is not None:
        check_values(positions.numbers["quantity"], entry, lambda: entry, "entry_price", faults)
    faults.raise_if_any()


def kept_frames(tables: Mapping[str, Table]) -> dict[str, pd.DataFrame | None]:
    """Return the tables that a graph keeps as they are, by the field; None: not given."""
    return {field: _frame(tables[name]) if name in tables else None for field, name in KEPT.items()}


def check_prices(tables: Mapping[str, Table]) -> None:
    """Refuse instruments of checked tables that cannot be priced."""
    frames = kept_frames(tables)
    assets = tables["assets"]
    fields = {"assets": _in_row_order(assets, "asset"), "price": assets.numbers["price"]}
    with_prices({**frames, **fields, "sellable": assets.flags["sellable"]})


def optional_labels(table: Table, column: str) -> "pd.Index[str] | None":
    """Return the labels of a column row by row, "" where blank; None: the table does not have it."""
    if column not in table.labels:
        return None
    labels = table.labels[column]
    filled = np.append(labels.values.to_numpy(dtype=object), "")[labels.codes]
    return text_index(filled)


def _of_accounts(table: Table, rows: Mapping[str, IntArray], n: int) -> "pd.Index[str] | None":
    """Return the grid of every account, "" where it is on rates and tiers; None: all are."""
    own = optional_labels(table, "margin")
    if own is None:
        return None
    every = np.full(n, "", dtype=object)
    every[rows["accounts"]] = own
    return text_index(every)


def _in_row_order(table: Table, column: str) -> "pd.Index[str]":
    labels = table.labels[column]
    return labels.values[labels.codes]


def _attributes(tables: Mapping[str, Table], indexes: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Further columns with the labels of their rows; accounts that only positions name have none."""
    kept = {name: table.attributes for name, table in tables.items() if not table.attributes.columns.empty}
    return {name: frame.reindex(range(len(indexes[name]))).set_axis(indexes[name]) for name, frame in kept.items()}


def _frame(table: Table) -> pd.DataFrame:
    labels = {name: labels.values[labels.codes] for name, labels in table.labels.items()}
    return pd.DataFrame({**labels, **table.numbers})


def matrices(
    records: PositionRecords, shape: tuple[int, int], margin_long: FloatArray, margin_short: FloatArray
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return quantity and margin_units (accounts x assets, same sparsity): positions in one cell add up in both.

    The margin units of a position are |quantity| times its own rate, or the rate of its asset and side.
    """
    cells = _cells(records, shape)
    quantity = _sums(take(records.quantity, cells.data), cells)
    margins = _sums(take(_margin_units(records, margin_long, margin_short), cells.data), cells).data
    return quantity, with_data(quantity, margins)


def _cells(records: PositionRecords, shape: tuple[int, int]) -> sparse.csr_array:
    """Return which position stands in each cell, cells ordered by account and asset; one cell a position."""
    size = records.account.size
    one_a_row = np.arange(size + 1, dtype=np.int32)
    # positions x accounts, read by columns: scipy counts how many positions each account has and puts them there
    by_account = sparse.csr_array((records.asset, records.account, one_a_row), shape=(size, shape[0])).tocsc()
    cells = sparse.csr_array((by_account.indices, by_account.data, by_account.indptr), shape=shape)
    cells.sort_indices()
    return cells


def _margin_units(records: PositionRecords, margin_long: FloatArray, margin_short: FloatArray) -> FloatArray:
    units = np.empty(records.quantity.size)
    for block in blocks(units.size):
        quantity, asset, own = records.quantity[block], records.asset[block], records.margin[block]
        rate = np.where(quantity >= 0, margin_long[asset], margin_short[asset])
        units[block] = np.abs(quantity) * np.where(np.isnan(own), rate, own)
    return units


def _sums(data: FloatArray, cells: sparse.csr_array) -> sparse.csr_array:
    several = not cells.has_canonical_format  # then the sums overwrite the index arrays
    matrix = sparse.csr_array((data, cells.indices, cells.indptr), shape=cells.shape, copy=several)
    matrix.sum_duplicates()
    return matrix
