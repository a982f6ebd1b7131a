"""Banks that keep a capital ratio, as a loop over banks and assets: slow, and close to the words of the definition."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Bank:
    """One bank: cash, units of each asset, all its debt, and the part of it that it may repay early."""

    cash: float
    units: dict[str, float]
    debt: float
    loan: float
    repaid: float = 0.0
    failed_in: int = 0

    def equity(self, price: dict[str, float]) -> float:
        """Return assets less debt."""
        return self.cash + sum(units * price[asset] for asset, units in self.units.items()) - self.debt

    def exposure(self, price: dict[str, float], weights: dict[str, float] | None) -> float:
        """Return all assets, or those that carry a weight."""
        if weights is None:
            return self.cash + sum(units * price[asset] for asset, units in self.units.items())
        return sum(weights[asset] * units * price[asset] for asset, units in self.units.items())


def orders_of(
    bank: Bank,
    price: dict[str, float],
    need: float,
    places: list[list[str]],
    weights: dict[str, float] | None,
) -> dict[str, float]:
    """Return the units to sell so that exposure falls by `need`, a place of the pecking order after the other."""
    orders = {}
    for place in places:
        relief = sum((1.0 if weights is None else weights[a]) * bank.units[a] * price[a] for a in place)
        share = min(need / relief, 1.0) if relief > 0.0 else 0.0
        for asset in place:
            orders[asset] = share * bank.units[asset]
        need = max(need - share * relief, 0.0)
    return orders


def act(
    bank: Bank,
    price: dict[str, float],
    number: int,
    limits: tuple[float, float, float],
    weights: dict[str, float] | None,
    places: list[list[str]],
    sellable: set[str],
) -> tuple[dict[str, float], bool]:
    """Let a bank fail, repay, or offer for sale; return its orders, and whether it acted without failing."""
    minimum, buffer, target = limits
    equity, exposure = bank.equity(price), bank.exposure(price, weights)
    if bank.failed_in:
        return {}, False
    if equity < minimum * exposure:
        bank.failed_in = number
        return {asset: units for asset, units in bank.units.items() if asset in sellable}, False
    if not equity < buffer * exposure:
        return {}, False
    need = max(exposure - equity / target, 0.0)
    if weights is None:
        paid = min(need, bank.cash, bank.loan)
        bank.cash, bank.debt, bank.loan, bank.repaid = (
            bank.cash - paid,
            bank.debt - paid,
            bank.loan - paid,
            bank.repaid + paid,
        )
        need = max(need - paid - bank.cash, 0.0)
    return orders_of(bank, price, need, places, weights), True


def simulate(
    banks: list[Bank],
    *,
    price0: dict[str, float],
    depth: dict[str, float],
    sellable: set[str],
    shock: dict[str, float],
    limits: tuple[float, float, float],
    weights: dict[str, float] | None,
    order: tuple[tuple[str, ...], ...] | None,
    factor: Callable[[float], float],
    rounds: int,
) -> tuple[list[Bank], dict[str, float], dict[str, float], list[dict[str, float]]]:
    """Run so many rounds of sales and a last look; return the banks, prices, units sold, and what each look saw."""
    shocked = {asset: price0[asset] * (1.0 + shock.get(asset, 0.0)) for asset in price0}
    counts = [asset for asset in price0 if weights is None or weights[asset] > 0.0]
    places = [[asset for asset in place if asset in sellable] for place in ([counts] if order is None else order)]
    can_sell = sum(bank.units[asset] * price0[asset] for bank in banks for asset in price0 if asset in sellable)
    price, sold, looks = dict(shocked), dict.fromkeys(price0, 0.0), []
    for number in range(1, rounds + 2):
        acts = [act(bank, price, number, limits, weights, places, sellable) for bank in banks]
        looks.append({"acted": sum(acted for _, acted in acts)})
        offered = sum(units * price[asset] for orders, _ in acts for asset, units in orders.items())
        if number == rounds + 1 or offered <= 1e-12 * can_sell:  # worthless sales are not carried out
            break
        before = dict(price)
        for asset, first in price0.items():
            sold[asset] += sum(orders.get(asset, 0.0) for orders, _ in acts)
            price[asset] = shocked[asset] * factor(sold[asset] * first / depth[asset])
        for bank, (orders, _) in zip(banks, acts, strict=True):
            for asset, units in orders.items():
                bank.units[asset] -= units
                bank.cash += units * (before[asset] + price[asset]) / 2.0
    return banks, price, sold, looks
