"""Ex-ante valuation: what claims are worth before any default, when debtors may default until a horizon."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy.special import log_ndtr, ndtr

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice
from contagion_graph.distress.model import check_scalar
from contagion_graph.distress.valuation import Debtors, Seniority, alike
from contagion_graph.graph.obligations import ObligationNetwork, check_network
from contagion_graph.solvers.arrays import ratio
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument

LARGE = 700.0  # exponents up to here are numbers
VOLATILITY = Number("standard deviation of the log value over the horizon", low=0.0, above=True)


@dataclass(frozen=True)
class _RiskyAssets:
    """What the valuations share: a debtor whose external assets move until a horizon."""

    volatility: Any
    _: KW_ONLY
    recovery: Any = 0.0

    def __post_init__(self) -> None:
        check_scalar(type(self).__name__, "recovery", self.recovery)

    def _risk(self, debtors: Debtors) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return external assets of at least 0, their volatility, and the recovery."""
        sigma = debtors.per_node("volatility", self.volatility, VOLATILITY)
        return np.maximum(debtors.external_assets, 0.0), sigma, debtors.per_node("recovery", self.recovery)


@dataclass(frozen=True)
class MertonValue(_RiskyAssets):
    """What a debtor is expected to pay at a horizon, when its external assets A follow a geometric Brownian motion.

    V(E) = P(A_T >= K) + R E[min(1, max(0, (A_T - K + p) / p)); A_T < K], A_T = A exp(sigma Z - sigma^2 / 2), K = A - E
    the value of external assets at which equity is gone, p what the node owes that ranks alike, as in
    `EisenbergNoeValue`. 1 where it owes nothing.

    Parameters
    ----------
    volatility : number, or mapping or Series by node, or array_like of shape (n,)
        sigma > 0: standard deviation of the log of external assets over the horizon; `asset_volatility` has it from
        that of equity.
    recovery : number, or mapping or Series by node (others 0), or array_like of shape (n,)
        R in [0, 1]: the share of what is left in a default that is paid out.
    seniority : {"external_first", "pari_passu"}
        Whether debts outside the network are paid first.

    References
    ----------
    Barucca et al. (2020), Mathematical Finance 30(4), section 4; Merton (1974), J. Finance 29(2).
    """

    _: KW_ONLY
    recovery: Any = 1.0
    seniority: Seniority = "external_first"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("MertonValue: seniority", self.seniority, get_args(Seniority))

    def value(self, equity: FloatArray, debtors: Debtors) -> FloatArray:
        """Return V, see `Valuation.value`."""
        assets, sigma, recovery = self._risk(debtors)
        gone, owed = debtors.external_assets - equity, alike(debtors, self.seniority)
        below, worth_below = _tail(assets, gone, sigma)
        nothing, worth_nothing = _tail(assets, gone - owed, sigma)
        paid = (owed - gone) * (below - nothing) + worth_below - worth_nothing
        share = ratio(paid, owed, below)
        return np.where(owed > 0.0, np.clip(1.0 - below + recovery * share, 0.0, 1.0), 1.0)


@dataclass(frozen=True)
class BlackCoxValue(_RiskyAssets):
    """A debtor defaults as soon as its equity is gone, at any time up to a horizon; a fixed share is then recovered.

    V(E) = R + (1 - R) P(min over t <= T of A_t > K), A_t and K as in `MertonValue`; R for E <= 0.

    Parameters
    ----------
    volatility
        As in `MertonValue`.
    recovery : number, or mapping or Series by node (others 0), or array_like of shape (n,)
        R in [0, 1]: the share of the claim that is recovered.

    References
    ----------
    Barucca et al. (2020), Mathematical Finance 30(4), section 4; Black & Cox (1976), J. Finance 31(2).
    """

    def value(self, equity: FloatArray, debtors: Debtors) -> FloatArray:
        """Return V, see `Valuation.value`."""
        assets, sigma, recovery = self._risk(debtors)
        distance = _log_ratio(assets, debtors.external_assets - equity)
        reflected = np.exp(np.minimum(distance, LARGE) + log_ndtr(-distance / sigma - sigma / 2.0))
        survives = np.where(equity > 0.0, np.clip(ndtr(distance / sigma - sigma / 2.0) - reflected, 0.0, 1.0), 0.0)
        return recovery + (1.0 - recovery) * survives


@dataclass(frozen=True)
class RecoveryMertonValue(_RiskyAssets):
    """A debtor defaults if its equity is gone at a horizon; a fixed share is then recovered.

    V(E) = P(A_T >= K) + R P(A_T < K), A_T and K as in `MertonValue`.

    Parameters
    ----------
    volatility
        As in `MertonValue`.
    recovery : number, or mapping or Series by node (others 0), or array_like of shape (n,)
        R in [0, 1]: the share of the claim that is recovered.

    References
    ----------
    Barucca et al. (2020), Mathematical Finance 30(4), section 4.
    """

    def value(self, equity: FloatArray, debtors: Debtors) -> FloatArray:
        """Return V, see `Valuation.value`."""
        assets, sigma, recovery = self._risk(debtors)
        below, _ = _tail(assets, debtors.external_assets - equity, sigma)
        return 1.0 - (1.0 - recovery) * below


def asset_volatility(network: ObligationNetwork, equity_volatility: Any) -> "pd.Series[float]":
    """Return the volatility of external assets that goes with a volatility of equity, sigma_A = sigma_E E / A.

    Parameters
    ----------
    network : ObligationNetwork
        With positive equity and external assets wherever the volatility is asked for.
    equity_volatility : number, or mapping or Series by node, or array_like of shape (n,)
        > 0, over the horizon.

    Returns
    -------
    Series
        By node, dimensionless; infinite or at most 0 where external assets or equity are not positive, which the
        valuations refuse.

    Raises
    ------
    ParameterError
        No network, or a volatility that is not above 0.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays([[0, 1], [0, 0]], external_assets=[5, 1], nodes=["A", "B"])
    >>> cg.distress.asset_volatility(network, 0.2).to_dict()
    {'A': 0.16, 'B': 0.4}
    """
    check_network(network)
    volatility = argument("equity_volatility", equity_volatility, network.nodes, VOLATILITY)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = volatility * network.book_equity / network.external_assets
    return pd.Series(ratio, network.nodes.rename("node"), name="volatility")


def _log_ratio(assets: FloatArray, bound: FloatArray) -> FloatArray:
    """Return log(A / bound): infinite where the bound is not positive, -infinite where only A is not."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bound > 0.0, np.log(assets) - np.log(bound), np.inf)


def _tail(assets: FloatArray, bound: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return P(A_T < bound) and E[A_T; A_T < bound]."""
    distance = _log_ratio(assets, bound) / sigma
    return ndtr(-distance + sigma / 2.0), assets * ndtr(-distance - sigma / 2.0)
