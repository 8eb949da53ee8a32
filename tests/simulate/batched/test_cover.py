import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from groundshift.simulate.batched.canvas import Canvas  # noqa: E402
from groundshift.simulate.batched.cover import add_rivers, add_towns, draw_forest, draw_snow_height  # noqa: E402
from groundshift.simulate.batched.dem_error import draw_dem_error  # noqa: E402
from groundshift.simulate.batched.fields import Fields, gradient  # noqa: E402
from groundshift.simulate.batched.radar import frame_of  # noqa: E402
from groundshift.simulate.batched.terrain import Land, draw_land  # noqa: E402
from groundshift.types import LookGeometry  # noqa: E402

LOOK = LookGeometry(190, 39)


def canvas(seed=0, *, radar=False, heights=None):
    fields = Fields((160, 180), 30.0, (seed,), torch.device("cpu"))
    land = draw_land(fields, np.random.default_rng(seed), "front")
    if heights is not None:
        land = Land(heights, land.river_m)
    return Canvas.on(fields, frame_of(LOOK, radar=radar), (16, 18, 128, 144), (np.arange(3.0), 0.0), land, 150.0)


def hill():
    """A round hill of 800 m in the middle of level land."""
    y, x = torch.meshgrid(torch.arange(160.0) - 80, torch.arange(180.0) - 90, indexing="ij")
    return 800 * torch.exp(-(y**2 + x**2) / (2 * 25**2))


def test_rivers_are_water_without_coherence_at_least_a_pixel_wide():
    for seed in range(4):
        on = canvas(seed)
        add_rivers(on, np.random.default_rng(seed))
        assert on.water.any()
        assert (on.fixed_coherence[on.water] - 0.02).abs().max() < 1e-6
        assert torch.equal(on.fixed_coherence.isnan(), ~on.water)
        assert float(on.water.float().mean()) < 0.5


def test_towns_stand_on_level_dry_ground_and_stay_coherent():
    built = 0
    for seed in range(6):
        on = canvas(seed)
        add_rivers(on, np.random.default_rng(seed))
        add_towns(on, np.random.default_rng(seed))
        town = on.fixed_coherence > 0.5
        built += int(town.sum())
        assert not (town & on.water).any()
        if town.any():
            assert float(torch.hypot(*on.fall)[town].max()) < math.tan(math.radians(10))
            assert ((on.fixed_coherence[town] > 0.749) & (on.fixed_coherence[town] < 0.981)).all()
    assert built > 100


def test_woods_cover_any_share_of_the_land():
    shares = []
    for seed in range(40):
        forest = draw_forest(canvas(seed % 4), np.random.default_rng(seed))
        assert float(forest.min()) >= 0
        assert float(forest.max()) <= 1
        shares.append(float(forest.mean()))
    assert min(shares) < 0.15
    assert max(shares) > 0.75


@pytest.mark.parametrize("radar", [False, True])
def test_snow_lasts_on_the_shaded_side_in_whatever_axes(radar):
    on = canvas(1, radar=radar, heights=hill())
    to_y, to_x = on.frame.north
    y, x = torch.meshgrid(torch.arange(160.0) - 80, torch.arange(180.0) - 90, indexing="ij")
    northward = y * to_y + x * to_x
    flank = (torch.hypot(y, x) > 15) & (torch.hypot(y, x) < 40)
    lasting = none = 0
    for seed in range(40):
        snow = draw_snow_height(on, np.random.default_rng(seed))
        if torch.isinf(snow).all():
            assert (snow < 0).all()
            none += 1
            continue
        assert torch.isfinite(snow).all()
        lasting += bool(snow[flank & (northward > 10)].mean() > snow[flank & (northward < -10)].mean())
    assert 5 < none < 25
    # The sun stands in the north in one of seven scenes.
    assert 0.65 < lasting / (40 - none) < 1


def test_dem_errors_are_bounded_and_grow_with_slope():
    ratios, sizes = [], []
    for seed in range(30):
        on = canvas(seed % 5, heights=hill())
        error = draw_dem_error(on, torch.zeros(160, 180), np.random.default_rng(seed))
        assert float(error.abs().max()) <= 150
        steep = torch.hypot(*gradient(on.heights, 30.0))
        ratios.append(float(error[steep > 0.4].std() / error[steep < 0.05].std()))
        sizes.append(float(error.std()))
    assert np.median(ratios) > 1.3
    assert min(sizes) > 0.3
    assert 4 < max(sizes) < 30


def test_a_smoothed_model_misses_its_summits():
    # What blurring takes from the top of a hill is missing there: the true height minus that of the model is positive
    # in most scenes (0.1 of 0.6 of the draws smooth the other way).
    on = canvas(1, heights=hill() + 300 * (hill() / 800) ** 12)
    tops = [
        float(draw_dem_error(on, torch.zeros(160, 180), np.random.default_rng(seed))[78:83, 88:93].mean())
        for seed in range(40)
    ]
    assert np.mean(tops) > 1
