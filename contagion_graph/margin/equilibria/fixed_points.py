"""Both ends of the fixed points of the static map, or the tightest bounds around all of them."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.margin.equilibria.newton import leap
from contagion_graph.margin.equilibria.static_map import Bound, Case
from contagion_graph.solvers.iterate import iterate
from contagion_graph.solvers.monotone import enclose
from contagion_graph.solvers.solution import Solution

FEW = 12  # undecided accounts whose every combination may be tried
PATIENCE = 50  # steps after which Newton's method takes over
TURNS = 500  # steps in which a netted book comes to rest, or goes round in circles
DOUBLINGS, ROUNDING = 20, 1e-14
Move = tuple[np.ndarray[Any, Any], FloatArray]


class Ends(NamedTuple):
    """The two ends of the equilibria, how each was found, and all equilibria, shape (k, n), where they were listed."""

    lower: Bound
    upper: Bound
    solutions: tuple[Solution, Solution]
    points: FloatArray | None


def find_ends(case: Case) -> Ends:
    """Find the least and the greatest fixed point, or the tightest bounds around all fixed points of a netted book."""
    lower, upper = Bound(case, upper=False), Bound(case, upper=True)
    if case.book.relief != "other":
        return Ends(lower, upper, (settle(lower), settle(upper)), None)
    solution = settle(lower, upper)
    points = None
    if case.rules.closed_values and case.book.count([np.count_nonzero(lower.share < upper.share)]) <= FEW:
        points = all_fixed_points(lower, upper)
        if len(points):
            lower, upper = _hull(case, points)
    return Ends(lower, upper, (solution, solution), points)


def settle(*bounds: Bound) -> Solution:
    """Apply the static map to one end, or to both at once, until nothing moves.

    One end sees its own sales only. Two see each other's: (x, y) <- (t(x, y), t(y, x)).
    """
    solution, sound = come_to_rest(*bounds)
    return solution if sound is None else _certified(solution, bounds[0], sound)


def come_to_rest(*bounds: Bound) -> tuple[Solution, FloatArray | None]:
    """Do what `settle` does without a certificate; return also up to which shares the map itself has led.

    None where a certificate has nothing to add, or cannot be given.
    """
    rules = bounds[0].case.rules
    if bounds[0].turning:
        solution, sizes = _apply_map(bounds, min(TURNS, rules.max_rounds))
        return _estimated(solution, sizes), None
    finite = rules.closed_values is not None  # iteration is then finite, and exact
    if finite or len(bounds) == 2:
        solution, sizes = _apply_map(bounds, rules.max_rounds)
        exact = finite and solution.converged
        return replace(solution, error_bound=0.0) if exact else _estimated(solution, sizes), None
    end = bounds[0]
    solution, sizes = _apply_map(bounds, min(PATIENCE, rules.max_rounds))
    sound = end.share.copy()
    if not solution.converged and rules.max_rounds > PATIENCE:
        leapt = leap(end)
        more, sizes = _apply_map(bounds, rules.max_rounds - PATIENCE)
        solution = replace(more, steps=solution.steps + more.steps)
        sound = sound if leapt else end.share
    return _estimated(solution, sizes), sound


def _apply_map(bounds: tuple[Bound, ...], max_steps: int) -> tuple[Solution, list[float]]:
    """Apply the static map until nothing moves, or nothing that counts; return the sizes of the steps too."""
    case, moves = bounds[0].case, list[Move]()

    def change(step: int) -> tuple[float, bool]:
        moves[:] = _moves(bounds)
        moving, whole = _counts(case, moves)
        refreshed = [False] if moving else [bound.refresh() for bound in bounds]
        if any(refreshed):
            moves[:] = _moves(bounds)
            moving, whole = _counts(case, moves)
        size = 0.0
        for bound, (rows, share) in zip(bounds, moves, strict=True):
            size += case.distance(share, bound.share[rows], rows)
        still = not moving or not all(bound.possible for bound in bounds)
        smooth = case.rules.closed_values is None
        return size, still or (smooth and not whole and size <= case.rules.tol)

    def advance(step: int) -> None:
        for bound, (rows, share) in zip(bounds, moves, strict=True):
            bound.move(rows, share)

    solution, sizes = iterate(change, advance, max_steps=max_steps)
    (revaluations,) = case.book.count([sum(bound.revaluations for bound in bounds)])
    return replace(solution, revaluations=int(revaluations)), sizes


def _estimated(solution: Solution, sizes: list[float]) -> Solution:
    """Add the ratio r of the last two steps, and r / (1 - r) times the last: what is still to come if all shrink so."""
    if len(sizes) < 2 or not sizes[-2] > 0.0:
        return solution
    ratio = sizes[-1] / sizes[-2]
    estimate = sizes[-1] * ratio / (1.0 - ratio) if ratio < 1.0 else None
    return replace(solution, contraction=ratio, error_estimate=estimate)


def _certified(solution: Solution, end: Bound, sound: FloatArray) -> Solution:
    """Replace the estimate of an error by a bound, if one can be proven.

    A small step is not a small error. But any y with T(y) <= y that lies above an iterate x <= T(x) encloses the least
    fixed point; the mirror image holds for the greatest. y = x + c (T(x) - x) with c doubled until it does. `sound` are
    the shares up to which the map itself has led.
    """
    case, x = end.case, end.share
    nothing, sign = np.zeros_like(end.sold), -1.0 if end.upper else 1.0
    step = np.maximum(sign * (case.apply(x, nothing) - x), np.where((x > 0.0) & (x < 1.0), ROUNDING, 0.0))
    ratio = solution.contraction or 0.0
    factor = 2.0 / (1.0 - ratio) if ratio < 1.0 else 2.0

    def holds(y: FloatArray) -> bool:
        outside = np.count_nonzero(~(sign * (y - case.apply(y, nothing)) >= 0.0))
        return not case.book.count([outside]).any()

    y = enclose(holds, x, sign * factor * step, low=0.0, high=1.0, tries=DOUBLINGS)
    if y is None:
        return solution
    return replace(solution, error_bound=case.distance(y, sound), error_estimate=None)


def _moves(bounds: tuple[Bound, ...]) -> list[Move]:
    others = [bound.sold for bound in reversed(bounds)] if len(bounds) == 2 else [np.zeros_like(bounds[0].sold)]
    return [bound.follow(other) for bound, other in zip(bounds, others, strict=True)]


def _counts(case: Case, moves: list[Move]) -> tuple[int, int]:
    """Return how many accounts move, and how many of them to an end of [0, 1]."""
    moving, whole = case.book.count(
        [
            sum(rows.size for rows, _ in moves),
            sum(np.count_nonzero((share == 0.0) | (share == 1.0)) for _, share in moves),
        ]
    )
    return int(moving), int(whole)


def all_fixed_points(lower: Bound, upper: Bound) -> FloatArray:
    """Return every fixed point between two bounds, shape (k, n): try each value of an undecided account, then go on."""
    case, found = lower.case, []

    def branch(low: Bound, high: Bound, fixed: FloatArray) -> None:
        undecided = low.share < high.share
        if not case.book.count([np.count_nonzero(undecided)]).any():
            found.append(low.share)
            return
        first = case.book.first(undecided)
        for value in case.rules.closed_values or ():
            given = fixed.copy()
            given[first] = value
            lower = Bound(case, upper=False, start=low.share, fixed=given)
            upper = Bound(case, upper=True, start=high.share, fixed=given)
            settle(lower, upper)
            if lower.possible and upper.possible:
                branch(lower, upper, given)

    branch(lower, upper, np.full(len(case.book.account_index), np.nan))
    return np.array(found).reshape(-1, len(case.book.account_index))


def _hull(case: Case, points: FloatArray) -> tuple[Bound, Bound]:
    """Return the bounds around some fixed points."""
    lower = Bound(case, upper=False, start=points.min(axis=0))
    upper = Bound(case, upper=True, start=points.max(axis=0))
    _moves((lower, upper))
    return lower, upper
