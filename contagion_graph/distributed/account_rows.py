"""The accounts of spooled positions: which row each position belongs to, and how many cells each row has."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from contagion_graph.tables.assemble import account_levels, write_keys
from contagion_graph.tables.convert import PIECE
from contagion_graph.tables.schema import ACCOUNT_LEVELS, Table
from contagion_graph.tables.spool import Column, Numbering, Spooled

Ints = np.ndarray[Any, np.dtype[np.int64]]
BUCKET = 1 << 22  # positions whose cells are told apart together


@dataclass(frozen=True)
class AccountRows:
    """The accounts of a graph whose positions are on disk.

    Parameters
    ----------
    levels : list of Index
        Labels of traders, pools and subaccounts.
    keys : int64 array, shape (n,)
        The place of each account among all combinations of them.
    of_position : Column
        The row of each position.
    """

    levels: list["pd.Index[str]"]
    keys: Ints
    of_position: Column

    def codes(self, rows: slice) -> list[Ints]:
        """Return the codes of trader, pool and subaccount of some rows."""
        return list(np.unravel_index(self.keys[rows], [len(level) for level in self.levels]))


def pieces(size: int) -> Iterator[slice]:
    """Yield the slices that cover so many rows on disk, in order."""
    return (slice(start, min(start + PIECE, size)) for start in range(0, size, PIECE))


def codes_of(positions: Spooled, column: str, rows: slice) -> Any:
    """Return codes of labels of some positions."""
    on_disk = positions.columns.get(column)
    return positions.table.labels[column].codes[rows] if on_disk is None else on_disk.block(rows)


def account_rows(tables: Mapping[str, Table], positions: Spooled, folder: Path) -> AccountRows:
    """Give each account its row: those of table accounts first, then others in order of appearance in positions."""
    sources = [tables[name] for name in ("accounts", "positions") if name in tables]
    levels, places = account_levels(sources, tables.get("pools"))
    assert math.prod(len(level) for level in levels) <= np.iinfo(np.int64).max
    numbering = Numbering(folder / "account", pa.int64())
    if "accounts" in tables:
        codes = [tables["accounts"].labels[name].codes for name in ACCOUNT_LEVELS]
        numbering.append(np.empty(0, np.int32), pa.array(_keys(codes, levels, places[0])))
    for rows in pieces(positions.table.size):
        codes = [codes_of(positions, name, rows) for name in ACCOUNT_LEVELS]
        own, distinct = pd.factorize(_keys(codes, levels, places[-1]))
        numbering.append(own.astype(np.int32), pa.array(distinct))
    numbering.finish()
    return AccountRows(levels, numbering.known.to_numpy(), numbering.rows)


def _keys(codes: list[Any], levels: list[Any], places: Any) -> Ints:
    keys = np.zeros(codes[0].size, dtype=np.int64)
    write_keys(keys, codes, levels, places)
    return keys


def cell_counts(accounts: AccountRows, positions: Spooled, folder: Path) -> Ints:
    """Return in how many assets each account has positions, shape (n,).

    Cells are dealt out to buckets of successive accounts on disk; those of a bucket are sorted in memory.
    """
    n, width = accounts.keys.size, len(positions.table.labels["asset"].values)
    size = positions.table.size
    held = np.zeros(n, dtype=np.int64)
    for rows in pieces(size):
        np.add.at(held, accounts.of_position.block(rows), 1)
    borders = np.searchsorted(np.cumsum(held), np.arange(BUCKET, size, BUCKET))
    buckets = [Column(folder / f"bucket-{k}", np.int64) for k in range(borders.size + 1)]
    for rows in pieces(size):
        account = accounts.of_position.block(rows)
        cells = account.astype(np.int64) * width + codes_of(positions, "asset", rows)
        for k, own in dealt(np.searchsorted(borders, account, side="left")):
            buckets[k].append(cells[own])
    held[:] = 0
    for bucket in buckets:
        cells = np.sort(bucket.block(slice(None)))
        distinct = cells[np.append(True, cells[1:] != cells[:-1])] if cells.size else cells
        np.add.at(held, distinct // width, 1)
        bucket.path.unlink(missing_ok=True)
    return held


def dealt(piles: Any) -> Iterator[tuple[int, Any]]:
    """Yield each pile that occurs, ascending, and the places where it does, in their order."""
    order = np.argsort(piles.astype(np.uint16), kind="stable")  # short numbers are sorted by their digits
    numbers, starts = np.unique(piles[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)
