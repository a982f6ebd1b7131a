"""contagion-graph export: the graph or the obligations in a folder, or a cascade on it, for Gephi and others."""

import argparse
from pathlib import Path
from typing import get_args

from contagion_graph._written import Written
from contagion_graph.cli.arguments import add_folder, number, whole
from contagion_graph.cli.progress import progress
from contagion_graph.cli.rules import add_rules, model_of, shock_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.graph_formats.from_any import Source
from contagion_graph.graph_formats.from_exposures import Nodes
from contagion_graph.graph_formats.gephi_csv import write_gephi_csv
from contagion_graph.graph_formats.gexf import Mode, write_gexf
from contagion_graph.graph_formats.graphml import write_graphml
from contagion_graph.graph_formats.layout import Layout
from contagion_graph.io.read import read_tables
from contagion_graph.margin.model import MarginCascade

WRITERS = {"gexf": write_gexf, "graphml": write_graphml, "csv": write_gephi_csv}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command.add_argument
    add_folder(command)
    add("--to", choices=list(WRITERS), default="gexf", help="format")
    add("--out", type=Path, metavar="PATH", help="file, or for csv a folder (default: graph.gexf, ...)")
    add("--nodes", choices=get_args(Nodes), help="kind of graph (default: bipartite; of obligations: traders)")
    add("--obligations", action="store_true", help="export what traders owe each other instead")
    add("--mode", choices=get_args(Mode), default="static", help="of gexf: rounds on a timeline, or in a file each")
    add("--k", type=whole, metavar="N", help="keep the N traders that close, lose or hold most")
    add("--min-weight", type=number, metavar="W", help="keep edges of at least this weight")
    add("--layout", choices=get_args(Layout), default="rings", help="places of the nodes")
    add(
        "--shock",
        action="append",
        default=[],
        metavar="ASSET=CHANGE",
        help="export the cascade of it: ETH=-30%% or ETH=-0.3",
    )
    add_rules(command)
    add("--quiet", action="store_true", help="print nothing but errors, and show no progress")


def call(options: argparse.Namespace) -> int:
    """Carry out the command and return its exit code."""
    if options.mode != "static" and (options.to != "gexf" or not options.shock):
        raise ParameterError(
            f"--mode {options.mode} shows the rounds of a cascade, in gexf; give --to gexf and a --shock"
        )
    model, shock = model_of(options), shock_of(options.shock)
    if not shock and model != MarginCascade():
        raise ParameterError("rules are those of a cascade; give a --shock")
    if options.obligations and shock:
        raise ParameterError("--obligations are those before any shock; leave out --shock")
    with progress(3, quiet=options.quiet) as step:
        step("reading")
        graph = read_tables(options.folder)
        name = "cascade" if shock else "obligations" if options.obligations else "graph"
        step(name)
        source = model.run(graph, shock) if shock else _obligations(graph) if options.obligations else graph
        step("writing")
        written = _write(options, source, name)
    if not options.quiet:
        paths = [str(path) for path in written.paths]
        listed = ", ".join(paths if len(paths) < 4 else [paths[0], "...", paths[-1]])
        print(
            f"{written.nodes:,} nodes, {written.edges:,} edges, {written.share:.1%} of all {written.measure}: {listed}"
        )
    return 0


def _obligations(graph: ExposureGraph) -> ObligationNetwork:
    if graph.obligation_table is None:
        raise ParameterError("--obligations: the folder has no table obligations")
    return graph.obligations


def _write(options: argparse.Namespace, source: Source, name: str) -> Written:
    out = options.out or Path(name if options.to == "csv" else f"{name}.{options.to}")
    chosen = {key: getattr(options, key) for key in ("nodes", "k", "min_weight", "layout")}
    if options.to == "gexf":
        return write_gexf(source, out, mode=options.mode, **chosen)
    return WRITERS[options.to](source, out, **chosen)
