"""Margins and rules of venues by name: figures with date and source; docs/venues.md says what each leaves out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._cached import OwnTables
from contagion_graph._validate import check_choice, check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.venues.figures import (
    BRACKETS,
    DERIVE_MOVES,
    DOWN,
    HALF,
    LEVERAGE,
    LIQUIDITY_TIERS,
    SAME,
    SPOT_SHOCKS,
    UP,
    Tiers,
)
from contagion_graph.rules.layers import (
    Deleverage,
    GainsHaircut,
    InsuranceFund,
    Layer,
    Members,
    OwnContribution,
    ProRata,
    Purse,
)
from contagion_graph.tables.schema import EVERY

__all__ = ["VenueRules", "binance", "clearing_house", "deribit", "derive", "dydx", "hyperliquid", "okx"]


@dataclass(frozen=True, kw_only=True, eq=False)
class VenueRules(OwnTables):
    """What a venue asks of its accounts: its margins, a cascade with its rules, and what both leave out.

    Parameters
    ----------
    name : str
        Of the venue, and of its grid.
    date : str
        Of the figures.
    sources : tuple of str
        Where the figures stand.
    leaves_out : tuple of str
        What the venue does that is not here.
    model : MarginCascade
        Its liquidations and its waterfall.
    margin_tiers, margin_scenarios : DataFrame or None
        Tables of margins for `ExposureGraph.from_tables`.
    """

    name: str
    date: str
    sources: tuple[str, ...]
    leaves_out: tuple[str, ...]
    model: MarginCascade
    margin_tiers: pd.DataFrame | None = None
    margin_scenarios: pd.DataFrame | None = None

    def apply(self, graph: ExposureGraph) -> ExposureGraph:
        """Return a graph with the margins of the venue.

        Parameters
        ----------
        graph : ExposureGraph
            Its assets have the labels of the venue's tables: "BTC", "ETH". Where the venue has tiers, assets without
            any keep their flat rates; where it has a grid, all accounts are on it; where it has neither, the margins
            stay what they are.

        Returns
        -------
        ExposureGraph

        Raises
        ------
        ParameterError
            No asset of the graph is one of the venue.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[-2_000.0]], price=1e5, assets=["BTC"])
        >>> cg.venues.hyperliquid().apply(graph).maintenance.tolist()
        [3125000.0]
        """
        check_graph(graph)
        tiers, scenarios = self.margin_tiers, self.margin_scenarios
        if tiers is None and scenarios is None:
            return graph
        if tiers is not None:
            tiers = tiers[tiers["asset"].isin(graph.assets)]
            if tiers.empty:
                raise ParameterError(
                    f"{self.name}: it has margin tiers of no asset of the graph; name assets as it does"
                )
            return graph.assign(margin_tiers=tiers)
        assert scenarios is not None, "a venue has tiers or a grid"
        known = scenarios["underlying"].isin([*graph.assets, EVERY])
        grid = [self.name] * len(graph.account_index)
        return graph.assign(margin_scenarios=scenarios[known], account_margin=grid)

    def __repr__(self) -> str:
        return f"<VenueRules: {self.name}, {self.date}; leaves out {len(self.leaves_out)} things>"


def hyperliquid(date: str = "2025") -> VenueRules:
    """Return the margin tiers of Hyperliquid's perpetuals.

    The maintenance rate of a tier is half the initial margin at its highest leverage: 1.25 % of a position in BTC below
    150 million, 2.5 % of what is above. An account in breach sends market orders for the whole of its positions.

    Parameters
    ----------
    date : {"2025"}
        Of the figures.

    Returns
    -------
    VenueRules

    References
    ----------
    Hyperliquid documentation, pages "Margin tiers" (mainnet) and "Liquidations".

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.venues.hyperliquid().margin_tiers.head(2)
      asset        lower    rate
    0   BTC          0.0  0.0125
    1   BTC  150000000.0  0.0250
    """
    check_choice("hyperliquid: date", date, ("2025",))
    tiers = {asset: [(lower, HALF / leverage) for lower, leverage in steps] for asset, steps in LEVERAGE.items()}
    return VenueRules(
        name="hyperliquid",
        date=date,
        sources=("hyperliquid.gitbook.io/hyperliquid-docs/trading/margin-tiers", ".../trading/liquidations"),
        leaves_out=(
            "of a position above 100,000 USDC, 20 % is sold first, and the rest 30 seconds later",
            "which account is the liquidator vault: mark it (accounts.vault), with pools.takeover_below = 2/3",
            "profits and losses of the vault's depositors",
            "assets with one leverage at all sizes: give them margin_long and margin_short of half its inverse",
        ),
        model=MarginCascade(waterfall=(InsuranceFund(), Deleverage("hyperliquid"))),
        margin_tiers=_tier_table(tiers),
    )


def binance(date: str = "2021-03-18") -> VenueRules:
    """Return notional brackets of Binance's USD-margined perpetuals.

    Parameters
    ----------
    date : {"2021-03-18", "2022"}
        "2021-03-18": BTC, XEM, COTI, CHR, MANA, HBAR, ALICE; "2022": ADA (against BUSD) and ZEC.

    Returns
    -------
    VenueRules

    References
    ----------
    Binance announcement of 18 March 2021, "Updates to leverage and margin tiers of Binance Futures contracts"; brackets
    of ADA/BUSD and ZEC/USDT as asserted in the tests of freqtrade (2022-23).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0]], price=300_000.0, assets=["BTC"])
    >>> cg.venues.binance().apply(graph).maintenance.tolist()
    [1700.0]
    """
    check_choice("binance: date", date, tuple(BRACKETS))
    return VenueRules(
        name="binance",
        date=date,
        sources=("binance.com/en/support/announcement/86cf9aa472574b8cb2e05bb751c2a9a6",)
        if date == "2021-03-18"
        else ("github.com/freqtrade/freqtrade, tests of leverage tiers",),
        leaves_out=(
            "portfolio margin and its collateral ratios",
            "liquidation in steps, and its fee",
            "lights that tell traders their place in the queue",
            "all other contracts, and every later change: tiers change often",
        ),
        model=MarginCascade(waterfall=(InsuranceFund(), Deleverage("profit", trigger="fund"))),
        margin_tiers=_tier_table(BRACKETS[date]),
    )


def dydx(liquidity_tiers: Mapping[str, str] | None = None) -> VenueRules:
    """Return the maintenance margins of dYdX v4: a flat rate by liquidity tier.

    The rate is the initial margin times the maintenance fraction of the tier. Open interest raises the initial margin
    alone, so it moves no liquidation. A liquidation costs at most 1.5 % of what it closes, which the fund receives.

    Parameters
    ----------
    liquidity_tiers : mapping of asset to tier, optional
        Of "Large-Cap", "Small-Cap", "Mid-Cap", "Long-Tail", "Safety", "Isolated", "FX"; None: BTC and ETH are
        Large-Cap and SOL is Mid-Cap.

    Returns
    -------
    VenueRules

    References
    ----------
    dYdX documentation, "Markets: liquidity tiers"; proposal "Liquidity tier maintenance" (2024), dydx.forum; v4-chain,
    `perpetuals/lib/lib.go`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.venues.dydx({"BTC": "Large-Cap", "WIF": "Long-Tail"}).margin_tiers
      asset  lower   rate
    0   BTC    0.0  0.012
    1   WIF    0.0  0.100
    """
    named = {"BTC": "Large-Cap", "ETH": "Large-Cap", "SOL": "Mid-Cap"} if liquidity_tiers is None else liquidity_tiers
    if not isinstance(named, Mapping) or not named:
        raise ParameterError("dydx: liquidity_tiers is no mapping of asset to tier, or is empty")
    for asset, tier in named.items():
        check_choice(f"dydx: the liquidity tier of {asset}", tier, tuple(LIQUIDITY_TIERS))
    return VenueRules(
        name="dydx",
        date="2024",
        sources=("docs.dydx.community, governance-adjustable parameters, markets", "dydx.forum/t/2939"),
        leaves_out=(
            "initial margins, which open interest raises",
            "the price at which an order of a liquidation fills, and its limits in a block",
            "counterparties that are skipped because their own bankruptcy prices do not overlap",
        ),
        model=MarginCascade(
            waterfall=(InsuranceFund(), Deleverage("random", trigger="fund", share="margin")),
            penalty=0.015,
            penalty_to_fund=1.0,
        ),
        margin_tiers=_tier_table(
            {asset: [(0.0, float(np.prod(LIQUIDITY_TIERS[tier])))] for asset, tier in named.items()}
        ),
    )


def clearing_house(*, assessments: float = 1.0, gains_haircut: bool = False) -> VenueRules:
    """Return the default waterfall of a central counterparty in the European Union.

    The defaulter's margin and contribution, capital of the clearing house (column skin_in_the_game of table pools), the
    contributions of the other members, then what its own rules add: assessments, and haircuts of gains.

    Parameters
    ----------
    assessments : float
        How many times its contribution a member can be called for once more, at least 0.
    gains_haircut : bool
        Whether variation margin gains are cut after that.

    Returns
    -------
    VenueRules

    References
    ----------
    Regulation (EU) No 648/2012 (EMIR), articles 42 to 45.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> [layer.name for layer in cg.venues.clearing_house(gains_haircut=True).model.waterfall]
    ['own_contribution', 'skin_in_the_game', 'members', 'assessments', 'gains_haircut']
    """
    check_number("clearing_house", "assessments", assessments, low=0)
    further: list[Layer] = [Members(cap=assessments, name="assessments")] if assessments else []
    further += [GainsHaircut()] if gains_haircut else []
    return VenueRules(
        name="clearing_house",
        date="2012",
        sources=("Regulation (EU) No 648/2012, articles 42 to 45",),
        leaves_out=(
            "margins: those of the graph stay",
            "auctions of the defaulter's portfolio: its positions are sold in the books",
            "how soon members replenish their contributions, and a second tranche of capital",
        ),
        model=MarginCascade(waterfall=(OwnContribution(), Purse("skin_in_the_game"), Members(), *further)),
    )


def okx(date: str = "2025-12-04") -> VenueRules:
    """Return the spot shock (MR1) of OKX's portfolio margin: seven moves of the price of each underlying.

    Parameters
    ----------
    date : {"2025-12-04"}
        Of the page that lists the moves.

    Returns
    -------
    VenueRules

    References
    ----------
    OKX help centre, "Portfolio margin mode: cross-margin trading (risk unit merge)", updated 4 December 2025; the moves
    of BTC and ETH hold since 6 January 2025.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0, -1.0, 1.0]], price=100.0, assets=["BTC", "ETH", "LINK"])
    >>> cg.venues.okx().apply(graph).margin_table()[["part", "move", "cost"]].reset_index(drop=True)
       part  move  cost
    0   BTC -0.12  12.0
    1   ETH  0.12  12.0
    2  LINK -0.25  25.0
    """
    check_choice("okx: date", date, ("2025-12-04",))
    rows = [
        ("okx", underlying, sign * size, 1.0, 1.0)
        for underlying, sizes in SPOT_SHOCKS.items()
        for sign, size in ((1.0, 0.0), *((sign, size) for size in sizes for sign in (1.0, -1.0)))
    ]
    return VenueRules(
        name="okx",
        date=date,
        sources=(
            "okx.com/help, Portfolio margin mode: cross-margin trading (risk unit merge)",
            "okx.com/help/okx-will-further-adjust-portfolio-margin-parameters",
        ),
        leaves_out=(
            "moves of volatility: options are margined by moves of the price alone",
            "extreme moves (MR6), of which we know the size but not the weight",
            "theta decay, vega, basis, interest-rate and stablecoin risk (MR2 to MR5, MR9), the minimum charge (MR7)",
            "auto-deleveraging; what the fund cannot pay is uncovered here",
        ),
        model=MarginCascade(waterfall=(InsuranceFund(),)),
        margin_scenarios=_scenario_table(rows),
    )


def deribit(*, days: float = 30.0) -> VenueRules:
    """Return the price and volatility scenarios of Deribit's portfolio margin.

    Nine moves of the price between -16 % and +16 %, each with volatilities up by 0.5 m, the same, and down by 0.25 m, m
    = (30 / days)^0.3 up to 30 days to expiry and (30 / days)^0.13 beyond; 1 % of the underlying for each net short
    option of a strike.

    Parameters
    ----------
    days : float
        To the expiry that the moves of volatility are those of; a grid has one for all options.

    Returns
    -------
    VenueRules

    References
    ----------
    Deribit support, "Portfolio margin" (price moves, their number, volatility up, same, down); deribit.com, "Portfolio
    margin" (contingency of 0.01 a net short option); Oreome documentation, "Advanced risk scenarios" (volatility
    parameters of Deribit's BTC options).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.venues.deribit(days=30.0).margin_scenarios["vol_factor"].unique().tolist()
    [1.5, 1.0, 0.75]
    """
    up, down = _vol_factors("deribit", days, 0.5, 0.25)
    rows = [
        ("deribit", EVERY, move, factor, 1.0)
        for move in np.linspace(-0.16, 0.16, 9).round(4)
        for factor in (up, 1.0, down)
    ]
    return VenueRules(
        name="deribit",
        date="2025",
        sources=(
            "support.deribit.com/hc/en-us/articles/25944756247837-Portfolio-Margin",
            "deribit.com/pages/docs/portfoliomargin",
            "docs.oreome.com/docs/scenario/risk-scenario-advanced",
        ),
        leaves_out=(
            "the extended table, moves of -66 % to +500 %, whose dampener is not published",
            "volatility moves by expiry: all options have those of `days`; the least shocked volatility of 0.5",
            "the contingency of offsetting futures",
            "underlyings other than BTC have other parameters",
        ),
        model=MarginCascade(waterfall=(InsuranceFund(), ProRata("profit"))),
        margin_scenarios=_scenario_table(rows, contingency=0.01),
    )


def derive(*, days: float = 30.0) -> VenueRules:
    """Return the scenarios of Derive's portfolio margin manager (PMRM 2), as its own tests have them.

    23 scenarios of moves up to 18 % and volatilities up by 0.5 m, the same, or down by 0.275 m, and six far ones,
    weighted down by a dampener; all count 0.8. m is that of `deribit`. 0.3 % of the underlying for each net short
    option of a strike.

    Parameters
    ----------
    days : float
        As in `deribit`.

    Returns
    -------
    VenueRules

    References
    ----------
    Derive (Lyra) v2-core, unit tests of PMRM_2; `tests/test_margins.py` has their figures.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0]], price=3_000.0, assets=["ETH"])
    >>> cg.venues.derive().apply(graph).maintenance.round(9).tolist()
    [432.0]
    """
    up, down = _vol_factors("derive", days, 0.5, 0.275)
    factors = {UP: up, SAME: 1.0, DOWN: down}
    rows = [("derive", EVERY, move, factors[vol], 0.8 * weight) for move, vols, weight in DERIVE_MOVES for vol in vols]
    return VenueRules(
        name="derive",
        date="2024",
        sources=("github.com/derivexyz/v2-core, tests of PMRM_2",),
        leaves_out=(
            "volatility moves by expiry: all options have those of `days`; the least shocked volatility of 0.45",
            "discounts of options by expiry, skews, the basis contingency",
            "1.5 % of the price of every perpetual; haircuts of collateral",
            "liquidation by Dutch auction of the whole portfolio",
        ),
        model=MarginCascade(waterfall=(InsuranceFund(),)),
        margin_scenarios=_scenario_table(rows, contingency=0.003),
    )


def _vol_factors(owner: str, days: float, up: float, down: float) -> tuple[float, float]:
    """Return what volatilities are multiplied by in a rise and in a fall."""
    check_number(owner, "days", days, low=1.0)
    m = (30.0 / days) ** (0.3 if days <= 30.0 else 0.13)
    return 1.0 + up * m, 1.0 - down * m


def _tier_table(tiers: Mapping[str, Tiers]) -> pd.DataFrame:
    rows = [(asset, lower, rate) for asset, steps in tiers.items() for lower, rate in steps]
    return pd.DataFrame(rows, columns=["asset", "lower", "rate"]).astype({"asset": "str"})


def _scenario_table(rows: Sequence[tuple[Any, ...]], contingency: float = 0.0) -> pd.DataFrame:
    columns = ["grid", "underlying", "move", "vol_factor", "weight"]
    table = pd.DataFrame(rows, columns=columns).assign(contingency=contingency)
    return table.astype({"grid": "str", "underlying": "str"})
