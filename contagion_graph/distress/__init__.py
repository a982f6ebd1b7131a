"""Distress between nodes that owe each other: models that write claims down before anybody has failed to pay.

A model is a frozen record; `model.run(network, shock=..., losses=...)` returns a `DistressResult`. `single_defaults`,
`uniform_shocks` and `many_shocks` follow many cases together. The measures of impact count paths instead of losses.
"""

from contagion_graph.distress.batch import many_shocks, single_defaults, stress_blocks, uniform_shocks
from contagion_graph.distress.impact import (
    communicability,
    impact_diffusion,
    impact_fluidity,
    impact_susceptibility,
)
from contagion_graph.distress.debtrank import DebtRank
from contagion_graph.distress.ex_ante import BlackCoxValue, MertonValue, RecoveryMertonValue, asset_volatility
from contagion_graph.distress.furfine import Furfine
from contagion_graph.distress.network_valuation import NetworkValuation
from contagion_graph.distress.result import DistressResult
from contagion_graph.distress.spectrum import spectral_radius
from contagion_graph.distress.threshold import ThresholdCascade
from contagion_graph.distress.valuation import DebtRankValue, EisenbergNoeValue, RecoveryValue, RogersVeraartValue

__all__ = [
    "BlackCoxValue",
    "DebtRank",
    "DebtRankValue",
    "DistressResult",
    "EisenbergNoeValue",
    "Furfine",
    "MertonValue",
    "NetworkValuation",
    "RecoveryMertonValue",
    "RecoveryValue",
    "RogersVeraartValue",
    "ThresholdCascade",
    "asset_volatility",
    "communicability",
    "impact_diffusion",
    "impact_fluidity",
    "impact_susceptibility",
    "many_shocks",
    "single_defaults",
    "spectral_radius",
    "stress_blocks",
    "uniform_shocks",
]
