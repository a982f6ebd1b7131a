"""The checks of one table on its own: presence, types, blanks, ranges, repetitions.

A table enters as Arrow columns and leaves as a `Table`: labels as codes into their distinct values, numbers as float64,
flags as booleans, blanks replaced by the default of the column. What is wrong is noted, never raised here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import SHOWN, Faults, UnusedColumnWarning, closest, nearest, tell
from contagion_graph.tables.codes import encode, is_text, label_index, plain_type, take
from contagion_graph.tables.convert import Columns, columns_of
from contagion_graph.tables.schema import (
    BLANKS,
    REQUIRED,
    SCHEMAS,
    SIGNS,
    TRUTH,
    UNREAD,
    Flag,
    Label,
    Labels,
    Number,
    Table,
)
from contagion_graph.tables.vectors import number_of

LARGEST, HUGE = 1e300, np.finfo(np.float64).max  # of an amount of currency
REMEDY = "Count in a larger unit of currency."
ALIKE = 0.8  # attributes have names of their own; one so close to a column that is read may be that column
_TIMES = " (quantities are units of the asset: multiply them by it)"
UNITS = dict.fromkeys(("contract_size", "contract_multiplier", "contract_value", "multiplier", "ctval"), _TIMES)
Rows = np.ndarray[Any, np.dtype[np.int64]]


def read_table(name: str, source: object, faults: Faults, *, empty: bool = False) -> Table | None:
    """Read and check one table on its own; None where not even its columns could be found."""
    schema = SCHEMAS[name]
    columns = columns_of(
        source, name, faults, text_columns=schema.columns_of(Label), number_columns=schema.columns_of(Number)
    )
    if columns is None:
        return None
    warn_unused(name, columns)
    return check_table(name, columns, faults, empty=empty)


def warn_unused(name: str, columns: Columns) -> None:
    """Warn of the columns that nothing reads; of those kept as attributes, if they look as if something should."""
    schema = SCHEMAS[name]
    free, others = set(schema.columns) - set(columns), [column for column in columns if column not in schema.columns]
    optional = {column for column in free if not _is_required(schema.columns[column])}  # what is missing is a fault
    unused = [column for column in others if not schema.attributes or _looks_read(column, optional)]
    if unused:
        hints = ", ".join(f"{column!r}{UNITS.get(column.lower(), nearest(column, free))}" for column in unused)
        tell(f"table {name}: nothing reads column {hints}", UnusedColumnWarning)


def check_amounts(amounts: Mapping[str, FloatArray], faults: Faults) -> None:
    """Note amounts of currency so large that a sum of them is no number."""
    for where, values in amounts.items():
        with np.errstate(invalid="ignore"):
            if max(values.max(initial=0.0), -values.min(initial=0.0)) > LARGEST:
                wrong = np.flatnonzero(np.isfinite(values) & (np.abs(values) > LARGEST))
                shown = [f"{values[row]:g}" for row in wrong[:SHOWN]]
                problem = f"above {LARGEST:g}, so that sums are no numbers"
                if wrong.size:
                    faults.add_rows(where, problem, REMEDY, rows=wrong.tolist(), examples=shown)


def check_values(
    quantity: FloatArray, prices: FloatArray, price_of_each: Callable[[], FloatArray], name: str, faults: Faults
) -> None:
    """Note quantities that at their prices, all of them among `prices`, have values whose sum is no number."""
    units, price = (max(np.fmax.reduce(a, initial=0.0), -np.fmin.reduce(a, initial=0.0)) for a in (quantity, prices))
    with np.errstate(over="ignore", invalid="ignore"):
        if units * price > LARGEST:
            check_amounts({f"quantity x {name}": np.minimum(np.abs(quantity * price_of_each()), HUGE)}, faults)


def _looks_read(column: str, free: set[str]) -> bool:
    return column.lower() in UNITS or closest(column, free, cutoff=ALIKE) is not None


def check_table(name: str, columns: Columns, faults: Faults, *, empty: bool = False, fill: bool = True) -> Table | None:
    """Check the columns of one table on their own: presence, types, blanks, ranges, repetitions.

    Each column leaves `columns` when it is read, so that its memory is free for the next. `empty` says that there
    may be no positions; without `fill` blank labels stay blank, for the rows are a piece of a table.
    """
    schema = SCHEMAS[name]
    missing = [column for column, kind in schema.columns.items() if _is_required(kind) and column not in columns]
    for column in missing:
        hint = nearest(column, set(columns) - set(schema.columns))
        faults.add(f"{name}.{column}", f"the column is missing{hint}", f"Add it; the table has {list(columns)}.")
    size = len(next(iter(columns.values()))) if columns else 0
    if size == 0 and name in (("assets",) if empty else ("positions", "assets")):
        venue = "" if name == "assets" else ", or table pools: a venue before its first trade"
        faults.add(name, "the table has no rows", f"Give at least one of the {name}{venue}.")
    if missing or (size == 0 and name == "assets"):
        return None
    checked = schema.checked_attributes & frozenset(columns)
    table = Table(name, size, (frozenset(columns) & frozenset(schema.columns)) - checked)
    # labels first, so that every fault can name its rows
    for column, kind in sorted(schema.columns.items(), key=lambda item: not isinstance(item[1], Label)):
        _read_column(table, column, kind, columns.pop(column, None), faults, fill)
    for column, labels in table.labels.items():
        if _is_required(schema.columns[column]):
            blank = np.flatnonzero(labels.codes < 0)
            note_rows(table, column, blank, faults, "blank", "Give every row a label.")
    if all(labels.values.tolist() != [UNREAD] for labels in table.labels.values()):
        _check_unique(table, schema.unique, faults)
    if "kind" in table.labels and "quantity" in table.numbers:
        _check_signs(table, faults)
    if schema.attributes:
        _check_attributes(name, columns, faults)
        # whole numbers stay whole beside a blank
        frame = pa.table(columns).to_pandas(integer_object_nulls=True) if columns else pd.DataFrame(index=range(size))
        table.attributes = frame.assign(
            **{column: _taken(table, column) for column in schema.columns if column in checked}
        )
    return table


def _taken(table: Table, column: str) -> FloatArray | BoolArray:
    """Take a column that has been checked out of a table."""
    return table.numbers.pop(column) if column in table.numbers else table.flags.pop(column)


def _check_attributes(name: str, columns: Columns, faults: Faults) -> None:
    """Note the further columns that hold lists or records, and leave them out."""
    for column in [column for column, values in columns.items() if pa.types.is_nested(plain_type(values.type))]:
        kind = columns.pop(column).type
        faults.add(f"{name}.{column}", f"has type {kind}", "Give text, numbers, dates or flags, or drop the column.")


def _check_signs(table: Table, faults: Faults) -> None:
    """Note the positions whose kind says the other side than the sign of their quantity."""
    kinds, quantity = table.labels["kind"], table.numbers["quantity"]
    sign = np.array([SIGNS.get(str(kind).strip().lower(), 0) for kind in kinds.values] + [0])
    wrong = np.flatnonzero(sign[kinds.codes] * quantity < 0.0)
    remedy = (
        "What is owed or sold short has a quantity below 0, what is held one above 0: write the sign, as in "
        "quantity = -quantity where kind is debt or short, or leave the column kind out."
    )
    if wrong.size:
        shown = [f"{kinds.at(row)!r}, quantity {quantity[row]:g}, {table.row_label(row)}" for row in wrong[:SHOWN]]
        faults.add_rows(f"{table.name}.kind", "contradicts the sign", remedy, rows=wrong.tolist(), examples=shown)


def _is_required(kind: Label | Number | Flag) -> bool:
    return kind.default is REQUIRED


def _read_column(
    table: Table, column: str, kind: Label | Number | Flag, values: pa.ChunkedArray | None, faults: Faults, fill: bool
) -> None:
    if isinstance(kind, Label):
        if values is not None or kind.default is not None:
            table.labels[column] = _labels(table, column, kind, values, faults, fill)
    elif values is None and kind.attribute:
        return
    elif values is None:
        filled = np.full(table.size, kind.default)
        (table.flags if isinstance(kind, Flag) else table.numbers)[column] = filled
    elif isinstance(kind, Flag):
        table.flags[column] = _flags(table, column, kind, values, faults)
    else:
        table.numbers[column] = _numbers(table, column, kind, values, faults)


def _labels(
    table: Table, column: str, kind: Label, values: pa.ChunkedArray | None, faults: Faults, fill: bool
) -> Labels:
    if values is None:
        return Labels(np.zeros(table.size, np.int32), pd.Index([kind.default], dtype="str"))
    plain = plain_type(values.type)
    if not (is_text(plain) or pa.types.is_integer(plain) or pa.types.is_null(plain)):
        faults.add(f"{table.name}.{column}", f"has type {values.type}", "Labels are text or integers.")
        return Labels(np.zeros(table.size, np.int32), pd.Index([UNREAD], dtype="str"))
    codes, distinct = encode(values)
    labels = Labels(codes, label_index(distinct))
    return _fill_blank(labels, kind.default) if fill and isinstance(kind.default, str) else labels


def _fill_blank(labels: Labels, default: str) -> Labels:
    blank = labels.codes < 0
    if not blank.any():
        return labels
    values = labels.values if default in labels.values else labels.values.append(pd.Index([default], dtype="str"))
    return Labels(np.where(blank, int((values == default).argmax()), labels.codes).astype(np.int32), values)


def _numbers(table: Table, column: str, kind: Number, values: pa.ChunkedArray, faults: Faults) -> FloatArray:
    numbers, unreadable = _as_numbers(values)
    if numbers is None:
        faults.add(f"{table.name}.{column}", f"has type {values.type}", f"It must hold {kind}.")
        return np.full(table.size, np.nan)
    blank = np.isnan(numbers)
    blank[unreadable] = False
    remedy = f"It must be {kind}."

    def note(rows: Rows, problem: str) -> None:
        note_rows(table, column, rows, faults, problem, remedy, values)

    note(unreadable, "not a number")
    if kind.default is REQUIRED and not kind.open:
        note(np.flatnonzero(blank), "blank or NaN")
    note(np.flatnonzero(kind.fault_of(numbers)), "out of range")
    if kind.default is not REQUIRED:
        numbers[blank] = kind.default
    return numbers


def _as_numbers(values: pa.ChunkedArray) -> tuple[FloatArray | None, Rows]:
    """Return numbers (NaN where blank) and the rows whose text is no number; None where the type cannot be numbers."""
    none = np.empty(0, dtype=np.int64)
    if is_text(values.type):
        codes, texts = encode(values)
        parsed = [_parse(text) for text in texts.cast(pa.large_string()).to_pylist()]
        distinct = np.array([np.nan if number is None else number for number in parsed] + [np.nan])
        unreadable = np.array([number is None for number in parsed] + [False])
        return take(distinct, codes), np.flatnonzero(take(unreadable, codes))
    kind = plain_type(values.type)
    readable = (pa.types.is_null, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    if not any(is_kind(kind) for is_kind in readable):
        return None, none
    numbers, start = np.empty(len(values)), 0
    for chunk in values.chunks:  # one copy, never more: the column may be memory of the caller's that will change
        plain = chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk
        numbers[start : start + len(chunk)] = plain.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        start += len(chunk)
    return numbers, none


def _parse(text: str) -> float | None:
    try:
        return np.nan if text.strip().lower() in BLANKS else number_of(text)
    except ValueError:
        return None


def _flags(table: Table, column: str, kind: Flag, values: pa.ChunkedArray, faults: Faults) -> BoolArray:
    words = ["" if value is None else str(value).strip().lower() for value in values.to_pylist()]
    wrong = [row for row, word in enumerate(words) if word not in TRUTH and word not in BLANKS]
    note_rows(table, column, np.array(wrong, np.int64), faults, "not a flag", "Write true or false.", values)
    return np.array([TRUTH.get(word, kind.default) for word in words], dtype=bool)


def note_rows(
    table: Table,
    column: str,
    rows: Rows,
    faults: Faults,
    problem: str,
    remedy: str,
    values: pa.ChunkedArray | None = None,
) -> None:
    """Note a fault of some rows of a column, showing the first of them: the value, and whose row it is."""
    if rows.size == 0:
        return
    examples = []
    for row in rows[:SHOWN].tolist():
        whose = table.row_label(row)
        examples.append(whose if values is None else f"{values[row].as_py()!r}, {whose}")
    faults.add_rows(f"{table.name}.{column}", problem, remedy, rows=rows.tolist(), examples=examples)


def _check_unique(table: Table, unique: tuple[str, ...], faults: Faults) -> None:
    keys = [name for name in unique if name in table.labels]
    if not keys:
        return
    codes = pd.DataFrame({name: table.labels[name].codes for name in keys})
    repeated = np.flatnonzero(codes.duplicated().to_numpy() & (codes >= 0).all(axis=1).to_numpy())
    remedy = f"Keep one row for each {' x '.join(keys)}; rows are never merged in silence."
    note_rows(table, keys[0], repeated, faults, "repeated", remedy)
