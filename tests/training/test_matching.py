"""Matching: what is right, what is wrong, and what counts neither way."""

import numpy as np
import pytest

from groundshift.detect.prediction import Prediction
from groundshift.training.matching import IOU_THRESHOLDS, box_iou, mark
from groundshift.training.samples import IGNORED

SHAPE = (40, 50)


def ground(*rectangles, shape=SHAPE):
    """Labels with a body for each (top, left, bottom, right)."""
    labels = np.zeros(shape, np.uint8)
    for k, (top, left, bottom, right) in enumerate(rectangles, start=1):
        labels[top:bottom, left:right] = k
    return labels


def box(top, left, bottom, right, score=0.5):
    return Prediction((float(left), float(top), float(right), float(bottom)), score)


def filled(top, left, bottom, right, score=0.5):
    return box(top, left, bottom, right, score)._replace(mask=np.ones((bottom - top, right - left), bool))


def exact(labels, score=0.9):
    """The bodies as predictions."""
    found = []
    for k in range(1, labels[labels != IGNORED].max() + 1):
        rows, columns = np.nonzero(labels == k)
        top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        found.append(Prediction((left, top, right, bottom), score, labels[top:bottom, left:right] == k))
    return found


def test_thresholds_are_those_of_coco():
    assert IOU_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_overlap_of_boxes_agrees_with_counting_nodes():
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 15, (30, 2))
    boxes = np.concatenate([corner, corner + rng.integers(1, 12, (30, 2))], axis=1).astype(float)
    covered = np.zeros((30, 30, 30), bool)
    for k, (x0, y0, x1, y1) in enumerate(boxes.astype(int)):
        covered[k, y0:y1, x0:x1] = True
    flat = covered.reshape(30, -1).astype(int)
    common = flat @ flat.T
    union = flat.sum(1)[:, None] + flat.sum(1) - common
    np.testing.assert_allclose(box_iou(boxes, boxes), common / union, rtol=1e-12)


def test_exact_predictions_are_right_by_all_rules_at_all_thresholds():
    labels = ground((2, 3, 10, 12), (20, 20, 35, 30))
    labels[5:7, 5:20][:, ::2] = 1
    found = mark(labels, exact(labels))
    for marks in (*found.boxes, *found.masks, found.hits):
        assert marks.truth.tolist() == [0, 1]
        assert not marks.neutral.any()
        assert marks.found_at.tolist() == [0.9, 0.9]


def test_the_threshold_itself_is_enough():
    labels = ground((0, 0, 10, 10))
    found = mark(labels, [filled(0, 0, 10, 6)])
    right = [bool(m.truth[0] == 0) for m in found.boxes]
    assert right == [t <= 0.6 for t in IOU_THRESHOLDS]
    assert right == [bool(m.truth[0] == 0) for m in found.masks]


def test_each_body_is_found_once_and_the_highest_score_takes_it():
    labels = ground((0, 0, 10, 10))
    found = mark(labels, [filled(0, 0, 10, 9, 0.6), filled(0, 0, 10, 8, 0.7), filled(0, 0, 10, 10, 0.5)])
    assert found.boxes[0].truth.tolist() == [-1, 0, -1]
    assert found.boxes[0].found_at.tolist() == [0.7]
    assert found.hits.truth.tolist() == [0, 0, 0]


def test_a_prediction_takes_the_body_it_overlaps_most_of_those_still_free():
    labels = ground((0, 0, 10, 10), (0, 10, 10, 14))
    wide = filled(0, 0, 10, 14, 0.9)
    found = mark(labels, [wide, filled(0, 0, 10, 10, 0.8), filled(0, 10, 10, 14, 0.7)])
    assert found.boxes[0].truth.tolist() == [0, -1, 1]
    assert found.boxes[5].truth.tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    ("place", "right"),
    [
        ((0, 0, 60, 20), True),  # a fifth of the body, most of the prediction beyond
        ((0, 0, 60, 19), False),
        ((0, 95, 10, 105), True),  # half of the prediction inside, a twentieth of the body
        ((0, 96, 10, 106), False),
        ((4, 10, 5, 11), True),
        ((20, 0, 30, 100), False),
    ],
)
@pytest.mark.parametrize("make", [box, filled])
def test_a_hit_covers_a_fifth_of_a_body_or_lies_half_inside(make, place, right):
    found = mark(ground((0, 0, 10, 100), shape=(60, 200)), [make(*place)])
    assert found.hits.truth.tolist() == [0 if right else -1]
    assert found.hits.found_at.tolist() == [0.5 if right else -1.0]


