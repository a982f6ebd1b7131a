"""Nodes and edges as networkx and igraph graphs, and the way back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph.errors import Faults, ParameterError
from contagion_graph.graph.network import GIVEN, given_name
from contagion_graph.tables.assemble import KEPT
from contagion_graph.tables.schema import SCHEMAS

NAMES_OF_A_NODE = ("side", "label")
SIDES = ("trader", "asset", "position")
REMEDY = (
    "Every node needs side='trader', 'asset' or 'position'; edges join a trader and an asset, or a position and each."
)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts of plain Python values, without what is missing."""
    return [
        {str(name): value for name, value in row.items() if not pd.isna(value)}
        for row in table.to_dict(orient="records")
    ]


def to_networkx(
    nodes: pd.DataFrame, edges: pd.DataFrame, *, tables: Mapping[str, pd.DataFrame], make: str = "Graph"
) -> Any:
    """Return nodes and edges as a networkx graph of the class `make`; the tables travel in its graph attributes."""
    import networkx as nx

    network: Any = getattr(nx, make)()
    network.graph.update({name: table.to_dict(orient="list") for name, table in tables.items()})
    network.add_nodes_from((row.pop("id"), row) for row in _rows(nodes))
    network.add_edges_from((row.pop("source"), row.pop("target"), row) for row in _rows(edges))
    return network


def to_igraph(nodes: pd.DataFrame, edges: pd.DataFrame, *, directed: bool = False) -> Any:
    """Return nodes and edges as an igraph graph; where there are two sides, `type` says which."""
    import igraph

    position = pd.Index(nodes["id"])
    ends = np.column_stack([position.get_indexer(edges["source"]), position.get_indexer(edges["target"])])
    vertices = nodes.rename(columns={"id": "name"}).to_dict(orient="list")
    if not directed:
        right = "position" if (nodes["side"] == "position").any() else "asset"
        vertices["type"] = (nodes["side"] == right).tolist()
    weights = edges.drop(columns=["source", "target"]).to_dict(orient="list")
    return igraph.Graph(n=len(nodes), edges=ends, directed=directed, vertex_attrs=vertices, edge_attrs=weights)


def _check_networkx(network: Any) -> None:
    """Refuse what is no networkx graph, most often one of igraph."""
    if not hasattr(network, "nodes") or not hasattr(network, "is_directed"):
        turned = "; give network.to_networkx()" if hasattr(network, "to_networkx") else "; give a networkx graph"
        raise ParameterError(f"network is a {type(network).__name__} of {type(network).__module__}{turned}")


def network_tables_of_networkx(network: Any) -> dict[str, Any]:
    """Return the tables of a network of obligations, given as a directed networkx graph."""
    faults = Faults()
    _check_networkx(network)
    if not network.is_directed():
        faults.add(
            "network", "it is not directed", "Give a DiGraph or MultiDiGraph; an edge goes from debtor to creditor."
        )
    faults.raise_if_any()
    known = SCHEMAS["nodes"].columns
    nodes = [
        {**{name: value for name, value in data.items() if name in known}, "node": _label(node, data)}
        for node, data in network.nodes(data=True)
    ]
    label = {node: _label(node, data) for node, data in network.nodes(data=True)}
    owed = [
        {
            "debtor": label[debtor],
            "creditor": label[creditor],
            **{name: data.get(name) for name in ("amount", "seniority")},
        }
        for debtor, creditor, data in network.edges(data=True)
    ]
    held = network.graph.get("equity_holdings")
    empty: dict[str, list[Any]] = {"debtor": [], "creditor": [], "amount": []}
    return {"obligations": _columns(owed) or empty, "nodes": _columns(nodes), "equity_holdings": held}


def tables_of_networkx(network: Any) -> dict[str, Any]:
    """Return the tables of an exposure graph, given as a networkx graph with named sides."""
    faults = Faults()
    _check_networkx(network)
    sides: dict[str, dict[Any, dict[str, Any]]] = {side: {} for side in SIDES}
    for node, data in network.nodes(data=True):
        if data.get("side") not in sides:
            faults.add("network", f"node {node!r} has side {data.get('side')!r}", REMEDY)
        else:
            sides[data["side"]][node] = data
    faults.raise_if_any()
    positions = (
        _position_nodes(network, sides, faults) if sides["position"] else _position_edges(network, sides, faults)
    )
    faults.raise_if_any()
    assets = [{"asset": _label(node, data), **_attributes(data)} for node, data in sides["asset"].items()]
    traders = [{"trader": _label(node, data), **_attributes(data)} for node, data in sides["trader"].items()]
    return {
        "positions": _columns(positions),
        "assets": _columns(assets),
        **{name: network.graph.get(name) for name in ("pools", *KEPT.values())},
        "accounts": network.graph.get("accounts", _columns(traders)),
    }


def _position_edges(network: Any, sides: Any, faults: Faults) -> list[dict[str, Any]]:
    rows = []
    for one, other, data in network.edges(data=True):
        trader, asset = (one, other) if one in sides["trader"] else (other, one)
        if trader not in sides["trader"] or asset not in sides["asset"]:
            faults.add("network", f"edge {one!r} - {other!r} joins two nodes of one side", REMEDY)
            continue
        rows.append(_position(sides, trader, asset, data))
    return rows


def _position_nodes(network: Any, sides: Any, faults: Faults) -> list[dict[str, Any]]:
    rows = []
    for node, data in sides["position"].items():
        ends = list(network.neighbors(node))
        trader = [end for end in ends if end in sides["trader"]]
        asset = [end for end in ends if end in sides["asset"]]
        if len(ends) != 2 or len(trader) != 1 or len(asset) != 1:
            faults.add("network", f"position {node!r} has neighbours {ends!r:.80}", REMEDY)
            continue
        rows.append({**_position(sides, trader[0], asset[0], data), "position": _label(node, data)})
    return rows


def _position(sides: Any, trader: Any, asset: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in data.items() if name in SCHEMAS["positions"].columns}
    labels = {"trader": _label(trader, sides["trader"][trader]), "asset": _label(asset, sides["asset"][asset])}
    return {**known, **labels}


def _label(node: Any, data: Mapping[str, Any]) -> str:
    return str(data.get("label", node))


def _attributes(data: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in data.items() if name not in NAMES_OF_A_NODE}
    return {name.removeprefix(GIVEN) if given_name(name) != name else name: value for name, value in own.items()}


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
