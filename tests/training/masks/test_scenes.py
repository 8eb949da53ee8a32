"""Simulated scenes to learn masking from: what is decorrelated, what is seen of it, how bright the cover is."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.simulate.batched.ground import make_ground  # noqa: E402
from groundshift.simulate.batched.types import Network  # noqa: E402
from groundshift.training.masks.config import MaskSceneConfig  # noqa: E402
from groundshift.training.masks.scenes import backscatter, draw_scenes, usable_ground  # noqa: E402
from groundshift.types import Pair  # noqa: E402

torch.set_num_threads(1)

CONFIG = MaskSceneConfig(shape=(64, 64), scenes=3, pairs_seen=2)


@pytest.fixture(scope="module")
def level():
    """Ground of one flat scene, on which everything is of its own square."""
    days = (date(2020, 1, 1), date(2020, 1, 13))
    network = Network(days, (0.0, 10.0), (Pair(*days),), 0.0555)
    config = MaskSceneConfig(shape=(64, 64), scenes=1, radar_share=0)
    ground = make_ground(config, network, 0, pixel_m=40.0, device=torch.device("cpu"))
    fixed = torch.full((1, 64, 64), torch.nan)
    fixed[:, :16, :16], fixed[:, :16, 16:32], fixed[:, :16, 32:48] = 0.02, 0.9, 0.3
    nothing = torch.zeros(1, 64, 64)
    blind, forest = nothing.bool(), nothing.clone()
    blind[:, 32:48, :16] = True
    forest[:, 32:48, 16:32] = 1
    return replace(ground, heights=nothing, forest=forest, blind=blind, fixed_coherence=fixed)


@pytest.mark.parametrize("seed", range(4))
def test_covers_are_as_bright_as_they_are_said_to_be(level, seed):
    found = backscatter(level, 0, np.random.default_rng(seed))
    water, town, ice = found[:16, :16], found[:16, 16:32], found[:16, 32:48]
    shadow, forest = found[32:48, :16], found[32:48, 16:32]
    assert (found[48:] == 0).all()
    for values, low, high in ((water, -20, -8), (town, 6, 12), (ice, -4, 0), (shadow, -20, -12), (forest, 0, 3)):
        assert np.ptp(values) == 0
        assert low <= values[0, 0] <= high


def test_slopes_that_face_the_radar_are_bright_and_shadow_lies_behind(level):
    look = level.look[0]
    east, north, _ = look.to_satellite
    y, x = np.mgrid[:64, :64]
    # A ridge across the line of sight; rows run south.
    towards = ((x - 32) * east - (y - 32) * north) / np.hypot(east, north)
    heights = torch.tensor(np.maximum(0, 600 - 25 * np.abs(towards)), dtype=torch.float32)[None]
    ridge = replace(level, heights=heights, blind=torch.ones(1, 64, 64, dtype=torch.bool))
    inner = (slice(24, 40), slice(24, 40))
    found = backscatter(ridge, 0, np.random.default_rng(0))[inner]
    facing, behind = found[towards[inner] > 4], found[towards[inner] < -4]
    assert facing.min() > 3
    assert behind.max() <= -12


def test_ground_is_usable_from_two_tenths_where_the_satellite_sees():
    coherence = torch.tensor([0.0, 0.19, 0.2, 0.9, 0.9])
    blind = torch.tensor([False, False, False, False, True])
    assert usable_ground(coherence, blind).tolist() == [False, False, True, True, False]


def test_truth_follows_from_the_true_coherence():
    scenes = draw_scenes(CONFIG, 5)
    assert len(scenes) == 6
    for scene in scenes:
        assert scene.igram.shape == scene.amplitude.shape == scene.usable.shape == (64, 64)
        assert not scene.usable[scene.coherence < 0.2].any()
        size = np.abs(scene.igram)
        assert ((size > 0) & (size <= 1.0001)).all()
        assert (scene.amplitude > 0).all()


def test_few_looks_make_decorrelated_ground_look_coherent():
    means = []
    for looks in (4.0, 16.0):
        seen = [
            np.abs(s.igram)[s.coherence < 0.1]
            for seed in range(4)
            for s in draw_scenes(CONFIG.model_copy(update={"looks": (looks, looks)}), seed)
        ]
        means.append(float(np.concatenate(seen).mean()))
    # Of pure noise, sqrt(pi / 4 L) for one pixel, and less the larger the window of the estimate.
    assert means[0] == pytest.approx(2 * means[1], rel=0.25)
    assert 0.1 < means[0] < np.sqrt(np.pi / 16)


def test_a_seed_is_a_batch():
    one, again, other = (draw_scenes(CONFIG, seed) for seed in (2, 2, 3))
    for a, b, c in zip(one, again, other, strict=True):
        assert np.array_equal(a.igram, b.igram)
        assert np.array_equal(a.amplitude, b.amplitude)
        assert not np.array_equal(a.igram, c.igram)
