"""Margins of largest affine pieces in a linear programme: tiers and scenario grids, where accounts add or close units.

Let part k of an account's margin be max_l (a_l + s_l.x), and b the piece that binds at x = 0. Then it is
a_b + s_b.x + u_k with the least u_k >= 0 for which

    (s_l - s_b).x - u_k <= a_b - a_l    for every piece l,

whose right-hand sides are no less than 0. So s_b counts as a rate does, and each u_k is one more variable.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.collateral.rebalancing.plan import AtRisk
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.margins import GraphMargins
from contagion_graph.graph.scenario_grids import NONE
from contagion_graph.solvers.programme import Programme

Codes = np.ndarray[Any, Any]


class Choices(NamedTuple):
    """What a programme chooses: of each x, which of the accounts at risk, the column (below 0: cash), units a step."""

    of: Codes
    column: Codes
    units: FloatArray


class Part(NamedTuple):
    """A part of an account's margin that choices change: whose, pieces at x = 0 (l), slopes by choice (c x l)."""

    account: int
    choices: Codes
    level: FloatArray
    slope: FloatArray


def ruled(graph: ExposureGraph, risky: AtRisk, of: Codes, column: Codes) -> BoolArray:
    """Return which choices change margins that tiers or a grid say."""
    margins, of_asset = graph._margins, column >= 0
    if margins is None:
        return np.zeros(column.size, dtype=bool)
    tiered = np.diff(margins.schedule(len(graph.assets)).first) > 0
    on_grid = margins.on_grids[0][risky.rows[of]] != NONE
    return np.asarray(of_asset & (on_grid | tiered[column]))


def with_pieces(
    programme: Programme, graph: ExposureGraph, risky: AtRisk, choices: Choices, weight: float
) -> tuple[Programme, list[str]]:
    """Return a programme that counts `weight` times the margins of tiers and grids, and the names of its new limits.

    Each part of a margin that can bend adds a variable after those of the programme.
    """
    margins = graph._margins
    parts = [] if margins is None else _parts(graph, margins, risky, choices)
    if not parts:
        return programme, []
    k, gain = programme.cost.size, programme.gain.tolil()
    rows, cells, room = [], [], []
    for number, part in enumerate(parts):
        units, binding = choices.units[part.choices], int(part.level.argmax())
        gain[part.account, part.choices] -= weight * part.slope[:, binding] * units
        bent = (part.slope - part.slope[:, [binding]]) * units[:, None]
        for piece in np.flatnonzero((bent > 0.0).any(axis=0)).tolist():
            rows.append(np.append(part.choices, k + number))
            cells.append(np.append(bent[:, piece], -1.0))
            room.append(part.level[binding] - part.level[piece])
    size = k + len(parts)
    start = np.concatenate([[0], np.cumsum([each.size for each in rows])]).astype(np.int64)
    flat = (np.concatenate([[], *cells]), np.concatenate([[], *rows]).astype(np.int64), start)
    bends = sparse.csr_array(flat, (len(rows), size))
    none = np.zeros(len(parts))
    account = np.array([part.account for part in parts])
    more = sparse.csr_array(
        (np.full(len(parts), -weight), (account, np.arange(len(parts)))), (risky.rows.size, len(parts))
    )
    wider = sparse.hstack([programme.use, sparse.csr_array((programme.use.shape[0], len(parts)))])
    return replace(
        programme,
        cost=np.append(programme.cost, none),
        gain=sparse.hstack([gain.tocsr(), more], format="csr"),
        use=sparse.vstack([wider, bends], format="csr"),
        limit=np.append(programme.limit, room),
        upper=np.append(programme.upper, none + np.inf),
        whole=np.append(programme.whole, none > 0.0),
    ), [f"the margin of {risky.label(graph, account[each[-1] - k])}" for each in rows]


def _parts(graph: ExposureGraph, margins: GraphMargins, risky: AtRisk, choices: Choices) -> list[Part]:
    m, (number, _) = len(graph.assets), margins.on_grids
    grid_of = number[risky.rows[choices.of]]
    group = graph._risk_groups[0]
    key = np.where(grid_of == NONE, choices.column, m + group[choices.column])
    some = np.flatnonzero(ruled(graph, risky, choices.of, choices.column))
    gains = [grid.gains(graph.price) for grid in margins.grids]
    tiers, found = margins.schedule(m), []
    for account, of in sorted(set(zip(choices.of[some].tolist(), key[some].tolist(), strict=True))):
        own = some[(choices.of[some] == account) & (key[some] == of)]
        held, row = graph.quantity[[risky.rows[account]]], risky.rows[account]
        if of < m:
            tier = slice(tiers.first[of], tiers.first[of + 1])
            slope = np.concatenate([tiers.rate[tier], -tiers.rate[tier]]) * graph.price[of]
            level = slope * held[0, of] - np.tile(tiers.amount[tier], 2)
            slope = np.tile(slope, (own.size, 1))
        else:
            block = np.append(gains[number[row]], np.zeros((m, 1)), axis=1)  # no loss counts below 0
            inside = group[held.indices] == of - m
            level = -(held.data[inside] @ block[held.indices[inside]])
            slope = -block[choices.column[own]]
        found.append(Part(account, own, level, slope))
    return found
