"""A result becomes one HTML page that loads nothing from anywhere."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from contagion_graph._written import Written
from contagion_graph.errors import MissingExtraError
from contagion_graph.io.summary_text import sentences
from contagion_graph.margin.result import CascadeResult
from contagion_graph.plot.canvas import amount, check_result
from contagion_graph.report.facts import facts_of
from contagion_graph.report.figures import drawn, figures_html
from contagion_graph.report.tables import tables_of
from contagion_graph.report.view import view_of
from contagion_graph.tables.files import check_target, path_of, replacing

SCRIPTS = ("cytoscape.min.js", "dataTables.min.js", "report.js")
TILES: dict[str, tuple[str, Callable[[float], str]]] = {
    "breached": ("accounts in breach", "{:,.0f}".format),
    "gross_loss": ("loss of the traders that lose", amount),
    "shortfall": ("shortfall", amount),
    "fund_used": ("paid by insurance funds", amount),
    "socialised": ("paid by other members", amount),
    "uncovered": ("uncovered", amount),
    "bystander_loss": ("loss of traders not directly exposed", amount),
}
NO_FIGURES = (
    '<p class="note">Figures are left out: matplotlib is not installed; '
    "pip install 'contagion-graph[plot]' brings it.</p>\n"
)


def write_report(
    result: CascadeResult,
    path: str | Path,
    *,
    title: str = "Contagion report",
    facts: Mapping[str, object] | None = None,
) -> Written:
    """Write a cascade as one HTML page: a summary, the interactive graph, figures, tables, and how to compute it again.

    The page loads nothing, and forbids itself to; it can be sent, printed, and read on a phone. docs/report.md says
    what it shows.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned, or the least or greatest of `equilibria`, which has no rounds to play.
    path : path
        Of the file; one of the same name is replaced, and no reader ever sees half of it. The same result gives the
        same bytes.
    title : str
        Of the page.
    facts : mapping of str to object, optional
        What the result does not hold and is needed to compute it again: the seed, the source of the data, the command,
        given defaults.

    Returns
    -------
    Written
        The file.

    Raises
    ------
    ParameterError
        Something else than a result.

    Notes
    -----
    The graph shows at most 200 traders, and says what share of the loss they bear; tables end at 1,000 rows, and say
    where the rest is. Without matplotlib the page has no figures, and says so.

    Examples
    --------
    >>> import tempfile
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-850.0])
    >>> result = cg.MarginCascade().run(graph, {"0": -0.1})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = cg.write_report(result, f"{folder}/report.html", facts={"source": "an example"})
    ...     written.path.read_text(encoding="utf-8")[:15]
    '<!doctype html>'
    """
    check_result(result)
    check_target(path_of("path", path))
    try:
        figures = drawn(result)
    except MissingExtraError:
        figures = {}
    return write_page(result, Path(path), title=title, facts={} if facts is None else facts, figures=figures)


def write_page(
    result: CascadeResult, path: Path, *, title: str, facts: Mapping[str, object], figures: Mapping[str, str]
) -> Written:
    """Write the page with figures that are already drawn: SVG documents by name; none where matplotlib is missing."""
    parts = _parts(result, title, facts) | {"figures": figures_html(figures) or NO_FIGURES}
    page = Template(asset("page.html")).substitute(parts)
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")
    return Written((path,))


def _parts(result: CascadeResult, title: str, facts: Mapping[str, object]) -> dict[str, str]:
    """Return what stands in the places of page.html; whatever is not ours is escaped."""
    view = view_of(result)
    scripts = [asset(name) for name in SCRIPTS]
    return {
        "policy": _policy(scripts),
        "title": escape(title),
        "style": asset("report.css"),
        "tiles": _tiles(result),
        "sentences": "".join(f"<p>{escape(sentence)}</p>\n" for sentence in sentences(result)),
        "note": escape(view.pop("note")),
        "last": str(len(view["steps"]) - 1),
        "tables": "".join(line for table in tables_of(result) for line in table.html()),
        "facts": _facts(result, facts),
        "data": _json(view),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }


def asset(name: str) -> str:
    """Return the text of a file that reports carry."""
    return (files("contagion_graph.report") / "assets" / name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    """Return what the browser may do: run the scripts of this page, by their hashes, and follow its styles."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    own = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {own}"


def _json(view: dict[str, Any]) -> str:
    """Return JSON that ends no script and starts no comment, whatever the labels are."""
    text = json.dumps(view, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _tiles(result: CascadeResult) -> str:
    figures = result.summary()
    cells = ((words, form(figures[name])) for name, (words, form) in TILES.items())
    return "".join(f"<div><dt>{words}</dt><dd>{text}</dd></div>" for words, text in cells)


def _facts(result: CascadeResult, facts: Mapping[str, object]) -> str:
    parts = []
    for heading, rows in facts_of(result, facts).items():
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>\n" for name, value in rows.items())
        if rows:
            parts.append(f'<table class="facts"><caption>{escape(heading)}</caption><tbody>{cells}</tbody></table>\n')
    return "".join(parts)
