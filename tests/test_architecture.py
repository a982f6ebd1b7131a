"""Imports point down only: the layers of the package, read from the source."""

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "contagion_graph"
LAYERS = [
    {
        *("errors", "_typing", "_validate", "_cached", "_solution", "_result", "_written", "chunks", "state"),
        *("tables", "solvers", "kernels"),
    },
    {"graph", "rules"},
    {"synthetic", "margin", "clearing", "distress"},
    {"exposure"},
    {"importance"},
    {"scenarios", "collateral", "distributed"},
    {"graph_formats", "io"},
    {"plot", "report", "cli"},
]
KERNELS = "contagion_graph.kernels."
LATE_IMPORTS = {"igraph", "networkx", "matplotlib", "dask", "distributed", "clarabel"}
# Imports for annotations alone that close a circle: the class of a `model` that a result names, and the graph and the
# network whose nodes and edges are listed. Without the annotation a user's type checker would see `object`.
ANNOTATIONS = {
    ("margin.result", "margin.model"),
    ("margin.equilibria.equilibria", "margin.model"),
    ("clearing.result", "clearing.model"),
    ("clearing.result", "clearing.common_assets"),
    ("clearing.common_asset_result", "clearing.common_assets"),
    ("distress.result", "distress.model"),
    ("graph.network", "graph.exposure"),
    ("graph.network", "graph.obligations"),
    ("graph.holdings", "graph.exposure"),
}


def modules(folder: Path) -> dict[str, ast.Module]:
    """Return the parsed modules by dotted name, those left out that only list the names of a folder."""
    paths = [path for path in folder.rglob("*.py") if path.name != "__init__.py"]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in names.items()}


def imported(node: ast.AST, names: Iterable[str]) -> list[str]:
    """Return the modules that an import statement names; those of `names` may be named as parts of a folder."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        stem = node.module or ""
        return [f"{stem}.{alias.name}" if f"{stem}.{alias.name}" in names else stem for alias in node.names]
    return []


def guarded(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes under `if TYPE_CHECKING`, which run nothing."""
    ifs = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {child for node in ifs for child in ast.walk(node)}


def imports(parsed: dict[str, ast.Module], *, annotations: bool = False) -> dict[str, set[str]]:
    """Return which of the modules each module imports: when it runs, or also for annotations alone."""
    graph = {}
    for name, tree in parsed.items():
        left_out = set() if annotations else guarded(tree)
        nodes = [node for node in ast.walk(tree) if node not in left_out]
        graph[name] = {target for node in nodes for target in imported(node, parsed)} & parsed.keys()
    return graph


MODULES = modules(PACKAGE)
NAMES = set(MODULES)
GRAPH = imports(MODULES)
EVERY_IMPORT = imports(MODULES, annotations=True)


def layer_of(name: str) -> int:
    """Return the number of the layer that a module belongs to."""
    part = name.split(".")[1]
    found = [number for number, parts in enumerate(LAYERS) if part in parts]
    assert len(found) == 1, f"{name} belongs to no layer, or to several"
    return found[0]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_imports_point_down(name: str):
    upward = {target for target in EVERY_IMPORT[name] if layer_of(target) > layer_of(name)}
    assert upward == set()


