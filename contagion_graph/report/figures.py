"""Figures of a report as SVG that stands inside the page."""

import re
from collections.abc import Callable
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


ROUNDS = Figure(
    plot.cascade,
    "Round by round: how far prices have moved since before the shock, how many accounts are in breach, and who has "
    "paid what the closed could not.",
)
ALWAYS = {
    "waterfall": Figure(
        lambda result: plot.waterfall(result, traders="losers"),
        "Where the loss of those who lose comes from, channel by channel.",
    ),
    "bipartite": Figure(
        plot.bipartite,
        "Traders (left; the number is the round of the first breach, the size the loss) and what they hold (right; the "
        "change of the price). Short positions are dashed.",
    ),
    "losses": Figure(
        lambda result: plot.loss_distribution(result.traders["loss"]),
        "The share of traders that lose at least so much.",
    ),
}


def figures_of(result: CascadeResult) -> str:
    """Return the figures of a result as HTML.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    figures = ({"rounds": ROUNDS} if result.arrays.trades else {}) | ALWAYS
    return "".join(_html(name, figure, result) for name, figure in figures.items())


def _html(name: str, figure: Figure, result: CascadeResult) -> str:
    drawn = inline_svg(figure.draw(result), name)
    label = escape(figure.caption)
    svg = drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f"<figure>{svg}<figcaption>{label}</figcaption></figure>\n"


def inline_svg(ax: Any, name: str) -> str:
    """Return the figure of some axes as SVG for a page: no prologue, no comments, its ids apart from other figures'."""
    pyplot, figure = matplotlib("pyplot"), figure_of(ax)
    file = BytesIO()
    with pyplot.rc_context(STABLE):
        figure.savefig(file, format="svg", metadata=NO_DATES[".svg"])
    pyplot.close(figure)
    svg = file.getvalue().decode()
    svg = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", svg[svg.index("<svg ") :], flags=re.DOTALL
    )
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
