"""Tiles come out as the field they were cut from, whatever constants they had."""

from itertools import combinations

import numpy as np
import pytest

from groundshift.detect.join import Blend, join_levelled
from groundshift.detect.tiling import tiles
from groundshift.types import Window

LEAST = np.float32(1e-6)


def cut(field, known, constants=None, tile=64, overlap=32):
    """Tiles of a field, each with a constant of its own, as (window, values, weight)."""
    found = []
    for k, part in enumerate(tiles(known, tile=tile, overlap=overlap)):
        window = Window(part.rows.first, part.columns.first, *part.weight.shape)
        values = field[part.box] + (0 if constants is None else constants[k])
        found.append((window, values.astype(np.float32), np.maximum(part.weight, LEAST)))
    return found


def smooth(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 20 * np.exp(-((y - 70) ** 2 + (x - 60) ** 2) / 900) + 0.02 * x + np.sin(y / 17)


def plain_join(shape, found, shifts):
    """The twin of the weighted mean: pixel by pixel, in double precision."""
    out = np.full(shape, np.nan)
    for y, x in np.ndindex(shape):
        here = [
            (w[y - at.y, x - at.x], v[y - at.y, x - at.x] + shift)
            for (at, v, w), shift in zip(found, shifts, strict=True)
            if at.y <= y < at.y + at.height and at.x <= x < at.x + at.width
        ]
        if here:
            out[y, x] = sum(float(w) * float(v) for w, v in here) / sum(float(w) for w, _ in here)
    return out


def blended(shape, tiles):
    blend = Blend(shape)
    for tile in tiles:
        blend.add(*tile)
    return blend.mean()


@pytest.mark.parametrize("shape", [(150, 200), (64, 130), (40, 300), (1, 97)])
def test_random_constants_are_found_and_the_first_tile_stays(shape):
    rng = np.random.default_rng(0)
    field, known = smooth(shape), np.ones(shape, bool)
    constants = rng.uniform(-100, 100, 200)
    found = cut(field, known, constants)
    assert len(found) > 1
    joined = join_levelled(shape, found)
    assert joined.dtype == np.float32
    np.testing.assert_allclose(joined, field + constants[0], atol=1e-4)


def test_every_part_that_hangs_together_keeps_the_constant_of_its_first_tile():
    """Two strips of ground and an island: tiles between them have no data and are not there."""
    shape = (230, 150)
    known = np.zeros(shape, bool)
    known[:10] = known[200:] = known[110, 5] = True
    constants = np.random.default_rng(1).uniform(-100, 100, 50)
    field = smooth(shape)
    found = cut(field, known, constants)
    off = join_levelled(shape, found) - field
    for row, part in ((0, np.s_[:10]), (110, np.s_[110, 5]), (200, np.s_[200:])):
        first = next(k for k, (at, *_) in enumerate(found) if at.y <= row < at.y + at.height)
        np.testing.assert_allclose(off[part], constants[first], atol=1e-4)
    assert np.isnan(off[110, 100])


def test_neighbours_of_a_missing_tile_are_joined_around_it():
    shape = (128, 128)
    field = smooth(shape)
    constants = np.random.default_rng(2).uniform(-100, 100, 9)
    found = cut(field, np.ones(shape, bool), constants)
    assert len(found) == 9
    del found[4]
    np.testing.assert_allclose(join_levelled(shape, found), field + constants[0], atol=1e-4)


def test_one_tile_is_given_back_and_none_is_nothing():
    values = np.random.default_rng(3).standard_normal((5, 7)).astype(np.float32)
    tile = (Window(2, 1, 5, 7), values, np.full((5, 7), LEAST))
    for join in (join_levelled, blended):
        found = join((9, 10), [tile])
        np.testing.assert_allclose(found[2:7, 1:8], values, rtol=1e-6)
        assert np.isnan(found).sum() == 90 - 35
        assert np.isnan(join((3, 4), [])).all()


def test_values_are_the_weighted_mean_of_the_tiles():
    rng = np.random.default_rng(4)
    found = [
        (Window(y, x, 12, 15), rng.standard_normal((12, 15)).astype(np.float32), rng.uniform(1e-6, 1, (12, 15)))
        for y, x in ((0, 0), (3, 8), (10, 2), (9, 14))
    ]
    expected = plain_join((25, 30), found, np.zeros(4))
    np.testing.assert_allclose(blended((25, 30), found), expected, atol=1e-5)


def test_levels_are_those_of_least_squares_over_the_medians_where_both_weigh_much():
    """Tiles that disagree by more than a constant: an independent solution, with dense matrices."""
    rng = np.random.default_rng(5)
    shape = (110, 140)
    found = [
        (at, v + rng.standard_normal(v.shape).astype(np.float32), w)
        for at, v, w in cut(smooth(shape), np.ones(shape, bool), rng.uniform(-9, 9, 50))
    ]
    rows, values = [], []
    for (a, one), (b, other) in combinations(enumerate(found), 2):
        maps = []
        for at, v, w in (one, other):
            whole = np.full((2, *shape), np.nan)
            whole[:, at.rows, at.columns] = v, w
            maps.append(whole)
        both = maps[0][1] * maps[1][1] > 0.05
        if both.any():
            rows.append(np.eye(len(found))[a] - np.eye(len(found))[b])
            values.append(-np.median((maps[0][0] - maps[1][0])[both]))
    assert len(rows) > len(found)
    shifts = np.linalg.lstsq(np.array(rows), np.array(values))[0]
    expected = plain_join(shape, found, shifts - shifts[0])
    np.testing.assert_allclose(join_levelled(shape, found), expected, atol=1e-4)


def test_a_field_without_constants_comes_out_as_it_was():
    shape = (150, 200)
    field = smooth(shape)
    for join in (join_levelled, blended):
        np.testing.assert_allclose(join(shape, cut(field, np.ones(shape, bool))), field, atol=1e-4)


def test_what_weighs_next_to_nothing_has_no_say_in_the_levels():
    shape = (64, 96)
    field = smooth(shape)
    rng = np.random.default_rng(6)
    gap = rng.random(shape) < 0.9
    found = []
    for at, v, w in cut(field, np.ones(shape, bool), [4.0, -7.0]):
        hole = gap[at.rows, at.columns]
        noise = rng.normal(0, 30, v.shape)
        found.append((at, np.where(hole, v + noise, v), np.where(hole, w * LEAST, w)))
    joined = join_levelled(shape, found)
    np.testing.assert_allclose((joined - field)[~gap], 4.0, atol=1e-4)
    assert np.isfinite(joined).all()
