"""Who bears what an insurance fund cannot pay."""

from typing import Any

import numpy as np
from scipy import sparse

from contagion_graph.graph import ExposureGraph
from contagion_graph.tables.schema import FloatArray


def share_losses(
    graph: ExposureGraph, due: FloatArray, members: Any, base: FloatArray, equity: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Share a loss of each channel among members in proportion to a base, none of them paying more than its equity.

    A member pays min(lambda_k b_i, equity_i) with lambda_k, the water level of its channel k, such that the payments
    add up to the loss. Found exactly in finitely many steps: members who cannot pay their part pay all they have, the
    level of the others rises, and again. An account is a member of one channel.

    Parameters
    ----------
    graph : ExposureGraph
        Says which account belongs to which channel.
    due : ndarray, shape (v,)
        Loss of each channel [currency].
    members : ndarray of int, ascending
        Rows of the accounts that can be made to pay.
    base, equity : ndarray, shape (members,)
        Weights, and equity at the present prices [currency]; both positive.

    Returns
    -------
    paid : ndarray, shape (members,)
        Currency.
    uncovered : ndarray, shape (v,)
        What is left where no member can pay more [currency].
    """
    if not due.any():
        return np.zeros(len(members)), np.zeros_like(due)
    weights: sparse.csr_array = graph.membership
    capped = np.zeros(len(members), dtype=bool)
    while True:
        open_base = graph.column_sums(weights, np.where(capped, 0.0, base), members)
        left = due - graph.column_sums(weights, np.where(capped, equity, 0.0), members)
        level = np.divide(left, open_base, out=np.zeros_like(left), where=open_base > 0.0)
        part = (weights @ level)[members] * base
        short = ~capped & (part >= equity)
        if not short.any():
            break
        capped |= short
    paid = np.where(capped, equity, part)
    return paid, np.where(open_base > 0.0, 0.0, np.maximum(left, 0.0))
