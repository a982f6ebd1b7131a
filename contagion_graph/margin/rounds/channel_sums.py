"""Sums over the accounts of each channel, of amounts of which few change from one time to the next."""

from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.chunks import BLOCK
from contagion_graph.graph.rows import RowReductions


class ChannelSums:
    """Sums of an amount of each account by channel, kept block by block: only changed blocks are added up again.

    Parameters
    ----------
    graph : RowReductions
        Which account is in which channel.
    amount : ndarray, shape (n,)
        Not copied: say `changed` after a change.
    """

    def __init__(self, graph: RowReductions, amount: FloatArray) -> None:
        from contagion_graph.kernels import row_sums

        self.graph, self.amount, self._passes = graph, amount, row_sums
        size = -(-amount.size // BLOCK)
        self._blocks, self._stale = np.zeros((size, len(graph.pools))), np.ones(size, dtype=bool)

    def copy(self) -> "ChannelSums":
        """Return the same sums of a copy of the amounts."""
        copied = ChannelSums(self.graph, self.amount.copy())
        copied._blocks[:], copied._stale[:] = self._blocks, self._stale
        return copied

    def changed(self, rows: Any) -> None:
        """Have the blocks of these rows added up again."""
        self._stale[rows // BLOCK] = True

    def added_up(self) -> "ChannelSums":
        """Add up the blocks that have changed, and return these sums."""
        self._passes.block_sums(*self.graph.members, self.amount, np.flatnonzero(self._stale), self._blocks)
        self._stale[:] = False
        return self

    def total(self) -> FloatArray:
        """Return the sum of each channel over all accounts, in a fixed order, shape (v,)."""
        self.added_up()
        return self.graph.group.total(self._passes.chunk_sums(self._blocks, self.graph.block_borders))
