"""From the arrays of a graph back to its tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph.solvers.arrays import row_of_cells
from contagion_graph.tables.assemble import KEPT
from contagion_graph.tables.schema import Labels

KINDS = np.array(["deposit", "debt", "long", "short"], dtype=object)


def graph_frames(graph: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the tables of a graph, given by its fields, as pandas frames."""
    tables = {name: graph_frame(graph, name) for name in ("positions", *MAKERS)}
    return {**tables, **{name: graph[field] for field, name in KEPT.items() if graph[field] is not None}}


def graph_frame(graph: Mapping[str, Any], name: str) -> pd.DataFrame:
    """Return one of the tables that every graph has: positions, assets, pools or accounts."""
    return _positions(graph) if name == "positions" else _with_attributes(graph, name, MAKERS[name](graph))


def _with_attributes(graph: Mapping[str, Any], name: str, columns: dict[str, Any]) -> pd.DataFrame:
    further = graph["attributes"].get(name, {})
    return pd.DataFrame({**columns, **{str(column): further[column].to_numpy() for column in further}})


def _assets(graph: Mapping[str, Any]) -> dict[str, Any]:
    columns = ("price", "depth", "margin_long", "margin_short", "sellable")
    given = {} if graph["asset_group"] is None else {"group": graph["asset_group"]}
    return {"asset": graph["assets"], **{column: graph[column] for column in columns}, **given}


def _pools(graph: Mapping[str, Any]) -> dict[str, Any]:
    return {"pool": graph["pools"], "insurance_fund": graph["insurance_fund"]}


def _accounts(graph: Mapping[str, Any]) -> dict[str, Any]:
    accounts, records = graph["account_index"], graph["records"]
    columns = {name: accounts.get_level_values(name) for name in accounts.names}
    columns["cash"] = graph["cash"] if records is None else records.own_cash
    given = {"share": graph["share"], "margin": graph["account_margin"]}
    return {**columns, **{name: values for name, values in given.items() if values is not None}}


MAKERS = {"assets": _assets, "pools": _pools, "accounts": _accounts}


def _positions(graph: Mapping[str, Any]) -> pd.DataFrame:
    cells, accounts, records = graph["quantity"], graph["account_index"], graph["records"]
    if records is None:
        account = row_of_cells(cells)
        asset, quantity = cells.indices, cells.data
        entry_price = margin = np.full(quantity.size, np.nan)
        position = kind = None
    else:
        account, asset, quantity = records.account, records.asset, records.quantity
        entry_price, margin = records.entry_price, records.margin
        position, kind = records.position, records.kind
    labels = {name: accounts.levels[k][accounts.codes[k][account]] for k, name in enumerate(accounts.names)}
    given = {} if position is None else {"position": position.values[position.codes]}
    return pd.DataFrame(
        {
            **given,
            "trader": labels["trader"],
            "asset": graph["assets"][asset],
            "quantity": quantity,
            "pool": labels["pool"],
            "subaccount": labels["subaccount"],
            "entry_price": entry_price,
            "margin": margin,
            "kind": pd.Series(_kinds(quantity, entry_price, kind), dtype="str"),
        }
    )


def _kinds(quantity: Any, entry_price: Any, given: Labels | None) -> Any:
    derived = KINDS[2 * ~np.isnan(entry_price) + (quantity < 0)]
    if given is None or given.values.empty:
        return derived
    return np.where(given.codes >= 0, given.values.to_numpy(dtype=object)[given.codes], derived)
