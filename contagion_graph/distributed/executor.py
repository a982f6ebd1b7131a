"""The parts of a sweep on the workers of a Dask cluster."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

TRIES = 5  # to send what all parts share
LOST = "no worker is left that has what all parts share; a sweep with checkpoint= continues where it stopped"
AHEAD = 2  # tasks a thread that are handed out before the first result is taken


class DaskExecutor:
    """Does the parts of a sweep on the workers of a Dask cluster: `sweep(..., executor=DaskExecutor(client))`.

    What all parts share is sent to every worker once, and again where the workers that have it are lost. A worker that
    is lost costs the time of the parts it was at, as long as another one is left or comes.

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
        sent = _Sent(self.client, next(iter(shared)))
        room = AHEAD * max(sum(self.client.nthreads().values()), 1)
        waiting: deque[tuple[Any, Any]] = deque()
        for task in tasks:
            waiting.append((task, sent.submit(function, task)))
            if len(waiting) >= room:
                yield sent.result(function, *waiting.popleft())
        while waiting:
            yield sent.result(function, *waiting.popleft())


class _Sent:
    """What all parts share, on the workers: sent again from here where no worker has it any more.

    Dask has no way to make again what a client sent, and may keep one copy of it only: with that worker it is gone.
    """

    def __init__(self, client: Any, shared: Any) -> None:
        self.client, self.shared = client, shared
        self.everywhere = self._scattered()

    def _scattered(self) -> Any:
        lost: Exception | None = None
        for _ in range(TRIES):
            try:
                return self.client.scatter(self.shared, broadcast=True, hash=False)
            except (OSError, KeyError, TimeoutError) as error:  # a worker was lost meanwhile
                lost = error
        raise RuntimeError(LOST) from lost

    def submit(self, function: Callable[[Any, Any], Any], task: Any) -> tuple[Any, Any]:
        """Hand out a task; return what was sent for it, and its future."""
        return self.everywhere, self.client.submit(_work, function, self.everywhere, task, pure=False)

    def result(self, function: Callable[[Any, Any], Any], task: Any, handed: tuple[Any, Any]) -> Any:
        """Return the result of a task; hand it out again where what it needs was lost."""
        for _ in range(TRIES):
            used, future = handed
            try:
                return future.result()
            except CancelledError:
                if used is self.everywhere:  # else another task has sent it again
                    self.everywhere = self._scattered()
                handed = self.submit(function, task)
        raise RuntimeError(LOST)


def _work(function: Callable[[Any, Any], Any], shared: Any, task: Any) -> Any:
    from contagion_graph.kernels.threads import alone

    alone.enter()
    return function(shared, task)
