"""Draws: moments, tails, and what they promise about seeds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import contagion_graph as cg

draw = cg.scenarios.draw
ASSETS = ["BTC", "ETH", "GOLD"]
MATRIX = np.array([[0.04, 0.03, 0.0], [0.03, 0.09, -0.01], [0.0, -0.01, 0.01]])
COVARIANCE = pd.DataFrame(MATRIX, index=ASSETS, columns=ASSETS)
LOADINGS = pd.DataFrame({"market": [1.0, 1.5, 0.0], "metal": [0.0, -0.2, 1.0]}, index=ASSETS)
FACTORS = pd.DataFrame([[0.02, 0.0], [0.0, 0.01]], index=["market", "metal"], columns=["market", "metal"])
SPECIFIC = {"BTC": 0.01, "ETH": 0.0, "GOLD": 0.004}
DRAWS = {
    "gaussian": lambda count, **how: draw.gaussian(COVARIANCE, count, **how),
    "student_t": lambda count, **how: draw.student_t(COVARIANCE, count, df=5.0, **how),
    "factor": lambda count, **how: draw.factor(LOADINGS, FACTORS, SPECIFIC, count, **how),
    "conditional": lambda count, **how: draw.conditional(COVARIANCE, {"ETH": -0.3}, count, **how),
}


def history(days: int = 400, seed: int = 0) -> pd.DataFrame:
    returns = np.random.default_rng(seed).multivariate_normal(np.zeros(3), MATRIX / 100, days)
    return pd.DataFrame(100.0 * np.exp(np.vstack([np.zeros(3), returns]).cumsum(axis=0)), columns=ASSETS)


@pytest.mark.parametrize("points", ["random", "antithetic", "sobol"])
@pytest.mark.parametrize("name", DRAWS)
def test_the_first_scenarios_do_not_depend_on_how_many_follow(name: str, points: str):
    many, few = (DRAWS[name](count, points=points, rng=3) for count in (101, 40))
    assert few.equals(many[:40])
    assert not few.equals(DRAWS[name](40, points=points, rng=4))
    assert (many >= -1.0).all(axis=None)
    assert many.index.name == "scenario"
    assert list(many.columns) == ASSETS


@pytest.mark.parametrize("points", ["random", "antithetic", "sobol"])
def test_moments_of_normal_draws(points: str):
    count = 2**14
    returns = np.log1p(draw.gaussian(COVARIANCE, count, points=points, rng=0)).to_numpy()
    scale = np.sqrt(np.diag(MATRIX) / count)
    assert (np.abs(returns.mean(axis=0)) < 4 * scale).all()
    spread = np.sqrt((np.outer(np.diag(MATRIX), np.diag(MATRIX)) + MATRIX**2) / count)
    assert (np.abs(np.cov(returns.T, ddof=0) - MATRIX) < 4 * spread).all()
    if points == "antithetic":
        assert np.abs(returns.mean(axis=0)).max() < 1e-12
    if points == "sobol":  # far better than by chance
        assert np.abs(returns.mean(axis=0) / scale).max() < 0.1
    if points == "random":
        assert stats.kstest(returns[:, 1] / 0.3, "norm").pvalue > 0.01


@pytest.mark.parametrize("points", ["random", "antithetic", "sobol"])
def test_tails_of_student_draws(points: str):
    """Each log-return over its scale is t with nu degrees of freedom; the covariance is the given one."""
    nu, count = 5.0, 2**14
    returns = np.log1p(draw.student_t(COVARIANCE, count, df=nu, points=points, rng=0)).to_numpy()
    standard = returns / np.sqrt(np.diag(MATRIX) * (nu - 2.0) / nu)
    for level in (0.001, 0.01, 0.1, 0.9, 0.99):
        share = (standard < stats.t.ppf(level, nu)).mean(axis=0)
        assert (np.abs(share - level) < 4.5 * np.sqrt(level * (1 - level) / count * 2)).all()
    assert np.abs(np.cov(returns.T) - MATRIX).max() < 0.01
    if points == "random":
        assert stats.kstest(standard[:, 0], "t", args=(nu,)).pvalue > 0.01


def test_student_draws_are_violent_together():
    """With correlation 0 the tails of a t distribution still come together, those of a normal do not."""
    identity = pd.DataFrame(np.eye(2) * 0.01, index=["A", "B"], columns=["A", "B"])
    both = []
    for changes in (draw.student_t(identity, 40_000, df=3.0, rng=0), draw.gaussian(identity, 40_000, rng=0)):
        low = changes.rank() < 400
        both.append(low.all(axis=1).mean())
    assert both[0] > 5 * both[1]


def test_factor_draws_have_the_covariance_of_the_model():
    exact = LOADINGS.to_numpy() @ FACTORS.to_numpy() @ LOADINGS.to_numpy().T + np.diag(list(SPECIFIC.values()))
    returns = np.log1p(draw.factor(LOADINGS, FACTORS, SPECIFIC, 2**13, points="sobol", rng=0))
    assert np.abs(np.cov(returns.T) - exact).max() < 0.001


def test_conditional_draws_are_those_of_gaussian_draws_near_the_condition():
    given = np.log(0.9)
    returns = np.log1p(draw.gaussian(COVARIANCE, 400_000, rng=0)).to_numpy()
    near = returns[np.abs(returns[:, 1] - given) < 0.01]
    drawn = np.log1p(draw.conditional(COVARIANCE, {"ETH": -0.1}, 20_000, rng=1)).to_numpy()
    mean = np.log1p(draw.conditional(COVARIANCE, {"ETH": -0.1})).to_numpy()[0]
    assert np.allclose(drawn[:, 1], given)
    assert np.abs(near.mean(axis=0) - mean).max() < 0.005
    assert np.abs(drawn.mean(axis=0) - mean).max() < 0.005
    others = [0, 2]
    assert np.abs(np.cov(drawn[:, others].T) - np.cov(near[:, others].T)).max() < 0.001
    assert np.allclose(draw.conditional(COVARIANCE, dict.fromkeys(ASSETS, -0.1), 3), -0.1)


def test_the_history_is_what_is_drawn():
    prices = history(50)
    steps = np.diff(np.log(prices.to_numpy()), axis=0)
    found = np.log1p(draw.historical(prices, 200, rng=0)).to_numpy()
    assert (np.abs(found[:, None, :] - steps).max(axis=2).min(axis=1) < 1e-12).all()
    windows = sum(np.roll(steps, -k, axis=0) for k in range(3))
    found = np.log1p(draw.historical(prices, 200, horizon=3, block=3, rng=0)).to_numpy()
    assert (np.abs(found[:, None, :] - windows).max(axis=2).min(axis=1) < 1e-12).all()
    assert draw.historical(prices, 20, horizon=4, rng=1).equals(draw.historical(prices, 50, horizon=4, rng=1)[:20])


def test_blocks_keep_what_follows_what():
    """Returns that come in pairs: whole blocks keep the variance over two steps, single steps lose it."""
    rng = np.random.default_rng(0)
    pairs = np.repeat(rng.normal(0.0, 0.01, 2_000), 2)
    prices = pd.DataFrame({"ETH": np.exp(np.concatenate([[0.0], pairs]).cumsum())})
    spread = [np.log1p(draw.historical(prices, 20_000, horizon=2, block=b, rng=0)).std().iloc[0] for b in (1, 2)]
    assert spread[0] == pytest.approx(0.01 * np.sqrt(2.0), rel=0.04)
    assert spread[1] == pytest.approx(0.01 * np.sqrt(3.0), rel=0.04)  # half of the pairs of neighbours are equal


def test_the_covariance_of_prices():
    prices = history()
    returns = np.diff(np.log(prices.to_numpy()), axis=0)
    plain = draw.covariance(prices, shrink=False, horizon=10)
    assert np.allclose(plain, 10 * np.cov(returns.T, ddof=0))
    shrunk, sample = draw.covariance(prices).to_numpy(), np.cov(returns.T, ddof=0)
    target = np.trace(sample) / 3 * np.eye(3)
    share = ((sample - shrunk) / (sample - target))[0, 1]
    assert np.allclose(shrunk, (1 - share) * sample + share * target)
    deviation = np.mean([((np.outer(x, x) - sample) ** 2).sum() for x in returns - returns.mean(axis=0)]) / len(returns)
    assert share == pytest.approx(deviation / ((sample - target) ** 2).sum())  # Ledoit & Wolf (2004), eq. 13 to 15
    assert 0.0 < share < 0.5


def test_shrinking_makes_few_dates_fit_to_draw_from():
    short = history(400).iloc[:4]
    assert np.linalg.cond(draw.covariance(short, shrink=False)) > 1e12
    assert np.linalg.cond(draw.covariance(short)) < 1e6


def test_a_covariance_that_is_none_is_repaired_with_a_warning():
    wrong = pd.DataFrame([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]], index=ASSETS, columns=ASSETS) * 0.01
    with pytest.warns(cg.CovarianceWarning, match="not positive semi-definite: its least eigenvalue is -0.008"):
        changes = draw.gaussian(wrong, 2**14, points="sobol", rng=0)
    size, vectors = np.linalg.eigh(wrong)
    nearest = vectors @ np.diag(np.maximum(size, 0.0)) @ vectors.T
    assert np.abs(np.cov(np.log1p(changes).T) - nearest).max() < 2e-4
    singular = pd.DataFrame(np.full((3, 3), 0.01), index=ASSETS, columns=ASSETS)  # no warning: rounding only
    assert np.ptp(draw.gaussian(singular, 5, rng=0).to_numpy(), axis=1).max() < 1e-7


@pytest.mark.parametrize("seed", range(5))
def test_draws_do_not_depend_on_the_eigenvectors_that_a_machine_finds(seed: int):
    """Where eigenvalues are equal any basis will do, and rounding chooses one: draws must not follow it."""
    rng = np.random.default_rng(seed)
    labels, matrix = [f"A{k}" for k in range(7)], np.full((7, 7), 0.0012) + np.diag([0.0013] * 5 + [0.0029] * 2)
    noise = rng.normal(size=(7, 7)) * 1e-16
    draws = [
        cg.scenarios.draw.gaussian(pd.DataFrame(each, index=labels, columns=labels), 4, rng=0).to_numpy()
        for each in (matrix, matrix + noise + noise.T)
    ]
    np.testing.assert_allclose(*draws, rtol=1e-7)


def test_failures_come_with_their_probabilities_and_together():
    failures = {"bridge": {"X": -1.0}, "issuer": {"Y": -0.5, "X": -0.5}, "oracle": {"Z": 0.2}}
    chances = {"bridge": 0.05, "issuer": 0.1, "oracle": 0.0}
    alone = draw.joint_failure(failures, chances, 50_000, rng=0)
    close = draw.joint_failure(failures, chances, 50_000, correlation=0.7, rng=0)
    for changes in (alone, close):
        issuer = changes["Y"] == -0.5
        assert issuer.mean() == pytest.approx(0.1, abs=0.006)
        assert (changes["X"] == -1.0).mean() == pytest.approx(0.05, abs=0.005)
        assert set(changes.loc[issuer, "X"]) == {-0.5, -1.0}
        assert (changes["Z"] == 0.0).all()
    both = [((each["X"] == -1.0) & (each["Y"] == -0.5)).mean() for each in (alone, close)]
    assert both[0] == pytest.approx(0.005, abs=0.0015)
    assert both[1] > 4 * both[0]
    together = draw.together(draw.grid({"X": [-0.1] * 50_000}), close)
    assert np.allclose(together["X"], 0.9 * (1.0 + close["X"]) - 1.0)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: draw.gaussian(COVARIANCE, 0), "n_draws is 0; it must be a whole number from 1 up"),
        (lambda: draw.gaussian(COVARIANCE, 5, points="halton"), "points is 'halton'; it must be one of random, anti"),
        (lambda: draw.gaussian(COVARIANCE, 5, rng="seed"), "rng is 'seed'; it must be what numpy.random"),
        (lambda: draw.gaussian(COVARIANCE.to_numpy(), 5), "covariance must be a frame"),
        (lambda: draw.gaussian(COVARIANCE[["ETH", "BTC"]], 5), "'GOLD' names a row only"),
        (lambda: draw.gaussian(-COVARIANCE, 5), "the variance of '[A-Z]+' is -.*must be at least 0"),
        (lambda: draw.gaussian(COVARIANCE.replace(-0.01, np.nan), 5), "covariance of 'ETH' and 'GOLD' is nan"),
        (lambda: draw.gaussian(COVARIANCE + np.triu(np.ones((3, 3)), 1), 5), "covariance is not symmetric"),
        (lambda: draw.student_t(COVARIANCE, 5, df=2.0), "df is 2.0; it must be a number above 2"),
        (lambda: draw.factor(LOADINGS, FACTORS, {"BTC": 1.0}, 5), "specific: has nothing in 2 rows"),
        (
            lambda: draw.factor(LOADINGS[["metal"]], FACTORS, SPECIFIC, 5),
            "a label is missing in 1 row .row 0: 'market'",
        ),
        (lambda: draw.conditional(COVARIANCE, {}), "given is empty"),
        (
            lambda: draw.conditional(COVARIANCE, {"EHT": -1.0}),
            "(?s)asset 'EHT' .did you mean 'ETH'.*changes by -1",
        ),
        (lambda: draw.historical(history(4), 5, horizon=9, block=9), "block is 9, the history has 4 steps"),
        (lambda: draw.historical(history(4).iloc[:2], 5), "of at least 3 rows"),
        (lambda: draw.covariance(history(4).replace(100.0, 0.0)), "prices: 0 at 0 for asset 'BTC', and 2 more"),
        (lambda: draw.joint_failure({"a": {"X": -2.0}}, {"a": 0.1}, 5), "at least -1"),
        (lambda: draw.joint_failure({"a": {"X": -1.0}}, {"b": 0.1}, 5), "must name the same failures"),
        (lambda: draw.joint_failure({"a": {"X": -1.0}}, {"a": 1.5}, 5), "probability of 'a' is 1.5"),
        (lambda: draw.together(draw.grid({"X": [0.0]}), draw.grid({"X": [0.0, 0.1]})), "frames of 1, 2 scenarios"),
    ],
)
def test_bad_inputs(work, message: str):
    with pytest.raises(cg.ContagionError, match=message):
        work()
