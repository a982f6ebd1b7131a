"""Banks that owe each other and sell common assets, written out bank by bank: to be read beside the papers."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Banks:
    """Who owes whom what, cash (below 0: a debt outside), holdings, depth in currency; ratio None: sell to pay."""

    owed: np.ndarray
    cash: np.ndarray
    holdings: np.ndarray
    price: np.ndarray
    depth: np.ndarray
    ratio: float | None

    def step(self, price: np.ndarray, received: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return next prices, what each bank receives next, and which share of its assets each sells."""
        n = len(self.cash)
        paid, share = np.zeros((n, n)), np.zeros(n)
        for i in range(n):
            value = self.holdings[i] @ price
            outside, inside = max(-self.cash[i], 0.0), self.owed[i].sum()
            cash = max(self.cash[i], 0.0)
            for_nodes = max(cash + received[i] + value - outside, 0.0)
            paid[i] = self.owed[i] * (min(1.0, for_nodes / inside) if inside > 0 else 1.0)
            due = inside + outside
            if self.ratio is None:
                needed = due - cash - received[i]
            else:
                equity = cash + received[i] + value - due
                needed = received[i] + value - equity / self.ratio
            if needed > 0:
                share[i] = min(1.0, needed / value) if value > 0 else 1.0
        sold = share @ self.holdings * self.price
        return self.price * np.exp(-sold / self.depth), paid.sum(axis=0), share

    def settle(self, *, from_above: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return prices, receipts and shares sold at the greatest or at the least fixed point."""
        everything = self.price * np.exp(-self.holdings.sum(axis=0) * self.price / self.depth)
        price = self.price if from_above else everything
        received = self.owed.sum(axis=0) if from_above else np.zeros(len(self.cash))
        for _ in range(100_000):
            after, receipts, share = self.step(price, received)
            if max(np.abs(after - price).max(), np.abs(receipts - received).max()) <= 1e-14:
                return after, receipts, share
            price, received = after, receipts
        raise AssertionError("it does not settle")
