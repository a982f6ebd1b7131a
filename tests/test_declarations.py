"""Rules declare what analyses may rely on; a subclass that changes behaviour is asked or refused, never ignored."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.importance.absences.coalitions import Game
from contagion_graph.margin.equilibria.isotone import isotone_obstacles
from contagion_graph.margin.equilibria.jacobian import rule_slopes
from contagion_graph.rules.declarations import declared
from contagion_graph.rules.liquidation import BreachedAccounts, ClosedSides, LiquidationRule
from contagion_graph.scenarios import LossAbove

Values = np.ndarray
GRAPH = cg.ExposureGraph.from_arrays(
    [[10.0], [10.0]], price=[100.0], depth=1e6, margin_long=0.1, cash=[-815.0, -500.0], traders=["A", "B"]
)
SHOCK = {"0": -0.10}


class Half(cg.FullLiquidation):
    """Closes half of what is left, with the declarations of a rule that closes everything."""

    def closed_share(self, accounts: BreachedAccounts) -> Values:
        """Return 1/2."""
        return np.full_like(accounts.equity, 0.5)


class HalfMixin:
    """The same behaviour, from a class that is no rule."""

    def closed_share(self, accounts: BreachedAccounts) -> Values:
        """Return 1/2."""
        return np.full_like(accounts.equity, 0.5)


class Mixed(HalfMixin, cg.FullLiquidation):
    """Takes its behaviour from a mixin."""


class DoubleMargins(cg.FullLiquidation):
    """Needs twice the margin of the graph."""

    def margin_units(self, graph: cg.ExposureGraph):
        """Return twice those of the graph."""
        return 2.0 * graph.margin_units


class HalfSides(cg.FullLiquidation):
    """Closes half of both sides."""

    def closed_sides(self, accounts: BreachedAccounts) -> ClosedSides:
        """Return 1/2 for both."""
        half = np.full_like(accounts.equity, 0.5)
        return ClosedSides(half, half, 0.0 * half)


@dataclass(frozen=True)
class Steep(cg.LinearImpact):
    """Moves prices twice as far as its parent."""

    def price_factor(self, x: Values) -> Values:
        """Return f(2 x)."""
        return super().price_factor(2.0 * x)

    def average_factor(self, start: Values, end: Values) -> Values:
        """Return the mean of f(2 x)."""
        return super().average_factor(2.0 * start, 2.0 * end)


@dataclass(frozen=True)
class Ranked(cg.ProRata):
    """The account with the largest equity alone bears losses: its weight depends on the others."""

    def weights(self, graph: cg.ExposureGraph, price_shocked: Values) -> Values:
        """Return 1 for the largest."""
        equity = graph.equity.to_numpy()
        return (equity == equity.max()).astype(np.float64)


@dataclass(frozen=True)
class ShockedEquity(cg.ProRata):
    """Shares losses by equity at the shocked prices."""

    def weights(self, graph: cg.ExposureGraph, price_shocked: Values) -> Values:
        """Return positive equity."""
        return np.maximum(graph.cash + graph.quantity @ price_shocked, 0.0)


CHANGED = [Half(), Mixed(), HalfSides(), DoubleMargins()]


@pytest.mark.parametrize("rule", CHANGED, ids=lambda rule: type(rule).__name__)
def test_what_a_subclass_replaces_is_declared_no_more(rule: LiquidationRule):
    assert declared(rule, "closed_values") is None
    assert declared(rule, "monotone") is None
    model = cg.MarginCascade(rule, waterfall=(cg.InsuranceFund(),))
    assert (model.closed_values, model.closes_whole) == (None, False)
    assert "accounts close in parts" in isotone_obstacles(GRAPH, model)
    with pytest.raises(cg.ParameterError, match="has no derivative here"):
        rule_slopes(rule, 0.0)


@pytest.mark.parametrize("rule", CHANGED, ids=lambda rule: type(rule).__name__)
def test_equilibria_refuse_a_rule_that_declares_nothing(rule: LiquidationRule):
    model = cg.MarginCascade(rule, waterfall=(cg.InsuranceFund(),))
    assert cg.MarginCascade(Half(), waterfall=(cg.InsuranceFund(),)).run(GRAPH, SHOCK).accounts["closed"].tolist() == [
        0.5,
        0.0,
    ]
    with pytest.raises(cg.ParameterError, match=r"equilibria are known .* declare .*monotone = True"):
        model.equilibria(GRAPH, SHOCK)
    with pytest.raises(cg.ParameterError, match="equilibria are known"):
        model.equilibrium_near(GRAPH, SHOCK, closed=[0.0, 0.0])
    with pytest.raises(cg.ParameterError, match=r"equilibria are known|no derivative"):
        cg.marginal_exposure(GRAPH, model, shock=SHOCK)
    with pytest.raises(cg.ParameterError, match="no derivative"):
        cg.spectral_radius(GRAPH, model, SHOCK)


class HalfDeclared(Half):
    """Half, and says so."""

    closed_values = (0.0, 0.5, 1.0)
    monotone = True


def test_a_rule_that_declares_again_is_used_as_it_says():
    both = cg.MarginCascade(HalfDeclared(), waterfall=(cg.InsuranceFund(),)).equilibria(GRAPH, SHOCK)
    assert [end.accounts["closed"].tolist() for end in (both.least, both.greatest)] == [[0.5, 0.0], [0.5, 0.0]]
    assert both.least.solution.error_bound == 0.0
    with pytest.raises(cg.ParameterError, match="no distance_to_jump"):
        cg.marginal_exposure(GRAPH, cg.MarginCascade(HalfDeclared(), waterfall=(cg.InsuranceFund(),)), shock=SHOCK)


def test_a_bonus_that_a_static_map_does_not_know_is_refused():
    class Paid(HalfDeclared):
        bonus = 0.1

    with pytest.raises(cg.ParameterError, match="declare no bonus"):
        cg.MarginCascade(Paid()).equilibria(GRAPH, SHOCK)


VENUE = cg.ExposureGraph.from_arrays(
    [[30.0, 0.0], [10.0, 20.0], [0.0, 25.0], [1.0, 1.0], [2.0, 1.0]],
    price=[100.0, 50.0],
    depth=1e4,
    margin_long=0.1,
    cash=[-2600.0, -1750.0, -1050.0, 100.0, 40.0],
    traders=list("ABCDE"),
)
FALLS = np.linspace(-0.02, -0.4, 9)


def shocks() -> list[dict[str, float]]:
    """Return the scenarios of the sweep."""
    return [{"0": fall, "1": fall / 2} for fall in FALLS]


MODELS = {
    "half": cg.MarginCascade(Half(), waterfall=(cg.InsuranceFund(),)),
    "mixed": cg.MarginCascade(Mixed()),
    "sides": cg.MarginCascade(HalfSides()),
    "margins": cg.MarginCascade(DoubleMargins(), waterfall=(cg.InsuranceFund(),)),
    "steep": cg.MarginCascade(impact=Steep(), waterfall=(cg.InsuranceFund(),)),
    "ranked": cg.MarginCascade(waterfall=(cg.InsuranceFund(), Ranked())),
    "shocked equity": cg.MarginCascade(waterfall=(cg.InsuranceFund(), ShockedEquity())),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_sweep_has_the_losses_of_single_runs(name: str):
    from contagion_graph.margin.candidates.batch import Batches

    model = MODELS[name]
    prices = np.array([VENUE.price * (1.0 + np.array(list(shock.values()))) for shock in shocks()])
    for ended in Batches(VENUE, model).run(prices):
        single = model.run(VENUE, shocks()[ended.number]).arrays
        arrays = ended.path.arrays()
        assert arrays.price_after.tobytes() == single.price_after.tobytes()
        assert arrays.closed.tobytes() == single.closed[ended.rows].tobytes()
        assert arrays.uncovered.tobytes() == single.uncovered.tobytes()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("measure", ["loss", "shortfall", "uncovered"])
def test_a_knockout_is_the_difference_of_two_markets(name: str, measure: str):
    game = Game(VENUE, MODELS[name], {"0": -0.25, "1": -0.1}, measure=measure, name="knockout")
    for trader, label in enumerate(VENUE.traders):
        rest = VENUE.subset(traders=[each for each in VENUE.traders if each != label])
        expected = 0.0
        for sign, shock in ((1.0, game.shocked.shock), (-1.0, None)):
            with_all, without = MODELS[name].run(VENUE, shock), MODELS[name].run(rest, shock)
            if measure == "loss":
                others = with_all.accounts["loss"].sum() - with_all.traders["loss"][label]
                expected += sign * (others - without.accounts["loss"].sum())
            else:
                ends = with_all.pools[measure].sum(), without.pools[measure].sum()
                expected += sign * (ends[0] - ends[1])
        assert game.knockout(trader) == pytest.approx(expected, abs=1e-8)


def test_a_part_of_an_account_needs_weights_that_say_how_they_scale():
    game = Game(VENUE, MODELS["ranked"], {"0": -0.25}, measure="uncovered", name="aumann_shapley")
    with pytest.raises(cg.ParameterError, match="Ranked does not declare by_account and proportional"):
        game.scaled(np.full(5, 0.5))
    assert game.without(np.arange(5)) == 0.0


@pytest.mark.parametrize("name", MODELS)
def test_a_tipping_point_is_certain_only_for_rules_that_declare_it(name: str):
    from contagion_graph.scenarios.trials import Trials

    event = cg.scenarios.ShareClosed(0.5)

    def certain(model: cg.MarginCascade, event: object) -> bool:
        return Trials("tipping_point", VENUE, model, event, "raise").certain(-np.ones(2))

    assert certain(cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), event)
    assert certain(MODELS[name], event) == (name == "steep")
    assert not certain(MODELS[name], LossAbove(1e6))


def test_stabilise_knows_the_cash_for_the_margins_of_the_graph_alone():
    with pytest.raises(cg.ParameterError, match="margins = 'graph', not DoubleMargins"):
        cg.collateral.stabilise(VENUE, MODELS["margins"], {"0": -0.2})
    end = cg.collateral.stabilise(VENUE, MODELS["half"], {"0": -0.2}, event="closure")
    assert end.lower_bound is None
    assert not end.result.arrays.closed.any()


def test_slopes_of_a_parent_are_not_those_of_a_steeper_impact():
    model = cg.MarginCascade(cg.TargetMargin(), impact=Steep(), waterfall=(cg.InsuranceFund(),))
    with pytest.raises(cg.ParameterError, match=r"Steep has no slope\(x\)"):
        cg.spectral_radius(VENUE, model, {"0": -0.2})

    @dataclass(frozen=True)
    class Sloped(Steep):
        def slope(self, x: Values) -> Values:
            return 2.0 * cg.LinearImpact().slope(2.0 * x)

    sloped = replace(model, impact=Sloped())
    half = VENUE.assign(depth=VENUE.depth / 2.0)
    twice = cg.spectral_radius(half, replace(model, impact=cg.LinearImpact()), {"0": -0.2})
    assert cg.spectral_radius(VENUE, sloped, {"0": -0.2}) == pytest.approx(twice, rel=1e-12)
    with pytest.raises(cg.ParameterError, match=r"Sloped has no kinks\(\)"):
        cg.marginal_exposure(VENUE, sloped, shock={"0": -0.2})


def test_weights_that_move_with_prices_have_no_derivative():
    model = replace(MODELS["shocked equity"], liquidation=cg.TargetMargin())
    graph = cg.ExposureGraph.from_arrays(
        [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-950.0, 0.0]
    )
    with pytest.raises(cg.ParameterError, match="does not declare that its weights are fixed"):
        cg.marginal_exposure(graph, model, shock={"0": -0.2})


def test_a_subclass_with_state_of_its_own_is_asked_for_its_margins_again():
    class Scaled(cg.LeverageTarget):
        def __init__(self, scale: float) -> None:
            super().__init__(20.0, target=5.0)
            object.__setattr__(self, "scale", scale)

        def margin_units(self, graph: cg.ExposureGraph):
            return self.scale * super().margin_units(graph)

    needs = [cg.MarginCascade(Scaled(scale)).run(GRAPH).graph.maintenance.sum() for scale in (1.0, 3.0)]
    assert needs[1] == pytest.approx(3.0 * needs[0])
