import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from rasterio.warp import Resampling, reproject
from shapely import Polygon

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, ProductError
from groundshift.geometry.geocode import geocode, map_grid_for, ring_to_lonlat
from groundshift.io.sample import sample_raster
from groundshift.types import Looks, MapGrid, RadarGrid, Window

LOCAL = "+proj=aeqd +lat_0=30.83 +lon_0=101.97 +ellps=WGS84"
UTM = MapGrid((40, 60), Affine(30.0, 0, 784_000, 0, -30.0, 3_415_000), "EPSG:32647")


def radar_grid(heading=192.8, shape=(90, 120), spacing=(14.0, 15.4), bend=0.0):
    """Pixels along the heading and to its right; `bend` shifts them along range as mountains do."""
    h = np.radians(heading)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    v = (y - shape[0] / 2) * spacing[0]
    u = (x + bend * np.sin(x / 9.0) * np.cos(y / 13.0) - shape[1] / 2) * spacing[1]
    east, north = v * np.sin(h) + u * np.cos(h), v * np.cos(h) - u * np.sin(h)
    lon, lat = Transformer.from_crs(LOCAL, "EPSG:4326", always_xy=True).transform(east, north)
    return RadarGrid(shape, spacing, lon, lat)


def positions(grid):
    return np.stack(grid.lonlat(*np.mgrid[: grid.shape[0], : grid.shape[1]]))


RADAR = {
    "descending": radar_grid(),
    "ascending": radar_grid(347.2),
    "mountains": radar_grid(bend=3.0),
    "multilooked": radar_grid().multilooked(Looks(2, 3)),
    "cropped": radar_grid().cropped(Window(10, 20, 31, 17)),
    "shifted": radar_grid().shifted(-0.5, 0.5),
}


@pytest.mark.parametrize("name", RADAR)
def test_a_map_of_positions_shows_its_own_positions(name):
    grid = RADAR[name]
    target = map_grid_for(grid)
    out = geocode(positions(grid) - np.array([101.97, 30.83])[:, None, None], grid, target)
    truth = positions(target) - np.array([101.97, 30.83])[:, None, None]
    shown = np.isfinite(out[0])
    error = np.hypot(*(out - truth)[:, shown] * 111e3) / np.hypot(*grid.spacing)
    assert np.median(error) < 1e-3
    # Values are not continued beyond the outermost pixel centres, half a pixel before the edge.
    assert error.max() < 0.6


@pytest.mark.parametrize("name", RADAR)
def test_the_map_grid_covers_the_radar_grid_with_pixels_of_its_size(name):
    grid = RADAR[name]
    target = map_grid_for(grid)
    assert target.crs == "EPSG:4326"
    assert np.prod(target.spacing) == pytest.approx(np.prod(grid.spacing), rel=1e-3)
    assert target.spacing[0] == pytest.approx(target.spacing[1], rel=1e-3)
    # As much area is shown as the grid has; every radar pixel is shown about once.
    shown = np.isfinite(geocode(np.ones(grid.shape, np.float32), grid, target)).sum()
    assert shown == pytest.approx(np.prod(grid.shape), rel=0.06)


def test_pixel_coordinates_survive_the_way_to_the_map_and_back():
    grid = radar_grid(bend=3.0)
    target = map_grid_for(grid)
    coordinates = geocode(np.stack(np.mgrid[:90, :120]).astype(np.float32), grid, target)
    # Values are not continued beyond the outermost pixel centres.
    inside = (coordinates[0] > 0) & (coordinates[0] < 89) & (coordinates[1] > 0) & (coordinates[1] < 119)
    lon, lat = grid.lonlat(coordinates[0][inside], coordinates[1][inside])
    there = positions(target)[:, inside]
    # Triangles and bilinear patches differ slightly where the grid is bent.
    np.testing.assert_allclose(lon, there[0], atol=1e-5)
    np.testing.assert_allclose(lat, there[1], atol=1e-5)


