"""Random markets with options, futures and plain assets, on rates and on scenario grids."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import contagion_graph as cg

STRIKES = (70.0, 85.0, 95.0, 100.0, 105.0, 115.0, 140.0)


@dataclass(frozen=True)
class OptionMarket:
    """A graph, and the arguments that it was made of."""

    graph: cg.ExposureGraph
    given: dict[str, Any]
    shock: dict[str, float]
    model: cg.MarginCascade


def option_market(
    seed: int, *, grids: bool = True, own_depth: bool = True, rest: bool = True, n: int = 30
) -> OptionMarket:
    """Draw a market on two underlyings: calls and puts of two expiries, a future, and hedged and naked books."""
    rng = np.random.default_rng([seed, 18])
    coins, u = ["BTC", "ETH"], np.array([100.0, 20.0])
    names, table, prices = [*coins], [], {"BTC": 100.0, "ETH": 20.0}
    for k in range(int(rng.integers(3, 12))):
        on = int(rng.integers(0, 2))
        kind = str(rng.choice(["call", "put", "linear"], p=[0.45, 0.45, 0.1]))
        option = kind != "linear"
        table.append({
            "asset": f"I{k}", "underlying": coins[on], "kind": kind, "ratio": None if option else rng.uniform(0.5, 2.0),
            "strike": float(rng.choice(STRIKES)) * u[on] / 100.0 if option else None,
            "expiry": float(rng.choice([0.02, 0.25])) if option else None,
            "vol": rng.uniform(0.4, 1.2) if option else None,
            "pass_through": float(rng.choice([1.0, 1.0, 0.6])),
        })  # fmt: skip
        names.append(f"I{k}")
    rng.shuffle(table)
    m = len(names)
    held = rng.normal(size=(n, m)) * (rng.random((n, m)) < 0.35) * rng.lognormal(size=(n, 1)) * 5.0
    instruments = {name: [row[name] for row in table] for name in table[0]}
    depth = np.full(m, np.inf)
    depth[:2] = rng.uniform(1e4, 1e5, 2)
    if own_depth:
        depth[2:] = np.where(rng.random(m - 2) < 0.3, rng.uniform(1e3, 1e5, m - 2), np.inf)
    given: dict[str, Any] = {
        "quantity": held, "assets": names, "depth": depth, "instruments": instruments,
        "margin_long": rng.uniform(0.05, 0.2, m), "margin_short": rng.uniform(0.05, 0.3, m),
        "pool": rng.choice(["one", "two"], n), "insurance_fund": float(rng.choice([0.0, 50.0])),
    }  # fmt: skip
    if grids:
        moves = np.repeat([-0.16, -0.08, 0.0, 0.08, 0.16], 2)
        given["margin_scenarios"] = {
            "grid": ["pm"] * 10, "move": moves, "vol_factor": [0.7, 1.4] * 5, "contingency": [0.01] * 10,
            "weight": np.where(np.abs(moves) > 0.1, 0.6, 1.0),
        }  # fmt: skip
        given["account_margin"] = rng.choice(["", "pm"], n).tolist()
    graph = cg.ExposureGraph.from_arrays(price=prices, **given)
    if rest:  # quotes beside vols: a rest that stays
        quoted = graph.price * np.where(rng.random(m) < 0.3, rng.uniform(0.7, 1.3, m), 1.0)
        quoted[:2] = u
        given["price"] = quoted
    else:
        given["price"] = graph.price
    graph = cg.ExposureGraph.from_arrays(**given)
    room = rng.uniform(1.01, 2.0, n) * graph.maintenance.to_numpy() + 1.0
    given["cash"] = room - graph.equity.to_numpy()
    shock = {"BTC": float(rng.uniform(-0.2, 0.2)), "ETH": float(rng.uniform(-0.2, 0.2))}
    if (graph.instruments["underlying"][graph.instruments["kind"] != "linear"] == "BTC").any():
        shock["vol:BTC"] = float(rng.uniform(-0.4, 0.6))
    if seed % 3 == 0:
        shock["I0"] = float(rng.uniform(-0.3, 0.3))
    liquidation = [cg.FullLiquidation(), cg.TargetMargin(0.1), cg.CloseFactor(0.5)][int(rng.integers(0, 3))]
    model = cg.MarginCascade(
        liquidation,
        impact=[cg.ExponentialImpact(), cg.LinearImpact()][int(rng.integers(0, 2))],
        penalty=float(rng.choice([0.0, 0.01])),
        trade_price_weight=[None, 0.5, 1.0][int(rng.integers(0, 3))],
        waterfall=(cg.InsuranceFund(), *[cg.ProRata()][: int(rng.integers(0, 2))]),
    )
    return OptionMarket(cg.ExposureGraph.from_arrays(**given), given, shock, model)
