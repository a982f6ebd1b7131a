"""The margin cascade with a waterfall, take-overs and auto-deleveraging, straight from the definition.

Steps 1 to 9 are those of dense_cascade; 2b and 3b are in dense_fills; step 8 asks layer by layer. Decided here:

* "Without equity" is one thing in steps 2b, 3 and 3b: E <= 1e-12 D. A counterparty that lost all stands at 0 but for
  rounding, which must not decide whether it is taken over or deleveraged next. Elsewhere E > 0 is literal.
* Ranks are of positions, costs and equities after the take-overs of the round, before its first fill: legs that the
  vault has just taken need a rank. What a vault pays for a leg is what the leg costs it.
* A vault can be a counterparty, is a member of its pool, and has no margin; it is no given default.
* Where c = 0, PnL% is infinite with the sign of the gain, and 0 without a gain; likewise PnL% / L where L = 0. Under
  "hyperliquid" a short's score is e |q| / E: p cancels, and may be 0.
* Legs that have no value in all (p = 0) have no bankruptcy price, and are not filled; an account without gross value is
  not taken over.
* Fills pay no penalty, as take-overs do not. Both count as closing: a round in which they happen is carried out.
* An account all of whose legs were filled leaves no shortfall at all, not one of the size of rounding.
* The level of a layer with a cap rises to the cap when the layer cannot raise what is due, even if nobody could pay.
  The level of a layer without a cap rises then by the least number that takes all there is.
* Where layers stand before own contributions, they have paid the same share of each shortfall of the pool: an account
  pays min(r, s due / sum of s).
* What members bear is taken from equity; their own segregated contribution stays, and weighs and covers as before.
* The deficit in a bankruptcy price is the whole -E, also where an own contribution could pay a part of it.
* `closed_value` of a round counts what step 3 closes, filled or sold, and not what is taken over.
"""

from dataclasses import replace

import numpy as np

from .dense_cascade import (
    close_sides,
    closed_whole,
    distance,
    finish,
    largest_move,
    look,
    make_books,
    share_out,
    start,
    trade,
    units_closed,
    worth,
)
from .dense_fills import deleverage, gap, held, take_over, without_equity
from .dense_state import Flags, Floats, Follow, Layer, Outcome, Rules, VenueMarket, Waterfall

DEFAULT: tuple[Layer, ...] = (("fund",), ("pro_rata", "equity"))


def dense_waterfall(
    venue: VenueMarket, rules: Rules, layers: tuple[Layer, ...], shock: Floats, losses: Floats, defaults: Flags,
    instruments: Follow | None = None,
) -> Waterfall:  # fmt: skip
    """Run the cascade after relative price changes `shock` (m,), `losses` (n,) of cash and given `defaults` (n,).

    `rules.liquidation` is "full", "target" or "close_factor"; `rules.sharing` is not read: the layers share.
    """
    market = venue.market
    p_bar = market.price * (1 + shock)
    if instruments is not None:
        p_bar = instruments.prices(p_bar)
    check(venue, rules, layers, defaults)
    state = begin(venue, rules, layers, p_bar, losses)
    state.books = replace(state.books, instruments=instruments)
    books, out = state.books, state.out
    gross = float((np.abs(books.sell + books.keep) @ market.price).sum())
    for number in range(1, rules.max_rounds + 1):
        # 1. equity and maintenance
        equity, maintenance = look(books, out)
        still_open = ~closed_whole(out)
        out.closest = min(out.closest, distance(equity, maintenance, still_open & ~venue.vault))
        out.emptied |= still_open & (equity == 0) & (maintenance == 0) & (out.socialised > 0)
        # 2. the accounts in breach: never a vault
        given = defaults & (number == 1)
        breached = still_open & (equity < maintenance) & ~venue.vault | given
        # 2b. those that a vault takes over, which close nothing else
        opening = market_value(state, out)
        taken = take_over(state, equity, maintenance, breached & ~given)
        # 3. theta of the others, and the end of the run
        theta = np.zeros((2, len(given)))
        for i in np.flatnonzero(breached & ~taken):
            theta[:, i] = close_sides(rules, books, out, int(i), equity[i], maintenance[i])[:2]
        theta[:, given | taken] = 1
        closed_value = float((np.abs(units_closed(books, out, theta)) @ out.price_after).sum())
        whole = (theta == 1).all(axis=0)
        if not whole.any() and closed_value <= rules.tol * gross:
            out.converged = True
            break
        out.breach_round[breached & (out.breach_round == 0)] = number
        # 3b. those that close whole without equity, against counterparties
        bankrupt = whole & ~taken & without_equity(state, equity)
        note_deficits(state, equity, whole & ~taken)
        before_fills, price_before = len(state.fills), out.price_after
        deleverage(state, equity, breached, bankrupt)
        filled = sum(fill[3] * price_before[fill[2]] for fill in state.fills[before_fills:])
        # 4. - 6. what is left is sold
        trade(market, rules, books, out, theta, np.zeros(len(given)))
        row = {"breached": int(breached.sum()), "closed_value": closed_value}
        row |= {"taken_over": float(opening[taken].sum()), "deleveraged": float(filled)}
        row["largest_move"] = largest_move(price_before, out.price_after)
        # 7. - 8.
        out.rounds.append(row | settle(state, breached & ~taken & closed_whole(out)))
        # 9. next round
    finish(market, books, out, losses, state.first)
    out.impact = out.impact - state.transfer  # `proceeds` are at the prices of fills, the impact is at marks
    state.quantity = held(state)
    return state


