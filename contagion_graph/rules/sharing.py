"""Loss sharing: the weights by which members of a pool bear what its insurance fund cannot pay."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph

Base = Literal["equity", "deposits", "profit", "open_interest", "share"]


class SharingRule:
    """What rules of loss sharing share; a rule of your own inherits it, and adds `weights`.

    A rule declares what analyses beyond `MarginCascade.run` may rely on. None = not known: they then ask for the
    weights anew, or refuse the rule. A subclass that replaces `weights` declares again (docs/adding-a-rule.md).

    Attributes
    ----------
    weights : callable
        Takes a graph and the shocked prices, returns the weight b >= 0 of every account, shape (n,), as an array that
        the cascade may change.
    fixed : bool or None
        Whether the weights are the same at all shocked prices.
    by_account : bool or None
        Whether the weight of an account depends on no other account.
    proportional : bool or None
        Whether an account that holds a share of all that it holds has this share of its weight.
    """

    fixed: bool | None = None
    by_account: bool | None = None
    proportional: bool | None = None
    weights: Callable[[ExposureGraph, FloatArray], FloatArray]


@dataclass(frozen=True)
class ProRata(SharingRule):
    """Members of a pool bear its losses in proportion to a base that is fixed before the cascade.

    Parameters
    ----------
    base : {"equity", "deposits", "profit", "open_interest", "share"}
        Positive equity at p0; positive own cash plus fully paid long positions at p0; positive unrealised profit of
        derivatives (positions with an entry price) at the shocked price; gross value at p0; column `share` of table
        accounts.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0], [-1.0]], price=[10.0], cash=[5.0, 12.0])
    >>> ProRata("equity").weights(graph, graph.price).tolist()
    [25.0, 2.0]
    """

    base: Base = "equity"
    by_account = True
    proportional = True

    def __post_init__(self) -> None:
        check_choice("ProRata: base", self.base, get_args(Base))

    @property
    def fixed(self) -> bool:  # type: ignore[override] # that of a record does not change
        """Whether the base is one of the prices before the shock: all but profit."""
        return self.base != "profit"

    def weights(self, graph: ExposureGraph, price_shocked: FloatArray) -> FloatArray:
        """Return the base weight b_i >= 0 of every account, shape (n,), as an array of the caller's own."""
        if self.base == "equity":
            equity = graph._rows.equity
            return np.maximum(equity, 0.0, out=equity)
        if self.base == "open_interest":
            return graph._rows.initial.gross.copy()
        if self.base == "deposits":
            return _deposits(graph)
        return _profit(graph, price_shocked) if self.base == "profit" else _share(graph)


def _deposits(graph: ExposureGraph) -> FloatArray:
    records = graph.records
    if records is None:  # every cell is a fully paid position: long value = (gross + net) / 2
        return np.maximum(graph.cash, 0.0) + (graph._rows.initial.value + graph._rows.initial.gross) / 2.0
    paid = np.isnan(records.entry_price) & (records.quantity > 0)
    value = np.where(paid, records.quantity * graph.price[records.asset], 0.0)
    return np.maximum(records.own_cash, 0.0) + records.account_sums(value)


def _profit(graph: ExposureGraph, price: FloatArray) -> FloatArray:
    records = graph.records
    if records is None:
        raise ParameterError(
            "ProRata('profit') needs entry prices; build the graph from tables with column entry_price"
        )
    profit = records.quantity * (price[records.asset] - records.entry_price)
    return np.maximum(records.account_sums(np.nan_to_num(profit)), 0.0)


def _share(graph: ExposureGraph) -> FloatArray:
    if graph.share is None:
        raise ParameterError("ProRata('share') needs column share in table accounts, or argument share of from_arrays")
    return graph.share.copy()
