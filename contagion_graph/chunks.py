"""How rows are cut into fixed pieces, so that no result depends on the number of threads or workers."""

from typing import Any

import numpy as np

BLOCK = 256
STRIP = 32  # rows that keep their least key together; a block holds whole strips
CHUNKS = 64
WIDTH = 64  # scenarios that are looked at in one pass: a bit each in a word


def unsigned(indices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a view of indices as unsigned numbers: compiled loops then need no test for negative ones.

    Examples
    --------
    >>> import numpy as np
    >>> unsigned(np.array([1, 2], dtype=np.int32)).dtype
    dtype('uint32')
    """
    return indices.view(f"u{indices.dtype.itemsize}")


def chunk_borders(indptr: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the blocks at which the chunks of a matrix begin and end, each with about as many cells and rows.

    A block is `BLOCK` rows, the last may be shorter; a chunk holds whole blocks.

    Examples
    --------
    >>> import numpy as np
    >>> chunk_borders(np.arange(0, 3 * 1001, 3))[[0, 1, -1]].tolist()
    [0, 1, 4]
    """
    rows = indptr.size - 1
    work = (indptr + np.arange(rows + 1, dtype=np.int64))[::BLOCK].astype(np.int64)
    if rows % BLOCK:
        work = np.append(work, int(indptr[-1]) + rows)
    return np.searchsorted(work, np.linspace(0, work[-1], CHUNKS + 1).astype(np.int64))
