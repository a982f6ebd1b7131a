"""Synthetic venues with the statistics of real ones: a perpetuals exchange, a lending protocol, a venue for options.

Every figure has its source and date beside it, or is called an assumption. Currency is USD.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray, Seed
from contagion_graph._validate import check_number, generator_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.synthetic.account_sizes import TAIL, capital_of
from contagion_graph.synthetic.asset_universe import STABLECOINS, lending_assets, perpetual_assets, with_depth
from contagion_graph.synthetic.options import options

Ints = np.ndarray[Any, np.dtype[np.int64]]

__all__ = ["lending", "options", "perpetuals"]

# Leverage: log-normal, fitted to open interest on Hyperliquid late in 2025 (36 % of it at 0-3x, 48 % at 3-7x, the rest
# above). Assumption: it falls with account size, to this power.
LEVERAGE, LEVERAGE_SPREAD, LEVERAGE_SLOPE = 3.7, 0.63, -0.1

# Powers of an asset's rank: how often it is held, and in what amount. Together they give open interest ~ rank^-1.3; it
# was 1.2 to 1.5 in notional auto-deleveraged on 10 October 2025 (BTC 29.5 %, ETH 21.8 %, SOL 13.1 %; same data).
HOLDERS_SLOPE, AMOUNT_SLOPE = -1.0, -0.5

# Further assumptions.
FUND_SHARE = 0.005  # insurance fund over open interest or debt
BREADTH = 0.25  # larger accounts hold more assets: size to this power
AGREEMENT = 0.85  # chance that a position takes the side its account leans to
AGE = 4.0  # days since entry
LOSS_LIMIT = 0.8  # loss since entry over the loss that would bring an account into breach, at most
HEALTH, HEALTH_SPREAD = 1.5, 1.3  # health factor less 1 is log-normal
OWED_STABLE, OWED_OTHER = 0.7, 0.1  # chance that a stablecoin, or another asset, is a debt and no deposit
MOST_USED = 0.9  # debt over deposits of an asset
CELLS_AT_ONCE = 1_000_000


def perpetuals(
    n_accounts: int,
    n_assets: int,
    *,
    n_positions: int | None = None,
    rng: Seed | None = None,
    n_pools: int = 1,
    tail: float = TAIL,
    leverage: float = LEVERAGE,
    fund_share: float = FUND_SHARE,
) -> ExposureGraph:
    """Draw a perpetuals exchange: cross-margined accounts, whose longs and shorts net to zero in every asset.

    An account leans long or short with most of what it holds. The two largest are market makers: they hold every asset,
    on opposite sides. The larger side of each asset is scaled down to the smaller. At entry no account uses more than
    its deposit allows at the maximum leverage of what it holds; at present prices none is in breach, and with the
    default leverage about 2 % have less than twice their maintenance margin.

    Parameters
    ----------
    n_accounts, n_assets : int
        At least 2 and 1. Each trader has one account; assets come in order of popularity.
    n_positions : int, optional
        From n_accounts + 2 (n_assets - 1) to n_accounts n_assets; None = 3 an account and 2 an asset, if there is room.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed draws the same venue.
    n_pools : int
        Margin pools, to which accounts are dealt out evenly; positions net to zero over all pools together.
    tail : float
        Exponent of account sizes, P(X > s) ~ s^-tail; the smaller, the more the largest hold.
    leverage : float
        Median of gross value over deposit, before maximum leverage and netting lower it.
    fund_share : float
        Insurance fund of a pool over its open interest (half its gross value).

    Returns
    -------
    ExposureGraph
        Assets have attributes max_leverage, volatility (a day) and daily_volume [currency].

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.generate.perpetuals(1000, 10, rng=0)
    >>> graph
    <ExposureGraph: 1,000 traders, 1,000 accounts, 10 assets, 3,020 positions, 1 pool; gross value 2.33...e+07, ...>
    >>> cascade = cg.MarginCascade().run(graph, {"ETH": -0.3})
    >>> cascade.summary()[["rounds", "closed", "bystanders"]].astype(int).tolist()
    [12, 108, 218]
    """
    n_positions = _checked_size("perpetuals", n_accounts, n_assets, n_positions, n_pools, full=2)
    check_number("perpetuals", "tail", tail, low=0.5, high=10)
    check_number("perpetuals", "leverage", leverage, low=0.1, high=100)
    check_number("perpetuals", "fund_share", fund_share, low=0, high=1)
    draw = generator_of("perpetuals", rng)
    assets = perpetual_assets(n_assets)
    capital = capital_of(n_accounts, tail, draw)
    makers = np.argsort(-capital)[:2]
    book = _book(capital, makers, n_assets, n_positions, draw)
    positions, open_interest = _perpetual_positions(book, assets, capital, makers, leverage, draw)
    fund = fund_share * book.account_sums(open_interest)
    assets = with_depth(assets, book.asset_sums(open_interest))
    del open_interest  # of the size of the table that is now made
    return _graph(book, positions, assets, {"cash": capital}, fund, n_pools, draw)


def _perpetual_positions(
    book: "_Book", assets: pd.DataFrame, capital: FloatArray, makers: Ints, leverage: float, draw: np.random.Generator
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Draw the positions of a venue: columns quantity and entry_price, and half the value of each [currency]."""
    part = book.parts(_amounts(book, draw))
    initial_margin = book.account_sums(part / book.of_asset(assets["max_leverage"]))
    levered = leverage * (capital / np.median(capital)) ** LEVERAGE_SLOPE
    levered *= np.exp(LEVERAGE_SPREAD * draw.standard_normal(book.n_accounts))
    levered = np.minimum(levered, 1.0 / initial_margin)
    side = _sides(book, makers, draw)
    bearable = LOSS_LIMIT * (1.0 / levered - 0.5 * initial_margin)
    moved = _moves(side, book.of_asset(assets["volatility"]), bearable[book.account], draw)
    value = _netted(book, side * (capital * levered)[book.account] * part * (1.0 + moved))
    price = book.of_asset(assets["price"])
    return {"quantity": value / price, "entry_price": price / (1.0 + moved)}, np.abs(value) / 2.0


