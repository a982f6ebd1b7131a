"""When nodes and edges of a cascade are there, and what they are in each round: spells and values with a start and end.

Gephi shows an element while the time is inside one of its spells. Traders stay until they are closed whole, holdings
until the last of them is sold; what is traded in a round is an edge of its own, there in that round only.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion_graph.graph.holdings import Array
from contagion_graph.graph.network import Network
from contagion_graph.graph_formats.from_any import Source
from contagion_graph.graph_formats.rounds import Moves, Rounds, moves_of, rounds_of, when_all

OPEN, CLOSING, REDUCED, CLOSED = range(4)
STATUS = ("open", "closing", "reduced", "closed")
FLOW = "closing: "


class Spans(NamedTuple):
    """Values of elements over times: arrays of one length."""

    element: Array
    start: Array
    end: Array
    value: Array


@dataclass(frozen=True, eq=False)
class Timeline:
    """A network over time.

    Parameters
    ----------
    network : Network
        After its other edges come those that stand for what is traded of a holding.
    rounds : Rounds
        What happened.
    moves : Moves
        What was traded of each holding.
    flow : ndarray of int, shape (moves,)
        The edge that stands for each of `moves`; empty where nothing stands for them.
    node_end, edge_end : ndarray, shape (nodes,) and (edges,)
        When each is gone; of what is traded, after the last time.
    trader_of : ndarray of int, shape (n,)
        The trader of each account.
    """

    network: Network
    rounds: Rounds
    moves: Moves
    flow: Array
    node_end: Array
    edge_end: Array
    trader_of: Array

    @property
    def end(self) -> int:
        """The last moment."""
        return self.rounds.last + 2

    @property
    def held(self) -> int:
        """The number of edges that do not stand for what is traded."""
        return self.network.weight.size - np.unique(self.flow).size

    def node_spells(self) -> Spans:
        """Return when nodes are there."""
        return _whole(self.node_end)

    def edge_spells(self) -> Spans:
        """Return when edges are there."""
        flow, step = self.flow, self.moves.round
        held = _whole(self.edge_end[: self.held])
        return held if not flow.size else _after(held, Spans(flow, step, step + 1, np.ones(flow.size)))

    def node_values(self) -> dict[str, Spans]:
        """Return what changes in nodes: the status of traders, prices, how much of a position is still held."""
        found: dict[str, Spans] = {}
        for side, start in zip(self.network.sides, self.network.starts, strict=False):
            if side.name == "trader":
                found |= self._of_traders(side.rows, int(start))
            elif side.name == "asset":
                found |= self._of_assets(side.rows, int(start))
            else:
                found["held"] = self._left(side.rows.size, int(start), self.node_end)
        return found

    def edge_values(self) -> dict[str, Spans]:
        """Return what changes in edges: how much of a holding is left, and what is traded in a round [currency]."""
        if not self.flow.size:
            return {}
        step = self.moves.round
        traded = Spans(self.flow, step, step + 1, self.moves.value)
        return {"held": self._left(self.held, 0, self.edge_end), "traded": traded}

    def status(self, time: int) -> Array:
        """Return the status of every trader that is drawn, at a time."""
        side = self.network.sides[0]
        spans = self._of_traders(side.rows, 0)["status"]
        status = np.full(side.rows.size, CLOSED)
        now = (spans.start <= time) & (time < spans.end)
        status[spans.element[now]] = spans.value[now]
        return status

    def _of_traders(self, rows: Array, start: int) -> dict[str, Spans]:
        rounds, node = self.rounds, np.full(self.trader_of.max(initial=0) + 1, -1)
        node[rows] = np.arange(start, start + rows.size)
        closer = node[self.trader_of[rounds.account]]
        key = closer[closer >= 0] * (rounds.last + 1) + rounds.round[closer >= 0]
        distinct, count = np.unique(key, return_counts=True)
        closing, step = np.divmod(distinct, rounds.last + 1)
        everyone = np.arange(start, start + rows.size)
        points = Spans(
            np.concatenate([everyone, closing, closing]),
            np.concatenate([np.zeros(rows.size, dtype=np.int64), step + 1, step]),
            self.node_end,
            np.repeat([OPEN, REDUCED, CLOSING], [rows.size, closing.size, closing.size]),
        )
        return {"status": _lasting(points), "accounts_closing": Spans(closing, step, step + 1, count)}

    def _of_assets(self, rows: Array, start: int) -> dict[str, Spans]:
        price = self.rounds.price[:, rows]
        changed = np.concatenate([np.ones((1, rows.size), dtype=bool), np.diff(price, axis=0) != 0.0])
        time, asset = np.nonzero(changed)
        points = Spans(start + asset, time, self.node_end, price[time, asset])
        relative = points._replace(value=price[time, asset] / price[0, asset] - 1.0)
        return {"price_now": _lasting(points), "change_now": _lasting(relative)}

    def _left(self, size: int, start: int, end: Array) -> Spans:
        moves = self.moves
        points = Spans(
            start + np.concatenate([np.arange(size), moves.group]),
            np.concatenate([np.zeros(size, dtype=np.int64), moves.round + 1]),
            end,
            np.concatenate([np.ones(size), moves.left]),
        )
        return _lasting(points)


def timeline_of(network: Network, source: Source, mode: str) -> Timeline:
    """Return a network over the rounds of a cascade; what has none is refused."""
    graph, rounds = rounds_of(source, mode)
    starts = {side.name: int(start) for side, start in zip(network.sides, network.starts, strict=False)}
    bipartite = network.kind is not None
    size = network.weight.size if bipartite else len(network.sides[-1].ids)
    moves = moves_of(rounds, graph, network.positions, network.number, size)
    gone = np.where(moves.gone > 0, moves.gone + 1, rounds.last + 2)
    node_end = np.full(network.starts[-1], rounds.last + 2)
    if "trader" in starts:
        closed = when_all(graph._rows.trader_of, rounds.closed, len(graph.traders), rounds.last)
        closed = closed[network.sides[0].rows]
        node_end[: closed.size] = np.where(closed > 0, closed + 1, rounds.last + 2)
    if "position" in starts:
        node_end[starts["position"] :] = gone
    edge_end = np.minimum(node_end[network.source], node_end[network.target])
    if not bipartite:
        return Timeline(network, rounds, moves, np.zeros(0, dtype=np.int64), node_end, edge_end, graph._rows.trader_of)
    traded, group = np.unique(moves.group, return_inverse=True)
    edge_end = np.concatenate([np.minimum(gone, edge_end), np.full(traded.size, rounds.last + 1)])
    flows = _with_flows(network, moves, traded, group)
    return Timeline(flows, rounds, moves, size + group, node_end, edge_end, graph._rows.trader_of)


def _with_flows(network: Network, moves: Moves, traded: Array, group: Array) -> Network:
    """Return the network with an edge for what is traded of each holding."""
    kinds = network.kind.categories
    codes = np.concatenate([network.kind.codes, len(kinds) + network.kind.codes[traded]])
    kind = pd.Categorical.from_codes(codes, kinds.append(FLOW + kinds))
    sums = {
        "quantity": np.bincount(group, weights=moves.units, minlength=traded.size),
        "value": np.bincount(group, weights=moves.value, minlength=traded.size),
        "closed": np.full(traded.size, np.nan),
    }
    amounts = {name: np.concatenate([network.attributes[name], values]) for name, values in sums.items()}
    return replace(
        network,
        source=np.concatenate([network.source, network.source[traded]]),
        target=np.concatenate([network.target, network.target[traded]]),
        weight=np.concatenate([network.weight, np.abs(sums["value"])]),
        attributes={"position_kind": kind, **amounts},
        kind=kind,
    )


def _whole(end: Array) -> Spans:
    return Spans(np.arange(end.size), np.zeros(end.size, dtype=np.int64), end, np.ones(end.size))


def _after(first: Spans, second: Spans) -> Spans:
    return Spans(*(np.concatenate(both) for both in zip(first, second, strict=True)))


def _lasting(points: Spans) -> Spans:
    """Return how long values last: each until the next of its element, the last until the element is gone.

    Of two at one time the later one counts. `points.end` has one entry an element.
    """
    order = np.lexsort((points.start, points.element))
    element, start, value = points.element[order], points.start[order], points.value[order]
    following = np.append(start[1:], 0)
    last = np.append(np.diff(element) != 0, True)[: element.size]
    end = np.minimum(np.where(last, points.end[element], following), points.end[element])
    kept = start < end
    return Spans(element[kept], start[kept], end[kept], value[kept])