def test_a_map_grid_stays_as_it_is():
    values = np.arange(2400.0, dtype=np.float32).reshape(40, 60)
    assert map_grid_for(UTM) is UTM
    np.testing.assert_array_equal(geocode(values, UTM, UTM), values)


def test_no_layers_give_no_layers():
    assert geocode(np.zeros((0, 90, 120), np.float32), radar_grid(), UTM).shape == (0, 40, 60)


def test_between_map_grids_agrees_with_gdal():
    y, x = np.mgrid[:40, :60]
    values = (np.sin(y / 7.0) + np.cos(x / 5.0)).astype(np.float32)
    lon, lat = UTM.lonlat(np.array([39.0]), np.array([0.0]))
    target = MapGrid((30, 40), Affine(0.0003, 0, lon[0] + 0.002, 0, -0.0003, lat[0] + 0.0105), "EPSG:4326")
    out = geocode(values, UTM, target)
    peer = np.full(target.shape, np.nan, np.float32)
    reproject(
        values, peer, src_transform=UTM.transform, src_crs=UTM.crs, dst_transform=target.transform,
        dst_crs=target.crs, src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling.bilinear, tolerance=0,
    )  # fmt: skip
    both = np.isfinite(out) & np.isfinite(peer)
    assert both.mean() > 0.9
    # GDAL widens its kernel a little, for its pixels are of slightly different size.
    np.testing.assert_allclose(out[both], peer[both], atol=0.03)


def test_nearest_keeps_codes_and_leaves_the_outside_unknown():
    grid = radar_grid()
    code = np.random.default_rng(0).integers(0, 4, grid.shape).astype(np.uint8)
    out = geocode(code, grid, map_grid_for(grid), nearest=True)
    assert out.dtype == np.float32
    assert set(np.unique(out[np.isfinite(out)])) == {0, 1, 2, 3}
    assert np.isnan(out).any()
    assert np.bincount(out[np.isfinite(out)].astype(int)) / np.isfinite(out).sum() == pytest.approx(0.25, abs=0.03)


def test_unknown_pixels_stay_unknown_and_do_not_spread():
    grid = radar_grid()
    values = np.full((2, *grid.shape), 5.0, np.float32)
    values[1, 30:40, 50:60] = np.nan
    out = geocode(values, grid, map_grid_for(grid))
    whole = np.isfinite(out[0])
    assert (np.nan_to_num(out[1], nan=5.0)[whole] == 5.0).all()
    assert (whole & np.isnan(out[1])).sum() == pytest.approx(100, abs=12)


def test_complex_values_stay_complex():
    grid = radar_grid()
    out = geocode(np.full(grid.shape, 1 + 2j, np.complex64), grid, map_grid_for(grid))
    assert out.dtype == np.complex64
    np.testing.assert_allclose(out[np.isfinite(out)], 1 + 2j, rtol=1e-6)


def test_holes_of_the_lookup_are_holes_on_the_map():
    grid = radar_grid()
    lon = grid.longitude.copy()
    lon[20:30, 20:30] = np.nan
    holed = RadarGrid(grid.shape, grid.spacing, lon, grid.latitude)
    out = geocode(np.ones(grid.shape, np.float32), holed, map_grid_for(grid))
    whole = geocode(np.ones(grid.shape, np.float32), grid, map_grid_for(grid))
    assert (np.isfinite(whole) & np.isnan(out)).sum() == pytest.approx(11 * 11, abs=15)


def test_across_the_date_line():
    x = 179.99 + 0.0003 * np.arange(80)
    lon, lat = np.meshgrid((x + 180) % 360 - 180, 10 - 0.0003 * np.arange(50))
    grid = RadarGrid((50, 80), (33.0, 33.0), lon, lat)
    target = map_grid_for(grid)
    assert target.shape[1] == pytest.approx(80, abs=3)
    out = geocode(np.tile(np.arange(80, dtype=np.float32), (50, 1)), grid, target)
    assert np.isfinite(out).mean() > 0.95
    assert (np.diff(out[25][np.isfinite(out[25])]) > 0).all()


