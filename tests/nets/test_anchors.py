"""Anchors by k-means with 1 - IoU."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.anchors import PAPER_ANCHORS, cluster_anchors, mean_best_overlap, size_overlap


def make_boxes(seed=0, count=400):
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal([3.2, 3.1], 0.5, (count, 2)))


def test_overlap_of_sizes_agrees_with_counted_pixels():
    y, x = np.mgrid[-30:30, -30:30] + 0.5
    sizes = np.array([[4, 10], [20, 6], [12, 12]])
    masks = [(abs(x) < w / 2) & (abs(y) < h / 2) for w, h in sizes]
    counted = [[(a & b).sum() / (a | b).sum() for b in masks] for a in masks]
    np.testing.assert_allclose(size_overlap(sizes.astype(float), sizes.astype(float)), counted)


def test_separate_clusters_give_their_medians():
    rng = np.random.default_rng(3)
    truths = np.array([[10, 10], [14, 60], [60, 14], [100, 100]])
    groups = [truth * rng.uniform(0.9, 1.1, (31, 2)) for truth in truths]
    expected = np.array([np.median(group, axis=0) for group in groups])
    found = cluster_anchors(np.concatenate(groups), 4)
    np.testing.assert_allclose(found, expected[np.argsort(expected.prod(1))])


def test_as_many_anchors_as_sizes_are_the_sizes():
    np.testing.assert_allclose(cluster_anchors(PAPER_ANCHORS, 9), PAPER_ANCHORS)
    assert mean_best_overlap(PAPER_ANCHORS, PAPER_ANCHORS) == 1


def test_one_anchor_is_the_median():
    boxes = make_boxes()
    np.testing.assert_allclose(cluster_anchors(boxes, 1), [np.median(boxes, axis=0)])


def test_anchors_are_sorted_by_area_and_the_same_each_time():
    boxes = make_boxes()
    found = cluster_anchors(boxes, 9, seed=5)
    assert (np.diff(found.prod(1)) >= 0).all()
    np.testing.assert_array_equal(found, cluster_anchors(boxes, 9, seed=5))


def test_no_anchor_is_far_from_the_median_of_the_boxes_nearest_to_it():
    boxes = make_boxes()
    found = cluster_anchors(boxes, 6)
    nearest = size_overlap(boxes, found).argmax(1)
    np.testing.assert_allclose([np.median(boxes[nearest == k], axis=0) for k in range(6)], found)


def test_anchors_follow_the_scale_of_the_boxes():
    boxes = make_boxes()
    np.testing.assert_allclose(cluster_anchors(boxes * 4, 6), 4 * cluster_anchors(boxes, 6))


def test_more_anchors_fit_better_and_better_than_the_published_ones():
    boxes = make_boxes()
    fits = [mean_best_overlap(boxes, cluster_anchors(boxes, count)) for count in (1, 3, 6, 9)]
    assert fits == sorted(fits)
    assert fits[-1] > mean_best_overlap(boxes, PAPER_ANCHORS)


@pytest.mark.parametrize("sizes", [[[1, 0], [2, 2]], [1, 2, 3], [[1, 2, 3]], [[1, np.nan]]])
def test_sizes_must_be_sizes(sizes):
    with pytest.raises(ValueError, match="sizes must be positive widths and heights"):
        cluster_anchors(sizes, 1)


@pytest.mark.parametrize("count", [0, 3])
def test_anchors_cannot_be_more_than_the_sizes(count):
    with pytest.raises(ValueError, match=f"number of distinct box sizes, 2, instead got {count}"):
        cluster_anchors([[1, 2], [1, 2], [3, 4]], count)
