"""Every public function says the same of the same book: in other units, orders, labels, and in parts.

Values come from no oracle: the function itself, asked about the same book written in another way, has to give them. A
public function that is not in the tables of `tests/answers.py` is a failure, unless `ELSEWHERE` says why it is not.
"""

import contextlib
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import contagion_graph as cg
from tests.answers import COUNTED, DEAR, ELSEWHERE, MONEY, NUMBER, OF_BOOKS, OF_NETWORKS, PER_UNIT, SHARE, Says, kind
from tests.books import Book, Cell, Net, books, cells, networks
from tests.public import FUNCTIONS, METHODS

TRANSFORMATIONS = ("currency", "units", "order", "labels", "parts")
PROFILE = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # books are small: to make them smaller takes longer than to read them
)  # fmt: skip


class Same(NamedTuple):
    """The same book, what its labels are called there, and units: of currency, and whether those of assets differ."""

    book: Any
    names: dict[str, str] = {}  # noqa: RUF012
    currency: float = 1.0


def rewritten(book: Any, how: str, exponent: int, seed: int) -> Same:
    """Return the same book or network, written in another way."""
    rng = np.random.default_rng(seed)
    if how == "currency":
        return Same(book.in_currency(10.0**exponent), currency=10.0**exponent)
    if how == "units":
        return Same(book.in_units(10.0**exponent))
    if how == "order":
        return Same(book.permuted(rng))
    if how == "labels":
        labels = book.labels()
        names = dict(zip(labels, [f"x{k}" for k in rng.permutation(len(labels))], strict=True))
        return Same(book.renamed(names), names)
    return Same(book.split())


