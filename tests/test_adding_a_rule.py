"""The examples of docs/adding-a-rule.md run, and rules of one's own that cannot work are refused with advice."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.rules import SharingRule
from contagion_graph.rules.liquidation import BreachedAccounts, ClosedSides, LiquidationRule

PAGE = Path(__file__).parent.parent / "docs" / "adding-a-rule.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_page_has_an_example_for_each_kind_of_rule():
    assert [re.search(r"MarginCascade\((\w+)=", example).group(1) for example in EXAMPLES] == [
        "liquidation",  # of what rules declare
        "liquidation",
        "impact",
        "waterfall",
    ]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_run(number: int):
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(EXAMPLES[number], f"{PAGE.name}, example {number}", "exec"), names)
    assert isinstance(names["result"], cg.CascadeResult)


class Bare:
    """Has the one method that rules had to have, and inherits nothing."""

    def closed_share(self, accounts: BreachedAccounts) -> np.ndarray:
        """Return 1."""
        return np.ones_like(accounts.equity)


class Empty(LiquidationRule):
    """Inherits, and says nothing."""


class Factor:
    """An impact without volume, for_assets and average_factor."""

    def price_factor(self, x: np.ndarray) -> np.ndarray:
        """Return exp(-x)."""
        return np.exp(-x)


REFUSED = {
    "bare": (
        "liquidation",
        Bare(),
        r"it has no margin_units, closed_sides, bonus\. A rule of your own inherits LiquidationRule",
    ),
    "empty": ("liquidation", Empty(), r"it has no closed_share\. A rule of your own inherits LiquidationRule and has"),
    "factor": (
        "impact",
        Factor(),
        r"it has no volume, for_assets, average_factor\. A rule of your own inherits ImpactRecord",
    ),
    "class": ("impact", cg.LinearImpact, "that is a class, not a rule made of it"),
    "number": ("waterfall", 0.5, r"give a tuple of layers, as \(InsuranceFund\(\), ProRata\(\)\)"),
    "layer without weights": (
        "waterfall",
        (SharingRule(),),
        r"it has no weights\. Layers are OwnContribution, .* weights",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_rule_is_refused_with_advice(name: str):
    kind, rule, message = REFUSED[name]
    with pytest.raises(cg.ParameterError, match=message):
        cg.MarginCascade(**{kind: rule})


@dataclass(frozen=True)
class Sides(LiquidationRule):
    """Closes fixed shares of both sides."""

    long: float
    short: float

    def closed_sides(self, accounts: BreachedAccounts) -> ClosedSides:
        """Return them."""
        one = np.ones_like(accounts.equity)
        return ClosedSides(self.long * one, self.short * one, 0.0 * one)


HEDGED = cg.ExposureGraph.from_arrays(
    [[10.0, -10.0]], price=1.0, margin_long=0.5, margin_short=0.5, cash=6.0, assets=["L", "S"]
)


@pytest.mark.parametrize(("long", "short"), [(0.0, 0.0), (1.2, 0.5), (0.5, -0.1), (np.nan, 0.5)])
def test_shares_that_are_no_shares_are_refused(long: float, short: float):
    with pytest.raises(cg.ParameterError, match=r"closes \S+ of the longs and \S+ of the shorts of account"):
        cg.MarginCascade(liquidation=Sides(long, short)).run(HEDGED)


def test_one_side_can_be_closed_alone():
    result = cg.MarginCascade(liquidation=Sides(0.0, 1.0)).run(HEDGED, {})
    assert result.assets["units_sold"].tolist() == [0.0, -10.0]
    assert (result.arrays.closed.tolist(), result.arrays.closed_short.tolist()) == ([0.0], [1.0])
    assert result.accounts["closed"].tolist() == [0.5]
    assert result.assets["open_interest_after"].tolist() == [10.0, 0.0]
    assert result.summary()["closed"] == 0
    assert result.accounts["loss"].tolist() == [0.0]
