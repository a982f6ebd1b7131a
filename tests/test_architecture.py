"""Imports point down only: the layers of the package, read from the source."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "contagion_graph"
LAYERS = [
    {"errors", "_typing", "_validate", "_cached", "_result", "chunks", "state", "tables", "solvers", "kernels"},
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


def modules() -> dict[str, ast.Module]:
    """Return the parsed modules by dotted name, the package's own list of names left out."""
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in paths}
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in names.items()}


def imported(node: ast.AST) -> list[str]:
    """Return the modules that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        stem = node.module or ""
        return [f"{stem}.{alias.name}" if f"{stem}.{alias.name}" in NAMES else stem for alias in node.names]
    return []


def guarded(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes under `if TYPE_CHECKING`, which run nothing."""
    ifs = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {child for node in ifs for child in ast.walk(node)}


MODULES = modules()
NAMES = set(MODULES)
GRAPH = {
    name: {
        target for node in ast.walk(tree) if node not in guarded(tree) for target in imported(node) if target in NAMES
    }
    for name, tree in MODULES.items()
}


def layer_of(name: str) -> int:
    """Return the number of the layer that a module belongs to."""
    part = name.split(".")[1]
    found = [number for number, parts in enumerate(LAYERS) if part in parts]
    assert len(found) == 1, f"{name} belongs to no layer, or to several"
    return found[0]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_imports_point_down(name: str):
    upward = {target for target in GRAPH[name] if layer_of(target) > layer_of(name)}
    assert upward == set()


def test_there_is_no_cycle():
    order, left = [], dict(GRAPH)
    while left:
        free = sorted(name for name, targets in left.items() if targets <= set(order))
        assert free, f"a cycle among {sorted(left)}"
        order += free
        left = {name: targets for name, targets in left.items() if name not in free}
    sys.stdout.write("\n".join(f"{layer_of(name)}  {name}" for name in order))  # the order in which to read
    assert len(order) == len(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_only_heavy_modules_are_imported_inside_functions(name: str):
    functions = [node for node in ast.walk(MODULES[name]) if isinstance(node, ast.FunctionDef)]
    late = {target for function in functions for node in ast.walk(function) for target in imported(node)}
    assert {
        target for target in late if not target.startswith(KERNELS) and target.split(".")[0] not in LATE_IMPORTS
    } == set()


def test_only_the_kernels_know_numba():
    users = {name for name, tree in MODULES.items() for node in ast.walk(tree) if "numba" in imported(node)}
    assert users
    assert all(user.startswith(KERNELS) for user in users)


def test_nothing_is_unpickled():
    users = {
        name for name, tree in MODULES.items() for node in ast.walk(tree) if {"pickle", "joblib"} & set(imported(node))
    }
    assert users == set()
