"""The frontier of designs: the capital that they need against the contagion that they carry."""

from typing import TYPE_CHECKING, Any

from contagion_graph.collateral.pools.compare import PoolingComparison
from contagion_graph.errors import ParameterError
from contagion_graph.plot.canvas import amounts_on, axes, style, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def frontier(comparison: Any, *, column: str = "socialised", ax: "Axes | None" = None) -> "Axes":
    """Draw designs of margining: the capital that all accounts need against a cost of contagion.

    Parameters
    ----------
    comparison : PoolingComparison
        What `collateral.compare_pooling` returned.
    column : str
        The column of its table to draw upwards: "socialised", "shortfall", "uncovered", "gross_loss", "net_loss"
        [currency] or "closed".
    ax : Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        Something else, or a column that is none.

    Examples
    --------
    >>> import pandas as pd
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0, 1.0]], price=100.0)
    >>> scenarios = pd.DataFrame({"0": [-0.5, 0.0], "1": [0.0, -0.5]})
    >>> designs = ["isolated", "unified"]
    >>> comparison = cg.collateral.compare_pooling(graph, cg.MarginCascade(), scenarios, designs=designs)
    >>> ax = cg.plot.frontier(comparison)
    >>> ax.get_xlabel()
    'capital needed [currency]'
    """
    if not isinstance(comparison, PoolingComparison):
        raise ParameterError(f"comparison is a {type(comparison).__name__}; give what compare_pooling returns")
    if column not in comparison.table or column in ("capital", "accounts"):
        raise ParameterError(f"column is {column!r}; it must be one of {', '.join(comparison.table.columns[2:])}")
    ax = axes(ax)
    for number, (design, row) in enumerate(comparison.table.iterrows()):
        look = {**style(number), "linestyle": "none"}
        ax.plot([row["capital"]], [row[column]], markersize=9, label=text(design), **look)
    ax.margins(0.15)
    amounts_on(ax.xaxis)
    amounts_on(ax.yaxis)
    unit = "accounts" if column == "closed" else "currency"
    ax.set(xlabel="capital needed [currency]", ylabel=f"{column}, mean over scenarios [{unit}]")
    ax.legend(title="margined", frameon=False)
    return ax
