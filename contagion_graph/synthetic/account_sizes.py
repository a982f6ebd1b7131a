"""Sizes of the accounts of synthetic venues."""

import numpy as np

from contagion_graph._typing import FloatArray

# Account sizes: Pareto, bounded at both ends. Axtell (2001), Science 293:1818-1820: exponent about 1 for firms. Those
# auto-deleveraged on Hyperliquid on 10 October 2025 (github.com/ConejoCapital/HyperMultiAssetedADL, commit 79bad0fa,
# 2025-12-07): Hill estimate 1.00 in the top 0.5 %, 0.74 in the top 5 %. Assumptions: 1.1, which has a mean; the bounds.
TAIL, SMALLEST, LARGEST = 1.1, 1e3, 1e7


def capital_of(n_accounts: int, tail: float, draw: np.random.Generator) -> FloatArray:
    """Draw from P(X > s) = (s^-a - b^-a) / (1 - b^-a), 1 < s < b, in units of the smallest."""
    bound = (LARGEST / SMALLEST) ** -tail
    survival = bound + (1.0 - bound) * draw.random(n_accounts)
    return np.asarray(SMALLEST * survival ** (-1.0 / tail))
