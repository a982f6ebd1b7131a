"""The static equilibria of a margin cascade straight from their definition: dense arrays, every state, no short cuts.

Closed shares gamma (n,) in [0, 1] say everything: what is sold, at which prices, who is short of money, who bears it,
and so who is in breach. A state is an equilibrium where the answer is gamma again. The maps also take many states at
once, gamma (..., n).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from .dense_cascade import Books, Flags, Floats, Rules, make_books, mean_price_factor, price_factor
from .dense_state import NOTHING, TIE
from .random_markets import Case

TwoSided = Literal["conservative"] | None
MAX_STEPS = 200_000


@dataclass(frozen=True)
class Setting:
    """What stays fixed: the books, p_bar, p0 / depth, members (n, v) of 0 and 1, funds, given defaults, rules."""

    books: Books
    price_before: Floats  # (m,) p0
    price_shocked: Floats  # (m,) p_bar
    per_unit: Floats  # (m,) p0 / depth
    members: Floats  # (n, v)
    fund: Floats  # (v,)
    losses: Floats  # (n,)
    defaults: Flags  # (n,)
    rules: Rules


class Prices(NamedTuple):
    """At which prices (..., m) longs and shorts are valued: terminal p, and w, the average over [0, x]."""

    p_long: Floats
    p_short: Floats
    w_long: Floats
    w_short: Floats


@dataclass(frozen=True)
class Tables:
    """The tables of a state: per account (n,), per pool (v,), per asset (m,)."""

    equity_before: Floats
    equity_after: Floats
    loss: Floats
    direct: Floats
    impact: Floats
    penalty: Floats
    socialised: Floats
    shortfall: Floats
    pool_shortfall: Floats
    pool_socialised: Floats
    fund_used: Floats
    fund_received: Floats
    fund_after: Floats
    uncovered: Floats
    loss_rate: Floats  # l per pool, inf where nobody is left to share
    prices: Prices  # p_long = p_short and w_long = w_short unless the tables are the conservative ones


def one_sided(quantity: Floats) -> bool:
    """Say whether every asset (column) is held on one side only."""
    return all((column >= 0).all() or (column <= 0).all() for column in quantity.T)


def isotone(case: Case) -> bool:
    """Say whether T never falls: sellable assets on one side only and, in columns of longs, margin_units <= quantity.

    Margins add up and quantities net in a cell, so a deposit and a debt of one asset in one account may need more
    margin than what is left of the two is worth; a falling price then helps the account.
    """
    books = setting(case).books
    falls = (books.sell > 0).any(axis=0)
    return one_sided(books.sell) and bool((books.margin_sell <= np.maximum(books.sell, 0))[:, falls].all())


def static_map(case: Case, gamma: Floats) -> Floats:
    """Return T(gamma) = t(gamma, gamma): longs and shorts are valued at one price."""
    return split_map(case, gamma, gamma)


def conservative_map(case: Case, gamma: Floats) -> Floats:
    """Return t(gamma, 0): longs valued after all sales of longs, shorts after all purchases of shorts, no relief."""
    return split_map(case, gamma, np.zeros_like(gamma))


def split_map(case: Case, x: Floats, y: Floats) -> Floats:
    """Return t(x, y), which never falls with x and never rises with y; t(x, x) = T(x).

    Longs are valued at f(Q~+'x - Q~-'y), shorts at f(Q~+'y - Q~-'x), with the same arguments for w; the shortfall
    x_i max(0, -V_i) and the open base sum base_i (1 - x_i) come from x alone.
    """
    return respond(setting(case), x, y)


def setting(case: Case) -> Setting:
    """Gather what stays fixed in a case."""
    market, p_bar = case.market, case.market.price * (1 + case.shock)
    pools = np.arange(len(market.insurance_fund))
    return Setting(
        books=make_books(market, case.rules, p_bar, case.losses),
        price_before=market.price,
        price_shocked=p_bar,
        per_unit=market.price / market.depth,
        members=(market.pool[:, None] == pools).astype(float),
        fund=market.insurance_fund,
        losses=case.losses,
        defaults=case.defaults,
        rules=case.rules,
    )


def respond(s: Setting, x: Floats, y: Floats) -> Floats:
    """Return the closed shares gamma' that the rule asks of every account, on its whole book, at the state (x, y)."""
    prices = trade(s, x, y)
    burden = borne(s, loss_rate(s, x, prices))
    equity = s.books.cash + worth(s.books.sell + s.books.keep, prices.p_long, prices.p_short) - burden
    maintenance = margin(s, prices, s.books.margin_sell) + margin(s, prices, s.books.margin_keep)
    share = np.where(equity < maintenance, close_share(s, prices, equity, maintenance, burden), 0.0)
    return np.where(s.defaults, 1.0, share)


