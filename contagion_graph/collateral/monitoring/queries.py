"""What a monitor knows: accounts, pools, breach prices, the runway, a graph of now."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from contagion_graph.collateral.monitoring import runway as runways
from contagion_graph.collateral.monitoring.account_index import Directory, Triple
from contagion_graph.collateral.monitoring.asset_terms import Listing
from contagion_graph.collateral.monitoring.ledger import NOBODY, Ledger
from contagion_graph.collateral.monitoring.snapshot import graph_of
from contagion_graph.collateral.monitoring.verdict import verdict_of
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import AccountKey
from contagion_graph.margin.model import MarginCascade


class MonitorViews:
    """The questions to a `SolvencyMonitor`; they change nothing."""

    _graph: ExposureGraph
    _ledger: Ledger
    _directory: Directory
    _assets: Listing
    _sequence: int
    _traded: bool

    @property
    def sequence(self) -> int:
        """The number of the last event; 0 before the first."""
        return self._sequence

    @property
    def accounts(self) -> pd.DataFrame:
        """One row an account: equity, maintenance, slack [currency], in_breach."""
        equity, maintenance = self._ledger.values()
        columns = {
            "equity": equity,
            "maintenance": maintenance,
            "slack": equity - maintenance,
            "in_breach": self._ledger.in_breach(),
        }
        return pd.DataFrame(columns, index=self._directory.index())

    @property
    def breached(self) -> list[Triple]:
        """The accounts (trader, pool, subaccount) that are in breach."""
        return [self._directory.label(row) for row in np.flatnonzero(self._ledger.in_breach()).tolist()]

    @property
    def pools(self) -> pd.DataFrame:
        """One row a pool: accounts, breached, insurance_fund, equity, liabilities [currency], solvency."""
        equity, liabilities = self._ledger.pools()
        columns = {
            "accounts": self._ledger.size,
            "breached": self._ledger.sums.breached,
            "insurance_fund": self._ledger.fund,
            "equity": equity,
            "liabilities": liabilities,
        }
        verdict = verdict_of(self._sequence, self._ledger, self._directory, NOBODY)
        return pd.DataFrame(columns, index=verdict.solvency.index, copy=True).assign(solvency=verdict.solvency)

    def account(self, account: AccountKey) -> "pd.Series[float]":
        """Return equity, maintenance and slack of one account [currency], without a look at any other."""
        equity, maintenance = self._ledger.value(self._directory.row_of(account))
        figures = {"equity": equity, "maintenance": maintenance, "slack": equity - maintenance}
        return pd.Series(figures, name=self._directory.label(self._directory.row_of(account)))

    def breach_price(self, account: AccountKey, asset: object) -> float:
        """Return the price of one asset at which an account's equity is its maintenance, all other prices as they are.

        p' = p - (E - M) / (q - mu);  an account in breach recovers there. NaN: at no price above 0.
        """
        row, column = self._directory.row_of(account), self._assets.column_of(asset)
        equity, maintenance = self._ledger.value(row)
        quantity, margin_units = self._ledger.cell(row, column)
        if quantity == margin_units:
            return float("nan")
        price = self._ledger.watch.price[column] - (equity - maintenance) / (quantity - margin_units)
        return float(price) if price > 0.0 else float("nan")

    def runway(self) -> pd.DataFrame:
        """Return how far each price alone can move until the first breach: see `collateral.runway.runway`."""
        return runways.runway(self.snapshot())

    def runway_along(self, direction: Mapping[str, float]) -> runways.Runway:
        """Return how far prices can move along a direction until the first breach: see `collateral.runway`."""
        return runways.runway_along(self.snapshot(), direction)

    def fund_runway(self, model: MarginCascade, direction: Mapping[str, float], *, tol: float = 1e-3) -> float:
        """Return how far prices can move until, after the cascade, a fund has paid: see `collateral.runway`."""
        return runways.fund_runway(self.snapshot(), model, direction, tol=tol)

    def snapshot(self) -> ExposureGraph:
        """Return the state of now as a graph.

        As long as nothing but prices, cash and funds changed, its single positions are those of the first graph; after
        a trade each cell is one fully paid position with a margin of its own.
        """
        return graph_of(self._graph, self._ledger, self._directory, self._assets, traded=self._traded)

    def __repr__(self) -> str:
        verdict = verdict_of(self._sequence, self._ledger, self._directory, NOBODY)
        breached = int(self._ledger.sums.breached.sum())
        return f"<SolvencyMonitor: {self._ledger.n:,} accounts, {breached:,} in breach; {verdict!r:.200}>"
