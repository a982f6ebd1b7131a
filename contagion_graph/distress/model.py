"""What all models of distress have in common: the door, the way from stress to currency, and the verdict."""

import warnings
from abc import ABC, abstractmethod
from typing import Any, Literal, get_args

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import check_choice, check_number
from contagion_graph.distress.propagate import spread
from contagion_graph.distress.result import DistressResult, Ends
from contagion_graph.errors import ConvergenceError, ConvergenceWarning, Faults, ParameterError
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.solvers.solution import Solution, Status
from contagion_graph.state import Passing
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import vector

Insolvent = Literal["inert", "defaulted"]
SHARE = Number("share", low=0.0, high=1.0)


class DistressModel(ABC):
    """A model of distress in a network of obligations: `run` one case, or hand it to `single_defaults` and its kin."""

    def run(
        self,
        network: ObligationNetwork,
        *,
        shock: Any = None,
        losses: Any = None,
        on_failure: OnFailure = "raise",
    ) -> DistressResult:
        """Follow given losses to their end.

        Parameters
        ----------
        network : ObligationNetwork
            The network before the losses.
        shock : number, mapping or Series by node, or array_like of shape (n,), optional
            Losses as a share of positive equity, >= 0: a number hits all nodes alike, a mapping those that it names.
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
            Neither a shock nor losses, or no network.
        TableError
            An unknown label, a NaN, or a number below 0.
        ConvergenceError
            The answer is not as exact as `tol`; with the solution.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> network = cg.ObligationNetwork.from_arrays([[0, 6], [0, 0]], external_assets=[9, 4], nodes=["A", "B"])
        >>> cg.Furfine(recovery=0.5).run(network, losses={"A": 4.0}).losses.to_dict()
        {'A': 4.0, 'B': 3.0}
        """
        check_choice("on_failure", on_failure, get_args(OnFailure))
        given = given_losses(network, type(self).__name__, shock, losses)
        ends = self.follow(network, given[None])
        certain = bool(ends.converged[0])
        bound = float(ends.bound[0])
        solution = Solution(
            Status.CONVERGED if certain else Status.STEP_LIMIT,
            steps=int(ends.rounds[0]),
            residual=0.0 if certain else bound,
            error_bound=bound if np.isfinite(bound) else None,
        )
        report(type(self).__name__, solution, on_failure)
        return DistressResult(network, self, given, ends, solution)

    @abstractmethod
    def follow(self, network: ObligationNetwork, losses: FloatArray) -> Ends:
        """Follow many cases together.

        Parameters
        ----------
        network : ObligationNetwork
            The network before the losses.
        losses : ndarray, shape (b, n)
            Given losses, one case a row [currency].

        Returns
        -------
        Ends
        """


def given_losses(network: Any, name: str, shock: Any, losses: Any) -> FloatArray:
    """Return what each node is given to lose, from shares of its equity and amounts, shape (n,) [currency]."""
    if not isinstance(network, ObligationNetwork):
        raise ParameterError(f"{name}: network is a {type(network).__name__}; build an ObligationNetwork first")
    if shock is None and losses is None:
        raise ParameterError(f"{name}: give a shock (shares of equity) or losses (currency); 0 for none")
    faults, amounts = Faults(), np.zeros(len(network.nodes))
    if shock is not None:
        shares = vector("shock", shock, network.nodes, Number("share of equity", low=0.0), faults)
        amounts += shares * np.maximum(network.book_equity, 0.0)
    if losses is not None:
        amounts += vector("losses", losses, network.nodes, Number("currency", low=0.0), faults)
    faults.raise_if_any()
    return amounts


def report(name: str, solution: Solution, on_failure: OnFailure) -> None:
    """Raise, warn or keep quiet about a solution that is not as exact as it was to be."""
    if solution.converged or on_failure == "ignore":
        return
    known = "nothing is proven" if solution.error_bound is None else f"only {solution.error_bound:.2g} is proven"
    message = (
        f"{name}: after {solution.steps:,} rounds the stress is not shown to be within tol of the exact one: {known}. "
        "Losses hardly shrink as they are passed on (see distress.spectral_radius); raise tol"
    )
    if on_failure == "raise":
        raise ConvergenceError(message, solution)
    warnings.warn(message, ConvergenceWarning, stacklevel=3)


def recovery_of(network: ObligationNetwork, recovery: Any) -> FloatArray:
    """Return the share of what a defaulted node owes that its creditors recover, shape (n,)."""
    faults = Faults()
    shares = vector("recovery", recovery, network.nodes, SHARE, faults)
    faults.raise_if_any()
    return shares


def follow_levels(
    network: ObligationNetwork,
    losses: FloatArray,
    passing: Passing,
    *,
    recovery: FloatArray | None = None,
    insolvent: Insolvent,
    tol: float,
) -> Ends:
    """Follow losses as shares of equity, and bring the ends back into currency.

    Parameters
    ----------
    network, losses
        As in `DistressModel.follow`.
    passing : Passing
        What a node passes on of its stress.
    recovery : ndarray, shape (n,), optional
        Share of what a node passes on that does not reach its creditors.
    insolvent : {"inert", "defaulted"}
        What a node without positive equity does: nothing, or pass on everything from the start.
    tol : float
        Error of the stress that is good enough.

    Returns
    -------
    Ends
    """
    equity, solvent = network.book_equity, network.book_equity > 0.0
    given = np.divide(losses, equity, out=np.zeros_like(losses), where=solvent)
    if insolvent == "defaulted":
        given[:, ~solvent] = 1.0
    coupling = network.interbank_leverage
    if recovery is not None and recovery.any():
        reaching = coupling.data * (1.0 - recovery)[coupling.indices]
        coupling = sparse.csr_array((reaching, coupling.indices, coupling.indptr), coupling.shape)
    end = spread(coupling, passing, given, tol=tol)
    marked_down = end.share if recovery is None else end.share * (1.0 - recovery)
    loss, stress = losses + (end.level - given) * equity, np.minimum(end.level, 1.0)
    if not solvent.all():
        loss[:, ~solvent] = losses[:, ~solvent] + (network.obligations.T @ marked_down.T).T[:, ~solvent]
        stress[:, ~solvent] = 1.0 if insolvent == "defaulted" else np.nan
    return Ends(loss, stress, marked_down, end.wave, end.rounds, end.bound, end.bound <= tol)


def check_scalar(owner: str, name: str, value: Any, *, above: bool = False) -> None:
    """Refuse a single number outside [0, 1]; what differs by node is checked against the labels of the network."""
    if isinstance(value, int | float) or np.isscalar(value):
        check_number(owner, name, value, low=0, high=1, above=above)
