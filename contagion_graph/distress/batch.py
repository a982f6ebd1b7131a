"""Many cases of distress in one pass: every default, uniform shocks, any list of shocks; memory stays bounded."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray, IntArray, OnFailure
from contagion_graph._validate import check_kind
from contagion_graph.distress.case_totals import check_cases, follow_all, followed, positive_equity
from contagion_graph.distress.model import DistressModel, given_losses
from contagion_graph.errors import ParameterError
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.tables.vectors import rows_of

NUMBERS = 2_000_000  # that a block of cases may hold in one array


def single_defaults(
    network: ObligationNetwork,
    model: DistressModel,
    *,
    nodes: Iterable[object] | None = None,
    weights: Any = None,
    on_failure: OnFailure = "raise",
) -> pd.DataFrame:
    """Return what follows when each node in turn loses all its equity, the others nothing.

    All cases are followed in one pass, in blocks; each of them is, to the last bit, the case that `model.run` follows.

    Parameters
    ----------
    network : ObligationNetwork
        The network before the losses.
    model : DistressModel
        `DebtRank`, `Furfine`, `ThresholdCascade` or `NetworkValuation`.
    nodes : iterable of labels, optional
        Whose defaults to follow; None: every node's.
    weights : number, mapping or Series by node (others 0), or array_like of shape (n,), optional
        >= 0: how much the stress of each node counts; None: its positive equity. They are scaled to sum to 1.
    on_failure : {"raise", "warn", "ignore"}
        What to do about a case whose stress cannot be shown to be as exact as the model's `tol` asks.

    Returns
    -------
    DataFrame
        One row a node that defaults: given_stress = w_i; stress = sum_j w_j min(1, h_j), nodes that take no part left
        out; additional_stress, what it is above the given stress; given, limited_loss (no node loses more than its
        equity), loss (losses beyond equity too) [currency]; defaults (nodes whose equity is gone) and
        additional_defaults (those among them that were not given); rounds; error_bound of the stress of a node. Where
        a model has stress without any loss, that is deducted. Rows of nodes without positive equity are NaN.

    Raises
    ------
    ParameterError
        No network, no model, an unknown node, a weight below 0, or weights that are all 0.
    ConvergenceError
        A case whose stress is not as exact as the model's `tol` asks.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0, 10, 3], [1, 0, 2], [0, 3, 0]], external_assets=[14, 0, 0], external_liabilities=[0, 5, 0],
    ...     nodes=["a", "b", "c"],
    ... )
    >>> table = cg.single_defaults(network, cg.DebtRank(), weights={"a": 10, "b": 100, "c": 30})
    >>> table[["given_stress", "additional_stress", "additional_defaults"]].round(4)
       given_stress  additional_stress  additional_defaults
    node
    a        0.0714             0.9286                  2.0
    b        0.7143             0.2500                  1.0
    c        0.2143             0.7500                  1.0
    """
    check_cases(network, model, on_failure)
    chosen = rows_of(nodes, network.nodes, "single_defaults: nodes")
    equity = positive_equity(network)
    blocks = (_defaults(equity, some) for some in _in_blocks(chosen, network))
    table = follow_all(network, model, blocks, weights=weights, on_failure=on_failure)
    table.index = network.nodes[chosen].rename("node")
    table[equity[chosen] <= 0.0] = np.nan
    return table


def uniform_shocks(
    network: ObligationNetwork,
    model: DistressModel,
    sizes: Iterable[float],
    *,
    weights: Any = None,
    on_failure: OnFailure = "raise",
) -> pd.DataFrame:
    """Return what follows when every node loses the same share of its equity, for several shares.

    Parameters
    ----------
    network, model
        As in `single_defaults`.
    sizes : iterable of float
        Shares of positive equity, >= 0.
    weights, on_failure
        As in `single_defaults`.

    Returns
    -------
    DataFrame
        One row a size, columns as in `single_defaults`.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `single_defaults`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays([[0, 6], [0, 0]], external_assets=[9, 4], nodes=["A", "B"])
    >>> cg.distress.uniform_shocks(network, cg.DebtRank(), [0.1, 0.2])["stress"].round(4).to_dict()
    {0.1: 0.1462, 0.2: 0.2923}
    """
    check_cases(network, model, on_failure)
    check_kind("uniform_shocks: sizes", sizes, Iterable, "a list of shares of equity")
    index = pd.Index(list(sizes), name="size", dtype=np.float64)
    table = many_shocks(network, model, equity_shocks=index.tolist(), weights=weights, on_failure=on_failure)
    table.index = index
    return table


def many_shocks(
    network: ObligationNetwork,
    model: DistressModel,
    *,
    equity_shocks: Any = None,
    losses: Any = None,
    weights: Any = None,
    on_failure: OnFailure = "raise",
) -> pd.DataFrame:
    """Return what follows from each of several equity shocks or losses, all followed in one pass.

    Parameters
    ----------
    network, model
        As in `single_defaults`.
    equity_shocks, losses : mapping name -> case, or iterable of cases
        Each case as `model.run` takes it: shares of equity (`equity_shocks`) or currency (`losses`); one of the two. A
        matrix or a DataFrame has a case a row.
    weights, on_failure
        As in `single_defaults`.

    Returns
    -------
    DataFrame
        One row a case, by name or number, columns as in `single_defaults`.

    Raises
    ------
    ParameterError, ConvergenceError
        As in `single_defaults`; both or neither of equity_shocks and losses.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays([[0, 6], [0, 0]], external_assets=[9, 4], nodes=["A", "B"])
    >>> cases = {"mild": {"A": 1.0}, "severe": {"A": 3.0}}
    >>> cg.distress.many_shocks(network, cg.Furfine(), losses=cases)[["given", "loss", "defaults"]]
            given  loss  defaults
    case
    mild      1.0   1.0       0.0
    severe    3.0   9.0       1.0
    """
    check_cases(network, model, on_failure)
    if (equity_shocks is None) == (losses is None):
        raise ParameterError("many_shocks: give either equity_shocks (shares of equity) or losses (currency)")
    named = _named(losses if equity_shocks is None else equity_shocks)

    def given(case: Any) -> FloatArray:
        shares, amounts = (None, named[case]) if equity_shocks is None else (named[case], None)
        return given_losses(network, "many_shocks", shares, amounts)

    blocks = (np.stack([given(case) for case in some]) for some in _in_blocks(list(named), network))
    table = follow_all(network, model, blocks, weights=weights, on_failure=on_failure)
    table.index = pd.Index(list(named), name="case")
    return table


def stress_blocks(
    network: ObligationNetwork,
    model: DistressModel,
    *,
    nodes: Iterable[object] | None = None,
    on_failure: OnFailure = "raise",
) -> Iterator[pd.DataFrame]:
    """Yield the stress of every node when each node in turn loses all its equity: the impact matrix, block by block.

    Parameters
    ----------
    network, model, nodes, on_failure
        As in `single_defaults`. Nodes without positive equity have nothing to lose: their rows are NaN.

    Yields
    ------
    DataFrame
        Rows: some of the nodes that default, in order; columns: all nodes; their stress in [0, 1].

    Raises
    ------
    ParameterError, ConvergenceError
        As in `single_defaults`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays([[0, 6], [0, 0]], external_assets=[9, 12], nodes=["A", "B"])
    >>> [block.round(3).to_numpy().tolist() for block in cg.distress.stress_blocks(network, cg.DebtRank())]
    [[[1.0, 0.333], [0.0, 1.0]]]
    """
    check_cases(network, model, on_failure)
    chosen, equity = rows_of(nodes, network.nodes, "stress_blocks: nodes"), positive_equity(network)
    for some in _in_blocks(chosen, network):
        outcomes = followed(network, model, _defaults(equity, some), on_failure)
        outcomes.stress[equity[some] <= 0.0] = np.nan
        yield pd.DataFrame(outcomes.stress, network.nodes[some].rename("node"), network.nodes)


def _named(cases: Any) -> dict[Any, Any]:
    """Return shocks by name, or by number."""
    if isinstance(cases, pd.DataFrame | pd.Series) and cases.index.has_duplicates:
        raise ParameterError(
            f"many_shocks: case {cases.index[cases.index.duplicated()][0]!r} stands twice; name it once"
        )
    if isinstance(cases, pd.DataFrame):
        return dict(cases.iterrows())
    return dict(cases.items() if isinstance(cases, Mapping | pd.Series) else enumerate(cases))


def _in_blocks(cases: Any, network: ObligationNetwork) -> Iterator[Any]:
    """Yield as many cases at a time as memory is worth."""
    size = max(1, NUMBERS // max(len(network.nodes), 1))
    for start in range(0, len(cases), size):
        yield cases[start : start + size]


def _defaults(equity: FloatArray, nodes: IntArray) -> FloatArray:
    """Return losses that take all equity of one node a case."""
    losses = np.zeros((nodes.size, equity.size))
    losses[np.arange(nodes.size), nodes] = equity[nodes]
    return losses
