"""Threshold cascades: a node that has lost a share of its equity fails; its creditors lose what is not recovered."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from contagion_graph._typing import FloatArray
from contagion_graph.distress.model import SHARE, DistressModel, check_scalar, follow_levels
from contagion_graph.distress.result import Outcomes
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.state import Passing
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument


@dataclass(frozen=True)
class ThresholdCascade(DistressModel):
    """A node fails once it has lost the share `threshold` of its equity; before that, its creditors lose nothing.

    loss_i = given_i + sum_j L_ji (1 - recovery_j) [loss_j >= threshold_j E_j], round by round; the least solution. A
    threshold below 1 is a supervisor that closes a bank before its equity is gone. Equity within 1e-12 of the threshold
    counts as there. A node without positive equity has failed before the first round. The answer is exact: every node
    fails once, or never.

    Parameters
    ----------
    recovery : number, or mapping or Series by node (others 0), or array_like of shape (n,)
        Share in [0, 1] of what a failed node owes that its creditors get.
    threshold : number, mapping or Series by node (others 1), or array_like of shape (n,)
        Share in (0, 1] of its equity at whose loss a node fails.

    References
    ----------
    Gai & Kapadia (2010), Proceedings of the Royal Society A 466, section 2; Watts (2002), PNAS 99(9), for thresholds.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0, 6, 0], [0, 0, 8], [0, 0, 0]], external_assets=[10, 9, 3], nodes=["A", "B", "C"]
    ... )
    >>> cg.ThresholdCascade(threshold=0.8).run(network, equity_shock={"A": 1.0}).default_round.to_dict()
    {'A': 1, 'B': 2, 'C': 0}
    """

    recovery: Any = 0.0
    _: KW_ONLY
    threshold: Any = 1.0

    def __post_init__(self) -> None:
        check_scalar(type(self).__name__, "recovery", self.recovery)
        check_scalar(type(self).__name__, "threshold", self.threshold, above=True)

    def _follow(self, network: ObligationNetwork, losses: FloatArray) -> Outcomes:
        """Follow many cases together, see `DistressModel._follow`."""
        kind = Number("share", low=0.0, high=1.0, above=True)
        threshold = argument("threshold", self.threshold, network.nodes, kind, base=1.0)
        recovery = argument("recovery", self.recovery, network.nodes, SHARE)
        passing = Passing(0.0, threshold, once=False)
        return follow_levels(network, losses, passing, recovery=recovery, insolvent="defaulted", tol=0.0)
