"""Many scenarios in one pass: bit for bit what `run` gives one by one."""

import dataclasses

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.kernels import threads
from contagion_graph.margin.candidates import batch, screening
from contagion_graph.margin.candidates.batch import Batches
from contagion_graph.margin.candidates.screening import Box, Screen
from contagion_graph.margin.candidates.single import Ended
from tests.markets import graph_of, model_of
from tests.reference.dense_cascade import dense_cascade
from tests.reference.random_markets import mix, random_case, random_shock

PAIRS, EACH = 300, 3
BY_ACCOUNT = ("losses", "proceeds", "penalty", "socialised", "shortfall", "closed", "breach_round", "closed_short")


def assert_same_bits(ended: Ended, expected: cg.CascadeResult) -> None:
    """Compare a scenario of a batch with a run of its own; who is not near it has to be untouched there."""
    mine, theirs, n = ended.path.arrays(), expected.arrays, len(expected.graph.account_index)
    assert ended.solution.steps == expected.solution.steps
    assert ended.solution.status == expected.solution.status
    for field in dataclasses.fields(theirs):
        one, other = getattr(mine, field.name), getattr(theirs, field.name)
        if field.name == "trades":
            assert [ended.rows[trade.rows].tolist() for trade in one] == [trade.rows.tolist() for trade in other]
            continue
        if field.name == "socialised":  # the others bear what their weight says
            other = other[ended.rows]
        elif field.name in BY_ACCOUNT and other is not None:
            whole = np.zeros(n, dtype=other.dtype)
            whole[ended.rows] = mine.closed if one is None else one
            one = whole
        if isinstance(other, np.ndarray):
            assert one.dtype == other.dtype
            one, other = one.tobytes(), other.tobytes()
        assert one == other, field.name


