"""Both measures against closed forms, against the definition point by point, and against SciPy."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import directed_hausdorff
from scipy.stats import mannwhitneyu

from groundshift.training.segments.judge import auc_of, clean_metrics, figures_of, paper_metrics


def box(top, left, height, width, shape=(40, 50)):
    mask = np.zeros(shape, np.bool_)
    mask[top : top + height, left : left + width] = True
    return mask


def by_definition(probabilities, masks):
    """The paper's figures, threshold by threshold and image by image."""
    rows = []
    for k in range(101):
        threshold, each = 1 - k / 100, []
        for p, m in zip(probabilities, masks, strict=True):
            seen = p > threshold
            common, found, wanted = (seen & m).sum(), seen.sum(), m.sum()
            each.append((common / max(found, 1), common / wanted, 2 * common / (found + wanted),
                         common / (found + wanted - common)))  # fmt: skip
        precision, recall, dice, iou = np.mean(each, axis=0)
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
        rows.append((f1, dice, iou, threshold))
    return max(rows, key=lambda row: row[0])


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(0)
    masks = [box(5, 5, 20, 10), box(10, 30, 8, 12), box(0, 0, 3, 3)]
    maps = [np.clip(0.3 * m + rng.uniform(0, 0.7, m.shape), 0, 1) for m in masks]
    return maps, masks


def test_paper_metrics_are_those_of_their_definition(noisy):
    f1, dice, iou, threshold = by_definition(*noisy)
    found = paper_metrics(*noisy)
    assert (found.f1, found.dice, found.iou, found.threshold) == pytest.approx((f1, dice, iou, threshold), abs=1e-9)


def test_f1_of_the_paper_is_that_of_averages_and_not_the_average():
    # One image found whole beside as much again, one found half: precision 1/2 and 1, recall 1 and 1/2.
    masks = [box(0, 0, 10, 10), box(0, 0, 10, 10)]
    maps = [box(0, 0, 10, 20).astype(float), box(0, 0, 5, 10).astype(float)]
    assert paper_metrics(maps, masks).f1 == pytest.approx(0.75)
    assert paper_metrics(maps, masks).dice == pytest.approx(2 / 3)
    assert clean_metrics(maps, masks).f1 == pytest.approx(2 * 150 / (250 + 200))


def test_auc_of_the_paper_is_that_of_the_last_image():
    good, bad = box(0, 0, 10, 10).astype(float), 1.0 - box(0, 0, 10, 10)
    masks = [box(0, 0, 10, 10)] * 2
    assert paper_metrics([bad, good], masks).auc == pytest.approx(1)
    assert paper_metrics([good, bad], masks).auc == pytest.approx(0)
    assert 0 < clean_metrics([bad, good], masks).auc < 1


def test_distance_of_the_paper_is_hausdorff_of_shifted_boxes():
    one, other = box(10, 10, 12, 9), box(14, 15, 6, 20)
    points = [np.argwhere(m) for m in (one, other)]
    wanted = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
    assert paper_metrics([one.astype(float)], [other]).hd == pytest.approx(wanted)


def test_distance_of_the_paper_leaves_out_images_in_which_nothing_is_found():
    mask, shifted = box(10, 10, 8, 8), box(10, 13, 8, 8).astype(float)
    nothing = np.zeros(mask.shape)
    assert paper_metrics([shifted, nothing], [mask, mask]).hd == pytest.approx(3)
    assert math.isnan(paper_metrics([nothing], [mask]).hd)


def test_empty_answers_cost_the_diagonal_in_clean_metrics():
    mask, nothing = box(10, 10, 8, 8), np.zeros((40, 50))
    found = clean_metrics([nothing], [mask])
    assert found.hd95 == pytest.approx(math.hypot(40, 50))
    assert (found.f1, found.dice, found.iou) == (0, 0, 0)
    still = clean_metrics([nothing], [nothing > 0])
    assert (still.f1, still.dice, still.iou, still.hd95) == (1, 1, 1, 0)
    assert math.isnan(still.auc)


def test_clean_distance_of_a_shifted_box_is_its_shift():
    mask = box(10, 10, 20, 20)
    found = clean_metrics([box(10, 14, 20, 20).astype(float)], [mask])
    # Both ends lie four pixels off, which is more than a twentieth of the border.
    assert found.hd95 == pytest.approx(4)
    assert found.iou == pytest.approx(16 / 24)


def test_one_stray_pixel_of_many_does_not_move_the_clean_distance():
    mask = box(10, 10, 20, 20)
    stray = mask.astype(float)
    stray[39, 49] = 1
    assert clean_metrics([stray], [mask]).hd95 == 0
    assert paper_metrics([stray], [mask]).hd == pytest.approx(math.hypot(10, 20))


def test_area_under_the_curve_is_that_of_mann_and_whitney(noisy):
    scores = np.concatenate([m.ravel() for m in noisy[0]]).round(2)
    truth = np.concatenate([m.ravel() for m in noisy[1]])
    wanted = mannwhitneyu(scores[truth], scores[~truth]).statistic / (truth.sum() * (~truth).sum())
    assert auc_of(scores, truth) == pytest.approx(wanted)


def test_binned_area_is_near_the_exact_one(noisy):
    maps, masks = noisy
    assert paper_metrics(maps[:1], masks[:1]).auc == pytest.approx(auc_of(maps[0].ravel(), masks[0].ravel()), abs=2e-3)


def test_figures_judge_only_where_there_are_data(a_sample):
    sample = a_sample()
    answer = sample.mask.copy()
    answer[~sample.known] = 1
    assert figures_of([answer], [sample]) == {"f1": 1.0, "iou": 1.0, "dice": 1.0}
    assert figures_of([], []) == {}


def test_maps_and_masks_must_go_together():
    with pytest.raises(ValueError, match=r"^expected as many masks as maps, at least one, instead got 0 and 0$"):
        paper_metrics([], [])
    with pytest.raises(ValueError, match=r"mask must have shape"):
        clean_metrics([np.zeros((3, 4))], [np.zeros((4, 3), np.bool_)])
