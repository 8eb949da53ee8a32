"""Windows cut from interferograms: what lies in them, how they are turned, and which places are taken."""

import numpy as np
import pytest

from groundshift.training.fringes.config import CutConfig
from groundshift.training.fringes.cutting import FringeImage, cut_candidate, cut_other, cut_window, has_places

SIDE = 400
SLIDE = (slice(280, 300), slice(90, 130))


def image(cut=None, slope=True, labels=None):
    """A phase that tells the place: rows in the phase, columns in the coherence."""
    y, x = np.mgrid[:SIDE, :SIDE]
    igram = ((0.1 + 0.8 * x / SIDE) * np.exp(1j * (6 * y / SIDE - 3))).astype(np.complex64)
    if labels is None:
        labels = np.zeros((SIDE, SIDE), np.int16)
        labels[SLIDE] = 1
    steep = np.where(x < 100, 25, 5).astype(np.float32) if slope else None
    return FringeImage(igram, labels, steep, "kii", cut or CutConfig())


def place_of(sample):
    """Rows and columns that the pixels of a window come from, NaN beyond the image."""
    known = sample.coherence > 0
    y = np.where(known, (sample.wrapped + 3) * SIDE / 6, np.nan)
    return y, np.where(known, (sample.coherence - 0.1) * SIDE / 0.8, np.nan)


def test_a_window_is_that_around_its_middle():
    y, x = place_of(cut_window(image(), 200, 210, None, positive=False))
    np.testing.assert_allclose(y[:, 0], np.arange(125, 275), atol=0.01)
    np.testing.assert_allclose(x[0], np.arange(135, 285), atol=0.01)


def test_turning_keeps_the_middle_and_all_distances():
    away = np.hypot(*np.meshgrid(np.arange(-75, 75), np.arange(-75, 75)))
    for seed in range(6):
        y, x = place_of(cut_window(image(), 200, 210, np.random.default_rng(seed), positive=False))
        assert (round(float(y[75, 75])), round(float(x[75, 75]))) == (200, 210)
        assert np.abs(np.hypot(y - 200, x - 210) - away).max() < 0.8


def test_turns_and_mirrors_are_all_drawn():
    found = set()
    for seed in range(60):
        y, x = place_of(cut_window(image(), 200, 210, np.random.default_rng(seed), positive=False))
        down, right = (y[149, 75] - 200, x[149, 75] - 210), (y[75, 149] - 200, x[75, 149] - 210)
        found.add((bool(down[0] * right[1] - down[1] * right[0] > 0), int(np.degrees(np.arctan2(*down)) // 90) % 4))
    assert len(found) == 8


def test_beyond_the_image_there_are_no_data():
    sample = cut_window(image(), 10, 200, None, positive=False)
    assert (sample.coherence[:65] == 0).all()
    assert (sample.wrapped[:65] == 0).all()
    assert (sample.coherence[65:] > 0).all()


def test_candidates_lie_within_ten_pixels_of_the_middle():
    shifts = []
    for seed in range(80):
        sample = cut_candidate(image(), np.random.default_rng(seed))
        assert sample.positive
        y, x = place_of(sample)
        shifts.append((round(float(y[75, 75])) - 289, round(float(x[75, 75])) - 109))
    assert np.abs(shifts).max() <= 11
    assert np.abs(shifts).max(0).min() >= 9


def test_middle_of_a_bent_candidate_lies_on_it():
    labels = np.zeros((SIDE, SIDE), np.int16)
    labels[100:160, 100:110] = labels[150:160, 100:200] = 1
    labels[300:320, 300:320] = 2
    middles = image(labels=labels).middles
    assert [labels[tuple(m)] for m in middles] == [1, 2]


def test_other_windows_hold_no_candidate_but_those_beside_one():
    for share, beside in ((0.0, False), (1.0, True)):
        taken = image(CutConfig(near_share=share))
        for seed in range(30):
            sample = cut_other(taken, np.random.default_rng(seed))
            y, x = place_of(sample)
            row, column = y[75, 75], x[75, 75]
            near = max(abs(row - 289.5) - 10, abs(column - 109.5) - 20)
            assert not sample.positive
            assert (near <= 76) if beside else (near >= 74)
            if beside:
                outside = np.hypot(max(abs(row - 289.5) - 9.5, 0), max(abs(column - 109.5) - 19.5, 0))
                assert outside >= 39.5


def test_slopes_and_flats_are_alike():
    taken = image(CutConfig(near_share=0, least_data=0.3))
    steep = [place_of(cut_other(taken, np.random.default_rng(seed)))[1][75, 75] < 99.5 for seed in range(200)]
    # A quarter of the ground is steep; 100 +- 7 of 200 draws are expected.
    assert 70 <= sum(steep) <= 130


def test_unclear_ground_is_neither():
    labels = np.full((SIDE, SIDE), -1, np.int16)
    taken = image(labels=labels)
    assert len(taken.middles) == 0
    assert not has_places(taken)
    assert cut_other(taken, np.random.default_rng(0)) is None


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_windows_want_data(share):
    taken = image(CutConfig(least_data=share, near_share=0), slope=False, labels=np.zeros((SIDE, SIDE), np.int16))
    for seed in range(20):
        y, _ = place_of(cut_window(taken, *divmod(int(taken.others[0][0][seed * 37]), SIDE), None, positive=False))
        assert np.isfinite(y).mean() >= share - 0.01
