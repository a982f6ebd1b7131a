"""Events that a shock may bring about: each compares a cascade with the same model run with no shock, the baseline."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from contagion_graph._typing import BoolArray
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError, nearest
from contagion_graph.margin.result import CascadeResult

ROUNDING = 1e-12  # of the gross value: less is no loss


class Event(Protocol):
    """What the search for a shock asks of an event; a function of two results is one."""

    def __call__(self, result: CascadeResult, baseline: CascadeResult) -> bool:
        """Say whether it happened in a cascade, and not in the one without a shock.

        Parameters
        ----------
        result : CascadeResult
            The cascade of a shock.
        baseline : CascadeResult
            The cascade of the same model and graph without a shock.

        Returns
        -------
        bool
        """


class KnownEvent:
    """An event of the library; whether more closings can only bring it on."""

    follows_closures: ClassVar[bool] = False

    def _possible(self, baseline: CascadeResult) -> bool:
        """Say whether any shock can bring it about; False only where it is certain that none can."""
        return True


@dataclass(frozen=True)
class FundEmpty(KnownEvent):
    """The insurance fund of a pool is used up, which it is not without a shock.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], cash=[-900.0], insurance_fund=50.0)
    >>> point = cg.tipping_point(graph, cg.MarginCascade(), {"0": -0.2}, event=FundEmpty())
    >>> round(point.size, 3)  # 1,000 (1 - 0.2 t) = 900 - 50
    0.75
    """

    def __call__(self, result: CascadeResult, baseline: CascadeResult) -> bool:
        """Say whether a fund is empty that was not."""
        return bool((_has_fund(baseline) & ~_has_fund(result)).any())

    def check(self, baseline: CascadeResult) -> None:
        """Refuse a graph without a fund.

        Parameters
        ----------
        baseline : CascadeResult
            The cascade without a shock.

        Raises
        ------
        ParameterError
            No pool has an insurance fund left without a shock.
        """
        if not _has_fund(baseline).any():
            raise ParameterError("FundEmpty: no pool has an insurance fund left without a shock; use Uncovered")


@dataclass(frozen=True)
class Uncovered(KnownEvent):
    """More stays uncovered than without a shock, by more than an amount.

    Parameters
    ----------
    above : float
        The amount, at least 0 [currency].

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], cash=[-900.0])
    >>> point = cg.tipping_point(graph, cg.MarginCascade(), {"0": -0.2}, event=Uncovered(above=20.0))
    >>> round(point.size, 3)  # 1,000 (1 - 0.2 t) = 900 - 20
    0.6
    """

    above: float = 0.0

    def __post_init__(self) -> None:
        check_number("Uncovered", "above", self.above, low=0)

    def __call__(self, result: CascadeResult, baseline: CascadeResult) -> bool:
        """Say whether more than that is uncovered."""
        more = result.arrays.uncovered.sum() - baseline.arrays.uncovered.sum()
        return bool(more > self.above + _rounding(baseline))


@dataclass(frozen=True)
class ShareClosed(KnownEvent):
    """At least this share of all accounts is closed whole, not counting those closed without a shock.

    Parameters
    ----------
    share : float
        In (0, 1].

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0], [10.0]], price=[100.0], cash=[-900.0, 0.0])
    >>> point = cg.tipping_point(graph, cg.MarginCascade(), {"0": -0.2}, event=ShareClosed(0.5))
    >>> round(point.size, 3)  # 1,000 (1 - 0.2 t) = 900
    0.5
    """

    follows_closures: ClassVar[bool] = True
    share: float

    def __post_init__(self) -> None:
        check_number("ShareClosed", "share", self.share, low=0, above=True, high=1)

    def __call__(self, result: CascadeResult, baseline: CascadeResult) -> bool:
        """Say whether as many are closed."""
        closed = _closed(result, baseline)
        return bool(closed.sum() >= self.share * closed.size * (1.0 - ROUNDING))


@dataclass(frozen=True)
class TraderClosed(KnownEvent):
    """An account of this trader is closed whole that is not without a shock.

    Parameters
    ----------
    trader : str
        A label of `graph.traders`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0], [10.0]], price=[100.0], cash=[-900.0, -800.0], traders=["A", "B"])
    >>> point = cg.tipping_point(
    ...     graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), {"0": -0.25}, event=TraderClosed("B")
    ... )
    >>> round(point.size, 3)  # 1,000 (1 - 0.25 t) = 800
    0.8
    """

    follows_closures: ClassVar[bool] = True
    trader: str

    def __call__(self, result: CascadeResult, baseline: CascadeResult) -> bool:
        """Say whether one is closed."""
        graph = result.graph
        return bool(_closed(result, baseline)[graph._rows.trader_of == graph.traders.get_loc(str(self.trader))].any())

    def check(self, baseline: CascadeResult) -> None:
        """Refuse a trader that the graph does not have, or all of whose accounts are closed without a shock.

        Parameters
        ----------
        baseline : CascadeResult
            The cascade without a shock.

        Raises
        ------
        ParameterError
            An unknown trader, or one whose accounts are all closed without a shock.
        """
        graph, name = baseline.graph, str(self.trader)
        if name not in graph.traders:
            raise ParameterError(f"TraderClosed: unknown trader {name!r}{nearest(name, graph.traders)}")
        mine = graph._rows.trader_of == graph.traders.get_loc(name)
        if baseline.arrays.closed_whole[mine].all():
            raise ParameterError(f"TraderClosed: all accounts of {name!r} are closed even without a shock")


@dataclass(frozen=True)
class LossAbove(KnownEvent):
    """The gross loss, of the traders that lose, is larger than without a shock by more than an amount.

    Parameters
    ----------
    amount : float
        At least 0 [currency]; what other traders gain is not taken off.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0])
    >>> point = cg.tipping_point(graph, cg.MarginCascade(), {"0": -0.2}, event=LossAbove(50.0))
    >>> round(point.size, 3)  # 1,000 * 0.2 t = 50
    0.25
    """

    amount: float

    def __post_init__(self) -> None:
        check_number("LossAbove", "amount", self.amount, low=0)

    def __call__(self, result: CascadeResult, baseline: CascadeResult) -> bool:
        """Say whether it is larger by more than that."""
        more = result._gross_loss - baseline._gross_loss
        return bool(more > self.amount + _rounding(baseline))

    def _possible(self, baseline: CascadeResult) -> bool:
        """Say whether all equity is more than that: in the end no account is below 0, so that no trader loses more."""
        rows = baseline.graph._rows
        most = float(np.maximum(rows.per_trader(rows.equity), 0.0).sum())
        return most - baseline._gross_loss > self.amount - _rounding(baseline)


def _closed(result: CascadeResult, baseline: CascadeResult) -> BoolArray:
    closed: BoolArray = result.arrays.closed_whole & ~baseline.arrays.closed_whole
    return closed


def _has_fund(result: CascadeResult) -> BoolArray:
    end, fund = result.arrays, result.graph.insurance_fund
    left: BoolArray = fund - end.fund_used + end.fund_received > ROUNDING * np.maximum(fund, 1.0)
    return left


def _rounding(baseline: CascadeResult) -> float:
    return ROUNDING * float(baseline.graph._rows.initial.gross.sum())
