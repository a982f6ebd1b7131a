"""The state of a monitor as a graph."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.collateral.monitoring.account_index import Directory
from contagion_graph.collateral.monitoring.asset_terms import Listing
from contagion_graph.collateral.monitoring.ledger import Ledger
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.solvers.arrays import ratio, with_data
from contagion_graph.tables.records import PositionRecords


def graph_of(
    first: ExposureGraph, ledger: Ledger, directory: Directory, assets: Listing, *, traded: bool
) -> ExposureGraph:
    """Return the graph that a ledger stands for; `first` is the one that it began with."""
    pointers, column, units, margin_units = ledger.packed()
    quantity = sparse.csr_array((units, column.astype(np.int32), pointers.astype(np.int32)), (ledger.n, ledger.m))
    cash = ledger.watch.cash[: ledger.n].copy()
    records = first.records
    if traded:
        rows = np.repeat(np.arange(ledger.n), np.diff(pointers))
        ruled = ledger.has_tiers(column) | np.isin(rows, ledger.grids.rows)
        records = _records(rows, column, units, margin_units, ruled, cash)
    elif records is not None:
        records = replace(records, own_cash=_longer(records.own_cash, ledger.n))
        records = replace(records, own_cash=cash + records.entry_value())
    accounts, labels = directory.index(), assets.index()
    return replace(
        first,
        quantity=quantity,
        margin_units=with_data(quantity, margin_units),
        cash=cash,
        price=ledger.watch.price[: ledger.m].copy(),
        **assets.arrays(),
        insurance_fund=ledger.fund.copy(),
        share=None if first.share is None else _longer(first.share, ledger.n),
        account_margin=_blank_after(first.account_margin, ledger.n),
        asset_group=_blank_after(first.asset_group, ledger.m),
        account_index=accounts,
        assets=labels,
        records=records,
        attributes={
            name: _attributes(frame, {"accounts": accounts, "assets": labels}.get(name))
            for name, frame in first.attributes.items()
        },
    )


def _records(
    rows: Any, column: Any, units: FloatArray, margin_units: FloatArray, ruled: BoolArray, cash: FloatArray
) -> PositionRecords:
    """Return each cell as one fully paid position, or as two where its margin is above its net quantity.

    q = a - b and mu = a + b, of which all is margin: a deposit and a debt that had been netted. Cells that tiers or a
    grid rule have no rate of their own.
    """
    netted = np.flatnonzero((margin_units > np.abs(units)) & ~ruled)
    quantity, rate = units.copy(), np.where(ruled, np.nan, ratio(margin_units, np.abs(units), 1.0))
    quantity[netted], rate[netted] = (margin_units[netted] + units[netted]) / 2.0, 1.0
    other = (units[netted] - margin_units[netted]) / 2.0
    return PositionRecords(
        account=np.append(rows, rows[netted]).astype(np.int32),
        asset=np.append(column, column[netted]).astype(np.int32),
        quantity=np.append(quantity, other),
        entry_price=np.full(quantity.size + other.size, np.nan),
        margin=np.append(rate, np.ones(other.size)),
        own_cash=cash,
    )


def _longer(values: FloatArray, size: int) -> FloatArray:
    return np.concatenate([values, np.zeros(size - values.size)])


def _blank_after(names: Any, size: int) -> Any:
    """Return the names of grids, or of risk groups; those of new labels are blank."""
    return names if names is None else names.append(pd.Index([""] * (size - len(names)), dtype="str"))


def _attributes(frame: pd.DataFrame, labels: Any) -> pd.DataFrame:
    """Return attributes with one row a label; new ones have none."""
    return frame if labels is None or len(labels) == len(frame) else frame.reindex(labels)
