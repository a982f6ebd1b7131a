"""Sweeps: every figure against cascades run one by one, and against closed forms."""

import math
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
from scipy import special

import contagion_graph as cg
from contagion_graph.margin.candidates import batch
from contagion_graph.scenarios import tasks as sweep_work
from contagion_graph.scenarios.estimates import tail_estimates
from tests.markets import graph_of, model_of
from tests.reference.random_markets import random_case, random_shock

draw = cg.scenarios.draw


def few_scenarios(graph: cg.ExposureGraph, seed: int, count: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed + 5_000)
    return pd.DataFrame([random_shock(rng, len(graph.assets)) for _ in range(count)], columns=graph.assets)


def two_traders(model: cg.MarginCascade | None = None) -> tuple[cg.MarginCascade, cg.ExposureGraph]:
    graph = cg.ExposureGraph.from_tables(
        positions={"trader": ["A", "A", "B"], "asset": ["ETH"] * 3, "quantity": [10.0, 2.0, 5.0],
                   "subaccount": ["one", "two", ""]},
        assets={"asset": ["ETH"], "price": [100.0], "margin_long": [0.1], "depth": [1e4]},
        accounts={"trader": ["A"], "subaccount": ["one"], "cash": [-850.0]},
    )  # fmt: skip
    return model or cg.MarginCascade(), graph


def same_bits(one: cg.SweepResult, other: cg.SweepResult) -> bool:
    mine, theirs = one.part, other.part
    arrays = [
        (mine.price, theirs.price),
        (mine.needed, theirs.needed),
        *zip(mine.tally or (), theirs.tally or (), strict=True),
    ]
    arrays += [(mine.figures[name], theirs.figures[name]) for name in mine.figures]
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in arrays)


@pytest.mark.parametrize("seed", range(0, 60, 2))
def test_every_figure_is_that_of_the_cascades_run_one_by_one(seed: int, monkeypatch):
    monkeypatch.setattr(batch, "FEW", 0.9)
    case, count, level = random_case(seed), 12, 0.75
    graph, model = graph_of(case.market), model_of(case.rules)
    shocks = few_scenarios(graph, seed, count)
    single = [model.run(graph, shock) for _, shock in shocks.iterrows()]
    result = cg.sweep(graph, model, shocks, level=level)
    near = {"rtol": 1e-9, "atol": 1e-9 * graph._rows.initial.gross.max()}
    summaries = pd.DataFrame([each.summary() for each in single])
    for name in (
        "gross_loss",
        "net_loss",
        "closed",
        "breached",
        "fund_used",
        "shortfall",
        "socialised",
        "uncovered",
        "rounds",
    ):
        np.testing.assert_allclose(result.scenarios[name], summaries[name], **near, err_msg=name)
    for k, each in enumerate(single):
        assert np.array_equal(result.part.price[k], each.arrays.price_after)
    losses = np.array([each.traders["loss"] for each in single])
    traders, k = result.traders, 3
    np.testing.assert_allclose(traders["expected_loss"], losses.mean(axis=0), **near)
    worst = np.sort(losses, axis=0)[::-1]
    np.testing.assert_allclose(traders["value_at_risk"], worst[k - 1], **near)
    np.testing.assert_allclose(traders["expected_shortfall"], worst[:k].mean(axis=0), **near)
    closed = np.mean([each.arrays.closed_whole for each in single], axis=0)
    np.testing.assert_allclose(traders["closed_share"], closed, rtol=1e-12)
    indirect = np.array([each.traders["indirect"] for each in single]).sum(axis=0)
    lost = losses.sum(axis=0)
    share = np.where(lost > near["atol"], indirect / np.where(lost == 0.0, 1.0, lost), np.nan)
    here = lost > 1e-6 * graph._rows.initial.gross.max()
    np.testing.assert_allclose(traders["indirect_share"][here], share[here], rtol=1e-6, atol=1e-6)


def test_a_trader_with_several_accounts():
    model, graph = two_traders()
    shocks = draw.single_asset(["ETH"], [-0.02, -0.1, -0.2])
    result = cg.sweep(graph, model, shocks, level=0.5)
    single = [model.run(graph, shock) for _, shock in shocks.iterrows()]
    assert result.traders["closed_share"].to_dict() == {"A": pytest.approx(2 / 3), "B": 0.0}
    expected = pd.DataFrame([each.traders["loss"] for each in single])
    assert np.allclose(result.traders["expected_loss"], expected.mean())
    assert np.allclose(result.traders["value_at_risk"], expected.median())
    assert np.allclose(result.traders["expected_shortfall"], (expected.max() + expected.median() / 2) / 1.5)


