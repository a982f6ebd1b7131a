"""Positions, added up to what a graph format draws as one edge: a trader, an asset and a kind of position."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.solvers.arrays import ratio
from contagion_graph.tables.frames import KINDS

if TYPE_CHECKING:
    from contagion_graph.graph.exposure import ExposureGraph

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Positions:
    """The single positions of a graph.

    Parameters
    ----------
    row, account, trader, asset : ndarray of int, shape (positions,)
        Its number in the graph, whose it is, and in what.
    quantity : ndarray, shape (positions,)
        Signed units.
    value : ndarray, shape (positions,)
        Signed currency, at the graph's prices.
    kind : ndarray of int, shape (positions,)
        Place of its kind in `kinds`.
    kinds : Index
        deposit, debt, long, short, or what was given; where one word stands for both signs, " (short)" marks the other.
    """

    row: Array
    account: Array
    trader: Array
    asset: Array
    quantity: FloatArray
    value: FloatArray
    kind: Array
    kinds: "pd.Index[str]"

    def of(self, rows: BoolArray) -> "Positions":
        """Return some of the positions."""
        arrays = {name: array[rows] for name, array in vars(self).items() if name != "kinds"}
        return replace(self, **arrays)


@dataclass(frozen=True, eq=False)
class Holdings:
    """Positions added up by trader, asset and kind, in this order.

    Parameters
    ----------
    trader, asset, kind : ndarray of int, shape (holdings,)
        What each is about.
    quantity : ndarray, shape (holdings,)
        Signed units.
    number : ndarray of int, shape (positions,)
        The holding that each position belongs to.
    """

    trader: Array
    asset: Array
    kind: Array
    quantity: FloatArray
    number: Array


def mean_share(number: Array, positions: Positions, share: FloatArray, size: int) -> FloatArray:
    """Return the mean of a share of each position over each of `size` holdings, weighted by units.

    It is exact where a holding is one position; `number` says to which holding each position belongs.
    """
    units = np.abs(positions.quantity)
    total, part = (
        np.bincount(number, weights=amount, minlength=size).astype(np.float64) for amount in (units, units * share)
    )
    return ratio(part, total, 0.0)


def no_positions() -> Positions:
    """Return the positions of a network that has none."""
    none = np.zeros(0, dtype=np.int64)
    return Positions(none, none, none, none, np.zeros(0), np.zeros(0), none, pd.Index([], dtype=object))


def positions_of(graph: "ExposureGraph") -> Positions:
    """Return the single positions of a graph; a cell is one where it came from arrays."""
    q, records = graph.quantity, graph.records
    if records is None:
        account = np.repeat(np.arange(q.shape[0], dtype=np.int32), np.diff(q.indptr))
        asset, quantity, fully_paid = q.indices, q.data, np.ones(q.nnz, dtype=bool)
    else:
        account, asset, quantity = records.account, records.asset, records.quantity
        fully_paid = np.isnan(records.entry_price)
    kind = (2 * ~fully_paid + (quantity < 0.0)).astype(np.int32)
    texts = pd.Index(KINDS)
    if records is not None and records.kind is not None:
        texts = texts.append(pd.Index(records.kind.values, dtype=object))
        kind = np.where(records.kind.codes >= 0, records.kind.codes + len(KINDS), kind)
    kind, kinds = _kinds_by_sign(kind, texts, quantity < 0.0)
    trader, value = graph._rows.trader_of[account], quantity * graph.price[asset]
    return Positions(np.arange(account.size), account, trader, asset, quantity, value, kind, kinds)


def _kinds_by_sign(kind: Array, texts: "pd.Index[Any]", short: BoolArray) -> tuple[Array, "pd.Index[str]"]:
    """Give kinds new numbers such that each has one sign: no edge then stands for the difference of two positions."""
    words = texts.unique()
    sided = 2 * words.get_indexer(texts)[kind] + short
    found = np.bincount(sided, minlength=2 * len(words)).reshape(-1, 2) > 0
    both = np.all(found, axis=1)
    other = [f"{word} (short)" if both[k] else word for k, word in enumerate(words)]
    names = [name for pair in zip(words, other, strict=True) for name in pair]
    kinds = pd.Index(names).unique()
    return kinds.get_indexer(pd.Index(names))[sided].astype(np.int32), kinds


def holdings_of(positions: Positions, n_assets: int) -> Holdings:
    """Add positions up by trader, asset and kind."""
    n_kinds = max(len(positions.kinds), 1)
    key = (positions.trader.astype(np.int64) * n_assets + positions.asset) * n_kinds + positions.kind
    distinct, number = np.unique(key, return_inverse=True)
    cell, kind = np.divmod(distinct, n_kinds)
    trader, asset = np.divmod(cell, n_assets)
    quantity: FloatArray = np.bincount(number, weights=positions.quantity, minlength=distinct.size).astype(np.float64)
    return Holdings(trader, asset, kind, quantity, number)
