"""The public names, one rule for all their arguments, and what importing the package costs."""

import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import contagion_graph as cg
from contagion_graph._result import Pair, Result
from tests.public import CLASSES, FUNCTIONS, MADE, METHODS, PUBLIC

NAMES = {
    *("CascadeResult", "CloseFactor", "ConstantProductImpact", "ContagionError", "ContagionWarning"),
    *("ConvergenceError", "ConvergenceWarning", "ExponentialImpact", "ExposureGraph", "FloorExponentialImpact"),
    *("DebtRank", "DistressResult", "Furfine", "NetworkValuation", "ThresholdCascade", "distress", "single_defaults"),
    *("Equilibria", "FullLiquidation", "LeverageTarget", "LinearImpact", "MarginCascade", "ObligationNetwork"),
    *("OrderBookImpact", "ParameterError"),
    *("ProRata", "RepayAndSeize", "Solution", "SquareRootImpact", "Status", "TableError", "TargetMargin"),
    *("ScenarioMargin", "TieredMargin", "TransferSlice", "pricing"),
    *("AdlComparison", "adl_policies", "waterfall_of"),
    *("Deleverage", "GainsHaircut", "InsuranceFund", "Members", "OwnContribution", "Purse"),
    *("UnusedColumnWarning", "UnusedFileWarning", "BackingWarning"),
    *("CommonAssetClearing", "CommonAssetResult"),
    *("ClearingEquilibria", "ClearingResult", "EisenbergNoe", "RogersVeraart", "reconstruct"),
    *("EventError", "SolvencyMonitor", "SumTree"),
    *("CovarianceWarning", "InBreachWarning", "OwnDebtWarning", "SweepResult", "distributed", "scenarios", "sweep"),
    *("reverse_stress", "tipping_point"),
    *("blame", "critical_notional", "paths", "spectral_radius"),
    *("direct_exposure", "exposure_curve", "exposure_to_traders"),
    *("indirect_exposure", "look_through", "marginal_exposure"),
    *("get_threads", "set_threads"),
    *(
        "collateral",
        "generate",
        "importance",
        "named",
        "plot",
        "venues",
        "pricing",
        "read_tables",
        "rules",
        "write_tables",
    ),
    *("InfeasibleError", "MissingExtraError"),
    *("Written", "write_gexf", "write_report"),
    *("backbone", "cite", "to_latex", "write_gephi_csv", "write_gexf", "write_graphml"),
}

# What is worked on comes first, then the model, then the one thing measured; all else is named.
SUBJECTS = ("graph", "network", "result", "source", "comparison", "equilibria")
MORE_POSITIONAL = {  # how many arguments may stand without their names, and why there are more of them
    "rules.align_by_asset": (4, "called once in a rule, as owner, name, value"),
    "rules.read_by_asset": (4, "called once in a rule, as owner, name, value"),
    "rules.values_by_asset": (3, "called once in a rule, as owner, name, value"),
    "OrderBookImpact.levels_of_book": (3, "a book is its price and its two sides"),
    "SolvencyMonitor.trade": (4, "an event is read from left to right: who, what, how much, at which price"),
    "scenarios.Executor.map": (3, "a protocol that others fulfil"),
    "distributed.DaskExecutor.map": (3, "that protocol"),
    "scenarios.draw.conditional": (3, "distribution, what is given, how many"),
    "scenarios.draw.factor": (4, "the three parts of a factor model, how many"),
    "scenarios.draw.joint_failure": (3, "the two parts of a failure, how many"),
    "rules.ClosedSides": (3, "a tuple"),
    "rules.Quotient": (3, "a tuple"),
    "named.farmer": (3, "the ratio is its model"),
}


