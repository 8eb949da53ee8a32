"""Averaging along fringes: straight fringes stay as they are however steep, and noise goes as over the whole window."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from groundshift.interferometry import filter_along_fringes
from groundshift.interferometry._kernels import sum_along_fringes


def ramp(shape, down, right):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(1j * (down * y + right * x))


def noisy(rng, shape, holes=0.2):
    """Bent fringes with noise, coherence and holes."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    phase = 0.05 * x**2 - 0.4 * y + 0.02 * x * y + rng.normal(0, 0.5, shape)
    igram = rng.uniform(0.2, 1, shape) * np.exp(1j * phase) * (rng.random(shape) >= holes)
    return igram.astype(np.complex64)


def around(at, half, shape):
    """The pixels of a window that lie within the image."""
    return (slice(max(p - half, 0), min(p + half + 1, n)) for p, n in zip(at, shape, strict=True))


def plain_sum(igram, down, right, half):
    """The twin of `sum_along_fringes`: rates as angles, in double precision."""
    out = np.zeros(igram.shape, complex)
    for y, x in zip(*np.nonzero(igram), strict=True):
        rows, columns = around((y, x), half, igram.shape)
        j, i = np.mgrid[rows, columns]
        turned = np.exp(-1j * (np.angle(down[y, x]) * (j - y) + np.angle(right[y, x]) * (i - x)))
        out[y, x] = (igram[rows, columns].astype(complex) * turned).sum()
    return out


def plain_rate(igram, axis, window):
    """The fringe rate around every pixel as a unit phasor; the sum over the window of products of neighbours."""
    product = np.zeros(igram.shape, complex)
    ahead = np.roll(igram, -1, axis).astype(complex) * igram.conj()
    inside = np.s_[:-1] if axis == 0 else np.s_[:, :-1]
    product[inside] = ahead[inside]
    total = np.zeros(igram.shape, complex)
    for at in np.ndindex(igram.shape):
        total[at] = product[*around(at, window, igram.shape)].sum()
    return np.where(total == 0, 1, np.exp(1j * np.angle(total)))


@pytest.mark.parametrize("shape", [(13, 17), (1, 9), (8, 1), (1, 1), (3, 40)])
@pytest.mark.parametrize("half", [0, 1, 2, 5])
def test_kernel_is_its_plain_twin(shape, half):
    rng = np.random.default_rng(0)
    igram = noisy(rng, shape)
    down, right = np.exp(1j * rng.uniform(-np.pi, np.pi, (2, *shape))).astype(np.complex64)
    out = np.zeros_like(igram)
    sum_along_fringes(igram, down, right, half, out)
    np.testing.assert_allclose(out, plain_sum(igram, down, right, half), atol=1e-4)


