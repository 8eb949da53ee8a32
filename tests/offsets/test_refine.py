"""What a lookup table is wrong by, from patches; and how an image lies over the DEM."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tests.offsets.ortho_scene import BASE, a_pass, dem_around, hills, rough

from groundshift.geometry.radar import GroundAxis
from groundshift.offsets.errors import RegistrationError
from groundshift.offsets.lookup import LookupTable, ground_of
from groundshift.offsets.refine import Patches, fit_correction, match_patches, register_to_dem, residual_of, shifted

_SHAPE = (200, 160)


@pytest.fixture(scope="module")
def ground():
    return ground_of(a_pass(shape=_SHAPE), *dem_around(hills, 0.02))


@pytest.fixture(scope="module")
def table():
    """Of an image with pixels half as high and a third as wide."""
    y, x = np.mgrid[: _SHAPE[0], : _SHAPE[1]].astype(float)
    return LookupTable(2.0 * y + 100.0, 3.0 * x + 1000.0)


def _wrong_by(rows, columns, heights, scale):
    y, x = 2 * rows / _SHAPE[0] - 1, 2 * columns / _SHAPE[1] - 1
    return scale * (2.0 + 0.5 * y - 0.3 * x + 0.2 * y * x + 4.0 * (heights - BASE) / 1000)


def _patches(ground, count, seed=0):
    """Patches that show the errors of `_wrong_by`: once in rows, minus half of it in columns."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(0, _SHAPE[0], count), rng.integers(0, _SHAPE[1], count)
    heights = ground.height[rows, columns].astype(float)
    error = [_wrong_by(rows, columns, heights, s) for s in (1.0, -0.5)]
    return Patches(rows.astype(float), columns.astype(float), heights, error[0] / 2.0, error[1] / 3.0)


def _expected(ground, scale):
    y, x = np.mgrid[: _SHAPE[0], : _SHAPE[1]]
    return _wrong_by(y, x, ground.height, scale)


def test_polynomials_with_heights_are_found_exactly(ground, table):
    better = fit_correction(_patches(ground, 60), table, ground, name="later").applied(table, ground)
    np.testing.assert_allclose(better.rows - table.rows, _expected(ground, 1.0), atol=1e-5)
    np.testing.assert_allclose(better.columns - table.columns, _expected(ground, -0.5), atol=1e-5)


def test_a_third_of_wrong_patches_changes_nothing(ground, table):
    patches = _patches(ground, 90)
    rng = np.random.default_rng(1)
    azimuth, range_ = patches.azimuth.copy(), patches.range.copy()
    azimuth[:20], range_[:20] = azimuth[:20] + 6.0, range_[:20] - 4.0
    azimuth[20:30], range_[20:30] = rng.uniform(-16, 16, (2, 10))
    better = fit_correction(patches._replace(azimuth=azimuth, range=range_), table, ground, name="later").applied(
        table, ground
    )
    np.testing.assert_allclose(better.rows - table.rows, _expected(ground, 1.0), atol=1e-3)
    np.testing.assert_allclose(better.columns - table.columns, _expected(ground, -0.5), atol=1e-3)


def test_errors_of_patches_average_out(ground, table):
    patches = _patches(ground, 400)
    noise = np.random.default_rng(2).normal(0, 0.1, (2, 400))
    noisy = patches._replace(azimuth=patches.azimuth + noise[0], range=patches.range + noise[1])
    better = fit_correction(noisy, table, ground, name="later").applied(table, ground)
    # Five terms from 400 patches, in pixels of the other image.
    error = (better.rows - table.rows - _expected(ground, 1.0)) / 2.0
    assert np.sqrt(np.mean(error**2)) < 3 * 0.1 * np.sqrt(5 / 400)
    residual = residual_of(noisy._replace(azimuth=noise[0], range=noise[1]))
    assert residual.patches == 400
    assert residual.azimuth == pytest.approx(0.1, rel=0.2)
    assert residual.range == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize(("count", "terms"), [(7, 1), (20, 4), (30, 5)])
def test_few_patches_carry_few_terms(ground, table, count, terms):
    correction = fit_correction(_patches(ground, count), table, ground, name="later")
    assert np.count_nonzero(correction.rows) == terms


def test_heights_that_do_not_differ_explain_nothing(ground, table):
    patches = _patches(ground, 60)
    correction = fit_correction(patches._replace(heights=np.full(60, BASE)), table, ground, name="later")
    assert correction.rows[4] == correction.columns[4] == 0


