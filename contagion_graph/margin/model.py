"""The margin cascade as a frozen record of its rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import OnFailure
from contagion_graph._validate import check_choice, check_model
from contagion_graph.errors import ParameterError
from contagion_graph.graph.collectives import Spread
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import AccountKey, Order, Shock, check_graph, closed_shares, ranks, scenario
from contagion_graph.margin.candidates.single import arrays_of, run_rounds
from contagion_graph.margin.equilibria.equilibria import TwoSided, equilibria, nearest
from contagion_graph.margin.equilibria.result import Equilibria
from contagion_graph.margin.prepare import CascadeRules, prepared
from contagion_graph.margin.result import CascadeResult
from contagion_graph.solvers.iteration import check_on_failure, conclude

RevaluationMode = Literal["incremental", "full"]


@dataclass(frozen=True)
class MarginCascade(CascadeRules):
    """Cross-margined accounts that are liquidated, move prices, and leave their shortfalls to a pool.

    Each round: every account is marked, E_i = cash_i + R_i + (1 - gamma_i) Q_i.p - L_i; those with E_i < M_i close a
    share of what they have left; prices fall by the impact of what has been sold, p_j = p_shocked_j f(x_j), x_j the
    value sold over depth_j, and the round trades at its average price; an account wholly closed below zero leaves a
    shortfall, which the insurance fund of its pool pays, then the open members, each up to its equity.

    Parameters
    ----------
    liquidation : LiquidationRule
        `FullLiquidation`, `TargetMargin`, `CloseFactor`, `LeverageTarget`, `RepayAndSeize`, `TransferSlice`, or a rule
        of your own (docs/adding-a-rule.md).
    impact : ImpactRecord
        `ExponentialImpact`, `LinearImpact`, `FloorExponentialImpact`, `SquareRootImpact`, `ConstantProductImpact`,
        `OrderBookImpact`, or one of your own. Its `volume` says at which price counts what is sold.
    waterfall : tuple of layers
        Who pays what accounts leave unpaid, in this order: `OwnContribution`, `InsuranceFund`, `Purse`, `Members`,
        `GainsHaircut`, `ProRata`, or a rule of your own (docs/who-pays.md). What no layer pays stays uncovered;
        (InsuranceFund(),): all that the fund cannot pay.
    penalty : float
        Share of the closed gross value that a liquidated account pays, in [0, 1].
    penalty_to_fund : float
        Share of the penalty that enters the pool's fund, in [0, 1]; the rest leaves the system.
    penalty_cap : {"equity", None}
        "equity": a penalty takes at most the equity that is left after the trade, and creates no shortfall. None: it is
        charged whole, and what the account cannot pay is a shortfall.
    trade_price_weight : float or None
        None: what is closed in a round trades at the average of the impact curve. A number a in [0, 1]: at p + a (p' -
        p), p the price before the round and p' after it; 0.5 = half way, 1 = at the price after the round.
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
        graph: ExposureGraph | Spread,
        shock: Shock | None = None,
        *,
        losses: Mapping[AccountKey, float] | None = None,
        defaults: Iterable[AccountKey] | None = None,
        order: Order | None = None,
        revaluation: RevaluationMode = "incremental",
        on_failure: OnFailure = "raise",
    ) -> CascadeResult:
        """Run the cascade that a shock sets off.

        Parameters
        ----------
        graph : ExposureGraph or DistributedGraph
            The positions before the shock.
        shock : mapping or Series asset -> relative price change
            -0.30 = falls by 30 %; None or empty: no shock.
        losses : mapping or Series of trader or (trader, pool, subaccount) to currency, optional
            Taken from cash before the first round; a trader's loss falls on its accounts in proportion to positive
            equity.
        defaults : iterable of traders or (trader, pool, subaccount), optional
            They close whole in the first round, whatever their margin.
        order : iterable of traders or (trader, pool, subaccount), or numpy Generator, optional
            Close one account at a time: in each round the first of this ranking that is in breach, unnamed ones last;
            a Generator draws the ranking. None: all that are in breach close together. How much the results of several
            orders differ shows how much the order matters. Not on a DistributedGraph.
        revaluation : {"incremental", "full"}
            Whether each round values again the accounts that can have come into breach, or all (docs/screening.md); the
            result is the same to the last bit.
        on_failure : {"raise", "warn", "ignore"}
            What to do when accounts are still in breach after `max_rounds`.

        Returns
        -------
        CascadeResult
            Its graph is the given one, or, where the liquidation rule has margins of its own, one that has these.

        Raises
        ------
        ParameterError
            A shock, loss, default or place in the order that the graph does not know or that is out of range.
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
        _check_choices(revaluation=(revaluation, RevaluationMode), on_failure=(on_failure, OnFailure))
        if isinstance(graph, Spread):
            if order is not None:
                raise ParameterError("order= needs all accounts in one process; build the graph with from_tables")
            result: CascadeResult = graph._play(
                self, "run", shock=shock, losses=losses, defaults=defaults, revaluation=revaluation
            )
            _report(result.solution, on_failure)
            return result
        check_graph(graph)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found, and named, at the next look
            case = scenario(graph, shock, losses, defaults)
            graph, impact = prepared(graph, self, any_margin=True, any_waterfall=True)
            rank = None if order is None else ranks(graph, order)
            ended = run_rounds(graph, case, self, impact, rank=rank, full=revaluation == "full")
            arrays = arrays_of(graph, ended, case)
        _report(ended.solution, on_failure)
        return CascadeResult(graph, self, arrays, ended.solution)

    def equilibria(
        self,
        graph: ExposureGraph | Spread,
        shock: Shock | None = None,
        *,
        losses: Mapping[AccountKey, float] | None = None,
        defaults: Iterable[AccountKey] | None = None,
        two_sided: TwoSided = "auto",
        on_failure: OnFailure = "raise",
    ) -> Equilibria:
        """Find the least and the greatest equilibrium that a shock admits, or bounds around all of them.

        An equilibrium is a fixed point gamma = T(gamma) of the closed shares: every account, open or closed, is tested
        on its whole book at the prices p = p_shocked f(x), x_j = S_j p0_j / depth_j, S = Q~' gamma, and at the loss
        rates that gamma implies (docs/equilibria.md).

        Parameters
        ----------
        graph : ExposureGraph or DistributedGraph
            The positions before the shock.
        shock, losses, defaults
            As in `run`.
        two_sided : {"auto", "conservative", "bracket"}
            What to do where an asset is held long and short. "auto": where no asset is, find both exactly; else as
            "bracket": nested bounds that contain every equilibrium, and every equilibrium itself where few accounts are
            undecided. "conservative": longs are valued after all sales, shorts after all purchases; both are then
            fixed points of that map.
        on_failure : {"raise", "warn", "ignore"}
            What to do when the least or the greatest has not converged after `max_rounds` steps.

        Returns
        -------
        Equilibria

        Raises
        ------
        ParameterError
            A parameter that means rounds (`trade_price_weight`, `volume="current"`), or a liquidation rule that does
            not declare that it is monotone and closes one share of an account.
        ParameterError, ConvergenceError
            As in `run`.

        References
        ----------
        Tarski (1955), Pacific J. Mathematics 5(2): an isotone map has a least and a greatest fixed point.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays(
        ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
        ... )
        >>> cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).equilibria(graph, {"0": -0.10})
        <Equilibria: least and greatest close 1 and 1 of 2 accounts; one equilibrium>
        """
        _check_choices(two_sided=(two_sided, TwoSided), on_failure=(on_failure, OnFailure))
        if isinstance(graph, Spread):
            given = {"shock": shock, "losses": losses, "defaults": defaults}
            both: Equilibria = graph._play(self, "equilibria", **given, two_sided=two_sided)
        else:
            check_graph(graph)
            with np.errstate(over="ignore", invalid="ignore"):
                both = equilibria(graph, scenario(graph, shock, losses, defaults), self, two_sided)
        for end in (both.least, both.greatest):
            if end.solution.status is not Status.UNBOUNDED:
                _report(end.solution, on_failure)
        return both

    def equilibrium_near(self, graph: ExposureGraph, shock: Shock | None = None, *, closed: ArrayLike) -> CascadeResult:
        """Find an equilibrium next to given closed shares, by Newton's method: also one that no iteration leads to.

        Between a least and a greatest equilibrium lie others, some of them unstable: a little more closing leads away
        to the worse end, a little less to the better one. They mark where a market tips.

        Parameters
        ----------
        graph : ExposureGraph
            The positions before the shock.
        shock : mapping or Series asset -> relative price change
            As in `run`.
        closed : mapping or Series by account, or array_like of shape (n,)
            Closed shares of the accounts to start from, in [0, 1].

        Returns
        -------
        CascadeResult

        Raises
        ------
        ConvergenceError
            Newton's method finds nothing from there.
        ParameterError
            Shares that are none, or a rule whose closed share has no derivative.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[100.0]], price=[1.0], depth=240.0, margin_long=0.1, cash=[-89.5])
        >>> model = cg.MarginCascade(liquidation=cg.TargetMargin(), waterfall=(cg.InsuranceFund(),))
        >>> near = model.equilibrium_near(graph, {"0": 0.0}, closed=[0.0])
        >>> near.accounts["closed"].tolist()
        [0.0]
        """
        check_graph(graph)
        shares = closed_shares(graph, closed)
        with np.errstate(over="ignore", invalid="ignore"):
            return nearest(graph, scenario(graph, shock), self, shares)


def check_run(graph: Any, model: Any, on_failure: str = "raise", *, any_margin: bool = False) -> None:
    """Refuse what is no graph, no model of a cascade, or no way to treat a failure; before the runs, not after them.

    Margins that are no flat rates are refused too, unless `any_margin` says that what follows takes them.
    """
    check_graph(graph)
    check_model(model, MarginCascade, "cg.MarginCascade()")
    check_on_failure(on_failure)
    prepared(graph, model, any_margin=any_margin)


def _check_choices(**choices: tuple[str, Any]) -> None:
    for name, (value, known) in choices.items():
        check_choice(name, value, get_args(known))


def _report(solution: Solution, on_failure: OnFailure) -> None:
    reached = f"MarginCascade, {solution.steps} rounds, still to close: {solution.residual:.3g} of gross value"
    conclude(solution, on_failure, reached, "Raise max_rounds, or tol.")
