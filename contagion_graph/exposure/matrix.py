"""A labelled traders x assets matrix in factored form: sparse rows times a few columns of dense numbers."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._result import SHOWN, Result
from contagion_graph._solution import EXACT, Solution
from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.margin.model import MarginCascade
from contagion_graph.solvers.arrays import largest
from contagion_graph.tables.vectors import rows_of

LARGEST_TABLE = 10_000_000  # entries that to_pandas writes out: 80 MB
CELLS_AT_ONCE = 500_000


@dataclass(frozen=True, eq=False, repr=False)
class ExposureMatrix(Result):
    """One number for each of t traders and a assets, stored in factored form.

    What an asset does to a trader that does not trade depends on few numbers, the prices and the loss rates:

        value_ti = sum over terms of (left @ right)_ti + cells_ti

    with `left` sparse (what a trader holds, its weight in loss sharing) and `right` dense (how prices and loss rates
    move with each asset). `cells` holds what is not of that form: traders that traded, were capped or defaulted.

    Parameters
    ----------
    traders, assets : Index
        The labels of rows and columns.
    terms : tuple of (csr_array of shape (t, c), ndarray of shape (c, a))
        The products.
    cells : csr_array, shape (t, a)
        What is added to them.
    held : csr_array, shape (t, a)
        Net units that each trader holds of each asset.
    name : str
        What a number is, and its unit.
    model : MarginCascade, optional
        The model that was run; None where none was.
    solution : Solution
        How the computation ended: of several runs, the one that is furthest from convergence.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0, 0.0], [1.0, 3.0]], price=[10.0, 5.0], traders=["A", "B"])
    >>> direct = cg.direct_exposure(graph)
    >>> direct
    <ExposureMatrix: 2 traders x 2 assets; value held [currency]>
    >>> direct.trader("B").tolist(), direct.asset("0").tolist()
    ([10.0, 15.0], [20.0, 10.0])
    >>> direct.top(1)
      trader asset  value
    0      A     0   20.0
    """

    traders: "pd.Index[str]"
    assets: "pd.Index[str]"
    terms: tuple[tuple[sparse.csr_array, FloatArray], ...]
    cells: sparse.csr_array
    held: sparse.csr_array
    name: str
    _: KW_ONLY
    model: MarginCascade | None = None
    solution: Solution = EXACT

    @property
    def shape(self) -> tuple[int, int]:
        """Number of traders and of assets."""
        return len(self.traders), len(self.assets)

    def trader(self, label: object) -> "pd.Series[float]":
        """Return the row of one trader.

        Parameters
        ----------
        label : label
            The trader.

        Returns
        -------
        Series
            By asset, in the unit of `name`.

        Raises
        ------
        ParameterError
            An unknown label.
        """
        row = int(rows_of([label], self.traders, "trader")[0])
        return pd.Series(self._rows(row, row + 1)[0], index=self.assets, name=self.traders[row])

    def asset(self, label: object) -> "pd.Series[float]":
        """Return the column of one asset.

        Parameters
        ----------
        label : label
            The asset.

        Returns
        -------
        Series
            By trader, in the unit of `name`.

        Raises
        ------
        ParameterError
            An unknown label.
        """
        column = int(rows_of([label], self.assets, "asset")[0])
        values = self.cells[:, [column]].toarray()[:, 0]
        for left, right in self.terms:
            values = values + left @ right[:, column]
        return pd.Series(values, index=self.traders, name=self.assets[column])

    def blocks(self, n_traders: int | None = None) -> Iterator[pd.DataFrame]:
        """Yield tables of some traders each, in order, which together are the whole matrix.

        Parameters
        ----------
        n_traders : int, optional
            Rows of a table; None: as many as make half a million entries.

        Yields
        ------
        DataFrame
            Traders x assets.

        Raises
        ------
        ParameterError
            A number of traders that is not a whole number from 1 up.
        """
        if n_traders is not None:
            check_number("blocks", "n_traders", n_traders, low=1, whole=True)
        for start, values in self._chunks(n_traders):
            yield pd.DataFrame(values, index=self.traders[start : start + len(values)], columns=self.assets)

    def top(self, k: int = 10, *, not_held: bool = False, absolute: bool = False) -> pd.DataFrame:
        """Return the k largest entries, the largest first.

        Parameters
        ----------
        k : int
            At least 1; fewer are returned where there are fewer.
        not_held : bool
            Only of assets of which the trader holds nothing, net.
        absolute : bool
            The largest in size, whatever the sign.

        Returns
        -------
        DataFrame
            trader, asset, value; equal values in the order of traders and assets.

        Raises
        ------
        ParameterError
            A k that is not a whole number from 1 up.
        """
        check_number("top", "k", k, low=1, whole=True)
        rank: np.ufunc = np.absolute if absolute else np.positive
        place, best = np.empty(0, dtype=np.int64), np.empty(0)
        for start, values in self._chunks(None):
            flat = values.ravel()
            near = rank(flat) > (rank(best[-1]) if best.size == k else -np.inf)
            if not_held:
                near &= self.held[start : start + len(values)].toarray().ravel() == 0.0
            place = np.append(place, np.flatnonzero(near) + start * len(self.assets))
            best = np.append(best, flat[near])
            order = largest(rank(best), k)
            place, best = place[order], best[order]
        row, column = np.divmod(place, max(len(self.assets), 1))
        return pd.DataFrame({"trader": self.traders[row], "asset": self.assets[column], "value": best})

    def to_pandas(self) -> pd.DataFrame:
        """Return the whole matrix as a table, up to ten million entries.

        Returns
        -------
        DataFrame
            Traders x assets.

        Raises
        ------
        ParameterError
            If it is larger.
        """
        n_traders, n_assets = self.shape
        if n_traders * n_assets > LARGEST_TABLE:
            raise ParameterError(
                f"{n_traders:,} traders x {n_assets:,} assets are {n_traders * n_assets:,} entries, and to_pandas "
                f"writes out at most {LARGEST_TABLE:,}; name fewer traders= or assets=, take top(k), or use blocks()"
            )
        return pd.DataFrame(self._rows(0, n_traders), index=self.traders, columns=self.assets)

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            traders, assets (counts); total (the sum over both, in the unit of `name`).
        """
        sums = [float((left.sum(axis=0) @ right).sum()) for left, right in self.terms]
        figures = {"traders": self.shape[0], "assets": self.shape[1], "total": float(self.cells.sum()) + sum(sums)}
        return pd.Series(figures, name="exposure", dtype=np.float64)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"exposure": self.to_pandas()}

    def _first_rows(self) -> pd.DataFrame:
        return next(self.blocks(SHOWN))

    def _rows(self, start: int, stop: int) -> FloatArray:
        values: FloatArray = self.cells[start:stop].toarray()
        for left, right in self.terms:
            values += left[start:stop] @ right
        return values

    def _chunks(self, n_traders: int | None) -> Iterator[tuple[int, FloatArray]]:
        size = n_traders or max(1, CELLS_AT_ONCE // max(len(self.assets), 1))
        for start in range(0, len(self.traders), size):
            yield start, self._rows(start, min(start + size, len(self.traders)))

    def __repr__(self) -> str:
        status = "" if self.solution.converged else f". {self.solution.status.value}"
        return f"<{type(self).__name__}: {self.shape[0]:,} traders x {self.shape[1]:,} assets; {self.name}{status}>"
