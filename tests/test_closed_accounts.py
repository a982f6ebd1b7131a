"""What equilibria keep from step to step has the bits of what is computed anew."""

from itertools import pairwise

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.graph.scenario import scenario
from contagion_graph.kernels import threads
from contagion_graph.margin.equilibria.closed_accounts import ClosedAccounts
from contagion_graph.margin.equilibria.equilibria import case_of
from contagion_graph.margin.equilibria.isotone import is_isotone
from contagion_graph.margin.equilibria.iterates import MonotoneIterate, PlainIterate
from contagion_graph.margin.equilibria.position_book import book_of
from contagion_graph.margin.rounds.channel_sums import ChannelSums
from tests.markets import graph_of, model_of
from tests.reference.random_markets import random_case
from tests.reference.small_markets import small_market


@pytest.fixture
def threads_always(monkeypatch):
    """Have every pass use threads, however few its rows."""
    monkeypatch.setattr(threads, "ROWS_WORTH_THREADS", -1)
    most = cg.get_threads()
    yield
    cg.set_threads(most)


def venue(n: int, **more) -> cg.ExposureGraph:
    graph = cg.generate.perpetuals(n, 20, n_positions=4 * n, rng=4, n_pools=3)
    return graph.assign(depth=graph.depth * 4.0, insurance_fund=graph.insurance_fund * 0.1, **more)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("relief", [None, "none", "other"])
def test_values_of_copies(seed, relief, threads_always):
    """Whatever the order in which accounts are added, and the pieces that come of it."""
    rng = np.random.default_rng(seed)
    graph = venue(700).assign(sellable=np.arange(20) % 5 > 0)
    model = cg.MarginCascade(penalty=0.02, penalty_cap=[None, "equity"][seed % 2])
    shocked = scenario(graph, dict.fromkeys(graph.assets, -0.1), losses={graph.traders[3]: 50.0})
    case = case_of(graph, shocked, model, relief)
    cg.set_threads([1, 2, 5][seed % 3])
    closed, every = ClosedAccounts(case), np.zeros(700, dtype=bool)
    for size in rng.integers(1, [300, 20, 100, 2, 2, 3, 50]):
        every[rng.choice(700, size)] = True
        rows = np.flatnonzero(every)
        closed.add(rows)
        sizes = [piece.rows.size for piece in closed.pieces]
        assert sum(sizes) == rows.size
        assert all(first > 2 * second for first, second in pairwise(sizes))
        sold = case.sold(rng.uniform(0.0, 1.0, 700))
        prices = case.prices(sold, 0.5 * sold)
        assert closed.value_closed(prices, rows).tobytes() == case.value_closed(prices, rows)[0].tobytes()


@pytest.mark.parametrize("seed", range(20))
def test_sums_of_channels_that_change(seed):
    """After any changes, the same bits as sums that are new; a copy goes its own way."""
    rng = np.random.default_rng(seed)
    rows, amount = venue(1_500)._rows, rng.uniform(0.0, 1e9, 1_500)
    sums, copied = ChannelSums(rows, amount), None
    for _ in range(5):
        changed = rng.choice(1_500, rng.integers(0, 10), replace=False)
        amount[changed] = rng.uniform(0.0, 1.0, changed.size)
        sums.changed(changed)
        assert sums.total().tobytes() == ChannelSums(rows, amount).total().tobytes()
        if copied is None:
            copied, before = sums.copy(), sums.total()
    assert copied.total().tobytes() == before.tobytes()
    np.testing.assert_allclose(sums.total(), rows.column_sums(rows.membership, amount), rtol=1e-13)


@pytest.mark.parametrize("rule", [cg.FullLiquidation(), cg.CloseFactor(0.5, full_below=0.9), cg.TargetMargin(0.1)])
@pytest.mark.parametrize("two_sided", ["conservative", "bracket"])
def test_threads_and_what_is_kept_from_step_to_step(rule, two_sided, threads_always):
    """1, 2 and 5 threads; what the iterate keeps is what its shares imply."""
    graph = venue(2_000)
    model = cg.MarginCascade(rule, penalty=0.01)
    found = []
    for count in (1, 2, 5):
        cg.set_threads(count)
        both = model.equilibria(graph, dict.fromkeys(graph.assets, -0.15), two_sided=two_sided, on_failure="ignore")
        found.append(
            [
                [getattr(end.arrays, name).tobytes() for name in ("closed", "price_after", "shortfall", "socialised")]
                for end in (both.least, both.greatest)
            ]
        )
    assert found[0] == found[1] == found[2]
    assert two_sided == "bracket" or both.least.arrays.socialised.any()


