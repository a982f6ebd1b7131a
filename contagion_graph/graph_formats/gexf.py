"""GEXF 1.3 for Gephi, streamed from arrays.

What Gephi 0.10 does decides the form: it reads weights as 32-bit floats (the exact amount is an attribute besides),
drops edges of weight 0, merges parallel edges of one `kind`, scatters nodes without a position, and ignores shapes.
"""

import re
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from contagion_graph._validate import check_choice
from contagion_graph._written import Written
from contagion_graph.graph_formats.drawing import Drawing, drawing_of
from contagion_graph.graph_formats.from_any import Source
from contagion_graph.graph_formats.from_exposures import Nodes
from contagion_graph.graph_formats.gexf_xml import Moving, document, moving
from contagion_graph.graph_formats.layout import Layout
from contagion_graph.graph_formats.snapshots import at_time, over_time
from contagion_graph.graph_formats.timeline import timeline_of
from contagion_graph.tables.files import check_target, path_of, replacing_file, replacing_set

Mode = Literal["static", "dynamic", "slices"]


def write_gexf(
    source: Source,
    path: str | Path,
    *,
    nodes: Nodes | None = None,
    mode: Mode = "static",
    k: int | None = None,
    min_weight: float | None = None,
    layout: Layout = "rings",
    size: "pd.Series[float] | None" = None,
) -> Written:
    """Write a graph, a network of obligations, or a result on one of them, for Gephi: GEXF 1.3.

    Parameters
    ----------
    source : ExposureGraph, CascadeResult, ObligationNetwork, ClearingResult or DistressResult
        What to draw. Of a result traders are as large as their losses and coloured by the round of their first breach,
        or the round of their default; without a result they are as large as what they hold. A legend stands in the
        file's description.
    path : path
        Ends in .gexf, or in .gexf.gz for a packed file. A file of the same name is replaced.
    nodes : {"bipartite", "positions", "traders", "assets"}, optional
        Obligations join traders: a directed edge from debtor to creditor for each rank of seniority, its weight the
        amount due; nothing else can be asked for. Of an exposure graph, and of a cascade on it, None is "bipartite":
        traders and assets, an edge for each kind of position that a trader has in an asset, its weight the
        value held. "positions": positions are nodes too. "traders": traders joined by what the sale of one costs the
        other, to first order (`importance.overlap`, "liquidity"). "assets": assets joined by the cosine of their
        holdings.
    mode : {"static", "dynamic", "slices"}
        "static": one file, as it ends. "dynamic": one file for Gephi's timeline, round t from time t to t + 1; traders
        go when they are closed whole, holdings when the last is sold, and what is traded in a round is an edge of that
        round. "slices": a file for each time, cascade-0.gexf before the shock and so on, with colours of that time.
    k : int, optional
        How many traders to keep: of a cascade half with the most closed and the others with the largest losses, of
        other results those with the largest losses, else those that hold most (nodes="assets": the assets with the
        largest open interest).
    min_weight : float, optional
        Keep edges of at least this weight. Where anything is filtered, nodes without an edge are left out.
    layout : {"rings", "force", "none"}
        "rings": assets in the middle, traders around them, the first to breach or default nearest. "force":
        Fruchterman-Reingold from there, by igraph; minutes for more than some ten thousand edges. "none": no positions.
    size : Series by trader or by asset, optional
        An importance measure for the size of nodes; its index is named "trader" (or "node") or "asset".

    Returns
    -------
    Written
        The files, what they hold, and which share of all losses (or gross value) the nodes that were kept stand for.

    Raises
    ------
    ParameterError
        A name or number that cannot be; more edges than Gephi can draw (the message says what to filter); rounds of
        something that has none.

    Notes
    -----
    Ids are "trader:A", "asset:A", "position:7". The `weight` of an edge is an absolute value in 32 bits; the exact
    amount, with its sign, is an attribute. Characters that XML cannot hold are written as _xHHHH_ (docs/gephi.md).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
    ... )
    >>> result = cg.MarginCascade().run(graph, {"0": -0.10})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = cg.write_gexf(result, Path(folder) / "cascade.gexf")
    >>> written.nodes, written.edges, written.share
    (3, 2, 1.0)
    """
    check_choice("mode", mode, get_args(Mode))
    check_target(path_of("path", path))
    drawing = drawing_of(source, nodes, k=k, min_weight=min_weight, layout=layout, size=size)
    path = Path(path)
    if mode == "static":
        return drawing.written(_write(path, drawing))
    timeline = timeline_of(drawing.network, source, mode)
    drawing = over_time(drawing, timeline)
    if mode == "dynamic":
        return drawing.written(_write(path, drawing, moving(timeline)))
    endings = "".join(path.suffixes[-2 if path.suffix == ".gz" else -1 :])
    stem, digits = path.name.removesuffix(endings), len(str(timeline.end - 1))
    names = [f"{stem}-{time:0{digits}}{endings}" for time in range(timeline.end)]  # cascade-07.gexf.gz
    with replacing_set(path.parent, rf"{re.escape(stem)}-\d+{re.escape(endings)}") as beside:
        for time, name in enumerate(names):
            _write(beside / name, at_time(drawing, timeline, time))
    return drawing.written(*(path.with_name(name) for name in names))


def _write(path: Path, drawing: Drawing, rounds: Moving | None = None) -> Path:
    with replacing_file(path) as file:
        for piece in document(drawing, rounds):
            file.write(piece)
    return path
