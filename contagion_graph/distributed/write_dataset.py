"""The files of a partitioned data set."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from contagion_graph.distributed.account_rows import AccountRows, dealt, pieces
from contagion_graph.distributed.dataset import Layout, part_folder
from contagion_graph.distributed.margins import margin_of
from contagion_graph.tables.schema import ACCOUNT_LEVELS, SCHEMAS, Label, Table
from contagion_graph.tables.spool import Spooled

TEXT = pa.large_string()
WHOLE = ("assets", "pools", "backing", "instruments", "obligations", "layers", "margin_tiers", "margin_scenarios")


def write_whole_tables(tables: Mapping[str, Table], accounts: AccountRows, folder: Path) -> None:
    """Write the tables that every part needs whole."""
    columns = {name: _columns(tables[name]) for name in WHOLE if name in tables}
    columns.setdefault("pools", pa.table({"pool": pa.array(accounts.levels[1], TEXT)}))
    for name, table in columns.items():
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet")


def _columns(table: Table) -> pa.Table:
    """Return what was given of a table, checked."""
    columns: dict[str, Any] = {}
    for column in SCHEMAS[table.name].columns:
        if column in table.given and column in table.labels:
            columns[column] = _texts(table.labels[column].values, table.labels[column].codes)
        elif column in table.given:
            columns[column] = pa.array(table.numbers[column] if column in table.numbers else table.flags[column])
    return _with(pa.table(columns), _attributes(table))


def _texts(values: Any, codes: Any) -> pa.Array:
    codes = np.asarray(codes)
    return pa.array(values, TEXT).take(pa.array(codes, mask=codes < 0))


def _attributes(table: Table) -> pa.Table:
    return pa.Table.from_pandas(table.attributes, preserve_index=False)


def _with(table: pa.Table, further: pa.Table) -> pa.Table:
    for name in further.column_names:
        table = table.append_column(name, further.column(name))
    return table


def write_accounts(tables: Mapping[str, Table], accounts: AccountRows, layout: Layout, folder: Path) -> None:
    """Write the accounts of each part, in the order of the rows, and the traders that are in several parts."""
    named = tables.get("accounts")
    given = frozenset[str]().union(*(tables[name].given for name in ("accounts", "positions") if name in tables))
    attributes = None if named is None else _attributes(named)
    levels = {name: pa.array(level, TEXT) for name, level in zip(ACCOUNT_LEVELS, accounts.levels, strict=True)}
    seen = np.zeros(len(accounts.levels[0]), dtype=np.int32)
    for part in range(layout.parts):
        rows = layout.rows(part)
        codes = dict(zip(ACCOUNT_LEVELS, accounts.codes(rows), strict=True))
        columns = {
            name: levels[name].take(pa.array(codes[name])) for name in ACCOUNT_LEVELS if name in given | {"trader"}
        }
        for name in ("cash", "share"):
            if name == "cash" or name in given:
                columns[name] = pa.array(_padded(None if named is None else named.numbers[name], rows))
        table = pa.table(columns)
        if (on := margin_of(tables, accounts.keys.size)) is not None:
            table = table.append_column("margin", pa.array(on[rows], TEXT))
        if attributes is not None:
            table = _with(table, _padded_table(attributes, rows))
        part_folder(folder, part).mkdir()
        pyarrow.parquet.write_table(table, part_folder(folder, part) / "accounts.parquet")
        seen[np.unique(codes["trader"])] += 1
    split = pa.table({"trader": levels["trader"].take(pa.array(np.flatnonzero(seen > 1)))})
    pyarrow.parquet.write_table(split, folder / "split_traders.parquet")


def _padded(numbers: Any, rows: slice) -> Any:
    """Return numbers of some rows, 0 for those that table accounts does not name."""
    own = np.empty(0) if numbers is None else numbers[rows]
    return np.append(own, np.zeros(rows.stop - rows.start - own.size))


def _padded_table(attributes: pa.Table, rows: slice) -> pa.Table:
    own = attributes.slice(rows.start, rows.stop - rows.start)
    missing = rows.stop - rows.start - own.num_rows
    nothing = pa.table({field.name: pa.nulls(missing, field.type) for field in attributes.schema})
    return pa.concat_tables([own, nothing]) if attributes.num_columns else own


def write_positions(positions: Spooled, accounts: AccountRows, layout: Layout, folder: Path) -> None:
    """Deal the positions out to the parts that hold their accounts, in their order."""
    kinds = SCHEMAS["positions"].columns
    given = [name for name in kinds if name in positions.columns]
    schema = pa.schema([(name, TEXT if isinstance(kinds[name], Label) else pa.float64()) for name in given])
    values = {
        name: pa.array(positions.table.labels[name].values, TEXT) for name in given if schema.field(name).type == TEXT
    }
    ends = np.array([layout.rows(part).stop for part in range(layout.parts)])
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pyarrow.parquet.ParquetWriter(part_folder(folder, part) / "positions.parquet", schema))
            for part in range(layout.parts)
        ]
        for rows in pieces(positions.table.size):
            columns = {name: positions.columns[name].block(rows) for name in given}
            account = accounts.of_position.block(rows)
            for part, own in dealt(np.searchsorted(ends, account, side="right")):
                chosen = {name: column[own] for name, column in columns.items()}
                arrays = [_texts(values[name], chosen[name]) if name in values else chosen[name] for name in given]
                writers[part].write_table(pa.table(arrays, schema=schema))