def test_systemic_measures_are_their_definitions():
    graph = cg.generate.perpetuals(300, 8, rng=0)
    model, count, level = cg.MarginCascade(), 200, 0.9
    shocks = draw.gaussian(_covariance(graph), count, rng=0)
    result = cg.sweep(graph, model, shocks, level=level)
    single = [model.run(graph, shock) for _, shock in shocks.iterrows()]
    losses = np.array([each.traders["loss"] for each in single])
    pool, k = result.scenarios["gross_loss"].to_numpy(), 20
    tail = np.argsort(-pool, kind="stable")[:k]
    found = result.systemic()
    np.testing.assert_allclose(found["mes"], losses[tail].mean(axis=0), rtol=1e-9, atol=1e-6)
    for trader in range(0, 300, 7):
        worst = np.argsort(-losses[:, trader], kind="stable")
        if losses[worst[k - 1], trader] > losses[worst[k], trader] + 1e-9:
            assert found["covar"].iloc[trader] == np.sort(pool[worst[:k]])[-2]
            assert found["delta_covar"].iloc[trader] == found["covar"].iloc[trader] - np.sort(pool)[-k]
    falls = 1.0 - np.array([each.arrays.price_after for each in single]) / graph.price
    assets = result.systemic(of="assets", against="shortfall")
    shortfall = result.scenarios["shortfall"].to_numpy()
    np.testing.assert_allclose(assets["mes"], falls[np.argsort(-shortfall, kind="stable")[:k]].mean(axis=0))
    worst = np.argsort(-falls[:, 0], kind="stable")[:k]
    assert assets["covar"].iloc[0] == np.sort(shortfall[worst])[-2]
    assert list(assets.index) == list(graph.assets)


def test_who_never_loses_has_no_covar():
    graph = cg.ExposureGraph.from_arrays([[1.0], [0.0]], price=[1.0], traders=["A", "cash"], cash=[0.0, 5.0])
    result = cg.sweep(graph, cg.MarginCascade(), draw.single_asset(graph.assets, np.linspace(-0.5, 0, 11)), level=0.8)
    assert np.isnan(result.systemic()["covar"]["cash"])
    assert not np.isnan(result.systemic()["covar"]["A"])


@pytest.mark.parametrize("seed", range(30))
def test_the_fund_that_suffices(seed: int):
    """With it nothing is shared in any scenario; with a little less something is in the worst."""
    case = random_case(seed)
    graph, model = graph_of(case.market), model_of(case.rules)
    shocks = few_scenarios(graph, seed, 8)
    result = cg.sweep(graph, model, shocks, keep="scenarios")
    fund = result.fund_for(1.0)["insurance_fund"]
    enough = cg.sweep(graph.assign(insurance_fund=fund), model, shocks, keep="scenarios").scenarios
    gross = graph._rows.initial.gross.sum()
    assert (enough["socialised"] + enough["uncovered"]).max() <= 1e-11 * gross
    needed = result.fund_needed
    for pool in graph.pools[fund > 1e-6 * gross]:
        worst, less = needed[pool].idxmax(), fund.copy()
        less[pool] *= 1.0 - 1e-6
        one = model.run(graph.assign(insurance_fund=less), shocks.loc[worst]).pools
        assert (one["socialised"] + one["uncovered"])[pool] > 0.0
    ordered = [result.fund_for(share)["insurance_fund"].sum() for share in (0.25, 0.5, 0.75, 1.0)]
    assert ordered == sorted(ordered)


def test_some_fund_was_needed():
    needed = [cg.sweep(graph_of(case.market), model_of(case.rules), few_scenarios(graph_of(case.market), seed, 8),
                       keep="scenarios").fund_for(1.0)["insurance_fund"].sum()
              for seed, case in ((seed, random_case(seed)) for seed in range(10))]  # fmt: skip
    assert np.count_nonzero(needed) > 5


def _covariance(graph: cg.ExposureGraph, volatility: float = 0.05) -> pd.DataFrame:
    m = len(graph.assets)
    matrix = volatility**2 * (0.5 * np.eye(m) + 0.5)
    return pd.DataFrame(matrix, index=graph.assets, columns=graph.assets)


