import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundshift.io.estimate import LEAST, consistent_igram, phase_consistency, reach
from groundshift.types import Window


def wrap(phase: np.ndarray) -> np.ndarray:
    return np.angle(np.exp(1j * phase)).astype(np.float32)


def plain_twin(wrapped: np.ndarray, valid: np.ndarray, window: int) -> np.ndarray:
    """The formula of the docstring, pixel by pixel, with exponentials instead of powers."""
    z = np.where(valid, np.exp(1j * wrapped.astype(np.float64)), 0)
    out = np.zeros(wrapped.shape)
    near, far = window // 2, 2 * (window // 2)
    for y, x in np.argwhere(valid):
        top, left = max(y - far, 0), max(x - far, 0)
        wide = z[top : y + far + 1, left : x + far + 1]
        fy = np.angle(np.sum(wide[1:] * wide[:-1].conj()))
        fx = np.angle(np.sum(wide[:, 1:] * wide[:, :-1].conj()))
        top, left = max(y - near, 0), max(x - near, 0)
        part = z[top : y + near + 1, left : x + near + 1]
        k, m = np.mgrid[: part.shape[0], : part.shape[1]]
        n = np.count_nonzero(part)
        power = abs(np.sum(part * np.exp(-1j * (fy * k + fx * m)))) ** 2 / n**2
        unbiased = np.sqrt(max(0, (power - 1.5 / n) / (1 - 1.5 / n))) if n >= 6 else 0
        out[y, x] = max(unbiased, LEAST)
    return out


def test_agrees_with_a_plain_twin():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:24, :31]
    phase = wrap(0.9 * x - 0.4 * y + 0.01 * x * y + rng.normal(0, 0.8, x.shape))
    valid = rng.random(x.shape) < 0.8
    np.testing.assert_allclose(phase_consistency(phase, valid), plain_twin(phase, valid, 5), atol=2e-5)
    np.testing.assert_allclose(phase_consistency(phase, valid, 3), plain_twin(phase, valid, 3), atol=2e-4)


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.5, 2.5, -2.9])
def test_ramp_of_any_slope_is_fully_consistent(slope):
    y, x = np.mgrid[:40, :40]
    result = phase_consistency(wrap(slope * x + 0.7 * slope * y), np.ones(x.shape, bool))
    np.testing.assert_allclose(result, 1, atol=1e-4)


def test_pure_noise_is_not_consistent():
    """The mean of the square is 0 without the cut at 0, so what remains is the cut and the scatter."""
    rng = np.random.default_rng(0)
    result = phase_consistency(rng.uniform(-np.pi, np.pi, (400, 400)).astype(np.float32), np.ones((400, 400), bool))
    assert result.mean() < 0.1
    assert np.median(result) == np.float32(LEAST)
    # The power of the noise after the fit is the one that is subtracted: as much lies above as below.
    assert 0.3 < np.mean(result > LEAST) < 0.5


def test_noise_of_known_coherence_is_found_and_more_noise_gives_less():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:300, :300]
    sigmas = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0])
    means = [
        phase_consistency(wrap(1.1 * x - 0.8 * y + rng.normal(0, s, x.shape)), np.ones(x.shape, bool)).mean()
        for s in sigmas
    ]
    assert np.all(np.diff(means) < 0)
    known = np.exp(-(sigmas**2) / 2)
    np.testing.assert_allclose(means[:5], known[:5], atol=0.03)
    np.testing.assert_allclose(means[5], known[5], atol=0.07)


def test_bias_of_few_samples_is_taken_out_at_the_corner_too():
    """A corner window has 9 pixels, the middle one 25: the same noise must look the same."""
    rng = np.random.default_rng(2)
    corners, middles = [], []
    for _ in range(600):
        result = phase_consistency(wrap(rng.normal(0, 0.5, (15, 15))), np.ones((15, 15), bool))
        corners.append(result[0, 0])
        middles.append(result[7, 7])
    assert np.mean(middles) == pytest.approx(np.exp(-0.125), abs=0.02)
    assert np.mean(corners) == pytest.approx(np.mean(middles), abs=0.03)


