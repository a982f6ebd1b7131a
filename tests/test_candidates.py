"""A scenario on a copy of its candidates has the bits of one on all accounts, whatever the sample and the box."""

import dataclasses

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.graph.price_map import PriceMap
from contagion_graph.kernels import box as passes
from contagion_graph.kernels import threads
from contagion_graph.margin.candidates import sample, single
from contagion_graph.margin.candidates.screening import Box
from contagion_graph.state import Bounds
from tests.margin_books import case_of, with_margins
from tests.markets import graph_of, model_of, run_case
from tests.option_markets import option_case, run_options
from tests.reference.random_markets import random_case
from tests.test_waterfall import layered

MARKETS = 1_000


def assert_same_bits(one: cg.CascadeResult, other: cg.CascadeResult) -> None:
    """Compare everything that a cascade leaves behind."""
    assert (one.solution.status, one.solution.steps) == (other.solution.status, other.solution.steps)
    for field in dataclasses.fields(one.arrays):
        mine, theirs = getattr(one.arrays, field.name), getattr(other.arrays, field.name)
        if isinstance(mine, PriceMap):
            mine, theirs = mine.vol, theirs.vol
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype
            mine, theirs = mine.tobytes(), theirs.tobytes()
        assert mine == theirs, field.name


@pytest.fixture
def runs(monkeypatch):
    """Have every cascade run on candidates, from a sample of every other account, and count how it went."""
    monkeypatch.setattr(single, "WORTH_A_SAMPLE", 0)
    monkeypatch.setattr(single, "FEW", 0.95)
    monkeypatch.setattr(sample, "EACH", 5)
    monkeypatch.setattr(sample, "STRIP", 1)
    monkeypatch.setattr(threads, "ROWS_WORTH_THREADS", -1)
    seen = {"candidates": 0, "second box": 0, "all": 0}
    on_candidates, wider = single.run_on_candidates, single.wider

    def counted(*arguments, **more):
        found = on_candidates(*arguments, **more)
        seen["all" if found is None else "candidates"] += 1
        return found

    def second(*arguments):
        seen["second box"] += 1
        return wider(*arguments)

    monkeypatch.setattr(single, "run_on_candidates", counted)
    monkeypatch.setattr(single, "wider", second)
    return seen


def test_random_markets(runs):
    """1,000 markets with the mix of the cascade's own tests: shocks, losses, defaults, all rules, several pools."""
    cases = [random_case(seed) for seed in range(MARKETS)]
    fewer = shared = 0
    for case in cases:
        graph = graph_of(case.market)
        mine, whole = (run_case(case, graph, revaluation=mode) for mode in ("incremental", "full"))
        assert_same_bits(mine, whole)
        fewer += mine.solution.revaluations < 0.5 * whole.solution.revaluations
        shared += bool(whole.arrays.socialised.any())
    assert min(runs.values()) > MARKETS / 50
    assert runs["candidates"] > MARKETS / 4
    assert min(fewer, shared) > MARKETS / 10


def test_random_markets_with_several_layers(runs):
    """300 markets whose members pay in up to four layers, with own contributions and purses before."""
    several = 0
    for seed in range(300):
        graph, model, scenario = layered(random_case(seed), seed)
        mine, whole = (model.run(graph, **scenario, revaluation=mode) for mode in ("incremental", "full"))
        assert_same_bits(mine, whole)
        assert mine.layers.equals(whole.layers)
        several += len(model.members) > 1 and bool((mine.arrays.layers_used > 0.0).any(axis=1).sum() > 2)
    assert min(runs.values()) > 300 / 50
    assert several > 300 / 10


def test_random_markets_with_tiers_and_grids(runs):
    """500 markets with margin tiers, scenario grids and flat rates side by side."""
    fewer = 0
    for seed in range(500):
        case = case_of(seed)
        graph, _ = with_margins(case, seed)
        mine, whole = (run_case(case, graph, revaluation=mode) for mode in ("incremental", "full"))
        assert_same_bits(mine, whole)
        fewer += mine.solution.revaluations < 0.7 * whole.solution.revaluations
    assert min(runs.values()) > 500 / 50
    assert fewer > 500 / 10


@pytest.mark.parametrize("margins", [False, True])
def test_random_markets_with_instruments(runs, margins):
    """500 markets with options and futures: shocks of prices and volatilities, own depths, tiers and grids."""
    fewer, number = 0, 500 if margins else 150
    for seed in range(number):
        drawn = option_case(seed, margins=margins)
        mine, whole = (run_options(drawn, revaluation=mode) for mode in ("incremental", "full"))
        assert_same_bits(mine, whole)
        fewer += mine.solution.revaluations < 0.7 * whole.solution.revaluations
    assert sum(runs.values()) == 0 if margins else min(runs.values()) > number / 100
    assert fewer > number / 10


@pytest.mark.parametrize("seed", range(20))
def test_one_account_at_a_time(seed, runs, monkeypatch):
    """In an order, on candidates and on all accounts."""
    case = random_case(seed)
    graph, model = graph_of(case.market), model_of(case.rules)
    shock = dict(zip(graph.assets, case.shock, strict=True))
    mine = model.run(graph, shock, order=np.random.default_rng(seed), on_failure="ignore")
    monkeypatch.setattr(single, "WORTH_A_SAMPLE", np.inf)
    theirs = model.run(graph, shock, order=np.random.default_rng(seed), on_failure="ignore")
    assert_same_bits(mine, theirs)
    assert runs["candidates"] + runs["all"] == 1


