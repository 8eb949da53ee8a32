import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from groundshift.simulate.batched.fields import Fields, gradient, level_of  # noqa: E402

CPU = torch.device("cpu")


def make(seed=0, shape=(240, 320), pixel_m=40.0):
    return Fields(shape, pixel_m, (seed,), CPU)


def test_fields_have_no_mean_and_variance_one():
    fields = make()
    for field in (fields.smooth(300), fields.fractal(3, outer_m=4000, inner_m=50, stretch=2, azimuth=0.4)):
        assert field.shape == (240, 320)
        assert field.dtype == torch.float32
        assert float(field.mean()) == pytest.approx(0, abs=1e-5)
        assert float(field.std()) == pytest.approx(1, abs=1e-4)


def test_smooth_field_crosses_zero_once_in_pi_root_two_of_its_scale():
    # Rice (1944): a Gaussian process of correlation exp(-r^2 / 4 s^2) crosses zero 1 / (pi sqrt(2) s) times a metre.
    scale = 300.0
    crossings = sum(
        int(((field[:, 1:] > 0) != (field[:, :-1] > 0)).sum()) for field in (make(s).smooth(scale) for s in range(8))
    )
    way = 8 * 240 * 319 * 40.0
    assert way / crossings == pytest.approx(math.pi * math.sqrt(2) * scale, rel=0.05)


def test_spectrum_of_a_fractal_falls_by_its_exponent():
    power = np.mean(
        [np.abs(np.fft.fft2(make(s, (256, 256)).fractal(3.0, outer_m=1e6).numpy())) ** 2 for s in range(6)], axis=0
    )
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    inside = (k > 0.03) & (k < 0.3)
    slope = np.polyfit(np.log(k[inside]), np.log(power[inside]), 1)[0]
    assert slope == pytest.approx(-3.0, abs=0.05)


def test_stretch_makes_a_field_longer_along_its_azimuth():
    # Stretch s along y: the mean square gradient along x is s^2 times that along y.
    ratios = []
    for seed in range(6):
        along_y, along_x = gradient(make(seed).smooth(300, stretch=2.0, azimuth=0.0), 40.0)
        ratios.append(float(along_x.square().mean() / along_y.square().mean()))
    assert np.mean(ratios) == pytest.approx(4.0, rel=0.15)


def test_blur_damps_a_wave_as_a_gaussian_does():
    fields = make(shape=(64, 128), pixel_m=10.0)
    wave = torch.cos(2 * math.pi * 4 * torch.arange(128) / 128).expand(64, 128)
    wide, narrow = fields.blur(wave, 50.0, 1e-6)
    factor = math.exp(-2 * (math.pi * 50.0 * 4 / 1280.0) ** 2)
    torch.testing.assert_close(wide, wave * factor, atol=1e-5, rtol=0)
    torch.testing.assert_close(narrow, wave, atol=1e-5, rtol=0)


def test_gradient_agrees_with_numpy_inside_and_runs_over_the_border():
    field = make().smooth(200)
    along_y, along_x = gradient(field, 40.0)
    by_numpy = np.gradient(field.numpy(), 40.0)
    np.testing.assert_allclose(along_y[1:-1], by_numpy[0][1:-1], atol=1e-6)
    np.testing.assert_allclose(along_x[:, 1:-1], by_numpy[1][:, 1:-1], atol=1e-6)
    torch.testing.assert_close(gradient(field.roll(7, 1), 40.0)[1], along_x.roll(7, 1))


def test_level_of_a_ramp_is_its_share():
    ramp = torch.linspace(0, 1, 900).expand(30, 900)
    assert level_of(ramp, 0.25) == pytest.approx(0.25, abs=0.01)
    assert level_of(ramp, 0.0) == 0.0
    assert level_of(ramp, 1.0) == pytest.approx(1.0, abs=0.01)


def test_same_seed_same_fields_and_planes_are_large_enough():
    assert torch.equal(make(3).smooth(100), make(3).smooth(100))
    assert not torch.equal(make(3).smooth(100), make(4).smooth(100))
    for shape in ((33, 47), (256, 256), (301, 77)):
        plane = Fields.plane_of(shape, 48)
        assert all(n + 48 <= m < 1.2 * (n + 48) for n, m in zip(shape, plane, strict=True))