def test_a_grid_without_positions_cannot_be_shown(dem):
    message = r"^this radar grid has no longitude and latitude; give the product its lookup table or geometry files$"
    bare = RadarGrid((4, 5), (14.0, 15.0))
    with pytest.raises(NoDataError, match=message):
        map_grid_for(bare)
    with pytest.raises(NoDataError, match=message):
        geocode(np.zeros((4, 5)), bare, UTM)
    with pytest.raises(NoDataError, match=message):
        ring_to_lonlat([0, 0, 3, 3], [0, 3, 3, 0], bare)
    with pytest.raises(NoDataError, match=message):
        sample_raster(dem, bare)


def test_values_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"^values must have shape \(\.\.\., 40, 60\), instead got \(3, 60, 40\)$"):
        geocode(np.zeros((3, 60, 40)), UTM, UTM)


@pytest.mark.parametrize("grid", [UTM, radar_grid(), radar_grid(347.0)], ids=["map", "descending", "ascending"])
@settings(max_examples=20, deadline=None)
@given(box=st.tuples(*(st.integers(0, n) for n in (10, 10, 20, 20))))
def test_an_outline_has_the_area_of_its_pixels(grid, box):
    y0, x0, height, width = box[0] - 0.5, box[1] - 0.5, box[2] + 1, box[3] + 1
    ring = ring_to_lonlat([y0, y0, y0 + height, y0 + height], [x0, x0 + width, x0 + width, x0], grid)
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(Polygon(ring))
    assert abs(area) == pytest.approx(height * width * np.prod(grid.spacing), rel=3e-3)


def test_an_outline_beyond_the_grid_ends_at_its_outer_edge():
    ring = ring_to_lonlat([-3, -3, 50, 50], [-3, 80, 80, -3], UTM)
    corners = np.stack(UTM.lonlat(np.array([-0.5, -0.5, 39.5, 39.5]), np.array([-0.5, 59.5, 59.5, -0.5])), -1)
    np.testing.assert_allclose(ring, corners)


def write(path, array, transform, crs, **more):
    profile = {"driver": "GTiff", "count": 1, "height": array.shape[0], "width": array.shape[1], "dtype": array.dtype}
    with rasterio.open(path, "w", crs=crs, transform=transform, **(profile | more)) as sink:
        sink.write(array, 1)
    return path


def plane_of(lon, lat):
    return 2000 + 3000 * (lon - 101.97) - 5000 * (lat - 30.83)


@pytest.fixture
def dem(tmp_path):
    """A plane in longitude and latitude, 200 x 300 pixels of one arc second around the radar grid."""
    transform = Affine(1 / 3600, 0, 101.97 - 150 / 3600, 0, -1 / 3600, 30.83 + 100 / 3600)
    x, y = transform @ np.meshgrid(np.arange(300) + 0.5, np.arange(200) + 0.5)
    return write(tmp_path / "dem.tif", plane_of(x, y).astype(np.float32), transform, "EPSG:4326", nodata=-9999)


@pytest.mark.parametrize("name", RADAR)
def test_a_dem_is_sampled_where_the_pixels_lie(dem, name):
    out = sample_raster(dem, RADAR[name])
    np.testing.assert_allclose(out, plane_of(*positions(RADAR[name])), atol=0.01)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32647", "EPSG:3857"])
@pytest.mark.parametrize("size", [25.0, 100.0])
def test_a_dem_is_sampled_on_any_map(dem, crs, size):
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(101.97, 30.83)
    step = size / 111_195 if crs == "EPSG:4326" else size
    grid = MapGrid((30, 40), Affine(step, 0, x - 20 * step, 0, -step, y + 15 * step), crs)
    # Averaging over whole pixels before sampling moves the mean of a plane by nothing.
    np.testing.assert_allclose(sample_raster(dem, grid), plane_of(*positions(grid)), atol=0.02)


