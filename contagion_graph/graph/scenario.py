"""Price shocks, given losses and given defaults, as arrays in label order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray, IntArray
from contagion_graph.errors import Faults, ParameterError, nearest
from contagion_graph.graph.backing import given_prices, is_backed, shocked_prices
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.price_map import PriceMap
from contagion_graph.graph.vol_shocks import is_finite, without_vols
from contagion_graph.tables.labels import HINTED, is_label, label_text, note_repeated, text_index
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import account_rows_of, argument

Shock = Mapping[Any, float] | pd.Series
AccountKey = str | int | tuple[Any, ...]
Order = Iterable[AccountKey] | np.random.Generator


@dataclass(frozen=True, eq=False)
class Scenario:
    """A shock, losses and defaults in label order.

    Parameters
    ----------
    price_shocked : ndarray, shape (m,)
        p0 (1 + shock), passed down to all that is made of an asset where the graph has a backing [currency per unit].
    losses : ndarray, shape (n,)
        Given losses [currency].
    defaults : ndarray of bool, shape (n,)
        Accounts that close in the first round whatever their margin.
    price_given : ndarray, shape (m,), or None
        p0 (1 + shock) where `price_shocked` is more than that; None: the graph has no backing.
    columns : PriceMap or None
        How instruments are priced after a shock of vols; None: as the graph says.
    """

    price_shocked: FloatArray
    losses: FloatArray
    defaults: BoolArray
    price_given: FloatArray | None = None
    columns: PriceMap | None = None

    @property
    def passed_down(self) -> int | None:
        """The number of assets to whose price the shock was passed down; None: the graph has no backing."""
        if self.price_given is None:
            return None
        return int(np.count_nonzero(self.price_shocked != self.price_given))

    @property
    def hit(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The accounts with a given loss or default, ascending."""
        return np.flatnonzero((self.losses > 0.0) | self.defaults)


def scenario(
    graph: ExposureGraph,
    shock: Shock | None = None,
    losses: Mapping[AccountKey, float] | None = None,
    defaults: Iterable[AccountKey] | None = None,
) -> Scenario:
    """Check a shock, losses and defaults against a graph and bring them into label order.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0], assets=["ETH"], traders=["A"])
    >>> scenario(graph, {"ETH": -0.3}, losses={"A": 1.0}).price_shocked.tolist()
    [7.0]
    >>> scenario(graph, {"EHT": -0.3})
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: shock: unknown asset 'EHT' (did you mean 'ETH'?). Use a label of ...
    """
    faults = Faults(ParameterError)
    shock, columns = without_vols(graph, {} if shock is None else shock, faults)
    change = _relative_changes(graph, shock, faults)
    loss = _given_losses(graph, {} if losses is None else losses, faults)
    defaulted = np.zeros(len(graph.account_index), dtype=bool)
    if isinstance(defaults, str) or not isinstance(defaults, Iterable | None):
        kind = "a text" if isinstance(defaults, str) else "no list"
        raise ParameterError(f"defaults={defaults!r} is {kind}; give a list of traders or account triples")
    for rows in _rows("defaults", graph, () if defaults is None else defaults, faults):
        defaulted[rows] = True
    faults.raise_if_any()
    given = given_prices(graph, change, columns) if is_backed(graph) else None
    return Scenario(shocked_prices(graph, change, columns), loss, defaulted, given, columns)


def relative_changes(graph: ExposureGraph, shock: Shock) -> FloatArray:
    """Return the relative change of each asset that a shock gives it, before anything is passed down, shape (m,)."""
    faults = Faults(ParameterError)
    change = _relative_changes(graph, shock, faults)
    faults.raise_if_any()
    return change


def check_graph(graph: Any) -> None:
    """Refuse what is no graph."""
    if not isinstance(graph, ExposureGraph):
        raise ParameterError(f"graph is a {type(graph).__name__}; build an ExposureGraph first")


def check_no_instruments(graph: ExposureGraph, what: str) -> None:
    """Refuse a graph with instruments, where prices are taken to move in proportion to a shock, or each by itself.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[1.0, 1.0]], price={"X": 10.0}, assets=["X", "future"],
    ...     instruments={"asset": ["future"], "underlying": ["X"], "kind": ["linear"]},
    ... )
    >>> check_no_instruments(graph, "runway")
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: runway: the graph has 1 instrument that is priced from another asset, ...
    """
    if graph._price_map is not None:
        count = graph._price_map.instruments.size
        several = f"{count:,} instruments that are" if count != 1 else "1 instrument that is"
        raise ParameterError(
            f"{what}: the graph has {several} priced from another asset, and this takes every price to move by itself, "
            "in proportion to a shock; graph.assign(instruments=None) takes their prices as given"
        )


def check_flat_margins(graph: ExposureGraph, what: str) -> None:
    """Refuse a graph with instruments, and one with margins that are known at its own prices and positions only.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[1.0]], price=[10.0], assets=["X"], margin_tiers={"asset": ["X"], "lower": [0.0], "rate": [0.1]}
    ... )
    >>> check_flat_margins(graph, "MarginCascade")
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: MarginCascade: the graph has margin tiers of 1 asset; ...
    """
    check_no_instruments(graph, what)
    check_rates(graph, what)


