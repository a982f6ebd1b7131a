"""The checks of table instruments, and what it leaves open: prices of instruments from vols, and vols from prices."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import SHOWN, Faults, ParameterError, nearest
from contagion_graph.solvers import black
from contagion_graph.tables.checks import note_rows
from contagion_graph.tables.convert import columns_of
from contagion_graph.tables.schema import UNREAD, Table

OPTIONS = {"call": 1.0, "put": -1.0}
KINDS = ("linear", *OPTIONS, "payoff")
NO_SHARE = (
    "A share of an account's net asset value is not priced inside a graph yet; give it as linear, with a ratio to "
    "what it holds most of, or as an asset with a price of its own."
)
NO_CHAIN = "Name as underlying what it is priced from in the end; an instrument on an instrument is not priced."


def check_instruments(table: Table, faults: Faults) -> None:
    """Note what is wrong within table instruments: kinds, terms that do not belong to them, chains of underlyings."""
    if any(labels.values.tolist() == [UNREAD] for labels in table.labels.values()):
        return
    asset, underlying, kind = (_texts(table, name) for name in ("asset", "underlying", "kind"))
    for name in dict.fromkeys(kind):
        rows = np.flatnonzero(kind == name)
        if name == "share":
            note_rows(table, "kind", rows, faults, "kind 'share'", NO_SHARE)
        elif name not in (*KINDS, ""):
            note_rows(
                table, "kind", rows, faults, f"unknown kind {name!r}{nearest(name, KINDS)}", f"Use one of {KINDS}."
            )
    _check_chains(table, asset, underlying, faults)
    option = np.isin(kind, list(OPTIONS))
    for name in ("strike", "expiry"):
        blank = np.isnan(table.numbers[name])
        note_rows(table, name, np.flatnonzero(option & blank), faults, "blank", "A call or put needs it.")
        note_rows(table, name, np.flatnonzero((kind == "linear") & ~blank), faults, "given", "Leave it blank: linear.")
    given = ~np.isnan(table.numbers["ratio"])
    note_rows(
        table, "ratio", np.flatnonzero(option & given), faults, "given",
        "A call or put is one on one unit of the underlying; say in quantity how many.",
    )  # fmt: skip
    given = ~np.isnan(table.numbers["vol"])
    note_rows(table, "vol", np.flatnonzero((kind == "linear") & given), faults, "given", "Leave it blank: linear.")
    table.numbers["ratio"] = np.where(
        (kind == "linear") & np.isnan(table.numbers["ratio"]), 1.0, table.numbers["ratio"]
    )


def _texts(table: Table, column: str) -> Any:
    labels = table.labels[column]
    return np.append(labels.values.to_numpy(dtype=object), "")[labels.codes]


def _check_chains(table: Table, asset: Any, underlying: Any, faults: Faults) -> None:
    """Note instruments on themselves, cycles, and instruments on instruments."""
    on = dict(zip(asset.tolist(), underlying.tolist(), strict=True))
    cyclic = np.zeros(asset.size, dtype=bool)
    for row, name in enumerate(asset.tolist()):
        walk = [name]
        while walk[-1] in on and on[walk[-1]] not in walk:
            walk.append(on[walk[-1]])
        cyclic[row] = on.get(walk[-1]) == name
        if cyclic[row] and name == min(walk):
            cycle = " -> ".join([*walk, name])
            note_rows(table, "underlying", np.array([row]), faults, f"cyclic underlyings: {cycle}", NO_CHAIN)
    chained = np.flatnonzero(np.isin(underlying, asset) & ~cyclic)
    note_rows(table, "underlying", chained, faults, "is an instrument itself", NO_CHAIN)


def instrument_labels(instruments: object) -> Any:
    """Return the labels of the assets that table instruments names; faults in it are found when it is checked."""
    columns = None if instruments is None else columns_of(instruments, "instruments", Faults(), text_columns=["asset"])
    return () if columns is None or "asset" not in columns else [str(each) for each in columns["asset"].to_pylist()]


def without_prices(
    vectors: Mapping[str, Any], assets: "pd.Index[str]", unpriced: Any
) -> tuple[Mapping[str, Any], BoolArray]:
    """Return the vectors with 1 in the place of the prices that are left open, and which these are."""
    blank, price = np.asarray(assets.isin(unpriced)), vectors["price"]
    if not blank.any():
        return vectors, blank
    if isinstance(price, Mapping | pd.Series):
        given = {str(asset): value for asset, value in price.items()}
        without = [asset for asset in assets[blank] if asset not in given or pd.isna(given[asset])]
        blank &= np.asarray(assets.isin(without))
        return {**vectors, "price": {**given, **dict.fromkeys(without, 1.0)}}, blank
    try:
        price = np.array(price, dtype=np.float64)
    except (TypeError, ValueError):
        return vectors, np.zeros_like(blank)
    blank &= np.isnan(price) if price.shape == blank.shape else np.zeros_like(blank)
    return ({**vectors, "price": np.where(blank, 1.0, price)} if blank.any() else vectors), blank


def following(prices: Any, price: Any, given: Any, assets: "pd.Index[str]") -> Any:
    """Return changed prices; those of instruments that a mapping or Series does not name follow their underlyings."""
    if not isinstance(given, Mapping | pd.Series):
        return price
    named = assets.isin([str(asset) for asset in given.keys()])  # noqa: SIM118 - of a Series too
    own = prices.instruments[~named[prices.instruments]]
    price[own] = prices.prices(price)[own]
    worthless = own[~(price[own] > 0.0)]
    if worthless.size:
        faults = Faults()
        remedy = "Name it with a price above 0."
        faults.add("price", f"{assets[worthless[0]]!r} is worth nothing at these prices of its underlying", remedy)
        faults.raise_if_any()
    return price


def check_underlyings(table: pd.DataFrame | None, kept: "pd.Index[str]") -> None:
    """Refuse a part of a graph with an instrument whose underlying is not in it."""
    if table is None:
        return
    alone = table[table["asset"].isin(kept) & ~table["underlying"].isin(kept)]
    if len(alone):
        asset, underlying = alone.iloc[0][["asset", "underlying"]]
        raise ParameterError(f"assets: {asset!r} is priced from {underlying!r}; keep {underlying!r} too, or neither")


def check_priced(tables: Mapping[str, Table], faults: Faults) -> None:
    """Note the assets without a price that are no instruments, where table instruments can be trusted to say which."""
    assets = tables["assets"]
    blank = np.isnan(assets.numbers["price"])
    if blank.any() and not any(fault.where.startswith("instruments") for fault in faults.found):
        labels = assets.labels["asset"]
        known: Any = [] if "instruments" not in tables else tables["instruments"].labels["asset"].values
        own = np.append(labels.values.isin(known), False)[labels.codes]
        remedy = "It must be a finite number above 0 (currency per unit)."
        note_rows(assets, "price", np.flatnonzero(blank & ~own), faults, "blank or NaN", remedy)


def with_prices(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields price and instruments of a graph, given by its fields, without blanks; raise all faults.

    price = F(u0, vol) where it is blank; vol = that at which F(u0, vol) = price where it is blank.
    """
    table, assets, price = graph["instruments"], graph["assets"], graph["price"].copy()
    if table is None or table.empty:
        return {"instruments": None}
    faults, payoffs = Faults(), graph.get("payoffs") or {}
    _check_backing(graph, faults)
    check_sellable(graph, faults)
    _check_payoffs(table, payoffs, faults)
    faults.raise_if_any()
    column, on = assets.get_indexer(table["asset"]), assets.get_indexer(table["underlying"])
    u, kind, vol = price[on], table["kind"].to_numpy(dtype=object), table["vol"].to_numpy(np.float64).copy()
    sign = np.array([OPTIONS.get(each, np.nan) for each in kind])
    option, given = ~np.isnan(sign), price[column]
    terms = table["strike"].to_numpy(), table["expiry"].to_numpy()

    def note(which: BoolArray, where: str, problem: str, remedy: str) -> None:
        rows = np.flatnonzero(which)
        if rows.size:
            shown = [f"asset {table['asset'].iloc[row]!r}" for row in rows[:SHOWN]]
            faults.add_rows(where, problem, remedy, rows=rows.tolist(), examples=shown)

    open_ = option & np.isnan(vol)
    note(
        open_ & np.isnan(given), "instruments.vol", "neither a vol nor a price",
        "Give the vol of the option, or its price in table assets.",
    )  # fmt: skip
    solved = open_ & ~np.isnan(given)
    strike, expiry = (term[solved] for term in terms)
    vol[solved] = black.implied_vol(sign[solved], u[solved], strike, expiry, given[solved])
    note(
        solved & np.isnan(vol), "assets.price", "a price at which no vol values the option",
        "It lies between max(sign (u - K), 0) and u (a call) or K (a put); give the vol too: the rest stays constant.",
    )  # fmt: skip
    faults.raise_if_any()
    model = _values(table, kind, u, vol, payoffs)
    blank = np.isnan(given)
    price[column[blank]] = model[blank]
    note(
        blank & ~(model > 0.0), "instruments", "worth nothing at its terms",
        "A price has to be above 0: give one in table assets, or leave the instrument out.",
    )  # fmt: skip
    faults.raise_if_any()
    return {"price": price, "instruments": table.assign(vol=vol)}


