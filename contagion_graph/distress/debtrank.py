"""DebtRank: relative losses of equity, passed on to creditors until nothing more is lost."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number
from contagion_graph.distress.model import DistressModel, Insolvent, follow_levels
from contagion_graph.distress.result import Outcomes
from contagion_graph.errors import ParameterError
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.solvers.iteration import iterate
from contagion_graph.solvers.ratio_bound import ratio_bound
from contagion_graph.state import Passing

Variant = Literal["linear", "single_hit", "exponential"]


@dataclass(frozen=True)
class DebtRank(DistressModel):
    """Creditors write claims down by what their debtors have lost of their equity, long before anybody defaults.

    h_i = given_i + sum_j Lambda_ij p(min(1, h_j)), Lambda_ij = L_ji / E_i the interbank leverage; the least solution.

    - "linear": p(h) = h.
    - "exponential": p(h) = h exp(alpha (h - 1)). alpha = 0 is linear; the larger alpha, the later distress is passed
      on; with alpha -> infinity only defaults are, as in `Furfine(recovery=0)`.
    - "single_hit": p(h) = h, but a node passes on only what it has lost when distress first reaches it, and nothing of
      what comes later; so the result depends on the rounds, and cycles count once. Lambda_ij is at most 1 there.

    Where the spectral radius of Lambda (`distress.spectral_radius`) is 1 or more, even small losses grow until some
    node has nothing left to lose. The answer is then still unique, and found in finitely many steps.

    Parameters
    ----------
    variant : {"linear", "single_hit", "exponential"}
        How stress is passed on.
    alpha : float, optional
        >= 0; for "exponential", and only there.
    capped : bool
        For "single_hit", and only there: whether an impact is W_ij = min(1, Lambda_ij), as in the paper, also where a
        claim exceeds the creditor's equity. False: Lambda_ij itself.
    insolvent : {"inert", "defaulted"}
        What a node without positive equity does. "inert": it has nothing left to lose and takes no part, its stress is
        NaN; without losses, nothing happens. "defaulted": it passes on everything from the start, whatever is given.
        In both cases `losses` says what it loses.
    tol : float
        Certified error of every stress; a smaller step is no proof of a smaller error.

    Raises
    ------
    ParameterError
        A variant that is none; alpha missing, negative, or without a use; capped=False without a use.

    References
    ----------
    Bardoscia, Battiston, Caccioli & Caldarelli (2015), PLoS ONE 10(6): e0130406, equation 8 (linear); Bardoscia,
    Caccioli, Perotti, Vivaldo & Caldarelli (2016), PLoS ONE 11(10): e0163825 (exponential); Battiston, Puliga,
    Kaushik, Tasca & Caldarelli (2012), Scientific Reports 2: 541 (single hit).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0, 10, 3], [1, 0, 2], [0, 3, 0]], external_assets=[14, 0, 0], external_liabilities=[0, 5, 0],
    ...     nodes=["a", "b", "c"],
    ... )
    >>> network.equity.to_dict()
    {'a': 2.0, 'b': 5.0, 'c': 2.0}
    >>> cg.DebtRank().run(network, equity_shock={"b": 1.0}).uncapped.to_dict()
    {'a': 0.5, 'b': 2.6, 'c': 1.75}
    """

    variant: Variant = "linear"
    _: KW_ONLY
    alpha: float | None = None
    capped: bool = True
    insolvent: Insolvent = "inert"
    tol: float = 1e-9

    def __post_init__(self) -> None:
        check_choice("DebtRank: variant", self.variant, get_args(Variant))
        check_choice("DebtRank: insolvent", self.insolvent, get_args(Insolvent))
        check_number("DebtRank", "tol", self.tol, low=0, above=True, high=1)
        if self.variant == "exponential":
            check_number("DebtRank", "alpha", self.alpha, low=0)
        elif self.alpha is not None:
            raise ParameterError(f"DebtRank: alpha is {self.alpha!r}, but only variant 'exponential' uses it")
        if not self.capped and self.variant != "single_hit":
            raise ParameterError("DebtRank: capped is False, but only variant 'single_hit' caps impacts")

    def _follow(self, network: ObligationNetwork, losses: FloatArray) -> Outcomes:
        """Follow many cases together, see `DistressModel._follow`."""
        once = self.variant == "single_hit"
        passing = Passing(float(self.alpha or 0.0), np.empty(0), once=once)
        capped = once and self.capped
        return follow_levels(network, losses, passing, capped=capped, insolvent=self.insolvent, tol=self.tol)


class Propagation(NamedTuple):
    """The least fixed point that losses reach.

    Parameters
    ----------
    level : ndarray
        h at the fixed point, in [0, 1], in the shape of the initial one.
    solution : Solution
        How it ended; its residual is the largest rise that was still to come in the next step, its `error_bound` holds
        for every h.
    """

    level: FloatArray
    solution: Solution


def propagate(
    apply: Callable[[FloatArray], FloatArray], initial: FloatArray, *, tol: float = 1e-12, max_iter: int = 10_000
) -> Propagation:
    """Pass relative losses of equity on until they converge: h <- min(1, h + Lambda dh).

    h_i is the share of its equity that node i has lost, dh what it lost in the last step, and Lambda_ij >= 0 the share
    of i's equity that is lost when j loses all of its own. Where no node loses all of it, h = (I - Lambda)^-1 h_0;
    small losses fade if the spectral radius of Lambda is below 1. Only products Lambda dh are needed, so that
    Lambda may be a matrix that is never formed. `DebtRank` does the same where its cells are known.

    If every node's rise in a step is at most theta times its rise m steps before, then so it will be from then on, and
    at most theta / (1 - theta) times what came since is still to come: that bounds the error, whereas a small step
    bounds nothing.

    Parameters
    ----------
    apply : callable
        Takes dh, returns Lambda dh in the same shape: (n,), or (n, b) for b cases together.
    initial : ndarray, shape (n,) or (n, b)
        h_0 in [0, 1].
    tol : float
        It stops when no h can be further than this from the exact one, or when no h changes any more.
    max_iter : int
        The most steps.

    Returns
    -------
    Propagation

    Raises
    ------
    ParameterError
        An initial loss outside [0, 1], or a product that is below 0 or no number.

    References
    ----------
    Bardoscia, Battiston, Caccioli & Caldarelli (2015), PLoS ONE 10(6): e0130406, equation 8. Battiston, Puliga,
    Kaushik, Tasca & Caldarelli (2012), Scientific Reports 2: 541, where a node passes on its first loss only.

    Examples
    --------
    >>> import numpy as np
    >>> exposure = np.array([[0.0, 0.5], [0.2, 0.0]])
    >>> end = propagate(lambda loss: exposure @ loss, np.array([0.1, 0.0]))
    >>> end.level.round(6).tolist(), end.solution.status.name
    ([0.111111, 0.022222], 'CONVERGED')
    """
    check_number("propagate", "tol", tol, low=0, high=1)
    check_number("propagate", "max_iter", max_iter, low=1, whole=True)
    level = np.array(initial, dtype=np.float64)
    if not ((level >= 0.0) & (level <= 1.0)).all():
        raise ParameterError("propagate: an initial loss is outside [0, 1]; give shares of equity")
    rise, after, to_come = level, level, level
    earlier, compared, climbed, bound = level, 0, float(level.max(initial=0.0)), np.inf

    def change(_: int) -> tuple[float, bool]:
        nonlocal after, to_come, bound
        passed_on = apply(rise)
        if not (passed_on >= 0.0).all():
            raise ParameterError("propagate: a loss passed on is below 0 or no number; Lambda must be finite and >= 0")
        after, to_come = np.minimum(level + passed_on, 1.0), np.minimum(passed_on, 1.0 - level)
        bound = ratio_bound(to_come, earlier) * climbed if to_come.any() else 0.0
        return float(to_come.max(initial=0.0)), bound <= tol or bool((after == level).all())

    def advance(step: int) -> None:
        nonlocal level, rise, earlier, compared, climbed
        if 2 * step >= 3 * compared:
            earlier, compared, climbed = to_come, step, 0.0
        climbed += float(to_come.max(initial=0.0))
        level, rise = after, to_come

    solution, _ = iterate(change, advance, max_steps=max_iter)
    return Propagation(level, replace(solution, error_bound=bound if np.isfinite(bound) else None))
