"""What all clearing models share: the choice of seniority and of method, and the step from a network to a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from contagion_graph._typing import OnFailure
from contagion_graph._validate import check_choice, check_number
from contagion_graph.clearing.equilibria import ClearingEquilibria
from contagion_graph.clearing.fictitious import Clearing, greatest, least
from contagion_graph.clearing.monotone import iterated
from contagion_graph.clearing.result import ClearingResult
from contagion_graph.clearing.system import System, system_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.obligations import ObligationNetwork, check_network
from contagion_graph.solvers.iteration import check_on_failure, conclude
from contagion_graph.solvers.linear import NonnegativeSystem

Seniority = Literal["external_first", "pari_passu"]
Method = Literal["fictitious_default", "iteration"]
Losses = Mapping[Any, float] | pd.Series | ArrayLike | None


@dataclass(frozen=True, kw_only=True)
class ClearingModel:
    """The parameters of every clearing model, and `run` and `equilibria`.

    Parameters
    ----------
    seniority : {"external_first", "pari_passu"}
        Whether external liabilities are paid before all obligations in the network, or rank with the most senior ones.
    method : {"fictitious_default", "iteration"}
        Linear systems, exact, in finitely many rounds; or iterations of the map until the error is proven small.
    tol : float
        Of "iteration": the error, as a share of each node's balance sheet, that has to be proven.
    max_iter : int
        Of "iteration": the most iterations.
    """

    seniority: Seniority = "external_first"
    method: Method = "fictitious_default"
    tol: float = 1e-12
    max_iter: int = 100_000

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_choice(f"{owner}: seniority", self.seniority, get_args(Seniority))
        check_choice(f"{owner}: method", self.method, get_args(Method))
        check_number(owner, "tol", self.tol, low=0, above=True, high=1)
        check_number(owner, "max_iter", self.max_iter, low=1, whole=True)

    @property
    def remains(self) -> tuple[float, float]:
        """The shares of external assets, and of what other nodes pay, that a default leaves."""
        return 1.0, 1.0

    def run(
        self, network: ObligationNetwork, *, losses: Losses = None, on_failure: OnFailure = "raise"
    ) -> ClearingResult:
        """Find the greatest clearing vector: each node pays as much as it can in any clearing vector.

        Parameters
        ----------
        network : ObligationNetwork
            Who owes whom how much. Ranks of seniority are paid one after the other; what a node holds of the equity of
            others is worth what their creditors leave.
        losses : mapping or Series node -> currency, or array_like, shape (n,), optional
            Taken from external assets, which fall to no less than 0: a loss larger than they are takes all of them.
        on_failure : {"raise", "warn", "ignore"}
            What to do where "iteration" reaches its limit before the error is proven to be small.

        Returns
        -------
        ClearingResult

        Raises
        ------
        ParameterError
            No network; a loss of an unknown node, below 0 or not finite; nodes that own each other wholly.
        ConvergenceError
            "iteration" reached `max_iter`.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> network = cg.ObligationNetwork.from_arrays([[0.0, 8.0], [0.0, 0.0]], external_assets=10.0, nodes=["A", "B"])
        >>> cg.EisenbergNoe().run(network, losses={"A": 6.0}).nodes[["payments", "equity"]].to_dict()
        {'payments': {'A': 4.0, 'B': 0.0}, 'equity': {'A': -4.0, 'B': 14.0}}
        """
        system = self._system(network, losses, on_failure)
        return self._result(network, system, self._end(system, on_failure, from_above=True))

    def equilibria(
        self, network: ObligationNetwork, *, losses: Losses = None, on_failure: OnFailure = "raise"
    ) -> ClearingEquilibria[ClearingResult]:
        """Find the least and the greatest clearing vector.

        They differ where nodes can only pay each other if each expects that the other does.

        Parameters
        ----------
        network, losses, on_failure
            As in `run`.

        Returns
        -------
        ClearingEquilibria
            Of two `ClearingResult`.

        Raises
        ------
        ParameterError, ConvergenceError
            As in `run`.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> network = cg.ObligationNetwork.from_arrays([[0.0, 2.0], [2.0, 0.0]], external_assets=1.0)
        >>> cg.EisenbergNoe().equilibria(network)
        <ClearingEquilibria: 0 to 0 of 2 nodes default; one clearing vector>
        >>> cg.RogersVeraart(alpha=0.4, beta=0.4).equilibria(network)
        <ClearingEquilibria: 0 to 2 of 2 nodes default; clearing vectors differ by up to 2.66667 of payments>
        """
        system = self._system(network, losses, on_failure)
        high, low = (self._end(system, on_failure, from_above=above) for above in (True, False))
        later = np.where(high.round_of > 0, high.round_of, high.round_of.max(initial=0) + 1)
        low = low._replace(round_of=np.where(low.round_of > 0, later, 0).astype(np.int32))
        least, greatest = (self._result(network, system, end) for end in (low, high))
        return ClearingEquilibria(least=least, greatest=greatest)

    def _result(self, network: ObligationNetwork, system: System, end: Clearing) -> ClearingResult:
        return ClearingResult(model=self, network=network, system=system, **end._asdict())

    def _system(self, network: ObligationNetwork, losses: Losses, on_failure: OnFailure) -> System:
        check_network(network)
        check_on_failure(on_failure)
        lost = network.per_node("losses", 0.0 if losses is None else losses)
        alpha, beta = self.remains
        _check_owners(network)
        return system_of(network, lost, external_first=self.seniority == "external_first", alpha=alpha, beta=beta)

    def _end(self, system: System, on_failure: OnFailure, *, from_above: bool) -> Clearing:
        if self.method == "fictitious_default":
            return greatest(system) if from_above else least(system)
        found = iterated(system, from_above=from_above, tol=self.tol, max_iter=self.max_iter)
        where = f"{type(self).__name__}: after {found.solution.steps:,} steps the error is not proven to be below"
        remedy = "Raise max_iter or tol, or use method='fictitious_default'."
        conclude(found.solution, on_failure, f"{where} {self.tol:g} of a balance sheet", remedy)
        return found


def _check_owners(network: ObligationNetwork) -> None:
    """Refuse nodes that own each other wholly: their equity would be whatever it is said to be."""
    held = network.equity_holdings
    if held is None:
        return
    ones = np.ones(len(network.nodes))
    equity = NonnegativeSystem(held.T)
    if (held.sum(axis=1) < 1.0).all():
        return
    try:
        sound = equity.error_of(ones, ones) is not None
    except RuntimeError:  # an exactly singular matrix
        sound = False
    if not sound:
        raise ParameterError("equity_holdings: some nodes own each other wholly; leave a share to owners outside")
