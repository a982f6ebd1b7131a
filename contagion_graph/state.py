"""The arrays that the compiled passes read and write, by the names of docs/notation.md."""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
GONE = 1.0 - 1e-12  # equity counts as gone when so much of it is lost


# numba's cache files on users' disks name these classes: a renamed one could not be loaded there
class Cells(NamedTuple):
    """Who holds what: the cells of Q and mu (n x m)."""

    indptr: Array
    indices: Array
    quantity: Array
    margin_units: Array


class Market(NamedTuple):
    """The prices p (m), which assets are sellable, and the number of this set of prices (1 entry)."""

    price: Array
    sellable: Array
    number: Array


class Orders(NamedTuple):
    """What accounts close in a round: their rows, and of each k what is closed and what that costs.

    `long` and `short` are the shares of its longs, and of its shorts, before the cascade that it closes; `whole_*` says
    whether that is all that is left. `bonus` is what liquidators get [currency].
    """

    rows: Array
    long: Array
    short: Array
    whole_long: Array
    whole_short: Array
    bonus: Array


class Channels(NamedTuple):
    """Who bears losses: the cells of b (n x c), the loss rate C' from which each counts, and the loss rates C (c)."""

    indptr: Array
    indices: Array
    base: Array
    since: Array
    loss_rate: Array


class Accounts(NamedTuple):
    """The state of the accounts (n each), what their last valuation found, and the least trigger of each strip."""

    money: Array  # cash + R
    closed_long: Array  # gamma of what the account holds long
    closed_short: Array  # gamma of what it holds short
    settled: Array  # D, the losses socialised up to the loss rates in `since`
    sensitivity: Array  # g
    longs: Array  # (1-gamma) Q~.p + (Q-Q~).p of what is held long
    shorts: Array  # ... and short, above 0
    worth: Array  # cash + R + longs - shorts
    maintenance: Array  # M
    trigger: Array  # the T + C at which it becomes a candidate
    valued: Array  # number of the prices at which it was last valued
    strip_trigger: Array


class Closed(NamedTuple):
    """What a cascade did to the accounts (n each): closed shares of longs and shorts, and amounts [currency]."""

    long: Array
    short: Array
    proceeds: Array
    penalty: Array
    socialised: Array
    shortfall: Array


class Marks(NamedTuple):
    """Prices after the shock, those of longs and of shorts at the end, and which assets are sellable (m each)."""

    shocked: Array
    long: Array
    short: Array
    sellable: Array


class Rest(NamedTuple):
    """What is known of the accounts before a scenario (n each)."""

    cash: Array
    extent: Array  # sum_j (|q_j| + |q_j - mu_j|) p0_j: rounding is measured by it
    base: Array  # b
    trigger: Array  # s / max(g, b) at p0


class Before(NamedTuple):
    """What is known of the accounts before a scenario (n each)."""

    slack: Array  # s at p0
    extent: Array  # |cash| + |Q|.p0: rounding is measured by it
    net: Array  # u - d
    sensitivity: Array  # g = u + d
    base: Array  # b


class Bounds(NamedTuple):
    """A box of prices (m each), the largest relative fall and rise from p0 in it, and the highest loss rate.

    `gains` says whether slack rises as fast where a price moves for an account as it falls where it moves against it.
    """

    price: Array  # p0
    low: Array
    high: Array
    gains: bool
    fall: float
    rise: float
    loss_rate: float


class Batch(NamedTuple):
    """Scenarios that are screened together, one a column: the box of prices and the loss rate of each."""

    low: Array  # m x B
    high: Array  # m x B
    growth: Array  # the largest price, relative to p0 (B)
    loss_rate: Array  # the highest loss rate C that counts (B)
    bit: Array  # the bit of each in masks (B)
    furthest: float  # up to which trigger a row can be a candidate of any of them


class Tiers(NamedTuple):
    """Margin tiers by asset: those of asset j are first[j] to first[j + 1]; where there are none: flat rates."""

    first: Array  # m + 1
    lower: Array  # notional from which each counts [currency]
    rate: Array
    amount: Array  # d, what is taken off so that the margin is continuous [currency]


