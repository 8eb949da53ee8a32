"""Gradient stacks of interferograms held in memory, made by the code that stacks whole tracks.

A network meets on a real track what it was trained on: noise measured, pairs weighted and summed alike.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_complex
from groundshift.errors import NoDataError
from groundshift.gradients.differences import directions_of, wrapped_differences
from groundshift.gradients.noise import SAMPLE_NODES, Likeness, likeness_by_half_year, share_of
from groundshift.gradients.stack import Direction, GradientStack
from groundshift.gradients.sums import StackPlan, add_pairs, dem_variance, empty_sums, finish, plan_window
from groundshift.types import LookGeometry, Pair, RadarGrid

__all__ = ["plan_arrays", "stack_arrays", "stack_plan"]

_BATCH = 16
"""Pairs added at once."""


def stack_arrays(
    igrams: NDArray[np.complex64],
    pairs: Sequence[Pair],
    pixel_m: float,
    wavelength: float,
    windows: Mapping[str, Sequence[int]],
    smoothing: int,
    *,
    weights: str = "network",
    look: LookGeometry | None = None,
    track: str = "memory",
) -> list[GradientStack]:
    """Stack interferograms held in memory.

    Parameters
    ----------
    igrams : (pair, y, x) complex64 array
        Working pixels: coherence in [0, 1] times phasor, 0 without data.
    pairs : sequence of Pair
        One for each interferogram.
    pixel_m : float
        Side of a working pixel, metres.
    wavelength : float
        Metres.
    windows : mapping
        Indices into `pairs` by the name of a time window.
    smoothing : int
        Side of the averaging window in working pixels.
    weights : {"network", "equal"}
        Whether pairs are weighted to minimise the noise of the sum, or alike.
    look : LookGeometry, optional
        How the satellite looks; 39 degrees of incidence are taken without.
    track : str
        Name of the stack.

    Returns
    -------
    list of GradientStack
        One for each window, in their order, as `groundshift.workflows.stacking.stack_track` makes them.

    Raises
    ------
    NoDataError
        If a window holds no pair, or the image is smaller than the averaging window and its neighbours.
    ValueError
        If `weights` is another word, or there is not one interferogram for each pair.
    """
    plan = plan_arrays(
        igrams, pairs, pixel_m, wavelength, windows, smoothing, weights=weights, look=look, track=track
    )  # fmt: skip
    return stack_plan(igrams, plan)


def plan_arrays(
    igrams: NDArray[np.complex64],
    pairs: Sequence[Pair],
    pixel_m: float,
    wavelength: float,
    windows: Mapping[str, Sequence[int]],
    smoothing: int,
    *,
    weights: str = "network",
    look: LookGeometry | None = None,
    track: str = "memory",
) -> StackPlan:
    """Measure the noise and weight the pairs of every time window; parameters as for `stack_arrays`."""
    if weights not in ("network", "equal"):
        raise ValueError(f"weights must be network or equal, instead got {weights!r}")
    check_complex("igrams", igrams)
    if igrams.ndim != 3 or len(igrams) != len(pairs):
        raise ValueError(
            f"igrams must have shape (pair, y, x) with one for each of {len(pairs)} pairs, instead got {igrams.shape}"
        )
    shape = (igrams.shape[1], igrams.shape[2])
    if min(shape) < smoothing + 2:
        raise NoDataError(
            f"{track}: {shape[0]} x {shape[1]} pixels are too few for an averaging window of {smoothing}; lower the "
            "smoothing"
        )
    for name, members in windows.items():
        if not members:
            raise NoDataError(f"{track}: window {name} holds no pair; leave it out")
    grid = RadarGrid(shape, (pixel_m, pixel_m))
    directions = directions_of(grid.axis_names)
    likeness = _sampled_likeness(igrams, pairs, smoothing, directions) if weights == "network" else {}
    dem = dem_variance(wavelength, look, smoothing)
    planned = tuple(
        plan_window(name, members, pairs, likeness, equal=weights == "equal", dem_variance=dem)
        for name, members in windows.items()
    )
    noise = share_of(likeness.values())
    return StackPlan(track, grid, wavelength, tuple(pairs), planned, directions, smoothing, noise, look, likeness)


def stack_plan(igrams: NDArray[np.complex64], plan: StackPlan) -> list[GradientStack]:
    """Sum interferograms by a plan: one stack for each of its windows.

    Parameters
    ----------
    igrams : (pair, y, x) complex64 array
    plan : StackPlan
        From `plan_arrays`.
    """
    sums = empty_sums(plan, plan.grid.shape)
    for first in range(0, len(igrams), _BATCH):
        chunk = np.ascontiguousarray(igrams[first : first + _BATCH], np.complex64)
        add_pairs(plan, range(first, first + len(chunk)), chunk, sums)
    return [finish(plan, k, sums[k]) for k in range(len(plan.windows))]


def _sampled_likeness(
    igrams: NDArray[np.complex64], pairs: Sequence[Pair], smoothing: int, directions: tuple[Direction, ...]
) -> dict[int, Likeness]:
    """Measure the share of dates in the noise on two squares of the scene, by half-year."""
    shape = igrams.shape[1:]
    side = (min(SAMPLE_NODES + smoothing, shape[0]), min(SAMPLE_NODES + smoothing, shape[1]))
    corners = [tuple(int(f * (n - s)) for n, s in zip(shape, side, strict=True)) for f in (1 / 3, 2 / 3)]
    squares = [(slice(y, y + side[0]), slice(x, x + side[1])) for y, x in corners]
    angles: list[NDArray[np.float32]] = []
    qualities: list[NDArray[np.float32]] = []
    for igram in igrams:
        found = [wrapped_differences(igram[square], smoothing, directions) for square in squares]
        angles.append(np.concatenate([f.angle.reshape(len(directions), -1) for f in found], axis=1))
        qualities.append(np.concatenate([f.quality.ravel() for f in found]))
    return likeness_by_half_year(angles, qualities, pairs)
