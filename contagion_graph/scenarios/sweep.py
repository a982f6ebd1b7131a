"""Many scenarios on one graph: what they cost the pool and each trader."""

import warnings
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from contagion_graph._validate import check_choice, check_number
from contagion_graph.errors import ConvergenceWarning
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.scenarios.checkpoint import Checkpoint, mark_of
from contagion_graph.scenarios.executors import Executor, Here
from contagion_graph.scenarios.frame import changes_of
from contagion_graph.scenarios.run_tasks import kept_losses, run_all, state_size
from contagion_graph.scenarios.sweep_result import SweepResult
from contagion_graph.scenarios.tasks import Setting

Keep = Literal["traders", "scenarios"]


def sweep(
    graph: ExposureGraph,
    model: CascadeRules,
    scenarios: pd.DataFrame,
    *,
    keep: Keep = "traders",
    level: float = 0.99,
    progress: bool = False,
    checkpoint: str | Path | None = None,
    executor: Executor | None = None,
) -> SweepResult:
    """Run a cascade for each of many scenarios, and tell how losses are distributed.

    Each scenario comes to what `model.run` gives, bit for bit. 64 of them share a pass over the rows that finds who is
    near a breach; each then runs its rounds among those. Sums over scenarios are taken in fixed parts, in their order:
    the result does not depend on threads or workers.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the scenarios.
    model : MarginCascade
        The rules.
    scenarios : DataFrame, one row a scenario, one column an asset
        Relative price changes, at least -1; assets that are no column do not change. See `scenarios.draw`.
    keep : {"traders", "scenarios"}
        "traders": also what each trader loses; the largest (1 - level) of its losses are kept, 12 bytes each, and a few
        more for their confidence interval. "scenarios": the figures of the scenarios only.
    level : float
        Of value at risk and expected shortfall, in [0.5, 1).
    progress : bool
        Show a progress bar if the sweep takes over two seconds.
    checkpoint : path, optional
        A folder that holds how far the sweep has come, at most ten seconds old. A sweep that was killed goes on from
        there, and ends with the same bits.
    executor : Executor, optional
        Who does the parts of 512 scenarios: any `concurrent.futures.Executor`, or what has a `map` like theirs. None:
        this process.

    Returns
    -------
    SweepResult

    Raises
    ------
    TableError
        Scenarios with unknown assets, changes below -1, or missing values.
    ParameterError
        A checkpoint folder that cannot be written, is full, or belongs to another sweep: before the work starts.
    ConvergenceError
        A price or an equity is no longer finite; the message says in which scenario.

    Warns
    -----
    ConvergenceWarning
        Scenarios that did not come to rest after `max_rounds`; column `converged` says which.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
    ... )
    >>> shocks = cg.scenarios.draw.single_asset(graph.assets, [-0.05, -0.10])
    >>> result = cg.sweep(graph, cg.MarginCascade(), shocks)
    >>> result.scenarios[["loss", "closed", "rounds"]].round(2)
                loss  closed  rounds
    scenario
    0         100.00       0       0
    1         329.18       1       1
    """
    check_graph(graph)
    check_choice("keep", keep, get_args(Keep))
    check_number("sweep", "level", level, low=0.5, high=1, below=True)
    changes = changes_of(scenarios, graph)
    price = graph.price * (1.0 + changes.to_numpy())
    setting = Setting(graph, model, kept_losses(len(price), level) if keep == "traders" else None)
    store = None
    if checkpoint is not None:
        store = Checkpoint(checkpoint, mark_of(setting, price), state_size(setting, price))
    part = run_all(setting, price, store=store, executor=executor or Here(), progress=progress)
    failed = int((~part.figures["converged"]).sum())
    if failed:
        warnings.warn(f"{failed} of {len(price)} scenarios did not come to rest after {model.max_rounds} rounds",
                      ConvergenceWarning, stacklevel=2)  # fmt: skip
    return SweepResult(graph, model, changes, level, part)
