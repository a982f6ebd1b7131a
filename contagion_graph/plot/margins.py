"""Margins and options: what each scenario of a grid costs one account, and who is long and short which greek."""

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from contagion_graph._validate import check_choice, check_number
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.graph.scenario import AccountKey, check_graph
from contagion_graph.plot.canvas import (
    GAIN,
    LOSS,
    TOTAL,
    amounts_on,
    axes,
    beside_legend,
    note,
    percent_on,
    style,
    text,
)
from contagion_graph.solvers.arrays import largest
from contagion_graph.tables.vectors import row_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from contagion_graph.graph.exposure import ExposureGraph

Greek = Literal["delta", "gamma", "vega", "theta"]
DAYS = 365.0
UNITS = {
    "delta": "delta, value of the underlying [currency]",
    "gamma": "gamma, change of delta per 1 % of the underlying [currency]",
    "vega": "vega, per percentage point of volatility [currency]",
    "theta": "theta [currency a day]",
}


def margin_scenarios(graph: "ExposureGraph", account: AccountKey, *, ax: "Axes | None" = None) -> "Axes":
    """Draw what an account on a scenario grid loses in each scenario, a line a risk group; the largest is its cost.

    Of scenarios with the same move, the line shows the largest loss, and points the others. A circle: what binds.

    Parameters
    ----------
    graph : ExposureGraph
        With scenario grids.
    account : trader or (trader, pool, subaccount)
        On a grid; a trader with several accounts has to name one.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        An account that is not known, several accounts, or one that is on no grid.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[1.0, -1.0]], price=[100.0, 50.0], assets=["BTC", "ETH"], traders=["A"], account_margin=["pm"],
    ...     margin_scenarios={"grid": ["pm"] * 3, "move": [-0.1, 0.0, 0.1]},
    ... )
    >>> ax = cg.plot.margin_scenarios(graph, "A")
    >>> [line.get_ydata().tolist() for line in ax.lines[::3][:2]]
    [[10.0, 0.0, -10.0], [-5.0, 0.0, 5.0]]
    """
    check_graph(graph)
    faults = Faults(ParameterError)
    rows = row_of("account", account, graph.account_index, faults)
    faults.raise_if_any()
    row = rows[0]
    grid = next((grid for grid in graph._margins.grids if row in grid.rows), None) if graph._margins else None
    if grid is None:
        raise ParameterError(f"account {account!r} is on no grid; column margin of table accounts names that of each")
    own = grid.kept(np.flatnonzero(grid.rows == row), np.zeros(1, dtype=np.int64))
    gains, ax = own.gains(graph.price), axes(ax)
    for number, (start, end) in enumerate(zip(own.segments.start[:-1], own.segments.start[1:], strict=True)):
        columns, look = own.segments.column[start:end], style(number)
        losses, moves = -own.segments.quantity[start:end] @ gains[columns], own.move[columns[0]]
        places, group = np.unique(moves, return_inverse=True)
        worst = np.full(places.size, -np.inf)
        np.maximum.at(worst, group, losses)
        ax.plot(places, worst, label=text(graph._risk_groups[1][own.group[number]]), **look)
        ax.plot(moves, losses, linestyle="none", marker=look["marker"], color=look["color"], alpha=0.3, markersize=4)
        binding = int(np.argmax(losses))
        if losses[binding] > 0.0:
            ax.plot([moves[binding]], [losses[binding]], "o", markersize=13, markerfacecolor="none", color=TOTAL)
    if not own.segments.quantity.size:
        note(ax, "holds nothing")
    ax.axhline(0.0, color=TOTAL, linewidth=0.8)
    ax.set(xlabel=f"move of the underlying, grid {text(grid.name)}", ylabel="loss [currency]")
    percent_on(ax.xaxis)
    amounts_on(ax.yaxis)
    handles, labels = ax.get_legend_handles_labels()
    beside_legend(ax, handles, labels, "risk group; circle: binds")
    return ax


def greeks(graph: "ExposureGraph", *, greek: Greek = "gamma", k: int = 10, ax: "Axes | None" = None) -> "Axes":
    """Draw how much of a greek accounts are long and short together, by underlying, the largest first.

    Parameters
    ----------
    graph : ExposureGraph
        With table instruments; without, delta is the value that is held.
    greek : {"delta", "gamma", "vega", "theta"}
        delta u, gamma u^2 / 100, vega / 100, theta / 365: currency; u the price of the underlying.
    k : int
        Underlyings to draw, at least 1.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        Another greek; k below 1.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0], [-1.0]], price=[100.0], assets=["BTC"])
    >>> ax = cg.plot.greeks(graph, greek="delta")
    >>> [float(bar.get_width()) for bar in ax.patches]
    [200.0, -100.0]
    """
    check_graph(graph)
    check_choice("greek", greek, get_args(Greek))
    check_number("greeks", "k", k, low=1, whole=True)
    values = graph.greeks()[greek].fillna(0.0)
    u = graph.price[graph.assets.get_indexer(values.index.get_level_values("underlying"))]
    scale = {"delta": u, "gamma": u**2 / 100.0, "vega": np.full(u.size, 0.01), "theta": np.full(u.size, 1.0 / DAYS)}
    values = values.mul(scale[greek])
    by = [values.where(side, 0.0).groupby(level="underlying", sort=False).sum() for side in (values > 0, values < 0)]
    shown = largest((by[0] - by[1]).to_numpy(), k)
    ax, places = axes(ax), np.arange(shown.size)
    for sums, colour, hatch, name in ((by[0], GAIN, "", "long"), (by[1], LOSS, "//", "short")):
        ax.barh(places, sums.to_numpy()[shown], color=colour, hatch=hatch, edgecolor="white", label=name)
    net: Any = (by[0] + by[1]).to_numpy()[shown]
    ax.plot(net, places, "D", color=TOTAL, markersize=5, label="net")
    ax.axvline(0.0, color=TOTAL, linewidth=0.8)
    ax.set_yticks(places, [text(label) for label in by[0].index[shown]])
    ax.invert_yaxis()
    amounts_on(ax.xaxis)
    ax.set(xlabel=UNITS[greek])
    handles, labels = ax.get_legend_handles_labels()
    beside_legend(ax, handles, labels, "accounts")
    return ax