def trade(s: Setting, x: Floats, y: Floats) -> Prices:
    """Return p = p_bar f(x_j), w = p_bar mean(f over [0, x_j]), x_j = S_j p0_j / depth_j, for longs and for shorts."""
    long, short = np.maximum(s.books.sell, 0), np.maximum(-s.books.sell, 0)
    for_longs = (x @ long - y @ short) * s.per_unit
    for_shorts = (y @ long - x @ short) * s.per_unit
    impact, zero = s.rules.impact, np.zeros_like(for_longs)
    return Prices(
        p_long=s.price_shocked * price_factor(impact, for_longs),
        p_short=s.price_shocked * price_factor(impact, for_shorts),
        w_long=s.price_shocked * mean_price_factor(impact, zero, for_longs),
        w_short=s.price_shocked * mean_price_factor(impact, zero, for_shorts),
    )


def worth(quantity: Floats, price_long: Floats, price_short: Floats) -> Floats:
    """Return Q+.p_long - Q-.p_short of every account."""
    return price_long @ np.maximum(quantity, 0).T - price_short @ np.maximum(-quantity, 0).T


def gross(quantity: Floats, price_long: Floats, price_short: Floats) -> Floats:
    """Return Q+.p_long + Q-.p_short of every account."""
    return price_long @ np.maximum(quantity, 0).T + price_short @ np.maximum(-quantity, 0).T


def margin(s: Setting, prices: Prices, units: Floats) -> Floats:
    """Return margin_units.p; up to the quantity held long at the price of longs, all above it at that of shorts."""
    at_long = np.minimum(units, np.maximum(s.books.sell + s.books.keep, 0))
    return prices.p_long @ at_long.T + prices.p_short @ (units - at_long).T


def value_closed(s: Setting, prices: Prices) -> Floats:
    """Return V = cash + Q~.w + (Q - Q~).p - penalty of every account, as if it closed all that it can."""
    return value_unpunished(s, prices) - penalty_closed(s, prices)


def value_unpunished(s: Setting, prices: Prices) -> Floats:
    """Return cash + Q~.w + (Q - Q~).p of every account."""
    proceeds = worth(s.books.sell, prices.w_long, prices.w_short)
    return s.books.cash + proceeds + worth(s.books.keep, prices.p_long, prices.p_short)


def penalty_closed(s: Setting, prices: Prices) -> Floats:
    """Return what every account pays for closing all that it can: penalty |Q~|.w, at most what it is then worth."""
    penalty = s.rules.penalty * gross(s.books.sell, prices.w_long, prices.w_short)
    if s.rules.penalty_cap == "equity":
        penalty = np.minimum(penalty, np.maximum(0, value_unpunished(s, prices)))
    return penalty


def loss_rate(s: Setting, x: Floats, prices: Prices) -> Floats:
    """Return l_k = max(0, sum x_i max(0, -V_i) - fund_k) / sum base_i (1 - x_i) of every pool.

    0 if there is nothing to share, infinite if nobody is left to share it. The fund is the one at the start: penalties
    that enter it in the cascade do not pay, or else an account that is closed with money left would relieve the
    others, and T would not be isotone.
    """
    shortfall = x * np.maximum(0, -value_closed(s, prices))
    excess = np.maximum(0, shortfall @ s.members - s.fund)
    open_base = ((1 - x) * s.books.base) @ s.members
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(excess > 0, excess / open_base, 0.0)
    return rate if s.rules.sharing is not None else np.zeros_like(rate)


def borne(s: Setting, rate: Floats) -> Floats:
    """Return base_i l_k of every account; 0 where the base is 0, also if l_k is infinite."""
    with np.errstate(invalid="ignore"):
        return np.where(s.books.base > 0, s.books.base * rate[..., s.members.argmax(axis=1)], 0.0)


def close_share(s: Setting, prices: Prices, equity: Floats, maintenance: Floats, burden: Floats) -> Floats:
    """Apply the liquidation rule to every account as if it were in breach; 1 where E <= 0, but for rounding."""
    share = np.ones_like(equity)
    shorts = prices.p_short @ np.maximum(-(s.books.sell + s.books.keep), 0).T
    debt = shorts + np.maximum(0, -(s.books.cash - burden))
    with np.errstate(all="ignore"):  # 1 is kept wherever the quotient has no meaning
        match s.rules.liquidation:
            case ("target", buffer):
                closable = (1 + buffer) * margin(s, prices, s.books.margin_sell)
                closable -= s.rules.penalty * gross(s.books.sell, prices.p_long, prices.p_short)
                theta = np.clip(((1 + buffer) * maintenance - equity) / closable, 0, 1)
                share = np.where(closable > 0, theta, 1.0)
            case ("close_factor", factor, full_below):
                size = np.abs(equity) + maintenance + gross(s.books.sell, prices.p_long, prices.p_short)
                health = np.where(debt > TIE * size, 1 + (equity - maintenance) / debt, -np.inf)
                share = np.where(health >= full_below - TIE, factor, 1.0)
    return np.where(equity <= NOTHING * debt, 1.0, share)


