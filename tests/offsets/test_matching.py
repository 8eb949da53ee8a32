import numpy as np
import pytest
import scipy.fft

from groundshift.errors import NoDataError
from groundshift.offsets.matching import match


def speckle(rng: np.random.Generator, shape: tuple[int, int] = (160, 176), band: float = 0.8) -> np.ndarray:
    """Complex speckle that fills part of the band."""
    spectrum = rng.normal(size=(*shape, 2)).view(np.complex128)[..., 0]
    inside = [np.abs(scipy.fft.fftfreq(n)) < band / 2 for n in shape]
    return scipy.fft.ifft2(spectrum * inside[0][:, None] * inside[1])


def shifted(image: np.ndarray, dy: float, dx: float) -> np.ndarray:
    """Move an image by a ramp of the phase of its spectrum."""
    f = [scipy.fft.fftfreq(n) for n in image.shape]
    return scipy.fft.ifft2(scipy.fft.fft2(image) * np.exp(-2j * np.pi * (f[0][:, None] * dy + f[1] * dx)))


def changed(rng: np.random.Generator, image: np.ndarray, coherence: float, band: float = 0.8) -> np.ndarray:
    """Speckle of a coherence with the image."""
    other = speckle(rng, image.shape, band)
    other *= np.sqrt(np.mean(np.abs(image) ** 2) / np.mean(np.abs(other) ** 2))
    return coherence * image + np.sqrt(1 - coherence**2) * other


def correlation_by_definition(a, b, va, vb, row, column, side, search) -> np.ndarray:
    """Normalised correlation of one window at every shift, over the pixels valid in both."""
    top, left = row - side // 2, column - side // 2
    found = np.full((2 * search + 1,) * 2, np.nan)
    window = np.s_[top : top + side, left : left + side]
    for i in range(-search, search + 1):
        for j in range(-search, search + 1):
            other = np.s_[top + i : top + i + side, left + j : left + j + side]
            both = va[window] & vb[other]
            found[i + search, j + search] = np.corrcoef(a[window][both], b[other][both])[0, 1]
    return found


