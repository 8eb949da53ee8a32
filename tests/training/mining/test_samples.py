"""Samples over mines: how they are spoiled, varied and put in order."""

import pickle

import numpy as np
import pytest

from groundshift.interferometry.filters import goldstein
from groundshift.io.estimate import phase_consistency

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.simulate.mining.config import MiningConfig  # noqa: E402
from groundshift.simulate.mining.scenes import draw_scenes  # noqa: E402
from groundshift.training.mining.config import SpoilConfig  # noqa: E402
from groundshift.training.mining.samples import (  # noqa: E402
    BowlSupply,
    cropped,
    simulated_samples,
    spoiled,
    turned,
)

SMALL = MiningConfig(shape=(32, 48), scenes=2, dates=3)
CLEAN = SpoilConfig(no_coherence=0, filtered=0, holes=0)
PLANES = ("wrapped", "coherence", "phase", "bowl", "footprint")


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in PLANES)


def off_cycle(sample):
    """How far the wrapped phase is from the true one, once whole cycles are taken out."""
    off = np.angle(np.exp(1j * (sample.wrapped.astype(np.float64) - sample.phase)))
    return np.abs(off[sample.known]).max()


# Simulated


def test_samples_are_all_pairs_of_the_scenes_of_a_seed():
    samples = simulated_samples(SMALL, CLEAN, 5)
    scenes = draw_scenes(SMALL, 5)
    expected = {}
    for first, second in ((0, 1), (0, 2), (1, 2)):
        pair = scenes.pair(first, second)
        for k in range(2):
            expected[pair.wrapped[k].numpy().tobytes()] = (pair, k)
    assert len(samples) == len(expected) == 6
    for sample in samples:
        pair, k = expected.pop(sample.wrapped.tobytes())
        for name in PLANES:
            np.testing.assert_array_equal(getattr(sample, name), getattr(pair, name)[k].numpy())
            assert getattr(sample, name).dtype == np.float32
        assert sample.scene == f"mine 5-{k}"
    assert expected == {}


def test_the_same_seed_gives_the_same_samples_and_another_one_others():
    one, again, other = (simulated_samples(SMALL, SpoilConfig(), seed) for seed in (1, 1, 2))
    assert all(same(a, b) for a, b in zip(one, again, strict=True))
    assert not any(same(a, b) for a, b in zip(one, other, strict=True))


CHANGES = {
    "shape": (48, 32), "scenes": 3, "dates": 2, "interval_days": 30, "bowls": (5, 6), "panel_share": 1,
    "uplift_share": 1, "peak_rad": (90, 99), "sigma_pixels": (1, 2), "distortion_pixels": (20, 30),
    "turbulence_rad": (5, 6), "ramp_rad": (20, 30), "terrain_rad": (5, 6), "coherence": (0.1, 0.2),
    "memory_days": (1, 2), "looks": (100, 200), "water_share": 1, "patch_share": 1, "no_coherence": 1, "filtered": 1,
    "holes": 1,
}  # fmt: skip


def test_every_setting_changes_the_samples():
    config = MiningConfig(shape=(32, 48), scenes=2, dates=3, bowls=(2, 4), water_share=0, patch_share=0)
    before = simulated_samples(config, CLEAN, 0)
    assert set(CHANGES) == {*MiningConfig.model_fields, *SpoilConfig.model_fields}
    for name, value in CHANGES.items():
        scenes, spoil = (
            type(part).model_validate(part.model_dump() | {name: value}) if name in type(part).model_fields else part
            for part in (config, CLEAN)
        )
        after = simulated_samples(scenes, spoil, 0)
        assert len(after) != len(before) or not all(same(a, b) for a, b in zip(after, before, strict=True)), name


# Spoiled


def test_without_a_coherence_it_is_told_from_the_phase(a_sample):
    sample = a_sample()
    found = spoiled(sample, SpoilConfig(no_coherence=1, filtered=0, holes=0), np.random.default_rng(0))
    np.testing.assert_array_equal(found.coherence, phase_consistency(sample.wrapped, sample.known))
    np.testing.assert_array_equal(found.known, sample.known)
    np.testing.assert_array_equal(found.wrapped, sample.wrapped)


def test_filtering_is_that_of_goldstein_and_changes_the_phase_alone(a_sample):
    sample = a_sample()
    noisy = sample._replace(
        wrapped=np.where(sample.known, sample.wrapped + np.random.default_rng(1).normal(0, 0.5, (40, 48)), 0).astype(
            np.float32
        )
    )
    rng = np.random.default_rng(0)
    found = spoiled(noisy, SpoilConfig(no_coherence=0, filtered=1, holes=0), rng)
    again = np.random.default_rng(0)
    again.random()
    igram = (noisy.coherence * np.exp(1j * noisy.wrapped)).astype(np.complex64)
    expected = np.angle(goldstein(igram, again.uniform(0.3, 1), 32))
    np.testing.assert_allclose(found.wrapped[sample.known], expected[sample.known], atol=1e-6)
    np.testing.assert_array_equal(found.coherence, noisy.coherence)
    assert np.abs(np.angle(np.exp(1j * (found.wrapped - sample.phase))))[sample.known].mean() < 0.35


