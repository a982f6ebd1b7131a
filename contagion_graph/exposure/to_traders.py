"""Losses of traders when other traders default."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from contagion_graph._typing import OnFailure
from contagion_graph._validate import check_number
from contagion_graph.errors import ConvergenceError, ParameterError
from contagion_graph.exposure.inputs import check_inputs, traders_of
from contagion_graph.exposure.losses import ROUNDING, Losses
from contagion_graph.graph.backing import noted
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock
from contagion_graph.margin.model import MarginCascade
from contagion_graph.tables.vectors import rows_of

MOST_DEFAULTS = 1_000  # runs that are not asked for by name


def exposure_to_traders(
    graph: ExposureGraph,
    model: MarginCascade,
    shock: Shock | None = None,
    *,
    traders: Iterable[object] | None = None,
    k: int = 10,
    on_failure: OnFailure = "raise",
) -> pd.DataFrame:
    """Return the k pairs of traders in which the one loses most when the other defaults.

    Exposure of i to j: the loss of i in the cascade in which all accounts of j close whole in the first round, less its
    loss in the same cascade without that default. One run a defaulter, of which only the largest losses are kept.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts, m assets.
    model : MarginCascade
        Run once for each defaulter, and once without any.
    shock : mapping or Series asset -> relative price change, optional
        The shock of both cascades; None: no shock.
    traders : iterable of labels, optional
        The defaulters, one at a time; None: each trader, if there are at most 1,000.
    k : int
        At least 1.
    on_failure : {"raise", "warn", "ignore"}
        What to do where a run does not converge: its last state is then used.

    Returns
    -------
    DataFrame
        trader, defaulter, loss [currency], the largest first; no trader with itself, and no loss below 1e-12 of what
        the trader holds.

    Raises
    ------
    ParameterError
        k below 1; more than 1,000 traders and none named; a market in which nothing indirect can happen; an unknown
        label, a shock that the graph does not know.
    ConvergenceError
        A run did not converge, and `on_failure` is "raise".

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[9.0, 2.0], [0.0, 4.0]], price=10.0, depth=1000.0, margin_long=0.1, cash=[-90.0, 0.0], traders=["A", "B"]
    ... )
    >>> cg.exposure_to_traders(graph, cg.MarginCascade()).round(2)
      trader defaulter  loss
    0      B         A  0.79
    1      A         B  0.78
    """
    check_inputs(graph, model, on_failure, any_margin=True)
    check_number("exposure_to_traders", "k", k, low=1, whole=True)
    if traders is None and len(graph.traders) > MOST_DEFAULTS:
        raise ParameterError(
            f"{len(graph.traders):,} traders are as many runs; name the defaulters that matter, for example traders="
            "graph.gross_value.groupby('trader').sum().nlargest(100).index"
        )
    defaulters, every = rows_of(traders, graph.traders, "traders"), traders_of(graph, None)
    losses = Losses(model.run(graph, shock, on_failure=on_failure), every, "loss")
    least = ROUNDING * every.add_vector(graph._rows.initial.gross + np.abs(graph._rows.equity))
    found = pd.DataFrame({"trader": [], "defaulter": [], "loss": []}).astype({"trader": int, "defaulter": int})
    for j, label in zip(defaulters, graph.traders[defaulters], strict=True):
        try:
            result = model.run(graph, shock, defaults=[label], on_failure=on_failure)
        except ConvergenceError as error:
            error.add_note(f"in the run with defaults=[{label!r}]")
            raise
        loss = losses.by_trader(losses.of(result))
        loss[j] = 0.0
        hit = np.flatnonzero(loss > least)
        pairs = pd.DataFrame({"trader": hit, "defaulter": j, "loss": loss[hit]})
        found = pd.concat([found, pairs]).nlargest(k, "loss")
    found["trader"], found["defaulter"] = graph.traders[found["trader"]], graph.traders[found["defaulter"]]
    return noted(found.reset_index(drop=True), graph)
