"""Every error and warning of the library, and the collector that lets a check report all faults at once."""

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from contagion_graph._solution import Solution

SHOWN = 3  # rows of a fault
MANY = 2_000  # labels that are compared for a hint
LISTED = 4  # faults of one place with one remedy: three, and one that counts the rest


class ContagionError(Exception):
    """Base of every error that the library raises on purpose."""


class ParameterError(ContagionError, ValueError):
    """A parameter of a model, a rule or a function is outside what it can be."""


class TableError(ContagionError, ValueError):
    """Tables or arrays hold faults; all of them are listed.

    Parameters
    ----------
    faults : iterable of Fault
        What was found, in the order in which it was found.
    """

    def __init__(self, faults: Iterable["Fault"]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        return _listed(self.faults)


class ConvergenceError(ContagionError, RuntimeError):
    """A computation stopped before it converged.

    Parameters
    ----------
    message : str
        What happened, where, and what to change.
    solution : Solution
        How far it came.
    """

    def __init__(self, message: str, solution: Solution) -> None:
        self.solution = solution
        super().__init__(message, solution)

    def __str__(self) -> str:
        return str(self.args[0])


class MissingExtraError(ContagionError, ImportError):
    """A part of the library needs a package that is not installed; the message names the extra that brings it."""


class EventError(ContagionError, ValueError):
    """An event that cannot have happened, comes twice, or comes too late; nothing was changed."""


class InfeasibleError(ContagionError, ValueError):
    """Nothing that is allowed reaches the target.

    Parameters
    ----------
    message : str
        Which account, how much is missing, which limits bind.
    missing : mapping of account label to float
        What each account lacks at best [currency].
    """

    def __init__(self, message: str, missing: "Mapping[object, float]") -> None:
        self.missing = dict(missing)
        super().__init__(message, self.missing)

    def __str__(self) -> str:
        return str(self.args[0])


class ContagionWarning(UserWarning):
    """Base of every warning of the library."""


def tell(message: str, category: type[ContagionWarning]) -> None:
    """Warn, at the line outside the library that led here: it is that one which can be changed.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     tell("two columns that nothing reads", ContagionWarning)
    >>> len(caught)
    1
    """
    level = own = 1
    frame = sys._getframe(1)
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").startswith("contagion_graph."):
            own = level
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=own + 2)


class UnusedColumnWarning(ContagionWarning):
    """A table has a column that nothing reads."""


class UnusedFileWarning(ContagionWarning):
    """A folder of tables has a file that nothing reads."""


class OwnDebtWarning(ContagionWarning):
    """A node owes itself something: it cancels, and is left out."""


class ConvergenceWarning(ContagionWarning):
    """A computation stopped before it converged, and the caller asked for a warning instead of an error."""


class BackingWarning(ContagionWarning):
    """A shock moves an asset and what it is made of: its own change counts on top of what is passed down to it."""


class InBreachWarning(ContagionWarning):
    """Accounts are in breach before any shock: a shock of zero already liquidates."""


class CovarianceWarning(ContagionWarning):
    """A covariance was not positive semi-definite, and the nearest one that is was taken."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what, which rows, and the way out.

    Parameters
    ----------
    where : str
        Table and column, "positions.quantity", or the name of an argument.
    problem : str
        What is wrong.
    remedy : str
        What to do about it.
    rows : tuple of int
        Positions of the rows concerned, counted from 0; empty where the fault is not about rows.
    examples : tuple of str
        The first few of these rows: what stands there, and whose row it is.
    """

    where: str
    problem: str
    remedy: str
    rows: tuple[int, ...] = ()
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}{self._rows()}. {self.remedy}"

    def _rows(self) -> str:
        if not self.rows:
            return ""
        listed = "; ".join(f"row {row}: {text}" for row, text in zip(self.rows, self.examples, strict=False))
        more = len(self.rows) - len(self.examples)
        return (
            f" in {len(self.rows)} row{'s' if len(self.rows) > 1 else ''} ({listed}{f'; +{more} more' if more else ''})"
        )


