"""The same positions, margined apart or together: isolated, by chain, by pool, or all in one."""

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph, check_no_instruments
from contagion_graph.tables.labels import label_text
from contagion_graph.tables.schema import ACCOUNT_LEVELS, CROSS_MARGIN, POOL

KEPT = ("backing", "obligations", "margin_tiers", "margin_scenarios")
Design = Literal["isolated", "chain", "pool", "unified"]


def pooling(graph: ExposureGraph, design: Design) -> ExposureGraph:
    """Return a graph with the same positions, cash and funds, margined under another design.

    A trader's positions fall into accounts g by the design. Its cash is dealt out so that every account has the same
    margin ratio as the trader as a whole, with E and M the trader's equity and maintenance and V_g what the account's
    positions are worth (for derivatives their profit):

        cash_g = M_g E / M - V_g                  (gross value instead of M where nothing is margined)

    so that no account is in breach before a shock unless the trader as a whole is. On margin tiers and scenario grids,
    where margins do not add up, M is the sum of M_g under the design: what netted before may net no longer. An account
    stays on the grid of the accounts whose positions it takes.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts, m assets.
    design : {"isolated", "chain", "pool", "unified"}
        "isolated": an account for each trader, pool and asset; "chain": a pool for each chain (column chain of table
        assets; assets without one share a pool of their own), which splits the funds by gross value; "pool": an
        account for each trader and pool, subaccounts together; "unified": one pool, one account a trader.

    Returns
    -------
    ExposureGraph
        Weights in loss sharing (column share) go with the cash; further columns of tables accounts and pools do not.

    Raises
    ------
    ParameterError
        An unknown design; "chain" where no asset has a chain; accounts on different margins that become one.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0, 20.0]], price=[100.0, 50.0], margin_long=0.1, cash=[-1700.0], traders=["Ann"], assets=["X", "Y"]
    ... )
    >>> cg.collateral.pooling(graph, "isolated").equity.tolist()
    [150.0, 150.0]
    """
    check_graph(graph)
    check_no_instruments(graph, "pooling")
    check_choice("pooling: design", design, get_args(Design))
    frames = graph.to_frames()
    positions = frames["positions"].assign(**_places(graph, frames["positions"], design))
    kept = {name: frames[name] for name in KEPT if name in frames}

    def made(accounts: pd.DataFrame) -> ExposureGraph:
        pools = _pools(graph, positions, accounts, design)
        return ExposureGraph.from_tables(positions, frames["assets"], pools=pools, accounts=accounts, **kept)

    worth = _worth(graph, positions)
    each = worth.groupby(list(ACCOUNT_LEVELS), sort=False).sum().reset_index()
    if graph._margins is not None and len(each):
        each["on"] = _margin_of_each(frames["accounts"], frames["positions"], positions, each)
        each["margin"] = _maintenance(made(each[list(ACCOUNT_LEVELS)].assign(margin=each["on"])), each)
    return made(_accounts(graph, frames["accounts"], each, design))


def _margin_of_each(
    before: pd.DataFrame, held: pd.DataFrame, positions: pd.DataFrame, each: pd.DataFrame
) -> "pd.Series[str]":
    """Return the grid of each account, that of the accounts whose positions it takes; blank: rates and tiers."""
    if "margin" not in before:
        return pd.Series("", index=each.index)
    levels = list(ACCOUNT_LEVELS)
    of_account = before.set_index(levels)["margin"].fillna("")
    on = positions[levels].assign(on=of_account.reindex(pd.MultiIndex.from_frame(held[levels])).to_numpy())
    found = on.groupby(levels, sort=False)["on"].agg(["first", "nunique"]).loc[pd.MultiIndex.from_frame(each[levels])]
    mixed = np.flatnonzero(found["nunique"] > 1)
    if mixed.size:
        raise ParameterError(
            f"pooling: account {label_text(found.index[mixed[0]])!r} would take positions of accounts on different "
            "margins; give these one margin with graph.assign(account_margin=...)"
        )
    return pd.Series(found["first"].to_numpy(), index=each.index)


def _maintenance(graph: ExposureGraph, each: pd.DataFrame) -> FloatArray:
    labels = pd.MultiIndex.from_frame(each[list(ACCOUNT_LEVELS)].astype("str"))
    return np.asarray(graph.maintenance.reindex(labels), dtype=np.float64)


