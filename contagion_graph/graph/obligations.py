"""The network of obligations: who owes whom how much, as one frozen, sparse, labelled object."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._cached import OwnTables
from contagion_graph._typing import FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph import elements
from contagion_graph.graph.exports import NetworkExports
from contagion_graph.solvers.arrays import over_cells, ratio
from contagion_graph.tables import networks
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument


@dataclass(frozen=True, eq=False, repr=False)
class ObligationNetwork(OwnTables, NetworkExports):
    """Who owes whom how much, and what each node has and owes outside: n nodes.

    Build it with `from_tables`, `from_arrays` or `from_networkx`, or take `graph.obligations` of an exposure graph. It
    never changes: its arrays are read-only. Row and column i of every matrix, and entry i of every vector, is node i.
    What a node owes itself cancels; the diagonal is left out. Rows of a table that repeat (debtor, creditor, seniority)
    add up.

    Parameters
    ----------
    ranks : tuple of csr_array, shape (n, n) each
        Debtor x creditor, currency due; one matrix a rank of seniority, the rank that is paid first comes first.
    external_assets, external_liabilities : ndarray, shape (n,)
        What a node has, and owes, outside the network [currency, >= 0].
    nodes : Index
        The label of each node.
    equity_holdings : csr_array, shape (n, n), or None
        Issuer x holder: the share of the issuer's equity that the holder has.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0.0, 20.0, 10.0], [5.0, 0.0, 24.0], [10.0, 0.0, 0.0]], external_assets=10.0, nodes=["A", "B", "C"]
    ... )
    >>> network
    <ObligationNetwork: 3 nodes, 5 obligations of 69; external assets 30, external liabilities 0, equity 30>
    >>> network.equity.tolist()
    [-5.0, 1.0, 34.0]
    """

    ranks: tuple[sparse.csr_array, ...]
    external_assets: FloatArray
    external_liabilities: FloatArray
    nodes: "pd.Index[str]"
    equity_holdings: sparse.csr_array | None = None

    def __post_init__(self) -> None:
        matrices = [*self.ranks, *([] if self.equity_holdings is None else [self.equity_holdings])]
        for holder in (self, *matrices):
            _freeze(holder)

    def __getstate__(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # a pickle forgets that its arrays are read-only

    # --- in -----------------------------------------------------------------------------------------------------------

    @classmethod
    def from_tables(cls, obligations: object, nodes: object, *, equity_holdings: object = None) -> "ObligationNetwork":
        """Build a network from tables.

        Parameters
        ----------
        obligations : table
            Columns `debtor`, `creditor`, `amount` (currency due, >= 0) and, where not all rank alike, `seniority` (the
            lowest is paid first). Any table that `ExposureGraph.from_tables` takes.
        nodes : table
            Column `node`, and `external_assets`, `external_liabilities` (currency, >= 0, default 0).
        equity_holdings : table, optional
            Columns `issuer`, `holder`, `share` (of the issuer's equity, 0 to 1).

        Returns
        -------
        ObligationNetwork
            Its nodes are those of table nodes, in order.

        Raises
        ------
        TableError
            With every fault of every table.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> cg.ObligationNetwork.from_tables(
        ...     {"debtor": ["A", "A"], "creditor": ["B", "C"], "amount": [1.0, 2.0], "seniority": [0, 1]},
        ...     {"node": ["A", "B", "C"], "external_assets": [2.5, 0.0, 0.0]},
        ... )
        <ObligationNetwork: 3 nodes, 2 obligations of 3; external assets 2.5, external liabilities 0, equity 2.5>
        """
        return cls(**networks.network_from_tables(obligations, nodes, equity_holdings))

    @classmethod
    def from_arrays(
        cls,
        obligations: Any,
        *,
        external_assets: Any,
        external_liabilities: Any = 0.0,
        nodes: Any = None,
        junior: Sequence[Any] = (),
        equity_holdings: Any = None,
    ) -> "ObligationNetwork":
        """Build a network from matrices and vectors.

        Parameters
        ----------
        obligations : sparse or dense matrix or DataFrame, shape (n, n)
            Debtor x creditor, currency due, >= 0. Rows and columns of every DataFrame are matched with the nodes by
            label.
        external_assets, external_liabilities : number or array_like, shape (n,), or mapping or Series by node
            Currency, >= 0. What would be a negative asset is a liability.
        nodes : array_like of labels, optional
            None takes the rows of a DataFrame, or numbers them "0", "1", ...
        junior : sequence of matrices or DataFrames, shape (n, n) each
            Further ranks, each paid after the one before it; `obligations` are paid first.
        equity_holdings : sparse or dense matrix or DataFrame, shape (n, n), optional
            Issuer x holder, share of the issuer's equity; the diagonal is 0, rows add up to at most 1.

        Returns
        -------
        ObligationNetwork

        Raises
        ------
        TableError
            With every fault of every argument.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> cg.ObligationNetwork.from_arrays([[0.0, -1.0], [0.0, 0.0]], external_assets=[1.0, float("nan")])
        Traceback (most recent call last):
        contagion_graph.errors.TableError: 2 faults (rows count from 0):
          1. obligations: out of range in 1 row (row 0: -1.0, debtor '0', creditor '1'). It must be a finite number ...
          2. external_assets: NaN in 1 row (row 1: nan, '1'). It must be a finite number from 0 (currency).
        """
        vectors = {"external_assets": external_assets, "external_liabilities": external_liabilities}
        matrices = [obligations, *junior]
        return cls(**networks.network_from_arrays(matrices, vectors, equity_holdings=equity_holdings, nodes=nodes))

    @classmethod
    def from_networkx(cls, network: Any) -> "ObligationNetwork":
        """Build a network from a directed networkx graph like the ones that `to_networkx` gives.

        Parameters
        ----------
        network : networkx.DiGraph or MultiDiGraph
            An edge goes from debtor to creditor, with `amount` and perhaps `seniority`; nodes carry `external_assets`,
            `external_liabilities` (default 0) and `label` where it differs from the node.

        Returns
        -------
        ObligationNetwork

        Examples
        --------
        >>> import networkx as nx
        >>> import contagion_graph as cg
        >>> network = nx.DiGraph()
        >>> network.add_node("A", external_assets=3.0)
        >>> network.add_edge("A", "B", amount=2.0)
        >>> cg.ObligationNetwork.from_networkx(network).equity.to_dict()
        {'A': 1.0, 'B': 2.0}
        """
        return cls.from_tables(**elements.network_tables_of_networkx(network))

    # --- book values --------------------------------------------------------------------------------------------------

    @cached_property
    def obligations(self) -> sparse.csr_array:
        """All ranks together: debtor x creditor, currency due, shape (n, n), sparse."""
        total = self.ranks[0]
        for rank in self.ranks[1:]:
            total = total + rank
        return _freeze(total)

    @cached_property
    def owed(self) -> FloatArray:
        """What each node owes to others in the network, l_i = sum_j L_ij, shape (n,) [currency]."""
        return _read_only(self.obligations.sum(axis=1))

    @cached_property
    def claims(self) -> FloatArray:
        """What others in the network owe to each node, sum_j L_ji, shape (n,) [currency]."""
        return _read_only(self.obligations.sum(axis=0))

    @cached_property
    def debtors(self) -> FloatArray:
        """How many debtors each node has in the network, each rank counted apart, shape (n,)."""
        return _read_only(sum(np.bincount(rank.indices, minlength=len(self.nodes)) for rank in self.ranks))

    @property
    def equity(self) -> "pd.Series[float]":
        """Equity when everything due is paid, E = external assets + claims - external liabilities - owed [currency].

        What a node holds of others' equity is not in it; clearing finds its value.
        """
        return pd.Series(self.book_equity, index=self.nodes, name="equity")

    @cached_property
    def book_equity(self) -> FloatArray:
        """The numbers of `equity`, shape (n,) [currency]."""
        return _read_only(self.external_assets + self.claims - self.external_liabilities - self.owed)

    @property
    def leverage(self) -> "pd.Series[float]":
        """Total assets over equity (dimensionless); infinite where there are assets and no positive equity, else 0."""
        assets = self.external_assets + self.claims
        leverage = ratio(assets, self.book_equity, np.where(assets > 0.0, np.inf, 0.0))
        return pd.Series(leverage, index=self.nodes, name="leverage")

    @cached_property
    def relative_liabilities(self) -> sparse.csr_array:
        """Pi_ij = L_ij / l_i, the share of i's debts in the network that it owes to j, sparse; no row where l_i = 0."""
        matrix = self.obligations.copy()
        matrix.data /= over_cells(matrix, self.owed)
        return _freeze(matrix)

    @cached_property
    def interbank_leverage(self) -> sparse.csr_array:
        """Lambda_ij = L_ji / E_i, creditor x debtor: the share of i's equity that it lends to j, sparse.

        The row of a node without positive equity is empty: it has nothing left to lose.
        """
        matrix = self.obligations.T.tocsr()
        matrix.data = ratio(matrix.data, over_cells(matrix, self.book_equity), 0.0)
        matrix.eliminate_zeros()
        return _freeze(matrix)

    @property
    def balance_sheets(self) -> pd.DataFrame:
        """One row a node: external_assets, claims, external_liabilities, owed, equity [currency], leverage."""
        names = ("external_assets", "claims", "external_liabilities", "owed", "equity", "leverage")
        return pd.DataFrame({name: np.array(getattr(self, name)) for name in names}, index=self.nodes.rename("node"))

    def per_node(self, where: str, value: Any) -> FloatArray:
        """Return amounts >= 0 by node, as a vector in the order of the nodes.

        Parameters
        ----------
        where : str
            The argument, for error messages.
        value : number, mapping or Series by node (others 0), or array_like of shape (n,)
            Currency.

        Returns
        -------
        ndarray, shape (n,)
            Currency.

        Raises
        ------
        ParameterError
            Unknown nodes, and what is no amount.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> network = cg.ObligationNetwork.from_arrays([[0, 1], [0, 0]], external_assets=1.0, nodes=["A", "B"])
        >>> network.per_node("losses", {"B": 0.5}).tolist()
        [0.0, 0.5]
        """
        return argument(where, value, self.nodes, Number("currency", low=0))

    def to_scipy(self) -> sparse.csr_array:
        """Return a copy of `obligations`, debtor x creditor.

        Returns
        -------
        csr_array, shape (n, n)
            Currency.
        """
        return self.obligations.copy()

    def __repr__(self) -> str:
        owed = self.obligations
        sums = [self.external_assets.sum(), self.external_liabilities.sum(), self.book_equity.sum()]
        named = ", ".join(
            f"{name} {total:,.6g}"
            for name, total in zip(("external assets", "external liabilities", "equity"), sums, strict=True)
        )
        count = [f"{size:,} {name}{'' if size == 1 else 's'}" for size, name in ((len(self.nodes), "node"),
                                                                                 (owed.nnz, "obligation"))]  # fmt: skip
        return f"<ObligationNetwork: {', '.join(count)} of {owed.sum():,.6g}; {named}>"


def check_network(network: Any) -> None:
    """Refuse what is no network of obligations."""
    if not isinstance(network, ObligationNetwork):
        raise ParameterError(f"network is a {type(network).__name__}; give an ObligationNetwork, or graph.obligations")


def _read_only(array: Any) -> FloatArray:
    numbers = np.asarray(array, dtype=np.float64)
    numbers.flags.writeable = False
    return numbers


def _freeze(holder: Any) -> Any:
    for array in vars(holder).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return holder
