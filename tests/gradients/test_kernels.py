"""The compiled pass over a stack is what `wrapped_differences` does for one interferogram, pair by pair."""

import numpy as np
import pytest
from scipy import ndimage

from groundshift.gradients._kernels import PER_DIRECTION, SHARED_SUMS, accumulate, multilook
from groundshift.gradients.differences import closes, directions_of, wrapped_differences
from groundshift.gradients.stack import Direction

AXES = ("azimuth", "range")
DOWN, RIGHT, ACROSS = (Direction(name, (0, 0), end) for name, end in (("y", (1, 0)), ("x", (0, 1)), ("d", (1, 1))))


def make_igrams(rng, pairs, shape, holes=0.1):
    """Smooth phases of several cycles under noise, coherence from 0.2 to 1, pixels and a block without data."""
    smooth = ndimage.gaussian_filter(rng.standard_normal((pairs, *shape)), (0, 4, 4))
    phase = smooth / smooth.std() * 4 + 0.4 * rng.standard_normal((pairs, *shape))
    igrams = rng.uniform(0.2, 1.0, (pairs, *shape)) * np.exp(1j * phase)
    igrams[rng.random(igrams.shape) < holes] = 0
    igrams[0, shape[0] // 3 : shape[0] // 2, shape[1] // 3 : shape[1] // 2] = 0
    return igrams.astype(np.complex64)


def plain_sums(igrams, years, weights, n, directions):
    """The twin of `accumulate`: one interferogram after the other, in double precision."""
    shape = igrams.shape[1:]
    sums = np.zeros((weights.shape[1], SHARED_SUMS + PER_DIRECTION * len(directions), *shape))
    for igram, t, of_window in zip(igrams, years.astype(float), weights.astype(float), strict=True):
        found = wrapped_differences(igram, n, directions)
        quality = found.quality.astype(float)
        g = np.nan_to_num(found.angle.astype(float))
        lowest = 1.1 * quality / (1 + quality)
        residue = open_cells(igram, n) & (quality > 0) if closes(directions) else np.zeros(shape, bool)
        for planes, w in zip(sums, of_window, strict=True):
            if w == 0:
                continue
            wt, wg = w * quality * t, w * quality * g
            planes[0] += wt
            planes[1] += wt**2
            planes[2] += np.sqrt(lowest)
            planes[3] += quality > 0
            planes[4] += residue
            for d in range(len(directions)):
                at = SHARED_SUMS + PER_DIRECTION * d
                planes[at] += wg[d]
                planes[at + 1] += wg[d] ** 2
                planes[at + 2] += wg[d] * wt
    return sums


def open_cells(igram, n):
    """Cells of four nodes with data whose differences do not add up to zero."""
    fall, level = (wrapped_differences(igram, n, (d,)).angle[0] for d in (DOWN, RIGHT))
    turn = np.full(igram.shape, np.nan)
    turn[:-1, :-1] = fall[:-1, :-1] + level[1:, :-1] - fall[:-1, 1:] - level[:-1, :-1]
    known = wrapped_differences(igram, n, (ACROSS,)).quality > 0
    with np.errstate(invalid="ignore"):
        return known & (np.abs(turn) > np.pi)


def compiled_sums(igrams, years, weights, n, directions, sign=1, sums=None):
    if sums is None:
        planes = SHARED_SUMS + PER_DIRECTION * len(directions)
        sums = np.zeros((weights.shape[1], planes, *igrams.shape[1:]), np.float32)
    stencil = np.array([d.start + d.end for d in directions], np.int64)
    accumulate(igrams, years, weights, n, stencil, closes(directions), np.float32(sign), sums)
    return sums


def assert_same_sums(compiled, plain):
    """Counts exactly, all else to a few parts in 100,000 of the largest value of the plane."""
    np.testing.assert_array_equal(compiled[:, 3], plain[:, 3])
    np.testing.assert_array_equal(compiled[:, 4], plain[:, 4])
    for plane in range(plain.shape[1]):
        largest = np.abs(plain[:, plane]).max()
        np.testing.assert_allclose(compiled[:, plane], plain[:, plane], atol=4e-5 * largest + 1e-6, err_msg=f"{plane=}")


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 10, 13])
def test_sums_are_those_of_the_plain_twin_for_every_window_size(n):
    rng = np.random.default_rng(n)
    igrams = make_igrams(rng, 5, (41, 53))
    years = rng.uniform(0.03, 0.1, 5).astype(np.float32)
    weights = rng.uniform(0.2, 2.0, (5, 1)).astype(np.float32)
    directions = directions_of(AXES)
    plain = plain_sums(igrams, years, weights, n, directions)
    assert plain[0, 3].max() == 5
    assert plain[0, 4].max() > 0 or n > 5
    assert_same_sums(compiled_sums(igrams, years, weights, n, directions), plain)


