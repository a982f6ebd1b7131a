"""Who bears what an insurance fund cannot pay."""

import numpy as np

from contagion_graph.margin.market import Market
from contagion_graph.tables.schema import FloatArray


def share_losses(market: Market, due: FloatArray) -> FloatArray:
    """Share a loss of each channel among its members by their weights, nobody paying more than its equity.

    A member pays min(lambda_k b_i, E_i) with lambda_k, the water level of its channel k, such that the payments add up
    to the loss. Found exactly in finitely many steps: members who cannot pay their part pay all they have, the level
    of the others rises, and again. Whoever could be unable to pay is looked at before. An account is a member of one
    channel.

    Parameters
    ----------
    market : Market
        Its loss levels are raised.
    due : ndarray, shape (v,)
        Loss of each channel [currency].

    Returns
    -------
    ndarray, shape (v,)
        What is left where no member can pay more [currency].
    """
    if not due.any():
        return np.zeros_like(due)
    channels, accounts = market.channels, market.accounts
    market.socialised = True
    rows, equity = market.due()
    rows = rows[(channels.base[rows] > 0.0) & (equity <= 0.0)]
    exempt = [(rows, market.exempt(rows))]
    left = due.copy()
    while True:
        total = market.open_base()
        rise = np.divide(left, total, out=np.zeros_like(left), where=total > 0.0)
        market.look(rise)
        rows, equity = market.due(rise)
        weight = channels.base[rows]
        short = (weight > 0.0) & (rise[channels.indices[rows]] * weight >= equity)
        if not short.any():
            break
        rows = rows[short]
        left = left - market.graph.column_sums(market.graph.membership, equity[short], rows)
        exempt.append((rows, market.exempt(rows)))
        # who pays all it has is left with exactly nothing: rounding must not decide whether it breaches
        accounts.levied[rows] = accounts.worth[rows]
    channels.level[:] += rise
    for rows, weights in exempt:
        market.readmit(rows, weights)
    return np.where(total > 0.0, 0.0, np.maximum(left, 0.0))
