"""Instruments that are priced from one underlying: European options, payoffs of your own, coin-margined contracts.

An instrument of a graph stands in its table `instruments`; docs/instruments.md says how it moves with its underlying.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.price_map import Payoff
from contagion_graph.solvers import black

__all__ = ["EuropeanOption", "Payoff", "inverse_perpetual"]

Kind = Literal["call", "put"]


@dataclass(frozen=True, kw_only=True)
class EuropeanOption:
    """A European option on a price without drift (Black 1976 with r = 0).

    F = sign (u N(sign d) - K N(sign (d - s))), s = vol sqrt(expiry), d = ln(u/K)/s + s/2; sign = 1 for a call, -1 for
    a put. It is a `Payoff` too.

    Parameters
    ----------
    kind : {"call", "put"}
        The right to buy, or to sell.
    strike : float
        K, above 0 [currency].
    expiry : float
        Above 0 [years from now].

    References
    ----------
    Black (1976), "The pricing of commodity contracts", J. Financial Economics 3, equation 16.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> call = cg.pricing.EuropeanOption(kind="call", strike=100.0, expiry=0.25)
    >>> call.price(100.0, 0.8).round(4).item(), call.delta(100.0, 0.8).round(4).item()
    (15.8519, 0.5793)
    >>> call.implied_vol(15.8519, 100.0).round(4).item()
    0.8
    """

    kind: Kind
    strike: float
    expiry: float

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Kind))
        check_number("EuropeanOption", "strike", self.strike, low=0, above=True)
        check_number("EuropeanOption", "expiry", self.expiry, low=0, above=True)

    @property
    def _sign(self) -> float:
        return 1.0 if self.kind == "call" else -1.0

    def price(self, u: ArrayLike, vol: ArrayLike) -> FloatArray:
        """Return the value of one unit.

        Parameters
        ----------
        u : array_like
            Prices of the underlying, from 0 up [currency per unit].
        vol : array_like
            Volatility a year, from 0 up: 0.8 = 80 %.

        Returns
        -------
        ndarray
            Currency per unit.
        """
        return black.price(self._sign, u, self.strike, self.expiry, vol)

    def delta(self, u: ArrayLike, vol: ArrayLike) -> FloatArray:
        """Return dF/du.

        Parameters
        ----------
        u, vol : array_like
            As for `price`.

        Returns
        -------
        ndarray
            Units of the underlying a unit.
        """
        return black.delta(self._sign, u, self.strike, self.expiry, vol)

    def gamma(self, u: ArrayLike, vol: ArrayLike) -> FloatArray:
        """Return d2F/du2.

        Parameters
        ----------
        u, vol : array_like
            As for `price`.

        Returns
        -------
        ndarray
            Change of delta a unit of currency.
        """
        return black.gamma(u, self.strike, self.expiry, vol)

    def vega(self, u: ArrayLike, vol: ArrayLike) -> FloatArray:
        """Return dF/dvol.

        Parameters
        ----------
        u, vol : array_like
            As for `price`.

        Returns
        -------
        ndarray
            Currency per 1 of vol (100 percentage points).
        """
        return black.vega(u, self.strike, self.expiry, vol)

    def theta(self, u: ArrayLike, vol: ArrayLike) -> FloatArray:
        """Return the change of F as time passes.

        Parameters
        ----------
        u, vol : array_like
            As for `price`.

        Returns
        -------
        ndarray
            Currency a year; below 0.
        """
        return black.theta(u, self.strike, self.expiry, vol)

    def delta_bound(self, low: float, high: float) -> float:
        """Return a number that |dF/du| never exceeds for prices of the underlying between two, at any vol: 1.

        Parameters
        ----------
        low, high : float
            Currency per unit.

        Returns
        -------
        float
        """
        return 1.0

    def implied_vol(self, value: ArrayLike, u: ArrayLike) -> FloatArray:
        """Return the vol at which the option is worth a value.

        Parameters
        ----------
        value : array_like
            Value of one unit [currency].
        u : array_like
            Prices of the underlying [currency per unit].

        Returns
        -------
        ndarray
            A year; 0 at max(sign (u - K), 0); NaN below that, and at u (at K of a put) or above: no vol says so.
        """
        return black.implied_vol(self._sign, u, self.strike, self.expiry, value)


def inverse_perpetual(*, face: float, contracts: ArrayLike, entry: ArrayLike) -> pd.DataFrame:
    """Return the position in coins, and the cash, that coin-margined contracts come to.

    A contract pays face (1/entry - 1/u) coins; in currency that is face (u/entry - 1), which is linear in u: N
    contracts are N face / entry coins and -N face of cash.

    Parameters
    ----------
    face : float
        Of one contract, above 0 [currency].
    contracts : array_like
        N; below 0 = short.
    entry : array_like
        Price at which they were entered, above 0 [currency per coin].

    Returns
    -------
    DataFrame, one row a contract
        units of the coin, to be given as a quantity, and cash [currency], to be added to that of the account.

    Raises
    ------
    ParameterError
        A face or entry that is not above 0.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.pricing.inverse_perpetual(face=100.0, contracts=[1000, -500], entry=50_000.0)
       units      cash
    0    2.0 -100000.0
    1   -1.0   50000.0
    """
    check_number("inverse_perpetual", "face", face, low=0, above=True)
    count, at = np.broadcast_arrays(np.asarray(contracts, dtype=np.float64), np.asarray(entry, dtype=np.float64))
    if not (np.isfinite(count).all() and np.isfinite(at).all() and (at > 0.0).all()):
        raise ParameterError("inverse_perpetual: contracts are finite numbers, and entry prices finite and above 0")
    return pd.DataFrame({"units": np.ravel(count * face / at), "cash": np.ravel(-count * face)})
