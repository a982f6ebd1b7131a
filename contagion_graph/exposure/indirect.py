"""What traders lose through a cascade when one asset moves, whether they hold it or not."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.exposure.inputs import check_inputs, traders_of
from contagion_graph.exposure.losses import Losses
from contagion_graph.exposure.matrix import ExposureMatrix, positions_of
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.result import CascadeResult


@dataclass(frozen=True, eq=False, repr=False)
class IndirectExposure(ExposureMatrix):
    """Indirect losses of traders by the asset that moved, next to the same market at rest.

    Parameters
    ----------
    size : float
        The relative price change.
    baseline : CascadeResult
        The run without a shock, whose losses are taken off.
    """

    size: float
    baseline: CascadeResult


def indirect_exposure(
    graph: ExposureGraph,
    model: MarginCascade,
    size: float,
    *,
    assets: Iterable[object] | None = None,
    traders: Iterable[object] | None = None,
) -> IndirectExposure:
    """Return what each trader loses through the cascade when one asset after the other moves.

    For asset j alone moved by `size`, with loss, standalone and indirect as in every result,

        indirect_ij = (loss - standalone)_i after the shock  -  (loss - standalone)_i without one

    summed over the accounts of a trader. It is what the trader is exposed to beyond its own holding: the prices that
    others move by selling, the losses that a pool shares, and what its own liquidation costs.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts, m assets.
    model : MarginCascade
        Run once without a shock, and once for each asset.
    size : float
        Relative price change, from -1 up, not 0: -0.10 = falls by 10 %.
    assets, traders : iterable of labels, optional
        None: all.

    Returns
    -------
    IndirectExposure
        Traders x assets [currency], above 0 a loss, in factored form: ask for `top`, `trader`, `asset`, `blocks`, or,
        if it is small, `to_pandas`.

    Raises
    ------
    ParameterError
        A size of 0, below -1 or not finite; a market in which nothing indirect can happen.
    TableError
        An unknown label.
    ConvergenceError
        As in `MarginCascade.run`.

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
    check_inputs(graph, model)
    check_size("size", size)
    if size == 0:
        raise ParameterError("size is 0: nothing moves; give a relative price change such as -0.10")
    columns, chosen = positions_of("assets", assets, graph.assets), traders_of(graph, traders)
    baseline = model.run(graph)
    losses = Losses(baseline, chosen, "indirect")
    terms, cells = losses.terms(losses.by_asset(model, columns, float(size)))
    held = terms[0][0] if assets is None else terms[0][0][:, columns]
    name = f"indirect loss when the asset moves by {size:+.4g} [currency]"
    labels = graph.assets[columns]
    return IndirectExposure(chosen.labels, labels, terms, cells, held, name, float(size), baseline)


def check_size(name: str, size: Any) -> None:
    """Refuse what is no relative price change."""
    check_number("exposure", name, size, low=-1)