def check_rates(graph: ExposureGraph, what: str) -> None:
    """Refuse a graph with margin tiers or accounts on scenario grids."""
    if graph._margins is None:
        return
    tiered = 0 if graph.margin_tiers is None else graph.margin_tiers["asset"].nunique()
    on_grids = sum(grid.rows.size for grid in graph._margins.grids)
    parts = [f"margin tiers of {tiered:,} asset{'s' * (tiered != 1)}"] * bool(tiered)
    parts += [f"{on_grids:,} account{'s' * (on_grids != 1)} on scenario grids"] * bool(on_grids)
    raise ParameterError(
        f"{what}: the graph has {' and '.join(parts)}; here margins can only be flat rates. For flat rates in their "
        "place, give graph.assign(margin_tiers=None, account_margin=None) with margin_long and margin_short in table "
        "assets"
    )


def closed_shares(graph: ExposureGraph, closed: Any) -> FloatArray:
    """Return closed shares of the accounts in label order, by account or as an array, shape (n,).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0], [1.0]], price=1.0)
    >>> closed_shares(graph, graph.equity[::-1] * [0.5, 0.25]).tolist()
    [0.25, 0.5]
    >>> closed_shares(graph, [0.5])
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: closed must be 2 numbers from 0 to 1, one an account
    """
    n = len(graph.account_index)
    if isinstance(closed, Mapping | pd.Series):
        kind = Number("closed share", low=0.0, high=1.0)
        return argument("closed", closed, graph.account_index, kind, base=np.nan)
    share = np.array(closed, dtype=np.float64)
    if share.shape != (n,) or not ((share >= 0.0) & (share <= 1.0)).all():
        raise ParameterError(f"closed must be {n} numbers from 0 to 1, one an account")
    return share


def ranks(graph: ExposureGraph, order: Order) -> IntArray:
    """Return the place of every account in an order of traders or accounts, or in one drawn at random, shape (n,).

    Accounts that are not named follow those that are, in the order of the graph.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0], [1.0], [1.0]], price=[1.0], traders=["A", "B", "C"])
    >>> ranks(graph, ["C", "A"]).tolist()
    [1, 2, 0]
    """
    n = len(graph.account_index)
    if isinstance(order, np.random.Generator):
        return order.permutation(n).astype(np.int32)
    if isinstance(order, str):
        raise ParameterError(f"order={order!r} is a text; give a list of traders or account triples, or a Generator")
    faults, place = Faults(ParameterError), np.arange(n) + n
    for number, rows in reversed(list(enumerate(_rows("order", graph, order, faults)))):
        place[rows] = number  # an account that is named twice keeps its first place
    faults.raise_if_any()
    return np.argsort(np.argsort(place, kind="stable")).astype(np.int32)


def _relative_changes(graph: ExposureGraph, shock: Shock, faults: Faults) -> FloatArray:
    changes = np.zeros(len(graph.assets))
    if not isinstance(shock, Mapping | pd.Series):
        raise ParameterError(
            f"shock is a {type(shock).__name__}; give a mapping or Series asset -> relative price change"
        )
    labels = text_index(shock.keys(), "shock", faults)
    columns = graph.assets.get_indexer(labels)
    note_repeated("shock", labels, faults, "Name each asset once.")
    for column, (asset, change) in zip(columns, shock.items(), strict=True):
        if not is_label(asset):
            continue
        if column < 0:
            hint = nearest(str(asset), graph.assets) if len(faults.found) < HINTED else ""
            faults.add("shock", f"unknown asset {str(asset)!r}{hint}", "Use a label of graph.assets.")
        elif not is_finite(change) or change < -1:
            remedy = "Give a finite relative change of at least -1: -0.3 = falls by 30 %."
            faults.add("shock", f"asset {str(asset)!r} changes by {change!r}", remedy)
        else:
            changes[column] = change
    return changes


def _given_losses(graph: ExposureGraph, losses: Mapping[AccountKey, float], faults: Faults) -> FloatArray:
    """Spread each trader's loss over its accounts in proportion to positive equity at p0, else on its first."""
    total = np.zeros(len(graph.account_index))
    if not isinstance(losses, Mapping | pd.Series):
        raise ParameterError(f"losses is a {type(losses).__name__}; give a mapping or Series account -> currency")
    given = np.zeros(total.size, dtype=bool)
    for (key, loss), found in zip(losses.items(), _rows("losses", graph, losses.keys(), faults), strict=True):
        rows = np.array(found, dtype=np.int64)
        if given[rows].any():
            faults.add("losses", f"account {label_text(key)!r} is named twice", "Name each account once.")
        given[rows] = True
        if not is_finite(loss) or loss < 0:
            faults.add(
                "losses", f"{label_text(key)!r} loses {loss!r}", "Give a finite loss of at least 0, in currency."
            )
            continue
        positive = np.maximum(graph.cash[rows] + graph._rows.initial.value[rows], 0.0)
        whole, named = graph._rows.total(positive, rows), np.zeros(total.size, dtype=bool)
        named[rows] = True
        if whole > 0.0:
            total[rows] += loss * (positive / whole)
        else:
            total[graph._rows.first(named)] += loss
    return total


def _rows(where: str, graph: ExposureGraph, keys: Iterable[AccountKey], faults: Faults) -> list[list[int]]:
    """Return the rows of each key; empty for one that has none, which is a fault if it has none anywhere."""
    keys = list(keys)
    rows = [account_rows_of(key, graph.account_index) for key in keys]
    for key, known in zip(keys, graph._rows.count([len(each) for each in rows]) if keys else (), strict=True):
        if not known:
            hint = graph._rows.hint(label_text(key)) if len(faults.found) < HINTED else ""
            faults.add(
                where, f"unknown account {label_text(key)!r}{hint}", "Name a trader or a (trader, pool, subaccount)."
            )
    return rows
