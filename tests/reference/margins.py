"""Tiers and scenario grids cell by cell, straight from the definitions: slow, dense, apart from the package."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def black(kind: int, strike: float, years: float, forward: float, vol: float) -> float:
    """Return the value of a call (1) or a put (-1) by Black (1976) without discounting."""
    width = vol * math.sqrt(years)
    if width <= 0.0:
        return max(kind * (forward - strike), 0.0)
    d = math.log(forward / strike) / width
    return kind * (forward * normal(kind * (d + width / 2)) - strike * normal(kind * (d - width / 2)))


def normal(x: float) -> float:
    """Return the standard normal distribution function."""
    return math.erfc(-x / math.sqrt(2.0)) / 2.0


def tier_margin(notional: float, tiers: Sequence[tuple[float, float]]) -> float:
    """Return the margin of a position: every slice of its notional at the rate of its own tier."""
    margin = 0.0
    for k, (lower, rate) in enumerate(tiers):
        upper = tiers[k + 1][0] if k + 1 < len(tiers) else math.inf
        margin += rate * max(min(notional, upper) - lower, 0.0)
    return margin


def grid_margin(quantity: Any, gains: Any, groups: Sequence[Any]) -> float:
    """Return the margin of one account: of each group, its largest loss over the scenarios, at least 0."""
    quantity, gains = np.asarray(quantity), np.asarray(gains)
    total = 0.0
    for group in sorted(set(groups)):
        inside = [j for j, each in enumerate(groups) if each == group]
        losses = [-sum(quantity[j] * gains[j, s] for j in inside) for s in range(gains.shape[1])]
        total += max(0.0, *losses)
    return total
