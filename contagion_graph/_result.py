"""What all results offer, and pairs of them: the least and the greatest solution."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from html import escape
from typing import Any, Generic, TypeVar

import pandas as pd

from contagion_graph._cached import OwnTables
from contagion_graph._solution import Solution

SHOWN = 20


class Result(OwnTables, ABC):
    """What a computation found: its main figures, its tables, the model that was run, and how the computation ended.

    A result names the class of its `model` (imported under `if TYPE_CHECKING` where that would point up), and has
    `summary`, `_tables` and `__repr__`.
    """

    model: object
    solution: Solution

    @abstractmethod
    def summary(self) -> "pd.Series[float]":
        """Return the main figures."""

    @abstractmethod
    def _tables(self) -> dict[str, pd.DataFrame]:
        """Return the labelled tables by name, the one to show first."""

    def to_frames(self) -> dict[str, pd.DataFrame]:
        """Return all tables as pandas frames with plain columns.

        Returns
        -------
        dict of DataFrame
            "summary" with columns figure and value, and every table of the result under its name.
        """
        figures = self.summary()
        summary = pd.DataFrame({"figure": figures.index, "value": figures.to_numpy()})
        return {"summary": summary, **{name: table.reset_index() for name, table in self._tables().items()}}

    def _first_rows(self) -> pd.DataFrame:
        """Return what a notebook shows of the first table."""
        return next(iter(self._tables().values())).head(SHOWN)

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self)[1:-1])}</p>{self._first_rows().to_html(float_format='{:,.6g}'.format)}"


R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Pair(OwnTables, ABC, Generic[R_co]):
    """The least and the greatest solution of a model: every other lies between them.

    Parameters
    ----------
    least, greatest : Result
        The same tables of both.
    """

    least: R_co
    greatest: R_co

    @property
    @abstractmethod
    def gap(self) -> Any:
        """How far apart the two are."""

    @property
    @abstractmethod
    def unique(self) -> bool:
        """Whether the two are the same: there is one solution, and this is it."""

    def _repr_html_(self) -> str:
        ends = "".join(f"<p>{name}</p>{getattr(self, name)._repr_html_()}" for name in ("least", "greatest"))
        return f"<p>{escape(repr(self)[1:-1])}</p>{ends}"
