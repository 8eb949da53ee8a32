"""Models that outline moving slopes at work: many dates, tiles without seams, places, phase against the ground."""

import numpy as np
import onnx
import pytest
from onnx import helper
from tests import onnx_models
from tests.workflows.bowl_models import write_bowl_model

from groundshift.detect.segments import (
    Segment,
    SegmentNetwork,
    Sightings,
    find_segments,
    relative_phase,
    touched,
)
from groundshift.errors import UnknownFormatError
from groundshift.types import Window


def write_most(path, **changes):
    """A model of many dates: the largest coherence over all of them, averaged over 3 x 3 pixels."""
    nodes = [
        helper.make_node("Split", ["interferogram"], ["wrapped", "coherence"], axis=1, num_outputs=2),
        helper.make_node("ReduceMax", ["coherence", "axes"], ["most"], keepdims=1),
        helper.make_node("AveragePool", ["most"], ["probability"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ]
    return onnx_models.save(
        path, nodes, {"interferogram": ["t", 2, "y", "x"]}, {"probability": [1, 1, "y", "x"]},
        {"axes": np.array([0], np.int64)},
        onnx_models.metadata_of("footprint_of_many", planes=["wrapped", "coherence"], **changes),
    )  # fmt: skip


def box(top, left, height, width, shape=(30, 40)):
    mask = np.zeros(shape, np.bool_)
    mask[top : top + height, left : left + width] = True
    return mask


def segment_of(top, left, height, width, score=0.9):
    return Segment(Window(top, left, height, width), np.ones((height, width), np.bool_), score)


def test_one_interferogram_is_answered_where_it_has_data(tmp_path):
    network = SegmentNetwork.load(write_bowl_model(tmp_path / "m.onnx", "footprint", edge=0.5), threads=1)
    wrapped = np.linspace(-1, 2, 1200, dtype=np.float32).reshape(1, 30, 40)
    coherence = np.full_like(wrapped, 0.5)
    coherence[0, :4] = 0
    wrapped[0, 10, 10] = np.nan
    told = network.look(wrapped, coherence)
    known = (coherence[0] > 0) & np.isfinite(wrapped[0])
    np.testing.assert_allclose(told[known], 1 / (1 + np.exp(-10 * (wrapped[0][known] - 0.5))), atol=1e-5)
    assert (told[~known] == 0).all()
    assert not network.sees_many


def test_of_several_the_mean_is_taken_over_those_with_data(tmp_path):
    network = SegmentNetwork.load(write_bowl_model(tmp_path / "m.onnx", "footprint"), threads=1)
    wrapped = np.stack([np.full((32, 32), 3.0), np.full((32, 32), -3.0)]).astype(np.float32)
    coherence = np.ones_like(wrapped)
    coherence[1, :16] = 0
    told = network.look(wrapped, coherence)
    np.testing.assert_allclose(told[:16], 1, atol=1e-4)
    np.testing.assert_allclose(told[16:], 0.5, atol=1e-4)


@pytest.mark.parametrize("shape", [(33, 50), (700, 200)])
def test_many_dates_are_looked_at_at_once_and_without_seams(shape, tmp_path):
    network = SegmentNetwork.load(write_most(tmp_path / "m.onnx"), threads=1)
    assert network.sees_many
    coherence = np.random.default_rng(0).uniform(0.1, 1, (3, *shape)).astype(np.float32)
    coherence[:, 5, 7] = 0
    told = network.look(np.zeros_like(coherence), coherence)
    most = coherence.max(0)
    assert told[20, 30] == pytest.approx(most[19:22, 29:32].mean(), abs=1e-5)
    assert told[630, 30] == pytest.approx(most[629:632, 29:32].mean(), abs=1e-5) if shape[0] > 640 else True
    assert told[5, 7] == 0


def test_a_model_of_another_kind_is_refused(tmp_path):
    with pytest.raises(UnknownFormatError, match=r"groundshift.kind is 'unwrapped'"):
        SegmentNetwork.load(write_bowl_model(tmp_path / "m.onnx", "unwrapped"))


def test_a_model_of_many_dates_with_a_wrong_shape_is_named(tmp_path):
    path = write_bowl_model(tmp_path / "m.onnx", "footprint")
    model = onnx.load(path)
    onnx.helper.set_model_props(
        model, {p.key: p.value.replace("footprint", "footprint_of_many") for p in model.metadata_props}
    )
    onnx.save(model, path)
    network = SegmentNetwork.load(path, threads=1)
    planes = np.ones((2, 32, 32), np.float32)
    with pytest.raises(UnknownFormatError, match=r"probability has shape \(2, 1, 32, 32\), expected \(1, 1, 32, 32\)"):
        network.look(planes, planes)


def test_segments_hang_together_and_have_a_size():
    probability = np.where(box(2, 2, 6, 6) | box(8, 8, 5, 5), 0.8, 0.1).astype(np.float32)
    probability[box(20, 20, 4, 6)] = 0.95
    probability[28, 38] = 1
    known = ~box(20, 20, 4, 1)
    found = find_segments(probability, known, least_probability=0.5, least_pixels=10)
    assert [s.window for s in found] == [Window(20, 21, 4, 5), Window(2, 2, 11, 11)]
    assert [s.mask.sum() for s in found] == [20, 61]
    assert [s.score for s in found] == pytest.approx([0.95, 0.8])


def test_a_place_must_be_seen_in_a_share_of_the_interferograms_with_data():
    sightings = Sightings((30, 40), 0.5)
    often, once, rarely_known = box(2, 2, 5, 5), box(12, 12, 5, 5), box(20, 30, 5, 5)
    for k in range(4):
        probability = np.where((often & (k < 2)) | (once & (k == 0)) | rarely_known, 0.9 - 0.1 * k, 0.1)
        sightings.add(probability.astype(np.float32), ~rarely_known | (k == 3))
    places = sightings.places(0.4, 10)
    assert {p.window for p in places} == {Window(2, 2, 5, 5), Window(20, 30, 5, 5)}
    scores = {p.window: p.score for p in places}
    assert scores[Window(2, 2, 5, 5)] == pytest.approx(0.85)
    assert scores[Window(20, 30, 5, 5)] == pytest.approx(0.6)
    assert sightings.share[4, 4] == 0.5
    assert sightings.share[22, 32] == 1
    assert sightings.mean[14, 14] == pytest.approx((0.9 + 3 * 0.1) / 4)


@pytest.mark.parametrize("depth", [-2.5, 0.7, 3.0])
def test_phase_of_a_slope_is_that_against_the_ground_around(depth):
    rng = np.random.default_rng(0)
    moving = box(10, 14, 6, 8)
    igram = 0.6 * np.exp(1j * (1.9 + depth * moving + rng.normal(0, 0.2, moving.shape)))
    igram[0:3] = 0
    found = relative_phase(igram.astype(np.complex64), segment_of(10, 14, 6, 8), moving)
    assert found == pytest.approx(depth, abs=0.1)


def test_other_moving_ground_is_not_compared_with():
    place, other = box(10, 14, 6, 8), box(10, 26, 6, 8)
    igram = np.exp(1j * (1.0 * place + 3.0 * other)).astype(np.complex64)
    segment = segment_of(10, 14, 6, 8)
    assert relative_phase(igram, segment, place | other) == pytest.approx(1.0, abs=1e-6)
    assert abs(relative_phase(igram, segment, place) - 1.0) > 0.01


def test_without_data_no_phase_is_known():
    place = box(10, 14, 6, 8)
    assert np.isnan(relative_phase(np.where(place, 0, 1).astype(np.complex64), segment_of(10, 14, 6, 8), place))


def test_segments_touch_the_places_they_share_pixels_with():
    places = [segment_of(2, 2, 5, 5), segment_of(20, 20, 5, 5)]
    assert touched(places, [segment_of(6, 6, 3, 3)], (30, 40)) == {0}
    assert touched(places, [segment_of(7, 7, 3, 3)], (30, 40)) == set()
