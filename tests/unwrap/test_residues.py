"""Residues are where wrapped phase turns around a point, and nowhere else."""

import math

import numpy as np
import pytest

from groundshift.unwrap import residues


def wrap(phase):
    return np.angle(np.exp(1j * phase))


def vortex(y, x, shape=(20, 24)):
    """Phase that grows by a cycle from the columns' axis to the rows'."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.arctan2(rows - y, columns - x)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("constant", [0.0, 2.0])
def test_a_vortex_has_one(sign, constant):
    found = residues(wrap(sign * vortex(7.4, 12.6) + constant))
    assert found.dtype == np.int8
    assert found.shape == (19, 23)
    assert found[7, 12] == sign
    assert np.count_nonzero(found) == 1


def test_a_pair_of_vortices_has_both_and_one_that_turns_twice_two():
    pair = vortex(5.5, 6.5) - vortex(12.5, 15.5)
    found = residues(wrap(pair))
    assert (found[5, 6], found[12, 15], np.count_nonzero(found)) == (1, -1, 2)
    # Twice around within four pixels is more than their steps can tell: it is seen around larger loops.
    assert residues(wrap(2 * vortex(9.4, 11.7))).sum() == 2


@pytest.mark.parametrize("slope", [(0.0, 0.0), (3.1, -3.1), (-2.0, 0.4), (7.0, 50.0)])
def test_planes_and_smooth_ground_have_none(slope):
    y, x = np.mgrid[:30, :40]
    assert not residues(wrap(slope[0] * y + slope[1] * x)).any()
    assert not residues(wrap(40 * np.exp(-((y - 14) ** 2 + (x - 20) ** 2) / 180))).any()


def test_steps_of_just_half_a_cycle_have_none():
    board = math.pi * (np.indices((6, 7)).sum(0) % 2)
    assert not residues(board).any()
    assert not residues(board - math.pi / 2).any()


def test_those_within_a_loop_add_up_to_the_turns_along_it():
    """Stokes' theorem, for noise."""
    phase = np.random.default_rng(0).uniform(-math.pi, math.pi, (40, 50))
    found = residues(phase)
    assert np.count_nonzero(found) > 300
    for top, left, bottom, right in ((0, 0, 39, 49), (3, 5, 20, 8), (10, 10, 11, 11)):
        loop = np.concatenate([phase[top, left:right], phase[top:bottom, right], phase[bottom, right:left:-1],
                               phase[bottom:top:-1, left], phase[top, left : left + 1]])  # fmt: skip
        turns = wrap(np.diff(loop)).sum() / (2 * math.pi)
        assert found[top:bottom, left:right].sum() == round(turns)


def test_whole_cycles_make_no_difference():
    rng = np.random.default_rng(1)
    phase = rng.uniform(-math.pi, math.pi, (15, 15))
    more = phase + 2 * math.pi * rng.integers(-5, 6, phase.shape)
    np.testing.assert_array_equal(residues(more), residues(phase))


def test_there_is_none_where_a_pixel_has_no_data_or_no_neighbours():
    phase = wrap(vortex(7.4, 12.6))
    phase[8, 13] = np.nan
    assert not residues(phase).any()
    assert residues(np.zeros((1, 5))).shape == (0, 4)
    assert residues(np.zeros((1, 1))).shape == (0, 0)