def in_order(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules in the order in which to read them: each after all that it imports."""
    order, left = [], dict(graph)
    while left:
        free = sorted(name for name, targets in left.items() if targets <= set(order))
        assert free, f"a cycle among {sorted(left)}"
        order += free
        left = {name: targets for name, targets in left.items() if name not in free}
    return order


def test_there_is_no_cycle():
    order = in_order(GRAPH)
    sys.stdout.write("\n".join(f"{layer_of(name)}  {name}" for name in order))
    assert len(order) == len(NAMES)


@pytest.mark.parametrize("folder", ["benchmarks", "examples"])
def test_there_is_no_cycle_beside_the_package(folder: str):
    graph = imports(modules(ROOT / folder))
    assert len(in_order(graph)) == len(graph) > 0


def allowed(graph: dict[str, set[str]], exceptions: set[tuple[str, str]]) -> dict[str, set[str]]:
    """Return the imports without those that are listed as exceptions."""
    listed = {(f"contagion_graph.{source}", f"contagion_graph.{target}") for source, target in exceptions}
    return {name: {target for target in targets if (name, target) not in listed} for name, targets in graph.items()}


def circle(graph: dict[str, set[str]]) -> set[str]:
    """Return the names that are in a circle, or between two circles."""
    while True:
        used = {target for targets in graph.values() for target in targets}
        left = {name: targets & graph.keys() for name, targets in graph.items() if targets and name in used}
        if len(left) == len(graph):
            return set(graph)
        graph = {name: targets & left.keys() for name, targets in left.items()}


def part_of(name: str, folder: str) -> str:
    """Return the file of a folder, or the folder within, that a module belongs to."""
    return ".".join(name.split(".")[: folder.count(".") + 2])


def between_parts(graph: dict[str, set[str]], folder: str) -> dict[str, set[str]]:
    """Return which files and folders within a folder import which others, each folder within taken as one."""
    inside = {name for name in graph if name.startswith(f"{folder}.")}
    parts: dict[str, set[str]] = {part_of(name, folder): set() for name in inside}
    for name in inside:
        parts[part_of(name, folder)] |= {part_of(target, folder) for target in graph[name] & inside}
    return {part: targets - {part} for part, targets in parts.items()}


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"b", "c"}
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == set()
    modules = {"p.a.x": {"p.b.x"}, "p.b.x": set(), "p.b.y": {"p.a.y"}, "p.a.y": set()}
    assert circle(modules) == set()
    assert circle(between_parts(modules, "p")) == {"p.a", "p.b"}


def test_imports_inside_functions_and_for_annotations_are_counted():
    tree = ast.parse("if TYPE_CHECKING:\n    from p.a import x\ndef f():\n    from p.b import y\n")
    parsed = {"p.c": tree, "p.a": ast.parse(""), "p.b": ast.parse("")}
    assert imports(parsed)["p.c"] == {"p.b"}
    assert imports(parsed, annotations=True)["p.c"] == {"p.a", "p.b"}


def test_there_is_no_cycle_of_annotations():
    assert circle(allowed(EVERY_IMPORT, ANNOTATIONS)) == set()


@pytest.mark.parametrize("pair", sorted(ANNOTATIONS), ids=" ".join)
def test_every_exception_is_for_annotations_and_needed(pair: tuple[str, str]):
    source, target = (f"contagion_graph.{name}" for name in pair)
    assert target in EVERY_IMPORT[source] - GRAPH[source]
    assert {source, target} <= circle(allowed(EVERY_IMPORT, ANNOTATIONS - {pair}))


@pytest.mark.parametrize("folder", sorted({name.rpartition(".")[0] for name in NAMES} | {"contagion_graph"}))
def test_there_is_no_cycle_of_folders(folder: str):
    assert circle(between_parts(allowed(EVERY_IMPORT, ANNOTATIONS), folder)) == set()


@pytest.mark.parametrize("folder", ["benchmarks", "examples"])
def test_there_is_no_cycle_of_annotations_beside_the_package(folder: str):
    graph = imports(modules(ROOT / folder), annotations=True)
    assert circle(graph) == set()
    assert all(circle(between_parts(graph, each)) == set() for each in {name.rpartition(".")[0] for name in graph})


def groups(folder: str) -> list[set[str]]:
    """Return the files of a folder in groups that import nothing of each other; a folder within counts as a file."""
    parts = between_parts(GRAPH, folder)
    group = {part: {part} for part in parts}
    for part, targets in parts.items():
        for target in targets:
            together = group[part] | group[target]
            group |= dict.fromkeys(together, together)
    return [set(each) for each in {frozenset(each & NAMES) for each in group.values()}]


# Files that import no other of their folder, and that none of it imports: tools, or a family of one kind of thing
# whose members share what they need from lower layers.
ALONE = {
    "distress": {"spectrum", "walk_measures"},
    "distributed": {"executor"},
    "importance": {"comparison", "fire_sales"},
    "io": {"citations", "latex", "price_stream", "read", "summary_text", "write"},
    "kernels": {"products"},
    "rules": {"declarations", "liquidation", "margins", "pricing", "layers"},
    "scenarios": {"adl_policies"},
    "scenarios.draw": {"designed", "failures"},
    "solvers": {"arrays", "black", "linear", "programme", "ratio_bound", "ray_search", "spectrum"},
    "synthetic": {"reconstruct"},
}
FOLDERS = sorted({name.rpartition(".")[0] for name in NAMES} - {"contagion_graph"})


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_files_of_a_folder_belong_together(folder: str):
    several = [sorted(group) for group in groups(folder) if len(group) > 1]
    assert len(several) <= 1, f"these groups import nothing of each other: {several}"
    alone = {name.rpartition(".")[2] for group in groups(folder) if len(group) == 1 for name in group}
    assert alone == ALONE.get(folder.removeprefix("contagion_graph."), set())


def test_the_table_of_layers_for_contributors_is_this_one():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ([^|]*) \|", text, re.MULTILINE)
    named = {int(layer): set(re.findall(r"`(\w+)(?:/|\.py)`", cell)) for layer, cell in rows}
    assert named == dict(enumerate(LAYERS))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_only_heavy_modules_are_imported_inside_functions(name: str):
    functions = [node for node in ast.walk(MODULES[name]) if isinstance(node, ast.FunctionDef)]
    late = {target for function in functions for node in ast.walk(function) for target in imported(node, NAMES)}
    assert {
        target for target in late if not target.startswith(KERNELS) and target.split(".")[0] not in LATE_IMPORTS
    } == set()


def test_only_the_kernels_know_numba():
    users = {name for name, tree in MODULES.items() for node in ast.walk(tree) if "numba" in imported(node, NAMES)}
    assert users
    assert all(user.startswith(KERNELS) for user in users)


def test_nothing_is_unpickled():
    users = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if {"pickle", "joblib"} & set(imported(node, NAMES))
    }
    assert users == set()
