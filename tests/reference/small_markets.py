"""Small random markets with strong feedback, on one side or netted: several equilibria are frequent, ties are rare."""

from copy import deepcopy
from dataclasses import replace

import numpy as np

from .dense_state import Flags, Floats, Liquidation, Market, Position, Rules, Sharing
from .random_markets import Case


def small_market(rng: np.random.Generator, *, one_sided: bool, n_max: int = 10) -> Case:
    """Draw 1 to n_max accounts, 1 to 5 assets, 1 to 3 pools, any rules, a shock, now and then losses and defaults.

    One-sided: every asset is held long, or held short, by all who hold it, and shocks hurt them. Netted: each holder
    takes either side. Cells have one side, so margins never exceed what is held.
    """
    n, m, v = (int(rng.integers(low, high + 1)) for low, high in ((min(3, n_max), n_max), (1, 5), (1, 3)))
    if rng.random() < 0.1:
        n = int(rng.integers(1, n_max + 1))
    price = rng.lognormal(2.0, 1.5, m)
    side = np.where(rng.random(m) < 0.65, 1.0, -1.0)
    margin_rate = np.where(rng.random(m) < 0.1, rng.uniform(0.3, 1.0, m), rng.uniform(0.02, 0.25, m))
    contrary = 0.0 if one_sided else 0.5
    positions = [p for i in range(n) for p in draw_positions(rng, i, price, side, margin_rate, contrary)]
    held = np.zeros((n, m))
    for account, asset, units, _, _ in positions:
        held[account, asset] += abs(units) * price[asset]
    total = held.sum(axis=0)
    depth = (total + 1.0) * rng.lognormal(0.6 if one_sided else 0.0, 0.8, m)
    market = Market(
        positions=positions,
        cash=draw_cash(rng, n, positions, price),
        price=price,
        depth=np.where(rng.random(m) < 0.08, np.inf, depth),
        sellable=rng.random(m) < 0.92,
        pool=rng.integers(0, v, n),
        insurance_fund=np.where(rng.random(v) < 0.3, 0.0, total.sum() / v * rng.lognormal(-4.5, 1.0, v)),
        share=np.where(rng.random(n) < 0.2, 0.0, rng.lognormal(0.0, 1.0, n)),
    )
    losses = np.where(rng.random(n) < 0.25, held.sum(axis=1) * rng.uniform(0.01, 0.1, n), 0.0)
    defaults: Flags = rng.random(n) < 0.15
    some_losses, some_defaults = rng.random(2) < 0.15
    rules = draw_rules(rng)
    capped = deepcopy(rng).random() < 0.6  # a copy: what else is drawn stays what it was
    return Case(
        market,
        replace(rules, penalty_cap="equity" if capped else None),
        draw_shock(rng, side if one_sided else rng.choice([-1.0, 1.0], m)),
        losses * some_losses,
        defaults & bool(some_defaults),
    )


def draw_positions(
    rng: np.random.Generator, account: int, price: Floats, side: Floats, margin_rate: Floats, contrary: float
) -> list[Position]:
    """Draw a position in about two assets of three, now and then a second one on the same side of the same asset.

    A few margin rates are 1: if all that an account holds long needs its whole value, the health of a close factor is 0
    but for rounding.
    """
    positions: list[Position] = []
    for asset in np.flatnonzero(rng.random(len(price)) < 0.65):
        sign = side[asset] * (-1.0 if rng.random() < contrary else 1.0)
        for _ in range(1 + int(rng.random() < 0.1)):
            units = float(sign * rng.lognormal(9.0, 0.7) / price[asset])
            entry_price = float(price[asset] * rng.lognormal(0.0, 0.15)) if rng.random() < 0.5 else None
            rate = float(rng.choice([margin_rate[asset], 0.0, 1.0], p=[0.92, 0.05, 0.03]))
            positions.append((account, int(asset), units, entry_price, rate))
    if account == 0 and not positions:  # a market has at least one position
        positions.append((0, 0, float(side[0] * 1000.0 / price[0]), None, float(margin_rate[0])))
    return positions


def draw_cash(rng: np.random.Generator, n: int, positions: list[Position], price: Floats) -> Floats:
    """Draw own cash that makes E = multiple * (M + 2 % of gross value), the multiples mostly between 1 and 4."""
    multiple = 1.0 + rng.lognormal(-0.5, 1.4, n)
    multiple = np.where(rng.random(n) < 0.03, rng.uniform(-1.0, 1.0, n), multiple)
    cash = np.where(rng.random(n) < 0.5, 0.0, rng.lognormal(6.0, 1.0, n))
    for account, asset, units, entry_price, rate in positions:
        cash[account] -= units * (price[asset] - (entry_price or 0.0))
        cash[account] += multiple[account] * abs(units) * price[asset] * (rate + 0.02)
    return cash


def draw_rules(rng: np.random.Generator) -> Rules:
    """Draw any liquidation rule, impact, sharing base, penalty and share of it that enters the fund."""
    buffer, factor, full_below = rng.choice([0.0, rng.uniform(0.02, 0.5)]), rng.uniform(0.2, 0.8), rng.uniform(0.8, 1.0)
    liquidations: tuple[Liquidation, ...] = (
        ("full",),
        ("target", float(buffer)),
        ("close_factor", float(factor), float(rng.choice([0.0, full_below]))),
    )
    bases: tuple[Sharing, ...] = ("equity", "deposits", "profit", "open_interest", "share", None)
    return Rules(
        liquidation=liquidations[rng.choice(3, p=[0.4, 0.3, 0.3])],
        impact="linear" if rng.random() < 0.5 else "exponential",
        sharing=bases[rng.choice(6, p=[0.25, 0.12, 0.12, 0.18, 0.13, 0.2])],
        penalty=float(rng.choice([0.0, rng.uniform(0.002, 0.1)])),
        penalty_to_fund=float(rng.choice([0.0, rng.random(), 1.0])),
    )


def draw_shock(rng: np.random.Generator, side: Floats) -> Floats:
    """Draw relative price changes against the side: none, small, large, now and then all of the price."""
    none, kind = np.zeros(len(side)), rng.choice(4, len(side), p=[0.3, 0.55, 0.13, 0.02])
    size = np.choose(kind, [none, rng.uniform(0.01, 0.08, len(side)), rng.uniform(0.1, 0.3, len(side)), none + 1])
    return np.maximum(-1.0, -side * size)
