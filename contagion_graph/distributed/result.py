"""The result of a model on a graph in parts: few numbers here, one row an account where the parts are."""

from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._cached import cached_property
from contagion_graph.distributed.run import Head, Outcome, Run, fetched
from contagion_graph.margin.equilibria.result import Equilibria
from contagion_graph.margin.result import CascadeArrays, CascadeResult
from contagion_graph.tables.files import replacing_set


class DistributedResult(CascadeResult):
    """The result of a margin cascade on a `DistributedGraph`: all that a `CascadeResult` tells.

    `assets`, `pools`, `rounds`, `solution` and `summary()` are at hand. `accounts`, `traders`, `bystanders()` and
    `arrays` are fetched from the workers when first asked for, and need memory for one row an account;
    `write_accounts` has the workers write them.

    Examples
    --------
    See `distributed.open_dataset`.
    """

    def __init__(self, graph: Any, model: Any, run: Run, which: int) -> None:
        head: Head = fetched(run.client, run.outcomes[:1], attrgetter("heads"))[0][which]
        known = {"graph": graph, "model": model, "solution": head.solution, "_run": run, "_which": which}
        frames = {"assets": head.assets, "pools": head.pools, "rounds": head.rounds, "_summary": head.summary}
        vars(self).update(known | frames)

    _run: Run
    _which: int
    _summary: "pd.Series[float]"

    def _fetched(self, what: Any, *arguments: Any) -> list[Any]:
        """Apply a function to the result on each part."""
        return fetched(self._run.client, self._run.outcomes, _of_result, self._which, what, *arguments)

    @cached_property
    def accounts(self) -> pd.DataFrame:
        """One row an account, as in `CascadeResult`."""
        accounts: pd.DataFrame = pd.concat(self._fetched(attrgetter("accounts")))
        return accounts

    @cached_property
    def traders(self) -> pd.DataFrame:
        """One row a trader, as in `CascadeResult`."""
        traders: pd.DataFrame = pd.concat([traders[counted] for traders, counted, _ in self._traders])
        return traders

    @cached_property
    def _hit_by_others(self) -> Any:
        return np.concatenate([hit[counted] for _, counted, hit in self._traders])

    @cached_property
    def _traders(self) -> list[Any]:
        return self._fetched(_traders)

    @cached_property
    def arrays(self) -> CascadeArrays:  # fetched, not given
        """Numbers in label order; `trades` stay where the parts are."""
        parts = self._fetched(_arrays)
        names = [each.name for each in fields(CascadeArrays) if _by_account(parts, each.name)]
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        arrays: CascadeArrays = replace(parts[0], **joined)
        return arrays

    def summary(self) -> "pd.Series[float]":
        """Return the main figures, as in `CascadeResult`."""
        return self._summary.copy()

    def write_accounts(self, folder: str | Path) -> None:
        """Have the workers write table `accounts`, one Parquet file a part: accounts-00000.parquet, and so on.

        Parameters
        ----------
        folder : path
            Made if it is not there; all workers must see it. Files of an earlier result with more parts go.
        """
        with replacing_set(Path(folder), r"accounts-\d+\.parquet") as beside:
            self._fetched(_write, str(beside))


def _by_account(parts: list[CascadeArrays], name: str) -> bool:
    """Say whether an array has a number for each account."""
    of_accounts = ("losses", "proceeds", "penalty", "socialised", "shortfall", "closed", "breach_round", "closed_short")
    return name in of_accounts and getattr(parts[0], name) is not None


def equilibria(graph: Any, model: Any, run: Run) -> Equilibria:
    """Return both ends of the equilibria on a graph in parts."""
    least, greatest = (DistributedResult(graph, model, run, which) for which in range(2))
    found = fetched(run.client, run.outcomes, attrgetter("one_sided", "points"))
    one_sided, points = found[0]
    every = None if points is None else pd.concat([each for _, each in found])
    return Equilibria(least=least, greatest=greatest, one_sided=one_sided, points=every)


# --- what workers do ------------------------------------------------------------------------------------------------


def _of_result(outcome: Outcome, which: int, what: Any, *arguments: Any) -> Any:
    return what(outcome.results[which], *arguments)


def _traders(result: CascadeResult) -> tuple[pd.DataFrame, Any, Any]:
    return result.traders, result.graph._rows.counted_traders, result._hit_by_others


def _arrays(result: CascadeResult) -> CascadeArrays:
    return replace(result.arrays, trades=None)


def _write(result: CascadeResult, folder: str) -> None:
    path = Path(folder) / f"accounts-{result.graph.number:05d}.parquet"  # type: ignore[attr-defined] # a Part
    result.accounts.reset_index().to_parquet(path)
