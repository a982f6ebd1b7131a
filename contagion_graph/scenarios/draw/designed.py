"""Scenarios that are laid out, not drawn."""

from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._validate import check_kind
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.scenarios.frame import scenario_frame
from contagion_graph.tables.labels import note_repeated, text_index


def single_asset(assets: Iterable[Any], sizes: Iterable[float]) -> pd.DataFrame:
    """Return scenarios in which one asset changes and no other: every asset at every size.

    Parameters
    ----------
    assets : iterable of asset labels
        The assets, one after the other.
    sizes : iterable of float
        Relative price changes.

    Returns
    -------
    DataFrame, scenario x asset
        Relative price changes.

    Examples
    --------
    >>> single_asset(["BTC", "ETH"], [-0.1, -0.2]).to_numpy().tolist()
    [[-0.1, 0.0], [-0.2, 0.0], [0.0, -0.1], [0.0, -0.2]]
    """
    check_kind("single_asset: assets", assets, Iterable, "a list of assets")
    check_kind("single_asset: sizes", sizes, Iterable, "a list of relative price changes")
    labels, steps = text_index(assets, "single_asset: assets"), np.array(list(sizes), dtype=np.float64)
    changes = np.kron(np.eye(len(labels)), steps[:, None])
    return scenario_frame(np.asarray(changes + 0.0, dtype=np.float64), labels)  # no -0.0


def grid(changes: Mapping[Any, Iterable[float]]) -> pd.DataFrame:
    """Return every combination of changes of several assets; that of the last asset varies fastest.

    Parameters
    ----------
    changes : mapping asset -> iterable of float
        Relative price changes of each.

    Returns
    -------
    DataFrame, scenario x asset
        Relative price changes.

    Examples
    --------
    >>> grid({"BTC": [0.0, -0.1], "ETH": [-0.2, -0.3]}).to_numpy().tolist()
    [[0.0, -0.2], [0.0, -0.3], [-0.1, -0.2], [-0.1, -0.3]]
    """
    check_kind("grid: changes", changes, (Mapping, pd.Series), "a mapping asset -> relative price changes")
    for asset, sizes in changes.items():
        check_kind(f"grid: changes of {asset!r}", sizes, Iterable, "a list of relative price changes")
    rows = list(product(*(sizes for _, sizes in changes.items())))
    return scenario_frame(np.array(rows, dtype=np.float64), text_index(changes.keys(), "grid: changes"))


def together(*frames: pd.DataFrame) -> pd.DataFrame:
    """Return scenarios that combine those of several frames: 1 + change is the product of theirs, row by row.

    Parameters
    ----------
    *frames : DataFrame, scenario x asset
        Relative price changes; all of the same number of scenarios.

    Returns
    -------
    DataFrame, scenario x asset
        Relative price changes.

    Raises
    ------
    ParameterError
        No frame, or frames of different numbers of scenarios.

    Examples
    --------
    >>> market, failure = grid({"ETH": [-0.1, 0.1]}), grid({"ETH": [0.0, -1.0]})
    >>> together(market, failure).round(6)["ETH"].tolist()
    [-0.1, -1.0]
    """
    for frame in frames:
        check_kind("together: one of the frames", frame, pd.DataFrame, "frames, scenario x asset")
    if not frames or len({len(frame) for frame in frames}) > 1:
        sizes = ", ".join(str(len(frame)) for frame in frames)
        raise ParameterError(f"together: frames of {sizes or 'no'} scenarios; give some, with as many each")
    named = [frame.set_axis(_once(frame.columns), axis=1) for frame in frames]
    assets = list(dict.fromkeys(asset for frame in named for asset in frame.columns))
    factors = [1.0 + frame.reindex(columns=assets, fill_value=0.0).to_numpy() for frame in named]
    return scenario_frame(reduce(np.multiply, factors) - 1.0, assets)


def _once(columns: Any) -> "pd.Index[str]":
    faults = Faults(ParameterError)
    labels = text_index(columns, "together: frames", faults)
    note_repeated("together: frames", labels, faults, "Give each asset one column.")
    faults.raise_if_any()
    return labels
