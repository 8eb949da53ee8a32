"""What one way of looking finds is joined with what others have found."""

from dataclasses import replace
from datetime import date

import pytest
from shapely import box

from groundshift.detect import Detection
from groundshift.inventory import carry_identity, make_targets
from groundshift.inventory.join import join_targets, keep_evidence

_ALL = box(-10, -10, 10, 10)


def _target(west, window, velocity=-50.0, day=2020, width=0.01):
    detection = Detection(
        polygon=box(west, 0.0, west + width, 0.01), score=0.8, detector=window, track="T1", window=window,
        directions=("range",), velocity=velocity, velocity_sigma=2.0, significance=8.0, mean_coherence=0.6, n_pairs=9,
        slope=30.0, aspect=90.0,
    )  # fmt: skip
    return make_targets([[detection]], first_seen=date(day, 1, 1), last_seen=date(day, 12, 31))[0]


def test_a_place_that_both_see_is_one_target_with_the_evidence_of_both():
    phase = replace(_target(0.0, "all"), review="confirmed", note="seen from a helicopter")
    fast = _target(0.004, "offsets", velocity=-4000.0, day=2021)
    (one,) = join_targets([fast], [phase], window="offsets", covered=_ALL)
    assert one.id == phase.id
    assert {d.window for d in one.detections} == {"all", "offsets"}
    assert one.geometry.equals(phase.geometry.union(fast.geometry))
    assert (one.review, one.note) == ("confirmed", "seen from a helicopter")
    assert one.velocity_los_mm_yr == -4000.0
    assert (one.first_seen, one.last_seen) == (date(2020, 1, 1), date(2021, 12, 31))


def test_what_others_have_found_is_not_said_to_have_vanished():
    phase = _target(0.0, "all")
    assert join_targets([], [phase], window="offsets", covered=_ALL) == [phase]


@pytest.mark.parametrize(("covered", "marked"), [(_ALL, True), (box(5, 5, 6, 6), False)])
def test_what_only_an_earlier_run_has_found_is_marked_where_this_one_has_looked(covered, marked):
    (left,) = join_targets([], [_target(0.0, "offsets")], window="offsets", covered=covered)
    assert ("not seen since" in left.note) is marked


def test_a_survey_keeps_what_offsets_have_seen():
    phase, fast = _target(0.0, "all"), _target(0.004, "offsets", velocity=-4000.0)
    alone = _target(1.0, "offsets", velocity=-2000.0)
    before = join_targets([fast, alone], [phase], window="offsets", covered=_ALL)
    again = carry_identity([_target(0.0, "all", velocity=-30.0, day=2022)], before, covered=_ALL)
    assert "not seen since" in again[1].note
    first, second = keep_evidence(again, before, "offsets")
    assert sorted(d.window for d in first.detections) == ["all", "offsets"]
    assert first.velocity_los_mm_yr == -4000.0
    assert first.last_seen == date(2022, 12, 31)
    assert second == before[1]


def test_a_second_run_replaces_its_own_evidence_only():
    phase, fast = _target(0.0, "all"), _target(0.004, "offsets", velocity=-4000.0)
    (once,) = join_targets([fast], [phase], window="offsets", covered=_ALL)
    (twice,) = join_targets([_target(0.004, "offsets", velocity=-5000.0)], [once], window="offsets", covered=_ALL)
    assert sorted(d.window for d in twice.detections) == ["all", "offsets"]
    assert twice.velocity_los_mm_yr == -5000.0


def test_a_line_of_sight_across_the_motion_does_not_speak():
    phase = _target(0.0, "all", velocity=-700.0)
    across = _target(0.004, "offsets", velocity=5.0)
    (once,) = join_targets([across], [phase], window="offsets", covered=_ALL)
    assert (once.velocity_los_mm_yr, len(once.detections)) == (-700.0, 2)
    again = carry_identity([_target(0.0, "all", velocity=-650.0, day=2022)], [once], covered=_ALL)
    (kept,) = keep_evidence(again, [once], "offsets")
    assert (kept.velocity_los_mm_yr, len(kept.detections)) == (-650.0, 2)
    # What an earlier run of offsets has told is not taken for that of phase.
    (told,) = join_targets([_target(0.004, "offsets", velocity=-4000.0)], [once], window="offsets", covered=_ALL)
    (twice,) = join_targets([across], [told], window="offsets", covered=_ALL)
    assert (told.velocity_los_mm_yr, twice.velocity_los_mm_yr) == (-4000.0, -700.0)
