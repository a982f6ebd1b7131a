"""Vulnerable banks: what one round of sales by banks that return to their leverage costs, and who causes it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._result import Result
from contagion_graph._solution import EXACT, Solution
from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.backing import moved_note
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock, check_graph, check_no_instruments, scenario
from contagion_graph.solvers.arrays import ratio, with_data
from contagion_graph.tables.labels import label_text
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import argument

DEBT_TO_EQUITY = Number("debt over equity", low=0.0, infinite=True)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class VulnerableBanks(Result):
    """One round of sales by banks that return to their leverage; losses and sales count as positive.

    Parameters
    ----------
    model : dict
        The arguments leverage, cap and limited.
    aggregate_vulnerability : float
        AV, what fire sales cost all traders, as a share of their total equity: the sum of `systemicness`.
    systemicness : Series by trader
        S, the part of AV that the trader's sales cause.
    indirect_vulnerability : Series by trader
        IV, what fire sales cost the trader, as a share of its equity; NaN where that is not positive.
    connectedness : Series by trader
        What all traders lose for each unit of currency that the trader sells; 0 where it has nothing to sell.
    direct : Series by trader
        Loss from the shock itself [currency].
    asset_sales : Series by asset
        Currency; below 0 = bought.
    asset_return : Series by asset
        Relative price change that the sales cause.
    solution : Solution
        Exact: one round of products.
    passed_down : int or None
        Assets to whose price the shock was passed down; None: the graph has no backing.
    """

    model: dict[str, Any]
    aggregate_vulnerability: float
    systemicness: "pd.Series[float]"
    indirect_vulnerability: "pd.Series[float]"
    connectedness: "pd.Series[float]"
    direct: "pd.Series[float]"
    asset_sales: "pd.Series[float]"
    asset_return: "pd.Series[float]"
    solution: Solution = EXACT
    passed_down: int | None = None

    @property
    def traders(self) -> pd.DataFrame:
        """One row a trader: direct [currency], systemicness, indirect_vulnerability, connectedness."""
        columns = self.direct, self.systemicness, self.indirect_vulnerability, self.connectedness
        return pd.concat(columns, axis=1).rename_axis("trader")

    @property
    def assets(self) -> pd.DataFrame:
        """One row an asset: asset_sales [currency], asset_return."""
        return pd.concat([self.asset_sales, self.asset_return], axis=1).rename_axis("asset")

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            aggregate_vulnerability; direct (losses from the shock itself), sales [currency]; largest_fall (the largest
            relative fall of a price by the sales); passed_down (assets to whose price the shock was passed down), where
            the graph has a backing.
        """
        figures = {
            "aggregate_vulnerability": self.aggregate_vulnerability,
            "direct": self.direct.sum(),
            "sales": self.asset_sales.sum(),
            "largest_fall": np.max(-self.asset_return.to_numpy(), initial=0.0),
        }
        if self.passed_down is not None:
            figures["passed_down"] = self.passed_down
        return pd.Series(figures, name="value", dtype=np.float64)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"traders": self.traders, "assets": self.assets}

    def __repr__(self) -> str:
        s = self.summary()
        return (
            f"<VulnerableBanks: {len(self.direct):,} traders lose {s['direct']:,.6g} by the shock and sell "
            f"{s['sales']:,.6g}; aggregate vulnerability {s['aggregate_vulnerability']:.4g}"
            f"{moved_note(self.passed_down)}>"
        )


