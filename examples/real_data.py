"""Where the real data is: in the folder that CONTAGION_GRAPH_SHARED names, else in ../shared beside the repository."""

import os
import sys
from pathlib import Path


def data_folder(name: str) -> Path:
    """Return the folder of one data set, or stop with a message."""
    shared = os.environ.get("CONTAGION_GRAPH_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    folder = Path(shared, "data", name)
    if not folder.is_dir():
        sys.exit(f"no data at {folder}: set CONTAGION_GRAPH_SHARED to the folder that holds data/{name}")
    return folder
