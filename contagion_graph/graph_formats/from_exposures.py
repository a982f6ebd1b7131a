"""An exposure graph, or a cascade on it, as nodes and edges."""

from dataclasses import replace
from typing import Literal

import numpy as np
from scipy import sparse

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.holdings import Positions, mean_share, positions_of
from contagion_graph.graph.network import Network, bipartite_network, incidence_network
from contagion_graph.graph_formats.core import core_traders
from contagion_graph.graph_formats.node_tables import asset_side, closed_shares, position_side, trader_side
from contagion_graph.importance.portfolio_overlap import overlap
from contagion_graph.margin.result import CascadeResult
from contagion_graph.solvers.arrays import largest

Nodes = Literal["bipartite", "positions", "traders", "assets"]


def exposure_network(source: ExposureGraph | CascadeResult, nodes: Nodes, k: int | None) -> Network:
    """Return all nodes and edges of a graph or a cascade, or those of the `k` traders (or assets)."""
    result = source if isinstance(source, CascadeResult) else None
    graph = source if isinstance(source, ExposureGraph) else source.graph
    chosen = _chosen(graph, result, "assets" if nodes == "assets" else "traders", k)
    if nodes in ("traders", "assets"):
        return _projection(graph, result, nodes, chosen)
    positions = positions_of(graph)
    if not chosen.all():
        positions = positions.of(chosen[positions.trader])
    return (_bipartite if nodes == "bipartite" else _incidence)(graph, result, positions)


def _bipartite(graph: ExposureGraph, result: CascadeResult | None, positions: Positions) -> Network:
    network = bipartite_network(graph, (trader_side(graph, result), asset_side(graph, result)), positions)
    if result is None:
        return network
    closed = mean_share(network.number, positions, closed_shares(result, positions), network.weight.size)
    return replace(network, attributes={**network.attributes, "closed": closed})


def _incidence(graph: ExposureGraph, result: CascadeResult | None, positions: Positions) -> Network:
    sides = (trader_side(graph, result), asset_side(graph, result), position_side(graph, result, positions))
    return incidence_network(graph, sides, positions)


def _projection(graph: ExposureGraph, result: CascadeResult | None, nodes: str, chosen: BoolArray) -> Network:
    """Traders joined by their liquidity-weighted overlap, or assets by the cosine of their holdings."""
    if nodes == "traders":
        side = trader_side(graph, result)
        part = graph if chosen.all() else graph.subset(traders=graph.traders[chosen])
        try:
            cells = sparse.triu(overlap(part, measure="liquidity").matrix, k=1).tocoo()
        except ParameterError as error:
            raise ParameterError(f"{error}; or keep the core with k=1000") from error
    else:
        side = asset_side(graph, result)
        matrix = overlap(graph, of="assets").matrix
        cells = sparse.triu(matrix[chosen][:, chosen], k=1).tocoo()
    number = np.flatnonzero(chosen)
    attributes = {"overlap": cells.data, "sign": np.sign(cells.data).astype(np.int64)}
    ends, positions = (number[cells.row], number[cells.col]), positions_of(graph)
    nowhere = np.full(positions.row.size, -1)
    return Network((side,), *ends, np.abs(cells.data), attributes, None, positions, nowhere)


def standing(source: ExposureGraph | CascadeResult, side: str) -> tuple[str, FloatArray]:
    """Return what nodes of a side are ranked by, and how much of it each has: a loss, or the gross value held."""
    graph = source if isinstance(source, ExposureGraph) else source.graph
    if side == "asset":
        held = graph._rows.column_sums(abs(graph.quantity), np.ones(len(graph.account_index)))
        return "open interest", held * graph.price
    if isinstance(source, CascadeResult):
        return "losses", np.maximum(source.traders["loss"].to_numpy(), 0.0)
    return "gross value", graph._rows.per_trader(graph._rows.initial.gross)


def _chosen(graph: ExposureGraph, result: CascadeResult | None, side: str, k: int | None) -> BoolArray:
    """Mark the `k` nodes of a side: those that close or lose most in a cascade, else those that hold most."""
    size = len(graph.assets if side == "assets" else graph.traders)
    if k is None:
        return np.ones(size, dtype=bool)
    chosen = np.zeros(size, dtype=bool)
    if side == "traders" and result is not None:
        chosen[core_traders(result, k)] = True
    else:
        chosen[largest(standing(graph, side[:-1])[1], k)] = True
    return chosen
