"""Bring the plain random markets of the oracle into the library."""

from typing import Any

import numpy as np
import pandas as pd

import contagion_graph as cg
from tests.reference.dense_state import Market, Rules
from tests.reference.random_markets import Case

LIQUIDATION = {
    "full": cg.FullLiquidation,
    "target": cg.TargetMargin,
    "close_factor": cg.CloseFactor,
    "leverage": cg.LeverageTarget,
    "repay": cg.RepayAndSeize,
}
IMPACT = {"linear": cg.LinearImpact, "exponential": cg.ExponentialImpact}


def graph_of(market: Market) -> cg.ExposureGraph:
    """Build the exposure graph of a market; trader k is called t{k} and account k is its only one."""
    account, asset, quantity, entry_price, margin = zip(*market.positions, strict=True)
    return cg.ExposureGraph.from_tables(
        positions=pd.DataFrame(
            {
                "trader": [f"t{k}" for k in account],
                "asset": [f"a{k}" for k in asset],
                "pool": [f"p{market.pool[k]}" for k in account],
                "quantity": quantity,
                "entry_price": np.array(entry_price, dtype=float),
                "margin": margin,
            }
        ),
        assets=pd.DataFrame(
            {
                "asset": [f"a{k}" for k in range(len(market.price))],
                "price": market.price,
                "depth": market.depth,
                "sellable": market.sellable,
            }
        ),
        pools=pd.DataFrame(
            {"pool": [f"p{k}" for k in range(len(market.insurance_fund))], "insurance_fund": market.insurance_fund}
        ),
        accounts=pd.DataFrame(
            {
                "trader": [f"t{k}" for k in range(len(market.cash))],
                "pool": [f"p{k}" for k in market.pool],
                "cash": market.cash,
                "share": market.share,
            }
        ),
    )


def model_of(rules: Rules) -> cg.MarginCascade:
    """Build the cascade of a case's rules."""
    name, *parameters = rules.liquidation
    impact = IMPACT[rules.impact](volume=rules.volume) if isinstance(rules.impact, str) else rules.impact
    return cg.MarginCascade(
        liquidation=LIQUIDATION[name](*parameters),
        impact=impact,
        sharing=None if rules.sharing is None else cg.ProRata(rules.sharing),
        penalty=rules.penalty,
        penalty_to_fund=rules.penalty_to_fund,
        alpha=rules.alpha,
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
