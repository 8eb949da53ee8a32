import math

import numpy as np
import pytest
from affine import Affine

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from groundshift.geometry import layover as traced  # noqa: E402
from groundshift.simulate.batched.fields import Fields  # noqa: E402
from groundshift.simulate.batched.radar import (  # noqa: E402
    Fold,
    Frame,
    draw_look,
    fold_range,
    frame_of,
    layover_and_shadow,
    range_slope,
    slant_range,
)
from groundshift.simulate.slides import slope_vector  # noqa: E402
from groundshift.types import LookGeometry, MapGrid  # noqa: E402

PIXEL = 40.0


def tent(degrees, *, columns=120, rows=3):
    """A ridge along the rows that repeats: rises over the middle third, falls over the last, level in the first."""
    third = columns // 3
    x = np.arange(columns)
    up = np.clip(x - third, 0, None) - 2 * np.clip(x - 1.5 * third, 0, None) + np.clip(x - 2 * third, 0, None)
    return torch.from_numpy((up * PIXEL * math.tan(math.radians(degrees))).astype(np.float32)).expand(rows, -1)


def test_level_ground_folds_to_itself():
    heights = torch.full((5, 40), 1234.0)
    fold = fold_range(heights, PIXEL, 35.0, 1234.0)
    assert torch.equal(fold.source, torch.arange(40.0).expand(5, 40))
    assert (fold.crossings == 1).all()
    plane = torch.randn(5, 40)
    assert torch.equal(fold.continuous(plane), plane)
    assert torch.equal(fold.nearest(plane), plane)


def test_ground_above_the_level_moves_towards_the_satellite_by_height_times_cotangent():
    fold = fold_range(torch.full((2, 64), 300.0), PIXEL, 35.0, 0.0)
    shift = 300.0 / math.tan(math.radians(35.0)) / PIXEL
    torch.testing.assert_close(fold.source, (torch.arange(64.0) + shift).remainder(64).expand(2, 64), atol=1e-4, rtol=0)


def test_ramps_are_compressed_and_stretched_by_the_closed_form():
    # Range of ground x on a slope a: x (1 - tan a cot i) = x sin(i - a) / (sin i cos a).
    i, a = math.radians(39.0), math.radians(20.0)
    fold = fold_range(tent(20.0, columns=300), PIXEL, 39.0, 0.0)
    assert (fold.crossings == 1).all()
    steps = fold.source.diff(dim=1)[0]
    facing, away = math.sin(i - a) / (math.sin(i) * math.cos(a)), math.sin(i + a) / (math.sin(i) * math.cos(a))
    place = fold.source[0, :-1]
    np.testing.assert_allclose(steps[(place > 102) & (place < 145)], 1 / facing, rtol=1e-3)
    np.testing.assert_allclose(steps[(place > 152) & (place < 198)], 1 / away, rtol=1e-3)
    np.testing.assert_allclose(steps[place < 95], 1.0, rtol=1e-3)
    assert facing < 1 < away


@pytest.mark.parametrize(("degrees", "overturned"), [(30.0, False), (38.0, False), (41.0, True), (55.0, True)])
def test_ground_shares_cells_where_the_slope_exceeds_the_incidence(degrees, overturned):
    heights = tent(degrees, columns=300)
    fold = fold_range(heights, PIXEL, 39.5, 0.0)
    assert bool((fold.crossings > 1).any()) == overturned
    assert fold.crossings.min() == 1
    layover, _ = layover_and_shadow(heights, PIXEL, Frame((0.0, -math.sin(math.radians(39.5)), 1.0), (1, 0), 39.5))
    assert bool(layover.any()) == overturned


def test_folds_without_layover_agree_with_interpolation():
    heights = Fields((8, 200), PIXEL, (1,), torch.device("cpu")).smooth(600) * 120
    fold = fold_range(heights, PIXEL, 30.0, 0.0)
    assert (fold.crossings == 1).all()
    x = np.arange(-200, 400)
    for row in range(8):
        cell = x - heights[row].numpy()[x % 200] / (PIXEL * math.tan(math.radians(30.0)))
        expected = np.interp(np.arange(200), cell, x)
        away = (fold.source[row].numpy() - expected + 100) % 200 - 100
        np.testing.assert_allclose(away, 0, atol=5e-3)


