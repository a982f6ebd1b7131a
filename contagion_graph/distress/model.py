"""What all models of distress have in common: `run`, the step from stress to currency, the report of the error."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import check_number
from contagion_graph.distress.propagate import spread
from contagion_graph.distress.result import DistressResult, Outcomes
from contagion_graph.errors import ParameterError
from contagion_graph.graph.obligations import ObligationNetwork, check_network
from contagion_graph.solvers.arrays import ratio, with_data
from contagion_graph.solvers.iteration import check_on_failure, conclude
from contagion_graph.state import Passing
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument

Insolvent = Literal["inert", "defaulted"]
SHARE = Number("share", low=0.0, high=1.0)


class DistressModel(ABC):
    """A model of distress in a network of obligations: `run` follows one case, `single_defaults` many."""

    remedy = "Losses hardly shrink as they are passed on (see distress.spectral_radius); raise tol."  # of a failure

    def run(
        self,
        network: ObligationNetwork,
        equity_shock: Any = None,
        *,
        losses: Any = None,
        on_failure: OnFailure = "raise",
    ) -> DistressResult:
        """Follow given losses to the least fixed point.

        Parameters
        ----------
        network : ObligationNetwork
            The network before the losses.
        equity_shock : number, mapping or Series by node, or array_like of shape (n,), optional
            Losses as a share of positive equity, >= 0: a number is that of all nodes, a mapping names some nodes.
        losses : number, mapping or Series by node, or array_like of shape (n,), optional
            Losses in currency, >= 0. Both given add up.
        on_failure : {"raise", "warn", "ignore"}
            What to do when the answer cannot be shown to be as exact as the model's `tol` asks.

        Returns
        -------
        DistressResult

        Raises
        ------
        ParameterError
            No network; neither an equity shock nor losses; an unknown node, a NaN, or a number below 0.
        ConvergenceError
            The answer is not as exact as `tol`; with the solution.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> network = cg.ObligationNetwork.from_arrays([[0, 6], [0, 0]], external_assets=[9, 4], nodes=["A", "B"])
        >>> cg.Furfine(recovery=0.5).run(network, losses={"A": 4.0}).loss.to_dict()
        {'A': 4.0, 'B': 3.0}
        """
        check_on_failure(on_failure)
        given = given_losses(network, type(self).__name__, equity_shock, losses)
        outcomes = self._follow(network, given[None])
        solution = solution_of(outcomes, 0)
        where = f"{type(self).__name__}: after {solution.steps:,} rounds the stress {proven(solution)}"
        conclude(solution, on_failure, where, self.remedy)
        return DistressResult(network=network, model=self, given=given, outcomes=outcomes, solution=solution)

    @abstractmethod
    def _follow(self, network: ObligationNetwork, losses: FloatArray) -> Outcomes:
        """Follow many cases together.

        Parameters
        ----------
        network : ObligationNetwork
            The network before the losses.
        losses : ndarray, shape (b, n)
            Given losses, one case a row [currency].

        Returns
        -------
        Outcomes
        """


def solution_of(outcomes: Outcomes, case: int) -> Solution:
    """Return how one of several cases ended."""
    certain, bound = bool(outcomes.converged[case]), float(outcomes.bound[case])
    return Solution(
        Status.CONVERGED if certain else Status.STEP_LIMIT,
        steps=int(outcomes.rounds[case]),
        residual=0.0 if certain else bound,
        error_bound=bound if np.isfinite(bound) else None,
    )


def proven(solution: Solution) -> str:
    """Say what is known of the error of a stress that is not shown to be within `tol`."""
    known = "nothing is proven" if solution.error_bound is None else f"only {solution.error_bound:.2g} is proven"
    return f"is not shown to be within tol of the exact one, {known}"


def given_losses(network: Any, name: str, equity_shock: Any, losses: Any) -> FloatArray:
    """Return what each node is given to lose, from shares of its equity and amounts, shape (n,) [currency]."""
    check_network(network)
    if equity_shock is None and losses is None:
        raise ParameterError(f"{name}: give an equity_shock (shares of equity) or losses (currency); 0 for none")
    amounts = np.zeros(len(network.nodes))
    if equity_shock is not None:
        shares = argument("equity_shock", equity_shock, network.nodes, Number("share of equity", low=0.0))
        amounts += shares * np.maximum(network.book_equity, 0.0)
    if losses is not None:
        amounts += argument("losses", losses, network.nodes, Number("currency", low=0.0))
    return amounts


def follow_levels(
    network: ObligationNetwork,
    losses: FloatArray,
    passing: Passing,
    *,
    recovery: FloatArray | None = None,
    capped: bool = False,
    insolvent: Insolvent,
    tol: float,
) -> Outcomes:
    """Follow losses as shares of equity, and return the outcomes in currency.

    Parameters
    ----------
    network, losses
        As in `DistressModel._follow`.
    passing : Passing
        What a node passes on of its stress.
    recovery : ndarray, shape (n,), optional
        Share of what a node passes on that does not reach its creditors.
    capped : bool
        Whether a debtor costs a creditor at most the share of its equity that the debtor itself has lost.
    insolvent : {"inert", "defaulted"}
        What a node without positive equity does: nothing, or pass on everything from the start.
    tol : float
        Error of the stress that is good enough.

    Returns
    -------
    Outcomes
    """
    equity, solvent = network.book_equity, network.book_equity > 0.0
    given = ratio(losses, equity, 0.0)
    if insolvent == "defaulted":
        given[:, ~solvent] = 1.0
    coupling = network.interbank_leverage
    if capped:
        coupling = with_data(coupling, np.minimum(coupling.data, 1.0))
    if recovery is not None and recovery.any():
        coupling = with_data(coupling, coupling.data * (1.0 - recovery)[coupling.indices])
    end = spread(coupling, passing, given, tol=tol)
    marked_down = end.share if recovery is None else end.share * (1.0 - recovery)
    loss, stress = losses + (end.level - given) * equity, np.minimum(end.level, 1.0)
    if not solvent.all():
        loss[:, ~solvent] = losses[:, ~solvent] + (network.obligations.T @ marked_down.T).T[:, ~solvent]
        stress[:, ~solvent] = 1.0 if insolvent == "defaulted" else np.nan
    return Outcomes(loss, stress, marked_down, end.default_round, end.rounds, end.bound, end.bound <= tol)


def check_scalar(owner: str, name: str, value: Any, *, above: bool = False) -> None:
    """Refuse a single number outside [0, 1]; what differs by node is checked against the labels of the network."""
    if isinstance(value, int | float) or np.isscalar(value):
        check_number(owner, name, value, low=0, high=1, above=above)
