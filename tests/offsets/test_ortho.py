"""Images laid over the reference: by geometry alone, and after what patches show."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from tests.offsets.ortho_scene import BASE, LAT, LON, a_pass, dem_around, east_north, hills, image_of, level

from groundshift.geometry.orbits import Orbit, earth_fixed
from groundshift.io.amplitude import AmplitudeImage
from groundshift.offsets.errors import OtherPlaceError, RegistrationError
from groundshift.offsets.lookup import LookupTable, ground_of, lookup_table
from groundshift.offsets.matching import match
from groundshift.offsets.ortho import orthorectify, pixel_ratio, resample

_REFERENCE = a_pass(incidence=38.0)
_SECONDARY = a_pass(incidence=34.0, spacing=(7.5, 6.0), shape=(496, 384))
"""Some 50 km beside the reference, on another grid."""


@pytest.fixture(scope="module")
def ground():
    return ground_of(_REFERENCE, *dem_around(hills))


@pytest.fixture(scope="module")
def reference():
    return image_of(_REFERENCE)


@pytest.fixture(scope="module")
def secondary():
    return image_of(_SECONDARY)


def _identity(shape, down=1.0, right=1.0, shift=(0.0, 0.0)):
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    return LookupTable(down * y + shift[0], right * x + shift[1])


def _opened(geometry, amplitude):
    return AmplitudeImage(
        "plain", Path("later"), date(2015, 7, 27), "PALSAR-2", geometry, lambda w: amplitude[w.rows, w.columns]
    )


def _wrong(geometry):
    """Times wrong by three rows, distances by two columns, and an orbit 2 km beside, which tilts relief."""
    orbit = geometry.orbit
    satellite, velocity = orbit.at(0.0)
    across = np.cross(earth_fixed(LON, LAT, BASE) - satellite, velocity)
    beside = orbit.positions + 2000.0 * across / np.linalg.norm(across)
    return replace(
        geometry,
        first_time=geometry.first_time + 3 * geometry.line_interval,
        axis=replace(geometry.axis, near=geometry.axis.near - 2 * geometry.axis.step),
        orbit=Orbit(orbit.times, beside, orbit.velocities),
    )


def test_geometry_alone_brings_images_of_different_incidence_together(ground, reference, secondary):
    image = resample(secondary, lookup_table(ground, _SECONDARY))
    found = match(reference, image, windows=(64,), step=32, search=4)
    known = np.isfinite(found.azimuth) & (found.rows + 36 < 400)[:, np.newaxis] & (found.columns + 36 < 320)
    assert known.sum() > 50
    assert np.abs(found.azimuth[known]).max() < 0.02
    assert np.abs(found.range[known]).max() < 0.02
    assert np.corrcoef(image.ravel(), reference.ravel())[0, 1] > 0.999


def test_without_heights_images_are_apart_by_what_the_incidence_makes_of_them(ground, reference, secondary):
    table, flat = (lookup_table(g, _SECONDARY) for g in (ground, ground_of(_REFERENCE, *dem_around(level))))
    apart = (table.columns - flat.columns).ravel()
    slope = np.polyfit(ground.height.ravel() - BASE, apart, 1)[0]
    # A point higher by dh is seen at the same distance nearer by dh / tan i: from elsewhere that is another distance.
    closed = np.sin(np.radians(34.0 - 38.0)) / np.sin(np.radians(38.0)) / _SECONDARY.axis.step
    assert slope == pytest.approx(closed, rel=0.02)
    found = match(reference, resample(secondary, flat), windows=(64,), step=16, search=8)
    known = np.isfinite(found.range)
    over_window = uniform_filter(apart.reshape(400, 320), 64) / pixel_ratio(flat)[1]
    expected = over_window[np.ix_(found.rows.astype(int), found.columns.astype(int))][known]
    assert np.polyfit(expected, found.range[known], 1)[0] == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(expected, found.range[known])[0, 1] > 0.98
    assert np.ptp(found.range[known]) > 5.0


def test_wrong_times_distances_and_orbits_are_found(ground, reference, secondary):
    ortho = orthorectify(reference, ground, _opened(_wrong(_SECONDARY), secondary), search=8)
    before, first, second = ortho.residuals
    ratio = pixel_ratio(ortho.table)
    assert before.azimuth > 1.5
    assert before.range > 1.5
    assert max(first.azimuth, first.range) < 0.2
    assert max(second.azimuth, second.range) < 0.05
    true = lookup_table(ground, _SECONDARY)
    assert np.abs(ortho.table.rows - true.rows).max() / ratio[0] < 0.05
    assert np.abs(ortho.table.columns - true.columns).max() / ratio[1] < 0.06
    # The relief that the wrong baseline tilts, columns per kilometre.
    tilt = sum(c.columns[4] for c in ortho.corrections)
    tilted = lookup_table(ground, _wrong(_SECONDARY)).columns - true.columns
    terms = np.stack(
        [np.ones(tilted.size), *(a.ravel() for a in np.mgrid[:400, :320]), ground.height.ravel() / 1000], 1
    )
    assert tilt == pytest.approx(-np.linalg.lstsq(terms, tilted.ravel())[0][3], rel=0.1)


def _slide(lon, lat):
    """A body of 1 by 1.2 km, 20 m to the north."""
    east, north = east_north(lon, lat)
    return np.where((np.abs(east) < 500) & (np.abs(north - 300) < 600), 20.0, 0.0)


def test_ground_that_moves_does_not_bend_the_table(ground, reference):
    moved = image_of(_SECONDARY, north_m=_slide)
    ortho = orthorectify(reference, ground, _opened(_wrong(_SECONDARY), moved), search=8)
    true = lookup_table(ground, _SECONDARY)
    assert np.abs(ortho.table.rows - true.rows).max() < 0.15
    assert np.abs(ortho.table.columns - true.columns).max() < 0.15
    found = match(reference, ortho.amplitude, windows=(32,), step=16, search=6)
    at = np.ix_(found.rows.astype(int), found.columns.astype(int))
    east, north = east_north(ground.longitude[at], ground.latitude[at])
    inside = (np.abs(east) < 300) & (np.abs(north - 300) < 400)
    # Northwards is along the flight, which heads 10 degrees west of it.
    rows = 20.0 * np.cos(np.radians(10.0)) / float(_REFERENCE.azimuth_metres(earth_fixed(LON, LAT, BASE)))
    assert np.nanmedian(found.azimuth[inside]) == pytest.approx(rows, rel=0.05)
    assert np.abs(np.nanmedian(found.azimuth[(np.abs(east) > 900) | (north < -900)])) < 0.03


def test_stable_ground_decides_where_it_is_told(ground, reference):
    east, _ = east_north(ground.longitude, ground.latitude)

    def most(lon, lat):
        return np.where(east_north(lon, lat)[0] > -500, 20.0, 0.0)

    moved = _opened(_SECONDARY, image_of(_SECONDARY, north_m=most))
    true = lookup_table(ground, _SECONDARY)
    blind = orthorectify(reference, ground, moved, search=6)
    told = orthorectify(reference, ground, moved, search=6, stable=east < -500)
    away = [np.abs(np.median(o.table.rows - true.rows)) for o in (blind, told)]
    assert away[0] > 1.0
    assert away[1] < 0.1


def test_images_of_other_ground_do_not_match(ground, reference):
    noise = np.random.default_rng(0).exponential(size=_SECONDARY.shape).astype(np.float32)
    with pytest.raises(RegistrationError, match=r"^later: PALSAR-2 of 2015-07-27: .*match the reference"):
        orthorectify(reference, ground, _opened(_SECONDARY, noise))
    with pytest.raises(OtherPlaceError, match=r"^later: PALSAR-2 of 2015-07-27: has no data where the reference lies"):
        orthorectify(reference, ground, _opened(_SECONDARY, np.zeros_like(noise)))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.5, -0.25), (-0.4, 0.9)])
def test_waves_are_shifted_by_fractions_of_a_pixel(shift):
    y, x = np.mgrid[:60, :80].astype(float)

    def wave(y, x):
        return (2.0 + np.cos(0.9 * y - 0.3) * np.sin(1.1 * x)).astype(np.float32)

    out = resample(wave(y, x), _identity((60, 80), shift=shift))
    inner = (slice(5, -5),) * 2
    np.testing.assert_allclose(out[inner], wave(y + shift[0], x + shift[1])[inner], atol=0.01)
    assert out.dtype == np.float32


def test_finer_images_keep_their_intensity_and_lose_their_speckle():
    rng = np.random.default_rng(3)
    amplitude = np.sqrt(rng.exponential(size=(600, 900))).astype(np.float32)
    table = _identity((290, 290), 2.0, 3.0, (5.3, 7.7))
    assert pixel_ratio(table) == (2.0, 3.0)
    out = resample(amplitude, table)
    assert np.mean(out.astype(float) ** 2) == pytest.approx(1.0, rel=0.03)
    # A Gaussian of standard deviation s averages 4 pi s^2 pixels, less what interpolation sharpens.
    looks = 4 * np.pi * 0.25 * np.sqrt(3 * 8)
    assert 0.7 * looks < 1 / np.var(out.astype(float) ** 2) < 1.5 * looks
    # Waves finer than the pixels of the reference, which would come back as coarse ones, are gone.
    comb = np.sqrt(1.0 + np.cos(2 * np.pi * np.arange(900) / 3.3)) * np.ones((600, 1))
    assert np.std(resample(comb.astype(np.float32), table)) < 0.05 * np.std(comb)


def test_no_data_stay_and_do_not_grow():
    amplitude = np.full((50, 60), 3.0, np.float32)
    amplitude[20:30, 25:40] = 0.0
    for table in (_identity((48, 58), shift=(0.2, 0.3)), _identity((24, 29), 2.0, 2.0, (0.2, 0.3))):
        out = resample(amplitude, table)
        nearest = amplitude[np.rint(table.rows).astype(int), np.rint(table.columns).astype(int)]
        np.testing.assert_array_equal(out == 0, nearest == 0)
        np.testing.assert_allclose(out[out > 0], 3.0, rtol=1e-5)


def test_what_lies_outside_or_is_unknown_is_no_data():
    table = _identity((10, 10), shift=(-4.0, 5.0))
    table.rows[7, 2] = np.nan
    out = resample(np.ones((10, 10), np.float32), table)
    expected = np.zeros((10, 10))
    expected[4:, :5] = 1.0
    expected[7, 2] = 0.0
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_a_window_of_the_image_gives_what_the_whole_gives():
    rng = np.random.default_rng(1)
    image = rng.uniform(1, 2, (80, 90)).astype(np.float32)
    table = _identity((20, 20), shift=(30.25, 40.5))
    np.testing.assert_array_equal(resample(image, table), resample(image[20:70, 30:80], table, origin=(20, 30)))
