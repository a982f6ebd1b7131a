"""The least and the greatest equilibrium against the size of a shock."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from contagion_graph._validate import check_choice
from contagion_graph.errors import ParameterError
from contagion_graph.margin.equilibria.result import Equilibria
from contagion_graph.plot.canvas import LOSS, QUIET, amounts_on, axes, beside_legend, percent_on, whole_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTS = ("breached", "closed", "bystanders")


def tipping(equilibria: Mapping[float, Equilibria], *, column: str = "closed", ax: "Axes | None" = None) -> "Axes":
    """Draw the least and the greatest equilibrium against the size of a shock.

    Between the two curves there is more than one equilibrium; where the lower one jumps, a slightly larger shock closes
    many more accounts.

    Parameters
    ----------
    equilibria : mapping of size to Equilibria
        By relative price change, in any order: ``{size: model.equilibria(graph, {"ETH": size}) for size in sizes}``.
    column : str
        The figure to draw, any of `CascadeResult.summary`: "closed" accounts, "gross_loss", "uncovered", ...
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=2e3, margin_long=0.1, cash=[-850.0, -600.0], assets=["ETH"]
    ... )
    >>> model, sizes = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), [0.0, -0.02, -0.06]
    >>> ax = cg.plot.tipping({size: model.equilibria(graph, {"ETH": size}) for size in sizes})
    >>> [line.get_ydata().tolist() for line in ax.lines]  # from the largest fall to none: least, greatest
    [[2.0, 0.0, 0.0], [2.0, 2.0, 2.0]]
    """
    if not isinstance(equilibria, Mapping) or not equilibria:
        raise ParameterError("equilibria is no mapping of sizes to what MarginCascade.equilibria returned, or is empty")
    wrong = [size for size, both in equilibria.items() if not isinstance(both, Equilibria)]
    if wrong:
        raise ParameterError(f"equilibria at {wrong[0]!r} is not what MarginCascade.equilibria returned")
    sizes = sorted(equilibria)
    both = [[getattr(equilibria[size], which).summary() for size in sizes] for which in ("least", "greatest")]
    check_choice("column", column, tuple(both[0][0].index))
    least, greatest = (np.array([figures[column] for figures in each]) for each in both)
    exact = all(equilibria[size].one_sided for size in sizes)
    ax = axes(ax)
    between = ax.fill_between(
        sizes, least, greatest, where=least != greatest, color=QUIET, alpha=0.6, interpolate=False
    )
    lines = [
        ax.plot(sizes, least, "o-", color="black", markersize=4)[0],
        ax.plot(sizes, greatest, "s--", color=LOSS, markersize=4)[0],
    ]
    names = ["least equilibrium", "greatest equilibrium"] if exact else ["lower bound", "upper bound"]
    names.append("more than one equilibrium" if exact else "undecided")
    beside_legend(ax, [*lines, between], names)
    ax.set(xlabel="shock: change of price", ylabel=_words(column))
    percent_on(ax.xaxis)
    {True: whole_on, False: percent_on if column == "largest_fall" else amounts_on}[column in COUNTS](ax.yaxis)
    return ax


def _words(column: str) -> str:
    if column in ("closed", "breached"):
        return f"accounts {column}"
    return column.replace("_", " ")
