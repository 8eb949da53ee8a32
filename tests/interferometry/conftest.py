"""Speckle of known coherence, phase and oversampling."""

import numpy as np
import pytest


def white(rng, shape):
    """Independent complex normal numbers of power 1."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def band_limited(rng, shape, oversampling):
    """Speckle of power 1 whose spectrum fills 1 / oversampling of the band along each axis."""
    spectrum = white(rng, shape)
    for axis, factor in enumerate(oversampling):
        frequency = np.abs(np.fft.fftfreq(shape[axis]))
        inside = frequency < 0.5 / factor
        spectrum *= np.expand_dims(inside, 1 - axis) / np.sqrt(inside.mean())
    return np.fft.ifft2(spectrum) * np.sqrt(spectrum.size)


@pytest.fixture
def speckle_pair():
    """Two images of given coherence; the phase of `reference * conj(secondary)` is `phase`."""

    def make(rng, shape, coherence, phase=0.0, oversampling=(1.0, 1.0)):
        reference, other = band_limited(rng, shape, oversampling), band_limited(rng, shape, oversampling)
        secondary = coherence * reference + np.sqrt(1 - np.square(coherence)) * other
        return reference.astype(np.complex64), (secondary * np.exp(-1j * np.asarray(phase))).astype(np.complex64)

    return make