def test_pixels_without_data_are_zero_and_lonely_ones_the_least():
    phase = np.zeros((20, 20), np.float32)
    valid = np.zeros((20, 20), bool)
    valid[3, 3] = valid[10:16, 10:16] = True
    result = phase_consistency(phase, valid)
    np.testing.assert_array_equal(result > 0, valid)
    assert result[3, 3] == np.float32(LEAST)
    np.testing.assert_allclose(result[10:16, 10:16], 1, atol=1e-5)


def test_infinite_and_nan_phases_count_as_no_data_and_spoil_no_neighbour():
    phase = np.zeros((12, 12), np.float32)
    phase[4, 4], phase[8, 8] = np.nan, np.inf
    result = phase_consistency(phase, np.ones((12, 12), bool))
    assert result[4, 4] == result[8, 8] == 0
    assert np.count_nonzero(result) == 142
    np.testing.assert_allclose(result[result > 0], 1, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_window_equals_the_crop_of_the_whole_exactly(data):
    height, width = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(top, left, data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left)))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    phase = rng.uniform(-np.pi, np.pi, (height, width)).astype(np.float32)
    valid = rng.random((height, width)) < 0.7
    size = data.draw(st.sampled_from([1, 3, 5, 7]))

    def read(part: Window) -> tuple[np.ndarray, np.ndarray]:
        return phase[part.rows, part.columns], valid[part.rows, part.columns]

    whole = consistent_igram(read, Window(0, 0, height, width), (height, width), size)
    np.testing.assert_array_equal(
        consistent_igram(read, window, (height, width), size), whole[window.rows, window.columns]
    )
    np.testing.assert_array_equal(whole != 0, valid)
    assert np.abs(whole).max(initial=0) <= 1 + 1e-6


def test_window_of_a_large_image_equals_the_crop_exactly():
    """Vector instructions treat the end of a line differently: this is where a careless product shows."""
    rng = np.random.default_rng(5)
    phase = rng.uniform(-np.pi, np.pi, (211, 377)).astype(np.float32)
    valid = rng.random(phase.shape) < 0.9
    whole = consistent_igram(
        lambda w: (phase[w.rows, w.columns], valid[w.rows, w.columns]), Window(0, 0, 211, 377), phase.shape
    )
    for _ in range(40):
        y, x = int(rng.integers(0, 200)), int(rng.integers(0, 360))
        window = Window(y, x, int(rng.integers(1, 212 - y)), int(rng.integers(1, 378 - x)))
        part = consistent_igram(lambda w: (phase[w.rows, w.columns], valid[w.rows, w.columns]), window, phase.shape)
        np.testing.assert_array_equal(part, whole[window.rows, window.columns])


def test_reach_is_all_that_a_pixel_depends_on():
    rng = np.random.default_rng(4)
    phase = rng.uniform(-np.pi, np.pi, (41, 41)).astype(np.float32)
    valid = np.ones(phase.shape, bool)
    before = phase_consistency(phase, valid)
    phase[20, 20] += 1
    changed = np.argwhere(phase_consistency(phase, valid) != before)
    assert np.abs(changed - 20).max() == reach()


def test_bad_arguments_are_named():
    phase, valid = np.zeros((4, 4), np.float32), np.ones((4, 5), bool)
    with pytest.raises(ValueError, match=r"^valid must have shape \(4, 4\), instead got \(4, 5\)$"):
        phase_consistency(phase, valid)
    with pytest.raises(ValueError, match=r"^window must be odd, instead got 4$"):
        phase_consistency(phase, valid[:, :4], 4)
    with pytest.raises(ValueError, match=r"^window must be positive, instead got 0$"):
        phase_consistency(phase, valid[:, :4], 0)
