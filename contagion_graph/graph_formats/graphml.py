"""GraphML, for igraph, networkx and other readers than Gephi."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contagion_graph._written import Written
from contagion_graph.graph_formats.columns import Column, Types, blocks, columns, declared, escaped, joined, longest
from contagion_graph.graph_formats.drawing import Drawing, drawing_of
from contagion_graph.graph_formats.from_any import Source
from contagion_graph.graph_formats.from_exposures import Nodes
from contagion_graph.graph_formats.layout import Layout
from contagion_graph.tables.files import check_target, path_of, replacing_file

SMALLEST = float(np.finfo(np.float64).tiny)
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'


def write_graphml(
    source: Source,
    path: str | Path,
    *,
    nodes: Nodes | None = None,
    k: int | None = None,
    min_weight: float | None = None,
    layout: Layout = "rings",
    size: "pd.Series[float] | None" = None,
) -> Written:
    """Write a graph, a network of obligations, or a result as it ends, as GraphML.

    Parameters
    ----------
    source : ExposureGraph, CascadeResult, ObligationNetwork, ClearingResult or DistressResult
        What to write.
    path : path
        Ends in .graphml, or in .graphml.gz for a packed file. A file of the same name is replaced.
    nodes : {"bipartite", "positions", "traders", "assets"}, optional
        What a node is, as in `write_gexf`.
    k : int, optional
        How many traders, or assets, to keep, as in `write_gexf`; None: all.
    min_weight : float, optional
        Keep edges of at least this weight.
    layout : {"rings", "force", "none"}
        Places of nodes, as in `write_gexf`.
    size : Series by trader or by asset, optional
        An importance measure for the size of nodes.

    Returns
    -------
    Written
        As in `write_gexf`.

    Raises
    ------
    ParameterError
        As in `write_gexf`.

    Notes
    -----
    Nodes and edges have the ids and attributes of GEXF; sizes, colours and positions are the attributes size, r, g, b,
    x and y, and `weight` has all its digits. igraph reads every number as a double, so that whole numbers beyond 2^53
    round, and an & in an id as &#38; (labels are whole); numbers below 2.3e-308 are written as 0, for it refuses them.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import networkx as nx
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0], traders=["A"], assets=["A"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = cg.write_graphml(graph, Path(folder) / "graph.graphml")
    ...     nx.read_graphml(written.paths[0]).edges["trader:A", "asset:A"]["value"]
    20.0
    """
    check_target(path_of("path", path))
    drawing = drawing_of(source, nodes, k=k, min_weight=min_weight, layout=layout, size=size)
    path = Path(path)
    with replacing_file(path) as file:
        for parts in _document(drawing):
            file.write(parts.encode() if isinstance(parts, str) else joined(parts))
    return drawing.written(path)


def _document(drawing: Drawing) -> Iterator[Any]:
    network = drawing.network
    of_nodes = [_normal(columns(drawing.node_values(k))) for k in range(len(network.sides))]
    of_edges = _normal(columns({"weight": drawing.weight, **network.attributes}))
    node_types, edge_types = declared(of_nodes), declared([of_edges])
    ids = [escaped(pa.array(side.ids, pa.string())) for side in network.sides]
    yield HEAD + _keys("node", node_types) + _keys("edge", edge_types)
    kind = "directed" if network.directed else "undirected"
    yield f'<graph edgedefault="{kind}"><desc>{escaped(pa.array([drawing.description]))[0]}</desc>\n'
    for own, found in zip(ids, of_nodes, strict=True):
        for rows in blocks(len(own), longest(own)):
            yield ['<node id="', own[rows], '">', *_data("node", found, node_types, rows), "</node>\n"]
    everyone = pa.concat_arrays(ids)
    for rows in blocks(network.weight.size, 2 * longest(everyone)):
        number = pa.array(np.arange(rows.start, rows.stop)).cast(pa.string())
        source, target = (everyone.take(pa.array(end[rows])) for end in (network.source, network.target))
        ends = ['<edge id="e', number, '" source="', source, '" target="', target, '">']
        yield [*ends, *_data("edge", of_edges, edge_types, rows), "</edge>\n"]
    yield "</graph>\n</graphml>\n"


def _normal(found: Sequence[Column]) -> list[Column]:
    """Write numbers next to 0 that only a denormalised double can hold as 0: igraph refuses a file with one."""
    return [
        replace(own, values=pc.if_else(pc.less(pc.abs(own.values), SMALLEST), pa.scalar(0.0), own.values))
        if own.type == "double"
        else own
        for own in found
    ]


def _keys(elements: str, types: Types) -> str:
    names = escaped(pa.array(types, pa.string())).to_pylist()
    return "".join(
        f'<key id="{elements}{place}" for="{elements}" attr.name="{name}" attr.type="{kind}"/>\n'
        for place, (name, kind) in enumerate(zip(names, types.values(), strict=True))
    )


def _data(elements: str, found: Sequence[Column], types: Types, rows: slice) -> list[Any]:
    places = {name: place for place, name in enumerate(types)}
    return [
        pc.binary_join_element_wise(f'<data key="{elements}{places[own.name]}">', own.xml(rows), "</data>", "")
        for own in found
    ]
