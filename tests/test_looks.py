"""Looking only at the rows that can have changed gives, bit for bit, what looking at every row gives."""

import dataclasses

import numpy as np
import pytest

import contagion_graph as cg
from tests.markets import graph_of, run_case
from tests.reference.dense_cascade import dense_cascade
from tests.reference.random_markets import mix, random_case

MARKETS = 1_000


def assert_same_bits(one: cg.CascadeResult, other: cg.CascadeResult) -> None:
    for field in dataclasses.fields(one.arrays):
        mine, theirs = getattr(one.arrays, field.name), getattr(other.arrays, field.name)
        if isinstance(mine, np.ndarray):
            mine, theirs = mine.tobytes(), theirs.tobytes()
        assert mine == theirs, field.name


def test_random_markets():
    cases = [random_case(seed) for seed in range(MARKETS)]
    looks = np.zeros(2)
    for case in cases:
        graph = graph_of(case.market)
        due, everything = (run_case(case, graph, revaluation=mode) for mode in ("incremental", "full"))
        assert_same_bits(due, everything)
        looks += due.solution.revaluations, everything.solution.revaluations
    assert looks[0] < 0.8 * looks[1]  # markets of 25 accounts in one block, most of them hit
    some = [
        (case, dense_cascade(case.market, case.rules, case.shock, case.losses, case.defaults)) for case in cases[::5]
    ]
    shares = mix(some)
    for trait in ("cap_binds", "several_pools", "partial", "net_buying", "shock_minus_one", "unsellable"):
        assert shares[trait] > 0.1, trait


def test_whoever_gains_from_a_shock_is_passed_over():
    graph = cg.ExposureGraph.from_arrays(
        [[1.0], [-1.0]], price=[100.0], margin_long=0.1, margin_short=0.1, cash=[-80.0, 120.0]
    )
    fall, rise = (cg.MarginCascade().run(graph, {"0": change}) for change in (-0.2, 0.2))
    assert (fall.arrays.breach_round.tolist(), rise.arrays.breach_round.tolist()) == ([1, 0], [0, 1])
    assert fall.solution.revaluations == rise.solution.revaluations == 2  # at the shocked prices, and after it closed


@pytest.mark.parametrize("rule", [cg.FullLiquidation(), cg.TargetMargin(0.1), cg.CloseFactor(0.5, full_below=0.9)])
@pytest.mark.parametrize("fall", [0.05, 0.3])
def test_a_venue(rule, fall: float):
    """20,000 accounts in 79 blocks and four pools: rows, blocks and threads at work."""
    graph = cg.generate.perpetuals(20_000, 40, rng=1, n_pools=4)
    model = cg.MarginCascade(liquidation=rule, penalty=0.01, penalty_to_fund=0.5)
    due = model.run(graph, {"ETH": -fall})
    everything = model.run(graph, {"ETH": -fall}, revaluation="full")
    assert_same_bits(due, everything)
    assert due.solution.revaluations < everything.solution.revaluations / 2
    assert len(due.rounds) > 3


def test_a_lending_venue_whose_longs_and_shorts_close_to_different_shares():
    graph = cg.generate.lending(20_000, 20, rng=1)
    model = cg.MarginCascade(
        liquidation=cg.RepayAndSeize(0.5, bonus=0.08, full_below=0.95), waterfall=(cg.InsuranceFund(),)
    )
    shock = dict.fromkeys(graph.assets, -0.15)
    shock[graph.assets[0]] = 0.1
    due, everything = model.run(graph, shock), model.run(graph, shock, revaluation="full")
    assert_same_bits(due, everything)
    assert due.arrays.closed_short is not None
    assert due.solution.revaluations < everything.solution.revaluations
    assert len(due.rounds) > 2


def test_after_a_small_shock_few_rows_are_looked_at():
    graph = cg.generate.perpetuals(20_000, 40, rng=1)
    result = cg.MarginCascade().run(graph, {"A37": -0.02})
    assert result.solution.revaluations < 0.2 * len(graph.account_index)


def test_an_account_is_seen_once_at_a_price():
    graph = cg.ExposureGraph.from_arrays([[1.0], [1.0]], price=[10.0], margin_long=0.1)
    assert cg.MarginCascade().run(graph, revaluation="full").solution.revaluations == 2


def test_the_kind_of_revaluation_is_checked():
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=[10.0])
    with pytest.raises(cg.ParameterError, match="revaluation is 'some'; it must be one of incremental, full"):
        cg.MarginCascade().run(graph, revaluation="some")  # type: ignore[arg-type]
