import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from groundshift.simulate.batched.bodies import add_slides, seen_motion  # noqa: E402
from groundshift.simulate.batched.canvas import Canvas  # noqa: E402
from groundshift.simulate.batched.config import BatchConfig  # noqa: E402
from groundshift.simulate.batched.fields import Fields, gradient  # noqa: E402
from groundshift.simulate.batched.hazards import add_bowls, add_glaciers, add_reservoir  # noqa: E402
from groundshift.simulate.batched.outlines import Site, draw_outline, trace_path  # noqa: E402
from groundshift.simulate.batched.radar import frame_of  # noqa: E402
from groundshift.simulate.batched.terrain import draw_land  # noqa: E402
from groundshift.simulate.batched.types import Kind  # noqa: E402
from groundshift.simulate.slides import slope_vector  # noqa: E402
from groundshift.types import LookGeometry  # noqa: E402

LOOK = LookGeometry(190, 39)
YEARS = np.arange(60) * 12 / 365.25
PIXEL = 30.0


def canvas(seed=0, style="valleys", look=LOOK):
    fields = Fields((160, 180), PIXEL, (seed,), torch.device("cpu"))
    land = draw_land(fields, np.random.default_rng(seed), style)
    return Canvas.on(fields, frame_of(look, radar=False), (16, 18, 128, 144), (YEARS, 0.0), land, 150.0)


def facing(degrees, azimuth=90.0):
    """A canvas all of one slope, as far as slides feel it, that falls towards an azimuth."""
    made = canvas()
    steep, a = math.tan(math.radians(degrees)), math.radians(azimuth)
    made.fall = torch.full_like(made.heights, steep * math.cos(a)), torch.full_like(made.heights, -steep * math.sin(a))
    return made


def test_motion_on_a_plane_is_the_slope_vector_on_the_line_of_sight():
    for azimuth in (90.0, 200.0, 300.0):
        on = facing(25.0, azimuth)
        a = math.radians(azimuth)
        site = Site(80, 90, (-math.cos(a), math.sin(a)))
        for seed in range(5):
            rng = np.random.default_rng(seed)
            outline = draw_outline(on, site, 900.0, 400.0, rng)
            seen = seen_motion(on, outline, site, torch.ones_like(outline.rho), rng)
            # Turned by up to 10 degrees either way.
            turned = [np.dot(slope_vector(azimuth + t, 25.0), LOOK.to_satellite) for t in np.linspace(-10, 10, 41)]
            assert float(seen.max() - seen.min()) < 1e-5
            assert min(turned) - 1e-4 <= float(seen.mean()) <= max(turned) + 1e-4


def test_rotational_heads_sink_and_toes_push_outwards():
    # The slope falls away from the satellite, which stands at 100 degrees: the head goes down and away, the toe up.
    on = facing(20.0, 280.0)
    a = math.radians(280.0)
    site = Site(80, 90, (-math.cos(a), math.sin(a)))
    for seed in range(8):
        rng = np.random.default_rng(seed)
        outline = draw_outline(on, site, 1200.0, 600.0, rng)
        seen = seen_motion(on, outline, site, torch.ones_like(outline.rho), rng, rotational=True)
        inside = outline.rho < 1
        head, toe = (seen[inside & side].mean() for side in (outline.xi < -0.5, outline.xi > 0.5))
        assert float(head) < float(toe)


