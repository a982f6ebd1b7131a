"""What the measures of exposure refuse, with the way out, and the example."""

import warnings
from pathlib import Path

import compound_v2 as compound
import indirect_exposure as example
import numpy as np
import pandas as pd
import pytest
from real_data import data_folder

import contagion_graph as cg
from tests.test_exposure import pair


def in_all(**arguments: object) -> list[object]:
    return [
        lambda graph, model: cg.indirect_exposure(graph, model, **({"size": -0.1} | arguments)),
        lambda graph, model: cg.look_through(graph, model, **({"size": -0.1} | arguments)),
        lambda graph, model: cg.marginal_exposure(graph, model, **arguments),
    ]


@pytest.mark.parametrize("size", [0, -1.01, np.nan, np.inf, "-0.1", None, True])
def test_sizes_that_are_none(size: object):
    with pytest.raises(cg.ParameterError, match="size is"):
        cg.indirect_exposure(pair(), cg.MarginCascade(), size)
    if size is not None:
        with pytest.raises(cg.ParameterError, match="size is"):
            cg.look_through(pair(), cg.MarginCascade(), size=size)
    if size != 0 or size is True:
        with pytest.raises(cg.ParameterError, match="size is"):
            cg.exposure_curve(pair(), cg.MarginCascade(), "X", sizes=[-0.1, size])


@pytest.mark.parametrize(("sizes", "words"), [([], "empty"), (-0.1, "give a list"), ("-0.1", "give a list")])
def test_sizes_of_a_curve_that_are_none(sizes: object, words: str):
    with pytest.raises(cg.ParameterError, match=words):
        cg.exposure_curve(pair(), cg.MarginCascade(), "X", sizes=sizes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"assets": ["Xx"]}, r"did you mean 'X'\?"),
        ({"traders": ["b"]}, r"did you mean 'B'\?"),
        ({"traders": [7]}, "'7'"),
    ],
)
def test_unknown_labels_are_named(arguments: dict, words: str):
    for measure in in_all(**arguments):
        with pytest.raises(cg.ParameterError, match=words):
            measure(pair(), cg.MarginCascade())


@pytest.mark.parametrize(("labels", "words"), [("X", "give a list"), ([], "is empty"), (3, "give a list")])
def test_lists_of_labels_that_are_none(labels: object, words: str):
    for measure in in_all(assets=labels):
        with pytest.raises(cg.ParameterError, match=words):
            measure(pair(), cg.MarginCascade())


def test_unknown_labels_elsewhere():
    found = cg.direct_exposure(pair())
    with pytest.raises(cg.ParameterError, match="trader: unknown label 'C'"):
        found.trader("C")
    with pytest.raises(cg.ParameterError, match=r"asset: unknown label 'x' \(did you mean 'X'\?\)"):
        found.asset("x")
    with pytest.raises(cg.ParameterError, match="unknown label 'Z'"):
        cg.exposure_curve(pair(), cg.MarginCascade(), "Z", sizes=[-0.1])
    with pytest.raises(cg.ParameterError, match="unknown label 'Z'"):
        cg.exposure_to_traders(pair(), cg.MarginCascade(), traders=["Z"])


def test_markets_without_contagion_are_refused_with_the_way_out():
    graph, model = pair(depth=None), cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    measures = [
        *in_all(),
        lambda graph, model: cg.exposure_curve(graph, model, "X", sizes=[-0.1]),
        cg.exposure_to_traders,
    ]
    for measure in measures:
        with pytest.raises(cg.ParameterError, match=r"nothing indirect can happen.*depth=.*or the waterfall members"):
            measure(graph, model)
        measure(graph, cg.MarginCascade())
        measure(pair(), model)
        with pytest.raises(cg.ParameterError, match="give a MarginCascade"):
            measure(pair(), cg.MarginCascade)
        with pytest.raises(cg.ParameterError, match="build an ExposureGraph first"):
            measure({"X": 1.0}, model)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (cg.MarginCascade(cg.RepayAndSeize()), "FullLiquidation"),
        (cg.MarginCascade(trade_price_weight=0.5), "trade_price_weight=None"),
        (cg.MarginCascade(impact=cg.LinearImpact(volume="current")), "volume='initial'"),
    ],
)
def test_models_without_a_derivative_are_refused(model: cg.MarginCascade, words: str):
    with pytest.raises(cg.ParameterError, match=words):
        cg.marginal_exposure(pair(), model)
    assert cg.look_through(pair(), model, size=-0.1).effective.shape == (2, 2)


def test_states_without_a_derivative_are_refused():
    none = cg.ExposureGraph.from_tables(  # more margin than is left: a lower price helps, and no share is consistent
        positions={"trader": ["A", "A"], "asset": ["X", "X"], "quantity": [10.0, -8.0], "margin": [0.5, 0.5]},
        assets={"asset": ["X"], "price": [1.0], "depth": [10.0]},
        accounts={"trader": ["A"], "cash": [6.5]},
    )
    with pytest.raises(cg.ConvergenceError, match=r"no equilibrium was reached.*held on both sides.*with a size"):
        cg.marginal_exposure(none, cg.MarginCascade(impact=cg.LinearImpact()))
    slow = cg.MarginCascade(cg.TargetMargin(), max_rounds=1)
    with pytest.raises(cg.ConvergenceError, match=r"from nothing closed in 1 rounds: .* Raise max_rounds"):
        cg.marginal_exposure(pair(), slow, {"X": -0.13})
    venue = cg.ExposureGraph.from_tables(
        positions={"trader": ["A", "B"], "asset": ["X", "Y"], "quantity": [9.0, 9.0], "entry_price": [10.0, 5.0]},
        assets={"asset": ["X", "Y"], "price": [10.0, 10.0], "margin_long": [0.1, 0.1], "depth": [1e3, 1e3]},
        accounts={"trader": ["A", "B"], "cash": [10.0, 10.0]},
    )
    with pytest.raises(cg.ParameterError, match="profit"):
        cg.marginal_exposure(
            venue, cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.ProRata("profit"))), shock={"X": -0.3}
        )


