"""contagion-graph run: a cascade on the tables in a folder."""

import argparse

from contagion_graph.cli.arguments import add_folder, add_output
from contagion_graph.cli.output import STEPS, say, write
from contagion_graph.cli.progress import progress
from contagion_graph.cli.rules import add_rules, model_of, shock_of
from contagion_graph.io.read import read_tables
from contagion_graph.margin.prepare import warn_in_breach


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_folder(command)
    add = command.add_argument
    add("--shock", action="append", default=[], metavar="ASSET=CHANGE", help="ETH=-30%% or ETH=-0.3; may be repeated")
    add_rules(command)
    add_output(command, "tables, graphs, figures and a report")


def call(options: argparse.Namespace) -> int:
    """Carry out the command and return its exit code."""
    model, shock = model_of(options), shock_of(options.shock)
    said: list[str] = []
    with progress(2 + (len(STEPS) if options.out else 0), quiet=options.quiet) as step:
        step("reading")
        graph = read_tables(options.folder)
        warn_in_breach(graph, model)
        step("cascade")
        result = model.run(graph, shock)
        if options.out:
            facts = {"market": f"the tables in {options.folder.resolve().name}"}
            said = write(result, options.out, form=options.format, facts=facts, step=step)
    if not options.quiet:
        print(repr(graph))
        say(result, said)
    return 0
