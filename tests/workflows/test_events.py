"""Events of a site, and how its footprint has grown, as plain values and in words."""

from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from groundshift.timeseries import Stages
from groundshift.timeseries.stages import Knot
from groundshift.workflows.events import dated_stages, events_of, facts_of_site, footprint_areas

DAYS = tuple(date(2018, 1, 1) + timedelta(12 * k) for k in range(40))
TURN = 20
YEARS = np.arange(40) * 12 / 365.25


def followed(displacement, sigma=None, groups=None):
    """As much of what `follow` tells as events want."""
    sigma = np.full(displacement.shape, 1e-4) if sigma is None else sigma
    inverted = SimpleNamespace(displacement=displacement.astype(np.float32), sigma=sigma.astype(np.float32))
    groups = np.ones(len(displacement), np.int64) if groups is None else groups
    return SimpleNamespace(
        dates=DAYS[: len(displacement)], displacement=displacement, sigma=sigma, groups=groups, inverted=inverted
    )


def course(*rates):
    """Displacement at rates that change at `TURN`, with a millimetre of noise, metres."""
    before, after = rates
    bend = YEARS[TURN]
    noise = np.random.default_rng(1).normal(0, 1e-3, len(DAYS))
    return before * np.minimum(YEARS, bend) + after * np.maximum(YEARS - bend, 0) + noise


@pytest.mark.parametrize(
    ("rates", "kind"),
    [
        ((0.0, -0.3), "onset"),
        ((-0.3, 0.0), "stop"),
        ((-0.3, -0.9), "acceleration"),
        ((-0.9, -0.3), "deceleration"),
        ((0.0, 0.3), "onset"),
    ],
)
def test_an_event_has_its_day_and_rates_in_millimetres(rates, kind):
    (event,) = events_of(dated_stages(followed(course(*rates))))
    assert set(event) == {"kind", "day", "early", "late", "rate_before_mm_yr", "rate_after_mm_yr"}
    assert event["kind"] == kind
    assert abs((event["day"] - DAYS[TURN]).days) <= 3
    assert event["early"] <= event["day"] <= event["late"]
    assert event["rate_before_mm_yr"] == pytest.approx(1000 * rates[0], abs=10)
    assert event["rate_after_mm_yr"] == pytest.approx(1000 * rates[1], abs=10)


def test_dates_that_no_pair_joins_do_not_make_an_event():
    """A jump of unknown size between two groups of dates."""
    moved = -0.3 * YEARS + np.random.default_rng(2).normal(0, 1e-3, len(DAYS)) + np.where(np.arange(40) < TURN, 0, 0.2)
    groups = np.where(np.arange(40) < TURN, 1, 2)
    stages = dated_stages(followed(moved, groups=groups))
    assert events_of(stages) == []
    assert stages.rates == pytest.approx([-0.3], abs=0.005)
    assert stages.offset == pytest.approx([0, 0.2], abs=0.005)
    # Taken for joined, the same dates tell another course.
    joined = dated_stages(followed(moved))
    assert joined.knots or joined.rates[0] > -0.2


# The footprint


def patch_of(shape=(30, 40), spacing=(10.0, 20.0), others=None):
    inside = np.zeros(shape, bool)
    inside[10:20, 10:20] = True
    others = np.zeros(shape, bool) if others is None else others
    return SimpleNamespace(grid=SimpleNamespace(spacing=spacing), inside=inside, others=others)


def test_the_footprint_is_what_has_moved_by_a_centimetre_and_hangs_together_with_the_site():
    moved = np.zeros((4, 30, 40))
    moved[1, 12:14, 12:14] = -0.02
    moved[2, 10:16, 5:15] = -0.02
    moved[2, 25:28, 30:38] = -0.5  # somewhere else
    moved[3, 8:20, 5:15] = 0.02  # grows beyond the site, and what rises counts as well
    moved[3, 20, 15] = 0.02  # touches at a corner
    moved[3, 8:20, 16:18] = 0.0099
    areas = footprint_areas(patch_of(), followed(moved))
    np.testing.assert_allclose(areas, 200 * np.array([0, 4, 60, 12 * 10 + 1]))


def test_motion_counts_from_the_first_date_and_beyond_four_standard_errors():
    moved = np.zeros((3, 30, 40))
    moved[:, 12:16, 12:16] = np.array([0.5, 0.505, 0.53])[:, None, None]
    sigma = np.full(moved.shape, 0.001)
    np.testing.assert_allclose(footprint_areas(patch_of(), followed(moved, sigma)), 200 * np.array([0, 0, 16]))
    sigma[:, 12:16, 14:16] = 0.008
    np.testing.assert_allclose(footprint_areas(patch_of(), followed(moved, sigma)), 200 * np.array([0, 0, 8]))


def test_other_sites_do_not_count_and_dates_without_data_are_not_known():
    others = np.zeros((30, 40), bool)
    others[:, 20:] = True
    moved = np.zeros((4, 30, 40))
    moved[1:, 12:16, 12:30] = -0.1
    moved[2] = np.nan
    moved[3, 14] = np.nan
    areas = footprint_areas(patch_of(others=others), followed(moved))
    np.testing.assert_allclose(areas, 200 * np.array([0, 4 * 8, np.nan, 3 * 8]))


# In words


def stages_of(*knots, reason=""):
    return Stages(DAYS[0], knots, np.zeros(len(knots) + 1), np.zeros(len(knots) + 1), np.zeros(1), 0.0, 40, reason)


def test_events_and_growth_are_told_in_words():
    turn = Knot(DAYS[20], DAYS[19], DAYS[21], "acceleration", -0.3004, -0.9, 0.01, 0.01, 50.0)
    stop = Knot(DAYS[30], DAYS[28], DAYS[31], "stop", -0.9, 0.0, 0.01, 0.01, 50.0)
    areas = np.array([np.nan, *np.linspace(0, 380_000, 39)])
    facts = facts_of_site(stages_of(turn, stop), DAYS, areas)
    assert facts["Events"] == (
        "acceleration on 2018-08-29 (95 % from 2018-08-17 to 2018-09-10), -300 mm/yr before, -900 after; "
        "stop on 2018-12-27 (95 % from 2018-12-03 to 2019-01-08), -900 mm/yr before, +0 after"
    )
    # After each quarter of the time that is known.
    assert facts["Area that has moved"] == (
        f"0.10 km² by {DAYS[11]}, 0.19 km² by {DAYS[20]}, 0.28 km² by {DAYS[29]}, 0.38 km² by {DAYS[39]}"
    )


def test_what_is_not_known_is_said():
    facts = facts_of_site(
        stages_of(reason="no change of the rate stands out from the noise"), DAYS, np.full(40, np.nan)
    )
    assert facts == {
        "Events": "none: no change of the rate stands out from the noise", "Area that has moved": "not known"
    }  # fmt: skip
