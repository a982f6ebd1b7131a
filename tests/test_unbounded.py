"""The least equilibrium exists where the greatest is unbounded: crowds of shorts buy back more than is for sale."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.margin.equilibria.isotone import is_isotone
from tests.markets import graph_of, model_of
from tests.reference.dense_equilibria import isotone, static_map
from tests.reference.random_markets import Case, random_case
from tests.reference.small_markets import small_market


def test_the_least_is_given_and_the_greatest_says_that_it_is_unbounded():
    """The first short buys back 10 of 18 units that the pool has for sale and is ruined; with the second it is 20.

    By hand: x = -10 x 10 / 90, price 10 / (1 + x / 2)^2 = 50.625; the second account has 3,000 - 506 left, less the
    shortfall of the first, 10 x 22.5 - 105 = 120, that it shares.
    """
    graph = cg.ExposureGraph.from_arrays([[-10.0], [-10.0]], price=[10.0], depth=90.0, margin_short=0.1,
                                         cash=[105.0, 3000.0])  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both = cg.MarginCascade(impact=cg.ConstantProductImpact()).equilibria(graph)
        assert both.least.solution.status is cg.Status.CONVERGED
        assert both.least.assets["price_after"].tolist() == pytest.approx([50.625])
        assert both.least.accounts["equity_after"].tolist() == pytest.approx([0.0, 3000.0 - 506.25 - 120.0])
        assert both.greatest.solution.status is cg.Status.UNBOUNDED
        assert both.greatest.assets["price_after"].tolist() == [np.inf]
        assert both.account_status.tolist() == ["certainly closed", "undecided"]
        assert "finite" in repr(both.greatest)


def test_a_price_of_0_stays_0_whatever_is_bought_back():
    """The shock takes the whole price: 0 times an infinite factor is 0."""
    graph = cg.ExposureGraph.from_arrays([[-30.0, -1.0]], price=[10.0, 10.0], depth=90.0, margin_short=0.5,
                                         cash=[5.0])  # fmt: skip
    model = cg.MarginCascade(impact=cg.ConstantProductImpact())
    shock = {"0": -1.0, "1": 0.2}
    both = model.equilibria(graph, shock)
    for end in (both.least, both.greatest, model.run(graph, shock)):
        assert end.solution.converged
        assert end.assets["price_after"].iloc[0] == 0.0
        assert np.isfinite(end.accounts["equity_after"]).all()


def dense_least(case: Case) -> np.ndarray | None:
    """Return the least fixed point of the dense map, None where a price on the way to it is infinite."""
    share = np.where(case.defaults, 1.0, 0.0)
    held = np.where(case.market.sellable, graph_of(case.market).quantity.toarray(), 0.0)
    for _ in range(1000):
        if not ((share @ held) * case.market.price / case.market.depth > -2.0).all():
            return None
        again = static_map(case, share)
        if (again == share).all():
            return share
        share = again
    return None


def test_the_least_is_that_of_the_definition_where_the_greatest_is_unbounded():
    """The dense map is applied from nothing closed until it moves nothing."""
    unbounded = bounded = 0
    for seed in range(250):
        case = small_market(np.random.default_rng(seed), one_sided=True)
        depth = case.market.depth * 0.35
        case = replace(
            case, market=replace(case.market, depth=depth), rules=replace(case.rules, impact=cg.ConstantProductImpact())
        )
        if not isotone(case) or case.rules.liquidation[0] == "target":
            continue
        share = dense_least(case)
        if share is None:
            continue
        graph = graph_of(case.market)
        shock = dict(zip(graph.assets, case.shock, strict=True))
        losses = {f"t{k}": loss for k, loss in enumerate(case.losses) if loss}
        defaults = [f"t{k}" for k in np.flatnonzero(case.defaults)]
        try:
            both = model_of(case.rules).equilibria(graph, shock, losses=losses, defaults=defaults)
        except cg.ConvergenceError:  # the least is infinite, in a book that is not netted
            assert is_isotone(graph)
            assert not dense_points(case)
            continue
        np.testing.assert_array_equal(both.least.arrays.closed, share)
        assert both.least.solution.converged
        assert (both.greatest.arrays.closed >= share).all()
        unbounded += both.greatest.solution.status is cg.Status.UNBOUNDED
        bounded += both.greatest.solution.converged
    assert unbounded > 5
    assert bounded > 20


def test_the_lower_bound_of_a_netted_book_is_given_where_the_upper_one_is_unbounded():
    """The first account is in breach at its own price: by hand 10 (1 - 0.4) - 5 < 10 % of 60, so that it closes."""
    graph = cg.ExposureGraph.from_arrays(
        [[10.0, 0.0], [0.0, 3.0], [0.0, -10.0], [0.0, -12.0]], price=[10.0, 10.0], depth=90.0, margin_long=0.1,
        margin_short=0.1, cash=[-55.0, -10.0, 200.0, 3000.0],
    )  # fmt: skip
    model = cg.MarginCascade(impact=cg.ConstantProductImpact(), waterfall=(cg.InsuranceFund(),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both = model.equilibria(graph, {"0": -0.4})
    assert both.least.solution.status is cg.Status.CONVERGED
    assert both.greatest.solution.status is cg.Status.UNBOUNDED
    assert both.least.arrays.closed.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert not both.one_sided
    assert both.points is None


def dense_points(case: Case) -> list[np.ndarray]:
    """Return every fixed point of the dense map with finite prices, by trying all."""
    held = np.where(case.market.sellable, graph_of(case.market).quantity.toarray(), 0.0)
    found = []
    for each in itertools.product([0.0, 1.0], repeat=len(held)):
        share = np.array(each)
        if ((share @ held) * case.market.price / case.market.depth > -2.0).all():
            with np.errstate(all="ignore"):
                if (static_map(case, share) == share).all():
                    found.append(share)
    return found


def test_no_equilibrium_of_a_netted_book_closes_less_than_the_lower_bound():
    """Every combination of closed accounts is tried in the dense map."""
    unbounded = points = above = 0
    for seed in range(700):
        case = small_market(np.random.default_rng(seed), one_sided=False)
        if len(case.market.cash) > 8 or case.rules.liquidation[0] != "full":
            continue
        market = replace(case.market, depth=case.market.depth * 0.35)
        case = replace(case, market=market, rules=replace(case.rules, impact=cg.ConstantProductImpact()))
        graph = graph_of(case.market)
        shock = dict(zip(graph.assets, case.shock, strict=True))
        losses = {f"t{k}": loss for k, loss in enumerate(case.losses) if loss}
        defaults = [f"t{k}" for k in np.flatnonzero(case.defaults)]
        try:
            both = model_of(case.rules).equilibria(graph, shock, losses=losses, defaults=defaults)
        except cg.ConvergenceError:  # the least is infinite, in a book that is not netted
            assert is_isotone(graph)
            assert not dense_points(case)
            continue
        if both.greatest.solution.status is not cg.Status.UNBOUNDED:
            continue
        unbounded += 1
        for share in dense_points(case):
            points += 1
            assert (both.least.arrays.closed <= share).all(), seed
            above += both.least.arrays.closed.any()
    assert min(unbounded, points) > 50
    assert above > 3


def test_where_the_least_is_infinite_too_the_error_names_the_asset():
    """A default buys back 30 units times 10 of a pool that has 90 / 2 for sale: no equilibrium is finite, no path."""
    graph = cg.ExposureGraph.from_arrays(
        [[0.0, -30.0], [1.0, -1.0]], price=[1.0, 10.0], depth=90.0, cash=[5000.0, 50.0], assets=["X", "Y"]
    )
    model = cg.MarginCascade(impact=cg.ConstantProductImpact())
    with pytest.raises(cg.ConvergenceError, match="price of asset 'Y' is inf"):
        model.run(graph, defaults=["0"])
    for two_sided in ("auto", "conservative"):
        with pytest.raises(cg.ConvergenceError, match="price of asset 'Y' is infinite in the least") as error:
            model.equilibria(graph, defaults=["0"], two_sided=two_sided)
        assert error.value.solution.status is cg.Status.UNBOUNDED


def test_an_end_is_given_or_named_whatever_crowds_buy_back():
    """Random markets at shallow depth: the least equilibrium is given, or the path has no finite price either."""
    given = refused = 0
    for seed in range(400):
        case = random_case(seed)
        market = replace(case.market, depth=case.market.depth * 0.1)
        graph, rules = graph_of(market), replace(case.rules, impact=cg.ConstantProductImpact(), alpha=None)
        model = model_of(rules)
        if rules.liquidation[0] not in ("full", "leverage"):
            continue
        scenario = {
            "losses": {f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
            "defaults": [f"t{k}" for k in np.flatnonzero(case.defaults)],
        }
        shock = dict(zip(graph.assets, case.shock, strict=True))
        try:
            model.equilibria(graph, shock, **scenario)
            given += 1
        except cg.ConvergenceError:
            refused += 1
            with pytest.raises(cg.ConvergenceError, match=r"price of asset .* is inf"):  # the path has none either
                model.run(graph, shock, **scenario)
    assert given > 100
    assert refused > 0
