"""What each round of a cascade leaves behind: who closed what, at which prices, and who bore whose shortfall."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

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


class Fill(NamedTuple):
    """A position, or a part of it, that has passed from a row to a row.

    Parameters
    ----------
    round : int
        In which round.
    kind : str
        "deleverage" or "take_over".
    source, target, asset : int
        The rows of both accounts, and the column.
    units : float
        Units that the source gave up; above 0: it was long.
    price, mark : float
        At which both traded, and the price before the round [currency per unit].
    """

    round: int
    kind: str
    source: int
    target: int
    asset: int
    units: float
    price: float
    mark: float


class Passed(NamedTuple):
    """Positions that have passed from account to account.

    Parameters
    ----------
    fills : tuple of Fill
        In order.
    quantity : csr_array, shape (n, m)
        Units of every account without what has passed from it, and with what has passed to it.
    transfer : ndarray, shape (n,)
        What every account lost by prices off the mark [currency]; they add up to 0.
    """

    fills: tuple[Fill, ...]
    quantity: sparse.csr_array
    transfer: FloatArray
