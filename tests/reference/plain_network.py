"""The nodes and edges that an export must hold, straight from the tables of a graph or a result, value by value."""

import datetime as dt
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

import contagion_graph as cg

Attributes = dict[str, Any]


def nodes(source: cg.ExposureGraph | cg.CascadeResult) -> dict[str, Attributes]:
    """Return the attributes of every trader and asset by id; what is missing is left out."""
    result = source if isinstance(source, cg.CascadeResult) else None
    graph = source.graph if result else source
    tables = graph.to_frames()
    assert not tables["accounts"]["trader"].duplicated().any(), "one account a trader, to keep this simple"
    found: dict[str, Attributes] = {}
    for side, column, given in (("trader", "accounts", {"cash", "pool", "subaccount"}), ("asset", "assets", set())):
        known = _known(graph, result, side)
        taken = {name for row in known.values() for name in row} | {"label", "id", "side"}
        for row in tables[column].to_dict(orient="records"):
            label = row.pop(side)
            own = {f"given_{name}" if name in taken else name: v for name, v in row.items() if name not in given}
            found[f"{side}:{label}"] = {"side": side, "label": label, **_present(own), **_present(known[label])}
    return found


def _known(graph: cg.ExposureGraph, result: cg.CascadeResult | None, side: str) -> dict[str, Attributes]:
    if result is not None:
        table = result.traders if side == "trader" else result.assets
        rows = {str(label): dict(row) for label, row in table.to_dict(orient="index").items()}
        for row in rows.values():
            if side == "asset":
                row["price_change"] = row["price_after"] / row["price_before"] - 1.0
    else:
        rows = {label: {} for label in (graph.traders if side == "trader" else graph.assets)}
    dense = graph.quantity.toarray()
    for k, label in enumerate(graph.traders if side == "trader" else graph.assets):
        if side == "trader":
            rows[label] |= {"cash": graph.cash[k], "gross_value": graph._rows.initial.gross[k]}
            if result is None:
                rows[label] |= {"equity": graph.equity.iloc[k], "maintenance": graph._rows.initial.maintenance[k]}
        elif result is None:
            rows[label] |= {"open_interest": np.abs(dense[:, k]).sum() * graph.price[k]}
    return rows


def _present(row: Attributes) -> Attributes:
    return {str(name): plain_value(value) for name, value in row.items() if not _missing(value)}


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


def plain_value(value: Any) -> Any:
    """Return a value as Python's own bool, int, float or text."""
    if isinstance(value, np.generic):
        value = value.item()
    return value.isoformat() if isinstance(value, dt.date) else value


def edges(graph: cg.ExposureGraph) -> dict[tuple[str, str, bool], dict[str, float]]:
    """Return quantity, value and number of positions by (trader id, kind and sign, asset id)."""
    price = dict(zip(graph.assets, graph.price, strict=True))
    found: dict[Any, dict[str, float]] = defaultdict(lambda: {"quantity": 0.0, "value": 0.0})
    for row in graph.to_frames()["positions"].to_dict(orient="records"):
        key = (f"trader:{row['trader']}", f"asset:{row['asset']}", row["kind"], row["quantity"] < 0)
        found[key]["quantity"] += row["quantity"]
        found[key]["value"] += row["quantity"] * price[row["asset"]]
    return dict(found)
