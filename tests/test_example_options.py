"""The example of an options venue: what it prints is what the graph says."""

import options_venue
import pytest


def test_makers_are_short_gamma_and_buyers_long(capsys: pytest.CaptureFixture[str]):
    losses = options_venue.main()
    printed = capsys.readouterr().out
    assert "short gamma" in printed
    assert set(losses.index.get_level_values("role")) == {"buyer", "covered", "maker", "naked"}
    loss = losses["loss"].unstack("role")
    assert (loss["maker"] > 0.0).all(), "hedged makers lose by large moves either way"
    assert (loss["buyer"] < 0.0).all()
    assert (loss["naked"] > 0.0).all()
    parts = losses[["direct", "impact", "penalty", "socialised"]].sum(axis=1)
    assert (parts - losses["loss"]).abs().max() < 1e-6 * losses.abs().to_numpy().max(), "nobody is left short"
