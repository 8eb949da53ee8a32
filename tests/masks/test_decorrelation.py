"""Thresholds on coherence: Otsu's against the law that defines it, and what no threshold can part."""

import numpy as np
import pytest

from groundshift.errors import NoDataError
from groundshift.masks.decorrelation import coherent_above, otsu_mask, otsu_threshold


def two_kinds(seed=0, shape=(60, 80)):
    """Coherence of land and water, and where the land is."""
    rng = np.random.default_rng(seed)
    land = np.zeros(shape, bool)
    land[:, : rng.integers(20, 60)] = True
    return np.clip(rng.normal(np.where(land, 0.7, 0.15), 0.04), 0.01, 1).astype(np.float32), land


def between(values, threshold):
    """Variance between the classes that a threshold makes."""
    above = values > threshold
    if above.all() or not above.any():
        return 0.0
    share = above.mean()
    return share * (1 - share) * (values[above].mean() - values[~above].mean()) ** 2


@pytest.mark.parametrize("seed", range(3))
def test_no_other_threshold_parts_the_classes_farther(seed):
    coherence, land = two_kinds(seed)
    found = otsu_threshold(coherence)
    values = coherence.ravel().astype(float)
    best = max(between(values, t) for t in np.linspace(values.min(), values.max(), 500))
    assert between(values, found) == pytest.approx(best, rel=1e-3)
    # What lies in the bin of the threshold itself goes either way.
    assert np.mean(otsu_mask(coherence) == land) > 0.995


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_ground_without_data_does_not_count(nothing):
    coherence, land = two_kinds()
    spoiled = coherence.copy()
    spoiled[:30] = nothing
    assert otsu_threshold(spoiled) == otsu_threshold(coherence[30:])
    mask = otsu_mask(spoiled)
    assert not mask[:30].any()
    assert np.mean(mask[30:] == land[30:]) > 0.995


def test_one_value_has_no_threshold_and_nothing_is_masked():
    flat = np.full((4, 5), 0.5, np.float32)
    with pytest.raises(NoDataError, match=r"^coherence is 0\.5 everywhere; Otsu's threshold wants two classes$"):
        otsu_threshold(flat)
    with pytest.raises(NoDataError, match=r"^coherence has no data; Otsu's threshold wants some$"):
        otsu_threshold(np.zeros((4, 5), np.float32))
    flat[0] = 0
    assert np.array_equal(otsu_mask(flat), flat > 0)


def test_a_fixed_threshold_is_not_coherent_itself():
    coherence = np.array([[0.0, 0.29, 0.3, 0.31, np.nan]], np.float32)
    assert coherent_above(coherence, float(np.float32(0.3))).tolist() == [[False, False, False, True, False]]
    with pytest.raises(ValueError, match=r"threshold must lie in \[0, 1\], instead got 2"):
        coherent_above(coherence, 2)
