"""The parts of a sweep on the workers of a Dask cluster."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

AHEAD = 2  # tasks a thread that are handed out before the first result is taken


class DaskExecutor:
    """Does the parts of a sweep on the workers of a Dask cluster: `sweep(..., executor=DaskExecutor(client))`.

    What all parts share is sent to every worker once. A worker that is lost costs the time of the parts it was at, as
    long as another one is left.

    Parameters
    ----------
    client : distributed.Client
        Give the workers one thread each.

    Examples
    --------
    >>> from itertools import repeat
    >>> from dask.distributed import Client
    >>> from contagion_graph.distributed import DaskExecutor
    >>> with Client(n_workers=1, processes=False, dashboard_address=":0") as client:
    ...     list(DaskExecutor(client).map(pow, repeat(2), [1, 2, 3]))
    [2, 4, 8]
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def map(self, function: Callable[[Any, Any], Any], shared: Iterable[Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """Return an iterator over function(shared, task) for every task, in their order."""
        everywhere = self.client.scatter(next(iter(shared)), broadcast=True, hash=False)
        room = AHEAD * max(sum(self.client.nthreads().values()), 1)
        waiting: deque[Any] = deque()
        for task in tasks:
            waiting.append(self.client.submit(_work, function, everywhere, task, pure=False))
            if len(waiting) >= room:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())


def _result(future: Any) -> Any:
    try:
        return future.result()
    except CancelledError as error:
        message = "no worker is left that has what all parts share; a sweep with checkpoint= continues where it stopped"
        raise RuntimeError(message) from error


def _work(function: Callable[[Any, Any], Any], shared: Any, task: Any) -> Any:
    from contagion_graph.kernels.threads import alone

    alone.enter()
    return function(shared, task)
