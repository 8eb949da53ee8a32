"""Zones of fast slides: their courses, what shows of them, and that it lies where the interferogram shows it."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.io.isslide_cut import Movement, mask_on  # noqa: E402
from groundshift.simulate.batched.types import Kind  # noqa: E402
from groundshift.simulate.segments.config import ZoneConfig  # noqa: E402
from groundshift.simulate.segments.courses import stop_and_go  # noqa: E402
from groundshift.simulate.segments.zones import draw_zone, set_seed, zone_name  # noqa: E402

torch.set_num_threads(1)

SMALL = ZoneConfig(shape=(160, 160), dates=6, slides=(150, 150))
DAYS = np.arange(20) * 6


@pytest.fixture(scope="module")
def zone():
    return draw_zone(SMALL, set_seed(3, 0))


# Courses


def test_a_steady_slide_never_rests_and_another_one_does():
    rests = 0
    for seed in range(40):
        ways = [stop_and_go(DAYS, np.random.default_rng(seed), steady=steady) for steady in (True, False)]
        assert all(way[0] == 0 and (np.diff(way) >= 0).all() for way in ways)
        assert (np.diff(ways[0]) > 0).all()
        rests += bool((np.diff(ways[1]) == 0).any())
    # Rests are 12 days long at least, and in 114 days there is one at least.
    assert rests == 40


def test_a_course_is_in_years_of_its_velocity():
    last = [stop_and_go(DAYS, np.random.default_rng(seed), steady=True)[-1] for seed in range(300)]
    assert np.mean(last) == pytest.approx(114 / 365.25, rel=0.05)


# Zones


def test_pairs_are_of_one_two_and_three_intervals(zone):
    assert sorted({pair.days for pair in zone.network.pairs}) == [6, 12, 18]
    assert len(zone.network.pairs) == 5 + 4 + 3
    assert zone.network.dates[0].isoformat() == "2018-07-02"


def test_twenty_dates_have_as_many_pairs_as_the_paper():
    pairs = draw_zone(ZoneConfig(shape=(96, 96), slides=(1, 1)), 1).network.pairs
    assert [sum(pair.days == days for pair in pairs) for days in (6, 12, 18)] == [19, 18, 17]
    assert pairs[-1].secondary.isoformat() == "2018-10-24"


def test_the_same_seed_draws_the_same_zone_whatever_was_looked_at_before(zone):
    again = draw_zone(SMALL, set_seed(3, 0))
    for mine, other in zip(zone.view(7), again.view(7), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert zone.outlines(2) == again.outlines(2)
    other = draw_zone(SMALL, set_seed(4, 0))
    assert not np.array_equal(other.view(7)[0], zone.view(7)[0])


def test_seeds_of_sets_are_their_own():
    seeds = {set_seed(seed, number) for seed in range(30) for number in range(30)}
    assert len(seeds) == 900
    # Training and samples have seeds of at most 2**53.
    assert min(seeds) > 2**53


def test_the_map_has_pixels_of_its_degrees_and_is_as_large_as_the_scene(zone):
    assert zone.name == zone_name(0) == "Queyras"
    assert (zone.grid.transform.a, zone.grid.transform.e) == (1.315e-4, -1.315e-4)
    for size, count in zip(zone.grid.spacing, zone.grid.shape, strict=True):
        assert size * count == pytest.approx(160 * 26.0, rel=0.005)
    assert len({zone_name(k) for k in range(40)}) == 40


def test_phase_is_wrapped_and_coherence_lies_between_0_and_1(zone):
    wrapped, coherence = zone.view(0)
    assert wrapped.shape == coherence.shape == zone.grid.shape
    assert (wrapped.dtype, coherence.dtype) == (np.float32, np.float32)
    assert np.abs(wrapped).max() <= np.float32(math.pi)
    assert coherence.min() >= 0
    assert coherence.max() <= 1


def on_map(zone, field):
    """Take a field of the scene to the map by the nearest pixel, told apart from how the zone does it."""
    rows, columns = zone.grid.shape
    y, x = np.mgrid[:rows, :columns] + 0.5
    at = y * zone.grid.spacing[0] / 26.0 - 0.5, x * zone.grid.spacing[1] / 26.0 - 0.5
    near = [np.clip(np.round(v).astype(int), 0, n - 1) for v, n in zip(at, field.shape, strict=True)]
    return field[tuple(near)]


def test_outlines_hold_what_moves_far_enough_and_nothing_that_stands_still(zone):
    seen = 0
    for index, pair in enumerate(zone.network.pairs):
        first, last = (zone.network.dates.index(day) for day in (pair.reference, pair.secondary))
        way = (zone.ground.course[0, :, last] - zone.ground.course[0, :, first]).numpy()
        motion = np.abs(way[zone.ground.mover[0].numpy()] * zone.ground.velocity[0].numpy()) * 4e-3 * math.pi
        moved = on_map(zone, motion / zone.network.wavelength)
        for outline in zone.outlines(index):
            inside = mask_on(zone.grid, [Movement(outline.geometry, outline.id)])
            assert zone.ground.movers[0][outline.id - 1].kind in (Kind.SLIDE, Kind.BOWL)
            # Edges are rounded to a pixel of either grid.
            assert np.median(moved[inside]) > 0.5
            assert moved[inside].max() > 0.9
            assert way[outline.id] != 0
            seen += 1
    assert seen > 20


def test_outlined_ground_shows_the_true_motion_with_its_sign(zone):
    index = next(k for k, pair in enumerate(zone.network.pairs) if pair.days == 18)
    wrapped, coherence = zone.view(index)
    mask = mask_on(zone.grid, [Movement(o.geometry, o.id) for o in zone.outlines(index)]) & (coherence > 0.4)
    pair = zone.network.pairs[index]
    first, last = (zone.network.dates.index(day) for day in (pair.reference, pair.secondary))
    way = (zone.ground.course[0, :, last] - zone.ground.course[0, :, first])[zone.ground.mover[0]]
    # Phase grows when the ground moves away.
    truth = on_map(zone, (way * zone.ground.velocity[0]).numpy() * -4e-3 * math.pi / zone.network.wavelength)

    assert mask.sum() > 100
    alike = [np.abs(np.exp(1j * phase)[mask].mean()) for phase in (wrapped, wrapped - truth, wrapped + truth)]
    assert alike[1] > alike[0] + 0.1
    assert alike[1] > alike[2] + 0.1


def test_longer_pairs_show_at_least_as_much_of_a_slide(zone):
    def area(index, number):
        return sum(o.geometry.area for o in zone.outlines(index) if o.id == number)

    pairs = list(zone.network.pairs)
    short = next(k for k, p in enumerate(pairs) if p.days == 6)
    long = next(k for k, p in enumerate(pairs) if p.days == 18 and p.reference == pairs[short].reference)
    slow = [o.id for o in zone.outlines(long)]
    assert slow
    assert len(slow) >= len(zone.outlines(short)) - 2
    assert sum(area(long, k) >= 0.8 * area(short, k) for k in slow) >= 0.8 * len(slow)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValidationError, match=r"velocity_mm_yr must be \(low, high\)"):
        ZoneConfig(velocity_mm_yr=(5.0, 1.0))
    with pytest.raises(ValidationError, match="must begin above 0"):
        ZoneConfig(looks=(0.0, 1.0))
