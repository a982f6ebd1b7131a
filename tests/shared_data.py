"""Where the reference cases and the real data are: a folder beside the project, or the one that a variable names."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(os.environ.get("CONTAGION_GRAPH_SHARED", Path(__file__).parent.parent.parent / "shared"))


def case(name: str) -> dict[str, Any]:
    """Return a reference case, or skip the test where the folder is absent."""
    path = SHARED / "cases" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path} is absent; set CONTAGION_GRAPH_SHARED to the folder with the reference cases")
    return json.loads(path.read_text(encoding="utf-8"))