def test_holes_take_data_and_nothing_else(a_sample):
    sample = a_sample()
    shares = []
    for seed in range(20):
        found = spoiled(sample, SpoilConfig(no_coherence=0, filtered=0, holes=1), np.random.default_rng(seed))
        assert not (found.known & ~sample.known).any()
        np.testing.assert_array_equal(found.wrapped, np.where(found.known, sample.wrapped, 0))
        np.testing.assert_array_equal(found.coherence, np.where(found.known, sample.coherence, 0))
        for name in ("phase", "bowl", "footprint"):
            assert getattr(found, name) is getattr(sample, name)
        shares.append(1 - found.known.sum() / sample.known.sum())
    assert 0 < np.mean(shares) < 1 / 3
    assert np.unique(shares).size > 10


def test_shares_are_those_of_the_settings(a_sample):
    sample = a_sample()
    rng = np.random.default_rng(3)
    spoil = SpoilConfig(no_coherence=0, filtered=0, holes=0.3)
    cut = sum(spoiled(sample, spoil, rng).known.sum() < sample.known.sum() for _ in range(400))
    # Binomial, with a standard deviation of 9; some holes lie where there were no data.
    assert 120 - 4 * 9 < cut < 120 + 4 * 9


# Varied


def test_turning_keeps_phase_and_truth_together(a_sample):
    sample = a_sample(shape=(40, 40))
    assert off_cycle(sample) < 1e-5
    turns = [turned(sample, np.random.default_rng(seed)) for seed in range(40)]
    constants = set()
    for found in turns:
        assert off_cycle(found) < 1e-5
        assert found.known.sum() == sample.known.sum()
        assert (found.wrapped[~found.known] == 0).all()
        np.testing.assert_array_equal(found.footprint > 0, np.abs(found.bowl) > np.abs(found.bowl).max() / 10)
        level = found.phase - found.bowl
        constants.add(round(float(np.median(level)), 3))
        assert abs(abs(level.max() - level.min()) - 0.05 * 39) < 1e-5
    assert len(constants) == 40
    # Both senses of the motion, and the corner without data in all four corners, along either way.
    assert {float(np.sign(t.bowl[t.footprint > 0].mean())) for t in turns} == {-1.0, 1.0}
    corners = {tuple(int(~t.known[r, c]) & 1 for r, c in ((0, 0), (0, -1), (-1, 0), (-1, -1))) for t in turns}
    assert len(corners) == 4
    assert {int((~t.known).any(1).sum()) for t in turns} == {4, 6}


def test_what_is_not_square_keeps_its_shape(a_sample):
    sample = a_sample()
    assert {turned(sample, np.random.default_rng(seed)).wrapped.shape for seed in range(12)} == {(40, 48)}


def test_truth_that_is_not_known_stays_so(a_sample):
    found = turned(a_sample(told=False), np.random.default_rng(0))
    assert np.isnan(found.phase).all()
    assert np.isnan(found.bowl).all()


def test_pieces_are_cut_anywhere_and_filled_up_without_data(a_sample):
    sample = a_sample(shape=(64, 48))
    corners = set()
    for seed in range(200):
        piece = cropped(sample, (32, 64), np.random.default_rng(seed))
        rows = [
            r for r in range(33) if np.array_equal(piece.phase[:, :48], sample.phase[r : r + 32])
        ]  # fmt: skip
        corners.add(rows[0])
        for name in PLANES:
            assert getattr(piece, name).shape == (32, 64)
            np.testing.assert_array_equal(getattr(piece, name)[:, :48], getattr(sample, name)[rows[0] : rows[0] + 32])
        assert not piece.known[:, 48:].any()
    assert {0, 32} < corners


# In order


@pytest.fixture
def supplies(a_sample):
    given = [a_sample(k) for k in range(5)]
    return {
        "simulated": BowlSupply(SMALL, SpoilConfig(), 4, 3),
        "given": BowlSupply(SMALL, SpoilConfig(), 4, 3, given),
    }


@pytest.mark.parametrize("kind", ["simulated", "given"])
def test_samples_are_a_function_of_their_position(supplies, kind):
    supply = supplies[kind]
    ahead = supply.tiles(3)
    first = [supply.tile(k) for k in range(16)]
    assert all(same(a, b) for a, b in zip(ahead, first[12:], strict=True))
    other = pickle.loads(pickle.dumps(supply))
    assert all(same(a, b) for a, b in zip(other.tiles(3), ahead, strict=True))
    assert all(s.wrapped.shape == (32, 48) for s in first)


def test_simulated_samples_all_come_once_and_scenes_never_again(supplies):
    scenes = [supplies["simulated"].tile(k).scene for k in range(18)]
    assert all(scenes[k : k + 6].count(name) == 3 for k in (0, 6, 12) for name in scenes[k : k + 6])
    assert len(set(scenes)) == 6


def test_given_samples_all_come_once_in_each_epoch_in_another_order_each_time(supplies):
    scenes = [supplies["given"].tile(k).scene for k in range(20)]
    epochs = [tuple(scenes[k : k + 5]) for k in range(0, 20, 5)]
    assert all(set(epoch) == {f"mine{k}" for k in range(5)} for epoch in epochs)
    assert len(set(epochs)) > 1


def test_another_seed_is_another_order(a_sample):
    runs = [BowlSupply(SMALL, SpoilConfig(), 4, seed, [a_sample(k) for k in range(5)]).tiles(0) for seed in (0, 1)]
    assert not all(same(a, b) for a, b in zip(*runs, strict=True))


def test_simulated_scenes_are_made_in_one_process_and_given_ones_in_as_many_as_wanted(supplies):
    assert [supplies["simulated"].most_workers(n) for n in (0, 1, 5)] == [0, 1, 1]
    assert [supplies["given"].most_workers(n) for n in (0, 1, 5)] == [0, 1, 5]
