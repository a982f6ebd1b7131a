"""A folder of tables becomes a graph."""

import re
from pathlib import Path

from contagion_graph.errors import SHOWN, Faults, UnusedFileWarning, nearest, tell
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.tables.files import path_of, table_files
from contagion_graph.tables.schema import GRAPH_TABLES

DATA = re.compile(r"(?i)^[^.].*\.(csv|parquet|tsv|xlsx?|feather|arrow)(\.(gz|zip|zst|bz2))?$")
RESULTS = (  # tables of results, exports and proofs; what the tables of planners are called
    *(
        "summary",
        "traders",
        "rounds",
        "waterfall",
        "fills",
        "policies",
        "taken",
        "scenarios",
        "shocks",
        "distribution",
        "banks",
        "units_sold",
    ),
    *("plan", "designs", "nodes", "edges", "jump", "norm", "figures", "pairs", "table", "kendall", "exposure", "kinks"),
    *("effective", "direct", "indirect", "statement", r"proof_\d+", r"accounts-\d+", "eligible", "routes"),
)
OWN = re.compile("|".join(RESULTS))


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

    Warns
    -----
    UnusedFileWarning
        Files of tables beside these that nothing reads; those that results, exports and proofs leave there are known.

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
    folder = path_of("folder", folder)
    found = table_files(folder, GRAPH_TABLES, faults)
    faults.raise_if_any()
    _warn_unread(folder, set(found.values()))
    return ExposureGraph.from_tables(**found)


def _warn_unread(folder: Path, found: set[Path]) -> None:
    """Warn of files that look like tables of the graph, and are none."""
    unread = [
        repr(path.name) + nearest(path.name.partition(".")[0], set(GRAPH_TABLES) - {one.stem for one in found})
        for path in sorted(folder.iterdir())
        if path not in found and DATA.search(path.name) and not OWN.fullmatch(path.name.partition(".")[0])
    ]
    if unread:
        listed = ", ".join(unread[:SHOWN]) + (f" and {len(unread) - SHOWN} more" if len(unread) > SHOWN else "")
        tell(
            f"{str(folder)!r}: nothing reads {listed}; the tables of a graph are {', '.join(GRAPH_TABLES)}, as .csv or "
            ".parquet",
            UnusedFileWarning,
        )
