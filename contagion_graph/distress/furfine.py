"""Furfine's defaults in rounds: a node whose equity is gone defaults, and a fixed share of its debts is recovered."""

from dataclasses import dataclass
from typing import Any

from contagion_graph._typing import FloatArray
from contagion_graph.distress.model import DistressModel, check_scalar
from contagion_graph.distress.result import Outcomes
from contagion_graph.distress.threshold import ThresholdCascade
from contagion_graph.graph.obligations import ObligationNetwork


@dataclass(frozen=True)
class Furfine(DistressModel):
    """A node defaults when its equity is gone; its creditors then get the share `recovery`, whatever it still has.

    loss_i = given_i + sum_j L_ji (1 - recovery_j) [loss_j >= E_j], round by round; the least solution, reached exactly.
    Equity that is exactly used up is a default, and so is one used up to within 1e-12 of itself. A node without
    positive equity has defaulted before the first round. A node that has not defaulted passes nothing on.

    Parameters
    ----------
    recovery : number, or mapping or Series by node (others 0), or array_like of shape (n,)
        Share in [0, 1] of what a defaulted node owes that its creditors get.

    References
    ----------
    Furfine (2003), J. Money, Credit and Banking 35(1), section 3.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0, 6, 0], [0, 0, 8], [0, 0, 0]], external_assets=[10, 8, 3], nodes=["A", "B", "C"]
    ... )
    >>> cg.Furfine(recovery=0.25).run(network, equity_shock={"A": 1.0}).nodes[["loss", "default_round"]]
          loss  default_round
    node
    A      4.0             1
    B      4.5             0
    C      0.0             0
    """

    recovery: Any = 0.0

    def __post_init__(self) -> None:
        check_scalar("Furfine", "recovery", self.recovery)

    def _follow(self, network: ObligationNetwork, losses: FloatArray) -> Outcomes:
        """Follow many cases together, see `DistressModel._follow`."""
        return ThresholdCascade(self.recovery)._follow(network, losses)
