"""Monotone iteration of the clearing map, from above or from below, until the error is proven to be small."""

from dataclasses import replace

import numpy as np

from contagion_graph.clearing.fictitious import Clearing
from contagion_graph.clearing.system import System
from contagion_graph.solvers.iterate import iterate
from contagion_graph.solvers.linear import NonnegativeSystem
from contagion_graph.tables.schema import FloatArray

DOUBLINGS, PATIENCE = 8, 1.1
ROUNDING = 1e-15  # of a balance sheet: what a step may hide
CLEAR = 1e-9  # of a balance sheet: a step from which directions and ratios can be read


def iterated(system: System, *, from_above: bool, tol: float, max_steps: int) -> Clearing:
    """Apply the clearing map until its fixed point is enclosed within `tol` of each balance sheet, or nothing moves.

    A small step is not a small error. From above, any z <= T(z) below an iterate encloses the greatest fixed point:
    z = x - c d, c doubled until it does; the mirror image holds for the least. d has the direction of an earlier step:
    that of the last ones is lost in rounding where convergence is slow.
    """
    sign = -1.0 if from_above else 1.0
    assets = _start(system) if from_above else system.external.copy()
    after, size, ratio = system.apply(assets), 0.0, 0.0
    error: float | None = None
    direction = system.scale
    wave, due_again = np.zeros(assets.size, dtype=np.int32), 1.0

    def change(step: int) -> tuple[float, bool]:
        nonlocal error, size, ratio, direction, due_again
        moves = np.maximum(sign * (after - assets), 0.0)
        before, size = size, float(np.max(moves / system.scale, initial=0.0))
        if size > CLEAR or step == 1:
            direction = moves
        if size > CLEAR and before > 0.0:
            ratio = min(size / before, 1.0 - ROUNDING)
        if size / (1.0 - ratio) <= tol and (step >= due_again or size == 0.0):
            error = _enclosed(system, after, moves, direction, sign * 2.0 / (1.0 - ratio))
            due_again = step * PATIENCE
        return size, size == 0.0 or (error is not None and error <= tol)

    def advance(step: int) -> None:
        nonlocal assets, after
        assets, after = after, system.apply(after)
        wave[(wave == 0) & ~system.solvent(assets)] = step

    solution, _ = iterate(change, advance, max_steps=max_steps)
    if not from_above:
        wave = (~system.solvent(after)).astype(np.int32)
    return Clearing(after, wave, replace(solution, residual=system.residual(after), error_bound=error))


def _start(system: System) -> FloatArray:
    """Return assets that no fixed point exceeds: everybody pays, and equity is worth what it then would be, or more."""
    assets: FloatArray = system.external + system.claims
    if system.holdings is None:
        return assets
    equity = NonnegativeSystem(system.holdings.T)
    right = system.value(assets) * (1.0 + ROUNDING)
    assets += system.holdings.T @ equity.solve(right)
    return assets


def _enclosed(system: System, x: FloatArray, moves: FloatArray, direction: FloatArray, factor: float) -> float | None:
    """Return how far, as a share of its balance sheet, a node is off at most; None where nothing was proven."""
    step = np.maximum(direction, CLEAR * float(np.max(direction / system.scale)) * system.scale)
    if not step.any():
        return 0.0  # the start was at rest, and no end lies beyond it
    step *= np.max(np.maximum(moves, ROUNDING * system.scale) / step)
    for _ in range(DOUBLINGS):
        z = np.maximum(x + factor * step, 0.0)
        if (np.sign(factor) * (z - system.apply(z)) >= 0.0).all():
            return float(np.max(np.abs(z - x) / system.scale, initial=0.0))
        factor *= 2.0
    return None
