"""A network of obligations, or a result on it, as nodes and edges: traders, joined from debtor to creditor."""

from dataclasses import replace
from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.clearing.result import ClearingResult
from contagion_graph.distress.result import DistressResult
from contagion_graph.graph.network import Network, obligation_network
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.solvers.arrays import largest

DebtSource = ObligationNetwork | ClearingResult | DistressResult


def debt_network(source: DebtSource, k: int | None) -> Network:
    """Return all nodes, or the `k` of them, and an edge for each debtor, creditor and rank of seniority."""
    network = source if isinstance(source, ObligationNetwork) else source.network
    drawn = obligation_network(network, *_attributes(network, source))
    if not isinstance(source, ObligationNetwork):
        lost = _lost(source, drawn.source, drawn.weight)
        drawn = replace(drawn, attributes={**drawn.attributes, "lost": lost})
    if k is None:
        return drawn
    chosen = np.zeros(len(network.nodes), dtype=bool)
    chosen[largest(standing(source)[1], k)] = True
    return drawn.of_edges(chosen[drawn.source] & chosen[drawn.target])


def standing(source: DebtSource) -> tuple[str, FloatArray]:
    """Return what nodes are ranked by, and how much of it each has: a loss, or all its assets."""
    if isinstance(source, ObligationNetwork):
        return "assets", source.external_assets + source.claims
    return "losses", np.maximum(source.loss.to_numpy(), 0.0)


def _attributes(network: ObligationNetwork, source: DebtSource) -> tuple[dict[str, Any], str]:
    """Return the balance sheets and the columns of a result, and which of these is the round of default."""
    attributes = {str(name): values.to_numpy() for name, values in network.balance_sheets.items()}
    event = ""
    if not isinstance(source, ObligationNetwork):
        event, taken = "default_round", set(attributes)
        attributes["loss"] = source.loss.to_numpy()
        for name, values in source.nodes.items():
            attributes[f"{name}_after" if name in taken else str(name)] = values.to_numpy()
    return attributes, event


def _lost(source: ClearingResult | DistressResult, debtor: Any, amount: FloatArray) -> FloatArray:
    """Return what the creditor of each edge does not get [currency]."""
    if isinstance(source, DistressResult):
        return np.asarray(amount * source.outcomes.marked_down[0][debtor])
    return np.asarray(amount - np.concatenate([paid.data for paid in source.flows_by_rank()]))
