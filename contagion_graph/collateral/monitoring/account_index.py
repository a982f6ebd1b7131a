"""The row of every account, while accounts are opened."""

import numpy as np
import pandas as pd

from contagion_graph.errors import ContagionError, EventError, nearest
from contagion_graph.graph.scenario import AccountKey
from contagion_graph.tables.assemble import account_index
from contagion_graph.tables.labels import label_text
from contagion_graph.tables.schema import CROSS_MARGIN

Triple = tuple[str, str, str]


class Directory:
    """The labels of rows, and the rows of labels.

    Parameters
    ----------
    accounts : MultiIndex
        The labels of the first rows.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> directory = Directory(cg.ExposureGraph.from_arrays([[1.0]], price=1.0, traders=["A"]).account_index)
    >>> directory.add(directory.triple(("B", "pool", "alt")))
    1
    >>> directory.row_of("B"), directory.row_of(("A", "pool", ""))
    (1, 0)
    """

    def __init__(self, accounts: pd.MultiIndex) -> None:
        self._accounts, self._first, self._added = accounts, len(accounts), list[Triple]()
        self.pools: list[str] = accounts.levels[1].tolist()
        self._rows: dict[str, int | list[int]] = {}
        self._levels = [(level.tolist(), codes) for level, codes in zip(accounts.levels, accounts.codes, strict=True)]
        traders, codes = self._levels[0]
        for row, trader in enumerate(map(traders.__getitem__, codes.tolist())):
            self._note(trader, row)

    def __len__(self) -> int:
        return self._first + len(self._added)

    def _note(self, trader: str, row: int) -> None:
        known = self._rows.setdefault(trader, row)
        if known is not row:
            self._rows[trader] = [*(known if isinstance(known, list) else [known]), row]

    def row_of(self, account: AccountKey, error: type[ContagionError] = EventError) -> int:
        """Return the row of a trader with one account, or of a triple; raise where it is unknown or ambiguous."""
        triple = tuple(map(str, account)) if isinstance(account, tuple) else None
        rows = self._rows.get(triple[0] if triple else str(account), [])
        found = [rows] if isinstance(rows, int) else rows
        if triple is not None:
            found = [row for row in found if self.label(row) == triple]
        if len(found) == 1:
            return found[0]
        name = label_text(account)
        if found:
            raise error(f"account {name!r} has {len(found)} accounts; name one by (trader, pool, subaccount)")
        hint = nearest(name, self._rows)
        raise error(f"account {name!r} is unknown{hint}; open it first")

    def triple(self, account: AccountKey) -> Triple:
        """Return the label of an account to be opened, checked against those that there are."""
        given = tuple(map(str, account)) if isinstance(account, tuple) else (str(account),)
        if len(given) == 1 and len(self.pools) == 1:
            given = (*given, self.pools[0], CROSS_MARGIN)
        if len(given) != 3 or not given[0]:
            raise EventError(f"account {label_text(account)!r} is to be opened; name it by (trader, pool, subaccount)")
        if given[1] not in self.pools:
            raise EventError(f"pool {given[1]!r} is unknown{nearest(given[1], self.pools)}; there are {self.pools}")
        rows = self._rows.get(given[0], [])
        if any(self.label(row) == given for row in ([rows] if isinstance(rows, int) else rows)):
            raise EventError(f"account {label_text(given)!r} is open already")
        return given[0], given[1], given[2]

    def add(self, triple: Triple) -> int:
        """Give the next row to an account."""
        row = len(self)
        self._added.append(triple)
        self._note(triple[0], row)
        return row

    def label(self, row: int) -> Triple:
        """Return the label of a row."""
        if row >= self._first:
            return self._added[row - self._first]
        trader, pool, subaccount = (labels[codes[row]] for labels, codes in self._levels)
        return trader, pool, subaccount

    def index(self) -> pd.MultiIndex:
        """Return the labels of all rows."""
        if not self._added:
            return self._accounts
        levels, codes = [], []
        for level, old, new in zip(
            self._accounts.levels, self._accounts.codes, zip(*self._added, strict=True), strict=True
        ):
            more = pd.Index(new, dtype="str").unique()
            levels.append(level.append(more[~more.isin(level)]))
            codes.append(np.concatenate([old, levels[-1].get_indexer(pd.Index(new, dtype="str"))]))
        return account_index(levels, codes)
