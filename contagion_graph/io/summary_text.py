"""A cascade as a page of text."""

from typing import Any

import pandas as pd

from contagion_graph._validate import ROUNDING
from contagion_graph.margin.result import CascadeResult

CHANNELS = {
    "direct": "direct loss by the shock",
    "impact": "price impact of liquidations",
    "penalty": "liquidation penalties",
    "socialised": "socialised losses",
    "transfer": "transfers",
    "shortfall": "less: shortfalls",
    "loss": "loss",
    "indirect": "of which indirect",
}


def report(result: CascadeResult, *, rows: int = 5) -> str:
    """Return a result as a readable page: figures, loss by channel, rounds, assets, traders.

    Parameters
    ----------
    result : CascadeResult
        The cascade.
    rows : int
        Lines of each list.

    Returns
    -------
    str

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-850.0])
    >>> print(report(cg.MarginCascade().run(graph, {"0": -0.1})).splitlines()[0])
    1 of 1 accounts breached, 1 of them closed whole, in 1 round.
    """
    parts = [
        *sentences(result),
        *_section("Loss by channel [currency; below 0: a gain]", _channels(result)),
        *_section("Rounds", _shortened(_as_text(result.rounds), 2 * rows)),
        *_section(f"The {rows} assets with the largest falls", _assets(result, rows)),
        *_section(f"The {rows} traders with the largest losses", _traders(result.traders.nlargest(rows, "loss"))),
        *_section(
            f"The {rows} traders not directly exposed with the largest losses", _traders(result.bystanders().head(rows))
        ),
    ]
    return "\n".join(parts)


def _by_others(result: CascadeResult) -> str:
    """Say what layers other than funds and members paid, where there are any."""
    layers = {layer.name for layer in result.model.waterfall if layer.kind in ("own", "purse")}
    used = result.layers["used"]
    paid = {name: float(used[used.index.get_level_values("layer") == name].sum()) for name in layers}
    return "".join(f", {name.replace('_', ' ')} {money(paid[name])}" for name in sorted(layers))


def _passed(result: CascadeResult) -> list[str]:
    """Say what passed from account to account."""
    fills = result.fills
    if fills.empty:
        return []
    value, lost = (fills["units"] * fills["mark"]).abs().sum(), fills["amount"].clip(lower=0.0).sum()
    return [
        f"Positions worth {money(value)} passed from account to account; counterparties lost {money(lost)} by that."
    ]


def sentences(result: CascadeResult) -> list[str]:
    """Return what happened in a few sentences.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-850.0])
    >>> sentences(cg.MarginCascade().run(graph, {"0": -0.1}))[1]
    'The largest fall of a price, shock included: 10.0%.'
    """
    s = result.summary()
    before = f" Before the shock {s['breached_before']:,.0f} were in breach." if s["breached_before"] else ""
    rounds = f"{s['rounds']:.0f} round{'' if s['rounds'] == 1 else 's'}"
    down = f" Prices that the shock moved through table backing: {s['passed_down']:,.0f}." if "passed_down" in s else ""
    return [
        f"{s['breached']:,.0f} of {s['accounts']:,.0f} accounts breached, {s['closed']:,.0f} of them closed whole, "
        f"in {rounds}.{before}",
        f"The largest fall of a price, shock included: {s['largest_fall']:.1%}.{down}",
        f"Of a shortfall of {money(s['shortfall'])} the insurance funds paid {money(s['fund_used'])}, other members "
        f"{money(s['socialised'])}{_by_others(result)}, uncovered {money(s['uncovered'])}.",
        *_passed(result),
        f"The traders that lose, lose {money(s['gross_loss'])}; those that gain, gain "
        f"{money(s['gross_loss'] - s['net_loss'])}.",
        f"{s['bystanders']:,.0f} of {s['traders']:,.0f} traders lose without being directly exposed: "
        f"{money(s['bystander_loss'])} in total.",
    ]


def money(amount: float) -> str:
    """Return an amount: whole from 1000 up, below with four significant digits.

    Examples
    --------
    >>> money(1234567.8), money(0.01234), money(0)
    ('1,234,568', '0.01234', '0')
    """
    return f"{amount:,.0f}" if abs(amount) >= 1000 else f"{amount:,.4g}"


def _section(title: str, table: pd.DataFrame) -> list[str]:
    return ["", title, table.to_string() if len(table) else "  (none)"]


def _channels(result: CascadeResult) -> pd.DataFrame:
    """Amounts of the traders that lose, whose sum is the gross loss, and of all, whose sum is the net loss."""
    shown = [name for name in CHANNELS if name in result.traders]
    traders, rounding = result.traders[shown], ROUNDING * result.graph._rows.initial.gross.sum()
    sums = {"traders that lose": traders[traders["loss"] > 0.0].sum(), "all traders": traders.sum()}
    table = pd.DataFrame(sums).rename(index=CHANNELS)
    return table.where(table.abs() > rounding, 0.0).map(money)


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Amounts as money, relative moves and shares in percent, counts as they are."""

    def form(name: str) -> Any:
        if name in ("largest_move", "closed"):
            return "{:.1%}".format
        return "{:,}".format if name in ("breached", "breach_round") else money

    return pd.DataFrame({name: table[name].map(form(name)) for name in map(str, table.columns)})


def _shortened(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    if len(table) <= rows:
        return table
    dots = pd.DataFrame("...", index=["..."], columns=table.columns)
    return pd.concat([table.head(rows - 2), dots, table.tail(2)])


def _assets(result: CascadeResult, rows: int) -> pd.DataFrame:
    assets = result.assets
    shock = assets["price_shocked"] / assets["price_before"] - 1.0
    total = assets["price_after"] / assets["price_before"] - 1.0
    columns = {
        "shock": shock.map("{:.1%}".format),
        "at the end": total.map("{:.1%}".format),
        "value_sold": assets["value_sold"].map(money),
        "open_interest_before": assets["open_interest_before"].map(money),
        "open_interest_after": assets["open_interest_after"].map(money),
    }
    return pd.DataFrame(columns).loc[total.nsmallest(rows).index]


def _traders(traders: pd.DataFrame) -> pd.DataFrame:
    columns = ["equity_before", "loss", "direct", "impact", "socialised", "closed", "breach_round"]
    return _as_text(traders[columns])
