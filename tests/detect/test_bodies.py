"""Reading bodies from maps: what was drawn comes out again."""

import numpy as np
import pytest

from groundshift.detect.bodies import decode_bodies


def maps_of(masks, shape=(64, 80), probability=0.9):
    """Perfect maps of some bodies."""
    body, offset = np.zeros(shape, np.float32), np.zeros((2, *shape), np.float32)
    for mask in masks:
        rows, columns = np.nonzero(mask)
        body[mask] = probability
        offset[0][mask], offset[1][mask] = rows.mean() - rows, columns.mean() - columns
    return body, offset, np.ones(shape, bool)


def disc(row, column, radius, shape=(64, 80)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def test_a_drawn_body_comes_out_with_its_box_mask_and_score():
    mask = disc(20, 30, 7)
    (found,) = decode_bodies(*maps_of([mask]))
    assert found.box == (23, 13, 38, 28)
    np.testing.assert_array_equal(found.mask, mask[13:28, 23:38])
    assert found.score == pytest.approx(0.9, abs=1e-6)


def test_bodies_that_touch_stay_apart():
    left = disc(30, 30, 8)
    right = disc(30, 45, 8) & ~left
    found = decode_bodies(*maps_of([left, right]))
    assert sorted(int(p.mask.sum()) for p in found) == sorted([int(left.sum()), int(right.sum())])


def test_faint_bodies_keep_their_outline():
    mask = disc(20, 30, 7)
    (found,) = decode_bodies(*maps_of([mask], probability=0.2))
    assert found.mask.sum() == mask.sum()
    assert found.score == pytest.approx(0.2, abs=1e-6)


def test_votes_that_meet_nowhere_are_nothing():
    body, offset, known = maps_of([disc(20, 30, 7)], probability=0.12)
    rng = np.random.default_rng(0)
    scattered = offset + rng.uniform(-15, 15, offset.shape).astype(np.float32)
    assert len(decode_bodies(body, offset, known)) == 1
    assert decode_bodies(body, scattered, known) == []
    assert decode_bodies(np.zeros_like(body), offset, known) == []


def test_where_nothing_is_known_nothing_is_drawn_but_holes():
    mask = disc(20, 30, 7)
    body, offset, known = maps_of([mask, disc(50, 60, 8)])
    known[18:22, 28:33] = False
    known[40:, 45:] = False
    (found,) = decode_bodies(body, offset, known)
    np.testing.assert_array_equal(found.mask, mask[13:28, 23:38])


def test_the_centre_of_a_bent_body_may_lie_outside():
    mask = disc(30, 40, 14) & ~disc(26, 40, 11)
    (found,) = decode_bodies(*maps_of([mask]))
    assert not mask[tuple(np.argwhere(mask).mean(0).round().astype(int))]
    assert found.mask.sum() == mask.sum()


def test_the_strongest_comes_first():
    a, b = maps_of([disc(20, 20, 6)], probability=0.5), maps_of([disc(40, 60, 6)], probability=0.8)
    found = decode_bodies(a[0] + b[0], a[1] + b[1], a[2])
    assert [round(p.score, 3) for p in found] == [0.8, 0.5]


def test_a_hole_is_filled_and_a_scrap_dropped():
    mask = disc(20, 30, 9)
    body, offset, known = maps_of([mask])
    body[16:18, 34:36] = 0
    far = np.zeros_like(mask)
    far[20, 44:46] = True
    body[far], offset[1][far] = 0.9, 30 - np.nonzero(far)[1]
    (found,) = decode_bodies(body, offset, known)
    np.testing.assert_array_equal(found.mask, mask[11:30, 21:40])
