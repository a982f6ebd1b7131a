"""The door: tables of any make become plain Arrow columns, and plain columns become files.

Nothing behind this module knows pandas, polars or DuckDB types. A label is data: one that a spreadsheet would run as a
formula is written to CSV behind an apostrophe, and the apostrophe is taken off again when the file is read.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from contagion_graph.errors import Faults

Columns = dict[str, pa.ChunkedArray]
FORMULA = r"('*[=+\-@\t\r])"
ACCEPTED = "Give a pandas, polars, Arrow or DuckDB table, a mapping of columns, or the path of a .csv or .parquet file."


def columns_of(table: object, where: str, faults: Faults, *, text_columns: Iterable[str] = ()) -> Columns | None:
    """Return the columns of a table, whatever it is made of, or None and a fault where it cannot be read.

    Parameters
    ----------
    table : object
        Anything with ``__arrow_c_stream__``, a mapping of columns, or a path to a CSV or Parquet file.
    where : str
        Name of the table, for messages.
    faults : Faults
        Where what is wrong is noted.
    text_columns : iterable of str
        Columns of a CSV file that are labels: "007" stays "007".

    Returns
    -------
    dict of pyarrow.ChunkedArray, or None
    """
    try:
        arrow = _arrow_table(table, frozenset(text_columns))
    except (OSError, TypeError, ValueError, pa.ArrowException) as error:
        faults.add(where, f"cannot be read ({_first_line(error)})", ACCEPTED)
        return None
    names = [str(name) for name in arrow.column_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        faults.add(where, f"column {repeated[0]!r} stands twice", "Rename or drop one of them.")
        return None
    # pandas hands its unnamed index over under such a name; it is no column of the table
    return {name: arrow.column(k) for k, name in enumerate(names) if not name.startswith("__index_level_")}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _arrow_table(table: object, text_columns: frozenset[str]) -> pa.Table:
    if isinstance(table, str | Path):
        return _read_file(Path(table), text_columns)
    if isinstance(table, Mapping):
        return pa.table({str(name): _array(values) for name, values in table.items()})
    if not hasattr(table, "__arrow_c_stream__"):
        raise TypeError(f"a {type(table).__name__} is not a table")
    try:
        return pa.table(table)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # a pandas column of mixed types: as text, so that each value can be judged on its own
        frame: Any = table
        return pa.table({str(name): _array(frame[name]) for name in frame.columns})


def _array(values: Any) -> pa.Array:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"a column must hold a sequence of values, not {values!r}")
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if _is_missing(value) else str(value) for value in values])


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _read_file(path: Path, text_columns: frozenset[str]) -> pa.Table:
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path)
    if path.suffix != ".csv":
        raise ValueError(f"{path.name}: the ending says neither .csv nor .parquet")
    table = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in text_columns},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return _map_text(table, rf"^'{FORMULA}", r"\1")


def write_file(columns: Mapping[Any, Any], path: Path) -> None:
    """Write columns as CSV or Parquet, as the ending of `path` says; a reader never sees half a file."""
    table = pa.table({str(name): _array(columns[name]) for name in columns})
    beside = path.with_name(f".{path.name}.partial")
    try:
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(table, beside)
        else:
            pyarrow.csv.write_csv(_map_text(table, rf"^{FORMULA}", r"'\1"), beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _map_text(table: pa.Table, pattern: str, replacement: str) -> pa.Table:
    for k, column in enumerate(table.columns):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            table = table.set_column(k, table.column_names[k], pc.replace_substring_regex(column, pattern, replacement))
    return table
