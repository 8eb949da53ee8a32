import itertools
from datetime import date, timedelta

import numpy as np
import pytest

from groundshift.errors import NoDataError
from groundshift.offsets.inversion import invert_offsets, loop_closure
from groundshift.types import Pair

START = date(2007, 1, 1)


def pairs_of(steps: list[int], least: int = 1) -> list[Pair]:
    days = [START + timedelta(step) for step in steps]
    return [Pair(a, b) for a, b in itertools.combinations(days, 2) if (b - a).days >= least]


def moved_by(pairs: list[Pair], curve, shape: tuple[int, int] = (1, 1)) -> np.ndarray:
    """Displacement of pairs from displacement (metres) as a function of years."""
    years = [[(day - START).days / 365.25 for day in (p.reference, p.secondary)] for p in pairs]
    return np.stack([np.full(shape, curve(b) - curve(a)) for a, b in years])


def dense(pairs: list[Pair], moved: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares with dense matrices, zero at the first date: displacement and its standard error."""
    dates = sorted({day for pair in pairs for day in (pair.reference, pair.secondary)})
    design = np.array([[(day == p.secondary) * 1.0 - (day == p.reference) for day in dates[1:]] for p in pairs])
    normal = design.T @ (design / sigma[:, np.newaxis] ** 2)
    solution = np.linalg.solve(normal, design.T @ (moved / sigma**2))
    return np.append(0, solution), np.append(0, np.sqrt(np.diag(np.linalg.inv(normal))))


STEPS = [0, 92, 184, 322, 506, 690, 782, 966]


def test_series_of_accelerating_motion_is_recovered_where_pairs_agree():
    pairs = pairs_of(STEPS, 180)

    def curve(t):
        return -2.0 * t - 1.5 * t**2

    found = invert_offsets(moved_by(pairs, curve, (3, 2)), np.full(len(pairs), 0.2), pairs)
    truth = np.array([curve(step / 365.25) for step in STEPS])
    np.testing.assert_allclose(found.displacement, np.broadcast_to(truth[:, None, None], (8, 3, 2)), atol=1e-4)
    assert (found.n_pairs == len(pairs)).all()
    assert (found.left_out == 0).all()


def test_agrees_with_dense_least_squares_on_noise_of_the_stated_size():
    rng = np.random.default_rng(3)
    pairs = pairs_of(STEPS, 90)
    sigma = rng.uniform(0.1, 0.4, len(pairs))
    moved = moved_by(pairs, lambda t: 3 * t)[:, 0, 0] + 0.02 * sigma * rng.normal(size=len(pairs))
    found = invert_offsets(moved.reshape(-1, 1, 1), sigma, pairs)
    series, errors = dense(pairs, moved, sigma)
    # Noise of a fiftieth of its stated size: the bisquare weights are 1 but for a part in ten thousand.
    np.testing.assert_allclose(found.displacement[:, 0, 0], series, atol=1e-4)
    np.testing.assert_allclose(found.sigma[:, 0, 0], errors, rtol=2e-3)
    assert found.chi_square[0, 0] < 0.01


def test_standard_errors_and_chi_square_hold_in_normal_noise():
    rng = np.random.default_rng(5)
    pairs = pairs_of(STEPS, 90)
    moved = moved_by(pairs, lambda t: 3 * t, (40, 25))
    found = invert_offsets(moved + rng.normal(0, 0.3, moved.shape), np.full(len(pairs), 0.3), pairs)
    off = found.displacement[1:] - 3 * np.array(STEPS[1:])[:, None, None] / 365.25
    np.testing.assert_allclose(np.sqrt(np.mean((off / found.sigma[1:]) ** 2)), 1, atol=0.1)
    np.testing.assert_allclose(found.chi_square.mean(), 1, atol=0.15)


@pytest.mark.parametrize("wrong", [25.0, -400.0])
def test_false_matches_do_not_count(wrong):
    pairs = pairs_of(STEPS)
    moved = moved_by(pairs, lambda t: -4.0 * t, (2, 2))
    moved[3] += wrong
    moved[10, 0] -= wrong / 2
    found = invert_offsets(moved, np.full(len(pairs), 0.3), pairs)
    truth = -4.0 * np.array(STEPS) / 365.25
    np.testing.assert_allclose(found.displacement, np.broadcast_to(truth[:, None, None], (8, 2, 2)), atol=1e-3)
    np.testing.assert_array_equal(found.n_pairs, len(pairs) - np.array([[2, 2], [1, 1]]))
    assert found.left_out[3] == 1
    assert found.left_out[10] == 0.5
    assert np.isnan(found.residual[3])


def test_rate_of_steady_motion_and_its_sign():
    pairs = pairs_of(STEPS, 180)
    found = invert_offsets(moved_by(pairs, lambda t: -4.3 * t), np.full(len(pairs), 0.2), pairs)
    np.testing.assert_allclose(found.rate, -4.3, atol=1e-3)


def test_parts_that_no_pair_joins_are_crossed_by_least_velocity():
    steps = [0, 100, 200, 1200, 1300, 1400]
    pairs = [pair for pair in pairs_of(steps) if pair.days < 500]
    found = invert_offsets(moved_by(pairs, lambda t: 2.0 * t), np.full(6, 0.1), pairs)
    np.testing.assert_array_equal(found.groups[:, 0, 0], [1, 1, 1, 2, 2, 2])
    # Between the parts nothing is known, and no velocity is the least one.
    expected = 2.0 * np.array([0, 100, 200, 200, 300, 400]) / 365.25
    np.testing.assert_allclose(found.displacement[:, 0, 0], expected, atol=1e-4)


def test_a_pixel_without_pairs_has_no_solution_and_the_rest_goes_on():
    pairs = pairs_of(STEPS[:4])
    moved = moved_by(pairs, lambda t: 2.0 * t, (1, 2))
    moved[:, 0, 0] = np.nan
    found = invert_offsets(moved, np.full(6, 0.1), pairs)
    assert np.isnan(found.displacement[:, 0, 0]).all()
    assert np.isnan(found.rate[0, 0])
    assert found.n_pairs[0, 0] == 0
    np.testing.assert_allclose(found.rate[0, 1], 2.0, atol=1e-3)


def test_loops_of_a_series_close_and_a_single_error_shows_in_all_its_loops():
    pairs = pairs_of(STEPS[:5])
    moved = moved_by(pairs, np.sin, (2, 3))
    closed = loop_closure(moved, pairs)
    assert {len(loop) for loop in closed.loops} == {3}
    assert set(itertools.chain(*closed.loops)) == set(pairs)
    assert closed.overall < 1e-12
    moved[0] += 0.7
    broken = loop_closure(moved, pairs)
    with_it = np.array([pairs[0] in loop for loop in broken.loops])
    np.testing.assert_allclose(broken.rms, np.where(with_it, 0.7, 0), atol=1e-12)


def test_a_loop_without_triples_is_found_too():
    pairs = pairs_of([0, 100, 200, 300])
    ring = [pairs[0], pairs[3], pairs[5], pairs[2]]
    moved = moved_by(ring, np.sin)
    moved[1] -= 0.4
    closed = loop_closure(moved, ring)
    assert [set(loop) for loop in closed.loops] == [set(ring)]
    np.testing.assert_allclose(closed.rms, 0.4)


def test_a_chain_has_no_loops():
    pairs = [Pair(START + timedelta(100 * k), START + timedelta(100 * k + 100)) for k in range(4)]
    assert loop_closure(np.zeros((4, 1, 1)), pairs).loops == ()


def test_loops_without_data_are_not_known():
    pairs = pairs_of(STEPS[:3])
    closed = loop_closure(np.full((3, 1, 1), np.nan), pairs)
    assert np.isnan(closed.rms).all()
    assert np.isnan(closed.overall)


@pytest.mark.parametrize(
    ("moved", "sigma", "message"),
    [
        (np.zeros((2, 1, 1)), np.ones(3), r"displacement must have shape \(3, 1, 1\), instead got \(2, 1, 1\)"),
        (np.zeros(3), np.ones(3), r"displacement must be \(pair, y, x\), instead got shape \(3,\)"),
        (np.zeros((3, 1, 1)), np.ones(2), r"sigma must have shape \(3,\), instead got \(2,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(moved, sigma, message):
    with pytest.raises(ValueError, match=message):
        invert_offsets(moved, sigma, pairs_of(STEPS[:3]))


def test_a_pair_given_twice_is_named():
    pairs = pairs_of(STEPS[:3])
    with pytest.raises(ValueError, match="pairs must differ, instead got 1 of 4 again"):
        invert_offsets(np.zeros((4, 1, 1)), np.ones(4), [*pairs, pairs[0]])


@pytest.mark.parametrize(("count", "message"), [(0, "no pair to invert"), (3, "no pair has offsets")])
def test_nothing_to_invert_says_so(count, message):
    with pytest.raises(NoDataError, match=message):
        invert_offsets(np.full((count, 1, 1), np.nan), np.ones(count), pairs_of(STEPS[:3])[:count])
