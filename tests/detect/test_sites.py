"""Sites are what repeats: chains through time are one, neighbours stay two, and air is not believed."""

from datetime import date, timedelta
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.optimize import linprog

from groundshift.detect.bowls import Bowl
from groundshift.detect.sites import Sighting, associate, growth
from groundshift.types import Pair, Window

START = date(2020, 1, 1)


def pair(first, second, bperp=None):
    """The pair of two acquisitions, by number, twelve days apart each."""
    return Pair(START + timedelta(12 * first), START + timedelta(12 * second), bperp)


def see(first, second, y=50, x=50, *, size=10, score=0.6, peak=5.0, mask=None):
    """A square bowl."""
    mask = np.ones((size, size) if np.isscalar(size) else size, bool) if mask is None else mask
    return Sighting(pair(first, second), Bowl(Window(y, x, *mask.shape), mask, score, peak))


def chain(dates, y=50, x=50, **bowl):
    """A bowl seen by each pair of neighbouring dates."""
    return [see(k, k + 1, y, x, **bowl) for k in range(dates - 1)]


def drawn(site, shape=(200, 300)):
    out = np.zeros(shape, bool)
    out[site.window.rows, site.window.columns] = site.mask
    return out


# Joining


def test_a_place_that_is_seen_again_is_one_site():
    seen = chain(6)
    (site,) = associate(seen)
    assert site.window == Window(50, 50, 10, 10)
    assert site.mask.all()
    assert list(site.sightings) == seen


def test_a_panel_that_wanders_is_one_site_and_its_footprint_the_union():
    seen = [see(k, k + 1, x=50 + 3 * k, size=(10, 12)) for k in range(40)]
    (site,) = associate(seen)
    assert len(site.sightings) == 40
    # All that two pairs saw: from where the second began to where the last but one ended.
    assert site.window == Window(50, 53, 10, 3 * 38 + 12 - 3)
    assert site.mask.all()


def test_neighbours_that_overlap_a_little_stay_two():
    left, right = chain(8, size=(10, 12)), [see(k, k + 2, x=57, size=(10, 12)) for k in range(6)]
    assert len(associate(left + right, least_overlap=0.5)) == 2  # They share 5 of 12 columns.
    assert len(associate(left + right, least_overlap=0.4)) == 1


def test_what_counts_is_the_part_of_the_smaller():
    long = [see(k, k + 4, 45, 45, size=30) for k in range(6)]
    (site,) = associate(chain(6, size=8) + long)
    assert len(site.sightings) == 5 + 6


@pytest.mark.parametrize("when", [(0, 9), (3, 4), (8, 9)])
@pytest.mark.parametrize("size", [10, 8])
def test_a_bowl_across_two_mines_does_not_fuse_them(when, size):
    seen = chain(8) + chain(8, x=61, size=size) + [see(*when, 49, 49, size=(12, 24))]
    if when == (3, 4):  # In place of what that pair shows, as its bowls do not overlap.
        seen = [s for s in seen if s.pair != pair(3, 4) or s.bowl.window.height == 12]
    sites = associate(seen)
    assert len(sites) == 2
    assert not (drawn(sites[0]) & drawn(sites[1])).any()
    assert sum(len(site.sightings) for site in sites) == len(seen)


def test_a_small_bowl_between_two_mines_does_not_fuse_them():
    left, right = chain(8), [see(k, k + 1, x=61) for k in range(7)]
    grown = [see(20, 21, x=50, size=(10, 16))]
    assert len(associate(left + right + grown + [see(22, 23, x=61, size=5)])) == 2


def test_a_mine_that_falls_in_two_in_one_pair_stays_one():
    pieces = [see(9, 10, size=(10, 4)), see(9, 10, x=56, size=(10, 4))]
    (site,) = associate([*chain(8), *pieces])
    assert len(site.sightings) == 7 + 2


def test_two_mines_seen_as_one_more_often_than_as_two_are_one():
    both = [see(k, k + 1, size=(10, 21)) for k in range(6)]
    two = [see(k, k + 1, x=x) for k in (10, 12) for x in (50, 61)]
    assert len(associate(both + two)) == 1


