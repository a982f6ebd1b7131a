"""Values of European options on a price u without drift (Black 1976 with r = 0), and their sensitivities.

sign = 1 for a call, -1 for a put. With s = vol sqrt(expiry) and d = ln(u/K)/s + s/2,

    F = sign (u N(sign d) - K N(sign (d - s))),

and the payoff max(sign (u - K), 0) where s = 0. All arguments are arrays that go together, or numbers.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from contagion_graph._typing import FloatArray

LARGEST = 64.0  # s at which no price of a call is below u, nor of a put below K, in double precision
HALVINGS = 80  # of an interval of s
ROOT_TWO_PI = np.sqrt(2.0 * np.pi)


def price(sign: ArrayLike, u: ArrayLike, strike: ArrayLike, expiry: ArrayLike, vol: ArrayLike) -> FloatArray:
    """Return F [currency per unit].

    Examples
    --------
    >>> price(1, 100.0, 100.0, 1.0, 0.2).round(6).item(), price(-1, 90.0, 100.0, 1.0, 0.0).item()
    (7.965567, 10.0)
    """
    sign, u, strike, expiry, vol = _arrays(sign, u, strike, expiry, vol)
    return _value(sign, u, strike, vol * np.sqrt(expiry))


def delta(sign: ArrayLike, u: ArrayLike, strike: ArrayLike, expiry: ArrayLike, vol: ArrayLike) -> FloatArray:
    """Return dF/du: sign N(sign d)."""
    sign, u, strike, expiry, vol = _arrays(sign, u, strike, expiry, vol)
    return np.asarray(sign * ndtr(sign * _distance(u, strike, vol * np.sqrt(expiry))))


def gamma(u: ArrayLike, strike: ArrayLike, expiry: ArrayLike, vol: ArrayLike) -> FloatArray:
    """Return d2F/du2: n(d) / (u s), of calls and of puts; 0 where u or s is 0."""
    u, strike, expiry, vol = _arrays(u, strike, expiry, vol)
    s = vol * np.sqrt(expiry)
    return np.divide(_density(_distance(u, strike, s)), u * s, out=np.zeros_like(s), where=u * s > 0.0)


def vega(u: ArrayLike, strike: ArrayLike, expiry: ArrayLike, vol: ArrayLike) -> FloatArray:
    """Return dF/dvol: u n(d) sqrt(expiry), of calls and of puts."""
    u, strike, expiry, vol = _arrays(u, strike, expiry, vol)
    return np.asarray(u * _density(_distance(u, strike, vol * np.sqrt(expiry))) * np.sqrt(expiry))


def theta(u: ArrayLike, strike: ArrayLike, expiry: ArrayLike, vol: ArrayLike) -> FloatArray:
    """Return the change of F a year as time passes: -vega vol / (2 expiry), of calls and of puts."""
    _, _, expiry, vol = _arrays(u, strike, expiry, vol)
    return np.asarray(-vega(u, strike, expiry, vol) * vol / (2.0 * expiry))


def intrinsic(sign: ArrayLike, u: ArrayLike, strike: ArrayLike) -> FloatArray:
    """Return max(sign (u - K), 0): the value without volatility."""
    worth: FloatArray = np.maximum(np.asarray(sign) * (np.asarray(u, dtype=np.float64) - np.asarray(strike)), 0.0)
    return worth


def implied_vol(sign: ArrayLike, u: ArrayLike, strike: ArrayLike, expiry: ArrayLike, value: ArrayLike) -> FloatArray:
    """Return the vol at which F is a given value: 0 at the intrinsic value; NaN below it, and from u (K of a put) up.

    What is solved is the time value, which is the value of the option that is out of the money: no digits are lost in a
    difference of two large numbers. It rises with s, so halving an interval of s never fails.

    Examples
    --------
    >>> implied_vol(1, 100.0, 100.0, 1.0, [7.965567455, 0.0, -1.0, 100.0]).round(6).tolist()
    [0.2, 0.0, nan, nan]
    """
    sign, u, strike, expiry, value = (each.copy() for each in _arrays(sign, u, strike, expiry, value))
    worth = intrinsic(sign, u, strike)
    above = value - worth
    out = np.where(u >= strike, -1.0, 1.0)  # the option that is out of the money
    low, high = np.zeros_like(above), np.full_like(above, LARGEST)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        over = _value(out, u, strike, middle) > above
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    vol = np.where(above == 0.0, 0.0, 0.5 * (low + high) / np.sqrt(expiry))
    outside = (above < 0.0) | (value >= np.where(sign > 0.0, u, strike))
    return np.where(outside, np.nan, vol)


def _arrays(*values: ArrayLike) -> tuple[FloatArray, ...]:
    return tuple(np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in values)))


def _value(sign: FloatArray, u: FloatArray, strike: FloatArray, s: FloatArray) -> FloatArray:
    d = _distance(u, strike, s)
    later = np.where(s > 0.0, d - s, d)
    value: FloatArray = np.maximum(sign * (u * ndtr(sign * d) - strike * ndtr(sign * later)), 0.0)
    return value


def _distance(u: FloatArray, strike: FloatArray, s: FloatArray) -> FloatArray:
    """Return d; infinite where s is 0 (0 at the strike itself), or u."""
    with np.errstate(divide="ignore", invalid="ignore"):
        moneyness = np.log(u / strike)
        d = moneyness / s + 0.5 * s
    return np.where(np.isnan(d), 0.0, d)


def _density(d: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * d * d) / ROOT_TWO_PI)
