"""What traders are exposed to: a heat map of traders and assets, and losses against the change of one price."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number
from contagion_graph.errors import ParameterError
from contagion_graph.exposure.matrix import ExposureMatrix
from contagion_graph.plot.canvas import (
    TOTAL,
    amount,
    amounts_on,
    axes,
    beside_legend,
    matplotlib,
    percent_on,
    segments,
    style,
    text,
)
from contagion_graph.solvers.arrays import largest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VISIBLE = 0.02  # of the largest cell: a smaller gain cannot be seen
WRITTEN = 60  # cells up to which each is written out
MEASURES = ("indirect", "loss")


def exposure(matrix: Any, *, k: int = 20, k_assets: int = 20, ax: "Axes | None" = None) -> "Axes":
    """Draw a table of traders and assets as a heat map: the darker, the more a trader loses when that asset moves.

    A dot says that the trader holds the asset: what stands in a cell without one is exposure to what it does not hold.
    A minus says that the cell is a gain.

    Parameters
    ----------
    matrix : ExposureMatrix or DataFrame
        What `indirect_exposure`, `marginal_exposure` or `direct_exposure` returned, or a table traders x assets
        [currency].
    k, k_assets : int
        How many traders and assets to draw at most: those whose cells are largest in size, taken together.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[9.0, 2.0], [0.0, 4.0]], price=10.0, depth=1000.0, margin_long=0.1, cash=[-90.0, 0.0],
    ...     traders=["A", "B"], assets=["X", "Y"],
    ... )
    >>> ax = cg.plot.exposure(cg.indirect_exposure(graph, cg.MarginCascade(), -0.2))
    >>> ax.images[0].get_array().round(2).tolist()
    [[2.14, 0.0], [2.0, 0.0]]
    """
    for name, value in (("k", k), ("k_assets", k_assets)):
        check_number("exposure", name, value, low=1, whole=True)
    values, held, traders, assets, title = _cells(matrix, k, k_assets)
    ax = axes(ax, (2.5 + 0.4 * len(assets), 1.8 + 0.28 * len(traders)), framed=True)
    size = np.abs(values)
    scale = matplotlib("colors").PowerNorm(0.5, 0.0, size.max(initial=0.0) or 1.0)  # small ones are seen as well
    image = ax.imshow(size, cmap="Blues", norm=scale, aspect="auto")
    ax.set_xticks(range(len(assets)), [text(label) for label in assets], rotation=90, fontsize=8)
    ax.set_yticks(range(len(traders)), [text(label) for label in traders], fontsize=8)
    _marks(ax, values, held)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    amounts_on(bar.ax.yaxis)
    bar.set_label(title, fontsize=8)
    return ax


def _cells(matrix: Any, k: int, k_assets: int) -> tuple[FloatArray, Any, Any, Any, str]:
    """Return the cells to draw, whether each is held, their labels, and what they are."""
    if isinstance(matrix, pd.DataFrame):
        matrix_rows, title = [matrix], "currency"
    elif isinstance(matrix, ExposureMatrix):
        matrix_rows, title = list(matrix.blocks()), matrix.name
    else:
        raise ParameterError(f"matrix is a {type(matrix).__name__}; give an exposure or a table of traders and assets")
    total = np.concatenate([np.abs(block.to_numpy(np.float64)).sum(axis=1) for block in matrix_rows])
    rows = largest(total, k)
    start = np.cumsum([0, *(len(block) for block in matrix_rows)])
    block_of = np.searchsorted(start, rows, side="right") - 1
    table = pd.concat([matrix_rows[b].iloc[[r - start[b]]] for r, b in zip(rows, block_of, strict=True)])
    columns = largest(np.abs(table.to_numpy(np.float64)).sum(axis=0), k_assets)
    held = None if isinstance(matrix, pd.DataFrame) else matrix.held[rows][:, columns].toarray() != 0.0
    values = table.to_numpy(np.float64)[:, columns]
    return values, held, table.index, table.columns[columns], title


def _marks(ax: "Axes", values: FloatArray, held: Any) -> None:
    """Write amounts, dots and minus signs into the cells, in ink that shows on their colour."""
    size = np.abs(values) / (np.abs(values).max(initial=0.0) or 1.0)
    for (row, column), value in np.ndenumerate(values):
        gain = "-" if value < 0.0 and size[row, column] > VISIBLE else ""
        words = amount(value) if values.size <= WRITTEN and value else gain
        dot = "•" if held is not None and held[row, column] else ""
        if words or dot:
            ink = "white" if size[row, column] > 0.3 else "black"
            both = f"{dot} {words}".strip()
            ax.text(column, row, both, ha="center", va="center", fontsize=7, color=ink)


def exposure_curve(table: pd.DataFrame, *, column: str = "loss", k: int = 5, ax: "Axes | None" = None) -> "Axes":
    """Draw the losses of traders against the change of one price, with kinks.

    Parameters
    ----------
    table : DataFrame
        What `exposure_curve` returned.
    column : {"loss", "indirect"}
        Which of its measures.
    k : int
        How many traders to draw, at most: those with the largest losses.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        A vertical line marks each size at which accounts are in another state than at the size before.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[9.0, 2.0], [0.0, 4.0]], price=10.0, depth=1000.0, margin_long=0.1, cash=[-90.0, 0.0],
    ...     traders=["A", "B"], assets=["X", "Y"],
    ... )
    >>> ax = cg.plot.exposure_curve(cg.exposure_curve(graph, cg.MarginCascade(), "X", sizes=[-0.05, -0.1, -0.2]))
    >>> ax.lines[0].get_ydata().tolist()
    [20.0, 9.0, 4.5]
    """
    check_choice("column", column, MEASURES)
    check_number("exposure_curve", "k", k, low=1, whole=True)
    if not isinstance(table, pd.DataFrame) or table.columns.nlevels != 2 or column not in table.columns:
        raise ParameterError("table is not what exposure_curve returned")
    losses, sizes = pd.DataFrame(table[column]), table.index.to_numpy(np.float64)
    ax, named = axes(ax), largest(losses.abs().max().to_numpy(), k)
    look: dict[str, Any] = {"markersize": 4, "markevery": max(1, len(sizes) // 12), "linewidth": 1.5}
    lines = [ax.plot(sizes, losses.iloc[:, j], **style(number), **look)[0] for number, j in enumerate(named)]
    labels = [text(losses.columns[j]) for j in named]
    kinks = sizes[table["closed", "kink"].to_numpy(bool)]
    if kinks.size:
        ends, place = [[(size, 0.0), (size, 0.04)] for size in kinks], ax.get_xaxis_transform()
        marks = segments(ax, ends, colors=TOTAL, transform=place, autolim=False)
        lines, labels = [*lines, marks], [*labels, "kink: accounts close"]
    beside_legend(ax, lines, labels)
    ax.set(xlabel="change of price", ylabel=f"{'loss' if column == 'loss' else 'indirect loss'} [currency]")
    ax.axhline(0.0, color="black", linewidth=0.6, zorder=0)
    percent_on(ax.xaxis)
    amounts_on(ax.yaxis)
    return ax
