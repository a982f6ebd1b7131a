"""Real-time validation: which accounts are in breach, and how solvent each pool is, after each event."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._validate import ROUNDING
from contagion_graph.collateral.monitoring.account_index import Directory
from contagion_graph.collateral.monitoring.asset_terms import Listing
from contagion_graph.collateral.monitoring.instruments import Instruments
from contagion_graph.collateral.monitoring.ledger import Crossed, Ledger, together
from contagion_graph.collateral.monitoring.queries import MonitorViews
from contagion_graph.collateral.monitoring.validate_events import check_scale, following, number, share
from contagion_graph.collateral.monitoring.verdict import Verdict, verdict_of
from contagion_graph.errors import EventError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import AccountKey, check_graph
from contagion_graph.tables.labels import label_text


class SolvencyMonitor(MonitorViews):
    """Equity, maintenance and slack of every account, kept true under a stream of events.

    E_i = cash_i + sum_j q_ij p_j,  M_i = sum_j mu_ij p_j;  in breach: E_i < M_i. Where an asset has margin tiers, or
    the account is on a scenario grid, these say M_i (docs/margins.md). Each event returns a `Verdict`: the accounts
    that came into breach and out of it, the solvency of every pool, (fund + sum of E) / (sum of positive E).
    After a price only the accounts whose trigger prices it has reached are valued again (docs/monitor.md). An event
    that is out of order, that is a duplicate, or that cannot have happened raises `EventError`; nothing is changed.

    Parameters
    ----------
    graph : ExposureGraph
        The state before the first event; it stays as it is. Numbers, here and in events, are at most 1e100 in size.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[2.0], [1.0]], price=[100.0], margin_long=0.1, cash=[-150.0, 0.0], traders=["A", "B"], assets=["ETH"]
    ... )
    >>> monitor = cg.SolvencyMonitor(graph)
    >>> monitor.breach_price("A", "ETH")
    83.33333333333333
    >>> monitor.price("ETH", 80.0).breached
    [('A', 'pool', '')]
    >>> monitor.deposit("A", 10.0)
    <Verdict 2: 0 breached, 1 recovered; solvency 1.0000>
    """

    def __init__(self, graph: ExposureGraph) -> None:
        check_graph(graph)
        check_scale(graph)
        self._graph, self._ledger = graph, Ledger(graph)
        self._directory, self._assets = Directory(graph.account_index), Listing(graph)
        self._instruments = None if graph._price_map is None else Instruments(graph._price_map)
        self._sequence, self._traded = 0, False

    # --- events -------------------------------------------------------------------------------------------------------

    def price(self, asset: object, price: float, *, sequence: int | None = None) -> Verdict:
        """Put the price of one asset in force; instruments that are priced from it follow.

        Parameters
        ----------
        asset : label
            The asset.
        price : float
            Above 0 [currency per unit].
        sequence : int, optional
            The number of the event, above that of the last one; None: the next number.

        Returns
        -------
        Verdict
            The accounts that came into breach or out of it, and the solvency of every pool after the event.

        Raises
        ------
        EventError
            An unknown asset, a price that is not above 0, a sequence number that is not above the last one; nothing is
            changed.
        """
        return self.prices({asset: price}, sequence=sequence)

    def prices(self, prices: "Mapping[Any, float] | pd.Series[float]", *, sequence: int | None = None) -> Verdict:
        """Put several prices in force at once.

        Parameters
        ----------
        prices : mapping or Series asset -> price
            Above 0 [currency per unit]; assets that it does not name keep theirs. Instruments that it does not name
            follow their underlyings; what one that it names is worth beyond its value stays the same from then on.
        sequence : int, optional
            The number of the event, above that of the last one; None: the next number.

        Returns
        -------
        Verdict
            The accounts that came into breach or out of it, and the solvency of every pool after the event.

        Raises
        ------
        EventError
            An unknown asset or one that is named twice, no asset at all, a price that is not above 0, a sequence
            number that is not above the last one; nothing is changed.
        """
        this = following(self._sequence, sequence)
        columns = [self._assets.column_of(asset) for asset in prices.keys()]  # noqa: SIM118 - of a Series, too
        values = [number(f"the price of {asset!r}", price, least=0, above=True) for asset, price in prices.items()]
        if len(set(columns)) < len(columns) or not columns:
            raise EventError(f"the prices of {list(prices.keys())!r:.80} do not name each asset once")
        moved = np.array(columns, dtype=np.int64), np.array(values)
        if self._instruments is not None:
            moved = self._instruments.moved(self._ledger.watch.price, *moved)
        return self._done(this, self._ledger.move(*moved))

    def trade(
        self,
        account: AccountKey,
        asset: object,
        quantity: float,
        price: float,
        *,
        against: AccountKey | None = None,
        margin: float | None = None,
        fee: float = 0.0,
        fee_against: float = 0.0,
        sequence: int | None = None,
    ) -> Verdict:
        """Let an account buy, or sell, units of an asset: its cash falls by quantity * price + fee.

        A trade that closes a position but for rounding (1e-12 of it) closes it whole.

        Parameters
        ----------
        account : trader, or (trader, pool, subaccount)
            The account that trades; a trader alone where it has one account.
        asset : label
            The asset.
        quantity : float
            Units; + bought, - sold.
        price : float
            From 0 up [currency per unit]; the price at which positions are valued stays.
        against : trader, or (trader, pool, subaccount), optional
            The account on the other side; None: one outside the graph.
        margin : float, optional
            Margin rate, 0 to 1, of what the trade opens; None: the asset's for this side. What it closes takes its part
            of the margin away. None where the asset has margin tiers, or an account is on a scenario grid.
        fee, fee_against : float
            What the account, and the one on the other side, pays; below 0: a rebate [currency].
        sequence : int, optional
            The number of the event, above that of the last one; None: the next number.

        Returns
        -------
        Verdict
            The accounts that came into breach or out of it, and the solvency of every pool after the event.

        Raises
        ------
        EventError
            An unknown account or asset, a quantity of 0, the same account on both sides, a price or margin out of
            range, a fee of the other side where there is none, a sequence number that is not above the last one;
            nothing is changed.
        """
        this = following(self._sequence, sequence)
        row, column = self._directory.row_of(account), self._assets.column_of(asset)
        other = None if against is None else self._directory.row_of(against)
        units, paid = number("quantity", quantity), number("price", price, least=0)
        if units == 0.0 or other == row:
            raise EventError("a trade needs a quantity other than 0, and two accounts")
        rates = self._assets.rates(column)
        if margin is not None:
            self._check_rate(asset, column, account, row, against, other)
            rates = (share("margin", margin),) * 2
        cost = units * paid
        fees = number("fee", fee), number("fee_against", fee_against)
        if other is None and fees[1]:
            raise EventError("fee_against needs an account on the other side; name it by against=")
        self._traded = True
        crossed = [self._ledger.change(row, -cost - fees[0], column=column, units=units, rates=rates)]
        if other is not None:
            crossed.append(self._ledger.change(other, cost - fees[1], column=column, units=-units, rates=rates))
        return self._done(this, *crossed)

    def deposit(
        self, account: AccountKey, amount: float, *, asset: object = None, sequence: int | None = None
    ) -> Verdict:
        """Add cash, or units of an asset, to an account.

        Parameters
        ----------
        account : trader, or (trader, pool, subaccount)
            The account that receives it; a trader alone where it has one account.
        amount : float
            Above 0 [currency, or units of `asset`].
        asset : label, optional
            The asset, margined at its rate for long positions; None: cash.
        sequence : int, optional
            The number of the event, above that of the last one; None: the next number.

        Returns
        -------
        Verdict
            The accounts that came into breach or out of it, and the solvency of every pool after the event.

        Raises
        ------
        EventError
            An unknown account or asset, an amount that is not above 0, a sequence number that is not above the last
            one; nothing is changed.
        """
        this = following(self._sequence, sequence)
        row, added = self._directory.row_of(account), number("amount", amount, least=0, above=True)
        return self._done(this, self._transfer(row, added, asset))

    def charge(self, account: AccountKey, amount: float, *, sequence: int | None = None) -> Verdict:
        """Take an amount from the cash of an account, whatever that leaves: funding, interest, a fee, a correction.

        Parameters
        ----------
        account : trader, or (trader, pool, subaccount)
            The account; a trader alone where it has one account.
        amount : float
            What the account pays; below 0: what it receives [currency].
        sequence : int, optional
            The number of the event, above that of the last one; None: the next number.

        Returns
        -------
        Verdict
            The accounts that came into breach or out of it, and the solvency of every pool after the event.

        Raises
        ------
        EventError
            An unknown account, an amount that is no number, a sequence number that is not above the last one; nothing
            is changed.
        """
        this, row = following(self._sequence, sequence), self._directory.row_of(account)
        return self._done(this, self._ledger.change(row, -number("amount", amount)))

    def withdraw(
        self,
        account: AccountKey,
        amount: float,
        *,
        asset: object = None,
        force: bool = False,
        sequence: int | None = None,
    ) -> Verdict:
        """Take cash, or units of an asset, out of an account; refused where that would leave it in breach.

        What is more than there is by rounding only (1e-12 of the account) takes what there is.

        Parameters
        ----------
        account : trader, or (trader, pool, subaccount)
            The account; a trader alone where it has one account.
        amount : float
            Above 0 [currency, or units of `asset`]; of an asset, no more than is held.
        asset : label, optional
            The asset, of which the same share of the margin goes with it; None: cash.
        force : bool
            Whether the withdrawal has happened, whatever it leaves: a posting of a ledger.
        sequence : int, optional
            The number of the event, above that of the last one; None: the next number.

        Returns
        -------
        Verdict
            The accounts that came into breach or out of it, and the solvency of every pool after the event.

        Raises
        ------
        EventError
            An unknown account or asset, more than is held, an amount after which equity would be below maintenance, a
            sequence number that is not above the last one; nothing is changed.
        """
        this = following(self._sequence, sequence)
        row, taken = self._directory.row_of(account), number("amount", amount, least=0, above=True)
        if not force:
            taken = self._allowed(row, taken, asset)
        return self._done(this, self._transfer(row, -taken, asset))

    def fund(self, pool: object, amount: float, *, sequence: int | None = None) -> Verdict:
        """Add an amount to the insurance fund of a pool, or take it out.

        Parameters
        ----------
        pool : label
            The pool.
        amount : float
            Added to the fund; below 0: taken out [currency].
        sequence : int, optional
            The number of the event, above that of the last one; None: the next number.

        Returns
        -------
        Verdict
            The accounts that came into breach or out of it, and the solvency of every pool after the event.

        Raises
        ------
        EventError
            An unknown pool, a fund that would fall below 0, a sequence number that is not above the last one; nothing
            is changed.
        """
        this, added = following(self._sequence, sequence), number("amount", amount)
        if str(pool) not in self._directory.pools:
            raise EventError(f"pool {str(pool)!r} is unknown; there are {self._directory.pools}")
        number_of = self._directory.pools.index(str(pool))
        number("the fund after it", float(self._ledger.fund[number_of]) + added, least=0)
        self._ledger.fund[number_of] += added
        return self._done(this)

    def open_account(self, account: AccountKey, *, cash: float = 0.0, sequence: int | None = None) -> Verdict:
        """Open an account without positions.

        Parameters
        ----------
        account : trader, or (trader, pool, subaccount)
            A new label; a trader alone where there is one pool.
        cash : float
            What is paid in, from 0 up [currency].
        sequence : int, optional
            The number of the event, above that of the last one; None: the next number.

        Returns
        -------
        Verdict
            The accounts that came into breach or out of it, and the solvency of every pool after the event.

        Raises
        ------
        EventError
            An account that is open already, an unknown pool, an incomplete label, cash below 0, a sequence number that
            is not above the last one; nothing is changed.
        """
        this, paid_in = following(self._sequence, sequence), number("cash", cash, least=0)
        triple = self._directory.triple(account)
        self._ledger.open_account(self._directory.pools.index(triple[1]), paid_in)
        self._directory.add(triple)
        return self._done(this)

    def list_asset(self, asset: object, price: float, *, sequence: int | None = None, **terms: Any) -> Verdict:
        """List an asset that no account holds yet.

        Parameters
        ----------
        asset : label
            A new label.
        price : float
            Above 0 [currency per unit].
        sequence : int, optional
            The number of the event, above that of the last one; None: the next number.
        **terms : depth, margin_long, margin_short, sellable
            As in table assets, with its defaults.

        Returns
        -------
        Verdict
            The accounts that came into breach or out of it, and the solvency of every pool after the event.

        Raises
        ------
        EventError
            An asset that is listed already, an unknown term, a price or term out of range, a sequence number that is
            not above the last one; nothing is changed.
        """
        this, at = following(self._sequence, sequence), number("price", price, least=0, above=True)
        self._assets.add(asset, terms)
        self._ledger.list_asset(at)
        if self._ledger.grids.rows.size:
            margins = self.snapshot()._margins
            assert margins is not None, "there are accounts on grids"
            self._ledger.put_grids(margins)
        return self._done(this)

    # --- internals ----------------------------------------------------------------------------------------------------

    def _done(self, sequence: int, *crossed: Crossed) -> Verdict:
        self._sequence = sequence
        return verdict_of(sequence, self._ledger, self._directory, together(crossed))

    def _check_rate(self, asset: object, column: int, *sides: Any) -> None:
        """Refuse a margin rate of a trade where tiers or a grid say the margin."""
        if self._ledger.has_tiers(np.array([column]))[0]:
            raise EventError(f"margin is given, and asset {str(asset)!r} has margin tiers; leave it out")
        for account, row in zip(sides[::2], sides[1::2], strict=True):
            if row is not None and row in self._ledger.grids:
                raise EventError(
                    f"margin is given, and account {label_text(account)!r} is on a scenario grid; leave it out"
                )

    def _allowed(self, row: int, taken: float, asset: object) -> float:
        """Return what is withdrawn: what is asked for, or, where that is more by rounding only, what there is."""
        equity, maintenance = self._ledger.value(row)
        price, left = 1.0, equity - maintenance - taken
        if asset is not None:
            column = self._assets.column_of(asset)
            held, _ = self._ledger.cell(row, column)
            if taken > held * (1.0 + ROUNDING):
                raise EventError(f"{taken:g} of {asset!r} cannot be withdrawn; the account holds {held:g}")
            taken, price = min(taken, held), float(self._ledger.watch.price[column])
            equity_left, maintenance_left = self._ledger.value_after(row, column, -taken)
            left = equity_left - maintenance_left
        if left >= 0.0:
            return taken
        if -left > ROUNDING * (abs(equity) + maintenance + taken * price):
            raise EventError(f"{taken:g} cannot be withdrawn; the account would be {-left:g} below its maintenance")
        return taken + left if asset is None else taken

    def _transfer(self, row: int, amount: float, asset: object) -> Crossed:
        if asset is None:
            return self._ledger.change(row, amount)
        column = self._assets.column_of(asset)
        self._traded = True
        return self._ledger.change(row, 0.0, column=column, units=amount, rates=self._assets.rates(column))
