"""Leave-one-out: the losses of others that the absence of one trader saves."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import OnFailure
from contagion_graph._validate import check_number
from contagion_graph.graph.backing import noted
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock, check_graph
from contagion_graph.importance.absences.coalitions import Game, Measure
from contagion_graph.importance.absences.knockout_bounds import Bounds, largest_knockouts, unbounded
from contagion_graph.margin.model import MarginCascade
from contagion_graph.tables.vectors import rows_of

ROUNDING = 1e-12  # of gross value: a knock-out of less is 0


def knockout(
    graph: ExposureGraph,
    model: MarginCascade,
    shock: Shock,
    *,
    k: int | None = None,
    measure: Measure = "loss",
    traders: Iterable[object] | None = None,
    on_failure: OnFailure = "raise",
) -> "pd.Series[float]":
    """Return the losses of the others in a shock that the absence of one trader saves.

    With v(N) the measure in the market of all traders N, and v(N - i) in the market without trader i,

        knock-out_i = [v(N) - v(N - i)] with the shock  -  [v(N) - v(N - i)] without it.

    Without i: its accounts hold no position and no cash, and have no part in loss sharing. v is the sum of the losses
    E(p0) - E(end) of the traders other than i ("loss"), of the shortfalls that closed accounts leave to their pools,
    i's own among them ("shortfall"), or of what neither funds nor members pay ("uncovered"). A trader that bears shared
    losses, or is on the other side of what is sold, can have a knock-out below 0: without it the others lose more.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shock.
    model : MarginCascade
        The cascade.
    shock : mapping or Series asset -> relative price change
        -0.30 = falls by 30 %.
    k : int, optional
        Return only the k largest. Where whole accounts are liquidated, no loss is shared and every asset is held on one
        side, groups of traders are excluded by one run each, by proven bounds; elsewhere every trader that can have an
        effect is run.
    measure : {"loss", "shortfall", "uncovered"}
        v.
    traders : iterable of labels, optional
        The traders whose absence is computed; None: all.
    on_failure : {"raise", "warn", "ignore"}
        What to do where a cascade does not converge: its last state is then used.

    Returns
    -------
    Series
        Currency, by trader: in the order of the graph, or of `traders`; the k largest from the largest down.
        ``attrs["runs"]`` is the number of cascades that were run, ``attrs["method"]`` says which were.

    Raises
    ------
    ParameterError
        A model that is no MarginCascade, an unknown measure, trader or asset, no trader, k below 1.
    ConvergenceError
        A cascade did not converge, and `on_failure` is "raise".

    Notes
    -----
    An account that is never in breach sells nothing: where no loss is shared in its pool, a trader's knock-out is 0 and
    needs no run. Each
    other trader needs one cascade, and one more where accounts are in breach without any shock. Limited liability
    ends a trader's loss at its equity; what it cannot pay is in the shortfall.

    References
    ----------
    Leave-one-out, the last term of the Shapley value. The proof of the bounds is in `knockout_bounds`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0], [5.0]], price=100.0, depth=1e4, margin_long=0.1, cash=[-850.0, -500.0, 0.0],
    ...     traders=["A", "B", "C"], assets=["ETH"],
    ... )
    >>> model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    >>> cg.importance.knockout(graph, model, {"ETH": -0.1}).round(2).to_dict()
    {'A': 128.47, 'B': 0.0, 'C': 0.0}
    """
    if k is not None:
        check_number("knockout", "k", k, low=1, whole=True)
    check_graph(graph)
    chosen = rows_of(traders, graph.traders, "knockout: traders")
    game = Game(graph, model, shock, measure=measure, name="knockout", on_failure=on_failure)
    runs = chosen[game.matters[chosen]]
    values = dict.fromkeys(chosen.tolist(), 0.0)
    why = unbounded(game)
    if k is None or k >= chosen.size or why:
        values |= {trader: game.knockout(trader) for trader in runs.tolist()}
        method = f"every trader that can matter was run{f': {why}' if k is not None and why else ''}"
    else:
        values = _largest(game, values, runs, int(k))
        method = "groups that cannot hold one of the largest were ruled out by bounds"
    result = pd.Series(values, dtype=np.float64).reindex([number for number in chosen.tolist() if number in values])
    noise = ROUNDING * graph._rows.initial.gross.sum()  # must not make a ranking
    result = result.where(result.abs() > noise, 0.0)
    series = pd.Series(result.to_numpy(), graph.traders[result.index].rename("trader"), name="knockout")
    if k is not None:
        series = series.sort_values(ascending=False, kind="stable").head(int(k))
    series.attrs = {"runs": sum(case.runs for case in (game.shocked, game.quiet)), "method": method}
    return noted(series, graph)


def _largest(game: Game, values: dict[int, float], runs: Any, k: int) -> dict[int, float]:
    """Return the knock-outs needed to know the k largest; who matters without a shock too has no bound, and is run."""
    for _, case in game.cases[1:]:
        values |= {trader: game.knockout(trader) for trader in runs[case.matters[runs]].tolist()}
        runs = runs[~case.matters[runs]]
    bounded = set(runs.tolist())
    known = {trader: value for trader, value in values.items() if trader not in bounded}
    if not runs.size:
        return known
    sold = game.graph._rows.per_trader(game.graph._rows.initial.gross)
    return largest_knockouts(Bounds(game), k, known, runs[np.argsort(-sold[runs], kind="stable")])