def lending(
    n_accounts: int,
    n_assets: int,
    *,
    n_positions: int | None = None,
    rng: Seed | None = None,
    n_pools: int = 1,
    tail: float = TAIL,
    health: float = HEALTH,
    fund_share: float = FUND_SHARE,
) -> ExposureGraph:
    """Draw a lending protocol: deposits, and debts that each account's deposits cover.

    Stablecoins are mostly borrowed, other assets mostly deposited. An account that holds one asset deposits it; the
    largest deposits in every asset and borrows nothing. Each health factor, the sum of deposits times liquidation
    thresholds over debt, is above 1. Deposits in an asset are raised until its debt is at most 90 % of them.

    Parameters
    ----------
    n_accounts, n_assets : int
        At least 2 each. Each trader has one account; assets come in order of popularity.
    n_positions : int, optional
        From n_accounts + n_assets - 1 to n_accounts n_assets; None = 3 an account and 2 an asset, if there is room.
    rng, n_pools, tail
        As in `perpetuals`.
    health : float
        Median health factor of borrowers, before deposits are raised.
    fund_share : float
        Insurance fund of a pool over its debt.

    Returns
    -------
    ExposureGraph
        With margin_long = 1 - liquidation threshold. Assets have attributes liquidation_bonus, volatility (a day) and
        daily_volume [currency].

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.generate.lending(1000, 6, rng=0)
    >>> graph
    <ExposureGraph: 1,000 traders, 1,000 accounts, 6 assets, 3,012 positions, 1 pool; gross value 1.60...e+07, ...>
    >>> cascade = cg.MarginCascade().run(graph, {"WETH": -0.3, "wstETH": -0.3})
    >>> cascade.summary()[["rounds", "closed"]].astype(int).tolist()
    [5, 304]
    """
    n_positions = _checked_size("lending", n_accounts, n_assets, n_positions, n_pools, full=1)
    check_number("lending", "tail", tail, low=0.5, high=10)
    check_number("lending", "health", health, low=1.01, high=100)
    check_number("lending", "fund_share", fund_share, low=0, high=1)
    draw = generator_of("lending", rng)
    assets = lending_assets(n_assets)
    capital = capital_of(n_accounts, tail, draw)
    largest = np.argsort(-capital)[:1]
    book = _book(capital, largest, n_assets, n_positions, draw)
    owed = _owed(book, assets["asset"].isin(STABLECOINS).to_numpy(), largest, draw)
    amount = _amounts(book, draw)
    deposit = capital[book.account] * book.parts(np.where(owed, 0.0, amount))
    capacity = book.account_sums(deposit * (1.0 - book.of_asset(assets["margin_long"])))
    health_factor = 1.0 + (health - 1.0) * np.exp(HEALTH_SPREAD * draw.standard_normal(n_accounts))
    debt = (capacity / health_factor)[book.account] * book.parts(np.where(owed, amount, 0.0))
    used = book.asset_sums(debt) / book.asset_sums(deposit)
    deposit *= np.maximum(used / MOST_USED, 1.0)[book.asset]
    positions = {"quantity": (deposit - debt) / book.of_asset(assets["price"])}
    assets = with_depth(assets, book.asset_sums(deposit))
    return _graph(book, positions, assets, {}, fund_share * book.account_sums(debt), n_pools, draw)


