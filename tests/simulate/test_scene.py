import math
import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from groundshift.errors import NoDataError
from groundshift.io.stack import InterferogramStack
from groundshift.simulate import Cover, SceneConfig, simulate_scene, to_stack
from groundshift.types import Pair, Window

QUIET = {
    "turbulence_rad": (0.0, 0.0),
    "stratified_rad_per_km": 0.0,
    "stratified_annual_rad_per_km": 0.0,
    "dem_error_m": 0.0,
    "glaciers": False,
}


@pytest.fixture(scope="module")
def scene():
    return simulate_scene(SceneConfig(seed=4, shape=(150, 200), n_dates=12, n_slides=4, gap_share=0.0))


def test_noise_free_phase_closes_around_three_pairs(scene):
    a, b, c = scene.dates[:3]
    loop = scene.phase(Pair(a, b)) + scene.phase(Pair(b, c)) - scene.phase(Pair(a, c))
    np.testing.assert_allclose(loop, 0, atol=2e-5)
    assert np.abs(scene.phase(Pair(a, c))).max() > 1


def test_the_air_telescopes_over_a_chain_of_pairs():
    still = simulate_scene(
        SceneConfig(shape=(60, 60), n_dates=8, n_slides=0, gap_share=0, glaciers=False, dem_error_m=0)
    )
    chain = [Pair(a, b) for a, b in zip(still.dates[:-1], still.dates[1:], strict=True)]
    total = np.sum([still.phase(pair) for pair in chain], axis=0)
    ends = still.delay(still.dates[-1]) - still.delay(still.dates[0])
    np.testing.assert_allclose(total, ends, atol=2e-5)


def test_ground_that_moves_away_makes_the_phase_grow():
    config = SceneConfig(
        shape=(200, 200), n_dates=6, n_slides=6, gap_share=0, seasonal_share=0, accelerating_share=0, **QUIET
    )
    still = simulate_scene(config)
    pair = Pair(still.dates[0], still.dates[3])
    signs = set()
    for slide in still.slides:
        peak = still.phase(pair)[slide.rows, slide.columns][slide.pattern == 1][0]
        range_change_m = -slide.los_velocity / 1000 * pair.days / 365.25
        assert peak == pytest.approx(4 * math.pi / config.wavelength_m * range_change_m, rel=1e-4)
        signs.add(bool(slide.los_velocity < 0) == bool(peak > 0))
    assert signs == {True}
    assert (still.phase(pair)[~still.slide_mask] == 0).all()


def test_dem_error_is_four_ten_thousandths_of_a_radian_per_metre_of_height_and_baseline():
    config = SceneConfig(shape=(60, 60), n_dates=4, n_slides=0, gap_share=0, **{**QUIET, "dem_error_m": 7.0})
    tilted = simulate_scene(config)
    pair = tilted.pairs[0]
    assert pair.perpendicular_baseline == pytest.approx(tilted.baselines[1] - tilted.baselines[0])
    # 4.2e-4 rad per m and m at 850 km and 39 degrees.
    np.testing.assert_allclose(
        tilted.phase(pair), 4.236e-4 * pair.perpendicular_baseline * tilted.dem_error, rtol=1e-3, atol=1e-6
    )
    assert tilted.dem_error.std() == pytest.approx(7.0, rel=1e-3)


def test_velocity_is_the_displacement_over_the_whole_span(scene):
    years = (scene.dates[-1] - scene.dates[0]).days / 365.25
    np.testing.assert_allclose(
        scene.velocity * years, scene.displacement(scene.dates[0], scene.dates[-1]), rtol=1e-4, atol=1e-4
    )
    for slide in scene.slides:
        values = scene.velocity[slide.mask(scene.grid.shape)]
        assert values[np.abs(values).argmax()] == pytest.approx(slide.los_velocity, rel=1e-5)


def test_the_seed_makes_the_same_scene_in_whatever_order_it_is_asked(scene):
    again = simulate_scene(scene.config)
    for name in ("heights", "velocity", "cover", "dem_error", "baselines", "snow_lines"):
        np.testing.assert_array_equal(getattr(scene, name), getattr(again, name))
    assert scene.pairs == again.pairs
    backwards = {pair: again.igram(pair) for pair in reversed(again.pairs)}
    for pair in scene.pairs:
        np.testing.assert_array_equal(scene.igram(pair), backwards[pair])
    other = simulate_scene(scene.config.model_copy(update={"seed": 5}))
    assert np.abs(other.heights - scene.heights).max() > 10
    assert not np.array_equal(scene.igram(scene.pairs[0]), scene.igram(scene.pairs[1]))


def test_pairs_are_all_dates_within_the_longest_interval():
    config = SceneConfig(shape=(32, 32), n_dates=50, n_slides=0, gap_share=0.3, max_days=36)
    sparse = simulate_scene(config)
    assert 25 < len(sparse.dates) < 45
    assert sparse.dates[0] == config.start
    assert sparse.dates[-1] == config.start + timedelta(days=49 * 12)
    expected = {(a, b) for a in sparse.dates for b in sparse.dates if 0 < (b - a).days <= 36}
    assert {(p.reference, p.secondary) for p in sparse.pairs} == expected


