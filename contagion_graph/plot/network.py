"""The cascade on its graph: traders and assets, and who was closed in which round."""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph._validate import ROUNDING, check_number
from contagion_graph.graph_formats.core import core_of, share_of_loss
from contagion_graph.margin.result import CascadeResult
from contagion_graph.plot.canvas import (
    GAIN,
    LOSS,
    QUIET,
    ROUNDS,
    TOTAL,
    axes,
    beside_legend,
    check_result,
    matplotlib,
    segments,
    text,
)
from contagion_graph.solvers.arrays import largest, ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Places = np.ndarray[Any, np.dtype[np.int64]]
SMALLEST, LARGEST = 110.0, 420.0  # of a node, in square points: a number of two digits fits in
WIDEST = 5.0  # of an edge, in points


def bipartite(result: CascadeResult, *, k: int = 20, k_assets: int = 20, ax: "Axes | None" = None) -> "Axes":
    """Draw who holds what, who was closed in which round, and where the prices ended.

    Traders stand on the left, in the order in which they came into breach; the number in a node is that round, its
    size is the loss. Assets stand on the right with the change of their price. An edge is as wide as the square root of
    the value held; short positions are dashed.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned, or the least or greatest of `equilibria`.
    k : int
        How many traders, at most: half with the most closed, the others with the largest losses.
    k_assets : int
        How many assets, at most: those of which these traders hold most.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
    ... )
    >>> ax = cg.plot.bipartite(cg.MarginCascade().run(graph, {"0": -0.10}))
    >>> [label.get_text() for label in ax.texts]
    ['1', 'A', 'B', '0  -19 %']
    """
    check_result(result)
    for name, value in (("k", k), ("k_assets", k_assets)):
        check_number("bipartite", name, value, low=1, whole=True)
    loss, first = (result.traders[name].to_numpy() for name in ("loss", "breach_round"))
    chosen, assets, held = core_of(result, k, k_assets)
    order = np.argsort(np.where(first[chosen] > 0, first[chosen], np.inf), kind="stable")
    chosen, held = chosen[order], held[order]
    rows, columns = _heights(len(chosen)), _heights(len(assets))
    order = largest(_centres(held, rows))  # near to who holds them: fewer edges cross
    held, assets = held[:, order], assets[order]
    ax = axes(ax, (7.0, max(2.5, 0.9 + 0.32 * max(len(chosen), len(assets)))))
    sides = _edges(ax, held, rows, columns)
    _traders(ax, result, (chosen, loss[chosen], first[chosen]), rows)
    _assets(ax, result, assets, columns)
    share = share_of_loss(result, chosen)
    title = f"{len(chosen):,} of {len(loss):,} traders with {share:.0%} of all losses"
    ax.set_title(title, fontsize=9, loc="left")
    ax.set(xlim=(-0.1, 1.1), ylim=(-0.06, 1.06))
    ax.set_axis_off()
    beside_legend(ax, list(sides.values()), list(sides))
    return ax


def _heights(count: int) -> FloatArray:
    """Return evenly spaced heights from the top down."""
    return 1.0 - (np.arange(count) + 0.5) / count


def _centres(held: sparse.csr_array, rows: FloatArray) -> FloatArray:
    weight = abs(held)
    return ratio(weight.T @ rows, weight.sum(axis=0), 0.0)


def _edges(ax: "Axes", held: sparse.csr_array, rows: FloatArray, columns: FloatArray) -> dict[str, Any]:
    """Draw an edge a position; return those of each side by what they are."""
    cells = held.tocoo()
    ends = np.stack([np.column_stack([np.zeros(cells.nnz), rows[cells.row]]),
                     np.column_stack([np.ones(cells.nnz), columns[cells.col]])], axis=1)  # fmt: skip
    size = np.abs(cells.data)
    width = 0.4 + WIDEST * np.sqrt(size / size.max(initial=ROUNDING))
    sides = {}
    for name, side, dashes in (("long", cells.data >= 0.0, "solid"), ("short", cells.data < 0.0, (0, (2, 1)))):
        if side.any():
            colour = QUIET if name == "long" else TOTAL
            segments(ax, list(ends[side]), linewidths=width[side], colors=colour, linestyles=dashes, alpha=0.6)
            sides[name] = matplotlib("lines").Line2D([], [], color=colour, linestyle=dashes)
    return sides


def _traders(ax: "Axes", result: CascadeResult, who: tuple[Places, FloatArray, Places], rows: FloatArray) -> None:
    chosen, loss, first = who
    part = np.sqrt(np.maximum(loss, 0.0) / max(loss.max(initial=0.0), ROUNDING))
    colours = matplotlib("pyplot").get_cmap(ROUNDS)(0.05 + 0.9 * (first - 1) / max(first.max(initial=0) - 1, 1))
    colours[first == 0] = 1.0
    ax.scatter(
        np.zeros(len(rows)), rows, SMALLEST + (LARGEST - SMALLEST) * part, c=colours, edgecolors="black", zorder=3
    )
    for row, trader, number, colour in zip(rows, chosen, first, colours, strict=True):
        if number:
            ink = "white" if colour[:3] @ (0.299, 0.587, 0.114) < 0.5 else "black"
            ax.text(0.0, row, str(number), ha="center", va="center", fontsize=7, color=ink, zorder=4)
        _beside(ax, row, text(result.graph.traders[trader]), (-14, 0))


def _assets(ax: "Axes", result: CascadeResult, assets: Places, columns: FloatArray) -> None:
    table = result.assets.iloc[assets]
    change = (table["price_after"] / table["price_before"] - 1.0).to_numpy()
    colours = [LOSS if one < -ROUNDING else GAIN if one > ROUNDING else "white" for one in change]
    ax.scatter(np.ones(len(columns)), columns, 130.0, c=colours, marker="s", edgecolors="black", zorder=3)
    for column, asset, one in zip(columns, table.index, change, strict=True):
        _beside(ax, column, f"{text(asset)}  {_percent(one)}", (10, 0))


def _percent(change: float) -> str:
    """Return a relative change in percent, with a decimal where it would read as 0."""
    if abs(change) < 5e-4:
        return "0 %"
    return f"{100 * change:+.0f} %" if abs(change) >= 0.005 else f"{100 * change:+.1f} %"


def _beside(ax: "Axes", height: float, words: str, offset: tuple[float, float]) -> None:
    left = offset[0] < 0.0
    place = (0.0 if left else 1.0, height)
    ax.annotate(words, place, xytext=offset, textcoords="offset points", ha="right" if left else "left", va="center",
                fontsize=8, annotation_clip=False)  # fmt: skip
