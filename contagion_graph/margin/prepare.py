"""The rules of a cascade, checked when they are put together, and fitted to a graph."""

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal, cast

import numpy as np

from contagion_graph._cached import carry_over
from contagion_graph._validate import check_number
from contagion_graph.errors import InBreachWarning, ParameterError, tell
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.rows import BY_LABEL, BY_PLACE
from contagion_graph.graph.scenario import check_no_instruments, check_rates
from contagion_graph.rules.declarations import declared
from contagion_graph.rules.impact import ExponentialImpact, ImpactRecord
from contagion_graph.rules.layers import InsuranceFund, Layer, ProRata, SharingRule
from contagion_graph.rules.liquidation import FullLiquidation, LiquidationRule

PenaltyCap = Literal["equity"] | None
KEPT = "with the margins of the last rule"  # where a graph keeps that graph, with its values before a shock
NEEDED = {
    "liquidation": ("margin_units", "closed_sides", "bonus"),
    "impact": ("volume", "for_assets", "price_factor", "average_factor"),
}
ADVICE = {
    "liquidation": "inherits LiquidationRule and has closed_share(accounts)",
    "impact": "inherits ImpactRecord and has price_factor(x) and average_factor(start, end)",
}
LAYER = {
    **{"own": ("_amounts",), "fund": ("_amounts",), "purse": ("_amounts",), "members": ("weights", "cap")},
    "deleverage": ("_order", "_score"),
}


@dataclass(frozen=True)
class CascadeRules:
    """Liquidation, impact, waterfall, penalty and the limits of a cascade; `MarginCascade` describes them."""

    liquidation: LiquidationRule = FullLiquidation()  # noqa: RUF009 - frozen
    _: KW_ONLY
    impact: ImpactRecord = ExponentialImpact()  # noqa: RUF009 - frozen
    waterfall: tuple[Layer, ...] = (InsuranceFund(), ProRata("equity"))
    penalty: float = 0.0
    penalty_to_fund: float = 0.0
    penalty_cap: PenaltyCap = "equity"
    trade_price_weight: float | None = None
    tol: float = 1e-12
    max_rounds: int = 10_000

    def __post_init__(self) -> None:
        for name in NEEDED:
            _check_rule(name, getattr(self, name))
        _check_waterfall(self.waterfall)
        check_number("MarginCascade", "penalty", self.penalty, low=0, high=1)
        check_number("MarginCascade", "penalty_to_fund", self.penalty_to_fund, low=0, high=1)
        if self.penalty_cap not in ("equity", None):
            raise ParameterError(f"MarginCascade: penalty_cap is {self.penalty_cap!r}; it must be 'equity' or None")
        if self.trade_price_weight is not None:
            check_number("MarginCascade", "trade_price_weight", self.trade_price_weight, low=0, high=1)
        check_number("MarginCascade", "tol", self.tol, low=0, high=1)
        check_number("MarginCascade", "max_rounds", self.max_rounds, low=1, whole=True)

    @property
    def members(self) -> tuple[SharingRule, ...]:
        """The layers in which members of a pool pay, in order."""
        return tuple(cast(SharingRule, layer) for layer in self.waterfall if layer.kind == "members")

    @property
    def sharing(self) -> SharingRule | None:
        """The layer in which members of a pool pay, of a plain waterfall; None: there is none."""
        return self.members[0] if self.members else None

    @property
    def plain(self) -> bool:
        """Whether the insurance fund pays first, and then nobody, or members without a cap."""
        kinds = [layer.kind for layer in self.waterfall]
        return kinds in (["fund"], ["fund", "members"]) and all(layer.cap == np.inf for layer in self.members)

    @property
    def closed_values(self) -> tuple[float, ...] | None:
        """The values that a closed share can take; None: not known, or any."""
        values: tuple[float, ...] | None = declared(self.liquidation, "closed_values")
        return values

    @property
    def closes_whole(self) -> bool:
        """Whether an account in breach always closes everything."""
        return self.closed_values == (0.0, 1.0)


def _check_rule(name: str, rule: Any) -> None:
    """Refuse what is no rule of its kind, and say what a rule of one's own has."""
    needed = NEEDED[name]
    if getattr(type(rule), "closed_sides", None) is LiquidationRule.closed_sides:
        needed += ("closed_share",)
    lacking = ", ".join(each for each in needed if not hasattr(rule, each))
    if isinstance(rule, type) or lacking:
        fault = f"it has no {lacking}" if lacking else "that is a class, not a rule made of it"
        raise ParameterError(f"MarginCascade: {name} is {rule!r}; {fault}. A rule of your own {ADVICE[name]}")


