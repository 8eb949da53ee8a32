"""Selecting short pairs, and weighting them."""

import itertools
import re
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from groundshift.errors import NoDataError
from groundshift.io import open_stack
from groundshift.pairs import date_coefficients, date_graph, incidence_matrix, optimal_weights, select_pairs
from groundshift.pairs.select import half_year, local_weights
from groundshift.types import Pair

START = date(2016, 1, 1)


def day(number: int) -> date:
    return START + timedelta(days=number)


def regular(count: int, reach: int, step: int = 12) -> list[Pair]:
    return [Pair(day(step * i), day(step * j)) for i in range(count) for j in range(i + 1, min(i + reach + 1, count))]


def years_of(pairs: list[Pair]) -> np.ndarray:
    return np.array([pair.years for pair in pairs], float)


networks = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 30), st.none() | st.floats(-200, 200)),
    min_size=1,
    max_size=25,
    unique_by=lambda e: (e[0], e[1]),
).map(lambda found: [Pair(day(6 * a), day(6 * (a + n)), bperp) for a, n, bperp in found])


def variance_matrix(pairs, atmosphere, noise, dem=0.0):
    """V(w) = w' H w, written out pair by pair."""
    h = np.diag(np.asarray(noise, float))
    for i, p in enumerate(pairs):
        for j, q in enumerate(pairs):
            shared = (p.reference == q.reference) + (p.secondary == q.secondary)
            shared -= (p.reference == q.secondary) + (p.secondary == q.reference)
            h[i, j] += atmosphere * shared
            h[i, j] += dem * (p.perpendicular_baseline or 0.0) * (q.perpendicular_baseline or 0.0)
    return h


def variance_of_velocity(weights, h, time):
    return weights @ h @ weights / (weights @ time) ** 2


# Selection


def test_limits_are_inclusive():
    pairs = regular(6, reach=5)
    assert {p.days for p in select_pairs(pairs, min_days=24, max_days=36)} == {24, 36}
    kept = select_pairs(pairs, start=day(12), end=day(36))
    assert (min(p.reference for p in kept), max(p.secondary for p in kept)) == (day(12), day(36))


def test_the_default_is_every_pair_of_at_most_36_days_in_the_order_given():
    pairs = regular(8, reach=6)[::-1]
    assert list(select_pairs(pairs)) == [p for p in pairs if p.days <= 36]


def test_sequential_of_a_full_network_is_the_chain():
    assert list(select_pairs(regular(10, reach=5), mode="sequential")) == regular(10, reach=1)


def test_nearest_of_a_full_network_has_that_reach():
    assert list(select_pairs(regular(10, reach=9), max_days=1000, mode="nearest", nearest=4)) == regular(10, reach=4)


def test_the_next_date_is_the_next_one_that_a_pair_within_the_limits_reaches():
    pairs = [Pair(day(0), day(6)), Pair(day(0), day(12)), Pair(day(0), day(24)), Pair(day(6), day(24))]
    assert [p.days for p in select_pairs(pairs, min_days=12, mode="sequential")] == [12, 18]


@given(networks, st.integers(1, 5))
def test_each_date_has_at_most_its_nearest_next_dates(pairs, nearest):
    kept = select_pairs(pairs, max_days=10_000, mode="nearest", nearest=nearest)
    for reference in {p.reference for p in pairs}:
        every = sorted(p.secondary for p in pairs if p.reference == reference)
        assert sorted(p.secondary for p in kept if p.reference == reference) == every[:nearest]
    assert select_pairs(pairs, max_days=10_000, mode="sequential") == select_pairs(
        pairs, max_days=10_000, mode="nearest", nearest=1
    )


def test_long_perpendicular_baselines_go_and_unknown_ones_stay():
    pairs = [Pair(day(0), day(12), -151.0), Pair(day(0), day(24), 150.0), Pair(day(12), day(24))]
    assert list(select_pairs(pairs, max_bperp=150)) == pairs[1:]


