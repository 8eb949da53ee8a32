"""What a stack says of itself: significance, lattice, and where its maps lie."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from groundshift.gradients.differences import directions_of


@pytest.mark.parametrize(("pairs", "tolerance"), [(2, 0.6), (3, 0.3), (5, 0.1), (10, 0.03), (30, 0.01), (300, 0.01)])
def test_significance_is_the_normal_deviate_of_equal_probability(make_stack, pairs, tolerance):
    """Of Student's t with one degree of freedom less than effective pairs; where it differs it is the smaller one."""
    deviates = np.linspace(0, 4.5, 91)
    t = stats.t.isf(stats.norm.sf(deviates), pairs - 1)
    found = make_stack(np.stack([t[np.newaxis], -t[np.newaxis]]), 1.0, pairs=pairs).significance[:, 0]
    np.testing.assert_allclose(found[0], deviates, atol=tolerance)
    np.testing.assert_array_equal(found[1], -found[0])
    assert (found[0] - deviates).max() < 0.01


def test_significance_grows_with_the_number_of_pairs_behind_it(make_stack):
    five_sigma = np.full((2, 3, 3), 5.0)
    found = [make_stack(five_sigma, 1.0, pairs=n).significance[0, 0, 0] for n in (2, 3, 5, 10, 30, 300)]
    assert (np.diff(found) > 0).all()
    assert found[0] < 2
    assert found[-1] == pytest.approx(5 - (5**3 + 5) / (4 * 299), abs=0.01)


def test_significance_is_not_known_where_the_rate_is_not(make_stack):
    gradient = np.ones((2, 4, 4))
    gradient[0, 1, 1] = np.nan
    found = make_stack(gradient).significance
    assert np.isnan(found[0, 1, 1])
    assert np.isfinite(found).sum() == 31


def test_only_forward_differences_along_both_axes_make_a_lattice(make_stack):
    gradient = np.zeros((4, 3, 3))
    axes = ("north", "east")
    assert make_stack(gradient, directions=directions_of(axes, diagonals=True)).is_lattice
    assert not make_stack(gradient, directions=directions_of(axes, diagonals=True, step=2)).is_lattice


@pytest.mark.parametrize(("n", "node"), [(1, 0.0), (4, -0.5), (5, 0.0), (10, -0.5)])
def test_differences_lie_half_way_between_their_nodes(make_stack, n, node):
    axes = ("north", "east")
    stack = make_stack(np.zeros((4, 6, 7)), smoothing=n, directions=directions_of(axes, diagonals=True))
    assert stack.node_grid == stack.grid.shifted(node, node)
    shifts = [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, -0.5)]
    for direction, (dy, dx) in zip(stack.directions, shifts, strict=True):
        assert stack.grid_of(direction) == stack.grid.shifted(node + dy, node + dx)
    central = replace(stack, directions=directions_of(axes, diagonals=True, step=3))
    assert all(central.grid_of(d) == stack.node_grid for d in central.directions)
