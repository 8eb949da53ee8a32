"""Motion too fast for phase: what holds inside of a target, along its edge, and around."""

from datetime import date, timedelta

import numpy as np
import pytest

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.types import Pair, RadarGrid
from groundshift.workflows.following import Patch
from groundshift.workflows.lost_phase import why_too_fast

SHAPE = (60, 60)
RADIUS = 9.0
FAST = -0.2
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]] - 30.0
AWAY = np.hypot(Y, X)
DAYS = [date(2020, 1, 1) + timedelta(days=12 * k) for k in range(8)]
PAIRS = tuple(Pair(a, b) for k, a in enumerate(DAYS) for b in DAYS[k + 1 : k + 3])


def _patch(phase_12_days, coherence=None, others=None):
    """A patch whose phase grows with time from zero to `phase_12_days` in twelve days."""
    rng = np.random.default_rng(0)
    igrams = np.stack([
        0.8 * np.exp(1j * (phase_12_days * p.days / 12 + 0.3 * rng.standard_normal(SHAPE)))
        if coherence is None
        else np.where(coherence, 0.8, 0.1) * np.exp(1j * np.where(coherence, 0, rng.uniform(-3.1, 3.1, SHAPE)))
        for p in PAIRS
    ]).astype(np.complex64)  # fmt: skip
    return Patch(
        igrams=igrams, pairs=PAIRS, grid=RadarGrid(SHAPE, (40.0, 40.0)), wavelength=SENTINEL1_WAVELENGTH, look=None,
        inside=AWAY <= RADIUS, others=np.zeros(SHAPE, np.bool_) if others is None else others,
        significance=np.full(SHAPE, np.nan, np.float32), stacked_velocity=np.full(SHAPE, np.nan, np.float32),
    )  # fmt: skip


def _bump(peak):
    return peak * np.exp(-(AWAY**2) / (2 * 5.0**2))


@pytest.mark.parametrize("peak", [0.0, 1.0, 5.0])
def test_motion_that_phase_can_follow_is_not_too_fast(peak):
    # The steepest fringes of the last have 0.6 rad from pixel to pixel in the shortest pairs.
    assert why_too_fast(_patch(_bump(peak)), FAST) == ""


def test_fringes_denser_than_pixels_are_told():
    # 0.6 peak / width at the steepest place: 7 rad from pixel to pixel.
    told = why_too_fast(_patch(_bump(60.0)), FAST)
    assert told.startswith("phase holds on ")
    assert told.endswith("of the target, and on 100 % of the ground around")


def test_a_body_that_moves_as_one_is_told_by_its_edge():
    told = why_too_fast(_patch(25.0 * (1 - np.clip((AWAY - RADIUS) / 4.0, 0, 1)) ** 1.5), FAST)
    assert "of its edge, and on" in told


def test_ground_torn_up_is_told_and_woods_all_over_are_not():
    assert "of the target, and on 100 %" in why_too_fast(_patch(None, coherence=AWAY > RADIUS), FAST)
    assert why_too_fast(_patch(None, coherence=np.zeros(SHAPE, np.bool_)), FAST) == ""


def test_other_targets_around_do_not_count():
    lost = (AWAY > RADIUS) & (AWAY <= 2 * RADIUS)
    assert why_too_fast(_patch(None, coherence=~lost), FAST) != ""
    assert why_too_fast(_patch(None, coherence=~lost, others=lost), FAST) == ""


def test_without_ground_around_nothing_is_said():
    patch = _patch(_bump(60.0))
    patch.igrams[:, AWAY > RADIUS + 1] = 0
    assert why_too_fast(patch, FAST) == ""
