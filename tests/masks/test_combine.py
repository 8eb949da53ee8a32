import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from groundshift.masks.combine import combine
from groundshift.masks.terrain import no_layover, no_shadow, sensitive, steep_enough

CUBE = arrays.arrays(np.bool_, st.tuples(st.integers(2, 5), st.integers(1, 6), st.integers(1, 6)))


@given(CUBE)
def test_valid_where_all_are_and_shares_add_up(cube):
    within, masks = cube[0], {f"m{i}": m for i, m in enumerate(cube[1:])}
    joined = combine(masks, within=within)
    np.testing.assert_array_equal(joined.valid, within & cube[1:].all(0))
    n = max(1, within.sum())
    assert joined.removed == pytest.approx(1 - joined.valid.sum() / n if within.any() else 0)
    for row, mask in zip(joined.table, cube[1:], strict=True):
        assert row.removed == pytest.approx((within & ~mask).sum() / n)
        others = combine(
            {k: m for k, m in masks.items() if k != row.name} or {"all": np.ones_like(within)}, within=within
        )
        # What it removes alone is what would come back without it.
        assert row.alone == pytest.approx((others.valid.sum() - joined.valid.sum()) / n)
    assert max(r.removed for r in joined.table) <= joined.removed + 1e-12 <= sum(r.removed for r in joined.table) + 1e-9


def test_order_of_the_table_is_that_given():
    one = np.ones((2, 2), bool)
    assert [r.name for r in combine({"water": one, "snow": one, "layover": one}).table] == ["water", "snow", "layover"]


def test_bad_masks_are_refused():
    one = np.ones((2, 2), bool)
    with pytest.raises(ValueError, match=r"^masks must hold at least one mask, instead got none$"):
        combine({})
    with pytest.raises(ValueError, match=r"^snow must have shape \(2, 2\), instead got \(2, 3\)$"):
        combine({"water": one, "snow": np.ones((2, 3), bool)})
    with pytest.raises(TypeError, match=r"^snow must be a bool array with True where usable, instead got uint8$"):
        combine({"water": one, "snow": np.ones((2, 2), np.uint8)})


def test_terrain_masks_keep_what_they_do_not_know():
    np.testing.assert_array_equal(steep_enough(np.float32([[9.9, 10.0, np.nan]])), [[False, True, True]])
    np.testing.assert_array_equal(steep_enough(np.float32([[9.9, 10.0, np.nan]]), 5.0), [[True, True, True]])
    code = np.arange(4, dtype=np.uint8)
    np.testing.assert_array_equal(no_shadow(code), [True, False, True, False])
    np.testing.assert_array_equal(no_layover(code), [True, True, False, False])
    np.testing.assert_array_equal(sensitive(np.array([-0.5, -0.2, 0.3, np.nan])), [True, False, True, True])
    with pytest.raises(ValueError, match=r"^minimum must lie in \[0.0, 90.0\], instead got 91$"):
        steep_enough(np.zeros((1, 1), np.float32), 91)
