"""Where a target that two tracks have seen moves to."""

import re
from datetime import date

import numpy as np
import pytest
from shapely import box

from groundshift.inventory import Target
from groundshift.types import LookGeometry
from groundshift.workflows.directions import with_directions
from groundshift.workflows.motion import Record, TargetMotion

UP = LookGeometry(heading=348.0, incidence=39.0)
DOWN = LookGeometry(heading=192.0, incidence=39.0)


def a_target(slope=None, aspect=None):
    return Target(
        "t", box(0, 0, 0.01, 0.01), "landslide", 0.9, (), date(2018, 1, 1), date(2020, 1, 1), 1e6, 10.0, 1.0, 0.5, 60,
        slope_deg=slope, aspect_deg=aspect,
    )  # fmt: skip


def seen(track, rate, look, sigma=1.0, reason=""):
    record = Record(
        fingerprint="", target="t", track=track, reason=reason, rate_mm_yr=rate, rate_sigma_mm_yr=sigma,
        facts={"Rate": "told"},
    )  # fmt: skip
    return TargetMotion(record, look=look)


def along(motion, look):
    """Line-of-sight part of a motion (east, north, up)."""
    return float(np.dot(motion, look.to_satellite))


def numbers(text):
    return [float(number) for number in re.findall(r"\d+\.\d+", text)]


def test_motion_without_a_northern_part_comes_back():
    motion = (-20.0, 0.0, -7.0)
    told = with_directions(a_target(), [seen("up", along(motion, UP), UP), seen("down", along(motion, DOWN), DOWN)])
    for one in told:
        assert list(one.record.facts) == ["Rate", "East and up"]
        text = one.record.facts["East and up"]
        east, _, up, _ = numbers(text)
        assert (east, up) == (20.0, 7.0)
        assert re.fullmatch(r".* to the west, .* down, assuming none to the north", text)


def test_motion_down_the_slope_comes_back():
    slope, aspect = 25.0, 280.0
    b, a = np.radians(slope), np.radians(aspect)
    motion = 40.0 * np.array([np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), -np.sin(b)])
    told = with_directions(
        a_target(slope, aspect), [seen("up", along(motion, UP), UP), seen("down", along(motion, DOWN), DOWN)]
    )
    down, _, off, _ = numbers(told[0].record.facts["Down and off the slope"])
    assert (down, off) == (40.0, 0.0)


def test_of_looks_too_much_alike_nothing_is_told_but_why():
    other = LookGeometry(heading=348.5, incidence=43.0)
    told = with_directions(a_target(), [seen("a", 10.0, UP), seen("b", 11.0, other)])
    assert re.match("not told: the tracks look too much alike", told[0].record.facts["East and up"])


@pytest.mark.parametrize("second", [None, seen("b", None, DOWN, None, "no pixel"), seen("b", 3.0, None)])
def test_one_look_tells_no_direction(second):
    motions = [seen("a", 10.0, UP), *([second] if second else [])]
    assert with_directions(a_target(30.0, 90.0), motions) == motions
