"""The share of dates in the noise, and what a network makes of it."""

import itertools
from datetime import date, timedelta

import numpy as np
import pytest

from groundshift.gradients.noise import (
    Likeness,
    NoiseShare,
    likeness_by_half_year,
    measure_noise,
    network_factor,
    share_near,
    share_of,
)
from groundshift.pairs import incidence_matrix
from groundshift.pairs.select import half_year
from groundshift.types import Pair

NODES = 3000


def noise(pairs, share, seed=0, spread=None):
    """Differences of `pairs`: `share` of the variance from each date, the rest from the pair."""
    rng = np.random.default_rng(seed)
    incidence = incidence_matrix(pairs)[1]
    own = rng.standard_normal((len(pairs), NODES)) * (1 if spread is None else spread)
    dates = rng.standard_normal((incidence.shape[1], NODES))
    return 0.05 * (np.sqrt(share) * incidence @ dates + np.sqrt(1 - 2 * share) * own)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.4])
@pytest.mark.parametrize("days", [24, 36, 60])
def test_recovers_the_share_of_dates(join_dates, share, days):
    pairs = join_dates(range(0, 12 * 40, 12), max_days=days)
    found = measure_noise(noise(pairs, share), np.ones((len(pairs), NODES)), pairs)
    # Dates' 40 x 3000 draws, and pairs that share a date, leave an error of about 0.005.
    assert found.date == pytest.approx(share, abs=0.02)
    assert 2 * found.date + found.pair == pytest.approx(1)


def test_steady_motion_is_not_noise(join_dates):
    pairs = join_dates(range(0, 12 * 40, 12))
    years = np.array([p.years for p in pairs])[:, None]
    moving = noise(pairs, 0.2) + years * np.linspace(-5, 5, NODES)
    ones = np.ones(moving.shape)
    assert measure_noise(moving, ones, pairs).date == pytest.approx(measure_noise(noise(pairs, 0.2), ones, pairs).date)


def test_scale_of_noise_and_quality_does_not_matter(join_dates):
    pairs = join_dates(range(0, 12 * 20, 12))
    found = measure_noise(noise(pairs, 0.2), np.full((len(pairs), NODES), 1.0), pairs)
    again = measure_noise(7 * noise(pairs, 0.2), np.full((len(pairs), NODES), 0.3), pairs)
    assert again.date == pytest.approx(found.date)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_missing_nodes_do_not_hide_the_share_of_dates(join_dates, share):
    """Half of all values missing, each pair at other nodes: what two pairs have in common is still alike."""
    pairs = join_dates(range(0, 12 * 40, 12))
    quality = (np.random.default_rng(1).random((len(pairs), NODES)) < 0.5).astype(float)
    angle = np.where(quality > 0, noise(pairs, share), np.nan)
    assert measure_noise(angle, quality, pairs).date == pytest.approx(share, abs=0.02)


def test_quality_that_has_nothing_to_do_with_the_noise_does_not_bias(join_dates):
    pairs = join_dates(range(0, 12 * 40, 12))
    quality = np.random.default_rng(2).uniform(0.05, 4, (len(pairs), NODES))
    assert measure_noise(noise(pairs, 0.3), quality, pairs).date == pytest.approx(0.3, abs=0.02)


def test_pairs_without_any_data_are_left_out(join_dates):
    pairs = join_dates(range(0, 12 * 30, 12))
    quality = np.ones((len(pairs), NODES))
    quality[::7] = 0
    angle = noise(pairs, 0.3)
    angle[::7] = np.nan
    assert measure_noise(angle, quality, pairs).date == pytest.approx(0.3, abs=0.02)


def test_what_cannot_be_measured_is_taken_as_noise_of_pairs(join_dates):
    apart = [Pair(date(2020, m, 1), date(2020, m, 13)) for m in range(1, 9)]
    two = list(join_dates([0, 12, 24], max_days=12))
    for pairs in (apart, two):
        assert measure_noise(noise(pairs, 0.4), np.ones((len(pairs), NODES)), pairs) == NoiseShare(0.0, 1.0)
    chain = join_dates(range(0, 120, 12), max_days=12)
    nothing = np.zeros((len(chain), NODES))
    assert measure_noise(nothing * np.nan, nothing, chain) == NoiseShare(0.0, 1.0)
    assert measure_noise(nothing, nothing + 1, chain) == NoiseShare(0.0, 1.0)


def test_share_stays_within_its_bounds(join_dates):
    pairs = join_dates(range(0, 12 * 30, 12))
    ones = np.ones((len(pairs), NODES))
    most = measure_noise(noise(pairs, 0.5), ones, pairs)
    assert most.date == 0.45
    assert most.pair == pytest.approx(0.1)
    # Neighbours of a chain that are alike instead of opposite: no date can do that.
    chain = join_dates(range(0, 12 * 30, 12), max_days=12)
    alike = np.abs(incidence_matrix(chain)[1]) @ np.random.default_rng(0).standard_normal((30, NODES))
    assert measure_noise(alike, np.ones((29, NODES)), chain) == NoiseShare(0.0, 1.0)


