"""Random networks of debts with everything that may be odd about one."""

import numpy as np

import contagion_graph as cg
from tests.reference.dense_clearing import Debts


def random_debts(seed: int, *, ranks: int = 1, held: bool = False) -> Debts:
    """Return a network of 2 to 12 nodes: isolated ones, ones without debts, assets or claims, cycles, self-loops."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 13))
    density = rng.choice([0.1, 0.3, 0.7])
    layers = []
    for _ in range(ranks):
        owed = rng.lognormal(0, 1, (n, n)).round(2) * (rng.random((n, n)) < density)
        np.fill_diagonal(owed, 0.0)
        layers.append(owed)
    external = (rng.lognormal(0, 1, n) * rng.choice([0.0, 0.3, 1.0, 3.0], n)).round(2)
    outside = (rng.lognormal(0, 1, n) * rng.choice([0.0, 0.0, 0.5, 1.0], n)).round(2)
    theta = np.zeros((n, n))
    if held:
        theta = rng.random((n, n)) * (rng.random((n, n)) < 0.3)
        np.fill_diagonal(theta, 0.0)
        theta *= 0.8 / np.maximum(theta.sum(axis=1, keepdims=True), 0.8)
    return Debts(layers, external, outside, theta)


def network_of(debts: Debts) -> cg.ObligationNetwork:
    """Return the same as a network."""
    return cg.ObligationNetwork.from_arrays(
        debts.ranks[0],
        external_assets=debts.external,
        external_liabilities=debts.outside,
        junior=debts.ranks[1:],
        equity_holdings=debts.held if debts.held.any() else None,
    )
