"""Capital ratios that banks have to keep: what counts, when they act, and in which order they sell."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError, nearest
from contagion_graph.rules.by_asset import align_by_asset, read_by_asset, values_by_asset
from contagion_graph.tables.labels import text_index


@dataclass(frozen=True)
class CapitalRatio:
    """Equity over exposure: a bank below `minimum` fails, one below `buffer` goes back to `target`.

    Exposure is X_i = sum_j w_j v_ij with v_ij the value that bank i holds of asset j. Without `weights` every asset
    counts in full, and so does cash: E_i / X_i is the leverage ratio, and cash pays debt first. With `weights` cash
    counts nothing, and stays.

    Parameters
    ----------
    minimum : float
        Ratio below which a bank fails and sells all it can, at least 0.
    buffer : float
        Ratio below which it acts, at least `minimum`; 1 = always.
    target : float
        Ratio to which it wants to return, at least `minimum` and above 0.
    weights : mapping or Series of asset to float, optional
        w_j >= 0 of every asset but cash.
    order : iterable of iterables of assets, optional
        The pecking order: what a bank that acts sells first, second, ...; what stands together is sold in proportion to
        its value, and what is not named only by a bank that fails. None: all that can be sold and counts, together.

    References
    ----------
    Farmer, Kleinnijenhuis, Nahai-Williamson & Wetzer (2020), Bank of England Staff Working Paper 861: leverage and
    risk-weighted ratios with a minimum, a buffer and a target.

    Examples
    --------
    >>> CapitalRatio(0.03, buffer=0.04, target=0.05).order is None
    True
    >>> CapitalRatio(0.045, buffer=0.065, target=0.075, weights={"corp": 1.0, "gov": 0.0}, order=[["corp"], ["gov"]])
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: CapitalRatio: order names asset 'gov', whose weight is 0: selling it ...
    """

    minimum: float
    _: KW_ONLY
    buffer: float
    target: float
    weights: Any = None
    order: Any = None

    def __post_init__(self) -> None:
        check_number("CapitalRatio", "minimum", self.minimum, low=0)
        check_number("CapitalRatio", "buffer", self.buffer, low=self.minimum)
        check_number("CapitalRatio", "target", self.target, low=self.minimum, above=self.minimum == 0)
        if self.weights is not None:
            if not isinstance(self.weights, Mapping | pd.Series):
                raise ParameterError(f"CapitalRatio: weights is {self.weights!r}; give a mapping of asset to weight")
            object.__setattr__(self, "weights", read_by_asset("CapitalRatio", "weights", self.weights, _weight))
        if self.order is not None:
            object.__setattr__(self, "order", _read_order(self.order))
            self._check_order()

    def _check_order(self) -> None:
        named = [asset for together in self.order for asset in together]
        weights = {} if self.weights is None else dict(self.weights.items)
        for place, asset in enumerate(named):
            if asset in named[:place]:
                raise ParameterError(f"CapitalRatio: order names asset {asset!r} twice; name it once")
            if weights.get(asset, 1.0) == 0.0:
                raise ParameterError(
                    f"CapitalRatio: order names asset {asset!r}, whose weight is 0: selling it frees no capital"
                )

    @property
    def cash_counts(self) -> bool:
        """Whether cash is part of the exposure, and pays debt first."""
        return self.weights is None

    def _weights_of(self, assets: "pd.Index[str]", cash: BoolArray) -> FloatArray:
        """Return w in the order of the assets; of cash, which is counted apart, 0."""
        weights = np.where(cash, 0.0, 1.0)
        if self.weights is not None:
            weights[~cash] = values_by_asset(
                "CapitalRatio", "weights", align_by_asset("CapitalRatio", "weights", self.weights, assets[~cash])
            )
        return weights

    def _places_of(self, assets: "pd.Index[str]", weights: FloatArray) -> list[BoolArray]:
        """Return which assets are sold first, second, ..., one mask for each place of the pecking order."""
        if self.order is None:
            return [weights > 0.0]
        for asset in (asset for together in self.order for asset in together):
            if asset not in assets:
                raise ParameterError(
                    f"CapitalRatio: order names asset {asset!r}, which the graph does not have{nearest(asset, assets)}"
                )
        return [np.asarray(assets.isin(together)) & (weights > 0.0) for together in self.order]


def _weight(name: str, value: Any) -> float:
    check_number("CapitalRatio", name, value, low=0)
    return float(value)


def _read_order(order: Any) -> tuple[tuple[str, ...], ...]:
    """Return a pecking order as tuples of labels."""
    places = [] if isinstance(order, str) or not isinstance(order, Iterable) else list(order)
    if not places or any(isinstance(place, str) or not isinstance(place, Iterable) for place in places):
        raise ParameterError(
            f"CapitalRatio: order is {order!r}; give a list of lists of assets, those that are sold first in front"
        )
    return tuple(tuple(text_index(place, "CapitalRatio: order")) for place in places)
