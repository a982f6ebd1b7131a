"""Random venues in which every layer, every rank and take-overs are met often; values are generic, so ties are rare."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from .dense_state import Flags, Floats, Layer, Market, Position, Rank, Rules, VenueMarket, Waterfall
from .dense_waterfall import dense_waterfall
from .random_markets import random_rules, rarer_rules


@dataclass(frozen=True)
class WaterfallCase:
    """One call of a cascade with layers: losses (n,) in currency, defaults (n,) flags, shock (m,) relative."""

    venue: VenueMarket
    rules: Rules
    layers: tuple[Layer, ...]
    shock: Floats
    losses: Floats
    defaults: Flags

    def run(self) -> Waterfall:
        """Return what the oracle finds; its `closest` says how near the case came to a tie."""
        return dense_waterfall(self.venue, self.rules, self.layers, self.shock, self.losses, self.defaults)


def random_waterfall(seed: int) -> WaterfallCase:
    """Draw 4 to 30 accounts, 1 to 6 assets, 1 to 3 pools, layers and a shock; the same ones for the same seed."""
    rng = np.random.default_rng([19, seed])
    n, m = int(rng.integers(4, 31, 2).max()), int(rng.integers(1, 7))  # of two draws: mostly large
    v = int(rng.choice([1, 1, 2, 3]))
    venue = random_venue(rng, n, m, v)
    gross = gross_value(venue.market)
    losses, defaults = np.zeros(n), np.zeros(n, dtype=bool)
    if rng.random() < 0.3:
        losses = np.where(rng.random(n) < 0.2, gross * rng.uniform(0.01, 0.15, n), 0.0)
    if rng.random() < 0.25:
        defaults = (rng.random(n) < 0.1) & ~venue.vault
    plain = random_rules(rng)
    rules = replace(rarer_rules(rng, plain, m), liquidation=plain.liquidation, sharing=None)
    rules = replace(rules, penalty_cap="equity" if rng.random() < 0.6 else None)
    size = np.where(rng.random(m) < 0.03, 1.0, rng.uniform(0.03, 0.25, m))
    shock = size * np.where((rng.random(m) < 0.5) | (size == 1), -1.0, 1.0)
    return WaterfallCase(venue, rules, random_layers(rng, n, v, float(gross.sum())), shock, losses, defaults)


def random_venue(rng: np.random.Generator, n: int, m: int, v: int) -> VenueMarket:
    """Draw positions of both sides, cash to scale, segregated resources, and vaults in a third of the markets."""
    price, rate = rng.lognormal(2.0, 2.0, m), rng.uniform(0.02, 0.12, m)
    positions = [position for i in range(n) for position in random_positions(rng, i, price, rate)]
    pool, vault, below = rng.integers(0, v, n), np.zeros(n, dtype=bool), np.full(v, np.nan)
    if rng.random() < 1 / 3:
        for k in range(v):
            members = np.flatnonzero(pool == k)
            if len(members) > 2:
                vault[rng.choice(members)] = rng.random() < 0.9
                below[k] = 2 / 3
        if rng.random() < 0.5:
            below[:] = np.nan
    total = np.zeros(m)
    for _, asset, units, _, _ in positions:
        total[asset] += abs(units) * price[asset]
    market = Market(
        positions=positions,
        cash=random_cash(rng, n, positions, price, vault),
        price=price,
        depth=np.where(rng.random(m) < 0.15, np.inf, (total + 1.0) * rng.lognormal(0.3, 0.7, m)),
        sellable=rng.random(m) < 0.93,
        pool=pool,
        insurance_fund=random_amounts(rng, v, total.sum()),
        share=np.where(rng.random(n) < 0.2, 0.0, rng.lognormal(0.0, 1.0, n)),
    )
    gross = gross_value(market)
    margin = np.where(rng.random(n) < 0.5, 0.0, gross * rng.uniform(0.0, 0.03, n))
    return VenueMarket(market, margin, gross * rng.uniform(0.0, 0.03, n), vault, below)


def random_positions(rng: np.random.Generator, account: int, price: Floats, rate: Floats) -> list[Position]:
    """Draw up to five positions of either side, half of them with an entry price, now and then two in one asset."""
    positions: list[Position] = []
    for asset in rng.integers(0, len(price), int(rng.integers(1, 6))):
        units = rng.choice([-1.0, 1.0]) * rng.lognormal(9.0, 0.8) / price[asset]
        entry_price = float(price[asset] * rng.lognormal(0.0, 0.12)) if rng.random() < 0.5 else None
        own_rate = float(rng.choice([rate[asset], 0.0, 1.0], p=[0.93, 0.05, 0.02]))
        positions.append((account, int(asset), float(units), entry_price, own_rate))
    return positions


def random_cash(
    rng: np.random.Generator, n: int, positions: list[Position], price: Floats, vault: Flags
) -> Floats:  # fmt: skip
    """Draw own cash that makes E = multiple * (M + 2 % of gross value), mostly a little above 1; vaults have more."""
    multiple = 1.0 + rng.lognormal(-0.7, 1.0, n)
    multiple = np.where(rng.random(n) < 0.05, rng.uniform(-0.5, 1.0, n), multiple)
    multiple = np.where(vault, 5.0 + multiple, multiple)
    cash = np.zeros(n)
    for account, asset, units, entry_price, rate in positions:
        cash[account] += multiple[account] * abs(units) * price[asset] * (rate + 0.02)
        cash[account] -= units * (price[asset] - (entry_price or 0.0))
    return cash


def random_amounts(rng: np.random.Generator, v: int, total: float) -> Floats:
    """Draw the amount of a purse in each pool: none, or a small share of the gross value."""
    return np.where(rng.random(v) < 0.3, 0.0, total / v * rng.lognormal(-6.0, 1.2, v))


def gross_value(market: Market) -> Floats:
    """Return the gross value of each account, at p0 (n,)."""
    gross = np.zeros(len(market.cash))
    for account, asset, units, _, _ in market.positions:
        gross[account] += abs(units) * market.price[asset]
    return gross


def random_layers(rng: np.random.Generator, n: int, v: int, total: float) -> tuple[Layer, ...]:
    """Draw five or six layers in any order but that own contributions stand before members, and few before ProRata."""
    share, base = rng.choice(["equity", "open_interest", "deposits", "share"]), rng.choice(["equity", "open_interest"])
    cap = rng.uniform(0.01, 0.2) if base == "equity" else rng.uniform(0.001, 0.02)
    layers = cast(
        "list[Layer]",
        [
            ("own",),
            ("fund",),
            ("purse", tuple(random_amounts(rng, v, total).tolist())),
            ("members", "fund_contribution", float(rng.choice([1.0, rng.uniform(0.2, 2.0)]))),
            ("members", str(base), float(cap)),
            ("gains",),
            ("pro_rata", str(share)),
        ],
    )
    kept = rng.permutation(len(layers))[: int(rng.integers(4, 6))].tolist()
    if rng.random() < 0.8 and 6 in kept:
        kept.remove(6)
        kept.append(6)
    drawn = [layers[k] for k in kept]
    if ("own",) in drawn:
        drawn.remove(("own",))
        first = next((k for k, layer in enumerate(drawn) if layer[0] in ("members", "gains", "pro_rata")), len(drawn))
        drawn.insert(int(rng.integers(0, first + 1)) if rng.random() < 0.5 else 0, ("own",))
    if rng.random() < 0.95:
        drawn.insert(int(rng.integers(0, len(drawn) + 1)), random_deleverage(rng, n))
    return tuple(drawn)


def random_deleverage(rng: np.random.Generator, n: int) -> Layer:
    """Draw any rank, trigger and share; of numbers that are given, some are none."""
    numbers = tuple(np.where(rng.random(n) < 0.15, np.nan, rng.random(n)).tolist())
    ranks: tuple[Rank, ...] = ("profit", "hyperliquid", "pro_rata", "random", numbers)
    rank = ranks[int(rng.integers(len(ranks)))]
    trigger, share = rng.choice(["equity", "fund"]), rng.choice(["value", "margin"])
    return cast("Layer", ("deleverage", rank, str(trigger), str(share), int(rng.integers(100))))


def counts(runs: Sequence[tuple[WaterfallCase, Waterfall]]) -> Counter[str]:
    """Count in how many cases each layer is used, each rank, trigger and share leads to fills, and so on."""
    found: Counter[str] = Counter()
    for case, run in runs:
        found.update({kind for (kind, *_), used in zip(run.layers, run.used, strict=True) if used.any()})
        for layer in case.layers:
            if layer[0] == "deleverage" and run.fills:
                rank = layer[1] if isinstance(layer[1], str) else "given"
                found.update((f"rank {rank}", f"trigger {layer[2]}", f"share {layer[3]}"))
        met = {
            "take-over": bool(run.passed),
            "vault filled": any(case.venue.vault[fill[1]] for fill in run.fills),
            "uncovered": bool(run.out.uncovered.any()),
            "filled whole": bool(run.filled_whole.any()),
            "near a tie": bool(run.closest < 1e-9),
            "cap reached": bool((run.level == run.cap[:, None])[run.cap > 0].any()),
            "rounds of fills": len({row["deleveraged"] for row in run.out.rounds}) > 2,
            "after closing": any(run.out.closed_long[fill[1]] > 0 for fill in run.fills),
        }
        found.update(name for name, is_met in met.items() if is_met)
    return found
