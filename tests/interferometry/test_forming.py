import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.interferometry import form, remove_path
from groundshift.types import Looks, MapGrid, RadarGrid

AFFINE = Affine(1e-4, 0, 101.9 - 0.5e-4, 0, -2e-4, 30.9 + 1e-4)
"""Pixel (0, 0) is centred at 101.9 E, 30.9 N."""


def plain_form(reference, secondary, looks):
    """The twin of `form`, in double precision."""
    ny, nx = reference.shape[0] // looks.y, reference.shape[1] // looks.x

    def cells(field):
        return field[: ny * looks.y, : nx * looks.x].reshape(ny, looks.y, nx, looks.x).sum(axis=(1, 3))

    s, t = reference.astype(complex), secondary.astype(complex)
    power = cells(np.abs(s) ** 2) * cells(np.abs(t) ** 2)
    enough = 2 * cells(((s != 0) & (t != 0)).astype(int)) >= looks.y * looks.x
    return np.where(enough, cells(s * t.conj()) / np.sqrt(np.where(enough, power, 1)), 0)


def images(rng, shape, holes=0.0):
    both = rng.standard_normal((2, *shape)) + 1j * rng.standard_normal((2, *shape))
    both[1] += both[0]
    both[rng.random(both.shape) < holes] = 0
    return both.astype(np.complex64)


# Looks of one row, of odd numbers of rows, more columns than the processor adds at once, and sizes that do not fit.
@pytest.mark.parametrize("looks", [(2, 8), (1, 4), (3, 5), (4, 20), (2, 1), (1, 2), (5, 33)])
@pytest.mark.parametrize("holes", [0.0, 0.5])
def test_cells_are_those_of_the_plain_twin(looks, holes):
    rng = np.random.default_rng(sum(looks))
    reference, secondary = images(rng, (23, 331), holes)
    reference[4:11, 40:97] = 0
    found = form(reference, secondary, Looks(*looks))
    expected = plain_form(reference, secondary, Looks(*looks))
    assert found.dtype == np.complex64
    np.testing.assert_array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_phase_grows_when_the_ground_moves_away():
    away = 0.004
    reference = images(np.random.default_rng(0), (4, 16))[0]
    secondary = reference * np.exp(-4j * np.pi / SENTINEL1_WAVELENGTH * away)
    found = form(reference, secondary.astype(np.complex64), Looks(2, 8))
    np.testing.assert_allclose(np.angle(found), 4 * np.pi / SENTINEL1_WAVELENGTH * away, atol=1e-5)
    np.testing.assert_allclose(np.abs(found), 1, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 40), st.sampled_from([(2, 8), (3, 2), (1, 5)]), st.integers(0, 99),
    st.floats(-4, 4), st.floats(1e-6, 1e6),
)  # fmt: skip
def test_coherence_is_at_most_one_and_knows_neither_scale_nor_constant_phase(height, width, looks, seed, phase, scale):
    reference, secondary = images(np.random.default_rng(seed), (height, width), 0.2)
    looks = Looks(*looks)
    found = form(reference, secondary, looks)
    assert found.shape == (height // looks.y, width // looks.x)
    assert (np.abs(found) <= 1).all()
    assert (np.abs(form(reference, reference, looks)) <= 1).all()
    turned = form(
        (reference * scale).astype(np.complex64), (secondary * np.exp(-1j * phase)).astype(np.complex64), looks
    )
    np.testing.assert_allclose(turned, found * np.exp(1j * phase), atol=2e-6)
    np.testing.assert_allclose(form(secondary, reference, looks), found.conj(), atol=1e-6)


def test_cell_wants_half_of_its_pixels():
    rng = np.random.default_rng(1)
    reference, secondary = images(rng, (2, 24))
    reference[0, 0:8] = 0
    secondary[1, 8:16], reference[0, 8] = 0, 0
    found = form(reference, secondary, Looks(2, 8))
    assert found[0, 0] != 0
    assert found[0, 1] == 0
    # Pixels of the other date count in its power: a cell that is half empty seems less coherent, never more.
    alone = form(reference[1:, :8], secondary[1:, :8], Looks(1, 8))
    assert 0 < np.abs(found[0, 0]) < np.abs(alone[0, 0])


def test_threads_memory_and_windows_change_no_bit():
    reference, secondary = images(np.random.default_rng(2), (12, 5003), 0.02)
    looks = Looks(2, 8)
    whole = form(reference, secondary, looks)
    np.testing.assert_array_equal(form(reference, secondary, looks, alone=True), whole)
    out = np.full((6, 625), np.nan, np.complex64)
    assert form(reference, secondary, looks, out) is out
    np.testing.assert_array_equal(out, whole)
    # A window that begins at a cell is the crop of the whole.
    part = (slice(4, 10), slice(800, 2403))
    np.testing.assert_array_equal(form(reference[part], secondary[part], looks), whole[2:5, 100:300])
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: form(reference, secondary, looks, alone=True), range(16)):
            np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("looks", [(2, 8), (3, 5), (1, 2)])
