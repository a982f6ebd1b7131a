"""The example of docs/adding-a-payoff.md runs, and says what it claims."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg

PAGE = Path(__file__).parent.parent / "docs" / "adding-a-payoff.md"
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_example_runs(tmp_path: Path):
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(EXAMPLE, PAGE.name, "exec"), names)
    graph, digital = names["graph"], names["Digital"](strike=110.0, expiry=0.1)
    u, vol = np.linspace(60.0, 160.0, 400), np.full(400, 0.6)
    step = 1e-5 * u
    slope = (digital.price(u + step, vol) - digital.price(u - step, vol)) / (2 * step)
    assert slope == pytest.approx(digital.delta(u, vol), rel=1e-6, abs=1e-9)
    assert np.abs(slope).max() <= digital.delta_bound(60.0, 160.0)
    assert (slope >= 0.0).all()
    full = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(graph, {"BTC": 0.05}, revaluation="full")
    pd.testing.assert_frame_equal(full.accounts, names["result"].accounts, check_exact=True)
    written = cg.write_tables(graph, tmp_path)
    with pytest.raises(cg.TableError, match="asset 'above 110' has the kind payoff, and no record"):
        cg.read_tables(written.paths[0].parent)
