"""Losses as a function of how far one price moves."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import OnFailure
from contagion_graph.errors import ParameterError
from contagion_graph.exposure.indirect import check_size
from contagion_graph.exposure.inputs import check_inputs, traders_of
from contagion_graph.exposure.losses import Losses, changed_state, standalone
from contagion_graph.exposure.matrix import LARGEST_TABLE
from contagion_graph.graph.backing import noted
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.tables.vectors import rows_of


def exposure_curve(
    graph: ExposureGraph,
    model: MarginCascade,
    asset: object,
    *,
    sizes: Iterable[float],
    traders: Iterable[object] | None = None,
    on_failure: OnFailure = "raise",
) -> pd.DataFrame:
    """Return the losses of traders as a function of how far one asset moves.

    loss and loss - standalone after the shock, each less that of the run without a shock. The curve has kinks and jumps
    where accounts come into breach or close whole; those between two sizes are marked at the second.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts, m assets.
    model : MarginCascade
        Run once without a shock, and once for each size.
    asset : label
        The asset that moves.
    sizes : iterable of float
        Relative price changes from -1 up, in any order; 0 is the run without a shock.
    traders : iterable of labels, optional
        None: all, as far as ten million numbers.
    on_failure : {"raise", "warn", "ignore"}
        What to do where a run does not converge: its last state is then used.

    Returns
    -------
    DataFrame
        One row a size, ascending. Columns (measure, trader): "loss" and "indirect" [currency] of each trader; and
        ("closed", "accounts"), how many accounts close something, ("closed", "changed"), how many of them are in
        another state (open, closed in part, closed whole) than at the size before, ("closed", "kink"), whether any is.

    Raises
    ------
    ParameterError
        No sizes, or one below -1 or not finite; a market in which nothing indirect can happen; too many numbers; an
        unknown label.
    ConvergenceError
        A run did not converge, and `on_failure` is "raise".

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[9.0, 2.0], [0.0, 4.0]], price=10.0, depth=1000.0, margin_long=0.1, cash=[-90.0, 0.0],
    ...     traders=["A", "B"], assets=["X", "Y"],
    ... )
    >>> curve = cg.exposure_curve(graph, cg.MarginCascade(), "X", sizes=[-0.05, -0.1, -0.2])
    >>> curve["loss"].round(2)
              A     B
    size
    -0.20  20.0  2.14
    -0.10   9.0  0.00
    -0.05   4.5  0.00
    >>> curve["closed", "kink"].tolist()
    [False, True, False]
    """
    check_inputs(graph, model, on_failure, any_margin=True)
    column, moves = int(rows_of([asset], graph.assets, "asset")[0]), _sorted_sizes(sizes)
    chosen = traders_of(graph, traders)
    if 2 * len(moves) * len(chosen.labels) > LARGEST_TABLE:
        raise ParameterError(
            f"{len(moves):,} sizes x {len(chosen.labels):,} traders are more than the {LARGEST_TABLE // 2:,} losses "
            "that exposure_curve writes out; name fewer traders= or sizes"
        )
    losses = Losses(model.run(graph, on_failure=on_failure), chosen, "loss")
    rows, closed, changed, before = [], [], [], None
    for size in moves:
        result = model.run(graph, {graph.assets[column]: size}, on_failure=on_failure)
        rows.append(losses.by_trader(losses.of(result)))
        closed.append(int(np.count_nonzero(result.arrays.breach_round)))
        changed.append(0 if before is None else int(np.count_nonzero(changed_state(result.arrays, before))))
        before = result.arrays
    index = pd.Index(moves, name="size")
    loss = pd.DataFrame(np.array(rows), index=index, columns=chosen.labels)
    alone = [chosen.add_vector(standalone(graph, column, size)) for size in moves]
    state = pd.DataFrame({"accounts": closed, "changed": changed}, index=index)
    state["kink"] = state["changed"] > 0
    return noted(pd.concat({"loss": loss, "indirect": loss - np.array(alone), "closed": state}, axis=1), graph)


def _sorted_sizes(sizes: Any) -> list[float]:
    if isinstance(sizes, str) or not hasattr(sizes, "__iter__"):
        raise ParameterError(f"sizes={sizes!r}; give a list of relative price changes such as [-0.05, -0.10]")
    given = list(sizes)
    for size in given:
        check_size("a size", size)
    if not given:
        raise ParameterError("sizes is empty; give relative price changes such as [-0.05, -0.10]")
    return sorted({float(size) for size in given})
