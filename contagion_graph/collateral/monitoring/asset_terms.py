"""The assets of a monitor, and their terms, while further ones are listed."""

import math
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph.collateral.monitoring.validate_events import number, share
from contagion_graph.errors import ContagionError, EventError, nearest
from contagion_graph.graph.exposure import ExposureGraph

DEFAULTS: dict[str, Any] = {"depth": math.inf, "margin_long": 0.0, "margin_short": 0.0, "sellable": True}


class Listing:
    """Labels, depth, margin rates and sellability of assets, by column.

    Parameters
    ----------
    graph : ExposureGraph
        Its assets come first.
    """

    def __init__(self, graph: ExposureGraph) -> None:
        self._columns = {label: column for column, label in enumerate(graph.assets)}
        self.terms: dict[str, list[Any]] = {name: getattr(graph, name).tolist() for name in DEFAULTS}

    def column_of(self, asset: object, error: type[ContagionError] = EventError) -> int:
        """Return the column of an asset; raise where it is unknown."""
        column = self._columns.get(str(asset))
        if column is None:
            raise error(f"asset {str(asset)!r} is unknown{nearest(str(asset), self._columns)}; list it first")
        return column

    def rates(self, column: int) -> tuple[float, float]:
        """Return the margin rates of an asset, long and short."""
        return self.terms["margin_long"][column], self.terms["margin_short"][column]

    def add(self, asset: object, terms: dict[str, Any]) -> None:
        """Give the next column to an asset, its terms checked."""
        label, unknown = str(asset), sorted(set(terms) - set(DEFAULTS))
        if label in self._columns:
            raise EventError(f"asset {label!r} is listed already")
        if unknown:
            raise EventError(f"an asset has no {unknown}; its terms are {sorted(DEFAULTS)}")
        checked = {**DEFAULTS, **terms}
        for name in ("margin_long", "margin_short"):
            checked[name] = share(f"{name} of {label!r}", checked[name])
        if checked["depth"] != math.inf:
            checked["depth"] = number(f"depth of {label!r}", checked["depth"], least=0, above=True)
        for name, values in self.terms.items():
            values.append(checked[name])
        self._columns[label] = len(self._columns)

    def index(self) -> "pd.Index[str]":
        """Return the labels of all columns."""
        return pd.Index(list(self._columns), dtype="str")

    def arrays(self) -> dict[str, Any]:
        """Return the terms as arrays, shape (m,)."""
        return {
            name: np.array(values, dtype=bool if name == "sellable" else float) for name, values in self.terms.items()
        }