@pytest.mark.parametrize("shape", [(21, 26), (1, 30), (12, 1), (7, 6)])
@pytest.mark.parametrize("window", [1, 3, 5])
def test_filter_is_its_plain_twin(shape, window):
    igram = noisy(np.random.default_rng(1), shape)
    before = igram.copy()
    found = filter_along_fringes(igram, window)
    known = igram != 0
    count = np.array([known[*around(at, window // 2, shape)].sum() for at in np.ndindex(shape)]).reshape(shape)
    total = plain_sum(igram, plain_rate(igram, 0, window), plain_rate(igram, 1, window), window // 2)
    np.testing.assert_allclose(found.igram, total / np.maximum(count, 1), atol=1e-4)
    assert found.samples == pytest.approx(count[known].mean(), rel=1e-5)
    assert found.igram.dtype == np.complex64
    np.testing.assert_array_equal(igram, before)


@pytest.mark.parametrize("slope", [(0.0, 0.0), (2.0, -1.5), (-3.0, 3.0), (0.02, 3.1)])
@pytest.mark.parametrize("window", [3, 5, 9])
def test_straight_fringes_stay_as_they_are_up_to_the_edges(slope, window):
    """Also those that a plain average wipes out: a cycle per window and more."""
    steep = (0.7 * ramp((30, 45), *slope)).astype(np.complex64)
    steep[10:14, 20:30] = steep[0, 0] = 0
    found = filter_along_fringes(steep, window).igram
    np.testing.assert_allclose(found, steep, atol=1e-5)
    if min(map(abs, slope)) > 2 * np.pi / window:
        wiped = uniform_filter(steep.real, window)[window:-window, window:10]
        assert np.abs(wiped).max() < 0.3 * np.abs(found[window:-window, window:10]).min()


@pytest.mark.parametrize("constant", [0.7, 3.1, -2.0])
def test_a_constant_turns_through_and_the_other_sign_of_phase_gives_the_other_sign(constant):
    igram = noisy(np.random.default_rng(2), (40, 30))
    found = filter_along_fringes(igram).igram
    turned = filter_along_fringes((igram * np.exp(1j * constant)).astype(np.complex64)).igram
    np.testing.assert_allclose(turned, found * np.exp(1j * constant), atol=1e-5)
    np.testing.assert_allclose(filter_along_fringes(igram.conj()).igram, found.conj(), atol=1e-6)


@pytest.mark.parametrize("window", [3, 5, 7])
def test_variance_of_the_noise_goes_down_by_the_pixels_of_the_window(window):
    """Within the image errors of the fringe rate cancel: what is earlier is turned the other way than what is later.

    Over about 160^2 / window^2 independent windows a variance is known to sqrt(2) window / 160 of itself: 6 %.
    """
    rng = np.random.default_rng(3)
    sigma, straight = 0.2, ramp((180, 180), 0.9, -1.3)
    igram = (straight * np.exp(1j * rng.normal(0, sigma, straight.shape))).astype(np.complex64)
    inside = np.s_[10:-10, 10:-10]
    off = np.angle(filter_along_fringes(igram, window).igram * straight.conj())[inside]
    assert off.var() == pytest.approx(sigma**2 / window**2, rel=0.18)
    assert abs(off.mean()) < 0.01


def test_samples_are_the_pixels_with_data_in_a_window():
    whole = np.ones((10, 20), np.complex64)
    # Of five columns the first two and the last two pixels of a line of n miss two and one: 5 - 6 / n.
    assert filter_along_fringes(whole).samples == pytest.approx((5 - 0.6) * (5 - 0.3))
    whole[:, 10:] = 0
    assert filter_along_fringes(whole).samples == pytest.approx((5 - 0.6) * (5 - 0.6))
    lone = np.zeros((9, 9), np.complex64)
    lone[4, 4] = 0.3 - 0.1j
    found = filter_along_fringes(lone)
    assert found.samples == 1
    np.testing.assert_allclose(found.igram, lone, atol=1e-7)


def test_what_is_not_known_stays_so_and_has_no_say():
    rng = np.random.default_rng(4)
    igram = np.full((30, 30), 0.8 * np.exp(1.2j), np.complex64)
    igram[rng.random(igram.shape) < 0.5] = 0
    found = filter_along_fringes(igram, 7).igram
    np.testing.assert_allclose(found, igram, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1), (8, 9)])
def test_images_smaller_than_the_window_and_without_data_are_no_trouble(shape):
    straight = ramp(shape, 1.0, -2.0).astype(np.complex64)
    np.testing.assert_allclose(filter_along_fringes(straight, 11).igram, straight, atol=1e-5)
    nothing = filter_along_fringes(np.zeros(shape, np.complex64))
    assert not nothing.igram.any()
    assert nothing.samples == 0


def test_wrong_arguments_are_named():
    igram = np.ones((9, 9), np.complex64)
    with pytest.raises(TypeError, match="igram must be complex-valued, instead got float32"):
        filter_along_fringes(igram.real)
    for window in (0, -3):
        with pytest.raises(ValueError, match=f"window must be positive, instead got {window}"):
            filter_along_fringes(igram, window)
    for window in (4, 2.5):
        with pytest.raises(ValueError, match=f"window must be odd, instead got {window}"):
            filter_along_fringes(igram, window)
