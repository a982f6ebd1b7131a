"""The margin cascade straight from its definition (docs/cascade.md): dense arrays, no short cuts, numbered steps."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Position = tuple[int, int, float, float | None, float]
Impact = Literal["linear", "exponential"]
Sharing = Literal["equity", "deposits", "profit", "open_interest", "share"] | None
Liquidation = tuple[Literal["full"]] | tuple[Literal["target"], float] | tuple[Literal["close_factor"], float, float]


@dataclass(frozen=True)
class Market:
    """n accounts, m assets, v pools; a position is (account, asset, quantity, entry_price or None, margin_rate)."""

    positions: list[Position]
    cash: Floats  # (n,) own cash, without the -quantity*entry_price of derivatives
    price: Floats  # (m,)
    depth: Floats  # (m,) inf: no impact
    sellable: Flags  # (m,)
    pool: Ints  # (n,)
    insurance_fund: Floats  # (v,)
    share: Floats  # (n,)


@dataclass(frozen=True)
class Rules:
    """The options of a cascade: ("full",), ("target", buffer) or ("close_factor", factor, full_below), and so on."""

    liquidation: Liquidation = ("full",)
    impact: Impact = "exponential"
    sharing: Sharing = "equity"
    penalty: float = 0.0
    penalty_to_fund: float = 0.0
    tol: float = 1e-12
    max_rounds: int = 10_000


@dataclass(frozen=True)
class Books:
    """What stays fixed in a run: Q = sell (Q~) + keep, the same split of margin_units, cash after given losses, b."""

    sell: Floats
    keep: Floats
    margin_sell: Floats
    margin_keep: Floats
    cash: Floats
    base: Floats


@dataclass
class Outcome:
    """The state of a run while it lasts (p, S, gamma, L, R = proceeds - penalty, funds), then its result."""

    price_shocked: Floats  # (m,) p_bar
    price_after: Floats  # (m,) p
    units_sold: Floats  # (m,) S, net
    value_sold: Floats  # (m,) at the average prices w
    closed: Floats  # (n,) gamma
    proceeds: Floats  # (n,)
    penalty: Floats  # (n,)
    socialised: Floats  # (n,) L
    shortfall: Floats  # (n,)
    breach_round: Ints  # (n,) first round that counted it in breach or default, 0: never
    fund_after: Floats  # (v,)
    fund_received: Floats  # (v,)
    fund_used: Floats  # (v,)
    pool_shortfall: Floats  # (v,)
    pool_socialised: Floats  # (v,)
    uncovered: Floats  # (v,)
    emptied: Flags  # (n,) has paid all and, at some look, E = M = 0 while open: rounding could tip it into breach
    rounds: list[dict[str, float]] = field(default_factory=list)
    converged: bool = False
    cap_binds: bool = False  # some member paid its whole positive equity in some round
    net_buying: bool = False  # S < 0 for some asset after some round
    closest: float = np.inf  # min |E - M| / (1 + |E| + |M|): how near to a tie a breach was
    closest_jump: float = np.inf  # the same for the jumps of CloseFactor: E = 0, health = full_below
    equity_before: Floats = field(init=False)  # the rest, (n,), is filled in by `finish`
    equity_after: Floats = field(init=False)
    direct: Floats = field(init=False)
    impact: Floats = field(init=False)
    loss: Floats = field(init=False)
    standalone: Floats = field(init=False)
    indirect: Floats = field(init=False)


def dense_cascade(market: Market, rules: Rules, shock: Floats, losses: Floats, defaults: Flags) -> Outcome:
    """Run the cascade after relative price changes `shock` (m,), `losses` (n,) of cash and given `defaults` (n,)."""
    p_bar = market.price * (1 + shock)
    books = make_books(market, rules.sharing, p_bar, losses)
    out = start(market, p_bar)
    gross = float((np.abs(books.sell + books.keep) @ market.price).sum())
    for number in range(1, rules.max_rounds + 1):
        # 1. equity and maintenance
        equity, maintenance = look(books, out)
        out.closest = min(out.closest, distance(equity, maintenance, out.closed < 1))
        out.emptied |= (out.closed < 1) & (equity == 0) & (maintenance == 0) & (out.socialised > 0)
        # 2. the accounts that close something
        given = defaults & (number == 1)
        breached = (out.closed < 1) & (equity < maintenance) | given
        # 3. theta, d = theta (1 - gamma), and the end of the run, which is also reached when nobody is in breach
        theta = given.astype(float)
        for i in np.flatnonzero(breached & ~given):
            theta[i] = close_share(rules, books, out, int(i), equity[i], maintenance[i])
        d = theta * (1 - out.closed)
        closed_value = float(d @ (np.abs(books.sell) @ out.price_after))
        if not (theta == 1).any() and closed_value <= rules.tol * gross:
            out.converged = True
            break
        out.breach_round[breached & (out.breach_round == 0)] = number
        # 4. - 6.
        price_before = out.price_after
        trade(market, rules, books, out, theta, d)
        row = {"breached": int(breached.sum()), "closed_value": closed_value}
        row["largest_move"] = largest_move(price_before, out.price_after)
        # 7. - 8.
        out.rounds.append(row | settle(market, books, out, breached & (out.closed == 1)))
        # 9. next round
    finish(market, books, out, losses)
    return out


def make_books(market: Market, sharing: Sharing, p_bar: Floats, losses: Floats) -> Books:
    """Add up the positions: Q, margin_units = sum |quantity|*margin_rate, cash = own - sum quantity*entry - losses."""
    quantity = np.zeros((len(market.cash), len(market.price)))
    margin_units = np.zeros_like(quantity)
    cash = market.cash.copy()
    for account, asset, units, entry_price, margin_rate in market.positions:
        quantity[account, asset] += units
        margin_units[account, asset] += abs(units) * margin_rate
        cash[account] -= units * (entry_price or 0.0)
    base = base_weights(market, sharing, quantity, cash, p_bar)
    sell, margin_sell = quantity * market.sellable, margin_units * market.sellable
    return Books(sell, quantity - sell, margin_sell, margin_units - margin_sell, cash - losses, base)


def base_weights(market: Market, sharing: Sharing, quantity: Floats, cash: Floats, p_bar: Floats) -> Floats:
    """Weigh the members: b >= 0 in which they share losses, fixed before the cascade; all 0 where nothing is shared."""
    weights = np.zeros(len(cash))
    if sharing == "equity":
        weights = cash + quantity @ market.price
    elif sharing == "open_interest":
        weights = np.abs(quantity) @ market.price
    elif sharing == "share":
        weights = market.share
    elif sharing == "deposits":
        weights = np.maximum(0, market.cash)
        for account, asset, units, entry_price, _ in market.positions:
            if entry_price is None and units > 0:
                weights[account] += units * market.price[asset]
    elif sharing == "profit":
        for account, asset, units, entry_price, _ in market.positions:
            if entry_price is not None:
                weights[account] += units * (p_bar[asset] - entry_price)
    return np.maximum(0, weights)


def start(market: Market, p_bar: Floats) -> Outcome:
    """Begin with nothing closed, nothing sold, p = p_bar, funds as given."""
    n, m, v = len(market.cash), len(market.price), len(market.insurance_fund)
    return Outcome(
        price_shocked=p_bar,
        price_after=p_bar,
        units_sold=np.zeros(m),
        value_sold=np.zeros(m),
        closed=np.zeros(n),
        proceeds=np.zeros(n),
        penalty=np.zeros(n),
        socialised=np.zeros(n),
        shortfall=np.zeros(n),
        breach_round=np.zeros(n, dtype=np.int64),
        fund_after=market.insurance_fund.copy(),
        fund_received=np.zeros(v),
        fund_used=np.zeros(v),
        pool_shortfall=np.zeros(v),
        pool_socialised=np.zeros(v),
        uncovered=np.zeros(v),
        emptied=np.zeros(n, dtype=bool),
    )


def look(books: Books, out: Outcome) -> tuple[Floats, Floats]:
    """Return E = cash + R + (1-gamma) Q~.p + (Q-Q~).p - L of every account, and M likewise from margin_units."""
    maintenance = (1 - out.closed) * (books.margin_sell @ out.price_after) + books.margin_keep @ out.price_after
    return worth(books, out) - out.socialised, maintenance


def worth(books: Books, out: Outcome) -> Floats:
    """Return E + L = cash + R + (1-gamma) Q~.p + (Q-Q~).p of every account: what it could pay in all."""
    value_left = (1 - out.closed) * (books.sell @ out.price_after) + books.keep @ out.price_after
    return books.cash + out.proceeds - out.penalty + value_left


def distance(equity: Floats, maintenance: Floats, open_: Flags) -> float:
    """Return the smallest |E - M| / (1 + |E| + |M|) over the open accounts that have anything, inf if there is none."""
    judged = open_ & ((equity != 0) | (maintenance != 0))
    gap = np.abs(equity - maintenance) / (1 + np.abs(equity) + np.abs(maintenance))
    return float(gap[judged].min(initial=np.inf))


def close_share(rules: Rules, books: Books, out: Outcome, i: int, equity: float, maintenance: float) -> float:
    """Apply the liquidation rule: the share theta that account i, in breach, closes of what it has left."""
    left, p = 1 - out.closed[i], out.price_after
    match rules.liquidation:
        case ("target", buffer) if equity > 0:
            margin_left, gross_left = left * (books.margin_sell[i] @ p), left * (np.abs(books.sell[i]) @ p)
            freed = (1 + buffer) * margin_left - rules.penalty * gross_left
            return float(np.clip(((1 + buffer) * maintenance - equity) / freed, 0, 1)) if freed > 0 else 1.0
        case ("close_factor", factor, full_below):
            health = health_of(books, out, i, equity, maintenance)
            out.closest_jump = min(out.closest_jump, abs(health - full_below))
            if health >= full_below:
                out.closest_jump = min(out.closest_jump, abs(equity) / (1 + abs(equity) + maintenance))
            return factor if equity > 0 and health >= full_below else 1.0
    return 1.0


def health_of(books: Books, out: Outcome, i: int, equity: float, maintenance: float) -> float:
    """Return h = 1 + (E - M) / D, D the value of the shorts left + max(0, -(cash + R - L)); -inf where D = 0."""
    shorts = (1 - out.closed[i]) * np.maximum(0, -books.sell[i]) + np.maximum(0, -books.keep[i])
    cash = books.cash[i] + out.proceeds[i] - out.penalty[i] - out.socialised[i]
    debt = float(shorts @ out.price_after + max(0, -cash))
    return 1 + (equity - maintenance) / debt if debt > 0 else -np.inf


def trade(market: Market, rules: Rules, books: Books, out: Outcome, theta: Floats, d: Floats) -> None:
    """Close the shares d of the accounts' sellable positions at the average price of the round."""
    # 4. S' = S + Q~^T d, p' = p_bar f(x')
    sold = books.sell.T @ d
    x = out.units_sold * market.price / market.depth
    out.units_sold = out.units_sold + sold
    x_new = out.units_sold * market.price / market.depth
    out.price_after = out.price_shocked * price_factor(rules.impact, x_new)
    out.net_buying |= bool((out.units_sold < 0).any())
    # 5. w = p_bar mean(f over [x, x'])
    w = out.price_shocked * mean_price_factor(rules.impact, x, x_new)
    out.value_sold += sold * w
    # 6. proceeds less penalty, gamma, the fund's share of the penalty
    penalty = rules.penalty * d * (np.abs(books.sell) @ w)
    out.proceeds += d * (books.sell @ w)
    out.penalty += penalty
    out.closed = np.where(theta == 1, 1.0, out.closed + d)
    received = rules.penalty_to_fund * np.bincount(market.pool, penalty, len(market.insurance_fund))
    out.fund_received += received
    out.fund_after += received


