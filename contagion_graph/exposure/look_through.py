"""What traders hold in effect: units of each asset, through what others do as well as their own."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from contagion_graph.errors import ParameterError
from contagion_graph.exposure.indirect import check_size
from contagion_graph.exposure.inputs import check_inputs, traders_of
from contagion_graph.exposure.losses import Losses
from contagion_graph.exposure.marginal import marginal_exposure
from contagion_graph.exposure.matrix import ExposureMatrix, positions_of
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock
from contagion_graph.margin.model import MarginCascade


class LookThrough(NamedTuple):
    """Effective holdings = direct + indirect, each traders x assets [units]."""

    direct: ExposureMatrix
    indirect: ExposureMatrix
    effective: ExposureMatrix


def look_through(
    graph: ExposureGraph,
    model: MarginCascade,
    shock: Shock | None = None,
    *,
    size: float | None = None,
    assets: Iterable[object] | None = None,
    traders: Iterable[object] | None = None,
) -> LookThrough:
    """Return the units of each asset that each trader holds in effect: what its loss is per unit of price move.

    Without a size, the derivative -d loss / d price at the least equilibrium (`marginal_exposure`). With one, the loss
    when the asset moves by `size`, over the price move, and less the loss without a shock:

        effective_ij = -(loss_i(p0_j size) - loss_i(0)) / (p0_j size)

    which serves every model, and sees jumps that a derivative does not.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts, m assets.
    model : MarginCascade
        One that `marginal_exposure` can take, or, with a size, any.
    size : float, optional
        Relative price change, from -1 up, not 0.
    shock : mapping or Series asset -> relative price change, optional
        The stressed state of the derivative; not with a size.
    assets, traders : iterable of labels, optional
        None: all.

    Returns
    -------
    LookThrough
        direct, indirect, effective; the first is the net units held.

    Raises
    ------
    ParameterError, TableError, ConvergenceError
        As in `marginal_exposure` and `indirect_exposure`; a size together with a shock.

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
        effective: ExposureMatrix = marginal_exposure(graph, model, shock, assets=assets, traders=traders)
    elif shock is not None:
        raise ParameterError("give a size or a shock: with a size, losses are those from the prices of the graph on")
    else:
        effective = _secant(graph, model, size, assets, traders)
    columns = graph.assets.get_indexer(effective.assets)
    held, right = effective.terms[0]
    beyond = right.copy()
    beyond[columns, np.arange(columns.size)] -= 1.0
    labels = (effective.traders, effective.assets)
    indirect = ((held, beyond), *effective.terms[1:])
    return LookThrough(
        direct=ExposureMatrix(*labels, (), effective.held, effective.held, "units held"),
        indirect=ExposureMatrix(*labels, indirect, effective.cells, effective.held, "units held through others"),
        effective=replace(effective, name="units held in effect"),
    )


def _secant(
    graph: ExposureGraph,
    model: MarginCascade,
    size: float,
    assets: Iterable[object] | None,
    traders: Iterable[object] | None,
) -> ExposureMatrix:
    """Return -(loss after the shock - loss without one) / price move for each asset."""
    check_inputs(graph, model)
    check_size("size", size)
    if size == 0:
        raise ParameterError("size is 0: nothing moves; leave it out for the derivative")
    columns, chosen = positions_of("assets", assets, graph.assets), traders_of(graph, traders)
    losses = Losses(model.run(graph), chosen, "loss")
    terms, cells = losses.terms(losses.by_asset(model, columns, float(size)))
    per_unit = -1.0 / (graph.price[columns] * size)
    terms = tuple((left, right * per_unit) for left, right in terms)
    held = terms[0][0] if assets is None else terms[0][0][:, columns]
    scaled = (cells @ sparse.diags_array(per_unit)).tocsr()
    return ExposureMatrix(chosen.labels, graph.assets[columns], terms, scaled, held, "units held in effect")
