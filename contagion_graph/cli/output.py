"""What a command says of a cascade, and the files that it writes."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from contagion_graph import plot
from contagion_graph.errors import MissingExtraError
from contagion_graph.graph_formats.gexf import write_gexf
from contagion_graph.io.summary_text import report
from contagion_graph.io.write import write_tables
from contagion_graph.io.written import Written
from contagion_graph.margin.result import CascadeResult
from contagion_graph.plot.canvas import figure_of, matplotlib
from contagion_graph.report.page import write_report

TOP = 2000  # traders in the files for Gephi, which lays out so many within seconds
STEPS = ("tables", "files for Gephi", "figures", "report")
FIGURES: dict[str, Callable[[CascadeResult], Any]] = {
    "cascade": plot.cascade,
    "waterfall": plot.waterfall,
    "waterfall-losers": lambda result: plot.waterfall(result, traders="losers"),
    "bipartite": plot.bipartite,
    "losses": lambda result: plot.loss_distribution(result.traders["loss"]),
}


def say(result: CascadeResult, said: list[str]) -> None:
    """Print a result and what was written of it."""
    print("\n".join([report(result), *([""] if said else []), *said]))


def write(
    result: CascadeResult, out: Path, *, form: Any, facts: Mapping[str, object], step: Callable[[str], None]
) -> list[str]:
    """Write tables, files for Gephi, figures and the report; return what to say of them."""
    step("tables")
    said = [f"Written to {out}: {', '.join(path.name for path in write_tables(result, out, format=form).paths)}"]
    step("files for Gephi")
    said += _gephi(result, out)
    step("figures")
    said.append(_figures(result, out / "figures"))
    step("report")
    written = write_report(result, out / "report.html", title=f"Contagion report: {facts['market']}", facts=facts)
    return [*said, f"Open {written.path} in a browser."]


def _gephi(result: CascadeResult, out: Path) -> Iterator[str]:
    k = TOP if len(result.graph.traders) > TOP else None
    write_gexf(result, out / "graph.gexf", k=k)
    written = write_gexf(result, out / "cascade.gexf", mode="dynamic", k=k)
    yield f"For Gephi: graph.gexf, and cascade.gexf for its timeline{_kept(written, k)}"


def _kept(written: Written, k: int | None) -> str:
    return "" if k is None else f" ({k:,} traders with {written.share:.0%} of all {written.measure})"


def _figures(result: CascadeResult, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    try:
        for name, draw in FIGURES.items():
            ax = draw(result)
            plot.save(ax, folder / f"{name}.svg")
            matplotlib("pyplot").close(figure_of(ax))
    except MissingExtraError as error:
        folder.rmdir()
        return f"Figures are left out, in the report too: {error}"
    return f"Figures: {', '.join(f'figures/{name}.svg' for name in FIGURES)}"
