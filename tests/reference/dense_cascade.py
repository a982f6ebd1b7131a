"""The margin cascade straight from its definition (docs/cascade.md): dense arrays, no short cuts, numbered steps."""

from dataclasses import replace

import numpy as np

from .dense_state import NOTHING, TIE, Books, Flags, Floats, Follow, Impact, Margin, Market, Outcome, Rules, Sharing


def dense_cascade(
    market: Market, rules: Rules, shock: Floats, losses: Floats, defaults: Flags, margin: Margin | None = None,
    instruments: Follow | None = None,
) -> Outcome:  # fmt: skip
    """Run the cascade after relative price changes `shock` (m,), `losses` (n,) of cash and given `defaults` (n,).

    `margin` takes what accounts hold (k, m), prices and which accounts they are, returns M (k,); None: flat rates.
    `instruments` are those after the shock; None: no column is priced from another.
    """
    p_bar = market.price * (1 + shock)
    if instruments is not None:
        p_bar = instruments.prices(p_bar)
    books = replace(make_books(market, rules, p_bar, losses), margin=margin, instruments=instruments)
    out = start(market, p_bar)
    gross = float((np.abs(books.sell + books.keep) @ market.price).sum())
    for number in range(1, rules.max_rounds + 1):
        # 1. equity and maintenance
        equity, maintenance = look(books, out)
        still_open = ~closed_whole(out)
        out.closest = min(out.closest, distance(equity, maintenance, still_open))
        out.emptied |= still_open & (equity == 0) & (maintenance == 0) & (out.socialised > 0)
        # 2. the accounts that close something
        given = defaults & (number == 1)
        breached = still_open & (equity < maintenance) | given
        # 3. theta of both sides, and the end of the run, which is also reached when nobody is in breach
        theta, repaid = np.zeros((2, len(given))), np.zeros(len(given))
        for i in np.flatnonzero(breached):
            theta[0, i], theta[1, i], repaid[i] = close_sides(rules, books, out, int(i), equity[i], maintenance[i])
        theta[:, given] = 1
        for i in np.flatnonzero(given):
            repaid[i] = repaid_whole(rules, books, out, int(i))
        closed_value = float((np.abs(units_closed(books, out, theta)) @ out.price_after).sum())
        if not (theta == 1).all(axis=0).any() and closed_value <= rules.tol * gross:
            out.converged = True
            break
        out.breach_round[breached & (out.breach_round == 0)] = number
        # 4. - 6.
        price_before = out.price_after
        trade(market, rules, books, out, theta, repaid)
        row = {"breached": int(breached.sum()), "closed_value": closed_value}
        row["largest_move"] = largest_move(price_before, out.price_after)
        # 7. - 8.
        out.rounds.append(row | settle(market, books, out, breached & closed_whole(out)))
        # 9. next round
    finish(market, books, out, losses)
    return out


def make_books(market: Market, rules: Rules, p_bar: Floats, losses: Floats) -> Books:
    """Add up the positions: Q, margin_units = sum |quantity|*margin_rate, cash = own - sum quantity*entry - losses.

    Under a leverage target the margin is instead the long units over the cap.
    """
    quantity = np.zeros((len(market.cash), len(market.price)))
    margin_units = np.zeros_like(quantity)
    cash = market.cash.copy()
    for account, asset, units, entry_price, margin_rate in market.positions:
        quantity[account, asset] += units
        margin_units[account, asset] += abs(units) * margin_rate
        cash[account] -= units * (entry_price or 0.0)
    if rules.liquidation[0] == "leverage":
        margin_units = np.maximum(0, quantity) / rules.liquidation[1]
    base = base_weights(market, rules.sharing, quantity, cash, p_bar)
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
        units_reached=np.zeros(m),
        value_sold=np.zeros(m),
        size=np.zeros(m),
        closed_long=np.zeros(n),
        closed_short=np.zeros(n),
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
    if books.margin is not None:
        left = books.sell * share_left(books, out) + books.keep
        return worth(books, out) - out.socialised, books.margin(left, out.price_after, np.arange(len(left)))
    margin_left = books.margin_sell * share_left(books, out) + books.margin_keep
    return worth(books, out) - out.socialised, margin_left @ out.price_after


