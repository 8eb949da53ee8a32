"""Maps for a GIS lie where the ground lies."""

import numpy as np
import pytest
import rasterio

from groundshift.geometry import map_grid_for
from groundshift.gradients.store import open_sums
from groundshift.types import MapGrid, RadarGrid
from groundshift.workflows.maps import is_located, lonlat_grid, track_layers, write_maps, write_pictures


@pytest.fixture
def cone(make_stack):
    """Stack of a scene that sinks most at one node, and that node."""

    def make(grid):
        y, x = np.mgrid[: grid.shape[0], : grid.shape[1]].astype(float)
        velocity = -50 * np.exp(-((y - 12) ** 2 + (x - 30) ** 2) / 30)
        gradient = np.zeros((2, *grid.shape))
        gradient[0, :-1] = np.diff(velocity, axis=0)
        gradient[1, :, :-1] = np.diff(velocity, axis=1)
        return make_stack(gradient, grid=grid), velocity.astype(np.float32)

    return make


@pytest.mark.parametrize("kind", ["map", "radar"])
def test_the_lowest_pixel_of_a_map_lies_where_the_ground_sinks_most(cone, map_grid, radar_grid, tmp_path, kind):
    grid = (map_grid if kind == "map" else radar_grid)((40, 50))
    stack, velocity = cone(grid)
    written = write_maps(tmp_path, stack, velocity, np.ones(grid.shape, bool))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in written)
    with rasterio.open(tmp_path / "velocity.tif") as source:
        values = source.read(1)
        assert np.isnan(source.nodata)
        assert source.units == ("mm/yr",)
        row, column = np.unravel_index(np.nanargmin(values), values.shape)
        found = MapGrid(source.shape, source.transform, source.crs.to_string()).lonlat(row, column)
    expected = stack.node_grid.lonlat(12, 30)
    metres = 111_195 * np.hypot(float(found[1] - expected[1]), float(found[0] - expected[0]) * 0.86)
    assert metres < 45  # one pixel


def test_other_windows_have_a_folder_of_their_own(cone, map_grid, tmp_path):
    from dataclasses import replace

    stack, velocity = cone(map_grid((20, 40)))
    written = write_maps(tmp_path, replace(stack, window="wet"), velocity, np.ones((20, 40), bool))
    assert {p.parent for p in written} == {tmp_path / "wet"}


def test_a_map_grid_in_degrees_covers_the_grid_and_keeps_to_its_longest_side(map_grid):
    grid = map_grid((300, 500))
    for side in (None, 120):
        found = lonlat_grid(grid, side)
        assert found.crs == "EPSG:4326"
        if side:
            assert max(found.shape) == side
        y, x = np.array([0, 0, 299, 299.0]), np.array([0, 499.0, 0, 499])
        lon, lat = grid.lonlat(y, x)
        column, row = (lon - found.transform.c) / found.transform.a, (lat - found.transform.f) / found.transform.e
        assert ((column > -0.5) & (column < found.shape[1] + 0.5)).all()
        assert ((row > -0.5) & (row < found.shape[0] + 0.5)).all()


def test_a_radar_grid_without_lookup_has_no_place_and_gets_pictures(cone, radar_grid, tmp_path):
    nowhere = RadarGrid((20, 40), (40.0, 40.0))
    assert not is_located(nowhere)
    assert is_located(radar_grid((20, 40)))
    stack, velocity = cone(nowhere)
    written = write_pictures(tmp_path, stack, velocity)
    assert [p.name for p in written] == [
        "gradient_azimuth.png",
        "gradient_range.png",
        "mean_coherence.png",
        "velocity.png",
    ]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in written)


def test_layers_of_the_report_are_north_up_and_hold_the_extreme(cone, map_grid):
    stack, velocity = cone(map_grid((40, 50)))
    bounds, layers = track_layers(stack, velocity, None)
    names = [layer.name for layer in layers]
    assert names[0] == "velocity gradient, north"
    assert "hill shade" not in names
    layer = layers[names.index("relative velocity")]
    row, column = np.unravel_index(np.nanargmin(layer.values), layer.values.shape)
    height, width = layer.values.shape
    lon = bounds.west + (column + 0.5) / width * (bounds.east - bounds.west)
    lat = bounds.north - (row + 0.5) / height * (bounds.north - bounds.south)
    expected = stack.node_grid.lonlat(12, 30)
    assert abs(lon - float(expected[0])) < 0.0006
    assert abs(lat - float(expected[1])) < 0.0006


def test_the_maps_of_a_survey_agree_with_its_sums(surveyed):
    folder = surveyed / "stacks" / "simulated-3"
    stack = open_sums(folder / "gradients.zarr").stack()
    with rasterio.open(folder / "n_pairs.tif") as source:
        np.testing.assert_array_equal(np.nan_to_num(source.read(1)), stack.n_pairs)
        assert map_grid_for(stack.node_grid).transform.almost_equals(source.transform)
    with rasterio.open(folder / "velocity_gradient_east.tif") as source:
        np.testing.assert_allclose(source.read(1), stack.velocity_gradient[1], rtol=1e-5)
