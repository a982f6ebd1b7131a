"""Random markets in which every branch of the margin cascade is taken often; values are generic, so ties are rare."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

import contagion_graph as cg

from .dense_state import Flags, Floats, Ints, Liquidation, Market, Outcome, Position, Rules, Sharing

ROLES = ("derivatives", "lending", "mixed", "only cash", "only negative cash")


@dataclass(frozen=True)
class Case:
    """One call of a margin cascade: losses (n,) in currency, defaults (n,) flags, shock (m,) relative."""

    market: Market
    rules: Rules
    shock: Floats
    losses: Floats
    defaults: Flags


def random_case(seed: int) -> Case:
    """Draw 2 to 25 accounts, 1 to 6 assets, 1 to 4 pools, the rules and a shock; the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    n, m = (int(size) for size in rng.integers((2, 1), (26, 7), (2, 2)).max(axis=0))  # of two draws: mostly large
    market = random_market(rng, n, m, int(rng.choice([1, 1, 2, 3, 4])))
    losses, defaults = np.zeros(n), np.zeros(n, dtype=bool)
    if rng.random() < 0.25:
        losses = np.where(rng.random(n) < 0.3, rng.lognormal(7.5, 1.0, n), 0.0)
    if rng.random() < 0.25:
        defaults = rng.random(n) < 0.15
    rules, shock = random_rules(rng), random_shock(rng, m)
    rules = rarer_rules(rng, rules, m)
    capped = np.random.default_rng([seed, 1]).random() < 0.6  # of its own: what else is drawn stays what it was
    return Case(market, replace(rules, penalty_cap="equity" if capped else None), shock, losses, defaults)


def random_market(rng: np.random.Generator, n: int, m: int, v: int) -> Market:
    """Draw positions, then cash that makes equity a multiple of maintenance, and depth and funds to scale."""
    price = rng.lognormal(2.0, 2.0, m)
    roles: list[str] = rng.choice(ROLES, n, p=[0.4, 0.3, 0.22, 0.05, 0.03]).tolist()
    crowd = np.where(rng.random(m) < 0.65, 1.0, -1.0)  # the side that most accounts take
    margin_rate = rng.uniform(0.02, 0.3, m)
    positions = [p for i in range(n) for p in random_positions(rng, i, roles[i], price, crowd, margin_rate)]
    gross = np.zeros(m)
    for _, asset, units, _, _ in positions:
        gross[asset] += abs(units) * price[asset]
    depth = np.where(rng.random(m) < 0.15, np.inf, (gross + 1.0) * rng.lognormal(-0.3, 0.6, m))
    pool: Ints = rng.integers(0, v, n)
    fund = np.where(rng.random(v) < 0.3, 0.0, gross.sum() / v * rng.lognormal(-5.0, 1.2, v))
    return Market(
        positions=positions,
        cash=random_cash(rng, roles, positions, price),
        price=price,
        depth=depth,
        sellable=rng.random(m) < 0.9,
        pool=pool,
        insurance_fund=fund,
        share=np.where(rng.random(n) < 0.2, 0.0, rng.lognormal(0.0, 1.0, n)),
    )


def random_positions(
    rng: np.random.Generator, account: int, role: str, price: Floats, crowd: Floats, margin_rate: Floats
) -> list[Position]:
    """Draw up to seven positions, also several in one asset; derivatives have an entry price, lending has none."""
    positions: list[Position] = []
    for asset in rng.integers(0, len(price), 0 if role.startswith("only") else rng.integers(1, 8)):
        side = crowd[asset] * (1.0 if rng.random() < 0.8 else -1.0)
        units = side * rng.lognormal(9.0, 1.0) / price[asset]
        entry_price = price[asset] * rng.lognormal(0.0, 0.15)
        is_derivative = role == "derivatives" or (role == "mixed" and rng.random() < 0.5)
        rate = float(rng.choice([margin_rate[asset], 0.0, 1.0], p=[0.9, 0.07, 0.03]))
        positions.append((account, int(asset), float(units), float(entry_price) if is_derivative else None, rate))
    return positions


def random_cash(rng: np.random.Generator, roles: list[str], positions: list[Position], price: Floats) -> Floats:
    """Draw own cash that makes E a multiple, mostly just above 1, some below 1 or 0, of M + 2 % of gross value."""
    n = len(roles)
    multiple = 1.0 + rng.lognormal(-1.1, 1.0, n)
    multiple = np.where(rng.random(n) < 0.06, rng.uniform(-1.0, 1.0, n), multiple)
    cash = np.zeros(n)
    for i, role in enumerate(roles):
        if role.startswith("only"):
            cash[i] = rng.lognormal(8.0, 1.0) * (1.0 if role == "only cash" else -1.0)
    for account, asset, units, entry_price, rate in positions:  # E = sum over positions of multiple * maintenance
        maintenance = abs(units) * price[asset] * (rate + 0.02)
        cash[account] += multiple[account] * maintenance - units * (price[asset] - (entry_price or 0.0))
    return cash