def tables(case: Case, gamma: Floats, two_sided: TwoSided = None) -> Tables:
    """Return the tables of the state gamma (n,); they mean something where gamma is an equilibrium.

    equity_after = (1-gamma)(cash + Q.p - base l) + gamma max(0, V); proceeds = gamma Q~.w; impact = Q.p_bar - proceeds
    - value left; socialised = (1-gamma) base l; shortfall = gamma max(0, -V). Of a pool's shortfall the fund at the
    start pays first, its open members the rest; where nobody is left to share, or nothing is shared, the rest is
    uncovered. The share penalty_to_fund of the penalties enters the fund after it has paid.
    """
    s = setting(case)
    books, whole, left = s.books, s.books.sell + s.books.keep, 1 - gamma
    prices = trade(s, gamma, gamma if two_sided is None else np.zeros_like(gamma))
    rate, value = loss_rate(s, gamma, prices), value_closed(s, prices)
    socialised = left * borne(s, np.where(np.isinf(rate), 0.0, rate))
    shortfall = gamma * np.maximum(0, -value)
    unsold = left * worth(books.sell, prices.p_long, prices.p_short) + worth(books.keep, prices.p_long, prices.p_short)
    proceeds = gamma * worth(books.sell, prices.w_long, prices.w_short)
    penalty = gamma * penalty_closed(s, prices)
    before = books.cash + s.losses + whole @ s.price_before
    after = left * (books.cash + worth(whole, prices.p_long, prices.p_short)) - socialised
    after = after + gamma * np.maximum(0, value)
    lost = shortfall @ s.members
    used = np.minimum(s.fund, lost)
    shared = (s.rules.sharing is not None) & np.isfinite(rate)
    received = s.rules.penalty_to_fund * (penalty @ s.members)
    return Tables(
        equity_before=before,
        equity_after=after,
        loss=before - after,
        direct=whole @ (s.price_before - s.price_shocked) + s.losses,
        impact=whole @ s.price_shocked - (unsold + proceeds),
        penalty=penalty,
        socialised=socialised,
        shortfall=shortfall,
        pool_shortfall=lost,
        pool_socialised=socialised @ s.members,
        fund_used=used,
        fund_received=received,
        fund_after=s.fund - used + received,
        uncovered=np.where(shared, 0.0, lost - used),
        loss_rate=rate,
        prices=prices,
    )


def fixed_points(case: Case, two_sided: TwoSided = None) -> Floats:
    """Return every gamma with T(gamma) = gamma, (k, n), fewest closed first, by trying every state of a finite rule."""
    match case.rules.liquidation:
        case ("full",):
            values = {0.0, 1.0}
        case ("close_factor", factor, _):
            values = {0.0, factor, 1.0}
        case _:
            raise ValueError("only full liquidation and close factors take finitely many values")
    states = np.array(list(product(*([1.0] if given else sorted(values) for given in case.defaults))))
    found = states[(apply(case, states, two_sided) == states).all(axis=1)]
    return found[np.argsort(found.sum(axis=1), kind="stable")]


def apply(case: Case, gamma: Floats, two_sided: TwoSided = None) -> Floats:
    """Return T(gamma), or the conservative map's value."""
    return static_map(case, gamma) if two_sided is None else conservative_map(case, gamma)


def least_and_greatest(case: Case, two_sided: TwoSided = None) -> tuple[Floats, Floats]:
    """Return the least and the greatest fixed point of an isotone map: iterate from 0, and from 1."""
    if two_sided is None and not isotone(case):
        raise ValueError("T is not isotone: assets held on both sides, or cells with more margin than value")
    s, zero = setting(case), np.zeros(len(case.market.cash))

    def step(gamma: Floats) -> Floats:
        return respond(s, gamma, gamma if two_sided is None else zero)

    return iterate(step, zero), iterate(step, zero + 1)


def bracket(case: Case) -> tuple[Floats, Floats]:
    """Return the limits (lower, upper) of x, y <- t(x, y), t(y, x) from (0, 1): every fixed point lies between.

    The bounds are nested up to rounding: where they meet, lower may exceed upper by an ulp or two.
    """
    s, zero = setting(case), np.zeros(len(case.market.cash))
    lower, upper = iterate(lambda z: np.stack([respond(s, z[0], z[1]), respond(s, z[1], z[0])]), [zero, zero + 1])
    return lower, upper


def iterate(step: Callable[[Floats], Floats], start: npt.ArrayLike, tol: float = 1e-15) -> Floats:
    """Apply the map until nothing changes by more than `tol` (a limit that is not fixed changes, so it goes on)."""
    state = np.asarray(start, dtype=float)
    for _ in range(MAX_STEPS):
        before, state = state, step(state)
        if np.abs(state - before).max() <= tol:
            return state
    raise RuntimeError(f"the iteration has not settled after {MAX_STEPS} steps")
