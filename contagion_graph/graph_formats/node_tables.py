"""The nodes of an exposure graph, or of a cascade on it, with everything that is known of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.holdings import Positions
from contagion_graph.graph.network import Side, trader_table
from contagion_graph.margin.result import CascadeResult
from contagion_graph.tables.frames import graph_frame

TAKEN = {"id", "label", "side", "viz", "start", "end", "spells", "parents", "pid", "x", "y", "size", "r", "g", "b"}
TAKEN |= {"status", "accounts_closing", "price_now", "change_now", "held"}

BREACH = "breach_round"
TERMS = ("kind", "underlying", "strike", "expiry", "vol")  # of instruments


def closed_shares(result: CascadeResult, positions: Positions) -> FloatArray:
    """Return the share of each position that was closed in the end."""
    end = result.arrays
    short = end.closed if end.closed_short is None else end.closed_short
    closed = np.where(positions.quantity < 0.0, short[positions.account], end.closed[positions.account])
    return np.where(result.graph.sellable[positions.asset], closed, 0.0)


def trader_side(graph: ExposureGraph, result: CascadeResult | None) -> Side:
    """Return the traders: what was given, what they hold, and what a cascade did to them."""
    accounts = graph_frame(vars(graph), "accounts")
    table = trader_table(accounts).drop(columns=["trader", "cash"])
    known = {
        "cash": graph._rows.per_trader(graph.cash),
        "gross_value": graph._rows.per_trader(graph._rows.initial.gross),
    }
    if result is None:
        known["equity"] = known["cash"] + graph._rows.per_trader(graph._rows.initial.value)
        known["maintenance"] = graph._rows.per_trader(graph._rows.initial.maintenance)
    else:
        known |= {str(name): values.to_numpy() for name, values in result.traders.items()}
    return _side("trader", graph.traders, table, known, "" if result is None else BREACH)


def asset_side(graph: ExposureGraph, result: CascadeResult | None) -> Side:
    """Return the assets: what was given, how much of them is held, and where a cascade took their prices."""
    table = graph_frame(vars(graph), "assets")
    if result is None:
        held = graph._rows.column_sums(abs(graph.quantity), np.ones(len(graph.account_index)))
        known = {"open_interest": held * graph.price}
    else:
        known = {str(name): values.to_numpy() for name, values in result.assets.items()}
        known["price_change"] = known["price_after"] / known["price_before"] - 1.0
    if graph.instruments is not None:
        terms = graph.instruments.set_index("asset").reindex(graph.assets)
        known |= {name: terms[name].to_numpy() for name in TERMS if terms[name].notna().any()}
    return _side("asset", graph.assets, table.drop(columns="asset"), known)


def position_side(graph: ExposureGraph, result: CascadeResult | None, positions: Positions) -> Side:
    """Return the positions; where their ids are missing or repeat they are numbered."""
    records, account = graph.records, positions.account
    known: dict[str, Any] = {
        "position_kind": pd.Categorical.from_codes(positions.kind, positions.kinds),
        "quantity": positions.quantity,
        "value": positions.value,
        "pool": pd.Categorical.from_codes(graph.account_index.codes[1][account], graph.pools),
    }
    if records is not None:
        known |= {"entry_price": records.entry_price[positions.row], "margin": records.margin[positions.row]}
    if result is not None:
        known["closed"] = closed_shares(result, positions)
        known[BREACH] = result.arrays.breach_round[account]
    numbers = pd.Index(positions.row.astype(str))
    labels = numbers
    if records is not None and records.position is not None:
        codes = records.position.codes[positions.row]
        labels = pd.Index(np.where(codes >= 0, records.position.values.to_numpy(dtype=object)[codes], numbers))
    ids = "position:" + (labels if labels.is_unique else numbers)
    return Side("position", ids, labels, known, positions.row, "" if result is None else BREACH)


def _side(name: str, labels: "pd.Index[str]", given: pd.DataFrame, known: Mapping[str, Any], event: str = "") -> Side:
    """Put what was given before what is known; a given column whose name is taken is called given_..."""
    taken = TAKEN | known.keys()
    renamed = {column: f"given_{column}" if column.lower() in taken else column for column in map(str, given.columns)}
    attributes = {renamed[str(column)]: given[column].to_numpy() for column in given.columns}
    return Side(name, name + ":" + labels, labels, {**attributes, **known}, np.arange(len(labels)), event)
