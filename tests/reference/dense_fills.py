"""Take-over (step 2b) and auto-deleveraging (step 3b) straight from their definitions: leg by leg, fill by fill."""

from itertools import pairwise

import numpy as np

from .dense_cascade import closed_whole, debt_of, share_left, share_out
from .dense_state import NOTHING, Flags, Floats, Layer, Rank, Waterfall


def held(state: Waterfall) -> Floats:
    """Return what accounts hold now (n, m)."""
    return state.books.sell * share_left(state.books, state.out) + state.books.keep


def gap(one: float, other: float) -> float:
    """Return how far two numbers are apart, as a share of 1 + their sizes."""
    return abs(one - other) / (1 + abs(one) + abs(other))


def without_equity(state: Waterfall, equity: Floats) -> Flags:
    """Say who has no equity in the sense of step 3: E <= 1e-12 D."""
    return np.array([e <= NOTHING * debt_of(state.books, state.out, i) for i, e in enumerate(equity)])


def take_over(state: Waterfall, equity: Floats, maintenance: Floats, breached: Flags) -> Flags:
    """2b. Pass accounts with 0 < E < f M whole to the vault of their pool; say which; `equity` is brought up to date.

    Each leg passes at p - E w / q. The equities are those of the beginning of the round.
    """
    venue, out = state.venue, state.out
    before, empty, taken = equity.copy(), without_equity(state, equity), np.zeros_like(breached)
    for i in np.flatnonzero(breached):
        pool = venue.market.pool[i]
        vaults = np.flatnonzero(venue.vault & (venue.market.pool == pool))
        limit = venue.takeover_below[pool] * maintenance[i]
        if np.isnan(limit) or not len(vaults):
            continue
        vault = int(vaults[0])
        state.closest_zero = min(state.closest_zero, gap(before[i], 0))
        out.closest_jump = min(out.closest_jump, gap(before[i], limit), gap(before[vault], 0))
        value = np.abs(held(state)[i]) * out.price_after
        if not empty[i] and before[i] < limit and before[vault] > 0 and value.sum() > 0:
            pass_whole(state, int(i), vault, before[i] * value / value.sum())
            equity[vault] += before[i]
            equity[i], taken[i] = 0.0, True
    return taken


def pass_whole(state: Waterfall, i: int, vault: int, given: Floats) -> None:
    """Pass all legs of account i to the vault, each at the mark less what of the equity is `given` with it (m,)."""
    books, out, units = state.books, state.out, held(state)[i]
    for j in np.flatnonzero(units):
        price = out.price_after[j] - given[j] / units[j]
        paid = units[j] * price
        out.proceeds[[i, vault]] += paid, -paid
        state.transfer[[i, vault]] += given[j], -given[j]
        state.cost[vault, j] += paid
        book = books.sell if state.venue.market.sellable[j] else books.keep
        book[vault, j] += units[j]
        state.passed.append((i, vault, int(j), abs(units[j]), price, -given[j]))
    for cells in (books.sell, books.keep, books.margin_sell, books.margin_keep, state.cost):
        cells[i] = 0.0


def deleverage(state: Waterfall, equity: Floats, breached: Flags, bankrupt: Flags) -> None:
    """3b. Close the legs of accounts against those who hold the other side, at their bankruptcy prices.

    `equity` is brought up to date, fill by fill; no one in breach is a counterparty.
    """
    at = [number for number, layer in enumerate(state.layers) if layer[0] == "deleverage"]
    if not at:
        return
    layer = state.layers[at[0]]
    assert layer[0] == "deleverage"
    _, rank, trigger, share, seed = layer
    pools = triggered(state, equity, bankrupt, at[0]) if trigger == "fund" else np.unique(state.venue.market.pool)
    rows = [int(i) for i in np.flatnonzero(bankrupt & np.isin(state.venue.market.pool, pools))]
    rows.sort(key=lambda i: (equity[i], i))  # the worst first
    for one, next_ in pairwise(rows):
        state.closest_rank = min(state.closest_rank, gap(equity[one], equity[next_]))
    if not rows:
        return
    score, prices = scores(state, equity, rank, seed), {i: bankruptcy_prices(state, i, equity[i], share) for i in rows}
    for i in rows:
        for j in np.flatnonzero(np.isfinite(prices[i])):
            fill_leg(state, equity, i, int(j), prices[i][j], score[:, j], breached, by_level=rank == "pro_rata")
        left = held(state)[i] * state.venue.market.sellable
        state.filled_whole[i] = np.isfinite(prices[i]).any() and not left.any()


def triggered(state: Waterfall, equity: Floats, bankrupt: Flags, at: int) -> Floats:
    """Return the pools whose deficits exceed what is left in the purses that stand before layer `at`."""
    before: tuple[Layer, ...] = state.layers[:at]
    own = state.own_left if ("own",) in before else np.zeros_like(equity)
    deficit = np.where(bankrupt, np.maximum(0, -equity - own), 0.0)
    found = []
    for pool, fund in enumerate(state.out.fund_after):
        purses = sum(fund if kind == "fund" else state.purse_left[k, pool] for k, (kind, *_) in enumerate(before))
        lacking = float(deficit[state.venue.market.pool == pool].sum())
        if lacking > 0:
            state.out.closest_jump = min(state.out.closest_jump, gap(lacking, purses))
        if lacking > purses:
            found.append(pool)
    return np.array(found)


