"""The local reference: where it lies, what it is not, and what its choice costs."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from groundshift.timeseries import check_reference, choose_references, reference_sensitivity, reference_series

SHAPE = (120, 100)
SPACING = (10.0, 20.0)
INSIDE = np.zeros(SHAPE, bool)
INSIDE[50:70, 45:55] = True
"""A box of 200 m by 200 m: the ring lies 100 to 300 m outside it."""


def coherence(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.4, 0.9, SHAPE)


def box_distance(pixels: np.ndarray) -> np.ndarray:
    dy = np.maximum(np.maximum(50 - pixels[:, 0], pixels[:, 0] - 69), 0) * 10.0
    dx = np.maximum(np.maximum(45 - pixels[:, 1], pixels[:, 1] - 54), 0) * 20.0
    return np.maximum(dy, dx)


def test_reference_is_the_most_coherent_ground_of_the_ring():
    quality = coherence()
    found = choose_references(quality, INSIDE, SPACING)
    distance = box_distance(found.pixels)
    assert distance.min() >= 100
    assert distance.max() <= 300
    assert len(found.pixels) == round(0.05 * found.ring.sum())
    assert quality[tuple(found.pixels.T)].min() >= np.quantile(quality[found.ring], 0.949)
    assert found.weights.sum() == pytest.approx(1)
    assert (found.relaxed, found.reason) == ((), "")
    assert found.weights[0] == found.weights.max()


def test_candidates_lie_on_all_sides():
    found = choose_references(coherence(), INSIDE, SPACING)
    assert len(found.candidates) == 5
    centres = np.array([c.mean(axis=0) for c in found.candidates]) - (59.5, 49.5)
    angle = np.sort(np.degrees(np.arctan2(centres[:, 0] * SPACING[0], centres[:, 1] * SPACING[1])))
    assert np.diff(angle, append=angle[0] + 360).max() < 144
    for spot in found.candidates:
        assert found.ring[tuple(spot.T)].all()
        assert np.ptp(spot, axis=0).max() <= 2


@pytest.mark.parametrize(
    ("name", "bad"), [("height", 2200.0), ("gradient", -6.0), ("slope", 40.0)], ids=["height", "gradient", "slope"]
)
def test_ground_that_may_move_or_lies_elsewhere_is_left_out(name, bad):
    field = np.full(SHAPE, 1000.0 if name == "height" else 1.0)
    field[:, :45] = bad
    field[90:, 45:] = np.nan
    found = choose_references(coherence(), INSIDE, SPACING, **{name: field})
    assert found.relaxed == ()
    assert (found.pixels[:, 1] >= 45).all()
    assert found.ring[90:, 45:].any()


def test_other_targets_and_the_target_itself_are_left_out():
    others = np.zeros(SHAPE, bool)
    others[:, 60:] = True
    found = choose_references(coherence(), INSIDE, SPACING, others=others)
    assert not found.ring[INSIDE | others].any()
    assert found.ring.any()


def test_limits_are_relaxed_in_order_and_said():
    steep = np.full(SHAPE, 35.0)
    assert choose_references(coherence(), INSIDE, SPACING, slope=steep).relaxed == ("steeper ground",)
    near = np.zeros(SHAPE)
    near[45:75, 41:59] = 0.8
    wider = choose_references(near, INSIDE, SPACING, slope=steep)
    assert wider.relaxed == ("steeper ground", "0.25 to 2.5 box sizes away")
    high = np.full(SHAPE, 1250.0)
    high[INSIDE] = 1000.0
    assert choose_references(coherence(), INSIDE, SPACING, height=high).relaxed[-1] == "300 m above or below"
    assert choose_references(coherence(), INSIDE, SPACING, height=high + 500.0 * ~INSIDE).relaxed[-1] == "any height"


@pytest.mark.parametrize(
    "given_", [{"gradient": np.full(SHAPE, 3.0)}, {"others": ~INSIDE}], ids=["all moves", "targets all round"]
)
def test_without_stable_ground_there_is_a_reason(given_):
    found = choose_references(coherence(), INSIDE, SPACING, **given_)
    assert found.reason == "no stable ground: 0 quiet, coherent pixels within 2.5 box sizes, 25 wanted"
    assert found.pixels.shape == (0, 2)
    assert found.candidates == ()


def test_a_target_at_the_edge_takes_what_there_is():
    inside = np.zeros(SHAPE, bool)
    inside[:20, :10] = True
    found = choose_references(coherence(), inside, SPACING)
    assert found.reason == ""
    assert len(found.candidates) == 5


@given(
    arrays(np.float64, (2, 3, 3), elements=st.one_of(st.just(np.nan), st.integers(-9, 9).map(float))),
    arrays(np.int64, 9, elements=st.integers(0, 3)),
)
def test_weighted_median_is_the_median_of_repeated_pixels(values, weights):
    pixels = np.argwhere(np.ones((3, 3)))
    found = reference_series(values, pixels, weights.astype(float))
    for layer, one in zip(values, found, strict=True):
        repeated = np.repeat(layer.ravel(), weights)
        repeated = repeated[np.isfinite(repeated)]
        np.testing.assert_equal(one, np.median(repeated) if repeated.size else np.nan)


def still_scene(seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.002, (30, *SHAPE)) + rng.normal(0, 0.01, (30, 1, 1))


def test_what_scatters_or_drifts_is_dropped_from_the_reference():
    reference = choose_references(coherence(), INSIDE, SPACING)
    scene = still_scene()
    drifting, noisy = reference.candidates[1], reference.pixels[[0, 3]]
    scene[:, drifting[:, 0], drifting[:, 1]] += 0.02 * np.linspace(0, 1, 30)[:, None]
    scene[:, noisy[:, 0], noisy[:, 1]] += np.random.default_rng(2).normal(0, 0.02, (30, 2))
    checked = check_reference(scene, reference)
    assert len(checked.candidates) == 4
    assert not any(np.array_equal(c, drifting) for c in checked.candidates)
    kept = {tuple(p) for p in checked.pixels}
    assert not kept & {tuple(p) for p in noisy}
    assert len(checked.dropped) == 2
    assert checked.weights.sum() == pytest.approx(1)


def test_motion_that_all_ground_has_in_common_drops_nothing():
    reference = choose_references(coherence(), INSIDE, SPACING)
    checked = check_reference(still_scene() + np.linspace(0, 1, 30)[:, None, None], reference)
    np.testing.assert_array_equal(checked.pixels, reference.pixels)
    assert checked.dropped == ()


def test_a_reference_that_moves_as_a_whole_is_refused():
    reference = choose_references(coherence(), INSIDE, SPACING)
    scene = still_scene()
    scene[:, reference.pixels[:, 0], reference.pixels[:, 1]] += np.linspace(0, 0.1, 30)[:, None]
    checked = check_reference(scene, reference)
    assert checked.reason.startswith("no stable ground: ")
    assert len(checked.pixels) == 0


def test_sensitivity_is_the_motion_of_the_candidates():
    dates = np.datetime64("2019-01-01") + 12 * np.arange(30)
    years = 12 * np.arange(30) / 365.25
    reference = choose_references(coherence(), INSIDE, SPACING)
    scene = np.zeros((30, *SHAPE))
    speeds = np.array([0.001, -0.002, 0.0, 0.003, 0.0005])
    for spot, speed in zip(reference.candidates, speeds, strict=True):
        scene[:, spot[:, 0], spot[:, 1]] = speed * years[:, None]
    found = reference_sensitivity(dates, -0.02 * years, scene, reference)
    np.testing.assert_allclose(found.rates, -0.02 - speeds, atol=1e-8)
    assert found.spread == pytest.approx(np.std(speeds, ddof=1), rel=1e-4)
    assert found.largest == pytest.approx(0.003, rel=1e-4)
    nothing = reference_sensitivity(dates, -0.02 * years, scene, reference._replace(candidates=()))
    assert np.isnan([nothing.spread, nothing.largest]).all()


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"^height must have shape \(120, 100\), instead got \(2, 2\)$"):
        choose_references(coherence(), INSIDE, SPACING, height=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"^inside must contain a pixel of the target, instead it is empty$"):
        choose_references(coherence(), ~INSIDE & INSIDE, SPACING)
