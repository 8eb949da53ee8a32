"""Calibration of scores: the fit is the maximum of the likelihood, and the curve it gives is a probability."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from groundshift.detect.calibration import calibrated, fit_calibration
from groundshift.errors import NoDataError


def draw(slope, intercept, n, seed=0):
    """Scores, and whether they were right with the probability that slope and intercept give them."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.02, 0.98, n)
    return scores, rng.uniform(size=n) < expit(slope * logit(scores) + intercept)


def test_slope_one_and_intercept_zero_change_nothing():
    scores = np.linspace(1e-5, 1 - 1e-5, 101).reshape(1, 101)
    np.testing.assert_allclose(calibrated(scores, 1.0, 0.0), scores, atol=1e-12)


def test_certain_scores_stay_finite_and_between_0_and_1():
    found = calibrated([0.0, 1.0], 3.0, 1.0)
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert found[0] < 1e-12
    assert found[1] > 1 - 1e-12


@pytest.mark.parametrize("truth", [(1.0, 0.0), (0.4, -1.5), (2.5, 1.0), (-0.7, 0.3)])
def test_the_curve_that_scores_were_drawn_from_is_found_again(truth):
    np.testing.assert_allclose(fit_calibration(*draw(*truth, 200_000)), truth, atol=0.04)


@pytest.mark.parametrize(("n", "seed"), [(7, 0), (40, 1), (1000, 2)])
def test_the_fit_is_the_maximum_that_a_general_minimiser_finds(n, seed):
    scores, right = draw(1.7, -0.6, n, seed)
    x, hits = logit(scores), right.sum()
    aim = np.where(right, (hits + 1) / (hits + 2), 1 / (n - hits + 2))
    loss = lambda p: np.sum(np.logaddexp(0, p[0] * x + p[1]) - aim * (p[0] * x + p[1]))  # noqa: E731
    best = minimize(loss, (1.0, 0.0), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(fit_calibration(scores, right), best, atol=1e-4)


def test_scores_that_part_right_from_wrong_leave_the_curve_finite_and_in_order():
    slope, intercept = fit_calibration([0.1, 0.2, 0.3, 0.7, 0.8], [False, False, False, True, True])
    assert 0 < slope < 100
    assert np.isfinite(intercept)
    assert calibrated(0.3, slope, intercept) < 0.5 < calibrated(0.7, slope, intercept)


def test_one_score_for_all_becomes_the_smoothed_share_of_right_ones():
    right = np.arange(100) < 30
    fitted = fit_calibration(np.full(100, 0.9), right)
    aim = (30 * 31 / 32 + 70 * 1 / 72) / 100
    assert calibrated(0.9, *fitted) == pytest.approx(aim, abs=1e-6)


def test_calibrated_scores_are_right_as_often_as_they_say():
    scores, right = draw(0.5, -1.0, 100_000, 3)
    fitted = calibrated(scores, *fit_calibration(scores, right))
    for low in (0.1, 0.2, 0.3, 0.4):
        these = (fitted >= low) & (fitted < low + 0.1)
        assert right[these].mean() == pytest.approx(fitted[these].mean(), abs=0.02)


def test_no_scores_and_scores_without_marks_are_refused():
    with pytest.raises(NoDataError, match="no score to calibrate"):
        fit_calibration([], [])
    with pytest.raises(ValueError, match="right must have as many values as scores, 2, instead got 1"):
        fit_calibration([0.1, 0.2], [True])
