"""A venue as full tables: every figure is computed from all positions each time it is asked for."""

from dataclasses import dataclass

import numpy as np

from .dense_state import Floats

Account = tuple[str, str, str]


@dataclass
class Venue:
    """Accounts x assets: units and margin units; cash, prices, margin rates (long, short), funds of pools."""

    accounts: list[Account]
    assets: list[str]
    units: Floats
    margin_units: Floats
    cash: Floats
    price: Floats
    rates: list[tuple[float, float]]
    fund: dict[str, float]

    def trade(self, row: int, column: int, units: float, cost: float, rate: float | None = None) -> None:
        """Buy units (sell below 0) for a cost: what closes takes its part of the margin, what opens brings its own."""
        held = self.units[row, column]
        closed = min(abs(units), abs(held)) if held * units < 0 else 0.0
        opened = abs(units) - closed
        if closed:
            self.margin_units[row, column] *= 1.0 - closed / abs(held)
        self.margin_units[row, column] += opened * (self.rates[column][0 if units > 0 else 1] if rate is None else rate)
        self.units[row, column] = held + units
        self.cash[row] -= cost

    def open_account(self, account: Account, cash: float) -> None:
        """Add a row without positions."""
        self.accounts.append(account)
        self.cash = np.append(self.cash, cash)
        self.units, self.margin_units = (np.pad(one, ((0, 1), (0, 0))) for one in (self.units, self.margin_units))

    def list_asset(self, asset: str, price: float, rates: tuple[float, float]) -> None:
        """Add a column that nobody holds."""
        self.assets.append(asset)
        self.rates.append(rates)
        self.price = np.append(self.price, price)
        self.units, self.margin_units = (np.pad(one, ((0, 0), (0, 1))) for one in (self.units, self.margin_units))

    @property
    def equity(self) -> Floats:
        """Cash plus the value of all positions."""
        return self.cash + self.units @ self.price

    @property
    def maintenance(self) -> Floats:
        """What equity must cover."""
        return self.margin_units @ self.price

    @property
    def size(self) -> Floats:
        """The size of the numbers that equity and maintenance are sums of."""
        return np.abs(self.cash) + (np.abs(self.units) + self.margin_units) @ self.price

    def pool(self, pool: str) -> tuple[float, float]:
        """Return the fund plus the sum of equities, and the sum of positive equities."""
        equity = self.equity[[account[1] == pool for account in self.accounts]]
        return self.fund[pool] + float(equity.sum()), float(np.maximum(equity, 0.0).sum())
