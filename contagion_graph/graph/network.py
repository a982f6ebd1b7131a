"""Nodes and edges as arrays: what networkx and igraph graphs are made of, and what every graph format writes.

Nodes are numbered side by side: all traders, then all assets, then all positions, as far as they are drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.graph.holdings import Array, Positions, holdings_of, no_positions, positions_of

GIVEN = "given_"
NODE_NAMES = ("id", "side", "label", "name", "type")  # of nodes, in networkx and igraph

if TYPE_CHECKING:
    from contagion_graph.graph.exposure import ExposureGraph
    from contagion_graph.graph.obligations import ObligationNetwork


@dataclass(frozen=True, eq=False)
class Side:
    """The nodes of one side.

    Parameters
    ----------
    name : {"trader", "asset", "position"}
        The side, which is also the prefix of its ids.
    ids, labels : Index of str
        "trader:A" and "A".
    attributes : mapping of name to array_like
        One value a node.
    rows : ndarray of int
        The number of each in the graph.
    event : str
        The attribute with the round of the first breach or default, 0 = never; empty where there is none.
    """

    name: str
    ids: "pd.Index[str]"
    labels: "pd.Index[str]"
    attributes: Mapping[str, Any]
    rows: Array
    event: str = ""

    @property
    def reached(self) -> Array:
        """The round of that event for each of the nodes; 0 = never."""
        return np.asarray(self.attributes[self.event]) if self.event else np.zeros(len(self.ids), dtype=np.int64)

    @property
    def kind(self) -> Any:
        """The side, for each of the nodes."""
        return pd.Categorical.from_codes(np.zeros(len(self.ids), dtype=np.int8), pd.Index([self.name]))

    def of(self, kept: BoolArray) -> "Side":
        """Return some of the nodes."""
        attributes = {name: pd.Series(values)[kept] for name, values in self.attributes.items()}
        return Side(self.name, self.ids[kept], self.labels[kept], attributes, self.rows[kept], self.event)


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
    directed : bool
        Whether edges run from source to target.
    """

    sides: tuple[Side, ...]
    source: Array
    target: Array
    weight: FloatArray
    attributes: Mapping[str, Any]
    kind: Any
    positions: Positions
    number: Array
    directed: bool = False

    @property
    def starts(self) -> Array:
        """The number of the first node of each side, and of all nodes."""
        return np.cumsum([0, *(len(side.ids) for side in self.sides)])

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the nodes (id, side, label, attributes) and the edges (source, target, attributes, weight)."""
        sides = [
            pd.DataFrame({"id": side.ids, "side": side.name, "label": side.labels, **side.attributes})
            for side in self.sides
        ]
        nodes = pd.concat(sides, ignore_index=True)
        ends = {name: nodes["id"].take(end).array for name, end in (("source", self.source), ("target", self.target))}
        return nodes, pd.DataFrame({**ends, **self.attributes, "weight": self.weight})

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


def bipartite_network(graph: "ExposureGraph", sides: tuple[Side, ...], positions: Positions) -> Network:
    """Return traders and assets, and an edge for each kind of position of a trader in an asset."""
    held = holdings_of(positions, len(graph.assets))
    value = held.quantity * graph.price[held.asset]
    kind = pd.Categorical.from_codes(held.kind, positions.kinds)
    attributes = {"position_kind": kind, "quantity": held.quantity, "value": value}
    ends = (held.trader, held.asset + len(graph.traders))
    return Network(sides, *ends, np.abs(value), attributes, kind, positions, held.number)


def incidence_network(graph: "ExposureGraph", sides: tuple[Side, ...], positions: Positions) -> Network:
    """Return traders, assets and positions, and two edges a position, to its trader and to its asset."""
    n, m, size = len(graph.traders), len(graph.assets), positions.account.size
    number, value = np.arange(size), np.tile(positions.value, 2)
    ends = np.concatenate([positions.trader, positions.asset + n])
    return Network(sides, np.tile(number + n + m, 2), ends, np.abs(value), {"value": value}, None, positions, number)


def obligation_network(network: "ObligationNetwork", attributes: Mapping[str, Any], event: str = "") -> Network:
    """Return the nodes with attributes, and an edge from debtor to creditor for each rank of seniority."""
    cells = [rank.tocoo() for rank in network.ranks]
    debtor, creditor, amount = (
        np.concatenate([getattr(own, name) for own in cells]) for name in ("row", "col", "data")
    )
    rank = np.repeat(np.arange(len(cells)), [own.nnz for own in cells])
    # kinds tell edges of one debtor and creditor apart, where there can be several
    names = pd.Index([f"rank {k}" for k in range(len(cells))])
    kind = None if len(cells) == 1 else pd.Categorical.from_codes(rank, names)
    of_edges, nowhere = {"amount": amount, "seniority": rank}, np.zeros(0, dtype=np.int64)
    side = Side("trader", "trader:" + network.nodes, network.nodes, attributes, np.arange(len(network.nodes)), event)
    return Network((side,), debtor, creditor, amount, of_edges, kind, no_positions(), nowhere, directed=True)


def given_network(graph: "ExposureGraph", *, positions_are_nodes: bool) -> Network:
    """Return the network of a graph whose nodes carry the columns of its tables, and nothing else."""
    frames, positions = graph.to_frames(), positions_of(graph)
    traders, assets, held = trader_table(frames["accounts"]), frames["assets"], frames["positions"]
    if not positions_are_nodes:  # what derivatives cost is in no edge, so it has to be in the cash
        traders["cash"] = graph._rows.per_trader(graph.cash)
        return bipartite_network(graph, (_given("trader", traders), _given("asset", assets)), positions)
    if "position" not in held:
        held = held.assign(position=np.arange(len(held)).astype(str))
    held = held.drop(columns=["trader", "asset"]).assign(value=positions.value, weight=np.abs(positions.value))
    sides = (_given("trader", traders), _given("asset", assets), _given("position", held))
    return incidence_network(graph, sides, positions)


def given_name(column: str) -> str:
    """Return the name of an attribute: given_id for id, where nodes have a name of their own so called.

    Examples
    --------
    >>> given_name("id"), given_name("given_id"), given_name("rating")
    ('given_id', 'given_given_id', 'rating')
    """
    bare = column
    while bare.startswith(GIVEN):
        bare = bare[len(GIVEN) :]
    return GIVEN + column if bare in NODE_NAMES else column


def _given(name: str, table: pd.DataFrame) -> Side:
    labels = pd.Index(table[name])
    attributes = {given_name(str(column)): table[column].array for column in table.columns.drop(name)}
    return Side(name, name + ":" + labels, labels, attributes, np.arange(len(table)))


def trader_table(accounts: pd.DataFrame) -> pd.DataFrame:
    """One row a trader: everything of its only account, or the sums of its several accounts."""
    sums = {"cash": "sum", **({"share": "sum"} if "share" in accounts else {})}
    if not accounts["trader"].duplicated().any():
        return accounts.drop(columns=["pool", "subaccount"])
    return accounts.groupby("trader", sort=False, as_index=False).agg(sums)
