"""The public names of the package, for type checkers and editors; `__init__.py` loads the same ones."""

from contagion_graph import collateral, distress, distributed, importance, plot, rules, scenarios
from contagion_graph._solution import Solution, Status
from contagion_graph._written import Written
from contagion_graph.clearing.common_asset_result import CommonAssetResult
from contagion_graph.clearing.common_assets import CommonAssetClearing
from contagion_graph.clearing.eisenberg_noe import EisenbergNoe
from contagion_graph.clearing.equilibria import ClearingEquilibria
from contagion_graph.clearing.result import ClearingResult
from contagion_graph.clearing.rogers_veraart import RogersVeraart
from contagion_graph.collateral.monitoring.monitor import SolvencyMonitor
from contagion_graph.collateral.proof.statement import SumTree
from contagion_graph.distress.batch import single_defaults
from contagion_graph.distress.debtrank import DebtRank
from contagion_graph.distress.furfine import Furfine
from contagion_graph.distress.network_valuation import NetworkValuation
from contagion_graph.distress.result import DistressResult
from contagion_graph.distress.threshold import ThresholdCascade
from contagion_graph.errors import (
    BackingWarning,
    ContagionError,
    ContagionWarning,
    ConvergenceError,
    ConvergenceWarning,
    CovarianceWarning,
    EventError,
    InBreachWarning,
    InfeasibleError,
    MissingExtraError,
    OwnDebtWarning,
    ParameterError,
    TableError,
    UnusedColumnWarning,
    UnusedFileWarning,
)
from contagion_graph.exposure.curve import exposure_curve
from contagion_graph.exposure.direct import direct_exposure
from contagion_graph.exposure.indirect import indirect_exposure
from contagion_graph.exposure.look_through import look_through
from contagion_graph.exposure.marginal import marginal_exposure
from contagion_graph.exposure.to_traders import exposure_to_traders
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.graph_formats.gephi_csv import write_gephi_csv
from contagion_graph.graph_formats.gexf import write_gexf
from contagion_graph.graph_formats.graphml import write_graphml
from contagion_graph.importance.backbone import backbone
from contagion_graph.io.citations import cite
from contagion_graph.io.latex import to_latex
from contagion_graph.io.read import read_tables
from contagion_graph.io.write import write_tables
from contagion_graph.kernels.threads import get_threads, set_threads
from contagion_graph.margin.amplification import critical_notional, spectral_radius
from contagion_graph.margin.attribution.blame import blame
from contagion_graph.margin.attribution.paths import paths
from contagion_graph.margin.equilibria.result import Equilibria
from contagion_graph.margin.literature import named
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.result import CascadeResult
from contagion_graph.margin.venues import presets as venues
from contagion_graph.report.page import write_report
from contagion_graph.rules import pricing
from contagion_graph.rules.impact import ConstantProductImpact, ExponentialImpact, FloorExponentialImpact, LinearImpact
from contagion_graph.rules.layers import (
    Deleverage,
    GainsHaircut,
    InsuranceFund,
    Members,
    OwnContribution,
    ProRata,
    Purse,
    waterfall_of,
)
from contagion_graph.rules.liquidation import (
    CloseFactor,
    FullLiquidation,
    LeverageTarget,
    RepayAndSeize,
    TargetMargin,
    TransferSlice,
)
from contagion_graph.rules.margins import ScenarioMargin, TieredMargin
from contagion_graph.rules.order_book import OrderBookImpact
from contagion_graph.rules.square_root import SquareRootImpact
from contagion_graph.scenarios.adl_policies import AdlComparison, adl_policies
from contagion_graph.scenarios.reverse import reverse_stress
from contagion_graph.scenarios.sweep import sweep
from contagion_graph.scenarios.sweep_result import SweepResult
from contagion_graph.scenarios.tipping import tipping_point
from contagion_graph.synthetic import reconstruct
from contagion_graph.synthetic import venues as generate

__all__ = [
    "AdlComparison",
    "BackingWarning",
    "CascadeResult",
    "ClearingEquilibria",
    "ClearingResult",
    "CloseFactor",
    "CommonAssetClearing",
    "CommonAssetResult",
    "ConstantProductImpact",
    "ContagionError",
    "ContagionWarning",
    "ConvergenceError",
    "ConvergenceWarning",
    "CovarianceWarning",
    "DebtRank",
    "Deleverage",
    "DistressResult",
    "EisenbergNoe",
    "Equilibria",
    "EventError",
    "ExponentialImpact",
    "ExposureGraph",
    "FloorExponentialImpact",
    "FullLiquidation",
    "Furfine",
    "GainsHaircut",
    "InBreachWarning",
    "InfeasibleError",
    "InsuranceFund",
    "LeverageTarget",
    "LinearImpact",
    "MarginCascade",
    "Members",
    "MissingExtraError",
    "NetworkValuation",
    "ObligationNetwork",
    "OrderBookImpact",
    "OwnContribution",
    "OwnDebtWarning",
    "ParameterError",
    "ProRata",
    "Purse",
    "RepayAndSeize",
    "RogersVeraart",
    "ScenarioMargin",
    "Solution",
    "SolvencyMonitor",
    "SquareRootImpact",
    "Status",
    "SumTree",
    "SweepResult",
    "TableError",
    "TargetMargin",
    "ThresholdCascade",
    "TieredMargin",
    "TransferSlice",
    "UnusedColumnWarning",
    "UnusedFileWarning",
    "Written",
    "adl_policies",
    "backbone",
    "blame",
    "cite",
    "collateral",
    "critical_notional",
    "direct_exposure",
    "distress",
    "distributed",
    "exposure_curve",
    "exposure_to_traders",
    "generate",
    "get_threads",
    "importance",
    "indirect_exposure",
    "look_through",
    "marginal_exposure",
    "named",
    "paths",
    "plot",
    "pricing",
    "read_tables",
    "reconstruct",
    "reverse_stress",
    "rules",
    "scenarios",
    "set_threads",
    "single_defaults",
    "spectral_radius",
    "sweep",
    "tipping_point",
    "to_latex",
    "venues",
    "waterfall_of",
    "write_gephi_csv",
    "write_gexf",
    "write_graphml",
    "write_report",
    "write_tables",
]

__version__: str
