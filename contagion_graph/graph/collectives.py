"""Sums over all accounts, wherever their rows are.

A model asks for such sums here and nowhere else. So the same lines run on a whole graph, and, in each of several
processes, on some rows of one: there the sums are those over all of them. Sums are taken within the fixed chunks of
rows, then over the chunks in their order; how many processes share the rows changes no bit.
"""

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np

from contagion_graph.state import Array


class Collectives(Protocol):
    """The sums and values over all rows that a graph asks for, wherever the other rows are."""

    def total(self, parts: Array, counts: Any = ()) -> Array:
        """Return sums over all chunks, given those of each chunk, shape (chunks, k): k numbers.

        `counts` are whole numbers or truth values, whose sums are exact in any order; theirs follow.
        """

    def gather(self, values: Array) -> Array:
        """Return the values of all rows, in the order of the rows, given those of the rows that are here."""


class Whole:
    """All rows are here.

    Examples
    --------
    >>> import numpy as np
    >>> Whole().total(np.array([[1.0, 2.0], [3.0, 4.0]]), [7]).tolist()
    [4.0, 6.0, 7.0]
    """

    def total(self, parts: Array, counts: Any = ()) -> Array:
        """Return the sums of parts, one after the other, then the counts."""
        from contagion_graph.kernels import row_sums

        sums = row_sums.ordered_sum(parts)
        return np.append(sums, np.asarray(counts, dtype=np.float64)) if len(counts) else sums

    def gather(self, values: Array) -> Array:
        """Return the values."""
        return values


WHOLE = Whole()


class Spread(ABC):
    """A graph whose rows are in other processes: a model does not run on it, it has itself run there."""

    @abstractmethod
    def _play(self, model: Any, method: str, **arguments: Any) -> Any:
        """Return the result of a method of a model."""
