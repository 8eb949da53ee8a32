"""Planes: what a network sees agrees with the stack."""

import numpy as np
import pytest
from affine import Affine

from groundshift.detect.planes import PLANES, network_planes, radians_per_gradient
from groundshift.gradients.stack import Direction, GradientStack
from groundshift.types import MapGrid

LATTICE = (Direction("south", (0, 0), (1, 0)), Direction("east", (0, 0), (0, 1)))


def a_stack(rate, sigma, pixel=80.0, directions=LATTICE):
    shape = rate.shape[1:]
    return GradientStack(
        track="t", window="all", grid=MapGrid(shape, Affine(pixel, 0, 0, 0, -pixel, 0), "EPSG:32647"), smoothing=4,
        wavelength=0.0555, directions=directions, rate=rate.astype(np.float32), sigma=sigma.astype(np.float32),
        effective_pairs=np.full(shape, 1e6, np.float32), n_pairs=np.full(shape, 50, np.uint16),
        mean_coherence=np.full(shape, 0.6, np.float32), residues=np.zeros(shape, np.float32), total_pairs=50,
        total_years=4.0,
    )  # fmt: skip


def test_planes_are_the_stack_per_40_m():
    rng = np.random.default_rng(0)
    stack = a_stack(rng.normal(0, 0.1, (2, 12, 9)), np.full((2, 12, 9), 0.05))
    planes = dict(zip(PLANES, network_planes(stack), strict=True))
    np.testing.assert_allclose(planes["significance_x"], stack.significance[1], rtol=1e-6)
    np.testing.assert_allclose(planes["gradient_y"], stack.velocity_gradient[0] / 2, rtol=1e-6)
    np.testing.assert_allclose(planes["sigma_y"], stack.velocity_gradient_sigma[0] / 2, rtol=1e-6)
    np.testing.assert_allclose(planes["significance_y"] * planes["sigma_y"], planes["gradient_y"], rtol=1e-3)
    assert (planes["known"] == 1).all()


def test_nothing_is_seen_where_nothing_is_known_or_valid():
    rate, sigma = np.full((2, 8, 8), 0.1), np.full((2, 8, 8), 0.02)
    rate[:, 2, 3] = sigma[:, 2, 3] = np.nan
    valid = np.ones((8, 8), bool)
    valid[5, 5] = False
    planes = network_planes(a_stack(rate, sigma), valid)
    assert np.isfinite(planes).all()
    assert (planes[:, 2, 3] == 0).all()
    assert (planes[:, 5, 5] == 0).all()
    assert planes[PLANES.index("known")].sum() == 62


def test_radians_are_those_of_the_sum():
    stack = a_stack(np.full((2, 4, 4), 0.3), np.full((2, 4, 4), 0.1), pixel=40.0)
    gradient = network_planes(stack)[PLANES.index("gradient_y")]
    np.testing.assert_allclose(gradient * radians_per_gradient(4.0, 0.0555), stack.radians[0], rtol=1e-5)


def test_other_directions_are_refused():
    diagonal = (Direction("a", (0, 0), (1, 1)), Direction("b", (0, 0), (0, 1)))
    with pytest.raises(ValueError, match="forward differences along both axes"):
        network_planes(a_stack(np.ones((2, 4, 4)), np.ones((2, 4, 4)), directions=diagonal))
