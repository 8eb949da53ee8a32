"""From pairs to motion: closed forms, laws, agreement with NumPy, and a peer's rates."""

import math
from datetime import date

import numpy as np
import pytest
import rasterio

from groundshift.errors import NoDataError
from groundshift.pairs import DateGap, incidence_matrix
from groundshift.timeseries import covariance_of, invert_network, phase_weights
from groundshift.types import Pair

WAVELENGTH = 0.0555
PER_METRE = -4 * math.pi / WAVELENGTH


@pytest.fixture(scope="module")
def some(regular, phases_of):
    """Random motion with noise, missing pairs and weights."""
    rng = np.random.default_rng(0)
    unw = phases_of(regular, rng.normal(0, 0.01, (20, 5, 6)).cumsum(axis=0)) + rng.normal(0, 0.3, (len(regular), 5, 6))
    weights = rng.uniform(1, 9, unw.shape)
    unw[rng.random(unw.shape) < 0.15] = np.nan
    return unw, weights


def test_steady_motion_comes_back_exactly(regular, phases_of, years_of):
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


def test_phase_that_grows_is_ground_that_moves_away(pair):
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


def test_residuals_of_a_triangle(pair):
    # A misclosure c of three equal pairs leaves c / 3 in each, with the sign of its way round.
    for c in (0.3, 2.0, -5.0):
        unw = np.array([1, 2, 3 - c]).reshape(3, 1, 1)
        found = invert_network(unw, None, [pair(0, 12), pair(12, 24), pair(0, 24)], WAVELENGTH)
        assert found.residual[0, 0] == pytest.approx(abs(c) / 3, rel=1e-5)
        phasors = 2 * np.exp(1j * c / 3) + np.exp(-1j * c / 3)
        assert found.temporal_coherence[0, 0] == pytest.approx(abs(phasors) / 3, rel=1e-5)
        # One degree of freedom: c^2 / 3 of squares, and the parallel of one pair and of two in a row for the date.
        assert found.sigma[2, 0, 0] == pytest.approx(math.sqrt(c**2 / 3 * 2 / 3) / abs(PER_METRE), rel=1e-5)


def test_displacement_does_not_move_across_a_gap_and_the_gap_is_told(pair, day, phases_of):
    # Least velocity between the last date of one group and the first of the next is none.
    pairs = [pair(0, 12), pair(12, 24), pair(0, 24), pair(100, 130), pair(130, 142), pair(100, 142)]
    rate, other = 0.05, -0.2
    motion = np.array([0, 12, 24, 24, 24, 24]) * rate / 365.25 + np.array([0, 0, 0, 0, 30, 42]) * other / 365.25
    found = invert_network(phases_of(pairs, motion)[:, None, None], None, pairs, WAVELENGTH)
    np.testing.assert_allclose(found.displacement[:, 0, 0], motion, atol=1e-7)
    assert found.groups[:, 0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert found.gaps == (DateGap(day(24), day(100), connected=False, spanned=False),)


def test_groups_that_interlock_agree_with_the_singular_value_decomposition(pair, day):
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


def test_pair_without_data_joins_nothing(pair, day):
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
