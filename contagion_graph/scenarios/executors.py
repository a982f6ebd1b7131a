"""What runs the parts of a sweep: an object with a `map`."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from contagion_graph.errors import ParameterError


class Executor(Protocol):
    """What a sweep asks of an executor of its parts; every `concurrent.futures.Executor` fits.

    `shared` yields the same object for every task, without end, as `itertools.repeat` does: an executor on other
    machines sends its first item once. Results come in the order of the tasks.
    """

    def map(self, function: Callable[[Any, Any], Any], shared: Iterable[Any], tasks: Iterable[Any], /) -> Iterator[Any]:
        """Return an iterator over function(shared, task) for every task, in their order.

        Parameters
        ----------
        function : callable
            Runs a task.
        shared : iterable
            The same object for every task, without end.
        tasks : iterable
            What differs.

        Returns
        -------
        iterator
            Results, in the order of the tasks.
        """


class Here:
    """Runs the parts one after the other, in this process.

    Examples
    --------
    >>> from itertools import repeat
    >>> list(Here().map(pow, repeat(2), [1, 2, 3]))
    [2, 4, 8]
    """

    map = map


def check_executor(executor: Any) -> None:
    """Refuse what cannot run parts, a client of Dask among them, whose `map` takes and returns something else.

    Examples
    --------
    >>> check_executor(8)
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: executor is a int; give an object with a map, such as a ProcessPoolExecutor
    """
    names = {(each.__module__.partition(".")[0], each.__name__) for each in type(executor).__mro__}
    if ("distributed", "Client") in names:
        raise ParameterError("executor is a Dask Client; give contagion_graph.distributed.DaskExecutor(client)")
    if not callable(getattr(executor, "map", None)):
        raise ParameterError(
            f"executor is a {type(executor).__name__}; give an object with a map, such as a ProcessPoolExecutor"
        )
