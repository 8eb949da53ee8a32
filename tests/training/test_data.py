"""Which samples make up which batch."""

import multiprocessing
import os
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from groundshift.detect.planes import PLANES
from groundshift.errors import DamagedFileError
from groundshift.training import data
from groundshift.training.config import AugmentConfig
from groundshift.training.data import (
    EndlessSamples,
    JoinedSamples,
    StoredSamples,
    Supply,
    WorkerEndedError,
    prefetched,
    split_by_scene,
)
from groundshift.training.samples import IGNORED, Body, Sample, write_sample

PLAIN = AugmentConfig(tile=32, symmetry=False, mosaic=0, blend=0, dropout=0, coherence_gain=0)


def numbered(k):
    """A sample that tells its number."""
    planes = np.zeros((len(PLANES), 32, 32), np.float32)
    planes[PLANES.index("sigma_y")], planes[PLANES.index("known")] = k + 1, 1
    return Sample(planes, np.zeros((32, 32), np.uint8), (), f"s{k // 2}", "all", 40.0, -4.0, 10)


def number_of(sample):
    return round(float(sample.planes[PLANES.index("sigma_y"), 0, 0])) - 1


@pytest.fixture
def stored(tmp_path):
    for k in range(7):
        write_sample(tmp_path / f"{k}.npz", numbered(k))
    return StoredSamples(sorted(tmp_path.glob("*.npz")))


def test_every_sample_comes_once_in_each_epoch_and_in_another_order(stored):
    supply = Supply(stored, PLAIN, 7, seed=3)
    epochs = [[number_of(tile) for tile in supply.tiles(step)] for step in range(4)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_batches_depend_on_the_seed_and_the_step_alone(stored):
    config = AugmentConfig(tile=32)
    one, other, another = Supply(stored, config, 3, 5), Supply(stored, config, 3, 5), Supply(stored, config, 3, 6)
    later = [one.tiles(step) for step in (4, 0, 9)]
    for step, tiles in zip((9, 4, 0), (later[2], later[0], later[1]), strict=True):
        for a, b in zip(tiles, other.tiles(step), strict=True):
            np.testing.assert_array_equal(a.planes, b.planes)
    assert any((a.planes != b.planes).any() for a, b in zip(one.tiles(0), another.tiles(0), strict=True))


def test_the_share_of_mosaics_is_that_of_the_settings(stored):
    supply = Supply(
        stored, AugmentConfig(tile=32, symmetry=False, mosaic=0.3, blend=0, dropout=0, coherence_gain=0), 1, seed=0
    )
    sigma = PLANES.index("sigma_y")
    # At a corner each piece shows its number.
    many = [len(set(np.unique(supply.tile(k).planes[sigma])) - {0.0}) for k in range(400)]
    expected = 0.3 * (1 - 7 / 7**4)
    assert abs(np.mean(np.array(many) > 1) - expected) < 4 * np.sqrt(0.3 * 0.7 / 400)


def test_endless_samples_are_taken_in_order_and_partners_lie_behind():
    asked = []

    class Source:
        def __getitem__(self, k):
            asked.append(k)
            return numbered(k)

    supply = Supply(EndlessSamples(Source()), AugmentConfig(tile=32, mosaic=1.0), 2, seed=1)
    supply.tiles(100)
    assert asked[0] == 200
    assert asked[4] == 201
    assert all(152 <= k <= 201 for k in asked)


def test_bodies_that_nobody_can_see_are_not_learned(stored):
    plain = numbered(0)
    labels = np.zeros((32, 32), np.uint8)
    labels[2:8, 2:8], labels[12:20, 12:20] = 1, 2
    bodies = tuple(Body(20.0, 20.0, 300, 200, "steady", visibility) for visibility in (2.9, 3.1))
    sample = replace(plain, labels=labels, bodies=bodies)
    tile = Supply([sample], PLAIN, 1, seed=0, least_visibility=3.0).tile(0)
    np.testing.assert_array_equal(tile.labels == IGNORED, labels == 1)
    np.testing.assert_array_equal(tile.labels == 2, labels == 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_whoever_prepares_them_and_errors_where_they_belong(workers):
    batches = prefetched(partial(divmod, 60), -4, 9, workers)
    assert [next(batches) for _ in range(4)] == [divmod(60, k) for k in (-4, -3, -2, -1)]
    assert len(multiprocessing.active_children()) == workers
    with pytest.raises(ZeroDivisionError):
        next(batches)


def test_a_process_that_was_ended_is_said():
    with pytest.raises(WorkerEndedError, match="ended from outside"):
        next(prefetched(os._exit, 9, 12, 1))


def test_a_thread_finds_the_environment_as_it_is(monkeypatch):
    # Libraries read it while they start in that thread, and crash where it changes under their hands.
    changed = []
    monkeypatch.setattr(data, "one_thread_each", lambda: changed.append(None) or nullcontext())
    assert list(prefetched(lambda k: k, 0, 3, workers=0)) == [0, 1, 2]
    assert changed == []
    assert list(prefetched(abs, -2, 1, workers=1)) == [2, 1, 0]
    assert len(changed) == 3


def test_batches_are_prepared_ahead_but_not_all():
    made = []
    batches = prefetched(lambda k: made.append(k) or k, 0, 1000, workers=0)
    next(batches)
    batches.close()
    assert len(made) <= 3


def test_scenes_never_lie_on_both_sides_of_a_split():
    rng = np.random.default_rng(0)
    scenes = [f"scene-{k}" for k in rng.integers(0, 30, 500)]
    parts = split_by_scene(scenes, (0.8, 0.1, 0.1), seed=4)
    assert sorted(k for part in parts for k in part) == list(range(500))
    names = [{scenes[k] for k in part} for part in parts]
    assert [len(n) for n in names] == [24, 3, 3]
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]


def test_a_split_depends_on_the_names_of_scenes_and_the_seed_alone():
    scenes = [f"s{k % 9}" for k in range(40)]
    taken = {scenes[k] for k in split_by_scene(scenes, (2, 1), 0)[1]}
    assert {scenes[::-1][k] for k in split_by_scene(scenes[::-1], (2, 1), 0)[1]} == taken
    assert any({scenes[k] for k in split_by_scene(scenes, (2, 1), seed)[1]} != taken for seed in range(1, 5))


def test_every_part_of_a_split_has_a_scene():
    parts = split_by_scene(["a", "b", "b", "c"], (0.98, 0.01, 0.01), seed=0)
    assert Counter(map(bool, parts)) == {True: 3}
    with pytest.raises(ValueError, match=r"scenes must be at least as many as parts \(3\), instead got 2"):
        split_by_scene(["a", "b", "b"], (1, 1, 1), seed=0)
    with pytest.raises(ValueError, match="shares must be above 0"):
        split_by_scene(["a", "b"], (1, 0), seed=0)


def test_joined_samples_are_those_of_all_parts_and_know_their_scenes(stored):
    joined = JoinedSamples([stored, stored], [8, 0, 6])
    assert [number_of(s) for s in joined] == [1, 0, 6]
    assert [joined.scene(k) for k in range(3)] == ["s0", "s0", "s3"]
    assert [number_of(s) for s in joined[1:]] == [0, 6]
    assert number_of(joined[-1]) == 6
    with pytest.raises(IndexError):
        joined[3]


def test_the_scene_of_a_damaged_file_is_one_line(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(DamagedFileError, match=r"a\.npz: not a sample"):
        StoredSamples([tmp_path / "a.npz"]).scene(0)
