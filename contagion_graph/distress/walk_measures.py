"""Measures of impact by walks of distress: susceptibility, fluidity, diffusion, communicability.

V_ij = min(1, Lambda_ji) is the share of creditor j's equity that the default of i takes; or V_ij = 1 where that is all
of it, else 0 (`binary`). C_ij = exp(V)_ij = sum_k (V^k)_ij / k! sums the walks of length k from i to j, each weighted
with the product of its V and with 1 / k!. No exponential is formed. What is needed of it are sums over walks that end
in q, f, that start in q, b, or that lead from q back to q, a; with F, B and A their generating functions, before the
division by k!,

- F / A belongs to the walks that reach q for the first time, so (F / A) (B - 1) to those that go on through q;
- log A = sum_k t_k x^k / k belongs to the closed walks through q, t_k of length k: it is log det of I - xV without what
  q passes on, less log det of I - xV.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import expm_multiply

from contagion_graph._typing import FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.obligations import ObligationNetwork, check_network
from contagion_graph.solvers.arrays import ratio
from contagion_graph.tables.vectors import rows_of

NUMBERS = 2_000_000  # that a block may hold
MOST = 10_000_000  # entries that are written out
STEEP = 600.0  # sum of the impacts of one node up to which exp(V) is a number


class _Walks(NamedTuple):
    """Sums of powers of V / scale, one power a row, and the weight scale^k / k! of each."""

    ending: FloatArray
    starting: FloatArray
    closed: FloatArray
    weight: FloatArray
    direct_in: FloatArray
    direct_out: FloatArray


def impact_susceptibility(network: ObligationNetwork, *, binary: bool = True) -> "pd.Series[float]":
    """Return the weighted number of walks of distress that lead to a node, over its direct impacts.

    s_j = sum_(i other than j) C_ij / sum_i V_ij; above 1: the node is vulnerable beyond its direct debtors. 0 where no
    single default reaches the node.

    Parameters
    ----------
    network : ObligationNetwork
        Nodes without positive equity take no part.
    binary : bool
        Count only impacts that take all of a creditor's equity, as 1; else all, up to 1.

    Returns
    -------
    Series
        Dimensionless, by node.

    Raises
    ------
    ParameterError
        No network, or so many impacts that sums over walks are no longer numbers (beyond exp(600)).

    References
    ----------
    Silva, Souza & Tabak (2017), J. Economic Dynamics and Control 83; Estrada & Hatano (2008), Physical Review E 77.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0, 10, 3], [1, 0, 2], [0, 3, 0]], external_assets=[14, 0, 0], external_liabilities=[0, 5, 0],
    ...     nodes=["a", "b", "c"],
    ... )
    >>> cg.distress.impact_susceptibility(network).to_dict()
    {'a': 0.0, 'b': 1.0, 'c': 1.25}
    """
    walks = _walks(network, binary)
    others = walks.weight @ (walks.ending - walks.closed)
    share = ratio(others, walks.direct_in, 0.0)
    return pd.Series(share, network.nodes.rename("node"), name="impact_susceptibility")


def impact_fluidity(network: ObligationNetwork, *, binary: bool = True) -> float:
    """Return the mean susceptibility of all nodes: how easily impacts spread through the network.

    Parameters
    ----------
    network, binary
        As in `impact_susceptibility`.

    Returns
    -------
    float
        Dimensionless; 0 where no default reaches another node.

    Raises
    ------
    ParameterError
        As in `impact_susceptibility`.

    References
    ----------
    As for `impact_susceptibility`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays([[0, 6], [0, 0]], external_assets=[9, 0], nodes=["A", "B"])
    >>> cg.distress.impact_fluidity(network)
    0.5
    """
    return float(impact_susceptibility(network, binary=binary).mean())


def impact_diffusion(network: ObligationNetwork, *, binary: bool = True) -> pd.DataFrame:
    """Return the weighted number of walks of distress that are lost if a node passes nothing on.

    C - C', C' without the row of q in V, over the pairs i other than j and divided by q's direct impacts sum_j V_qj:
    where i is q (`start`) and where it is not (`intermediate`); 0 where q has no direct impact.

    Parameters
    ----------
    network, binary
        As in `impact_susceptibility`.

    Returns
    -------
    DataFrame
        start, intermediate, total; dimensionless, by node.

    Raises
    ------
    ParameterError
        As in `impact_susceptibility`.

    References
    ----------
    As for `impact_susceptibility`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0, 10, 3], [1, 0, 2], [0, 3, 0]], external_assets=[14, 0, 0], external_liabilities=[0, 5, 0],
    ...     nodes=["a", "b", "c"],
    ... )
    >>> cg.distress.impact_diffusion(network)
          start  intermediate  total
    node
    a      1.25           0.0   1.25
    b      1.00           0.5   1.50
    c      0.00           0.0   0.00
    """
    walks = _walks(network, binary)
    start = walks.weight @ (walks.starting - walks.closed)
    through, closed_walks = _through(walks)
    first = ratio(start, walks.direct_out, 0.0)
    between = ratio(np.maximum(walks.weight @ (through - closed_walks) - start, 0.0), walks.direct_out, 0.0)
    columns = {"start": first, "intermediate": between, "total": first + between}
    return pd.DataFrame(columns, index=network.nodes.rename("node"))


def communicability(
    network: ObligationNetwork, nodes: Iterable[object] | None = None, *, binary: bool = True
) -> pd.DataFrame:
    """Return the communicability from some nodes to all: rows of C = exp(V).

    Parameters
    ----------
    network : ObligationNetwork
        As in `impact_susceptibility`.
    nodes : iterable of labels, optional
        Whose rows; None: all of them, where that is at most ten million entries.
    binary : bool
        As in `impact_susceptibility`.

    Returns
    -------
    DataFrame
        Some nodes x all nodes, dimensionless.

    Raises
    ------
    ParameterError
        No network, an unknown node, or too many entries.

    References
    ----------
    Estrada & Hatano (2008), Physical Review E 77: 036111.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays([[0, 6], [0, 0]], external_assets=[9, 0], nodes=["A", "B"])
    >>> cg.distress.communicability(network, ["A"]).to_numpy().tolist()
    [[1.0, 1.0]]
    """
    impact, n = _impact(network, binary), len(network.nodes)
    chosen = rows_of(nodes, network.nodes, "communicability: nodes")
    if chosen.size * n > MOST:
        raise ParameterError(
            f"communicability: {chosen.size:,} rows of {n:,} are too many to write out; name some nodes"
        )
    start = np.zeros((n, chosen.size))
    start[chosen, np.arange(chosen.size)] = 1.0
    rows = expm_multiply(sparse.csr_array(impact.T), start, traceA=0.0).T
    return pd.DataFrame(rows, network.nodes[chosen].rename("node"), network.nodes)


def _impact(network: ObligationNetwork, binary: bool) -> sparse.csr_array:
    """Return V, debtors x creditors."""
    check_network(network)
    impact = sparse.csr_array(network.interbank_leverage.T)
    impact.data = np.where(impact.data >= 1.0, 1.0, 0.0 if binary else impact.data)
    impact.eliminate_zeros()
    return impact


def _walks(network: ObligationNetwork, binary: bool) -> _Walks:
    """Sum the powers of V until their weights are negligible."""
    impact = _impact(network, binary)
    direct_in, direct_out = impact.sum(axis=0), impact.sum(axis=1)
    scale = max(1.0, float(direct_out.max(initial=0.0)))
    if scale > STEEP:
        label = network.nodes[int(np.argmax(direct_out))]
        raise ParameterError(
            f"{label!r} has direct impacts of {scale:.0f} in all: sums over walks exceed exp({STEEP:.0f})"
        )
    step = impact / scale
    ending, starting, weight = [np.ones(direct_in.size)], [np.ones(direct_in.size)], [1.0]
    while weight[-1] * max(ending[-1].max(initial=0.0), starting[-1].max(initial=0.0)) > 1e-18:
        ending.append(step.T @ ending[-1])
        starting.append(step @ starting[-1])
        weight.append(weight[-1] * scale / len(weight))
    closed = _closed(step, len(weight))
    return _Walks(np.array(ending), np.array(starting), closed, np.array(weight), direct_in, direct_out)


def _closed(step: sparse.csr_array, powers: int) -> FloatArray:
    """Return the diagonals of powers of a matrix, one a row: only nodes on cycles have any but the first."""
    closed = np.zeros((powers, step.shape[0]))
    closed[0] = 1.0
    count, component = connected_components(step, directed=True, connection="strong")
    on_cycles = np.flatnonzero(np.bincount(component, minlength=count)[component] > 1)
    among = step[on_cycles][:, on_cycles]
    width = max(1, NUMBERS // max(on_cycles.size, 1))
    for start in range(0, on_cycles.size, width):
        some = np.arange(start, min(start + width, on_cycles.size))
        power = np.zeros((on_cycles.size, some.size))
        power[some, some - start] = 1.0
        for k in range(1, powers):
            power = among @ power
            closed[k, on_cycles[some]] = power[some, some - start]
    return closed


def _through(walks: _Walks) -> tuple[FloatArray, FloatArray]:
    """Return the walks that go on through each node, and the closed ones among them, one length a row."""
    first, rounds, through = (np.zeros_like(walks.closed) for _ in range(3))
    onward = walks.starting.copy()
    onward[0] = 0.0
    first[0] = walks.ending[0]
    for k in range(1, len(first)):
        earlier = walks.closed[k:0:-1]  # a_k, ..., a_1
        first[k] = walks.ending[k] - (first[:k] * earlier).sum(axis=0)
        rounds[k] = k * walks.closed[k] - (rounds[1:k] * walks.closed[k - 1 : 0 : -1]).sum(axis=0)
        through[k] = (first[:k] * onward[k:0:-1]).sum(axis=0)
    return through, rounds
