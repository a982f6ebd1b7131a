"""Wrong arguments of every public function: one of the library's errors, which names the argument."""

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.public import FUNCTIONS, METHODS

GRAPH = cg.ExposureGraph.from_arrays(
    [[10.0, 1.0], [5.0, 2.0]], price=[100.0, 10.0], depth=1e4, margin_long=0.1, cash=[-800.0, 0.0], traders=["A", "B"],
    assets=["BTC", "ETH"],
)  # fmt: skip
LAYERED = cg.ExposureGraph.from_tables(
    **GRAPH.to_frames(), layers={"pool": ["pool"], "rank": [1], "layer": ["all"], "kind": ["members"]}
)
NETWORK = cg.ObligationNetwork.from_arrays([[0.0, 1.0], [0.5, 0.0]], external_assets=1.0, nodes=["A", "B"])
MODEL, SHOCK = cg.MarginCascade(), {"BTC": -0.1}
RESULT = MODEL.run(GRAPH, SHOCK)
COVARIANCE = pd.DataFrame(np.diag([0.01, 0.02]), GRAPH.assets, GRAPH.assets)
PRICES = pd.DataFrame({"BTC": [1.0, 1.1, 1.2, 1.1], "ETH": [2.0, 2.1, 2.0, 1.9]})
RATIO = cg.named.CapitalRatio(0.02, buffer=0.05, target=0.06)
# what each function takes where it is called as it should be; by position, then by name
CALLS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "read_tables": (["folder"], {}),
    "write_tables": ([GRAPH, "folder"], {}),
    **{f"plot.{name}": ([RESULT], {}) for name in ("bipartite", "cascade", "closed", "fund", "prices", "waterfall")},
    "plot.exposure": ([cg.direct_exposure(GRAPH)], {}),
    "plot.exposure_curve": ([cg.exposure_curve(GRAPH, MODEL, "BTC", sizes=[-0.1])], {}),
    "plot.frontier": (["comparison"], {}),
    "plot.greeks": ([GRAPH], {}),
    "plot.margin_scenarios": ([GRAPH, "A"], {}),
    "plot.importance": (["comparison"], {}),
    "plot.loss_distribution": ([[1.0, 2.0]], {}),
    "plot.save": (["ax", "file.png"], {}),
    "plot.tipping": (["equilibria"], {}),
    **{name: ([GRAPH, "file"], {}) for name in ("write_gexf", "write_graphml", "write_gephi_csv")},
    "write_report": ([RESULT, "file.html"], {}),
    "backbone": ([GRAPH], {}),
    "to_latex": ([RESULT.traders], {}),
    **{f"generate.{name}": ([10, 2], {}) for name in ("perpetuals", "lending")},
    "named.breuer_summer_urosevic": ([5.0], {"coefficient": 0.1}),
    "named.caccioli_stability": ([GRAPH], {}),
    "named.cont_schaanning": ([33.0], {}),
    "named.farmer": ([GRAPH, RATIO], {}),
    "named.greenwood_landier_thesmar": ([GRAPH], {"shock": SHOCK}),  # None is no shock
    "named.with_market_depth": ([GRAPH, 0.5], {}),
    "named.without_margins": ([GRAPH], {}),
    **{
        f"importance.{name}": ([GRAPH], {})
        for name in (
            *("betweenness", "birank", "closeness", "cohits", "concentration", "coreness", "debtrank_impact", "degree"),
            *("eigenvector", "endogenous_risk_index", "fitness_complexity", "hits", "indirect_contagion_index", "katz"),
            *("overlap", "overlap_pairs", "pagerank", "sinkrank", "strength", "debtrank"),
        )
    },
    **{f"importance.{name}": ([GRAPH], {"shock": SHOCK}) for name in ("systemicness", "indirect_vulnerability")},
    **{f"importance.{name}": ([GRAPH, MODEL], {"shock": SHOCK}) for name in ("aumann_shapley", "knockout", "shapley")},
    "importance.compare": ([GRAPH, [cg.importance.degree]], {}),
    "importance.stability": ([GRAPH, cg.importance.degree], {}),
    "importance.shapley_values": ([lambda present: float(present.sum()), 2], {}),
    "spectral_radius": ([GRAPH, MODEL], {}),
    "critical_notional": ([1e3, 0.1], {}),
    "collateral.compare_pooling": ([GRAPH, MODEL, pd.DataFrame([SHOCK])], {}),
    "collateral.deleverage": ([GRAPH], {}),
    "collateral.haircuts": ([GRAPH], {"volatility": 0.5, "delay": 0.1}),
    "collateral.pooling": ([GRAPH, "pool"], {}),
    "collateral.stabilise": ([GRAPH, MODEL], {"shock": SHOCK}),
    "collateral.top_up": ([GRAPH, {"asset": [""], "cost": [1.0]}], {}),
    "collateral.transfer": ([GRAPH, {"from_pool": ["pool"], "to_pool": ["pool"]}], {}),
    "blame": ([RESULT], {}),
    "paths": ([RESULT, "A"], {}),
    "direct_exposure": ([GRAPH], {}),
    "indirect_exposure": ([GRAPH, MODEL, -0.1], {}),
    "exposure_curve": ([GRAPH, MODEL, "BTC"], {"sizes": [-0.1]}),
    "marginal_exposure": ([GRAPH, MODEL], {}),
    "look_through": ([GRAPH, MODEL], {}),
    "exposure_to_traders": ([GRAPH, MODEL], {}),
    "scenarios.draw.conditional": ([COVARIANCE, SHOCK], {}),
    "scenarios.draw.covariance": ([PRICES], {}),
    "scenarios.draw.factor": ([COVARIANCE, COVARIANCE, {"BTC": 0.0, "ETH": 0.0}, 2], {}),
    "scenarios.draw.gaussian": ([COVARIANCE, 2], {}),
    "scenarios.draw.student_t": ([COVARIANCE, 2], {}),
    "scenarios.draw.grid": ([{"BTC": [-0.1]}], {}),
    "scenarios.draw.historical": ([PRICES, 2], {}),
    "scenarios.draw.joint_failure": ([{"bridge": SHOCK}, {"bridge": 0.1}, 2], {}),
    "scenarios.draw.single_asset": ([["BTC"], [-0.1]], {}),
    "scenarios.draw.together": ([pd.DataFrame([SHOCK])], {}),
    "scenarios.ladder": ([GRAPH, MODEL, [-0.1]], {}),
    "distributed.partition": ([GRAPH.to_frames(), "folder"], {"n_parts": 2}),
    "distributed.read_part": (["folder", 0], {}),
    "sweep": ([GRAPH, MODEL, pd.DataFrame([SHOCK])], {}),
    "adl_policies": ([GRAPH, MODEL, SHOCK], {}),
    "waterfall_of": ([LAYERED], {}),
    "plot.adl_policies": ([cg.adl_policies(GRAPH, MODEL, SHOCK)], {}),
    "plot.waterfall_layers": ([RESULT], {}),
    "tipping_point": ([GRAPH, MODEL, SHOCK], {"event": cg.scenarios.Uncovered()}),
    "reverse_stress": ([GRAPH, MODEL, COVARIANCE], {"event": cg.scenarios.Uncovered()}),
    **{f"reconstruct.{name}": ([[1.0, 2.0], [2.0, 1.0]], {}) for name in ("maximum_entropy", "minimum_density")},
    "single_defaults": ([NETWORK, cg.DebtRank()], {}),
    "distress.asset_volatility": ([NETWORK, 0.3], {}),
    **{
        f"distress.{name}": ([NETWORK], {})
        for name in (
            *("communicability", "impact_diffusion", "impact_fluidity", "impact_susceptibility", "spectral_radius"),
        )
    },
    "distress.many_shocks": ([NETWORK, cg.DebtRank()], {"equity_shocks": {"one": {"A": 0.5}}}),
    "distress.stress_blocks": ([NETWORK, cg.DebtRank()], {}),
    "distress.uniform_shocks": ([NETWORK, cg.DebtRank(), [0.1]], {}),
    "generate.options": ([10, 1], {"rng": 0}),
    "pricing.inverse_perpetual": ([], {"face": 100.0, "contracts": [1.0], "entry": [10.0]}),
    "set_threads": ([1], {}),
    "ExposureGraph.from_arrays": ([[[1.0]]], {"price": 1.0}),
    "ExposureGraph.from_tables": ([{"trader": ["A"]}, {"asset": ["X"]}], {}),
    "ExposureGraph.from_networkx": (["network"], {}),
    "ObligationNetwork.from_arrays": ([[[0.0]]], {"external_assets": 1.0}),
    "ObligationNetwork.from_tables": ([{"debtor": ["A"]}, {"node": ["A"]}], {}),
    "ObligationNetwork.from_networkx": (["network"], {}),
    "collateral.Backing.from_graph": ([GRAPH], {}),
    "SumTree.from_graph": ([GRAPH], {}),
}
ELSEWHERE = {
    **dict.fromkeys(("rules.align_by_asset", "rules.read_by_asset", "rules.values_by_asset"), "names its owner itself"),
    "rules.declared": "any rule",
    **dict.fromkeys(("get_threads", "named.caccioli", "named.huang"), "take nothing"),
    "cite": "refuses what is no result, model, rule, measure or name: test_references",
    "collateral.verify": "imports nothing of the package, and raises ValueErrors: test_proof",
    "distributed.open_dataset": "asks for its client first: test_dask",
    **dict.fromkeys((name for name in FUNCTIONS if name.startswith("venues.")), "a date or a mapping: test_venues"),
}
NAMES = {  # what a message calls an argument where it does not call it by its name
    ("named.cont_schaanning", "cap"): "cap",
    ("scenarios.draw.factor", "factor_covariance"): "covariance",
    ("scenarios.draw.together", "frames"): "frames",
    ("named.breuer_summer_urosevic", "cap"): "target",
    ("indirect_exposure", "size"): "size",
    ("tipping_point", "direction"): "shock",
    ("distributed.read_part", "part"): "folder",  # which is looked for first
}