def test_order_of_sightings_does_not_matter():
    rng = np.random.default_rng(0)
    seen = [
        see(
            a,
            a + int(rng.integers(1, 4)),
            *rng.integers(0, 60, 2),
            size=tuple(rng.integers(5, 25, 2)),
            score=rng.random(),
        )
        for a in range(60)
    ]
    seen += [s._replace(bowl=s.bowl._replace(peak=-4.0)) for s in seen[::7]]
    seen = list({(s.pair, s.bowl.window): s for s in seen}.values())
    expected = associate(seen)
    assert len(expected) > 2
    for _ in range(5):
        found = associate([seen[k] for k in rng.permutation(len(seen))])
        assert [(s.window, s.score, s.sightings) for s in found] == [(s.window, s.score, s.sightings) for s in expected]


def test_baselines_need_not_be_known_for_all_pairs():
    seen = [s._replace(pair=pair(k, k + 1, None if k % 2 else 30.0)) for k, s in enumerate(chain(6))]
    assert len(associate(seen)) == 1


def test_sites_far_apart_are_as_many_as_places():
    rng = np.random.default_rng(1)
    places = [(100 * int(y), 100 * int(x)) for y, x in np.argwhere(np.ones((8, 8)))]
    seen = [see(k, k + 1, y, x) for y, x in places for k in range(10) if rng.random() < 0.9]
    assert sorted((s.window.y, s.window.x) for s in associate(seen)) == places


# Confirming


def test_one_acquisition_does_not_confirm_however_many_pairs_share_it():
    assert associate([see(k, 9) for k in range(9)]) == []
    assert associate([see(0, 1), see(1, 2), see(0, 2)]) == []
    assert associate([see(0, 1)]) == []


@pytest.mark.parametrize("seed", range(30))
def test_confirmed_is_what_two_pairs_without_a_common_date_show(seed):
    rng = np.random.default_rng(seed)
    network = list(combinations(range(5), 2))
    some = [network[k] for k in rng.choice(len(network), rng.integers(1, 5), replace=False)]
    apart = any(not set(a) & set(b) for a, b in combinations(some, 2))
    assert bool(associate([see(*p) for p in some])) == apart


def test_more_dates_can_be_asked_for():
    assert len(associate(chain(6), least_dates=6)) == 1
    assert associate(chain(6), least_dates=7) == []


def test_air_of_some_dates_flips_its_sign_and_is_not_confirmed():
    rng = np.random.default_rng(3)
    for reach in (1, 3):
        for _ in range(20):
            air = np.zeros(40)
            air[rng.choice(np.arange(1, 39), 2, replace=False)] = rng.choice([-3.0, 3.0], 2)
            seen = [
                see(a, b, peak=air[b] - air[a])
                for a, b in combinations(range(40), 2)
                if b - a <= reach and abs(air[b] - air[a]) > np.pi / 2
            ]
            assert len(seen) >= 2
            assert associate(seen) == []


def test_ground_that_sinks_is_confirmed_in_spite_of_air_and_with_its_sign():
    rng = np.random.default_rng(4)
    for sign in (1, -1):
        air = rng.normal(0, 0.7, 30)
        phases = {(a, b): sign * 2.0 * (b - a) + air[b] - air[a] for a, b in combinations(range(30), 2) if b - a <= 2}
        (site,) = associate([see(*p, peak=v) for p, v in phases.items() if abs(v) > np.pi / 2])
        assert {np.sign(s.bowl.peak) for s in site.sightings} == {sign}
        assert site.score > 0.99


def test_a_place_that_sinks_and_rises_at_once_is_not_believed():
    sinking = [see(2 * k, 2 * k + 1) for k in range(8)]
    rising = [see(2 * k, 2 * k + 3, peak=-5.0) for k in range(3)]
    assert len(associate(sinking + rising[:2])) == 1
    assert associate(sinking + rising) == []


def test_ground_that_sank_and_then_rose_is_two_sites():
    sites = associate(chain(8) + [see(k, k + 1, peak=-4.0) for k in range(10, 18)])
    assert sorted(np.sign(site.sightings[0].bowl.peak) for site in sites) == [-1, 1]


