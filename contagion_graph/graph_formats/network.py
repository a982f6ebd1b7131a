"""Nodes and edges as arrays: what every graph format writes.

Nodes are numbered side by side: all traders, then all assets, then all positions, as far as they are drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.graph_formats.holdings import Array, Positions
from contagion_graph.graph_formats.node_tables import Side


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes and edges as arrays.

    Parameters
    ----------
    sides : tuple of Side
        Their nodes are numbered through.
    source, target : ndarray of int, shape (edges,)
        Node numbers.
    weight : ndarray, shape (edges,)
        From 0 up.
    attributes : mapping of name to array_like
        One value an edge.
    kind : Categorical or None
        What tells parallel edges apart.
    positions : Positions
        Those that are drawn.
    number : ndarray of int, shape (positions,)
        The edge, or the node of side position, that each position is part of; -1 where none.
    directed : bool
        Whether edges run from source to target.
    """

    sides: tuple[Side, ...]
    source: Array
    target: Array
    weight: FloatArray
    attributes: Mapping[str, Any]
    kind: Any
    positions: Positions
    number: Array
    directed: bool = False

    @property
    def starts(self) -> Array:
        """The number of the first node of each side, and of all nodes."""
        return np.cumsum([0, *(len(side.ids) for side in self.sides)])

    def of_edges(self, kept: BoolArray) -> "Network":
        """Return the network of some edges and the nodes that they join."""
        linked = np.zeros(self.starts[-1], dtype=bool)
        linked[self.source[kept]] = linked[self.target[kept]] = True
        by_side = [linked[start:end] for start, end in zip(self.starts, self.starts[1:], strict=False)]
        node, edge = (np.where(mask, np.cumsum(mask) - 1, -1) for mask in (linked, kept))
        if self.sides[-1].name == "position":
            edge = np.where(by_side[-1], np.cumsum(by_side[-1]) - 1, -1)
        return replace(
            self,
            sides=tuple(side.of(mask) for side, mask in zip(self.sides, by_side, strict=True)),
            source=node[self.source[kept]],
            target=node[self.target[kept]],
            weight=self.weight[kept],
            attributes={name: pd.Series(values)[kept] for name, values in self.attributes.items()},
            kind=None if self.kind is None else self.kind[kept],
            number=np.where(self.number >= 0, edge[self.number], -1),
        )
