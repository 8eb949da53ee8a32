import math
from datetime import date, timedelta

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from groundshift.errors import NoDataError  # noqa: E402
from groundshift.simulate.batched.config import BatchConfig  # noqa: E402
from groundshift.simulate.batched.ground import make_ground  # noqa: E402
from groundshift.simulate.batched.types import Kind, Network  # noqa: E402

CPU = torch.device("cpu")
DATES = tuple(date(2018, 1, 5) + timedelta(days=12 * i) for i in range(40))
NETWORK = Network(DATES, (0.0,) * 40, (), 0.0555)
PLANES = (
    "heights",
    "blind",
    "slope_factor",
    "forest",
    "fixed_coherence",
    "snow_height",
    "dem_error",
    "mover",
    "velocity",
)


def make(seed=0, **changes):
    keys = {"pixel_m": 40.0, "device": CPU}
    keys |= {name: changes.pop(name) for name in ("pixel_m", "dem", "dem_pixel_m") if name in changes}
    config = BatchConfig(**({"shape": (96, 112), "scenes": 3, "slides": (20, 60)} | changes))
    return make_ground(config, NETWORK, seed, **keys)


@pytest.fixture(scope="module")
def grounds():
    """Grounds of either geometry."""
    return [make(seed, radar_share=share) for seed in range(6) for share in (0, 1)]


def test_same_seed_same_ground_bit_for_bit_and_another_seed_another():
    first, again, other = make(7), make(7), make(8)
    for name in (*PLANES, "course"):
        assert torch.equal(getattr(first, name).nan_to_num(-9), getattr(again, name).nan_to_num(-9))
    assert (first.look, first.movers, first.radar) == (again.look, again.movers, again.radar)
    assert not torch.equal(first.heights, other.heights)


def test_a_scene_does_not_depend_on_how_many_there_are():
    few, many = make(3, scenes=1), make(3, scenes=3)
    for name in PLANES:
        assert torch.equal(getattr(few, name)[0].nan_to_num(-9), getattr(many, name)[0].nan_to_num(-9))
    assert few.movers[0] == many.movers[0]
    assert not torch.equal(many.heights[0], many.heights[1])


@pytest.mark.parametrize("shape", [(33, 47), (64, 200), (101, 32)])
def test_shapes_and_types_are_those_of_the_contract_for_odd_sizes_too(shape):
    ground = make(1, shape=shape, radar_share=0.5, scenes=4, pixel_m=71.3)
    kinds = {"blind": torch.bool, "mover": torch.int64}
    for name in PLANES:
        plane = getattr(ground, name)
        assert plane.shape == (4, *shape)
        assert plane.dtype == kinds.get(name, torch.float32)
        assert plane.is_contiguous()
    assert ground.pixel_m == 71.3
    assert ground.device == CPU
    most = max(len(movers) for movers in ground.movers)
    assert ground.course.shape == (4, 1 + most, 40)
    assert ground.course.dtype == torch.float32
    assert len(ground.look) == len(ground.radar) == len(ground.slant_range_m) == len(ground.movers) == 4


def test_values_lie_in_their_ranges(grounds):
    for ground in grounds:
        for name in ("heights", "slope_factor", "forest", "dem_error", "velocity", "course"):
            assert torch.isfinite(getattr(ground, name)).all()
        for name in ("slope_factor", "forest"):
            assert 0 <= float(getattr(ground, name).min()) <= float(getattr(ground, name).max()) <= 1
        fixed = ground.fixed_coherence[~ground.fixed_coherence.isnan()]
        assert ((fixed >= 0.019) & (fixed <= 0.98)).all()
        assert not ground.snow_height.isnan().any()
        assert not (ground.snow_height == math.inf).any()
        assert all(500e3 < distance < 1100e3 for distance in ground.slant_range_m)


def test_nothing_moves_outside_movers_and_every_mover_is_seen(grounds):
    for ground in grounds:
        assert not ground.velocity[ground.mover == 0].any()
        for b, movers in enumerate(ground.movers):
            numbers = torch.unique(ground.mover[b])
            assert numbers[numbers > 0].tolist() == list(range(1, len(movers) + 1))


