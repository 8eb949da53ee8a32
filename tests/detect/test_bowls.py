"""Bowls are read from maps as they are: outlines, peaks, signs; and what touches is parted at its saddles."""

import numpy as np
import pytest

from groundshift.detect.bowls import find_bowls
from groundshift.types import Window

SHAPE = (90, 110)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
KNOWN = np.ones(SHAPE, bool)


def bump(centre, sigma, peak):
    return peak * np.exp(-((Y - centre[0]) ** 2 + (X - centre[1]) ** 2) / (2 * sigma**2))


def sure(phase):
    """A detector that is always right: the footprint is what is deeper than pi / 3."""
    return (np.abs(phase) > np.pi / 3).astype(np.float32)


def drawn(bowls):
    out = np.zeros(SHAPE, int)
    for bowl in bowls:
        out[bowl.window.rows, bowl.window.columns] += bowl.mask
    return out


def test_bowl_has_the_outline_the_peak_and_the_place_it_was_drawn_with():
    phase = bump((40, 50), 8.0, 15.0)
    (bowl,) = find_bowls(sure(phase), phase, KNOWN)
    np.testing.assert_array_equal(drawn([bowl]), phase > np.pi / 3)
    radius = 8 * np.sqrt(2 * np.log(15 * 3 / np.pi))
    side = 2 * int(radius) + 1
    assert bowl.window == Window(40 - side // 2, 50 - side // 2, side, side)
    # The ring of ground lies where a rest of the bowl, less than the edge of its footprint, is left.
    assert 15 - np.pi / 3 < bowl.peak <= 15
    assert bowl.score == 1


def test_score_is_the_95th_percentile_inside():
    probability = np.zeros(SHAPE)
    probability[20:30, 30:40] = np.linspace(0.5, 0.9, 100).reshape(10, 10)
    (bowl,) = find_bowls(probability, bump((25, 35), 5, 6), KNOWN)
    assert bowl.score == pytest.approx(0.5 + 0.4 * 0.95)


def test_the_ground_is_a_ring_beyond_the_flank_of_the_bowl():
    away = np.maximum(np.abs(Y - 45), np.abs(X - 55))
    phase = np.select([away < 10, away < 14, away < 17], [9.0, 3.0, 1.0], 5.0)
    (bowl,) = find_bowls(phase == 9, phase, KNOWN)  # 19 x 19 pixels: the ring is the fifth and sixth pixel from there.
    assert bowl.peak == 8


@pytest.mark.parametrize("constant", [-1e3, 0.7, 50.0])
def test_constant_added_to_the_phase_changes_nothing(constant):
    phase = bump((30, 30), 7, 9) + bump((30, 64), 9, -14) + bump((60, 90), 5, 4)
    before, after = (find_bowls(sure(phase), phase + c, KNOWN) for c in (0, constant))
    assert len(before) == 3
    for one, other in zip(before, after, strict=True):
        assert one.window == other.window
        np.testing.assert_array_equal(one.mask, other.mask)
        assert other.peak == pytest.approx(one.peak, abs=1e-9)


def test_turning_the_sign_of_the_phase_turns_the_peaks_alone():
    phase = bump((30, 30), 7, 9) + bump((60, 80), 9, -14)
    before, after = (find_bowls(sure(phase), sign * phase, KNOWN) for sign in (1, -1))
    assert [np.sign(bowl.peak) for bowl in before] != [np.sign(bowl.peak) for bowl in after]
    for one, other in zip(before, after, strict=True):
        assert (one.window, one.peak) == (other.window, pytest.approx(-other.peak))


@pytest.mark.parametrize(("apart", "number"), [(3.0, 1), (3.4, 1), (3.9, 2), (4.5, 2)])
def test_like_bowls_are_two_from_3_6_standard_deviations_apart(apart, number):
    phase = bump((45, 55 - 4 * apart), 8, 60) + bump((45, 55 + 4 * apart), 8, 60)
    found = find_bowls(sure(phase), phase, KNOWN)
    assert len(found) == number
    np.testing.assert_array_equal(drawn(found), phase > np.pi / 3)  # Each pixel is in one bowl, none is lost.


@pytest.mark.parametrize(
    ("lower", "saddle", "number"),
    [
        (np.pi / 2 - 0.01, 0.0, 1),
        (np.pi / 2 + 0.01, 0.0, 2),
        (5.0, 1.36, 2),
        (5.0, 1.38, 1),
        (20.0, 7.3, 2),
        (20, 7.5, 1),
    ],
)
def test_a_peak_stands_out_by_six_tenths_and_by_half_a_pi(lower, saddle, number):
    phase = np.zeros(SHAPE)
    phase[30:50, 30:40], phase[30:50, 40:45], phase[30:50, 45:55] = 30, saddle, lower
    probability = np.zeros(SHAPE)
    probability[30:50, 30:55] = 1
    assert len(find_bowls(probability, phase, KNOWN)) == number


def test_a_valley_of_probability_parts_two_bowls_as_one_of_the_phase_does():
    phase = bump((45, 55), 20, 12)
    probability = np.where((np.abs(Y - 45) < 15) & (np.abs(X - 55) < 30), 1.0, 0.0)
    assert len(find_bowls(probability, phase, KNOWN)) == 1
    probability[np.abs(X - 55) < 6] *= 0.2
    assert len(find_bowls(probability, phase, KNOWN, least_probability=0.1)) == 2


def test_sinking_and_rising_ground_that_touch_are_parted():
    phase = bump((45, 45), 7, 12) + bump((45, 63), 7, -12)
    probability = ((phase != 0) & (np.hypot(Y - 45, X - 54) < 25)).astype(float)
    found = find_bowls(probability, phase, KNOWN)
    assert sorted(np.sign(bowl.peak) for bowl in found) == [-1, 1]
    np.testing.assert_array_equal(drawn(found), probability)
    middle = next(bowl for bowl in found if bowl.peak > 0)
    assert middle.window.x + middle.window.width == 54  # Where the two are as far away as each other.


def test_holes_belong_to_a_bowl_whether_they_are_unlikely_or_not_known():
    phase = bump((40, 50), 8, 15)
    probability, known, dark = sure(phase), KNOWN.copy(), phase.copy()
    probability[38:41, 52:55] = 0
    known[42:45, 44:47] = False
    dark[35, 50] = np.nan
    whole, holed = (find_bowls(*maps)[0] for maps in ((sure(phase), phase, KNOWN), (probability, dark, known)))
    assert whole.window == holed.window
    np.testing.assert_array_equal(whole.mask, holed.mask)
    assert holed.peak == pytest.approx(whole.peak, abs=1e-9)


def test_what_is_not_known_belongs_to_no_bowl_at_its_edge():
    phase = bump((40, 50), 8, 15)
    known = X < 50
    (bowl,) = find_bowls(sure(phase), phase, known)
    np.testing.assert_array_equal(drawn([bowl]), (phase > np.pi / 3) & known)


def test_bowls_smaller_than_the_least_are_left_out():
    probability = np.zeros(SHAPE)
    probability[10:15, 10:15] = 0.9
    probability[30:34, 30:36] = 0.9
    phase = probability * 5
    assert [bowl.window for bowl in find_bowls(probability, phase, KNOWN)] == [Window(10, 10, 5, 5)]
    assert len(find_bowls(probability, phase, KNOWN, least_pixels=24)) == 2


def test_bowls_that_are_less_sure_than_the_least_are_left_out():
    probability = np.zeros(SHAPE)
    probability[10:15, 10:15] = 0.7
    probability[30:36, 30:36] = 0.9
    found = {least: find_bowls(probability, probability * 5, KNOWN, least_score=least) for least in (0, 0.7, 0.8, 0.95)}
    assert [len(bowls) for bowls in found.values()] == [2, 2, 1, 0]
    assert found[0.8][0].window == Window(30, 30, 6, 6)


def test_pixels_that_touch_at_a_corner_are_connected():
    probability = np.zeros(SHAPE)
    probability[10:15, 10:15] = probability[15:20, 15:20] = 0.9
    (bowl,) = find_bowls(probability, probability * 5, KNOWN)
    assert (bowl.window, int(bowl.mask.sum())) == (Window(10, 10, 10, 10), 50)


def test_parting_loses_no_pixel_that_hangs_on_by_a_corner():
    phase = np.zeros(SHAPE)
    phase[30:50, 30:40], phase[30:50, 40:45], phase[30:50, 45:55], phase[50:52, 55:57] = 30, 1, 20, 2
    found = find_bowls(phase > 0, phase, KNOWN)
    assert len(found) == 2
    np.testing.assert_array_equal(drawn(found), phase > 0)


def test_the_most_likely_bowl_comes_first_whatever_its_place():
    probability = np.zeros(SHAPE)
    for k, p in enumerate((0.6, 0.9, 0.7)):
        probability[10:20, 10 + 30 * k : 20 + 30 * k] = p
    assert [round(bowl.score, 6) for bowl in find_bowls(probability, 5 * probability, KNOWN)] == [0.9, 0.7, 0.6]


def test_a_bowl_cut_by_the_edge_of_the_image_is_found_as_far_as_it_is_seen():
    phase = bump((0, 109), 8, 15)
    (bowl,) = find_bowls(sure(phase), phase, KNOWN)
    assert bowl.window.y == 0
    assert bowl.window.x + bowl.window.width == 110
    assert bowl.peak == pytest.approx(15, abs=0.6)


def test_an_image_that_is_all_bowl_has_the_phase_against_its_own_median():
    phase = bump((45, 55), 9, 15)
    (bowl,) = find_bowls(np.ones(SHAPE), phase + 3, KNOWN)
    assert bowl.window == Window(0, 0, *SHAPE)
    assert bowl.peak == pytest.approx(15 - np.median(phase))


def test_nothing_likely_and_nothing_known_give_no_bowls():
    phase = bump((40, 50), 8, 15)
    assert find_bowls(np.zeros(SHAPE), phase, KNOWN) == []
    assert find_bowls(sure(phase), phase, ~KNOWN) == []
    assert find_bowls(np.full(SHAPE, np.nan), phase, KNOWN) == []


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"phase must have shape \(90, 110\)"):
        find_bowls(np.zeros(SHAPE), np.zeros((3, 3)), KNOWN)
    with pytest.raises(ValueError, match=r"known must have shape \(90, 110\)"):
        find_bowls(np.zeros(SHAPE), np.zeros(SHAPE), np.ones((3, 3), bool))
