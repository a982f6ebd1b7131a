"""Changes of the other assets, given those of some."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray, Seed
from contagion_graph._validate import check_kind, generator_of
from contagion_graph.errors import Faults, ParameterError, nearest
from contagion_graph.scenarios.draw.covariances import root_of
from contagion_graph.scenarios.draw.points import Points, check_points, normal
from contagion_graph.scenarios.frame import REMEDY, scenario_frame
from contagion_graph.tables.labels import note_repeated, text_index


def conditional(
    covariance: pd.DataFrame,
    given: Mapping[Any, float],
    n_draws: int | None = None,
    *,
    points: Points = "random",
    rng: Seed | None = None,
) -> pd.DataFrame:
    """Return changes of the other assets, given those of some, where log-returns are normal.

    With S the covariance, g the given assets and o the others, r_o given r_g is normal with mean S_og S_gg^-1 r_g and
    covariance S_oo - S_og S_gg^-1 S_go.

    Parameters
    ----------
    covariance : DataFrame, asset x asset
        Of log-returns.
    given : mapping or Series asset -> relative price change
        Above -1.
    n_draws : int, optional
        None: one scenario, the others at their conditional mean. A number: so many scenarios, the others drawn.
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
        A covariance that is no covariance; nothing given, assets that the covariance does not have, or changes of -1
        and below.

    References
    ----------
    Kupiec (1998), Journal of Derivatives 6(1): stress testing in a value at risk framework.

    Examples
    --------
    >>> import pandas as pd
    >>> assets = ["BTC", "ETH", "GOLD"]
    >>> matrix = [[0.04, 0.03, 0.0], [0.03, 0.09, 0.0], [0.0, 0.0, 0.01]]
    >>> covariance = pd.DataFrame(matrix, index=assets, columns=assets)
    >>> conditional(covariance, {"ETH": -0.3}).round(4).to_numpy().tolist()
    [[-0.1121, -0.3, 0.0]]
    """
    check_points("conditional", 1 if n_draws is None else n_draws, points)
    check_kind("conditional: given", given, (Mapping, pd.Series), "a mapping asset -> relative price change")
    root, assets = root_of(covariance)
    matrix, columns, wanted = root @ root.T, *_given(given, assets)
    others = np.setdiff1d(np.arange(len(assets)), columns)
    weights = np.linalg.lstsq(matrix[np.ix_(columns, columns)], matrix[np.ix_(columns, others)], rcond=None)[0]
    rest = matrix[np.ix_(others, others)] - matrix[np.ix_(others, columns)] @ weights
    returns = np.empty((1 if n_draws is None else n_draws, len(assets)))
    returns[:, columns], returns[:, others] = wanted, wanted @ weights
    if n_draws is not None and others.size:
        own = root_of(pd.DataFrame(rest, index=assets[others], columns=assets[others]))[0]
        returns[:, others] += normal(n_draws, others.size, points, generator_of("conditional", rng)) @ own.T
    return scenario_frame(np.expm1(returns), assets)


def _given(given: Mapping[Any, float], assets: "pd.Index[str]") -> tuple[Any, FloatArray]:
    if not len(given):
        raise ParameterError("conditional: given is empty; name an asset and its change, or take gaussian")
    faults, changes = Faults(ParameterError), np.array([change for _, change in given.items()], dtype=np.float64)
    labels = text_index(given.keys(), "given", faults)
    note_repeated("given", labels, faults, "Name each asset once.")
    columns = assets.get_indexer(labels)
    for label, column, change in zip(labels, columns, changes, strict=True):
        if column < 0:
            faults.add("given", f"unknown asset {label!r}{nearest(label, assets)}", "Use a label of the covariance.")
        if not (np.isfinite(change) and change > -1.0):
            faults.add("given", f"asset {label!r} changes by {change:g}", REMEDY.replace("at least", "more than"))
    faults.raise_if_any()
    return columns, np.log1p(changes)
