"""A network with styles and places: what every graph format writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._written import Written
from contagion_graph.graph.network import Network
from contagion_graph.graph_formats.from_any import Source, network_of, standing
from contagion_graph.graph_formats.from_exposures import Nodes
from contagion_graph.graph_formats.layout import Layout, layout_of
from contagion_graph.graph_formats.style import Looks, looks_of
from contagion_graph.solvers.arrays import ratio

FLOAT32 = np.finfo(np.float32)


@dataclass(frozen=True, eq=False)
class Drawing:
    """Nodes and edges with everything that is written of them.

    Parameters
    ----------
    network : Network
        Nodes and edges.
    looks : Looks
        Sizes, colours, and the legend.
    places : ndarray, shape (nodes, 2), or None
        Positions.
    share, measure
        As in `Written`.
    """

    network: Network
    looks: Looks
    places: FloatArray | None
    share: float
    measure: str

    @property
    def description(self) -> str:
        """The legend, and what was left out."""
        held = f"Kept: {self._kept()}, with {self.share:.1%} of all {self.measure}."
        return f"{self.looks.legend} Edge weights are in 32 bits; exact amounts are attributes. {held}"

    def _kept(self) -> str:
        sides = " and ".join(f"{len(side.ids):,} {side.name}s" for side in self.network.sides[:2])
        return f"{sides}, {self.network.weight.size:,} edges"

    @property
    def weight(self) -> FloatArray:
        """Edge weights with all their digits, but above 0, or Gephi would drop the edge."""
        return np.maximum(self.network.weight, float(FLOAT32.tiny))

    @property
    def weight32(self) -> Any:
        """Edge weights as Gephi reads them: in 32 bits, and finite there."""
        return np.minimum(self.weight, float(FLOAT32.max)).astype(np.float32)

    def node_values(self, number: int) -> dict[str, Any]:
        """Return everything about the nodes of one side, names as Gephi's importers know them."""
        side, start = self.network.sides[number], int(self.network.starts[number])
        rows = slice(start, start + len(side.ids))
        looks: dict[str, Any] = {"size": self.looks.size[rows]}
        looks |= dict(zip("rgb", self.looks.node_colour[rows].T.astype(np.int64), strict=True))
        if self.places is not None:
            looks |= dict(zip("xy", self.places[rows].T, strict=True))
        return {"label": side.labels, "side": side.kind, **side.attributes, **looks}

    def written(self, *paths: Path) -> Written:
        """Return the report of what was written to some files."""
        nodes, edges = int(self.network.starts[-1]), self.network.weight.size
        return Written(paths, nodes=nodes, edges=edges, share=self.share, measure=self.measure)


def drawing_of(
    source: Source,
    nodes: Nodes | None,
    *,
    k: int | None,
    min_weight: float | None,
    layout: Layout,
    size: "pd.Series[float] | None" = None,
) -> Drawing:
    """Return a graph, a network or a result as it is drawn; a size is importance by trader or asset."""
    network = network_of(source, nodes, k=k, min_weight=min_weight)
    looks = looks_of(network, source, size)
    measure, amount = standing(source, network.sides[0].name)
    total, kept = amount.sum(), amount[network.sides[0].rows].sum()
    return Drawing(network, looks, layout_of(network, looks.size, layout), float(ratio(kept, total, 1.0)), measure)
