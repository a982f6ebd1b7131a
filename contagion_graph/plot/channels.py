"""The loss by channel: one bar a channel, each beginning where the one before ends."""

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from contagion_graph._validate import ROUNDING, check_choice
from contagion_graph.io.summary_text import CHANNELS
from contagion_graph.margin.result import CascadeResult
from contagion_graph.plot.canvas import GAIN, LOSS, TOTAL, amount, amounts_on, axes, check_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS = {"direct": 1.0, "impact": 1.0, "penalty": 1.0, "socialised": 1.0, "transfer": 1.0, "shortfall": -1.0}
HATCHES = {LOSS: "", GAIN: "////", TOTAL: ""}
Whose = Literal["losers", "all"]


def waterfall(result: CascadeResult, *, traders: Whose = "losers", ax: "Axes | None" = None) -> "Axes":
    """Draw what is lost by channel: direct + impact + penalty + socialised - shortfall = loss.

    Where positions pass from account to account, transfers are a channel too.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned, or the least or greatest of `equilibria`.
    traders : {"losers", "all"}
        Of those that lose alone, or of all traders, where gains and losses offset each other.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-850.0])
    >>> ax = cg.plot.waterfall(cg.MarginCascade().run(graph, {"0": -0.1}))
    >>> [float(bar.get_width()) for bar in ax.patches]  # direct, impact, penalty, socialised, shortfall, loss
    [100.0, 0.0, 0.0, 0.0, 0.0, 100.0]
    """
    check_result(result)
    check_choice("traders", traders, get_args(Whose))
    steps = {name: sign for name, sign in STEPS.items() if name in result.traders}
    table = result.traders[[*steps, "loss"]]
    totals = table[(table["loss"] > 0.0) | (traders == "all")].sum()
    change = np.array([sign * totals[name] for name, sign in steps.items()])
    change[np.abs(change) <= ROUNDING * result.graph._rows.initial.gross.sum()] = 0.0
    ends = np.cumsum(change)
    starts, sizes = np.append(ends - change, 0.0), np.append(change, ends[-1])
    colours = [*(LOSS if size >= 0.0 else GAIN for size in change), TOTAL]
    ax, places = axes(ax), np.arange(len(sizes))
    bars = ax.barh(places, sizes, left=starts, color=colours, height=0.6)
    for bar, colour in zip(bars, colours, strict=True):
        bar.set(hatch=HATCHES[colour], edgecolor="white")
    for k, end in enumerate(ends):
        ax.plot([end, end], [k + 0.3, k + 0.7], color="black", linewidth=0.8)
    right = np.maximum(starts, starts + sizes)
    for place, at, size in zip(places, right, sizes, strict=True):
        ax.annotate(amount(size), (at, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    total = "loss of all traders" if traders == "all" else "loss of the traders that lose"
    ax.set_yticks(places, [*(CHANNELS[name] for name in steps), total])
    ax.set(xlabel="currency; to the left: a gain", xmargin=0.15)
    ax.invert_yaxis()
    ax.axvline(0.0, color="black", linewidth=0.8)
    amounts_on(ax.xaxis)
    return ax