def test_what_else_is_refused():
    with pytest.raises(cg.ParameterError, match="a size or a shock"):
        cg.look_through(pair(), cg.MarginCascade(), size=-0.1, shock={"X": -0.1})
    with pytest.raises(cg.ParameterError, match="net is 1"):
        cg.direct_exposure(pair(), net=1)
    with pytest.raises(cg.ParameterError, match="k is 0"):
        cg.direct_exposure(pair()).top(0)
    with pytest.raises(cg.ParameterError, match="n_traders is 0"):
        next(cg.direct_exposure(pair()).blocks(0))
    with pytest.raises(cg.ParameterError, match="tol is -1"):
        cg.marginal_exposure(pair(), cg.MarginCascade(), tol=-1)
    many = cg.ExposureGraph.from_arrays(np.ones((1001, 1)), price=1.0)
    with pytest.raises(cg.ParameterError, match=r"1,001 traders.*nlargest\(100\)"):
        cg.exposure_to_traders(many, cg.MarginCascade())


def test_a_curve_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("contagion_graph.exposure.curve.LARGEST_TABLE", 7)
    with pytest.raises(cg.ParameterError, match="2 sizes x 2 traders"):
        cg.exposure_curve(pair(), cg.MarginCascade(), "X", sizes=[-0.1, -0.2])
    assert cg.exposure_curve(pair(), cg.MarginCascade(), "X", sizes=[-0.1, -0.2], traders=["B"])["loss"].shape == (2, 1)


def test_a_run_that_does_not_come_to_rest_says_which():
    model = cg.MarginCascade(cg.TargetMargin(0.2), max_rounds=1)
    with pytest.raises(cg.ConvergenceError) as caught:
        cg.indirect_exposure(pair(), model, -0.14)
    assert caught.value.__notes__ == ["in the run with shock={'X': -0.14}"]


def test_runs_that_do_not_converge_warn_or_keep_quiet():
    graph, model = pair(), cg.MarginCascade(cg.TargetMargin(0.2), max_rounds=1)
    measures = {
        "indirect": lambda **options: cg.indirect_exposure(graph, model, -0.14, **options),
        "look_through": lambda **options: cg.look_through(graph, model, size=-0.14, **options),
        "marginal": lambda **options: cg.marginal_exposure(graph, model, {"X": -0.13}, **options),
        "curve": lambda **options: cg.exposure_curve(graph, model, "X", sizes=[-0.14], **options),
        "to_traders": lambda **options: cg.exposure_to_traders(graph, model, {"X": -0.14}, **options),
    }
    for measure in measures.values():
        with pytest.raises(cg.ConvergenceError, match="max_rounds"):
            measure()
        with pytest.warns(cg.ConvergenceWarning, match="max_rounds"):
            warned = measure(on_failure="warn")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            quiet = measure(on_failure="ignore")
        if isinstance(quiet, pd.DataFrame):
            pd.testing.assert_frame_equal(warned, quiet)
        else:
            assert not warned.solution.converged
            assert repr(quiet).endswith("Stopped at the step limit before it converged.>")
        with pytest.raises(cg.ParameterError, match="on_failure is 'no'"):
            measure(on_failure="no")


# --- the example ------------------------------------------------------------------------------------------------------


def test_the_example_finds_traders_who_lose_on_what_they_do_not_hold():
    graph = example.exchange()
    losers = example.losers_without_eth(graph, example.EXCHANGE, k=3)
    eth = cg.direct_exposure(graph).asset("ETH")
    assert (eth[losers["trader"]] == 0.0).all()
    assert (losers["loss"] > 100.0).all()
    held = example.effective_holdings(graph, example.EXCHANGE, losers["trader"][0])
    assert held.loc["ETH", "direct"] == 0.0
    assert held.loc["ETH", "effective"] * -example.FALL == pytest.approx(losers["loss"][0])


def test_the_example_on_compound():
    graph = compound.build_graph(compound_folder())
    losers = example.losers_without_eth(graph, compound.MODEL)
    before, after = compound.MODEL.run(graph).traders, compound.MODEL.run(graph, {"ETH": example.FALL}).traders
    np.testing.assert_allclose(losers["loss"], (after["indirect"] - before["indirect"])[losers["trader"]], atol=1e-9)
    assert losers["loss"][0] > 1.0


def compound_folder() -> Path:
    try:
        return data_folder(example.DATA)
    except SystemExit as absent:
        pytest.skip(str(absent))


def test_the_example_prints_its_tables(capsys: pytest.CaptureFixture[str]):
    compound_folder()
    example.main()
    printed = capsys.readouterr().out
    for part in ("No ETH, and a loss when it falls by 30% [USD]", "direct  indirect  effective", "Compound v2: no ETH"):
        assert part in printed


def test_the_example_without_the_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CONTAGION_GRAPH_SHARED", str(tmp_path))
    example.main()
    assert "Compound v2 left out: no data at" in capsys.readouterr().out
