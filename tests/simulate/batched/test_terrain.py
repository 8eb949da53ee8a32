import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from groundshift.errors import NoDataError  # noqa: E402
from groundshift.simulate.batched.fields import Fields, gradient  # noqa: E402
from groundshift.simulate.batched.terrain import cut_land, draw_land  # noqa: E402

STYLES = ("valleys", "ridges", "hills", "front", "plain", "scarp")


def fields(seed=0, shape=(200, 225), pixel_m=40.0):
    return Fields(shape, pixel_m, (seed,), torch.device("cpu"))


def slopes(heights, pixel_m=40.0):
    return np.degrees(np.arctan(torch.hypot(*gradient(heights, pixel_m)).numpy()))


@pytest.mark.parametrize("style", STYLES)
def test_land_repeats_at_its_borders_and_lies_above_the_sea(style):
    for seed in range(3):
        land = draw_land(fields(seed), np.random.default_rng(seed), style)
        assert land.heights.shape == land.river_m.shape == (200, 225)
        assert torch.isfinite(land.heights).all()
        assert float(land.heights.min()) >= 0
        assert (land.river_m >= 0).all()
        inner = land.heights.diff(dim=1).abs().max()
        assert (land.heights[:, 0] - land.heights[:, -1]).abs().max() <= 1.5 * inner


def test_mountains_are_steep_and_plains_are_not():
    typical = {
        style: [np.median(slopes(draw_land(fields(s), np.random.default_rng(s), style).heights)) for s in range(6)]
        for style in STYLES
    }
    assert max(typical["plain"]) < min(typical["valleys"])
    assert max(typical["valleys"] + typical["ridges"]) > 20
    # Nothing is cut into land made of valleys but gullies: 97 % of it stay below 54 degrees or little more.
    for seed in range(6):
        steep = slopes(draw_land(fields(seed), np.random.default_rng(seed), "valleys").heights)
        assert 20 < np.percentile(steep, 97) < 60


def test_rivers_of_mountains_run_in_their_valleys():
    for seed in range(4):
        land = draw_land(fields(seed), np.random.default_rng(seed), "valleys")
        assert land.heights[land.river_m < 60].mean() < land.heights.mean()


def test_a_slope_of_a_real_model_stays_a_slope_whatever_its_direction():
    # A plane of 20 degrees, turned, mirrored and stretched: as steep everywhere, up to a quarter in plan and a fifth in
    # height more or less, apart from where the model ends and is mirrored.
    y, x = np.mgrid[:900, :900] * 30.0
    dem = (0.6 * y + 0.8 * x) * math.tan(math.radians(20))
    for seed in range(5):
        land = cut_land(dem, 30.0, fields(seed, (90, 96)), np.random.default_rng(seed))
        typical = np.median(torch.hypot(*gradient(land.heights, 40.0)).numpy())
        assert 0.6 < typical / math.tan(math.radians(20)) < 1.6


def test_cut_land_keeps_the_heights_and_the_relief_of_its_model():
    rng = np.random.default_rng(0)
    dem = 2000 + 300 * np.sin(np.arange(300) / 15)[:, None] * np.cos(np.arange(280) / 20)
    for seed in range(4):
        heights = cut_land(dem, 30.0, fields(seed), rng).heights
        assert 2000 - 300 * 1.25 < float(heights.min()) < 1900
        assert 2100 < float(heights.max()) < 2000 + 300 * 1.25
        assert (heights[0] - heights[-1]).abs().max() < 100


def test_models_that_cannot_be_cut_from_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(NoDataError, match=r"at least 32 x 32.*\(20, 400\)"):
        cut_land(np.zeros((20, 400)), 30.0, fields(), rng)
    dem = np.zeros((64, 64))
    dem[3, 4] = np.nan
    with pytest.raises(NoDataError, match="gaps"):
        cut_land(dem, 30.0, fields(), rng)
