"""The threads of the library: its own, shared by all passes; compiled code knows of none.

A pass over chunks is cut into pieces. The thread that calls it and those of the pool each take the next piece until
none is left; a thread of the pool that has not begun by then is not waited for, so a busy machine costs little. Chunks
are fixed by the data, so the result has the same bits on any number of threads.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Lock, local
from typing import Any, TypeVar

from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError

VARIABLE = "CONTAGION_GRAPH_THREADS"
ROWS_WORTH_THREADS = 10_000
PIECES = 4  # for each thread: few enough to cost nothing, enough to share the work where a thread is held up

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class _Alone(local):
    """Whether this thread has to run every pass by itself: threads of the pool do, and workers of a cluster."""

    here = False

    def enter(self) -> None:
        """Run every pass of this thread, from now on, on this thread alone."""
        self.here = True


class _Threads:
    """How many threads there are, and the pool of them, made when first used."""

    def __init__(self) -> None:
        self.count, self.pool, self.lock = 0, None, Lock()  # 0: not yet known

    count: int
    pool: ThreadPoolExecutor | None

    def known(self) -> int:
        """Return how many threads there are."""
        if not self.count:
            self.count = _from_environment()
        return self.count

    def started(self) -> ThreadPoolExecutor:
        """Return the pool."""
        with self.lock:
            if self.pool is None:
                self.pool = ThreadPoolExecutor(self.known(), "contagion_graph", initializer=alone.enter)
            return self.pool

    def forget(self) -> None:
        """Drop the pool: of a process that was forked no thread is there."""
        self.pool, self.lock = None, Lock()


def _from_environment() -> int:
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not given.isdecimal() or int(given) < 1:
        raise ParameterError(f"environment variable {VARIABLE} is {given!r}; it must be a whole number from 1 up")
    return int(given)


alone = _Alone()
_threads = _Threads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.forget)


def set_threads(count: int) -> None:
    """Set how many threads the library uses; the results are the same on any number, to the last bit.

    At the start it is the environment variable ``CONTAGION_GRAPH_THREADS``, or else the number of processors that the
    process may use.

    Parameters
    ----------
    count : int
        From 1 up.

    Raises
    ------
    ParameterError
        What is no whole number from 1 up.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> before = cg.get_threads()
    >>> cg.set_threads(1)
    >>> cg.get_threads()
    1
    >>> cg.set_threads(before)
    """
    check_number("set_threads", "count", count, low=1, whole=True)
    with _threads.lock:
        pool, _threads.pool, _threads.count = _threads.pool, None, int(count)
    if pool is not None:
        pool.shutdown(wait=False)


def get_threads() -> int:
    """Return how many threads the library uses: see `set_threads`.

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        The environment variable ``CONTAGION_GRAPH_THREADS`` is no whole number from 1 up.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.get_threads() >= 1
    True
    """
    return _threads.known()


def over_chunks(compiled: Callable[..., None], n_rows: float, n_chunks: int, arguments: tuple[Any, ...]) -> None:
    """Call a compiled pass for all its chunks, on this thread or, where there are many rows, on several.

    Parameters
    ----------
    compiled : callable
        Takes the first chunk and the one behind the last, as a pair, and the arguments.
    n_rows : float
        How many rows the pass is over.
    """
    count = 1 if alone.here or n_rows <= ROWS_WORTH_THREADS else min(get_threads(), n_chunks)
    if count < 2:
        compiled((0, n_chunks), *arguments)
        return
    borders = [n_chunks * piece // (count * PIECES) for piece in range(count * PIECES + 1)]
    pieces = iter(list(pairwise(borders)))  # one iterator for all: each thread takes the next piece

    def work() -> None:
        for piece in pieces:
            compiled(piece, *arguments)

    helpers = [_submit(work) for _ in range(count - 1)]
    try:
        work()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()


def _submit(work: Callable[[], None]) -> Any:
    try:
        return _threads.started().submit(work)
    except RuntimeError:  # another thread has just set another number of threads
        return _threads.started().submit(work)


def each(function: Callable[[Item], Outcome], items: Sequence[Item], rows: float) -> Iterator[Outcome]:
    """Yield what a function returns for each item, in their order, on as many threads as passes may use.

    Each thread runs its passes alone. `rows` is how many an item is about: with few of them most of the work is
    Python's, which one thread does at a time.
    """
    if alone.here or rows <= ROWS_WORTH_THREADS or min(get_threads(), len(items)) < 2:
        yield from map(function, items)
        return
    yield from _threads.started().map(function, items)
