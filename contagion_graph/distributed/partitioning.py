"""Tables of any size become a partitioned data set."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet

from contagion_graph.chunks import chunk_borders
from contagion_graph.distributed.account_rows import Ints, account_rows, cell_counts
from contagion_graph.distributed.dataset import Layout
from contagion_graph.distributed.margins import check_margins
from contagion_graph.distributed.write_dataset import write_accounts, write_positions, write_whole_tables
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.tables.assemble import check_prices, check_references, check_sizes
from contagion_graph.tables.checks import read_table
from contagion_graph.tables.convert import UNREADABLE, is_parquet, parquet_files
from contagion_graph.tables.files import path_of, replacing_folder, table_files
from contagion_graph.tables.schema import GRAPH_TABLES, Table
from contagion_graph.tables.spool import Spooled, spool

SPOOLED = 48  # bytes of a position on disk while the parts are written


def partition(tables: Mapping[str, object] | str | Path, folder: str | Path, *, n_parts: int) -> Path:
    """Write tables as a data set in `n_parts` parts of successive accounts, without holding the positions in memory.

    Each part holds whole chunks of the graph, the pieces in which every sum over accounts is added up, so that models
    give the same bits on the parts together as on one machine. Parts have about as many accounts and positions each.
    A graph has at most 64 chunks, small ones fewer: with more parts asked for, there are as many
    as chunks with accounts.

    Parameters
    ----------
    tables : mapping of table name to table, or path
        As `ExposureGraph.from_tables` takes them, or a folder as `read_tables` takes it. Positions in Parquet, one file
        or a folder of them, are read a group of rows at a time; all other tables, and positions of any other make, are
        read whole.
    folder : path
        Where the data set is to be: new, or an empty folder. It appears when it is complete, or not at all.
    n_parts : int
        The number of parts, from 1.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    TableError
        With every fault of every table, as `ExposureGraph.from_tables` finds them.
    ParameterError
        Where `folder` is in use or cannot be written, or the disk is full.

    Notes
    -----
    Memory: the labels of accounts (and of positions, where these have any), about 220 bytes an account while they are
    matched; and a group of rows. Disk, besides what is written in the end: about 48 bytes a position.

    Examples
    --------
    >>> import tempfile
    >>> import contagion_graph as cg
    >>> graph = cg.generate.perpetuals(1000, 10, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = cg.distributed.partition(graph.to_frames(), f"{folder}/parts", n_parts=4)
    ...     sorted(entry.name for entry in path.glob("part*"))
    ['part-00000', 'part-00001', 'part-00002', 'part-00003']
    """
    if isinstance(n_parts, bool) or not isinstance(n_parts, int | np.integer) or n_parts < 1:
        raise ParameterError(f"partition: n_parts is {n_parts!r}; it must be a whole number from 1 up")
    sources = _sources(tables)
    folder = path_of("folder", folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ParameterError(f"partition: {str(folder)!r} is in use; name a new or an empty folder")
    try:
        with replacing_folder(folder) as beside:
            _check_room(sources["positions"], beside)
            with tempfile.TemporaryDirectory(dir=beside) as spooled:
                _write(sources, Path(spooled), beside, int(n_parts))
    except OSError as error:
        message = f"partition: {str(folder)!r} cannot be written ({error}); make room there, or name another folder"
        raise ParameterError(message) from error
    return folder


def _sources(tables: Mapping[str, object] | str | Path) -> dict[str, object]:
    if not isinstance(tables, Mapping):
        faults = Faults()
        found = table_files(path_of("tables", tables), GRAPH_TABLES, faults)
        faults.raise_if_any()
        return dict(found)
    wrong = sorted(set(map(str, tables)) - set(GRAPH_TABLES))
    missing = [name for name in ("positions", "assets") if tables.get(name) is None]
    if wrong or missing:
        raise ParameterError(f"partition: tables are {list(GRAPH_TABLES)}; unknown: {wrong}, missing: {missing}")
    return {name: tables[name] for name in GRAPH_TABLES if tables.get(name) is not None}


def _check_room(positions: object, beside: Path) -> None:
    """Refuse a disk that is too full for what lies there while the parts are written; Parquet says its size."""
    if not is_parquet(positions):
        return
    try:
        files = parquet_files(Path(positions))
        rows = sum(pyarrow.parquet.read_metadata(path).num_rows for path in files)
        needed = SPOOLED * rows + sum(path.stat().st_size for path in files)
    except UNREADABLE:
        return  # the reader of positions reports it with all other faults
    free = shutil.disk_usage(beside).free
    if free < needed:
        raise ParameterError(
            f"partition: {str(beside.parent)!r} has {free / 1e6:,.0f} MB left and needs about {needed / 1e6:,.0f}"
        )


def _write(sources: Mapping[str, object], spooled: Path, folder: Path, n: int) -> None:
    tables, positions = _checked(sources, spooled)
    accounts = account_rows(tables, positions, spooled)
    check_margins(tables, accounts, positions)
    cells = cell_counts(accounts, positions, spooled)
    borders = chunk_borders(np.append(0, np.cumsum(cells)))
    layout = Layout(cells.size, int(cells.sum()), borders.tolist(), first_blocks(borders, n))
    write_whole_tables(tables, accounts, folder)
    write_accounts(tables, accounts, layout, folder)
    write_positions(positions, accounts, layout, folder)
    layout.write(folder)


def _checked(sources: Mapping[str, object], spooled: Path) -> tuple[dict[str, Table], Spooled]:
    """Return the checked tables, positions among them on disk; raise one error with all faults."""
    faults = Faults()
    positions = spool("positions", sources["positions"], spooled, faults)
    tables = {} if positions is None else {"positions": positions.table}
    for name, source in sources.items():
        if name != "positions" and (table := read_table(name, source, faults)) is not None:
            tables[name] = table
    check_references(tables, faults)
    faults.raise_if_any()
    if "instruments" in tables:
        check_prices(tables)
    check_sizes(tables)
    assert positions is not None
    return tables, positions


def first_blocks(block_borders: Ints, n: int) -> list[int]:
    """Return the blocks at which n parts begin and end, each a border of a chunk; no part is empty.

    Examples
    --------
    >>> import numpy as np
    >>> first_blocks(np.array([0, 1, 2, 2, 4, 5]), 2), first_blocks(np.array([0, 1, 2, 2, 4, 5]), 7)
    ([0, 2, 5], [0, 1, 2, 4, 5])
    """
    borders = np.unique(block_borders)
    parts = min(n, borders.size - 1)
    chosen: list[int] = borders[np.arange(parts + 1) * (borders.size - 1) // parts].tolist()
    return chosen