def _values(table: pd.DataFrame, kind: Any, u: FloatArray, vol: FloatArray, payoffs: Mapping[str, Any]) -> FloatArray:
    """Return F(u, vol) of each row."""
    model = table["ratio"].to_numpy() * u
    option = np.isin(kind, list(OPTIONS))
    sign = np.array([OPTIONS.get(each, np.nan) for each in kind])
    terms = sign, u, table["strike"].to_numpy(), table["expiry"].to_numpy(), vol
    model[option] = black.price(*(term[option] for term in terms))
    for row in np.flatnonzero(kind == "payoff"):
        model[row] = np.asarray(payoffs[table["asset"].iloc[row]].price(u[row : row + 1], vol[row : row + 1])).item()
    return model


def _check_backing(graph: Mapping[str, Any], faults: Faults) -> None:
    """Note instruments that are made of assets, or of which assets are made: their price would be said twice."""
    backing, table = graph["backing"], graph["instruments"]
    if backing is None:
        return
    for column in ("asset", "underlying"):
        both = sorted({*backing[column]} & {*table["asset"]})
        if both:
            remedy = "Keep its row in one of the two tables: its price follows the underlying there."
            faults.add("instruments.asset", f"{both[0]!r} is in table backing too, as {column}", remedy)


def check_sellable(graph: Mapping[str, Any], faults: Faults) -> None:
    """Note instruments that cannot be sold while their underlying can: a closed account would go on to lose by them."""
    table = graph["instruments"]
    if table is None:
        return
    own, underlying = (graph["sellable"][graph["assets"].get_indexer(table[name])] for name in ("asset", "underlying"))
    rows = np.flatnonzero(~own & underlying)
    if rows.size:
        shown = [f"asset {table['asset'].iloc[row]!r} on {table['underlying'].iloc[row]!r}" for row in rows[:SHOWN]]
        remedy = "Let it be sellable, with a depth if its own book is thin, or its underlying not."
        faults.add_rows("assets.sellable", "false, of an instrument", remedy, rows=rows.tolist(), examples=shown)


def _check_payoffs(table: pd.DataFrame, payoffs: Mapping[str, Any], faults: Faults) -> None:
    """Note instruments whose payoff is missing, and payoffs of nothing."""
    own = set(table["asset"][table["kind"] == "payoff"])
    for name in sorted(own - payoffs.keys()):
        remedy = "Give payoffs={asset: record}: a folder of tables cannot hold it."
        faults.add("payoffs", f"asset {name!r} has the kind payoff, and no record", remedy)
    for name in sorted(payoffs.keys() - own):
        remedy = "Give it a row in table instruments, with that kind."
        faults.add("payoffs", f"{name!r} is no instrument of the kind payoff", remedy)
    for name in sorted(own & payoffs.keys()):
        lacking = [
            each for each in ("price", "delta", "delta_bound") if not callable(getattr(payoffs[name], each, None))
        ]
        if lacking:
            faults.add("payoffs", f"the record of {name!r} has no {', '.join(lacking)}", "See docs/adding-a-payoff.md.")
