"""Random networks of obligations for the tests, and networks with given exposures and equity."""

import numpy as np
from scipy import sparse

import contagion_graph as cg


def network_of(owed: object, equity: object, nodes: object = None) -> cg.ObligationNetwork:
    """Return the network with these obligations, debtor x creditor, in which each node has this equity."""
    owed = sparse.csr_array(owed)
    outside = np.asarray(equity) + owed.sum(axis=1) - owed.sum(axis=0)
    return cg.ObligationNetwork.from_arrays(
        owed, external_assets=np.maximum(outside, 0.0), external_liabilities=np.maximum(-outside, 0.0), nodes=nodes
    )


def random_network(seed: int, n: int = 12, *, insolvent: bool = False) -> cg.ObligationNetwork:
    """Draw a network, from quiet to explosive; with `insolvent`, some nodes have no or negative equity."""
    rng = np.random.default_rng(seed)
    owed = rng.lognormal(0.0, 1.0, (n, n)) * (rng.random((n, n)) < rng.uniform(0.05, 0.5))
    np.fill_diagonal(owed, 0.0)
    equity = rng.lognormal(0.0, 0.5, n) * rng.choice([0.5, 2.0, 8.0])
    if insolvent:
        equity[rng.random(n) < 0.25] = 0.0
        equity[rng.random(n) < 0.15] *= -1.0
    return network_of(owed, equity, [f"bank {k}" for k in range(n)])


def random_losses(seed: int, network: cg.ObligationNetwork) -> np.ndarray:
    """Draw losses in currency that hit some of the nodes, up to twice their equity."""
    rng = np.random.default_rng(seed + 10_000)
    n = len(network.nodes)
    return np.abs(network.book_equity) * rng.uniform(0.0, 2.0, n) * (rng.random(n) < 0.4)


def coupling_of(network: cg.ObligationNetwork) -> np.ndarray:
    """Return L_ji / E_i, written out; rows of 0 without positive equity."""
    equity = network.book_equity
    return np.where(
        equity[:, None] > 0, network.obligations.toarray().T / np.where(equity > 0, equity, 1.0)[:, None], 0
    )
