"""Boxes of networks: overlap, suppression, and the merging of both directions."""

import math

import numpy as np
import pytest

from groundshift.detect.boxes import decode_boxes, giou, merge_directions
from groundshift.detect.prediction import Prediction


def random_boxes(rng, count, size=200.0, most=60.0):
    corner = rng.uniform(0, size, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(5, most, (count, 2))], 1)


def predictions(rng, count, size=200.0):
    kept = decode_boxes(random_boxes(rng, count, size), rng.uniform(0.1, 1, count))
    assert kept
    return kept


def areas(a, b):
    """Shared, united and enclosing area, by plain arithmetic."""
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared, union, around


def test_giou_of_equal_touching_and_distant_boxes():
    found = giou([[0, 0, 2, 2]], [[0, 0, 2, 2], [2, 0, 4, 2], [1, 1, 3, 3], [98, 0, 100, 2]])
    # Corners that overlap share 1 of 7 and leave 2 of 9 empty; 100 apart, 8 of 200 are covered.
    np.testing.assert_allclose(found, [[1, 0, 1 / 7 - 2 / 9, -(200 - 8) / 200]])


def test_giou_agrees_with_its_equation_and_keeps_its_bounds():
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 20), random_boxes(rng, 30)
    found = giou(a, b)
    for i, j in np.ndindex(found.shape):
        shared, union, around = areas(a[i], b[j])
        assert found[i, j] == pytest.approx(shared / union - (around - union) / around)
    assert ((found > -1) & (found <= 1)).all()
    np.testing.assert_allclose(giou(b, a), found.T)
    np.testing.assert_allclose(giou(3 * a + 7, 3 * b + 7), found)


def test_giou_of_nothing_and_of_points():
    assert giou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert giou([[1, 1, 1, 1]], [[1, 1, 1, 1], [5, 1, 5, 1]]).tolist() == [[0, 0]]


def test_the_best_of_overlapping_boxes_is_kept():
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [0, 6, 10, 16], [50, 50, 60, 60]]
    kept = decode_boxes(boxes, [0.6, 0.9, 0.5, 0.3])
    assert [(p.box, p.score) for p in kept] == [
        ((1, 0, 11, 10), 0.9), ((0, 6, 10, 16), 0.5), ((50, 50, 60, 60), 0.3)
    ]  # fmt: skip
    assert all(p.mask is None for p in kept)


def test_boxes_fall_to_better_ones_that_are_kept_and_to_no_others():
    rng = np.random.default_rng(1)
    boxes, scores = random_boxes(rng, 300), rng.uniform(0, 1, 300)
    kept = decode_boxes(boxes, scores, least_score=0.2, iou=0.3)
    chosen = [p.box for p in kept]
    assert [p.score for p in kept] == sorted((p.score for p in kept), reverse=True)

    def overlap(a, b):
        shared, union, _ = areas(a, b)
        return shared / union

    for box, score in zip(boxes.tolist(), scores.tolist(), strict=True):
        covered = any(overlap(box, p.box) > 0.3 for p in kept if p.score > score)
        assert (tuple(box) in chosen) == (score >= 0.2 and not covered)


def test_suppressing_twice_changes_nothing():
    kept = predictions(np.random.default_rng(2), 200)
    assert decode_boxes([p.box for p in kept], [p.score for p in kept]) == kept


def test_scores_and_boxes_that_are_no_numbers_are_left_out():
    boxes = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, math.inf, 10]]
    assert [p.score for p in decode_boxes(boxes, [math.nan, 0.4, 0.9])] == [0.4]


def test_thresholds_bound_what_is_kept():
    boxes = [[0, 0, 10, 10], [5, 0, 15, 10], [100, 0, 110, 10]]
    scores = [0.9, 0.5, 0.04]
    assert len(decode_boxes(boxes, scores)) == 2
    assert len(decode_boxes(boxes, scores, least_score=0.04)) == 3
    # These two share a third.
    assert len(decode_boxes(boxes, scores, iou=0.34)) == 2
    assert len(decode_boxes(boxes, scores, iou=0.33)) == 1


def test_no_boxes_give_no_predictions():
    assert decode_boxes(np.zeros((0, 4)), np.zeros(0)) == []


@pytest.mark.parametrize(
    ("boxes", "scores", "options", "message"),
    [
        (np.zeros((3, 5)), np.zeros(3), {}, r"boxes must have shape \(M, 4\) and scores \(M,\), instead got \(3, 5\)"),
        (np.zeros((3, 4)), np.zeros(2), {}, r"instead got \(3, 4\) and \(2,\)"),
        (np.zeros((0, 4)), np.zeros(0), {"iou": 1.2}, r"iou must lie in \[0, 1\], instead got 1.2"),
        (np.zeros((0, 4)), np.zeros(0), {"least_score": -1}, r"least_score must lie in \[0, 1\], instead got -1"),
    ],
)
def test_what_does_not_fit_is_named(boxes, scores, options, message):
    with pytest.raises(ValueError, match=message):
        decode_boxes(boxes, scores, **options)


def test_two_directions_give_the_enclosing_box_and_the_higher_score():
    merged = merge_directions([Prediction((0, 0, 10, 10), 0.4)], [Prediction((2, -3, 9, 12), 0.7)])
    assert merged == [Prediction((0, -3, 10, 12), 0.7)]


def test_detections_merge_only_if_giou_is_larger_than_zero():
    one = Prediction((0, 0, 10, 10), 0.5)
    # Side by side, GIoU is zero; shifted along the diagonal it falls below zero though they overlap.
    for other in ((10, 0, 20, 10), (8, 8, 18, 18)):
        assert len(merge_directions([one], [Prediction(other, 0.6)])) == 2
    assert len(merge_directions([one], [Prediction((9.9, 0, 20, 10), 0.6)])) == 1


def test_neighbours_in_both_directions_stay_apart():
    """Two bodies whose boxes overlap a little, seen in both directions, are two bodies."""
    a = [Prediction((0, 0, 10, 10), 0.5), Prediction((8, 0, 18, 10), 0.6)]
    b = [Prediction((8.5, 0, 18, 10), 0.7), Prediction((0, 0, 10, 9), 0.3)]
    assert [p.box for p in merge_directions(a, b)] == [(8, 0, 18, 10), (0, 0, 10, 10)]


def test_a_direction_merged_with_itself_is_itself():
    for seed in range(5):
        found = predictions(np.random.default_rng(seed), 60)
        assert merge_directions(found, found) == found


def test_the_order_of_directions_does_not_matter():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a, b = predictions(rng, 40), predictions(rng, 30)
        assert merge_directions(a, b) == merge_directions(b, a)


def test_nothing_is_lost_by_merging():
    rng = np.random.default_rng(3)
    a, b = predictions(rng, 40), predictions(rng, 30)
    merged = merge_directions(a, b)
    assert max(len(a), len(b)) <= len(merged) < len(a) + len(b)
    for p in a + b:
        assert any(
            m.box[0] <= p.box[0] and m.box[1] <= p.box[1] and m.box[2] >= p.box[2] and m.box[3] >= p.box[3]
            and m.score >= p.score
            for m in merged
        )  # fmt: skip


def test_what_only_one_direction_shows_stays_as_it_is():
    mask = np.ones((3, 4), bool)
    seen = [Prediction((5, 5, 9, 8), 0.8, mask)]
    assert merge_directions(seen, []) == seen
    assert merge_directions([], seen)[0].mask is mask
    assert merge_directions([], []) == []