def test_the_expected_shortfall_of_a_linear_book_is_its_closed_form():
    """Loss V (1 - e^r), r normal: ES = V (1 - e^(s^2 / 2) Phi(z - s) / a), a = 1 - level, z = Phi^-1(a)."""
    sigma, level = 0.2, 0.95
    graph = cg.ExposureGraph.from_arrays([[3.0]], price=[10.0], assets=["ETH"])
    covariance = pd.DataFrame([[sigma**2]], index=["ETH"], columns=["ETH"])
    z, beyond = special.ndtri(1 - level), 1 - level
    exact = 30.0 * (1.0 - math.exp(sigma**2 / 2) * special.ndtr(z - sigma) / beyond)
    found = cg.sweep(graph, cg.MarginCascade(), draw.gaussian(covariance, 4_000, rng=1), level=level).traders.iloc[0]
    assert found["expected_shortfall_low"] < exact < found["expected_shortfall_high"]
    assert found["value_at_risk_low"] < 30.0 * (1.0 - math.exp(sigma * z)) < found["value_at_risk_high"]
    mean = 30.0 * (1.0 - math.exp(sigma**2 / 2))
    assert found["expected_loss_low"] < mean < found["expected_loss_high"]
    assert np.isnan(found["indirect_share"])  # it gains in the mean


def test_intervals_cover():
    """Of 400 samples of 2,000 exponential losses the 95 % intervals contain the true values about 95 times in 100."""
    rng, level = np.random.default_rng(0), 0.95
    largest = np.sort(rng.exponential(size=(400, 2_000)), axis=1)[:, ::-1][:, :150]
    found, true = tail_estimates(largest, 2_000, level), math.log(20.0)
    for name, value in (("value_at_risk", true), ("expected_shortfall", true + 1.0)):
        inside = (found[f"{name}_low"] <= value) & (value <= found[f"{name}_high"])
        assert 0.92 <= inside.mean() <= 0.98, name


def test_the_probability_of_closure_on_an_uncoupled_market_is_analytic():
    """A borrower of D against V closes where V e^r (1 - m) < D."""
    sigma, debts = 0.1, np.array([-60.0, -75.0, -80.0, -85.0])
    graph = cg.ExposureGraph.from_arrays(np.ones((4, 1)), price=[100.0], margin_long=0.1, cash=debts, assets=["ETH"])
    covariance = pd.DataFrame([[sigma**2]], index=["ETH"], columns=["ETH"])
    found = cg.sweep(
        graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), draw.gaussian(covariance, 4_000, rng=2)
    ).traders
    exact = special.ndtr(np.log(-debts / 90.0) / sigma)
    assert (found["closed_share_low"] <= exact).all()
    assert (exact <= found["closed_share_high"]).all()
    assert exact[-1] > 0.2


class Backwards:
    """Does the last task first."""

    def map(self, function, shared, tasks):
        """Return the results in order all the same."""
        done = [function(next(shared), task) for task in reversed(list(tasks))]
        return iter(done[::-1])


def test_bits_do_not_depend_on_who_does_the_parts():
    graph = cg.generate.perpetuals(120, 5, rng=0)
    shocks = draw.student_t(_covariance(graph), sweep_work.SIZE + 70, rng=0)
    model = cg.MarginCascade(penalty=0.01)
    here = cg.sweep(graph, model, shocks)
    assert same_bits(here, cg.sweep(graph, model, shocks, executor=Backwards()))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert same_bits(here, cg.sweep(graph, model, shocks, executor=pool))
    assert here.scenarios["closed"].sum() > 100
    assert not same_bits(here, cg.sweep(graph, model, shocks[::-1]))


def test_a_scenario_that_fails_is_named():
    graph = cg.ExposureGraph.from_arrays([[-9.0]], price=[1.0], depth=1.0, margin_short=0.1, cash=[9.5], assets=["ETH"])
    model = cg.MarginCascade(impact=cg.ConstantProductImpact())
    with pytest.raises(cg.ConvergenceError, match=r"scenario 1 \(rows count from 0\): price of asset 'ETH' is inf"):
        cg.sweep(graph, model, draw.single_asset(["ETH"], [-0.1, 0.2]))


def test_a_scenario_that_does_not_converge_is_marked():
    graph = cg.generate.perpetuals(300, 8, rng=0)
    shocks = draw.single_asset(graph.assets[:1], [0.0, -0.3])
    message = "sweep: 1 of 2 scenarios: Stopped at the step limit before it converged. Raise max_rounds .* which is 1"
    with pytest.warns(cg.ConvergenceWarning, match=message):
        result = cg.sweep(graph, cg.MarginCascade(max_rounds=1), shocks)
    assert result.scenarios["converged"].tolist() == [True, False]
    assert result.solution == cg.Solution(cg.Status.STEP_LIMIT, steps=1, residual=0.5)
    assert result.summary()["not_converged"] == 1.0
    with pytest.raises(cg.ConvergenceError, match="1 of 2 scenarios"):
        cg.sweep(graph, cg.MarginCascade(max_rounds=1), shocks, on_failure="raise")


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (
            lambda result: result.systemic(against="x"),
            "systemic: against is 'x'; it must be one of gross_loss, net_loss",
        ),
        (lambda result: result.systemic(of="pools"), "systemic: of is 'pools'"),
        (lambda result: result.worst(by="x"), "worst: by is 'x'"),
        (lambda result: result.worst(0), "worst: k is 0"),
        (lambda result: result.distribution("x"), "distribution: column is 'x'"),
        (lambda result: result.fund_for(1.5), "fund_for: level is 1.5"),
    ],
)
def test_errors_name_the_argument_that_was_given(work, message: str):
    model, graph = two_traders()
    with pytest.raises(cg.ParameterError, match=message):
        work(cg.sweep(graph, model, draw.single_asset(["ETH"], [-0.1])))


