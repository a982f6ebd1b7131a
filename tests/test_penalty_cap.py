"""A penalty takes at most the equity that is left: it creates no bad debt."""

from dataclasses import replace

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.margin.candidates.batch import Batches
from tests.markets import graph_of, model_of, run_case
from tests.reference.random_markets import random_case

SEEDS = range(150)


@pytest.mark.parametrize("rule", [cg.FullLiquidation(), cg.TargetMargin(), cg.CloseFactor(0.5)])
def test_a_penalty_above_equity_leaves_no_shortfall(rule: cg.rules.LiquidationRule):
    """Equity 5, 1 % of 1,000 closed: 10 is charged, 5 is paid, and nothing is missing."""
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=100.0, margin_long=0.01, cash=-995.0)
    model = cg.MarginCascade(rule, penalty=0.01, penalty_to_fund=1.0)
    result = model.run(graph)
    assert result.accounts["shortfall"].tolist() == [0.0]
    assert result.accounts["equity_after"].tolist() == [0.0]
    assert result.accounts["penalty"].tolist() == pytest.approx([5.0])
    assert result.pools["fund_received"].tolist() == pytest.approx([5.0])
    whole = replace(model, penalty_cap=None).run(graph)
    assert whole.accounts["shortfall"].tolist() == pytest.approx([5.0])


def test_equilibria_cap_the_penalty_too():
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=100.0, margin_long=0.01, cash=-995.0)
    model = cg.MarginCascade(penalty=0.01, penalty_to_fund=1.0)
    for end in (model.equilibria(graph).least, model.equilibria(graph).greatest):
        assert end.accounts["shortfall"].tolist() == [0.0]
        assert end.accounts["penalty"].tolist() == pytest.approx([5.0])
        assert end.pools["fund_received"].tolist() == pytest.approx([5.0])


def test_a_cap_never_makes_a_shortfall_where_the_account_had_equity():
    """Whatever the market: who closes and pays a penalty in part has nothing left, and no shortfall."""
    bound = 0
    for seed in SEEDS:
        case = random_case(seed)
        case = replace(case, rules=replace(case.rules, penalty=0.08, penalty_cap="equity"))
        for trade in run_case(case).arrays.trades:
            paid = trade.penalty[np.isin(trade.rows, trade.left)]
            bonus = case.rules.liquidation[0] == "repay"
            assert bonus or not paid.any()
        bound += run_case(replace(case, rules=replace(case.rules, penalty_cap=None))).accounts["penalty"].sum() > 0
    assert bound > 50


def test_incremental_is_full_and_a_batch_is_a_run_to_the_last_bit():
    for seed in SEEDS:
        case = random_case(seed)
        case = replace(case, rules=replace(case.rules, penalty=0.08, penalty_cap="equity"))
        few, all_ = (run_case(case, revaluation=mode) for mode in ("incremental", "full"))
        assert few.arrays.trades == all_.arrays.trades
        graph, model = graph_of(case.market), model_of(case.rules)
        shock = dict(zip(graph.assets, case.shock, strict=True))
        alone = model.run(graph, shock)
        (ended,) = Batches(graph, model).run((graph.price * (1.0 + case.shock))[None])
        assert ended.path.trades[-1:] == [] or np.array_equal(ended.path.market.price, alone.arrays.price_after)
        assert np.array_equal(ended.path.penalty, alone.arrays.penalty[ended.rows])


@pytest.mark.parametrize("cap", ["balance", "Equity", 1])
def test_an_unknown_cap_is_refused(cap: object):
    with pytest.raises(cg.ParameterError, match="MarginCascade: penalty_cap is"):
        cg.MarginCascade(penalty_cap=cap)
