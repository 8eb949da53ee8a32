import os
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from groundshift.constants import EARTH_RADIUS
from groundshift.geometry.layover import BOTH, LAYOVER, SENTINEL1_ALTITUDE, SHADOW, layover_shadow
from groundshift.types import LookGeometry, MapGrid, RadarGrid

SIZE = 10.0


def utm(shape):
    """Pixels of 10 m on the central meridian at the equator, where grid north is true north."""
    return MapGrid(shape, Affine(SIZE, 0, 500_000 - SIZE * shape[1] / 2, 0, -SIZE, SIZE * shape[0] / 2), "EPSG:32648")


def away_from_radar(shape, heading, right_looking=True):
    """Metres of ground range from the middle of the grid."""
    h, side = np.radians(heading), 1.0 if right_looking else -1.0
    y, x = np.mgrid[: shape[0], : shape[1]]
    east, north = (x - (shape[1] - 1) / 2) * SIZE, ((shape[0] - 1) / 2 - y) * SIZE
    return side * (east * np.cos(h) - north * np.sin(h)), east * np.sin(h) + north * np.cos(h)


HEADINGS = [0.0, 12.0, 77.0, 90.0, 192.8, 225.0, 347.0]


@pytest.mark.parametrize("heading", HEADINGS)
def test_flat_ground_has_neither(heading):
    code = layover_shadow(np.full((50, 70), 1234.0, np.float32), utm((50, 70)), LookGeometry(heading, 37.0))
    assert not code.any()


@pytest.mark.parametrize("heading", HEADINGS)
@pytest.mark.parametrize("right_looking", [True, False])
def test_a_step_up_lays_over_the_ground_before_and_behind(heading, right_looking):
    # A face of 60 degrees, 300 m high, from r = 0 on: steeper than the incidence of 40 degrees. Its top reaches as
    # far to the front as H / tan(incidence) before the upper edge, its foot as far back as H / tan(incidence).
    shape, high, inc = (161, 161), 300.0, 40.0
    r, _ = away_from_radar(shape, heading, right_looking)
    height = np.clip(r * np.tan(np.radians(60.0)), 0.0, high).astype(np.float32)
    code = layover_shadow(height, utm(shape), LookGeometry(heading, inc, right_looking))
    first, last = high / np.tan(np.radians(60.0)) - high / np.tan(np.radians(inc)), high / np.tan(np.radians(inc))
    # Only where the whole scan line lies within the grid.
    middle = np.hypot(*away_from_radar(shape, heading)) < 450
    blur = 2.0 * SIZE
    assert (code[middle & (r > first + blur) & (r < last - blur)] == LAYOVER).all()
    assert not code[middle & ((r < first - blur) | (r > last + blur))].any()


def test_a_face_gentler_than_the_incidence_is_clear():
    shape = (81, 121)
    r, _ = away_from_radar(shape, 12.0)
    for slope, marked in ((38.0, False), (42.0, True)):
        height = np.clip(r * np.tan(np.radians(slope)), 0.0, 200.0).astype(np.float32)
        assert bool(layover_shadow(height, utm(shape), LookGeometry(12.0, 40.0)).any()) is marked


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_step_down_throws_a_shadow(heading):
    # Steeper than 90 - incidence = 50 degrees; the shadow ends H tan(incidence) behind the edge.
    shape, high, inc = (161, 161), 300.0, 40.0
    r, _ = away_from_radar(shape, heading)
    height = np.clip(high - r * np.tan(np.radians(70.0)), 0.0, high).astype(np.float32)
    code = layover_shadow(height, utm(shape), LookGeometry(heading, inc))
    last = high * np.tan(np.radians(inc))
    middle, blur = np.hypot(*away_from_radar(shape, heading)) < 450, 2.0 * SIZE
    assert (code[middle & (r > blur) & (r < last - blur)] == SHADOW).all()
    assert not code[middle & ((r < -blur) | (r > last + blur))].any()


