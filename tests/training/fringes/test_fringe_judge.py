"""Figures of a fringe classifier: those that the paper's counts give, and what follows from their definition."""

import math

import numpy as np
import pytest

from groundshift.training.fringes.judge import Counts, break_even, class_weights, count_windows, figures_of
from groundshift.training.fringes.patches import FringeSample


def windows(right_positive, wrong_positive, right_negative, wrong_negative):
    """Scores of 0.9 and 0.1, and the classes."""
    scores = [0.9] * right_positive + [0.1] * wrong_positive + [0.1] * right_negative + [0.9] * wrong_negative
    positive = [True] * (right_positive + wrong_positive) + [False] * (right_negative + wrong_negative)
    return np.array(scores), np.array(positive)


@pytest.mark.parametrize(
    ("counts", "tp", "fn", "fp", "recall", "precision"),
    [
        # Table 6 of Kamiyama et al. (2018): cases 1 (cv1), 1 (cv4), 2 (cv1) and 3 (cv2).
        ((8, 1, 996, 4), 448.4, 56.1, 2.0, 88.9, 99.6),
        ((7, 1, 1000, 0), 441.0, 63.0, 0.0, 87.5, 100.0),
        ((9, 2, 1496, 4), 618.1, 137.4, 2.0, 81.8, 99.7),
        ((11, 0, 1488, 12), 755.5, 0.0, 6.0, 100.0, 99.2),
    ],
)
def test_equal_classes_give_the_paper_its_table_6(counts, tp, fn, fp, recall, precision):
    found = count_windows(*windows(*counts), equal=True)
    assert [found.tp, found.fn, found.fp] == pytest.approx([tp, fn, fp], abs=0.06)
    assert 100 * found.recall == pytest.approx(recall, abs=0.06)
    assert 100 * found.precision == pytest.approx(precision, abs=0.06)


def test_scene_precision_is_that_of_table_7():
    assert round(100 * Counts(9, 0, 319).precision, 1) == 2.7
    assert round(100 * Counts(9, 0, 236).precision, 1) == 3.7
    assert round(100 * Counts(10, 1, 344).recall, 1) == 90.9


def test_weights_make_both_classes_half():
    positive = np.array([True] * 3 + [False] * 40)
    weight = class_weights(positive, equal=True)
    assert weight[positive].sum() == pytest.approx(21.5)
    assert weight[~positive].sum() == pytest.approx(21.5)
    np.testing.assert_array_equal(class_weights(positive, equal=False), 1)


def test_break_even_of_scores_that_part_the_classes_is_one():
    scores, positive = np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False])
    assert break_even(scores, positive, equal=False) == 1
    assert break_even(scores, positive, equal=True) == 1


def test_break_even_is_precision_where_it_equals_recall():
    # Above 0.5 one of two is right, and one of two is found.
    scores, positive = np.array([0.9, 0.3, 0.8, 0.1]), np.array([True, True, False, False])
    assert break_even(scores, positive, equal=False) == pytest.approx(0.5)


def test_break_even_between_two_thresholds_is_the_mean_of_their_precisions():
    # Up to 0.20 all are found, 3 of 5 right; from 0.21 on 2 of 3 candidates are, all right.
    scores, positive = np.array([0.9, 0.9, 0.2, 0.2, 0.2]), np.array([True, True, True, False, False])
    assert break_even(scores, positive, equal=False) == pytest.approx((3 / 5 + 1) / 2)


def test_break_even_of_equal_scores_is_the_share_of_candidates():
    scores, positive = np.full(10, 0.5), np.arange(10) < 3
    assert break_even(scores, positive, equal=False) == pytest.approx(0.3)
    assert break_even(scores, positive, equal=True) == pytest.approx(0.5)


def test_one_class_alone_has_no_break_even():
    assert math.isnan(break_even(np.array([0.5]), np.array([True]), equal=True))
    nothing = np.zeros((150, 150), np.float32)
    assert figures_of([0.5], [FringeSample(nothing, nothing, True, "a")]) == {}


def test_nothing_there_and_nothing_found_are_not_known():
    assert math.isnan(Counts(0, 0, 1).recall)
    assert math.isnan(Counts(0, 1, 0).precision)
