"""Systemic importance by fire sales: the losses where all traders return to their leverage after a shock."""

from typing import Any

import pandas as pd

from contagion_graph.graph.backing import noted
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock
from contagion_graph.margin.literature.vulnerable_banks import greenwood_landier_thesmar


def systemicness(
    graph: ExposureGraph, shock: Shock, *, leverage: Any = None, cap: float | None = None, limited: bool = False
) -> "pd.Series[float]":
    """Return the share of all equity that a trader's sales cost if all return to their leverage after a shock.

    S_i of `cg.named.greenwood_landier_thesmar`, which describes the parameters; it adds up to the aggregate
    vulnerability. Dimensionless, by trader; above 0 for a loss.

    Parameters
    ----------
    graph, shock, leverage, cap, limited
        As there.

    Returns
    -------
    Series

    Raises
    ------
    ParameterError
        As there.

    References
    ----------
    Greenwood, Landier & Thesmar (2015), J. Financial Economics 115(3).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[50.0, 50.0], [0.0, 80.0]], price=1.0, depth=1e4, cash=[-90.0, -70.0], assets=["X", "Y"]
    ... )
    >>> cg.importance.systemicness(graph, {"X": -0.1}).round(6).tolist()
    [0.02025, 0.0]
    """
    banks = greenwood_landier_thesmar(graph, shock, leverage=leverage, cap=cap, limited=limited)
    return noted(banks.systemicness.rename_axis("trader"), graph)


def indirect_vulnerability(
    graph: ExposureGraph, shock: Shock, *, leverage: Any = None, cap: float | None = None, limited: bool = False
) -> "pd.Series[float]":
    """Return the share of its equity that a trader loses as all return to their leverage after a shock.

    IV_i of `cg.named.greenwood_landier_thesmar`, which describes the parameters: what fire sales cost it, without the
    shock itself. Dimensionless, by trader; NaN where equity is not positive.

    Parameters
    ----------
    graph, shock, leverage, cap, limited
        As there.

    Returns
    -------
    Series

    Raises
    ------
    ParameterError
        As there.

    References
    ----------
    Greenwood, Landier & Thesmar (2015), J. Financial Economics 115(3).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[50.0, 50.0], [0.0, 80.0]], price=1.0, depth=1e4, cash=[-90.0, -70.0], assets=["X", "Y"]
    ... )
    >>> cg.importance.indirect_vulnerability(graph, {"X": -0.1}).round(6).tolist()
    [0.0225, 0.018]
    """
    banks = greenwood_landier_thesmar(graph, shock, leverage=leverage, cap=cap, limited=limited)
    return noted(banks.indirect_vulnerability.rename_axis("trader"), graph)