def bankruptcy_prices(state: Waterfall, i: int, equity: float, share: str) -> Floats:
    """Return p - E w / q of the legs of account i that can be sold (m,), nan for the other columns, and if all w are 0.

    The shares w are those of the value of the legs, or of their margins.
    """
    left, p = (state.books.sell * share_left(state.books, state.out))[i], state.out.price_after
    weight = state.books.margin_sell[i] * p * (left != 0)
    if share == "value" or not weight.sum() > 0:
        weight = np.abs(left) * p
    prices = np.full(len(p), np.nan)
    if weight.sum() > 0:
        legs = left != 0
        prices[legs] = p[legs] - equity * weight[legs] / weight.sum() / left[legs]
    return prices


def scores(state: Waterfall, equity: Floats, rank: Rank, seed: int) -> Floats:
    """Return a score for each account and leg (n, m): the highest is taken from first, nan never."""
    q, p = held(state), state.out.price_after
    n = len(q)
    if not isinstance(rank, str):
        return np.broadcast_to(-np.array(rank, dtype=np.float64)[:, None], q.shape)
    if rank == "random":
        return np.broadcast_to(-np.random.default_rng(seed).permutation(n)[:, None].astype(float), q.shape)
    score = np.zeros_like(q)
    if rank == "pro_rata":
        return score
    cost = state.cost * share_left(state.books, state.out)
    for i in np.flatnonzero(equity > 0):
        for j in np.flatnonzero(q[i]):
            leverage = abs(q[i, j]) * p[j] / equity[i]
            if rank == "profit":
                profit = ratio(q[i, j] * p[j] - cost[i, j], abs(cost[i, j]))
                score[i, j] = profit * leverage if profit > 0 else ratio(profit, leverage)
            elif q[i, j] > 0:
                score[i, j] = ratio(p[j], cost[i, j] / q[i, j]) * leverage
            else:  # (e / p) |q| p / E
                score[i, j] = cost[i, j] / q[i, j] * abs(q[i, j]) / equity[i]
    return score


def ratio(above: float, below: float) -> float:
    """Return the quotient; 0 where both are 0, infinite where only `below` is."""
    if below == 0:
        return 0.0 if above == 0 else float(np.copysign(np.inf, above))
    return above / below


def fill_leg(
    state: Waterfall, equity: Floats, i: int, j: int, price: float, score: Floats, breached: Flags, *, by_level: bool
) -> None:
    """Close leg j of account i at a price against those who hold the other side, in the order of their scores."""
    units = held(state)[:, j]
    rest, side = abs(units[i]), np.sign(units[i])
    loses = side * (price - state.out.price_after[j])  # a counterparty, for each unit
    same_pool = state.venue.market.pool == state.venue.market.pool[i]
    able = same_pool & (units * side < 0) & (equity > 0) & ~breached & ~closed_whole(state.out) & ~np.isnan(score)
    most = np.where(able, np.abs(units), 0.0)
    if loses > 0:
        most = np.minimum(most, np.maximum(0, equity) / loses)
    order = sorted(np.flatnonzero(able).tolist(), key=lambda c: (-score[c], c))
    if by_level:
        filled, rest = share_out(rest, np.where(able, np.abs(units), 0.0), most)
    else:
        if state.out.price_after[j] > 0:
            note_ties(state, score[order])
        filled, rest = one_by_one(rest, most, order)
    for c in order:
        if filled[c] == 0:
            continue
        amount = filled[c] * loses
        exhausted = loses > 0 and filled[c] >= equity[c] / loses
        equity[c] = 0.0 if exhausted else equity[c] - amount
        equity[i] += amount
        shrink(state, c, j, (abs(units[c]) - filled[c]) / abs(units[c]))
        state.out.proceeds[[i, c]] += side * filled[c] * price, -side * filled[c] * price
        state.transfer[[i, c]] += -amount, amount
        state.fills.append((i, c, j, float(filled[c]), price, amount))
    shrink(state, i, j, rest / abs(units[i]))


def one_by_one(rest: float, most: Floats, order: list[int]) -> tuple[Floats, float]:
    """Take from each in the order what it can bear, until nothing is left; return that and the rest."""
    filled = np.zeros_like(most)
    for c in order:
        filled[c] = min(rest, most[c])
        rest -= filled[c]
    return filled, rest


def shrink(state: Waterfall, i: int, j: int, share: float) -> None:
    """Keep a share of cell (i, j): units, margin units and cost; what closing has sold of it is the same share."""
    for cells in (state.books.sell, state.books.margin_sell, state.cost):
        cells[i, j] *= share


def note_ties(state: Waterfall, ranked: Floats) -> None:
    """Note how near to each other scores came that are next to each other."""
    for one, other in pairwise(ranked):
        size = abs(one) + abs(other)
        apart = abs(one - other) / size if 0 < size < np.inf else 0.0 if one == other else 1.0
        state.closest_rank = min(state.closest_rank, float(apart))
