"""Screening acts exactly at its thresholds."""

import math

import numpy as np
import pytest

from groundshift.detect import Body, Screen, steep_share
from groundshift.gradients.differences import directions_of

LEAST = np.float32(0.28)
BELOW = np.nextafter(LEAST, np.float32(0))
ONE_TO_ONE = 4 * math.pi / 1000
"""Wavelength at which a radian is exactly one millimetre."""


def body(shape=(10, 10), corner=(3, 4)):
    return Body(np.ones(shape, bool), corner, 20.0, 1.0, 9.0, ("north",))


def box_of(values, direction=0, shape=(20, 22)):
    """A flat scene with a box of 10 x 10 values in one direction."""
    gradient = np.zeros((2, *shape))
    gradient[direction, 3:13, 4:14] = np.reshape(values, (10, 10))
    return gradient


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("pixels", "kept"), [(9, False), (10, True), (11, True), (100, True)])
def test_a_tenth_of_the_box_is_enough(make_stack, direction, sign, pixels, kept):
    values = np.zeros(100)
    values[:pixels] = sign * LEAST
    stack = make_stack(box_of(values, direction), wavelength=ONE_TO_ONE)
    assert stack.mm_per_radian == -1
    assert steep_share(stack, body(), 0.28) == pytest.approx(pixels / 100)
    assert Screen().passes(stack, body()) is kept


@pytest.mark.parametrize(("value", "kept"), [(LEAST, True), (BELOW, False)])
def test_gradient_must_reach_the_threshold(make_stack, value, kept):
    stack = make_stack(box_of(np.full(100, value)), wavelength=ONE_TO_ONE)
    assert Screen().passes(stack, body()) is kept


def test_only_the_box_counts_and_all_of_it(make_stack):
    gradient = np.full((2, 20, 22), 5.0)
    gradient[:, 3:13, 4:14] = 0
    stack = make_stack(gradient, wavelength=ONE_TO_ONE)
    assert steep_share(stack, body(), 0.28) == 0
    # One row and one column further out.
    assert steep_share(stack, body((12, 12), (2, 3)), 0.28) == pytest.approx(44 / 144)


def test_direction_that_shows_most_counts(make_stack):
    gradient = box_of(np.arange(100) < 30) + box_of(np.arange(100) < 8, 1)
    assert steep_share(make_stack(gradient), body(), 0.28) == pytest.approx(0.3)


def test_share_is_of_the_pixels_that_are_known(make_stack):
    values = np.full(100, np.nan)
    values[:20] = 0
    values[:2] = 1
    stack = make_stack(box_of(values))
    assert steep_share(stack, body(), 0.28) == pytest.approx(0.1)
    stack = make_stack(np.full((2, 20, 22), np.nan))
    assert steep_share(stack, body(), 0.28) == 0
    assert not Screen().passes(stack, body())


@pytest.mark.parametrize("pixel", [10.0, 20.0, 40.0, 80.0])
def test_threshold_is_per_40_metres_on_the_ground(make_stack, map_grid, pixel):
    grid = map_grid((20, 22), pixel)
    for gradient, kept in ((1.01, True), (0.99, False)):
        values = np.full(100, gradient * 0.28 * pixel / 40)
        assert Screen().passes(make_stack(box_of(values), grid=grid), body()) is kept


def test_steps_are_as_long_as_their_direction(make_stack, radar_grid):
    """On pixels of 30 m by 40 m: 30, 40, and 50 m along the diagonals; six times that for steps of -3 to 3."""
    grid = radar_grid((20, 22), (30.0, 40.0))
    for step, reach in ((1, 1), (3, 6)):
        directions = directions_of(grid.axis_names, diagonals=True, step=step)
        for k, metres in enumerate((30, 40, 50, 50)):
            gradient = np.zeros((4, 20, 22))
            for factor, share in ((1.01, 1.0), (0.99, 0.0)):
                gradient[k] = factor * 0.28 * metres / 40 * reach
                assert steep_share(make_stack(gradient, grid=grid, directions=directions), body(), 0.28) == share


def test_thresholds_are_those_of_paper_000():
    # 1.2 rad on stacks of 19 years of summed baselines, in a tenth of the box.
    assert Screen().least_gradient == pytest.approx(1.2 * 4.414 / 19, abs=0.002)
    assert Screen().least_share == 0.10


def test_zero_thresholds_keep_everything(make_stack):
    stack = make_stack(np.zeros((2, 20, 22)))
    assert Screen(least_gradient=0.0).passes(stack, body())
    assert Screen(least_share=0.0).passes(stack, body())
    assert not Screen().passes(stack, body())
