"""What all plots share: matplotlib, imported late; axes; colours; labels as text; amounts on an axis."""

import unicodedata
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from contagion_graph.errors import MissingExtraError, ParameterError
from contagion_graph.margin.result import CascadeResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008), jfly.uni-koeln.de/color: told apart with every kind of colour blindness. Markers and dashes say
# the same in black and white.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
LOSS, GAIN, TOTAL, QUIET = "#D55E00", "#56B4E9", "#333333", "0.75"
ROUNDS = "cividis_r"  # from light to dark: later rounds are darker in print as well
LONGEST_LABEL = 24
SCALES = ((1e12, "tn"), (1e9, "bn"), (1e6, "m"), (1e3, "k"))


def matplotlib(part: str) -> Any:
    """Import a part of matplotlib, or say how to install it.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        return import_module(f"matplotlib.{part}")
    except ImportError as error:
        message = "plots need matplotlib, which is not installed; pip install 'contagion-graph[plot]' brings it"
        raise MissingExtraError(message) from error


def axes(ax: "Axes | None", size: tuple[float, float] = (7.0, 4.0), *, framed: bool = False) -> Any:
    """Return the given axes, or those of a new figure of a size in inches, without a frame above and on the right."""
    ax = matplotlib("pyplot").subplots(figsize=size, layout="constrained")[1] if ax is None else ax
    if not framed:
        ax.spines[["top", "right"]].set_visible(False)
    return ax


def figure_of(ax: Any) -> Any:
    """Return the figure of what a plot returned: of axes, of an array of them, or a figure itself."""
    if hasattr(ax, "savefig"):
        return ax
    figures = [each.figure for each in np.ravel(ax) if hasattr(each, "figure")]
    if not figures:
        raise ParameterError(f"ax is a {type(ax).__name__}; give what a plot returned")
    return figures[0]


def style(number: int) -> dict[str, Any]:
    """Return colour, marker and dashes of the line with a number, from 0."""
    kinds = {"color": COLOURS, "marker": MARKERS, "linestyle": DASHES}
    return {name: values[number % len(values)] for name, values in kinds.items()}


def text(label: object, longest: int = LONGEST_LABEL) -> str:
    r"""Return a label as matplotlib shows it: no formula, no character that the font lacks, not longer than asked.

    Examples
    --------
    >>> text("a$b$"), text("line\nbreak"), text("a" * 20 + "b" * 20)
    ('a\\$b\\$', 'line break', 'aaaaaaaaaaaa…bbbbbbbbbbb')
    """
    characters = _drawable()
    plain = unicodedata.normalize("NFC", " ".join(str(label).split()))
    shown = "".join(c if ord(c) in characters and c.isprintable() else f"<U+{ord(c):04X}>" for c in plain)
    return shortened(shown, longest).replace("$", r"\$")


def shortened(label: str, longest: int) -> str:
    """Return a label with its middle left out where it is too long."""
    tail = (longest - 1) // 2
    return label if len(label) <= longest else f"{label[: longest - 1 - tail]}…{label[-tail:]}"


def _drawable() -> set[int]:
    fonts = matplotlib("font_manager")
    properties = [fonts.FontProperties(family=[family]) for family in fonts.FontProperties().get_family()]
    return {c for one in properties for c in fonts.get_font(fonts.findfont(one)).get_charmap()}


def amount(value: float) -> str:
    """Return an amount of currency in thousands, millions, ... with four digits.

    Examples
    --------
    >>> amount(-1234567.0), amount(950.0), amount(0.0), amount(2e18)
    ('-1.235 m', '950', '0', '2e+18')
    """
    size = abs(value)
    scale, unit = next(((scale, f" {unit}") for scale, unit in SCALES if scale <= size < 1e15), (1.0, ""))
    return ("-" if value < 0.0 else "") + f"{size / scale:.4g}{unit}"


def amounts_on(axis: Any) -> None:
    """Write an axis in amounts of currency, with few ticks, so that they never touch."""
    ticker = matplotlib("ticker")
    axis.set_major_locator(ticker.MaxNLocator(5))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: amount(value)))


def percent_on(axis: Any) -> None:
    """Write an axis of shares in percent."""
    axis.set_major_formatter(matplotlib("ticker").FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def whole_on(axis: Any) -> None:
    """Put ticks at whole numbers only, with separators between thousands."""
    ticker = matplotlib("ticker")
    axis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))


def beside_legend(ax: "Axes", handles: list[Any], labels: list[str], title: str | None = None) -> None:
    """Put a legend to the right of the axes, where it hides nothing."""
    if handles:
        ax.legend(handles, labels, title=title, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8,
                  alignment="left")  # fmt: skip


def segments(ax: "Axes", lines: list[Any], *, autolim: bool = True, **look: Any) -> Any:
    """Draw many lines, each an array of points (x, y), and return them as one thing."""
    return ax.add_collection(matplotlib("collections").LineCollection(lines, **look), autolim=autolim)


def note(ax: "Axes", words: str) -> None:
    """Write into the middle of empty axes why they are empty."""
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=TOTAL)


def check_result(result: Any) -> None:
    """Refuse what is no result of a cascade."""
    if not isinstance(result, CascadeResult):
        raise ParameterError(f"result is a {type(result).__name__}; give what MarginCascade.run returns")


def check_rounds(result: Any) -> None:
    """Refuse what has no rounds."""
    check_result(result)
    if result.arrays.trades is None:
        raise ParameterError("an equilibrium has no rounds to draw; give what MarginCascade.run returns")
