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
from groundshift.pairs import date_coefficients, date_graph, incidence_matrix, optimal_weights, select_pairs
from groundshift.types import Pair

START = date(2016, 1, 1)


def day(number: int) -> date:
    return START + timedelta(days=number)


def regular(count: int, reach: int, step: int = 12) -> list[Pair]:
    return [Pair(day(step * i), day(step * j)) for i in range(count) for j in range(i + 1, min(i + reach + 1, count))]


def days_of(pairs: list[Pair]) -> np.ndarray:
    return np.array([pair.days for pair in pairs], float)


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
    weights = optimal_weights(pairs, 0.0, noise)
    expected = days_of(pairs) / noise
    np.testing.assert_allclose(weights, expected * days_of(pairs).sum() / (expected @ days_of(pairs)), rtol=1e-10)


def test_with_atmosphere_alone_a_chain_is_the_regression_line_through_its_dates():
    numbers = np.cumsum([0, 12, 12, 24, 6, 36, 12, 48, 12])
    pairs = [Pair(day(int(a)), day(int(b))) for a, b in itertools.pairwise(numbers)]
    coefficients = date_coefficients(pairs, optimal_weights(pairs, 1.0, np.full(len(pairs), 1e-9))).coefficients
    centred = numbers - numbers.mean()
    np.testing.assert_allclose(coefficients, numbers[-1] * centred / (centred @ centred), atol=1e-7)


def test_equal_pairs_between_two_dates_share_the_weight_by_their_noise():
    pairs = [Pair(day(0), day(12), 10.0), Pair(day(0), day(12), 20.0)]
    weights = optimal_weights(pairs, 7.0, np.array([1.0, 3.0]))
    np.testing.assert_allclose(weights, [1.5, 0.5], rtol=1e-12)


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
    time = days_of(pairs)
    assert (weights >= 0).all()
    assert weights @ time == pytest.approx(time.sum())
    # Karush, Kuhn, Tucker: the slope of V per day is the same for every pair in use and nowhere lower.
    h = variance_matrix(pairs, atmosphere, noise, dem)
    slope = h @ weights / time
    level = weights @ h @ weights / time.sum()
    tolerance = 1e-9 * np.abs(h).max() * weights.max() + 1e-9 * level
    assert (slope >= level - tolerance).all()
    np.testing.assert_allclose(slope[weights > 0], level, atol=tolerance)


def test_another_solver_finds_the_same_weights():
    rng = np.random.default_rng(4)
    pairs = [Pair(p.reference, p.secondary, rng.normal(0, 60)) for p in regular(9, reach=3)]
    noise = rng.uniform(0.1, 3, len(pairs))
    h, time = variance_matrix(pairs, 2.0, noise, 1e-3), days_of(pairs)
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
    np.testing.assert_allclose(weights, found.x, atol=1e-4)


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
    h, time = variance_matrix(pairs, 3.0, noise), days_of(pairs)
    best = optimal_weights(pairs, 3.0, noise)
    for other in (np.ones(len(pairs)), time, time / noise, 1 / noise):
        scaled = other * time.sum() / (other @ time)
        assert best @ h @ best < scaled @ h @ scaled


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
