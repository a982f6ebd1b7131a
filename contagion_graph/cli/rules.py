"""A model and a shock from the options of a command."""

import argparse
from collections.abc import Callable, Iterable

from contagion_graph.cli.arguments import number
from contagion_graph.errors import ContagionError, ParameterError
from contagion_graph.margin.model import MarginCascade
from contagion_graph.rules.impact import ExponentialImpact, ImpactRecord, LinearImpact
from contagion_graph.rules.layers import InsuranceFund, ProRata
from contagion_graph.rules.liquidation import CloseFactor, FullLiquidation, LiquidationRule, TargetMargin

IMPACTS: dict[str, Callable[[], ImpactRecord]] = {"exponential": ExponentialImpact, "linear": LinearImpact}
LIQUIDATIONS: dict[str, Callable[..., LiquidationRule]] = {
    "full": FullLiquidation,
    "target": TargetMargin,
    "close-factor": lambda factor=0.5, full_below=0.0: CloseFactor(factor, full_below=full_below),
}
SHARINGS = ("equity", "deposits", "profit", "open_interest", "share", "none")


def add_rules(command: argparse.ArgumentParser) -> None:
    """Add the rules of a cascade to a command."""
    add = command.add_argument
    add("--impact", choices=list(IMPACTS), default="exponential", help="price impact of sales")
    add(
        "--liquidation",
        default="full",
        metavar="RULE",
        help="full, target[:BUFFER] or close-factor[:FACTOR[:FULL_BELOW]]",
    )
    add("--sharing", choices=SHARINGS, default="equity", help="how members share what the fund does not pay")
    add("--penalty", type=number, default=0.0, metavar="SHARE", help="share of the value that is closed")
    add("--penalty-cap", choices=("equity", "none"), default="equity", help="what a penalty takes at most: equity left")


def model_of(options: argparse.Namespace) -> MarginCascade:
    """Return the cascade with the rules given to a command."""
    return MarginCascade(
        liquidation=_liquidation(options.liquidation),
        impact=IMPACTS[options.impact](),
        waterfall=(InsuranceFund(), *([] if options.sharing == "none" else [ProRata(options.sharing)])),
        penalty=options.penalty,
        penalty_cap=None if options.penalty_cap == "none" else "equity",
    )


def shock_of(texts: Iterable[str]) -> dict[str, float]:
    """Return the shock that texts like ETH=-30% or ETH=-0.3 describe.

    Examples
    --------
    >>> shock_of(["ETH=-30%", "BTC=-0.2"])
    {'ETH': -0.3, 'BTC': -0.2}
    >>> shock_of(["ETH=-30%", "ETH=-20%"])
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: --shock names 'ETH' twice; give each asset once
    """
    shock: dict[str, float] = {}
    for text in texts:
        asset, change = _change(text)
        if asset in shock:
            raise ParameterError(f"--shock names {asset!r} twice; give each asset once")
        shock[asset] = change
    return shock


def _change(text: str) -> tuple[str, float]:
    asset, equals, change = text.rpartition("=")
    try:
        relative = number(change.rstrip("%")) / (100.0 if change.endswith("%") else 1.0)
    except ValueError:
        equals = ""
    if not equals or not asset:
        raise ParameterError(f"--shock {text!r} is not ASSET=CHANGE; write ETH=-30% or ETH=-0.3")
    return asset, relative


def _liquidation(text: str) -> LiquidationRule:
    name, *numbers = text.split(":")
    try:
        return LIQUIDATIONS[name](*map(number, numbers))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ContagionError):
            raise
        message = f"--liquidation {text!r} is not full, target[:BUFFER] or close-factor[:FACTOR[:FULL_BELOW]]"
        raise ParameterError(message) from error
