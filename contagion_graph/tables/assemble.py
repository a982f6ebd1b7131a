"""From checked tables to the arrays of a graph: cross-references, accounts as rows, assets as columns, sparse sums."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph.errors import Faults, nearest
from contagion_graph.tables.checks import note_rows, read_table
from contagion_graph.tables.records import PositionRecords
from contagion_graph.tables.schema import ACCOUNT_LEVELS, SCHEMAS, FloatArray, IntArray, Table


def read_tables(sources: Mapping[str, object]) -> dict[str, Table]:
    """Read and check tables by name, each on its own and against the others; raise one error with all faults."""
    faults = Faults()
    tables = {
        name: table
        for name, source in sources.items()
        if source is not None and (table := read_table(name, source, faults)) is not None
    }
    check_references(tables, faults)
    faults.raise_if_any()
    return tables


def check_references(tables: Mapping[str, Table], faults: Faults) -> None:
    """Check what one table says of another: known assets, pools and traders; the same kinds of account."""
    for name, column, target in (
        ("positions", "asset", "assets"),
        ("backing", "asset", "assets"),
        ("backing", "underlying", "assets"),
        ("positions", "pool", "pools"),
        ("accounts", "pool", "pools"),
    ):
        if name in tables and target in tables:
            known = tables[target].labels[SCHEMAS[target].unique[0]].values
            _check_known(tables[name], column, known, f"Add it to table {target}.", faults)
    if "obligations" in tables:
        holders = [tables[name].labels["trader"].values for name in ("accounts", "positions") if name in tables]
        for column in ("debtor", "creditor"):
            _check_known(tables["obligations"], column, _union(holders), "Add it to table accounts.", faults)
    _check_pool_column(tables, faults)
    if "positions" in tables and "position" in tables["positions"].labels:
        _check_position_ids(tables["positions"], faults)


def _check_known(table: Table, column: str, known: "pd.Index[str]", remedy: str, faults: Faults) -> None:
    labels = table.labels[column]
    unknown = np.flatnonzero(known.get_indexer(labels.values) < 0)
    for code in unknown[:5]:
        label = str(labels.values[code])
        rows = np.flatnonzero(labels.codes == code)
        note_rows(table, column, rows, faults, f"unknown label {label!r}{nearest(label, known)}", remedy)
    if unknown.size > 5:
        faults.add(f"{table.name}.{column}", f"{unknown.size - 5} more unknown labels", remedy)


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


def _union(indexes: list["pd.Index[str]"]) -> "pd.Index[str]":
    """Return the labels of all indexes, each once, in order of first appearance."""
    joined = indexes[0]
    for index in indexes[1:]:
        joined = joined.append(index[joined.get_indexer(index) < 0])
    return joined


def account_rows(tables: Mapping[str, Table]) -> tuple[pd.MultiIndex, dict[str, IntArray]]:
    """Return the accounts, those of table accounts first, and the account row of each row of either table."""
    sources = [tables[name] for name in ("accounts", "positions") if name in tables]
    levels = [_union([table.labels[level].values for table in sources]) for level in ACCOUNT_LEVELS]
    if "pools" in tables:
        levels[1] = tables["pools"].labels["pool"].values
    keys = np.concatenate([_account_keys(table, levels) for table in sources])
    rows, distinct = pd.factorize(keys)
    codes = list(np.unravel_index(distinct, [len(level) for level in levels]))
    index = account_index(levels, codes)
    ends = np.cumsum([table.size for table in sources])
    parts = np.split(rows.astype(np.int32), ends[:-1])
    return index, {table.name: part for table, part in zip(sources, parts, strict=True)}


def account_index(levels: list[Any], codes: list[Any]) -> pd.MultiIndex:
    """Return the labels (trader, pool, subaccount) of accounts from the distinct labels and the codes of each level."""
    return pd.MultiIndex(levels=levels, codes=codes, names=ACCOUNT_LEVELS)


def _account_keys(table: Table, levels: list["pd.Index[str]"]) -> np.ndarray[Any, np.dtype[np.int64]]:
    codes = [
        levels[k].get_indexer(table.labels[level].values)[table.labels[level].codes]
        for k, level in enumerate(ACCOUNT_LEVELS)
    ]
    return np.ravel_multi_index(codes, [len(level) for level in levels])


def graph_arrays(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Return the fields of a graph from checked tables."""
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
    records = PositionRecords(
        account=rows["positions"],
        asset=asset_index.get_indexer(positions.labels["asset"].values)[positions.labels["asset"].codes].astype(
            np.int32
        ),
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
    return {
        "quantity": quantity,
        "margin_units": margin_units,
        "cash": own_cash - records.entry_value(),
        **vectors,
        "sellable": assets.flags["sellable"],
        "insurance_fund": tables["pools"].numbers["insurance_fund"] if "pools" in tables else np.zeros(len(pools)),
        "share": share,
        "accounts": index,
        "assets": asset_index,
        "pools": pools,
        "records": records,
        "attributes": _attributes(tables, {"assets": asset_index, "pools": pools, "accounts": index}),
        **{name: _frame(tables[name]) for name in ("backing", "obligations") if name in tables},
    }


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
    rate = np.where(records.quantity >= 0, margin_long[records.asset], margin_short[records.asset])
    rate = np.where(np.isnan(records.margin), rate, records.margin)
    cells = (records.account, records.asset)
    quantity = sparse.coo_array((records.quantity, cells), shape=shape).tocsr()
    margin_units = sparse.coo_array((np.abs(records.quantity) * rate, cells), shape=shape).tocsr()
    return quantity, same_sparsity(margin_units.data, quantity)


def same_sparsity(data: FloatArray, like: sparse.csr_array) -> sparse.csr_array:
    """Return a matrix with new data in the very cells (and index arrays) of another."""
    return sparse.csr_array((data, like.indices, like.indptr), shape=like.shape)
