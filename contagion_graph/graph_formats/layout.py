"""Where nodes stand, so that a file opens as a picture: rings, or a force layout that starts from them."""

import random
from typing import Literal, get_args

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice
from contagion_graph.graph.network import Network, Side

Layout = Literal["rings", "force", "none"]
GAP = 1.25  # room that a node takes along its ring, in diameters
STEPS = 300  # of the force layout


def layout_of(network: Network, radius: FloatArray, layout: Layout) -> FloatArray | None:
    """Return x and y of every node, shape (nodes, 2), or None where readers are to choose."""
    check_choice("layout", layout, get_args(Layout))
    if layout == "none":
        return None
    places = rings(network, radius)
    return force(network, places) if layout == "force" else places


def force(network: Network, places: FloatArray) -> FloatArray:
    """Return a Fruchterman-Reingold layout that starts from given places; it is the same each time.

    igraph shakes nodes a little, by numbers from Python's `random`: these are fixed, and `random` is left as it was.
    """
    import igraph

    size = len(places)
    graph = igraph.Graph(n=size, edges=np.column_stack([network.source, network.target]))
    heaviest = network.weight.max(initial=0.0)
    weights = np.sqrt(network.weight / heaviest) + 1e-3 if heaviest > 0.0 else np.ones(network.weight.size)
    spread = np.sqrt(size) / max(np.abs(places).max(initial=0.0), 1.0)
    state = random.getstate()
    try:
        random.seed(0)
        found = graph.layout_fruchterman_reingold(weights=weights, niter=STEPS, seed=(places * spread).tolist())
    finally:
        random.setstate(state)
    return np.asarray(np.array(found.coords).reshape(size, 2) / spread)


def rings(network: Network, radius: FloatArray) -> FloatArray:
    """Return places on rings: assets in the middle; traders around, the first to breach nearest, beside what they hold.

    No trader covers another. A position stands between its trader and its asset.
    """
    sides = {side.name: (side, start) for side, start in zip(network.sides, network.starts, strict=False)}
    places = np.zeros((len(radius), 2))
    angle = _asset_angles(network, sides)
    inner = 0.0
    if "asset" in sides:
        side, start = sides["asset"]
        own = radius[start : start + len(side.ids)]
        inner = 2.5 * GAP * 2.0 * own.sum() / (2.0 * np.pi) if len(own) > 1 else 0.0
        places[start : start + len(own)] = _polar(np.full(len(own), inner), angle[side.rows])
        inner = 1.5 * inner + own.max(initial=0.0)
    if "trader" in sides:
        side, start = sides["trader"]
        own = radius[start : start + len(side.ids)]
        places[start : start + len(own)] = _around(side, own, _main_asset(network, side, angle), inner)
    if "position" in sides:
        start = sides["position"][1]
        places[start:] = _between(network, places)
    return np.asarray(places.round(2))


def _asset_angles(network: Network, sides: dict[str, tuple[Side, int]]) -> FloatArray:
    """Return the angle of each asset: two thirds of the circle are shared out evenly, one by positions."""
    asset = network.positions.asset
    rows = sides["asset"][0].rows if "asset" in sides else np.unique(asset)
    counts = np.bincount(asset, minlength=int(rows.max(initial=0)) + 1)
    width = 2.0 / max(rows.size, 1) + counts[rows] / max(counts[rows].sum(), 1)
    angle = np.zeros(counts.size)
    angle[rows] = 2.0 * np.pi * (np.cumsum(width) - width / 2.0) / max(width.sum(), 1e-300)
    return angle


def _main_asset(network: Network, side: Side, angle: FloatArray) -> FloatArray:
    """Return for each trader the angle of the asset in which it holds the most units of currency."""
    positions = network.positions
    main = np.zeros(max(int(side.rows.max(initial=0)), int(positions.trader.max(initial=0))) + 1)
    order = np.argsort(np.abs(positions.value), kind="stable")  # the last one written is the largest
    main[positions.trader[order]] = angle[positions.asset[order]]
    return np.asarray(main[side.rows])


def _around(side: Side, radius: FloatArray, angle: FloatArray, inner: float) -> FloatArray:
    """Return places on full rings from a radius on: the first to be reached come first, and of these the largest."""
    places = np.zeros((len(radius), 2))
    reached = side.reached
    late = np.where(reached > 0, reached, reached.max(initial=0) + 1)
    order = np.lexsort([-radius, late])
    while order.size:
        # a ring on which each has the room of the largest
        around = 2.0 * np.pi * (inner + GAP * radius[order[0]])
        widest = 2.0 * GAP * np.maximum.accumulate(radius[order[: int(around / (2.0 * GAP * radius.min())) + 1]])
        count = max(1, int(np.count_nonzero(np.arange(1, widest.size + 1) * widest <= around)))
        ring, order = order[:count], order[count:]
        ring = ring[np.argsort(angle[ring], kind="stable")]
        turn = 2.0 * np.pi * np.arange(count) / count
        turn += np.angle(np.exp(1j * (angle[ring] - turn)).sum())
        places[ring] = _polar(np.full(count, inner + widest[count - 1] / 2.0), turn)
        inner += widest[count - 1]
    return places


def _between(network: Network, places: FloatArray) -> FloatArray:
    """Return the places of positions: between both ends, several of one pair one after the other."""
    half = network.source.size // 2
    first, second = places[network.target[:half]], places[network.target[half:]]
    pair = network.target[:half].astype(np.int64) * len(places) + network.target[half:]
    _, number, count = np.unique(pair, return_inverse=True, return_counts=True)
    order = np.argsort(number, kind="stable")
    rank = np.empty(half, dtype=np.int64)
    rank[order] = np.arange(half) - np.repeat(np.cumsum(count) - count, count)
    share = (rank + 1.0) / (count[number] + 1.0)
    found = np.empty((len(places) - network.starts[-2], 2))
    found[network.source[:half] - network.starts[-2]] = first + share[:, None] * (second - first)
    return found


def _polar(radius: FloatArray, angle: FloatArray) -> FloatArray:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