def test_too_few_patches_and_patches_that_disagree_are_refused(ground, table):
    with pytest.raises(RegistrationError, match=r"^later: 4 patches match the reference, 5 are needed; see that both"):
        fit_correction(_patches(ground, 4), table, ground, name="later")
    noise = np.random.default_rng(3).uniform(-16, 16, (2, 60))
    wild = _patches(ground, 60)._replace(azimuth=noise[0], range=noise[1])
    with pytest.raises(RegistrationError, match=r"^later: of 60 patches that match the reference \d+ agree on where"):
        fit_correction(wild, table, ground, name="later")
    assert np.isnan(residual_of(_patches(ground, 0)).azimuth)


def test_no_patches_where_nothing_is_valid(ground):
    image = np.ones(_SHAPE, np.float32)
    assert len(match_patches(image, image, ground, np.zeros(_SHAPE, bool), search=4, patch=40).rows) == 0


@pytest.mark.parametrize("looks", [1, 2])
def test_averaged_pixels_show_the_same_offsets_at_the_same_places(ground, looks):
    rng = np.random.default_rng(6)
    scene = gaussian_filter(rng.exponential(size=(220, 180)), 2.0).astype(np.float32)
    reference, image = scene[10:210, 10:170], scene[7:207, 14:174]
    valid = np.ones(_SHAPE, bool)
    valid[:30] = False
    found = match_patches(reference, image, ground, valid, search=8, patch=32, looks=looks)
    assert len(found.rows) >= 2
    for offsets, true in ((found.azimuth, 3.0), (found.range, -4.0)):
        assert np.median(offsets) == pytest.approx(true, abs=0.1 * looks)
        np.testing.assert_allclose(offsets, true, atol=0.3 * looks)
    half = 16 * looks
    for row, column, height in zip(found.rows, found.columns, found.heights, strict=True):
        # Patches of an even side lie around the corner of four pixels.
        assert row % 1 == column % 1 == 0.5
        around = (
            slice(int(row + 0.5) - half, int(row + 0.5) + half),
            slice(int(column + 0.5) - half, int(column + 0.5) + half),
        )
        assert height == pytest.approx(ground.height[around].mean(), abs=0.01)


@pytest.fixture(scope="module")
def relief():
    """The true ground of a rough place, and one look of it."""
    dem = dem_around(rough, 0.04)
    ground = ground_of(a_pass(shape=(500, 400)), *dem)
    looks = np.random.default_rng(4).exponential(size=ground.amplitude.shape)
    return dem, ground, (ground.amplitude * np.sqrt(looks)).astype(np.float32)


@pytest.mark.parametrize("wrong", [(0.0, 0.0), (5.0, -3.0), (-12.4, 8.6)])
def test_an_image_is_registered_to_the_dem(relief, wrong):
    dem, ground, image = relief
    beside = ground_of(shifted(ground.geometry, -wrong[0], -wrong[1]), *dem)
    found = register_to_dem(image, beside)
    assert found.azimuth == pytest.approx(wrong[0], abs=0.4)
    assert found.range == pytest.approx(wrong[1], abs=0.2)
    place, true = (g.place(ground.position(slice(250, 251))) for g in (found.geometry, ground.geometry))
    np.testing.assert_allclose(place.row - true.row, found.azimuth - wrong[0], atol=1e-3)
    np.testing.assert_allclose(place.column - true.column, found.range - wrong[1], atol=1e-3)


def test_an_image_without_relief_is_not_registered(relief):
    _, ground, image = relief
    noise = np.random.default_rng(5).exponential(size=image.shape).astype(np.float32)
    with pytest.raises(
        RegistrationError, match=r"^PALSAR: its relief does not match that of the DEM \(\d of \d+ patches"
    ):
        register_to_dem(noise, ground, name="PALSAR")


def test_shifting_a_geometry_shifts_all_places():
    geometry = a_pass()
    near = geometry.axis.near
    axis = GroundAxis(10.0, np.array([-1.0, 1.0]), np.array([[near, 0.6, 1e-8], [near + 5, 0.6, 1e-8]]))
    ground = ground_of(a_pass(shape=(40, 40)), *dem_around(hills, 0.02)).position()
    for whole in (geometry, replace(geometry, axis=axis)):
        before, after = (g.place(ground) for g in (whole, shifted(whole, 2.5, -1.25)))
        np.testing.assert_allclose(after.row - before.row, 2.5, atol=1e-6)
        np.testing.assert_allclose(after.column - before.column, -1.25, atol=1e-3)
