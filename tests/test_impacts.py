"""Price impacts against their definitions: means against quadrature, inverses, published numbers, refusals."""

import math
import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

import contagion_graph as cg
from tests.shared_data import case

BOOK = [(-1.0, 2.5), (-0.5, 1.25), (-0.25, 1.25), (0.2, 0.9), (0.5, 0.9), (1.5, 0.3), (3.0, 0.0)]


class Definition(NamedTuple):
    """An impact, its f written once more for a single number, and where f has a kink or a singularity."""

    impact: Any
    f: Callable[[float], float]
    kinks: tuple[float, ...] = ()


def floored(b: float) -> Callable[[float], float]:
    return lambda x: b + (1 - b) * math.exp(-x / (1 - b))


def root(c: float) -> Callable[[float], float]:
    return lambda x: 1 + c * math.sqrt(-x) if x < 0 else max(0.0, 1 - c * math.sqrt(x))


def book(levels: list[tuple[float, float]]) -> Callable[[float], float]:
    x, f = zip(*sorted([*levels, (0.0, 1.0)]), strict=True)
    return lambda size: float(np.interp(size, x, f))


DEFINITIONS = {
    "linear": Definition(cg.LinearImpact(), lambda x: max(0.0, 1 - x), (1.0,)),
    "exponential": Definition(cg.ExponentialImpact(), lambda x: math.exp(-x)),
    "floor 0": Definition(cg.FloorExponentialImpact(0.0), floored(0.0)),
    "floor 0.5": Definition(cg.FloorExponentialImpact(0.5), floored(0.5)),
    "floor 0.95": Definition(cg.FloorExponentialImpact(0.95), floored(0.95)),
    "root 0.1": Definition(cg.SquareRootImpact(0.1), root(0.1), (0.0,)),
    "root 0.8": Definition(cg.SquareRootImpact(0.8), root(0.8), (0.0, 1 / 0.64)),
    "product": Definition(cg.ConstantProductImpact(), lambda x: 1 / (1 + x / 2) ** 2),
    "book": Definition(cg.OrderBookImpact(BOOK), book(BOOK), (0.0, *(size for size, _ in BOOK))),
    "bids": Definition(cg.OrderBookImpact([(0.5, 0.8)]), book([(0.5, 0.8)]), (0.0, 0.5)),
}
SLOPE_ONE = ("linear", "exponential", "floor 0", "floor 0.5", "floor 0.95", "product")
UNBOUNDED = ("linear", "exponential", "floor 0", "floor 0.5", "floor 0.95", "root 0.1", "root 0.8", "product")
every_impact = pytest.mark.parametrize("name", DEFINITIONS)


def one(value: float) -> np.ndarray:
    return np.array([value])