def random_rules(rng: np.random.Generator) -> Rules:
    """Draw any liquidation rule, impact, sharing base and penalty."""
    buffer, factor, full_below = rng.uniform(0.02, 0.5), rng.uniform(0.3, 0.7), rng.uniform(0.9, 1.0)
    rules: list[Liquidation] = [("full",), ("target", buffer), ("close_factor", factor, full_below)]
    bases: tuple[Sharing, ...] = ("equity", "deposits", "profit", "open_interest", "share", None)
    return Rules(
        liquidation=rules[rng.choice(3, p=[0.4, 0.3, 0.3])],
        impact="linear" if rng.random() < 0.5 else "exponential",
        sharing=bases[rng.choice(6, p=[0.25, 0.15, 0.15, 0.2, 0.15, 0.1])],
        penalty=float(rng.choice([0.0, rng.uniform(0.002, 0.1)])),
        penalty_to_fund=float(rng.choice([0.0, rng.random(), 1.0])),
    )


def rarer_rules(rng: np.random.Generator, rules: Rules, m: int) -> Rules:
    """Put in the place of some rules others, now and then, and draw how volume counts and at which price rounds trade.

    The curves are bound to assets a0, a1, ... in this order. Left out is what crowds of shorts that buy back drive to
    infinity: a constant product, and what is exponential at current prices.
    """
    cap, factor, bonus = rng.uniform(4.0, 20.0), rng.uniform(0.3, 1.0), rng.uniform(0.0, 0.15)
    others: list[Liquidation] = [
        rules.liquidation,
        ("leverage", cap, rng.uniform(0.6, 1.0) * cap),
        ("repay", factor, bonus, rng.uniform(0.6, 1.0)),
    ]
    volume = "current" if rng.random() < 0.4 else "initial"
    curves: list[Any] = [
        cg.FloorExponentialImpact(rng.uniform(0.1, 0.6)),
        cg.SquareRootImpact({f"a{k}": rng.uniform(0.05, 0.5) for k in range(m)}, volume=volume),
        cg.OrderBookImpact({f"a{k}": random_book(rng) for k in range(m)}, volume=volume),
    ]
    curve = curves[rng.choice(3, p=[0.4, 0.2, 0.4])].for_assets(pd.Index([f"a{k}" for k in range(m)]))
    impact = curve if rng.random() < 0.35 else rules.impact
    return replace(
        rules,
        liquidation=others[rng.choice(3, p=[0.66, 0.13, 0.21])],
        impact=impact,
        volume={"linear": volume, "exponential": "initial"}[impact] if isinstance(impact, str) else impact.volume,
        alpha=float(rng.choice([0.0, 0.5, rng.random(), 1.0])) if rng.random() < 0.3 else None,
    )


def random_book(rng: np.random.Generator) -> list[tuple[float, float]]:
    """Draw the levels of an order book: up to four bids, and up to two asks."""
    bids, asks = (rng.uniform(0.05, 0.4, rng.integers(1, most)).cumsum() for most in (5, 3))
    lower, higher = (1.0 - 0.15 * np.arange(1, 1 + bids.size), 1.0 + 0.1 * np.arange(asks.size, 0, -1))
    return [*zip(-asks[::-1], higher, strict=True), *zip(bids, lower, strict=True)]


def random_shock(rng: np.random.Generator, m: int) -> Floats:
    """Draw relative price changes: some assets do not move, most others fall, some rise, a few lose everything."""
    kind = rng.choice(4, m, p=[0.12, 0.62, 0.21, 0.05])
    return np.choose(kind, [np.zeros(m), rng.uniform(-0.15, -0.01, m), rng.uniform(0.01, 0.15, m), np.full(m, -1.0)])


def mix(cases: Sequence[tuple[Case, Outcome]]) -> dict[str, float]:
    """Count in which share of the cases each thing that a test should meet is met."""
    met = [traits(case, outcome) for case, outcome in cases]
    return {name: sum(one[name] for one in met) / len(met) for name in met[0]}


def traits(case: Case, outcome: Outcome) -> dict[str, bool]:
    """Say what is met in one case, and in its outcome."""
    market = case.market
    holders = {account for account, *_ in market.positions}
    return {
        "rounds_3": len(outcome.rounds) >= 3,
        "socialised": bool(outcome.socialised.any()),
        "cap_binds": outcome.cap_binds,
        "uncovered": bool(outcome.uncovered.any()),
        "net_buying": outcome.net_buying,
        "partial": case.rules.liquidation[0] != "full",
        "own_margin": case.rules.liquidation[0] == "leverage",
        "two_sides": bool((outcome.closed_long != outcome.closed_short).any()),
        "curve": not isinstance(case.rules.impact, str),
        "current_volume": case.rules.volume == "current",
        "alpha": case.rules.alpha is not None,
        "several_pools": len(market.insurance_fund) > 1,
        "unsellable": not market.sellable.all(),
        "losses": bool(case.losses.any()),
        "defaults": bool(case.defaults.any()),
        "only_negative_cash": any(cash < 0 and i not in holders for i, cash in enumerate(market.cash)),
        "shock_minus_one": bool((case.shock == -1).any()),
        "infinite_depth": bool(np.isinf(market.depth).any()),
        "finite_depth": bool(np.isfinite(market.depth).any()),
    }
