"""Figures of a report as SVG that stands inside the page."""

import re
from collections.abc import Callable, Mapping
from html import escape
from io import BytesIO
from typing import Any, NamedTuple

from contagion_graph import plot
from contagion_graph.margin.result import CascadeResult
from contagion_graph.plot.canvas import figure_of, matplotlib
from contagion_graph.plot.files import NO_DATES, STABLE

NOT_DRAWN = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)


class Figure(NamedTuple):
    """How a figure is drawn and what it shows.

    Parameters
    ----------
    draw : callable
        Of the result.
    caption : str
        Beneath it, and what a screen reader says.
    """

    draw: Callable[[CascadeResult], Any]
    caption: str


FIGURES = {
    "cascade": Figure(
        plot.cascade,
        "Round by round: changes of prices since before the shock, accounts in breach, and the shortfalls paid so far "
        "by who paid them.",
    ),
    "waterfall-losers": Figure(
        plot.waterfall,
        "The loss of the traders that lose, by channel.",
    ),
    "bipartite": Figure(
        plot.bipartite,
        "Traders (left; the number is the round of the first breach, the size the loss) and what they hold (right; the "
        "change of the price). Short positions are dashed.",
    ),
    "losses": Figure(
        lambda result: plot.loss_distribution(result.traders["loss"]),
        "The share of traders that lose at least a given amount.",
    ),
}


def drawn(result: CascadeResult) -> dict[str, str]:
    """Return the figures of a result by name, each as an SVG document; an equilibrium has no rounds to draw.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    names = FIGURES if result.arrays.trades else FIGURES.keys() - {"cascade"}
    return {name: svg(figure.draw(result)) for name, figure in FIGURES.items() if name in names}


def svg(ax: Any) -> str:
    """Return the figure that axes belong to as an SVG document, and close it."""
    pyplot, figure = matplotlib("pyplot"), figure_of(ax)
    file = BytesIO()
    with pyplot.rc_context(STABLE):
        figure.savefig(file, format="svg", metadata=NO_DATES[".svg"])
    pyplot.close(figure)
    return file.getvalue().decode()


def figures_html(documents: Mapping[str, str]) -> str:
    """Return SVG documents by name as HTML, each with its caption."""
    return "".join(_html(name, document) for name, document in documents.items())


def _html(name: str, document: str) -> str:
    label = escape(FIGURES[name].caption)
    inline = _inline(document, name).replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f"<figure>{inline}<figcaption>{label}</figcaption></figure>\n"


def _inline(document: str, name: str) -> str:
    """Return an SVG document for a page: no prologue, no comments, its ids apart from those of other figures."""
    inline = NOT_DRAWN.sub("", document[document.index("<svg ") :])
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", inline)