def function_of(name: str) -> Callable[..., Any]:
    return (FUNCTIONS | METHODS)[name]


def arguments_of(name: str) -> list[str]:
    """Return the names of the arguments that a call gives by position."""
    parameters = [each for each in inspect.signature(function_of(name)).parameters if each != "self"]
    return [parameters[min(k, len(parameters) - 1)] for k in range(len(CALLS[name][0]))]


CASES = [(name, k) for name in CALLS for k in range(len(CALLS[name][0]))]
WRONG = {"None": None, "a result": RESULT, "a graph": GRAPH, "a function": len}


def test_every_public_function_is_called():
    assert FUNCTIONS.keys() - CALLS.keys() == ELSEWHERE.keys()


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(("name", "place"), CASES)
def test_a_wrong_argument_is_refused_by_name(
    name: str, place: int, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    given, named = CALLS[name]
    value = WRONG[wrong]
    if (
        (name.startswith("write_") and place == 0 and wrong == "a result")
        or type(value) is type(given[place])
        or (name, arguments_of(name)[place], wrong) in GOOD
    ):
        pytest.skip("that is what it takes")
    argument = NAMES.get((name, arguments_of(name)[place]), arguments_of(name)[place])
    with pytest.raises(cg.ContagionError, match=rf"\b{argument}\b"):
        start(function_of(name)(*given[:place], value, *given[place + 1 :], **named))


@pytest.mark.parametrize("name", [name for name, (given, _) in CALLS.items() if len(given) > 1])
@pytest.mark.filterwarnings("ignore::contagion_graph.UnusedColumnWarning")
def test_swapped_arguments_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    given, named = CALLS[name]
    if name in SAME_KIND:
        pytest.skip(SAME_KIND[name])
    with pytest.raises(cg.ContagionError):
        start(function_of(name)(given[1], given[0], *given[2:], **named))


def start(answer: Any) -> None:
    """Start a generator."""
    if inspect.isgenerator(answer):
        next(answer)


GOOD = {
    ("adl_policies", "shock", "None"),  # calls that mean something
    ("importance.stability", "measure", "a function"),
    ("importance.shapley_values", "value", "a function"),
}
SAME_KIND = {
    **dict.fromkeys(
        ("generate.perpetuals", "generate.lending", "generate.options", "critical_notional"), "two numbers"
    ),
    **dict.fromkeys(("reconstruct.maximum_entropy", "reconstruct.minimum_density"), "two lists of numbers"),
    "scenarios.draw.factor": "two frames",
}


# --- sentences --------------------------------------------------------------------------------------------------------


def test_a_table_that_is_left_out_is_named():
    with pytest.raises(cg.TableError, match=r"positions: cannot be read \(a NoneType is not a table\)"):
        cg.ExposureGraph.from_tables(None, {"asset": ["X"], "price": [1.0]})
    with pytest.raises(cg.TableError, match=r"nodes: cannot be read \(a NoneType is not a table\)"):
        cg.ObligationNetwork.from_tables({"debtor": ["A"], "creditor": ["B"], "amount": [1.0]}, None)


def test_a_series_of_any_library_is_no_table():
    polars = pytest.importorskip("polars")
    for series in (pd.Series([1.0]), polars.Series([1.0])):
        with pytest.raises(cg.TableError, match="a Series is one column; name it"):
            cg.ExposureGraph.from_tables(series, {"asset": ["X"], "price": [1.0]})


def test_messages_say_what_was_given():
    with pytest.raises(cg.ParameterError, match=r"scenarios must be a frame .* not empty; it is a list"):
        cg.sweep(GRAPH, MODEL, [SHOCK])  # type: ignore[arg-type]
    with pytest.raises(cg.ParameterError, match=r"not empty; it is empty"):
        cg.sweep(GRAPH, MODEL, pd.DataFrame())
    with pytest.raises(cg.ParameterError, match=r"the variance of 'BTC' is -0.01; it must be at least 0"):
        cg.reverse_stress(GRAPH, MODEL, -COVARIANCE, event=cg.scenarios.Uncovered())
    with pytest.raises(cg.ParameterError, match="source is a Equilibria; give one end, least or greatest"):
        cg.write_tables(MODEL.equilibria(GRAPH, SHOCK), "folder")  # type: ignore[arg-type]
    with pytest.raises(cg.ParameterError, match="losses is a CascadeResult; give one loss for each"):
        cg.plot.loss_distribution(RESULT)


def test_warnings_point_to_the_line_that_can_be_changed():
    positions = {"trader": ["A"], "asset": ["X"], "quantity": [1.0], "quanttiy": [1.0]}
    flat = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-950.0], assets=["X"])
    for call, category in (
        (lambda: cg.ExposureGraph.from_tables(positions, {"asset": ["X"], "price": [1.0]}), cg.UnusedColumnWarning),
        (lambda: cg.scenarios.ladder(flat, MODEL, [-0.1]), cg.InBreachWarning),
        (lambda: cg.indirect_exposure(flat, MODEL, -0.1), cg.InBreachWarning),
    ):
        with pytest.warns(category) as caught:
            call()
        assert [Path(one.filename).name for one in caught] == [Path(__file__).name]


