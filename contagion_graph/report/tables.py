"""Tables of a report: HTML that is readable as it stands, and that the page's script makes sortable."""

from collections.abc import Callable, Iterator
from html import escape
from typing import NamedTuple

import pandas as pd

from contagion_graph.io.summary_text import money
from contagion_graph.margin.attribution.blame import blame
from contagion_graph.margin.attribution.replay import moves_twice
from contagion_graph.margin.result import CascadeResult

ROWS = 1000  # of a table on the page
SHARES = {"closed", "price change", "largest_move"}
COUNTS = {"breach_round", "breached", "round"}
TRADERS = (
    *("loss", "direct", "impact", "penalty", "socialised", "shortfall", "indirect"),
    *("equity_before", "equity_after", "closed", "breach_round"),
)


class Table(NamedTuple):
    """A table of the page.

    Parameters
    ----------
    name : str
        The attribute of the result that holds it whole.
    title : str
        Caption.
    frame : DataFrame
        At most `ROWS` rows; its index holds the labels.
    total : int
        Rows of the whole table.
    """

    name: str
    title: str
    frame: pd.DataFrame
    total: int

    def html(self) -> Iterator[str]:
        """Yield the table, row by row, and a note where rows are left out."""
        forms = [_form(str(name)) for name in self.frame]
        names = [str(self.frame.index.name), *(str(name).replace("_", " ") for name in self.frame)]
        yield f'<table class="data" id="table-{self.name}"><caption>{escape(self.title)}</caption><thead><tr>'
        yield "".join(f'<th scope="col">{escape(name)}</th>' for name in names) + "</tr></thead><tbody>\n"
        for label, *values in self.frame.itertuples():
            cells = [
                f'<td data-order="{value!r}">{form(value)}</td>' if value == value else '<td data-order=""></td>'  # noqa: PLR0124
                for form, value in zip(forms, values, strict=True)
            ]
            text = escape(str(label))
            yield f'<tr><th scope="row" title="{text}">{text}</th>{"".join(cells)}</tr>\n'
        yield "</tbody></table>\n"
        if self.total > len(self.frame):
            yield (
                f'<p class="note">The first {len(self.frame):,} of {self.total:,} rows. The whole table is '
                f"<code>result.{self.name}</code>; <code>write_tables(result, folder)</code> writes it to a file.</p>\n"
            )


def tables_of(result: CascadeResult) -> list[Table]:
    """Return the tables of the page: traders by loss, assets by the change of their price, pools, rounds."""
    traders = result.traders[list(TRADERS)]
    fills = result.fills
    if result.arrays.trades is not None and not moves_twice(result) and fills.empty:
        traders = traders.assign(caused_to_others=blame(result)["from_others"])
    assets = result.assets.drop(columns="units_sold")
    change = assets["price_after"] / assets["price_before"] - 1.0
    assets.insert(0, "price change", change)
    shown = {
        "traders": ("Traders [currency]", traders.sort_values("loss", ascending=False, kind="stable")),
        "assets": ("Assets [currency]", assets.loc[change.abs().sort_values(ascending=False, kind="stable").index]),
        "pools": ("Pools [currency]", result.pools),
        "layers": ("Layers of the waterfall [currency]", _flat(result.layers)),
        "rounds": ("Rounds [currency]", result.rounds),
    }
    if not fills.empty:
        shown["fills"] = ("Positions that passed from account to account", _by_parties(fills))
    return [Table(name, title, frame.iloc[:ROWS], len(frame)) for name, (title, frame) in shown.items()]


def _flat(layers: pd.DataFrame) -> pd.DataFrame:
    """Return layers by one label: that of the layer, with the pool where there are several."""
    several = layers.index.get_level_values("pool").nunique() > 1
    labels = [f"{layer}, {pool}" if several else str(layer) for pool, layer in layers.index]
    return layers.set_axis(pd.Index(labels, name="layer"))


def _by_parties(fills: pd.DataFrame) -> pd.DataFrame:
    """Return what each trader was taken from, and what passed to or from it, the largest amount first."""
    value = (fills["units"] * fills["mark"]).abs()
    taken = fills.assign(value=value, fills=1).groupby("counterparty")[["amount", "value", "fills"]].sum()
    return taken.sort_values("amount", ascending=False, kind="stable")


def _form(name: str) -> Callable[[float], str]:
    """Return how the numbers of a column are written."""
    if name in SHARES:
        return "{:.1%}".format
    if name.startswith("solvency"):
        return "{:.4g}".format
    return "{:,.0f}".format if name in COUNTS else money