def by_half_year(pairs, angle):
    return likeness_by_half_year([np.stack([a, a]) for a in angle], list(np.ones(angle.shape)), pairs)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.4])
def test_half_years_together_tell_the_share_of_dates(join_dates, share):
    pairs = join_dates(range(0, 12 * 60, 12))
    found = by_half_year(pairs, noise(pairs, share))
    assert set(found) == {half_year(p) for p in pairs}
    assert share_of(found.values()).date == pytest.approx(share, abs=0.02)
    assert share_of(found.values()).pair == pytest.approx(1 - 2 * share_of(found.values()).date)


def test_a_half_year_knows_nothing_of_the_others(join_dates):
    pairs = join_dates(range(0, 12 * 60, 12))
    home = np.array([half_year(p) for p in pairs])
    angle = noise(pairs, 0.3)
    angle[home == home.max()] = noise(pairs, 0.0, seed=9)[home == home.max()]
    everything = by_half_year(pairs, angle)
    for half in np.unique(home).tolist():
        own = np.flatnonzero(home == half)
        assert everything[half] == by_half_year([pairs[k] for k in own], angle[own])[half]


def test_the_noise_of_a_half_year_is_that_of_its_neighbourhood():
    found = {4030: Likeness(45.0, 100.0), 4031: Likeness(10.0, 100.0), 4032: Likeness(20.0, 200.0)}
    assert share_near(found, 4031).date == pytest.approx((75 + 4) / (400 + 20))
    assert share_near(found, 4030).date == pytest.approx((55 + 4) / (200 + 20))
    assert share_near(found, 4033).date == pytest.approx((20 + 4) / (200 + 20))
    assert share_of(found.values()).date == pytest.approx(75 / 400)


def test_where_hardly_anything_was_measured_the_noise_is_the_usual_one():
    assert share_near({}, 4030) == NoiseShare(0.2, 0.6)
    assert share_near({4030: Likeness(3.0, 4.0)}, 4031).date == pytest.approx(7 / 24)
    assert share_of([]) == NoiseShare(0.0, 1.0)


def test_both_directions_count(join_dates):
    pairs = join_dates(range(0, 12 * 14, 12))
    one, other = noise(pairs, 0.4), noise(pairs, 0.0, seed=5)
    found = likeness_by_half_year([np.stack(a) for a in zip(one, other, strict=True)], list(np.ones(one.shape)), pairs)
    shares = [share_of(by_half_year(pairs, angle).values()).date for angle in (one, other)]
    assert share_of(found.values()).date == pytest.approx(np.mean(shares), abs=0.01)


def test_factor_of_independent_pairs_is_one(join_dates):
    pairs = join_dates(range(0, 240, 12))
    assert network_factor(pairs, np.ones(len(pairs)), NoiseShare(0, 1)) == pytest.approx(1)
    apart = [Pair(date(2020, m, 1), date(2020, m, 13)) for m in range(1, 9)]
    assert network_factor(apart, np.arange(1.0, 9), NoiseShare(0.3, 0.4)) == pytest.approx(1)


def test_factor_of_a_chain_is_that_of_its_ends():
    days = [date(2020, 1, 1) + timedelta(12 * k) for k in range(31)]
    chain = [Pair(a, b) for a, b in itertools.pairwise(days)]
    assert network_factor(chain, np.ones(30), NoiseShare(0.4, 0.2)) == pytest.approx((0.4 * 2 + 0.2 * 30) / 30)


def test_factor_of_a_star_exceeds_one():
    star = [Pair(date(2020, 1, 1), date(2020, 1, 1) + timedelta(12 * k)) for k in range(1, 11)]
    # The common date comes in ten times.
    expected = (0.4 * (10**2 + 10) + 0.2 * 10) / 10
    assert network_factor(star, np.ones(10), NoiseShare(0.4, 0.2)) == pytest.approx(expected)


def test_factor_is_the_variance_of_the_sum_of_simulated_noise(join_dates):
    pairs = join_dates([d for k, d in enumerate(range(0, 12 * 50, 12)) if k % 6 != 2])
    weights = np.random.default_rng(3).uniform(0.2, 2, len(pairs))
    found = (weights[:, None] * noise(pairs, 0.35, seed=4) / 0.05).sum(axis=0)
    expected = network_factor(pairs, weights, NoiseShare(0.35, 0.3)) * (weights**2).sum()
    # 3000 draws tell a variance to 2.6 %.
    assert found.var() == pytest.approx(expected, rel=0.08)
