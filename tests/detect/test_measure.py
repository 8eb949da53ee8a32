"""What a network drew is measured as the rules measure what they find."""

import numpy as np
import pytest
from scipy import ndimage

from groundshift.detect import Rules, find_bodies
from groundshift.detect.measure import measure
from groundshift.detect.prediction import Prediction
from groundshift.gradients.integrate import relative_velocity

SHAPE = (100, 110)
SMOOTHING = 5


def differences(v):
    dy, dx = np.full(v.shape, np.nan), np.full(v.shape, np.nan)
    dy[:-1], dx[:, :-1] = np.diff(v, axis=0), np.diff(v, axis=1)
    return np.stack([dy, dx])


def plug(centre, half):
    """A body that moves as one, and its outline."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    r = np.hypot((y - centre[0]) / half[0], (x - centre[1]) / half[1])
    return ndimage.uniform_filter(np.maximum(1 - r**6, 0), SMOOTHING), r < 1


def drawn(mask, score=0.8):
    """A prediction of this mask on the whole map."""
    rows, columns = np.nonzero(mask)
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    return Prediction((float(left), float(top), float(right), float(bottom)), score, mask[top:bottom, left:right])


def boxed(mask):
    return drawn(mask)._replace(mask=None)


@pytest.fixture
def everywhere():
    return np.ones(SHAPE, bool)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("how", [drawn, boxed])
def test_a_body_has_its_velocity_wherever_zero_lies(make_stack, everywhere, sign, how):
    shape, truth = plug((47, 55), (11, 8))
    v = (sign * 30 * shape).astype(np.float32)
    stack = make_stack(differences(v), 0.3, smoothing=SMOOTHING)
    for zero in (0, 25, -70):
        (body,) = measure([how(truth)], stack, v + np.float32(zero), everywhere)
        assert body.velocity == pytest.approx(sign * 30, rel=1e-3)
        assert body.directions == ("north", "east")
        top, left = body.corner
        if how is drawn:
            np.testing.assert_array_equal(truth[top:, left:][: body.mask.shape[0], : body.mask.shape[1]], body.mask)
        else:
            assert body.mask.all()
            assert (top, left, *body.mask.shape) == (36 + 1, 47 + 1, 21, 15)


def test_agrees_with_the_rules_on_what_the_rules_outline(make_stack, everywhere):
    rng = np.random.default_rng(0)
    noise = ndimage.uniform_filter(rng.standard_normal(SHAPE), SMOOTHING)
    v = 40 * plug((30, 30), (9, 9))[0] - 25 * plug((70, 75), (8, 14))[0] + noise
    stack = make_stack(differences(v), 0.3, smoothing=SMOOTHING)
    velocity = relative_velocity(stack, reach=50)
    found = find_bodies(stack, velocity, everywhere, Rules())
    assert len(found) == 2
    predictions = []
    for body in found:
        (top, left), (height, width) = body.corner, body.mask.shape
        predictions.append(Prediction((left, top, left + width, top + height), 0.9, body.mask))
    for body, again in zip(found, measure(predictions, stack, velocity, everywhere), strict=True):
        np.testing.assert_array_equal(again.mask, body.mask)
        assert again.corner == body.corner
        assert again.velocity_sigma == body.velocity_sigma
        assert again.velocity == pytest.approx(body.velocity, abs=body.velocity_sigma)
        assert again.significance == pytest.approx(body.significance, rel=0.3)
        assert set(again.directions) == set(body.directions)


def test_a_lone_flank_counts_half(make_stack, everywhere):
    v = (30 * plug((50, 55), (10, 10))[0]).astype(np.float32)
    truth = plug((50, 55), (10, 10))[1]
    both = make_stack(differences(v), 0.3, smoothing=SMOOTHING)
    sigma = np.full((2, *SHAPE), 0.3)
    sigma[0, :50] = sigma[1] = 1e4
    one = make_stack(differences(v), sigma, smoothing=SMOOTHING)
    (pair,) = measure([drawn(truth)], both, v, everywhere)
    (lone,) = measure([drawn(truth)], one, v, everywhere)
    assert lone.significance == pytest.approx(pair.significance / 2, rel=0.05)
    assert lone.directions == ("north",)
    assert lone.velocity == pair.velocity


def test_only_nodes_to_look_at_are_measured(make_stack, everywhere):
    v = (30 * plug((50, 55), (10, 10))[0]).astype(np.float32)
    truth = plug((50, 55), (10, 10))[1]
    v[52, 57] = 500
    stack = make_stack(differences(v), 0.3, smoothing=SMOOTHING)
    everywhere[52, 57] = False
    (body,) = measure([drawn(truth)], stack, v, everywhere)
    assert body.velocity == pytest.approx(30, rel=1e-3)
    v[52, 57] = np.nan
    everywhere[:] = True
    (body,) = measure([drawn(truth)], stack, v, everywhere)
    assert body.velocity == pytest.approx(30, rel=1e-3)
    hole = everywhere & ~truth
    assert measure([drawn(truth)], stack, v, hole) == [None]


def test_what_lies_outside_the_map_is_cut_off(make_stack, everywhere):
    v = (30 * plug((3, 106), (10, 10))[0]).astype(np.float32)
    stack = make_stack(differences(v), 0.3, smoothing=SMOOTHING)
    boxes = [
        (98.4, -6.7, 117.0, 12.2), (-30.0, 40.0, -10.0, 60.0), (20.0, 100.0, 30.0, 120.0), (50.2, 50.2, 50.4, 50.4),
    ]  # fmt: skip
    body, left, below, small = measure([Prediction(b, 0.5) for b in boxes], stack, v, everywhere)
    assert (body.corner, body.mask.shape) == ((0, 98), (12, 12))
    assert body.velocity == pytest.approx(30, rel=1e-3)
    assert left is None
    assert below is None
    assert (small.corner, small.mask.shape) == ((50, 50), (1, 1))


def test_maps_of_another_shape_are_refused(make_stack, everywhere):
    stack = make_stack(differences(np.zeros(SHAPE)), 0.3, smoothing=SMOOTHING)
    with pytest.raises(ValueError, match="velocity must have shape"):
        measure([], stack, np.zeros((3, 4), np.float32), everywhere)
    with pytest.raises(ValueError, match="valid must have shape"):
        measure([], stack, np.zeros(SHAPE, np.float32), everywhere[1:])
