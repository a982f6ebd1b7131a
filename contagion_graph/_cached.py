"""Properties that are computed once, then kept, without a lock; what holds of a changed copy; tables handed out."""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

__all__ = ["OwnTables", "cached_property", "carry_over", "forget"]

if TYPE_CHECKING:
    from functools import cached_property
else:

    class cached_property(functools.cached_property):  # noqa: N801 - as that of functools
        """What functools.cached_property is from Python 3.12 on.

        Before, all objects of a class share a lock while one of them computes. The parts of a graph that are in threads
        of one process wait for each other while they add up: with that lock, for ever.

        Examples
        --------
        >>> class Answer:
        ...     @cached_property
        ...     def value(self):
        ...         print("computed")
        ...         return 42
        >>> answer = Answer()
        >>> answer.value + answer.value
        computed
        84
        """

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            """Return the value, computed the first time."""
            if instance is None:
                return self
            known = vars(instance)
            if self.attrname not in known:
                known[self.attrname] = self.func(instance)
            return known[self.attrname]


def carry_over(source: object, target: object, names: Iterable[str]) -> None:
    """Have an object know some cached properties of another, which hold of it as well.

    Parameters
    ----------
    source : object
        Computes those that it does not know yet.
    target : object
        A changed copy, say.
    names : iterable of str
        Those that the change leaves as they are.

    Examples
    --------
    >>> class Square:
    ...     def __init__(self, side):
    ...         self.side = side
    ...     @cached_property
    ...     def area(self):
    ...         return self.side**2
    >>> carry_over(Square(3.0), other := Square(-3.0), ["area"])
    >>> vars(other)
    {'side': -3.0, 'area': 9.0}
    """
    vars(target).update({name: getattr(source, name) for name in names})


def forget(instance: object, name: str) -> None:
    """Have an object compute a cached property again, when it is asked for it next."""
    vars(instance).pop(name, None)


class OwnTables:
    """An object whose tables are the caller's own: what a caller does to one changes nothing here.

    A table is handed out as a copy that shares its memory until one of the two is written to.

    Examples
    --------
    >>> class Answer(OwnTables):
    ...     def __init__(self):
    ...         self.table = pd.Series([42])
    >>> answer = Answer()
    >>> mine = answer.table
    >>> mine[0] = 0
    >>> answer.table.tolist()
    [42]
    """

    if not TYPE_CHECKING:  # type checkers know the attributes themselves

        def __getattribute__(self, name: str) -> Any:
            """Return an attribute, or a copy where it is a table or a dict of tables."""
            value = object.__getattribute__(self, name)
            return value if name.startswith("__") else _own(value)


def _own(value: Any) -> Any:
    if isinstance(value, pd.DataFrame | pd.Series):
        return value.copy(deep=False)
    return {key: _own(entry) for key, entry in value.items()} if type(value) is dict else value
