"""Distress as the papers write it, on dense matrices, one node and one round at a time: slow, and easy to check."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import expm

Array = np.ndarray


def spread(coupling: Array, given: Array, passed_on: Callable[[float], float], rounds: int = 20_000) -> Array:
    """Return h with h_i = given_i + sum_j Lambda_ij p(min(1, h_j)): rounds from h = given until nothing changes."""
    level = given.copy()
    for _ in range(rounds):
        share = np.array([passed_on(min(1.0, h)) for h in level])
        after = given + coupling @ share
        if (after == level).all():
            break
        level = after
    return level


def single_hit(coupling: Array, given: Array) -> Array:
    """Return h when each node passes on only what it has lost when distress first reaches it."""
    level, waiting, n = given.copy(), [True] * len(given), len(given)
    while True:
        hit = [j for j in range(n) if waiting[j] and level[j] > 0.0]
        if not hit:
            return level
        lost = {j: min(1.0, level[j]) for j in hit}
        for j in hit:
            waiting[j] = False
            for i in range(n):
                level[i] += coupling[i, j] * lost[j]


def failures(owed: Array, equity: Array, given: Array, recovery: Array, threshold: Array) -> tuple[Array, list[int]]:
    """Return losses, and the round in which each node failed: at loss >= threshold * equity, or without any equity."""
    loss, wave, n = given.copy(), [0] * len(equity), len(equity)
    for number in range(1, n + 2):
        failing = [j for j in range(n) if not wave[j] and (equity[j] <= 0 or loss[j] >= threshold[j] * equity[j])]
        for j in failing:
            wave[j] = number
            for i in range(n):
                loss[i] += owed[j, i] * (1.0 - recovery[j])
    return loss, wave


def valued(owed: Array, fixed: Array, value: Callable[[Array], Array], rounds: int = 20_000) -> Array:
    """Return the equity E = fixed - sum_j owed_ji (1 - V_j(E_j)), rounds from V = 1."""
    equity = fixed.copy()
    for _ in range(rounds):
        after = fixed - owed.T @ (1.0 - value(equity))
        if (after == equity).all():
            break
        equity = after
    return equity


def susceptibility(impact: Array) -> Array:
    """Return the off-diagonal column sums of exp(V) over those of V, 0 where these are 0."""
    ways = expm(impact)
    np.fill_diagonal(ways, 0.0)
    direct = impact.sum(axis=0)
    return np.divide(ways.sum(axis=0), direct, out=np.zeros_like(direct), where=direct > 0)


def diffusion(impact: Array) -> tuple[Array, Array]:
    """Return what is lost of exp(V) off the diagonal without the row of each node: in that row, and in the others."""
    n, direct = len(impact), impact.sum(axis=1)
    start, between = np.zeros(n), np.zeros(n)
    for q in range(n):
        if direct[q] > 0:
            without = impact.copy()
            without[q] = 0.0
            lost = expm(impact) - expm(without)
            np.fill_diagonal(lost, 0.0)
            start[q] = lost[q].sum() / direct[q]
            between[q] = (lost.sum() - lost[q].sum()) / direct[q]
    return start, between
