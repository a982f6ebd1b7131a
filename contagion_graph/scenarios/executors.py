"""What runs the parts of a sweep: an object with a `map`."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol


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
