"""The state of a sweep on disk: written whole, then renamed."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from contagion_graph._typing import FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.scenarios.tasks import Part, Setting
from contagion_graph.state import Tally
from contagion_graph.tables.files import replacing

NAME = "sweep-{:010d}.parquet"
PIECE = 1 << 26  # bytes of a value in Parquet, of at most 2 GB
LAYOUT = 4  # of what is kept: a state of another one is not taken up
SPARE = 3  # a state is written beside the one before it, and a disk is not filled to the brim


class Reached(NamedTuple):
    """How many scenarios are done, and their results."""

    done: int
    part: Part | None


class Checkpoint:
    """A folder with the state of a sweep: one Parquet file, whose name says how many scenarios are done.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    mark : str
        Says which sweep it is.
    size : int
        Bytes that a whole state needs.
    """

    def __init__(self, folder: str | Path, mark: str, size: int) -> None:
        self.folder, self.mark = Path(folder), mark
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.folder / "probe") as beside:
                beside.write_bytes(b"probe")
            (self.folder / "probe").unlink()
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            message = f"checkpoint {str(self.folder)!r} cannot be written ({error}); name a folder that can"
            raise ParameterError(message) from error
        if free < SPARE * size:
            raise ParameterError(
                f"checkpoint {str(self.folder)!r} has {free / 1e6:,.0f} MB left and needs {SPARE * size / 1e6:,.0f}; "
                "make room, keep less, or go without"
            )

    def load(self) -> Reached:
        """Return how far the sweep has come."""
        for path in sorted(self.folder.glob(NAME.replace("{:010d}", "*")), reverse=True):
            table = pyarrow.parquet.read_table(path)
            meta = json.loads(table.schema.metadata[b"sweep"])
            if meta["mark"] != self.mark:
                raise ParameterError(
                    f"checkpoint {str(self.folder)!r} belongs to another sweep: the graph, the model, the scenarios or "
                    "what is kept has changed. Name another folder, or empty this one"
                )
            return Reached(meta["done"], _unpacked(table, meta))
        return Reached(0, None)

    def save(self, reached: Reached) -> None:
        """Write how far the sweep has come, then remove what was written before."""
        assert reached.part is not None
        columns, meta = _packed(reached.part)
        meta |= {"mark": self.mark, "done": reached.done}
        path = self.folder / NAME.format(reached.done)
        with replacing(path) as beside:
            pyarrow.parquet.write_table(pa.table(columns, metadata={"sweep": json.dumps(meta)}), beside)
        for old in self.folder.glob("*sweep-*"):  # also what a killed process left half-written
            if old != path:
                old.unlink()


def _arrays(part: Part) -> dict[str, np.ndarray[Any, Any]]:
    named = {f"figures.{name}": values for name, values in part.figures.items()}
    named |= {"price": part.price, "needed": part.needed}
    return named | ({} if part.tally is None else {f"tally.{k}": each for k, each in enumerate(part.tally)})


def _packed(part: Part) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bytes of every array in pieces, as rows of a table, and the shapes and types of the arrays."""
    names, pieces = [], []
    arrays = _arrays(part)
    for name, each in arrays.items():
        whole = each.tobytes()
        for start in range(0, max(len(whole), 1), PIECE):
            names.append(name)
            pieces.append(whole[start : start + PIECE])
    columns = {"array": names, "bytes": pa.array(pieces, type=pa.large_binary())}
    return columns, {"arrays": {name: [each.dtype.str, each.shape] for name, each in arrays.items()}}


def _unpacked(table: pa.Table, meta: dict[str, Any]) -> Part:
    pieces: dict[str, list[bytes]] = {name: [] for name in meta["arrays"]}
    for name, piece in zip(table.column("array").to_pylist(), table.column("bytes").to_pylist(), strict=True):
        pieces[name].append(piece)
    whole = {
        name: np.frombuffer(b"".join(pieces[name]), dtype=kind).reshape(shape).copy()
        for name, (kind, shape) in meta["arrays"].items()
    }
    figures = {name.removeprefix("figures."): each for name, each in whole.items() if name.startswith("figures.")}
    tally = Tally(*(whole[f"tally.{k}"] for k in range(6))) if "tally.0" in whole else None
    return Part(figures, whole["price"], whole["needed"], tally)


def mark_of(setting: Setting, price: FloatArray) -> str:
    """Return a text that differs for another graph, model, set of scenarios, or choice of what is kept."""
    mark = hashlib.blake2b(repr((LAYOUT, setting.rules, setting.kept)).encode(), digest_size=16)
    mark.update(setting.graph.fingerprint().encode())
    mark.update(price.tobytes())
    return mark.hexdigest()
