"""Network valuation: equity that is worth what claims are worth, which depends on the debtors' equity."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from contagion_graph._typing import FloatArray, IntArray
from contagion_graph._validate import check_number
from contagion_graph.distress.model import DistressModel
from contagion_graph.distress.result import Outcomes
from contagion_graph.distress.valuation import Debtors, Valuation
from contagion_graph.errors import ParameterError
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.solvers.arrays import ratio
from contagion_graph.solvers.iteration import iterate
from contagion_graph.solvers.monotone import enclose
from contagion_graph.solvers.ratio_bound import ratio_bound

ROUNDING = 1e-13  # of what a node holds and owes


@dataclass(frozen=True)
class NetworkValuation(DistressModel):
    """Equity and claims valued together, by any valuation function (NEVA).

    E_i = external assets_i - given_i + sum_j L_ji V_j(E_j) - external liabilities_i - sum_j L_ij, the greatest
    solution, found from claims at face value by rounds that only go down. Losses are E on the books less E; a node
    defaults when E <= 0; its claims are marked down by 1 - V. An ex-ante valuation (`MertonValue`,
    `BlackCoxValue`) marks claims down even without a loss.

    Parameters
    ----------
    valuation : object with `value(equity, debtors)`
        One of `cg.distress`: `RecoveryValue` (Furfine), `DebtRankValue`, `EisenbergNoeValue`, `RogersVeraartValue`,
        `MertonValue`, `BlackCoxValue`, `RecoveryMertonValue`; or your own (docs/adding-a-valuation.md).
    tol : float
        Certified error of every equity, as a share of equity on the books, of assets on the books where that is not
        positive.
    max_rounds : int
        Rounds after which to give up.

    References
    ----------
    Barucca, Bardoscia, Caccioli, D'Errico, Visentin, Caldarelli & Battiston (2020), Mathematical Finance 30(4),
    theorem 3.1.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0, 6, 0], [0, 0, 8], [0, 0, 0]], external_assets=[10, 8, 3], nodes=["A", "B", "C"]
    ... )
    >>> model = cg.NetworkValuation(cg.distress.MertonValue(volatility=0.3))
    >>> model.run(network, equity_shock={"A": 1.0}).nodes["marked_down"].round(4).to_dict()
    {'A': 0.1192, 'B': 0.0, 'C': 0.0}
    """

    valuation: Valuation
    _: KW_ONLY
    tol: float = 1e-9
    max_rounds: int = 10_000

    remedy = "Raise max_rounds, or tol."

    def __post_init__(self) -> None:
        if isinstance(self.valuation, type) or not callable(getattr(self.valuation, "value", None)):
            fault = (
                "that is a class, not a valuation made of it" if isinstance(self.valuation, type) else "it has no value"
            )
            raise ParameterError(
                f"NetworkValuation: valuation is {self.valuation!r}; {fault}. A valuation of your own has "
                "value(equity, debtors)"
            )
        check_number("NetworkValuation", "tol", self.tol, low=0, above=True, high=1)
        check_number("NetworkValuation", "max_rounds", self.max_rounds, low=1, whole=True)

    def _follow(self, network: ObligationNetwork, losses: FloatArray) -> Outcomes:
        """Follow many cases together, see `DistressModel._follow`."""
        book = network.book_equity
        settled = [_settle(self, network, given) for given in losses]
        equity, value, default_round, rounds, bound = (np.array(each) for each in zip(*settled, strict=True))
        loss = book - equity
        stress = np.clip(ratio(loss, book, 1.0), 0.0, 1.0)
        return Outcomes(loss, stress, 1.0 - value, default_round, rounds, bound, bound <= self.tol)


def _settle(
    model: NetworkValuation, network: ObligationNetwork, given: FloatArray
) -> tuple[FloatArray, FloatArray, IntArray, float, float]:
    """Go down from claims at face value to the greatest solution: equity, value, default rounds, rounds, bound.

    If every equity falls in a round by at most theta times what it fell by some rounds before, all that is still to
    come is about theta / (1 - theta) times what came since. One more valuation proves that twice that is enough: below
    equities from which none would fall any further, there is no greatest solution.
    """
    held = network.external_assets + network.claims
    noise = ROUNDING * (held + network.external_liabilities + network.owed + given)
    unit = np.where(network.book_equity > 0.0, network.book_equity, np.where(held > 0.0, held, 1.0))
    mapping = _Map(model, Debtors(network, network.external_assets - given), network.book_equity - given)
    equity, value = mapping.fixed, np.ones_like(given)
    default_round = np.where(equity <= 0.0, 1, 0).astype(np.int32)
    earlier, compared, since = np.full_like(given, np.inf), 0, equity
    after, fall, bound = equity, np.zeros_like(given), np.inf

    def change(_: int) -> tuple[float, bool]:
        nonlocal value, after, fall, bound
        value, after = mapping.at(equity)
        if (after > equity + noise).any():
            raise ParameterError(f"{mapping.name} rises where equity falls; it must never do that")
        fall = np.where(equity - after > noise, equity - after, 0.0)
        size = float((fall / unit).max(initial=0.0))
        if size == 0.0:
            bound = 0.0
        elif size <= model.tol:
            to_come = ratio_bound(fall, earlier)
            finite = np.isfinite(to_come)
            bound = _proven(mapping, after, 2.0 * to_come * (since - after) + noise, unit) if finite else np.inf
        return size, bound <= model.tol

    def advance(step: int) -> None:
        nonlocal equity, earlier, compared, since
        if 2 * step >= 3 * compared:
            earlier, compared, since = fall, step, equity
        equity = after
        default_round[(default_round == 0) & (equity <= 0.0)] = step + 1

    solution, _ = iterate(change, advance, max_steps=model.max_rounds)
    return after, value, default_round, float(solution.steps), bound


class _Map:
    """What claims and equity are worth, given the debtors' equity."""

    def __init__(self, model: NetworkValuation, debtors: Debtors, fixed: FloatArray) -> None:
        self.valuation, self.debtors, self.fixed = model.valuation, debtors, fixed
        self.owed = debtors.network.obligations.T
        self.name = f"NetworkValuation: the value of {type(model.valuation).__name__}"

    def at(self, equity: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return V(E), and E when claims are worth that."""
        value = np.asarray(self.valuation.value(equity, self.debtors), dtype=np.float64)
        if value.shape != equity.shape:
            raise ParameterError(f"{self.name} has shape {value.shape}, expected {equity.shape}, one number a debtor")
        wrong = ~((value >= 0.0) & (value <= 1.0))
        if wrong.any():
            label = self.debtors.network.nodes[int(np.argmax(wrong))]
            raise ParameterError(f"{self.name} is {value[wrong][0]:g} for {label!r}; it must be in [0, 1]")
        return value, self.fixed - self.owed @ (1.0 - value)


def _proven(mapping: _Map, equity: FloatArray, fall: FloatArray, unit: FloatArray) -> float:
    """Return a proven bound on how far equity can still fall, relative to `unit`; infinite where none is."""
    lower = enclose(lambda below: bool((mapping.at(below)[1] >= below).all()), equity, -fall, tries=1)
    return np.inf if lower is None else float(((equity - lower) / unit).max(initial=0.0))
