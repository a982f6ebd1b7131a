"""Value at risk, expected shortfall and their confidence intervals, from the largest losses of many scenarios.

N losses, L_(1) >= L_(2) >= ...; q the level; k = N (1 - q), rounded up, of them are the tail. The intervals hold for
scenarios that are drawn independently; antithetic and Sobol points do better than they say.
"""

import math

import numpy as np

from contagion_graph._typing import FloatArray

ROUNDING = 1e-9  # of N (1 - q)
NORMAL_95 = 1.959963984540054  # 97.5 % of the standard normal lie below


def tail_count(count: int, level: float) -> int:
    """Return how many of so many losses make up the tail: N (1 - q), a part of one counted whole.

    Examples
    --------
    >>> tail_count(10_000, 0.99), tail_count(10, 0.99), tail_count(10, 0.75)
    (100, 1, 3)
    """
    return max(1, math.ceil(count * (1.0 - level) - ROUNDING))


def expected_shortfall(largest: FloatArray, count: int, level: float) -> FloatArray:
    """Return the mean of the worst N (1 - q) of N equally likely losses, parts of one included.

    (L_(1) + ... + L_(k - 1) + (N (1 - q) - k + 1) L_(k)) / (N (1 - q)),  never below L_(k)

    Parameters
    ----------
    largest : ndarray, shape (..., K)
        The K largest losses, in falling order; K at least k.
    count : int
        N.
    level : float
        q.

    References
    ----------
    Acerbi & Tasche (2002), J. Banking & Finance 26, definition 2.6: coherent on a finite sample.

    Examples
    --------
    >>> import numpy as np
    >>> losses = np.array([4.0, 3.0, 2.0, 1.0])
    >>> float(expected_shortfall(losses, 4, 0.5)), round(float(expected_shortfall(losses, 4, 0.625)), 4)
    (3.5, 3.6667)
    """
    tail = count * (1.0 - level)
    worst = largest[..., : tail_count(count, level)]
    weight = np.minimum(tail - np.arange(worst.shape[-1]), 1.0)
    mean: FloatArray = (worst * weight).sum(axis=-1) / weight.sum()
    return mean


def quantile_places(k: int, count: int, level: float) -> tuple[int, int]:
    """Return the places, in falling order, of the two of N numbers that enclose a quantile in 95 of 100 samples.

    k + z sqrt(N q (1 - q)), rounded up, and k - z sqrt(N q (1 - q)), rounded down, plus 1, between 1 and N: the number
    of draws beyond a quantile is binomial, here by its normal approximation. Where N is too small the upper end is the
    largest number drawn.

    Parameters
    ----------
    k : int
        The place of the estimate.
    count : int
        N.
    level : float
        q.

    Examples
    --------
    >>> quantile_places(50, 1000, 0.95), quantile_places(1, 4, 0.9)
    ((64, 37), (3, 1))
    """
    spread = NORMAL_95 * math.sqrt(count * level * (1.0 - level))
    return min(count, math.ceil(k + spread)), max(1, min(k, math.floor(k - spread) + 1))


def tail_estimates(largest: FloatArray, count: int, level: float) -> dict[str, FloatArray]:
    """Return value at risk and expected shortfall with 95 % confidence intervals.

    VaR = L_(k), its interval two order statistics (binomial, normal approximation); ES as in `expected_shortfall`, with
    the variance (s^2 + q (ES - VaR)^2) / k, s^2 that of the losses beyond VaR.

    Parameters
    ----------
    largest : ndarray, shape (t, K)
        The K largest losses of each of t traders, in falling order.
    count : int
        N.
    level : float
        q.

    References
    ----------
    Manistre & Hancock (2005), Variance of the CTE estimator, North American Actuarial Journal 9(2).

    Examples
    --------
    >>> import numpy as np
    >>> losses = np.arange(1000.0, 0.0, -1.0)[None]
    >>> found = tail_estimates(losses[:, :80], 1000, 0.95)
    >>> float(found["value_at_risk"][0]), float(found["expected_shortfall"][0])
    (951.0, 975.5)
    >>> [round(float(found[f"value_at_risk_{end}"][0])) for end in ("low", "high")]
    [937, 964]
    """
    k, kept = tail_count(count, level), largest.shape[1]
    low, high = quantile_places(k, count, level)
    low = min(kept, low)
    value_at_risk = largest[:, k - 1]
    with np.errstate(invalid="ignore"):
        shortfall = expected_shortfall(largest, count, level)
        variance = largest[:, :k].var(axis=1) + level * (shortfall - value_at_risk) ** 2
        half = NORMAL_95 * np.sqrt(variance / k)
    return {
        "value_at_risk": value_at_risk,
        "value_at_risk_low": largest[:, low - 1],
        "value_at_risk_high": largest[:, high - 1],
        "expected_shortfall": shortfall,
        "expected_shortfall_low": shortfall - half,
        "expected_shortfall_high": shortfall + half,
    }


def mean_interval(total: FloatArray, square: FloatArray, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return means of N numbers with their 95 % confidence intervals, from the sums of the numbers and their squares.

    Examples
    --------
    >>> import numpy as np
    >>> [round(float(each[0]), 3) for each in mean_interval(np.array([50.0]), np.array([50.0]), 100)]
    [0.5, 0.402, 0.598]
    """
    mean = total / count
    half = NORMAL_95 * np.sqrt(np.maximum(square / count - mean**2, 0.0) / max(count - 1, 1))
    return mean, mean - half, mean + half


def share_interval(times: FloatArray, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return shares of N with their 95 % confidence intervals (Wilson 1927, JASA 22).

    Examples
    --------
    >>> import numpy as np
    >>> [round(float(each[0]), 4) for each in share_interval(np.array([0]), 100)]
    [0.0, 0.0, 0.037]
    """
    share, z2 = times / count, NORMAL_95**2
    centre = (share + z2 / (2.0 * count)) / (1.0 + z2 / count)
    half = NORMAL_95 * np.sqrt(share * (1.0 - share) / count + z2 / (4.0 * count**2)) / (1.0 + z2 / count)
    return share, np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
