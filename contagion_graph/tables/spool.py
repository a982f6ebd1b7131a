"""A table too large for memory: checked piece by piece, its columns in flat files on disk, its labels in memory once.

A `Table` whose columns are views of such files passes every check between tables like any other; rows of it are touched
only where something is wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contagion_graph._typing import IntArray
from contagion_graph.errors import SHOWN, Fault, Faults
from contagion_graph.tables.checks import check_table, warn_unused
from contagion_graph.tables.codes import label_index, take
from contagion_graph.tables.convert import Columns, pieces_of
from contagion_graph.tables.schema import SCHEMAS, Label, Labels, Number, Table

MATCHED = 1 << 20  # values that wait, at least, before they are matched with those known


class Column:
    """A column on disk: a flat file that grows, and is then read in blocks.

    Parameters
    ----------
    path : Path
        The file.
    dtype : type
        Type of its values.
    """

    def __init__(self, path: Path, dtype: Any) -> None:
        self.path, self.dtype, self.size = path, np.dtype(dtype), 0

    def append(self, values: Any) -> None:
        """Write values behind those that are there."""
        with self.path.open("ab") as file:
            np.ascontiguousarray(values, dtype=self.dtype).tofile(file)
        self.size += values.size

    def block(self, rows: slice) -> Any:
        """Read some rows; not through a map of the file, whose pages would count as memory of the process."""
        start, stop, _ = rows.indices(self.size)
        if start >= stop:
            return np.empty(0, self.dtype)
        return np.fromfile(self.path, self.dtype, stop - start, offset=start * self.dtype.itemsize)

    def mapped(self) -> Any:
        """Return the whole column as an array that is read where it is touched."""
        return np.memmap(self.path, self.dtype, mode="r") if self.size else np.empty(0, self.dtype)


class Numbering:
    """Numbers distinct values in order of first appearance; of each row the number goes to disk, the values stay here.

    Values wait until they are as many as those known, then they are matched together, so that each is matched a few
    times only. Rows carry numbers among the values of their own piece until `finish` replaces these.

    Parameters
    ----------
    path : Path
        The file of the numbers.
    kind : pyarrow.DataType
        Type of the values.
    """

    def __init__(self, path: Path, kind: pa.DataType) -> None:
        self.rows = Column(path, np.int32)
        self.known = pa.array([], kind)
        self.missing = False
        self._places = Column(path.with_suffix(".places"), np.int32)
        self._pieces: list[tuple[int, int]] = []  # rows and distinct values of each
        self._waiting: list[pa.Array] = []

    def append(self, codes: IntArray, distinct: pa.Array) -> None:
        """Add the rows of a piece: codes into its distinct values, -1 where a value is missing."""
        self.rows.append(codes)
        self.missing = self.missing or bool(codes.size and codes.min() < 0)
        self._pieces.append((codes.size, len(distinct)))
        self._waiting.append(distinct)
        if sum(map(len, self._waiting)) > max(MATCHED, len(self.known)):
            self._match()

    def _match(self) -> None:
        words = pa.concat_arrays([self.known, *self._waiting]).dictionary_encode()
        self._places.append(words.indices.to_numpy()[len(self.known) :])
        self.known, self._waiting = words.dictionary, []
        pa.default_memory_pool().release_unused()  # what matching needed is as much as the values

    def finish(self, default: str | None = None) -> None:
        """Let every row carry the final number of its value, and that of `default` where there is none."""
        self._match()
        missing = -1
        if self.missing and default is not None:
            missing = pc.index(self.known, default).as_py()
            if missing < 0:
                missing, self.known = (
                    len(self.known),
                    pa.concat_arrays([self.known, pa.array([default], self.known.type)]),
                )
        row = place = 0
        with self.rows.path.open("r+b") as file:
            for size, distinct in self._pieces:
                places = np.append(self._places.block(slice(place, place + distinct)), np.int32(missing))
                take(places, self.rows.block(slice(row, row + size))).tofile(file)
                row, place = row + size, place + distinct
        self._places.path.unlink()


@dataclass(frozen=True)
class Spooled:
    """A checked table on disk.

    Parameters
    ----------
    table : Table
        Its columns are maps of files, columns that were not given are left out.
    columns : dict of str to Column
        Codes of labels, and numbers.
    """

    table: Table
    columns: dict[str, Column]


def spool(name: str, source: object, folder: Path, faults: Faults) -> Spooled | None:
    """Check a table piece by piece and write its columns; None where not even its columns could be found."""
    merged = MergedFaults()
    labels: dict[str, Numbering] = {}
    numbers: dict[str, Column] = {}
    size = 0
    for table in _checked(name, source, merged):
        if size == 0:
            given = sorted(table.given)
            labels = {
                column: Numbering(folder / column, pa.large_string()) for column in given if column in table.labels
            }
            numbers = {column: Column(folder / column, np.float64) for column in given if column in table.numbers}
        for column, numbering in labels.items():
            numbering.append(table.labels[column].codes, pa.array(table.labels[column].values, pa.large_string()))
        for column, file in numbers.items():
            file.append(table.numbers[column])
        size += table.size
    merged.note_in(faults)
    return _spooled(Table(name, size, frozenset([*labels, *numbers])), labels, numbers) if size else None


def _spooled(table: Table, labels: dict[str, Numbering], numbers: dict[str, Column]) -> Spooled:
    for column, kind in SCHEMAS[table.name].columns.items():
        if column in labels:
            labels[column].finish(kind.default if isinstance(kind.default, str) else None)
            table.labels[column] = Labels(labels[column].rows.mapped(), label_index(labels[column].known))
        elif column in numbers:
            table.numbers[column] = numbers[column].mapped()
        elif isinstance(kind, Label) and kind.default is not None:
            nothing = np.broadcast_to(np.int32(0), table.size)
            table.labels[column] = Labels(nothing, pd.Index([kind.default], dtype="str"))
    return Spooled(table, {**{column: numbering.rows for column, numbering in labels.items()}, **numbers})


def _checked(name: str, source: object, merged: "MergedFaults") -> Iterator[Table]:
    """Yield the pieces of a table that have rows, checked on their own."""
    schema, unread, start = SCHEMAS[name], Faults(), 0
    empty: Columns | None = None
    texts, numbers = schema.columns_of(Label), schema.columns_of(Number)
    for columns in pieces_of(source, name, unread, text_columns=texts, number_columns=numbers):
        if not columns or len(next(iter(columns.values()))) == 0:
            empty = columns
            continue
        if start == 0:
            warn_unused(name, columns)
        table = merged.checked(name, columns, start)
        if table is None:
            return
        yield table
        start += table.size
    merged.add(unread, 0)
    if start == 0 and empty is not None:
        merged.checked(name, empty, 0)


@dataclass
class MergedFaults:
    """The faults of pieces as those of one table: rows count from its beginning, equal faults are one."""

    found: dict[tuple[str, str, str], Fault] = field(default_factory=dict)

    def checked(self, name: str, columns: Columns, start: int) -> Table | None:
        """Check a piece that begins at some row."""
        faults = Faults()
        table = check_table(name, columns, faults, fill=False)
        self.add(faults, start)
        return table

    def add(self, faults: Faults, start: int) -> None:
        """Add the faults of a piece that begins at some row."""
        for fault in faults.found:
            key = fault.where, fault.problem, fault.remedy
            known = self.found.get(key, Fault(*key))
            self.found[key] = replace(
                known,
                rows=known.rows + tuple(start + row for row in fault.rows),
                examples=(known.examples + fault.examples)[:SHOWN],
            )

    def note_in(self, faults: Faults) -> None:
        """Note them all."""
        faults.found.extend(self.found.values())
