"""The layout of a partitioned data set, and the way from a part of it to a graph.

dataset.json             accounts, cells, and the blocks at which chunks and parts begin and end
assets.parquet           and pools, and backing, instruments, margins and obligations where they were given: whole
split_traders.parquet    traders with accounts in more than one part
part-00000/              positions.parquet and accounts.parquet, which lists every account of the part
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from contagion_graph.chunks import BLOCK
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.tables import assemble
from contagion_graph.tables.files import path_of

FORMAT = 1
NAME = "dataset.json"
SHARED = ("assets", "pools", "backing", "instruments", "layers", "margin_tiers", "margin_scenarios")


@dataclass(frozen=True)
class Layout:
    """What dataset.json says.

    Parameters
    ----------
    accounts, cells : int
        Rows and stored cells of the whole graph.
    block_borders : list of int
        The blocks of rows at which the fixed chunks of the whole graph begin and end.
    first_blocks : list of int
        The blocks at which the parts begin and end; each is one of `block_borders`.
    """

    accounts: int
    cells: int
    block_borders: list[int]
    first_blocks: list[int]

    @property
    def parts(self) -> int:
        """The number of parts."""
        return len(self.first_blocks) - 1

    def rows(self, part: int) -> slice:
        """Return the rows of the whole graph that a part holds."""
        first, last = (min(block * BLOCK, self.accounts) for block in self.first_blocks[part : part + 2])
        return slice(first, last)

    def write(self, folder: Path) -> None:
        """Write dataset.json."""
        (folder / NAME).write_text(json.dumps({"format": FORMAT, **asdict(self)}), encoding="utf-8")


def read_layout(folder: str | Path) -> Layout:
    """Read dataset.json of a folder."""
    try:
        content = json.loads((path_of("folder", folder) / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{str(folder)!r} is not a partitioned data set ({error}); write one with distributed.partition"
        raise ParameterError(message) from error
    if content.pop("format", None) != FORMAT:
        raise ParameterError(f"{str(folder)!r} has another format than {FORMAT}; partition the tables again")
    return Layout(**content)


def part_folder(folder: str | Path, part: int) -> Path:
    """Return the folder of a part."""
    return Path(folder) / f"part-{part:05d}"


def read_part(folder: str | Path, part: int) -> ExposureGraph:
    """Read one part of a partitioned data set: some successive accounts, all assets, all pools.

    Its rows are those of the graph of the whole tables, bit for bit. Obligations, which go across parts, are left out.

    Parameters
    ----------
    folder : path
        What `distributed.partition` wrote.
    part : int
        Number of the part, from 0.

    Returns
    -------
    ExposureGraph

    Raises
    ------
    ParameterError
        Where there is no such part.

    Examples
    --------
    >>> import tempfile
    >>> import contagion_graph as cg
    >>> graph = cg.generate.perpetuals(1000, 10, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = cg.distributed.partition(graph.to_frames(), f"{folder}/parts", n_parts=2)
    ...     cg.distributed.read_part(path, 1)
    <ExposureGraph: 488 traders, 488 accounts, 10 assets, ... positions, 1 pool; gross value ...>
    """
    parts = read_layout(folder).parts
    if part not in range(parts):
        raise ParameterError(f"{str(folder)!r} has parts 0 to {parts - 1}, no part {part!r}")
    shared = {name: Path(folder) / f"{name}.parquet" for name in SHARED}
    own = {name: part_folder(folder, part) / f"{name}.parquet" for name in ("positions", "accounts")}
    sources = {name: path for name, path in {**own, **shared}.items() if path.exists()}
    return ExposureGraph(**assemble.graph_arrays(assemble.read_tables(sources, empty=True)))
