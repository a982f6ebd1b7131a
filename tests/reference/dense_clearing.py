"""Clearing written out node by node: slow, dense, to be read beside the papers."""

from dataclasses import dataclass

import numpy as np

MANY = 200_000  # steps


@dataclass
class Debts:
    """Who owes whom what: ranks[r][i, j] is what i owes to j in rank r; held[i, j] is j's share of i's equity."""

    ranks: list[np.ndarray]
    external: np.ndarray
    outside: np.ndarray
    held: np.ndarray
    external_first: bool = True
    alpha: float = 1.0
    beta: float = 1.0

    def owed(self, i: int) -> float:
        """Return all that node i owes."""
        return self.outside[i] + sum(rank[i].sum() for rank in self.ranks)

    def solvent(self, i: int, assets: float) -> bool:
        """Return whether node i can pay everything."""
        return assets >= self.owed(i) * (1 - 1e-13)

    def pay(self, i: int, assets: float) -> tuple[list[np.ndarray], float, float]:
        """Return what node i pays to each node in each rank, what it pays outside, and what its owners keep."""
        if self.solvent(i, assets):
            return [rank[i].copy() for rank in self.ranks], self.outside[i], assets - self.owed(i)
        left = self.alpha * self.external[i] + self.beta * (assets - self.external[i])
        paid_outside = 0.0
        if self.external_first:
            paid_outside = min(left, self.outside[i])
            left -= paid_outside
        paid = []
        for number, rank in enumerate(self.ranks):
            beside = self.outside[i] if number == 0 and not self.external_first else 0.0
            due = rank[i].sum() + beside
            share = min(1.0, left / due) if due > 0 else 1.0
            paid.append(share * rank[i])
            paid_outside += share * beside
            left -= share * due
        return paid, paid_outside, 0.0

    def next(self, assets: np.ndarray) -> np.ndarray:
        """Return the assets of each node when all pay out of these."""
        after = self.external.astype(float)
        for i, own in enumerate(assets):
            paid, _, kept = self.pay(i, own)
            after += sum(paid) + self.held[i] * kept
        return after

    def settle(self, assets: np.ndarray) -> np.ndarray:
        """Apply the map until nothing moves by more than rounding."""
        for _ in range(MANY):
            after = self.next(assets)
            if np.abs(after - assets).max() <= 1e-15 * (1 + np.abs(after).max()):
                return after
            assets = after
        raise AssertionError("it does not settle")

    def greatest(self) -> np.ndarray:
        """Return the assets at the greatest clearing vector."""
        start = self.external + sum(rank.sum(axis=0) for rank in self.ranks)
        n = len(start)
        return self.settle(np.linalg.solve(np.eye(n) - self.held.T, start + 1e-9) + 1e-9)

    def least(self) -> np.ndarray:
        """Return the assets at the least clearing vector."""
        return self.settle(self.external.astype(float))

    def payments(self, assets: np.ndarray) -> np.ndarray:
        """Return what each node pays to nodes, by rank, shape (n, ranks)."""
        return np.array([[paid.sum() for paid in self.pay(i, own)[0]] for i, own in enumerate(assets)])
