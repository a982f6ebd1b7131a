"""Monotone iteration of the clearing map, from above or from below, until the error is proven to be small."""

from dataclasses import replace

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.clearing.fictitious import Clearing
from contagion_graph.clearing.system import System
from contagion_graph.solvers.linear import NonnegativeSystem
from contagion_graph.solvers.monotone import ROUNDING, Problem, approach


def iterated(system: System, *, from_above: bool, tol: float, max_iter: int) -> Clearing:
    """Apply the clearing map until its fixed point is enclosed within `tol` of each balance sheet, or nothing moves."""
    start = _start(system) if from_above else system.external.copy()
    default_round = np.zeros(start.size, dtype=np.int32)

    def watch(step: int, assets: FloatArray) -> None:
        default_round[(default_round == 0) & ~system.solvent(assets)] = step

    problem = Problem(system.apply, start, system.scale)
    watch(1, start)
    assets, solution = approach(problem, from_above=from_above, tol=tol, max_steps=max_iter, watch=watch)
    if not from_above:
        default_round = (~system.solvent(assets)).astype(np.int32)
    return Clearing(assets, default_round, replace(solution, residual=system.residual(assets)))


def _start(system: System) -> FloatArray:
    """Return assets that no fixed point exceeds: all pay in full, and equity is worth that much or more."""
    assets: FloatArray = system.external + system.claims
    if system.holdings is None:
        return assets
    equity = NonnegativeSystem(system.holdings.T)
    right = system.value(assets) * (1.0 + ROUNDING)
    assets += system.holdings.T @ equity.solve(right)
    return assets
