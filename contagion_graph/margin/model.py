"""The margin cascade as a frozen record of its rules."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from contagion_graph.errors import ConvergenceError, ConvergenceWarning, ParameterError
from contagion_graph.graph import ExposureGraph
from contagion_graph.margin.path import run_path
from contagion_graph.margin.rules import CascadeRules
from contagion_graph.results import CascadeResult
from contagion_graph.shocks import AccountKey, Shock, scenario
from contagion_graph.solvers.solution import Solution

OnFailure = Literal["raise", "warn", "ignore"]
Looks = Literal["due", "all"]


@dataclass(frozen=True)
class MarginCascade(CascadeRules):
    """Cross-margined accounts that are liquidated, move prices, and leave their shortfalls to a pool.

    Each round: every account is marked, E_i = cash_i + R_i + (1 - gamma_i) Q_i.p - L_i; those with E_i < M_i close a
    share of what they have left; prices fall by the impact of what has been sold, p_j = p_shocked_j f(S_j p0_j /
    depth_j), and the round trades at its average price; an account wholly closed below zero leaves a shortfall, which
    the insurance fund of its pool pays, then the open members, each up to its equity.

    Parameters
    ----------
    liquidation : Liquidation
        `FullLiquidation`, `TargetMargin` or `CloseFactor`.
    impact : Impact
        `ExponentialImpact` or `LinearImpact`.
    sharing : ProRata or None
        Who bears what the fund cannot pay; None: nobody in the graph, it stays uncovered.
    penalty : float
        Share of the closed gross value that a liquidated account pays, in [0, 1].
    penalty_to_fund : float
        Share of the penalty that enters the pool's fund, in [0, 1]; the rest leaves the system.
    tol : float
        A round of partial closings worth less than this share of gross value is not carried out.
    max_rounds : int
        Rounds after which to give up.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> model = cg.MarginCascade(impact=cg.LinearImpact(), penalty=0.01)
    >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-185.0])
    >>> model.run(graph, {"0": 0.0}).assets["price_after"].tolist()
    [98.0]
    """

    def run(
        self,
        graph: ExposureGraph,
        shock: Shock | None = None,
        *,
        losses: Mapping[AccountKey, float] | None = None,
        defaults: Iterable[AccountKey] | None = None,
        looks: Looks = "due",
        on_failure: OnFailure = "raise",
    ) -> CascadeResult:
        """Run the cascade that a shock sets off.

        Parameters
        ----------
        graph : ExposureGraph
            The positions before the shock.
        shock : mapping or Series asset -> relative price change
            -0.30 = falls by 30 %; None or empty: no shock.
        losses : mapping of trader or (trader, pool, subaccount) to currency, optional
            Taken from cash before the first round; a trader's loss falls on its accounts in proportion to positive
            equity.
        defaults : iterable of traders or (trader, pool, subaccount), optional
            They close whole in the first round, whatever their margin.
        looks : {"due", "all"}
            Look in each round at the accounts that can have changed, or at all; the result is the same to the last bit.
        on_failure : {"raise", "warn", "ignore"}
            What to do when the cascade has not come to rest after `max_rounds`.

        Returns
        -------
        CascadeResult

        Raises
        ------
        TableError
            A shock, loss or default that the graph does not know or that is out of range.
        ConvergenceError
            The step limit was reached, or a price or an equity is no longer finite.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays(
        ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
        ... )
        >>> cg.MarginCascade().run(graph, {"0": -0.10}).rounds["breached"].tolist()
        [1]
        """
        for name, value, known in (("on_failure", on_failure, OnFailure), ("looks", looks, Looks)):
            if value not in get_args(known):
                raise ParameterError(f"{name} is {value!r}; it must be one of {', '.join(get_args(known))}")
        if not isinstance(graph, ExposureGraph):
            raise ParameterError(f"graph is a {type(graph).__name__}; build an ExposureGraph first")
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found, and named, at the next look
            case = scenario(graph, shock, losses, defaults)
            arrays, solution = run_path(graph, case, self, look_at_all=looks == "all")
        _report(solution, on_failure)
        return CascadeResult(graph, self, arrays, solution)


def _report(solution: Solution, on_failure: OnFailure) -> None:
    if solution.converged or on_failure == "ignore":
        return
    message = (
        f"{solution.status.value} ({solution.steps} rounds; still to close: {solution.residual:.3g} of gross value)"
    )
    if on_failure == "raise":
        raise ConvergenceError(message, solution)
    warnings.warn(message, ConvergenceWarning, stacklevel=3)