class Watch(NamedTuple):
    """Accounts whose rows can grow, and the trigger prices between which their status cannot change."""

    start: Array  # first cell of each row
    length: Array  # cells of each row
    room: Array  # places of each row
    used: Array  # places of the arena that belong to rows (1)
    column: Array
    quantity: Array
    margin_units: Array
    low: Array  # trigger: the row is a candidate where the price of the cell is here or below (single precision)
    high: Array  # trigger: ... or here or above
    cash: Array
    status: Array  # 0 sound, 1 in breach, 2 under water: in breach with E <= 0
    price: Array
    block_low: Array  # the highest low of each asset in each block of accounts (tiles x m x blocks of a tile)
    block_high: Array  # the lowest high
    tile_low: Array  # the highest low of each asset in each tile (m x tiles)
    tile_high: Array  # the lowest high
    tiers: Tiers | None  # margin tiers by asset


class PoolSums(NamedTuple):
    """What the accounts of each pool hold together, and those among them that are under water."""

    pool: Array  # of each account
    held: Array  # units of each asset (v x m)
    cash: Array
    held_under: Array
    cash_under: Array
    breached: Array  # accounts in breach
    under: Array  # accounts under water


class Links(NamedTuple):
    """Whose distress reaches whom: the cells of Lambda (creditors x debtors), shares of the creditor's equity."""

    indptr: Array
    indices: Array
    share: Array


class Passing(NamedTuple):
    """How much of its stress a node transmits: g(h) = h exp(alpha (h - 1)) up to 1, or 1 from a threshold on."""

    alpha: float
    threshold: Array  # stress from which a node transmits everything (n); empty: g as above
    once: bool  # whether a node transmits only its loss at the first distress


class Cases(NamedTuple):
    """What cases that are followed in step have come to, a case a column (n x lanes)."""

    level: Array  # h
    share: Array  # g
    wave: Array  # the round in which a node's equity was gone, 0 = never
    rise: Array  # by how much g rose in the last look
    earlier: Array  # ... and in the look with which it is compared


class Members(NamedTuple):
    """The accounts of each trader (t + 1; the rows of each), and their values before a scenario (n each)."""

    first: Array
    rows: Array
    cash: Array
    value: Array
    base: Array
    channel: Array


class Ends(NamedTuple):
    """The end of a batch of scenarios: prices before and after the rounds (m x WIDTH), loss rates (c x WIDTH)."""

    shocked: Array
    after: Array
    loss_rate: Array


class Touched(NamedTuple):
    """Accounts that a scenario closed or left short: first entry of each account (n + 1), scenario, loss, closed."""

    first: Array
    scenario: Array
    loss: Array
    closed: Array


class Tally(NamedTuple):
    """Sums over scenarios of each trader (t), and its largest losses with their scenarios (t x k)."""

    loss: Array
    square: Array
    standalone: Array
    closed: Array  # how often an account of it was closed whole
    tail: Array
    which: Array


class Segments(NamedTuple):
    """Cells of some accounts, those of a risk group of an account together: a segment each."""

    first: Array  # first segment of each account (k + 1)
    start: Array  # first cell of each segment
    column: Array  # of each cell
    quantity: Array


class Strikes(NamedTuple):
    """Which assets net by strike, and what that costs (m each)."""

    netting: Array  # options of one underlying, strike and expiry have one number; -1: none
    cost: Array  # of each net short unit [currency]


class Left(NamedTuple):
    """What is left of positions: closed shares (n each), which assets are sellable (m), and a next sale.

    `next` is the share of what is left that each of the rows asked for closes next (k); empty: nobody closes more.
    """

    closed_long: Array
    closed_short: Array
    sellable: Array
    next: Array


def nothing_closed(n: int, m: int) -> Left:
    """Return what is left of n accounts in m assets where nothing is closed."""
    return Left(np.zeros(n), np.zeros(n), np.zeros(m), np.zeros(0))
