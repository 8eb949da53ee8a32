"""Stacks made from memory are those that are made of whole tracks."""

import numpy as np
import pytest

from groundshift.errors import NoDataError
from groundshift.simulate import SceneConfig, simulate_scene, to_stack
from groundshift.training.stacks import stack_arrays
from groundshift.workflows.choices import choose_windows
from groundshift.workflows.config import StackConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import stack_track


@pytest.fixture(scope="module")
def scene():
    return simulate_scene(SceneConfig(seed=2, shape=(90, 110), pixel_m=40.0, n_dates=20, n_slides=3))


@pytest.fixture(scope="module")
def igrams(scene):
    return np.stack([scene.igram(pair) for pair in scene.pairs])


@pytest.mark.parametrize(("weights", "smoothing"), [("network", 3), ("network", 4), ("equal", 2)])
def test_a_stack_from_memory_is_that_of_the_whole_track(scene, igrams, tmp_path, weights, smoothing):
    config = StackConfig(
        working_pixel=40.0, smoothing=smoothing, smoothing_limit=400.0, weights=weights, wet_months=(5, 6, 7, 8, 9),
        sliding_years=None,
    )  # fmt: skip
    stack = to_stack(scene)
    tracked = stack_track(stack, config, tmp_path, Reporter(quiet=True)).sums
    windows = choose_windows(stack, scene.pairs, config)
    assert {"all", "wet", "dry"} <= set(windows)
    found = stack_arrays(
        igrams, scene.pairs, 40.0, scene.config.wavelength_m, windows, smoothing, weights=weights, look=scene.look
    )
    for number, ours in enumerate(found):
        theirs = tracked.stack(number)
        assert ours.window == theirs.window
        assert (ours.total_pairs, ours.total_years, ours.smoothing) == (
            theirs.total_pairs, theirs.total_years, theirs.smoothing,
        )  # fmt: skip
        assert np.isfinite(ours.rate).any()
        for name in ("rate", "sigma", "effective_pairs", "n_pairs", "mean_coherence", "residues", "significance"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
        assert ours.grid.spacing == theirs.grid.spacing


def test_what_cannot_be_stacked_is_named(scene, igrams):
    def stack(values=igrams, pairs=scene.pairs, windows=None, smoothing=3, **more):
        return stack_arrays(values, pairs, 40.0, 0.055, windows or {"all": [0, 1, 2]}, smoothing, track="here", **more)

    with pytest.raises(ValueError, match="weights must be network or equal, instead got 'best'"):
        stack(weights="best")
    with pytest.raises(ValueError, match=r"one for each of 2 pairs, instead got \(\d+, 90, 110\)"):
        stack(pairs=scene.pairs[:2])
    with pytest.raises(NoDataError, match="here: 90 x 110 pixels are too few for an averaging window of 89"):
        stack(smoothing=89)
    with pytest.raises(NoDataError, match="here: window wet holds no pair; leave it out"):
        stack(windows={"all": [0, 1], "wet": []})
    with pytest.raises(TypeError, match="igrams must be complex-valued"):
        stack(np.abs(igrams))