@pytest.mark.parametrize("kind", ["radar", "map"])
def test_cells_lie_where_the_multilooked_grid_says(looks, kind):
    """Even looks have their centres half a pixel from any pixel; the phase of a plane tells where."""
    shape, looks = (21, 43), Looks(*looks)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    lon, lat = 101.9 + 1e-4 * x, 30.9 - 2e-4 * y
    radar = RadarGrid(shape, (14.0, 4.0), lon, lat)
    grid = radar if kind == "radar" else MapGrid(shape, AFFINE, "EPSG:4326")
    plane = np.exp(1j * (0.11 * x - 0.23 * y)).astype(np.complex64)
    found = form(plane, np.ones_like(plane), looks)
    cells = grid.multilooked(looks)
    assert cells.shape == found.shape
    rows, columns = np.mgrid[: found.shape[0], : found.shape[1]]
    east, north = cells.lonlat(rows, columns)
    expected = 0.11 * (east - 101.9) / 1e-4 + 0.23 * (north - 30.9) / 2e-4
    np.testing.assert_allclose(np.angle(found * np.exp(-1j * expected)), 0, atol=2e-5)


def test_path_leaves_the_phase_of_the_motion_alone():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:8, :64]
    ground = (rng.standard_normal((8, 64)) + 1j * rng.standard_normal((8, 64))).astype(np.complex64)
    paths = [np.zeros((8, 64)), 0.37 * x - 1.9 * y + 30 * rng.random((8, 64))]
    away = 0.003
    wave = SENTINEL1_WAVELENGTH
    slcs = [
        (ground * np.exp(-4j * np.pi / wave * (path + moved))).astype(np.complex64)
        for path, moved in zip(paths, (0, away), strict=True)
    ]
    flat = [remove_path(slc, path, wave) for slc, path in zip(slcs, paths, strict=True)]
    found = form(flat[0], flat[1], Looks(2, 8))
    np.testing.assert_allclose(np.angle(found), 4 * np.pi / wave * away, atol=2e-5)
    np.testing.assert_allclose(np.abs(found), 1, atol=1e-5)
    assert np.abs(form(slcs[0], slcs[1], Looks(2, 8))).mean() < 0.5


@pytest.mark.parametrize("metres", [1e-3, 1.0, 900_000.0])
def test_path_is_taken_out_as_in_double_precision(metres):
    rng = np.random.default_rng(4)
    slc, path = images(rng, (3, 501))[0], metres * rng.standard_normal((3, 501))
    path[1, 20:40] = np.nan
    expected = slc * np.exp(4j * np.pi / SENTINEL1_WAVELENGTH * path)
    expected[1, 20:40] = 0
    found = remove_path(slc, path, SENTINEL1_WAVELENGTH)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert remove_path(slc, path, SENTINEL1_WAVELENGTH, out=slc) is slc
    np.testing.assert_array_equal(slc, found)


def test_wrong_arguments_are_named():
    slc = np.ones((4, 8), np.complex64)
    with pytest.raises(ValueError, match=re.escape("secondary must have shape (4, 8), instead got (4, 7)")):
        form(slc, slc[:, :7], Looks(2, 2))
    with pytest.raises(TypeError, match="reference must be complex-valued, instead got float32"):
        form(slc.real, slc, Looks(2, 2))
    with pytest.raises(ValueError, match=r"looks must hold 2 pixels at least, .* instead got 1 x 1"):
        form(slc, slc, Looks(1, 1))
    with pytest.raises(ValueError, match=re.escape("out must have shape (2, 4), instead got (4, 2)")):
        form(slc, slc, Looks(2, 2), out=np.empty((4, 2), np.complex64))
    with pytest.raises(ValueError, match="out must be contiguous complex64, instead got complex128"):
        form(slc, slc, Looks(2, 2), out=np.empty((2, 4), np.complex128))
    with pytest.raises(ValueError, match="wavelength must be positive, instead got 0"):
        remove_path(slc, np.zeros((4, 8)), 0.0)
