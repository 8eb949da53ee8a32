"""Two components of motion from several tracks."""

import numpy as np
import pytest

from groundshift.geometry.terrain import downslope_sensitivity
from groundshift.timeseries import decompose_east_up, decompose_slope
from groundshift.types import LookGeometry

ASCENDING = LookGeometry(heading=348.0, incidence=39.0)
DESCENDING = LookGeometry(heading=192.0, incidence=36.0)
OVERLAPPING = LookGeometry(heading=348.0, incidence=34.0)


def seen(motion, looks) -> np.ndarray:
    """Line-of-sight value of a motion (east, north, up) in each track."""
    return np.array([np.dot(look.to_satellite, motion) for look in looks])


@pytest.mark.parametrize("looks", [[ASCENDING, DESCENDING], [ASCENDING, DESCENDING, OVERLAPPING]])
@pytest.mark.parametrize(("east", "up"), [(30.0, 0.0), (0.0, -12.0), (-7.0, 5.0)])
def test_recovers_east_and_up(looks, east, up):
    found = decompose_east_up(seen((east, 0.0, up), looks), np.ones(len(looks)), looks)
    assert (float(found.first), float(found.second)) == pytest.approx((east, up))
    assert found.reason == ""


@pytest.mark.parametrize("aspect", [60.0, 90.0, 250.0, 300.0])
def test_recovers_motion_down_and_off_the_slope(aspect):
    looks = [ASCENDING, DESCENDING]
    slope = 25.0
    down = np.array([downslope_sensitivity(slope, aspect, look) for look in looks])
    found = decompose_slope(40.0 * down, [1.0, 1.0], looks, slope, aspect)
    assert (float(found.first), float(found.second)) == pytest.approx((40.0, 0.0), abs=1e-9)


def test_level_ground_moves_down_the_slope_as_it_moves_east():
    looks = [ASCENDING, DESCENDING]
    los = [3.0, -8.0]
    plain, level = decompose_east_up(los, [1.0, 2.0], looks), decompose_slope(los, [1.0, 2.0], looks, 0.0, 90.0)
    np.testing.assert_allclose(level.first, plain.first)
    np.testing.assert_allclose(level.second, plain.second)


def test_covariance_is_that_of_repeated_measurements():
    looks = [ASCENDING, DESCENDING, OVERLAPPING]
    sigma = np.array([1.0, 3.0, 2.0])
    drawn = seen((5.0, 0.0, -9.0), looks)[:, None] + sigma[:, None] * np.random.default_rng(0).standard_normal(
        (3, 4000)
    )
    found = decompose_east_up(drawn, np.repeat(sigma[:, None], 4000, axis=1), looks)
    np.testing.assert_allclose(np.cov(found.first, found.second), found.covariance[0], rtol=0.1, atol=0.05)
    np.testing.assert_allclose(found.sigma[0][0] ** 2, found.covariance[0, 0, 0])


def test_tracks_that_look_alike_are_refused():
    found = decompose_east_up([1.0, 2.0], [0.1, 0.1], [ASCENDING, OVERLAPPING])
    assert np.isnan([float(found.first), float(found.second)]).all()
    assert np.isnan(found.covariance).all()
    assert float(found.condition) > 10
    assert found.reason.startswith("the tracks look too much alike for two components: condition number ")


def test_slopes_that_face_north_are_refused_and_others_are_not():
    looks = [ASCENDING, DESCENDING]
    found = decompose_slope(np.ones((2, 4)), np.ones((2, 4)), looks, 25.0, np.array([0.0, 90.0, np.nan, 180.0]))
    assert np.isfinite(found.first).tolist() == [False, True, False, False]
    assert found.reason == ""


def test_what_one_track_does_not_know_is_not_known():
    los = np.array([[1.0, np.nan, 1.0], [2.0, 2.0, 2.0]])
    sigma = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    found = decompose_east_up(los, sigma, [ASCENDING, DESCENDING])
    assert np.isfinite(found.first).tolist() == [True, False, False]
    assert decompose_east_up(los[:, 1], sigma[:, 1], [ASCENDING, DESCENDING]).reason == (
        "no place is known from two tracks"
    )


def test_a_third_track_fills_in_where_another_is_missing():
    looks = [ASCENDING, DESCENDING, OVERLAPPING]
    los = seen((5.0, 0.0, -9.0), looks)
    los[0] = np.nan
    found = decompose_east_up(los, np.ones(3), looks)
    assert (float(found.first), float(found.second)) == pytest.approx((5.0, -9.0))


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"^looks must be of two tracks at least, instead got 1$"):
        decompose_east_up([1.0], [1.0], [ASCENDING])
    with pytest.raises(ValueError, match=r"^los must have shape \(2,\), instead got \(3,\)$"):
        decompose_east_up([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [ASCENDING, DESCENDING])
