"""The result of a model of distress: losses, stress and default rounds by node, labelled."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import BoolArray, FloatArray, IntArray
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.solvers.arrays import ratio

if TYPE_CHECKING:
    from contagion_graph.distress.model import DistressModel


class Outcomes(NamedTuple):
    """The outcomes of b cases on n nodes.

    Parameters
    ----------
    loss : ndarray, shape (b, n)
        What each node has lost, given losses included, not limited to its equity [currency].
    stress : ndarray, shape (b, n)
        Share of its equity that it has lost, at most 1; NaN where a node takes no part.
    marked_down : ndarray, shape (b, n)
        Share of what it owes that its creditors have lost.
    default_round : ndarray of int, shape (b, n)
        The round in which its equity was found to be gone, 1 = by what was given; 0 = never.
    rounds, bound : ndarray, shape (b,)
        Rounds followed; certified bound on the error of the stress.
    converged : ndarray of bool, shape (b,)
        Whether the answer is as exact as was asked for.
    """

    loss: FloatArray
    stress: FloatArray
    marked_down: FloatArray
    default_round: IntArray
    rounds: FloatArray
    bound: FloatArray
    converged: BoolArray


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class DistressResult(Result):
    """Losses and defaults at the fixed point of a model of distress.

    Parameters
    ----------
    network : ObligationNetwork
        The network before the losses.
    model : DistressModel
        The model that was run.
    given : ndarray, shape (n,)
        Losses that were given [currency].
    outcomes : Outcomes
        What followed, one case.
    solution : Solution
        How the computation ended; its `error_bound` holds for every entry of `stress`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0, 6, 2], [0, 0, 4], [0, 0, 0]], external_assets=[20, 4, 3], external_liabilities=[8, 2, 5],
    ...     nodes=["A", "B", "C"],
    ... )
    >>> result = cg.DebtRank().run(network, equity_shock={"A": 0.5})
    >>> result
    <DistressResult: DebtRank, 3 nodes; 1 of 3 defaulted, loss 9 of which 2 given; stress 0.75>
    >>> result.stress.to_dict()
    {'A': 0.5, 'B': 0.75, 'C': 1.0}
    """

    network: ObligationNetwork
    model: "DistressModel"
    given: FloatArray
    outcomes: Outcomes
    solution: Solution

    @property
    def stress(self) -> "pd.Series[float]":
        """Share of its equity that each node has lost, in [0, 1]; NaN where a node takes no part."""
        return self._series("stress", self.outcomes.stress[0])

    @cached_property
    def uncapped(self) -> "pd.Series[float]":
        """Losses over equity, above 1 where more was lost than there was; NaN without positive equity."""
        return self._series("uncapped", ratio(self.outcomes.loss[0], self.network.book_equity, np.nan))

    @property
    def loss(self) -> "pd.Series[float]":
        """What each node has lost, given losses included, also beyond its equity [currency]."""
        return self._series("loss", self.outcomes.loss[0])

    @property
    def default_round(self) -> "pd.Series[int]":
        """The round in which a node's equity was found to be gone, 1 = by the given losses; 0 = never."""
        return pd.Series(self.outcomes.default_round[0], self.network.nodes.rename("node"), name="default_round")

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row a node.

        equity_before, given, passed_on (losses on claims), loss = given + passed_on, equity_after [currency], stress,
        uncapped, marked_down (share of what the node owes that its creditors have lost), default_round.
        """
        equity, loss = self.network.book_equity, self.outcomes.loss[0]
        columns = {
            "equity_before": equity,
            "given": self.given,
            "passed_on": loss - self.given,
            "loss": loss,
            "equity_after": equity - loss,
            "stress": self.outcomes.stress[0],
            "uncapped": self.uncapped.to_numpy(),
            "marked_down": self.outcomes.marked_down[0],
            "default_round": self.outcomes.default_round[0],
        }
        return pd.DataFrame(columns, index=self.network.nodes.rename("node"))

    @property
    def rounds(self) -> pd.DataFrame:
        """One row a round of defaults: how many nodes lost their equity in it, and how much equity that was."""
        default_round, equity = self.outcomes.default_round[0], np.maximum(self.network.book_equity, 0.0)
        counts = np.bincount(default_round, minlength=2)
        table = {"defaults": counts, "equity_gone": np.bincount(default_round, equity, minlength=2)}
        return pd.DataFrame(table, index=pd.RangeIndex(counts.size, name="round")).iloc[1:]

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            rounds; nodes; defaults_given (nodes whose equity the given losses alone use up) and defaults; equity,
            given, passed_on, loss [currency]; limited_loss (no node loses more than its positive equity); stress =
            limited loss over positive equity; error_bound (of the stress of a node).
        """
        equity, loss = np.maximum(self.network.book_equity, 0.0), self.outcomes.loss[0]
        limited = float((np.nan_to_num(self.outcomes.stress[0]) * equity).sum())
        default_round = self.outcomes.default_round[0]
        return pd.Series(
            {
                "rounds": float(self.outcomes.rounds[0]),
                "nodes": equity.size,
                "defaults_given": np.count_nonzero(default_round == 1),
                "defaults": np.count_nonzero(default_round),
                "equity": self.network.book_equity.sum(),
                "given": self.given.sum(),
                "passed_on": (loss - self.given).sum(),
                "loss": loss.sum(),
                "limited_loss": limited,
                "stress": limited / equity.sum() if equity.any() else np.nan,
                "error_bound": float(self.outcomes.bound[0]),
            },
            name="value",
            dtype=np.float64,
        )

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"nodes": self.nodes, "rounds": self.rounds}

    def __repr__(self) -> str:
        figures = self.summary()
        return (
            f"<DistressResult: {type(self.model).__name__}, {len(self.network.nodes):,} nodes; "
            f"{figures['defaults']:,.0f} of {figures['nodes']:,.0f} defaulted, loss {figures['loss']:,.6g} of which "
            f"{figures['given']:,.6g} given; stress {figures['stress']:.4g}>"
        )

    def _series(self, name: str, values: FloatArray) -> "pd.Series[float]":
        return pd.Series(values, self.network.nodes.rename("node"), name=name)