def positional(function: Callable[..., Any]) -> list[str]:
    """Return the parameters that may be given without their names."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [each.name for each in inspect.signature(function).parameters.values() if each.kind in kinds]
    return [name for name in found if name != "self"]


def test_the_public_names_are_these():
    assert set(cg.__all__) == NAMES
    assert set(dir(cg)) > NAMES


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_name_is_documented(name: str):
    assert PUBLIC[name].__doc__


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_the_graph_comes_first_then_the_model(name: str):
    function = (FUNCTIONS | METHODS)[name]
    parameters = [each for each in inspect.signature(function).parameters if each != "self"]
    leading = [each for each in parameters if each in ("graph", "network", "result")][:1]
    leading += [each for each in parameters if each == "model"]
    assert parameters[: len(leading)] == leading


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_what_may_stand_without_its_name(name: str):
    found = positional((FUNCTIONS | METHODS)[name])
    allowed, _ = MORE_POSITIONAL.get(name, (2 + ("model" in found and found[0] in SUBJECTS), ""))
    assert len(found) <= allowed


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - MADE))
def test_constructors_take_one_argument_without_its_name(name: str):
    assert len(positional(CLASSES[name])) <= MORE_POSITIONAL.get(name, (1, ""))[0]


def test_every_exception_to_the_rules_is_needed():
    functions = FUNCTIONS | METHODS | CLASSES
    assert MORE_POSITIONAL.keys() <= functions.keys()
    assert {name: len(positional(functions[name])) for name in MORE_POSITIONAL} == {
        name: count for name, (count, _) in MORE_POSITIONAL.items()
    }


@pytest.fixture(scope="module")
def given() -> dict[str, object]:
    graph = cg.ExposureGraph.from_arrays([[10.0], [10.0]], price=100.0, depth=1e6, margin_long=0.1, cash=[-905.0, 0.0])
    network = cg.ObligationNetwork.from_arrays([[0.0, 1.0], [0.5, 0.0]], external_assets=[1.0, 1.0])
    return {"graph": graph, "network": network, "source": graph, "result": cg.MarginCascade().run(graph, {"0": -0.1})}


def asked(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Return the parameters that have to be given: without their names, and with them."""
    needed = [each for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    named = [each.name for each in needed if each.kind is each.KEYWORD_ONLY]
    return [name for name in positional(function) if name in {each.name for each in needed}], named


def call(function: Callable[..., Any], *arguments: object) -> None:
    """Call a function with its first arguments, and nothing of use for the others; start a generator."""
    places, named = asked(function)
    others = ["nowhere" if name in ("path", "folder") else None for name in places[len(arguments) :]]
    answer = function(*arguments, *others, **dict.fromkeys(named))
    if inspect.isgenerator(answer):
        next(answer)


WITH_SUBJECT = [
    name for name, function in FUNCTIONS.items() if positional(function)[:1] and positional(function)[0] in SUBJECTS
]
WITH_MODEL = [name for name in WITH_SUBJECT if "model" in positional(FUNCTIONS[name])]


@pytest.mark.parametrize("name", WITH_SUBJECT)
def test_what_is_no_graph_is_refused_by_name(name: str):
    with pytest.raises(cg.ParameterError, match=rf"\b{positional(FUNCTIONS[name])[0]}\b"):
        call(FUNCTIONS[name], object())


@pytest.mark.parametrize("name", WITH_MODEL)
def test_what_is_no_model_is_refused_by_name(name: str, given: dict[str, object]):
    with pytest.raises(cg.ParameterError, match=r"\bmodel\b"):
        call(FUNCTIONS[name], given[positional(FUNCTIONS[name])[0]], object())


@pytest.mark.parametrize("name", WITH_MODEL)
def test_swapped_arguments_are_refused(name: str, given: dict[str, object]):
    with pytest.raises(cg.ParameterError):
        call(FUNCTIONS[name], cg.MarginCascade(), given[positional(FUNCTIONS[name])[0]])


MODELS = [name for name, method in METHODS.items() if positional(method)[:1] in (["graph"], ["network"])]
INSTANCES: dict[str, Any] = {
    "MarginCascade": cg.MarginCascade(),
    "EisenbergNoe": cg.EisenbergNoe(),
    "RogersVeraart": cg.RogersVeraart(alpha=0.9, beta=0.9),
    "CommonAssetClearing": cg.CommonAssetClearing(),
    "DebtRank": cg.DebtRank(),
    "Furfine": cg.Furfine(),
    "ThresholdCascade": cg.ThresholdCascade(),
    "NetworkValuation": cg.NetworkValuation(cg.distress.RecoveryValue()),
}


@pytest.mark.parametrize("name", [name for name in MODELS if name.split(".")[0] in INSTANCES])
def test_a_model_refuses_what_is_no_graph(name: str):
    model, method = name.split(".")
    with pytest.raises(cg.ParameterError, match=rf"\b{positional(METHODS[name])[0]}\b"):
        call(getattr(INSTANCES[model], method), object())


FOUND = [name for name, kind in CLASSES.items() if hasattr(kind, "to_frames") and not hasattr(kind, "from_tables")]


@pytest.mark.parametrize("name", FOUND)
def test_results_have_one_base(name: str):
    assert issubclass(CLASSES[name], Result | Pair)


def packages() -> Iterator[ModuleType]:
    """Yield the package and those within it."""
    yield cg
    for found in pkgutil.walk_packages(cg.__path__, "contagion_graph."):
        if found.ispkg:
            yield import_module(found.name)


@pytest.mark.parametrize("package", list(packages()), ids=lambda package: package.__name__)
def test_no_name_hides_a_module(package: ModuleType):
    inside = {found.name for found in pkgutil.iter_modules(package.__path__)}
    assert {
        name
        for name in getattr(package, "__all__", ())
        if name in inside and not inspect.ismodule(getattr(package, name))
    } == set()


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
