"""Where patches are cut and what their masks hold, against closed forms."""

import numpy as np
import pytest
from affine import Affine
from shapely import Polygon, box
from shapely.geometry import Point

from groundshift.io.isslide_cut import Movement, find_places, mask_on, window_of
from groundshift.types import MapGrid, Window

FINE = 1e-4
SET = 1.315e-4


def square(column, row, side, number=1):
    """A square of so many cells of 1e-4 degrees, its upper left corner so many cells from 6 E, 45 N."""
    west, north = 6 + column * FINE, 45 - row * FINE
    return Movement(box(west, north - side * FINE, west + side * FINE, north), number)


def grid_of(shape, pixel=SET):
    return MapGrid(shape, Affine(pixel, 0, 6.0, 0, -pixel, 45.0), "EPSG:4326")


def test_the_middle_of_a_movement_is_a_place_and_bears_its_number():
    (place,) = find_places([square(100, 200, 21, 17)])
    assert place.name == "17_0"
    assert place.longitude == pytest.approx(6 + 110.5 * FINE, abs=1.01 * FINE)
    assert place.latitude == pytest.approx(45 - 210.5 * FINE, abs=1.01 * FINE)


def test_places_are_numbered_from_the_largest_distance_to_quiet_ground_on():
    small, large = square(0, 0, 15, 3), square(60, 0, 31, 8)
    assert [p.name for p in find_places([small, large])] == ["8_0", "3_1"]


def test_maxima_nearer_than_ten_cells_are_one_place():
    near, far = square(8, 0, 5, 2), square(14, 0, 5, 2)
    assert len(find_places([square(0, 0, 5), near])) == 1
    assert len(find_places([square(0, 0, 5), far])) == 2


def test_places_do_not_depend_on_the_order_of_the_polygons_and_the_larger_number_lies_on_top():
    movements = [square(0, 0, 31, 5), square(2, 2, 27, 9), square(80, 40, 21, 4)]
    assert find_places(movements) == find_places(movements[::-1])
    assert [p.move_id for p in find_places(movements)] == [9, 4]


def test_quiet_ground_has_no_places_and_empty_masks():
    assert find_places([]) == []
    assert find_places([Movement(Polygon(), 1)]) == []
    assert not mask_on(grid_of((50, 60)), []).any()
    assert not mask_on(grid_of((50, 60)), [square(100_000, 0, 5)]).any()


def test_a_mask_on_cells_of_its_own_size_is_every_cell_that_is_touched():
    mask = mask_on(grid_of((40, 50), FINE), [square(10, 20, 5)])
    wanted = np.zeros((40, 50), bool)
    wanted[20:25, 10:15] = True
    # A cell that a side just meets may count or not.
    assert (mask | ~wanted).all()
    grown = np.zeros((40, 50), bool)
    grown[19:26, 9:16] = True
    assert not (mask & ~grown).any()


def test_a_mask_agrees_with_its_polygon_but_for_cells_that_it_touches():
    grid = grid_of((120, 130))
    disc = Point(6.008, 44.993).buffer(0.004)
    mask = mask_on(grid, [Movement(disc, 1)])
    y, x = np.mgrid[:120, :130]
    distance = np.hypot(6 + (x + 0.5) * SET - 6.008, 45 - (y + 0.5) * SET - 44.993)
    assert mask[distance < 0.004].all()
    # Half the diagonal of a cell beyond a pixel's centre, and as much again to the polygon.
    assert not mask[distance > 0.004 + 2 * np.sqrt(2) * FINE].any()


def test_the_window_has_its_place_in_the_middle():
    grid = grid_of((300, 400))
    (place,) = find_places([square(200, 150, 21)])
    window = window_of(place, grid)
    column, row = ~grid.transform @ (place.longitude, place.latitude)
    assert (window.height, window.width) == (100, 100)
    assert abs(window.y + 50 - row) <= 0.5
    assert abs(window.x + 50 - column) <= 0.5


def test_windows_are_moved_inwards_at_the_border_and_none_lies_outside():
    (place,) = find_places([square(3, 3, 11)])
    assert window_of(place, grid_of((300, 400))) == Window(0, 0, 100, 100)
    assert window_of(place, grid_of((99, 400))) is None
    (far,) = find_places([square(3, 4000, 11)])
    assert window_of(far, grid_of((300, 400))) is None