def largest_move(before: Floats, after: Floats) -> float:
    """Return max_j |p'_j / p_j - 1|, 0 where p_j = 0."""
    moving = before > 0
    return float(np.abs(after[moving] / before[moving] - 1).max(initial=0.0))


def price_factor(impact: Impact, x: Floats) -> Floats:
    """Return f(x): e^-x, or 1 - x floored at 0."""
    return np.exp(-x) if impact == "exponential" else np.maximum(0, 1 - x)


def mean_price_factor(impact: Impact, x: Floats, x_new: Floats) -> Floats:
    """Return the mean of f over [x, x_new] in closed form, f(x) where the two are equal."""
    low, high = np.minimum(x, x_new), np.maximum(x, x_new)
    width = np.where(high > low, high - low, 1.0)
    if impact == "exponential":
        return np.where(high > low, np.exp(-low) * -np.expm1(-width) / width, np.exp(-low))
    return np.where(high <= 1, 1 - (low + high) / 2, np.maximum(0, 1 - low) ** 2 / (2 * width))


def settle(market: Market, books: Books, out: Outcome, just_closed: Flags) -> dict[str, float]:
    """Find the shortfalls of the accounts that the round closed wholly, and who pays; return the totals."""
    # 7. a wholly closed account with V < 0 leaves -V (for it E = V)
    value = worth(books, out)
    equity = value - out.socialised
    shortfall = np.where(just_closed, np.maximum(0, -equity), 0.0)
    out.shortfall += shortfall
    # 8. per pool: the fund first, then the members, up to their positive equity
    amounts = np.zeros((4, len(market.insurance_fund)))
    for k, fund in enumerate(out.fund_after):
        lost = float(shortfall[market.pool == k].sum())
        used = min(float(fund), lost)
        cap = np.where((market.pool == k) & (out.closed < 1), np.maximum(0, equity), 0.0)
        paid, uncovered = share_out(lost - used, books.base, cap)
        amounts[:, k] = lost, used, paid.sum(), uncovered
        capped = (paid == cap) & (cap > 0)
        out.socialised = np.where(capped, value, out.socialised + paid)  # capped: E is 0 exactly, not nearly
        out.cap_binds |= bool(capped.any())
    out.pool_shortfall += amounts[0]
    out.fund_used += amounts[1]
    out.fund_after -= amounts[1]
    out.pool_socialised += amounts[2]
    out.uncovered += amounts[3]
    return dict(zip(("shortfall", "fund_used", "socialised", "uncovered"), amounts.sum(axis=1).tolist(), strict=True))


