"""Venues of one pool that a test writes down position by position, and one run of them."""

from typing import Any, Literal

import numpy as np

from .dense_state import Layer, Market, Position, Rank, Rules, VenueMarket, Waterfall
from .dense_waterfall import dense_waterfall


def plain(market: Market) -> VenueMarket:
    """Return a venue without segregated resources and vaults."""
    n, none = len(market.cash), np.full(len(market.insurance_fund), np.nan)
    return VenueMarket(market, np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool), none)


def one_pool(positions: list[Position], cash: Any, price: Any, fund: float = 0.0, depth: float = np.inf) -> VenueMarket:
    """Return a venue of one pool."""
    price = np.array(price, dtype=float)
    cash, n = np.array(cash, dtype=float), len(cash)
    wide, yes = np.full(len(price), depth), np.ones(len(price), dtype=bool)
    pool = np.zeros(n, dtype=np.int64)
    return plain(Market(positions, cash, price, wide, yes, pool, np.array([float(fund)]), np.ones(n)))


def run_one(
    venue: VenueMarket, layers: tuple[Layer, ...], shock: Any, rules: Rules | None = None, **options: Any
) -> Waterfall:
    """Run without given losses and defaults."""
    n = len(venue.market.cash)
    rules = Rules(impact="linear") if rules is None else rules
    return dense_waterfall(venue, rules, layers, np.array(shock), np.zeros(n), np.zeros(n, dtype=bool), **options)


def adl(
    rank: Rank, trigger: Literal["equity", "fund"] = "equity", share: Literal["value", "margin"] = "value"
) -> Layer:  # fmt: skip
    """Return a layer that deleverages."""
    return ("deleverage", rank, trigger, share, 0)
