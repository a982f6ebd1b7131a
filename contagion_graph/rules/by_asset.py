"""Parameters of a rule that differ by asset: read from a mapping, later put into the order of a graph's assets."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import pandas as pd

from contagion_graph.errors import ParameterError, nearest
from contagion_graph.tables.labels import text_index


@dataclass(frozen=True)
class ByAsset:
    """One value for each asset, in a form that can be compared and hashed.

    Parameters
    ----------
    items : tuple of (label, value)
        Sorted by label until `align_by_asset` puts them into the order of the assets of a graph.
    in_order : bool
        Whether they are in that order.
    """

    items: tuple[tuple[str, Any], ...]
    _: KW_ONLY
    in_order: bool = False


def read_by_asset(owner: str, name: str, value: Any, read: Callable[[str, Any], Any]) -> Any:
    """Return what `read(name, value)` makes of a value, or a `ByAsset` of what it makes of those of a mapping.

    Parameters
    ----------
    owner, name : str
        The rule and the parameter, for error messages.
    value : mapping or Series by asset, or anything else
        A mapping is read value by value; anything else holds for every asset.
    read : callable
        Takes the name and one value, returns it checked.

    Returns
    -------
    ByAsset, or what `read` returns

    Raises
    ------
    ParameterError
        An asset that is named twice, and what `read` raises.
    """
    if isinstance(value, ByAsset):
        return value
    if not isinstance(value, Mapping | pd.Series):
        return read(name, value)
    labels = text_index(value.keys(), f"{owner}: {name}")
    pairs = [
        (label, read(f"{name} of asset {label!r}", value_of))
        for label, (_, value_of) in zip(labels, value.items(), strict=True)
    ]
    items = dict(pairs)
    if len(items) < len(pairs):
        raise ParameterError(f"{owner}: {name} names asset {labels[labels.duplicated()][0]!r} twice")
    return ByAsset(tuple(sorted(items.items())))


def align_by_asset(owner: str, name: str, value: Any, assets: "pd.Index[str]") -> Any:
    """Return a `ByAsset` in the order of the assets, and what holds for every asset as it is.

    Parameters
    ----------
    owner, name : str
        The rule and the parameter, for error messages.
    value : ByAsset or anything else
        What `read_by_asset` returned.
    assets : Index
        Labels of all assets of a graph.

    Returns
    -------
    ByAsset, or `value`

    Raises
    ------
    ParameterError
        Assets of which one has no value, or that do not include one that has.

    Examples
    --------
    >>> import pandas as pd
    >>> scale = ByAsset((("BTC", 0.1), ("ETH", 0.2)))
    >>> align_by_asset("Rule", "scale", scale, pd.Index(["ETH", "BTC"])).items
    (('ETH', 0.2), ('BTC', 0.1))
    >>> align_by_asset("Rule", "scale", scale, pd.Index(["BTC", "ETHX"]))
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: Rule: scale names asset 'ETH', which the graph does not have (did you ...
    """
    if not isinstance(value, ByAsset):
        return value
    given = dict(value.items)
    for label in given:
        if label not in assets:
            raise ParameterError(
                f"{owner}: {name} names asset {label!r}, which the graph does not have{nearest(label, assets)}"
            )
    for label in assets:
        if label not in given:
            raise ParameterError(f"{owner}: {name} has nothing for asset {label!r}{nearest(label, given)}")
    return ByAsset(tuple((label, given[label]) for label in assets), in_order=True)


def values_by_asset(owner: str, name: str, value: Any) -> tuple[Any, ...]:
    """Return one value for each asset in the order of the graph, or the one value that holds for every asset.

    Parameters
    ----------
    owner, name : str
        The rule and the parameter, for error messages.
    value : ByAsset or anything else
        What `align_by_asset` returned.

    Returns
    -------
    tuple
        m values, or one.

    Raises
    ------
    ParameterError
        Values that are not in the order of the assets yet.
    """
    if not isinstance(value, ByAsset):
        return (value,)
    if not value.in_order:
        raise ParameterError(f"{owner}: {name} is given by asset; take for_assets(graph.assets) of the impact first")
    return tuple(each for _, each in value.items)
