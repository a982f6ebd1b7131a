"""A network of obligations, or a result on it, as nodes and edges: traders, joined from debtor to creditor."""

from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph.clearing.result import ClearingResult
from contagion_graph.distress.result import DistressResult
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.graph_formats.holdings import no_positions
from contagion_graph.graph_formats.network import Network
from contagion_graph.graph_formats.node_tables import Side
from contagion_graph.solvers.arrays import largest

DebtSource = ObligationNetwork | ClearingResult | DistressResult


def debt_network(source: DebtSource, k: int | None) -> Network:
    """Return all nodes, or the `k` of them, and an edge for each debtor, creditor and rank of seniority."""
    network = source if isinstance(source, ObligationNetwork) else source.network
    cells = [rank.tocoo() for rank in network.ranks]
    debtor, creditor, amount = (
        np.concatenate([getattr(own, name) for own in cells]) for name in ("row", "col", "data")
    )
    rank = np.repeat(np.arange(len(cells)), [own.nnz for own in cells])
    attributes: dict[str, Any] = {"amount": amount, "seniority": rank}
    if not isinstance(source, ObligationNetwork):
        attributes["lost"] = _lost(source, debtor, amount)
    ends, nowhere = (debtor, creditor), np.zeros(0, dtype=np.int64)
    side, kind = _side(network, source), _kind(rank, len(cells))
    drawn = Network((side,), *ends, amount, attributes, kind, no_positions(), nowhere, directed=True)
    if k is None:
        return drawn
    chosen = np.zeros(len(network.nodes), dtype=bool)
    chosen[largest(standing(source)[1], k)] = True
    return drawn.of_edges(chosen[debtor] & chosen[creditor])


def _kind(rank: Any, ranks: int) -> Any:
    """Return what tells edges of one debtor and creditor apart, where there can be several."""
    return None if ranks == 1 else pd.Categorical.from_codes(rank, pd.Index([f"rank {k}" for k in range(ranks)]))


def standing(source: DebtSource) -> tuple[str, FloatArray]:
    """Return what nodes are ranked by, and how much of it each has: a loss, or all its assets."""
    if isinstance(source, ObligationNetwork):
        return "assets", source.external_assets + source.claims
    return "losses", np.maximum(source.loss.to_numpy(), 0.0)


def _side(network: ObligationNetwork, source: DebtSource) -> Side:
    """Return the nodes: the balance sheets, and the columns of a result."""
    attributes = {str(name): values.to_numpy() for name, values in network.balance_sheets.items()}
    event = ""
    if not isinstance(source, ObligationNetwork):
        event, taken = "default_round", set(attributes)
        attributes["loss"] = source.loss.to_numpy()
        for name, values in source.nodes.items():
            attributes[f"{name}_after" if name in taken else str(name)] = values.to_numpy()
    return Side("trader", "trader:" + network.nodes, network.nodes, attributes, np.arange(len(network.nodes)), event)


def _lost(source: ClearingResult | DistressResult, debtor: Any, amount: FloatArray) -> FloatArray:
    """Return what the creditor of each edge does not get [currency]."""
    if isinstance(source, DistressResult):
        return np.asarray(amount * source.outcomes.marked_down[0][debtor])
    return np.asarray(amount - np.concatenate([paid.data for paid in source.flows_by_rank()]))
