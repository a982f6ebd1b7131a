"""Margin tiers and scenario grids of tables whose positions are on disk: the grid of each account, and the checks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph.distributed.account_rows import AccountRows, codes_of, pieces
from contagion_graph.errors import SHOWN, Faults
from contagion_graph.tables.assemble import kept_frames, optional_labels
from contagion_graph.tables.margins import check_links, note_own_rates
from contagion_graph.tables.schema import Table
from contagion_graph.tables.spool import Spooled


def margin_of(tables: Mapping[str, Table], n: int) -> Any:
    """Return the grid of each account, "" where it is on rates and tiers, shape (n,); None: all are."""
    own = optional_labels(tables["accounts"], "margin") if "accounts" in tables else None
    if own is None or (own == "").all():
        return None
    on = np.full(n, "", dtype=object)
    on[: own.size] = own  # the accounts of table accounts come first
    return on


def check_margins(tables: Mapping[str, Table], accounts: AccountRows, positions: Spooled) -> None:
    """Check what tiers and grids say of positions, as a graph does, a piece of them at a time; raise all faults."""
    frames, on = kept_frames(tables), margin_of(tables, accounts.keys.size)
    if on is None and frames["margin_tiers"] is None:
        return
    labels = optional_labels(tables["assets"], "asset")
    assert labels is not None
    on = np.full(accounts.keys.size, "", dtype=object) if on is None else on
    grid, names = pd.factorize(on)
    held, tiered = np.zeros((names.size, len(labels)), dtype=bool), np.zeros(len(labels), dtype=bool)
    if frames["margin_tiers"] is not None:
        tiered[labels.get_indexer(pd.Index(frames["margin_tiers"]["asset"]))] = True
    column = labels.get_indexer(positions.table.labels["asset"].values)
    rates, wrong, shown = positions.columns.get("margin"), list[int](), list[tuple[str, str]]()
    for rows in pieces(positions.table.size):
        account, asset = accounts.of_position.block(rows), column[codes_of(positions, "asset", rows)]
        held[grid[account], asset] = True
        rate = np.full(account.size, np.nan) if rates is None else rates.block(rows)
        own = np.flatnonzero(~np.isnan(rate) & ((on[account] != "") | tiered[asset]))
        wrong += (own + rows.start).tolist()
        for place in own[: SHOWN - len(shown)].tolist():
            trader = accounts.levels[0][accounts.codes(slice(account[place], account[place] + 1))[0][0]]
            shown.append((trader, labels[asset[place]]))
    faults = Faults()
    note_own_rates(wrong, [trader for trader, _ in shown], [asset for _, asset in shown], faults)
    faults.raise_if_any()
    group = optional_labels(tables["assets"], "group")
    check_links({
        **frames, "records": None, "assets": labels, "asset_group": group,
        "account_margin": pd.Index(names, dtype="str"), "quantity": sparse.csr_array(held),
    })  # fmt: skip
