"""GEXF 1.3 for Gephi, streamed from arrays.

What Gephi 0.10 does decides the form: it reads weights as 32-bit floats (the exact amount is an attribute besides),
drops edges of weight 0, merges parallel edges of one `kind`, scatters nodes without a position, and ignores shapes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contagion_graph.graph import ExposureGraph
from contagion_graph.io.columns import Column, Types, blocks, column, declared, escaped, joined
from contagion_graph.io.drawing import Drawing, Written, drawing_of
from contagion_graph.io.layout import Layout
from contagion_graph.io.network import Nodes
from contagion_graph.results import CascadeResult
from contagion_graph.rules.checks import check_choice
from contagion_graph.tables.files import replacing_file

Mode = Literal["static"]
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<gexf xmlns="http://gexf.net/1.3" xmlns:viz="http://gexf.net/1.3/viz" version="1.3">\n'
)


def write_gexf(
    source: ExposureGraph | CascadeResult,
    path: str | Path,
    *,
    nodes: Nodes = "bipartite",
    mode: Mode = "static",
    top: int | None = None,
    min_weight: float | None = None,
    layout: Layout = "rings",
    size: "pd.Series[float] | None" = None,
) -> Written:
    """Write a graph, or a cascade, for Gephi: GEXF 1.3.

    Parameters
    ----------
    source : ExposureGraph or CascadeResult
        What to draw. Of a result traders are as large as their losses and coloured by the round of their first breach;
        of a graph they are as large as what they hold. A legend stands in the file's description.
    path : path
        Ends in .gexf, or in .gexf.gz for a packed file. A file of the same name is replaced.
    nodes : {"bipartite", "positions", "traders", "assets"}
        "bipartite": traders and assets, an edge for each kind of position that a trader has in an asset, its weight the
        value held. "positions": positions are nodes too. "traders": traders joined by what the sale of one costs the
        other, to first order (`importance.overlap`, "liquidity"). "assets": assets joined by the cosine of who holds
        them.
    mode : {"static"}
        One file, as it ends.
    top : int, optional
        Keep the traders (of nodes="assets": the assets) with the largest losses, in a graph the largest gross value.
    min_weight : float, optional
        Keep edges of at least this weight. Where anything is filtered, nodes without an edge are left out.
    layout : {"rings", "force", "none"}
        "rings": assets in the middle, traders around them, the first to breach nearest. "force": Fruchterman-Reingold
        from there, by igraph; minutes for more than some ten thousand edges. "none": no positions.
    size : Series by trader or by asset, optional
        An importance measure for the size of nodes; its index is named "trader" or "asset".

    Returns
    -------
    Written
        The files, what they hold, and which share of all losses (or gross value) the nodes that were kept stand for.

    Raises
    ------
    ParameterError
        A name or number that cannot be; more edges than Gephi can draw (the message says what to filter).

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
    drawing = drawing_of(source, nodes, top=top, min_weight=min_weight, layout=layout, size=size)
    path = Path(path)
    with replacing_file(path) as file:
        _write(file, drawing)
    return drawing.written(path)


def _write(file: IO[bytes], drawing: Drawing) -> None:
    network = drawing.network
    node_columns = [[column("side", [side.name] * len(side.ids)), *_columns(side.attributes)] for side in network.sides]
    edge_columns = _columns(network.attributes)
    node_types, edge_types = declared(node_columns), declared([edge_columns])
    file.write((HEAD + _meta(drawing.description) + '<graph defaultedgetype="undirected" mode="static">\n').encode())
    file.write((_attributes("node", node_types) + _attributes("edge", edge_types) + "<nodes>\n").encode())
    ids = [escaped(pa.array(side.ids, pa.string())) for side in network.sides]
    for side, start, own, columns in zip(network.sides, network.starts, ids, node_columns, strict=False):
        labels = escaped(pa.array(side.labels, pa.string()))
        for rows in blocks(len(own), _longest(own)):
            parts = ['<node id="', own[rows], '" label="', labels[rows], '"><attvalues>']
            parts += _values(columns, node_types, rows)
            parts += ["</attvalues>", *_node_looks(drawing, slice(start + rows.start, start + rows.stop)), "</node>\n"]
            file.write(joined(parts))
    file.write(b"</nodes>\n<edges>\n")
    for parts in _edges(drawing, pa.concat_arrays(ids), edge_columns, edge_types):
        file.write(joined(parts))
    file.write(b"</edges>\n</graph>\n</gexf>\n")


def _edges(drawing: Drawing, ids: Any, columns: Sequence[Column], types: Types) -> Iterator[list[Any]]:
    network, weight, colour = drawing.network, drawing.weight32, _palette(drawing.looks.edge_colour)
    kind = None if network.kind is None else column("kind", network.kind)
    for rows in blocks(weight.size, 2 * _longest(ids)):
        number = pa.array(np.arange(rows.start, rows.stop)).cast(pa.string())
        source, target = (ids.take(pa.array(end[rows])) for end in (network.source, network.target))
        parts = ['<edge id="', number, '" source="', source, '" target="', target, '" weight="']
        parts += [pa.array(weight[rows]).cast(pa.string())]
        parts += [] if kind is None else ['" kind="', kind.xml(rows)]
        parts += ['"><attvalues>', *_values(columns, types, rows), "</attvalues>", colour[rows].cast(pa.string())]
        yield [*parts, "</edge>\n"]


def _node_looks(drawing: Drawing, rows: slice) -> list[Any]:
    looks, places = drawing.looks, drawing.places
    size = pa.array(looks.size[rows]).cast(pa.string())
    parts = ['<viz:size value="', size, '"/>', _palette(looks.node_colour[rows]).cast(pa.string())]
    if places is None:
        return parts
    x, y = (pa.array(places[rows, k]).cast(pa.string()) for k in (0, 1))
    return [*parts, '<viz:position x="', x, '" y="', y, '" z="0"/>']


def _palette(colour: Any) -> Any:
    """Return colour elements: as integers, since networkx cannot read hexadecimal ones."""
    packed = colour.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    distinct, codes = np.unique(packed, return_inverse=True)
    texts = [f'<viz:color r="{rgb >> 16}" g="{rgb >> 8 & 255}" b="{rgb & 255}"/>' for rgb in distinct.tolist()]
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(texts, pa.string()))


def _columns(attributes: Any) -> list[Column]:
    return [column(name, values) for name, values in attributes.items()]


def _values(columns: Sequence[Column], types: Types, rows: slice) -> list[Any]:
    """Return the parts of attribute values; what is missing is left out."""
    parts: list[Any] = []
    places = {name: place for place, name in enumerate(types)}
    for own in columns:
        before, text, after = f'<attvalue for="{places[own.name]}" value="', own.xml(rows), '"/>'
        whole = text.null_count == 0
        parts += [before, text, after] if whole else [pc.binary_join_element_wise(before, text, after, "")]
    return parts


def _attributes(elements: str, types: Types) -> str:
    titles = escaped(pa.array(types, pa.string())).to_pylist()
    lines = [
        f'<attribute id="{place}" title="{title}" type="{kind}"/>\n'
        for place, (title, kind) in enumerate(zip(titles, types.values(), strict=True))
    ]
    return f'<attributes class="{elements}" mode="static">\n{"".join(lines)}</attributes>\n'


def _meta(description: str) -> str:
    text = escaped(pa.array([description]))[0].as_py()
    return f"<meta><creator>contagion_graph</creator><description>{text}</description></meta>\n"


def _longest(texts: Any) -> int:
    return int(pc.max(pc.binary_length(texts)).as_py() or 0)
