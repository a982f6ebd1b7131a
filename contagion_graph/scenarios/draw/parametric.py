"""Scenarios from a distribution of log-returns: normal, Student's t, a factor model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from contagion_graph._typing import FloatArray, Seed
from contagion_graph._validate import check_number, generator_of, given_as
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.scenarios.draw.covariances import root_of
from contagion_graph.scenarios.draw.points import Points, check_points, normal, uniform
from contagion_graph.scenarios.frame import scenario_frame
from contagion_graph.tables.labels import note_repeated, places_of, text_index
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument

VARIANCE = Number("variance", low=0.0)


def gaussian(
    covariance: pd.DataFrame, n_draws: int, *, points: Points = "random", rng: Seed | None = None
) -> pd.DataFrame:
    """Draw normal log-returns: change = exp(r) - 1, r ~ N(0, covariance).

    Parameters
    ----------
    covariance : DataFrame, asset x asset
        Of log-returns over the time that a scenario covers.
    n_draws : int
        Scenarios.
    points : {"random", "antithetic", "sobol"}
        Independent draws; pairs of opposite draws; scrambled Sobol points. The last two estimate means with less noise;
        confidence intervals, which assume independent draws, are then wider than needed.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed draws the same scenarios.

    Returns
    -------
    DataFrame, scenario x asset
        Relative price changes.

    Raises
    ------
    ParameterError
        A covariance that is no covariance; a parameter outside of its range.

    Warns
    -----
    CovarianceWarning
        The covariance is not positive semi-definite; the nearest one that is, is used.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> assets = ["BTC", "ETH"]
    >>> covariance = pd.DataFrame([[0.04, 0.03], [0.03, 0.09]], index=assets, columns=assets)
    >>> changes = gaussian(covariance, 4096, points="sobol", rng=0)
    >>> np.log1p(changes).cov().round(3).to_numpy().tolist()
    [[0.04, 0.03], [0.03, 0.09]]
    """
    check_points("gaussian", n_draws, points)
    root, assets = root_of(covariance)
    draws = normal(n_draws, root.shape[1], points, generator_of("gaussian", rng))
    return scenario_frame(np.expm1(draws @ root.T), assets)


def student_t(
    covariance: pd.DataFrame, n_draws: int, *, df: float = 4.0, points: Points = "random", rng: Seed | None = None
) -> pd.DataFrame:
    """Draw log-returns from a multivariate Student's t distribution: joint tails of all assets.

    r = z sqrt((nu - 2) / w), z ~ N(0, covariance), w ~ chi^2(nu): fat tails, and r has the given covariance.

    Parameters
    ----------
    covariance : DataFrame, asset x asset
        Of log-returns over the time that a scenario covers.
    n_draws : int
        Scenarios.
    df : float
        nu > 2, the degrees of freedom; 3 to 5 are usual for daily returns.
    points : {"random", "antithetic", "sobol"}
        As in `gaussian`. Of an antithetic pair both have the same w.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed draws the same scenarios.

    Returns
    -------
    DataFrame, scenario x asset
        Relative price changes.

    Raises
    ------
    ParameterError
        A covariance that is no covariance; a parameter outside of its range.

    Warns
    -----
    CovarianceWarning
        The covariance is not positive semi-definite; the nearest one that is, is used.

    References
    ----------
    McNeil, Frey & Embrechts (2015), Quantitative Risk Management, section 6.2.

    Examples
    --------
    >>> import pandas as pd
    >>> covariance = pd.DataFrame([[0.04]], index=["ETH"], columns=["ETH"])
    >>> changes = student_t(covariance, 10_000, df=3.0, rng=0)
    >>> bool((changes["ETH"] < -0.6).mean() > 20 * (gaussian(covariance, 10_000, rng=0)["ETH"] < -0.6).mean())
    True
    """
    check_points("student_t", n_draws, points)
    check_number("student_t", "df", df, low=2, above=True)
    root, assets = root_of(covariance)
    draws, w = _normal_and_chi2(n_draws, root.shape[1], df, points, generator_of("student_t", rng))
    return scenario_frame(np.expm1(draws @ root.T * np.sqrt((df - 2.0) / w)[:, None]), assets)


def _normal_and_chi2(
    n_draws: int, size: int, df: float, points: Points, generator: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    for_normal, for_chi2 = generator.spawn(2)
    if points == "sobol":
        cube = uniform(n_draws, size + 1, for_normal)
        return special.ndtri(cube[:, 1:]), special.chdtri(df, cube[:, 0])
    w = for_chi2.chisquare(df, n_draws if points == "random" else -(-n_draws // 2))
    return normal(n_draws, size, points, for_normal), w if points == "random" else np.repeat(w, 2)[:n_draws]


def factor(
    loadings: pd.DataFrame,
    factor_covariance: pd.DataFrame,
    specific: Mapping[Any, float] | pd.Series,
    n_draws: int,
    *,
    points: Points = "random",
    rng: Seed | None = None,
) -> pd.DataFrame:
    """Draw log-returns from a factor model: r = B f + e, f ~ N(0, F), e_j ~ N(0, specific_j).

    Parameters
    ----------
    loadings : DataFrame, asset x factor
        B.
    factor_covariance : DataFrame, factor x factor
        F.
    specific : mapping or Series asset -> variance
        Variance of what moves one asset alone.
    n_draws : int
        Scenarios.
    points : {"random", "antithetic", "sobol"}
        As in `gaussian`.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed draws the same scenarios.

    Returns
    -------
    DataFrame, scenario x asset
        Relative price changes.

    Raises
    ------
    ParameterError
        Loadings that are no numbers; factors that differ between loadings and covariance; an asset without a variance.

    Examples
    --------
    >>> import pandas as pd
    >>> loadings = pd.DataFrame({"market": [1.0, 1.5]}, index=["BTC", "ETH"])
    >>> market = pd.DataFrame([[0.01]], index=["market"], columns=["market"])
    >>> changes = factor(loadings, market, {"BTC": 0.0, "ETH": 0.0}, 3, rng=0)
    >>> (np.log1p(changes["ETH"]) / np.log1p(changes["BTC"])).round(9).tolist()
    [1.5, 1.5, 1.5]
    """
    check_points("factor", n_draws, points)
    root, factors = root_of(factor_covariance)
    values, assets = _loadings(loadings, factors)
    own = argument("specific", specific, assets, VARIANCE, base=np.nan)
    draws = normal(n_draws, len(factors) + len(own), points, generator_of("factor", rng))
    common = draws[:, : len(factors)] @ (values @ root).T
    returns = common + draws[:, len(factors) :] * np.sqrt(own)
    return scenario_frame(np.expm1(returns), assets)


def _loadings(loadings: Any, factors: "pd.Index[str]") -> tuple[FloatArray, "pd.Index[str]"]:
    """Return loadings, asset x factor, with the factors in this order, and the assets."""
    if not isinstance(loadings, pd.DataFrame) or loadings.empty:
        raise ParameterError("factor: loadings must be a frame, asset x factor, not empty" + given_as(loadings))
    faults = Faults(ParameterError)
    assets, columns = text_index(loadings.index, "loadings", faults), text_index(loadings.columns, "loadings", faults)
    note_repeated("loadings", assets, faults, "Give each asset one row.")
    places = places_of("loadings (columns)", columns, factors, faults)
    faults.raise_if_any()
    values = loadings.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise ParameterError("factor: loadings must be numbers")
    return values if places is None else values[:, places], assets
