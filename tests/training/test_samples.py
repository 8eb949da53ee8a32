"""Samples on disk."""

import numpy as np
import pytest

from groundshift.errors import DamagedFileError, NoDataError
from groundshift.training.samples import Body, Sample, boxes_of, judged, list_samples, read_sample, write_sample


def a_sample():
    rng = np.random.default_rng(1)
    labels = np.zeros((20, 30), np.uint8)
    labels[4:9, 10:13] = 1
    labels[0, 0] = 255
    bodies = (Body(-20.5, 30.0, 400.0, 200.0, "seasonal", 7.5),)
    return Sample(rng.normal(size=(8, 20, 30)).astype(np.float32), labels, bodies, "sim-1-0", "wet", 40.0, -0.9, 77)


def test_a_sample_comes_back(tmp_path):
    sample = a_sample()
    write_sample(tmp_path / "a.npz", sample)
    back = read_sample(tmp_path / "a.npz")
    np.testing.assert_allclose(back.planes, sample.planes, rtol=1e-3)
    np.testing.assert_array_equal(back.labels, sample.labels)
    assert (back.bodies, back.scene, back.window) == (sample.bodies, sample.scene, sample.window)
    assert (back.pixel_m, back.radians, back.total_pairs) == (sample.pixel_m, sample.radians, sample.total_pairs)


def test_boxes_have_outer_edges_and_leave_out_what_is_ignored():
    assert boxes_of(a_sample().labels) == {1: (10, 4, 13, 9)}


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(b"not a sample")
    with pytest.raises(DamagedFileError, match=r"bad\.npz: not a sample .*; make it again or take it out"):
        read_sample(path)


def test_nothing_is_unpickled(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, planes=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DamagedFileError, match=r"evil\.npz: not a sample"):
        read_sample(path)


def test_planes_of_another_shape_are_refused(tmp_path):
    sample = a_sample()
    path = tmp_path / "a.npz"
    write_sample(path, sample)
    with np.load(path) as data:
        fields = dict(data)
    fields["planes"] = fields["planes"][:5]
    np.savez(path, **fields)
    with pytest.raises(DamagedFileError, match=r"planes must have shape \(8, y, x\)"):
        read_sample(path)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(NoDataError, match="holds no samples"):
        list_samples(tmp_path)


def test_radians_are_those_of_the_step():
    sample = a_sample()
    np.testing.assert_allclose(sample.gradient_radians(), sample.planes[2:4] * -0.9, rtol=1e-6)


def test_faint_bodies_are_not_judged():
    sample = a_sample()
    assert judged(sample, 7.5) is sample
    hidden = judged(sample, 7.6)
    np.testing.assert_array_equal(hidden.labels == 255, sample.labels > 0)
    assert hidden.bodies == sample.bodies


def test_what_somebody_has_drawn_is_always_judged():
    drawn = Body(np.nan, np.nan, 400.0, 200.0, "unknown")
    assert drawn.visibility > 1e9
