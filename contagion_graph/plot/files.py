"""Figures become files whose bytes depend on the figure only."""

from pathlib import Path
from typing import Any

from contagion_graph._validate import check_choice
from contagion_graph.plot.canvas import figure_of, matplotlib
from contagion_graph.tables.files import path_of, replacing

NO_DATES: dict[str, dict[str, Any]] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}
STABLE = {"svg.hashsalt": "contagion_graph", "svg.fonttype": "path", "pdf.fonttype": 42}


def save(ax: Any, path: str | Path, *, dpi: float = 150.0) -> Path:
    """Write the figure that axes belong to as PDF, SVG or PNG; the same figure gives the same bytes.

    No dates are written, names inside an SVG follow from its content, and a PDF holds its fonts as text (type 42).
    Another version of matplotlib may write other bytes.

    Parameters
    ----------
    ax : Axes, array of Axes, or Figure
        What a plot returned.
    path : path
        Ends in .pdf, .svg or .png. No reader ever sees half a file.
    dpi : float
        Dots an inch of a PNG.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ParameterError
        Another ending.

    Examples
    --------
    >>> import tempfile
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-850.0])
    >>> ax = cg.plot.waterfall(cg.MarginCascade().run(graph, {"0": -0.1}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cg.plot.save(ax, f"{folder}/losses.pdf").name
    'losses.pdf'
    """
    path = path_of("path", path)
    check_choice("the ending of path", path.suffix, tuple(NO_DATES))
    form = path.suffix.removeprefix(".")
    with matplotlib("pyplot").rc_context(STABLE), replacing(path) as beside:
        figure_of(ax).savefig(beside, format=form, dpi=dpi, metadata=NO_DATES[path.suffix])
    return path