def _checked_size(owner: str, n_accounts: int, n_assets: int, n_positions: int | None, n_pools: int, full: int) -> int:
    """Check the counts, and return how many positions to draw; `full` accounts hold every asset."""
    _check_count(owner, "n_accounts", n_accounts, low=2)
    _check_count(owner, "n_assets", n_assets, low=1 if full == 2 else 2)
    _check_count(owner, "n_pools", n_pools, low=1, high=n_accounts)
    room = n_accounts * n_assets
    if n_positions is None:
        return min(3 * n_accounts + 2 * n_assets, room)
    _check_count(owner, "n_positions", n_positions, low=n_accounts + full * (n_assets - 1), high=room)
    return n_positions


def _check_count(owner: str, name: str, value: int, *, low: int, high: int | None = None) -> None:
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < low or (high is not None and value > high):
        span = f"from {low:,} up" if high is None else f"from {low:,} to {high:,}"
        raise ParameterError(f"{owner}: {name} is {value!r}; it must be a whole number {span}")


@dataclass(frozen=True, eq=False)
class _Book:
    """The account and the asset of each position, ordered by account, then asset; a pair stands once."""

    account: Ints
    asset: Ints
    n_accounts: int
    n_assets: int

    def account_sums(self, amount: FloatArray) -> FloatArray:
        return np.bincount(self.account, amount, self.n_accounts).astype(np.float64)

    def asset_sums(self, amount: FloatArray) -> FloatArray:
        return np.bincount(self.asset, amount, self.n_assets).astype(np.float64)

    def of_asset(self, column: "pd.Series[float]") -> FloatArray:
        return np.asarray(column, dtype=np.float64)[self.asset]

    def parts(self, amount: FloatArray) -> FloatArray:
        """Return amounts as parts of the sum of their account, 0 where that is 0."""
        total = self.account_sums(amount)
        total[total == 0.0] = np.inf
        return amount / total[self.account]