def _check_waterfall(waterfall: Any) -> None:
    """Refuse what is no tuple of layers, each of a name of its own, in an order in which they can pay."""
    if not isinstance(waterfall, tuple):
        raise ParameterError(
            f"MarginCascade: waterfall is {waterfall!r}; give a tuple of layers, as (InsuranceFund(), ProRata())"
        )
    for layer in waterfall:
        kind = getattr(layer, "kind", None)
        lacking = [name for name in LAYER.get(str(kind), ("kind",)) if not hasattr(layer, name)]
        if isinstance(layer, type) or lacking:
            fault = f"it has no {', '.join(lacking)}" if lacking else "that is a class, not a layer made of it"
            raise ParameterError(
                f"MarginCascade: waterfall has {layer!r}; {fault}. Layers are OwnContribution, InsuranceFund, Purse, "
                "Members, GainsHaircut, Deleverage, ProRata, and what inherits rules.SharingRule and has weights"
            )
    names, kinds = [layer.name for layer in waterfall], [layer.kind for layer in waterfall]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or any(kinds.count(kind) > 1 for kind in ("own", "fund", "deleverage")):
        raise ParameterError(
            f"MarginCascade: waterfall has layers {names}; each is there once, by its own name: Members(name=...)"
        )
    if "own" in kinds[1:]:
        raise ParameterError(
            f"MarginCascade: waterfall has layers {names}; OwnContribution is the first: others pay after it"
        )


def check_plain(graph: ExposureGraph, rules: CascadeRules, what: str) -> None:
    """Refuse waterfalls other than the insurance fund and, after it, members without a cap; vaults too."""
    alone = "sweeps and searches alone take them"
    vault = graph._rows.account_column("vault")
    if vault is not None and vault.any():
        raise ParameterError(
            f"{what}: the graph has vaults (accounts.vault), to which positions pass in rounds; MarginCascade.run, "
            f"{alone}. Leave the column out"
        )
    if not rules.plain:
        raise ParameterError(
            f"{what}: the waterfall is {rules.waterfall}: layers other than the insurance fund and, after it, members "
            f"without a cap; MarginCascade.run, equilibria, {alone}"
        )


def prepared(
    graph: ExposureGraph, rules: CascadeRules, *, any_margin: bool = False, any_waterfall: bool = False
) -> tuple[ExposureGraph, ImpactRecord]:
    """Return the graph with the margin that the liquidation rule goes by, and the impact in the order of its assets.

    A graph keeps the graph that the last frozen rule with margins of its own made of it, for the next run. Instruments
    are refused unless `any_margin` says that what follows runs cascades alone; margin tiers and scenario grids unless
    the liquidation rule takes them too. Waterfalls that are not plain are refused unless `any_waterfall`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[40.0, -10.0]], price=[1.0, 1.0], margin_long=0.1)
    >>> prepared(graph, cg.MarginCascade())[0] is graph
    True
    >>> rules = cg.MarginCascade(liquidation=cg.LeverageTarget(cap=20, target=15))
    >>> prepared(graph, rules)[0].margin_units.toarray().tolist()
    [[2.0, 0.0]]
    >>> prepared(graph, rules)[0] is prepared(graph, rules)[0]
    True
    """
    if not any_margin:
        check_no_instruments(graph, "MarginCascade")
    if not any_waterfall:
        check_plain(graph, rules, "MarginCascade")
    rule, impact = rules.liquidation, rules.impact.for_assets(graph.assets)
    known, found = vars(graph).get(KEPT, (None, graph))
    if known != rule:
        margin_units = rule.margin_units(graph)
        if margin_units is graph.margin_units:
            _check_margins(graph, rules, any_margin)
            return graph, impact
        found = replace(graph, margin_units=margin_units, margin_tiers=None, account_margin=None)
        carry_over(graph._rows, found._rows, (*BY_LABEL, *BY_PLACE))
        params = vars(type(rule)).get("__dataclass_params__")  # a subclass that is no record itself may compare equal
        if params is not None and params.frozen:  # it will stay what it is
            vars(graph)[KEPT] = rule, found
    return found, impact


def _check_margins(graph: ExposureGraph, rules: CascadeRules, any_margin: bool) -> None:
    rule = rules.liquidation
    if not any_margin:
        check_rates(graph, "MarginCascade")
    elif not declared(rule, "any_margin"):
        check_rates(graph, f"MarginCascade with {type(rule).__name__}, which does not declare any_margin = True")


def breached_before(graph: ExposureGraph, rules: CascadeRules) -> int:
    """Return how many accounts are in breach at the prices before any shock.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0], [10.0]], price=[100.0], margin_long=0.1, cash=[-950.0, -500.0])
    >>> breached_before(graph, cg.MarginCascade())
    1
    """
    return int(np.count_nonzero(prepared(graph, rules, any_margin=True, any_waterfall=True)[0]._rows.in_breach))


def warn_in_breach(graph: ExposureGraph, rules: CascadeRules) -> None:
    """Warn where a shock of zero already liquidates."""
    count = breached_before(graph, rules)
    if count:
        message = (
            f"accounts in breach before any shock: {count:,}. A shock of zero liquidates them too, and that is part of "
            "every scenario; run(graph) of the model, or baseline of a result, shows what it alone does."
        )
        tell(message, InBreachWarning)
