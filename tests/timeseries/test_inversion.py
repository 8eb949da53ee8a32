"""From pairs to motion: closed forms, laws, agreement with NumPy, errors that scatter as stated, and a peer's rates."""

import math
from datetime import date, timedelta

import numpy as np
import pytest
import rasterio
from scipy import stats
from scipy.special import spence

from groundshift.errors import NoDataError
from groundshift.pairs import DateGap, incidence_matrix
from groundshift.timeseries.inversion import covariance_of, invert_network, phase_weights
from groundshift.timeseries.terms import InseparableTermError, dem_per_metre
from groundshift.types import Pair

WAVELENGTH = 0.0555
PER_METRE = -4 * math.pi / WAVELENGTH


def day(number):
    return date(2020, 1, 1) + timedelta(int(number))


def pair(first, second, bperp=None):
    return Pair(day(first), day(second), bperp)


def phases_of(pairs, motion):
    """Phase of each pair where the dates have moved `motion`, (date, ...) metres towards the satellite."""
    return np.tensordot(incidence_matrix(pairs)[1], PER_METRE * np.asarray(motion), 1)


def years_of(pairs):
    dates = incidence_matrix(pairs)[0]
    return np.array([(d - dates[0]).days / 365.25 for d in dates])


@pytest.fixture(scope="module")
def regular(join_dates):
    """Twenty dates of 12 days in pairs of up to 36."""
    return join_dates(range(0, 240, 12))


@pytest.fixture(scope="module")
def some(regular):
    """Random motion with noise, missing pairs and weights."""
    rng = np.random.default_rng(0)
    unw = phases_of(regular, rng.normal(0, 0.01, (20, 5, 6)).cumsum(axis=0)) + rng.normal(0, 0.3, (len(regular), 5, 6))
    weights = rng.uniform(1, 9, unw.shape)
    unw[rng.random(unw.shape) < 0.15] = np.nan
    return unw, weights


def test_steady_motion_comes_back_exactly(regular):
    rate = np.linspace(-0.1, 0.1, 12).reshape(3, 4)
    motion = years_of(regular)[:, None, None] * rate
    found = invert_network(phases_of(regular, motion), None, regular, WAVELENGTH)
    np.testing.assert_allclose(found.displacement, motion, atol=1e-7)
    np.testing.assert_allclose(found.temporal_coherence, 1)
    np.testing.assert_allclose(found.residual, 0, atol=1e-5)
    assert (found.n_pairs == len(regular)).all()
    assert (found.groups == 1).all()
    assert found.gaps == ()
    assert found.dem_error is None


def test_phase_that_grows_is_ground_that_moves_away():
    found = invert_network(np.full((2, 1, 1), math.pi), None, [pair(0, 12), pair(12, 24)], WAVELENGTH)
    np.testing.assert_allclose(found.displacement[:, 0, 0], [0, -WAVELENGTH / 4, -WAVELENGTH / 2], rtol=1e-6)


def test_weighted_least_squares_agrees_with_numpy(regular, some):
    unw, weights = some
    found = invert_network(unw, weights, regular, WAVELENGTH)
    incidence = incidence_matrix(regular)[1][:, 1:]
    for y, x in np.ndindex(5, 6):
        good = np.isfinite(unw[:, y, x])
        root = np.sqrt(weights[good, y, x])
        expected, *_ = np.linalg.lstsq(incidence[good] * root[:, None], unw[good, y, x] * root)
        np.testing.assert_allclose(found.displacement[1:, y, x], expected / PER_METRE, atol=1e-7)
        assert found.n_pairs[y, x] == good.sum()