@pytest.mark.parametrize(("diagonals", "step"), [(True, 1), (False, 3), (True, 3), (False, 2)])
def test_sums_are_those_of_the_plain_twin_for_every_stencil(diagonals, step):
    rng = np.random.default_rng(step)
    igrams = make_igrams(rng, 4, (40, 37))
    years = rng.uniform(0.03, 0.1, 4).astype(np.float32)
    weights = np.ones((4, 1), np.float32)
    directions = directions_of(AXES, diagonals=diagonals, step=step)
    plain = plain_sums(igrams, years, weights, 4, directions)
    assert plain[0, 3].max() == 4
    assert_same_sums(compiled_sums(igrams, years, weights, 4, directions), plain)


# A single node, a row, a column; and sizes beyond one tile of the compiled pass.
@pytest.mark.parametrize("shape", [(7, 9), (6, 6), (210, 23), (11, 2700), (7, 6), (6, 7)])
@pytest.mark.parametrize("diagonals", [False, True])
def test_sums_are_those_of_the_plain_twin_across_the_borders_of_tiles(shape, diagonals):
    rng = np.random.default_rng(sum(shape))
    igrams = make_igrams(rng, 3, shape, holes=0.02)
    years = rng.uniform(0.03, 0.1, 3).astype(np.float32)
    weights = rng.uniform(0.2, 2.0, (3, 1)).astype(np.float32)
    directions = directions_of(AXES, diagonals=diagonals)
    plain = plain_sums(igrams, years, weights, 5, directions)
    assert_same_sums(compiled_sums(igrams, years, weights, 5, directions), plain)


def test_each_time_window_has_the_sums_of_its_own_pairs_and_weights():
    rng = np.random.default_rng(3)
    igrams = make_igrams(rng, 6, (33, 31))
    years = rng.uniform(0.03, 0.1, 6).astype(np.float32)
    weights = rng.uniform(0.2, 2.0, (6, 3)).astype(np.float32)
    weights[:3, 1] = 0
    weights[1::2, 2] = 0
    directions = directions_of(AXES)
    together = compiled_sums(igrams, years, weights, 4, directions)
    assert_same_sums(together, plain_sums(igrams, years, weights, 4, directions))
    for k in range(3):
        members = weights[:, k] > 0
        alone = compiled_sums(igrams[members], years[members], weights[members, k : k + 1], 4, directions)
        np.testing.assert_array_equal(together[k, 3:5], alone[0, 3:5])
        np.testing.assert_allclose(together[k], alone[0], rtol=1e-5, atol=1e-6)


def test_image_smaller_than_the_window_adds_nothing():
    directions = directions_of(AXES)
    for shape in ((4, 40), (40, 4), (1, 1), (5, 5)):
        igrams = np.ones((2, *shape), np.complex64)
        sums = compiled_sums(igrams, np.ones(2, np.float32), np.ones((2, 1), np.float32), 5, directions)
        assert not sums.any()


def test_pixels_without_data_add_nothing_and_do_not_count():
    rng = np.random.default_rng(5)
    igrams = make_igrams(rng, 3, (30, 30), holes=0)
    igrams[:, 10:14, 8:13] = 0
    ones = np.ones((3, 1), np.float32)
    sums = compiled_sums(igrams, np.ones(3, np.float32), ones, 3, directions_of(AXES))
    assert not sums[0, :, 10:14, 8:13].any()
    # The nodes before the hole have their end in it.
    assert not sums[0, :, 9, 8:13].any()
    assert not sums[0, :, 10:14, 7].any()
    assert sums[0, 3, 8, 8] == 3


