"""Everything public: what the package and its families offer, and the methods of the classes among it."""

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import contagion_graph as cg
from contagion_graph._result import Pair, Result


def names_of(family: ModuleType) -> list[str]:
    """Return the names that a family offers: those it lists, or those it defines."""
    module = import_module(family.__name__)
    defined = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return getattr(module, "__all__", [name for name in defined if callable(getattr(module, name)) and name[0] != "_"])


def offered(holder: Any, names: list[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted names and the objects, those of families in the place of the family."""
    for name in names:
        value = getattr(holder, name)
        if inspect.ismodule(value):
            yield from offered(value, names_of(value), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


PUBLIC: dict[str, Any] = dict(offered(cg, cg.__all__))
CLASSES: dict[str, type] = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
FUNCTIONS: dict[str, Callable[..., Any]] = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}


def own(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the public members that a class has from this package, by name, as they stand in the class."""
    for name in dir(kind):
        holder = next((each for each in kind.__mro__ if name in vars(each)), object)
        if name[0] != "_" and holder.__module__.startswith("contagion_graph"):
            yield name, inspect.getattr_static(kind, name)


METHODS: dict[str, Callable[..., Any]] = {
    f"{owner}.{name}": getattr(kind, name)
    for owner, kind in CLASSES.items()
    for name, value in own(kind)
    if inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)
}
PROPERTIES: list[str] = [
    f"{owner}.{name}"
    for owner, kind in CLASSES.items()
    for name, value in own(kind)
    if isinstance(value, property) or type(value).__name__ == "cached_property"
]
PROTOCOLS = [name for name, kind in CLASSES.items() if getattr(kind, "_is_protocol", False)]
# Classes that nobody calls: they come out of functions, or from a classmethod that is named in their docstrings.
MADE = {
    *("ExposureGraph", "ObligationNetwork", "Solution", "Status", "SumTree", "collateral.Backing"),
    *("distributed.DistributedGraph", "distributed.DistributedResult", "venues.VenueRules"),
    *(name for name, kind in CLASSES.items() if issubclass(kind, Result | Pair | BaseException)),
    *PROTOCOLS,
}
