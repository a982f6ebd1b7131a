"""The runway: how far prices can move until the first breach, and until the insurance fund is used.

The bound on moves is explained in docs/screening.md; with one price alone it is exact.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.collateral.monitoring.breach_moves import slack_lines
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.graph.backing import is_backed, paths_of, refuse_backing
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.rows import cells_of
from contagion_graph.graph.scenario import check_graph, check_no_instruments
from contagion_graph.margin.model import MarginCascade, check_run
from contagion_graph.solvers.arrays import ratio, row_of_cells, with_data
from contagion_graph.solvers.ray_search import ray_search
from contagion_graph.tables.vectors import row_of

ORDER = ["fall", "rise", "trader_fall", "trader_rise"]
N_POINTS = 16  # moves that are tried before bisection
Rows = np.ndarray[Any, Any]
USED = 1e-9  # a fund is used where it pays more than this share of gross value


@dataclass(frozen=True)
class Runway:
    """How far prices can move along a direction, and the first account in breach.

    Parameters
    ----------
    move : float
        The multiple of the direction; NaN: no account breaches before a price is 0.
    account : tuple or None
        The first account in breach: (trader, pool, subaccount).
    """

    move: float
    _: KW_ONLY
    account: tuple[str, ...] | None


def runway(graph: ExposureGraph) -> pd.DataFrame:
    """Return how far the price of each asset alone can move until the first account breaches.

    x_j = min_i s_i / (|d_ij| p_j),  s = E - M >= 0, d = q - mu, over the accounts with d_ij > 0 (fall) or < 0 (rise).
    Where the graph has a backing, what is made of the asset moves with it: D (I - W)^-1 instead of D = (d_ij p_j).

    Parameters
    ----------
    graph : ExposureGraph
        At present prices.

    Returns
    -------
    DataFrame
        One row an asset: fall, rise (relative moves above 0; NaN: no such move, none before the price is 0), and
        trader_fall, trader_rise: the trader whose account breaches first. Accounts that are in breach already do not
        count.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[1.0, 0.0], [2.0, -1.0]], price=[100.0, 50.0], margin_long=0.1, cash=[-50.0, -75.0], assets=["X", "Y"]
    ... )
    >>> runway(graph)[["fall", "rise", "trader_fall"]].round(4)
             fall  rise trader_fall
    asset
    X      0.3056   NaN           1
    Y         NaN   1.1           NaN
    """
    check_graph(graph)
    check_no_instruments(graph, "runway")
    if graph._margins is not None:
        return _runway_by_pieces(graph)
    delta = _sensitivity(graph)
    if is_backed(graph):
        delta = (delta @ paths_of(graph)).tocsr()
    rows = row_of_cells(delta)
    slack = graph.slack.to_numpy()[rows]
    columns: dict[str, object] = {}
    for name, side in (("fall", 1.0), ("rise", -1.0)):
        reached = np.where(slack >= 0.0, ratio(slack, side * delta.data, np.inf), np.inf)
        if name == "fall":
            reached[reached >= 1.0] = np.inf
        columns |= _first(graph, name, reached, rows, delta.indices)
    return pd.DataFrame(columns, index=graph.assets.rename("asset"))[ORDER]


def _runway_by_pieces(graph: ExposureGraph) -> pd.DataFrame:
    """Return `runway` on margin tiers and scenario grids."""
    paths = paths_of(graph) if is_backed(graph) else sparse.eye_array(len(graph.assets), format="csr")
    traders, columns = graph.account_index.get_level_values(0), {name: list[Any]() for name in ORDER}
    for asset in range(len(graph.assets)):
        change = paths[:, [asset]].toarray().ravel()
        for name, side in (("fall", -1.0), ("rise", 1.0)):
            move = _moves_by_pieces(graph, side * change)
            found = bool(np.isfinite(move).any())
            columns[name].append(move.min() if found else np.nan)
            columns[f"trader_{name}"].append(traders[int(move.argmin())] if found else None)
    types = dict.fromkeys(ORDER[2:], "str")
    return pd.DataFrame(columns, index=graph.assets.rename("asset")).astype(types)


def _moves_by_pieces(graph: ExposureGraph, change: FloatArray) -> FloatArray:
    """Return the move along a direction at which each account that is sound breaches; inf: none before a price is 0."""
    slack: FloatArray = np.asarray(graph.slack, dtype=np.float64)
    margins = graph._margins
    assert margins is not None, "flat rates have a closed form"
    rows = np.flatnonzero((slack >= 0.0) & (abs(graph.quantity) @ (change != 0.0) > 0.0))
    quantity, margin_units = graph.quantity[rows], graph.margin_units[rows]
    kept = margins.kept(rows, cells_of(quantity, margin_units))
    lines = slack_lines(kept, quantity, margin_units.data, slack[rows], graph.price, change)
    move = np.full(slack.size, np.inf)
    move[rows] = lines.first(_furthest(change))
    return move


def _sensitivity(graph: ExposureGraph) -> sparse.csr_array:
    """Return (q - mu) p: what slack loses where a price falls by all of itself [currency]."""
    q = graph.quantity
    return with_data(q, (q.data - graph.margin_units.data) * graph.price[q.indices])


def _first(graph: ExposureGraph, name: str, reached: FloatArray, rows: Rows, column: Rows) -> dict[str, object]:
    least = np.full(len(graph.assets), np.inf)
    np.minimum.at(least, column, reached)
    found = np.isfinite(least)
    traders = np.full(least.size, None, dtype=object)
    cells = np.flatnonzero(np.isfinite(reached) & (reached == least[column]))[::-1]  # the first of equals stays
    traders[column[cells]] = graph.account_index.get_level_values(0)[rows[cells]]
    return {name: np.where(found, least, np.nan), f"trader_{name}": pd.Series(traders, dtype="str").to_numpy()}


def runway_along(graph: ExposureGraph, direction: Mapping[str, float]) -> Runway:
    """Return how far all prices can move along a direction until the first account breaches.

    t = min_i s_i / -(sum_j d_ij p_j direction_j), over the accounts that lose; prices become p (1 + t direction).

    Parameters
    ----------
    graph : ExposureGraph
        At present prices.
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

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[1.0]], price=100.0, margin_long=0.1, cash=-50.0, traders=["A"], assets=["X"]
    ... )
    >>> runway_along(graph, {"X": -1.0})
    Runway(move=0.4444444444444444, account=('A', 'pool', ''))
    """
    check_graph(graph)
    check_no_instruments(graph, "runway_along")
    change = _passed_down(graph, _direction(graph, direction))
    if graph._margins is None:
        slack, hurt = graph.slack.to_numpy(), -(_sensitivity(graph) @ change)
        move = np.where(slack >= 0.0, ratio(slack, hurt, np.inf), np.inf)
    else:
        move = _moves_by_pieces(graph, change)
    first = int(move.argmin())
    if move[first] >= _furthest(change):
        return Runway(np.nan, account=None)
    return Runway(float(move[first]), account=tuple(map(str, graph.account_index[first])))


def fund_runway(
    graph: ExposureGraph, model: MarginCascade, direction: Mapping[str, float], *, tol: float = 1e-3
) -> float:
    """Return the smallest move along a direction after whose cascade an insurance fund has paid.

    Sixteen moves between the first breach and the end of the direction are tried, then the first that uses a fund and
    the last that does not are brought together by bisection. Where prices net, a larger move can use less; the smallest
    found is returned. What a fund pays at present prices, for accounts in breach already, does not count.

    Parameters
    ----------
    graph : ExposureGraph
        At present prices.
    model : MarginCascade
        How accounts are liquidated.
    direction : mapping or Series asset -> relative price change
        As in `runway_along`.
    tol : float
        Width of the last interval, as a multiple of the direction; its upper end is returned.

    Returns
    -------
    float
        The multiple of the direction; NaN: no fund is used before a price is 0, or, where none falls, has doubled.

    Raises
    ------
    ParameterError
        What is no model; unknown assets; changes that are no finite numbers, or all 0; `tol` out of range.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[1.0]], price=100.0, margin_long=0.1, cash=-50.0, insurance_fund=20.0, assets=["X"]
    ... )
    >>> round(fund_runway(graph, cg.MarginCascade(), {"X": -1.0}), 2)
    0.5
    """
    check_run(graph, model, any_margin=True)
    check_no_instruments(graph, "fund_runway")
    check_number("fund_runway", "tol", tol, low=0, above=True, high=1)
    change = _direction(graph, direction)
    last = min(_furthest(change), 1.0 / np.abs(change).max())
    moves = {str(asset): float(part) for asset, part in direction.items()}

    def pays(move: float) -> FloatArray:
        shock = {asset: max(-1.0, move * part) for asset, part in moves.items()}
        return model.run(graph, shock).arrays.fund_used

    unmoved = pays(0.0) + USED * float(graph._rows.initial.gross.sum())
    start = runway_along(graph, direction).move
    start = 0.0 if np.isnan(start) or (graph.slack < 0.0).any() else min(start, last)
    found = ray_search(lambda move: bool((pays(move) > unmoved).any()), start, last, n_points=N_POINTS, tol=tol)
    return float("nan") if found is None else found[1]


def _direction(graph: ExposureGraph, direction: Mapping[str, float]) -> FloatArray:
    """Return a direction in asset order, checked."""
    if not isinstance(direction, Mapping | pd.Series):
        raise ParameterError(f"direction is a {type(direction).__name__}; give a mapping asset -> relative change")
    faults, change = Faults(ParameterError), np.zeros(len(graph.assets))
    for asset, part in direction.items():
        for column in row_of("direction", asset, graph.assets, faults):
            if change[column]:
                faults.add("direction", f"asset {str(asset)!r} is named twice", "Name each asset once.")
            check_number("direction", repr(str(asset)), part, low=-np.inf)
            change[column] = part
    faults.raise_if_any()
    if not change.any():
        raise ParameterError("direction moves no price; give at least one change other than 0")
    return change


def _passed_down(graph: ExposureGraph, change: FloatArray) -> FloatArray:
    if not is_backed(graph):
        return change
    passed: FloatArray = paths_of(graph) @ change
    if ((change != 0.0) & (passed != change)).any():
        refuse_backing("runway", graph, "where an asset and what it is made of both move, it is not in proportion")
    return passed


def _furthest(change: FloatArray) -> float:
    """Return the move at which the first price is 0."""
    return float(1.0 / -change.min()) if change.min() < 0.0 else float("inf")