def test_outlines_have_about_the_size_asked_for():
    on = facing(20.0)
    ratios = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        outline = draw_outline(on, Site(80, 90, (0.6, 0.8)), 1500.0, 700.0, rng)
        area = float((outline.rho < 1).sum()) * PIXEL**2
        ratios.append(area / (math.pi / 4 * 1500 * 700))
        assert float(outline.rho[outline.rho.shape[0] // 2, outline.rho.shape[1] // 2]) < 0.3
    assert 0.75 < np.median(ratios) < 1.25
    assert min(ratios) > 0.4
    assert max(ratios) < 2


def test_paths_follow_a_cone_down_and_end_on_level_ground():
    y, x = np.mgrid[:200, :200].astype(np.float32) - 100
    r = np.hypot(y, x) + 1e-6
    fall = np.stack([-0.4 * y / r, -0.4 * x / r])
    path = trace_path(fall, 110.0, 120.0, 1500.0, 30.0)
    assert np.hypot(*(path[-1] - path[0])) * 30 == pytest.approx(1500.0, rel=1e-3)
    np.testing.assert_allclose(np.arctan2(path[:, 0] - 100, path[:, 1] - 100), math.atan2(10, 20), atol=0.05)
    assert trace_path(np.zeros_like(fall), 110.0, 120.0, 1500.0, 30.0) is None
    ending = fall * (r < 60)
    assert np.hypot(*(trace_path(ending, 110.0, 120.0, 9000.0, 30.0)[-1] - 100)) == pytest.approx(60, abs=4)


def test_a_body_along_a_path_lies_along_it():
    on = facing(20.0)
    t = np.linspace(0, math.pi / 2, 20)
    path = np.column_stack([80 + 40 * np.sin(t), 60 + 40 * (1 - np.cos(t))])
    length = 40 * PIXEL * math.pi / 2
    outline = draw_outline(on, Site(80, 60, (1.0, 0.0), path), length, 300.0, np.random.default_rng(0))
    rows, columns = outline.patch.rows.numpy()[:, 0], outline.patch.columns.numpy()
    inside = (outline.rho < 1).numpy()
    y, x = rows[np.nonzero(inside)[0]], columns[np.nonzero(inside)[1]]
    away = np.abs(np.hypot(y - 80, x - 100) - 40) * PIXEL
    assert away.max() < 400
    middle = inside[np.nonzero(rows == 108)[0][0], np.nonzero(columns == 72)[0][0]]
    assert middle
    assert inside.sum() * PIXEL**2 == pytest.approx(math.pi / 4 * length * 300, rel=0.35)


@pytest.mark.parametrize("seed", range(6))
def test_slides_have_the_peak_they_say_and_lie_off_water(seed):
    on = canvas(seed)
    on.water = on.river_m < 60
    add_slides(on, BatchConfig(slides=(40, 40), quiet_share=0, velocity_mm_yr=(5, 50)), np.random.default_rng(seed))
    # 128 x 144 pixels of 30 m are 16.6 square kilometres.
    assert len(on.movers) in (6, 7)
    assert torch.equal(on.velocity != 0, (on.velocity != 0) & (on.mover > 0))
    for number, mover in enumerate(on.movers, start=1):
        assert mover.kind == Kind.SLIDE
        assert 5 <= abs(mover.velocity) <= 50
        seen = on.velocity[on.mover == number]
        if len(seen):
            assert float(seen.abs().max()) <= abs(mover.velocity) * (1 + 1e-5)
    assert not (on.water & (on.mover > 0)).any()
    # The last one lies on top of all others, so its peak is there.
    top = on.velocity[on.mover == len(on.movers)]
    peak = float(top[top.abs().argmax()])
    assert peak == pytest.approx(on.movers[-1].velocity, rel=1e-5)


def test_slides_lie_on_slopes_and_most_move_as_the_slope_says():
    right = total = 0
    for seed in range(12):
        on = canvas(seed)
        add_slides(on, BatchConfig(slides=(60, 60), quiet_share=0), np.random.default_rng(seed))
        slope = np.degrees(np.arctan(torch.hypot(*on.fall).numpy()))
        to_y, to_x, to_up = on.frame.to_satellite
        up_y, up_x = on.fall
        steep = torch.hypot(up_y, up_x)
        toward = -(up_y * to_y + up_x * to_x) / steep - steep * to_up
        for number, mover in enumerate(on.movers, start=1):
            inside = on.mover == number
            expected = float(toward[inside].mean()) if inside.any() else 0.0
            if abs(expected) > 0.3 and mover.profile not in ("rotational",):
                total += 1
                right += (expected > 0) == (mover.velocity > 0)
        if on.movers:
            assert np.median(slope[(on.mover > 0).numpy()]) > 5
    assert total > 60
    # One scene in seven takes any sign, and what bulges may rise although the slide sinks.
    assert right / total > 0.75


def test_no_slides_where_none_are_asked_for():
    for config in (BatchConfig(slides=(0, 0)), BatchConfig(quiet_share=1)):
        on = canvas()
        add_slides(on, config, np.random.default_rng(0))
        assert on.movers == []
        assert not on.velocity.any()


def test_lakes_are_level_and_their_shores_breathe_by_at_most_15_millimetres():
    shores = 0
    for seed in range(12):
        on = canvas(seed)
        before = on.heights.clone()
        add_reservoir(on, np.random.default_rng(seed))
        assert on.water.any()
        level = on.heights[on.water]
        assert float(level.max()) == float(level.min())
        assert (on.heights >= before).all()
        assert torch.equal(on.fixed_coherence.isnan(), ~on.water)
        for mover, course in zip(on.movers, on.courses, strict=True):
            shores += 1
            assert mover.kind == Kind.SHORE
            assert not (on.water & (on.mover > 0)).any()
            breath = mover.velocity * (course - YEARS * np.polyfit(YEARS, course, 1)[0])
            assert np.ptp(breath) / 2 < 15 * 1.3
    assert shores > 4


def test_glaciers_flow_down_and_lose_coherence():
    found = 0
    for seed in range(12):
        on = canvas(seed)
        add_glaciers(on, np.random.default_rng(seed))
        for number, mover in enumerate(on.movers, start=1):
            found += 1
            assert mover.kind == Kind.GLACIER
            ice = on.mover == number
            assert ((on.fixed_coherence[ice] > 0.02) & (on.fixed_coherence[ice] <= 0.5)).all()
            assert abs(mover.velocity) <= 3000
        assert torch.equal(on.fixed_coherence.isnan(), on.mover == 0)
    assert found > 10


def test_bowls_sink_away_from_the_satellite_and_also_move_inwards():
    # Straight down the line of sight only depth counts.
    sunk = 0
    for seed in range(20):
        on = canvas(seed, "plain", LookGeometry(190, 1e-6))
        add_bowls(on, np.random.default_rng(seed))
        for number, mover in enumerate(on.movers, start=1):
            assert mover.kind == Kind.BOWL
            assert -400 <= mover.velocity <= 80
            bowl = on.velocity[on.mover == number]
            assert (bowl * mover.velocity >= 0).all()
            sunk += mover.velocity < 0
    assert sunk > 20
    # Seen from the side, one flank comes closer although all of it sinks.
    flanks = []
    for seed in range(8):
        on = canvas(seed, "plain", LookGeometry(190, 75))
        add_bowls(on, np.random.default_rng(seed))
        if all(mover.velocity < 0 for mover in on.movers):
            flanks.append(float(on.velocity.max()))
    assert max(flanks) > 1


def test_land_and_its_fall_agree():
    on = canvas(3)
    (smooth,) = on.fields.blur(on.heights, 150.0)
    torch.testing.assert_close(torch.stack(on.fall), torch.stack(gradient(smooth, PIXEL)))
