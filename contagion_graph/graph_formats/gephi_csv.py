"""Two tables for Gephi's spreadsheet importer, or for anything else that reads CSV."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from contagion_graph._written import Written
from contagion_graph.graph_formats.columns import Column, columns, declared
from contagion_graph.graph_formats.drawing import drawing_of
from contagion_graph.graph_formats.from_any import Source
from contagion_graph.graph_formats.from_exposures import Nodes
from contagion_graph.graph_formats.layout import Layout
from contagion_graph.tables.convert import write_file
from contagion_graph.tables.files import path_of, replacing_set


def write_gephi_csv(
    source: Source,
    folder: str | Path,
    *,
    nodes: Nodes | None = None,
    k: int | None = None,
    min_weight: float | None = None,
    layout: Layout = "rings",
    size: "pd.Series[float] | None" = None,
) -> Written:
    """Write a graph, a network of obligations, or a result as it ends, as nodes.csv and edges.csv.

    Parameters
    ----------
    source : ExposureGraph, CascadeResult, ObligationNetwork, ClearingResult or DistressResult
        What to write.
    folder : path
        Made where it does not exist. Files of the same name are replaced.
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
    Gephi knows the columns Id, Label, Source, Target, Type, Weight and Kind. A label that a spreadsheet would
    run as a formula stands behind an apostrophe. Read texts with ``keep_default_na=False``: a trader may be called nan.

    Examples
    --------
    >>> import tempfile
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0]], price=[10.0], traders=["A"], assets=["A"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pd.read_csv(cg.write_gephi_csv(graph, folder).paths[1])[["Source", "Target", "Weight", "Kind"]]
         Source   Target  Weight     Kind
    0  trader:A  asset:A      20  deposit
    """
    drawing = drawing_of(source, nodes, k=k, min_weight=min_weight, layout=layout, size=size)
    network, folder = drawing.network, path_of("folder", folder)
    ids = pa.concat_arrays([pa.array(side.ids, pa.string()) for side in network.sides])
    listed = _stacked([columns(drawing.node_values(k)) for k in range(len(network.sides))])
    ends = {name: ids.take(pa.array(end)) for name, end in (("Source", network.source), ("Target", network.target))}
    kind = {} if network.kind is None else {"Kind": network.kind}
    kind_of_edge = "Directed" if network.directed else "Undirected"
    further = columns({"Type": [kind_of_edge] * drawing.weight.size, "Weight": drawing.weight, **kind})
    with replacing_set(folder, "") as beside:
        write_file({"Id": ids, "Label": listed.pop("label"), **listed}, beside / "nodes.csv")
        write_file({**ends, **_stacked([[*further, *columns(network.attributes)]])}, beside / "edges.csv")
    return drawing.written(folder / "nodes.csv", folder / "edges.csv")


def _stacked(groups: Sequence[Sequence[Column]]) -> dict[str, Any]:
    """Return columns over all groups, one after the other, blank where a group has none of the name."""
    found = {}
    for name, kind in declared(groups).items():
        arrays = [
            next((own.of_type(kind) for own in group if own.name == name), pa.nulls(len(group[0].values)))
            for group in groups
        ]
        texts = next((array.type for array in arrays if not pa.types.is_null(array.type)), pa.string())
        found[name] = pa.concat_arrays([array.cast(texts) for array in arrays])
    return found
