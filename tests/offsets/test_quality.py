import numpy as np
import pytest

from groundshift.errors import NoDataError
from groundshift.offsets.matching import Offsets
from groundshift.offsets.quality import reject, stable_ground_correction


def offsets(azimuth: np.ndarray, across: np.ndarray | None = None, **fields: np.ndarray) -> Offsets:
    """Good matches everywhere, but for what is given."""
    shape = azimuth.shape
    whole = {
        "azimuth": azimuth,
        "range": np.zeros(shape) if across is None else across,
        "snr": np.full(shape, 50.0),
        "peak": np.full(shape, 0.5),
        "sigma_azimuth": np.full(shape, 0.05),
        "sigma_range": np.full(shape, 0.05),
        "covariance": np.zeros(shape),
    } | fields
    single = {name: values.astype(np.float32) for name, values in whole.items()}
    rows, columns = (np.arange(n) * 8.0 for n in shape)
    return Offsets(**single, window=np.full(shape, 64, np.uint16), rows=rows, columns=columns)


def ramp(shape=(12, 15)) -> np.ndarray:
    y, x = np.indices(shape, np.float64)
    return 0.3 * y - 0.2 * x


@pytest.mark.parametrize("component", ["azimuth", "across"])
def test_a_single_false_match_is_rejected_and_a_ramp_is_not(component):
    field = ramp()
    field[5, 7] += 4
    found = reject(offsets(**({"azimuth": field} if component == "azimuth" else {"azimuth": ramp(), "across": field})))
    assert found.sum() == 1
    assert found[5, 7]


def test_scatter_that_the_errors_explain_is_kept():
    noise = np.random.default_rng(1).normal(0, 0.05, (30, 30))
    assert reject(offsets(noise)).mean() < 0.01


@pytest.mark.parametrize(("name", "low"), [("peak", 0.05), ("snr", 3.0)])
def test_weak_matches_are_rejected(name, low):
    field = np.full((12, 15), 50.0 if name == "snr" else 0.5)
    field[3, 4] = low
    found = reject(offsets(ramp(), **{name: field}))
    assert found.sum() == 1
    assert found[3, 4]


def test_what_is_not_known_or_not_confirmed_is_rejected():
    field = np.full((20, 20), np.nan)
    field[:8, :8] = 1.0
    field[14, 14] = 1.0
    np.testing.assert_array_equal(~reject(offsets(field)), np.pad(np.ones((8, 8), bool), (0, 12)))


def scene(shape=(40, 50), seed=2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets of a plane and noise, the ground that moves, and heights."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape, np.float64)
    moving = np.hypot(y - 20, x - 25) < 11
    height = 1500 + 400 * np.sin(x / 9) * np.cos(y / 7)
    return 0.4 + 0.01 * y - 0.02 * x + rng.normal(0, 0.05, shape), moving, height


def test_ground_that_moves_is_left_out_though_nobody_says_where_it_is():
    plane, moving, _ = scene()
    found = stable_ground_correction(plane + 3.0 * moving)
    np.testing.assert_allclose(found.corrected[moving].mean(), 3.0, atol=0.02)
    np.testing.assert_allclose(found.corrected[~moving].mean(), 0.0, atol=0.01)
    assert found.n_cells <= (~moving).sum()


def test_scatter_is_that_of_stable_ground():
    plane, moving, _ = scene()
    found = stable_ground_correction(plane + 3.0 * moving, ~moving)
    np.testing.assert_allclose(found.scatter, 0.05, rtol=0.08)


def test_model_and_corrected_offsets_add_up():
    plane, _, height = scene()
    found = stable_ground_correction(plane, height=height)
    np.testing.assert_allclose(found.corrected + found.model, plane, atol=1e-6)


def test_a_term_of_height_is_taken_out_if_asked_for():
    plane, _, height = scene()
    seen = plane + 0.002 * height
    assert stable_ground_correction(seen, height=height).scatter < 0.06
    assert stable_ground_correction(seen).scatter > 0.2


def test_a_constant_leaves_a_ramp():
    y = np.indices((30, 30), np.float64)[0]
    found = stable_ground_correction(5 + 0.01 * y, plane=False)
    np.testing.assert_allclose(np.diff(found.corrected, axis=0), 0.01, atol=1e-6)


def test_cells_without_weight_do_not_count():
    plane, moving, _ = scene()
    found = stable_ground_correction(plane + 3.0 * ~moving, weight=moving.astype(float))
    np.testing.assert_allclose(found.corrected[~moving].mean(), 3.0, atol=0.15)


def test_too_little_stable_ground_is_refused():
    stable = np.zeros((10, 10), bool)
    stable[0] = True
    with pytest.raises(NoDataError) as caught:
        stable_ground_correction(np.zeros((10, 10)), stable)
    assert str(caught.value) == "stable ground has 10 cells with offsets; mark at least 20"


def test_stable_ground_on_a_line_does_not_make_a_plane():
    stable = np.zeros((10, 30), bool)
    stable[4] = True
    with pytest.raises(NoDataError, match="on one line or height"):
        stable_ground_correction(np.zeros((10, 30)), stable)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"stable must have shape \(4, 5\), instead got \(5, 4\)"):
        stable_ground_correction(np.zeros((4, 5)), np.ones((5, 4), bool))
