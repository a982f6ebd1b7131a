"""One scenario on its candidates: the accounts that can be in breach while prices stay in a box, copied together.

A sample of the accounts foresees the box (sample.py); one pass over the rows finds the candidates in it (screening.py);
the rounds run on a copy of these. Where a price or a loss rate leaves the box, the scenario is run again in a wider
one, last on all accounts. The box decides the work, never the answer.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray, IntArray
from contagion_graph.graph.collectives import WHOLE
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.rows import RowReductions
from contagion_graph.graph.scenario import Scenario
from contagion_graph.kernels.box import GROWN
from contagion_graph.margin.candidates.sample import Sample, drawn, foreseen
from contagion_graph.margin.candidates.screening import Box
from contagion_graph.margin.candidates.subgraph import CandidateGraph, CandidateMarket, OutsideBoxError
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.margin.result import CascadeArrays
from contagion_graph.margin.rounds.account_state import Market, Rows, by_layer, sums_of, union
from contagion_graph.margin.rounds.channel_sums import ChannelSums
from contagion_graph.margin.rounds.fills import fill_rows, passes_on
from contagion_graph.margin.rounds.path import Path, run_path, weights
from contagion_graph.rules.declarations import declared
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.state import Before, Bounds

WORTH_A_SAMPLE = 100_000  # rows from which on candidates are copied
FEW = 0.5  # of all rows; more of them are not worth a copy
BOXES, WIDER = 2, 2.0  # boxes that are tried, and how many times as far the next one goes
KNOWN, SAMPLE = "weights in loss sharing", "sample"  # where the rows of a graph keep what other runs can use


class Known(NamedTuple):
    """What is known of the accounts before a scenario: their weights in loss sharing, and what screens them."""

    base: FloatArray
    scale: tuple[float, ...]
    whole: list[ChannelSums]
    before: Before


def known(graph: ExposureGraph, scenario: Scenario, rules: CascadeRules) -> Known:
    """Return what is known of the accounts before a scenario; a graph keeps it where weights are always the same."""
    rows, members = graph._rows, rules.members
    last = vars(rows).get(KNOWN)
    if last is not None and last[0] == members:
        return last[1]  # type: ignore[no-any-return]
    base, scale = weights(graph, scenario.price_shocked, rules)
    whole = [each.added_up() for each in sums_of(rows, base)]
    found = Known(base, scale, whole, Before(*rows.linear, base))
    if all(declared(each, "fixed") is True and _is_frozen(each) for each in members):
        vars(rows)[KNOWN] = members, found
    return found


def _is_frozen(rule: object) -> bool:
    """Say whether a rule is a frozen record, which stays what it is."""
    record = getattr(type(rule), "__dataclass_params__", None)
    return record is not None and bool(record.frozen)


def candidates(graph: RowReductions, box: Box, before: Before) -> Rows:
    """Return the rows that can be in breach somewhere in a box."""
    from contagion_graph.kernels import box as passes

    moves, gains = graph.moves(box.low, box.high), graph.margins is None
    rate = float(np.atleast_1d(box.loss_rate)[0])
    if before.base.ndim > 1:  # what an account bears at most in all layers
        before, rate = before._replace(base=before.base @ box.loss_rate), 1.0
    bounds = Bounds(graph.price, box.low, box.high, gains, *moves, rate)
    return passes.rows_in_box(graph.bounding, before, bounds, graph.row_borders)


def sample_of(graph: RowReductions) -> Sample:
    """Return the sample of a graph, which keeps it."""
    kept = vars(graph)
    if SAMPLE not in kept:
        kept[SAMPLE] = drawn(graph)
    return kept[SAMPLE]  # type: ignore[no-any-return]


def wider(box: Box, price: FloatArray) -> Box:
    """Return a box that goes farther from the shocked prices."""
    low, high = price - WIDER * (price - box.low), price + WIDER * (box.high - price)
    return Box(np.maximum(low, 0.0), high, WIDER * box.loss_rate)


class Ended(NamedTuple):
    """A scenario whose rounds have ended.

    Parameters
    ----------
    path : Path
        Its rounds.
    solution : Solution
        How they ended.
    rows : ndarray of int
        The rows of the graph that are rows of the path.
    base : ndarray, shape (n,) or (n, l)
        Weights of all accounts in loss sharing, in each of several layers of members.
    number : int
        Its place in a batch.
    """

    path: Path
    solution: Solution
    rows: Rows
    base: FloatArray
    number: int = 0


def run_rounds(
    graph: ExposureGraph,
    scenario: Scenario,
    rules: CascadeRules,
    impact: ImpactRecord,
    *,
    rank: IntArray | None = None,
    fund: FloatArray | None = None,
    full: bool = False,
) -> Ended:
    """Run the rounds of a scenario, on its candidates where that is worth a copy of them."""
    rows, ended = graph._rows, None
    worth = rows.margins is None or rows.price_map is None  # bounds of margins with instruments leave few accounts out
    worth &= not passes_on(rows, rules)
    if worth and not full and rows.cash.size >= WORTH_A_SAMPLE and rows.group is WHOLE:
        ended = run_on_candidates(graph, scenario, rules, impact, rank=rank, fund=fund)
    if ended is None:
        base, scale = weights(graph, scenario.price_shocked, rules)
        positions = fill_rows(graph, rules)
        rows = rows if positions is None else positions
        market = Market(rows, scenario, base.copy(), full=full)
        path = Path(rows, scenario, rules, impact, market, rank=rank, fund=fund, scale=scale, positions=positions)
        ended = Ended(path, run_path(path), rows.all_rows, base)
    return ended


def run_on_candidates(
    graph: ExposureGraph,
    scenario: Scenario,
    rules: CascadeRules,
    impact: ImpactRecord,
    *,
    rank: IntArray | None = None,
    fund: FloatArray | None = None,
) -> Ended | None:
    """Run a scenario on its candidates; None where these are most accounts, or prices leave every box."""
    rows, hit = graph._rows, scenario.hit
    base, scale, whole, before = known(graph, scenario, rules)
    box = foreseen(sample_of(rows).with_rows(hit), scenario, (base, scale), rules, impact)
    for _ in range(BOXES):
        if (box.high > GROWN * rows.unit).any():
            return None
        some = candidates(rows, box, before)
        if hit.size:
            some = union(some, hit, rows.cash.size)
        if some.size > FEW * rows.cash.size:
            return None
        few = CandidateGraph(rows, some)
        case = replace(scenario, losses=scenario.losses[some], defaults=scenario.defaults[some])
        try:
            market = CandidateMarket(few, case, whole, box)
            some_rank = None if rank is None else rank[some]
            path = Path(few, case, rules, impact, market, rank=some_rank, fund=fund, scale=scale)
            return Ended(path, run_path(path), few.rows, base)
        except OutsideBoxError:
            box = wider(box, scenario.price_shocked)
    return None


def arrays_of(graph: ExposureGraph, ended: Ended, scenario: Scenario) -> CascadeArrays:
    """Return what a cascade came to, for all accounts: those that were left out bear shared losses, and no more."""
    found, rows, base = ended.path.arrays(), ended.rows, ended.base
    if rows.size == len(base):
        return found
    touched, rate = np.flatnonzero(found.breach_round), ended.path.market.channels.loss_rate

    def everywhere(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        out = np.zeros(len(base), dtype=values.dtype)
        out[rows[touched]] = values[touched]
        return out

    socialised = np.zeros(len(base))
    if rate.any():
        layers = by_layer(base)
        levels = rate.reshape(layers.shape[1], -1)[:, graph._rows.pool_of]
        socialised = layers[:, 0] * levels[0]
        for k in range(1, len(levels)):
            socialised += layers[:, k] * levels[k]
        socialised[rows] = found.socialised
    return replace(
        found,
        proceeds=everywhere(found.proceeds),
        own_used=None if found.own_used is None else everywhere(found.own_used),
        penalty=everywhere(found.penalty),
        shortfall=everywhere(found.shortfall),
        closed=everywhere(found.closed),
        breach_round=everywhere(found.breach_round),
        losses=scenario.losses,
        closed_short=None if found.closed_short is None else everywhere(found.closed_short),
        socialised=socialised,
        trades=tuple(
            replace(trade, rows=rows[trade.rows], left=rows[trade.left], capped=rows[trade.capped])
            for trade in found.trades or ()
        ),
    )
