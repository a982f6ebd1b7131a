"""Properties that are computed once, then kept, without a lock."""

import functools
from typing import TYPE_CHECKING, Any

__all__ = ["cached_property"]

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
