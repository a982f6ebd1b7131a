"""A folder of tables becomes a graph."""

from pathlib import Path

from contagion_graph.errors import Faults
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.tables.files import table_files
from contagion_graph.tables.schema import GRAPH_TABLES


def read_tables(folder: str | Path) -> ExposureGraph:
    """Read a folder with positions, assets and, where they are there, pools, accounts, backing, obligations.

    Parameters
    ----------
    folder : path
        Holds one file for each table, named after it: positions.csv or positions.parquet, and so on.

    Returns
    -------
    ExposureGraph

    Raises
    ------
    TableError
        With every fault of every file.

    Examples
    --------
    >>> import tempfile
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = cg.write_tables(graph, folder)
    ...     cg.read_tables(folder)
    <ExposureGraph: 1 trader, 1 account, 1 asset, 1 position, 1 pool; gross value 20, equity 20>
    """
    faults = Faults()
    found = table_files(Path(folder), GRAPH_TABLES, faults)
    faults.raise_if_any()
    return ExposureGraph.from_tables(**found)
