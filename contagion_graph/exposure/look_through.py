"""Effective holdings of traders: units of each asset, their own and through the reactions of others."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import OnFailure
from contagion_graph.errors import ParameterError
from contagion_graph.exposure.indirect import check_size
from contagion_graph.exposure.inputs import check_inputs, traders_of
from contagion_graph.exposure.losses import Losses
from contagion_graph.exposure.marginal import marginal_exposure
from contagion_graph.exposure.matrix import ExposureMatrix
from contagion_graph.graph.backing import passed_down_note
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock
from contagion_graph.margin.model import MarginCascade
from contagion_graph.tables.vectors import rows_of


@dataclass(frozen=True, eq=False, repr=False)
class LookThrough(Result):
    """Effective holdings = direct + indirect, each traders x assets [units].

    Parameters
    ----------
    direct, indirect, effective : ExposureMatrix
        Net units held; units held through others; the sum of both.
    model : MarginCascade
        The model of the reactions.
    solution : Solution
        How the computation ended: of several runs, the one that is furthest from convergence.
    """

    direct: ExposureMatrix
    indirect: ExposureMatrix
    effective: ExposureMatrix
    model: MarginCascade
    solution: Solution

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            traders, assets (counts); direct, indirect, effective (units, summed over both).
        """
        figures = self.effective.summary().drop("total")
        for name in ("direct", "indirect", "effective"):
            figures[name] = getattr(self, name).summary()["total"]
        return figures.rename("look_through")

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {name: getattr(self, name).to_pandas() for name in ("effective", "direct", "indirect")}

    def _first_rows(self) -> pd.DataFrame:
        return self.effective._first_rows()

    def __repr__(self) -> str:
        return repr(self.effective).replace(type(self.effective).__name__, "LookThrough")


def look_through(
    graph: ExposureGraph,
    model: MarginCascade,
    shock: Shock | None = None,
    *,
    size: float | None = None,
    assets: Iterable[object] | None = None,
    traders: Iterable[object] | None = None,
    on_failure: OnFailure = "raise",
) -> LookThrough:
    """Return the units of each asset that each trader holds in effect: its loss per unit of price move.

    Without a size, the derivative -d loss / d price at the least equilibrium (`marginal_exposure`). With one, the loss
    when the asset moves by `size`, over the price move, and less the loss without a shock:

        effective_ij = -(loss_i(p0_j size) - loss_i(0)) / (p0_j size)

    which works with every model, and includes jumps that a derivative does not see.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts, m assets.
    model : MarginCascade
        One that `marginal_exposure` can take, or, with a size, any.
    shock : mapping or Series asset -> relative price change, optional
        The stressed state of the derivative; not with a size.
    size : float, optional
        Relative price change, from -1 up, not 0.
    assets, traders : iterable of labels, optional
        None: all.
    on_failure : {"raise", "warn", "ignore"}
        What to do where the equilibrium or a run does not converge: its last state is then used.

    Returns
    -------
    LookThrough
        direct, indirect, effective; the first is the net units held.

    Raises
    ------
    ParameterError
        As in `marginal_exposure` and `indirect_exposure`; a size together with a shock.
    ConvergenceError
        The equilibrium or a run did not converge, and `on_failure` is "raise".

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[9.0, 2.0], [0.0, 4.0]], price=10.0, depth=1000.0, margin_long=0.1, cash=[-90.0, 0.0],
    ...     traders=["A", "B"], assets=["X", "Y"],
    ... )
    >>> held = cg.look_through(graph, cg.MarginCascade(), size=-0.2)
    >>> held.direct.trader("B").tolist(), held.effective.trader("B").round(2).tolist()
    ([0.0, 4.0], [1.07, 4.0])
    """
    if size is None:
        effective: ExposureMatrix = marginal_exposure(
            graph, model, shock, assets=assets, traders=traders, on_failure=on_failure
        )
    elif shock is not None:
        raise ParameterError("give a size or a shock: with a size, losses are those from the prices of the graph on")
    else:
        effective = _secant(graph, model, size, assets, traders, on_failure)
    columns = graph.assets.get_indexer(effective.assets)
    held, right = effective.terms[0]
    beyond = right.copy()
    beyond[columns, np.arange(columns.size)] -= 1.0
    labels = (effective.traders, effective.assets)
    indirect = ((held, beyond), *effective.terms[1:])
    return LookThrough(
        direct=ExposureMatrix(*labels, (), effective.held, effective.held, "units held"),
        indirect=ExposureMatrix(*labels, indirect, effective.cells, effective.held, "units held through others"),
        effective=replace(effective, name=f"units held in effect{passed_down_note(graph)}"),
        model=model,
        solution=effective.solution,
    )


def _secant(
    graph: ExposureGraph,
    model: MarginCascade,
    size: float,
    assets: Iterable[object] | None,
    traders: Iterable[object] | None,
    on_failure: OnFailure,
) -> ExposureMatrix:
    """Return -(loss after the shock - loss without one) / price move for each asset."""
    check_inputs(graph, model, on_failure)
    check_size("size", size)
    if size == 0:
        raise ParameterError("size is 0: nothing moves; leave it out for the derivative")
    columns, chosen = rows_of(assets, graph.assets, "assets"), traders_of(graph, traders)
    losses = Losses(model.run(graph, on_failure=on_failure), chosen, "loss")
    terms, cells = losses.terms(losses.by_asset(model, columns, float(size), on_failure))
    per_unit = -1.0 / (graph.price[columns] * size)
    terms = tuple((left, right * per_unit) for left, right in terms)
    held = terms[0][0] if assets is None else terms[0][0][:, columns]
    scaled = (cells @ sparse.diags_array(per_unit)).tocsr()
    labels = (chosen.labels, graph.assets[columns])
    return ExposureMatrix(*labels, terms, scaled, held, "units held", model=model, solution=losses.solution)