def test_a_fall_gentler_than_the_ray_is_lit():
    shape = (81, 121)
    r, _ = away_from_radar(shape, 347.0)
    for slope, marked in ((48.0, False), (52.0, True)):
        height = np.clip(200.0 - r * np.tan(np.radians(slope)), 0.0, 200.0).astype(np.float32)
        assert bool(layover_shadow(height, utm(shape), LookGeometry(347.0, 40.0)).any()) is marked


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_tips_of_a_cone(heading):
    # Apex 500 m above the plain, flanks of 70 degrees: along the line through the apex layover begins H / tan(i)
    # before it, shadow ends H tan(i) behind it.
    shape, high, inc = (201, 201), 500.0, 35.0
    r, across = away_from_radar(shape, heading)
    height = np.maximum(0.0, high - np.hypot(r, across) * np.tan(np.radians(70.0))).astype(np.float32)
    code = layover_shadow(height, utm(shape), LookGeometry(heading, inc))
    layover, shadow = (code & LAYOVER) > 0, (code & SHADOW) > 0
    assert r[layover].min() == pytest.approx(-high / np.tan(np.radians(inc)), abs=2.5 * SIZE)
    assert r[shadow].max() == pytest.approx(high * np.tan(np.radians(inc)), abs=2.5 * SIZE)
    assert abs(across[shadow][np.argmax(r[shadow])]) < 2 * SIZE
    # The shadow starts on the far flank, the layover covers the near one.
    assert r[shadow].min() > -SIZE
    assert layover[(np.abs(across) < SIZE) & (r < -2 * SIZE) & (r > -150)].all()


def test_shadow_and_layover_can_meet():
    # A deep narrow gorge with a wall of 65 degrees before and behind it, incidence 45.
    shape = (11, 161)
    r, _ = away_from_radar(shape, 0.0)
    height = (-np.clip(400.0 - np.abs(r) * np.tan(np.radians(65.0)), 0.0, None)).astype(np.float32)
    code = layover_shadow(height, utm(shape), LookGeometry(0.0, 45.0))
    assert (code == BOTH).any()


