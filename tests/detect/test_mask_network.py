"""A network that masks at work: what it is shown, on images of any size, and what a wrong model says."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import expit
from tests.workflows.mask_models import write_mask_model

from groundshift.detect.mask_network import MaskNetwork, amplitude_plane
from groundshift.detect.models import checksum
from groundshift.errors import MissingFileError, UnknownFormatError


@pytest.fixture
def network(tmp_path):
    return MaskNetwork.load(write_mask_model(tmp_path / "a.onnx"))


def image(shape, seed=1):
    rng = np.random.default_rng(seed)
    wrapped = rng.uniform(-np.pi, np.pi, shape).astype(np.float32)
    return wrapped, rng.uniform(0.1, 1, shape).astype(np.float32), rng.uniform(1, 50, shape).astype(np.float32)


# Amplitude


def test_twice_the_amplitude_is_six_decibels_more():
    amplitude = np.array([[1.0, 1.0, 1.0, 2.0, 0.5]])
    six = 20 * np.log10(2) / 40
    np.testing.assert_allclose(amplitude_plane(amplitude), [[0.5, 0.5, 0.5, 0.5 + six, 0.5 - six]], rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-4, 1.0, 3e5])
def test_the_unit_of_amplitude_does_not_matter(unit):
    amplitude = image((20, 30))[2].astype(float)
    np.testing.assert_allclose(amplitude_plane(unit * amplitude), amplitude_plane(amplitude), atol=1e-6)


def test_extremes_are_cut_and_never_zero():
    found = amplitude_plane(np.array([[1e-9, 1.0, 1.0, 1.0, 1e9]]))
    np.testing.assert_allclose(found, [[0.01, 0.5, 0.5, 0.5, 1.0]])


def test_ground_without_amplitude_is_zero_and_does_not_count():
    amplitude = image((20, 30))[2]
    expected = amplitude_plane(amplitude[:, 5:])
    for k, nothing in enumerate((0.0, -1.0, np.nan, np.inf, 0.0)):
        amplitude[:, k] = nothing
    found = amplitude_plane(amplitude)
    assert not found[:, :5].any()
    assert np.array_equal(found[:, 5:], expected)
    assert not amplitude_plane(np.zeros((3, 3))).any()


# At work


def test_a_model_tells_what_it_is(tmp_path):
    path = write_mask_model(tmp_path / "a.onnx")
    found = MaskNetwork.load(path)
    assert (found.name, found.checksum) == ("tiny-coherent", checksum(path))


@pytest.mark.parametrize("shape", [(1, 1), (37, 50), (32, 64), (700, 90)])
def test_images_of_any_size_are_answered_pixel_by_pixel(network, shape):
    wrapped, coherence, amplitude = image(shape)
    found = network.look(wrapped, coherence)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expit(10 * (coherence - 0.5)), atol=2e-5)
    with_amplitude = network.look(wrapped, coherence, amplitude)
    np.testing.assert_allclose(
        with_amplitude, expit(10 * (coherence + amplitude_plane(amplitude) - 0.5)), atol=2e-5
    )  # fmt: skip


def test_without_data_nothing_is_coherent_and_amplitude_there_does_not_count(network):
    wrapped, coherence, amplitude = image((40, 40))
    whole = network.look(wrapped[:, 10:], coherence[:, 10:], amplitude[:, 10:])
    coherence[:, :5], wrapped[:, 5:10] = 0, np.nan
    found = network.look(wrapped, coherence, amplitude)
    assert not found[:, :10].any()
    np.testing.assert_allclose(found[:, 10:], whole, atol=1e-6)
    assert not network.look(wrapped, np.zeros_like(coherence)).any()


def test_shapes_must_agree(network):
    wrapped, coherence, amplitude = image((8, 9))
    with pytest.raises(ValueError, match=r"coherence must have shape \(8, 9\), instead got \(7, 9\)"):
        network.look(wrapped, coherence[1:])
    with pytest.raises(ValueError, match=r"amplitude must have shape \(8, 9\), instead got \(8, 8\)"):
        network.look(wrapped, coherence, amplitude[:, 1:])


# What is not such a model


def test_other_models_are_named(tmp_path):
    for change, told in (
        ({"kind": "footprint"}, "groundshift.kind is 'footprint', expected one of 'coherent'"),
        ({"planes": ["wrapped", "coherence"]}, 'expected ["wrapped", "coherence", "amplitude"]'),
    ):
        path = write_mask_model(tmp_path / "b.onnx", **change)
        with pytest.raises(UnknownFormatError) as error:
            MaskNetwork.load(path)
        assert told in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(MissingFileError, match="no such file"):
        MaskNetwork.load(tmp_path / "no.onnx")


def test_it_runs_without_torch():
    modules = "groundshift.detect.mask_network, groundshift.workflows.masking"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
