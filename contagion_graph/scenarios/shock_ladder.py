"""A table of the effects of shocks to single assets, of several sizes."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import pandas as pd

from contagion_graph._typing import OnFailure
from contagion_graph._validate import check_choice, check_kind, check_model
from contagion_graph.errors import ParameterError
from contagion_graph.graph.backing import noted
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.scenarios.draw.designed import single_asset
from contagion_graph.scenarios.sweep import sweep

Column = Literal["gross_loss", "net_loss", "closed", "breached", "shortfall", "fund_used", "socialised", "uncovered"]


def ladder(
    graph: ExposureGraph,
    model: MarginCascade,
    sizes: Iterable[float],
    *,
    assets: Iterable[Any] | None = None,
    column: Column = "gross_loss",
    on_failure: OnFailure = "warn",
) -> pd.DataFrame:
    """Return what a shock to one asset adds to a figure of the cascade, for shock sizes x assets.

    Each entry is the figure after the shock less the figure of the same model without one.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shocks.
    model : MarginCascade
        The rules.
    sizes : iterable of float
        Relative price changes, at least -1.
    assets : iterable of asset labels, optional
        None: all.
    column : {"gross_loss", "net_loss", "closed", "breached", "shortfall", "fund_used", "socialised", "uncovered"}
        A column of `SweepResult.scenarios` [currency, or accounts].
    on_failure : {"raise", "warn", "ignore"}
        What to do about cascades that do not converge.

    Returns
    -------
    DataFrame, shock size x asset

    Raises
    ------
    ParameterError
        No size, no asset, unknown assets, sizes out of range, or a column that `ladder` does not have.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
    ... )
    >>> cg.scenarios.ladder(graph, cg.MarginCascade(), [-0.05, -0.10], column="closed")
    asset   0
    size
    -0.05   0
    -0.10   1
    """
    check_graph(graph)
    check_model(model, MarginCascade, "cg.MarginCascade()")
    check_choice("ladder: column", column, get_args(Column))
    check_kind("ladder: sizes", sizes, Iterable, "a list of relative price changes")
    names = [str(asset) for asset in (graph.assets if assets is None else assets)]
    given = [0.0, *sizes]  # no shock first
    if len(given) == 1 or not names:
        raise ParameterError("ladder: give at least one size and one asset")
    swept = sweep(graph, model, single_asset(names, given), keep="scenarios", on_failure=on_failure)
    values = swept.scenarios[column].to_numpy().reshape(len(names), len(given)).T
    rows, columns = pd.Index(given[1:], name="size"), pd.Index(names, name="asset")
    return noted(pd.DataFrame(values[1:] - values[0], index=rows, columns=columns), graph)