def share_out(amount: float, base: Floats, cap: Floats) -> tuple[Floats, float]:
    """Return min(lambda b, cap) with the water level lambda that raises `amount`, and what cannot be raised."""
    paid = np.zeros_like(base)
    free = (base > 0) & (cap > 0)
    while amount > 0 and free.any():
        level = amount / base[free].sum()
        full = free & (level * base >= cap)
        if not full.any():
            paid[free] = level * base[free]
            return paid, 0.0
        paid[full] = cap[full]
        amount = max(0.0, amount - float(cap[full].sum()))
        free &= ~full
    return paid, amount


def finish(market: Market, books: Books, out: Outcome, losses: Floats) -> None:
    """Split each account's loss: direct, impact, penalty, socialised, less the shortfall that it leaves to others."""
    quantity = books.sell + books.keep
    value_left = (1 - out.closed) * (books.sell @ out.price_after) + books.keep @ out.price_after
    equity, _ = look(books, out)
    out.equity_before = books.cash + losses + quantity @ market.price
    out.equity_after = np.where(out.closed == 1, np.maximum(0, equity), equity)
    out.direct = quantity @ (market.price - out.price_shocked) + losses
    out.impact = quantity @ out.price_shocked - (value_left + out.proceeds)
    out.loss = out.equity_before - out.equity_after
    out.standalone = np.minimum(out.direct, np.maximum(0, out.equity_before))
    out.indirect = out.loss - out.standalone
