"""What a graph format writes: nodes by side, edges between them, and what was left out.

Nodes are numbered side by side: all traders, then all assets, then all positions, as far as they are drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph.errors import ParameterError
from contagion_graph.graph import ExposureGraph
from contagion_graph.importance.portfolios import overlap
from contagion_graph.io.core import core_traders
from contagion_graph.io.holdings import Array, Positions, closed_shares, holdings_of, positions_of
from contagion_graph.io.sides import Side, asset_side, position_side, trader_side
from contagion_graph.results import CascadeResult
from contagion_graph.rules.checks import check_choice, check_number
from contagion_graph.tables.schema import BoolArray, FloatArray

Nodes = Literal["bipartite", "positions", "traders", "assets"]
LARGEST = 1_000_000  # edges; Gephi still draws so many


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
    """

    sides: tuple[Side, ...]
    source: Array
    target: Array
    weight: FloatArray
    attributes: Mapping[str, Any]
    kind: Any
    positions: Positions
    number: Array

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


def network_of(
    source: ExposureGraph | CascadeResult, nodes: Nodes, *, top: int | None = None, min_weight: float | None = None
) -> Network:
    """Return the nodes and edges that stand for a graph or a result, filtered.

    Raises
    ------
    ParameterError
        A name or number that cannot be, something else than a graph or a result, or too many edges.
    """
    check_choice("nodes", nodes, get_args(Nodes))
    if not isinstance(source, ExposureGraph | CascadeResult):
        raise ParameterError(f"a {type(source).__name__} is neither an ExposureGraph nor a CascadeResult")
    result = source if isinstance(source, CascadeResult) else None
    graph = source if isinstance(source, ExposureGraph) else source.graph
    chosen = _chosen(graph, result, "assets" if nodes == "assets" else "traders", top)
    network = _drawn(graph, result, nodes, chosen)
    if top is not None or min_weight is not None:
        least = 0.0 if min_weight is None else min_weight
        check_number("export", "min_weight", least, low=0)
        network = network.of_edges(network.weight >= least)
    if network.weight.size > LARGEST:
        raise ParameterError(_too_many(network))
    return network


def standing(source: ExposureGraph | CascadeResult, side: str) -> tuple[str, FloatArray]:
    """Return what nodes of a side are ranked by, and how much of it each has: a loss, or the gross value held."""
    graph = source if isinstance(source, ExposureGraph) else source.graph
    if side == "asset":
        return "open interest", graph.column_sums(abs(graph.quantity), np.ones(len(graph.accounts))) * graph.price
    if isinstance(source, CascadeResult):
        return "losses", np.maximum(source.traders["loss"].to_numpy(), 0.0)
    return "gross value", graph.per_trader(graph.rest[1])


def _chosen(graph: ExposureGraph, result: CascadeResult | None, side: str, top: int | None) -> BoolArray:
    """Mark the `top` nodes of a side: who closes or loses most in a cascade, else who holds most."""
    size = len(graph.assets if side == "assets" else graph.traders)
    if top is None:
        return np.ones(size, dtype=bool)
    check_number("export", "top", top, low=1, whole=True)
    chosen = np.zeros(size, dtype=bool)
    if side == "traders" and result is not None:
        chosen[core_traders(result, top)] = True
    else:
        chosen[np.argsort(-standing(graph, side[:-1])[1], kind="stable")[:top]] = True
    return chosen


def _drawn(graph: ExposureGraph, result: CascadeResult | None, nodes: Nodes, chosen: BoolArray) -> Network:
    if nodes in ("traders", "assets"):
        return _projection(graph, result, nodes, chosen)
    positions = positions_of(graph)
    if not chosen.all():
        positions = positions.of(chosen[positions.trader])
    return (_bipartite if nodes == "bipartite" else _incidence)(graph, result, positions)


def _bipartite(graph: ExposureGraph, result: CascadeResult | None, positions: Positions) -> Network:
    """Traders and assets; one edge a holding."""
    held = holdings_of(positions, len(graph.assets))
    value = held.quantity * graph.price[held.asset]
    kind = pd.Categorical.from_codes(held.kind, positions.kinds)
    attributes = {"position_kind": kind, "quantity": held.quantity, "value": value}
    if result is not None:
        attributes["closed"] = held.share(positions, closed_shares(result, positions))
    sides = (trader_side(graph, result), asset_side(graph, result))
    ends = (held.trader, held.asset + len(graph.traders))
    return Network(sides, *ends, np.abs(value), attributes, kind, positions, held.number)


def _incidence(graph: ExposureGraph, result: CascadeResult | None, positions: Positions) -> Network:
    """Traders, assets and positions; two edges a position, to its trader and to its asset."""
    sides = (trader_side(graph, result), asset_side(graph, result), position_side(graph, result, positions))
    n, m, size = len(graph.traders), len(graph.assets), positions.account.size
    number = np.arange(size)
    ends = np.concatenate([positions.trader, positions.asset + n])
    twice = {"value": np.tile(positions.value, 2)}
    return Network(sides, np.tile(number + n + m, 2), ends, np.abs(twice["value"]), twice, None, positions, number)


def _projection(graph: ExposureGraph, result: CascadeResult | None, nodes: str, chosen: BoolArray) -> Network:
    """Traders joined by their liquidity-weighted overlap, or assets by the cosine of who holds them."""
    if nodes == "traders":
        side = trader_side(graph, result)
        part = graph if chosen.all() else graph.subset(traders=graph.traders[chosen])
        try:
            cells = sparse.triu(overlap(part, "liquidity"), k=1).tocoo()
        except ParameterError as error:
            raise ParameterError(f"{error}; or keep the core with top=1000") from error
    else:
        side = asset_side(graph, result)
        matrix = overlap(graph, "cosine", of="assets")
        cells = sparse.triu(matrix[chosen][:, chosen], k=1).tocoo()
    number = np.flatnonzero(chosen)
    sign = np.sign(cells.data).astype(np.int64)
    attributes = {"overlap": cells.data, "sign": sign}
    ends, positions = (number[cells.row], number[cells.col]), positions_of(graph)
    nowhere = np.full(positions.row.size, -1)
    return Network((side,), *ends, np.abs(cells.data), attributes, None, positions, nowhere)


def _too_many(network: Network) -> str:
    weight = network.weight
    least = np.partition(weight, weight.size - LARGEST)[weight.size - LARGEST]
    return (
        f"{weight.size:,} edges are more than the {LARGEST:,} that Gephi can draw; keep the core with top=1000 (those "
        f"who close, lose or hold most), or the heaviest edges with min_weight={least:.3g}, or take nodes='assets'"
    )
