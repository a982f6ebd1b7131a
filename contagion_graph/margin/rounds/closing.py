"""What accounts close in a round."""

from typing import Any, NamedTuple

import numpy as np

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.rows import RowReductions
from contagion_graph.margin.rounds.account_state import Rows
from contagion_graph.rules.liquidation import BreachedAccounts, ClosedSides
from contagion_graph.tables.labels import label_text

Two = tuple[FloatArray, FloatArray]


class Closing(NamedTuple):
    """What accounts close in a round: their rows, what of each side they have left, what of each they held, its value.

    The value is that at the prices before the round [currency]; `gone` says who has no equity.
    """

    rows: Rows
    sides: ClosedSides
    longs: FloatArray
    shorts: FloatArray
    value: FloatArray
    gone: BoolArray

    @property
    def whole(self) -> BoolArray:
        """Which of them close everything that they have left."""
        whole: BoolArray = (self.sides.long == 1.0) & (self.sides.short == 1.0)
        return whole

    def check(self, graph: RowReductions) -> None:
        """Refuse shares that are none."""
        long, short = self.sides.long, self.sides.short
        right = (long >= 0.0) & (long <= 1.0) & (short >= 0.0) & (short <= 1.0) & (np.maximum(long, short) > 0.0)
        wrong = np.flatnonzero(~right)
        if wrong.size:
            first = wrong[0]
            account = label_text(graph.account_index[self.rows[first]])
            raise ParameterError(
                f"the liquidation rule closes {long[first]:g} of the longs and {short[first]:g} of the shorts of "
                f"account {account!r}; both must be in [0, 1], and one of them above 0"
            )


def breached_accounts(
    book: RowReductions,
    price: FloatArray,
    rows: Rows,
    margins: Two,
    penalty: float,
    left: Two | None = None,
    cash: Any = None,
    held: Two | None = None,
) -> tuple[BreachedAccounts, FloatArray]:
    """Return what the liquidation rule sees of accounts in breach, and the value of the shorts that they can close.

    Parameters
    ----------
    book : RowReductions
        What the accounts hold.
    price : ndarray, shape (m,)
        Currency per unit.
    rows : ndarray of int
        The accounts.
    margins : tuple of ndarray
        E and M of each of them [currency].
    penalty : float
        Share of the closed gross value that the account pays.
    left : tuple of ndarray, optional
        Share of its longs, and of its shorts, that each has left; None: all.
    cash : ndarray, optional
        Cash of each, less its shared losses [currency]; None: E less the value of its positions.
    held : tuple of ndarray, optional
        Value of the longs, and of the shorts, that each has left and can close [currency]; None: to be computed.
    """
    equity, maintenance = margins
    if held is None:
        held = split_sides(*book.valuation(np.where(book.sellable, price, 0.0), rows)[:2])
        if left is not None:
            held = held[0] * left[0], held[1] * left[1]
    long, short = held
    kept_value = kept_short = kept_margin = np.zeros(rows.size)
    if not book.sellable.all():
        kept_value, kept_gross, kept_margin = book.valuation(np.where(book.sellable, 0.0, price), rows)
        kept_short = split_sides(kept_value, kept_gross)[1]
    if cash is None:
        cash = equity - (long - short) - kept_value
    seen = BreachedAccounts(
        equity=equity,
        maintenance=maintenance,
        closable_maintenance=maintenance - kept_margin,
        closable_gross=long + short,
        debt=short + kept_short + np.maximum(-cash, 0.0),
        penalty=penalty,
        closable_long=long,
    )
    return seen, short


def split_sides(value: FloatArray, gross: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the value of longs and of shorts, given their difference and their sum."""
    return (gross + value) / 2.0, (gross - value) / 2.0
