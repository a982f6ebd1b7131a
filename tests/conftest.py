"""What does not keep the rules of the house yet: tests/open_rules.txt lists the tests that may fail until it does."""

from pathlib import Path

import pytest

OPEN = set((Path(__file__).parent / "open_rules.txt").read_text(encoding="utf-8").split("\n"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the listed tests fail."""
    for item in items:
        if item.nodeid in OPEN:
            item.add_marker(pytest.mark.xfail(strict=False))