def test_a_finer_raster_is_averaged(tmp_path):
    noise = np.random.default_rng(0).normal(0, 1, (600, 600)).astype(np.float32)
    path = write(tmp_path / "fine.tif", noise, Affine(5, 0, 784_000, 0, -5, 3_415_000), "EPSG:32647")
    grid = MapGrid((50, 50), Affine(60, 0, 784_000, 0, -60, 3_415_000), "EPSG:32647")
    # Pixels of exactly 12 x 12 samples.
    np.testing.assert_allclose(sample_raster(path, grid), noise.reshape(50, 12, 50, 12).mean((1, 3)), atol=1e-5)
    assert np.std(sample_raster(path, grid, nearest=True)) > 0.9


def test_only_the_part_that_is_needed_is_read(tmp_path):
    # 3.6e9 pixels, 14 GB as floats, of which the grid covers a few thousand.
    path = tmp_path / "huge.tif"
    corner = Affine(1 / 3600, 0, 95.0, 0, -1 / 3600, 38.0)
    with rasterio.open(
        path, "w", driver="GTiff", height=60_000, width=60_000, count=1, dtype="float32", crs="EPSG:4326",
        transform=corner, tiled=True, sparse_ok=True, bigtiff="yes", nodata=0.0,
    ) as sink:  # fmt: skip
        column, row = (int(v) for v in ~corner @ (101.95, 30.85))
        x, y = corner @ np.meshgrid(np.arange(column, column + 256) + 0.5, np.arange(row, row + 256) + 0.5)
        sink.write(plane_of(x, y).astype(np.float32), 1, window=rasterio.windows.Window(column, row, 256, 256))
    grid = radar_grid()
    np.testing.assert_allclose(sample_raster(path, grid), plane_of(*positions(grid)), atol=0.01)


def test_no_data_and_the_outside_are_unknown(tmp_path):
    array = np.full((20, 20), 7, np.int16)
    array[5, 6] = -32768
    path = write(tmp_path / "dem.tif", array, Affine(30, 0, 784_300, 0, -30, 3_414_700), "EPSG:32647", nodata=-32768)
    out = sample_raster(path, UTM, nearest=True)
    assert (out[10:30, 10:30] == 7).sum() == 399
    assert np.isnan(out[15, 16])
    assert np.isfinite(out).sum() == 399
    np.testing.assert_array_equal(np.isfinite(sample_raster(path, UTM)), np.isfinite(out))


def test_a_raster_elsewhere_is_unknown_everywhere(tmp_path):
    path = write(tmp_path / "far.tif", np.ones((5, 5), np.float32), Affine(1, 0, -60, 0, -1, -20), "EPSG:4326")
    assert np.isnan(sample_raster(path, UTM)).all()


def test_bad_rasters_are_named(tmp_path, dem):
    with pytest.raises(MissingFileError, match=r"none\.tif: no such file"):
        sample_raster(tmp_path / "none.tif", UTM)
    text = tmp_path / "text.tif"
    text.write_text("not a raster")
    with pytest.raises(DamagedFileError, match=r"text\.tif: not a readable raster; fetch the file again$"):
        sample_raster(text, UTM)
    with pytest.raises(ProductError, match=r"dem\.tif: no band 2; it has 1, give the number of one of them$"):
        sample_raster(dem, UTM, band=2)
    turned = write(tmp_path / "turned.tif", np.ones((5, 5), np.float32), Affine.rotation(30), "EPSG:32647")
    with pytest.raises(ProductError, match=r"turned\.tif: the raster is rotated; bring it north-up with gdalwarp$"):
        sample_raster(turned, UTM)
    cut = tmp_path / "cut.tif"
    cut.write_bytes(dem.read_bytes()[:60_000])
    with pytest.raises(DamagedFileError, match=r"cut\.tif: (truncated|not a readable)"):
        sample_raster(cut, radar_grid())