def closed_whole(out: Outcome) -> Flags:
    """Say which accounts have closed both sides."""
    return (out.closed_long == 1) & (out.closed_short == 1)


def share_left(books: Books, out: Outcome) -> Floats:
    """Return 1 - gamma for each cell (n, m): gamma of the shorts where less than 0 is held, else of the longs."""
    return np.where(books.sell < 0, 1 - out.closed_short[:, None], 1 - out.closed_long[:, None])


def units_closed(books: Books, out: Outcome, theta: Floats) -> Floats:
    """Return the units that theta (2, n), of longs and of shorts, closes of what is left of each cell (n, m)."""
    longs, shorts = theta[0] * (1 - out.closed_long), theta[1] * (1 - out.closed_short)
    return books.sell * np.where(books.sell > 0, longs[:, None], shorts[:, None])


def worth(books: Books, out: Outcome) -> Floats:
    """Return E + L = cash + R + (1-gamma) Q~.p + (Q-Q~).p of every account: what it could pay in all."""
    return books.cash + out.proceeds - out.penalty + value_left(books, out)


def value_left(books: Books, out: Outcome) -> Floats:
    """Return (1-gamma) Q~.p + (Q-Q~).p of every account."""
    return (books.sell * share_left(books, out) + books.keep) @ out.price_after


def distance(equity: Floats, maintenance: Floats, open_: Flags) -> float:
    """Return the smallest |E - M| / (1 + |E| + |M|) over the open accounts that have anything, inf if there is none."""
    judged = open_ & ((equity != 0) | (maintenance != 0))
    gap = np.abs(equity - maintenance) / (1 + np.abs(equity) + np.abs(maintenance))
    return float(gap[judged].min(initial=np.inf))


def close_sides(
    rules: Rules, books: Books, out: Outcome, i: int, equity: float, maintenance: float
) -> tuple[float, float, float]:
    """Apply the liquidation rule: the shares of its longs and shorts that account i closes, and the debt repaid."""
    if rules.liquidation[0] == "repay":
        return repay(rules, books, out, i, equity, maintenance)
    share = close_share(rules, books, out, i, equity, maintenance)
    return share, share, 0.0


def repay(
    rules: Rules, books: Books, out: Outcome, i: int, equity: float, maintenance: float
) -> tuple[float, float, float]:
    """Repay a share of the debt with collateral worth 1 + bonus times it; all there is where that is not enough."""
    _, factor, bonus, full_below = rules.liquidation
    debt = debt_of(books, out, i)
    health = health_of(books, out, i, equity, maintenance)
    collateral = (1 - out.closed_long[i]) * float(np.maximum(0, books.sell[i]) @ out.price_after)
    share = factor if health >= full_below - TIE else 1.0
    wanted = share * debt
    jumps = abs(health - full_below + TIE), abs(equity) / (1 + abs(equity) + maintenance)
    out.closest_jump = min(out.closest_jump, *jumps, abs((1 + bonus) * wanted - collateral) / (1 + collateral))
    if equity > NOTHING * debt and np.isfinite(health) and (1 + bonus) * wanted < collateral:
        return (1 + bonus) * wanted / collateral, share, wanted
    return 1.0, 1.0, repaid_whole(rules, books, out, i)


def repaid_whole(rules: Rules, books: Books, out: Outcome, i: int) -> float:
    """Return the debt that is repaid where account i closes whole: until the debt or the collateral is gone."""
    if rules.liquidation[0] != "repay":
        return 0.0
    collateral = (1 - out.closed_long[i]) * float(np.maximum(0, books.sell[i]) @ out.price_after)
    return min(debt_of(books, out, i), collateral / (1 + rules.liquidation[2]))