def check(venue: VenueMarket, rules: Rules, layers: tuple[Layer, ...], defaults: Flags) -> None:
    """Refuse what is not defined."""
    kinds = [layer[0] for layer in layers]
    assert rules.liquidation[0] in ("full", "target", "close_factor"), rules.liquidation
    assert all(kinds.count(kind) <= 1 for kind in ("own", "fund", "deleverage")), kinds
    assert not (venue.vault & defaults).any(), "a vault is no given default"
    assert all((venue.vault & (venue.market.pool == pool)).sum() <= 1 for pool in set(venue.market.pool.tolist()))


def begin(venue: VenueMarket, rules: Rules, layers: tuple[Layer, ...], p_bar: Floats, losses: Floats) -> Waterfall:
    """Begin with nothing closed, nothing passed, all purses and segregated resources as given."""
    market, n, size = venue.market, len(venue.vault), (len(layers), len(venue.takeover_below))
    first = make_books(market, replace(rules, sharing=None), p_bar, losses)
    books = replace(
        first,
        sell=first.sell.copy(),
        keep=first.keep.copy(),
        margin_sell=np.where(venue.vault[:, None], 0.0, first.margin_sell),
        margin_keep=np.where(venue.vault[:, None], 0.0, first.margin_keep),
    )
    cost, purses = np.zeros_like(first.sell), np.zeros(size)
    base, cap = np.zeros((len(layers), n)), np.zeros(len(layers))
    for account, asset, units, entry_price, _ in market.positions:
        cost[account, asset] += units * (market.price[asset] if entry_price is None else entry_price)
    for k, layer in enumerate(layers):
        match layer:
            case ("purse", amounts):
                purses[k] = amounts
            case ("gains",):
                base[k] = np.maximum(0, (first.sell + first.keep) @ (p_bar - market.price))
                cap[k] = 1.0
            case ("members", "fund_contribution", limit):
                base[k], cap[k] = venue.fund_contribution, limit
            case ("members", sharing, limit):
                base[k], cap[k] = make_books(market, replace(rules, sharing=sharing), p_bar, losses).base, limit
            case ("pro_rata", sharing):
                base[k], cap[k] = make_books(market, replace(rules, sharing=sharing), p_bar, losses).base, np.inf
    return Waterfall(
        venue=venue,
        rules=rules,
        layers=layers,
        out=start(market, p_bar),
        first=first,
        books=books,
        cost=cost,
        base=base,
        cap=cap,
        purse_left=purses,
        own_left=venue.initial_margin + venue.fund_contribution,
        own_used=np.zeros(n),
        used=np.zeros(size),
        level=np.zeros(size),
        borne=np.zeros((len(layers), n)),
        transfer=np.zeros(n),
        filled_whole=np.zeros(n, dtype=bool),
    )