def said(function: Says, graph: Any, book: Any) -> dict[Cell, Any]:
    """Return the answer about a book as cells; an error of the library is an answer too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cg.ContagionWarning)
        try:
            return dict(cells(function.call(graph, book)))
        except cg.ContagionError as error:
            return {("error",): type(error).__name__}


def joined(found: dict[Cell, Any], unit: str) -> dict[Cell, Any]:
    """Return the cells of parts under the labels of the whole: amounts added up, shares if they are the same."""
    whole: dict[Cell, Any] = {}
    for cell, value in found.items():
        key = tuple(each.split("/")[0] for each in cell)
        if key not in whole:
            whole[key] = value
        elif kind(cell, unit) != SHARE:
            whole[key] += value
        elif not np.isclose(whole[key], value, rtol=1e-6, atol=1e-9, equal_nan=True):
            whole[key] = f"{whole[key]} in one part, {value} in another"
    return whole


Pair = tuple[Any, Any]  # a graph, and the book that it was built from


def differences(function: Says, how: str, one: Pair, other_form: Pair, same: Same) -> list[tuple[Cell, Any, Any]]:
    """Return the cells that differ between a book and the same one in another form, beyond rounding."""
    expected, found = said(function, *one), said(function, *other_form)
    found = joined(found, function.unit) if how == "parts" else found
    left_out = {"parts": COUNTED, "units": PER_UNIT}.get(how, set())
    scales = {MONEY: (same.currency, 1e-11 * one[1].size()), NUMBER: (1.0, 1e-11 * one[1].units()), SHARE: (1.0, 1e-8)}
    wrong = []
    for cell, value in expected.items():
        other = found.get(tuple(same.names.get(each, each) for each in cell), "absent")
        if not left_out & set(cell) and not _agree(value, other, same, *scales[kind(cell, function.unit)]):
            wrong.append((cell, value, other))
    return wrong


def _agree(value: Any, other: Any, same: Same, factor: float, rounding: float) -> bool:
    if isinstance(value, str) or isinstance(other, str):
        return same.names.get(value, value) == other
    return bool(np.isclose(other, value * factor, rtol=1e-6, atol=rounding * factor, equal_nan=True))


@pytest.mark.parametrize("how", TRANSFORMATIONS)
@settings(PROFILE, max_examples=12)
@given(book=books(), exponent=st.integers(-12, 12), seed=st.integers(0, 99))
def test_the_same_book_has_the_same_figures(how: str, book: Book, exponent: int, seed: int):
    check(OF_BOOKS, how, book, rewritten(book, how, exponent, seed), OF_BOOKS.keys() - DEAR)


@pytest.mark.parametrize("how", TRANSFORMATIONS)
@settings(PROFILE, max_examples=2)
@given(book=books(), exponent=st.integers(-12, 12), seed=st.integers(0, 99))
def test_the_same_book_has_the_same_figures_where_they_take_long(how: str, book: Book, exponent: int, seed: int):
    check(OF_BOOKS, how, book, rewritten(book, how, exponent, seed), DEAR)


@pytest.mark.parametrize("how", [how for how in TRANSFORMATIONS if how != "units"])
@settings(PROFILE, max_examples=20)
@given(net=networks(), exponent=st.integers(-12, 12), seed=st.integers(0, 99))
def test_the_same_network_has_the_same_figures(how: str, net: Net, exponent: int, seed: int):
    check(OF_NETWORKS, how, net, rewritten(net, how, exponent, seed), set(OF_NETWORKS))


def check(table: dict[str, Says], how: str, book: Any, same: Same, names: set[str]) -> None:
    """Assert that some functions say the same of a book and of the same one in another form."""
    one, other = ((each.network() if isinstance(each, Net) else each.graph(), each) for each in (book, same.book))
    wrong = {
        name: differences(table[name], how, one, other, same) for name in sorted(names) if how not in table[name].but
    }
    assert {name: cells for name, cells in wrong.items() if cells} == {}


@pytest.mark.parametrize("name", [*OF_BOOKS, *OF_NETWORKS])
@settings(PROFILE, max_examples=2)
@given(book=books(), net=networks())
def test_what_was_handed_out_is_the_callers_own(name: str, book: Book, net: Net):
    """Whatever is done to the arrays and tables of an answer, the same question has the same answer."""
    function, asked = (OF_BOOKS[name], book) if name in OF_BOOKS else (OF_NETWORKS[name], net)
    graph = asked.graph() if isinstance(asked, Book) else asked.network()
    before = said(function, graph, asked)
    with warnings.catch_warnings(), contextlib.suppress(cg.ContagionError):
        warnings.simplefilter("ignore", cg.ContagionWarning)
        spoil(function.call(graph, asked))
    assert said(function, graph, asked) == pytest.approx(before, nan_ok=True)


def spoil(answer: Any) -> None:
    """Overwrite whatever can be overwritten."""
    if hasattr(answer, "to_frames"):
        answer = answer.to_frames()
    if isinstance(answer, dict):
        for each in answer.values():
            spoil(each)
    elif isinstance(answer, pd.DataFrame):
        for column in answer.select_dtypes("number"):
            answer[column] *= -3
    elif (
        isinstance(answer, pd.Series | np.ndarray) and answer.dtype.kind in "fiu" and np.asarray(answer).flags.writeable
    ):
        answer *= -3


def test_every_public_function_is_asked():
    listed = OF_BOOKS.keys() | OF_NETWORKS.keys()
    public = FUNCTIONS.keys() | METHODS.keys()
    missing = {name for name in public - listed if not name.startswith(tuple(ELSEWHERE))}
    assert missing == set()
    assert listed <= public
    assert {start for start in ELSEWHERE if not any(name.startswith(start) for name in public - listed)} == set()


@pytest.mark.parametrize("table", [OF_BOOKS, OF_NETWORKS])
def test_every_function_answers_for_some_books(table: dict[str, Says]):
    """An error is an answer too, but not the only one."""
    answered: set[str] = set()

    @settings(PROFILE, max_examples=8)
    @given(book=books() if table is OF_BOOKS else networks())
    def ask(book: Any) -> None:
        graph = book.graph() if isinstance(book, Book) else book.network()
        answered.update(name for name in table.keys() - answered if ("error",) not in said(table[name], graph, book))

    ask()
    assert answered == table.keys()
