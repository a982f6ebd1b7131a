"""How the documentation is built: `sphinx-build -W docs docs/_build/html`."""

import os
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("CONTAGION_GRAPH_SHARED") or HERE.parent.parent / "shared")

project = "contagion_graph"
author = "The contagion_graph developers"
copyright = author  # noqa: A001 - Sphinx asks for this name
release = version = installed("contagion-graph")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "jupyter_execute", "gallery/*.ipynb"]

html_theme = "pydata_sphinx_theme"
html_title = "contagion_graph"
html_sourcelink_suffix = ""
html_theme_options = {
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120

autosummary_generate = True
templates_path = ["_templates"]
numpydoc_show_class_members = False

# an example on real data runs where the data is, and is shown without its output elsewhere
needs_data = [path.name for path in (HERE.parent / "examples").glob("*.py") if "real_data" in path.read_text("utf-8")]
left_out = [] if (SHARED / "data").is_dir() else needs_data
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "ignore_pattern": "|".join([r"real_data\.py", *left_out]),
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "notebook_extensions": set(),
}


def show_formulas(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Set the indented formulas of a docstring as they are typed, and let |x| in its sentences be |x|."""
    sections = next((k for k, line in enumerate(lines) if line.startswith("---")), len(lines))
    code = next((k for k, line in enumerate(lines) if line.startswith("Examples")), len(lines))
    shown: list[str] = []
    in_formula = False
    for k, line in enumerate(lines[:code]):
        formula = k < sections and line.startswith("    ")
        shown += ["::", ""] if formula and not in_formula else []
        shown.append(line if formula else line.replace("|", r"\|"))
        in_formula = formula or (in_formula and not line)
    lines[:] = shown + lines[code:]


def setup(app: Any) -> None:
    """Tell Sphinx what is ours; numpydoc comes at 500."""
    app.connect("autodoc-process-docstring", show_formulas, priority=400)