def test_of_ground_that_shares_a_cell_the_farthest_is_the_highest():
    heights = Fields((40, 240), PIXEL, (2,), torch.device("cpu")).smooth(400) * 700
    far, near = (fold_range(heights, PIXEL, 30.0, 0.0, far=side) for side in (True, False))
    shared = far.crossings > 1
    assert shared.any()
    assert torch.equal(far.crossings, near.crossings)
    # Crossings of a continuous chain come in odd numbers.
    assert (far.crossings % 2 == 1).float().mean() > 0.999
    high, low = far.continuous(heights), near.continuous(heights)
    assert (high[shared] >= low[shared] - 0.5).all()
    assert (high[shared] > low[shared] + 5).float().mean() > 0.9
    torch.testing.assert_close(high[~shared], low[~shared], atol=0.5, rtol=0)


def test_smooth_fields_are_not_mixed_across_kinds():
    source = torch.tensor([[0.25, 0.75, 1.5, 2.25]])
    fold = Fold(source, torch.ones(1, 4, dtype=torch.int32))
    plane, kind = torch.tensor([[0.0, 10.0, 20.0, 30.0]]), torch.tensor([[1, 1, 2, 2]])
    assert fold.continuous(plane).tolist() == [[2.5, 7.5, 15.0, 22.5]]
    assert fold.continuous(plane, within=kind).tolist() == [[2.5, 7.5, 20.0, 22.5]]


@pytest.mark.parametrize("look", [LookGeometry(190, 39), LookGeometry(-14, 33), LookGeometry(348, 44, False)])
def test_layover_and_shadow_agree_with_rays_traced_over_a_sphere(look):
    heights = Fields((220, 260), PIXEL, (5,), torch.device("cpu")).smooth(420) * 420
    layover, shadow = layover_and_shadow(heights, PIXEL, frame_of(look, radar=False))
    grid = MapGrid((220, 260), Affine(PIXEL, 0, 500_000, 0, -PIXEL, 3_400_000), "EPSG:32647")
    codes = traced.layover_shadow(heights.numpy(), grid, look)
    inside = (slice(40, -40), slice(60, -60))
    for mine, code in ((layover, traced.LAYOVER), (shadow, traced.SHADOW)):
        theirs = (codes & code > 0)[inside]
        assert np.mean(mine.numpy()[inside] == theirs) > 0.985
    assert 0.02 < float(layover.float().mean()) < 0.6


def test_map_and_radar_frames_see_the_same_motion():
    for look in (LookGeometry(190, 39), LookGeometry(350, 25), LookGeometry(185, 44, False)):
        east, north, up = slope_vector(70.0, 25.0)
        truth = np.dot((east, north, up), look.to_satellite)
        on_map = frame_of(look, radar=False)
        assert np.dot((-north, east, up), on_map.to_satellite) == pytest.approx(truth)
        in_radar = frame_of(look, radar=True)
        h, side = math.radians(look.heading), 1 if look.right_looking else -1
        along = east * math.sin(h) + north * math.cos(h)
        away = side * (east * math.cos(h) - north * math.sin(h))
        assert np.dot((along, away, up), in_radar.to_satellite) == pytest.approx(truth)
        # North itself, seen in both frames.
        assert on_map.north == (-1, 0)
        assert in_radar.north == pytest.approx((math.cos(h), side * -math.sin(h)))


def test_range_slope_of_a_plane():
    frame = frame_of(LookGeometry(190, 39), radar=True)
    x = torch.arange(30.0) * PIXEL * math.tan(math.radians(12.0))
    slope = range_slope(x.expand(6, 30), PIXEL, frame)
    np.testing.assert_allclose(np.degrees(slope[:, 1:-1].numpy()), 12.0, rtol=1e-4)


def test_slant_range_is_the_altitude_straight_down_and_that_of_sentinel_1_at_39_degrees():
    assert slant_range(LookGeometry(190, 1e-9), 693e3) == pytest.approx(693e3, abs=1)
    assert slant_range(LookGeometry(190, 39), 693e3) == pytest.approx(850e3, rel=0.03)


def test_looks_are_polar_and_of_both_directions():
    rng = np.random.default_rng(0)
    looks = [draw_look(rng) for _ in range(300)]
    assert {look.direction for look in looks} == {"ascending", "descending"}
    assert all(20 <= look.incidence <= 47 for look in looks)
    assert all(min(abs(look.heading + 10), abs(look.heading - 190)) <= 8 for look in looks)
    assert 0.85 < np.mean([look.right_looking for look in looks]) < 0.98