def test_random_markets(monkeypatch):
    """300 markets and scenarios with the mix of the cascade's own tests, from a copy of few rows, of all, or on all."""
    monkeypatch.setattr(threads, "ROWS_WORTH_THREADS", -1)
    monkeypatch.setattr(batch, "FEW", 0.9)
    some, copied, whole, socialised = [], 0, 0, 0
    for seed in range(PAIRS // EACH):
        case, rng = random_case(seed), np.random.default_rng(seed + 1_000)
        graph, model = graph_of(case.market), model_of(case.rules)
        shocks = np.array([random_shock(rng, len(graph.assets)) for _ in range(EACH)])
        found = list(Batches(graph, model).run(graph.price * (1.0 + shocks)))
        assert sorted(ended.number for ended in found) == list(range(EACH))
        for ended in found:
            shock = dict(zip(graph.assets, shocks[ended.number], strict=True))
            assert_same_bits(ended, model.run(graph, shock, on_failure="ignore"))
            copied += ended.rows.size < len(graph.account_index)
            whole += ended.rows.size == len(graph.account_index)
            socialised += bool(ended.path.market.channels.loss_rate.any()) and ended.rows.size < len(
                graph.account_index
            )
        if seed % 5 == 0:
            calm = np.zeros_like(case.losses), np.zeros_like(case.defaults)
            one = dataclasses.replace(case, shock=shocks[0], losses=calm[0], defaults=calm[1])
            some.append((one, dense_cascade(one.market, one.rules, one.shock, one.losses, one.defaults)))
    assert min(copied, whole) > PAIRS / 10
    assert socialised > 3
    shares = mix(some)
    for trait in ("cap_binds", "several_pools", "partial", "curve", "alpha", "current_volume", "unsellable"):
        assert shares[trait] > 0.1, trait
    assert shares["two_sides"] > 0.0


@pytest.mark.parametrize("rule", [cg.FullLiquidation(), cg.TargetMargin(0.1), cg.CloseFactor(0.5, full_below=0.9)])
@pytest.mark.parametrize("worth", [-1, 10_000])
def test_a_venue(rule, worth, monkeypatch):
    """20,000 accounts in 79 blocks and four pools; one thread and two, which share passes or scenarios."""
    monkeypatch.setattr(threads, "ROWS_WORTH_THREADS", worth)
    graph = cg.generate.perpetuals(20_000, 40, rng=1, n_pools=4)
    model = cg.MarginCascade(liquidation=rule, penalty=0.01, penalty_to_fund=0.5)
    shocks = np.random.default_rng(0).normal(-0.02, 0.04, (8, 40))
    prices, most = graph.price * (1.0 + shocks), cg.get_threads()
    expected = [model.run(graph, dict(zip(graph.assets, shock, strict=True))) for shock in shocks]
    for count in (1, 2, 5):
        cg.set_threads(count)
        batches = Batches(graph, model)
        for _ in range(2):
            for ended in batches.run(prices):
                assert_same_bits(ended, expected[ended.number])
    cg.set_threads(most)
    assert any(len(result.rounds) > 3 for result in expected)


def test_few_rows_are_copied_that_close_nothing():
    graph = cg.generate.perpetuals(20_000, 40, rng=1)
    prices = graph.price * (1.0 - np.linspace(0.01, 0.05, 64)[:, None] * np.ones(40))
    ended = list(Batches(graph, cg.MarginCascade()).run(prices))
    closed = np.mean([np.count_nonzero(one.path.breach_round) for one in ended])
    assert np.mean([one.rows.size for one in ended]) < 2.0 * closed < 0.1 * len(graph.account_index)


@pytest.mark.parametrize("seed", range(20))
def test_near_is_who_can_be_in_breach_in_the_box(seed):
    """At the worst corner of its box for each account, by the definition; and at random prices in it."""
    rng = np.random.default_rng(seed)
    graph = graph_of(random_case(seed).market)
    low = graph.price * rng.uniform(0.5, 1.1, (3, len(graph.assets)))
    high, level = low * rng.uniform(1.0, 1.5, low.shape), rng.uniform(0.0, 0.3, 3)
    base = rng.uniform(0.0, 1.0, len(graph.account_index)) * graph._rows.initial.gross
    screen = Screen(graph._rows, cg.ExponentialImpact())
    some, found = screen.candidates(Box(low, high, level), screen.initial(base))
    slope = (graph.quantity - graph.margin_units).toarray()
    for k, rows in enumerate(found):
        worst = graph.cash + np.where(slope > 0.0, slope * low[k], slope * high[k]).sum(axis=1) - base * level[k]
        rounding = 1e-9 * (np.abs(graph.cash) + graph._rows.initial.gross)
        near = np.isin(graph._rows.all_rows, some[rows])
        assert near[worst < -rounding].all()
        assert not near[worst > rounding].any()
        inside = graph.cash + slope @ rng.uniform(low[k], high[k]) - base * level[k]
        assert near[inside < 0.0].all()


@pytest.mark.parametrize("rounds", [1, 2])
def test_what_is_foreseen_badly_costs_work_only(rounds, monkeypatch):
    monkeypatch.setattr(screening, "ROUNDS", rounds)
    monkeypatch.setattr(batch, "SPARE", 1e-5)
    monkeypatch.setattr(batch, "LEAST_RATE", 1e-5)
    graph, model = cg.generate.perpetuals(3_000, 8, rng=2), cg.MarginCascade(penalty=0.01)
    graph = graph.assign(insurance_fund=0.0 * graph.insurance_fund)
    shocks = np.random.default_rng(3).normal(-0.05, 0.03, (12, 8))
    sizes = set()
    for ended in Batches(graph, model).run(graph.price * (1.0 + shocks)):
        assert_same_bits(ended, model.run(graph, dict(zip(graph.assets, shocks[ended.number], strict=True))))
        sizes.add(ended.rows.size == len(graph.account_index))
    assert True in sizes  # some leave both boxes


def test_a_price_that_overflows_is_named():
    graph = cg.ExposureGraph.from_arrays([[-9.0]], price=[1.0], depth=1.0, margin_short=0.1, cash=[9.5])
    with pytest.raises(cg.ConvergenceError, match="price of asset '0' is inf after round 1"):
        list(Batches(graph, cg.MarginCascade(impact=cg.ConstantProductImpact())).run(np.array([[1.2]])))
