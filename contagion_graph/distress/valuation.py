"""Valuation functions: what a claim is worth, as a share of its face value, given the debtor's equity.

A valuation is any object with `value(equity, debtors)`, see `Valuation` and docs/adding-a-valuation.md.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice
from contagion_graph.distress.model import SHARE, Insolvent, check_scalar
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.solvers.arrays import ratio
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument

Seniority = Literal["external_first", "pari_passu"]


@dataclass(frozen=True, eq=False)
class Debtors:
    """What a valuation may know of the debtors: n nodes, the given losses already taken.

    Parameters
    ----------
    network : ObligationNetwork
        The network before the losses, with the labels.
    external_assets : ndarray, shape (n,)
        What each node has outside the network after the given losses [currency]; below 0 where a node was given to lose
        more than it had.
    """

    network: ObligationNetwork
    external_assets: FloatArray

    @property
    def book_equity(self) -> FloatArray:
        """Equity before the losses, claims at face value, shape (n,) [currency]."""
        return self.network.book_equity

    @property
    def external_liabilities(self) -> FloatArray:
        """What each node owes outside the network, shape (n,) [currency]."""
        return self.network.external_liabilities

    @property
    def owed(self) -> FloatArray:
        """What each node owes in the network, shape (n,) [currency]."""
        return self.network.owed

    def per_node(self, name: str, value: Any, kind: Number = SHARE) -> FloatArray:
        """Return a parameter by node: a number, a mapping or Series by node (others 0), or one number a node."""
        return argument(name, value, self.network.nodes, kind)


class Valuation(Protocol):
    """What `NetworkValuation` asks of a valuation."""

    @abstractmethod
    def value(self, equity: FloatArray, debtors: Debtors) -> FloatArray:
        """Return the worth of one unit of claims on each node, in [0, 1], shape (n,).

        `equity` has shape (n,) [currency]. The entry of a node may depend on its own equity only, and must never fall
        when that rises: then there is a greatest solution, and rounds from face value lead to it.
        """


@dataclass(frozen=True)
class RecoveryValue:
    """1 while equity is positive, a fixed recovery from 0 down: Furfine's model, or one with exogenous recovery.

    V(E) = 1 if E > 0, else R.

    Parameters
    ----------
    recovery : number, or mapping or Series by node (others 0), or array_like of shape (n,)
        R in [0, 1].

    References
    ----------
    Barucca et al. (2020), Mathematical Finance 30(4), section 3; Furfine (2003), J. Money, Credit and Banking 35(1).
    """

    recovery: Any = 0.0

    def __post_init__(self) -> None:
        check_scalar(type(self).__name__, "recovery", self.recovery)

    def value(self, equity: FloatArray, debtors: Debtors) -> FloatArray:
        """Return V, see `Valuation.value`."""
        return np.where(equity > 0.0, 1.0, debtors.per_node("recovery", self.recovery))


@dataclass(frozen=True)
class EisenbergNoeValue:
    """What a debtor can pay when all is due, without costs of default.

    V(E) = 1 if E >= 0, else max(0, (E + p) / p), p what the node owes that ranks alike: in the network
    ("external_first"), or in the network and outside ("pari_passu"). 1 where it owes nothing.

    Parameters
    ----------
    seniority : {"external_first", "pari_passu"}
        Whether debts outside the network are paid first.

    References
    ----------
    Eisenberg & Noe (2001), Management Science 47(2); Barucca et al. (2020), Mathematical Finance 30(4), equation 6.
    """

    seniority: Seniority = "external_first"

    def __post_init__(self) -> None:
        check_choice("EisenbergNoeValue: seniority", self.seniority, get_args(Seniority))

    def value(self, equity: FloatArray, debtors: Debtors) -> FloatArray:
        """Return V, see `Valuation.value`."""
        rank = alike(debtors, self.seniority)
        return _covered(equity + rank, rank)


@dataclass(frozen=True, kw_only=True)
class RogersVeraartValue:
    """What a debtor can pay when all is due and default costs a share of its assets.

    V(E) = 1 if E > 0, else max(0, (alpha a + beta x - d) / p): a external assets, x = E + p + d - a what its claims are
    worth, d external debts, which are paid first, p what it owes in the network. 1 where it owes nothing. Equity that
    is exactly 0 is a default here, as in `RecoveryValue`.

    Parameters
    ----------
    alpha, beta : float
        Share in [0, 1] of external assets, and of claims, that is left in a default.

    References
    ----------
    Rogers & Veraart (2013), Management Science 59(4), equation 1; Barucca et al. (2020), Mathematical Finance 30(4).
    """

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        check_scalar("RogersVeraartValue", "alpha", self.alpha)
        check_scalar("RogersVeraartValue", "beta", self.beta)

    def value(self, equity: FloatArray, debtors: Debtors) -> FloatArray:
        """Return V, see `Valuation.value`."""
        owed, senior, outside = debtors.owed, debtors.external_liabilities, debtors.external_assets
        claims = equity + owed + senior - outside
        left = self.alpha * outside + self.beta * claims - senior
        return np.where(equity > 0.0, 1.0, _covered(left, owed))


@dataclass(frozen=True)
class DebtRankValue:
    """The claim falls in proportion to the debtor's equity: linear DebtRank.

    V(E) = min(1, max(0, E / E_0)), E_0 the equity on the books before the losses.

    Parameters
    ----------
    insolvent : {"inert", "defaulted"}
        V of a node with E_0 <= 0: 1, it takes no part, or 0.

    References
    ----------
    Bardoscia, Battiston, Caccioli & Caldarelli (2015), PLoS ONE 10(6): e0130406; Barucca et al. (2020), Mathematical
    Finance 30(4), section 3.
    """

    insolvent: Insolvent = "inert"

    def __post_init__(self) -> None:
        check_choice("DebtRankValue: insolvent", self.insolvent, get_args(Insolvent))

    def value(self, equity: FloatArray, debtors: Debtors) -> FloatArray:
        """Return V, see `Valuation.value`."""
        book = debtors.book_equity
        return np.clip(ratio(equity, book, 1.0 if self.insolvent == "inert" else 0.0), 0.0, 1.0)


def alike(debtors: Debtors, seniority: Seniority) -> FloatArray:
    """Return what each node owes that ranks with its debts in the network."""
    return debtors.owed if seniority == "external_first" else debtors.owed + debtors.external_liabilities


def _covered(left: FloatArray, owed: FloatArray) -> FloatArray:
    """Return the share of what is owed that is paid out of what is left; 1 where nothing is owed."""
    return np.clip(ratio(left, owed, 1.0), 0.0, 1.0)
