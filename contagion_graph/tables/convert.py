"""The door: tables of any make become plain Arrow columns, and plain columns become files.

Nothing behind this module knows pandas, polars or DuckDB types. A label is data: one that a spreadsheet would run as a
formula is written to CSV behind an apostrophe, and the apostrophe is taken off again when the file is read.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from contagion_graph.errors import Faults
from contagion_graph.tables.codes import is_text
from contagion_graph.tables.files import replacing
from contagion_graph.tables.labels import text_index

Columns = dict[str, pa.ChunkedArray]
CSV_BLOCK = 1 << 23  # bytes; larger than pyarrow's own, so that the labels of few blocks have to be matched
HEAD = 1 << 16  # bytes of a file in which its header is
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
FORMULA = r"('*[=+\-@\t\r\n])"
UNREADABLE = (OSError, TypeError, ValueError, pa.ArrowException)
PIECE = 1 << 20  # rows of a table that are handed on together
ACCEPTED = (
    "Give a pandas, polars, Arrow or DuckDB table, a mapping of columns, the path of a .csv or .parquet file, or a "
    "folder of .parquet files."
)


def columns_of(
    table: object,
    where: str,
    faults: Faults,
    *,
    text_columns: Collection[str] = (),
    number_columns: Collection[str] = (),
) -> Columns | None:
    """Return the columns of a table, whatever it is made of, or None and a fault where it cannot be read.

    Parameters
    ----------
    table : object
        Anything with ``__arrow_c_stream__``, a mapping of columns, or the path of a CSV or Parquet file, or of a folder
        of Parquet files.
    where : str
        Name of the table, for messages.
    faults : Faults
        Where what is wrong is noted.
    text_columns : collection of str
        Columns of files that are labels: "007" stays "007", and every label is read once.
    number_columns : collection of str
        Columns of files that are numbers, where a type has to be guessed.

    Returns
    -------
    dict of pyarrow.ChunkedArray, or None
    """
    try:
        arrow = _arrow_table(table, text_columns, number_columns)
    except UNREADABLE as error:
        faults.add(where, f"cannot be read ({_first_line(error)})", ACCEPTED)
        return None
    names = [str(name) for name in arrow.column_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        faults.add(where, f"column {repeated[0]!r} stands twice", "Rename or drop one of them.")
        return None
    # pandas hands its unnamed index over under such a name; it is no column of the table
    return {name: arrow.column(k) for k, name in enumerate(names) if not name.startswith("__index_level_")}


def pieces_of(
    table: object,
    where: str,
    faults: Faults,
    *,
    text_columns: Collection[str] = (),
    number_columns: Collection[str] = (),
) -> Iterator[Columns]:
    """Yield the columns of a table some rows at a time: of Parquet, no more than a group of rows is in memory.

    The parameters are those of `columns_of`.
    """
    groups: Iterable[object] = [table]
    if is_parquet(table):
        groups = _guarded(_parquet_groups(Path(table), text_columns), where, faults)
    for group in groups:
        columns = columns_of(group, where, faults, text_columns=text_columns, number_columns=number_columns)
        if columns is None:
            return
        for start in range(0, max(map(len, columns.values()), default=0) or 1, PIECE):
            yield {name: values.slice(start, PIECE) for name, values in columns.items()}


def is_parquet(table: object) -> TypeGuard[str | Path]:
    """Say whether a table is a Parquet file or a folder of such files."""
    return isinstance(table, str | Path) and (Path(table).suffix == ".parquet" or Path(table).is_dir())


def parquet_files(path: Path) -> list[Path]:
    """Return the Parquet file that a path names, or those of the folder that it names, in the order of their names."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise ValueError(f"{path.name}: no .parquet files in this folder")
    return files


def _parquet_groups(path: Path, text_columns: Collection[str]) -> Iterator[pa.Table]:
    """Yield the groups of rows of one Parquet file or several: what decoding needs besides is then small."""
    for one in parquet_files(path):
        schema = pyarrow.parquet.read_schema(one)
        encoded = [field.name for field in schema if field.name in text_columns and is_text(field.type)]
        with pyarrow.parquet.ParquetFile(one, read_dictionary=encoded) as file:
            for k in range(file.num_row_groups):
                yield file.read_row_group(k)
            if file.num_row_groups == 0:
                yield file.read()


def _guarded(groups: Iterator[pa.Table], where: str, faults: Faults) -> Iterator[pa.Table]:
    try:
        yield from groups
    except UNREADABLE as error:
        faults.add(where, f"cannot be read ({_first_line(error)})", ACCEPTED)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _arrow_table(table: object, text_columns: Collection[str], number_columns: Collection[str]) -> pa.Table:
    if isinstance(table, str | Path):
        return _read_file(Path(table), text_columns, number_columns)
    if isinstance(table, Mapping):
        return pa.table({str(name): _array(name, values, text_columns) for name, values in table.items()})
    if not hasattr(table, "__arrow_c_stream__"):
        raise TypeError(f"a {type(table).__name__} is not a table")
    frame: Any = table
    if type(table).__name__ == "Series":
        raise TypeError("a Series is one column; name it and give Series.reset_index(), or a mapping of columns")
    try:
        return pa.table(frame)
    except (OverflowError, pa.ArrowInvalid, pa.ArrowTypeError):
        if not hasattr(table, "columns"):
            raise
        # a pandas column of mixed types: as text, so that each value can be judged on its own
        return pa.table({str(name): _array(name, frame[name], text_columns) for name in frame.columns})