@pytest.mark.parametrize("block", range(10))
def test_kept_values_on_random_markets(block):
    """1,000 markets with the mix of the tests: loss rates of the last step are those that its shares imply."""
    shared = 0
    for seed in range(100 * block, 100 * (block + 1)):
        case = random_case(seed) if seed % 2 else small_market(np.random.default_rng(seed), one_sided=seed % 4 == 0)
        graph, model = graph_of(case.market), model_of(case.rules)
        if (
            model.impact.volume != "initial"
            or model.trade_price_weight is not None
            or case.rules.liquidation[0] == "repay"
        ):
            continue
        hit = scenario(graph, dict(zip(graph.assets, case.shock, strict=True)))
        netted = case_of(graph, hit, model, None)
        one_sided = netted if is_isotone(graph) else case_of(graph, hit, model, "none")
        iterates = [MonotoneIterate(one_sided, from_above=end) for end in (False, True)]
        for iterate in (*iterates, PlainIterate(netted)):
            made = iterate.case
            for _ in range(20):
                with np.errstate(all="ignore"):
                    rows, share = iterate.follow(iterate.against)
                closed = np.flatnonzero(iterate.share > 0.0)
                rate = made.loss_rate(iterate.share, closed, made.value_closed(iterate.prices, closed)[0])
                assert rate.tobytes() == iterate.rate.tobytes()
                shared += bool(rate.any())
                if rows.size == 0:
                    break
                iterate.move(rows, share)
    assert shared > 20


@pytest.mark.parametrize("relief", [None, "none", "other"])
def test_a_graph_keeps_its_last_book(relief):
    """What all accounts hold together has the bits of the sums over all of them; a changed graph has its own book."""
    graph = venue(1_500)
    book = book_of(graph, relief)
    assert book_of(graph, relief) is book
    case = case_of(graph, scenario(graph), cg.MarginCascade(), relief)
    assert case.book is book
    everything = np.ones(1_500)
    assert case.sold(everything).tobytes() == case.sold(everything, book.all_rows).tobytes()
    assert book_of(graph, "none" if relief is None else None) is not book
    assert book_of(graph, relief).relief == relief
    shallow = graph.assign(depth=graph.depth / 2.0)
    assert (book_of(shallow, relief).size_of_unit == 2.0 * book.size_of_unit).all()


class EveryIterate(PlainIterate):
    """Values every account that closes something again in each step."""

    def _leave_out_under_water(self, market, rows, equity):
        pass


@pytest.mark.parametrize("block", range(10))
def test_accounts_under_water_are_valued_again_when_they_can_have_recovered(block):
    """1,000 markets with the mix of the tests, with the bits of iterates that value them each time."""
    fewer = 0
    for seed in range(100 * block, 100 * (block + 1)):
        case = random_case(seed) if seed % 2 else small_market(np.random.default_rng(seed), one_sided=False)
        model = model_of(case.rules)
        if (
            model.impact.volume != "initial"
            or model.trade_price_weight is not None
            or case.rules.liquidation[0] == "repay"
        ):
            continue
        graph = graph_of(case.market)
        given = {"losses": {f"t{k}": loss for k, loss in enumerate(case.losses) if loss}}
        hit = scenario(graph, dict(zip(graph.assets, case.shock, strict=True)), **given)
        made = case_of(graph, hit, model, None)
        mine, whole = PlainIterate(made), EveryIterate(made)
        for _ in range(30):
            moves = []
            for iterate in (mine, whole):
                with np.errstate(all="ignore"):
                    rows, share = iterate.follow(iterate.against)
                moves.append((rows, share))
                iterate.move(rows, share)
            for one, other in zip(*moves, strict=True):
                assert one.tobytes() == other.tobytes()
            assert mine.sold.tobytes() == whole.sold.tobytes()
            assert mine.rate.tobytes() == whole.rate.tobytes()
            if rows.size == 0:
                break
        assert mine.revaluations <= whole.revaluations
        fewer += mine.revaluations < whole.revaluations
    assert fewer > 20