def test_what_is_not_confirmed_is_returned_when_asked_for():
    seen = [see(k, 9) for k in range(9)] + [see(0, 1, 150, 150)]
    sites = associate(seen, confirmed_only=False)
    assert [len(site.sightings) for site in sites] == [9, 1]
    assert all(site.mask.all() for site in sites)
    (one, other) = associate([see(0, 1), see(1, 2, peak=-5.0)], confirmed_only=False)
    assert (one.score, other.score) == (0, 0)


# Score


def joint(scores):
    """The best fractional matching of pairs, as a linear programme."""
    pairs = list(scores)
    dates = sorted({d for p in pairs for d in p})
    touches = np.array([[d in p for p in pairs] for d in dates], float)
    worth = -np.log1p(-np.array(list(scores.values())))
    return 1 - np.exp(linprog(-worth, A_ub=touches, b_ub=np.ones(len(dates)), bounds=(0, None)).fun)


def test_pairs_without_a_common_date_count_in_full():
    (site,) = associate([see(2 * k, 2 * k + 1, score=s) for k, s in enumerate((0.5, 0.6, 0.9))])
    assert site.score == pytest.approx(1 - 0.5 * 0.4 * 0.1)


def test_pairs_of_one_date_count_as_the_best_of_them():
    star = {(0, 5): 0.3, (1, 5): 0.8, (2, 5): 0.5}
    (site,) = associate([see(*p, score=s) for p, s in star.items()], confirmed_only=False)
    assert site.score == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(8))
def test_score_is_that_of_the_linear_programme_and_grows_with_evidence(seed):
    rng = np.random.default_rng(seed)
    network = [p for p in combinations(range(9), 2) if rng.random() < 0.4]
    scores = {p: rng.uniform(0.2, 0.9) for p in network}
    before = 0.0
    for count in range(1, len(network) + 1):
        some = {p: scores[p] for p in network[:count]}
        (site,) = associate([see(*p, score=s) for p, s in some.items()], confirmed_only=False)
        assert site.score == pytest.approx(joint(some), abs=1e-9)
        assert site.score >= before - 1e-12
        before = site.score


# Footprints


@pytest.mark.parametrize(("dates", "wide", "columns"), [(6, 1, 10), (6, 2, 18), (42, 2, 10), (42, 3, 18)])
def test_mask_holds_what_two_pairs_show_and_a_twentieth_as_many_as_any_pixel(dates, wide, columns):
    seen = chain(dates) + [see(100 + 2 * k, 101 + 2 * k, size=(10, 18)) for k in range(wide)]
    (site,) = associate(seen)
    assert site.window == Window(50, 50, 10, columns)
    assert site.mask.all()


def test_growth_is_the_union_by_date_and_ends_with_the_mask():
    rng = np.random.default_rng(5)
    seen = [see(k, k + 1 + int(rng.integers(0, 2)), *(50 + rng.integers(0, 4 + k // 4, 2)), size=12) for k in range(20)]
    (site,) = associate(seen)
    dates, pixels = growth(site)
    assert all(a < b for a, b in pairwise(dates))
    inside = drawn(site)
    for day, count in zip(dates, pixels, strict=True):
        union = np.zeros_like(inside)
        for s in seen:
            if s.pair.secondary <= day:
                union[s.bowl.window.rows, s.bowl.window.columns] |= s.bowl.mask
        assert count == (union & inside).sum()
    assert pixels[-1] == site.mask.sum()
    assert pixels[0] < pixels[-1]


def test_masks_and_not_boxes_overlap():
    lower = np.tril(np.ones((20, 20), bool), -1)
    seen = [see(k, k + 1, mask=lower) for k in range(5)] + [see(k, k + 2, mask=~lower) for k in range(5)]
    first, second = associate(seen)
    np.testing.assert_array_equal(drawn(first) ^ drawn(second), drawn(first) | drawn(second))
    assert drawn(first).sum() + drawn(second).sum() == 400


# Errors


def test_nothing_seen_gives_no_sites():
    assert associate([]) == []


def test_limits_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="least_dates must be at least 4, instead got 3"):
        associate(chain(5), least_dates=3)
    for overlap in (0, 1.2):
        with pytest.raises(ValueError, match="least_overlap must be above 0 and at most 1"):
            associate(chain(5), least_overlap=overlap)
