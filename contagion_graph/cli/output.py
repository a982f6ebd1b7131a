"""What a command says of a cascade, and the files that it writes."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from contagion_graph import plot
from contagion_graph._written import Written
from contagion_graph.errors import MissingExtraError
from contagion_graph.graph_formats.gexf import write_gexf
from contagion_graph.io.summary_text import report
from contagion_graph.io.write import write_tables
from contagion_graph.margin.result import CascadeResult
from contagion_graph.report.figures import drawn, svg
from contagion_graph.report.page import write_page
from contagion_graph.tables.files import replacing_set

TOP = 2000  # traders in the files for Gephi, which lays out so many within seconds
STEPS = ("tables", "files for Gephi", "figures", "report")


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
    figures, words = _figures(result, out / "figures")
    step("report")
    title = f"Contagion report: {facts['market']}"
    written = write_page(result, out / "report.html", title=title, facts=facts, figures=figures)
    return [*said, words, f"Open {written.path} in a browser."]


def _gephi(result: CascadeResult, out: Path) -> Iterator[str]:
    k = TOP if len(result.graph.traders) > TOP else None
    write_gexf(result, out / "graph.gexf", k=k)
    written = write_gexf(result, out / "cascade.gexf", mode="dynamic", k=k)
    yield f"For Gephi: graph.gexf, and cascade.gexf for its timeline{_kept(written, k)}"


def _kept(written: Written, k: int | None) -> str:
    return "" if k is None else f" ({k:,} traders with {written.share:.0%} of all {written.measure})"


def _figures(result: CascadeResult, folder: Path) -> tuple[dict[str, str], str]:
    """Draw the figures and write them; return those of the report, and what to say of all."""
    try:
        of_report = drawn(result)
    except MissingExtraError as error:
        return {}, f"Figures are left out, in the report too: {error}"
    documents = {**of_report, "waterfall": svg(plot.waterfall(result, traders="all"))}
    with replacing_set(folder, rf"({'|'.join(documents)})\.svg") as beside:
        for name, document in documents.items():
            (beside / f"{name}.svg").write_text(document, encoding="utf-8", newline="\n")
    return of_report, f"Figures: {', '.join(f'figures/{name}.svg' for name in documents)}"
