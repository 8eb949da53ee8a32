import math

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer
from shapely import box

from groundshift.errors import NoDataError
from groundshift.inventory.density import density, write_density
from groundshift.io.rasters import raster_grid, read_band
from groundshift.types import MapGrid, Window

KM = Transformer.from_crs("+proj=laea +lat_0=30 +lon_0=102 +units=km", "EPSG:4326", always_xy=True)


def at(target, x, y):
    """A target at so many km east and north of 102 E, 30 N."""
    return target(*KM.transform(x, y), size=100.0)


@pytest.mark.parametrize("n", [1, 7])
def test_the_sum_over_the_area_is_the_number_of_targets(target, n):
    rng = np.random.default_rng(n)
    targets = [at(target, *rng.uniform(0, 30, 2)) for _ in range(n)]
    values, grid = density(targets, 0.5, 5.0)
    assert values.sum(dtype=float) * 0.25 == pytest.approx(n, rel=2e-3)
    assert values.dtype == np.float32
    assert values.shape == grid.shape
    assert np.all(values >= 0)


@pytest.mark.parametrize("distance", [0.0, 3.0, 9.0, 10.5])
def test_one_target_spreads_as_the_kernel_says(target, distance):
    lon, lat = KM.transform(0.0, distance)
    grid = MapGrid((1, 1), Affine(1e-4, 0, lon - 5e-5, 0, -1e-4, lat + 5e-5), "EPSG:4326")
    values, _ = density([at(target, 0.0, 0.0)], grid, 10.0)
    expected = 3 / (math.pi * 100) * max(0.0, 1 - (distance / 10) ** 2) ** 2
    assert values[0, 0] == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_a_target_outside_the_grid_reaches_into_it(target):
    grid = MapGrid((10, 10), Affine(0.01, 0, 102.0, 0, -0.01, 30.1), "EPSG:4326")
    values, same = density([at(target, -4.0, 5.0)], grid, 10.0)
    assert same is grid
    assert values[:, 0].max() > values[:, 5].max() > 0


@pytest.fixture
def even(target):
    """Targets every 2 km (0.25 per km2) over a square of 80 km, and that square."""
    steps = np.arange(-39, 40, 2.0)
    return [at(target, x, y) for x in steps for y in steps]


def test_evenly_strewn_targets_give_an_even_map_up_to_the_edge(even):
    corners = np.array([KM.transform(x, y) for x, y in [(-40, -40), (40, -40), (40, 40), (-40, 40)]])
    west, south = corners[[0, 3], 0].max(), corners[:2, 1].max()
    surveyed = box(west, south, corners[1:3, 0].min(), corners[2:, 1].min())
    values, grid = density(even, 2.0, 10.0, surveyed=surveyed)
    inside = np.isfinite(values)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(values[inside], 0.25, rtol=0.12)
    raw, _ = density(even, grid, 10.0)
    assert raw[inside].min() < 0.1  # what not minding the edge would have said of a corner
    middle = np.s_[15:25, 15:25]
    np.testing.assert_allclose(raw[middle], 0.25, rtol=0.01)
    np.testing.assert_array_equal(raw[middle], values[middle])


def test_nothing_is_said_outside_the_surveyed_area(target):
    surveyed = box(102.0, 30.0, 102.1, 30.1)
    grid = MapGrid((30, 30), Affine(0.01, 0, 101.9, 0, -0.01, 30.2), "EPSG:4326")
    values, _ = density([target(102.05, 30.05), target(102.15, 30.15)], grid, 3.0, surveyed=surveyed)
    y, x = np.nonzero(np.isfinite(values))
    lon, lat = grid.lonlat(y, x)
    assert len(y) == 100
    assert lon.min() > 102.0
    assert lat.max() < 30.1


def test_an_empty_inventory_of_a_surveyed_area_is_zero():
    values, _ = density([], 1.0, 3.0, surveyed=box(102.0, 30.0, 102.1, 30.1))
    assert np.nanmax(values) == 0.0
    assert np.isfinite(values).sum() > 80


def test_the_map_goes_into_a_geotiff(tmp_path, target):
    values, grid = density([target()], 1.0, 5.0)
    write_density(tmp_path / "density.tif", values, grid)
    back = raster_grid(tmp_path / "density.tif")
    assert back.shape == grid.shape
    assert back.transform == grid.transform
    np.testing.assert_array_equal(read_band(tmp_path / "density.tif", Window(0, 0, *grid.shape)), values)
    row, column = np.unravel_index(np.argmax(values), values.shape)
    lon, lat = back.lonlat(np.array(row), np.array(column))
    assert (lon, lat) == (pytest.approx(102.0, abs=0.01), pytest.approx(30.8, abs=0.01))


def test_refuses_what_it_cannot_map(target):
    with pytest.raises(NoDataError, match=r"^no targets and no surveyed area to map a density of; give one of them$"):
        density([])
    with pytest.raises(ValueError, match=r"^radius_km must be positive, instead got -1$"):
        density([target()], 1.0, -1)
    with pytest.raises(ValueError, match=r"^pixels must not exceed radius_km = 2.0, instead got 5 km$"):
        density([target()], 5.0, 2.0)