def test_nothing_but_scenarios_is_kept_where_that_is_wanted():
    model, graph = two_traders()
    result = cg.sweep(graph, model, draw.single_asset(["ETH"], [-0.1]), keep="scenarios")
    assert result.part.tally is None
    with pytest.raises(cg.ParameterError, match="kept nothing of traders"):
        result.traders  # noqa: B018
    assert set(result.to_frames()) == {"summary", "scenarios", "shocks", "distribution"}


def test_tables_of_a_result():
    model, graph = two_traders()
    result = cg.sweep(graph, model, draw.single_asset(["ETH"], [-0.1, -0.2]))
    frames = result.to_frames()
    assert list(frames["shocks"].columns) == ["scenario", "ETH"]
    assert frames["distribution"]["figure"].tolist() == ["gross_loss", "shortfall", "socialised", "uncovered"]
    assert frames["traders"]["trader"].tolist() == ["A", "B"]
    worst = result.worst(1)
    assert model.run(graph, worst.iloc[0]).summary()["gross_loss"] == pytest.approx(
        result.scenarios["gross_loss"].max()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": "all"}, "keep is 'all'; it must be one of traders, scenarios"),
        ({"level": 1.0}, "level is 1.0; it must be a number from 0.5 to below 1"),
        ({"scenarios": [1.0]}, "scenarios must be a frame"),
        ({"scenarios": pd.DataFrame()}, "scenarios must be a frame"),
        ({"scenarios": pd.DataFrame({"ETH": [np.nan]})}, "row 0: asset 'ETH' changes by nan"),
        ({"scenarios": pd.DataFrame({"ETH": [-1.1]}, index=["bad"])}, "scenario 'bad', asset 'ETH' changes by -1.1"),
        ({"graph": None}, "graph is a NoneType"),
    ],
)
def test_bad_inputs(options: dict, message: str):
    model, graph = two_traders()
    given = {"graph": graph, "scenarios": draw.single_asset(["ETH"], [-0.1])} | options
    with pytest.raises(cg.ContagionError, match=message):
        cg.sweep(model=model, **given)


def test_extreme_scenarios():
    model, graph = two_traders()
    result = cg.sweep(graph, model, draw.single_asset(["ETH"], [-1.0, 0.0, 1e6]))
    assert result.scenarios["converged"].all()
    assert result.scenarios[["gross_loss", "net_loss"]].iloc[1].tolist() == [0.0, 0.0]


def test_one_account_that_holds_nothing():
    graph = cg.ExposureGraph.from_arrays([[0.0]], price=[1.0], assets=["ETH"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = cg.sweep(graph, cg.MarginCascade(), draw.single_asset(["ETH"], [-0.5]))
    assert result.traders["expected_loss"].tolist() == [0.0]


def test_the_repeated_setting_is_the_same_object():
    seen = []

    class Looking:
        """Looks at what it is given."""

        def map(self, function, shared, tasks):
            """Do them here."""
            seen.append(isinstance(shared, repeat))
            return map(function, shared, tasks)

    model, graph = two_traders()
    cg.sweep(graph, model, draw.single_asset(["ETH"], [-0.1]), executor=Looking())
    assert seen == [True]


@pytest.mark.parametrize("seed", range(10))
def test_the_largest_losses_are_kept_in_any_order(seed: int):
    """Tails of a trader with many equal losses, put together in random order, against sorting."""
    rng, kept = np.random.default_rng(seed), int(np.random.default_rng(seed).integers(1, 9))
    losses = rng.integers(0, 6, 30).astype(float)
    tallies = []
    for scenario in rng.permutation(30):
        one = sweep_work.new_tally(1, kept)
        one.tail[0, -1], one.which[0, -1] = losses[scenario], scenario
        tallies.append(one)
    while len(tallies) > 1:
        first, second = (tallies.pop(rng.integers(len(tallies))) for _ in range(2))
        sweep_work.add_tally(first, second)
        tallies.append(first)
    expected = sorted(range(30), key=lambda k: (losses[k], -k))[-kept:]
    assert tallies[0].which[0].tolist() == expected
    assert tallies[0].tail[0].tolist() == losses[expected].tolist()
