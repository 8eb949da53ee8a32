import numpy as np
import pytest

from groundshift.geometry.lookup import LookupInverter, invert_lookup


def sheared_table(shape=(60, 80)):
    """A map turned and stretched against the radar image: 0.8 and 0.6 radar pixels per map pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    return 0.8 * y + 0.1 * x - 5, 0.6 * x - 0.15 * y + 2, y, x


def test_inverts_a_linear_table_exactly():
    line, column, y, x = sheared_table()
    back = invert_lookup(line, column, np.stack([y, x]), (40, 40))
    matrix = np.linalg.inv([[0.8, 0.1], [-0.15, 0.6]])
    radar_y, radar_x = np.mgrid[:40, :40].astype(float)
    expected = np.einsum("ij,jyx->iyx", matrix, np.stack([radar_y + 5, radar_x - 2]))
    last = np.array([59, 79])[:, None, None]
    inside = ((expected >= 0) & (expected <= last)).all(axis=0)
    outside = ((expected < -1e-6) | (expected > last + 1e-6)).any(axis=0)
    assert 0.3 < inside.mean() < 1
    np.testing.assert_allclose(back[:, inside], expected[:, inside], atol=1e-9)
    assert np.isnan(back[:, outside]).all()


def test_going_there_and_back_returns_to_the_pixel():
    """A curved table: interpolating it at the found map position gives the radar pixel again."""
    y, x = np.mgrid[:80, :80].astype(float)
    line, column = 0.7 * y + 2 * np.sin(x / 15), 0.7 * x + 2 * np.cos(y / 11)
    map_y, map_x = invert_lookup(line, column, np.stack([y, x]), (50, 50))
    assert np.isfinite(map_y).mean() > 0.95
    i, j = np.nonzero(np.isfinite(map_y))
    my, mx = map_y[i, j], map_x[i, j]
    there = 0.7 * my + 2 * np.sin(mx / 15)
    np.testing.assert_allclose(there, i, atol=0.01)
    np.testing.assert_allclose(0.7 * mx + 2 * np.cos(my / 11), j, atol=0.01)


def test_layover_gives_the_mean_of_what_falls_together():
    """Columns run forth, back and forth again: three map positions share the radar columns of the fold."""
    fold = np.array([0.0, 2, 4, 6, 8, 7, 6, 5, 4, 6, 8, 10])
    column = np.tile(fold + 0.3, (3, 1))
    line = np.repeat(np.arange(3.0) - 0.4, 12).reshape(3, 12)
    x = np.tile(np.arange(12.0), (3, 1))
    back = invert_lookup(line, column, x[None], (3, 11))[0]
    np.testing.assert_allclose(back[1, 2], 0.85)
    # Column 5 is seen at map columns 2.35, 7.3 and 8.35.
    np.testing.assert_allclose(back[1, 5], np.mean([2.35, 7.3, 8.35]))
    np.testing.assert_allclose(back[1, 10], 10.85)


def test_missing_entries_leave_a_hole_and_unknown_fields_only_their_own():
    y, x = np.mgrid[:10, :10].astype(float)
    line, heights = y.copy(), 100 + x
    line[4, 4] = np.nan
    heights[7, 7] = np.nan
    back = invert_lookup(line, x, np.stack([x, heights]), (10, 10))
    # The four cells around the missing entry are gone, their outer edges belong to other cells too.
    assert np.argwhere(np.isnan(back[0])).tolist() == [[4, 4]]
    assert np.argwhere(np.isnan(back[1])).tolist() == [[4, 4], [7, 7]]


def test_strips_give_what_the_whole_gives():
    line, column, y, x = sheared_table()
    fields = np.stack([y * x, x])
    whole = invert_lookup(line, column, fields, (40, 40))
    inverter = LookupInverter(2, (40, 40))
    for top in range(0, 59, 13):
        strip = slice(top, top + 14)
        inverter.add(line[strip], column[strip], fields[:, strip])
    np.testing.assert_allclose(inverter.result(), whole, rtol=1e-12)


def test_entries_far_outside_cost_nothing_and_do_no_harm():
    y, x = np.mgrid[:5, :5].astype(float)
    line = y.copy()
    line[2] = 1e9
    back = invert_lookup(line, x, x[None], (5, 5))[0]
    np.testing.assert_allclose(back[[0, 1, 3, 4]], np.tile(np.arange(5.0), (4, 1)))
    assert np.isnan(back[2]).all()


def test_shapes_that_differ_are_refused():
    y, x = np.mgrid[:5, :5].astype(float)
    with pytest.raises(ValueError, match=r"^column must have shape \(5, 5\), instead got \(5, 4\)$"):
        invert_lookup(y, x[:, :4], x[None], (5, 5))
    with pytest.raises(ValueError, match=r"^fields must have shape \(1, 5, 5\), instead got \(1, 4, 5\)$"):
        invert_lookup(y, x, x[None, :4], (5, 5))
