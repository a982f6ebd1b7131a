"""Many scenarios on one graph: what they cost the pool and each trader."""

from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import OnFailure
from contagion_graph._validate import check_choice, check_model, check_number
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.prepare import warn_in_breach
from contagion_graph.scenarios.checkpoint import Checkpoint, mark_of
from contagion_graph.scenarios.executors import Executor, Here, check_executor
from contagion_graph.scenarios.frame import changes_of, rows_of_scenarios
from contagion_graph.scenarios.run_tasks import kept_losses, run_all, state_size
from contagion_graph.scenarios.sweep_result import SweepResult
from contagion_graph.scenarios.tasks import Part, Setting
from contagion_graph.solvers.iteration import check_on_failure, conclude

Keep = Literal["traders", "scenarios"]


def sweep(
    graph: ExposureGraph,
    model: MarginCascade,
    scenarios: pd.DataFrame,
    *,
    keep: Keep = "traders",
    level: float = 0.99,
    progress: bool = False,
    checkpoint: str | Path | None = None,
    executor: Executor | None = None,
    on_failure: OnFailure = "warn",
) -> SweepResult:
    """Run a cascade for each of many scenarios, and return how losses are distributed.

    Each scenario has the result of `model.run`, bit for bit. 64 of them share the row reductions that screen accounts
    for a possible breach; each then runs its rounds on these candidates. Sums over scenarios are taken in fixed parts,
    in their order: the result does not depend on threads or workers.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the scenarios.
    model : MarginCascade
        The rules.
    scenarios : DataFrame, one row a scenario, one column an asset
        Relative price changes, at least -1; assets that are no column do not change. See `scenarios.draw`. A column
        "vol:BTC" changes the vols of all options on BTC.
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
        What runs the parts of 512 scenarios: any `concurrent.futures.Executor`, or an object with a `map` like theirs.
        None: this process.
    on_failure : {"raise", "warn", "ignore"}
        What to do about scenarios that have not converged after `max_rounds` of the model; column `converged` says
        which they are.

    Returns
    -------
    SweepResult
        The figures of each scenario, and of each trader over all of them.

    Raises
    ------
    ParameterError
        Scenarios with unknown assets, changes below -1, or missing values. A checkpoint folder that cannot be written,
        is full, or belongs to another sweep: before the work starts.
    ConvergenceError
        A price or an equity is no longer finite; the message says in which scenario. With `on_failure` "raise", also
        a scenario that has not converged.

    Warns
    -----
    ConvergenceWarning
        Scenarios that have not converged.
    InBreachWarning
        Accounts that are in breach before any shock: every scenario liquidates them.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
    ... )
    >>> shocks = cg.scenarios.draw.single_asset(graph.assets, [-0.05, -0.10])
    >>> result = cg.sweep(graph, cg.MarginCascade(), shocks)
    >>> result.scenarios[["gross_loss", "closed", "rounds"]].round(2)
              gross_loss  closed  rounds
    scenario
    0             100.00       0       0
    1             329.18       1       1
    """
    check_graph(graph)
    check_model(model, MarginCascade, "cg.MarginCascade()")
    check_choice("sweep: keep", keep, get_args(Keep))
    check_on_failure(on_failure)
    check_number("sweep", "level", level, low=0.5, high=1, below=True)
    executor = Here() if executor is None else executor
    check_executor(executor)
    changes = changes_of(scenarios, graph, vols=True)
    warn_in_breach(graph, model)
    price = rows_of_scenarios(graph, changes)
    setting = Setting(graph, model, kept_losses(len(price), level) if keep == "traders" else None)
    store = None
    if checkpoint is not None:
        store = Checkpoint(checkpoint, mark_of(setting, price), state_size(setting, price))
    part = run_all(setting, price, store=store, executor=executor, progress=progress)
    solution = _solution(part)
    failed = f"sweep: {(~part.figures['converged']).sum():,} of {len(price):,} scenarios"
    conclude(solution, on_failure, failed, f"Raise max_rounds of the model, which is {model.max_rounds:,}.")
    return SweepResult(graph, model, changes, level, part, solution)


def _solution(part: Part) -> Solution:
    """Return how the scenarios ended: the most rounds of any, and the share of them that did not converge."""
    converged = part.figures["converged"]
    status = Status.CONVERGED if converged.all() else Status.STEP_LIMIT
    return Solution(status, int(part.figures["rounds"].max()), float((~converged).mean()))
