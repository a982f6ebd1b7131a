"""What each round of a cascade leaves behind: who closed what, at which prices, and who bore whose shortfall."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray

Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Trade:
    """One round: arrays of those in breach only, of assets, and of pools; nothing has the length of all accounts.

    Parameters
    ----------
    rows : ndarray of int
        Accounts in breach, ascending.
    long, short : ndarray
        theta: the share of its longs, and of its shorts, left before the round that each of them closed, 0 to 1.
    penalty : ndarray
        What each of them paid to liquidators and fund [currency].
    before, average, after : ndarray, shape (m,)
        Prices before the round, at which it traded, and after it [currency per unit].
    left : ndarray of int
        Accounts that left a shortfall, ascending.
    shortfall, due : ndarray
        That of each of them, and what it left to others: less what its own contribution paid [currency].
    rise : ndarray, shape (l v,)
        Water levels lambda: what the members of each pool pay for each unit of base weight, layer after layer.
    capped, layer : ndarray of int
        Members that could not pay lambda b, and in which layer of members.
    paid : ndarray
        What each of them paid: its positive equity [currency].
    """

    rows: Rows
    long: FloatArray
    short: FloatArray
    penalty: FloatArray
    before: FloatArray
    average: FloatArray
    after: FloatArray
    left: Rows
    shortfall: FloatArray
    due: FloatArray
    rise: FloatArray
    capped: Rows
    layer: Rows
    paid: FloatArray

    def __eq__(self, other: object) -> bool:
        """Whether two rounds are the same to the last bit."""
        if not isinstance(other, Trade):
            return NotImplemented
        return all(
            getattr(self, field.name).tobytes() == getattr(other, field.name).tobytes() for field in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]