def test_both_dates_must_be_allowed():
    pairs = regular(4, reach=3)
    assert list(select_pairs(pairs, dates=[day(0), day(24), day(36)])) == [
        Pair(day(0), day(24)),
        Pair(day(0), day(36)),
        Pair(day(24), day(36)),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"max_days": 6},
            "no pair spans 0 to 6 days, the 3 within the dates span 12 to 24; change min_days or max_days",
        ),
        (
            {"start": date(2020, 1, 1), "end": date(2021, 1, 1)},
            "no pair lies between 2020-01-01 and 2021-01-01, those given run from 2016-01-01 to 2016-01-25; "
            "move start or end",
        ),
        ({"dates": [date(2016, 1, 1)]}, "no pair has both its dates among the 1 dates allowed; allow more dates"),
        (
            {"max_bperp": 50},
            "no pair has a perpendicular baseline within 50 m, the shortest has 80 m; raise max_bperp",
        ),
    ],
)
def test_an_empty_selection_names_the_limit(options, message):
    pairs = [Pair(day(0), day(12), 80.0), Pair(day(0), day(24), -90.0), Pair(day(12), day(24), -170.0)]
    with pytest.raises(NoDataError, match=f"^{re.escape(message)}$"):
        select_pairs(pairs, **options)


def test_no_pairs_cannot_be_selected_from():
    with pytest.raises(NoDataError, match=r"^no pair to select from; give at least one interferogram$"):
        select_pairs([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "some"}, "mode must be one of all, sequential, nearest, instead got 'some'"),
        ({"mode": "nearest", "nearest": 0}, "nearest must lie in [1, inf], instead got 0"),
        ({"min_days": 40}, "min_days must lie in [0, 36], instead got 40"),
        ({"max_bperp": -1.0}, "max_bperp must lie in [0, inf], instead got -1.0"),
    ],
)
def test_parameters_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        select_pairs(regular(3, reach=2), **options)


# Weights


def test_without_atmosphere_a_weight_is_time_over_noise():
    pairs = regular(20, reach=3)
    noise = np.random.default_rng(1).uniform(0.1, 4, len(pairs))
    np.testing.assert_allclose(optimal_weights(pairs, 0.0, noise), years_of(pairs) / noise, rtol=1e-10)


def test_with_atmosphere_alone_a_chain_is_the_regression_line_through_its_dates():
    numbers = np.cumsum([0, 12, 12, 24, 6, 36, 12, 48, 12])
    pairs = [Pair(day(int(a)), day(int(b))) for a, b in itertools.pairwise(numbers)]
    coefficients = date_coefficients(pairs, optimal_weights(pairs, 2.0, np.full(len(pairs), 1e-9))).coefficients
    np.testing.assert_allclose(coefficients, (numbers - numbers.mean()) / 365.25 / 2.0, atol=1e-8)


def test_equal_pairs_between_two_dates_share_the_weight_by_their_noise():
    pairs = [Pair(day(0), day(12), 10.0), Pair(day(0), day(12), 20.0)]
    weights = optimal_weights(pairs, 7.0, np.array([1.0, 3.0]))
    # V = 2 * 7 (w1 + w2)^2 + w1^2 + 3 w2^2 = 14.75 (w1 + w2)^2 at w1 = 3 w2.
    np.testing.assert_allclose(weights, np.array([0.75, 0.25]) * 12 / 365.25 / 14.75, rtol=1e-12)


def test_dem_error_makes_the_baselines_cancel():
    pairs = [Pair(day(0), day(12), 100.0), Pair(day(50), day(62), -50.0), Pair(day(100), day(112), 30.0)]
    weights = optimal_weights(pairs, 1.0, np.ones(3), dem_error_variance=1e6)
    assert weights @ [100.0, -50.0, 30.0] == pytest.approx(0, abs=1e-4)
    assert (weights > 0).all()