def test_taking_out_a_pair_restores_the_sums():
    rng = np.random.default_rng(6)
    igrams = make_igrams(rng, 5, (40, 45))
    years = rng.uniform(0.03, 0.1, 5).astype(np.float32)
    weights = rng.uniform(0.2, 2.0, (5, 2)).astype(np.float32)
    directions = directions_of(AXES, diagonals=True)
    before = compiled_sums(igrams[:4], years[:4], weights[:4], 4, directions)
    more = compiled_sums(igrams[4:], years[4:], weights[4:], 4, directions, sums=before.copy())
    assert np.abs(more - before).max() > 0.1
    after = compiled_sums(igrams[4:], years[4:], weights[4:], 4, directions, sign=-1, sums=more)
    np.testing.assert_array_equal(after[:, 3:5], before[:, 3:5])
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())


def test_batches_add_up_to_the_whole():
    rng = np.random.default_rng(7)
    igrams = make_igrams(rng, 7, (40, 45))
    years = rng.uniform(0.03, 0.1, 7).astype(np.float32)
    weights = rng.uniform(0.2, 2.0, (7, 1)).astype(np.float32)
    directions = directions_of(AXES)
    whole = compiled_sums(igrams, years, weights, 4, directions)
    parts = None
    for some in ([5, 0], [6, 3, 1], [2, 4]):
        parts = compiled_sums(igrams[some], years[some], weights[some], 4, directions, sums=parts)
    np.testing.assert_array_equal(parts[:, 3:5], whole[:, 3:5])
    np.testing.assert_allclose(parts, whole, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize(("charge", "at"), [(1, (12.4, 17.6)), (-1, (12.4, 17.6)), (1, (20.5, 5.5))])
def test_vortex_leaves_one_residue_in_its_cell(charge, at):
    y, x = np.mgrid[:31, :27]
    igram = np.exp(1j * charge * np.arctan2(y - at[0], x - at[1])).astype(np.complex64)
    sums = compiled_sums(igram[np.newaxis], np.ones(1, np.float32), np.ones((1, 1), np.float32), 1, directions_of(AXES))
    expected = np.zeros((31, 27))
    expected[int(at[0]), int(at[1])] = 1
    np.testing.assert_array_equal(sums[0, 4], expected)


def test_field_without_curl_has_no_residues():
    y, x = np.mgrid[:60, :60]
    phase = 40 * np.exp(-((y - 31.2) ** 2 + (x - 27.7) ** 2) / (2 * 11**2)) + 0.9 * x - 0.7 * y
    assert np.abs(np.diff(phase, axis=0)).max() > 2
    igram = np.exp(1j * phase).astype(np.complex64)
    sums = compiled_sums(igram[np.newaxis], np.ones(1, np.float32), np.ones((1, 1), np.float32), 1, directions_of(AXES))
    assert sums[0, 3, :-1, :-1].min() == 1
    assert not sums[0, 4].any()


def test_angles_are_exact_to_a_millionth_of_a_radian_all_around():
    angle = np.linspace(-np.pi + 1e-5, np.pi - 1e-5, 4001)
    igrams = np.exp(1j * np.outer([0, 1], angle)).astype(np.complex64)[np.newaxis]
    down = (Direction("y", (0, 0), (1, 0)),)
    sums = compiled_sums(igrams, np.ones(1, np.float32), np.ones((1, 1), np.float32), 1, down)
    found = sums[0, SHARED_SUMS, 0] / sums[0, 0, 0]
    np.testing.assert_allclose(found, angle, atol=2e-6)


def test_looks_average_the_pixels_that_have_data():
    rng = np.random.default_rng(8)
    igram = make_igrams(rng, 1, (23, 32), holes=0.3)[0]
    igram[:2, :5] = 0
    out = np.full((11, 6), 9 + 9j, np.complex64)
    multilook(igram, 2, 5, out)
    cells = igram[:22, :30].reshape(11, 2, 6, 5).astype(complex)
    count = (cells != 0).sum(axis=(1, 3))
    assert count.min() == 0
    assert len(np.unique(count)) > 5
    np.testing.assert_allclose(out, cells.sum(axis=(1, 3)) / np.maximum(count, 1), atol=1e-6)
