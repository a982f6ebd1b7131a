"""Scenarios in which bridges, issuers or oracles fail, several at once where they are exposed to the same thing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from contagion_graph._typing import Seed
from contagion_graph._validate import check_kind, check_number, generator_of
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.scenarios.frame import REMEDY, scenario_frame
from contagion_graph.tables.labels import note_repeated, text_index


def joint_failure(
    failures: Mapping[Any, Mapping[Any, float]],
    probability: Mapping[Any, float],
    n_draws: int,
    *,
    correlation: float = 0.0,
    rng: Seed | None = None,
) -> pd.DataFrame:
    """Draw which of several bridges, issuers or oracles fail, and the price changes that follow.

    Failure k happens where sqrt(c) z + sqrt(1 - c) e_k < Phi^-1(probability_k), z and e_k standard normal and c the
    correlation: each with its own probability, several together more often than if they were independent. Two failures
    that change the price of the same asset multiply.

    Parameters
    ----------
    failures : mapping failure -> (mapping asset -> relative price change)
        As {"bridge": {"wETH": -0.9}, "issuer": {"USDX": -0.5}}.
    probability : mapping failure -> number in [0, 1]
        Over the time that a scenario covers.
    n_draws : int
        Scenarios.
    correlation : float
        c in [0, 1].
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed draws the same scenarios.

    Returns
    -------
    DataFrame, scenario x asset
        Relative price changes; `together` combines them with market scenarios.

    Raises
    ------
    ParameterError
        Failures without a probability, or the other way round; changes below -1.

    References
    ----------
    Vasicek (1987), Probability of loss on loan portfolio; Li (2000), Journal of Fixed Income 9(4).

    Examples
    --------
    >>> failures = {"bridge": {"wETH": -0.9, "wBTC": -0.9}, "issuer": {"USDX": -0.5}}
    >>> changes = joint_failure(failures, {"bridge": 0.02, "issuer": 0.01}, 10_000, correlation=0.5, rng=0)
    >>> (changes < 0.0).mean().round(2).to_dict()
    {'wETH': 0.02, 'wBTC': 0.02, 'USDX': 0.01}
    """
    check_number("joint_failure", "n_draws", n_draws, low=1, whole=True)
    check_number("joint_failure", "correlation", correlation, low=0, high=1)
    check_kind("joint_failure: failures", failures, Mapping, "a mapping failure -> changes of assets")
    check_kind("joint_failure: probability", probability, (Mapping, pd.Series), "a mapping failure -> probability")
    if set(failures.keys()) != set(probability.keys()):
        raise ParameterError("joint_failure: failures and probability must name the same failures")
    for name, chance in probability.items():
        check_number("joint_failure", f"probability of {name!r}", chance, low=0, high=1)
    effects = _effects(failures)
    draws = generator_of("joint_failure", rng).standard_normal((n_draws, len(failures) + 1))
    latent = np.sqrt(correlation) * draws[:, :1] + np.sqrt(1.0 - correlation) * draws[:, 1:]
    fails = latent < special.ndtri(np.array([probability[name] for name in failures], dtype=np.float64))
    kept = np.ones((n_draws, effects.shape[1]))
    for k, effect in enumerate(effects.to_numpy()):
        kept[fails[:, k]] *= 1.0 + effect
    return scenario_frame(kept - 1.0, effects.columns)


def _effects(failures: Mapping[Any, Mapping[Any, float]]) -> pd.DataFrame:
    """Return the relative price change of each asset in each failure."""
    for name, changes in failures.items():
        faults, where = Faults(ParameterError), f"joint_failure: failures of {name!r}"
        note_repeated(where, text_index(changes.keys(), where, faults), faults, "Name each asset once.")
        faults.raise_if_any()
    effects = pd.DataFrame.from_dict(dict(failures), orient="index", dtype=np.float64).fillna(0.0).rename(columns=str)
    if effects.empty or not np.isfinite(effects.to_numpy()).all() or (effects < -1.0).to_numpy().any():
        raise ParameterError(f"joint_failure: failures need changes of assets, at least -1. {REMEDY}")
    return effects