def close_share(rules: Rules, books: Books, out: Outcome, i: int, equity: float, maintenance: float) -> float:
    """Apply a rule that closes longs and shorts alike: the share theta of what account i, in breach, has left."""
    left, p = 1 - out.closed_long[i], out.price_after
    if equity <= NOTHING * debt_of(books, out, i):
        return 1.0
    match rules.liquidation:
        case ("target", buffer) if books.margin is not None:
            return least_share(rules, books, out, i, equity, buffer)
        case ("target", buffer):
            margin_left, gross_left = left * (books.margin_sell[i] @ p), left * (np.abs(books.sell[i]) @ p)
            freed = (1 + buffer) * margin_left - rules.penalty * gross_left
            return float(np.clip(((1 + buffer) * maintenance - equity) / freed, 0, 1)) if freed > 0 else 1.0
        case ("close_factor", factor, full_below):
            health = health_of(books, out, i, equity, maintenance)
            out.closest_jump = min(out.closest_jump, abs(health - full_below + TIE))
            if health >= full_below - TIE:
                out.closest_jump = min(out.closest_jump, abs(equity) / (1 + abs(equity) + maintenance))
            return factor if health >= full_below - TIE else 1.0
        case ("leverage", _, target):
            assets_left = left * (np.maximum(0, books.sell[i]) @ p)
            assets = assets_left + np.maximum(0, books.keep[i]) @ p
            return float(min(1.0, (assets - target * equity) / assets_left)) if assets_left > 0 else 1.0
    return 1.0


def least_share(rules: Rules, books: Books, out: Outcome, i: int, equity: float, buffer: float) -> float:
    """Return the least theta with (1 + b) M(theta) <= E - penalty theta G_c, by halving; 1 where there is none.

    The difference of both sides is convex in theta: where it is least is found first.
    """
    assert books.margin is not None
    sell, p = (books.sell * share_left(books, out))[i], out.price_after
    margin, gross = books.margin, float(np.abs(sell) @ p)

    def gap(theta: float) -> float:
        left = sell * (1 - theta) + books.keep[i]
        return float((1 + buffer) * margin(left[None, :], p, np.array([i]))[0] - equity + rules.penalty * theta * gross)

    low, high = 0.0, 1.0
    for _ in range(200):  # thirds: the gap is convex
        before, one, other = (low, high), low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, other) if gap(one) <= gap(other) else (one, high)
        if (low, high) == before:
            break  # no number lies between
    if gap(high) > 0:
        return 1.0
    low = 0.0
    for _ in range(200):
        before, middle = (low, high), (low + high) / 2
        low, high = (middle, high) if gap(middle) > 0 else (low, middle)
        if (low, high) == before:
            break
    return high


def health_of(books: Books, out: Outcome, i: int, equity: float, maintenance: float) -> float:
    """Return h = 1 + (E - M) / D; -inf where D is no more than rounding of what the account amounts to."""
    debt, left = debt_of(books, out, i), np.where(books.sell[i] > 0, 1 - out.closed_long[i], 1 - out.closed_short[i])
    size = abs(equity) + maintenance + (left * np.abs(books.sell[i])) @ out.price_after
    return 1 + (equity - maintenance) / debt if debt > TIE * size else -np.inf


def debt_of(books: Books, out: Outcome, i: int) -> float:
    """Return D, the value of the shorts that account i has left + max(0, -(cash + R - L))."""
    shorts = (1 - out.closed_short[i]) * np.maximum(0, -books.sell[i]) + np.maximum(0, -books.keep[i])
    cash = books.cash[i] + out.proceeds[i] - out.penalty[i] - out.socialised[i]
    return float(shorts @ out.price_after + max(0, -cash))