def _listed(faults: Sequence[Fault]) -> str:
    """Return faults as text; of those of one place with one remedy the first few, and how many more there are."""
    count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''} (rows count from 0):"
    groups: dict[tuple[str, str], list[tuple[int, Fault]]] = {}
    for number, fault in enumerate(faults, 1):
        groups.setdefault((fault.where, fault.remedy), []).append((number, fault))
    shown = sorted((one for group in groups.values() for one in group[:LISTED]), key=lambda one: one[0])
    more = [
        f"  ... {len(group) - LISTED:,} more faults of {where}. {remedy}"
        for (where, remedy), group in groups.items()
        if len(group) > LISTED
    ]
    return "\n".join([count, *(f"  {number}. {fault}" for number, fault in shown), *more])


@dataclass
class Faults:
    """Collects faults, so that a whole input is checked before anything is raised.

    Parameters
    ----------
    error : type
        What is raised: `TableError` where tables or the arrays of a graph are read, `ParameterError` where an argument
        of a function or model is.

    Examples
    --------
    >>> faults = Faults(ParameterError)
    >>> faults.add("shock", "unknown asset 'EHT'", "Use a label of graph.assets.")
    >>> faults.raise_if_any()
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: shock: unknown asset 'EHT'. Use a label of graph.assets.
    """

    error: type[TableError] | type[ParameterError] = TableError
    found: list[Fault] = field(default_factory=list, kw_only=True)

    def add(self, where: str, problem: str, remedy: str) -> None:
        """Note a fault that is not about single rows."""
        self.found.append(Fault(where, problem, remedy))

    def add_rows(self, where: str, problem: str, remedy: str, *, rows: Sequence[int], examples: Sequence[str]) -> None:
        """Note a fault of some rows; `examples` are the texts of the first of them."""
        shown = tuple(examples[:SHOWN])
        self.found.append(Fault(where, problem, remedy, tuple(int(row) for row in rows), shown))

    def raise_if_any(self) -> None:
        """Raise one error with everything found so far."""
        if self.found and self.error is TableError:
            raise TableError(self.found)
        if self.found:
            raise ParameterError(str(self.found[0]) if len(self.found) == 1 else _listed(self.found))


def nearest(label: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'ETH'?)" for the known label closest to a mistyped one, or an empty string.

    Examples
    --------
    >>> nearest("EHT", ["BTC", "ETH"])
    " (did you mean 'ETH'?)"
    >>> nearest("gold", ["BTC", "ETH"])
    ''
    """
    close = closest(label, known)
    return "" if close is None else f" (did you mean {close!r}?)"


def closest(label: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known label closest to a mistyped one, if one is close: 1 = equal but for upper and lower case.

    Of more than `MANY` labels only those are compared that share its first or its last half, as they do after one
    typing error, and of these at most `MANY` with the longest halves: a hint takes a fraction of a second among a
    million.
    """
    names, lower = list(known), label.lower()
    names = names if len(names) <= MANY else _sharing_a_half(lower, names)
    by_lower = {name.lower(): name for name in names}
    close = get_close_matches(lower, by_lower, n=1, cutoff=cutoff)
    return by_lower[close[0]] if close else None


def _sharing_a_half(label: str, known: Iterable[str]) -> list[str]:
    """Return labels that begin or end as one does: with half of it, or more of it where these are many."""
    half = max(len(label) // 2, 1)
    pairs = [(name.lower(), name) for name in known]
    heads = [pair for pair in pairs if pair[0].startswith(label[:half])]
    tails = [pair for pair in pairs if pair[0].endswith(label[-half:])]
    for length in range(half + 1, len(label) + 1):
        heads = heads if len(heads) <= MANY else [pair for pair in heads if pair[0].startswith(label[:length])]
        tails = tails if len(tails) <= MANY else [pair for pair in tails if pair[0].endswith(label[-length:])]
    return [name for _, name in heads[:MANY] + tails[:MANY]]
