"""Shocks of vols: "vol:BTC" changes the vols of all options on BTC, once, before the rounds (sticky strike)."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph.errors import Faults, ParameterError, nearest
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.price_map import PriceMap

VOL = "vol:"  # before the label of an underlying: the vol of the options on it


def vol_factors(graph: ExposureGraph, changes: Mapping[Any, FloatArray], size: int) -> FloatArray:
    """Return what scenarios multiply the vol of each column by, shape (size, m); refuse what has no vol.

    Parameters
    ----------
    changes : mapping of "vol:..." to ndarray, shape (size,)
        Relative changes, at least -1.
    """
    faults, factors = Faults(ParameterError), np.ones((size, len(graph.assets)))
    for key, change in changes.items():
        factors[:, _with_vol(graph, key, faults)] = 1.0 + change[:, None]
    faults.raise_if_any()
    return factors


def _with_vol(graph: ExposureGraph, key: Any, faults: Faults) -> Any:
    """Return the columns of the options that a shock of a vol names; none, and a fault, where there are none."""
    columns = graph._price_map
    assert columns is not None
    smiling = np.flatnonzero(columns.vol > 0.0)
    on = graph.assets[columns.underlying[smiling]]
    own = smiling[on == str(key).removeprefix(VOL)]
    if not own.size:
        known = [VOL + each for each in on.unique()]
        faults.add("shock", f"no option has {str(key)!r}{nearest(str(key), known)}", f"Vols are {known}.")
    return own


def is_vol(graph: ExposureGraph, label: object) -> bool:
    """Say whether a label of a shock names the vol of an underlying, and no asset."""
    return graph._price_map is not None and str(label).startswith(VOL) and str(label) not in graph.assets


def without_vols(graph: ExposureGraph, shock: Any, faults: Faults) -> tuple[Any, PriceMap | None]:
    """Return a shock without changes of vols ("vol:BTC"), and how columns are priced after these; None: as before."""
    columns = graph._price_map
    if columns is None or not isinstance(shock, Mapping | pd.Series):
        return shock, None
    vols = {key: change for key, change in shock.items() if is_vol(graph, key)}
    if not vols:
        return shock, None
    factor = np.ones(len(graph.assets))
    for key, change in vols.items():
        own = _with_vol(graph, key, faults)
        if own.size and (not is_finite(change) or change < -1):
            remedy = "Give a finite relative change of at least -1: 0.3 = the vol rises by 30 %."
            faults.add("shock", f"{str(key)!r} changes by {change!r}", remedy)
        else:
            factor[own] = 1.0 + change
    return {key: change for key, change in shock.items() if key not in vols}, columns.with_vols(factor)


def is_finite(value: object) -> bool:
    """Say whether a value is a finite number."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
