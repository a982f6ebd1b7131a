"""Whether small losses grow or shrink as they are passed on."""

from contagion_graph.graph.obligations import ObligationNetwork, check_network
from contagion_graph.solvers import spectrum


def spectral_radius(network: ObligationNetwork) -> float:
    """Return the spectral radius of the interbank leverage matrix, by which losses grow in a round in the long run.

    rho(Lambda), Lambda_ij = L_ji / E_i. Below 1, small losses fade and h = (I - Lambda)^-1 h_0; from 1 on they grow
    until some node has nothing left to lose. Only nodes that owe each other in a cycle count: the radius of a network
    is the largest one of its strongly connected components.

    Parameters
    ----------
    network : ObligationNetwork
        Nodes without positive equity take no part.

    Returns
    -------
    float
        0 where no nodes owe each other in a cycle.

    Raises
    ------
    ParameterError
        What is no network.
    ConvergenceError
        The eigenvalue of a component of more than 400 nodes was not found.

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
    return spectrum.spectral_radius(network.interbank_leverage, "distress.spectral_radius")
