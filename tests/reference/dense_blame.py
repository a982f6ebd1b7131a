"""Blame straight from its definition (docs/blame.md): in every round, a victims x sources matrix for each channel."""

from dataclasses import dataclass, field

import numpy as np

from . import dense_cascade as cascade
from .dense_state import Books, Flags, Floats, Market, Outcome, Rules
from .random_markets import Case


@dataclass
class Blame:
    """n accounts, m assets, T rounds; victims are rows, sources columns."""

    outcome: Outcome
    price: list[Floats] = field(default_factory=list)  # a round: (m, n, n), loss through the price of each asset
    shared: list[Floats] = field(default_factory=list)  # a round: (n, n), loss to the shortfalls of others
    penalty: list[Floats] = field(default_factory=list)  # a round: (n,)
    relief: list[Floats] = field(default_factory=list)  # from round 0: (n,)


def dense_blame(case: Case) -> Blame:
    """Run the rounds of the dense cascade, and split what each account loses in each of them."""
    market, rules = case.market, case.rules
    p_bar = market.price * (1 + case.shock)
    books = cascade.make_books(market, rules, p_bar, case.losses)
    out = cascade.start(market, p_bar)
    blame = Blame(out)
    gross = float((np.abs(books.sell + books.keep) @ market.price).sum())
    for number in range(1, rules.max_rounds + 1):
        equity, maintenance = cascade.look(books, out)
        given = case.defaults & (number == 1)
        breached = ~cascade.closed_whole(out) & (equity < maintenance) | given
        theta, repaid = np.zeros((2, len(given))), np.zeros(len(given))
        for i in np.flatnonzero(breached):
            theta[0, i], theta[1, i], repaid[i] = cascade.close_sides(
                rules, books, out, int(i), equity[i], maintenance[i]
            )
        theta[:, given] = 1
        for i in np.flatnonzero(given):
            repaid[i] = cascade.repaid_whole(rules, books, out, int(i))
        units = cascade.units_closed(books, out, theta)
        value = float((np.abs(units) @ out.price_after).sum())
        if not (theta == 1).all(axis=0).any() and value <= rules.tol * gross:
            break
        out.breach_round[breached & (out.breach_round == 0)] = number
        one_round(blame, market, rules, books, theta, repaid, breached)
    cascade.finish(market, books, out, case.losses)
    blame.relief.insert(0, out.direct - out.standalone)
    return blame


def one_round(
    blame: Blame, market: Market, rules: Rules, books: Books, theta: Floats, repaid: Floats, breached: Flags
) -> None:
    """Carry out a round, and add its matrices."""
    out, n = blame.outcome, len(market.cash)
    units, before, size = cascade.units_closed(books, out, theta), out.price_after, out.size
    penalty, levied, shortfall = out.penalty.copy(), out.socialised.copy(), out.shortfall.copy()
    cascade.trade(market, rules, books, out, theta, repaid)
    average = out.price_shocked * cascade.mean_price_factor(rules.impact, size, out.size)
    if rules.alpha is not None:
        average = before + rules.alpha * (out.price_after - before)
    left = books.sell * cascade.share_left(books, out)
    out.rounds.append(cascade.settle(market, books, out, breached & cascade.closed_whole(out)))
    lost = left * (before - out.price_after) + units * (before - average)
    blame.price.append(np.array([np.outer(lost[:, j], shares(units[:, j])) for j in range(len(before))]))
    new, paid = out.shortfall - shortfall, out.socialised - levied
    shared = np.zeros((n, n))
    for i in range(n):
        in_pool = np.where(market.pool == market.pool[i], new, 0.0)
        if in_pool.sum() > 0:
            shared[i] = paid[i] * in_pool / in_pool.sum()
    blame.shared.append(shared)
    blame.penalty.append(out.penalty - penalty)
    blame.relief.append(-new)


def shares(units: Floats) -> Floats:
    """Return who moved a price: shares of the net sale, or, where it is below a tenth of all trades, of its side."""
    net, gross = units.sum(), np.abs(units).sum()
    if gross == 0:
        return np.zeros_like(units)
    if abs(net) > 0.1 * gross:
        return units / net
    side = np.abs(units) if net == 0 else np.maximum(0, units * np.sign(net))
    return side / side.sum()


def all_rounds(blame: Blame) -> Floats:
    """Return the victims x sources matrix of all rounds and channels, the penalties on its diagonal."""
    n = len(blame.outcome.penalty)
    total = np.zeros((n, n))
    for price, shared, penalty in zip(blame.price, blame.shared, blame.penalty, strict=True):
        total += price.sum(axis=0) + shared + np.diag(penalty)
    return total


Chain = tuple[tuple[str, ...], float]


def dense_paths(case: Case, blame: Blame, victim: int, k: int) -> list[Chain]:
    """Return the k heaviest chains behind a victim's loss; account 3 is called t3, asset 2 a2, pool 1 p1."""
    behind: dict[int, list[Chain]] = {}
    for i in np.argsort(blame.outcome.breach_round, kind="stable"):
        first = int(blame.outcome.breach_round[i])
        if first:
            causes = causes_before(case, blame, int(i), first - 1)
            total = sum(amount for *_, amount in causes)
            chains = longer(causes, behind, k) if total > 0 else [((), 1.0)]
            behind[int(i)] = [(chain, weight / total if total > 0 else weight) for chain, weight in chains]
    if not blame.price:
        return []
    price, shared = sum(blame.price), sum(blame.shared)
    causes = [(f"asset:a{j}", s, price[j, victim, s]) for j in range(len(price)) for s in behind if s != victim]
    causes += [(f"pool:p{case.market.pool[victim]}", s, shared[victim, s]) for s in behind if s != victim]
    found = longer([cause for cause in causes if cause[2] > 0], behind, k)
    return [((*chain, f"trader:t{victim}"), weight) for chain, weight in found]


def causes_before(case: Case, blame: Blame, i: int, rounds: int) -> list[tuple[str, int, float]]:
    """Return (channel, source or -1, amount > 0) of what account i lost in the shock and in so many rounds."""
    market, pool = case.market, case.market.pool
    quantity = np.zeros(len(market.price))
    for account, asset, units, _, _ in market.positions:
        quantity[asset] += units * (account == i)
    direct = quantity * (market.price - blame.outcome.price_shocked)
    causes = [(f"asset:a{j}", -1, loss) for j, loss in enumerate(direct)] + [("", -1, case.losses[i])]
    if rounds:
        price, shared = sum(blame.price[:rounds]), sum(blame.shared[:rounds])
        causes += [(f"asset:a{j}", s, price[j, i, s]) for j in range(len(direct)) for s in range(len(pool))]
        paid, left = shared[i].sum(), np.where(pool == pool[i], shared.sum(axis=0), 0.0)
        if paid > 0:
            causes += [(f"pool:p{pool[i]}", s, paid * left[s] / left.sum()) for s in range(len(pool))]
    return [cause for cause in causes if cause[2] > 0]


def longer(causes: list[tuple[str, int, float]], behind: dict[int, list[Chain]], k: int) -> list[Chain]:
    """Return the k heaviest chains that end in one of the causes."""
    chains = []
    for channel, source, amount in causes:
        if source == -1:
            chains.append(((channel,) if channel else (), amount))
        else:
            chains += [((*chain, f"trader:t{source}", channel), amount * share) for chain, share in behind[source]]
    return sorted(chains, key=lambda chain: -chain[1])[:k]
