"""Liquidation: which share of what it has left an account in breach closes in a round."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import sparse

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph._validate import ROUNDING, check_number
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.solvers.arrays import ratio, with_data

PIECES = 1_000  # more affine pieces than bind in turn while an account closes
TIE = 1e-9  # rounding decides nothing closer to a threshold: of health, and of debt as a share of the account


@dataclass(frozen=True, kw_only=True)
class BreachedAccounts:
    """What a liquidation rule sees of the accounts in breach; every vector has one entry for each of them [currency].

    Parameters
    ----------
    equity, maintenance : ndarray
        E and M, with E < M.
    closable_maintenance, closable_gross : ndarray
        Maintenance margin and gross value of what is left and can be sold.
    debt : ndarray
        Value of the shorts left plus max(0, -cash).
    penalty : float
        Share of the closed gross value that the account pays for being liquidated.
    closable_long : ndarray
        Value of the long positions that are left and can be sold.
    margin_left : callable or None
        Takes shares theta of what is left and can be sold, one an account, returns the maintenance margin after closing
        them and its slope in theta [currency]: on margin tiers and scenario grids, where it is convex. None: margins
        are flat, and it is M - theta M_c.
    """

    equity: FloatArray
    maintenance: FloatArray
    closable_maintenance: FloatArray
    closable_gross: FloatArray
    debt: FloatArray
    penalty: float
    closable_long: FloatArray
    margin_left: Callable[[FloatArray], tuple[FloatArray, FloatArray]] | None = None


class ClosedSides(NamedTuple):
    """What each account in breach closes now.

    Parameters
    ----------
    long, short : ndarray
        Share of what is left and can be traded that is closed, of the long positions and of the short ones; both in
        [0, 1], and one of them above 0. An account of which both are 1 closes whole.
    repaid : ndarray
        Debt whose repayment earns the liquidators the rule's `bonus` [currency]. Of an account that closes whole
        because E <= 0, or as a given default, it is min(D, C / (1 + bonus)), whatever the rule says.
    """

    long: FloatArray
    short: FloatArray
    repaid: FloatArray


class Quotient(NamedTuple):
    """The weights of a closed share theta = (margin M - equity E) / (margin M_c - gross G_c); all 0: a step.

    Parameters
    ----------
    margin, equity, gross : float
        The three weights; M_c and G_c are maintenance margin and gross value of what can be closed.
    """

    margin: float
    equity: float
    gross: float


class LiquidationRule:
    """What liquidation rules share; a rule of your own inherits it, and adds `closed_share` (or `closed_sides`).

    The margin that equity must cover is that of the graph, and the same share of longs and shorts is closed:
    `closed_share(accounts)` returns the share in (0, 1] of what it has left that each of the accounts closes now.

    A rule declares what analyses beyond `MarginCascade.run` may rely on; None = not known (docs/adding-a-rule.md). A
    subclass that replaces `closed_share`, `closed_sides` or `margin_units` declares again.

    Attributes
    ----------
    bonus : float
        What liquidators are paid for each unit of debt that they repay.
    in_book : bool
        Whether what it closes is sold in the order books, and moves prices.
    closed_values : tuple of float or None
        All values, ascending, that a closed share can take, with the 0 of an account that is not in breach.
    monotone : bool or None
        Whether an account never closes less where its equity is lower, or the prices of its longs are lower, or those
        of its shorts higher.
    one_share : bool or None
        Whether longs and shorts close to the same share.
    margins : {"graph", "account"} or None
        Whether `margin_units` are those of the graph, or depend on the positions of the account alone.
    any_margin : bool or None
        Whether it closes what it says on margin tiers and scenario grids too: it takes what stays of a margin from
        `margin_left`, or does not ask.
    quotient : callable
        Takes the penalty, returns the `Quotient` that the closed share is: derivatives need it. A rule with
        `closed_values` needs none.
    distance_to_jump : callable
        Takes `BreachedAccounts`, returns how much equity separates each from a jump of its closed share [currency],
        inf without one. The jumps at E = M and E = 0 are not meant: every rule has them.
    """

    bonus = 0.0
    in_book: bool = True
    closed_values: tuple[float, ...] | None = None
    monotone: bool | None = None
    one_share: bool | None = True
    margins: Literal["graph", "account"] | None = "graph"
    any_margin: bool | None = None
    closed_share: Callable[[BreachedAccounts], FloatArray]
    quotient: Callable[[float], Quotient]
    distance_to_jump: Callable[[BreachedAccounts], FloatArray]

    def margin_units(self, graph: ExposureGraph) -> sparse.csr_array:
        """Return the units mu >= 0 that equity must cover, in the cells of `graph.quantity`: those of the graph.

        Parameters
        ----------
        graph : ExposureGraph
            The positions.

        Returns
        -------
        csr_array, shape (n, m)
            Units.
        """
        return graph.margin_units

    def closed_sides(self, accounts: BreachedAccounts) -> ClosedSides:
        """Return what `closed_share` says for both sides; no debt earns a bonus.

        Parameters
        ----------
        accounts : BreachedAccounts
            The k accounts in breach.

        Returns
        -------
        ClosedSides
            Shares of the long and of the short positions, and the debt repaid, shape (k,) each.
        """
        share = self.closed_share(accounts)
        return ClosedSides(share, share, np.zeros_like(share))

    def repaid_whole(self, accounts: BreachedAccounts) -> FloatArray:
        """Return min(D, C / (1 + bonus)), the debt that is repaid where accounts close whole.

        Parameters
        ----------
        accounts : BreachedAccounts
            The k accounts in breach.

        Returns
        -------
        ndarray, shape (k,)
            Currency; the bonus is paid on it.
        """
        return np.minimum(accounts.debt, accounts.closable_long / (1.0 + self.bonus))


@dataclass(frozen=True)
class FullLiquidation(LiquidationRule):
    """An account in breach closes everything that can be sold."""

    closed_values = (0.0, 1.0)
    monotone = True
    any_margin = True

    def closed_share(self, accounts: BreachedAccounts) -> FloatArray:
        """Return 1 for every account."""
        return np.ones_like(accounts.equity)


@dataclass(frozen=True)
class TargetMargin(LiquidationRule):
    """An account in breach closes the least share after which equity covers (1 + buffer) times its maintenance.

    theta = ((1 + b) M - E) / ((1 + b) M_c - penalty G_c), at most 1, and 1 where the denominator is not positive; M_c
    and G_c are the maintenance and gross value of what can be closed. Prices are those before the sale: what the sale
    itself costs is met in the next round. On margin tiers and scenario grids the margin is not proportional to what is
    left: theta is then the least root of (1 + b) M(theta) = E - penalty theta G_c, with M(theta) convex and made of
    affine pieces; Newton's method finds it in as many steps as pieces bind in turn.

    Parameters
    ----------
    buffer : float
        b >= 0, share of maintenance to hold above it.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([1.0])
    >>> accounts = BreachedAccounts(
    ...     equity=6 * one, maintenance=10 * one, closable_maintenance=10 * one, closable_gross=100 * one,
    ...     debt=0 * one, penalty=0.02, closable_long=100 * one
    ... )
    >>> TargetMargin().closed_share(accounts).tolist()
    [0.5]
    """

    buffer: float = 0.0
    monotone = True
    any_margin = True

    def __post_init__(self) -> None:
        check_number("TargetMargin", "buffer", self.buffer, low=0)

    def closed_share(self, accounts: BreachedAccounts) -> FloatArray:
        """Return theta for every account."""
        wanted = 1.0 + self.buffer
        if accounts.margin_left is not None:
            return least_share(accounts, wanted, accounts.penalty * accounts.closable_gross, accounts.margin_left)
        shortage = wanted * accounts.maintenance - accounts.equity
        relief = wanted * accounts.closable_maintenance - accounts.penalty * accounts.closable_gross
        with np.errstate(over="ignore"):
            share = ratio(shortage, relief, 1.0)
        return np.minimum(share, 1.0)

    def quotient(self, penalty: float) -> Quotient:
        """Return the weights of ((1 + b) M - E) / ((1 + b) M_c - penalty G_c)."""
        return Quotient(1.0 + self.buffer, 1.0, penalty)


@dataclass(frozen=True)
class CloseFactor(LiquidationRule):
    """An account in breach closes a fixed share while its health is not too low, and everything below that.

    Health is h = 1 + (E - M) / D with D the debt left: collateral weighted by its liquidation threshold, over debt. The
    account closes `factor` where h >= full_below, everything where h < full_below or where it has no debt. A health
    less than 1e-9 below `full_below` counts as there, and a debt of at most 1e-9 of |E| + M + gross value as none: so
    rounding decides nothing where h is just full_below, or D just 0.

    Parameters
    ----------
    factor : float
        Share in (0, 1].
    full_below : float
        Health in [0, 1] below which everything is closed.

    References
    ----------
    Aave v3.3, LiquidationLogic.sol: factor 0.5, full_below 0.95.

    Examples
    --------
    >>> import numpy as np
    >>> equity, rest = np.array([9.0, 1.0]), np.array([10.0, 10.0])
    >>> accounts = BreachedAccounts(
    ...     equity=equity, maintenance=rest, closable_maintenance=rest, closable_gross=18 * rest, debt=8 * rest,
    ...     penalty=0.0, closable_long=10 * rest
    ... )
    >>> CloseFactor(0.5, full_below=0.95).closed_share(accounts).tolist()
    [0.5, 1.0]
    """

    factor: float = 0.5
    _: KW_ONLY
    full_below: float = 0.0
    monotone = True
    any_margin = True

    def __post_init__(self) -> None:
        check_number("CloseFactor", "factor", self.factor, low=0, above=True, high=1)
        check_number("CloseFactor", "full_below", self.full_below, low=0, high=1)

    def closed_share(self, accounts: BreachedAccounts) -> FloatArray:
        """Return `factor` or 1 for every account."""
        return np.where(_keeps(accounts, self.full_below), self.factor, 1.0)

    @property
    def closed_values(self) -> tuple[float, ...]:  # type: ignore[override] # that of a record does not change
        """The values of a closed share: 0, `factor`, 1."""
        return tuple(sorted({0.0, self.factor, 1.0}))

    def distance_to_jump(self, accounts: BreachedAccounts) -> FloatArray:
        """Return |E - M + (1 - full_below) D|: everything is closed where health falls below `full_below` [currency].

        Examples
        --------
        >>> import numpy as np
        >>> one = np.ones(1)
        >>> accounts = BreachedAccounts(
        ...     equity=5 * one, maintenance=10 * one, closable_maintenance=10 * one, closable_gross=90 * one,
        ...     debt=80 * one, penalty=0.0, closable_long=90 * one
        ... )
        >>> [float(CloseFactor(full_below=h).distance_to_jump(accounts).round(9)[0]) for h in (0.95, 0.9375)]
        [1.0, 0.0]
        """
        away = np.abs(accounts.equity - accounts.maintenance + (1.0 - self.full_below) * accounts.debt)
        return np.where((accounts.debt > 0.0) & (self.factor < 1.0), away, np.inf)


@dataclass(frozen=True)
class LeverageTarget(LiquidationRule):
    """An account whose assets exceed `cap` times its equity closes the share that brings them to `target` times it.

    A is the value of the long positions left. The account is in breach when A > cap E, that is E < M with M = A / cap:
    the rule has margins of its own, and those of the graph do not count; the graph of the result is one that has them
    in their place. It closes theta = (A - target E) / A_c, at
    most 1, and 1 where there is nothing to close; A_c is the value of the long positions left that can be sold. Prices
    are those before the sale: what the sale itself costs, penalty and all, is met in the next round. Cash is no part of
    A; cash that shall count as an asset must be a position, in an asset that is not sellable.

    Parameters
    ----------
    cap : float
        Leverage A / E above which an account is in breach, at least `target`.
    target : float
        Leverage after the sale, above 1.

    References
    ----------
    Cont & Schaanning (2017), Norges Bank Working Paper 2/2017: Gamma = min(1, (A - lambda_target E) / A_c) where
    A / E > lambda_max; cap 33 and target 0.95 cap.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([1.0])
    >>> accounts = BreachedAccounts(
    ...     equity=2 * one, maintenance=5 * one, closable_maintenance=4.5 * one, closable_gross=90 * one,
    ...     debt=98 * one, penalty=0.0, closable_long=90 * one
    ... )
    >>> LeverageTarget(cap=20, target=15).closed_share(accounts).round(6).tolist()
    [0.777778]
    """

    cap: float
    _: KW_ONLY
    target: float
    monotone = True
    margins = "account"

    def __post_init__(self) -> None:
        check_number("LeverageTarget", "target", self.target, low=1, above=True)
        check_number("LeverageTarget", "cap", self.cap, low=self.target)

    def margin_units(self, graph: ExposureGraph) -> sparse.csr_array:
        """Return the long units over `cap`, in the cells of `graph.quantity`."""
        held = graph.quantity
        return with_data(held, np.maximum(held.data, 0.0) / self.cap)

    def closed_share(self, accounts: BreachedAccounts) -> FloatArray:
        """Return theta for every account; A and A_c are `cap` times the maintenance left, and closable."""
        # A - target E, written so that it is above 0 in every breach, whatever the rounding
        gap = accounts.maintenance - accounts.equity
        excess = self.target * gap + (self.cap - self.target) * accounts.maintenance
        closable = self.cap * accounts.closable_maintenance
        with np.errstate(over="ignore"):
            share = ratio(excess, closable, 1.0)
        return np.minimum(share, 1.0)

    def quotient(self, penalty: float) -> Quotient:
        """Return the weights of (cap M - target E) / (cap M_c); the penalty plays no part."""
        return Quotient(self.cap, self.target, 0.0)


@dataclass(frozen=True)
class RepayAndSeize(LiquidationRule):
    """Liquidators repay a share of the debt of an account in breach, and seize collateral worth more than that.

    Of the debt D the share f = `close_factor` is repaid, or all where the health h = 1 + (E - M) / D is lower than
    `full_below`. That buys back f of the shorts, and takes collateral worth (1 + bonus) f D out of the long positions
    that can be sold, worth C: theta_short = f, theta_long = (1 + bonus) f D / C. Where C does not suffice, or there is
    no debt, or where E <= 0, the account closes whole: liquidators go on until the debt or the collateral is gone, so
    min(D, C / (1 + bonus)) counts as repaid, and at unchanged prices the rest of D stays as bad debt. The liquidators'
    fee is bonus times what they repay. Prices are those before the sale. When a health counts as `full_below`, and a
    debt as none, `CloseFactor` says.

    Parameters
    ----------
    close_factor : float
        Share of the debt in (0, 1].
    bonus : float
        At least 0.
    full_below : float
        Health in [0, 1] below which the whole debt is repaid.

    References
    ----------
    Aave v3.3, LiquidationLogic.sol: close factor 0.5, full_below 0.95, bonus 0.05 to 0.1 by asset. Warmuz, Chaudhary &
    Pinna (2022), Toxic liquidation spirals, arXiv 2212.07306: the bad debt.

    Examples
    --------
    >>> import numpy as np
    >>> debt, collateral = np.array([80.0, 98.0]), np.array([100.0, 100.0])
    >>> margin = 0.25 * collateral
    >>> accounts = BreachedAccounts(
    ...     equity=collateral - debt, maintenance=margin, closable_maintenance=margin,
    ...     closable_gross=collateral + debt, debt=debt, penalty=0.0, closable_long=collateral
    ... )
    >>> sides = RepayAndSeize(0.5, bonus=0.05, full_below=0.9).closed_sides(accounts)
    >>> sides.long.tolist(), sides.short.tolist(), sides.repaid.round(6).tolist()
    ([0.42, 1.0], [0.5, 1.0], [40.0, 95.238095])
    """

    close_factor: float = 0.5
    _: KW_ONLY
    bonus: float = 0.05
    full_below: float = 0.0

    def __post_init__(self) -> None:
        check_number("RepayAndSeize", "close_factor", self.close_factor, low=0, above=True, high=1)
        check_number("RepayAndSeize", "bonus", self.bonus, low=0)
        check_number("RepayAndSeize", "full_below", self.full_below, low=0, high=1)

    def closed_sides(self, accounts: BreachedAccounts) -> ClosedSides:
        """Return the shares of the long and of the short positions that each account closes, and the debt repaid."""
        collateral = accounts.closable_long
        factor = np.where(_keeps(accounts, self.full_below), self.close_factor, 1.0)
        wanted = factor * accounts.debt
        seized = (1.0 + self.bonus) * wanted
        enough = has_equity(accounts) & (seized < collateral) & _owes(accounts)
        long = np.divide(seized, collateral, out=np.ones_like(seized), where=enough)
        repaid = np.where(enough, wanted, self.repaid_whole(accounts))
        return ClosedSides(long, np.where(enough, factor, 1.0), repaid)


@dataclass(frozen=True)
class TransferSlice(LiquidationRule):
    """An account in breach passes the least slice of its positions and cash that ends the breach to an outside buyer.

    The buyer pays (1 - d) of the equity of the slice: E' = E (1 - d theta) and M' = (1 - theta) M, so that E' >= (1 +
    b) M' needs theta = ((1 + b) M - E) / ((1 + b) M_c - d E - penalty G_c), at most 1, and 1 where the denominator is
    not positive. Positions pass at the prices before the round, and no price moves: auctions of option venues and of
    clearing houses. An account without equity passes whole, and leaves its shortfall. On margin tiers and scenario
    grids theta is the least root of (1 + b) M(theta) = E (1 - d theta) - penalty theta G_c, as for `TargetMargin`. What
    cannot be sold stays, and M_c and G_c leave it out.

    Parameters
    ----------
    discount : float
        d, what the buyer pays less, as a share of the equity that passes, in [0, 1).
    buffer : float
        b, by which equity has to exceed maintenance afterwards; 0.1 = 10 %.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([1.0])
    >>> accounts = BreachedAccounts(
    ...     equity=6 * one, maintenance=10 * one, closable_maintenance=10 * one, closable_gross=100 * one,
    ...     debt=0 * one, penalty=0.0, closable_long=100 * one
    ... )
    >>> sides = TransferSlice(discount=0.2).closed_sides(accounts)
    >>> sides.long.round(6).tolist(), sides.repaid.round(6).tolist()
    ([0.454545], [2.727273])
    """

    discount: float
    _: KW_ONLY
    buffer: float = 0.0
    any_margin = True
    in_book = False

    def __post_init__(self) -> None:
        check_number("TransferSlice", "discount", self.discount, low=0, high=1, below=True)
        check_number("TransferSlice", "buffer", self.buffer, low=0)

    @property
    def bonus(self) -> float:  # type: ignore[override] # that of a record does not change
        """The discount: the buyer gains it on the equity that passes."""
        return self.discount

    def closed_share(self, accounts: BreachedAccounts) -> FloatArray:
        """Return theta for every account."""
        wanted, cost = 1.0 + self.buffer, accounts.penalty * accounts.closable_gross + self.discount * accounts.equity
        if accounts.margin_left is not None:
            return least_share(accounts, wanted, cost, accounts.margin_left)
        with np.errstate(over="ignore"):
            relief = wanted * accounts.closable_maintenance - cost
            share = ratio(wanted * accounts.maintenance - accounts.equity, relief, 1.0)
        return np.minimum(share, 1.0)

    def closed_sides(self, accounts: BreachedAccounts) -> ClosedSides:
        """Return theta for both sides, and the equity that passes."""
        share = self.closed_share(accounts)
        return ClosedSides(share, share, share * accounts.equity)

    def repaid_whole(self, accounts: BreachedAccounts) -> FloatArray:
        """Return the equity of accounts that pass whole, at least 0 [currency]."""
        return np.maximum(accounts.equity, 0.0)


def has_equity(accounts: BreachedAccounts) -> BoolArray:
    """Say who has equity that is more than the rounding of its debt; who has none closes whole."""
    has: BoolArray = accounts.equity > ROUNDING * accounts.debt
    return has


def _keeps(accounts: BreachedAccounts, full_below: float) -> BoolArray:
    """Say which accounts have debt, and a health h = 1 + (E - M) / D not below `full_below`."""
    gap = accounts.equity - accounts.maintenance
    ratio = np.divide(gap, accounts.debt, out=np.full_like(gap, -np.inf), where=_owes(accounts))
    keeps: BoolArray = 1.0 + ratio >= full_below - TIE
    return keeps


def _owes(accounts: BreachedAccounts) -> BoolArray:
    """Say which accounts have debt that is more than rounding."""
    size = np.abs(accounts.equity) + accounts.maintenance + accounts.closable_gross
    owes: BoolArray = accounts.debt > TIE * size
    return owes


def least_share(
    accounts: BreachedAccounts,
    wanted: float,
    cost: FloatArray,
    margin_left: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
) -> FloatArray:
    """Return the least theta in [0, 1] with wanted M(theta) <= E - theta cost; 1 where there is none.

    The gap between both sides is convex, and above 0 at 0, where M is that of the breach. So the root of the piece that
    binds is never beyond the least root of the gap, and where that piece does not fall, there is none.
    """
    share, searched = np.zeros_like(cost), np.ones(cost.size, dtype=bool)
    margin, slope, near = accounts.maintenance, margin_left(share)[1], np.zeros_like(cost)
    for _ in range(PIECES):
        gap, fall = wanted * margin - accounts.equity + cost * share, -(wanted * slope + cost)
        searched &= gap > near
        if not searched.any():
            break
        with np.errstate(over="ignore"):
            step = share + ratio(gap, fall, 1.0)
        share = np.where(searched, np.minimum(step, 1.0), share)
        searched &= share < 1.0
        margin, slope = margin_left(share)
        near = ROUNDING * (wanted * np.abs(margin) + np.abs(accounts.equity) + accounts.closable_gross)
    return share
