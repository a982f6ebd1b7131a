"""Scenarios as a labelled frame: one row a scenario, one column an asset, relative price changes of at least -1."""

from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._validate import given_as
from contagion_graph.errors import Faults, ParameterError, nearest
from contagion_graph.graph.backing import shocked_prices
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.vol_shocks import is_vol, vol_factors
from contagion_graph.tables.labels import label_text, text_index

REMEDY = "Give finite relative changes of at least -1: -0.3 = falls by 30 %."


def scenario_frame(changes: FloatArray, assets: Any) -> pd.DataFrame:
    """Return relative price changes, shape (N, m), as a frame of scenarios."""
    index = pd.RangeIndex(len(changes), name="scenario")
    return pd.DataFrame(changes, index=index, columns=pd.Index(assets, name="asset"))


def changes_of(scenarios: pd.DataFrame, graph: ExposureGraph, *, vols: bool = False) -> pd.DataFrame:
    """Check scenarios and bring them into the order of a graph's assets; assets that they lack do not change.

    Changes of vols ("vol:BTC") follow, as far as `vols` allows them.

    Examples
    --------
    >>> import pandas as pd
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0, 1.0]], price=1.0, assets=["BTC", "ETH"])
    >>> changes_of(pd.DataFrame({"ETH": [-0.3]}), graph).to_numpy().tolist()
    [[0.0, -0.3]]
    >>> changes_of(pd.DataFrame({"EHT": [-1.3]}), graph)
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: 2 faults (rows count from 0):
      1. scenarios: unknown asset 'EHT' (did you mean 'ETH'?). Use labels of graph.assets.
      2. scenarios: out of range in 1 row (row 0: asset 'EHT' changes by -1.3). Give finite relative changes of at ...
    """
    if not isinstance(scenarios, pd.DataFrame) or scenarios.empty:
        raise ParameterError(
            f"scenarios must be a frame with a row a scenario and a column an asset, not empty{given_as(scenarios)}"
        )
    faults, assets, values = (
        Faults(ParameterError),
        text_index(scenarios.columns, "scenarios"),
        scenarios.to_numpy(dtype=np.float64),
    )
    columns = graph.assets.get_indexer(assets)
    of_vols = np.array([vols and is_vol(graph, label) for label in assets])
    for label in assets[(columns < 0) & ~of_vols]:
        faults.add("scenarios", f"unknown asset {label!r}{nearest(label, graph.assets)}", "Use labels of graph.assets.")
    for label in assets[assets.duplicated()]:
        faults.add("scenarios", f"asset {label!r} has two columns", "Give each asset once.")
    wrong = np.argwhere(~(np.isfinite(values) & (values >= -1.0)))
    if len(wrong):
        examples = [
            f"{_named(scenarios.index[i], i)}asset {label_text(assets[j])!r} changes by {values[i, j]:g}"
            for i, j in wrong[:3]
        ]
        rows = [int(i) for i, _ in wrong]
        faults.add_rows("scenarios", "out of range", REMEDY, rows=rows, examples=examples)
    faults.raise_if_any()
    changes = np.zeros((len(values), len(graph.assets)))
    changes[:, columns[~of_vols]] = values[:, ~of_vols]
    labels = graph.assets.append(assets[of_vols]).rename("asset")
    changes = np.hstack([changes, values[:, of_vols]])
    return pd.DataFrame(changes, index=scenarios.index.rename("scenario"), columns=labels)


def rows_of_scenarios(graph: ExposureGraph, changes: pd.DataFrame) -> FloatArray:
    """Return the shocked prices of scenarios, one a row, and, where they change vols, what these are multiplied by.

    Parameters
    ----------
    graph : ExposureGraph
        m assets.
    changes : DataFrame
        What `changes_of` returned.

    Returns
    -------
    ndarray, shape (N, m) or (N, 2 m)
        Currency per unit; factors of the vols of the columns.
    """
    m, values = len(graph.assets), changes.to_numpy()
    if values.shape[1] == m or graph._price_map is None:
        return shocked_prices(graph, values)
    factors = vol_factors(graph, dict(zip(changes.columns[m:], values[:, m:].T, strict=True)), len(values))
    return np.hstack([shocked_prices(graph, values[:, :m], graph._price_map.with_vols(factors)), factors])


def _named(label: Any, row: int) -> str:
    return "" if label == row else f"scenario {label!r}, "
