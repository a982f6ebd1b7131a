"""The conditions under which closings can only lead to more closings."""

import numpy as np

from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.prepare import CascadeRules, prepared
from contagion_graph.margin.rounds.fills import passes_on
from contagion_graph.rules.declarations import declared


def is_isotone(graph: ExposureGraph) -> bool:
    """Say whether more closing can never help an account: every sellable asset is held on one side only.

    And no cell of an asset held long may need more margin than it is worth: the account would gain from a lower price.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> is_isotone(cg.ExposureGraph.from_arrays([[1.0, -2.0]], price=[1.0, 1.0]))
    True
    >>> is_isotone(cg.ExposureGraph.from_arrays([[1.0], [-2.0]], price=[1.0]))
    False
    """
    from contagion_graph.kernels.row_sums import sides_met

    above, other = np.split(graph._rows.count(np.concatenate(sides_met(graph._rows.cells, graph.sellable))), 2)
    return not ((above > 0) & (other > 0) & graph.sellable).any()


def isotone_obstacles(graph: ExposureGraph, model: CascadeRules) -> list[str]:
    """Return why a closing, or an earlier one, can prevent another; empty where closings can only lead to more.

    Where accounts close whole and no loss is shared, accounts act on each other through prices alone. Where sales count
    at the price before the shock, prices depend on which accounts are closed, not on when they closed. Where every
    sellable asset is held on one side, a sale makes no account better off.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shock.
    model : MarginCascade
        Its rules are asked what they declare.

    Returns
    -------
    list of str
        The conditions that do not hold, in words.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0], [-2.0]], price=[10.0])
    >>> isotone_obstacles(graph, cg.MarginCascade(cg.TargetMargin()))
    ['accounts close in parts', 'losses are shared', 'longs and shorts of an asset meet']
    """
    priced, _ = prepared(graph, model, any_margin=True, any_waterfall=True)
    reasons = {
        "accounts close in parts": not model.closes_whole,
        "margins can depend on other accounts": declared(model.liquidation, "margins") is None,
        "losses are shared": bool(model.members),
        "positions pass from account to account": passes_on(priced._rows, model),
        "sales count at the price when sold": model.impact.volume != "initial",
        "margins are no flat rates": priced._margins is not None,
        "instruments are priced from other assets": priced._price_map is not None,
        "longs and shorts of an asset meet": not is_isotone(priced),
    }
    return [reason for reason, holds in reasons.items() if holds]
