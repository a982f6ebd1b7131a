"""The least and the greatest fixed point of the static map, or the tightest bounds around all of them."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray
from contagion_graph.margin.equilibria.iterates import Iterate, MonotoneIterate, PlainIterate, UnboundedError
from contagion_graph.margin.equilibria.newton import leap
from contagion_graph.margin.equilibria.static_map import Case
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.solvers.iteration import iterate
from contagion_graph.solvers.monotone import enclose

FEW = 12  # undecided accounts whose every combination may be tried
PATIENCE = 50  # steps after which Newton's method takes over
CYCLES = 500  # steps in which a netted book converges, or goes on in a cycle
DOUBLINGS, ROUNDING = 20, 1e-14
Move = tuple[np.ndarray[Any, Any], FloatArray]


class ExtremalFixedPoints(NamedTuple):
    """The least and the greatest fixed point, how each was found, and all, shape (k, n), where they were listed."""

    lower: MonotoneIterate
    upper: MonotoneIterate
    solutions: tuple[Solution, Solution]
    points: FloatArray | None


def extremal_fixed_points(case: Case) -> ExtremalFixedPoints:
    """Find the least and the greatest fixed point, or the tightest bounds around all fixed points of a netted book."""
    lower, upper = MonotoneIterate(case, from_above=False), MonotoneIterate(case, from_above=True)
    if case.book.relief != "other":
        return ExtremalFixedPoints(lower, upper, (solve(lower), _bounded(upper)), None)
    try:
        solution = solve(lower, upper)
    except UnboundedError as error:
        lower, solution = _against(lower, upper)
        return ExtremalFixedPoints(lower, upper, (solution, error.solution), None)
    points = None
    if case.rules.closed_values and case.book.count([np.count_nonzero(lower.share < upper.share)]) <= FEW:
        points = all_fixed_points(lower, upper)
        if len(points):
            lower, upper = _hull(case, points)
    return ExtremalFixedPoints(lower, upper, (solution, solution), points)


def _bounded(upper: MonotoneIterate) -> Solution:
    """Solve for the greatest fixed point; where the iterates come to an infinite price, say that there is none."""
    try:
        return solve(upper)
    except UnboundedError as error:
        return error.solution


def _against(lower: MonotoneIterate, upper: MonotoneIterate) -> tuple[MonotoneIterate, Solution]:
    """Solve for the lower bound of a netted book whose upper bound stays where its prices became infinite."""
    rules = lower.case.rules
    lower = MonotoneIterate(lower.case, from_above=False, start=lower.share)  # its last step was not taken
    lower.against = upper.sold
    return lower, _exact_or_estimated(rules, *_apply_map((lower,), rules.max_rounds))


def solve(*iterates: MonotoneIterate) -> Solution:
    """Apply the static map to one iterate, or to two at once, until nothing moves.

    One iterate sees its own sales only. Two see each other's: (x, y) <- (t(x, y), t(y, x)).
    """
    solution, sound = converge(*iterates)
    return solution if sound is None else _certified(solution, iterates[0], sound)


def converge(*iterates: MonotoneIterate) -> tuple[Solution, FloatArray | None]:
    """Do what `solve` does without a certificate; return also up to which shares the map itself has led.

    None where a certificate has nothing to add, or cannot be given.
    """
    rules = iterates[0].case.rules
    if rules.closed_values is not None or len(iterates) == 2:
        return _exact_or_estimated(rules, *_apply_map(iterates, rules.max_rounds)), None
    end = iterates[0]
    solution, sizes = _apply_map(iterates, min(PATIENCE, rules.max_rounds))
    sound = end.share.copy()
    if not solution.converged and rules.max_rounds > PATIENCE:
        leapt = rules.plain and leap(end)  # Newton's method knows one loss rate a pool
        more, sizes = _apply_map(iterates, rules.max_rounds - PATIENCE)
        solution = replace(more, steps=solution.steps + more.steps)
        sound = sound if leapt else end.share
    return _estimated(solution, sizes), sound


def repeat(iterate: PlainIterate) -> Solution:
    """Apply the static map to a plain iterate until nothing moves, or for so long that it goes on in a cycle."""
    return _estimated(*_apply_map((iterate,), min(CYCLES, iterate.case.rules.max_rounds)))


def _apply_map(iterates: tuple[Iterate, ...], max_steps: int) -> tuple[Solution, list[float]]:
    """Apply the static map until nothing moves, or nothing that counts; return the sizes of the steps too."""
    case, moves = iterates[0].case, list[Move]()

    def change(step: int) -> tuple[float, bool]:
        moves[:] = _moves(iterates)
        moving, whole = _counts(case, moves)
        refreshed = [False] if moving else [each.refresh() for each in iterates]
        if any(refreshed):
            moves[:] = _moves(iterates)
            moving, whole = _counts(case, moves)
        size = 0.0
        for each, (rows, share) in zip(iterates, moves, strict=True):
            size += case.distance(share, each.share[rows], rows)
        still = not moving or not all(each.possible for each in iterates)
        smooth = case.rules.closed_values is None
        return size, still or (smooth and not whole and size <= case.rules.tol)

    def advance(step: int) -> None:
        for each, (rows, share) in zip(iterates, moves, strict=True):
            each.move(rows, share)

    solution, sizes = iterate(change, advance, max_steps=max_steps)
    (revaluations,) = case.book.count([sum(each.revaluations for each in iterates)])
    return replace(solution, revaluations=int(revaluations)), sizes


def _exact_or_estimated(rules: CascadeRules, solution: Solution, sizes: list[float]) -> Solution:
    """Return the report of an iteration: where closed shares take few values it is finite, and exact."""
    exact = rules.closed_values is not None and solution.converged
    return replace(solution, error_bound=0.0) if exact else _estimated(solution, sizes)


def _estimated(solution: Solution, sizes: list[float]) -> Solution:
    """Add the ratio r of the last two steps, and r / (1 - r) times the last: what is still to come if all shrink so."""
    if len(sizes) < 2 or not sizes[-2] > 0.0:
        return solution
    ratio = sizes[-1] / sizes[-2]
    estimate = sizes[-1] * ratio / (1.0 - ratio) if ratio < 1.0 else None
    return replace(solution, contraction=ratio, error_estimate=estimate)


def _certified(solution: Solution, end: MonotoneIterate, sound: FloatArray) -> Solution:
    """Replace the estimate of an error by a bound, if one can be proven.

    A small step is not a small error. But any y with T(y) <= y that lies above an iterate x <= T(x) encloses the least
    fixed point; the mirror image holds for the greatest. y = x + c (T(x) - x) with c doubled until it does. `sound` are
    the shares up to which the map itself has led.
    """
    case, x = end.case, end.share
    nothing, sign = np.zeros_like(end.sold), -1.0 if end.from_above else 1.0
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


def _moves(iterates: tuple[Iterate, ...]) -> list[Move]:
    others = [each.sold for each in reversed(iterates)] if len(iterates) == 2 else [iterates[0].against]
    return [each.follow(other) for each, other in zip(iterates, others, strict=True)]


def _counts(case: Case, moves: list[Move]) -> tuple[int, int]:
    """Return how many accounts move, and how many of them to 0 or 1."""
    moving, whole = case.book.count(
        [
            sum(rows.size for rows, _ in moves),
            sum(np.count_nonzero((share == 0.0) | (share == 1.0)) for _, share in moves),
        ]
    )
    return int(moving), int(whole)


def all_fixed_points(lower: MonotoneIterate, upper: MonotoneIterate) -> FloatArray:
    """Return every fixed point between two bounds, shape (k, n): try each value of an undecided account, then go on."""
    case, found = lower.case, []

    def branch(low: MonotoneIterate, high: MonotoneIterate, fixed: FloatArray) -> None:
        undecided = low.share < high.share
        if not case.book.count([np.count_nonzero(undecided)]).any():
            found.append(low.share)
            return
        first = case.book.first(undecided)
        for value in case.rules.closed_values or ():
            given = fixed.copy()
            given[first] = value
            lower = MonotoneIterate(case, from_above=False, start=low.share, fixed=given)
            upper = MonotoneIterate(case, from_above=True, start=high.share, fixed=given)
            solve(lower, upper)
            if lower.possible and upper.possible:
                branch(lower, upper, given)

    branch(lower, upper, np.full(len(case.book.account_index), np.nan))
    return np.array(found).reshape(-1, len(case.book.account_index))


def _hull(case: Case, points: FloatArray) -> tuple[MonotoneIterate, MonotoneIterate]:
    """Return the bounds around some fixed points."""
    lower = MonotoneIterate(case, from_above=False, start=points.min(axis=0))
    upper = MonotoneIterate(case, from_above=True, start=points.max(axis=0))
    _moves((lower, upper))
    return lower, upper