def _book(capital: FloatArray, full: Ints, n_assets: int, n_positions: int, draw: np.random.Generator) -> _Book:
    """Draw which assets each account holds: those with the k smallest u / popularity, u uniform in (0, 1).

    That is sequential Poisson sampling, Ohlsson (1998), Journal of Official Statistics 14(2).
    """
    held = _held_counts(capital, full, n_assets, n_positions, draw)
    popularity = np.arange(1.0, n_assets + 1.0) ** HOLDERS_SLOPE
    step = max(1, CELLS_AT_ONCE // n_assets)
    cells = []
    for start in range(0, len(held), step):
        k = held[start : start + step, None]
        key = draw.random((len(k), n_assets)) / popularity
        last = np.take_along_axis(np.sort(key, axis=1), k - 1, axis=1)
        account, asset = np.nonzero(key <= last)
        cells.append(np.array([account + start, asset], dtype=np.int32))
    account, asset = np.concatenate(cells, axis=1)
    return _Book(account, asset, len(held), n_assets)


def _held_counts(capital: FloatArray, full: Ints, n_assets: int, n_positions: int, draw: np.random.Generator) -> Ints:
    """Draw how many assets each account holds: all of them if it is among `full`, else at least one."""
    held = np.ones(len(capital), dtype=np.int64)
    held[full] = n_assets
    while left := n_positions - held.sum():
        weight = np.where(held < n_assets, capital**BREADTH, 0.0)
        held = np.minimum(held + draw.multinomial(left, weight / weight.sum()), n_assets)
    return held


def _amounts(book: _Book, draw: np.random.Generator) -> FloatArray:
    """Draw how large each position is, beside the others of its account."""
    typical = np.arange(1.0, book.n_assets + 1.0) ** AMOUNT_SLOPE
    return typical[book.asset] * draw.standard_exponential(len(book.asset))


def _sides(book: _Book, makers: Ints, draw: np.random.Generator) -> FloatArray:
    """Draw the side of each position, 1 or -1."""
    lean = draw.choice([-1.0, 1.0], book.n_accounts)
    side = lean[book.account] * np.where(draw.random(len(book.account)) < AGREEMENT, 1.0, -1.0)
    first = draw.choice([-1.0, 1.0], book.n_assets)
    side[book.account == makers[0]] = first
    side[book.account == makers[1]] = -first
    return side


def _moves(side: FloatArray, volatility: FloatArray, bearable: FloatArray, draw: np.random.Generator) -> FloatArray:
    """Draw the relative move of the price since entry; what it cost a position is bearable."""
    moved: FloatArray = np.expm1(volatility * np.sqrt(AGE) * draw.standard_normal(len(side)))
    return side * np.maximum(side * moved, -bearable)


def _netted(book: _Book, value: FloatArray) -> FloatArray:
    """Scale the larger side of each asset down to the smaller."""
    long, short = (book.asset_sums(np.maximum(sign * value, 0.0)) for sign in (1.0, -1.0))
    both = np.minimum(long, short)
    return value * np.where(value > 0.0, (both / long)[book.asset], (both / short)[book.asset])


def _owed(book: _Book, stable: BoolArray, largest: Ints, draw: np.random.Generator) -> BoolArray:
    """Draw which positions are debts; in each account the least likely one is none."""
    margin = draw.random(len(book.asset)) - np.where(stable, OWED_STABLE, OWED_OTHER)[book.asset]
    least_likely = np.maximum.reduceat(margin, np.searchsorted(book.account, np.arange(book.n_accounts)))
    return np.asarray((margin < 0.0) & (margin < least_likely[book.account]) & (book.account != largest))


def _graph(
    book: _Book,
    positions: Mapping[str, FloatArray],
    assets: pd.DataFrame,
    accounts: Mapping[str, FloatArray],
    fund: FloatArray,
    n_pools: int,
    draw: np.random.Generator,
) -> ExposureGraph:
    """Label everything, deal the accounts out to pools, and build the graph; `fund` is each account's part in it."""
    traders = pd.Index([f"T{k:06d}" for k in range(1, book.n_accounts + 1)], dtype="str")
    pools = pd.Index([f"P{k}" for k in range(1, n_pools + 1)], dtype="str")
    pool_of = draw.permutation(book.n_accounts) % n_pools
    labels = {
        "trader": pd.Categorical.from_codes(book.account, traders),
        "asset": pd.Categorical.from_codes(book.asset, pd.Index(assets["asset"])),
        "pool": pd.Categorical.from_codes(pool_of[book.account], pools),
    }
    return ExposureGraph.from_tables(
        {**labels, **positions},
        assets,
        pools={"pool": pools, "insurance_fund": np.bincount(pool_of, fund, n_pools)},
        accounts={"trader": traders, "pool": pools[pool_of], **accounts},
    )