@pytest.mark.parametrize("hole", [False, True])
@pytest.mark.parametrize(("step", "windows"), [(8, (32, 48)), (12, (40,)), (5, (16,))])
def test_correlation_and_snr_are_those_of_the_definition(hole, step, windows):
    rng = np.random.default_rng(1)
    a = np.abs(speckle(rng, (120, 120))).astype(np.float32)
    b = np.roll(a, (2, -1), axis=(0, 1)) * rng.uniform(0.5, 1.5, a.shape).astype(np.float32)
    va, vb = np.ones(a.shape, bool), np.ones(a.shape, bool)
    if hole:
        va[50:70, 40:52] = False
        vb[60:66, 55:80] = False
    search = 5
    found = match(a, b, windows=windows, step=step, search=search, valid=(va, vb))
    i, j = 60 // step, 60 // step
    centre = [k * step + step // 2 for k in (i, j)]
    surfaces = {side: correlation_by_definition(a, b, va, vb, *centre, side, search) for side in windows}
    snr = {}
    for side, surface in surfaces.items():
        r, c = np.unravel_index(np.argmax(surface), surface.shape)
        around = np.ones(surface.shape, bool)
        around[max(r - 3, 0) : r + 4, max(c - 3, 0) : c + 4] = False
        snr[side] = surface.max() ** 2 / np.mean(surface[around] ** 2)
    best = max(snr, key=snr.__getitem__)
    assert found.window[i, j] == best
    np.testing.assert_allclose(found.snr[i, j], snr[best], rtol=1e-4)
    # The interpolated maximum lies on or above the highest sample, and not far from it.
    assert 0 <= found.peak[i, j] - surfaces[best].max() < 0.05
    np.testing.assert_allclose([found.azimuth[i, j], found.range[i, j]], [2, -1], atol=0.1)


@pytest.mark.parametrize("kind", [np.float32, np.complex64])
@pytest.mark.parametrize(("dy", "dx"), [(3, -2), (-4, 0), (0, 4)])
def test_whole_shifts_are_found_and_signed_as_secondary_minus_reference(kind, dy, dx):
    image = speckle(np.random.default_rng(2))
    image = np.abs(image).astype(np.float32) if kind is np.float32 else image.astype(kind)
    found = match(image, np.roll(image, (dy, dx), axis=(0, 1)), windows=(32,), search=6)
    known = np.isfinite(found.azimuth)
    assert known.mean() > 0.5
    np.testing.assert_allclose(found.azimuth[known], dy, atol=0.02)
    np.testing.assert_allclose(found.range[known], dx, atol=0.02)
    np.testing.assert_allclose(found.peak[known], 1, atol=1e-3)


@pytest.mark.parametrize("fraction", np.arange(0, 1, 1 / 8))
def test_complex_images_show_no_bias_at_any_fraction_of_a_pixel(fraction):
    image = speckle(np.random.default_rng(3), (192, 192), band=1.0)
    found = match(image, shifted(image, fraction, -fraction), windows=(64,), search=4)
    np.testing.assert_allclose(np.nanmean(found.azimuth), fraction, atol=0.01)
    np.testing.assert_allclose(np.nanmean(found.range), -fraction, atol=0.01)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_intensities_sampled_twice_as_finely_as_their_speckle_show_none_either(fraction):
    image = speckle(np.random.default_rng(4), (192, 192), band=0.5)
    second = shifted(image, fraction, 0)
    found = match(np.abs(image) ** 2, np.abs(second) ** 2, windows=(64,), search=4)
    np.testing.assert_allclose(np.nanmean(found.azimuth), fraction, atol=0.01)


@pytest.mark.parametrize("coherence", [0.9, 0.7, 0.5])
def test_standard_errors_are_those_of_the_scatter_of_gaussian_texture(coherence):
    rng = np.random.default_rng(5)
    image = speckle(rng, (512, 512), 0.5)
    second = changed(rng, image, coherence, 0.5)
    scale = image.real.std()
    found = match(20 + image.real / scale, 20 + second.real / scale, windows=(32,), step=32, search=5)
    assert_errors_hold(found, 0.2)


@pytest.mark.parametrize("coherence", [0.7, 0.5])
def test_standard_errors_are_those_of_the_scatter_of_speckle(coherence):
    rng = np.random.default_rng(5)
    image = speckle(rng, (512, 512))
    found = match(image, changed(rng, image, coherence), windows=(64,), step=32, search=5)
    assert_errors_hold(found, 0.3)


def assert_errors_hold(found, within: float) -> None:
    for component, sigma in ((found.azimuth, found.sigma_azimuth), (found.range, found.sigma_range)):
        known = np.isfinite(component)
        assert known.sum() > 150
        np.testing.assert_allclose(np.std(component[known] / sigma[known]), 1, atol=within)


def test_covariance_follows_texture_that_runs_aslant():
    rng = np.random.default_rng(6)
    shape = (512, 512)
    fy, fx = np.meshgrid(*(scipy.fft.fftfreq(n) for n in shape), indexing="ij")
    inside = np.exp(-(((fy + fx) / 0.5) ** 2) - ((fy - fx) / 0.2) ** 2)
    made = [scipy.fft.ifft2(scipy.fft.fft2(rng.normal(size=shape)) * inside).real for _ in range(2)]
    first, second = made[0] / made[0].std(), 0.8 * made[0] / made[0].std() + 0.6 * made[1] / made[1].std()
    found = match(first + 10, second + 10, windows=(64,), step=32, search=8)
    correlation = found.covariance / (found.sigma_azimuth * found.sigma_range)
    known = np.isfinite(correlation)
    measured = np.corrcoef(found.azimuth[known], found.range[known])[0, 1]
    assert abs(measured) > 0.5
    np.testing.assert_allclose(np.median(correlation[known]), measured, atol=0.2)


def test_a_guess_finds_what_the_search_does_not_reach():
    image = np.abs(speckle(np.random.default_rng(7)))
    moved = np.roll(image, (21, -17), axis=(0, 1))
    alone = match(image, moved, windows=(32,), search=4)
    assert not (np.abs(alone.azimuth - 21) < 1).any()
    guess = np.full((20, 22), 20.0), np.full((20, 22), -16.0)
    guess[0][4, 5] = np.nan
    found = match(image, moved, windows=(32,), search=4, guess=guess)
    # At the edge the place itself may lie outside the secondary, and another one is found.
    known = found.peak > 0.9
    assert known.sum() > 50
    assert np.isnan(found.azimuth[4, 5])
    np.testing.assert_allclose(found.azimuth[known], 21, atol=0.02)
    np.testing.assert_allclose(found.range[known], -17, atol=0.02)


def test_what_a_cell_finds_does_not_depend_on_the_guesses_of_others():
    rng = np.random.default_rng(8)
    image = np.abs(speckle(rng))
    moved = np.roll(image, (2, 3), axis=(0, 1))
    plain = match(image, moved, windows=(32,), search=6)
    rough = [np.where(rng.random((20, 22)) < 0.3, 40.0, 0.0) for _ in range(2)]
    found = match(image, moved, windows=(32,), search=6, guess=(rough[0], rough[1]))
    same = (rough[0] == 0) & (rough[1] == 0)
    np.testing.assert_allclose(found.azimuth[same], plain.azimuth[same], atol=1e-4)


def test_pixels_without_data_do_not_pull_offsets_to_where_they_lie():
    rng = np.random.default_rng(9)
    image = 1 + np.abs(speckle(rng)) * 100
    moved = np.roll(image, (3, 2), axis=(0, 1))
    still = np.zeros(image.shape, bool)
    still[::12, :] = still[:, 40:60] = True
    for fill in (0.0, np.nan, -3.0):
        first, second = np.where(still, fill, image), np.where(still, fill, moved)
        found = match(first, second, windows=(32,), search=6)
        # Beside the hole the true shift may have too few pixels, and another one is found: a match of little worth.
        known = found.peak > 0.9
        assert known.sum() > 100
        np.testing.assert_allclose(found.azimuth[known], 3, atol=0.03)
        np.testing.assert_allclose(found.range[known], 2, atol=0.03)


def test_windows_with_too_few_valid_pixels_are_not_known():
    image = np.abs(speckle(np.random.default_rng(10)))
    valid = np.ones(image.shape, bool)
    valid[:, 80:] = False
    found = match(image, image, windows=(32,), search=4, valid=valid)
    inside = (found.columns > 20) & (found.columns < 72)
    assert np.isfinite(found.azimuth[10, inside]).all()
    assert np.isnan(found.azimuth[:, found.columns > 84]).all()
    assert (found.window[:, found.columns > 84] == 0).all()


def test_ground_without_texture_is_not_known():
    image = np.ones((96, 96))
    image[:10] = 2
    found = match(image, image, windows=(32,), search=4)
    assert np.isnan(found.azimuth[found.rows > 40]).all()


def test_centres_are_those_of_the_cells():
    found = match(*[np.abs(speckle(np.random.default_rng(11), (100, 130)))] * 2, windows=(32,), step=8, search=4)
    np.testing.assert_array_equal(found.rows, np.arange(12) * 8 + 3.5)
    np.testing.assert_array_equal(found.columns, np.arange(16) * 8 + 3.5)


def test_inputs_stay_as_they_were():
    image = np.abs(speckle(np.random.default_rng(12), (64, 64)))
    before = image.copy()
    match(image, image, windows=(32,), search=4)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": (33,)}, r"windows must be even and at least 8, instead got \(33,\)"),
        ({"windows": ()}, r"windows must be even and at least 8, instead got \(\)"),
        ({"windows": (128,)}, r"windows must fit into images of \(64, 72\), instead got \(128,\)"),
        ({"step": 0}, r"step must lie in \[1, 64\], instead got 0"),
        ({"search": 1}, r"search must lie in \[2, inf\], instead got 1"),
        ({"least_valid": 0}, r"least_valid must lie in \(0, 1\], instead got 0"),
        ({"guess": (np.zeros((3, 3)), 0)}, r"guess must have shape \(8, 9\), instead got \(3, 3\)"),
        ({"valid": np.ones((3, 3), bool)}, r"valid must have shape \(64, 72\), instead got \(3, 3\)"),
    ],
)
def test_bad_arguments_are_named(options, message):
    image = np.abs(speckle(np.random.default_rng(13), (64, 72)))
    with pytest.raises(ValueError, match=message):
        match(image, image, **({"windows": (32,)} | options))


def test_images_must_be_alike():
    image = np.ones((64, 64))
    with pytest.raises(ValueError, match=r"secondary must have shape \(64, 64\), instead got \(64, 65\)"):
        match(image, np.ones((64, 65)))
    with pytest.raises(ValueError, match="both images must be complex, or none, got float64 and complex128"):
        match(image, image.astype(complex))


def test_an_image_without_data_is_named():
    with pytest.raises(NoDataError, match="secondary has no usable pixel; choose another place or mask"):
        match(np.ones((64, 64)), np.zeros((64, 64)), windows=(32,))


@pytest.mark.real
def test_scatter_on_simulated_speckle_of_another_project(real_data):
    folder = real_data / "offset_accuracy"
    pair = [np.fromfile(folder / f"img{k}_WN_512x512_1x1_128", np.complex64).reshape(512, 512) for k in (1, 2)]
    found = match(*pair, windows=(64,), search=4)
    assert np.nanstd(found.azimuth) <= 0.026
    assert np.nanstd(found.range) <= 0.026
    assert abs(np.nanmean(found.azimuth)) < 0.02
    assert abs(np.nanmean(found.range)) < 0.02
