"""A synthetic venue for options: hedged market makers, covered calls, naked shorts and buyers, on portfolio margin.

Every figure has its source and date beside it, or is called an assumption. Currency is USD.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray, Seed
from contagion_graph._validate import check_number, generator_of
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.solvers import black
from contagion_graph.synthetic.account_sizes import TAIL, capital_of
from contagion_graph.synthetic.asset_universe import perpetual_assets, with_depth

Ints = np.ndarray[Any, np.dtype[np.int64]]

# Days to expiry in the order in which they are listed here: Deribit lists days, weeks, months and quarters
# (support.deribit.com, "Inverse options", read November 2026). Strikes: steps of 1, 2, 2.5 or 5 times a power of 10.
DAYS, YEAR = (28, 7, 91, 182, 2, 56, 273, 14), 365.0
STEPS = np.array([1.0, 2.0, 2.5, 5.0, 10.0])

# Moves of the price, factors of the vol and contingency: Deribit's portfolio margin, as `venues.deribit(days=30)`.
MOVES, VOL_FACTORS, CONTINGENCY = np.linspace(-0.16, 0.16, 9).round(4), (1.5, 1.0, 0.75), 0.01

# Assumptions.
SIDES = (("C", 1.0), ("P", -1.0))
WIDTH = 2.0  # strikes reach that many standard deviations from the price
SKEW, CURVE = -0.03, 0.06  # vol over that at the money, by standard deviations x from it: 1 + SKEW x + CURVE x^2
MAKERS, COVERED, NAKED = 0.01, 0.2, 0.15  # shares of accounts; the largest are makers, the rest are buyers
HELD = 3  # options of a client, at most
SOLD, NOTIONAL, SPENT = (0.3, 1.0), (1.0, 4.0), (0.05, 0.5)  # of coins as calls; over capital; of capital on premium
ROOM, ROOM_SPREAD = 0.8, 0.8  # equity over maintenance less 1 is log-normal
DEEP = 3.0  # times the room, of makers
ELSEWHERE = 3.0  # times what coins trade here, by the deltas held, is what they trade in all
FUND_SHARE = 0.01  # insurance fund over the value of all options sold


@dataclass(frozen=True, eq=False)
class _Listed:
    """The listed options: underlying (number), sign, strike, expiry, vol, price and delta of each, and its name."""

    name: list[str]
    on: Ints
    sign: FloatArray
    strike: FloatArray
    expiry: FloatArray
    vol: FloatArray
    price: FloatArray
    delta: FloatArray


def options(
    n_accounts: int,
    n_underlyings: int = 2,
    *,
    n_expiries: int = 4,
    n_strikes: int = 9,
    rng: Seed | None = None,
    tail: float = TAIL,
    room: float = ROOM,
) -> ExposureGraph:
    """Draw a venue for options: every account is on portfolio margin, and every option nets to zero.

    The largest accounts are market makers: they take the other side of all clients, and hold the coins that make their
    deltas zero. Of the clients, some hold coins and sell calls on them, some sell options without cover, and most buy
    options out of the money. At the prices of the graph none is in breach.

    Parameters
    ----------
    n_accounts : int
        At least 10; each trader has one account.
    n_underlyings : int
        Coins, in order of popularity; at least 1.
    n_expiries, n_strikes : int
        Listed for each coin, 1 to 8; and at most for each expiry, at least 3. Each strike has a call and a put.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed draws the same venue.
    tail : float
        Exponent of account sizes, as in `perpetuals`.
    room : float
        Median of equity over maintenance less 1, of sellers; makers have three times as much.

    Returns
    -------
    ExposureGraph
        Coins, then options, named BTC-28D-95000-C. Traders are named maker0, covered1, naked2, buyer3 and so on.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.generate.options(500, rng=0)
    >>> graph
    <ExposureGraph: 500 traders, 500 accounts, 98 assets, 1,358 positions, 1 pool; gross value 1.45...e+06, equity ...
    >>> bool((graph.slack > 0.0).all())
    True
    """
    check_number("options", "n_accounts", n_accounts, low=10, whole=True)
    check_number("options", "n_underlyings", n_underlyings, low=1, whole=True)
    check_number("options", "n_expiries", n_expiries, low=1, high=len(DAYS), whole=True)
    check_number("options", "n_strikes", n_strikes, low=3, whole=True)
    check_number("options", "tail", tail, low=0.5, high=10)
    check_number("options", "room", room, low=0, above=True)
    draw = generator_of("options", rng)
    coins = perpetual_assets(n_underlyings)
    listed = _listed(coins, n_expiries, n_strikes)
    capital = -np.sort(-capital_of(n_accounts, tail, draw))
    role = _roles(n_accounts, draw)
    held = _clients(capital, role, coins, listed, draw)
    held = sparse.csr_array(held + _makers(held, capital, role, listed, n_underlyings))
    return _venue(held, capital, role, coins, listed, room, draw)


def _listed(coins: pd.DataFrame, n_expiries: int, n_strikes: int) -> _Listed:
    """List calls and puts of every expiry, at strikes around the price."""
    parts = []
    for number, (coin, u, vol) in enumerate(zip(coins["asset"], coins["price"], coins["volatility"], strict=True)):
        for days in sorted(DAYS[:n_expiries]):
            width = float(vol * np.sqrt(days))
            for strike in _strikes(u, width, n_strikes):
                x = np.log(strike / u) / width
                smile = float(vol * np.sqrt(YEAR) * (1.0 + SKEW * x + CURVE * x**2))
                terms = strike, days / YEAR, smile
                parts += [(f"{coin}-{days}D-{strike:.10g}-{side}", number, sign, *terms) for side, sign in SIDES]
    name, on, *columns = zip(*parts, strict=True)
    sign, strike, expiry, vols = (np.array(each) for each in columns)
    numbers, u = np.array(on), coins["price"].to_numpy()[np.array(on)]
    values = [each(sign, u, strike, expiry, vols) for each in (black.price, black.delta)]
    return _Listed(list(name), numbers, sign, strike, expiry, vols, *values)


def _strikes(u: float, width: float, n_strikes: int) -> FloatArray:
    """Return multiples of a round step, within some standard deviations of the price."""
    span = u * (np.exp(WIDTH * width) - np.exp(-WIDTH * width))
    least = span / (n_strikes - 1)
    step = float(10.0 ** np.floor(np.log10(least)))
    step *= float(STEPS[np.searchsorted(STEPS, least / step * (1.0 - 1e-9))])
    first, last = np.ceil(u * np.exp(-WIDTH * width) / step), np.floor(u * np.exp(WIDTH * width) / step)
    return np.asarray(step * np.arange(max(first, 1.0), last + 1.0))


def _roles(n_accounts: int, draw: np.random.Generator) -> Any:
    """Return the role of each account; the largest, which are first, are makers."""
    makers = max(2, round(MAKERS * n_accounts))
    clients = draw.choice(["covered", "naked", "buyer"], n_accounts - makers, p=[COVERED, NAKED, 1.0 - COVERED - NAKED])
    return np.concatenate([np.full(makers, "maker"), clients])


def _clients(
    capital: FloatArray, role: Any, coins: pd.DataFrame, listed: _Listed, draw: np.random.Generator
) -> sparse.csr_array:
    """Return what clients hold, accounts x (coins and options) [units]."""
    k, price = len(coins), coins["price"].to_numpy()
    popularity = np.arange(1.0, k + 1.0) ** -1.3
    u = price[listed.on]
    out_of_money = listed.sign * (listed.strike - u) > 0.0
    rows: list[Any] = []
    columns: list[Any] = []
    units: list[Any] = []
    for row in np.flatnonzero(role != "maker"):
        coin = draw.choice(k, p=popularity / popularity.sum())
        among = np.flatnonzero((listed.on == coin) & out_of_money & ((listed.sign > 0.0) | (role[row] != "covered")))
        picked = draw.choice(among, min(int(draw.integers(1, HELD + 1)), among.size), replace=False)
        part = draw.dirichlet(np.ones(picked.size))
        if role[row] == "buyer":
            amount = draw.uniform(*SPENT) * capital[row] * part / np.maximum(listed.price[picked], 1e-4 * price[coin])
        elif role[row] == "naked":
            amount = -draw.uniform(*NOTIONAL) * capital[row] * part / price[coin]
        else:
            rows, columns, units = [*rows, [row]], [*columns, [coin]], [*units, [capital[row] / price[coin]]]
            amount = -draw.uniform(*SOLD) * capital[row] * part / price[coin]
        rows, columns, units = [*rows, np.full(picked.size, row)], [*columns, k + picked], [*units, amount]
    cells = np.concatenate(units), (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array(cells, shape=(capital.size, k + listed.on.size))


def _makers(held: sparse.csr_array, capital: FloatArray, role: Any, listed: _Listed, k: int) -> sparse.csr_array:
    """Return what makers hold: the other side of all options, by capital, and coins that make their deltas zero."""
    makers = np.flatnonzero(role == "maker")
    share = capital[makers] / capital[makers].sum()
    taken = -held.sum(axis=0)
    taken[:k] = -np.bincount(listed.on, weights=taken[k:] * listed.delta, minlength=k)
    cells = sparse.csr_array(np.outer(share, taken))
    onto = sparse.csr_array((np.ones(makers.size), (makers, np.arange(makers.size))), (capital.size, makers.size))
    return sparse.csr_array(onto @ cells)


def _venue(
    held: sparse.csr_array, capital: FloatArray, role: Any, coins: pd.DataFrame, listed: _Listed, room: float,
    draw: np.random.Generator,
) -> ExposureGraph:  # fmt: skip
    """Return the graph, with the cash that leaves each account its room above the margin."""
    k, n = len(coins), capital.size
    held.eliminate_zeros()
    gross = np.asarray(abs(held).sum(axis=0)).ravel()
    delta = np.concatenate([np.ones(k), np.abs(listed.delta)])
    on = np.concatenate([np.arange(k), listed.on])
    traded = ELSEWHERE * np.bincount(on, weights=gross * delta, minlength=k)
    assets = with_depth(coins, traded * coins["price"].to_numpy())
    scenarios = [(move, factor) for move in MOVES for factor in VOL_FACTORS]
    graph = ExposureGraph.from_arrays(
        held,
        price=np.concatenate([coins["price"], listed.price]),
        depth=np.concatenate([assets["depth"], np.full(listed.on.size, np.inf)]),
        assets=[*coins["asset"], *listed.name],
        traders=[f"{each}{number}" for number, each in enumerate(role)],
        insurance_fund=FUND_SHARE * float((gross[k:] * listed.price).sum()) / 2.0,
        instruments={
            "asset": listed.name,
            "underlying": coins["asset"].to_numpy()[listed.on],
            "kind": np.where(listed.sign > 0.0, "call", "put"),
            "strike": listed.strike,
            "expiry": listed.expiry,
            "vol": listed.vol,
        },
        margin_scenarios={
            "grid": ["pm"] * len(scenarios),
            "move": [move for move, _ in scenarios],
            "vol_factor": [factor for _, factor in scenarios],
            "contingency": [CONTINGENCY] * len(scenarios),
        },
        account_margin=["pm"] * n,
    )
    rooms = np.where(role == "maker", DEEP * room, room)
    wanted = graph.maintenance.to_numpy() * (1.0 + rooms * np.exp(ROOM_SPREAD * draw.standard_normal(n)))
    value = graph.equity.to_numpy()
    return graph.assign(cash=np.where(role == "buyer", (1.0 - SPENT[1]) * capital, wanted - value))
