"""Labels as codes into their distinct values, whatever the encoding in which a column comes.

What is done to labels is done to the distinct ones; a row only ever moves a code of four bytes. Arrays as long as a
table are worked through in blocks, so that what is made on the way stays in the cache instead of filling fresh memory.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contagion_graph._typing import IntArray

BLOCK = 1 << 18


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values behind a categorical column, of any other column its type."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Say whether a column holds text, categorical or not."""
    kind = plain_type(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def blocks(size: int) -> Iterator[slice]:
    """Yield the slices that cover so many rows, in order."""
    return (slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))


def take(values: Any, codes: Any) -> Any:
    """Return ``values[codes]``; at once, numpy would first write all codes as 64-bit numbers.

    Examples
    --------
    >>> take(np.array([0.5, 1.5]), np.array([1, 1, 0], dtype=np.int32)).tolist()
    [1.5, 1.5, 0.5]
    """
    taken = np.empty(codes.size, dtype=values.dtype)
    for block in blocks(codes.size):
        taken[block] = values[codes[block]]
    return taken


def by_appearance(codes: Any, size: int) -> tuple[IntArray, IntArray]:
    """Give codes below `size` new numbers, in the order in which they first appear; -1 stays -1.

    Returns
    -------
    new : ndarray of int32
        The new code of each row; `codes` itself where nothing changes.
    old : ndarray of int32
        The old code behind each new one: the distinct codes, in order of first appearance.

    Examples
    --------
    >>> new, old = by_appearance(np.array([5, -1, 2, 5], dtype=np.int32), size=9)
    >>> new.tolist(), old.tolist()
    ([0, -1, 1, 0], [5, 2])
    """
    first = np.full(size + 1, codes.size, dtype=np.int32)  # the last place is that of -1
    for block in reversed(list(blocks(codes.size))):
        # from the last row to the first: of several writes to one place the last stays
        first[codes[block][::-1]] = np.arange(block.start, block.stop, dtype=np.int32)[::-1]
    old = np.flatnonzero(first[:-1] < codes.size).astype(np.int32)
    old = old[np.argsort(first[old])]
    if codes.dtype == np.int32 and np.array_equal(old, np.arange(size)):
        return codes, old
    rank = np.full(size + 1, -1, dtype=np.int32)
    rank[old] = np.arange(old.size)
    return take(rank, codes), old


def encode(values: pa.ChunkedArray) -> tuple[IntArray, pa.Array]:
    """Return a column as codes into its distinct values, which stand in order of first appearance; -1 where missing.

    An empty text counts as missing. The dictionaries of a categorical column may differ from chunk to chunk, repeat
    values, and hold values that no row uses.

    Examples
    --------
    >>> codes, distinct = encode(pa.chunked_array([["b", None], ["", "a", "b"]]))
    >>> codes.tolist(), distinct.to_pylist()
    ([0, -1, -1, 1, 0], ['b', 'a'])
    """
    if pa.types.is_dictionary(values.type):
        parts, words = _in_one_dictionary(values.chunks, values.type.value_type)
    else:
        chunks = values.dictionary_encode().chunks  # they share one dictionary
        parts = [_indices(chunk) for chunk in chunks]
        words = chunks[0].dictionary if chunks else pa.array([], values.type)
    codes = np.concatenate([np.empty(0, dtype=np.int32), *parts])
    if is_text(words.type):
        words = words.cast(pa.large_string())
        empty = pc.index(words, "").as_py()
        if empty >= 0:
            codes[codes == empty] = -1
    codes, used = by_appearance(codes, len(words))
    return codes, words.take(pa.array(used))


def _in_one_dictionary(chunks: list[pa.DictionaryArray], kind: pa.DataType) -> tuple[list[IntArray], pa.Array]:
    """Return the codes of each chunk into distinct values that all share; a dictionary that stays is read once."""
    kind = pa.large_string() if is_text(kind) else kind
    changes = [k for k, one in enumerate(chunks) if k == 0 or not one.dictionary.equals(chunks[k - 1].dictionary)]
    dictionaries = [chunks[k].dictionary.cast(kind) for k in changes]
    words = pa.concat_arrays([pa.array([], kind), *dictionaries]).dictionary_encode()
    places = np.split(_indices(words), np.cumsum([len(one) for one in dictionaries]))
    place_of = [np.append(place, np.int32(-1)) for place in places]  # the last is that of a missing label
    which = np.searchsorted(changes, np.arange(len(chunks)), side="right") - 1
    return [take(place_of[k], _indices(chunk)) for k, chunk in zip(which, chunks, strict=True)], words.dictionary


def _indices(chunk: pa.DictionaryArray) -> Any:
    return pc.fill_null(chunk.indices.cast(pa.int32()), -1).to_numpy()


def label_index(distinct: pa.Array) -> "pd.Index[str]":
    """Return distinct labels, text or integers, as an index of text."""
    index: pd.Index[str] = pd.Index(distinct.cast(pa.large_string()).to_pandas(), dtype="str")
    return index


def union(indexes: Sequence["pd.Index[str]"]) -> tuple["pd.Index[str]", list[IntArray]]:
    """Return the labels of all indexes, each once, in order of first appearance, and where those of each index stand.

    Examples
    --------
    >>> joined, places = union([pd.Index(["b", "a"], dtype="str"), pd.Index(["a", "c"], dtype="str")])
    >>> joined.tolist(), [place.tolist() for place in places]
    (['b', 'a', 'c'], [[0, 1], [1, 2]])
    """
    if all(index.equals(indexes[0]) for index in indexes):
        return indexes[0], [np.arange(len(indexes[0]), dtype=np.int32)] * len(indexes)
    labels = pa.chunked_array(pd.Series(indexes[0].append(list(indexes[1:]))))
    words = labels.cast(pa.large_string()).combine_chunks().dictionary_encode()
    return label_index(words.dictionary), np.split(_indices(words), np.cumsum([len(index) for index in indexes])[:-1])