def intervals(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw intervals: wide ones of both directions on both sides of 0, some at a kink, some tiny."""
    rng = np.random.default_rng(seed)
    start, end = rng.uniform(-1.9, 4.0, (2, n))
    start[: n // 4] = rng.choice([0.0, 0.5, 1.0, 1.5, 3.0, -0.5], n // 4)
    tiny = slice(n // 4, n // 2)
    end[tiny] = start[tiny] + 10.0 ** rng.uniform(-15, -1, n // 2 - n // 4) * rng.choice([-1, 1], n // 2 - n // 4)
    return start, np.maximum(end, -1.95)


def mean_by_quadrature(definition: Definition, start: float, end: float) -> float:
    """Return the mean of f, smooth piece by smooth piece."""
    low, high = sorted((start, end))
    cuts = [low, *sorted(kink for kink in set(definition.kinks) if low < kink < high), high]
    # with the interval scaled to [0, 1], a tiny one loses no digits to its width
    total = 0.0
    for left, right in pairwise(cuts):

        def scaled(u: float, left: float = left, right: float = right) -> float:
            return definition.f(left + u * (right - left))

        total += quad(scaled, 0.0, 1.0, epsabs=0.0, epsrel=1e-13, limit=200, full_output=1)[0] * (right - left)
    return total / (high - low)


@every_impact
def test_f_is_its_definition_starts_at_one_and_never_rises(name: str):
    impact, f, _ = DEFINITIONS[name]
    x = np.sort(np.concatenate([np.linspace(-1.99, 6.0, 4001), [size for size, _ in BOOK]]))
    factor = impact.price_factor(x)
    assert impact.price_factor(np.zeros(1))[0] == 1.0
    np.testing.assert_allclose(factor, [f(size) for size in x], rtol=1e-14, atol=1e-15)
    assert (np.diff(factor) <= 0.0).all()
    assert (factor >= 0.0).all()


@pytest.mark.parametrize("name", SLOPE_ONE)
def test_the_slope_at_zero_is_minus_one(name: str):
    for small in (1e-7, -1e-7):
        fall = (DEFINITIONS[name].impact.price_factor(one(small))[0] - 1.0) / small
        assert fall == pytest.approx(-1.0, rel=1e-5)


@every_impact
def test_the_average_is_the_mean_over_the_interval(name: str):
    definition = DEFINITIONS[name]
    start, end = intervals(400, seed=7)
    average = definition.impact.average_factor(start, end)
    expected = [mean_by_quadrature(definition, a, b) for a, b in zip(start, end, strict=True)]
    np.testing.assert_allclose(average, expected, rtol=1e-12, atol=1e-15)


@every_impact
@pytest.mark.parametrize("width", [0.0, 5e-324, 1e-300, 1e-18, 1e-12, 1e-9])
def test_the_average_of_a_tiny_interval_is_the_price_in_its_middle(name: str, width: float):
    impact, f, _ = DEFINITIONS[name]
    start = np.array([-1.5, -0.3, 0.0, 0.4, 0.7, 2.0])
    expected = [f(a) if a else f(4 / 9 * width) for a in start]  # the mean root of [0, w] is the root of 4/9 w
    for a, b in ((start, start + width), (start + width, start)):
        np.testing.assert_allclose(impact.average_factor(a, b), expected, rtol=1e-12 + 10 * width)


@every_impact
def test_the_average_lies_between_the_prices_and_adds_up(name: str):
    impact = DEFINITIONS[name].impact
    points = np.sort(np.random.default_rng(3).uniform(-1.9, 4.0, (3, 500)), axis=0)
    start, middle, end = points
    whole = impact.average_factor(start, end)
    assert (impact.price_factor(end) * (1 - 1e-15) - 1e-15 <= whole).all()
    assert (whole <= impact.price_factor(start) * (1 + 1e-15)).all()
    parts = impact.average_factor(start, middle) * (middle - start) + impact.average_factor(middle, end) * (
        end - middle
    )
    np.testing.assert_allclose(whole * (end - start), parts, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(impact.average_factor(end, start), whole, rtol=1e-15)
    np.testing.assert_allclose(impact.average_factor(start, start), impact.price_factor(start), rtol=1e-15)


@every_impact
def test_the_inverse_is_an_inverse(name: str):
    impact = DEFINITIONS[name].impact
    low, high = impact.price_factor(np.array([3.5, -1.9]))
    factor = np.random.default_rng(5).uniform(low, high, 500)
    x = impact.inverse(factor)
    np.testing.assert_allclose(impact.price_factor(x), factor, rtol=1e-12, atol=1e-15)
    assert (np.sign(x) == np.sign(1.0 - factor)).all()
    assert impact.inverse(np.ones(1))[0] == 0.0
    assert impact.inverse(one(-0.5))[0] == np.inf
    assert (name in UNBOUNDED) == np.isfinite(impact.inverse(one(50.0))[0])


def test_the_inverse_on_a_flat_part_is_the_end_next_to_zero():
    np.testing.assert_allclose(cg.OrderBookImpact(BOOK).inverse(np.array([0.9, 1.25, 2.5, 0.0])), [0.2, -0.25, -1, 3])
    assert cg.OrderBookImpact(BOOK).inverse(one(2.6))[0] == -np.inf
    assert cg.OrderBookImpact([(0.5, 0.8)]).inverse(one(0.79))[0] == np.inf
    assert cg.LinearImpact().inverse(one(0.0))[0] == 1.0
    assert cg.SquareRootImpact(0.5).inverse(one(0.0))[0] == 4.0
    for impact, lowest in ((cg.ExponentialImpact(), 0.0), (cg.FloorExponentialImpact(0.4), 0.4)):
        assert impact.inverse(one(lowest))[0] == np.inf
    assert cg.ConstantProductImpact().inverse(np.array([0.0, np.inf])).tolist() == [np.inf, -2.0]


def test_a_far_interval_neither_overflows_nor_vanishes():
    for start, end in ((800.0, -1.0), (-1.0, 800.0)):
        mean = cg.ExponentialImpact().average_factor(one(start), one(end))[0]
        assert mean == pytest.approx(math.e / 801.0, rel=1e-15)
    assert cg.ConstantProductImpact().average_factor(one(1e300), one(1e300))[0] == 0.0
    assert cg.SquareRootImpact(1e-200).average_factor(one(0.0), one(9.0))[0] == 1.0


@every_impact
def test_the_slope_is_that_of_f_and_at_a_kink_that_of_further_sales(name: str):
    impact, f, kinks = DEFINITIONS[name]
    x = np.sort(np.random.default_rng(9).uniform(-1.9, 4.0, 500))
    x = x[np.abs(x[:, np.newaxis] - np.array([*kinks, 9.0])).min(axis=1) > 1e-2]
    h = 1e-4
    expected = [(8 * (f(a + h) - f(a - h)) - (f(a + 2 * h) - f(a - 2 * h))) / (12 * h) for a in x]
    np.testing.assert_allclose(impact.slope(x), expected, rtol=1e-6, atol=1e-9)
    for kink in kinks:
        ahead = (f(kink + 1e-9) - f(kink)) / 1e-9
        assert impact.slope(one(kink))[0] == (-np.inf if ahead < -1e3 else pytest.approx(ahead, abs=1e-5))
    assert impact.slope(np.zeros((2, 3))).shape == (2, 3)


@every_impact
def test_the_slope_of_the_average_from_zero_on(name: str):
    definition = DEFINITIONS[name]
    impact, h = definition.impact, 1e-4
    x = np.sort(np.random.default_rng(10).uniform(-1.9, 4.0, 200))
    x = x[np.abs(x[:, np.newaxis] - np.array([0.0, *definition.kinks])).min(axis=1) > 1e-2]
    near, far = ([mean_by_quadrature(definition, 0.0, a + b * h) for a in x] for b in (1, 2))
    back, far_back = ([mean_by_quadrature(definition, 0.0, a - b * h) for a in x] for b in (1, 2))
    expected = (8 * (np.array(near) - back) - (np.array(far) - far_back)) / (12 * h)
    np.testing.assert_allclose(impact.average_slope(x), expected, rtol=1e-6, atol=1e-9)
    tiny = np.array([1e-17, -1e-17, 1e-12, -1e-12, 1e-9, 1e-7])
    to_slope = 2 / 3 if name.startswith("root") else 0.5  # the mean of [0, x] is f(4/9 x), or f(x/2)
    np.testing.assert_allclose(impact.average_slope(tiny), to_slope * impact.slope(tiny), rtol=1e-6)
    assert impact.average_slope(np.zeros(2)).tolist() == [to_slope * impact.slope(np.zeros(1))[0]] * 2


def test_slopes_by_asset_are_those_of_each_asset():
    x = np.array([0.3, -0.2])
    for kind, values in BY_ASSET.values():
        together = kind(values).for_assets(pd.Index(["ETH", "BTC"]))
        alone = [kind(values["ETH"]), kind(values["BTC"])]
        assert together.slope(x).tolist() == [rule.slope(x[[k]])[0] for k, rule in enumerate(alone)]
        assert together.average_slope(x).tolist() == [rule.average_slope(x[[k]])[0] for k, rule in enumerate(alone)]


def test_a_price_of_nothing_or_without_bound_has_its_slope():
    assert cg.SquareRootImpact(1e-200).slope(np.array([0.0, 4.0])).tolist() == [-np.inf, -2.5e-201]
    assert cg.SquareRootImpact(0.5).slope(np.array([4.0, 9.0])).tolist() == [0.0, 0.0]
    assert cg.ConstantProductImpact().slope(np.array([-2.0, -3.0])).tolist() == [-np.inf, -np.inf]


# --- published numbers ----------------------------------------------------------------------------------------------


def test_exponential_impact_reproduces_the_published_closed_forms():
    """Cifuentes, Ferrucci & Shin (2005): p = p0 exp(-a q), revenue p0 (1 - exp(-a q)) / a."""
    reference = case("price_impact_closed_forms")
    p0, a, q = (reference["inputs"]["exp"][name] for name in ("p0", "a", "q"))
    expected, tolerance = reference["expected"]["exp"], reference["tolerance"]
    x = one(a * q)
    impact = cg.ExponentialImpact()
    assert p0 * impact.price_factor(x)[0] == pytest.approx(expected["price"], rel=tolerance)
    average = p0 * impact.average_factor(np.zeros(1), x)[0]
    assert average == pytest.approx(expected["vwap"], rel=tolerance)
    assert average * q == pytest.approx(expected["revenue"], rel=tolerance)
    assert p0 * impact.average_factor(np.zeros(1), one(1e6))[0] * 1e6 / a == pytest.approx(expected["sup_revenue"])
    selling_tenth = impact.inverse(one(1.0 - reference["inputs"]["caccioli"]["drop"]))[0]
    alpha = selling_tenth / reference["inputs"]["caccioli"]["frac"]
    assert alpha == pytest.approx(reference["expected"]["caccioli_alpha"], rel=tolerance)


def test_constant_product_impact_is_what_a_pool_pays_and_quotes():
    reference = case("price_impact_closed_forms")
    X, Y, sold = (reference["inputs"]["cpmm"][name] for name in ("X", "Y", "dx"))
    expected, tolerance = reference["expected"]["cpmm"], reference["tolerance"]
    p0, depth = Y / X, Y / 2
    x = one(sold * p0 / depth)
    impact = cg.ConstantProductImpact()
    assert p0 * impact.price_factor(x)[0] == pytest.approx(expected["spot_after"], rel=tolerance)
    average = p0 * impact.average_factor(np.zeros(1), x)[0]
    assert average == pytest.approx(expected["avg_price"], rel=tolerance)
    assert average * sold == pytest.approx(expected["out"], rel=tolerance)


def test_square_root_impact_is_the_published_fall():
    reference = case("price_impact_closed_forms")
    y, sigma, sold, volume = (reference["inputs"]["sqrt"][name] for name in ("Y", "sigma", "Q", "V"))
    fall = 1.0 - cg.SquareRootImpact(y * sigma).price_factor(one(sold / volume))[0]
    assert fall == pytest.approx(reference["expected"]["sqrt"]["rel_drop"], rel=reference["tolerance"])


def test_floor_exponential_impact_adds_up_the_rounds_of_cont_and_schaanning():
    reference = case("cont_schaanning_rounds")
    inputs, expected = reference["inputs"], reference["expected"]
    depth = inputs["c"] * inputs["ADV"] / inputs["sigma"] * math.sqrt(inputs["tau"])
    impact = cg.FloorExponentialImpact(inputs["B"] / inputs["S0"], volume="current")
    assert (1 - impact.floor) * depth == pytest.approx(expected["delta"], rel=reference["tolerance"])
    price, x = inputs["S0"], 0.0
    for step in expected["rounds"]:
        x += step["q"] / depth
        after = inputs["S0"] * impact.price_factor(one(x))[0]
        assert after == pytest.approx(step["S"], rel=reference["tolerance"])
        assert 1 - after / price == pytest.approx(step["psi"], abs=reference["tolerance"])
        price = after


# --- books ----------------------------------------------------------------------------------------------------------


def test_books_of_different_lengths_go_by_asset():
    books = {"C": [(0.5, 0.5)], "A": BOOK, "B": [(-1.0, 1.5), (1.0, 0.75), (2.0, 0.0)]}
    assets = pd.Index(["A", "B", "C"])
    impact = cg.OrderBookImpact(books).for_assets(assets)
    for start, end in np.random.default_rng(2).uniform(-2.0, 4.0, (100, 2, 3)):
        alone = [cg.OrderBookImpact(books[asset]) for asset in assets]
        together = impact.price_factor(start), impact.average_factor(start, end), impact.inverse(np.maximum(end, 0))
        for k, rule in enumerate(alone):
            assert together[0][k] == rule.price_factor(start[[k]])[0] == pytest.approx(book(books[assets[k]])(start[k]))
            assert together[1][k] == pytest.approx(rule.average_factor(start[[k]], end[[k]])[0], rel=1e-14)
            assert together[2][k] == rule.inverse(np.maximum(end[[k]], 0))[0]


@every_impact
def test_several_scenarios_go_together_one_a_row(name: str):
    impact = DEFINITIONS[name].impact
    start, end = np.random.default_rng(1).uniform(-1.9, 4.0, (2, 5, 3))
    factor = impact.price_factor(start)
    assert factor.tolist() == [impact.price_factor(row).tolist() for row in start]
    means = [impact.average_factor(a, b).tolist() for a, b in zip(start, end, strict=True)]
    assert impact.average_factor(start, end).tolist() == means
    assert impact.inverse(factor).tolist() == [impact.inverse(row).tolist() for row in factor]


def test_levels_of_a_book_pass_through_its_orders():
    bids, asks = [(99.0, 10.0), (98.0, 30.0), (90.0, 5.0)], [(101.0, 20.0), (110.0, 1.0)]
    impact = cg.OrderBookImpact(cg.OrderBookImpact.levels_of_book(100.0, bids, asks, depth=2e3))
    sizes = np.array([10.0, 40.0, 45.0, -20.0, -21.0]) * 100.0 / 2e3
    np.testing.assert_allclose(100.0 * impact.price_factor(sizes), [99.0, 98.0, 90.0, 101.0, 110.0])
    value = 10.0 * (100 + 99) / 2 + 30.0 * (99 + 98) / 2 + 5.0 * (98 + 90) / 2
    assert 45.0 * 100.0 * impact.average_factor(np.zeros(1), sizes[[2]])[0] == pytest.approx(value)
    with pytest.raises(cg.ParameterError, match="sizes must rise, and factors must not"):
        cg.OrderBookImpact.levels_of_book(100.0, [(98.0, 1.0), (99.0, 1.0)])
    with pytest.raises(cg.ParameterError, match=r"OrderBookImpact: price is 0; it must be a number above 0$"):
        cg.OrderBookImpact.levels_of_book(0, bids)


# --- parameters by asset --------------------------------------------------------------------------------------------

BY_ASSET = {
    "coefficient": (cg.SquareRootImpact, {"BTC": 0.1, "ETH": 0.2}),
    "levels": (cg.OrderBookImpact, {"BTC": [(1.0, 0.9)], "ETH": [(1.0, 0.5)]}),
}
by_asset = pytest.mark.parametrize("name", BY_ASSET)


@by_asset
def test_parameters_by_asset_take_the_order_of_the_assets(name: str):
    kind, values = BY_ASSET[name]
    x = np.array([0.3, 0.7])
    expected = [kind(values[asset]).price_factor(x[[k]])[0] for k, asset in enumerate(["ETH", "BTC"])]
    for given in (values, pd.Series(values)):
        impact = kind(given, volume="current").for_assets(pd.Index(["ETH", "BTC"]))
        assert impact.volume == "current"
        assert impact.price_factor(x).tolist() == expected
        assert pickle.loads(pickle.dumps(impact)).price_factor(x).tolist() == expected
        back = impact.for_assets(pd.Index(["BTC", "ETH"]))
        assert back.price_factor(x[::-1]).tolist() == expected[::-1]


@by_asset
def test_an_asset_unknown_missing_or_named_twice_is_refused_by_name(name: str):
    kind, values = BY_ASSET[name]
    impact = kind(values)
    unknown = rf"{kind.__name__}: {name} names asset 'ETH', which the graph does not have \(did you mean 'ETHX'\?\)"
    with pytest.raises(cg.ParameterError, match=unknown):
        impact.for_assets(pd.Index(["BTC", "ETHX"]))
    with pytest.raises(cg.ParameterError, match=rf"{name} has nothing for asset 'ETC' \(did you mean 'ETH'\?\)"):
        impact.for_assets(pd.Index(["BTC", "ETH", "ETC"]))
    with pytest.raises(cg.ParameterError, match=f"{name}: a label as number and as text"):
        kind({1: values["BTC"], "1": values["ETH"]})
    with pytest.raises(cg.ParameterError, match=rf"{name} is given by asset; take for_assets\(graph.assets\)"):
        impact.price_factor(np.zeros(2))


@by_asset
def test_impacts_by_asset_are_values(name: str):
    kind, values = BY_ASSET[name]
    turned = dict(reversed(values.items()))
    assert kind(values) == kind(turned) == kind(pd.Series(values)) != kind(values, volume="current")
    assert hash(cg.MarginCascade(impact=kind(values))) == hash(cg.MarginCascade(impact=kind(turned)))
    assert kind({1: values["BTC"]}).for_assets(pd.Index(["1"])).price_factor(np.zeros(1)).tolist() == [1.0]


@every_impact
def test_an_impact_for_all_assets_is_its_own(name: str):
    impact = DEFINITIONS[name].impact
    assert impact.for_assets(pd.Index(["A", "B"])) == impact
    assert impact.volume == "initial"
    assert impact.price_factor(np.zeros(3)).tolist() == [1.0, 1.0, 1.0]


# --- where it is undefined, and what is refused ---------------------------------------------------------------------


def test_buying_a_whole_reserve_stops_the_run_and_names_the_asset():
    assert cg.ConstantProductImpact().price_factor(np.array([-2.0, -3.0])).tolist() == [np.inf, np.inf]
    assert cg.ConstantProductImpact().average_factor(np.zeros(1), one(-2.0)).tolist() == [np.inf]
    graph = cg.ExposureGraph.from_arrays([[-3.0]], price=100.0, depth=100.0, cash=[290.0], assets=["GME"])
    with pytest.raises(cg.ConvergenceError, match="price of asset 'GME' is inf after round 1"):
        cg.MarginCascade(impact=cg.ConstantProductImpact()).run(graph)


REFUSED = {
    "volume": (
        lambda: cg.LinearImpact(volume="then"),
        "LinearImpact: volume is 'then'; it must be one of initial, cur",
    ),
    "floor 1": (lambda: cg.FloorExponentialImpact(1.0), "floor is 1.0; it must be a number from 0 to below 1$"),
    "floor below 0": (lambda: cg.FloorExponentialImpact(-0.1), "FloorExponentialImpact: floor is -0.1"),
    "floor NaN": (lambda: cg.FloorExponentialImpact(math.nan), "FloorExponentialImpact: floor is nan"),
    "coefficient 0": (
        lambda: cg.SquareRootImpact(0),
        "SquareRootImpact: coefficient is 0; it must be a number above 0$",
    ),
    "coefficient text": (lambda: cg.SquareRootImpact("0.1"), "SquareRootImpact: coefficient is '0.1'"),
    "coefficient of": (lambda: cg.SquareRootImpact({"A": math.inf}), "coefficient of asset 'A' is inf; it must be a"),
    "no levels": (lambda: cg.OrderBookImpact([]), r"levels is \[\]; it must be one or more pairs \(size, factor\)"),
    "levels a number": (
        lambda: cg.OrderBookImpact(0.5),
        "OrderBookImpact: levels is 0.5; it must be one or more pairs",
    ),
    "sizes": (lambda: cg.OrderBookImpact([(0.2, 0.9), (0.2, 0.8)]), r"has \(0.2, 0.8\) after \(0.2, 0.9\); sizes must"),
    "sizes fall": (lambda: cg.OrderBookImpact([(0.2, 0.9), (-0.2, 0.8)]), r"has \(-0.2, 0.8\) after \(0.2, 0.9\)"),
    "rising": (
        lambda: cg.OrderBookImpact({"A": [(0.1, 1.1)]}),
        r"levels of asset 'A' has \(0.1, 1.1\) after \(0.0, 1.0",
    ),
    "bid above": (lambda: cg.OrderBookImpact([(-0.1, 0.9)]), r"has \(0.0, 1.0\) after \(-0.1, 0.9\)"),
    "negative": (
        lambda: cg.OrderBookImpact([(0.1, -0.1)]),
        r"has \(0.1, -0.1\); both must be finite, the factor not neg",
    ),
    "NaN": (lambda: cg.OrderBookImpact([(math.nan, 0.5)]), r"OrderBookImpact: levels has \(nan, 0.5\); both must be"),
    "at 0": (lambda: cg.OrderBookImpact([(0.0, 0.9), (1.0, 0.5)]), r"has \(0.0, 0.9\); .* and 1 at size 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nonsense_is_refused_when_an_impact_is_built(name: str):
    build, message = REFUSED[name]
    with pytest.raises(cg.ParameterError, match=message):
        build()


def test_numbers_of_numpy_are_numbers():
    assert cg.SquareRootImpact({"A": np.int64(1)}) == cg.SquareRootImpact({"A": np.float64(1.0)})
    assert cg.FloorExponentialImpact(np.int64(0)).price_factor(one(1.0))[0] == pytest.approx(math.exp(-1))
