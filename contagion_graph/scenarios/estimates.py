"""Value at risk, expected shortfall and their confidence intervals, from the largest losses of many scenarios.

N losses, L_(1) >= L_(2) >= ...; q the level, k = N (1 - q) of them lie beyond it. The intervals hold for scenarios that
are drawn independently; antithetic and Sobol points do better than they say.
"""

import math

import numpy as np

from contagion_graph.tables.schema import FloatArray

NORMAL_95 = 1.959963984540054  # 97.5 % of the standard normal lie below


def beyond(count: int, level: float) -> int:
    """Return how many of so many losses lie beyond the level: N (1 - q), at least 1.

    Examples
    --------
    >>> beyond(10_000, 0.99), beyond(10, 0.99)
    (100, 1)
    """
    return max(1, math.floor(count * (1.0 - level) + 1e-9))


def tail_estimates(largest: FloatArray, count: int, level: float) -> dict[str, FloatArray]:
    """Return value at risk and expected shortfall with 95 % confidence intervals.

    VaR = L_(k), its interval two order statistics (binomial, normal approximation); ES = mean of L_(1) ... L_(k), with
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
    k, kept = beyond(count, level), largest.shape[1]
    spread = NORMAL_95 * math.sqrt(count * level * (1.0 - level))
    low, high = min(kept, math.ceil(k + spread)), max(1, math.floor(k - spread) + 1)
    value_at_risk = largest[:, k - 1]
    with np.errstate(invalid="ignore"):
        shortfall = largest[:, :k].mean(axis=1)
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