def market_value(state: Waterfall, out: Outcome) -> Floats:
    """Return the gross value of what accounts hold now (n,)."""
    return np.abs(held(state)) @ out.price_after


def note_deficits(state: Waterfall, equity: Floats, whole: Flags) -> None:
    """Note how near to 0 the equity of an account was that closes whole, where that decides whether it is filled."""
    if any(layer[0] == "deleverage" for layer in state.layers):
        for e in equity[whole]:
            state.closest_zero = min(state.closest_zero, gap(float(e), 0.0))


def settle(state: Waterfall, just_closed: Flags) -> dict[str, float]:
    """Find the shortfalls of the accounts that the round closed wholly, and who pays; return the totals."""
    out, pool = state.out, state.venue.market.pool
    # 7. a wholly closed account with V < 0 leaves -V (for it E = V)
    shortfall = np.where(just_closed, np.maximum(0, out.socialised - worth(state.books, out)), 0.0)
    moved = (state.books.keep != 0).any(axis=1) & (state.books.instruments is not None)  # what it keeps, since the fill
    shortfall[state.filled_whole & ~moved] = 0.0
    out.shortfall += shortfall
    # 8. per pool, layer by layer
    totals = dict.fromkeys(("shortfall", "fund_used", "socialised", "uncovered"), 0.0)
    for v in range(len(out.fund_after)):
        lost = due = float(shortfall[pool == v].sum())
        by_fund = by_members = 0.0
        for k, layer in enumerate(state.layers):
            used = 0.0
            match layer[0]:
                case "own":
                    used = own_contributions(state, shortfall * (due / lost if lost > 0 else 0.0), v)
                    due = max(0.0, due - used)
                case "fund":
                    used = by_fund = min(float(out.fund_after[v]), due)
                    out.fund_after[v] -= used
                    due -= used
                case "purse":
                    used = min(float(state.purse_left[k, v]), due)
                    state.purse_left[k, v] -= used
                    due -= used
                case "members" | "gains" | "pro_rata":
                    used, due = members(state, k, v, due)
                    by_members += used
            state.used[k, v] += used
        out.pool_shortfall[v] += lost
        out.fund_used[v] += by_fund
        out.pool_socialised[v] += by_members
        out.uncovered[v] += due
        for name, amount in zip(totals, (lost, by_fund, by_members, due), strict=True):
            totals[name] += amount
    return totals


def own_contributions(state: Waterfall, shortfall: Floats, v: int) -> float:
    """Let each account pay its own shortfall of the round, or what is left of it, from what it has segregated."""
    paid = np.where(state.venue.market.pool == v, np.minimum(state.own_left, shortfall), 0.0)
    state.own_left -= paid
    state.own_used += paid
    return float(paid.sum())


def members(state: Waterfall, k: int, v: int, due: float) -> tuple[float, float]:
    """Let open accounts bear min(lambda b, E), lambda at most what is left to the cap; return the sum, and the rest."""
    out, base, room = state.out, state.base[k], state.cap[k] - state.level[k, v]
    value = worth(state.books, out)
    able = np.where((state.venue.market.pool == v) & ~closed_whole(out), np.maximum(0, value - out.socialised), 0.0)
    most = able if np.isinf(room) else np.minimum(room * base, able)
    paid, missing = share_out(due, base, most)
    bound = (paid == able) & (able > 0)
    out.socialised = np.where(bound, value, out.socialised + paid)  # E is 0 exactly, not nearly
    out.cap_binds |= bool(bound.any())
    state.borne[k] += paid
    paying = paid > 0
    if missing > 0 and np.isfinite(room):
        state.level[k, v] = state.cap[k]
    elif paying.any():
        state.level[k, v] += (paid[paying] / base[paying]).max()
    return float(paid.sum()), missing
