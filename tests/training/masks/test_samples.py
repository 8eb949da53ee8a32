"""Samples to learn masking from: how they are spoiled and varied, and the order in which they come."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.io.estimate import phase_consistency  # noqa: E402
from groundshift.training.masks.config import MaskSceneConfig, MaskSpoilConfig  # noqa: E402
from groundshift.training.masks.samples import MaskSample, MaskSupply, cropped, simulated_samples, varied  # noqa: E402
from groundshift.training.masks.scenes import draw_scenes  # noqa: E402

torch.set_num_threads(1)

CONFIG = MaskSceneConfig(shape=(64, 64), scenes=2, pairs_seen=2)
CLEAN = MaskSpoilConfig(no_amplitude=0, no_coherence=0, filtered=0, biased=0, holes=0, gaps=0)


def spoiled(seed=1, **changes):
    return simulated_samples(CONFIG, CLEAN.model_copy(update=changes), seed)


def sample(shape=(48, 48), name="lake"):
    """A sample whose planes all follow from its coherence."""
    rng = np.random.default_rng(0)
    coherence = rng.uniform(0.1, 0.9, shape).astype(np.float32)
    coherence[:5] = 0
    known = coherence > 0
    told = rng.random(shape) < 0.8
    return MaskSample(
        np.where(known, 2 * coherence, 0).astype(np.float32), coherence,
        np.where(known, 0.2 + coherence / 2, 0).astype(np.float32), (coherence > 0.5).astype(np.float32),
        told.astype(np.float32), name,
    )  # fmt: skip


# How they are spoiled


def test_clean_samples_are_the_scenes():
    scenes = {np.angle(s.igram).astype(np.float32).tobytes(): s for s in draw_scenes(CONFIG, 1)}
    samples = spoiled()
    assert len(samples) == len(scenes) == 4
    for one in samples:
        scene = scenes[one.wrapped.tobytes()]
        np.testing.assert_allclose(one.coherence, np.clip(np.abs(scene.igram), 0.01, 1), rtol=1e-6)
        assert np.array_equal(one.usable > 0, scene.usable)
        assert one.judged.all()
        assert (one.amplitude > 0).all()
        assert np.median(one.amplitude) == pytest.approx(0.5, abs=0.01)


def test_what_is_left_out_is_zero():
    assert not any(s.amplitude.any() for s in spoiled(no_amplitude=1))
    for one in spoiled(holes=1):
        assert not one.known.all()
        for plane in (one.wrapped, one.coherence, one.amplitude):
            assert not plane[~one.known].any()
        assert not one.judged[~one.known].any()


def test_coherence_that_is_missing_is_told_from_the_phase():
    for one in spoiled(no_coherence=1):
        assert np.array_equal(one.coherence, phase_consistency(one.wrapped, one.known))


def test_a_gap_between_bursts_is_noise_that_is_not_usable():
    whole = spoiled()
    for one in spoiled(gaps=1):
        # Outside of the strip the phase is that of the scene.
        strips = [w.wrapped != one.wrapped for w in whole if w.scene == one.scene]
        strip = min(strips, key=np.sum)
        assert 0 < strip.sum() <= 9 * 64
        assert not one.usable[strip].any()
        assert np.ptp(np.nonzero(strip.any(1))[0]) < 8 + 0.15 * 64 + 2


def test_a_filter_changes_the_phase_and_not_the_truth():
    plain, filtered = spoiled(), spoiled(filtered=1)
    truths = {s.usable.tobytes() for s in plain}
    assert {s.usable.tobytes() for s in filtered} == truths
    assert not {s.wrapped.tobytes() for s in plain} & {s.wrapped.tobytes() for s in filtered}


def test_coherence_with_a_floor_keeps_its_order_and_the_phase():
    plain = {s.wrapped.tobytes(): s for s in spoiled()}
    for one in spoiled(biased=1):
        before = next(s for s in plain.values() if np.allclose(np.exp(1j * (s.wrapped - one.wrapped)), 1, atol=1e-5))
        floor = np.sqrt((one.coherence**2 - before.coherence**2) / (1 - before.coherence**2 + 1e-12))
        sure = before.coherence < 0.9
        assert np.ptp(floor[sure]) < 1e-2
        assert 0.15 <= np.median(floor[sure]) <= 0.4
        assert np.array_equal(one.usable, before.usable)


# How they are varied


@pytest.mark.parametrize("seed", range(8))
def test_all_planes_turn_together(seed):
    one = sample()
    found = varied(one, np.random.default_rng(seed))
    assert sorted(found.usable[found.known]) == sorted(one.usable[one.known])
    known = found.known
    assert known.sum() == one.known.sum()
    gain = found.coherence[known].mean() / one.coherence[one.known].mean()
    assert 0.9 <= gain <= 1.1
    true = found.coherence[known] / gain
    np.testing.assert_array_equal(found.usable[known] > 0, true > 0.5)
    shift = found.amplitude[known] - (0.2 + true / 2)
    assert np.ptp(shift) < 1e-3
    assert abs(shift.mean()) <= 0.076
    # The phase is twice the coherence, or minus that, plus a constant.
    off = [np.exp(1j * (found.wrapped[known] - sign * 2 * true)) for sign in (1, -1)]
    assert max(abs(o.mean()) for o in off) == pytest.approx(1, abs=1e-3)
    for plane in (found.wrapped, found.coherence, found.amplitude):
        assert not plane[~known].any()


def test_amplitude_that_is_not_given_stays_so():
    one = sample()._replace(amplitude=np.zeros((48, 48), np.float32))
    assert not varied(one, np.random.default_rng(0)).amplitude.any()


# The order in which they come


def test_a_step_is_a_function_of_its_number_alone():
    supply = MaskSupply(CONFIG, MaskSpoilConfig(), 3, seed=4)
    late = [supply.tiles(k) for k in (3, 0)]
    again = pickle.loads(pickle.dumps(supply))
    for step, tiles in zip((3, 0), late, strict=True):
        for a, b in zip(again.tiles(step), tiles, strict=True):
            assert a.scene == b.scene
            assert np.array_equal(a.wrapped, b.wrapped)
            assert np.array_equal(a.usable, b.usable)
    assert supply.most_workers(5) == 1
    assert {s.scene.split("-")[0] for s in late[1]} == {"scene 5000000"}


def test_given_samples_come_once_in_an_epoch_and_lose_their_amplitude_at_times():
    given = [sample((40 + k, 48), f"s{k}") for k in range(8)]
    supply = MaskSupply(CONFIG, MaskSpoilConfig(no_amplitude=0.5), 4, 0, given)
    epochs = [[s for step in (2 * e, 2 * e + 1) for s in supply.tiles(step)] for e in range(3)]
    for epoch in epochs:
        assert sorted(s.scene for s in epoch) == [f"s{k}" for k in range(8)]
        assert all(s.wrapped.shape == (64, 64) for s in epoch)
    assert len({tuple(s.scene for s in epoch) for epoch in epochs}) > 1
    with_amplitude = [bool(s.amplitude.any()) for epoch in epochs for s in epoch]
    assert 0 < sum(with_amplitude) < 24
    assert supply.most_workers(5) == 5


def test_a_piece_of_a_small_sample_has_no_data_beyond_it():
    found = cropped(sample((40, 70)), (64, 64), np.random.default_rng(0))
    assert found.wrapped.shape == (64, 64)
    assert not found.known[40:].any()
    assert not found.told[40:].any()
    assert found.known[5:40].all()
