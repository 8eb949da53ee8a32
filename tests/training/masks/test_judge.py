"""Masks against the truth, in closed forms."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.training.masks.judge import boundary, compared, figures_of
from groundshift.training.masks.samples import MaskSample

SHAPE = (60, 80)


def lake(left=20, right=50, *, top=10, bottom=40):
    """Ground with a lake; True is coherent."""
    mask = np.ones(SHAPE, bool)
    mask[top:bottom, left:right] = False
    return mask


def truth(usable, told=None, known=None):
    ones = np.ones(usable.shape, np.float32)
    known, told = (ones if plane is None else plane.astype(np.float32) for plane in (known, told))
    return MaskSample(0 * ones, 0.5 * known, 0 * ones, usable.astype(np.float32), told, "a")


def test_what_is_right_is_right():
    assert compared([lake()], [truth(lake())]) == {"iou": 1, "f1": 1, "boundary_f1": 1, "lost": 0, "left": 0}


def test_a_lake_that_is_shifted():
    found = compared([lake(25, 55)], [truth(lake())])
    assert found["iou"] == pytest.approx(25 / 35)
    assert found["f1"] == pytest.approx(25 / 30)
    assert found["lost"] == pytest.approx(30 * 5 / (60 * 80 - 30 * 30))
    assert found["left"] == pytest.approx(5 / 30)


@pytest.mark.parametrize(("shift", "agrees"), [(1, True), (2, True), (3, False)])
def test_boundaries_agree_within_two_pixels(shift, agrees):
    found = compared([lake(20 + shift, 50 + shift)], [truth(lake())])
    assert (found["boundary_f1"] == 1) == agrees


def test_a_boundary_is_the_rim_of_a_mask():
    rim = boundary(~lake(), np.ones(SHAPE, bool))
    assert rim.sum() == 2 * 30 + 2 * 28
    assert not (rim & lake()).any()
    # Where data end there is none.
    judged = np.zeros(SHAPE, bool)
    judged[10:40, 20:50] = True
    assert not boundary(~lake(), judged).any()


def test_masking_everything_loses_everything_and_nothing_finds_nothing():
    everything = compared([np.zeros(SHAPE, bool)], [truth(lake())])
    assert everything["iou"] == pytest.approx(900 / 4800)
    assert (everything["lost"], everything["left"], everything["boundary_f1"]) == (1, 0, 0)
    nothing = compared([np.ones(SHAPE, bool)], [truth(lake())])
    assert nothing == {"iou": 0, "f1": 0, "boundary_f1": 0, "lost": 0, "left": 1}


def test_nothing_to_find_and_nothing_found_is_right():
    dry = np.ones(SHAPE, bool)
    assert compared([dry], [truth(dry)]) == {"iou": 1, "f1": 1, "boundary_f1": 1, "lost": 0, "left": 0}


@pytest.mark.parametrize("hidden", ["told", "known"])
def test_ground_that_nobody_knows_does_not_count(hidden):
    judged = np.ones(SHAPE, bool)
    judged[:, 40:] = False
    wrong = lake()
    wrong[:, 42:] = ~wrong[:, 42:]
    found = compared([wrong], [truth(lake(), **{hidden: judged})])
    assert (found["iou"], found["lost"], found["left"]) == (1, 0, 0)


def test_counts_are_added_up_before_shares_are_taken():
    pair = compared([lake(25, 55), np.ones(SHAPE, bool)], [truth(lake()), truth(np.ones(SHAPE, bool))])
    assert pair["iou"] == pytest.approx(25 / 35)
    assert pair["lost"] == pytest.approx(150 / (2 * 4800 - 900))


def test_probabilities_count_from_a_half():
    usable = lake()
    answer = np.where(usable, 0.5, 0.49).astype(np.float32)
    assert figures_of([answer], [truth(usable)])["iou"] == 1
    assert next(iter(figures_of([answer], [truth(usable)]))) == "iou"
