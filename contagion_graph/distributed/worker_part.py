"""A part of a graph: some of its rows, in whole chunks, and the means to add up over all of them."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._cached import cached_property, carry_over
from contagion_graph._typing import BoolArray, FloatArray, IntArray
from contagion_graph.distributed.account_rows import Ints
from contagion_graph.distributed.dataset import read_layout, read_part
from contagion_graph.errors import closest, nearest
from contagion_graph.graph.collectives import Collectives
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.margins import GraphMargins
from contagion_graph.graph.rows import RowReductions, cells_of
from contagion_graph.state import Array

KNOWN = ("initial", "falls", "cells", "members", "row_borders", "all_rows")  # what every run needs


END = 256  # of a text, among its bytes


class Apart:
    """Nobody to add up with: a part by itself knows only its own rows."""

    def total(self, parts: Array, counts: Any = ()) -> Array:
        """Refuse."""
        raise RuntimeError("the rows of a part are not all rows of its graph; sums over all exist while a model runs")

    def gather(self, values: Array) -> Array:
        """Refuse."""
        return self.total(values)


class PartRows(RowReductions):
    """The rows of a part, and the sums over all parts of its group: `Part` describes the attributes."""

    number: int
    split: "pd.Index[str]"

    @cached_property
    def _place(self) -> Any:
        """Where each of `traders` is in `split`; -1: it has no accounts elsewhere."""
        return self.split.get_indexer(self.traders)

    @cached_property
    def _split_rows(self) -> Any:
        return np.flatnonzero(self._place[self.trader_of] >= 0)

    @cached_property
    def _split_places(self) -> Any:
        """The place in `split` of every account of such a trader, in all parts."""
        return self.group.gather(self._place[self.trader_of[self._split_rows]]).astype(np.int64)

    def hint(self, label: str) -> str:
        """Return which of the traders of all parts a mistyped label may mean, for messages."""
        here = (closest(label, self.traders) or "").encode()
        codes = self.group.gather(np.array([*here, END], dtype=np.float64)).astype(np.int64)
        found = [bytes(each[:-1].tolist()).decode() for each in np.split(codes, np.flatnonzero(codes == END) + 1)[:-1]]
        return nearest(label, filter(None, found))

    def per_trader(self, amount: Any) -> FloatArray:
        """Add up an amount of each account over all accounts of each trader, shape (traders,)."""
        sums = super().per_trader(amount)
        if len(self.split):
            amounts = self.group.gather(np.asarray(amount, dtype=np.float64)[self._split_rows])
            here = self._place >= 0
            sums[here] = np.bincount(self._split_places, amounts, len(self.split))[self._place[here]]
        return sums

    def least_per_trader(self, amount: IntArray) -> IntArray:
        """Return the least of the whole numbers above 0 over all accounts of each trader; 0 where none is."""
        least = super().least_per_trader(amount)
        if len(self.split):
            whole = self._least_of_split(np.where(amount > 0, amount, np.inf)[self._split_rows])
            here = self._place >= 0
            least[here] = np.where(np.isfinite(whole), whole, 0.0)[self._place[here]]
        return least

    @cached_property
    def counted_traders(self) -> BoolArray:
        """Which of `traders` count here: those whose first account is in this part."""
        counted, here = super().counted_traders, np.flatnonzero(self._place >= 0)
        if len(self.split):
            first = self._least_of_split(np.full(self._split_rows.size, self.number))
            counted[here] = first[self._place[here]] == self.number
        return counted

    def _least_of_split(self, amount: FloatArray) -> FloatArray:
        """Return the least of an amount of `_split_rows`, in all parts, for each of `split`."""
        least = np.full(len(self.split), np.inf)
        np.minimum.at(least, self._split_places, self.group.gather(amount))
        return least


@dataclass(frozen=True, eq=False, repr=False)
class Part(ExposureGraph):
    """Some rows of a graph, whose sums are taken in the chunks of the whole graph.

    Parameters
    ----------
    number : int
        Which part it is.
    block_borders : ndarray, shape (65,)
        The blocks of its rows at which the chunks of the whole graph begin and end; most of these are empty here.
    split : Index
        All traders of the graph that have accounts in more than one part.
    group : Collectives
        The parts that a model runs on together.
    """

    number: int = 0
    block_borders: Ints = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    split: "pd.Index[str]" = field(default_factory=lambda: pd.Index([], dtype="str"))
    group: Collectives = field(default_factory=Apart)

    @cached_property
    def _rows(self) -> PartRows:  # type: ignore[override] # declared by the exports
        more = ("number", "block_borders", "split", "group")
        margins = self._margins
        if margins is None and self.account_margin is not None:  # accounts on grids are in other parts: all go one way
            margins = GraphMargins(None, (), self.assets, cells_of(self.quantity, self.margin_units))
        given = {name: getattr(self, name) for name in more}
        return PartRows.of(self, margins=margins, price_map=self._price_map, **given)

    def among(self, group: Collectives) -> "Part":
        """Return this part as one of a group, with what is known of its rows at initial prices."""
        part = replace(self, group=group)
        carry_over(self._rows, part._rows, KNOWN)
        return part


def load(folder: str, number: int) -> Part:
    """Read a part of a data set, and compute what every run needs of it; a task of a worker."""
    from contagion_graph.kernels.threads import alone

    alone.enter()
    graph, layout = read_part(folder, number), read_layout(folder)
    first, last = layout.first_blocks[number : number + 2]
    part = Part(
        **{each.name: getattr(graph, each.name) for each in fields(graph)},
        number=number,
        block_borders=np.clip(np.array(layout.block_borders) - first, 0, last - first),
        split=pd.Index(pd.read_parquet(Path(folder) / "split_traders.parquet")["trader"]),
    )
    for name in KNOWN:
        getattr(part._rows, name)
    return part