def test_residuals_of_a_triangle():
    # A misclosure c of three equal pairs leaves c / 3 in each, with the sign of its way round.
    for c in (0.3, 2.0, -5.0):
        unw = np.array([1, 2, 3 - c]).reshape(3, 1, 1)
        found = invert_network(unw, None, [pair(0, 12), pair(12, 24), pair(0, 24)], WAVELENGTH)
        assert found.residual[0, 0] == pytest.approx(abs(c) / 3, rel=1e-5)
        phasors = 2 * np.exp(1j * c / 3) + np.exp(-1j * c / 3)
        assert found.temporal_coherence[0, 0] == pytest.approx(abs(phasors) / 3, rel=1e-5)
        # One degree of freedom: c^2 / 3 of squares, and the parallel of one pair and of two in a row for the date.
        assert found.sigma[2, 0, 0] == pytest.approx(math.sqrt(c**2 / 3 * 2 / 3) / abs(PER_METRE), rel=1e-5)


def test_displacement_does_not_move_across_a_gap_and_the_gap_is_told():
    # Least velocity between the last date of one group and the first of the next is none.
    pairs = [pair(0, 12), pair(12, 24), pair(0, 24), pair(100, 130), pair(130, 142), pair(100, 142)]
    rate, other = 0.05, -0.2
    motion = np.array([0, 12, 24, 24, 24, 24]) * rate / 365.25 + np.array([0, 0, 0, 0, 30, 42]) * other / 365.25
    found = invert_network(phases_of(pairs, motion)[:, None, None], None, pairs, WAVELENGTH)
    np.testing.assert_allclose(found.displacement[:, 0, 0], motion, atol=1e-7)
    assert found.groups[:, 0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert found.gaps == (DateGap(day(24), day(100), connected=False, spanned=False),)


def test_groups_that_interlock_agree_with_the_singular_value_decomposition():
    pairs = [pair(0, 24), pair(12, 40), pair(24, 60), pair(40, 75), pair(0, 60), pair(12, 75)]
    unw = np.random.default_rng(1).normal(0, 3, (6, 1, 1))
    days = np.array([0, 12, 24, 40, 60, 75])
    begins, ends = days[:-1], days[1:]
    design = np.array([
        np.where((begins >= (p.reference - day(0)).days) & (ends <= (p.secondary - day(0)).days), ends - begins, 0)
        for p in pairs
    ])  # fmt: skip
    velocity = np.linalg.pinv(design) @ unw[:, 0, 0]
    found = invert_network(unw, None, pairs, WAVELENGTH)
    np.testing.assert_allclose(found.displacement[1:, 0, 0], np.cumsum(velocity * np.diff(days)) / PER_METRE, rtol=1e-5)
    assert found.groups[:, 0, 0].tolist() == [1, 2, 1, 2, 1, 2]
    assert len(found.gaps) == 5


def test_pair_without_data_joins_nothing():
    pairs = [pair(0, 12), pair(12, 24), pair(24, 36)]
    unw = np.ones((3, 1, 2))
    unw[1, 0, 1] = np.nan
    one = invert_network(unw, None, pairs, WAVELENGTH)
    assert one.gaps == ()
    assert one.groups[:, 0].T.tolist() == [[1, 1, 1, 1], [1, 1, 2, 2]]
    other = invert_network(unw, np.array([1, 0, 1]), pairs, WAVELENGTH)
    assert [(gap.before, gap.after) for gap in other.gaps] == [(day(12), day(24))]


def test_what_is_not_reached_is_not_known(regular):
    unw = np.ones((len(regular), 1, 4))
    unw[:, 0, 1] = np.nan
    unw[1:, 0, 2] = np.nan
    dates = incidence_matrix(regular)[0]
    lost = [k for k, p in enumerate(regular) if dates[0] in (p.reference, p.secondary)]
    unw[lost, 0, 3] = np.nan
    found = invert_network(unw, None, regular, WAVELENGTH)
    assert np.isfinite(found.displacement[:, 0, 0]).all()
    for column, count in ((1, 0), (2, 1)):
        assert np.isnan(found.displacement[:, 0, column]).all()
        assert np.isnan(found.sigma[:, 0, column]).all()
        assert np.isnan(found.residual[0, column])
        assert found.temporal_coherence[0, column] == 0
        assert found.n_pairs[0, column] == count
        assert (found.groups[:, 0, column] == 0).all()
    assert np.isnan(found.displacement[0, 0, 3])
    assert found.displacement[1, 0, 3] == 0
    assert np.isfinite(found.displacement[1:, 0, 3]).all()


def test_zero_negative_and_unknown_weights_leave_a_pair_out(regular, some):
    unw, weights = some
    left_out = weights.copy()
    left_out[3], left_out[7], left_out[11] = 0, np.nan, -1
    gone = unw.copy()
    gone[[3, 7, 11]] = np.nan
    one = invert_network(unw, left_out, regular, WAVELENGTH)
    other = invert_network(gone, weights, regular, WAVELENGTH)
    for a, b in zip(one[1:7], other[1:7], strict=True):
        np.testing.assert_array_equal(a, b)


def test_only_ratios_of_weights_decide_the_displacement(regular, some):
    unw, weights = some
    one, other = (invert_network(unw, s * weights, regular, WAVELENGTH) for s in (1, 100))
    np.testing.assert_allclose(other.displacement, one.displacement, atol=1e-7)
    equal = [
        invert_network(unw, w, regular, WAVELENGTH) for w in (None, np.full(len(regular), 7.0), np.full_like(unw, 7))
    ]
    for other in equal[1:]:
        np.testing.assert_allclose(other.displacement, equal[0].displacement, atol=1e-7)


def test_sign_order_and_scale(regular, some):
    unw, weights = some
    one = invert_network(unw, weights, regular, WAVELENGTH)
    flipped = invert_network(-unw, weights, regular, WAVELENGTH)
    np.testing.assert_allclose(flipped.displacement, -one.displacement)
    np.testing.assert_allclose(flipped.sigma, one.sigma)
    longer = invert_network(unw, weights, regular, 3 * WAVELENGTH)
    np.testing.assert_allclose(longer.displacement, 3 * one.displacement, rtol=1e-6)
    np.testing.assert_allclose(longer.sigma, 3 * one.sigma, rtol=1e-6)
    noisier = invert_network(5 * unw, weights / 25, regular, WAVELENGTH)
    np.testing.assert_allclose(noisier.displacement, 5 * one.displacement, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(noisier.sigma, 5 * one.sigma, rtol=1e-4)
    order = np.random.default_rng(3).permutation(len(regular))
    shuffled = invert_network(unw[order], weights[order], [regular[k] for k in order], WAVELENGTH)
    np.testing.assert_allclose(shuffled.displacement, one.displacement, atol=1e-7)
    assert shuffled.dates == one.dates


def test_a_pixel_alone_is_that_pixel_in_the_scene(regular, some):
    unw, weights = some
    for robust in (False, True):
        whole = invert_network(unw, weights, regular, WAVELENGTH, robust=robust)
        alone = invert_network(unw[:, 2:3, 4:5], weights[:, 2:3, 4:5], regular, WAVELENGTH, robust=robust)
        np.testing.assert_allclose(alone.displacement[:, 0, 0], whole.displacement[:, 2, 4], atol=1e-8)
        np.testing.assert_allclose(alone.sigma[:, 0, 0], whole.sigma[:, 2, 4], rtol=1e-5)


def test_inputs_stay_as_they_are(regular, some):
    unw, weights = (a.astype(np.float32) for a in some)
    before = unw.copy(), weights.copy()
    per_metre = np.random.default_rng(0).normal(0, 1e-4, 20)
    invert_network(unw, weights, regular, WAVELENGTH, dem_per_metre=per_metre, robust=True)
    np.testing.assert_array_equal(unw, before[0])
    np.testing.assert_array_equal(weights, before[1])


def make_noise(pairs, deviation, shape, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (len(pairs), *shape)) * np.reshape(deviation, (-1, 1, 1))


def test_displacement_scatters_as_stated(regular):
    # Without weights the scatter is that of the residuals alone: the mean of sigma^2 is the variance.
    found = invert_network(make_noise(regular, 0.4, (100, 100), 4), None, regular, WAVELENGTH)
    ratio = np.sqrt((found.displacement[1:] ** 2).mean(axis=(1, 2)) / (found.sigma[1:] ** 2).mean(axis=(1, 2)))
    np.testing.assert_allclose(ratio, 1, atol=4 / math.sqrt(2 * 10_000))


def test_weights_that_are_right_are_not_believed_to_be_too_large(regular):
    # Reduced chi-square counts as 1 at least, so the mean of sigma^2 is the variance times E max(1, chi2 / n).
    deviation = np.linspace(0.1, 0.9, len(regular))
    found = invert_network(make_noise(regular, deviation, (100, 100), 5), 1 / deviation**2, regular, WAVELENGTH)
    freedom = len(regular) - 19
    chi2 = stats.chi2(freedom)
    grown = chi2.cdf(freedom) + stats.chi2(freedom + 2).sf(freedom)
    ratio = (found.displacement[1:] ** 2).mean(axis=(1, 2)) / (found.sigma[1:] ** 2).mean(axis=(1, 2)) * grown
    np.testing.assert_allclose(np.sqrt(ratio), 1, atol=4 / math.sqrt(2 * 10_000))


def test_pairs_without_redundancy_have_the_error_of_their_weights_or_none():
    pairs = [pair(0, 12), pair(12, 24), pair(24, 36)]
    unw = np.ones((3, 1, 1))
    known = invert_network(unw, np.array([1, 4, 16.0]), pairs, WAVELENGTH)
    expected = np.sqrt(np.cumsum([0, 1, 1 / 4, 1 / 16])) / abs(PER_METRE)
    np.testing.assert_allclose(known.sigma[:, 0, 0], expected, rtol=1e-6)
    unknown = invert_network(unw, None, pairs, WAVELENGTH)
    assert np.isnan(unknown.sigma).all()
    np.testing.assert_array_equal(unknown.displacement, known.displacement)


def test_covariance_of_a_pixel_holds_its_standard_errors_and_its_scatter(join_dates):
    pairs = (*join_dates(range(0, 72, 12)), *join_dates(range(120, 180, 12)))
    noise = make_noise(pairs, 0.5, (80, 80), 6)
    found = invert_network(noise, None, pairs, WAVELENGTH)
    mask = np.zeros((80, 80), bool)
    mask[7, 9] = True
    one = covariance_of(noise, None, pairs, WAVELENGTH, mask)
    np.testing.assert_allclose(np.sqrt(np.diag(one.covariance)), found.sigma[:, 7, 9], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(one.displacement, found.displacement[:, 7, 9], atol=1e-9)
    assert (one.n_pixels, one.correlation) == (1, 1.0)
    # The same for every pixel but for its own residuals, so scaled to the true noise it is that of the scatter.
    flat = found.displacement.reshape(len(one.dates), -1).astype(float)
    scatter = flat @ flat.T / flat.shape[1]
    unit = covariance_of(np.zeros((len(pairs), 1, 1)), np.full(len(pairs), 4.0), pairs, WAVELENGTH, mask[:1, :1] | True)
    spread = np.sqrt(np.outer(np.diag(unit.covariance), np.diag(unit.covariance)) + unit.covariance**2)
    assert (np.abs(scatter - unit.covariance) <= 4.5 * spread / math.sqrt(flat.shape[1])).all()


def test_mean_of_pixels_that_share_their_noise_scatters_as_stated(regular):
    # Of the variance 0.3 is shared by all pixels: averaging 24 of them removes most of the rest and none of that.
    rng = np.random.default_rng(7)
    mask = np.ones((4, 6), bool)
    mean, stated, shared = [], [], []
    for _ in range(150):
        noise = math.sqrt(0.3) * rng.normal(0, 0.4, (len(regular), 1, 1)) + math.sqrt(0.7) * rng.normal(
            0, 0.4, (len(regular), 4, 6)
        )
        found = covariance_of(noise, None, regular, WAVELENGTH, mask)
        mean.append(found.displacement[1:])
        stated.append(np.diag(found.covariance)[1:])
        shared.append(found.correlation)
    assert np.mean(shared) == pytest.approx(0.3, abs=0.03)
    ratio = math.sqrt(np.mean(np.square(mean) / np.mean(stated, axis=0)))
    # The dates of a series depend on each other: about 6 of the 19 count.
    assert ratio == pytest.approx(1, abs=4 / math.sqrt(2 * 150 * 6))


def test_mean_is_taken_over_pixels_that_know_the_same_dates(regular):
    motion = years_of(regular)[:, None] * np.array([0.1, 0.2, 0.3, 0.4])
    unw = phases_of(regular, motion)[:, None]
    dates = incidence_matrix(regular)[0]
    unw[[k for k, p in enumerate(regular) if dates[5] in (p.reference, p.secondary)], 0, 3] = np.nan
    unw[[k for k, p in enumerate(regular) if dates[0] in (p.reference, p.secondary)], 0, :] = np.nan
    found = covariance_of(unw, None, regular, WAVELENGTH, np.array([[True, True, False, True]]))
    # Pixels 0 and 1 know 19 dates, pixel 3 one less: 2 x 19 = 38 values against 3 x 18 = 54.
    assert found.n_pixels == 3
    assert np.flatnonzero(np.isnan(found.displacement)).tolist() == [0, 5]
    known = np.isfinite(found.displacement)
    expected = (years_of(regular) - years_of(regular)[1]) * (0.1 + 0.2 + 0.4) / 3
    np.testing.assert_allclose(found.displacement[known], expected[known], atol=1e-7)
    assert np.isfinite(found.covariance[np.ix_(known, known)]).all()
    assert np.isnan(found.covariance[~known]).all()
    assert np.isnan(found.covariance[:, ~known]).all()


def test_mean_over_nothing_is_refused(regular):
    unw = np.full((len(regular), 2, 2), np.nan)
    with pytest.raises(NoDataError, match=r"^none of 4 pixels has a solution; choose another place$"):
        covariance_of(unw, None, regular, WAVELENGTH, np.ones((2, 2), bool))
    with pytest.raises(NoDataError, match=r"^none of 0 pixels has a solution; choose another place$"):
        covariance_of(unw, None, regular, WAVELENGTH, np.zeros((2, 2), bool))


def wrong_pairs(pairs, pixels, count, rng):
    """For each pixel pairs of which no two share a date, none at either end; whole cycles off."""
    dates = incidence_matrix(pairs)[0]
    inner = set(dates[2:-2])
    off = np.zeros((len(pairs), 1, pixels))
    for p in range(pixels):
        free, left = set(inner), count
        for k in rng.permutation(len(pairs)):
            ends = {pairs[k].reference, pairs[k].secondary}
            if left and ends <= free:
                free -= ends
                left -= 1
                off[k, 0, p] = rng.choice([-2, -1, 1, 2]) * 2 * math.pi
    return off


def test_robust_inversion_undoes_whole_cycles_exactly(regular):
    rng = np.random.default_rng(8)
    motion = rng.normal(0, 0.01, (20, 1, 60)).cumsum(axis=0)
    off = wrong_pairs(regular, 60, 4, rng)
    unw = phases_of(regular, motion) + off
    weights = rng.uniform(1, 4, unw.shape)
    found = invert_network(unw, weights, regular, WAVELENGTH, robust=True)
    np.testing.assert_allclose(found.displacement, motion - motion[0], atol=1e-6)
    assert (found.n_pairs == len(regular) - 4).all()
    np.testing.assert_allclose(found.temporal_coherence, 1, atol=1e-6)
    np.testing.assert_allclose(found.residual, 0, atol=1e-4)
    plain = invert_network(unw, weights, regular, WAVELENGTH)
    assert np.abs(plain.displacement - (motion - motion[0])).max(axis=0).min() > 0.002


def test_robust_inversion_of_sound_pairs_is_the_plain_one(regular):
    noise = make_noise(regular, 0.3, (40, 40), 9)
    plain = invert_network(noise, None, regular, WAVELENGTH)
    robust = invert_network(noise, None, regular, WAVELENGTH, robust=True)
    gain = (robust.displacement[1:] ** 2).mean() / (plain.displacement[1:] ** 2).mean()
    assert gain < 1.02
    np.testing.assert_allclose(robust.sigma[1:], plain.sigma[1:], rtol=0.1)
    assert (robust.n_pairs == len(regular)).all()


def test_robust_covariance_is_that_of_the_pairs_that_count(regular):
    off = wrong_pairs(regular, 1, 3, np.random.default_rng(10))
    noise = make_noise(regular, 0.02, (1, 1), 11)
    mask = np.ones((1, 1), bool)
    robust = covariance_of(noise + off, None, regular, WAVELENGTH, mask, robust=True)
    sound = covariance_of(np.where(off == 0, noise, np.nan), None, regular, WAVELENGTH, mask)
    np.testing.assert_allclose(robust.covariance[1:, 1:], sound.covariance[1:, 1:], rtol=0.01)


def test_dem_error_comes_back_and_leaves_the_motion():
    # Two groups of dates, steady and annual motion, baselines of every size.
    rng = np.random.default_rng(12)
    days = [*range(0, 300, 12), *range(420, 800, 12)]
    baseline = dict(zip(days, rng.normal(0, 90, len(days)), strict=True))
    pairs = [
        pair(a, b, baseline[b] - baseline[a]) for a in days for b in days if 0 < b - a <= 36
    ]  # fmt: skip
    years = years_of(pairs)[:, None]
    motion = years * np.array([0.02, -0.05, 0]) + 0.01 * np.sin(2 * math.pi * years) + 0 * years
    lever = np.array([baseline[d] for d in days]) / (850e3 * math.sin(math.radians(39)))
    error = np.array([12, -7, 0.5])
    unw = phases_of(pairs, motion + lever[:, None] * error)[:, None]
    per_metre = dem_per_metre(pairs, 850e3, 39)
    found = invert_network(unw, None, pairs, WAVELENGTH, dem_per_metre=per_metre)
    np.testing.assert_allclose(found.dem_error[0], error, atol=1e-3)
    pure = invert_network(phases_of(pairs, motion)[:, None], None, pairs, WAVELENGTH)
    np.testing.assert_allclose(found.displacement, pure.displacement, atol=1e-6)
    mean = covariance_of(unw, None, pairs, WAVELENGTH, np.ones((1, 3), bool), dem_per_metre=per_metre)
    np.testing.assert_allclose(mean.displacement, pure.displacement.mean(axis=(1, 2)), atol=1e-6)


def test_error_of_the_dem_error_is_part_of_the_standard_error(regular):
    rng = np.random.default_rng(13)
    air = rng.normal(0, 0.005, (20, 100, 100))
    per_metre = rng.normal(0, 1e-4, 20)
    found = invert_network(phases_of(regular, air), None, regular, WAVELENGTH, dem_per_metre=per_metre)
    # Pairs close exactly, so that only the error of the DEM error is left; the air itself is no error of the network.
    off = found.displacement - (air - air[0])
    scatter, stated = np.sqrt((off**2).mean(axis=(1, 2))), np.sqrt((found.sigma**2).mean(axis=(1, 2)))
    np.testing.assert_allclose(scatter[1:], stated[1:], rtol=4 / math.sqrt(2 * 10_000))
    mask = np.zeros((100, 100), bool)
    mask[3, 4] = True
    one = covariance_of(phases_of(regular, air), None, regular, WAVELENGTH, mask, dem_per_metre=per_metre)
    np.testing.assert_allclose(np.sqrt(np.diag(one.covariance)), found.sigma[:, 3, 4], rtol=1e-3, atol=1e-9)


def test_dem_error_is_refused_where_baselines_follow_time(regular):
    with pytest.raises(InseparableTermError, match="leave the DEM error out"):
        invert_network(np.ones((len(regular), 1, 1)), None, regular, WAVELENGTH, dem_per_metre=years_of(regular) * 1e-4)


def test_phase_weight_of_one_look_has_a_closed_form():
    gamma = np.array([0.125, 0.25, 0.5, 0.75, 0.9375])
    variance = math.pi**2 / 3 - math.pi * np.arcsin(gamma) + np.arcsin(gamma) ** 2 - spence(1 - gamma**2) / 2
    np.testing.assert_allclose(phase_weights(gamma, 1), 1 / variance, rtol=1e-3)


def test_phase_weight_of_many_looks_is_the_fisher_information():
    gamma = np.array([0.17, 0.19, 0.21], np.float32)
    np.testing.assert_allclose(phase_weights(gamma, 1000), 2 * 1000 * gamma**2 / (1 - gamma**2), rtol=0.02)


@pytest.mark.parametrize("nlooks", [1, 3.7, 20, 80, 1000, 1e5])
def test_phase_weights_are_bounded_and_grow_with_coherence(nlooks):
    coherence = np.linspace(0.001, 1, 500).reshape(20, 25)
    weights = phase_weights(coherence, nlooks)
    assert weights.shape == coherence.shape
    assert (np.diff(weights.ravel()) >= 0).all()
    assert weights.min() >= 3 / math.pi**2 * 0.9999
    assert weights.max() == pytest.approx(100)
    nothing = phase_weights(np.array([0, np.nan, -0.5, 1.5]), nlooks)
    np.testing.assert_allclose(nothing, [0, 0, 0, 100])


def test_bad_input_is_named(regular):
    unw = np.ones((len(regular), 2, 3))
    with pytest.raises(NoDataError, match=r"^no pair to invert; give at least one interferogram$"):
        invert_network(unw[:0], None, [], WAVELENGTH)
    with pytest.raises(ValueError, match=r"^unw must have shape \(54, 2, 3\), instead got \(53, 2, 3\)$"):
        invert_network(unw[1:], None, regular, WAVELENGTH)
    with pytest.raises(ValueError, match=r"^weights must have shape \(54, 2, 3\), instead got \(54, 2, 2\)$"):
        invert_network(unw, unw[:, :, 1:], regular, WAVELENGTH)
    with pytest.raises(ValueError, match=r"^weights must have shape \(54,\), instead got \(3,\)$"):
        invert_network(unw, [1, 2, 3], regular, WAVELENGTH)
    with pytest.raises(ValueError, match=r"^wavelength must be positive, instead got 0$"):
        invert_network(unw, None, regular, 0)
    with pytest.raises(ValueError, match=r"^mask must have shape \(2, 3\), instead got \(3, 2\)$"):
        covariance_of(unw, None, regular, WAVELENGTH, np.ones((3, 2), bool))
    for nlooks in (0.5, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"^nlooks must be at least 1, instead got"):
            phase_weights(unw, nlooks)


@pytest.mark.real
def test_rates_of_sydney_are_those_of_pyrate(real_data):
    phases, pairs = [], []
    for path in sorted((real_data / "sydney" / "tif").glob("*_unw.tif")):
        with rasterio.open(path) as source:
            tags = source.tags()
            phases.append(np.where(source.read(1) == 0, np.nan, source.read(1)))
        pairs.append(Pair(date.fromisoformat(tags["FIRST_DATE"]), date.fromisoformat(tags["SECOND_DATE"])))
    unw = np.stack(phases)
    unw -= np.nanmedian(unw, axis=(1, 2), keepdims=True)
    found = invert_network(unw, None, pairs, float(tags["WAVELENGTH_METRES"]))
    years = np.array([(d - found.dates[0]).days / 365.25 for d in found.dates])
    known = np.isfinite(found.displacement).all(axis=0)
    rate = np.full(known.shape, np.nan)
    rate[known] = np.polyfit(years, 1000 * found.displacement[:, known], 1)[0]
    peer = np.load(real_data / "sydney" / "linrate" / "linear_rate.npy")
    both = np.isfinite(rate + peer)
    assert both.sum() > 2600
    # PyRate counts away from the satellite.
    assert np.corrcoef(rate[both], -peer[both])[0, 1] > 0.97
    assert np.polyfit(rate[both], -peer[both], 1)[0] == pytest.approx(1, abs=0.1)
