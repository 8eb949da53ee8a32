"""Patches cut out of the interferograms: how large, how fine, and what the stack says of their pixels."""

import numpy as np
import pytest
from tests.workflows.moving import CONFIG, PAIRS, SHAPE, make_stack, make_target, outline, stacked

from groundshift.types import Looks, Window
from groundshift.workflows.config import SeriesConfig, StackConfig
from groundshift.workflows.following import NoSeriesError
from groundshift.workflows.progress import Reporter
from groundshift.workflows.series import Source, cut_patch, view_stack
from groundshift.workflows.stacking import stack_track


def with_memory(megabytes):
    """Less memory than a setting can say."""
    return SeriesConfig.model_construct(**{**dict(CONFIG), "series_memory_mb": megabytes})


@pytest.fixture(scope="module")
def moving(tmp_path_factory, map_grid):
    """Moving ground and its sums."""
    folder = tmp_path_factory.mktemp("moving")
    stack, _ = make_stack(map_grid(SHAPE), folder)
    return Source(stack, stacked(stack, folder / "T1"), 2000.0)


def test_short_memory_multilooks_the_patch_and_too_little_is_refused(moving):
    target = make_target(outline(moving.stack.grid))
    full = cut_patch(target, [], moving, view_stack(moving), CONFIG)
    height, width = full.inside.shape
    # Room for a good quarter of the pixels.
    coarse = cut_patch(target, [], moving, view_stack(moving), with_memory(full.igrams.nbytes / 3.5e6))
    assert (full.looks, coarse.looks) == (1, 4)
    assert coarse.grid == full.grid.cropped(Window(0, 0, height // 2 * 2, width // 2 * 2)).multilooked(Looks(2, 2))
    assert coarse.inside.sum() == pytest.approx(full.inside.sum() / 4, abs=5)
    blocks = full.igrams[:, : height // 2 * 2, : width // 2 * 2].reshape(len(PAIRS), height // 2, 2, width // 2, 2)
    np.testing.assert_allclose(coarse.igrams, blocks.mean(axis=(2, 4)), atol=1e-6)
    with pytest.raises(NoSeriesError) as caught:
        cut_patch(target, [], moving, view_stack(moving), with_memory(1e-4))
    assert str(caught.value) == (
        f"{len(PAIRS)} pairs of {height} x {width} pixels do not fit 0.0001 MB; raise --series-memory-mb"
    )


def test_ground_is_as_quiet_as_the_loudest_difference_it_takes_part_in(moving):
    found = view_stack(moving).significance
    down, right = np.abs(moving.sums.stack(0).significance[:2])
    for y, x in np.ndindex(found.shape):
        differences = [down[y, x], right[y, x]]
        differences += [down[y - 1, x]] if y else []
        differences += [right[y, x - 1]] if x else []
        known = [d for d in differences if np.isfinite(d)]
        np.testing.assert_equal(found[y, x], max(known) if known else np.float32(np.nan))


@pytest.fixture(scope="module", params=["map", "radar"])
def still(request, tmp_path_factory, map_grid, radar_grid):
    """Make interferograms without motion, and their sums, by looks and nodes per working pixel."""

    def make(looks, smoothing):
        spacing, shape = 40.0 / looks, (48 * looks + looks // 2, 54 * looks + looks // 2)
        grid = map_grid(shape, spacing) if request.param == "map" else radar_grid(shape, (spacing, spacing))
        folder = tmp_path_factory.mktemp("still")
        stack, _ = make_stack(grid, read_pair=lambda _, w: np.ones((w.height, w.width), np.complex64), root=folder)
        config = StackConfig(
            working_pixel=40.0, smoothing=smoothing * looks, wet_months=(), sliding_years=None, max_days=12
        )
        sums = stack_track(stack, config, folder / "T1", Reporter(quiet=True)).sums
        assert (sums.plan.smoothing, sums.plan.grid.shape) == (smoothing, SHAPE)
        return Source(stack, sums, 2000.0)

    return make


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("smoothing", [3, 4])
@pytest.mark.parametrize("looks", [1, 2, 3])
def test_what_the_stack_shows_is_sampled_where_the_pixels_lie(still, looks, smoothing, step):
    source = still(looks, smoothing)
    grid, nodes = source.stack.grid, source.sums.stack(0).node_grid
    target = make_target(outline(grid, (23 * looks, 28 * looks), 9 * looks, 11 * looks))

    def plane(grid):
        """Velocity that grows by 1 mm/yr from one working pixel to the next, roughly along both axes."""
        lon, lat = grid.lonlat(*np.mgrid[: grid.shape[0], : grid.shape[1]].astype(float))
        return (lon - 101.97) * 95_500 / 40 + (lat - 30.83) * 111_000 / 40

    view = view_stack(source)._replace(velocity=plane(nodes).astype(np.float32))
    config = CONFIG if step == 1 else with_memory(8e-6 * len(PAIRS) * 250 * looks**2)
    patch = cut_patch(target, [], source, view, config)
    assert patch.looks == step**2
    np.testing.assert_allclose(1000 * patch.stacked_velocity, plane(patch.grid), atol=0.01)
