"""Graph-based contagion analytics for pooled collateral.

Every public name is loaded when it is first used, so that importing the package costs next to nothing. `__init__.pyi`
tells type checkers and editors the same names.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

_HOME = {
    "ExposureGraph": "graph.exposure",
    "ObligationNetwork": "graph.obligations",
    "MarginCascade": "margin.model",
    "CascadeResult": "margin.result",
    "Equilibria": "margin.equilibria.result",
    "FullLiquidation": "rules.liquidation",
    "TargetMargin": "rules.liquidation",
    "CloseFactor": "rules.liquidation",
    "LeverageTarget": "rules.liquidation",
    "RepayAndSeize": "rules.liquidation",
    "TransferSlice": "rules.liquidation",
    "LinearImpact": "rules.impact",
    "ExponentialImpact": "rules.impact",
    "FloorExponentialImpact": "rules.impact",
    "SquareRootImpact": "rules.square_root",
    "ConstantProductImpact": "rules.impact",
    "OrderBookImpact": "rules.order_book",
    "OwnContribution": "rules.layers",
    "InsuranceFund": "rules.layers",
    "Purse": "rules.layers",
    "Members": "rules.layers",
    "GainsHaircut": "rules.layers",
    "Deleverage": "rules.layers",
    "waterfall_of": "rules.layers",
    "ProRata": "rules.layers",
    "ScenarioMargin": "rules.margins",
    "TieredMargin": "rules.margins",
    "rules": "rules",
    "Solution": "_solution",
    "Status": "_solution",
    "set_threads": "kernels.threads",
    "get_threads": "kernels.threads",
    "read_tables": "io.read",
    "write_tables": "io.write",
    "plot": "plot",
    "write_gexf": "graph_formats.gexf",
    "write_report": "report.page",
    "Written": "_written",
    "write_graphml": "graph_formats.graphml",
    "write_gephi_csv": "graph_formats.gephi_csv",
    "backbone": "importance.backbone",
    "cite": "io.citations",
    "to_latex": "io.latex",
    "generate": "synthetic.venues",
    "named": "margin.literature.named",
    "venues": "margin.venues.presets",
    "pricing": "rules.pricing",
    "importance": "importance",
    "spectral_radius": "margin.amplification",
    "critical_notional": "margin.amplification",
    "collateral": "collateral",
    "blame": "margin.attribution.blame",
    "paths": "margin.attribution.paths",
    "direct_exposure": "exposure.direct",
    "indirect_exposure": "exposure.indirect",
    "exposure_curve": "exposure.curve",
    "marginal_exposure": "exposure.marginal",
    "look_through": "exposure.look_through",
    "exposure_to_traders": "exposure.to_traders",
    "SolvencyMonitor": "collateral.monitoring.monitor",
    "scenarios": "scenarios",
    "distributed": "distributed",
    "sweep": "scenarios.sweep",
    "SweepResult": "scenarios.sweep_result",
    "tipping_point": "scenarios.tipping",
    "adl_policies": "scenarios.adl_policies",
    "AdlComparison": "scenarios.adl_policies",
    "reverse_stress": "scenarios.reverse",
    "SumTree": "collateral.proof.statement",
    "reconstruct": "synthetic.reconstruct",
    "EisenbergNoe": "clearing.eisenberg_noe",
    "RogersVeraart": "clearing.rogers_veraart",
    "CommonAssetClearing": "clearing.common_assets",
    "CommonAssetResult": "clearing.common_asset_result",
    "ClearingResult": "clearing.result",
    "ClearingEquilibria": "clearing.equilibria",
    "DebtRank": "distress.debtrank",
    "Furfine": "distress.furfine",
    "ThresholdCascade": "distress.threshold",
    "NetworkValuation": "distress.network_valuation",
    "DistressResult": "distress.result",
    "single_defaults": "distress.batch",
    "distress": "distress",
    "ContagionError": "errors",
    "TableError": "errors",
    "ParameterError": "errors",
    "ConvergenceError": "errors",
    "MissingExtraError": "errors",
    "EventError": "errors",
    "InfeasibleError": "errors",
    "BackingWarning": "errors",
    "ContagionWarning": "errors",
    "ConvergenceWarning": "errors",
    "CovarianceWarning": "errors",
    "InBreachWarning": "errors",
    "OwnDebtWarning": "errors",
    "UnusedColumnWarning": "errors",
    "UnusedFileWarning": "errors",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("contagion-graph")
    if name in _HOME:
        module = import_module(f"contagion_graph.{_HOME[name]}")
        return getattr(module, name, module)  # blame is in margin.blame; named is a module
    raise AttributeError(f"module 'contagion_graph' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
