"""Samples from files, their variations, and the order in which they come."""

import numpy as np
import pytest
from tests.training.segments.conftest import write_set

from groundshift.errors import MissingFileError, NoDataError
from groundshift.training.segments.samples import (
    SegmentSet,
    SegmentSupply,
    SetSupply,
    Turn,
    read_data,
    sets_of,
    split_data,
    turned,
)


def test_a_data_set_is_read_with_all_its_masks(data_set):
    given = read_data([data_set])
    assert len(given.samples) == len(given.patches) == 3 * 5 * 2
    assert given.problems == ()
    assert sum(s.moves for s in given.samples) == 3 * 4 * 2
    assert {s.place for s in given.samples} == {
        f"{z} {m} {m}" for z in ("Queyras", "Vanoise", "Ecrins") for m in (1, 2)
    }
    assert read_data([data_set]).checksum == given.checksum


def test_a_damaged_patch_is_named_and_the_others_are_used(tmp_path):
    root = write_set(tmp_path / "set")
    twin = next(root.glob("6days/Vanoise/*/coherence/1_1.tif"))
    twin.unlink()
    given = read_data([root])
    assert len(given.samples) == 3 * 5 * 2 - 1
    (line,) = given.problems
    assert str(twin) in line


def test_splits_are_of_patches_that_were_read(data_set):
    given = read_data([data_set], as_published=True)
    learn, judge = split_data(given, "paper", 0)
    assert {given.patches[k].zone for k in judge} == {"Queyras"}
    assert {given.patches[k].zone for k in learn} == {"Ecrins", "Vanoise"}
    assert all(given.samples[k].moves for k in (*learn, *judge))
    learn, judge = split_data(given, "clean", 0)
    assert len(learn) + len(judge) == len(given.samples)


def test_what_cannot_be_learned_from_is_said(tmp_path):
    with pytest.raises(NoDataError, match=r"^no data set given; name folders in the format of ISSLIDE$"):
        read_data([])
    with pytest.raises(MissingFileError):
        read_data([tmp_path / "nothing"])
    quiet = write_set(tmp_path / "quiet", zones=("Vanoise",), interferograms=1)
    with pytest.raises(NoDataError, match=r"no mask shows motion"):
        read_data([quiet])


def test_a_turn_keeps_what_belongs_together(a_sample):
    sample = a_sample()
    again = turned(sample, Turn((1,), transpose=True, sign=-1.0), 0.5)
    back = np.flip(again.wrapped.T, 1)
    known = sample.known
    np.testing.assert_allclose(np.exp(1j * back)[known], np.exp(1j * (0.5 - sample.wrapped))[known], atol=1e-5)
    np.testing.assert_array_equal(np.flip(again.mask.T, 1), sample.mask)
    np.testing.assert_array_equal(np.flip(again.known.T, 1), known)
    assert (again.wrapped[~again.known] == 0).all()


def test_only_a_constant_is_added_where_nothing_else_is_asked_for(a_sample):
    supply = SegmentSupply([a_sample()], 4, 0, offset=True, symmetry=False)
    for sample in supply.tiles(0):
        step = np.exp(1j * (sample.wrapped - a_sample().wrapped))[a_sample().known]
        np.testing.assert_allclose(step, step[0], atol=1e-5)
        np.testing.assert_array_equal(sample.mask, a_sample().mask)
    plain = SegmentSupply([a_sample()], 1, 0, offset=False, symmetry=False)
    np.testing.assert_allclose(plain.tile(3).wrapped, a_sample().wrapped, atol=1e-5)


def test_each_sample_comes_once_in_an_epoch_and_follows_from_the_step(a_sample):
    samples = [a_sample(k, f"Vanoise {k} 1") for k in range(6)]
    supply = SegmentSupply(samples, 2, 3, offset=True, symmetry=True)
    for epoch in range(2):
        assert {s.place for step in range(3) for s in supply.tiles(3 * epoch + step)} == {s.place for s in samples}
    again = SegmentSupply(samples, 2, 3, offset=True, symmetry=True)
    np.testing.assert_array_equal(again.tiles(4)[1].wrapped, supply.tiles(4)[1].wrapped)


def test_sets_are_of_one_place_turned_alike(a_sample):
    samples = [a_sample(k, f"Vanoise {k % 2} 1") for k in range(10)]
    supply = SetSupply(samples, 8, 0, 3, offset=True, symmetry=True)
    assert len(supply) == 4
    sizes = set()
    for group in supply.tiles(0):
        assert len({m.place for m in group.members}) == 1
        assert all(np.array_equal(m.mask, group.members[0].mask) for m in group.members)
        sizes.add(len(group.members))
    assert sizes <= {1, 2, 3}
    assert len(sizes) > 1


def test_the_mask_of_a_set_is_what_any_of_it_shows(a_sample):
    still = a_sample(1)._replace(mask=np.zeros((24, 24), np.float32))
    group = SegmentSet((still, a_sample()))
    np.testing.assert_array_equal(group.mask, a_sample().mask)


def test_sets_to_judge_by_are_spread_over_the_dates(a_sample):
    samples = [a_sample(k, f"Vanoise {k % 2} 1") for k in range(10)]
    first, second = sets_of(samples, 3)
    assert [m.wrapped[9, 9] for m in first] == [samples[k].wrapped[9, 9] for k in (0, 4, 8)]
    assert {m.place for m in second} == {"Vanoise 1 1"}
