"""How accounts are liquidated, how prices answer, how losses are shared: one frozen record for each rule.

The rules themselves are `cg.FullLiquidation`, `cg.ExponentialImpact`, `cg.ProRata` and so on. Here is what a rule of
your own inherits, is given and returns, and what helps it with parameters that differ by asset.
"""

from contagion_graph.rules.by_asset import ByAsset, align_by_asset, read_by_asset, values_by_asset
from contagion_graph.rules.declarations import declared
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.rules.layers import Layer, SharingRule
from contagion_graph.rules.liquidation import BreachedAccounts, ClosedSides, LiquidationRule, Quotient

__all__ = [
    "BreachedAccounts",
    "ByAsset",
    "ClosedSides",
    "ImpactRecord",
    "Layer",
    "LiquidationRule",
    "Quotient",
    "SharingRule",
    "align_by_asset",
    "declared",
    "read_by_asset",
    "values_by_asset",
]
