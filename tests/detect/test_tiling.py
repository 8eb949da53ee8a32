"""Tiles change nothing but the memory that is needed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from groundshift.detect.tiling import blend_tiles, padded, spans, tiles

SIZES = st.tuples(st.integers(1, 8), st.integers(1, 4)).map(lambda n: (32 * 2 * n[1] + 32 * (n[0] - 1), 32 * n[1]))
"""Tile and overlap that go together."""


@given(st.integers(1, 3000), SIZES)
@settings(max_examples=150, deadline=None)
def test_weights_add_up_to_one_and_cores_part_the_axis(length, sizes):
    tile, overlap = sizes
    found = spans(length, tile=tile, overlap=overlap)
    total = np.zeros(length)
    for span in found:
        assert span.first % 32 == 0
        assert span.past - span.first <= tile
        assert len(span.weight) == span.past - span.first
        assert ((span.weight >= 0) & (span.weight <= 1)).all()
        total[span.first : span.past] += span.weight
        # An inner edge is not heard; an outer one is the map's own.
        if span.first > 0:
            assert not span.weight[: overlap // 4].any()
        if span.past < length:
            assert not span.weight[len(span.weight) - overlap // 4 :].any()
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert [n for span in found for n in range(*span.core)] == list(range(length))
    for span in found:
        middle = sum(span.core) // 2
        assert span.weight[middle - span.first] == max(
            s.weight[middle - s.first] for s in found if s.first <= middle < s.past
        )


def test_a_small_map_goes_in_one_piece_of_full_weight():
    ((row, column),) = list(tiles(np.ones((640, 33), bool)))
    assert (row.first, row.past, column.first, column.past) == (0, 640, 0, 33)
    assert (row.weight == 1).all()
    assert (column.weight == 1).all()


def random_network(reach, rng):
    """A function like a network of convolutions: a node's answer depends on the ground up to `reach` nodes away."""
    kernels = rng.standard_normal((4, 2, 2 * reach + 1, 2 * reach + 1))

    def run(planes):
        assert all(n % 32 == 0 for n in planes.shape[1:])
        maps = np.stack([sum(ndimage.correlate(p, k, mode="constant") for p, k in zip(planes, ks, strict=True))
                         for ks in kernels])  # fmt: skip
        return [maps[:1], maps[1:2], maps[2:]]

    return run


@pytest.mark.parametrize("shape", [(150, 331), (128, 129), (300, 40)])
def test_tiles_give_the_same_maps_as_the_whole(shape):
    """For a network that sees no farther than a quarter of the overlap."""
    rng = np.random.default_rng(1)
    planes = rng.standard_normal((2, *shape)).astype(np.float32)
    run = random_network(3, rng)
    whole = [m[:, : shape[0], : shape[1]] for m in run(padded(planes))]
    parts = blend_tiles(run, planes, np.ones(shape, bool), tile=128, overlap=32)
    assert [m.shape for m in parts] == [(1, *shape), (1, *shape), (2, *shape)]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_a_network_that_halves_its_maps_sees_each_node_in_the_same_place():
    """Its answers depend on where a node lies in a block of 32; tiles start where blocks do."""
    planes = np.random.default_rng(2).standard_normal((1, 640, 330)).astype(np.float32)

    def run(tile):
        height, width = (n // 32 for n in tile.shape[1:])
        blocks = tile[0].reshape(height, 32, width, 32).mean((1, 3))
        return [np.kron(blocks, np.ones((32, 32)))[np.newaxis]]

    (whole,) = run(padded(planes))
    (parts,) = blend_tiles(run, planes, np.ones((640, 330), bool), tile=256, overlap=128)
    np.testing.assert_allclose(whole[:, :640, :330], parts, atol=1e-6)


def test_tiles_that_disagree_are_joined_without_a_step():
    """Each tile answers with a number of its own; from node to node the map changes no faster than the ramp."""
    rng = np.random.default_rng(3)
    tile, overlap = 128, 64

    def run(planes):
        return [np.full((1, *planes.shape[1:]), rng.uniform(-1, 1))]

    (found,) = blend_tiles(
        run, np.ones((1, 300, 420), np.float32), np.ones((300, 420), bool), tile=tile, overlap=overlap
    )
    assert np.ptp(found) > 1
    steepest = 2 * math.pi / overlap
    for axis in (1, 2):
        assert np.abs(np.diff(found, axis=axis)).max() < steepest


def test_tiles_without_data_are_not_run_and_their_ground_is_zero():
    known = np.zeros((500, 500), bool)
    known[10, 20] = known[330:340, 300:420] = True
    rng = np.random.default_rng(4)
    planes = rng.standard_normal((2, 500, 500)).astype(np.float32) * known
    network, seen = random_network(2, rng), []

    def run(tile):
        seen.append(tile.shape)
        return network(tile)

    parts = blend_tiles(run, planes, known, tile=128, overlap=32)
    assert 2 <= len(seen) < len(list(tiles(np.ones_like(known), tile=128, overlap=32)))
    assert max(n for shape in seen for n in shape[1:]) <= 128
    whole = [m[:, :500, :500] for m in network(padded(planes))]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a[:, known], b[:, known], atol=1e-5)
        assert not b[:, 450:, :100].any()
    assert blend_tiles(run, planes, np.zeros_like(known)) == []


def test_filling_up_adds_zeros_below_and_to_the_right():
    found = padded(np.ones((3, 33, 64), np.float32))
    assert found.shape == (3, 64, 64)
    assert found[:, :33].all()
    assert not found[:, 33:].any()


@pytest.mark.parametrize(("tile", "overlap"), [(100, 32), (128, 30), (128, 96), (128, 0)])
def test_tiles_that_do_not_go_together_are_refused(tile, overlap):
    with pytest.raises(ValueError, match=rf"instead got {overlap} and {tile}"):
        spans(1000, tile=tile, overlap=overlap)


def test_tiles_part_half_way_through_what_they_share():
    assert [s.core for s in spans(700)] == [(0, 352), (352, 700)]
    assert [s.core for s in spans(900)] == [(0, 464), (464, 900)]