@pytest.mark.parametrize("rule", [cg.FullLiquidation(), cg.TargetMargin(0.1), cg.CloseFactor(0.5, full_below=0.9)])
@pytest.mark.parametrize("n", [single.WORTH_A_SAMPLE - 1, single.WORTH_A_SAMPLE])
@pytest.mark.parametrize("fall", [0.02, 0.15])
def test_a_venue_on_both_sides_of_the_limit(rule, n, fall):
    """From 100,000 accounts on candidates are copied; 1, 2 and 5 threads."""
    graph = cg.generate.perpetuals(n, 30, n_positions=3 * n, rng=4, n_pools=3)
    graph = graph.assign(depth=graph.depth * 4.0, insurance_fund=graph.insurance_fund * 0.1)
    model = cg.MarginCascade(liquidation=rule, penalty=0.01, penalty_to_fund=0.5)
    shock, most = dict.fromkeys(graph.assets, -fall), cg.get_threads()
    expected = model.run(graph, shock, revaluation="full")
    for count in (1, 2, 5):
        cg.set_threads(count)
        result = model.run(graph, shock)
        assert_same_bits(result, expected)
    cg.set_threads(most)
    assert result.solution.revaluations < expected.solution.revaluations / 4
    assert (result.arrays.breach_round > 0).mean() > (0.1 if fall > 0.1 else 0.0001)


@pytest.mark.parametrize("seed", range(30))
def test_candidates_are_who_can_be_in_breach_in_the_box(seed):
    """At the worst corner of the box for each account, by the definition; and at random prices in it."""
    rng = np.random.default_rng(seed)
    graph = graph_of(random_case(seed).market)
    low = graph.price * rng.uniform(0.5, 1.1, len(graph.assets))
    high, rate = low * rng.uniform(1.0, 1.5, low.shape), rng.uniform(0.0, 0.3)
    model = cg.MarginCascade()
    before = single.known(graph, cg.graph.scenario.scenario(graph), model).before
    near = np.isin(graph._rows.all_rows, single.candidates(graph._rows, Box(low, high, rate), before))
    slope, base = (graph.quantity - graph.margin_units).toarray(), before.base
    worst = graph.cash + np.where(slope > 0.0, slope * low, slope * high).sum(axis=1) - base * rate
    rounding = 1e-9 * (np.abs(graph.cash) + graph._rows.initial.gross)
    assert near[worst < -rounding].all()
    assert not near[worst > rounding].any()
    inside = graph.cash + slope @ rng.uniform(low, high) - base * rng.uniform(0.0, rate)
    assert near[inside < 0.0].all()


def test_what_is_not_a_number_stays_a_candidate():
    graph = cg.ExposureGraph.from_arrays([[1.0], [1.0]], price=[10.0], margin_long=0.1)
    before = single.known(
        graph, cg.graph.scenario.scenario(graph), cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    ).before
    before = before._replace(slack=np.array([np.nan, 5.0]))
    bounds = Bounds(graph.price, np.array([9.0]), np.array([11.0]), True, 0.1, 0.1, 0.0)
    assert passes.rows_in_box(graph._rows.cells, before, bounds, graph._rows.row_borders).tolist() == [0]


def test_the_sample_stands_for_all():
    """Its accounts add up to what all hold, but for the errors that it states."""
    graph = cg.generate.perpetuals(60_000, 20, n_positions=200_000, rng=5)
    drawn = sample.drawn(graph._rows)
    held, expected = drawn.column_sums(drawn.quantity, np.ones(drawn.rows.size)), graph.quantity.sum(axis=0)
    assert (np.abs(held - expected) * graph.price / graph.depth <= 5.0 * drawn.error).all()
    assert set(np.unique(drawn.weight)) == {1.0, 3.0}
    np.testing.assert_allclose(drawn.cash.sum(), graph.cash.sum(), rtol=0.05)
    more = drawn.with_rows(np.array([0, 59_999]))
    assert more.weight[[0, -1]].tolist() == [1.0, 1.0]
    assert more.rows.size <= drawn.rows.size + 2
    assert drawn.with_rows(np.array([], dtype=int)) is drawn


def test_a_graph_keeps_what_the_next_run_needs():
    """The sample, and weights that are always the same; not those that depend on the shock."""
    graph = cg.generate.perpetuals(single.WORTH_A_SAMPLE, 10, rng=6)
    first = cg.MarginCascade().run(graph, {"ETH": -0.1})
    assert_same_bits(cg.MarginCascade().run(graph, {"ETH": -0.1}), first)
    other = cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.ProRata("open_interest")))
    assert_same_bits(other.run(graph, {"ETH": -0.1}), other.run(graph, {"ETH": -0.1}, revaluation="full"))
    assert_same_bits(cg.MarginCascade().run(graph, {"ETH": -0.1}), first)


def test_prices_without_end_are_named():
    """What overflows leaves every box, and is named as on all accounts."""
    graph = cg.generate.perpetuals(single.WORTH_A_SAMPLE, 4, rng=7)
    graph = graph.assign(depth=graph.depth / 1e3)
    model = cg.MarginCascade(impact=cg.ConstantProductImpact())
    with pytest.raises(cg.ConvergenceError, match="price of asset"):
        model.run(graph, dict.fromkeys(graph.assets, 0.5))