def test_what_a_node_owes_itself_is_left_out_with_a_warning():
    with pytest.warns(cg.OwnDebtWarning, match="what a node owes itself is left out"):
        network = cg.ObligationNetwork.from_arrays([[5.0, 1.0], [0.5, 0.0]], external_assets=1.0)
    assert network.owed.tolist() == [1.0, 0.5]
    owed = {"debtor": ["A", "B", "A"], "creditor": ["A", "B", "B"], "amount": [3.0, 2.0, 1.0]}
    with pytest.warns(cg.OwnDebtWarning, match="2 amounts that nodes owe themselves are left out"):
        cg.ObligationNetwork.from_tables(owed, {"node": ["A", "B"]})


def test_amounts_without_a_sum_are_refused(tmp_path):
    for given in ({"cash": [1e308, 1e308]}, {"cash": [0.0, -1e308]}, {"insurance_fund": 1e308}, {"price": 1e305}):
        with pytest.raises(cg.TableError, match=r"above 1e\+300.*Count in a larger unit of currency"):
            cg.ExposureGraph.from_arrays([[1e10], [1.0]], **{"price": 1.0, **given})
    tables = {"trader": ["A"], "asset": ["X"], "quantity": [1e308]}
    with pytest.raises(cg.TableError, match=r"quantity x price: above 1e\+300"):
        cg.ExposureGraph.from_tables(tables, {"asset": ["X"], "price": [1e10]})
    assets, accounts = {"asset": ["X"], "price": [1e10]}, {"trader": ["A"], "cash": [1e308]}
    small = tables | {"quantity": [1.0]}
    for name, wrong in {
        "quantity x price": {"positions": tables},
        "quantity x entry_price": {"positions": tables | {"quantity": [1e280], "entry_price": [1e25]}},
        "accounts.cash": {"positions": small, "accounts": accounts},
        "pools.insurance_fund": {
            "positions": tables | {"quantity": [1.0]},
            "pools": {"pool": ["pool"], "insurance_fund": [1e308]},
        },
    }.items():
        with pytest.raises(cg.TableError, match=rf"{name}: above 1e\+300"):
            cg.distributed.partition({"assets": assets, **wrong}, tmp_path / "parts", n_parts=1)
        assert not (tmp_path / "parts").exists()
    with pytest.raises(cg.TableError, match=r"obligations: above 1e\+300"):
        cg.ObligationNetwork.from_arrays([[0.0, 1e308], [1e308, 0.0]], external_assets=1.0)
    with pytest.raises(cg.TableError, match=r"nodes.external_assets: above 1e\+300"):
        cg.ObligationNetwork.from_tables(
            {"debtor": ["A"], "creditor": ["B"], "amount": [1.0]}, {"node": ["A", "B"], "external_assets": [1e308, 0.0]}
        )


def test_pairs_are_shown_in_notebooks():
    shown = MODEL.equilibria(GRAPH, SHOCK)._repr_html_()
    assert shown.startswith("<p>Equilibria: ")
    assert shown.count("<table") == 2


def test_a_monitor_goes_on_after_a_pickle():
    venue = cg.generate.perpetuals(300, 4, rng=0)
    monitor = cg.SolvencyMonitor(venue)
    monitor.price("ETH", 900.0)
    again = pickle.loads(pickle.dumps(monitor))
    for each in (monitor, again):
        each.price("BTC", 15_000.0)
        each.deposit(venue.traders[3], 5.0)
        each.trade(venue.traders[4], "ETH", 1.0, 900.0)
        each.open_account("new")
    assert again.sequence == monitor.sequence
    assert again.snapshot().fingerprint() == monitor.snapshot().fingerprint()
    pd.testing.assert_frame_equal(again.runway(), monitor.runway())
