"""How losses are spread: the share of traders, or of scenarios, that lose at least a given amount."""

from typing import TYPE_CHECKING, Any

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph._validate import ROUNDING
from contagion_graph.errors import ParameterError
from contagion_graph.plot.canvas import LOSS, TOTAL, amount, amounts_on, axes, beside_legend, matplotlib, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 400  # of the curve, at ranks evenly spaced on its logarithmic axis
WIDE = 100.0  # largest loss over the median one from which amounts stand on a logarithmic axis
SPAN = 1e6  # of the largest loss over the smallest one that is in sight
QUANTILES = {0.95: "--", 0.99: ":"}


def loss_distribution(losses: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the share of all that lose at least x against x, with the losses that 5 % and 1 % exceed.

    Parameters
    ----------
    losses : Series or array_like
        One loss each [currency]: of traders, ``result.traders["loss"]``, or of scenarios. Below 0 = a gain.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        Both axes are logarithmic where the largest loss is more than 100 times the median one.

    Raises
    ------
    ParameterError
        No numbers, or NaN among them.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> ax = cg.plot.loss_distribution([1.0, 2.0, 4.0, -3.0])
    >>> ax.lines[0].get_xdata().tolist(), ax.lines[0].get_ydata().tolist()
    ([4.0, 2.0, 1.0], [0.25, 0.5, 0.75])
    """
    try:
        values = np.asarray(losses, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"losses is a {type(losses).__name__}; give one loss for each trader or scenario, such as "
            "result.traders['loss'] or sweep.distribution()"
        ) from error
    if not values.size or not np.isfinite(values).all():
        raise ParameterError("losses are empty, or not all finite numbers; give one loss for each trader or scenario")
    lost = np.sort(values[values > ROUNDING * np.abs(values).max()])[::-1]
    ax = axes(ax)
    if not lost.size:
        note(ax, f"none of {values.size:,} has a loss")
        return ax
    rank = _ranks(lost.size)
    line = ax.step(lost[rank - 1], rank / values.size, where="post", color=LOSS, linewidth=1.8)[0]
    handles, labels = [line], [f"{lost.size:,} of {values.size:,} lose"]
    for level, dashes in QUANTILES.items():
        quantile = float(np.quantile(values, level))
        if quantile > 0.0:
            handles.append(ax.axvline(quantile, color=TOTAL, linestyle=dashes, linewidth=1.2))
            labels.append(f"{1.0 - level:.0%} lose over {amount(quantile)}")
    wide = lost[0] > WIDE * np.median(lost)
    if wide:
        ax.set(xscale="log", yscale="log")
        ax.xaxis.set_major_locator(matplotlib("ticker").LogLocator(numticks=6))
        ax.xaxis.set_major_formatter(matplotlib("ticker").FuncFormatter(lambda value, _: amount(value)))
        ax.minorticks_off()
        ax.set_xlim(left=max(lost[-1], lost[0] / SPAN))
    else:
        amounts_on(ax.xaxis)
        ax.set_ylim(bottom=0.0)
    ax.set(xlabel="loss [currency]", ylabel="share that loses at least as much")
    ax.yaxis.set_major_formatter(matplotlib("ticker").FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
    beside_legend(ax, handles, labels)
    return ax


def _ranks(count: int) -> "FloatArray | Any":
    """Return ranks 1 to count, all of them where they are few, else evenly spaced on a logarithmic scale."""
    if count <= POINTS:
        return np.arange(1, count + 1)
    return np.unique(np.geomspace(1, count, POINTS).round().astype(np.int64))