def trade(market: Market, rules: Rules, books: Books, out: Outcome, theta: Floats, repaid: Floats) -> None:
    """Close the shares theta (2, n) of what is left of the longs and shorts that can be sold."""
    # 4. S' = S + units, x' from the units at p0 or at p, p' = p_bar f(x')
    units = units_closed(books, out, theta)
    sold, x, p = units.sum(axis=0), out.size, out.price_after
    out.units_sold = out.units_sold + sold
    reached = sold if books.instruments is None else books.instruments.reached(sold, p) * market.sellable
    out.units_reached = out.units_reached + reached
    if rules.volume == "initial":
        out.size = out.units_reached * market.price / market.depth
    else:
        out.size = x + reached * p / market.depth
    out.price_after = prices_at(books, out, price_factor(rules.impact, out.size))
    out.net_buying |= bool((out.units_sold < 0).any())
    # 5. w = p_bar mean(f over [x, x']), or p + alpha (p' - p)
    w = prices_at(books, out, mean_price_factor(rules.impact, x, out.size))
    if rules.alpha is not None:
        w = (1 - rules.alpha) * p + rules.alpha * out.price_after
        if books.instruments is not None:
            own = (1 - rules.alpha) * price_factor(rules.impact, x) + rules.alpha * price_factor(rules.impact, out.size)
            w = books.instruments.prices(w, own)
    out.value_sold += sold * w
    # 6. proceeds less bonus, which goes to the liquidators, and gamma
    out.proceeds += units @ w
    out.penalty += (rules.liquidation[2] if rules.liquidation[0] == "repay" else 0.0) * repaid
    out.closed_long = np.where(theta[0] == 1, 1.0, out.closed_long + theta[0] * (1 - out.closed_long))
    out.closed_short = np.where(theta[1] == 1, 1.0, out.closed_short + theta[1] * (1 - out.closed_short))
    # ... less the penalty, at most the equity that is left at p'; the fund's share of it
    penalty = rules.penalty * (np.abs(units) @ w)
    if rules.penalty_cap == "equity":
        penalty = np.minimum(penalty, np.maximum(0, worth(books, out) - out.socialised))
    out.penalty += penalty
    received = rules.penalty_to_fund * np.bincount(market.pool, penalty, len(market.insurance_fund))
    out.fund_received += received
    out.fund_after += received


def prices_at(books: Books, out: Outcome, factor: Floats) -> Floats:
    """Return p_bar times a factor; instruments follow the price of their underlying, times the factor of their own."""
    price = out.price_shocked * factor
    return price if books.instruments is None else books.instruments.prices(price, factor)


def largest_move(before: Floats, after: Floats) -> float:
    """Return max_j |p'_j / p_j - 1|, 0 where p_j = 0."""
    moving = before > 0
    return float(np.abs(after[moving] / before[moving] - 1).max(initial=0.0))


def price_factor(impact: Impact, x: Floats) -> Floats:
    """Return f(x): e^-x, or 1 - x floored at 0, or that of a curve."""
    if not isinstance(impact, str):
        return impact.price_factor(x)
    return np.exp(-x) if impact == "exponential" else np.maximum(0, 1 - x)


def mean_price_factor(impact: Impact, x: Floats, x_new: Floats) -> Floats:
    """Return the mean of f over [x, x_new] in closed form, f(x) where the two are equal."""
    if not isinstance(impact, str):
        return impact.average_factor(x, x_new)
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
        cap = np.where((market.pool == k) & ~closed_whole(out), np.maximum(0, equity), 0.0)
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


def finish(market: Market, books: Books, out: Outcome, losses: Floats, first: Books | None = None) -> None:
    """Split each account's loss: direct, impact, penalty, socialised, less the shortfall that it leaves to others.

    `first` are the books of the start, where positions have passed between accounts since then.
    """
    first = books if first is None else first
    quantity = first.sell + first.keep
    long, short = np.maximum(0, first.sell) @ market.price, np.maximum(0, -first.sell) @ market.price
    part = long * out.closed_long + short * out.closed_short
    gross = long + short
    out.closed = np.where(gross > 0, part / np.where(gross > 0, gross, 1), (out.closed_long + out.closed_short) / 2)
    equity, _ = look(books, out)
    out.equity_before = first.cash + losses + quantity @ market.price
    out.equity_after = np.where(closed_whole(out), np.maximum(0, equity), equity)
    out.direct = quantity @ (market.price - out.price_shocked) + losses
    out.impact = quantity @ out.price_shocked - (value_left(books, out) + out.proceeds)
    out.loss = out.equity_before - out.equity_after
    out.standalone = np.minimum(out.direct, np.maximum(0, out.equity_before))
    out.indirect = out.loss - out.standalone
