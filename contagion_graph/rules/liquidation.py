"""Liquidation: which share of what it has left an account in breach closes in a round."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from contagion_graph.rules.checks import check_number
from contagion_graph.tables.schema import FloatArray


@dataclass(frozen=True)
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
    """

    equity: FloatArray
    maintenance: FloatArray
    closable_maintenance: FloatArray
    closable_gross: FloatArray
    debt: FloatArray
    penalty: float


class Liquidation(Protocol):
    """What the cascade asks of a liquidation rule."""

    def closed_share(self, accounts: BreachedAccounts) -> FloatArray:
        """Return the share in (0, 1] of what it has left that each account closes now."""


@dataclass(frozen=True)
class FullLiquidation:
    """An account in breach closes everything that can be sold."""

    def closed_share(self, accounts: BreachedAccounts) -> FloatArray:
        """Return 1 for every account."""
        return np.ones_like(accounts.equity)


@dataclass(frozen=True)
class TargetMargin:
    """An account in breach closes the least share after which equity covers (1 + buffer) times its maintenance.

    theta = ((1 + b) M - E) / ((1 + b) M_c - penalty G_c), at most 1, and 1 where the denominator is not positive; M_c
    and G_c are the maintenance and gross value of what can be closed. Prices are those before the sale: what the sale
    itself costs is met in the next round.

    Parameters
    ----------
    buffer : float
        b >= 0, share of maintenance to hold above it.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([1.0])
    >>> accounts = BreachedAccounts(6 * one, 10 * one, 10 * one, 100 * one, 0 * one, penalty=0.02)
    >>> TargetMargin().closed_share(accounts).tolist()
    [0.5]
    """

    buffer: float = 0.0

    def __post_init__(self) -> None:
        check_number("TargetMargin", "buffer", self.buffer, low=0)

    def closed_share(self, accounts: BreachedAccounts) -> FloatArray:
        """Return theta for every account."""
        wanted = 1.0 + self.buffer
        shortage = wanted * accounts.maintenance - accounts.equity
        relief = wanted * accounts.closable_maintenance - accounts.penalty * accounts.closable_gross
        with np.errstate(over="ignore"):
            share = np.divide(shortage, relief, out=np.ones_like(relief), where=relief > 0)
        return np.minimum(share, 1.0)


@dataclass(frozen=True)
class CloseFactor:
    """An account in breach closes a fixed share while its health is not too low, and everything below that.

    Health is h = 1 + (E - M) / D with D the debt left: collateral weighted by its liquidation threshold, over debt. The
    account closes `factor` where h >= full_below, everything where h < full_below or where it has no debt.

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
    >>> accounts = BreachedAccounts(equity, rest, rest, 18 * rest, 8 * rest, penalty=0.0)
    >>> CloseFactor(0.5, full_below=0.95).closed_share(accounts).tolist()
    [0.5, 1.0]
    """

    factor: float = 0.5
    full_below: float = 0.0

    def __post_init__(self) -> None:
        check_number("CloseFactor", "factor", self.factor, low=5e-324, high=1)
        check_number("CloseFactor", "full_below", self.full_below, low=0, high=1)

    def closed_share(self, accounts: BreachedAccounts) -> FloatArray:
        """Return `factor` or 1 for every account."""
        gap = accounts.equity - accounts.maintenance
        health = 1.0 + np.divide(gap, accounts.debt, out=np.full_like(gap, -np.inf), where=accounts.debt > 0)
        return np.where(health >= self.full_below, self.factor, 1.0)
