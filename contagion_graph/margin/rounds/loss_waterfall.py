"""The members that bear what an insurance fund cannot pay."""

from typing import NamedTuple

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.margin.rounds.account_state import Market, Rows
from contagion_graph.solvers.arrays import ratio


class Shared(NamedTuple):
    """How a loss was shared.

    Parameters
    ----------
    uncovered : ndarray, shape (v,)
        What is left where no member can pay more [currency].
    rise : ndarray, shape (v,)
        The water levels lambda.
    capped : ndarray of int
        Members that could not pay their part.
    paid : ndarray
        What each of them paid: its positive equity [currency].
    """

    uncovered: FloatArray
    rise: FloatArray
    capped: Rows
    paid: FloatArray


def share_losses(market: Market, due: FloatArray) -> Shared:
    """Share a loss of each channel among its members by their weights, each paying at most its equity.

    A member pays min(lambda_k b_i, E_i) with lambda_k, the water level of its channel k, such that the payments add up
    to the loss. Found exactly in finitely many steps: members who cannot pay their part pay all they have, the level
    of the others rises, and again. Accounts that could be unable to pay are revalued before. An account is a member of
    one channel.

    Parameters
    ----------
    market : Market
        Its loss rates are raised.
    due : ndarray, shape (v,)
        Loss of each channel [currency].

    Returns
    -------
    Shared
    """
    if not due.any():
        return Shared(np.zeros_like(due), np.zeros_like(due), np.empty(0, dtype=np.int64), np.empty(0))
    graph, channels, accounts = market.graph, market.channels, market.accounts
    market.shares_losses = True
    rows, equity = market.candidates()
    rows = rows[(channels.base[rows] > 0.0) & (equity <= 0.0)]
    exempt, paid = [(rows, market.exempt(rows))], [np.zeros(rows.size)]
    left = due.copy()
    while True:
        total = market.open_base()
        rise = ratio(left, total, 0.0)
        market.revalue(rise)
        rows, equity = market.candidates(rise)
        weight = channels.base[rows]
        short = (weight > 0.0) & (rise[channels.indices[rows]] * weight >= equity)
        rows = rows[short]
        *pay, unable = graph.group.total(graph.chunk_sums(graph.membership, equity[short], rows), [rows.size])
        if not unable:
            break
        left = left - pay
        exempt.append((rows, market.exempt(rows)))
        paid.append(equity[short])
        # a member that pays all it has is left with exactly 0: rounding must not decide whether it breaches
        accounts.settled[rows] = accounts.worth[rows]
    channels.loss_rate[:] += rise
    for rows, weights in exempt:
        market.readmit(rows, weights)
    uncovered = np.where(total > 0.0, 0.0, np.maximum(left, 0.0))
    return Shared(uncovered, rise, np.concatenate([rows for rows, _ in exempt]), np.concatenate(paid))
