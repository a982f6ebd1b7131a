"""The fictitious-default algorithm: finitely many linear systems lead to the greatest and to the least clearing vector.

A node pays one tier in part; the tiers before it are paid in full, those after it not at all. Once it is known which
tier that is for each node, its piece, payments solve a linear system. From above, all pieces start at the top and only
ever go down; within given pieces a payment is max(0, what is left for the tier). From below they start at the bottom
and only go up; within given pieces a payment is min(what is left, what is due).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from contagion_graph._solution import Solution
from contagion_graph._typing import BoolArray, FloatArray, IntArray
from contagion_graph.clearing.system import TIE, Pieces, System
from contagion_graph.solvers.arrays import over_cells
from contagion_graph.solvers.iteration import iterate
from contagion_graph.solvers.linear import EPS, NonnegativeSystem


class Clearing(NamedTuple):
    """A fixed point.

    Parameters
    ----------
    assets : ndarray, shape (n,)
        Assets of every node when all have paid [currency].
    round_of : ndarray of int, shape (n,)
        The round in which a node was found in default, 0: never; of the least clearing vector 1 for all in default.
    solution : Solution
        How it was found.
    """

    assets: FloatArray
    round_of: IntArray
    solution: Solution


class Partial:
    """The nodes that pay a tier in part, or hand what is left to their owners: the unknowns of one linear system.

    Parameters
    ----------
    system : System
    piece : ndarray of int, shape (n,)
        The tier that each node pays in part, T for its owners.
    chosen : ndarray of bool, shape (n,)
        Whose part is unknown.
    """

    def __init__(self, system: System, piece: Pieces, chosen: BoolArray) -> None:
        tiers, self.system = len(system.tiers), system
        every = np.flatnonzero(chosen)
        groups = [every[piece[every] == tier] for tier in range(tiers + 1)]
        blocks = []
        for rows, tier, due in zip(groups, system.tiers, system.due, strict=False):
            block = tier[rows]
            block.data /= over_cells(block, due[rows])
            blocks.append(block)
        if system.holdings is None:
            groups.pop()
        else:
            blocks.append(system.holdings[groups[-1]])
        self.rows = np.concatenate(groups)
        self.passed_on = blocks[0] if len(blocks) == 1 else sparse.vstack(blocks, format="csr")
        at = piece[self.rows]
        in_default = at < tiers
        self.kept = np.where(in_default, system.beta, 1.0)
        external = system.external[self.rows]
        self.due = np.where(in_default, system.due[np.minimum(at, tiers - 1), self.rows], 0.0)
        self.own = np.where(in_default, system.alpha * external, external) - system.lower[at, self.rows]

    def received(self, part: FloatArray) -> FloatArray:
        """Return what every node receives of these parts, shape (n,)."""
        return np.asarray(self.passed_on.T @ part)

    def left(self, inflow: FloatArray) -> FloatArray:
        """Return what is left for each unknown part when these nodes receive so much."""
        return np.asarray(self.own + self.kept * inflow[self.rows])

    def equations(self, some: BoolArray) -> NonnegativeSystem:
        """Return the linear system of some of the unknowns: part = A part + what is left without them."""
        among = self.passed_on[some][:, self.rows[some]]
        among.data *= self.kept[some][among.indices]
        return NonnegativeSystem(among.T)

    def error(
        self, equations: NonnegativeSystem, some: BoolArray, part: FloatArray, left: FloatArray
    ) -> FloatArray | None:
        """Return bounds on the errors of the assets that these parts lead to; None where none can be proven."""
        of_part = equations.error_of(part[some], left[some], self.system.noise[self.rows[some]])
        if of_part is None:
            return None
        spread = np.zeros(part.size)
        spread[some] = of_part
        return self.received(spread + 4.0 * EPS * np.abs(part)) + self.system.noise


class State(NamedTuple):
    """Assets within given pieces, and a bound on the error of each; None where none can be proven."""

    assets: FloatArray
    error: FloatArray | None


def greatest(system: System) -> Clearing:
    """Return the greatest clearing vector: nodes are found in default round by round, and none of them pays in full."""
    return _by_pieces(system, from_above=True)


def least(system: System) -> Clearing:
    """Return the least clearing vector: nodes pay out of what is certain to arrive."""
    return _by_pieces(system, from_above=False)


def _by_pieces(system: System, *, from_above: bool) -> Clearing:
    """Move pieces, and solve within them, until every node's assets lie in its piece.

    The error is bounded if no piece was chosen, or kept, by less than the error of the assets that decided it.
    """
    solve, further, steps = (_down, np.minimum, 2) if from_above else (_up, np.maximum, 1)
    top, n = 2 * len(system.tiers), system.external.size
    place = np.full(n, top) if from_above else system.places(np.arange(n), system.external)
    state = solve(system, place)
    default_round, moved, proven = np.zeros(n, dtype=np.int32), place, True

    def change(_: int) -> tuple[float, bool]:
        nonlocal moved, proven
        rows, assets = _doubtful(system, state)
        low, now, high = further(place[rows], system.places(rows, assets))
        moved = place.copy() if from_above else np.full(n, top)
        moved[rows] = now
        proven = proven and state.error is not None and np.array_equal(low // steps, high // steps)
        # from above only these rows move, and it makes no difference whether assets reach into a tier
        before, after = (place[rows], now) if from_above else (place, moved)
        share = float(np.count_nonzero(after // steps != before // steps) / n)
        return share, share == 0.0

    def advance(step: int) -> None:
        nonlocal state, place
        default_round[(place == top) & (moved < top)] = step
        place = moved
        state = solve(system, place)

    solution, _ = iterate(change, advance, max_steps=n * (top + 1) + 1)
    if not from_above:
        default_round = (place < top).astype(np.int32)
    error = None if state.error is None else float(np.max(state.error / system.scale, initial=0.0))
    bound, estimate = (error, None) if proven else (None, error)
    solution = replace(solution, residual=system.residual(state.assets), error_bound=bound, error_estimate=estimate)
    return Clearing(state.assets, default_round, solution)


def _doubtful(system: System, state: State) -> tuple[Pieces, FloatArray]:
    """Return the nodes that may be unable to pay everything, and their assets: at least, about, and at most, (3, r)."""
    error = np.zeros_like(state.assets) if state.error is None else state.error
    rows = np.flatnonzero(~system.solvent(state.assets - error))
    about, error = state.assets[rows], error[rows]
    return rows, np.array([about - error, about, about + error])


def _down(system: System, place: Pieces) -> State:
    """Return the assets when every node pays max(0, what is left for the tier) of its piece: they are unique.

    That something is left is first guessed from the assets before, which were no lower. Where the guess fails, parts
    enter the linear system when something is left for them: each solution shows all that have to enter next.
    """
    piece, top = place // 2, len(system.tiers)
    chosen = piece < (top if system.holdings is None else top + 1)
    if not chosen.any():
        return State(system.external + system.claims, system.noise)
    parts = Partial(system, piece, chosen)
    base = system.claims - parts.received(parts.due)
    for tier in range(1, top):
        junior = parts.rows[piece[parts.rows] < tier]
        if junior.size:
            base -= system.tiers[tier][junior].sum(axis=0)
    left, tie = parts.left(base), TIE * system.scale[parts.rows]
    guess = (piece[parts.rows] == top) | (place[parts.rows] % 2 == 1)
    nothing = 0.0, system.noise
    inflow, error = _entered(parts, guess, left, tie, guessed=True) or _entered(parts, left > tie, left, tie) or nothing
    return State(system.external + base + inflow, error)


def _entered(
    parts: Partial, active: BoolArray, left: FloatArray, tie: FloatArray, *, guessed: bool = False
) -> tuple[FloatArray, FloatArray | None] | None:
    """Return what nodes receive of active ones and of all that have to enter; None: no node pays, or a guess fails."""
    part, active = np.zeros(left.size), active.copy()
    while active.any():
        equations = parts.equations(active)
        try:
            part[active] = equations.solve(left[active])
        except RuntimeError:  # exactly singular: a group that owes only to itself and has less than nothing
            return None
        if guessed and ((part < -tie) | ((part > parts.due + tie) & (parts.due > 0.0))).any():
            return None
        inflow = parts.received(part)
        entering = ~active & (left + parts.kept * inflow[parts.rows] > tie)
        if not entering.any():
            return inflow, parts.error(equations, active, part, left)
        active |= entering
    return None


def _up(system: System, place: Pieces) -> State:
    """Return the assets when every node pays min(what is left, what is due) in the tier of its piece: they are unique.

    Only nodes whose assets reach into their tier take part. Parts are first held at what is due, and enter the linear
    system when less is left for them.
    """
    piece, top = place // 2, len(system.tiers)
    owners = (piece == top) & (system.holdings is not None)
    parts = Partial(system, piece, owners | (place % 2 == 1))
    base = np.zeros(piece.size)
    for tier, owed in enumerate(system.tiers):
        base += owed.T @ (piece > tier).astype(np.float64)
    tie, part = TIE * system.scale[parts.rows], parts.due.copy()
    free = owners[parts.rows]
    while True:
        left = parts.left(base + parts.received(np.where(free, 0.0, part)))
        equations = parts.equations(free)
        part[free] = np.maximum(equations.solve(left[free]), 0.0)
        inflow = parts.received(part)
        entering = ~free & (parts.left(base + inflow) < part - tie)
        if not entering.any():
            return State(system.external + base + inflow, parts.error(equations, free, part, left))
        free |= entering
