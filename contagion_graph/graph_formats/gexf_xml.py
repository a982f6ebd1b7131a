"""GEXF as bytes: elements whose parts, texts and arrays of texts, stand one after the other in every row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contagion_graph.graph_formats.columns import (
    Column,
    Pieces,
    Types,
    blocks,
    column,
    columns,
    declared,
    escaped,
    joined,
    longest,
    pieces,
)
from contagion_graph.graph_formats.drawing import Drawing
from contagion_graph.graph_formats.timeline import STATUS, Spans, Timeline

Parts = list[Any]
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<gexf xmlns="http://gexf.net/1.3" xmlns:viz="http://gexf.net/1.3/viz" version="1.3">\n'
)
STATIC = 'mode="static"'


@dataclass(frozen=True, eq=False)
class Moving:
    """What a dynamic file says beyond a static one.

    Parameters
    ----------
    end : int
        The last moment.
    node_types, edge_types : Types
        Attributes that change.
    node_values, edge_values, node_spells, edge_spells : Pieces
        Their values with start and end, and when elements are there.
    """

    end: int
    node_types: Types
    edge_types: Types
    node_values: Pieces
    edge_values: Pieces
    node_spells: Pieces
    edge_spells: Pieces

    @property
    def opening(self) -> str:
        """The attributes of the graph element."""
        return f'mode="dynamic" timeformat="double" timerepresentation="interval" start="0" end="{self.end}"'


def document(drawing: Drawing, rounds: Moving | None) -> Iterator[bytes | memoryview]:
    """Yield the file, piece by piece."""
    network = drawing.network
    of_nodes = [columns({"side": side.kind, **side.attributes}) for side in network.sides]
    of_edges = columns(network.attributes)
    node_types, edge_types = declared(of_nodes), declared([of_edges])
    ids = [escaped(pa.array(side.ids, pa.string())) for side in network.sides]
    kind = "directed" if network.directed else "undirected"
    opening = f'<graph defaultedgetype="{kind}" {rounds.opening if rounds else STATIC}>'
    yield f"{HEAD}{_meta(drawing.description)}{opening}\n".encode()
    yield _attributes("node", node_types, rounds.node_types if rounds else None).encode()
    yield _attributes("edge", edge_types, rounds.edge_types if rounds else None).encode()
    yield b"<nodes>\n"
    for k in range(len(network.sides)):
        for parts in _nodes_of_side(drawing, k, ids[k], of_nodes[k], node_types, rounds):
            yield joined(parts)
    yield b"</nodes>\n<edges>\n"
    for parts in _edges(drawing, pa.concat_arrays(ids), of_edges, edge_types, rounds):
        yield joined(parts)
    yield b"</edges>\n</graph>\n</gexf>\n"


def moving(timeline: Timeline) -> Moving:
    """Return the texts of a timeline."""
    n, e = timeline.node_end.size, timeline.edge_end.size
    (node_types, node_values), (edge_types, edge_values) = (
        _values_over_time(spans, size) for spans, size in ((timeline.node_values(), n), (timeline.edge_values(), e))
    )
    spells = [
        pieces(spans.element, size, _between("<spell ", spans))
        for spans, size in ((timeline.node_spells(), n), (timeline.edge_spells(), e))
    ]
    return Moving(timeline.end, node_types, edge_types, node_values, edge_values, *spells)


def _values_over_time(named: Mapping[str, Spans], size: int) -> tuple[Types, Pieces]:
    found, texts, elements = [], [pa.array([], pa.string())], [np.zeros(0, dtype=np.int64)]
    for name, spans in named.items():
        values = pd.Categorical.from_codes(spans.value, pd.Index(STATUS)) if name == "status" else spans.value
        found.append(column(name, values))
        value = found[-1].text(slice(None))
        before = pc.binary_join_element_wise(f'<attvalue for="{name}" value="', value, '" ', "")
        texts.append(_between(before, spans))
        elements.append(spans.element)
    return declared([found]), pieces(np.concatenate(elements), size, pa.concat_arrays(texts))


def _between(before: Any, spans: Spans) -> Any:
    start, end = (pa.array(time).cast(pa.string()) for time in (spans.start, spans.end))
    return pc.binary_join_element_wise(before, 'start="', start, '" end="', end, '"/>', "")


def _nodes_of_side(
    drawing: Drawing, number: int, ids: Any, values: Sequence[Column], types: Types, rounds: Moving | None
) -> Iterator[Parts]:
    """Yield the parts of the nodes of one side, a block at a time."""
    side, start = drawing.network.sides[number], int(drawing.network.starts[number])
    labels = escaped(pa.array(side.labels, pa.string()))
    for rows in blocks(len(ids), longest(ids)):
        through = slice(start + rows.start, start + rows.stop)
        parts = ['<node id="', ids[rows], '" label="', labels[rows], '">', *_values(values, types, rows)]
        parts += [rounds.node_values.text(through)] if rounds else []
        parts += ["</attvalues>"] + ([*_spells(rounds.node_spells, through)] if rounds else [])
        yield [*parts, *_looks(drawing, through), "</node>\n"]


def _edges(
    drawing: Drawing, ids: Any, values: Sequence[Column], types: Types, rounds: Moving | None
) -> Iterator[Parts]:
    """Yield the parts of the edges, a block at a time."""
    network, weight, colour = drawing.network, drawing.weight32, _palette(drawing.looks.edge_colour)
    kind = None if network.kind is None else column("kind", network.kind)
    for rows in blocks(weight.size, 2 * longest(ids)):
        number = pa.array(np.arange(rows.start, rows.stop)).cast(pa.string())
        source, target = (ids.take(pa.array(end[rows])) for end in (network.source, network.target))
        parts = ['<edge id="', number, '" source="', source, '" target="', target, '" weight="']
        parts += [pa.array(weight[rows]).cast(pa.string())]
        parts += [] if kind is None else ['" kind="', kind.xml(rows)]
        parts += ['">', *_values(values, types, rows)]
        parts += [rounds.edge_values.text(rows)] if rounds else []
        parts += ["</attvalues>"] + ([*_spells(rounds.edge_spells, rows)] if rounds else [])
        yield [*parts, colour[rows].cast(pa.string()), "</edge>\n"]


def _spells(spells: Pieces, rows: slice) -> Parts:
    return ["<spells>", spells.text(rows), "</spells>"]


def _looks(drawing: Drawing, rows: slice) -> Parts:
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


def _values(values: Sequence[Column], types: Types, rows: slice) -> Parts:
    """Return the parts of attribute values, their element left open; what is missing is left out."""
    parts: Parts = ["<attvalues>"]
    places = {name: place for place, name in enumerate(types)}
    for own in values:
        before, text, after = f'<attvalue for="{places[own.name]}" value="', own.xml(rows), '"/>'
        whole = text.null_count == 0
        parts += [before, text, after] if whole else [pc.binary_join_element_wise(before, text, after, "")]
    return parts


def _attributes(elements: str, types: Types, changing: Types | None) -> str:
    """Return the declarations of attributes: numbered those that stand still, by name those that change."""
    names = escaped(pa.array(types, pa.string())).to_pylist()
    numbered = [(str(place), *pair) for place, pair in enumerate(zip(names, types.values(), strict=True))]
    found = _declarations(elements, "static", numbered)
    if changing:
        found += _declarations(elements, "dynamic", [(name, name, kind) for name, kind in changing.items()])
    return found


def _declarations(elements: str, mode: str, lines: Sequence[tuple[str, str, str]]) -> str:
    inner = "".join(f'<attribute id="{key}" title="{title}" type="{kind}"/>\n' for key, title, kind in lines)
    return f'<attributes class="{elements}" mode="{mode}">\n{inner}</attributes>\n'


def _meta(description: str) -> str:
    """Return the element that says what the file shows."""
    text = escaped(pa.array([description]))[0].as_py()
    return f"<meta><creator>contagion_graph</creator><description>{text}</description></meta>\n"
