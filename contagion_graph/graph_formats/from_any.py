"""What can be drawn, as nodes and edges that a graph format can hold."""

from typing import Any, get_args

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.network import Network
from contagion_graph.graph_formats import from_exposures, from_obligations
from contagion_graph.graph_formats.from_exposures import Nodes
from contagion_graph.graph_formats.from_obligations import DebtSource
from contagion_graph.margin.result import CascadeResult

Source = ExposureGraph | CascadeResult | DebtSource
LARGEST = 1_000_000  # edges; Gephi still draws so many


def network_of(
    source: Source, nodes: Nodes | None = None, *, k: int | None = None, min_weight: float | None = None
) -> Network:
    """Return the nodes and edges that stand for a graph, a network or a result, filtered.

    Raises
    ------
    ParameterError
        A name or number that cannot be, something that cannot be drawn, or too many edges.
    """
    if nodes is not None:
        check_choice("nodes", nodes, get_args(Nodes))
    if k is not None:
        check_number("export", "k", k, low=1, whole=True)
    network = _whole(source, nodes, k)
    if k is not None or min_weight is not None:
        least = 0.0 if min_weight is None else min_weight
        check_number("export", "min_weight", least, low=0)
        network = network.of_edges(network.weight >= least)
    if network.weight.size > LARGEST:
        raise ParameterError(_too_many(network))
    return network


def standing(source: Source, side: str) -> tuple[str, FloatArray]:
    """Return what nodes of a side are ranked by, and how much of it each has: a loss, or the value held."""
    if isinstance(source, ExposureGraph | CascadeResult):
        return from_exposures.standing(source, side)
    return from_obligations.standing(source)


def _whole(source: Any, nodes: Nodes | None, k: int | None) -> Network:
    if isinstance(source, ExposureGraph | CascadeResult):
        return from_exposures.exposure_network(source, nodes or "bipartite", k)
    if not isinstance(source, DebtSource):
        kinds = [kind.__name__ for kind in get_args(Source)]
        raise ParameterError(f"source is a {type(source).__name__}; give {', '.join(kinds[:-1])} or {kinds[-1]}")
    if nodes not in (None, "traders"):
        raise ParameterError(f"nodes={nodes!r}: obligations join traders; leave it out, or give an exposure graph")
    return from_obligations.debt_network(source, k)


def _too_many(network: Network) -> str:
    weight = network.weight
    least = np.partition(weight, weight.size - LARGEST)[weight.size - LARGEST]
    remedies = [
        "keep the core with k=1000 (the traders that close, lose or hold most)",
        f"or the heaviest edges with min_weight={least:.3g}",
        *([] if network.directed else ["or take nodes='assets'"]),
    ]
    return f"{weight.size:,} edges are more than the {LARGEST:,} that Gephi can draw; {', '.join(remedies)}"
