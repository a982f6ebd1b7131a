"""The public names, and what importing the package costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import contagion_graph as cg

NAMES = {
    *("CascadeResult", "CloseFactor", "ConstantProductImpact", "ContagionError", "ContagionWarning"),
    *("ConvergenceError", "ConvergenceWarning", "ExponentialImpact", "ExposureGraph", "FloorExponentialImpact"),
    *("DebtRank", "DistressResult", "Furfine", "NetworkValuation", "ThresholdCascade", "distress", "single_defaults"),
    *("Equilibria", "FullLiquidation", "LeverageTarget", "LinearImpact", "MarginCascade", "ObligationNetwork"),
    *("OrderBookImpact", "ParameterError"),
    *("ProRata", "RepayAndSeize", "Solution", "SquareRootImpact", "Status", "TableError", "TargetMargin"),
    "UnusedColumnWarning",
    *("CommonAssetClearing", "CommonAssetResult"),
    *("ClearingEquilibria", "ClearingResult", "EisenbergNoe", "RogersVeraart", "reconstruct"),
    *("EventError", "SolvencyMonitor", "SumTree"),
    *("CovarianceWarning", "SweepResult", "distributed", "scenarios", "sweep"),
    *("reverse_stress", "tipping_point"),
    *("blame", "critical_notional", "paths", "spectral_radius"),
    *("direct_exposure", "exposure_curve", "exposure_to_traders"),
    *("indirect_exposure", "look_through", "marginal_exposure"),
    *("get_threads", "set_threads"),
    *("collateral", "generate", "importance", "named", "plot", "read_tables", "rules", "write_tables"),
    *("InfeasibleError", "MissingExtraError"),
    *("write_gexf", "write_report"),
    *("backbone", "cite", "to_latex", "write_gephi_csv", "write_gexf", "write_graphml"),
}


def test_the_public_names_are_these():
    assert set(cg.__all__) == NAMES
    assert set(dir(cg)) > NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_loads_and_is_documented(name: str):
    assert getattr(cg, name).__doc__


def test_type_checkers_are_told_the_same_names():
    stub = Path(cg.__file__).with_suffix(".pyi")
    told: dict[str, object] = {}
    exec(compile(stub.read_text(encoding="utf-8"), stub, "exec"), told)
    assert set(told["__all__"]) == set(cg.__all__)
    assert [name for name in cg.__all__ if told[name] is not getattr(cg, name)] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'exposure_grph'"):
        cg.exposure_grph  # noqa: B018


def test_importing_the_package_loads_no_heavy_module():
    heavy = "{'numba', 'igraph', 'networkx', 'matplotlib', 'pandas', 'scipy'}"
    code = f"import sys, contagion_graph; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_building_a_graph_loads_no_numba():
    code = (
        "import sys, contagion_graph as cg; cg.ExposureGraph.from_arrays([[1.0]], price=[1.0]); "
        "print(sorted({'numba', 'igraph', 'networkx', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_version_is_that_of_the_package():
    assert cg.__version__.count(".") == 2
