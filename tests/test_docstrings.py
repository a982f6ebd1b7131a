"""Docstrings are complete: numpydoc's checks of parameters, returns and raises, over everything public."""

import builtins
import inspect
import re

import pytest
from numpydoc.validate import validate

from contagion_graph._result import Pair, Result
from tests.public import CLASSES, FUNCTIONS, MADE, METHODS, PROPERTIES, PROTOCOLS, PUBLIC

CHECKS = {
    "GL06": "a section that numpydoc does not know",
    "GL07": "sections out of order",
    "GL08": "no docstring",
    "PR01": "parameters that are not documented",
    "PR02": "unknown parameters that are",
    "PR03": "parameters out of order",
    "PR07": "a parameter without a description",
    "PR10": "no space before a colon",
    "RT01": "no section Returns",
    "YD01": "no section Yields",
}
CONSTRUCTOR = {"PR01", "PR02", "PR03"}  # of a class that nobody calls, the constructor's arguments are internals
SAID = {name.rpartition(".")[2] for name in METHODS if name.rpartition(".")[0] in PROTOCOLS} | {"value"}


def told_elsewhere(name: str) -> bool:
    """Return whether a base class or a protocol says what a method takes and returns."""
    owner, _, method = name.rpartition(".")
    lines = [each for each in CLASSES[owner].__mro__ if method in {*vars(each), *inspect.get_annotations(each)}]
    public = set(CLASSES.values()) | {Result, Pair}
    return any(each in public for each in lines[1:]) or (method in SAID and owner not in PROTOCOLS)


# methods that a class has from another public one are checked there
OWN = [name for name, method in METHODS.items() if method.__qualname__.split(".")[0] == name.split(".")[-2]]
EVERYTHING = [*FUNCTIONS, *CLASSES, *OWN, *PROPERTIES]


@pytest.mark.parametrize("name", EVERYTHING)
def test_numpydoc_finds_no_fault(name: str):
    checks = (
        {"GL08"}
        if name in METHODS and told_elsewhere(name)
        else CHECKS.keys() - (CONSTRUCTOR if name in MADE else set())
    )
    assert [fault for fault in validate(f"contagion_graph.{name}")["errors"] if fault[0] in checks] == []


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_what_is_raised_exists(name: str):
    text = inspect.getdoc((FUNCTIONS | METHODS)[name]) or ""
    section = re.search(r"^Raises\n------\n((?:(?:\S| ).*\n?)*)", text, re.MULTILINE)
    raised = re.findall(r"^(\w.*)$", section[1], re.MULTILINE) if section else []
    unknown = [each for line in raised for each in line.split(", ") if not known(each)]
    assert unknown == []


def known(error: str) -> bool:
    """Return whether an error is one of the package, or of Python."""
    return isinstance(PUBLIC.get(error, getattr(builtins, error, None)), type)


@pytest.mark.parametrize(
    "name", [name for name, each in FUNCTIONS.items() if {"graph", "network"} & {*inspect.signature(each).parameters}]
)
def test_a_function_of_a_graph_says_what_it_raises(name: str):
    assert re.search(r"^Raises\n------\n", inspect.getdoc(FUNCTIONS[name]) or "", re.MULTILINE)