def test_masks_are_none_if_a_prediction_has_none():
    labels = ground((0, 0, 10, 10))
    assert mark(labels, [box(0, 0, 10, 10), filled(0, 0, 10, 10)]).masks is None
    assert mark(labels, []).masks is not None


def test_a_body_and_its_box_are_different_things():
    labels = np.where(np.eye(20, dtype=bool), 1, 0).astype(np.uint8)
    found = mark(labels, [filled(0, 0, 20, 20)])
    assert found.boxes[-1].truth[0] == 0
    assert found.masks[0].truth[0] == -1
    assert found.hits.truth[0] == 0


def test_predictions_mostly_on_ignored_ground_are_neutral_and_others_are_not():
    labels = ground((0, 0, 5, 5))
    labels[10:30, 10:30] = IGNORED
    places = {
        "inside": (12, 12, 20, 20),
        "mostly": (12, 21, 20, 36),
        "half": (12, 20, 20, 40),
        "beside": (32, 2, 38, 9),
    }
    found = mark(labels, [filled(*place) for place in places.values()])
    for marks in (found.boxes[0], found.masks[0], found.hits):
        assert marks.truth.tolist() == [-1] * 4
        assert marks.neutral.tolist() == [True, True, False, False]


def test_the_box_of_an_ignored_body_that_fills_little_of_it_is_neutral_by_boxes():
    labels = np.where(np.eye(30, dtype=bool), IGNORED, 0).astype(np.uint8)
    labels[1:, :-1][np.eye(29, dtype=bool)] = IGNORED
    found = mark(labels, [box(0, 0, 30, 30), box(0, 0, 12, 30)])
    assert found.boxes[0].neutral.tolist() == [True, False]


def test_a_right_prediction_is_not_neutral_for_lying_on_ignored_ground():
    labels = np.full(SHAPE, IGNORED, np.uint8)
    labels[5:10, 5:10] = 1
    found = mark(labels, [filled(5, 5, 10, 10), filled(5, 5, 13, 12)])
    assert found.boxes[0].truth.tolist() == [0, -1]
    assert found.boxes[0].neutral.tolist() == [False, True]


def test_parts_beyond_the_map_do_not_count_for_hits_and_masks():
    labels = ground((0, 0, 10, 10))
    mask = np.ones((20, 20), bool)
    mask[:10, 10:] = mask[10:, :10] = False
    found = mark(labels, [Prediction((-10.0, -10.0, 10.0, 10.0), 0.5, mask), box(-30, -30, -2, -2)])
    assert found.hits.truth.tolist() == [0, -1]
    masked = mark(labels, [Prediction((-10.0, -10.0, 10.0, 10.0), 0.5, mask)])
    assert masked.masks[-1].truth.tolist() == [0]


def test_boxes_of_networks_hold_the_nodes_whose_centres_they_hold():
    labels = np.zeros((10, 10), np.uint8)
    labels[2, 2] = 1
    for corner, hit in [((2.5, 2.5), True), ((2.51, 2.5), False), ((1.6, 1.6), True)]:
        found = mark(labels, [Prediction((*corner, corner[0] + 1, corner[1] + 1), 0.5)])
        assert (found.hits.truth[0] == 0) == hit


def test_no_predictions_and_no_bodies_are_cases_like_others():
    empty = mark(np.zeros(SHAPE, np.uint8), [])
    assert [m.truth.size + m.found_at.size for m in (*empty.boxes, *empty.masks, empty.hits)] == [0] * 21
    alone = mark(np.zeros(SHAPE, np.uint8), [filled(0, 0, 5, 5)])
    assert [m.truth.tolist() for m in (*alone.boxes, *alone.masks, alone.hits)] == [[-1]] * 21
    missed = mark(ground((0, 0, 5, 5)), [])
    assert [m.found_at.tolist() for m in (*missed.boxes, *missed.masks, missed.hits)] == [[-1.0]] * 21


def test_a_mask_of_another_size_than_its_box_is_refused():
    with pytest.raises(ValueError, match="mask must have the shape of its box"):
        mark(ground((0, 0, 5, 5)), [Prediction((0.0, 0.0, 5.0, 5.0), 0.5, np.ones((4, 5), bool))])
