"""A folder of tables becomes a graph."""

from pathlib import Path

from contagion_graph.errors import Faults
from contagion_graph.graph import ExposureGraph
from contagion_graph.tables.schema import GRAPH_TABLES

SUFFIXES = (".csv", ".parquet")


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
    ...     paths = cg.write_tables(graph, folder)
    ...     cg.read_tables(folder)
    <ExposureGraph: 1 trader, 1 account, 1 asset, 1 position, 1 pool; gross value 20, equity 20>
    """
    faults = Faults()
    folder = Path(folder)
    if not folder.is_dir():
        faults.add("folder", f"{str(folder)!r} is not a folder", "Give one that holds positions.csv and assets.csv.")
        faults.raise_if_any()
    found = {
        name: [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").exists()] for name in GRAPH_TABLES
    }
    for name, paths in found.items():
        if not paths and name in ("positions", "assets"):
            faults.add(name, f"no {name}.csv or {name}.parquet in {str(folder)!r}", "Add it.")
        if len(paths) > 1:
            faults.add(name, f"there is a {paths[0].name} and a {paths[1].name}", "Keep one of them.")
    faults.raise_if_any()
    return ExposureGraph.from_tables(**{name: paths[0] for name, paths in found.items() if paths})
