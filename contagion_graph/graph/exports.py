"""The ways out of an exposure graph and of a network: tables, sparse matrices, networkx and igraph graphs."""

import hashlib
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph import elements
from contagion_graph.graph.network import given_network, obligation_network
from contagion_graph.graph.rows import RowReductions
from contagion_graph.tables import frames, networks
from contagion_graph.tables.assemble import KEPT

Nodes = Literal["positions", "bipartite"]
BESIDE = ("instruments", "margin_tiers", "margin_scenarios")  # tables that a bipartite graph keeps
VECTORS = ("cash", "price", "depth", "margin_long", "margin_short", "sellable", "insurance_fund", "share")


class GraphExports:
    """What an `ExposureGraph` can be turned into; it holds nothing of its own."""

    quantity: sparse.csr_array
    price: FloatArray
    account_index: pd.MultiIndex
    _rows: RowReductions

    @property
    def traders(self) -> "pd.Index[str]":
        """The trader labels, in order of their first account."""
        return self.account_index.levels[0]

    def to_frames(self) -> dict[str, pd.DataFrame]:
        """Return the tables of the graph as pandas frames; `from_tables(**frames)` builds it again.

        Returns
        -------
        dict of DataFrame
            positions, assets, pools, accounts, and backing, obligations, instruments, margin_tiers,
            margin_scenarios and layers where they were given.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0], traders=["A"], assets=["X"])
        >>> graph.to_frames()["positions"][["trader", "asset", "quantity", "kind"]]
          trader asset  quantity     kind
        0      A     X       2.0  deposit
        """
        return frames.graph_frames(vars(self))

    def fingerprint(self) -> str:
        """Return a hash of what the graph holds: the same for the same market, whatever tables it came from.

        It covers cells, vectors, labels, and the tables backing, obligations and of margins. It does not cover how
        positions add up to a cell, nor further columns of the tables.

        Returns
        -------
        str
            SHA-256, in 64 hexadecimal digits.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> one, other = (cg.ExposureGraph.from_arrays([[q]], price=[1.0]) for q in (1.0, 2.0))
        >>> one.fingerprint() == one.assign(price=1.0).fingerprint() != other.fingerprint()
        True
        """
        graph: Any = self  # its fields are not known to this class
        q, digest = self.quantity, hashlib.sha256(repr(self.quantity.shape).encode())
        for array in (q.indptr.astype(np.int64), q.indices.astype(np.int64), q.data, graph.margin_units.data):
            digest.update(np.ascontiguousarray(array).data)
        for name in (*VECTORS, "account_index", "assets", "pools", *KEPT, "account_margin", "asset_group"):
            value = getattr(graph, name)
            if isinstance(value, pd.Index | pd.DataFrame):
                value = pd.util.hash_pandas_object(value, index=False).to_numpy()
            digest.update(name.encode() + (b"" if value is None else np.ascontiguousarray(value).tobytes()))
        return digest.hexdigest()

    def to_scipy(self, *, rows: Literal["traders", "accounts"] = "traders", weight: str = "value") -> sparse.csr_array:
        """Return the projection rows x assets as a sparse matrix.

        Parameters
        ----------
        rows : {"traders", "accounts"}
            What a row is; accounts of one trader add up.
        weight : {"value", "quantity"}
            Signed currency at `price`, or signed units.

        Returns
        -------
        csr_array, shape (traders or accounts, assets)

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[2.0, -1.0]], price=[10.0, 5.0])
        >>> graph.to_scipy().toarray().tolist()
        [[20.0, -5.0]]
        """
        if rows not in ("traders", "accounts") or weight not in ("value", "quantity"):
            raise ParameterError(
                f"rows={rows!r}, weight={weight!r}: rows is traders or accounts, weight value or quantity"
            )
        matrix = self.quantity.copy()
        if weight == "value":
            matrix.data = matrix.data * self.price[matrix.indices]
        return matrix if rows == "accounts" else self._rows.trader_rows(matrix)

    def to_networkx(self, *, nodes: Nodes = "bipartite") -> Any:
        """Return the exposure graph as a networkx graph.

        Parameters
        ----------
        nodes : {"bipartite", "positions"}
            "bipartite": traders and assets, one edge for each pair with a position; pools and subaccounts are not in
            it. "positions": each position is a node of its own, with an edge to its trader and one to its asset;
            `from_networkx` builds the whole graph from it again.

        Returns
        -------
        networkx.Graph
            Nodes are named "trader:A", "asset:A", "position:7" and carry `side`, `label` and all attributes; edges
            carry `weight` (gross value), signed `value` [currency] and, in the bipartite graph, signed `quantity`.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0], traders=["A"], assets=["A"])
        >>> list(graph.to_networkx().edges(data=True))
        [('trader:A', 'asset:A', {'quantity': 2.0, 'value': 20.0, 'weight': 20.0})]
        """
        kept = ("pools", "accounts", *KEPT.values()) if nodes == "positions" else BESIDE
        tables = {name: table for name, table in self.to_frames().items() if name in kept}
        return elements.to_networkx(*self.elements(nodes), tables=tables)

    def to_igraph(self, *, nodes: Nodes = "bipartite") -> Any:
        """Return the exposure graph as an igraph graph, with the nodes, edges and attributes of `to_networkx`.

        Parameters
        ----------
        nodes : {"bipartite", "positions"}
            As in `to_networkx`.

        Returns
        -------
        igraph.Graph
            Its vertex attribute `name` holds "trader:A"; `type` is True for assets ("bipartite") or for positions.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0], traders=["A"], assets=["A"])
        >>> graph.to_igraph().vs["name"]
        ['trader:A', 'asset:A']
        """
        return elements.to_igraph(*self.elements(nodes))

    def elements(self, nodes: Nodes = "bipartite") -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the nodes and the edges of the graph as two tables: what every export is made of."""
        if nodes not in ("positions", "bipartite"):
            raise ParameterError(f"nodes={nodes!r}: it is 'positions' or 'bipartite'")
        graph: Any = self
        of_nodes, edges = given_network(graph, positions_are_nodes=nodes == "positions").tables()
        if nodes == "bipartite":  # one edge a pair: the kinds of position add up
            edges = edges.drop(columns="position_kind").groupby(["source", "target"], sort=False, as_index=False).sum()
        return of_nodes, edges


class NetworkExports:
    """What an `ObligationNetwork` can be turned into; it holds nothing of its own."""

    ranks: tuple[sparse.csr_array, ...]

    def to_frames(self) -> dict[str, pd.DataFrame]:
        """Return the tables obligations, nodes and, where there are any, equity_holdings; `from_tables(**frames)`.

        Ranks of seniority are numbered 0, 1, ...
        """
        return networks.network_frames(self)

    def elements(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the nodes and the edges (debtor to creditor) as two tables: what every export is made of.

        Returns
        -------
        nodes : DataFrame
            id ("trader:A"), side ("trader"), label, external_assets, external_liabilities, equity [currency].
        edges : DataFrame
            source, target, amount [currency], seniority, weight (the amount).
        """
        network: Any = self  # its book equity is not known to this class
        nodes = self.to_frames()["nodes"].drop(columns="node").assign(equity=network.book_equity)
        return obligation_network(network, {str(name): nodes[name] for name in nodes}).tables()

    def to_networkx(self) -> Any:
        """Return the network as a networkx DiGraph, or a MultiDiGraph where there are several ranks.

        Returns
        -------
        networkx.DiGraph or MultiDiGraph
            Nodes are named "trader:A"; edges go from debtor to creditor and carry `amount`, `weight`, `seniority`.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> network = cg.ObligationNetwork.from_arrays([[0, 1], [0, 0]], external_assets=1.0, nodes=["A", "B"])
        >>> list(network.to_networkx().edges(data="amount"))
        [('trader:A', 'trader:B', 1.0)]
        """
        tables = {name: table for name, table in self.to_frames().items() if name == "equity_holdings"}
        make = "DiGraph" if len(self.ranks) == 1 else "MultiDiGraph"
        return elements.to_networkx(*self.elements(), tables=tables, make=make)

    def to_igraph(self) -> Any:
        """Return the network as a directed igraph graph, with the nodes, edges and attributes of `to_networkx`."""
        return elements.to_igraph(*self.elements(), directed=True)
