"""The checks of margin tiers and scenario grids: each table on its own, and what they say of accounts and assets."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph.errors import SHOWN, Faults, nearest
from contagion_graph.tables.checks import note_rows
from contagion_graph.tables.schema import EVERY, UNREAD, Table

SCENARIO = ("move", "vol_factor")


def check_margin_table(table: Table, faults: Faults) -> None:
    """Note what is wrong within table margin_tiers or margin_scenarios; other tables pass."""
    known = all(labels.values.tolist() != [UNREAD] for labels in table.labels.values())
    if table.name == "margin_tiers" and known:
        _check_tiers(table, faults)
    if table.name == "margin_scenarios" and known:
        _check_scenarios(table, faults)


def _check_tiers(table: Table, faults: Faults) -> None:
    """Note tiers that do not begin at 0, stand twice, or whose rates fall: no largest affine piece."""
    codes, lower, rate = table.labels["asset"].codes, table.numbers["lower"], table.numbers["rate"]
    order = np.lexsort((lower, codes))
    begins = np.diff(codes[order], prepend=-2) != 0

    def note(which: Any, column: str, problem: str, remedy: str) -> None:
        rows = np.sort(order[which])
        shown = [f"{table.numbers[column][row]:g}, {table.row_label(row)}" for row in rows[:SHOWN]]
        if rows.size:
            faults.add_rows(f"{table.name}.{column}", problem, remedy, rows=rows.tolist(), examples=shown)

    first = begins & (lower[order] > 0.0)
    note(first, "lower", "the first tier does not begin at 0", "Add the tier that begins at a notional of 0.")
    same = ~begins & (np.diff(lower[order], prepend=-1.0) == 0.0)
    note(same, "lower", "repeated", "Keep one row for each asset x lower.")
    falls = ~begins & (np.diff(rate[order], prepend=-1.0) < 0.0)
    note(falls, "rate", "lower than that of the tier below", "Rates rise with the notional; check the order of tiers.")


def _check_scenarios(table: Table, faults: Faults) -> None:
    """Note scenarios that stand twice, grids in which no price stays, and contingencies that differ within a grid."""
    frame = pd.DataFrame(
        {name: labels.codes for name, labels in table.labels.items()}
        | {name: table.numbers[name] for name in (*SCENARIO, "contingency")}
    )
    keys = ["grid", "underlying"]
    repeated = np.flatnonzero(frame.duplicated([*keys, *SCENARIO]).to_numpy())
    note_rows(table, "move", repeated, faults, "repeated", "Keep one row for each move and vol_factor of a grid.")
    stays = frame["move"].eq(0.0).groupby([frame[key] for key in keys]).transform("any")
    without = np.flatnonzero(~stays.to_numpy() & ~frame.duplicated(keys).to_numpy() & frame["move"].notna().to_numpy())
    note_rows(table, "move", without, faults, "a grid without the move 0", "Add the scenario in which the price stays.")
    first = frame.groupby(keys)["contingency"].transform("first")
    differs = np.flatnonzero((frame["contingency"] != first).to_numpy())
    remedy = "A grid has one contingency for each underlying; write it in all its rows."
    note_rows(table, "contingency", differs, faults, "differs within the grid", remedy)


def check_grids(accounts: Table, scenarios: Table | None, faults: Faults) -> None:
    """Note accounts that are on a grid which table margin_scenarios does not have."""
    labels = accounts.labels["margin"]
    known = pd.Index([], dtype="str") if scenarios is None else scenarios.labels["grid"].values
    unknown = (known.get_indexer(labels.values) < 0) & (labels.values != UNREAD) & (labels.values != "")
    for code in np.flatnonzero(unknown).tolist():
        grid = str(labels.values[code])
        remedy = "Add its scenarios to table margin_scenarios, or leave it blank: rates and tiers."
        rows = np.flatnonzero(labels.codes == code)
        note_rows(accounts, "margin", rows, faults, f"unknown grid {grid!r}{nearest(grid, known)}", remedy)


def check_links(graph: Mapping[str, Any]) -> None:
    """Check what the margins of a graph, given by its fields, say of its accounts and assets; raise all faults."""
    faults = Faults()
    _check_own_rates(graph, faults)
    if graph["account_margin"] is not None:
        _check_known_grids(graph, faults)
        faults.raise_if_any()
        for grid in graph["account_margin"].unique():
            if grid != "":
                _check_covered(graph, grid, faults)
    faults.raise_if_any()


def _check_known_grids(graph: Mapping[str, Any], faults: Faults) -> None:
    table, margin = graph["margin_scenarios"], graph["account_margin"]
    known = [] if table is None else table["grid"].unique().tolist()
    for grid in margin.unique():
        if grid not in ("", *known):
            remedy = "Add its scenarios to table margin_scenarios, or leave it blank: rates and tiers."
            _note(graph, margin == grid, f"unknown grid {grid!r}{nearest(grid, known)}", remedy, faults)


def _note(graph: Mapping[str, Any], accounts: Any, problem: str, remedy: str, faults: Faults) -> None:
    rows = np.flatnonzero(accounts)
    if rows.size:
        shown = [f"trader {graph['account_index'][row][0]!r}" for row in rows[:SHOWN]]
        faults.add_rows("accounts.margin", problem, remedy, rows=rows.tolist(), examples=shown)


def _check_own_rates(graph: Mapping[str, Any], faults: Faults) -> None:
    """Note positions with a margin of their own where tiers or a grid say the margin."""
    records, tiers, margin = graph["records"], graph["margin_tiers"], graph["account_margin"]
    if records is None or (tiers is None and margin is None):
        return
    none = np.zeros(len(graph["account_index"]), dtype=bool)
    on_grid = none if margin is None else np.asarray(margin != "")
    tiered = np.zeros(len(graph["assets"]), dtype=bool)
    if tiers is not None:
        tiered[graph["assets"].get_indexer(tiers["asset"])] = True
    wrong = np.flatnonzero(~np.isnan(records.margin) & (on_grid[records.account] | tiered[records.asset]))
    shown = wrong[:SHOWN]
    traders = [graph["account_index"][row][0] for row in records.account[shown]]
    note_own_rates(wrong.tolist(), traders, graph["assets"][records.asset[shown]].tolist(), faults)


def note_own_rates(rows: list[int], traders: Iterable[str], assets: Iterable[str], faults: Faults) -> None:
    """Note rows of table positions with a margin where there is none to give; of the first their traders and assets."""
    if rows:
        shown = [f"trader {trader!r}, asset {asset!r}" for trader, asset in zip(traders, assets, strict=True)]
        remedy = "Leave it blank: the tiers of the asset, or the grid of the account, say the margin."
        faults.add_rows("positions.margin", "a rate beside tiers or a grid", remedy, rows=rows, examples=shown)


def underlying_of(graph: Mapping[str, Any]) -> Any:
    """Return the label of what each asset is priced from: itself where it is no instrument."""
    assets, table = graph["assets"], graph["instruments"]
    if table is None:
        return assets
    named = assets.to_series()
    named[table["asset"]] = table["underlying"].to_numpy()
    return pd.Index(named, dtype="str")


def _check_covered(graph: Mapping[str, Any], grid: str, faults: Faults) -> None:
    """Note underlyings without scenarios that accounts on a grid hold, and risk groups whose scenarios do not match."""
    table = graph["margin_scenarios"][graph["margin_scenarios"]["grid"] == grid]
    counts = table.groupby("underlying", sort=False).size()
    rows = np.flatnonzero(graph["account_margin"] == grid)
    held = np.unique(graph["quantity"][rows].indices)
    underlying = underlying_of(graph)[held]
    size = counts.reindex(underlying).fillna(counts.get(EVERY, 0)).to_numpy()
    remedy = "Add its scenarios to table margin_scenarios, or scenarios with a blank underlying: every other one."
    for name in underlying[size == 0].unique()[:SHOWN]:
        faults.add(
            "margin_scenarios.underlying",
            f"grid {grid!r} has no scenarios of {name!r}, which its accounts hold",
            remedy,
        )
    if graph["asset_group"] is None:
        return
    group = graph["asset_group"][held]
    for name in group.unique():
        sizes = sorted({int(each) for each in size[group == name]})
        if name != "" and len(sizes) > 1:
            problem = f"grid {grid!r} has {sizes} scenarios of the underlyings of group {name!r}"
            faults.add("assets.group", problem, "The underlyings of a risk group move together: give them as many.")
