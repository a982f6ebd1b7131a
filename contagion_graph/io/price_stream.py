"""A stream of prices from a CSV file, event by event."""

import csv
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from contagion_graph.errors import EventError, UnusedColumnWarning, nearest, tell
from contagion_graph.tables.vectors import number_of

TIMES = ("timestamp", "time", "date", "datetime")


class Tick(NamedTuple):
    """One event: prices that come into force together.

    Parameters
    ----------
    sequence : int or None
        Its number; None where the file has no column `sequence`.
    prices : dict of asset to price
        Currency per unit.
    """

    sequence: int | None
    prices: dict[str, float]


def read_ticks(path: str | Path) -> Iterator[Tick]:
    r"""Read a CSV with columns asset, price and, if wanted, sequence, and a time.

    Rows of one number, one after the other, are one event. The file is read as events are asked for: it can be a pipe.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    EventError
        A missing column; a row that is no price, names an asset twice in one event, or is earlier than the row before
        by a column timestamp, time, date or datetime (numbers or ISO 8601); the line is named.

    Warns
    -----
    UnusedColumnWarning
        Other columns.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "stream.csv"
    ...     _ = path.write_text("sequence,asset,price\n1,ETH,99.5\n2,ETH,99\n2,BTC,20\n")
    ...     [tick.prices for tick in read_ticks(path)]
    [{'ETH': 99.5}, {'ETH': 99.0, 'BTC': 20.0}]
    """
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.DictReader(file)
        names = rows.fieldnames = rows.fieldnames or ()
        header = "".join(names)
        if "\0" in header or not _is_utf8(header):
            raise EventError(f"{path} is not in UTF-8; save it in UTF-8")
        missing = [name for name in ("asset", "price") if name not in names]
        if missing and "," not in header and len(names) == 1 and any(mark in header for mark in ";\t|"):
            raise EventError(f"{path} has another separator than commas in {header!r:.80}; write commas")
        if missing:
            raise EventError(f"{path}: column {missing[0]!r} is missing; it needs asset, price and may have sequence")
        numbered, time = "sequence" in names, _time_column(names)
        parsed = ((rows.line_num, _row(row, rows.line_num)) for row in _in_time(rows, time))
        for number, group in groupby(parsed, key=lambda one: one[1][0] if numbered else one[0]):
            prices: dict[str, float] = {}
            for line, (_, asset, price) in group:
                if asset in prices:
                    raise EventError(f"line {line}: event {number} names {asset!r} twice")
                prices[asset] = price
            yield Tick(number if numbered else None, prices)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)  # what stands for bytes that are none


def _row(row: dict[str, str | None], line: int) -> tuple[int, str, float]:
    asset = (row.get("asset") or "").strip()
    try:
        sequence, price = int((row.get("sequence") or "0").replace("_", "x")), number_of(row.get("price") or "")
    except ValueError:
        asset = ""
    if not asset or not _is_utf8(asset):
        raise EventError(f"line {line}: {list(row.values())} is no price of an asset; write asset, price (, sequence)")
    return sequence, asset, price


def _time_column(names: Sequence[str]) -> str | None:
    """Return the column of times, if there is one; warn of columns that nothing reads."""
    times = [name for name in names if name.strip().lower() in TIMES]
    free = {"asset", "price", "sequence"} - set(names)
    unused = [f"{name!r}{nearest(name, free)}" for name in names if name not in ("asset", "price", "sequence", *times)]
    if unused:
        tell(f"prices: nothing reads column {', '.join(unused)}", UnusedColumnWarning)
    return times[0] if times else None


def _in_time(rows: "csv.DictReader[str]", column: str | None) -> Iterator[dict[str, str | None]]:
    """Yield the rows; refuse one that is earlier than the one before it."""
    before: Any = None
    for row in rows:
        if column is not None:
            text = (row[column] or "").strip()
            now = _time(text)
            if now is None or (before is not None and type(now) is not type(before[0])):
                raise EventError(f"line {rows.line_num}: {column} {text!r} is no time; write numbers, or ISO 8601")
            if before is not None and now < before[0]:
                raise EventError(f"line {rows.line_num}: {column} {text!r} is earlier than {before[1]!r} before it")
            before = now, text
        yield row


def _time(text: str) -> float | datetime | None:
    try:
        number = float(text)
        return number if math.isfinite(number) else None
    except ValueError:
        pass
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        return None
    return given if given.tzinfo else given.replace(tzinfo=UTC)
