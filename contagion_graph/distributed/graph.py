"""A graph whose parts are on the workers of a Dask cluster."""

from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd

from contagion_graph._cached import cached_property
from contagion_graph.distributed.dataset import read_layout
from contagion_graph.distributed.result import DistributedResult, equilibria
from contagion_graph.distributed.run import Run, fetched
from contagion_graph.distributed.worker_part import load
from contagion_graph.errors import MissingExtraError, ParameterError
from contagion_graph.graph.collectives import Spread
from contagion_graph.tables.files import path_of


class DistributedGraph(Spread):
    """An exposure graph whose rows are spread over the workers of a Dask cluster.

    `MarginCascade.run` and `MarginCascade.equilibria` take it in the place of an `ExposureGraph`, and give the same
    numbers bit for bit. `distributed.open_dataset` makes one.

    Parameters
    ----------
    folder : path
        The data set.
    client : distributed.Client
        Whose workers hold the parts.
    """

    def __init__(self, folder: Path, *, client: Any) -> None:
        layout = read_layout(folder)
        self.folder, self.client, self.size = folder, client, layout.accounts
        self._parts = [client.submit(load, str(folder), part, pure=False) for part in range(layout.parts)]

    def _play(self, model: Any, method: str, **arguments: Any) -> Any:
        """Return the result of `run` or `equilibria`, whichever is named."""
        if isinstance(arguments["defaults"], Iterable) and not isinstance(arguments["defaults"], str):
            arguments["defaults"] = list(arguments["defaults"])  # all parts have to take them in one order
        run = Run(self.client, self._parts, (model, method, arguments | {"on_failure": "ignore"}))
        run.conduct()
        return equilibria(self, model, run) if method == "equilibria" else DistributedResult(self, model, run, 0)

    @cached_property
    def account_index(self) -> pd.MultiIndex:
        """The label (trader, pool, subaccount) of every row, fetched from the workers when first asked for."""
        found = fetched(self.client, self._parts, attrgetter("account_index"))
        index: pd.MultiIndex = found[0].append(found[1:])
        return index

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"no {name!r} here: the rows of a DistributedGraph are on the workers, where MarginCascade.run and "
            "equilibria use them; for anything else build an ExposureGraph"
        )

    def __repr__(self) -> str:
        return f"<DistributedGraph: {self.size:,} accounts in {len(self._parts)} parts of {str(self.folder)!r}>"


def open_dataset(folder: str | Path, client: Any = None) -> DistributedGraph:
    """Open a partitioned data set on the workers of a Dask cluster.

    Every part becomes a graph on a worker. A model then runs on all parts at once; wherever it needs a sum over all
    accounts, each part sends the sums of its chunks, and these are added up in their order: the answer does not depend
    on the number of parts or workers. A worker that is lost costs the time to read its parts again and to repeat what
    they did, not the answer.

    Parameters
    ----------
    folder : path
        What `distributed.partition` wrote, where every worker can read it.
    client : distributed.Client, optional
        None: the client that this process has made last. Give the workers one thread each.

    Returns
    -------
    DistributedGraph

    Raises
    ------
    ParameterError
        No client, or no such data set.
    MissingExtraError
        Dask is not installed.

    Notes
    -----
    All parts have to be in memory at once, over all workers: 53 bytes a position and 200 to 350 an account, and 500
    more an account while a model runs (docs/scale.md).

    Examples
    --------
    >>> import tempfile
    >>> import contagion_graph as cg
    >>> from dask.distributed import Client
    >>> tables = cg.generate.perpetuals(1000, 10, rng=0).to_frames()
    >>> local = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    >>> with tempfile.TemporaryDirectory() as folder, Client(**local) as client:
    ...     graph = cg.distributed.open_dataset(cg.distributed.partition(tables, f"{folder}/parts", n_parts=3), client)
    ...     result = cg.MarginCascade().run(graph, {"ETH": -0.2})
    ...     print(int(result.summary()["accounts"]))
    1000
    """
    if client is None:
        try:
            from distributed import get_client

            client = get_client()
        except ImportError as error:
            message = "open_dataset needs Dask, which is not installed; pip install 'contagion-graph[dask]' brings it"
            raise MissingExtraError(message) from error
        except ValueError as error:
            raise ParameterError(
                "open_dataset: there is no Dask client; make one with dask.distributed.Client(...)"
            ) from error
    return DistributedGraph(path_of("folder", folder).absolute(), client=client)
