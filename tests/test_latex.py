"""Tables in LaTeX, read back by a small parser: structure, labels, and numbers within their rounding."""

import re

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.graph_formats.columns import plain
from contagion_graph.io.latex import SPECIAL
from tests import hostile

WORDS = {code: character for character, code in SPECIAL.items() if character not in "\t\n\r"}
TOKEN = re.compile("|".join(map(re.escape, sorted(WORDS, key=len, reverse=True))) + "|.", re.DOTALL)


def cells(line: str) -> list[str]:
    """Split a row at the ampersands that are not escaped."""
    assert line.endswith(r" \\")
    return re.split(r"(?<!\\) ?& ", line.removesuffix(r" \\"))


def text(cell: str) -> str:
    """Return the text that LaTeX would print; a special character outside the known commands is an error."""
    found = TOKEN.findall(cell)
    assert not [token for token in found if token in set("\\{}$&#^_~%[*")]
    return plain("".join(WORDS.get(token, token) for token in found))


def number(cell: str) -> float:
    if cell in ("--", r"$\infty$", r"$-\infty$"):
        return {"--": np.nan, r"$\infty$": np.inf, r"$-\infty$": -np.inf}[cell]
    assert re.fullmatch(r"(\$-\$)?\d{1,3}(,\d{3})*(\.\d+)?", cell), cell
    return float(cell.replace("$-$", "-").replace(",", ""))


def parsed(latex: str) -> tuple[str, list[list[str]], list[list[str]]]:
    """Return the kinds of columns, the head and the rows of a table."""
    lines = latex.splitlines()
    assert lines[1] == r"\toprule"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    middle = lines.index(r"\midrule")
    kinds = re.fullmatch(r"\\begin{tabular}{([lr]+)}", lines[0])[1]
    head, rows = ([cells(line) for line in part] for part in (lines[2:middle], lines[middle + 1 : -2]))
    assert {len(row) for row in head + rows} <= {len(kinds)}
    return kinds, head, rows


@pytest.mark.parametrize("seed", range(20))
def test_tables_of_results_are_read_back(seed: int):
    result = hostile.result(seed)
    for name in ("traders", "assets", "pools", "rounds"):
        table = getattr(result, name)
        kinds, head, rows = parsed(cg.to_latex(table, digits=4))
        assert [text(cell).replace(" ", "_") for cell in head[0]] == [table.index.name, *table.columns]
        assert kinds[1:] == "r" * len(table.columns)
        assert len(rows) == len(table)
        if name != "rounds":
            spaced = [re.sub(r"[\t\n\r]", " ", label) for label in table.index]
            assert [text(row[0]) for row in rows] == spaced
        for k, column in enumerate(table.columns, start=1):
            assert_close([number(row[k]) for row in rows], table[column].to_numpy(float), head[1][k], digits=4)


def assert_close(found: list[float], expected: np.ndarray, unit: str, *, digits: int) -> None:
    power = re.match(r"\$10\^{(-?\d+)}\$ ?", unit)
    scale = 10.0 ** int(power[1]) if power else 0.01 if unit == r"\%" else 1.0
    rounding = np.maximum(0.5 * 10.0 ** (1 - digits) * np.abs(expected), 0.5 * 10.0**-digits * scale)
    away = np.abs(np.array(found) * scale - expected)
    assert np.all((away <= rounding * (1 + 1e-9)) | (np.isnan(found) & np.isnan(expected)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (9.995, "9.99"), (99.96, "100"), (-1234.5, "$-$1,230"), (0.0456, "0.046"), (1e-9, "0.000"),
     (np.nan, "--"), (-np.inf, r"$-\infty$")],
)  # fmt: skip
def test_numbers(value: float, shown: str):
    assert parsed(cg.to_latex(pd.Series([value, 1.0], name="x")))[2][0] == [shown]


def test_units_scales_and_shares():
    table = pd.DataFrame({"loss": [2.5e9, 1.0], "closed": [0.123456, 1.0], "tiny": [2e-5, 1e-7], "n": [12345, 1]})
    _, (names, units), rows = parsed(cg.to_latex(table, units={"tiny": "EUR", "n": "accounts"}))
    assert names == ["loss", "closed", "tiny", "n"]
    assert units == ["$10^{9}$ currency", r"\%", "$10^{-6}$ EUR", "accounts"]
    assert rows == [["2.50", "12.3", "20.0", "12,345"], ["0.000", "100", "0.100", "1"]]


def test_a_caption_makes_it_float():
    lines = cg.to_latex(pd.Series([1.0], name="x"), caption="Losses", label="tab:losses").splitlines()
    assert lines[:4] == [r"\begin{table}", r"\centering", r"\caption{Losses}", r"\label{tab:losses}"]
    assert lines[-1] == r"\end{table}"


def test_a_series_a_measure_and_an_empty_table():
    graph = cg.generate.perpetuals(30, 4, rng=0)
    kinds, head, rows = parsed(cg.to_latex(cg.importance.pagerank(graph).head(3)))
    assert (kinds, head, len(rows)) == ("lr", [["trader", "pagerank"]], 3)
    assert parsed(cg.to_latex(pd.DataFrame({"a": []})))[2] == []
    with pytest.raises(cg.ParameterError, match="to_latex: digits is 0"):
        cg.to_latex(pd.Series([1.0]), digits=0)


def test_what_is_no_table_is_refused():
    result = cg.MarginCascade().run(cg.ExposureGraph.from_arrays([[1.0]], price=1.0))
    with pytest.raises(cg.ParameterError, match=r"table is <CascadeResult: .* give a frame or a Series"):
        cg.to_latex(result)  # type: ignore[arg-type]