def _array(name: Any, values: Any, labels: Collection[str] = ()) -> pa.Array:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"a column must hold a sequence of values, not {values!r}")
    try:
        return pa.array(values, from_pandas=True)
    except (OverflowError, pa.ArrowInvalid, pa.ArrowTypeError):  # mixed types, or integers beyond 64 bits
        if name in labels:
            _check_labels(str(name), ["" if _is_missing(value) else value for value in values])
        return pa.array([None if _is_missing(value) else str(value) for value in values])


def _check_labels(name: str, values: list[Any]) -> None:
    """Refuse labels of several types of which one is none, or of which two would be written alike."""
    faults = Faults()
    text_index(values, f"column {name}", faults)
    if faults.found:
        raise TypeError(str(faults.found[0]))


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _read_file(path: Path, text_columns: Collection[str], number_columns: Collection[str]) -> pa.Table:
    if is_parquet(path):
        return pa.concat_tables(_parquet_groups(path, text_columns))
    if path.suffix != ".csv":
        raise ValueError(f"{path.name}: the ending says neither .csv nor .parquet")
    check_csv(path, {*text_columns, *number_columns})
    labels = dict.fromkeys(text_columns, pa.dictionary(pa.int32(), pa.string()))
    try:
        table = pyarrow.csv.read_csv(path, **_csv_options({**labels, **_csv_numbers(path, labels, number_columns)}))
    except pa.ArrowInvalid:  # a number that is none: let all rows decide the types, and say what is wrong
        table = pyarrow.csv.read_csv(path, **_csv_options(labels))
    return _map_text(table, rf"^'{FORMULA}", r"\1")


def check_csv(path: Path, columns: Set[str] = frozenset()) -> None:
    """Refuse what is no CSV in UTF-8 with commas: a file without a header, in UTF-16, with another separator."""
    with path.open("rb") as file:
        start = file.read(HEAD)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start[:100]:
        raise ValueError(f"{path.name} is in UTF-16; save it in UTF-8")
    header = start.splitlines()[0].decode("utf-8-sig", "replace") if start.strip() else ""
    if not header.strip():
        raise ValueError(f"{path.name} is empty; it needs a line with the names of the columns")
    for separator, name in SEPARATORS.items():
        parts = [part.strip().strip('"') for part in header.split(separator)]
        if "," not in header and len(parts) > 1 and (not columns or not columns.isdisjoint(parts)):
            raise ValueError(f"{path.name} has {name} between its columns; write commas")


def _csv_numbers(path: Path, labels: Mapping[str, Any], number_columns: Collection[str]) -> dict[str, pa.DataType]:
    """Return the columns whose first block holds fractions; a type that need not be guessed saves time and memory.

    Whole numbers are left to be guessed, so that messages show them as they stand. A column of numbers that begins with
    nothing but blanks is one too.
    """
    with pyarrow.csv.open_csv(path, **_csv_options(labels)) as reader:
        return {
            field.name: pa.float64()
            for field in reader.schema
            if pa.types.is_floating(field.type) or (field.name in number_columns and pa.types.is_null(field.type))
        }


def _csv_options(types: Mapping[str, pa.DataType]) -> dict[str, Any]:
    return {
        "read_options": pyarrow.csv.ReadOptions(block_size=CSV_BLOCK),
        "parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    }


def write_file(columns: Mapping[Any, Any], path: Path) -> None:
    """Write columns as CSV or Parquet, as the ending of `path` says; a reader never sees half a file."""
    table = pa.table({str(name): _array(name, columns[name]) for name in columns})
    with replacing(path) as beside:
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(table, beside)
        else:
            pyarrow.csv.write_csv(_map_text(table, rf"^{FORMULA}", r"'\1"), beside)


def _map_text(table: pa.Table, pattern: str, replacement: str) -> pa.Table:
    """Replace what matches in every text, and in every name of a column."""
    table = table.rename_columns([re.sub(pattern, replacement, name) for name in table.column_names])
    for k, column in enumerate(table.columns):
        if is_text(column.type):
            table = table.set_column(k, table.column_names[k], _replaced(column, pattern, replacement))
    return table


def _replaced(column: pa.ChunkedArray, pattern: str, replacement: str) -> pa.ChunkedArray:
    if not pa.types.is_dictionary(column.type):
        return pc.replace_substring_regex(column, pattern, replacement)
    return pa.chunked_array(
        [
            pa.DictionaryArray.from_arrays(
                chunk.indices,
                pc.replace_substring_regex(chunk.dictionary, pattern, replacement),
                ordered=column.type.ordered,
            )
            for chunk in column.chunks
        ],
        type=column.type,
    )
