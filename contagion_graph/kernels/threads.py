"""Independent pieces of work on several threads.

Each thread runs its passes alone: numba's parallel loops may be entered by one thread at a time only. What a piece
comes to does not depend on that.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numba

from contagion_graph.kernels.compiling import ROWS_WORTH_THREADS, alone

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def each(function: Callable[[Item], Outcome], items: Sequence[Item], rows: float) -> Iterator[Outcome]:
    """Yield what a function returns for each item, in their order, on as many threads as passes may use.

    `rows` is how many an item is about: with few of them most of the work is Python's, which one thread does at a time.
    """
    count = min(numba.get_num_threads(), len(items)) if rows > ROWS_WORTH_THREADS else 1
    if count < 2 or alone.here:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(count, initializer=alone.enter) as pool:
        yield from pool.map(function, items)
