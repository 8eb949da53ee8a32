import math

import numpy as np
import pytest

from groundshift.simulate.batched.courses import breathing_course, draw_course, surge_course

YEARS = np.arange(0, 4.2, 12 / 365.25)


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    return [draw_course(YEARS, 0.3, rng) for _ in range(600)]


def test_every_course_starts_at_zero_and_is_finite(drawn):
    for _, course in drawn:
        assert course.shape == YEARS.shape
        assert course[0] == 0
        assert np.isfinite(course).all()


def test_half_are_steady_and_then_the_course_is_the_time_in_years(drawn):
    steady = [course for behaviour, course in drawn if behaviour == "steady"]
    assert len(steady) / len(drawn) == pytest.approx(0.5, abs=0.06)
    for course in steady:
        np.testing.assert_array_equal(course, YEARS)
    assert {behaviour for behaviour, _ in drawn} == {"steady", "seasonal", "accelerating", "stick-slip"}


def test_only_the_seasons_move_a_slide_back(drawn):
    for behaviour, course in drawn:
        if behaviour != "seasonal":
            assert np.diff(course).min() > -1e-9
            assert course[-1] <= YEARS[-1] * (1 + 1e-9)


def test_seasonal_motion_repeats_after_a_year():
    years = np.array([0.0, 1.0, 2.0, 3.0, 0.4, 1.4])
    course = breathing_course(years, mean=0.7, amplitude=1.3, peak=0.2, second=0.25)
    np.testing.assert_allclose(course[:4], 0.7 * years[:4], atol=1e-12)
    assert course[5] - course[4] == pytest.approx(0.7)


def test_breathing_velocity_is_its_formula():
    years = np.linspace(0, 2, 20001)
    speed = np.gradient(breathing_course(years, mean=0.2, amplitude=0.9, peak=0.35, second=0.3), years)
    angle = 2 * math.pi * (years - 0.35)
    formula = 0.2 + 0.9 * (np.cos(angle) + 0.3 * np.cos(2 * angle))
    np.testing.assert_allclose(speed[1:-1], formula[1:-1], atol=1e-4)


def test_surge_velocity_is_a_logistic_from_zero_to_one():
    years = np.linspace(0, 4, 20001)
    speed = np.gradient(surge_course(years, 1.5, 0.1), years)
    np.testing.assert_allclose(speed[1:-1], (1 / (1 + np.exp(-(years - 1.5) / 0.1)))[1:-1], atol=1e-4)
