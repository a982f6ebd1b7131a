"""The candidates of a scenario, and the market on them: the same sums, bit for bit, of fewer rows."""

from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.chunks import chunk_borders
from contagion_graph.graph.rows import Initial, RowReductions
from contagion_graph.graph.scenario import Scenario
from contagion_graph.margin.candidates.screening import Box
from contagion_graph.margin.rounds.account_state import Market, Rows
from contagion_graph.margin.rounds.channel_sums import ChannelSums
from contagion_graph.state import Cells


class OutsideBoxError(Exception):
    """Prices or loss rates have left the box: an account that was left out can be in breach."""


def cells_of_rows(cells: Cells, rows: Rows) -> Cells:
    """Return the cells of some rows, copied next to each other."""
    from contagion_graph.kernels import batch

    indptr = np.concatenate([[0], np.cumsum(cells.indptr[rows + 1] - cells.indptr[rows])])
    size = int(indptr[-1])
    out = Cells(indptr, np.empty(size, dtype=cells.indices.dtype), np.empty(size), np.empty(size))
    batch.gather(cells, rows, out)
    return out


class CandidateGraph(RowReductions):
    """Some rows of a graph, copied next to each other, whose sums are taken in the chunks of the whole graph.

    Parameters
    ----------
    graph : RowReductions
        With the margins of the liquidation rule.
    rows : ndarray of int
        The rows, ascending.
    """

    graph: RowReductions
    rows: Rows

    def __init__(self, graph: RowReductions, rows: Rows) -> None:
        self.cells = cells_of_rows(graph.cells, rows)
        indptr = self.cells.indptr
        self.graph, self.rows = (graph.graph, graph.rows[rows]) if isinstance(graph, CandidateGraph) else (graph, rows)
        self.cash = graph.cash[rows]
        self.price, self.sellable, self.depth, self.pools = graph.price, graph.sellable, graph.depth, graph.pools
        self.assets, self.insurance_fund = graph.assets, graph.insurance_fund
        self.initial, self.gross_total = Initial(*(each[rows] for each in graph.initial)), graph.gross_total
        self.falls, self.price_map = (graph.falls[0][rows], graph.falls[1][rows]), graph.price_map
        if graph.margins is not None:
            self.margins = graph.margins.kept(rows, self.cells)
        self.row_borders = np.searchsorted(rows, graph.row_borders)
        self.block_borders = chunk_borders(indptr)
        self.pool_of = graph.pool_of[rows]
        self.members = np.arange(rows.size + 1, dtype=graph.members[0].dtype), graph.members[1][rows]

    def account_column(self, name: str) -> FloatArray | None:
        """Return a further column of table accounts."""
        column = self.graph.account_column(name)
        return None if column is None else column[self.rows]

    def pool_column(self, name: str) -> FloatArray | None:
        """Return a further column of table pools."""
        return self.graph.pool_column(name)

    @cached_property
    def account_index(self) -> pd.MultiIndex:  # type: ignore[override] # made only where an error names an account
        """Label of each row."""
        return self.graph.account_index[self.rows]

    @cached_property
    def quantity(self) -> sparse.csr_array:
        """Units held."""
        indices = self.cells.indices.view(self.graph.quantity.indices.dtype)
        held = (self.cells.quantity, indices, self.cells.indptr)
        return sparse.csr_array(held, (self.rows.size, self.price.size))

    @cached_property
    def membership(self) -> sparse.csr_array:
        """Accounts x channels, as the graph's."""
        cells = (np.ones(self.rows.size), self.pool_of, self.members[0])
        return sparse.csr_array(cells, (self.rows.size, len(self.pools)))


class CandidateMarket(Market):
    """The market of the candidates of a scenario.

    Parameters
    ----------
    graph : CandidateGraph
        Those accounts.
    scenario : Scenario
        The prices, losses and defaults of those accounts.
    whole : list of ChannelSums
        The weights of all accounts before the scenario in each layer of members, added up.
    box : Box
        In which no other account can come into breach.
    """

    def __init__(self, graph: CandidateGraph, scenario: Scenario, whole: list[ChannelSums], box: Box) -> None:
        self.box, self.whole, self._rows = box, whole, graph.rows
        self._all = dict[int, ChannelSums]()
        base = [each.amount[graph.rows] for each in whole]
        super().__init__(graph, scenario, base[0] if len(base) == 1 else np.stack(base, axis=1))

    def revalue(self, rise: FloatArray | float = 0.0) -> None:
        """Revalue the candidates; stop where other accounts could be in breach."""
        inside = ((self.box.low <= self.price) & (self.price <= self.box.high)).all()
        if not (inside and (self.highest_rates(rise) <= self.box.loss_rate).all()):
            raise OutsideBoxError
        super().revalue(rise)

    def open_base(self, layer: int = 0) -> FloatArray:
        """Return the sum of the weights of each pool over all accounts, shape (v,)."""
        if layer not in self._all:
            self._all[layer] = self.whole[layer].copy()
        found, rows, own = self._all[layer], self._rows, self._base[:, layer]
        changed = found.amount[rows] != own
        found.amount[rows] = own
        found.changed(rows[changed])
        return found.total()
