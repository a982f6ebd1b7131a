"""Columns of any make as typed columns whose values turn into text a block at a time: what the graph formats write.

A value is true or false, a whole number, a number or text. What is missing (None, NaN, NaT) has no text. Text of XML is
escaped so that every reader gives it back; the characters that XML 1.0 cannot hold are written as _xHHHH_, as in
ECMA-376 (ST_Xstring), and `plain` turns them back.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Type = Literal["boolean", "long", "double", "string"]
Types = dict[str, Type]
BLOCK_BYTES = 1 << 23
BLOCK_ROWS = 1 << 13
ENTITIES = (
    *(("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")),
    *(("\t", "&#9;"), ("\n", "&#10;"), ("\r", "&#13;")),
)
# what no XML 1.0 document can hold, and text that would be mistaken for its stand-in
UNWRITABLE = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
STAND_IN = "_(?=x[0-9A-Fa-f]{4}_)"
UNWRITABLE_RE2 = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]|_x[0-9A-Fa-f]{4}_"
LONG = np.iinfo(np.int64)


@dataclass(frozen=True, eq=False)
class Column:
    """A named column of values of one type.

    Parameters
    ----------
    name : str
        As users see it.
    type : {"boolean", "long", "double", "string"}
        What the values are.
    values : pyarrow.Array
        Nulls where something is missing; of type dictionary where texts repeat.
    """

    name: str
    type: Type
    values: Any

    def text(self, rows: slice) -> Any:
        """Return some rows as text: shortest digits that give the same number back, INF for infinity."""
        values = self.values[rows]
        text = values.cast(pa.string())
        if self.type == "double" and np.isinf(values.to_numpy(zero_copy_only=False)).any():
            return pc.utf8_upper(text)
        return text

    def xml(self, rows: slice) -> Any:
        """Return some rows as text for an XML attribute or element."""
        values = self.values[rows]
        if pa.types.is_dictionary(values.type):
            return escaped(values.dictionary).take(values.indices)
        return escaped(values) if self.type == "string" else self.text(rows)

    def of_type(self, kind: Type) -> Any:
        """Return the values, or their texts where another type is declared."""
        return self.values if kind == self.type != "string" else self.text(slice(None))


@dataclass(frozen=True, eq=False)
class Pieces:
    """Texts that belong to rows, any number a row.

    Parameters
    ----------
    offsets : ndarray of int32, shape (rows + 1,)
        Where the texts of each row begin.
    texts : pyarrow.Array
        In the order of rows.
    """

    offsets: Any
    texts: Any

    def text(self, rows: slice) -> Any:
        """Return the texts of some rows, those of each joined."""
        lists = pa.ListArray.from_arrays(pa.array(self.offsets[rows.start : rows.stop + 1]), self.texts)
        return pc.binary_join(lists, "")


def pieces(row: Any, size: int, texts: Any) -> Pieces:
    """Sort texts by the row that each belongs to; those of one row stay in their order.

    Examples
    --------
    >>> pieces(np.array([2, 0, 2]), 3, pa.array(["a", "b", "c"])).text(slice(0, 3)).to_pylist()
    ['b', '', 'ac']
    """
    order = np.argsort(row, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=size))])
    return Pieces(offsets.astype(np.int32), texts.take(pa.array(order)))


def column(name: object, values: Any) -> Column:
    """Return values as a typed column.

    Examples
    --------
    >>> column("rank", [1, None, 3]).type, column("mixed", [1, "a", 2.5]).type
    ('double', 'string')
    >>> column("seen", pd.to_datetime(["2020-02-29", None])).text(slice(None)).to_pylist()
    ['2020-02-29T00:00:00', None]
    """
    series = pd.Series(values)
    kind = series.dtype
    if isinstance(kind, pd.CategoricalDtype):
        texts = pa.array(_texts(series.cat.categories), pa.string())
        return Column(str(name), "string", pa.DictionaryArray.from_arrays(_codes(series), texts))
    if pd.api.types.is_bool_dtype(kind):
        return Column(str(name), "boolean", pa.array(series, pa.bool_(), from_pandas=True))
    if pd.api.types.is_integer_dtype(kind) and (series.dropna() <= LONG.max).all():
        return Column(str(name), "long", pa.array(series, pa.int64(), from_pandas=True))
    if pd.api.types.is_float_dtype(kind):
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return Column(str(name), "double", pa.array(numbers, from_pandas=True))
    if isinstance(kind, pd.StringDtype):
        return Column(str(name), "string", pa.array(series, pa.string(), from_pandas=True))
    return _of_objects(str(name), series)


def columns(named: Mapping[str, Any]) -> list[Column]:
    """Return values by name as typed columns."""
    return [column(name, values) for name, values in named.items()]


def _codes(series: "pd.Series[Any]") -> Any:
    codes = series.cat.codes.to_numpy()
    return pa.array(codes, pa.int32(), mask=codes < 0)


def _of_objects(name: str, series: "pd.Series[Any]") -> Column:
    present = [value for value in series if not _missing(value)]
    whole = [isinstance(value, int | np.integer) and not isinstance(value, bool) for value in present]
    if present and all(isinstance(value, bool | np.bool_) for value in present):
        values = [None if _missing(value) else bool(value) for value in series]
        return Column(name, "boolean", pa.array(values, pa.bool_()))
    if present and all(whole) and all(LONG.min <= int(value) <= LONG.max for value in present):
        return Column(name, "long", pa.array([None if _missing(v) else int(v) for v in series], pa.int64()))
    if present and all(isinstance(value, float | np.floating) for value in present):
        return Column(name, "double", pa.array([None if _missing(v) else float(v) for v in series], pa.float64()))
    return Column(name, "string", pa.array(_texts(series), pa.string()))


def _texts(values: Any) -> list[str | None]:
    return [None if _missing(value) else _text(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def _missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def declared(groups: Iterable[Iterable[Column]]) -> Types:
    """Return the type of each name over several groups of columns: text where they differ or hold nothing."""
    types: dict[str, set[Type]] = {}
    for own in (own for group in groups for own in group):
        types.setdefault(own.name, set()).update([own.type] if own.values.null_count < len(own.values) else [])
    return {name: found.pop() if len(found) == 1 else "string" for name, found in types.items()}


def escaped(texts: Any) -> Any:
    r"""Return an Arrow array of texts as XML holds them.

    Examples
    --------
    >>> escaped(pa.array(['a<b & "c"', "bell\x07", "_x0007_"])).to_pylist()
    ['a&lt;b &amp; &quot;c&quot;', 'bell_x0007_', '_x005F_x0007_']
    """
    odd = pc.fill_null(pc.match_substring_regex(texts, UNWRITABLE_RE2), False)
    if pc.any(odd).as_py():
        written = pa.array([writable(text) for text in texts.filter(odd).to_pylist()], pa.string())
        texts = pc.replace_with_mask(texts, odd, written)
    for character, entity in ENTITIES:
        texts = pc.replace_substring(texts, character, entity)
    return texts


def writable(text: str) -> str:
    """Return a text with _xHHHH_ for what XML 1.0 cannot hold."""
    return re.sub(f"{UNWRITABLE}|{STAND_IN}", lambda found: f"_x{ord(found[0]):04X}_", text)


def plain(text: str) -> str:
    r"""Return the text that stands behind one read from a file of this library: the inverse of `writable`.

    Examples
    --------
    >>> plain(writable("bell\x07 and _x0007_")) == "bell\x07 and _x0007_"
    True
    """
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def longest(texts: Any) -> int:
    """Return the bytes of the longest of some texts."""
    return int(pc.max(pc.binary_length(texts)).as_py() or 0)


def blocks(size: int, longest: int) -> Iterator[slice]:
    """Yield slices of so many rows, smaller where a row may be long (bytes)."""
    step = max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(longest, 1)))
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))


def joined(parts: list[Any]) -> memoryview:
    """Return the bytes of rows, each row the parts one after the other; a part that is null writes nothing."""
    rows = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")
    _, offsets, data = rows.buffers()
    borders = np.frombuffer(offsets, dtype=np.int32)
    return memoryview(data)[borders[rows.offset] : borders[rows.offset + len(rows)]]
