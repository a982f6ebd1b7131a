"""What accounts close in a round."""

from typing import NamedTuple

import numpy as np

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.rows import RowReductions
from contagion_graph.margin.rounds.account_state import Rows
from contagion_graph.rules.liquidation import ClosedSides
from contagion_graph.tables.vectors import label_text


class Closing(NamedTuple):
    """What accounts close in a round: their rows, what of each side they have left, what of each they held, its value.

    The value is that at the prices before the round [currency].
    """

    rows: Rows
    sides: ClosedSides
    longs: FloatArray
    shorts: FloatArray
    value: FloatArray

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
