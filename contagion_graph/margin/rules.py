"""The rules of a cascade, checked when they are put together."""

from dataclasses import dataclass

from contagion_graph.errors import ParameterError
from contagion_graph.rules.checks import check_number
from contagion_graph.rules.impact import ExponentialImpact, Impact
from contagion_graph.rules.liquidation import FullLiquidation, Liquidation
from contagion_graph.rules.sharing import ProRata


@dataclass(frozen=True)
class CascadeRules:
    """Liquidation, impact, sharing, penalty and the limits of a cascade; `MarginCascade` describes them."""

    liquidation: Liquidation = FullLiquidation()  # noqa: RUF009 - frozen
    impact: Impact = ExponentialImpact()  # noqa: RUF009 - frozen
    sharing: ProRata | None = ProRata("equity")  # noqa: RUF009 - frozen
    penalty: float = 0.0
    penalty_to_fund: float = 0.0
    tol: float = 1e-12
    max_rounds: int = 10_000

    def __post_init__(self) -> None:
        for name, method in (("liquidation", "closed_share"), ("impact", "price_factor"), ("sharing", "weights")):
            rule = getattr(self, name)
            if isinstance(rule, type) or not (hasattr(rule, method) or (name == "sharing" and rule is None)):
                raise ParameterError(f"MarginCascade: {name} is {rule!r}; it must be a rule with a method {method}")
        check_number("MarginCascade", "penalty", self.penalty, low=0, high=1)
        check_number("MarginCascade", "penalty_to_fund", self.penalty_to_fund, low=0, high=1)
        check_number("MarginCascade", "tol", self.tol, low=0, high=1)
        check_number("MarginCascade", "max_rounds", self.max_rounds, low=1, whole=True)
