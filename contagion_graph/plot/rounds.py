"""A cascade round by round: prices, accounts in breach, and who pays the shortfalls."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.margin.result import CascadeResult
from contagion_graph.plot.canvas import (
    GAIN,
    LOSS,
    QUIET,
    TOTAL,
    amounts_on,
    axes,
    beside_legend,
    check_rounds,
    matplotlib,
    note,
    percent_on,
    segments,
    style,
    text,
    whole_on,
)
from contagion_graph.solvers.arrays import largest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Three = np.ndarray[tuple[int], np.dtype[np.object_]]  # of axes
FEW = 30  # rounds up to which each has a marker
PAYERS = {"fund_used": "insurance funds", "socialised": "other members", "uncovered": "uncovered"}
FILLS = ({"facecolor": GAIN}, {"facecolor": LOSS, "hatch": "////"}, {"facecolor": TOTAL, "hatch": "...."})


def cascade(result: CascadeResult, *, ax: "Sequence[Axes] | Three | None" = None) -> Three:
    """Draw prices, accounts in breach, and shortfalls by who pays them, over the rounds, one below the other.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned.
    ax : sequence of three Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    ndarray of three Axes
        Those of `prices`, `closed` and `fund`.

    Raises
    ------
    ParameterError
        An equilibrium, which has no rounds; not three axes.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0])
    >>> cg.plot.cascade(cg.MarginCascade().run(graph, {"0": -0.1})).shape
    (3,)
    """
    check_rounds(result)
    if ax is None:
        new = matplotlib("pyplot").subplots(3, figsize=(7.0, 8.0), layout="constrained", sharex=True)
        ax = new[1]
    three: Three = np.ravel(np.asarray(ax, dtype=object))
    if three.size != 3:
        raise ParameterError(f"ax holds {three.size} axes; cascade draws on three: for prices, accounts and shortfalls")
    for draw, one in zip((prices, closed, fund), three, strict=True):
        draw(result, ax=one)
    for one in three[:2]:
        one.set_xlabel("")
    return three


def prices(result: CascadeResult, *, k: int = 6, ax: "Axes | None" = None) -> "Axes":
    """Draw by how much each price has changed after each round: p / p0 - 1; round 0 is the shock.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned.
    k : int
        The assets with the largest changes in the end have a colour and a name, the others are grey.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0])
    >>> ax = cg.plot.prices(cg.MarginCascade().run(graph, {"0": -0.1}))
    >>> ax.lines[0].get_ydata().round(3).tolist()
    [-0.1, -0.186]
    """
    check_rounds(result)
    check_number("prices", "k", k, low=1, whole=True)
    ax, changes = axes(ax), price_changes(result)
    rounds, named = np.arange(len(changes)), largest(np.abs(changes[-1]), k)
    others = np.delete(changes, named, axis=1)
    if others.size:
        paths = [np.column_stack([rounds, each]) for each in others.T]
        grey = segments(ax, paths, colors=QUIET, linewidths=0.6, zorder=1)
    lines = [ax.plot(rounds, changes[:, j], **_marked(place, len(rounds)))[0] for place, j in enumerate(named)]
    labels = [text(result.graph.assets[j]) for j in named]
    beside_legend(ax, [*lines, *([grey] if others.size else [])], [*labels, *(["other assets"] if others.size else [])])
    ax.axhline(0.0, color="black", linewidth=0.6, zorder=0)
    ax.set(ylabel="change of price", xlabel="round (0: the shock)")
    ax.autoscale_view()
    _round_axis(ax, len(rounds) - 1)
    percent_on(ax.yaxis)
    return ax


def price_changes(result: CascadeResult) -> FloatArray:
    """Return p / p0 - 1 of each asset after the shock and after each round, shape (rounds + 1, m)."""
    after = [result.arrays.price_shocked, *(trade.after for trade in result.arrays.trades or ())]
    return np.asarray(np.array(after) / result.graph.price - 1.0)


def closed(result: CascadeResult, *, ax: "Axes | None" = None) -> "Axes":
    """Draw how many accounts are in breach in each round: for the first time, and again.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0])
    >>> ax = cg.plot.closed(cg.MarginCascade().run(graph, {"0": -0.1}))
    >>> ax.patches[0].get_data().values.tolist()
    [1.0]
    """
    check_rounds(result)
    count = len(result.rounds)
    first = np.bincount(result.arrays.breach_round, minlength=count + 1)[1:].astype(np.float64)
    parts = {"for the first time": first, "again": result.rounds["breached"].to_numpy() - first}
    ax = _stacked(axes(ax), parts, ({"facecolor": LOSS}, {"facecolor": GAIN, "hatch": "////"}), "in breach")
    ax.set_ylabel("accounts in breach")
    whole_on(ax.yaxis)
    return ax


def fund(result: CascadeResult, *, ax: "Axes | None" = None) -> "Axes":
    """Draw who has paid the shortfalls up to each round, and how much the insurance funds held before.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-950.0])
    >>> ax = cg.plot.fund(cg.MarginCascade().run(graph, {"0": -0.1}))
    >>> ax.patches[-1].get_data().values.round(1).tolist()  # uncovered, stacked upon the others
    [93.5]
    """
    check_rounds(result)
    parts = {words: result.rounds[name].cumsum().to_numpy() for name, words in PAYERS.items()}
    ax = _stacked(axes(ax), parts, FILLS, "paid by", result.graph.insurance_fund.sum())
    ax.set_ylabel("shortfalls so far [currency]")
    amounts_on(ax.yaxis)
    return ax


def _stacked(
    ax: "Axes", parts: dict[str, FloatArray], fills: tuple[dict[str, Any], ...], title: str, line: float | None = None
) -> "Axes":
    """Draw parts upon each other, one step a round, and a line to compare them with where it is given."""
    count = len(next(iter(parts.values())))
    handles: list[Any] = []
    labels: list[str] = []
    if not count:
        note(ax, "no account is in breach")
    edges, floor = np.arange(count + 1) + 0.5, np.zeros(count)
    for (words, values), fill in zip(parts.items(), fills, strict=True):
        if values.any():
            steps = {"baseline": floor.copy(), "fill": True, "edgecolor": "white", **fill}
            handles.append(ax.stairs(floor + values, edges, **steps))
            labels.append(words)
        floor = floor + values
    if line:
        handles.append(ax.axhline(line, color="black", linestyle="--"))
        labels.append("held by the funds before")
    ax.set_xlabel("round")
    ax.set_ylim(bottom=0.0)
    beside_legend(ax, handles, labels, title)
    _round_axis(ax, count)
    return ax


def _marked(number: int, points: int) -> dict[str, Any]:
    return {**style(number), "markersize": 4, "markevery": max(1, points // FEW), "linewidth": 1.5}


def _round_axis(ax: "Axes", count: int) -> None:
    ax.set_xlim(-0.5, max(count, 1) + 0.5)
    whole_on(ax.xaxis)
