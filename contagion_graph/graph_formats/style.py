"""How nodes and edges look: sizes by what is lost or held, colours that the colour-blind can tell apart, the legend."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.holdings import Array
from contagion_graph.graph.network import Network, Side
from contagion_graph.graph_formats.from_any import Source, standing
from contagion_graph.solvers.arrays import ratio

EVENTS = {"breach_round": ("round", "first breach"), "default_round": ("round", "default")}
OF_TRADERS = (None, "trader", "node")  # names of an index; the nodes of a network of obligations are traders
RADII = {"trader": (3.0, 20.0), "asset": (10.0, 30.0), "position": (1.5, 6.0)}
# Okabe and Ito's blue and sky blue for sides, ColorBrewer's YlOrRd for rounds: dark is early; light edges below both
ASSET, TRADER, CALM = (0, 114, 178), (86, 180, 233), (200, 205, 210)
LONG, SHORT = (165, 200, 225), (235, 190, 150)
HEAT = np.array([(128, 0, 38), (227, 26, 28), (253, 141, 60), (254, 217, 118)], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Looks:
    """Sizes and colours.

    Parameters
    ----------
    size : ndarray, shape (nodes,)
        Radius, in the unit of positions.
    node_colour, edge_colour : ndarray of uint8, shape (nodes, 3) and (edges, 3)
        Red, green, blue.
    legend : str
        What they mean, in sentences.
    """

    size: FloatArray
    node_colour: Array
    edge_colour: Array
    legend: str


def heat(share: FloatArray) -> Array:
    """Return colours from dark red (0) over orange to light yellow (1), shape (size, 3).

    Examples
    --------
    >>> heat(np.array([0.0, 1.0])).tolist()
    [[128, 0, 38], [254, 217, 118]]
    """
    stops = np.linspace(0.0, 1.0, len(HEAT))
    return np.stack([np.interp(share, stops, channel) for channel in HEAT.T], axis=-1).round().astype(np.uint8)


def looks_of(network: Network, source: Source, importance: "pd.Series[float] | None" = None) -> Looks:
    """Return sizes and colours of a network: sizes by importance where it is given, else by what is lost or held."""
    by_side = [_amounts(side, source, importance) for side in network.sides]
    sizes = [_radii(side.name, amount) for side, (_, amount) in zip(network.sides, by_side, strict=True)]
    colours, meanings = zip(*(_colours(side) for side in network.sides), strict=True)
    marked, edges = _marked_edges(network)
    edge_colour = np.array([LONG, SHORT], dtype=np.uint8)[marked.astype(np.intp)]
    legend = [
        *(f"Size of {side.name} nodes: {what}." for side, (what, _) in zip(network.sides, by_side, strict=True)),
        *meanings,
        edges,
    ]
    return Looks(np.concatenate(sizes), np.concatenate(colours), edge_colour, " ".join(legend))


def _marked_edges(network: Network) -> tuple[Any, str]:
    """Return which edges have the second colour, and what the two mean."""
    if not network.directed:
        signed = np.asarray(network.attributes["value" if "value" in network.attributes else "overlap"])
        return signed < 0.0, f"Edges: long, or of like sign, {rgb(LONG)}; short, or of opposite sign, {rgb(SHORT)}."
    meaning = f"Edges run from debtor to creditor: {rgb(LONG)}"
    if "lost" not in network.attributes:
        return np.zeros(network.weight.size, dtype=bool), f"{meaning}."
    return np.asarray(network.attributes["lost"]) > 0.0, f"{meaning}; where the creditor loses, {rgb(SHORT)}."


def _amounts(side: Side, source: Source, importance: "pd.Series[float] | None") -> tuple[str, FloatArray]:
    if side.name == "position":
        return "value held", np.abs(np.asarray(side.attributes["value"]))
    if importance is not None and side.name == ("trader" if importance.index.name in OF_TRADERS else "asset"):
        unknown = side.labels.difference(importance.index)
        if len(unknown) or not importance.index.is_unique:
            raise ParameterError(f"size must have one value for each {side.name}; look at {unknown[:3].tolist()}")
        values = importance.reindex(side.labels).to_numpy(dtype=np.float64)
        return str(importance.name or "importance"), np.maximum(np.nan_to_num(values, posinf=0.0), 0.0)
    what, amount = standing(source, side.name)
    return what, amount[side.rows]


def _radii(side: str, amount: FloatArray) -> FloatArray:
    """Return radii whose areas, above the least, are in proportion to an amount."""
    least, most = RADII[side]
    share = ratio(amount, amount.max(initial=0.0), 0.0)
    return np.asarray(np.round(np.sqrt(least**2 + share * (most**2 - least**2)), 2))


def _colours(side: Side) -> tuple[Array, str]:
    if side.name == "asset":
        return one_colour(ASSET, len(side.ids)), f"Assets: {rgb(ASSET)}."
    if not side.event:
        return one_colour(TRADER, len(side.ids)), f"{side.name.capitalize()}s: {rgb(TRADER)}."
    reached = side.reached
    last = max(int(reached.max(initial=0)), 2)
    colour = np.where((reached > 0)[:, None], heat((reached - 1) / (last - 1)), np.array(CALM, dtype=np.uint8))
    step, what = EVENTS[side.event]
    ends = f"{rgb(HEAT[0])} in {step} 1, over red and orange, to {rgb(HEAT[-1])} in {step} {last}"
    return colour, f"{side.name.capitalize()}s by the {step} of their {what}: {ends}; never: {rgb(CALM)}."


def one_colour(colour: tuple[int, int, int], size: int) -> Array:
    """Return a colour for each of so many."""
    return np.tile(np.array(colour, dtype=np.uint8), (size, 1))


def rgb(colour: Any) -> str:
    """Return a colour in words."""
    return f"rgb({', '.join(str(int(channel)) for channel in colour)})"
