"""The state of a monitor as a graph."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
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
        records = _records(pointers, column, units, margin_units, cash)
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
        account_index=accounts,
        assets=labels,
        records=records,
        attributes={
            name: _attributes(frame, {"accounts": accounts, "assets": labels}.get(name))
            for name, frame in first.attributes.items()
        },
    )


def _records(pointers: Any, column: Any, units: FloatArray, margin_units: FloatArray, cash: FloatArray) -> Any:
    """Return each cell as one fully paid position, or as two where its margin is above its net quantity.

    q = a - b and mu = a + b, of which all is margin: a deposit and a debt that had been netted.
    """
    rows = np.repeat(np.arange(pointers.size - 1), np.diff(pointers))
    netted = np.flatnonzero(margin_units > np.abs(units))
    quantity, rate = units.copy(), ratio(margin_units, np.abs(units), 1.0)
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


def _attributes(frame: pd.DataFrame, labels: Any) -> pd.DataFrame:
    """Return attributes with one row a label; new ones have none."""
    return frame if labels is None or len(labels) == len(frame) else frame.reindex(labels)
