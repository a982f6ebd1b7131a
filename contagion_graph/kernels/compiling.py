"""How the passes are compiled: over chunks that threads share, and with rows fetched ahead of their turn."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from contagion_graph.kernels.threads import over_chunks
from contagion_graph.state import Array

Chunks = tuple[int, int]  # the first, and the one behind the last
LINE, AHEAD = 8, 8  # numbers in a cache line; rows to fetch ahead


def chunked(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a pass over chunks, which takes its `Chunks` and arguments.

    What it becomes takes how many rows and how many chunks the pass is over, and its arguments; threads share the
    chunks where there are many rows.
    """
    compiled = njit(cache=True, nogil=True)(function)
    return lambda n_rows, n_chunks, *arguments: over_chunks(compiled, n_rows, n_chunks, arguments)


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
