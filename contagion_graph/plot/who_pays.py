"""Who pays shortfalls, layer by layer, and how many bear what rankings of auto-deleveraging take."""

from typing import TYPE_CHECKING, Any

import numpy as np

from contagion_graph._validate import check_kind, check_number
from contagion_graph.plot.canvas import (
    COLOURS,
    TOTAL,
    amount,
    amounts_on,
    axes,
    beside_legend,
    check_result,
    note,
    percent_on,
    style,
    text,
)
from contagion_graph.scenarios.adl_policies import AdlComparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from contagion_graph.margin.result import CascadeResult


def adl_policies(comparison: AdlComparison, *, ax: "Axes | None" = None) -> "Axes":
    """Draw which share of what is taken the traders most taken from bear, a line a policy.

    A steep line: a few bear all. The legend says what is taken, and the shortfall that the policy leads to.

    Parameters
    ----------
    comparison : AdlComparison
        What `adl_policies` returns.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        What is no comparison.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [-6.0], [-4.0]], price=100.0, margin_long=0.02, margin_short=0.02, cash=[-840.0, 700.0, 900.0]
    ... )
    >>> found = cg.adl_policies(graph, cg.MarginCascade(), {"0": -0.2}, policies=["pro_rata"])
    >>> ax = cg.plot.adl_policies(found)
    >>> ax.lines[0].get_ydata().tolist()
    [0.0, 0.6, 1.0]
    """
    check_kind("adl_policies: comparison", comparison, AdlComparison, "the result of cg.adl_policies")
    ax = axes(ax)
    handles, labels = list[Any](), list[str]()
    for number, name in enumerate(comparison.taken.columns):
        borne = np.sort(comparison.taken[name].to_numpy())[::-1]
        borne = borne[borne > 0.0]
        total, shortfall = (float(comparison.policies[column][name]) for column in ("taken", "shortfall"))
        share = np.concatenate([[0.0], np.cumsum(borne) / borne.sum()]) if borne.size else np.zeros(1)
        look = style(number) | {"marker": "o" if borne.size <= 40 else "", "markersize": 3}
        handles += ax.plot(np.arange(share.size), share, **look)
        labels.append(f"{text(name)}: {amount(total)} taken, shortfall {amount(shortfall)}")
    if not comparison.taken.size:
        note(ax, "nobody is taken from")
        return ax
    ax.axhline(1.0, color=TOTAL, linewidth=0.6)
    ax.set(xlabel="traders most taken from", ylabel="share of what is taken", ylim=(0.0, 1.05))
    ax.set_xlim(left=0)
    percent_on(ax.yaxis)
    without = amount(float(comparison.policies["shortfall"]["none"]))
    beside_legend(ax, handles, labels, f"policy (shortfall without: {without})")
    return ax


def waterfall_layers(result: "CascadeResult", *, k: int = 12, ax: "Axes | None" = None) -> "Axes":
    """Draw who paid the shortfalls of each pool: a bar a pool, a part a layer of the waterfall, in order.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returns.
    k : int
        Pools to draw, those with the largest shortfalls, at least 1.
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        What is no result of a cascade, or k below 1.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0], [0.0]], price=50.0, cash=[-60.0, 9.0], insurance_fund=4.0)
    >>> ax = cg.plot.waterfall_layers(cg.MarginCascade().run(graph))
    >>> [float(bar.get_width()) for bar in ax.patches]
    [4.0, 6.0]
    """
    check_result(result)
    check_number("waterfall_layers", "k", k, low=1, whole=True)
    ax = axes(ax)
    short = result.pools["shortfall"].nlargest(k)
    short = short[short > 0.0]
    if short.empty:
        note(ax, "no account leaves a shortfall")
        return ax
    used = result.layers["used"].unstack("layer", sort=False).loc[short.index]
    used["uncovered"] = result.pools["uncovered"]
    used = used.drop(columns="deleverage", errors="ignore")
    places, before, handles, labels = np.arange(len(short)), np.zeros(len(short)), list[Any](), list[str]()
    for number, name in enumerate(used.columns[used.sum() > 0.0]):
        amounts = used[name].to_numpy()
        look = (
            {"color": TOTAL, "hatch": "////", "fill": False}
            if name == "uncovered"
            else {"color": COLOURS[(number + 1) % len(COLOURS)]}
        )
        handles.append(ax.barh(places, amounts, left=before, height=0.7, edgecolor="white", **look))
        labels.append(f"{text(str(name))}: {amount(float(used[name].sum()))}")
        before = before + amounts
    ax.set_yticks(places, [text(str(pool)) for pool in short.index])
    ax.invert_yaxis()
    ax.set(xlabel="shortfall by who paid it [currency]", ylabel="pool")
    amounts_on(ax.xaxis)
    beside_legend(ax, handles, labels, "layer, in order")
    return ax
