import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, uniform_filter

from groundshift.simulate.batched.products import box_mean, goldstein, smooth


def field(shape=(40, 50), seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("side", [1, 3, 7])
def test_box_means_are_those_of_scipy_inside_and_of_what_there_is_at_the_border(side):
    values = field()
    half = side // 2
    inside = (slice(half, 40 - half), slice(half, 50 - half))
    np.testing.assert_allclose(
        box_mean(values, side).numpy()[inside], uniform_filter(values.numpy(), side)[inside], atol=1e-6
    )
    corner = values[: half + 1, : half + 1].mean()
    assert float(box_mean(values, side)[0, 0]) == pytest.approx(float(corner), abs=1e-6)
    torch.testing.assert_close(box_mean(torch.ones(3, 9, 11), side), torch.ones(3, 9, 11))


def test_smoothing_is_a_gaussian():
    values = field()
    expected = gaussian_filter(values.numpy(), 1.3, radius=4)
    np.testing.assert_allclose(smooth(values, 1.3).numpy()[4:-4, 4:-4], expected[4:-4, 4:-4], atol=1e-6)


def test_the_goldstein_filter_of_exponent_zero_changes_nothing():
    z = torch.complex(field(), field(seed=1))
    torch.testing.assert_close(goldstein(z, 0.0, 16), z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("patch", [16, 32])
def test_the_goldstein_filter_keeps_fringes_and_takes_noise_the_more_the_larger_its_exponent(patch):
    fringes = torch.exp(1j * 0.35 * torch.arange(128.0)).expand(96, 128)
    z = fringes + 0.8 * torch.complex(field((96, 128)), field((96, 128), 1))
    inside = (slice(8, -8), slice(8, -8))
    errors = [float((goldstein(z, alpha, patch) * fringes.conj()).angle()[inside].std()) for alpha in (0, 0.4, 0.8)]
    assert errors[0] > 1.3 * errors[1] > 1.5 * errors[2]
    clean = goldstein(fringes, 0.8, patch) * fringes.conj()
    assert float(clean.angle()[inside].abs().max()) < 0.1