def test_slides_peak_within_the_range_and_no_pixel_exceeds_its_mover(grounds):
    low, high = BatchConfig().velocity_mm_yr
    slides = reached = 0
    for ground in grounds:
        for b, movers in enumerate(ground.movers):
            for k, mover in enumerate(movers, start=1):
                peak = float(ground.velocity[b][ground.mover[b] == k].abs().max())
                assert peak <= abs(mover.velocity) * (1 + 1e-4)
                if mover.kind == Kind.SLIDE:
                    slides += 1
                    reached += peak > 0.9 * abs(mover.velocity)
                    assert low <= abs(mover.velocity) <= high
    assert slides > 80
    # Some are cut by the border of the tile, or lie below others.
    assert reached > 0.6 * slides


def test_slides_never_lie_on_water(grounds):
    water = 0
    for ground in grounds:
        for b, movers in enumerate(ground.movers):
            slide = torch.tensor([False] + [mover.kind == Kind.SLIDE for mover in movers])[ground.mover[b]]
            wet = (ground.fixed_coherence[b] - 0.02).abs() < 1e-6
            water += int(wet.sum())
            assert not (slide & wet).any()
    assert water > 1000


def test_courses_start_at_zero_and_steady_ones_are_the_time_in_years(grounds):
    years = torch.tensor(NETWORK.years)
    steady = 0
    for ground in grounds:
        assert not ground.course[:, 0].any()
        assert not ground.course[:, :, 0].any()
        for b, movers in enumerate(ground.movers):
            for k, mover in enumerate(movers, start=1):
                if mover.behaviour == "steady":
                    steady += 1
                    torch.testing.assert_close(ground.course[b, k], years)
            assert not ground.course[b, 1 + len(movers) :].any()
    assert steady > 30


def test_the_count_of_slides_follows_the_area():
    def mean(shape):
        grounds = [make(s, shape=shape, slides=(30, 30), quiet_share=0, radar_share=0, scenes=4) for s in range(3)]
        return np.mean([sum(m.kind == Kind.SLIDE for m in movers) for g in grounds for movers in g.movers])

    # 6.55 and 26.2 square kilometres; a few lie hidden below others, and others reach in over the border.
    assert mean((64, 64)) == pytest.approx(30 * 0.0655, abs=0.8)
    assert mean((128, 128)) == pytest.approx(30 * 0.262, abs=1.6)


def test_quiet_scenes_have_no_slides():
    ground = make(2, quiet_share=1, scenes=6)
    assert not any(mover.kind == Kind.SLIDE for movers in ground.movers for mover in movers)


def test_share_of_radar_geometry_and_which_axes_it_has():
    assert make(0, radar_share=0).radar == (False,) * 3
    assert make(0, radar_share=1).radar == (True,) * 3


def test_foreshortening_steepens_the_faces_towards_the_satellite_in_range():
    # Columns run away from the satellite: faces that rise with the column are packed into fewer cells.
    steep = {}
    for share in (0, 1):
        rise = [make(s, radar_share=share, quiet_share=1).heights.diff(dim=2).flatten() for s in range(5)]
        rise = torch.cat(rise)
        up, down = rise[rise > 2], rise[rise < -2]
        steep[share] = float(up.mean() / -down.mean()), len(up) / len(down)
    assert steep[0] == (pytest.approx(1, abs=0.25), pytest.approx(1, abs=0.25))
    assert steep[1][0] > 1.4
    assert steep[1][1] < 0.75


def test_level_real_land_is_the_same_in_both_geometries():
    dem = np.full((200, 210), 740.0)
    for share in (0, 1):
        ground = make(4, radar_share=share, dem=dem, quiet_share=1)
        assert not ground.blind.any()
        torch.testing.assert_close(ground.heights, torch.full_like(ground.heights, 740.0), atol=0.01, rtol=0)
        assert (ground.slope_factor == 1).all()


def test_real_land_gives_its_heights():
    dem = 1000 + 400 * np.sin(np.arange(300) / 12)[:, None] * np.cos(np.arange(320) / 14)
    ground = make(4, dem=dem, dem_pixel_m=30.0)
    assert 400 < float(ground.heights.min()) < 900
    assert 1100 < float(ground.heights.max()) < 1600
    with pytest.raises(NoDataError, match="32 x 32"):
        make(4, dem=dem[:20])
