"""Simulated interferograms like those of ALOS: what a candidate is, and what orbits and ionosphere add."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.simulate.fringe_config import FringeConfig  # noqa: E402
from groundshift.simulate.fringes import UNCLEAR, simulate_fringes  # noqa: E402

SMALL = FringeConfig(side=160, pairs=3, slides=(10, 10), ramp_rad=0, ionosphere_share=0)
SEEDS = range(4)


def varied(**changes):
    return SMALL.model_copy(update=changes)


@pytest.fixture(scope="module")
def scenes():
    return [simulate_fringes(SMALL, seed) for seed in SEEDS]


def test_same_seed_same_scene(scenes):
    again = simulate_fringes(SMALL, 0)
    np.testing.assert_array_equal(again.igrams, scenes[0].igrams)
    np.testing.assert_array_equal(again.labels, scenes[0].labels)
    assert again.pairs == scenes[0].pairs
    assert len(again.pairs) == 3
    assert again.igrams.dtype == np.complex64
    assert np.abs(again.igrams).max() <= 1 + 1e-6


def test_candidates_are_numbered_and_as_large_as_is_said(scenes):
    sizes = []
    for scene in scenes:
        for labels in scene.labels:
            numbers = np.unique(labels[labels > 0])
            np.testing.assert_array_equal(numbers, np.arange(1, len(numbers) + 1))
            sizes += [(labels == k).sum() * SMALL.pixel_m**2 / 1e6 for k in numbers]
    assert sizes
    assert min(sizes) >= SMALL.least_area_km2


def test_what_asks_more_of_candidates_only_makes_them_unclear(scenes):
    asks = varied(least_phase_rad=3.0)
    for seed, scene in zip(SEEDS, scenes, strict=True):
        strict = simulate_fringes(asks, seed)
        np.testing.assert_array_equal(strict.igrams, scene.igrams)
        np.testing.assert_array_equal(strict.labels != 0, scene.labels != 0)
        assert ((strict.labels > 0) <= (scene.labels > 0)).all()
        assert (strict.labels[(scene.labels > 0) & (strict.labels <= 0)] == UNCLEAR).all()


def test_orbits_add_a_plane_and_leave_coherence(scenes):
    ramped = simulate_fringes(varied(ramp_rad=3.0), 0)
    np.testing.assert_allclose(np.abs(ramped.igrams), np.abs(scenes[0].igrams), atol=1e-6)
    for new, old in zip(ramped.igrams, scenes[0].igrams, strict=True):
        known = old != 0
        # Second differences of a plane are nothing.
        phasor = np.where(known, new * old.conj(), 0)
        bend = phasor[2:] * phasor[:-2] * phasor[1:-1].conj() ** 2
        there = np.abs(bend) > 1e-6
        assert there.any()
        assert np.abs(np.angle(bend[there])).max() < 0.05
        tilt = np.angle((phasor[1:] * phasor[:-1].conj()).sum())
        assert abs(tilt) > 1e-4


def test_stripes_change_the_phase_and_leave_coherence(scenes):
    striped = simulate_fringes(varied(ionosphere_share=1.0, ionosphere_rad=(6.0, 6.0)), 0)
    np.testing.assert_allclose(np.abs(striped.igrams), np.abs(scenes[0].igrams), atol=1e-6)
    changed = [
        np.angle(new * old.conj())[old != 0].std() for new, old in zip(striped.igrams, scenes[0].igrams, strict=True)
    ]
    assert min(changed) > 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slides": (8, 3)}, r"slides must be \(low, high\) with 0 <= low <= high, instead got \(8, 3\)"),
        ({"longest_days": ()}, "longest_days must name one length at least"),
    ],
)
def test_ranges_that_are_none(changes, message):
    with pytest.raises(ValueError, match=message):
        FringeConfig(**changes)