def test_pairs_without_a_baseline_count_as_zero_metres():
    unknown = [Pair(day(0), day(12)), Pair(day(50), day(62), 40.0)]
    zero = [Pair(day(0), day(12), 0.0), Pair(day(50), day(62), 40.0)]
    np.testing.assert_array_equal(
        optimal_weights(unknown, 1.0, np.ones(2), 0.1), optimal_weights(zero, 1.0, np.ones(2), 0.1)
    )


@settings(deadline=None)
@given(
    networks,
    st.sampled_from([0.0, 1e-3, 1.0, 1e3, 1e6]),
    st.sampled_from([0.0, 1e-4, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_weights_meet_the_conditions_of_the_minimum(pairs, atmosphere, dem, seed):
    noise = np.random.default_rng(seed).uniform(0.05, 5, len(pairs))
    weights = optimal_weights(pairs, atmosphere, noise, dem)
    time = years_of(pairs)
    assert (weights >= 0).all()
    # Karush, Kuhn, Tucker: the slope of V per year is two for every pair in use and nowhere lower.
    h = variance_matrix(pairs, atmosphere, noise, dem)
    slope = h @ weights / time
    tolerance = 1e-9 * (365.25 * np.abs(h).max() * weights.max() + 1)
    assert (slope >= 1 - tolerance).all()
    np.testing.assert_allclose(slope[weights > 0], 1, atol=tolerance)
    # The variance of the sum is its time: it tells a velocity with one over that.
    assert weights @ h @ weights == pytest.approx(weights @ time, rel=1e-6)


def test_another_solver_finds_the_same_weights():
    rng = np.random.default_rng(4)
    pairs = [Pair(p.reference, p.secondary, rng.normal(0, 60)) for p in regular(9, reach=3)]
    noise = rng.uniform(0.1, 3, len(pairs))
    h, time = variance_matrix(pairs, 2.0, noise, 1e-3), years_of(pairs)
    found = minimize(
        lambda w: w @ h @ w,
        np.ones(len(pairs)),
        jac=lambda w: 2 * h @ w,
        bounds=[(0, None)] * len(pairs),
        constraints=LinearConstraint(time, time.sum(), time.sum()),
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    weights = optimal_weights(pairs, 2.0, noise, 1e-3)
    assert (weights == 0).any()
    np.testing.assert_allclose(weights * time.sum() / (weights @ time), found.x, atol=1e-4)


def test_weighted_sums_scatter_as_predicted():
    pairs = regular(12, reach=3)
    _, incidence = incidence_matrix(pairs)
    rng = np.random.default_rng(8)
    noise = rng.uniform(0.2, 2, len(pairs))
    weights = optimal_weights(pairs, 0.5, noise)
    draws = 200_000
    atmosphere = rng.normal(0, np.sqrt(0.5), (draws, incidence.shape[1])).astype(np.float32) @ incidence.T
    sums = (atmosphere + rng.normal(0, 1, atmosphere.shape) * np.sqrt(noise)) @ weights
    assert sums.var() == pytest.approx(weights @ variance_matrix(pairs, 0.5, noise) @ weights, rel=0.02)


def test_disconnected_groups_are_weighted_as_each_would_be_alone():
    pairs = [p for p in regular(220, reach=3) if not {p.reference.month, p.secondary.month} & {6, 7, 8}]
    noise = np.random.default_rng(5).uniform(0.2, 2, len(pairs))
    weights = optimal_weights(pairs, 1.0, noise)
    groups = date_graph(pairs).groups
    assert len(pairs) > 400
    assert len(groups) > 5
    for group in groups:
        members = [i for i, pair in enumerate(pairs) if pair.reference in group.dates]
        alone = optimal_weights([pairs[i] for i in members], 1.0, noise[members])
        np.testing.assert_allclose(weights[members] / weights[members].sum(), alone / alone.sum(), atol=1e-9)


def test_no_other_weights_of_a_long_network_leave_less_variance():
    pairs = regular(183, reach=3)
    noise = np.random.default_rng(6).uniform(0.2, 2, len(pairs))
    h, time = variance_matrix(pairs, 3.0, noise), years_of(pairs)
    best = optimal_weights(pairs, 3.0, noise)
    for other in (np.ones(len(pairs)), time, time / noise, 1 / noise):
        assert variance_of_velocity(best, h, time) < variance_of_velocity(other, h, time)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, np.ones(3)), "atmosphere_variance must be finite and not negative, instead got -1.0"),
        ((1.0, np.ones(3), np.inf), "dem_error_variance must be finite and not negative, instead got inf"),
        ((1.0, np.ones(2)), "noise_variance must have shape (3,), instead got (2,)"),
        ((1.0, np.array([1.0, 0.0, 1.0])), "noise_variance must be positive, instead got 0.0"),
        ((1.0, np.array([1.0, np.nan, 1.0])), "noise_variance must be positive, instead got nan"),
    ],
)
def test_variances_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        optimal_weights(regular(3, reach=2), *arguments)