def test_coherence_falls_with_time_and_summer_and_is_low_on_rivers_and_snow():
    config = SceneConfig(shape=(150, 150), n_dates=31, n_slides=0, gap_share=0, **QUIET)
    whole = simulate_scene(config)
    year = whole.dates[0].year
    winter, summer = date(year, 1, 17), date(year, 7, 16)
    gamma = {days: whole.coherence(Pair(winter, winter + timedelta(days=days))) for days in (12, 24, 36)}
    ground = (whole.cover <= Cover.FOREST) & (whole.snow_height < whole.snow_lines[:6].min()) & ~whole.blind
    assert (gamma[12] > gamma[24])[ground].all()
    assert (gamma[24] > gamma[36])[ground].all()
    assert (whole.coherence(Pair(summer, summer + timedelta(days=12))) < gamma[12])[ground].all()
    assert gamma[12][whole.cover == Cover.RIVER].max() <= 0.02 + 1e-6
    snow = whole.snow_height > whole.snow_lines[:3].min()
    assert 0.05 < snow.mean() < 0.5
    january = whole.coherence(Pair(whole.dates[1], whole.dates[2]))
    assert january[whole.snow_height > whole.snow_lines[1:3].min()].max() <= 0.1 + 1e-6
    assert whole.blind.any()
    assert gamma[12][whole.blind].max() <= 0.02 + 1e-6


def test_snow_and_glaciers_can_be_switched_off():
    plain = simulate_scene(SceneConfig(shape=(150, 150), n_dates=4, n_slides=0, snow=False, glaciers=False))
    assert np.isinf(plain.snow_lines).all()
    assert not plain.velocity.any()
    icy = simulate_scene(SceneConfig(shape=(150, 150), n_dates=4, n_slides=0))
    assert (icy.cover == Cover.GLACIER).any()
    assert np.abs(icy.velocity[icy.cover == Cover.GLACIER]).max() > 20


def test_a_stack_in_memory_reads_windows_of_the_interferograms(scene):
    stack = to_stack(scene)
    assert isinstance(stack, InterferogramStack)
    pair, window = scene.pairs[2], Window(20, 30, 15, 25)
    np.testing.assert_array_equal(stack.read(pair, window), scene.igram(pair)[20:35, 30:55])
    np.testing.assert_array_equal(stack.read_height(window), scene.heights[20:35, 30:55])
    assert stack.read(pair).dtype == np.complex64
    assert np.abs(stack.read(pair)).max() <= 1 + 1e-6
    assert stack.wavelength == pytest.approx(0.0555, abs=1e-4)
    assert stack.look == scene.look
    # What a caller does to what it read stays its own.
    stack.read(pair)[:] = 0
    assert np.abs(stack.read(pair)).max() > 0.5


def test_the_grid_lies_around_the_place_asked_for(scene):
    lon, lat = scene.grid.lonlat(np.array([74.5]), np.array([99.5]))
    assert lon[0] == pytest.approx(101.9, abs=5e-4)
    assert lat[0] == pytest.approx(30.9, abs=5e-4)
    assert scene.grid.spacing == (40.0, 40.0)
    assert scene.grid.axis_signs == (-1, 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"crs": "EPSG:4326"}, "must be a projected coordinate system in metres, instead got 'EPSG:4326'"),
        ({"crs": "somewhere"}, "must be a coordinate system, instead got 'somewhere'"),
        ({"speed_mm_yr": (50.0, 10.0)}, "must be (low, high) with 0 <= low <= high, instead got (50.0, 10.0)"),
        ({"max_days": 6}, "max_days must be at least interval_days (12), got 6"),
        ({"coherence_window": 4}, "coherence_window must be odd, instead got 4"),
        ({"n_slide": 3}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(wrong, said):
    with pytest.raises(ValidationError) as error:
        SceneConfig(**wrong)
    assert said in str(error.value)


def test_dates_too_far_apart_for_any_pair_say_so():
    config = SceneConfig(shape=(32, 32), n_dates=10, n_slides=0, gap_share=1.0)
    with pytest.raises(NoDataError, match=r"^no two dates lie within 36 days; lower gap_share or raise max_days$"):
        simulate_scene(config)


@pytest.mark.real
def test_default_noise_is_like_that_of_a_real_stack():
    root = os.environ.get("GROUNDSHIFT_DATA")
    if not root:
        pytest.skip("GROUNDSHIFT_DATA is not set")
    files = sorted((Path(root) / "danba" / "diff").glob("*.diff.ml.sm"))
    short = [f for f in files if (date.fromisoformat(f.name[9:17]) - date.fromisoformat(f.name[:8])).days <= 36]
    real = np.stack([np.fromfile(f, ">c8").reshape(101, 175)[:99, :174] for f in short])
    # To the 40 m of the scene; the landslide is left out.
    real = real.reshape(-1, 33, 3, 58, 3).mean((2, 4))[:, :, :16]
    made = simulate_scene(SceneConfig(shape=(150, 200), n_slides=4))
    steps = [
        np.median(np.abs(np.angle(z[:, :, 1:] * z[:, :, :-1].conj())))
        for z in (real, np.stack([made.igram(p) for p in made.pairs]))
    ]
    assert steps[1] == pytest.approx(steps[0], rel=0.4)
