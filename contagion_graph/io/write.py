"""Tables become files in a folder."""

from pathlib import Path
from typing import Literal, Protocol

import pandas as pd

from contagion_graph._validate import check_choice
from contagion_graph.errors import ParameterError
from contagion_graph.io.written import Written
from contagion_graph.tables.convert import write_file


class HasTables(Protocol):
    """A graph, a network or a result."""

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
        Made where it does not exist. Files of the same name are replaced.
    format : {"csv", "parquet"}
        In CSV a label that a spreadsheet would run as a formula stands behind an apostrophe; `read_tables` removes it.

    Returns
    -------
    Written
        The files, in the order of the tables.

    Raises
    ------
    ParameterError
        A source without tables; another format.

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
        raise ParameterError(f"source is a {type(source).__name__}; give a graph, a network or a result")
    check_choice("format", format, ("csv", "parquet"))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, frame in source.to_frames().items():
        paths.append(folder / f"{name}.{format}")
        write_file(dict(frame.items()), paths[-1])
    return Written(tuple(paths))
