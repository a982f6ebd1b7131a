"""Whether small losses grow or die out as they are passed on."""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, eigs

from contagion_graph.errors import ConvergenceError
from contagion_graph.graph.obligations import ObligationNetwork, check_network
from contagion_graph.solvers.solution import Solution, Status

DENSE = 200  # nodes of a component up to which its matrix is written out


def spectral_radius(network: ObligationNetwork) -> float:
    """Return the spectral radius of the interbank leverage matrix, by which losses grow in a round in the long run.

    rho(Lambda), Lambda_ij = L_ji / E_i. Below 1, small losses die out and h = (I - Lambda)^-1 h_0; from 1 on they grow
    until some node has nothing left to lose. Only nodes that owe each other in a circle count: the radius of a
    network is the largest one of its strongly connected components.

    Parameters
    ----------
    network : ObligationNetwork
        Nodes without positive equity take no part.

    Returns
    -------
    float
        0 where nobody owes in a circle.

    Raises
    ------
    ConvergenceError
        A large component whose radius could not be found.

    References
    ----------
    Bardoscia, Battiston, Caccioli & Caldarelli (2015), PLoS ONE 10(6): e0130406, section "Stability".

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0, 1], [4, 0]], external_assets=[1, 7], external_liabilities=[2, 3]
    ... )
    >>> network.equity.to_dict(), cg.distress.spectral_radius(network)
    ({'0': 2.0, '1': 1.0}, 1.414...)
    """
    check_network(network)
    coupling = network.interbank_leverage
    _, component = connected_components(coupling, directed=True, connection="strong")
    radius = 0.0
    order, sizes = np.argsort(component, kind="stable"), np.bincount(component)
    for nodes in np.split(order, np.cumsum(sizes)[:-1]):
        if nodes.size > 1:
            radius = max(radius, _radius(coupling[nodes][:, nodes]))
    return radius


def _radius(matrix: sparse.csr_array) -> float:
    """Return the spectral radius of a nonnegative irreducible matrix."""
    if matrix.shape[0] <= DENSE:
        return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
    try:
        start = np.ones(matrix.shape[0])
        return float(np.abs(eigs(matrix, k=1, which="LR", v0=start, return_eigenvectors=False))[0])
    except ArpackNoConvergence as error:
        raise ConvergenceError(
            "spectral_radius: the largest eigenvalue of a component was not found; it is too close to periodic",
            Solution(Status.STEP_LIMIT, 0, np.inf),
        ) from error
