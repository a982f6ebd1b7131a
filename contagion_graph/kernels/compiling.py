"""How the passes are compiled: for one thread and for many, and with rows fetched ahead of their turn."""

from collections.abc import Callable
from threading import local
from types import FunctionType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from contagion_graph.state import Array

ROWS_WORTH_THREADS = 10_000
LINE, AHEAD = 8, 8  # numbers in a cache line; rows to fetch ahead


class _Alone(local):
    """Whether this thread has to leave the many threads of a pass to others.

    So it has to wherever others of the process may be in a pass: not every threading layer of numba lets two threads
    into parallel loops at once, and one of them ends the process.
    """

    here = False

    def enter(self) -> None:
        """Run every pass of this thread, from now on, on this thread alone."""
        self.here = True


alone = _Alone()


def one_or_many(function: Callable[..., None]) -> Callable[[int], Callable[..., None]]:
    """Compile a pass over chunks for one thread, and, under another name for numba's cache, for many; rows choose."""
    threaded = FunctionType(function.__code__, function.__globals__, f"{function.__name__}_threads")
    threaded.__qualname__ = threaded.__name__
    one, many = njit(cache=True, nogil=True)(function), njit(parallel=True, cache=True)(threaded)
    return lambda n_rows: many if n_rows > ROWS_WORTH_THREADS and not alone.here else one


def _fetcher(typing: Any, array: Any, position: Any) -> Any:
    """Have the processor fetch the cache line of array[position] ahead of its use."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        line, i32 = builder.bitcast(builder.gep(data, [args[1]]), cgutils.voidptr_t), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32])
        prefetch: Any = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
        builder.call(prefetch, [line, i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


fetch: Any = intrinsic(_fetcher)


@njit(inline="always")
def fetch_row(indptr: Array, indices: Array, quantity: Array, margin_units: Array, row: int) -> None:
    """Have the processor fetch the first cells of a row ahead of their use."""
    first = np.intp(indptr[row])
    fetch(indices, first)
    fetch(quantity, first)
    fetch(quantity, first + LINE)
    fetch(margin_units, first)
    fetch(margin_units, first + LINE)


@njit(inline="always")
def fetch_state(a: Array, b: Array, c: Array, d: Array, e: Array, row: int) -> None:
    """Have the processor fetch what five vectors of the state hold for a row ahead of its use."""
    fetch(a, row)
    fetch(b, row)
    fetch(c, row)
    fetch(d, row)
    fetch(e, row)
