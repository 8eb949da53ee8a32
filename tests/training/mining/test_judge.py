"""Figures of networks over mines."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.training.mining.judge import figures_of, level_with, overlap  # noqa: E402
from groundshift.training.mining.tasks import Answer  # noqa: E402


def test_the_right_answer_is_wholly_right_whatever_its_constant(a_sample):
    samples = [a_sample(0), a_sample(3, peak=-9.0)]
    answers = [Answer(s.footprint, s.phase + 40 * k, None) for k, s in enumerate(samples)]
    assert figures_of(answers, samples) == {"score": 1, "iou": 1, "precision": 1, "recall": 1, "right": 1}


def test_pixels_of_all_footprints_are_counted_together(a_sample):
    samples = [a_sample(0), a_sample(1, peak=0.0)]
    blank = samples[1]._replace(footprint=np.zeros((40, 48), np.float32))
    half = samples[0].footprint.copy()
    half[:18] = 0
    wrong = np.zeros((40, 48), np.float32)
    wrong[30:35, 10:20] = 0.5
    figures = figures_of([Answer(half, None, None), Answer(wrong, None, None)], [samples[0], blank])
    wanted, common = (samples[0].footprint > 0).sum(), (half > 0).sum()
    assert figures["precision"] == pytest.approx(common / (common + 50))
    assert figures["recall"] == pytest.approx(common / wanted)
    assert figures["iou"] == figures["score"] == pytest.approx(common / (wanted + 50))
    assert "right" not in figures


def test_pixels_a_cycle_off_are_wrong_and_only_coherent_ones_in_bowls_count(a_sample):
    sample = a_sample()
    inside = sample.footprint > 0
    phase = sample.phase.copy()
    off = np.zeros_like(inside)
    off[:, :25] = True
    phase[off & inside] += 2 * np.pi
    phase[~inside & off] += np.float32(2 * np.pi)
    keep = sample._replace(coherence=np.where(np.indices((40, 48))[0] < 15, np.float32(0.1), sample.coherence))
    judged = (keep.coherence > 0.15) & inside
    figures = figures_of([Answer(None, phase, None)], [keep])
    # The constant is that of most pixels.
    assert off[keep.coherence > 0.15].mean() > 0.5
    assert figures == {"score": figures["right"], "right": pytest.approx((off & judged).sum() / judged.sum())}


def test_the_score_is_the_mean_of_finding_and_unwrapping(a_sample):
    sample = a_sample()
    tilted = sample.phase + 20 * (sample.footprint > 0)
    figures = figures_of([Answer(sample.footprint, tilted, None)], [sample])
    assert (figures["iou"], figures["right"], figures["score"]) == (1, 0, 0.5)


def test_unwrapping_is_not_judged_where_nobody_knows_it(a_sample):
    sample = a_sample(told=False)
    assert set(figures_of([Answer(sample.footprint, sample.wrapped, None)], [sample])) == {
        "score", "iou", "precision", "recall",
    }  # fmt: skip


def test_nothing_to_find_scores_nothing_and_nothing_found_has_no_precision(a_sample):
    blank = a_sample()._replace(footprint=np.zeros((40, 48), np.float32))
    assert figures_of([Answer(blank.footprint, None, None)], [blank]) == {"score": 0}
    sample = a_sample()
    figures = figures_of([Answer(0 * sample.footprint, None, None)], [sample])
    assert figures == {"score": 0, "iou": 0, "precision": 0, "recall": 0}


def test_where_there_are_no_data_nothing_is_judged(a_sample):
    sample = a_sample()
    footprint, answer = sample.footprint.copy(), sample.footprint.copy()
    footprint[:3, :3], answer[1:4, 1:5] = 1, 1
    assert figures_of([Answer(answer, None, None)], [sample._replace(footprint=footprint)])["iou"] == 1


def test_level_and_overlap_by_hand():
    off = level_with(np.array([[1.0, 2.0, 9.0]]), np.array([[0.0, 0.0, 0.0]]), np.array([[True, True, True]]))
    np.testing.assert_array_equal(off, [[-1, 0, 7]])
    np.testing.assert_array_equal(level_with(np.ones((1, 2)), np.zeros((1, 2)), np.zeros((1, 2), bool)), [[1, 1]])
    assert overlap(np.array([True, True, False]), np.array([True, False, True])) == (1, 2, 2)