def _places(graph: ExposureGraph, positions: pd.DataFrame, design: Design) -> dict[str, Any]:
    """Return the pool and the subaccount of each position."""
    if design == "isolated":
        return {"subaccount": positions["asset"]}
    if design == "pool":
        return {"subaccount": CROSS_MARGIN}
    if design == "unified":
        return {"pool": POOL, "subaccount": CROSS_MARGIN}
    table = graph.attributes.get("assets")
    if table is None or "chain" not in table or table["chain"].isna().all():
        raise ParameterError("pooling: design 'chain' needs a column chain in table assets; add it")
    chain = table["chain"].reindex(graph.assets).astype("object").where(lambda column: column.notna(), POOL)
    by_asset = pd.Series(chain.map(str).to_numpy(), index=graph.assets)
    return {"pool": positions["asset"].map(by_asset).to_numpy(), "subaccount": CROSS_MARGIN}


def _accounts(graph: ExposureGraph, before: pd.DataFrame, each: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Return table accounts: cash, and weights in loss sharing, dealt out by margin ratio."""
    own = before.groupby("trader", sort=False)[["cash", *({"share"} & set(before))]].sum()
    idle = own.index.difference(pd.Index(each["trader"]), sort=False)
    if len(idle):
        first = before.drop_duplicates("trader").set_index("trader").loc[idle, "pool"]
        place = first.to_numpy() if design in ("isolated", "pool") else (each["pool"].iloc[0] if len(each) else POOL)
        rest = pd.DataFrame({"trader": idle, "pool": place, "subaccount": CROSS_MARGIN})
        each = pd.concat([each, rest.assign(value=0.0, margin=0.0, gross=0.0)], ignore_index=True)
    sums = each.groupby("trader")[["value", "margin", "gross"]].transform("sum")
    weight = np.where(sums["margin"] > 0.0, each["margin"], np.where(sums["gross"] > 0.0, each["gross"], 1.0))
    share = weight / pd.Series(weight).groupby(each["trader"]).transform("sum").to_numpy()
    cash = own["cash"].reindex(each["trader"]).to_numpy()
    columns = {"cash": share * (cash + sums["value"].to_numpy()) - each["value"].to_numpy()}
    if "share" in own:
        columns["share"] = share * own["share"].reindex(each["trader"]).to_numpy()
    if "on" in each:
        columns["margin"] = each["on"].fillna("")
    return each[list(ACCOUNT_LEVELS)].assign(**columns)


def _worth(graph: ExposureGraph, positions: pd.DataFrame) -> pd.DataFrame:
    """Return for each position where it stands, what it adds to equity, its maintenance and its gross value."""
    quantity = positions["quantity"].to_numpy(np.float64)
    column = graph.assets.get_indexer(pd.Index(positions["asset"]))
    value = quantity * graph.price[column]
    entry = np.nan_to_num(positions["entry_price"].to_numpy(np.float64))
    asset_rate: FloatArray = np.where(quantity >= 0.0, graph.margin_long[column], graph.margin_short[column])
    own_rate = positions["margin"].to_numpy(np.float64)
    rate = np.where(np.isnan(own_rate), asset_rate, own_rate)
    columns = {"value": value - quantity * entry, "margin": rate * np.abs(value), "gross": np.abs(value)}
    return positions[list(ACCOUNT_LEVELS)].assign(**columns)


def _pools(graph: ExposureGraph, positions: pd.DataFrame, accounts: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Return table pools; a design by chain splits the sum of the funds by gross value."""
    if design in ("isolated", "pool"):
        return pd.DataFrame({"pool": graph.pools, "insurance_fund": graph.insurance_fund})
    labels, total = accounts["pool"].drop_duplicates().to_numpy(), float(graph.insurance_fund.sum())
    gross = _worth(graph, positions).groupby("pool")["gross"].sum().reindex(labels, fill_value=0.0).to_numpy()
    part = gross / gross.sum() if gross.sum() > 0.0 else np.full(labels.size, 1.0 / labels.size)
    return pd.DataFrame({"pool": labels, "insurance_fund": total * part})
