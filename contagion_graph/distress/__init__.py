"""Distress between nodes that owe each other: claims that are written down before anybody has failed to pay.

The models are `cg.DebtRank`, `cg.Furfine`, `cg.ThresholdCascade` and `cg.NetworkValuation`: frozen records;
`model.run(network, equity_shock=..., losses=...)` returns a `DistressResult`, and `cg.single_defaults` lets every node
default in turn. Here are further ways to run many cases, the valuation functions, and measures of impact that sum over
walks of length k.
"""

from contagion_graph.distress.batch import many_shocks, stress_blocks, uniform_shocks
from contagion_graph.distress.merton import BlackCoxValue, MertonValue, RecoveryMertonValue, asset_volatility
from contagion_graph.distress.spectrum import spectral_radius
from contagion_graph.distress.valuation import DebtRankValue, EisenbergNoeValue, RecoveryValue, RogersVeraartValue
from contagion_graph.distress.walk_measures import (
    communicability,
    impact_diffusion,
    impact_fluidity,
    impact_susceptibility,
)

__all__ = [
    "BlackCoxValue",
    "DebtRankValue",
    "EisenbergNoeValue",
    "MertonValue",
    "RecoveryMertonValue",
    "RecoveryValue",
    "RogersVeraartValue",
    "asset_volatility",
    "communicability",
    "impact_diffusion",
    "impact_fluidity",
    "impact_susceptibility",
    "many_shocks",
    "spectral_radius",
    "stress_blocks",
    "uniform_shocks",
]
