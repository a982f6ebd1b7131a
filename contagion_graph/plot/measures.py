"""Measures of importance against each other: the rank of each node by each measure."""

from typing import TYPE_CHECKING

import numpy as np

from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.importance.comparison import Comparison
from contagion_graph.plot.canvas import QUIET, axes, beside_legend, segments, style, text
from contagion_graph.solvers.arrays import largest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000, 1_000_000)
SUFFIX = "_rank"
GREY = 10  # ranks of the first measure that are always drawn


def importance(comparison: Comparison, *, k: int = 7, ax: "Axes | None" = None) -> "Axes":
    """Draw the rank of nodes by each measure, one line a node: lines that cross are measures that disagree.

    The nodes with the best rank in any measure have a colour and a name, ties by the mean rank; then, in grey, the
    first ten by the first measure.

    Parameters
    ----------
    comparison : Comparison
        What `importance.compare` returned.
    k : int
        How many nodes have a colour and a name, at most.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> of = cg.importance
    >>> ax = cg.plot.importance(of.compare(graph, [of.strength, of.degree]))
    >>> [line.get_ydata().tolist() for line in ax.lines]
    [[1, 1], [2, 2]]
    """
    if not isinstance(comparison, Comparison):
        raise ParameterError(f"comparison is a {type(comparison).__name__}; give what importance.compare returned")
    check_number("importance", "k", k, low=1, whole=True)
    places = comparison.table.filter(regex=f"{SUFFIX}$")
    rank = places.to_numpy()
    best = largest(-rank.min(axis=1) - rank.mean(axis=1) / (len(rank) + 1.0), k)
    grey = np.setdiff1d(largest(-rank[:, 0], GREY), best)
    ax, across = axes(ax), np.arange(rank.shape[1])
    if grey.size:
        segments(ax, [np.column_stack([across, rank[row]]) for row in grey], colors=QUIET, linewidths=0.8, zorder=1)
    named = [ax.plot(across, rank[row], markersize=6, **style(number))[0] for number, row in enumerate(best)]
    beside_legend(ax, named, [text(places.index[row]) for row in best])
    worst = float(rank[np.concatenate([best, grey])].max(initial=1))
    ax.set(yscale="log", ylim=(1.25 * worst, 0.8), xlim=(-0.3, across[-1] + 0.3), ylabel="rank (1 = most)")
    ticks = [tick for tick in TICKS if tick <= worst]
    ax.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xticks(across, [_lines(name.removesuffix(SUFFIX)) for name in places.columns], fontsize=8)
    return ax


def _lines(name: str) -> str:
    """Return the name of a measure on as many lines as it has words."""
    return "\n".join(text(word) for word in name.split("_"))