def test_no_pairs_cannot_be_weighted():
    with pytest.raises(NoDataError, match=r"^no pair to weight; give at least one interferogram$"):
        optimal_weights([], 1.0, np.empty(0))


# Weights that settle


def test_a_half_year_is_that_of_the_later_date():
    halves = {(1, 1): 4040, (6, 30): 4040, (7, 1): 4041, (12, 31): 4041}
    for (month, number), expected in halves.items():
        assert half_year(Pair(date(2019, 12, 1), date(2020, month, number))) == expected


def everywhere(pairs, ratio):
    return {half_year(pair): (ratio, 1.0) for pair in pairs}


@given(networks, st.sampled_from([0.0, 0.3, 4.5]), st.sampled_from([0.0, 1e-4]))
@settings(deadline=None)
def test_within_two_half_years_local_weights_are_the_optimal_ones(pairs, ratio, dem):
    pairs = [pair for pair in pairs if pair.secondary < date(2017, 1, 1)]
    if pairs:
        expected = optimal_weights(pairs, ratio, np.ones(len(pairs)), dem)
        np.testing.assert_allclose(local_weights(pairs, everywhere(pairs, ratio), dem), expected, atol=1e-12)


spans = st.lists(
    st.tuples(st.integers(0, 1400), st.integers(1, 60), st.none() | st.floats(-200, 200)),
    min_size=2,
    max_size=40,
    unique_by=lambda e: (e[0], e[1]),
).map(lambda found: sorted(Pair(day(a), day(a + n), bperp) for a, n, bperp in found))


@settings(deadline=None, max_examples=50)
@given(spans, st.data())
def test_pairs_that_are_added_change_no_weight_beyond_the_half_years_beside_theirs(pairs, data):
    new = set(data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=len(pairs) - 1, unique=True)))
    ratios = {half_year(pair): data.draw(st.sampled_from([(0.1, 0.8), (0.3, 0.4), (0.45, 0.1)])) for pair in pairs}
    old = [pair for pair in pairs if pair not in new]
    before = dict(zip(old, local_weights(old, ratios, 1e-5), strict=True))
    after = dict(zip(pairs, local_weights(pairs, ratios, 1e-5), strict=True))
    moved = {half_year(pair) for pair in new}
    for pair in old:
        if not moved & {half_year(pair) - 1, half_year(pair), half_year(pair) + 1}:
            # Bit for bit: that is how an update knows which pairs it need not read.
            assert after[pair] == before[pair]


@settings(deadline=None, max_examples=40)
@given(spans, st.randoms(use_true_random=False))
def test_the_order_of_pairs_does_not_matter(pairs, random):
    order = list(range(len(pairs)))
    random.shuffle(order)
    weights = local_weights(pairs, everywhere(pairs, 1.0))
    shuffled = local_weights([pairs[k] for k in order], everywhere(pairs, 1.0))
    np.testing.assert_allclose(shuffled, weights[order], atol=1e-9)


