"""What clearing found: payments, equity, recovery and default round of every node, as labelled tables."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray, IntArray
from contagion_graph.clearing.system import System
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.solvers.arrays import ratio, scaled_rows

if TYPE_CHECKING:
    from contagion_graph.clearing.common_assets import CommonAssetClearing
    from contagion_graph.clearing.model import ClearingModel


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ClearingResult(Result):
    """A clearing vector and what follows from it.

    Parameters
    ----------
    model : ClearingModel or CommonAssetClearing
        The model that was run.
    network : ObligationNetwork
        The network that was cleared.
    system : System
        Its debts in tiers, after losses.
    assets : ndarray, shape (n,)
        Assets of each node when all have paid, before costs of default [currency].
    round_of : ndarray of int, shape (n,)
        As in `default_round`.
    solution : Solution
        Its residual and its errors are shares of a node's balance sheet, of the node where they are largest.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0.0, 20.0, 10.0], [5.0, 0.0, 24.0], [10.0, 0.0, 0.0]], external_assets=10.0, nodes=["A", "B", "C"]
    ... )
    >>> result = cg.EisenbergNoe().run(network)
    >>> result.payments.round(4).to_dict()
    {'A': 24.5455, 'B': 26.3636, 'C': 10.0}
    >>> result.default_round.to_dict()
    {'A': 1, 'B': 2, 'C': 0}
    """

    model: "ClearingModel | CommonAssetClearing"
    network: ObligationNetwork
    system: System
    assets: FloatArray
    round_of: IntArray
    solution: Solution

    @cached_property
    def tier_shares(self) -> FloatArray:
        """The share of each tier that is paid, shape (T, n)."""
        return self.system.shares(self.assets)

    @cached_property
    def by_rank(self) -> pd.DataFrame:
        """What each node pays to others in the network, by rank of seniority, nodes x ranks [currency]."""
        owed = [rank.sum(axis=1) for rank in self.network.ranks]
        shares = self.tier_shares[-len(owed) :]
        columns = {rank: own * share for rank, (own, share) in enumerate(zip(owed, shares, strict=True))}
        return pd.DataFrame(columns, index=self.network.nodes.rename("node"))

    @property
    def payments(self) -> "pd.Series[float]":
        """What each node pays to others in the network [currency]."""
        return self.by_rank.sum(axis=1).rename("payments")

    @property
    def recovery(self) -> "pd.Series[float]":
        """The share of its debts to others in the network that each node pays; 1 where it has none."""
        share = ratio(self.payments.to_numpy(), self.network.owed, 1.0)
        return pd.Series(share, index=self.network.nodes, name="recovery")

    @property
    def equity(self) -> "pd.Series[float]":
        """Assets less all that is due [currency]: below 0 where a node defaults. Its owners keep what is above 0."""
        return pd.Series(self.assets - self.system.total, index=self.network.nodes, name="equity")

    @property
    def default_round(self) -> "pd.Series[int]":
        """When each node defaults: 0 = never, 1 = even if all others pay, k = because of the rounds before k."""
        return pd.Series(self.round_of, index=self.network.nodes, name="default_round")

    @cached_property
    def loss(self) -> "pd.Series[float]":
        """What each node loses of its external assets and of its claims on others in the network [currency]."""
        lent = self.network.claims - self.flows().sum(axis=0)
        lost = self.network.external_assets - self.system.external + lent
        return pd.Series(lost, index=self.network.nodes, name="loss")

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row a node.

        external_assets (after losses), received (from other nodes, and what it holds of their equity), due, payments
        (to nodes), payments_outside, shortfall (due but not paid), default_costs, equity, value (what is left for the
        owners) [currency], recovery (0 to 1), default_round.
        """
        system, payments = self.system, self.payments.to_numpy()
        paid = (self.tier_shares * system.due).sum(axis=0)
        available = system.available(self.assets, system.solvent(self.assets))
        columns = {
            "external_assets": system.external,
            "received": self.assets - system.external,
            "due": system.total,
            "payments": payments,
            "payments_outside": paid - payments,
            "shortfall": system.total - paid,
            "default_costs": self.assets - available,
            "equity": self.assets - system.total,
            "value": system.value(self.assets),
            "recovery": self.recovery.to_numpy(),
            "default_round": self.round_of,
        }
        return pd.DataFrame(columns, index=self.network.nodes.rename("node"))

    def flows(self) -> sparse.csr_array:
        """Return what each node pays to each other.

        Returns
        -------
        csr_array, shape (n, n)
            Debtor x creditor [currency].
        """
        ranks = self.flows_by_rank()
        return sum(ranks[1:], start=ranks[0])

    def flows_by_rank(self) -> tuple[sparse.csr_array, ...]:
        """Return what each node pays to each other, by rank of seniority.

        Returns
        -------
        tuple of csr_array, shape (n, n)
            One matrix a rank, debtor x creditor [currency].
        """
        ranks, shares = self.network.ranks, self.tier_shares[-len(self.network.ranks) :]
        return tuple(scaled_rows(rank, share) for rank, share in zip(ranks, shares, strict=True))

    def summary(self) -> "pd.Series[float]":
        """Return nodes, defaults, fundamental (round 1), rounds, and due, paid, shortfall, default_costs [currency]."""
        nodes = self.nodes
        return pd.Series(
            {
                "nodes": len(nodes),
                "defaults": int((self.round_of > 0).sum()),
                "fundamental": int((self.round_of == 1).sum()),
                "rounds": int(self.round_of.max(initial=0)),
                "due": nodes["due"].sum(),
                "paid": nodes["due"].sum() - nodes["shortfall"].sum(),
                "shortfall": nodes["shortfall"].sum(),
                "default_costs": nodes["default_costs"].sum(),
            },
            name="clearing",
            dtype=np.float64,
        )

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"nodes": self.nodes}

    def __repr__(self) -> str:
        s = self.summary()
        rounds = f"{s['rounds']:.0f} round{'' if s['rounds'] == 1 else 's'}"
        return (
            f"<ClearingResult: {s['defaults']:,.0f} of {s['nodes']:,.0f} nodes default in {rounds}, "
            f"{s['fundamental']:,.0f} of them in the first; of {s['due']:,.6g} due, {s['shortfall']:,.6g} is not paid. "
            f"{self.solution.status.value}>"
        )
