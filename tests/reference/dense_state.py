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
