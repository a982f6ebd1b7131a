"""The documentation says what is so: its code runs, and every public name is on a page of the reference."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.public import PUBLIC

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
# blocks of >>> are doctests
BLOCK = re.compile(r"^```python\n(?!>>>)(.*?)^```", re.MULTILINE | re.DOTALL)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))
    exec(compile(code, str(page), "exec"), {"__name__": page.stem})


@pytest.mark.parametrize("notebook", sorted(DOCS.glob("notebooks/*.ipynb")), ids=lambda notebook: notebook.stem)
def test_a_notebook_runs_and_is_kept_without_its_output(notebook: Path):
    cells = nbformat.read(notebook, as_version=4)
    assert not any(cell.get("outputs") for cell in cells.cells)
    nbclient.NotebookClient(cells, timeout=300, kernel_name="python3").execute()


def test_every_public_name_is_on_a_page_of_the_reference():
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    assert set(re.findall(r"^   ([\w.]+)$", text, re.MULTILINE)) == PUBLIC.keys()