def greenwood_landier_thesmar(
    graph: ExposureGraph, shock: Shock, *, leverage: Any = None, cap: float | None = None, limited: bool = False
) -> VulnerableBanks:
    """Return what the sales of banks that return to their leverage after a shock cost all banks: one linear round.

    An account with assets A_i (the value of its longs), equity E_i, debt-to-equity B_i = max(0, A_i / E_i - 1) and a
    loss R_i from the shock sells B_i R_i, spread over its sellable longs a_ij in proportion to their value before the
    shock: s_ij = a_ij / a_i B_i R_i. Prices move by r_j = -sum_i s_ij / depth_j, and every holder loses
    -sum_j quantity_ij p0_j r_j. An account that gains from the shock buys. With H_j = sum_k quantity_kj p0_j,
    S_i = sum_j s_ij H_j / depth_j / sum E, and AV = sum_i S_i. Results of a trader add up those of its accounts.

    Parameters
    ----------
    graph : ExposureGraph
        Debt is negative cash, or a short, which counts in losses and is not traded; `depth` is 1 / price impact.
    shock : mapping or Series asset -> relative price change
        -0.30 = falls by 30 %.
    leverage : number, array_like, or mapping or Series by account, optional
        B_i >= 0 in place of A_i / E_i - 1; accounts that a mapping does not name keep the latter.
    cap : float, optional
        The most that B_i may be; also that of an account whose equity is not positive.
    limited : bool
        Whether an account sells at most the value that its sellable longs have after the shock. In the paper's matrices
        sales have no limit.

    Returns
    -------
    VulnerableBanks

    Raises
    ------
    ParameterError
        No graph; an account has assets, no positive equity, and neither a leverage nor a cap; total equity is not
        positive; a shock or a leverage that the graph does not know or that is out of range.

    References
    ----------
    Greenwood, Landier & Thesmar (2015), J. Financial Economics 115(3): AV = 1'A M L M'B A M f / E.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[50.0, 50.0], [0.0, 80.0]], price=1.0, depth=1e4, cash=[-90.0, -70.0], assets=["X", "Y"]
    ... )
    >>> banks = cg.named.greenwood_landier_thesmar(graph, {"X": -0.1})
    >>> banks.asset_sales.round(6).tolist()
    [22.5, 22.5]
    >>> banks.indirect_vulnerability.round(6).tolist()
    [0.0225, 0.018]
    """
    check_graph(graph)
    check_no_instruments(graph, "greenwood_landier_thesmar")
    case = scenario(graph, shock)
    change = case.price_shocked - graph.price
    equity = graph._rows.equity
    total_equity = float(equity.sum())
    if not total_equity > 0.0:
        raise ParameterError(f"total equity is {total_equity:g}; vulnerability is a share of it and needs it positive")
    units = graph.quantity.data
    held, tradable = _values(graph, units), _values(graph, np.maximum(units, 0.0), sold=True)
    loss = -(graph.quantity @ change)
    amount = _debt_to_equity(graph, leverage, cap) * loss
    if limited:
        amount = np.minimum(amount, tradable @ (1.0 + change / graph.price))
    can_sell = tradable.sum(axis=1)
    part = ratio(amount, can_sell, 0.0)
    sales = tradable.T @ part
    returns = -sales / graph.depth
    caused = tradable @ (held.sum(axis=0) / graph.depth)

    systemicness = pd.Series(graph._rows.per_trader(part * caused) / total_equity, graph.traders, name="systemicness")
    vulnerability = ratio(graph._rows.per_trader(-(held @ returns)), graph._rows.per_trader(equity), np.nan)
    connectedness = ratio(graph._rows.per_trader(caused), graph._rows.per_trader(can_sell), 0.0)
    return VulnerableBanks(
        model={"leverage": leverage, "cap": cap, "limited": limited},
        aggregate_vulnerability=float(systemicness.sum()),
        systemicness=systemicness,
        indirect_vulnerability=pd.Series(vulnerability, graph.traders, name="indirect_vulnerability"),
        connectedness=pd.Series(connectedness, graph.traders, name="connectedness"),
        direct=pd.Series(graph._rows.per_trader(loss), graph.traders, name="direct"),
        asset_sales=pd.Series(sales, graph.assets, name="asset_sales"),
        asset_return=pd.Series(returns, graph.assets, name="asset_return"),
        passed_down=case.passed_down,
    )


def _values(graph: ExposureGraph, units: FloatArray, *, sold: bool = False) -> sparse.csr_array:
    """Return units x p0 in the cells of `graph.quantity`, 0 in assets that are not sellable if they are to be sold."""
    q, price = graph.quantity, np.where(graph.sellable, graph.price, 0.0) if sold else graph.price
    return with_data(q, units * price[q.indices])


def _debt_to_equity(graph: ExposureGraph, leverage: Any, cap: float | None) -> FloatArray:
    """Return B_i of every account, as given or else A_i / E_i - 1, at most `cap`; refuse to guess an infinite one."""
    assets, equity = (graph._rows.initial.value + graph._rows.initial.gross) / 2.0, graph._rows.equity
    debt = np.where(assets > 0.0, np.maximum(ratio(assets, equity, np.inf) - 1.0, 0.0), 0.0)
    if leverage is not None:
        debt = argument("leverage", leverage, graph.account_index, DEBT_TO_EQUITY, base=debt)
    if cap is not None:
        check_number("greenwood_landier_thesmar", "cap", cap, low=0)
        debt = np.minimum(debt, cap)
    without = np.flatnonzero(np.isinf(debt))
    if without.size:
        account = label_text(graph.account_index[without[0]])
        more = f" (+{without.size - 1} more)" if without.size > 1 else ""
        raise ParameterError(
            f"account {account!r}{more} has equity {equity[without[0]]:g} and so no leverage to return to; give a cap, "
            "or its leverage"
        )
    return debt
