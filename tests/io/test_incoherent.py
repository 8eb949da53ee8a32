"""Noise is told from interferograms with a coherent place, however it was filtered."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from groundshift.interferometry.filters import goldstein
from groundshift.io import open_stack
from groundshift.io.incoherent import holds_only_noise, judge_noise, tile_agreement
from groundshift.types import Window

Filter = Callable[[NDArray[np.complex64]], NDArray[np.complex64]]


def speckle(shape: tuple[int, ...], seed: int) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def igram(phase: NDArray[np.float64], coherence: float, seed: int) -> NDArray[np.complex64]:
    """Form an interferogram of four looks."""
    one, other = speckle((4, *phase.shape), seed), speckle((4, *phase.shape), seed + 1000)
    two = coherence * one + np.sqrt(1 - coherence**2) * other
    return ((one * two.conj()).mean(axis=0) * np.exp(1j * phase)).astype(np.complex64)


def smooth(how: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Filter:
    return lambda z: (how(z.real) + 1j * how(z.imag)).astype(np.complex64)


FILTERS: dict[str, Filter] = {
    "none": lambda z: z,
    "looks that overlap": smooth(lambda a: uniform_filter(a, 2)),
    "window of 5": smooth(lambda a: uniform_filter(a, 5)),
    "window of 8": smooth(lambda a: uniform_filter(a, 8)),
    "gaussian of 2": smooth(lambda a: gaussian_filter(a, 2)),
    "goldstein": lambda z: goldstein(z / 3, 0.5),
    "window and goldstein": lambda z: goldstein(smooth(lambda a: uniform_filter(a, 3))(z), 0.8),
}


@pytest.mark.parametrize("name", FILTERS)
def test_noise_is_noise_however_it_was_filtered(name: str) -> None:
    scores = [tile_agreement(FILTERS[name](speckle((96, 96), seed))).score for seed in range(16)]
    # By chance around zero, and no more than twice as widely as for independent pixels.
    assert abs(np.mean(scores)) < 4 * 1.9 / np.sqrt(16)
    assert 0.5 < np.std(scores) < 2.2
    assert sum(score >= 5 for score in scores) <= 1
    assert judge_noise(FILTERS[name](speckle((300, 200), 99)))


def test_score_of_white_noise_is_a_standard_normal_deviate() -> None:
    scores = np.array([tile_agreement(speckle((80, 100), seed)).score for seed in range(80)])
    assert abs(scores.mean()) < 3 / np.sqrt(80)
    assert 0.76 < scores.std() < 1.24


def test_filters_that_reach_farther_than_the_lag_pass_as_coherent() -> None:
    assert not judge_noise(smooth(lambda a: uniform_filter(a, 20))(speckle((200, 200), 0)))


Y, X = np.mgrid[:256, :256].astype(np.float64)


@pytest.mark.parametrize("coherence", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("rate", [0.0, 0.35, 1.5])
def test_coherent_scene_is_no_noise_at_any_fringe_rate(coherence: float, rate: float) -> None:
    phase = rate * X + 0.5 * rate * Y + 3 * np.sin(X / 60) * np.cos(Y / 45)
    whole = igram(phase, coherence, 1)
    assert tile_agreement(whole).score > 15
    assert not judge_noise(whole)
    assert not judge_noise(goldstein(whole, 0.5))


@pytest.mark.parametrize(("side", "coherence"), [(48, 0.4), (64, 0.3), (48, 0.9)])
def test_a_coherent_place_in_noise_is_enough(side: int, coherence: float) -> None:
    place = np.s_[90 : 90 + side, 30 : 30 + side]
    phase = 0.1 * X + 2 * np.sin(Y / 50)
    for seed in range(3):
        scene = speckle(Y.shape, seed)
        assert judge_noise(scene)
        scene[place] = igram(phase, coherence, seed + 50)[place]
        assert not judge_noise(scene)


@pytest.mark.parametrize(("depth", "width"), [(12, 15), (25, 15), (25, 25), (40, 30)])
def test_bowls_amid_noise_are_no_noise(depth: float, width: float) -> None:
    """Their fringes turn within a few pixels, and run the other way on the other side."""
    bowl = depth * np.exp(-((X - 130) ** 2 + (Y - 120) ** 2) / (2 * width**2))
    scene = speckle(Y.shape, 0)
    scene[60:180, 70:190] = igram(bowl, 0.7, 1)[60:180, 70:190]
    assert not judge_noise(scene)


def test_a_place_is_not_lost_in_a_large_image() -> None:
    scene = speckle((900, 1000), 3)
    assert judge_noise(scene)
    scene[520:590, 300:370] = igram(0.1 * X, 0.4, 4)[:70, :70]
    assert not judge_noise(scene)


def test_only_phase_where_there_are_data_counts() -> None:
    scene = igram(0.1 * X, 0.6, 2)
    scores = []
    for gap in (0, np.nan, np.inf):
        holed = scene.copy()
        holed[40:200, 30:100] = gap
        scores.append(tile_agreement(holed).score)
    assert scores[0] > 15
    assert scores == [scores[0]] * 3
    brighter = scene * np.where(X > 100, 700, 1).astype(np.float32)
    np.testing.assert_allclose(tile_agreement(brighter).score, tile_agreement(scene).score, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 300), (60, 60), (64, 80)])
def test_small_image_tells_nothing(shape: tuple[int, int]) -> None:
    assert not judge_noise(speckle(shape, 0))
    assert not judge_noise(np.zeros((200, 200), np.complex64))


def test_real_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^igram must be complex-valued, instead got float64$"):
        judge_noise(np.zeros((100, 100)))


def test_large_image_is_read_in_strips_until_it_is_clear() -> None:
    shape = (2100, 160)
    noise = speckle(shape, 5)

    def reading(image: NDArray[np.complex64]) -> tuple[tuple[bool, int], list[Window]]:
        seen: list[Window] = []

        def read(window: Window) -> NDArray[np.complex64]:
            seen.append(window)
            return image[window.rows, window.columns]

        return holds_only_noise(read, shape), seen

    found, seen = reading(noise)
    assert found == (True, 8 * 128 * 160)
    assert (seen[0].y, seen[-1].y) == (0, shape[0] - 128)
    coherent = noise.copy()
    coherent[900:] = np.exp(0.2j * np.arange(160))
    found, seen = reading(coherent)
    assert found == (False, 4 * 128 * 160)  # the first three strips are noise
    small = noise[:100]
    assert holds_only_noise(lambda w: small[w.rows, w.columns], small.shape) == (True, small.size)


@pytest.mark.real
def test_real_interferograms_with_a_coherent_place_are_no_noise(real_data: Path) -> None:
    stack = open_stack(real_data / "danba")
    igrams = [stack.read(pair) for pair in stack.pairs]
    # The magnitude of Danba's pairs is a coherence over a few pixels, whose bias is about 0.37.
    noise = np.array([judge_noise(one) for one in igrams])
    magnitude = np.array([np.abs(one).mean() for one in igrams])
    assert not noise[magnitude > 0.415].any()
    assert noise[magnitude < 0.36].all()
    assert 0.05 < noise.mean() < 0.2
    # Pairs that end in winter of up to 36 days are coherent, those of noise lie in the leafy months.
    months = {p.secondary.month for p, bad in zip(stack.pairs, noise, strict=True) if bad and p.days <= 36}
    assert months <= set(range(5, 12))
    for folder in ("mining_phase", "mexico_city", "sydney/tif"):
        other = open_stack(real_data / folder)
        assert not any(judge_noise(other.read(pair)) for pair in other.pairs)
