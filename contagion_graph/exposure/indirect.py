"""Losses of traders through a cascade when one asset moves, of those that do not hold it too."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import OnFailure
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.exposure.inputs import check_inputs, traders_of
from contagion_graph.exposure.losses import Losses
from contagion_graph.exposure.matrix import ExposureMatrix
from contagion_graph.graph.backing import passed_down_note
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.result import CascadeResult
from contagion_graph.tables.vectors import rows_of


@dataclass(frozen=True, eq=False, repr=False)
class IndirectExposure(ExposureMatrix):
    """Indirect losses of traders by the asset that moved, beyond those of the same market without a shock.

    Parameters
    ----------
    size : float
        The relative price change.
    baseline : CascadeResult
        The run without a shock, whose losses are taken off.
    """

    _: KW_ONLY
    size: float
    baseline: CascadeResult

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            traders, assets (counts); total (currency, over both); size (relative price change).
        """
        return pd.concat([super().summary(), pd.Series({"size": self.size})]).rename("indirect_exposure")


def indirect_exposure(
    graph: ExposureGraph,
    model: MarginCascade,
    size: float,
    *,
    assets: Iterable[object] | None = None,
    traders: Iterable[object] | None = None,
    on_failure: OnFailure = "raise",
) -> IndirectExposure:
    """Return the loss of each trader through the cascade, for each asset that moves alone.

    For asset j alone moved by `size`, with loss and standalone as in every result,

        indirect_ij = (loss - standalone)_i after the shock  -  (loss - standalone)_i without one

    summed over the accounts of a trader. It is the exposure beyond the trader's own holding: to prices that others move
    by selling, to losses that a pool shares, to the cost of its own liquidation, and, where the graph has a backing, to
    assets that are made of j, which do not count as held in `standalone` here.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts, m assets.
    model : MarginCascade
        Run once without a shock, and once for each asset.
    size : float
        Relative price change, from -1 up, not 0: -0.10 = falls by 10 %.
    assets, traders : iterable of labels, optional
        None: all; of the assets, those that are no instruments.
    on_failure : {"raise", "warn", "ignore"}
        What to do where a run does not converge: its last state is then used.

    Returns
    -------
    IndirectExposure
        Traders x assets [currency], above 0 a loss, in factored form: ask for `top`, `trader`, `asset`, `blocks`, or,
        if it is small, `to_pandas`.

    Raises
    ------
    ParameterError
        A size of 0, below -1 or not finite; a market in which nothing indirect can happen; an unknown label.
    ConvergenceError
        A run did not converge, and `on_failure` is "raise".

    References
    ----------
    Cont & Schaanning (2019), Monitoring indirect contagion, J. Banking & Finance 104: indirect exposures through the
    price impact of others' sales.

    Examples
    --------
    B holds no X. A holds both, and when X falls it has to sell its Y as well.

    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[9.0, 2.0], [0.0, 4.0]], price=10.0, depth=1000.0, margin_long=0.1, cash=[-90.0, 0.0],
    ...     traders=["A", "B"], assets=["X", "Y"],
    ... )
    >>> exposure = cg.indirect_exposure(graph, cg.MarginCascade(), -0.2)
    >>> exposure.to_pandas().round(2)
               X    Y
    trader
    A       2.00  0.0
    B       2.14  0.0
    >>> exposure.top(1, not_held=True).round(2)
      trader asset  value
    0      B     X   2.14
    """
    check_inputs(graph, model, on_failure, any_margin=True)
    check_size("size", size)
    if size == 0:
        raise ParameterError("size is 0: nothing moves; give a relative price change such as -0.10")
    columns, chosen = rows_of(assets, graph.assets, "assets"), traders_of(graph, traders)
    if assets is None and graph._price_map is not None:
        columns = np.setdiff1d(columns, graph._price_map.instruments)
    baseline = model.run(graph, on_failure=on_failure)
    losses = Losses(baseline, chosen, "indirect")
    terms, cells = losses.terms(losses.by_asset(model, columns, float(size), on_failure))
    held = terms[0][0]
    if graph._price_map is not None:
        held = sparse.csr_array(abs(held) @ graph._price_map.onto_underlyings)
    held = held if columns.size == len(graph.assets) else held[:, columns]
    name = f"indirect loss when the asset moves by {size:+.4g} [currency]{passed_down_note(graph)}"
    labels = graph.assets[columns]
    return IndirectExposure(
        *(chosen.labels, labels, terms, cells, held, name),
        model=model,
        solution=losses.solution,
        size=float(size),
        baseline=baseline,
    )


def check_size(name: str, size: Any) -> None:
    """Refuse what is no relative price change."""
    check_number("exposure", name, size, low=-1)
