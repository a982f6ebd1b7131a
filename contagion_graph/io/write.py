"""Tables become files in a folder."""

import re
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol

import pandas as pd

from contagion_graph._result import Pair
from contagion_graph._validate import check_choice
from contagion_graph._written import Written
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.tables.convert import write_file
from contagion_graph.tables.files import SUFFIXES, path_of, replacing_set
from contagion_graph.tables.schema import GRAPH_TABLES


class HasTables(Protocol):
    """A graph, a network or a result."""

    @abstractmethod
    def to_frames(self) -> dict[str, pd.DataFrame]:
        """Return tables by name."""


def write_tables(
    source: HasTables,
    folder: str | Path,
    *,
    format: Literal["csv", "parquet"] = "csv",  # noqa: A002 - the usual word
) -> Written:
    """Write the tables of a graph or of a result, one file each; no file is ever seen half-written.

    Parameters
    ----------
    source : ExposureGraph, ObligationNetwork or result
        Anything with `to_frames`.
    folder : path
        Made where it does not exist. The files of tables that an earlier graph left there, and that this one does not
        have, go; after an error all is as it was.
    format : {"csv", "parquet"}
        In CSV a label that a spreadsheet would run as a formula stands behind an apostrophe; `read_tables` removes it.

    Returns
    -------
    Written
        The files, in the order of the tables.

    Raises
    ------
    ParameterError
        A source without tables; another format; tables of a result that would replace those of a graph.

    Examples
    --------
    >>> import tempfile
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in cg.write_tables(graph, folder, format="parquet").paths]
    ['positions.parquet', 'assets.parquet', 'pools.parquet', 'accounts.parquet']
    """
    if not hasattr(source, "to_frames"):
        one = "one end, least or greatest" if isinstance(source, Pair) else "a graph, a network or a result"
        raise ParameterError(f"source is a {type(source).__name__}; give {one}")
    check_choice("format", format, ("csv", "parquet"))
    folder, tables = path_of("folder", folder), source.to_frames()
    if not isinstance(source, ExposureGraph):
        _check_not_over_a_graph(folder, tables)
    read = GRAPH_TABLES if isinstance(source, ExposureGraph) else ()  # those of an earlier graph would be read with it
    with replacing_set(folder, rf"({'|'.join([*read, *map(re.escape, tables)])})\.(csv|parquet)") as beside:
        for name, frame in tables.items():
            write_file(dict(frame.items()), beside / f"{name}.{format}")
    return Written(tuple(folder / f"{name}.{format}" for name in tables))


def _check_not_over_a_graph(folder: Path, tables: Iterable[str]) -> None:
    """Refuse to write over what a graph is read from: the tables of a result have names of a graph's tables."""
    taken = sorted({*tables} & {*GRAPH_TABLES})
    if taken and any((folder / f"positions{suffix}").exists() for suffix in SUFFIXES):
        raise ParameterError(
            f"{str(folder)!r} holds a graph; its tables {', '.join(taken)} would be replaced; give another folder"
        )
