"""The queries of a monitor: accounts, pools, breach prices, the runway, the present graph."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from contagion_graph.collateral.monitoring import runway as runways
from contagion_graph.collateral.monitoring.account_index import Directory, Triple
from contagion_graph.collateral.monitoring.asset_terms import Listing
from contagion_graph.collateral.monitoring.instruments import Instruments
from contagion_graph.collateral.monitoring.ledger import NO_ACCOUNT, Ledger
from contagion_graph.collateral.monitoring.snapshot import graph_of
from contagion_graph.collateral.monitoring.verdict import verdict_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import AccountKey
from contagion_graph.margin.model import MarginCascade


class MonitorViews:
    """The queries of a `SolvencyMonitor`; they change nothing."""

    _graph: ExposureGraph
    _ledger: Ledger
    _directory: Directory
    _assets: Listing
    _instruments: Instruments | None
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
        verdict = verdict_of(self._sequence, self._ledger, self._directory, NO_ACCOUNT)
        return pd.DataFrame(columns, index=verdict.solvency.index, copy=True).assign(solvency=verdict.solvency)

    def account(self, account: AccountKey) -> "pd.Series[float]":
        """Return equity, maintenance and slack of one account; no other account is read.

        Parameters
        ----------
        account : trader, or (trader, pool, subaccount)
            The account; a trader alone where it has one account.

        Returns
        -------
        Series
            equity, maintenance, slack [currency].

        Raises
        ------
        ParameterError
            An unknown account, or a trader with several.
        """
        row = self._directory.row_of(account, ParameterError)
        equity, maintenance = self._ledger.value(row)
        figures = {"equity": equity, "maintenance": maintenance, "slack": equity - maintenance}
        return pd.Series(figures, name=self._directory.label(row))

    def breach_price(self, account: AccountKey, asset: object) -> float:
        """Return the price of one asset at which an account's equity is its maintenance, all other prices as they are.

        p' = p - (E - M) / (q - mu);  an account in breach recovers there. On margin tiers and scenario grids, where the
        piece of the margin that then binds has it. Not of an asset from which others are priced:
        their prices would move too.

        Parameters
        ----------
        account : trader, or (trader, pool, subaccount)
            The account; a trader alone where it has one account.
        asset : label
            The asset whose price moves.

        Returns
        -------
        float
            p' [currency per unit]; NaN: at no price above 0.

        Raises
        ------
        ParameterError
            An unknown account or asset, or a trader with several accounts; an underlying of instruments.
        """
        row = self._directory.row_of(account, ParameterError)
        column = self._assets.column_of(asset, ParameterError)
        if self._instruments is not None and column in self._instruments.underlyings:
            raise ParameterError(
                f"breach_price: instruments are priced from {str(asset)!r}, so that their prices move with it; ask for "
                "the breach price of an instrument, or of an asset from which none is priced"
            )
        if row in self._ledger.grids or self._ledger.has_tiers(np.array([column]))[0]:
            move = self._ledger.breach_move(row, column)
            now = float(self._ledger.watch.price[column])
            return now + now * move if move > -1.0 else float("nan")
        equity, maintenance = self._ledger.value(row)
        quantity, margin_units = self._ledger.cell(row, column)
        if quantity == margin_units:
            return float("nan")
        price = self._ledger.watch.price[column] - (equity - maintenance) / (quantity - margin_units)
        return float(price) if price > 0.0 else float("nan")

    def runway(self) -> pd.DataFrame:
        """Return how far the price of each asset alone can move until the first account breaches.

        x_j = min_i s_i / (|d_ij| p_j),  s = E - M >= 0, d = q - mu, over the accounts with d_ij > 0 (fall) or < 0
        (rise).

        Returns
        -------
        DataFrame
            One row an asset: fall, rise (relative moves above 0; NaN: none before the price is 0), and trader_fall,
            trader_rise: the trader whose account breaches first. Accounts that are in breach already do not count.
        """
        return runways.runway(self.snapshot())

    def runway_along(self, direction: Mapping[str, float]) -> runways.Runway:
        """Return how far all prices can move along a direction until the first account breaches.

        t = min_i s_i / -(sum_j d_ij p_j direction_j), over the accounts that lose; prices become p (1 + t direction).

        Parameters
        ----------
        direction : mapping or Series asset -> relative price change
            {"ETH": -1, "BTC": -0.5}: BTC falls half as much as ETH, in relative terms.

        Returns
        -------
        Runway
            t, and the account that breaches first.

        Raises
        ------
        ParameterError
            Unknown assets; changes that are no finite numbers, or all 0.
        """
        return runways.runway_along(self.snapshot(), direction)

    def fund_runway(self, model: MarginCascade, direction: Mapping[str, float], *, tol: float = 1e-3) -> float:
        """Return the smallest move along a direction after whose cascade an insurance fund has paid.

        Parameters
        ----------
        model : MarginCascade
            How accounts are liquidated.
        direction : mapping or Series asset -> relative price change
            As in `runway_along`.
        tol : float
            Width of the last interval, as a multiple of the direction.

        Returns
        -------
        float
            The multiple of the direction; NaN: no fund pays before a price is 0, or, where none falls, has doubled.

        Raises
        ------
        ParameterError
            What is no model; unknown assets; changes that are no finite numbers, or all 0; `tol` out of range.
        """
        return runways.fund_runway(self.snapshot(), model, direction, tol=tol)

    def snapshot(self) -> ExposureGraph:
        """Return the present state as a graph.

        As long as nothing but prices, cash and funds changed, its single positions are those of the first graph; after
        a trade each cell is one fully paid position with a margin of its own.

        Returns
        -------
        ExposureGraph
            The accounts, assets, prices, cash and funds after the last event; later events do not change it.
        """
        return graph_of(self._graph, self._ledger, self._directory, self._assets, traded=self._traded)

    def __repr__(self) -> str:
        verdict = verdict_of(self._sequence, self._ledger, self._directory, NO_ACCOUNT)
        breached = int(self._ledger.sums.breached.sum())
        return f"<SolvencyMonitor: {self._ledger.n:,} accounts, {breached:,} in breach; {verdict!r:.200}>"
