"""Bring the plain random markets of the oracle into the library."""

from typing import Any

import numpy as np
import pandas as pd

import contagion_graph as cg
from contagion_graph.tables.assemble import account_index, matrices
from contagion_graph.tables.records import PositionRecords
from tests.reference.dense_state import Market, Rules
from tests.reference.random_markets import Case

LIQUIDATION = {
    "full": cg.FullLiquidation,
    "target": cg.TargetMargin,
    "close_factor": lambda factor, full_below: cg.CloseFactor(factor, full_below=full_below),
    "leverage": lambda cap, target: cg.LeverageTarget(cap, target=target),
    "repay": lambda factor, bonus, full_below: cg.RepayAndSeize(factor, bonus=bonus, full_below=full_below),
}
IMPACT = {"linear": cg.LinearImpact, "exponential": cg.ExponentialImpact}


def graph_of(market: Market) -> cg.ExposureGraph:
    """Build the graph of `tables_of` a market, in a tenth of the time that the tables take (test_markets.py)."""
    account, asset, quantity, entry_price, margin = zip(*market.positions, strict=True)
    n, m = len(market.cash), len(market.price)
    records = PositionRecords(
        account=np.array(account, dtype=np.int32),
        asset=np.array(asset, dtype=np.int32),
        quantity=np.array(quantity, dtype=np.float64),
        entry_price=np.array(entry_price, dtype=np.float64),
        margin=np.array(margin, dtype=np.float64),
        own_cash=np.array(market.cash, dtype=np.float64),
    )
    no_margin = np.zeros(m)
    cells = matrices(records, (n, m), no_margin, no_margin)
    pools = labels("p", len(market.insurance_fund)).rename("pool")
    levels = [labels("t", n), pools, pd.Index([""], dtype="str")]
    return cg.ExposureGraph(
        quantity=cells[0],
        margin_units=cells[1],
        cash=records.own_cash - records.entry_value(),
        price=market.price.copy(),
        depth=np.array(market.depth, dtype=np.float64),
        margin_long=no_margin,
        margin_short=no_margin,
        sellable=market.sellable.copy(),
        insurance_fund=np.array(market.insurance_fund, dtype=np.float64),
        share=np.array(market.share, dtype=np.float64),
        account_index=account_index(levels, [np.arange(n), market.pool, np.zeros(n, dtype=np.int8)]),
        assets=labels("a", m),
        pools=pools,
        records=records,
    )


def labels(prefix: str, size: int) -> "pd.Index[str]":
    """Return prefix0, prefix1, ..."""
    return pd.Index([f"{prefix}{k}" for k in range(size)], dtype="str")


def tables_of(market: Market) -> dict[str, pd.DataFrame]:
    """Return the tables of a market; trader k is called t{k} and account k is its only one."""
    account, asset, quantity, entry_price, margin = zip(*market.positions, strict=True)
    return {
        "positions": pd.DataFrame(
            {
                "trader": [f"t{k}" for k in account],
                "asset": [f"a{k}" for k in asset],
                "pool": [f"p{market.pool[k]}" for k in account],
                "quantity": quantity,
                "entry_price": np.array(entry_price, dtype=float),
                "margin": margin,
            }
        ),
        "assets": pd.DataFrame(
            {
                "asset": labels("a", len(market.price)),
                "price": market.price,
                "depth": market.depth,
                "sellable": market.sellable,
            }
        ),
        "pools": pd.DataFrame(
            {"pool": labels("p", len(market.insurance_fund)), "insurance_fund": market.insurance_fund}
        ),
        "accounts": pd.DataFrame(
            {
                "trader": labels("t", len(market.cash)),
                "pool": [f"p{k}" for k in market.pool],
                "cash": market.cash,
                "share": market.share,
            }
        ),
    }


def model_of(rules: Rules) -> cg.MarginCascade:
    """Build the cascade of a case's rules."""
    name, *parameters = rules.liquidation
    impact = IMPACT[rules.impact](volume=rules.volume) if isinstance(rules.impact, str) else rules.impact
    return cg.MarginCascade(
        liquidation=LIQUIDATION[name](*parameters),
        impact=impact,
        waterfall=(cg.InsuranceFund(), *([] if rules.sharing is None else [cg.ProRata(rules.sharing)])),
        penalty=rules.penalty,
        penalty_to_fund=rules.penalty_to_fund,
        penalty_cap=rules.penalty_cap,
        trade_price_weight=rules.alpha,
        tol=rules.tol,
        max_rounds=rules.max_rounds,
    )


def run_case(case: Case, graph: cg.ExposureGraph | None = None, **options: Any) -> cg.CascadeResult:
    """Run a case through the library, on the graph of its market where that is already there."""
    graph = graph_of(case.market) if graph is None else graph
    return model_of(case.rules).run(
        graph,
        dict(zip(graph.assets, case.shock, strict=True)),
        losses={f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
        defaults=[f"t{k}" for k in np.flatnonzero(case.defaults)],
        **options,
    )
