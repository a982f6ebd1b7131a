"""Fire-sale models of the literature by name: margin cascades with the rules of each paper.

docs/models has one page a model; it says which parts of the paper are not expressed.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from contagion_graph._validate import check_number
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.margin.literature.overlapping_portfolios import caccioli_stability
from contagion_graph.margin.literature.regulated_banks import RegulatedBanks, farmer
from contagion_graph.margin.literature.vulnerable_banks import VulnerableBanks, greenwood_landier_thesmar
from contagion_graph.margin.model import MarginCascade
from contagion_graph.rules.capital import CapitalRatio
from contagion_graph.rules.impact import ExponentialImpact, FloorExponentialImpact, LinearImpact
from contagion_graph.rules.layers import InsuranceFund
from contagion_graph.rules.liquidation import FullLiquidation, LeverageTarget
from contagion_graph.rules.square_root import SquareRootImpact
from contagion_graph.solvers.arrays import with_data

__all__ = [
    "CapitalRatio",
    "RegulatedBanks",
    "VulnerableBanks",
    "breuer_summer_urosevic",
    "caccioli",
    "caccioli_stability",
    "cont_schaanning",
    "farmer",
    "greenwood_landier_thesmar",
    "huang",
    "with_market_depth",
    "without_margins",
]


def cont_schaanning(
    cap: float = 33.0, *, target: float | None = None, floor: float = 0.5, alpha: float = 0.5
) -> MarginCascade:
    """Return the model of Cont & Schaanning: banks above a leverage cap sell down to a target, prices have a floor.

    In a round, bank i with A_i / E_i > cap sells the share Gamma_i = min(1, (A_i - target E_i) / A_c,i) of its
    marketable assets; q units of an asset lower its price S by the share (1 - b S0 / S) (1 - exp(-q S / delta)), with
    S0 the shocked price and delta = (1 - b) depth; bank i bears (1 - (1 - alpha) Gamma_i) of that on what it held.

    Parameters
    ----------
    cap : float
        Leverage above which a bank sells, 33 in the paper's stress tests.
    target : float, optional
        Leverage after the sale, above 1 and at most `cap`; 0.95 cap where it is not given.
    floor : float
        b in [0, 1), the price to which no sale brings an asset, as a share of the shocked price.
    alpha : float
        Implementation shortfall in [0, 1]: the part of its round's price fall that a seller bears on what it sells.

    Returns
    -------
    MarginCascade
        For graphs whose loans stand in assets that are not sellable; `depth` is c ADV sqrt(tau) / sigma [currency]: ADV
        the daily volume, sigma the daily volatility, tau the days that a sale may take, c = 0.4.

    References
    ----------
    Cont & Schaanning (2017), Norges Bank Working Paper 2/2017.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.named.cont_schaanning(cap=20).liquidation
    LeverageTarget(cap=20, target=19.0)
    """
    check_number("cont_schaanning", "cap", cap, low=1, above=True)
    return MarginCascade(
        liquidation=LeverageTarget(cap, target=0.95 * cap if target is None else target),
        impact=FloorExponentialImpact(floor, volume="current"),
        waterfall=(InsuranceFund(),),
        trade_price_weight=alpha,
    )


def breuer_summer_urosevic(cap: float, *, coefficient: Any) -> MarginCascade:
    """Return the model of Breuer, Summer & Urosevic: banks sell down to a leverage cap, impact is a square root.

    With delta_j the relative fall of price j, S_ij the holdings of marketable assets, L_i loans and e_i equity after
    the shock, bank i sells theta_i = clip(1 - (cap (e_i - (S delta)_i) - L_i) / (S (1 - delta))_i, 0, 1), 1 where its
    equity is gone, and delta_j = c_j sqrt((S' theta)_j / V_j). The model's answer is the least and the greatest
    solution of these equations: `equilibria`. `run` gives a path of irreversible sales, which is not in the paper.

    Parameters
    ----------
    cap : float
        Leverage that no bank may exceed, above 1.
    coefficient : float, or mapping or Series of asset to float
        c_j = kappa sigma_j: impact parameter times daily volatility.

    Returns
    -------
    MarginCascade
        For graphs with S_ij units at price 1, `depth` the daily trading volume V_j [currency], L_i units of an asset
        that is not sellable, and cash e_i - L_i - sum_j S_ij.

    References
    ----------
    Breuer, Summer & Urosevic (2023), J. Financial Stability 67.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.named.breuer_summer_urosevic(33.0, coefficient=0.01).liquidation
    LeverageTarget(cap=33.0, target=33.0)
    """
    return MarginCascade(
        liquidation=LeverageTarget(cap, target=cap), impact=SquareRootImpact(coefficient), waterfall=(InsuranceFund(),)
    )


def caccioli() -> MarginCascade:
    """Return the model of Caccioli et al.: a bank below zero sells all it has, prices fall exponentially.

    The price of asset j is p_j = p_shocked_j exp(-alpha x_j) with x_j the share of all there is of it that has been
    sold; that alpha lies in `depth`, see `with_market_depth`. Bank i defaults when E_i < 0.

    Returns
    -------
    MarginCascade
        For graphs without margins, see `without_margins`, and with depth = market value / alpha.

    References
    ----------
    Caccioli, Shrestha, Moore & Farmer (2014), J. Banking & Finance 46; alpha = 1.0536 there: selling a tenth of an
    asset lowers its price by a tenth.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0], [90.0]], price=1.0, cash=[-9.0, -80.0])
    >>> graph = cg.named.with_market_depth(graph, alpha=1.0536)
    >>> result = cg.named.caccioli().run(graph, defaults=["0"])
    >>> result.assets["price_after"].round(4).tolist()
    [0.9]
    """
    return MarginCascade(liquidation=FullLiquidation(), impact=ExponentialImpact(), waterfall=(InsuranceFund(),))


def huang() -> MarginCascade:
    """Return the model of Huang et al.: each bank that fails takes alpha times its holding off an asset's market value.

    The price of asset j is p_j = p_shocked_j max(0, 1 - alpha x_j) with x_j the share of all there is of it that
    failed banks held; that alpha lies in `depth`, see `with_market_depth`. Bank i fails when its assets are worth less
    than its liabilities, E_i < 0.

    Returns
    -------
    MarginCascade
        For graphs without margins, see `without_margins`, and with depth = market value / alpha.

    References
    ----------
    Huang, Vodenska, Havlin & Stanley (2013), Scientific Reports 3:1219.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0], [90.0]], price=1.0, cash=[-9.0, -60.0])
    >>> result = cg.named.huang().run(cg.named.with_market_depth(graph, alpha=0.5), {"0": -0.2})
    >>> result.assets["price_after"].round(6).tolist()
    [0.76]
    """
    return MarginCascade(liquidation=FullLiquidation(), impact=LinearImpact(), waterfall=(InsuranceFund(),))


def with_market_depth(graph: ExposureGraph, alpha: float) -> ExposureGraph:
    """Return the graph with depth = market value / alpha in each asset, its market value all that is held long.

    Then x_j = alpha times the share of the asset that has been sold, whatever its unit. An asset without longs
    has no market value here, and infinite depth.

    Parameters
    ----------
    graph : ExposureGraph
        All holdings of the assets, longs and shorts.
    alpha : float
        Above 0; -10 log(0.9) = 1.0536 where selling a tenth shall lower an exponential price by a tenth.

    Returns
    -------
    ExposureGraph

    Raises
    ------
    ParameterError
        What is no graph, or an alpha that is not above 0.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0, 0.0], [3.0, -1.0]], price=[10.0, 5.0])
    >>> with_market_depth(graph, alpha=0.5).depth.tolist()
    [100.0, inf]
    """
    check_graph(graph)
    check_number("with_market_depth", "alpha", alpha, low=0, above=True)
    units = np.maximum(graph.quantity.data, 0.0)
    longs = np.bincount(graph.quantity.indices, weights=units, minlength=len(graph.assets))
    return graph.assign(depth=np.where(longs > 0.0, longs * graph.price / alpha, np.inf))


def without_margins(graph: ExposureGraph) -> ExposureGraph:
    """Return the graph with every margin at 0, so that an account is in breach when its equity is below 0.

    Parameters
    ----------
    graph : ExposureGraph
        Its margins may be anything.

    Returns
    -------
    ExposureGraph
        The same accounts, positions and prices.

    Raises
    ------
    ParameterError
        What is no graph.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0]], price=[10.0], margin_long=0.1)
    >>> without_margins(graph).maintenance.tolist()
    [0.0]
    """
    check_graph(graph)
    q, none = graph.quantity, np.zeros(len(graph.assets))
    records = graph.records
    return replace(
        graph,
        margin_units=with_data(q, np.zeros_like(q.data)),
        margin_long=none,
        margin_short=none.copy(),
        records=None if records is None else replace(records, margin=np.zeros_like(records.margin)),
        margin_tiers=None,
        account_margin=None,
    )
