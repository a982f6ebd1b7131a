"""A table of what falls of single assets, of several sizes, do."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import pandas as pd

from contagion_graph._validate import check_choice
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.scenarios.draw.designed import single_asset
from contagion_graph.scenarios.sweep import sweep

Figure = Literal["loss", "closed", "breached", "shortfall", "fund_used", "socialised", "uncovered"]


def ladder(
    model: CascadeRules,
    graph: ExposureGraph,
    sizes: Iterable[float],
    *,
    assets: Iterable[Any] | None = None,
    figure: Figure = "loss",
) -> pd.DataFrame:
    """Return what a shock to one asset adds to a figure of the cascade, for shock sizes x assets.

    Each entry is the figure after the shock less the figure of the same model without one.

    Parameters
    ----------
    model : MarginCascade
        The rules.
    graph : ExposureGraph
        The positions before the shocks.
    sizes : iterable of float
        Relative price changes, at least -1.
    assets : iterable of asset labels, optional
        None: all.
    figure : {"loss", "closed", "breached", "shortfall", "fund_used", "socialised", "uncovered"}
        A column of `SweepResult.scenarios` [currency, or accounts].

    Returns
    -------
    DataFrame, shock size x asset

    Raises
    ------
    ParameterError
        No size, no asset, or a figure that is none.
    TableError
        Unknown assets, or sizes that are out of range.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
    ... )
    >>> cg.scenarios.ladder(cg.MarginCascade(), graph, [-0.05, -0.10], figure="closed")
    asset   0
    size
    -0.05   0
    -0.10   1
    """
    check_graph(graph)
    check_choice("ladder: figure", figure, get_args(Figure))
    names = [str(asset) for asset in (graph.assets if assets is None else assets)]
    steps = [0.0, *sizes]  # no shock first
    if len(steps) == 1 or not names:
        raise ParameterError("ladder: give at least one size and one asset")
    swept = sweep(model, graph, single_asset(names, steps), keep="scenarios", progress=False)
    values = swept.scenarios[figure].to_numpy().reshape(len(names), len(steps)).T
    rows, columns = pd.Index(steps[1:], name="size"), pd.Index(names, name="asset")
    return pd.DataFrame(values[1:] - values[0], index=rows, columns=columns)