def test_deep_in_a_regular_network_a_weight_is_the_length_of_the_pair_whatever_the_atmosphere():
    pairs = regular(183, reach=3)
    deep = np.array([day(365) < pair.reference and pair.secondary < day(1800) for pair in pairs])
    for ratio in (0.0, 0.5, 1.0):
        weights = local_weights(pairs, everywhere(pairs, ratio))
        np.testing.assert_allclose(weights[deep], years_of(pairs)[deep], rtol=0.02)


def test_each_half_year_has_the_weights_of_its_own_noise():
    pairs = regular(120, reach=3)
    one, other = (local_weights(pairs, everywhere(pairs, ratio)) for ratio in (0.1, 2.0))
    changes = {half: (0.1 if half < 4034 else 2.0, 1.0) for half in everywhere(pairs, 0)}
    mixed = local_weights(pairs, changes)
    late = np.array([half_year(pair) >= 4034 for pair in pairs])
    np.testing.assert_array_equal(mixed, np.where(late, other, one))


def test_the_scale_of_all_variances_does_not_matter():
    pairs = regular(80, reach=3)
    one = local_weights(pairs, dict.fromkeys(everywhere(pairs, 0), (0.3, 0.4)), 1e-5)
    other = local_weights(pairs, dict.fromkeys(everywhere(pairs, 0), (3.0, 4.0)), 1e-4)
    np.testing.assert_allclose(one, other, rtol=1e-9)


def loss(pairs, share, dem=0.0):
    """By how much local weights leave more variance than the best weights of all pairs at once."""
    ratio = share / (1 - 2 * share)
    h, time = variance_matrix_fast(pairs, ratio, dem), years_of(pairs)
    best = optimal_weights(pairs, ratio, np.ones(len(pairs)), dem)
    local = local_weights(pairs, everywhere(pairs, ratio), dem)
    return variance_of_velocity(local, h, time) / variance_of_velocity(best, h, time) - 1


def variance_matrix_fast(pairs, atmosphere, dem):
    _, incidence = incidence_matrix(pairs)
    baselines = np.array([pair.perpendicular_baseline or 0.0 for pair in pairs])
    return np.eye(len(pairs)) + atmosphere * incidence @ incidence.T + dem * np.outer(baselines, baselines)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.4, 0.45])
@pytest.mark.parametrize("name", ["regular", "gaps"])
def test_local_weights_lose_next_to_nothing_against_the_best_of_six_years(name, share):
    rng = np.random.default_rng(1)
    numbers = np.arange(0, 2192, 12)
    if name == "gaps":
        numbers = np.array([n for n in rng.choice(numbers, 145, replace=False) if not 700 < n < 860])
    numbers.sort()
    baselines = rng.normal(0, 60, numbers.size)
    pairs = [
        Pair(day(int(a)), day(int(b)), baselines[j] - baselines[i])
        for i, a in enumerate(numbers)
        for j, b in enumerate(numbers)
        if 0 < b - a <= 36
    ]
    assert len(pairs) > 250
    assert -1e-12 <= loss(pairs, share) < (0.001 if share < 0.4 else 0.008)
    # With the DEM error that 160 m of averaging leave.
    assert -1e-12 <= loss(pairs, share, 1.4e-6) < (0.001 if share < 0.4 else 0.01)


@pytest.mark.real
@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.4, 0.45])
def test_local_weights_lose_next_to_nothing_on_the_pairs_of_danba(real_data, share):
    pairs = open_stack(real_data / "danba").pairs
    assert -1e-12 <= loss(select_pairs(pairs, max_days=36), share) < 0.001
    if share <= 0.3:
        assert -1e-12 <= loss(pairs, share) < 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], {}), "no pair to weight; give at least one interferogram"),
        ((regular(3, 2), {4032: (-1.0, 1.0)}), "atmosphere_variance must be finite and not negative, instead got -1.0"),
        (
            (regular(3, 2), {4032: (1.0, 1.0)}, np.nan),
            "dem_error_variance must be finite and not negative, instead got nan",
        ),
    ],
)
def test_local_weights_refuse_what_optimal_ones_do(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        local_weights(*arguments)
