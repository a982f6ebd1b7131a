"""The covariance of log-returns: estimated from prices, or given, and made fit to draw from."""

from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number, given_as
from contagion_graph.errors import CovarianceWarning, ParameterError, tell
from contagion_graph.scenarios.draw.history import log_returns
from contagion_graph.tables.labels import text_index

SAME = 1e-9  # eigenvalues that differ by less of the largest are equal
ROUNDING = 1e-10  # a negative eigenvalue of this share of the largest one is rounding


def covariance(prices: pd.DataFrame, *, shrink: bool = True, horizon: int = 1) -> pd.DataFrame:
    """Estimate the covariance of log-returns from a table of prices.

    S = sum_t (r_t - m)(r_t - m)' / T. Shrunk: (1 - d) S + d mu I, mu = tr(S) / n the mean variance, d the share that is
    optimal in the mean square: d = min(b, c) / c, c = |S - mu I|^2 / n, b = sum_t |r_t r_t' - S|^2 / (n T^2). It is
    then never singular.

    Parameters
    ----------
    prices : DataFrame
        One row a date, the oldest first, one column an asset. The index is the date, or only a number.
    shrink : bool
        Whether to shrink the sample covariance.
    horizon : int
        Steps that a scenario covers: the covariance is that of one step times this.

    Returns
    -------
    DataFrame, asset x asset
        Of log-returns over `horizon` steps.

    Raises
    ------
    ParameterError
        Prices that are no prices, or of fewer than 3 dates; dates that repeat or do not ascend, or that are a column.

    References
    ----------
    Ledoit & Wolf (2004), J. Multivariate Analysis 88(2), section 3.

    Examples
    --------
    >>> import pandas as pd
    >>> prices = pd.DataFrame({"BTC": [100.0, 103.0, 99.0, 101.0], "ETH": [10.0, 10.6, 9.7, 10.1]})
    >>> covariance(prices, shrink=False).round(5).loc["ETH"].tolist()
    [0.002, 0.00429]
    """
    check_number("covariance", "horizon", horizon, low=1, whole=True)
    returns = log_returns(prices)
    centred = returns.to_numpy() - returns.to_numpy().mean(axis=0)
    sample = centred.T @ centred / len(centred)
    estimate = _shrunk(centred, sample) if shrink else sample
    return pd.DataFrame(horizon * estimate, index=returns.columns, columns=returns.columns)


def _shrunk(centred: FloatArray, sample: FloatArray) -> FloatArray:
    steps, n = centred.shape
    mean_variance = np.trace(sample) / n
    target = mean_variance * np.eye(n)
    distance = ((sample - target) ** 2).sum() / n
    noise = (((centred**2).T @ centred**2).sum() / steps - (sample**2).sum()) / (n * steps)
    share = min(noise, distance) / distance if distance > 0.0 else 0.0
    shrunk: FloatArray = (1.0 - share) * sample + share * target
    return shrunk


def root_of(covariance: Any) -> tuple[FloatArray, "pd.Index[str]"]:
    """Return A with A A' = covariance, its columns from the largest principal component down, and the assets.

    Rows are brought into the order of the columns.

    A matrix that is not positive semi-definite is replaced by the nearest one that is (its negative eigenvalues become
    0), with a `CovarianceWarning`.

    References
    ----------
    Higham (1988), Linear Algebra and its Applications 103: the nearest one in the Frobenius norm.

    Examples
    --------
    >>> import pandas as pd
    >>> assets = ["BTC", "ETH"]
    >>> root, _ = root_of(pd.DataFrame([[0.04, 0.02], [0.02, 0.09]], index=assets, columns=assets))
    >>> (root @ root.T).round(12).tolist()
    [[0.04, 0.02], [0.02, 0.09]]
    """
    values, assets = _checked(covariance)
    size, vectors = np.linalg.eigh((values + values.T) / 2.0)
    if size[0] < -ROUNDING * max(size[-1], 0.0):
        tell(
            f"the covariance is not positive semi-definite: its least eigenvalue is {size[0]:.3g}, its largest "
            f"{size[-1]:.3g}; the nearest one that is, is used. Estimate it on complete data, or shrink it",
            CovarianceWarning,
        )
    root: FloatArray = (_settled(size, vectors) * np.sqrt(np.maximum(size, 0.0)))[:, ::-1]
    return root, assets


def _settled(size: FloatArray, vectors: FloatArray) -> FloatArray:
    """Choose the eigenvectors that the eigenvalues leave open: otherwise seeded draws would differ between machines.

    These are the signs, and whole bases where eigenvalues are equal. A basis is made of the projections of the assets
    onto its space, in their order, each less those before it; one that adds next to nothing is passed over.
    """
    apart = np.flatnonzero(np.diff(size) > SAME * np.abs(size).max()) + 1
    return np.hstack([_basis(space) for space in np.split(vectors, apart, axis=1)])


def _basis(space: FloatArray) -> FloatArray:
    chosen = np.zeros((len(space), 0))
    for asset in space:
        projection = space @ asset
        rest = projection - chosen @ (chosen.T @ projection)
        if rest @ rest > 0.5 / len(space):
            chosen = np.column_stack([chosen, rest / np.sqrt(rest @ rest)])
        if chosen.shape == space.shape:
            break
    return chosen


def _checked(covariance: Any) -> tuple[FloatArray, "pd.Index[str]"]:
    if not isinstance(covariance, pd.DataFrame) or covariance.empty:
        raise ParameterError(
            f"covariance must be a frame, asset x asset, not empty{given_as(covariance)}; see scenarios.draw.covariance"
        )
    rows, columns = text_index(covariance.index, "covariance"), text_index(covariance.columns, "covariance")
    if rows.has_duplicates or columns.has_duplicates:
        twice = rows[rows.duplicated()].append(columns[columns.duplicated()])[0]
        raise ParameterError(f"covariance: {twice!r} names two rows or two columns; each asset has one")
    apart = rows.symmetric_difference(columns)
    if len(apart):
        named = ", ".join(f"{label!r} names a {'row' if label in rows else 'column'} only" for label in apart[:4])
        raise ParameterError(f"covariance: {named}; rows and columns must name the same assets")
    values = covariance.to_numpy(dtype=np.float64)[rows.get_indexer(columns)]
    rows = columns
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ParameterError(f"covariance of {rows[row]!r} and {columns[column]!r} is {values[row, column]}")
    if not np.allclose(values, values.T, rtol=1e-8, atol=1e-12 * np.abs(values).max()):
        raise ParameterError("covariance is not symmetric; it must be")
    negative = np.flatnonzero(np.diagonal(values) < -ROUNDING * np.abs(values).max())
    if negative.size:
        asset = columns[negative[0]]
        raise ParameterError(
            f"covariance: the variance of {asset!r} is {values[negative[0], negative[0]]:g}; it must be at least 0"
        )
    return values, columns
