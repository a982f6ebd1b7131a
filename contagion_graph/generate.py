"""Synthetic venues with the statistics of real ones: a perpetuals exchange and a lending protocol.

Every figure has its source and date beside it, or is called an assumption. Currency is USD.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph.errors import ParameterError
from contagion_graph.graph import ExposureGraph
from contagion_graph.rules.checks import check_number
from contagion_graph.tables.schema import BoolArray, FloatArray

Seed = int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None
Ints = np.ndarray[Any, np.dtype[np.int64]]

# Tickers and prices by maximum leverage. Leverage: hyperliquid.gitbook.io/hyperliquid-docs/trading/margin-tiers, page
# undated, read November 2026. A graph has one margin rate an asset, so the first tier holds at any size (in the second,
# from 150M BTC has 20, from 100M ETH 15, from 70M SOL 10, from 40M XRP 10). Assumptions: prices, near January 2026; the
# order within a class; which of the rarer assets, called A37 and so on, are in class 5 and which in 3.
PERPETUALS = {
    40: "BTC 91000",
    25: "ETH 3100",
    20: "SOL 140, XRP 2.1",
    10: "HYPE 26, BNB 900, DOGE 0.14, SUI 1.8, kPEPE 0.006, LINK 13.5, ENA 0.23, AVAX 14, ADA 0.4, LTC 80, AAVE 170, "
    "TRX 0.29, FARTCOIN 0.4, UNI 5.8, NEAR 1.7, TRUMP 5.4, BCH 620, WLD 0.6, kBONK 0.011, CRV 0.4, DOT 2.1, ARB 0.21, "
    "OP 0.32, TON 1.8, ONDO 0.43, APT 1.9, INJ 5.2, LDO 0.63, SEI 0.12, JUP 0.21, TIA 0.55, kSHIB 0.0088",
}
RARE_LEVERAGE, RAREST_LEVERAGE, RAREST_AFTER = 5, 3, 100

# Asset, price, liquidation threshold [%], liquidation bonus [%]: Aave v3 Ethereum, base mode, committed 2023-11-08 in
# reports/AaveV3Ethereum_UpgradeAaveV3ETHPooolWETHParameters_20231031_before.json of
# github.com/aave-dao/aave-proposals-v3, as are the prices of WETH and WBTC. Assumptions: the other prices, the order,
# and everything about further assets, called A18 and so on.
LENDING = (
    "WETH 1816.85 83 5, USDC 1 80 4.5, WBTC 34814.14 78 5, USDT 1 76 4.5, wstETH 2070 81 6, DAI 1 80 5, LINK 11 68 7, "
    "rETH 1980 77 7.5, AAVE 90 73 7.5, cbETH 1910 77 7.5, MKR 1350 70 8.5, UNI 4.5 77 10, CRV 0.5 41 8.3, "
    "LDO 1.9 50 9, SNX 2.3 65 8.5, BAL 3.5 62 8.3, ENS 8 49 8"
)
STABLECOINS = ("USDC", "USDT", "DAI")
RARE_COLLATERAL = "1 50 10"

# Account sizes: Pareto, bounded at both ends. Axtell (2001), Science 293:1818-1820: exponent about 1 for firms. Those
# auto-deleveraged on Hyperliquid on 10 October 2025 (github.com/ConejoCapital/HyperMultiAssetedADL, commit 79bad0fa,
# 2025-12-07): Hill estimate 1.00 in the top 0.5 %, 0.74 in the top 5 %. Assumptions: 1.1, which has a mean; the bounds.
TAIL, SMALLEST, LARGEST = 1.1, 1e3, 1e7

# Leverage: log-normal, fitted to open interest on Hyperliquid late in 2025 (36 % of it at 0-3x, 48 % at 3-7x, the rest
# above). Assumption: it falls with account size, to this power.
LEVERAGE, LEVERAGE_SPREAD, LEVERAGE_SLOPE = 3.7, 0.63, -0.1

# Powers of an asset's rank: how often it is held, and in what amount. Together they give open interest ~ rank^-1.3; it
# was 1.2 to 1.5 in notional auto-deleveraged on 10 October 2025 (BTC 29.5 %, ETH 21.8 %, SOL 13.1 %; same data).
HOLDERS_SLOPE, AMOUNT_SLOPE = -1.0, -0.5

# Depth = c ADV / sigma sqrt(tau), c = 0.4, tau in days: Cont & Schaanning (2017), Norges Bank Working Paper 2/2017.
# Assumptions: forced sales have an hour; sigma, a day, grows with rank; ADV = open interest, or deposits, over 1.5
# (Hyperliquid, about January 2026: 3,022M of open interest in BTC, 2,621M of volume a day).
DEPTH_FACTOR, TAU, TURNOVER = 0.4, 1 / 24, 1.5
LEAST_VOLATILITY, MOST_VOLATILITY, STABLE_VOLATILITY = 0.03, 0.08, 0.003

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
    rng: Seed = None,
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
    draw = _generator("perpetuals", rng)
    assets = _perpetual_assets(n_assets)
    capital = _capital(n_accounts, tail, draw)
    makers = np.argsort(-capital)[:2]
    book = _book(capital, makers, n_assets, n_positions, draw)
    part = book.parts(_amounts(book, draw))
    initial_margin = book.account_sums(part / book.of_asset(assets["max_leverage"]))
    levered = leverage * (capital / np.median(capital)) ** LEVERAGE_SLOPE
    levered *= np.exp(LEVERAGE_SPREAD * draw.standard_normal(n_accounts))
    levered = np.minimum(levered, 1.0 / initial_margin)
    side = _sides(book, makers, draw)
    bearable = LOSS_LIMIT * (1.0 / levered - 0.5 * initial_margin)
    moved = _moves(side, book.of_asset(assets["volatility"]), bearable[book.account], draw)
    value = _netted(book, side * (capital * levered)[book.account] * part * (1.0 + moved))
    price = book.of_asset(assets["price"])
    positions = {"quantity": value / price, "entry_price": price / (1.0 + moved)}
    open_interest = np.abs(value) / 2.0
    fund = fund_share * book.account_sums(open_interest)
    assets = _with_depth(assets, book.asset_sums(open_interest))
    return _graph(book, positions, assets, {"cash": capital}, fund, n_pools, draw)


def lending(
    n_accounts: int,
    n_assets: int,
    *,
    n_positions: int | None = None,
    rng: Seed = None,
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
    draw = _generator("lending", rng)
    assets = _lending_assets(n_assets)
    capital = _capital(n_accounts, tail, draw)
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
    assets = _with_depth(assets, book.asset_sums(deposit))
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


def _generator(owner: str, rng: Seed) -> np.random.Generator:
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{owner}: rng is {rng!r:.60}; it must be what numpy.random.default_rng takes") from error


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


def _capital(n_accounts: int, tail: float, draw: np.random.Generator) -> FloatArray:
    """Draw from P(X > s) = (s^-a - b^-a) / (1 - b^-a), 1 < s < b, in units of the smallest."""
    bound = (LARGEST / SMALLEST) ** -tail
    survival = bound + (1.0 - bound) * draw.random(n_accounts)
    return np.asarray(SMALLEST * survival ** (-1.0 / tail))


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
        cells.append(np.flatnonzero(key <= last) + start * n_assets)
    account, asset = np.divmod(np.concatenate(cells), n_assets)
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
    owed: BoolArray = (margin < 0.0) & (margin < least_likely[book.account]) & (book.account != largest)
    return owed


def _perpetual_assets(n_assets: int) -> pd.DataFrame:
    rows = [[*entry.split(), leverage] for leverage, listed in PERPETUALS.items() for entry in listed.split(", ")]
    rare = range(len(rows) + 1, n_assets + 1)
    rows += [[f"A{rank}", 1, RARE_LEVERAGE if rank <= RAREST_AFTER else RAREST_LEVERAGE] for rank in rare]
    assets = pd.DataFrame(rows[:n_assets], columns=["asset", "price", "max_leverage"])
    assets = assets.astype({"price": float, "max_leverage": float})
    maintenance = 0.5 / assets["max_leverage"]
    return assets.assign(margin_long=maintenance, margin_short=maintenance, volatility=_volatility(n_assets))


def _lending_assets(n_assets: int) -> pd.DataFrame:
    rows = [entry.split() for entry in LENDING.split(", ")]
    rows += [f"A{rank} {RARE_COLLATERAL}".split() for rank in range(len(rows) + 1, n_assets + 1)]
    assets = pd.DataFrame(rows[:n_assets], columns=["asset", "price", "threshold", "bonus"])
    price, threshold, bonus = (assets[name].astype(float) for name in ("price", "threshold", "bonus"))
    volatility = np.where(assets["asset"].isin(STABLECOINS), STABLE_VOLATILITY, _volatility(n_assets))
    return assets[["asset"]].assign(
        price=price, margin_long=1.0 - threshold / 100.0, liquidation_bonus=bonus / 100.0, volatility=volatility
    )


def _volatility(n_assets: int) -> FloatArray:
    return np.minimum(LEAST_VOLATILITY * np.arange(1.0, n_assets + 1.0) ** 0.25, MOST_VOLATILITY)


def _with_depth(assets: pd.DataFrame, held: FloatArray) -> pd.DataFrame:
    """Add daily volume and depth, from the value of each asset that is held."""
    volume = held / TURNOVER
    return assets.assign(daily_volume=volume, depth=DEPTH_FACTOR * volume / assets["volatility"] * np.sqrt(TAU))


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
