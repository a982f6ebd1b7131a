"""A clearing problem as arrays: tiers of debts, one after the other, and what is left for the owners."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.solvers.arrays import ratio
from contagion_graph.solvers.linear import EPS

TIE = 1e-13  # of its balance sheet: a node whose assets fall short by no more counts as solvent
Pieces = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class System:
    """Debts of n nodes in tiers t = 0, 1, ..., T - 1, paid one after the other; owners come last, as tier T.

    Parameters
    ----------
    external : ndarray, shape (n,)
        e: assets outside the network after losses [currency, >= 0].
    tiers : tuple of csr_array, shape (n, n) each
        L^t: what the row owes to the column in this tier [currency].
    due : ndarray, shape (T, n)
        d^t: all that a node owes in this tier, to nodes and outside [currency].
    claims : ndarray, shape (n,)
        What a node receives if all nodes pay in full [currency].
    noise : ndarray, shape (n,)
        What rounding may do to the sum of all that a node receives [currency].
    holdings : csr_array, shape (n, n), or None
        Theta: the share of the row's equity that the column holds.
    alpha, beta : float
        Shares of external assets, and of what other nodes pay, that a default leaves.
    """

    external: FloatArray
    tiers: tuple[sparse.csr_array, ...]
    due: FloatArray
    claims: FloatArray
    noise: FloatArray
    holdings: sparse.csr_array | None
    alpha: float
    beta: float

    @cached_property
    def lower(self) -> FloatArray:
        """What is due before each tier, the owners' too, shape (T + 1, n)."""
        sums = np.zeros((len(self.due) + 1, self.external.size))
        for tier, due in enumerate(self.due):
            np.add(sums[tier], due, out=sums[tier + 1])
        return sums

    @property
    def total(self) -> FloatArray:
        """All that a node owes, shape (n,)."""
        return np.asarray(self.lower[-1])

    @cached_property
    def scale(self) -> FloatArray:
        """The size of each balance sheet: assets if all pay, plus debts; the largest of all where there is nothing."""
        size: FloatArray = self.external + self.claims + self.total
        size[size == 0.0] = size.max() or 1.0
        return size

    def solvent(self, assets: FloatArray) -> BoolArray:
        """Say which nodes can pay all that is due."""
        return np.asarray(assets >= self.enough)

    @cached_property
    def enough(self) -> FloatArray:
        """The assets from which on a node counts as solvent, shape (n,)."""
        return self.total - TIE * self.scale

    def available(self, assets: FloatArray, solvent: BoolArray) -> FloatArray:
        """Return what there is to pay with: all assets, or what a default leaves of them."""
        left = self.alpha * self.external + self.beta * (assets - self.external)
        return np.where(solvent, assets, left)

    def places(self, rows: Pieces, assets: FloatArray) -> Pieces:
        """Return twice the tier that some nodes pay in part, and one more where their assets reach into that tier.

        A node that can pay everything is at 2 T, the place of its owners. `assets` may be several lines of them.
        """
        external, tie = self.external[rows], TIE * self.scale[rows]
        left = self.alpha * external + self.beta * (assets - external)
        piece = np.zeros(assets.shape, dtype=np.int64)
        for upper in self.lower[1:-1]:
            piece += left >= upper[rows] - tie
        reach = left - self.lower[piece, rows] > tie
        return np.where(assets >= self.enough[rows], 2 * len(self.tiers), 2 * piece + reach)

    def shares(self, assets: FloatArray) -> FloatArray:
        """Return which share of each tier is paid, shape (T, n); 1 where nothing is due."""
        solvent = self.solvent(assets)
        left = np.maximum(self.available(assets, solvent) - self.lower[:-1], 0.0)
        share = ratio(left, self.due, 1.0)
        return np.where(solvent, 1.0, np.minimum(share, 1.0))

    def value(self, assets: FloatArray) -> FloatArray:
        """Return what is left for the owners, shape (n,)."""
        return np.maximum(assets - self.total, 0.0)

    def apply(self, assets: FloatArray) -> FloatArray:
        """Return the assets of each node when all pay out of the given assets: an isotone map."""
        received = self.external.copy()
        for tier, share in zip(self.tiers, self.shares(assets), strict=True):
            received += tier.T @ share
        if self.holdings is not None:
            received += self.holdings.T @ self.value(assets)
        return received

    def residual(self, assets: FloatArray) -> float:
        """Return the largest distance of assets from a fixed point, as a share of a balance sheet."""
        return float(np.max(np.abs(self.apply(assets) - assets) / self.scale, initial=0.0))


def system_of(
    network: ObligationNetwork, losses: FloatArray, *, external_first: bool, alpha: float, beta: float
) -> System:
    """Return the clearing problem of a network after losses of external assets.

    External liabilities are a tier of their own before all others, or rank with the first obligations.
    """
    outside, tiers = network.external_liabilities, network.ranks
    due = [network.owed] if len(tiers) == 1 else [tier.sum(axis=1) for tier in tiers]
    if not external_first:
        due[0] = due[0] + outside
    elif outside.any():
        tiers, due = (sparse.csr_array(tiers[0].shape), *tiers), [outside, *due]
    external = np.maximum(network.external_assets - losses, 0.0)
    noise = EPS * (network.debtors + 8.0) * (network.claims + external)
    return System(external, tiers, np.array(due), network.claims, noise, network.equity_holdings, alpha, beta)
