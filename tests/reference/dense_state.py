"""What the dense cascade is given, what it keeps while it lasts, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Position = tuple[int, int, float, float | None, float]
TIE = 1e-9  # of health, and of debt as a share of the account: rounding decides nothing closer to a threshold
NOTHING = 1e-12  # equity that is no larger a share of the debt is none
Sharing = Literal["equity", "deposits", "profit", "open_interest", "share"] | None
Liquidation = (
    tuple[Literal["full"]]
    | tuple[Literal["target"], float]
    | tuple[Literal["close_factor"], float, float]
    | tuple[Literal["leverage"], float, float]
    | tuple[Literal["repay"], float, float, float]
)
Rank = Literal["profit", "hyperliquid", "pro_rata", "random"] | tuple[float, ...]  # numbers of accounts; nan: never
Layer = (
    tuple[Literal["own"]]
    | tuple[Literal["fund"]]
    | tuple[Literal["purse"], tuple[float, ...]]  # amount of each pool
    | tuple[Literal["members"], Literal["fund_contribution"] | Sharing, float]  # base, cap
    | tuple[Literal["gains"]]
    | tuple[
        Literal["deleverage"], Rank, Literal["equity", "fund"], Literal["value", "margin"], int
    ]  # ... trigger, seed
    | tuple[Literal["pro_rata"], Sharing]
)
Fill = tuple[int, int, int, float, float, float]  # from, to, asset, units > 0, price, what the account `to` loses


class Curve(Protocol):
    """A price impact that has tests of its own: f(x), and the mean of f between two x."""

    def price_factor(self, x: Floats) -> Floats: ...  # noqa: D102
    def average_factor(self, start: Floats, end: Floats) -> Floats: ...  # noqa: D102


Impact = Literal["linear", "exponential"] | Curve


class Follow(Protocol):
    """Columns that are priced from others: tests/reference/instruments.py has them."""

    def prices(self, price: Floats, factor: Floats | None = None) -> Floats: ...  # noqa: D102
    def reached(self, units: Floats, price: Floats) -> Floats: ...  # noqa: D102


Margin = Callable[[Floats, Floats, Ints], Floats]  # what accounts hold (k, m), prices, which accounts: M (k,)


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
class VenueMarket:
    """A market whose accounts have segregated resources, and some of whose pools have an account that takes over."""

    market: Market
    initial_margin: Floats  # (n,) not in cash
    fund_contribution: Floats  # (n,) not in cash
    vault: Flags  # (n,) at most one a pool
    takeover_below: Floats  # (v,) share of M, nan: none


@dataclass(frozen=True)
class Rules:
    """The options of a cascade.

    Liquidation is ("full",), ("target", buffer), ("close_factor", factor, full_below), ("leverage", cap, target) or
    ("repay", close_factor, bonus, full_below).
    """

    liquidation: Liquidation = ("full",)
    impact: Impact = "exponential"
    sharing: Sharing = "equity"
    penalty: float = 0.0
    penalty_to_fund: float = 0.0
    penalty_cap: Literal["equity"] | None = "equity"
    volume: Literal["initial", "current"] = "initial"
    alpha: float | None = None
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
    margin: Margin | None = None
    instruments: Follow | None = None


@dataclass
class Outcome:
    """The state of a run while it lasts (p, S, x, gamma, L, R = proceeds - penalty, funds), then its result."""

    price_shocked: Floats  # (m,) p_bar
    price_after: Floats  # (m,) p
    units_sold: Floats  # (m,) S, net
    units_reached: Floats  # (m,) what has reached each book: S, and what instruments passed through
    value_sold: Floats  # (m,) at the prices w
    size: Floats  # (m,) x
    closed_long: Floats  # (n,) gamma of what is held long
    closed_short: Floats  # (n,) gamma of what is held short
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
    closed: Floats = field(init=False)  # one gamma: of the gross value at p0 that could be sold
    equity_before: Floats = field(init=False)  # the rest, (n,), is filled in by `finish`
    equity_after: Floats = field(init=False)
    direct: Floats = field(init=False)
    impact: Floats = field(init=False)
    loss: Floats = field(init=False)
    standalone: Floats = field(init=False)
    indirect: Floats = field(init=False)


@dataclass
class Waterfall:
    """A run with layers, fills and take-overs: the outcome of the cascade, and what is beside it.

    In `out`, proceeds are what accounts received: of positions that passed to others, their value at the mark less
    `transfer`. `books` shrink and grow with the positions that pass, `first` are those of the start.
    """

    venue: VenueMarket
    rules: Rules
    layers: tuple[Layer, ...]
    out: Outcome
    first: Books
    books: Books
    cost: Floats  # (n, m) what was paid for the cells of `books`, closed or not
    base: Floats  # (layers, n) weights of member layers
    cap: Floats  # (layers,) of member layers
    purse_left: Floats  # (layers, v)
    own_left: Floats  # (n,) r
    own_used: Floats  # (n,)
    used: Floats  # (layers, v) 0 for "deleverage", whose losses are in `transfer`
    level: Floats  # (layers, v) C of member layers
    borne: Floats  # (layers, n) what each account bore in member layers
    transfer: Floats  # (n,) loss > 0 by fills and take-overs: units times the price less the mark
    filled_whole: Flags  # (n,) all its legs were filled: it ends at 0
    fills: list[Fill] = field(default_factory=list)  # in order
    passed: list[Fill] = field(default_factory=list)  # take-overs, leg by leg; what the vault loses is below 0
    quantity: Floats = field(init=False)  # (n, m) at the end
    closest_zero: float = np.inf  # |E| / (1 + |E|) of accounts in breach that E <= 0 deleverages, or E > 0 passes on
    closest_rank: float = np.inf  # how near to each other two ranks on a leg, or two deficits, came

    @property
    def closest(self) -> float:
        """How near to a tie anything came that decides a jump: breach, E = 0, E = f M, a trigger, an order."""
        return min(self.out.closest, self.out.closest_jump, self.closest_zero, self.closest_rank)
