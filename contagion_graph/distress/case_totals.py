"""Totals over all nodes of many cases of distress, a row a case."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import check_model
from contagion_graph.distress.model import DistressModel, proven, solution_of
from contagion_graph.distress.result import Outcomes
from contagion_graph.errors import ParameterError
from contagion_graph.graph.obligations import ObligationNetwork, check_network
from contagion_graph.solvers.arrays import ratio
from contagion_graph.solvers.iteration import check_on_failure, conclude
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument

COLUMNS = (
    *("given_stress", "stress", "additional_stress", "given", "limited_loss"),
    *("loss", "defaults", "additional_defaults", "rounds", "error_bound"),
)


def follow_all(
    network: ObligationNetwork,
    model: DistressModel,
    blocks: Iterable[FloatArray],
    *,
    weights: Any,
    on_failure: OnFailure,
) -> pd.DataFrame:
    """Follow blocks of cases, and keep the totals of each case."""
    weight, equity = _weights(network, weights), positive_equity(network)
    initial = followed(network, model, np.zeros((1, equity.size)), on_failure)
    base = _totals(initial, np.zeros((1, equity.size)), weight, equity)
    tables = []
    for losses in blocks:
        outcomes = followed(network, model, losses, on_failure)
        totals = _totals(outcomes, losses, weight, equity)
        for name in ("stress", "limited_loss", "loss", "defaults"):
            totals[name] = totals[name] - base[name][0]
        totals["additional_stress"] = totals["stress"] - totals["given_stress"]
        totals["additional_defaults"] = np.count_nonzero(
            (outcomes.default_round > 1) & (initial.default_round == 0), axis=1
        )
        tables.append(pd.DataFrame(totals, columns=list(COLUMNS), dtype=np.float64))
    return pd.concat(tables) if tables else pd.DataFrame(columns=list(COLUMNS), dtype=np.float64)


def _totals(outcomes: Outcomes, losses: FloatArray, weight: FloatArray, equity: FloatArray) -> dict[str, Any]:
    """Return the sums over all nodes, one number a case; a matrix product would round by the number of cases."""
    given = ratio(losses, equity, 0.0)
    stress = np.where(np.isnan(outcomes.stress), 0.0, outcomes.stress)
    return {
        "given_stress": (np.minimum(given, 1.0) * weight).sum(axis=1),
        "stress": (stress * weight).sum(axis=1),
        "given": losses.sum(axis=1),
        "limited_loss": (stress * equity).sum(axis=1),
        "loss": outcomes.loss.sum(axis=1),
        "defaults": np.count_nonzero(outcomes.default_round, axis=1),
        "rounds": outcomes.rounds,
        "error_bound": outcomes.bound,
    }


def check_cases(network: Any, model: Any, on_failure: str) -> None:
    """Refuse what is no network, no model of distress, or no way to treat a failure."""
    check_network(network)
    check_model(model, DistressModel, "cg.DebtRank()")
    check_on_failure(on_failure)


def followed(network: ObligationNetwork, model: DistressModel, losses: FloatArray, on_failure: OnFailure) -> Outcomes:
    """Follow a block of cases, and report the first that is not as exact as the model asks."""
    outcomes = model._follow(network, losses)
    if not outcomes.converged.all():
        case = int(np.argmin(outcomes.converged))
        hit, solution = network.nodes[int(np.argmax(losses[case]))], solution_of(outcomes, case)
        where = f"{type(model).__name__}: the case whose largest loss is that of {hit!r} {proven(solution)}"
        conclude(solution, on_failure, where, model.remedy)
    return outcomes


def positive_equity(network: ObligationNetwork) -> FloatArray:
    """Return the equity of every node, 0 where there is none, shape (n,) [currency]."""
    return np.maximum(network.book_equity, 0.0)


def _weights(network: ObligationNetwork, weights: Any) -> FloatArray:
    """Return the weight of every node in the stress of the system; they sum to 1."""
    if weights is None:
        weight: FloatArray = positive_equity(network)
    else:
        weight = argument("weights", weights, network.nodes, Number("weight", low=0.0))
    if not weight.any():
        raise ParameterError("weights: all are 0; give some node a weight above 0, or positive equity")
    weight /= weight.sum()
    return weight