def plain_twin(height, look, spacing):
    """The definition, point against point, along rows that run away from the satellite."""
    ground = np.arange(height.shape[1]) - (height.shape[1] - 1) / 2
    inc = np.radians(look.incidence)
    orbit = EARTH_RADIUS + SENTINEL1_ALTITUDE
    psi = inc - np.arcsin(EARTH_RADIUS * np.sin(inc) / orbit) + ground * spacing / EARTH_RADIUS
    east, up = (EARTH_RADIUS + height) * np.sin(psi), (EARTH_RADIUS + height) * np.cos(psi) - orbit
    distance, angle = np.hypot(east, up), np.arctan2(east, -up)
    nearer = np.tri(height.shape[1], k=-1, dtype=bool)
    shadow = ((angle[:, None, :] > angle[:, :, None]) & nearer).any(-1)
    layover = ((distance[:, None, :] > distance[:, :, None]) & nearer).any(-1)
    layover |= ((distance[:, None, :] < distance[:, :, None]) & nearer.T).any(-1)
    return shadow * SHADOW + layover * LAYOVER


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_comparison_of_every_two_points(seed):
    rng = np.random.default_rng(seed)
    height = np.cumsum(rng.normal(0, 14.0, (30, 90)), axis=1).astype(np.float32)
    grid, look = utm(height.shape), LookGeometry(0.0, 37.0)
    twin = plain_twin(height.astype(float), look, grid.spacing[1])
    assert set(np.unique(twin)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(layover_shadow(height, grid, look), twin)


@pytest.mark.parametrize("heading", [12.0, 80.0])
def test_looking_left_mirrors_looking_right(heading):
    rng = np.random.default_rng(1)
    height = np.cumsum(rng.normal(0, 14.0, (61, 61)), axis=1).astype(np.float32)
    right = layover_shadow(height, utm(height.shape), LookGeometry(heading, 37.0))
    left = layover_shadow(height[:, ::-1].copy(), utm(height.shape), LookGeometry(-heading, 37.0, right_looking=False))
    np.testing.assert_array_equal(left[:, ::-1], right)


def test_unknown_heights_are_clear_and_hide_nothing():
    shape = (21, 121)
    r, _ = away_from_radar(shape, 0.0)
    height = np.where(np.abs(r) < 100, 400.0, 0.0).astype(np.float32)
    grid, look = utm(shape), LookGeometry(0.0, 37.0)
    assert layover_shadow(height, grid, look).any()
    assert not layover_shadow(np.where(height > 0, np.nan, 0).astype(np.float32), grid, look).any()


def test_incidence_grows_across_a_wide_swath():
    # One slope of 37 degrees repeated over 240 km, incidence 38 in the middle: layover only in near range.
    shape = (3, 6000)
    grid = MapGrid(shape, Affine(40.0, 0, 500_000 - 120_000, 0, -40.0, 60), "EPSG:32648")
    r = np.arange(shape[1]) * 40.0
    height = np.tile(np.minimum((r % 4000) * np.tan(np.radians(37.0)), (4000 - r % 4000) * 0.2), (3, 1))
    layover = (layover_shadow(height.astype(np.float32), grid, LookGeometry(0.0, 38.0)) & LAYOVER) > 0
    assert layover[:, :2000].any()
    assert not layover[:, 3500:].any()


@pytest.mark.parametrize(
    ("slope", "code"), [(28.0, 0), (34.5, LAYOVER), (-40.0, 0), (-48.0, 0), (-53.0, SHADOW), (-60.0, SHADOW)]
)
def test_radar_grid_compares_the_slope_with_the_ray(slope, code):
    # Heights of an even slope on even steps of slant range, incidence 35 degrees: a face near 35 degrees is layover,
    # a fall beyond 55 - 5 degrees is shadow. Along range the face is dh = ds tan(b) / (sin(i) - tan(b) cos(i)) a step.
    inc, ds, b = np.radians(35.0), 8.0, np.radians(slope)
    rise = ds * np.tan(b) / (np.sin(inc) - np.tan(b) * np.cos(inc))
    height = np.concatenate([np.zeros(10), rise * np.arange(1, 21), np.full(10, 20 * rise)])
    grid = RadarGrid((4, 40), (14.0, ds / np.sin(inc)))
    found = layover_shadow(np.tile(height, (4, 1)).astype(np.float32), grid, LookGeometry(192.8, 35.0))
    assert (found[:, 10:30] == code).all()
    assert not found[:, :9].any()
    assert not found[:, 31:].any()


def test_radar_grid_marks_a_fold():
    # Ground that runs backwards: the height falls by more than ds / cos(i) from one column to the next.
    inc, ds = 35.0, 8.0
    grid = RadarGrid((3, 30), (14.0, ds / np.sin(np.radians(inc))))
    height = np.zeros((3, 30), np.float32)
    height[:, 15:] = -1.2 * ds / np.cos(np.radians(inc))
    code = layover_shadow(height, grid, LookGeometry(12.0, inc))
    assert (code[:, 14:16] == LAYOVER).all()
    assert not code[:, :14].any()
    assert not code[:, 16:].any()


def test_an_altitude_below_ground_is_refused():
    with pytest.raises(ValueError, match=r"^altitude must be positive, instead got -5$"):
        layover_shadow(np.zeros((3, 3), np.float32), utm((3, 3)), LookGeometry(0, 37), altitude=-5)


@pytest.mark.real
def test_agrees_with_the_range_coordinates_of_gamma_over_danba():
    """The product's own lookup table gives the range column of every DEM pixel: where it is not monotonic along ground
    range there is layover. It knows the orbit; we know only heading and incidence."""
    if "GROUNDSHIFT_DATA" not in os.environ:
        pytest.skip("GROUNDSHIFT_DATA is not set")
    folder = Path(os.environ["GROUNDSHIFT_DATA"]) / "danba"
    shape = (184, 495)
    height = np.fromfile(folder / "EQA.dem", ">f4").reshape(shape).astype(np.float32)
    column = np.fromfile(folder / "20190109.lt_fine", ">c8").reshape(shape).real
    grid = MapGrid(shape, Affine(1.298027e-4, 0, 101.89952, 0, -1.4245014e-4, 30.853821), "EPSG:4326")
    heading, incidence = 192.7697, 37.292
    h = np.radians(heading)
    shear = (np.sin(h) / grid.spacing[0]) / (np.cos(h) / grid.spacing[1])
    truth = np.zeros(shape, bool)
    for k in range(-120, shape[0] + 120):
        x = np.arange(shape[1])[::-1]
        y = np.floor(k + shear * x + 0.5).astype(int)
        x, y = x[(y >= 0) & (y < shape[0])], y[(y >= 0) & (y < shape[0])]
        if x.size:
            r = column[y, x]
            truth[y, x] = (r < np.maximum.accumulate(r)) | (r > np.minimum.accumulate(r[::-1])[::-1])
    ours = (layover_shadow(height, grid, LookGeometry(heading, incidence)) & LAYOVER) > 0
    assert (ours & truth).sum() / (ours | truth).sum() > 0.9
    other = (layover_shadow(height, grid, LookGeometry(heading, incidence + 3)) & LAYOVER) > 0
    assert (other & truth).sum() / (other | truth).sum() < 0.8
