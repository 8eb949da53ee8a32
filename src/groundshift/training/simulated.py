"""Samples from simulated stacks: planes made as for a real track, and labels that are true for their time window.

A slide counts with the velocity that its window shows: with its weights w, each pair p of the window contributes the
way that the slide came between its dates, so that the mean is ``velocity * sum(w_p way_p) / sum(w_p years_p)``. A slope
that moves to and fro within the year is a body in the wet season and may be none over whole years.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects, uniform_filter

from groundshift.checks import check_within
from groundshift.detect.planes import PLANES, REFERENCE_PIXEL, network_planes, radians_per_gradient
from groundshift.gradients.stack import TimeWindow
from groundshift.gradients.windows import between, in_months
from groundshift.simulate.batched.config import BatchConfig
from groundshift.simulate.batched.ground import make_ground
from groundshift.simulate.batched.igrams import igrams
from groundshift.simulate.batched.network import draw_network
from groundshift.simulate.batched.types import Ground, Kind, Network
from groundshift.training.samples import IGNORED, Body, Sample, write_sample
from groundshift.training.stacks import plan_arrays, stack_plan
from groundshift.types import Pair

__all__ = ["LEAST_VELOCITY", "SimulatedSamples", "label_bodies", "simulate_samples", "write_samples"]

LEAST_VELOCITY = 5.0
"""mm/yr: slides slower than this over a window are ignored, neither wanted nor wrong."""

_RIM = 0.2
"""Share of a body's peak velocity above which ground belongs to it."""
_LEAST_NODES = 6
_LEAST_PAIRS = 6
"""Fewest pairs of a window."""
_SIGMA = PLANES.index("sigma_y")
_BATCH, _SCENE = 401, 402
"""Random streams."""
_REACH_M = (80.0, 200.0)
"""Side of the averaging window aimed at."""


def simulate_samples(
    config: BatchConfig,
    seed: int,
    *,
    device: str | torch.device = "cpu",
    windows_per_scene: int = 3,
    smoothing: int | None = None,
) -> list[Sample]:
    """Simulate a batch of scenes and stack each over several time windows.

    Parameters
    ----------
    config : BatchConfig
        What the scenes are drawn from.
    seed : int
        Not negative; the same seed makes the same samples on the same kind of device.
    device : str or torch.device
        Where interferograms are made; they are stacked on the CPU.
    windows_per_scene : int
        Time windows of each scene: all pairs first, then some drawn of seasons, years and random pairs.
    smoothing : int, optional
        Side of the averaging window in pixels; drawn for each scene by default: 1 to 5, mostly 80 to 200 m.

    Returns
    -------
    list of Sample
        `config.scenes * windows_per_scene` of them, by scene.

    Raises
    ------
    ValueError
        If `windows_per_scene` or `seed` is out of range.
    """
    check_within("windows_per_scene", windows_per_scene, 1, 100)
    check_within("seed", seed, 0, 2**53)
    rng = np.random.default_rng([seed, _BATCH])
    network = draw_network(config, rng)
    low, high = (80.0, 110.0) if rng.uniform() < config.coarse_share else config.pixel_m
    pixel_m = float(rng.uniform(low, high))
    ground = make_ground(config, network, seed, pixel_m=pixel_m, device=torch.device(device))
    stacked = np.empty((config.scenes, len(network.pairs), *config.shape), np.complex64)
    for index, igram in igrams(ground, network, seed):
        stacked[:, index] = igram.cpu().numpy()
    samples: list[Sample] = []
    for scene in range(config.scenes):
        samples += _stack_scene(ground, network, seed, scene, stacked[scene], windows_per_scene, smoothing)
    return samples


class SimulatedSamples:
    """An endless source of samples: `source[k]` is the k-th, made when it is first asked for.

    Parameters
    ----------
    config : BatchConfig
    seed : int
        Seed of the first batch; the following ones count on.
    device : str or torch.device
    windows_per_scene : int
    keep : int
        Batches kept, the last ones asked for.
    """

    def __init__(
        self,
        config: BatchConfig,
        seed: int,
        *,
        device: str | torch.device = "cpu",
        windows_per_scene: int = 3,
        keep: int = 4,
    ) -> None:
        check_within("keep", keep, 1, 10_000)
        self._config = config
        self._seed = seed
        self._device = device
        self._windows = windows_per_scene
        self._keep = keep
        self._batches: OrderedDict[int, list[Sample]] = OrderedDict()

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of this number, from 0."""
        if index < 0:
            raise IndexError(f"index must not be negative, instead got {index}")
        batch, place = divmod(index, self._config.scenes * self._windows)
        if batch not in self._batches:
            self._batches[batch] = simulate_samples(
                self._config, self._seed + batch, device=self._device, windows_per_scene=self._windows
            )
            while len(self._batches) > self._keep:
                self._batches.popitem(last=False)
        self._batches.move_to_end(batch)
        return self._batches[batch][place]


def write_samples(
    folder: Path,
    config: BatchConfig,
    first_seed: int,
    batches: int,
    *,
    device: str | torch.device = "cpu",
    windows_per_scene: int = 3,
) -> Iterator[Path]:
    """Write the samples of several batches into a folder, one file each; what is there already is kept.

    Parameters
    ----------
    folder : Path
        Made if it is not there. Files are named `<seed>-<scene>-<window>.npz`.
    config : BatchConfig
        Files of another configuration in the same folder are not told apart.
    first_seed, batches : int
        Batches of the seeds from `first_seed` on.
    device : str or torch.device
    windows_per_scene : int

    Yields
    ------
    Path
        Each file as soon as it is there, those found included.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    for seed in range(first_seed, first_seed + batches):
        # Files are written in the order of scenes: with all of the last scene the batch is done.
        last = list(folder.glob(f"{seed:06d}-{config.scenes - 1}-*.npz"))
        if len(last) >= windows_per_scene:
            yield from sorted(folder.glob(f"{seed:06d}-*.npz"))
            continue
        for sample in simulate_samples(config, seed, device=device, windows_per_scene=windows_per_scene):
            path = folder / f"{seed:06d}-{sample.scene.rsplit('-', 1)[1]}-{sample.window}.npz"
            if not path.exists():
                write_sample(path, sample)
            yield path


def label_bodies(
    ground: Ground,
    network: Network,
    scene: int,
    window: TimeWindow,
    *,
    planes: NDArray[np.float32],
    smoothing: int,
) -> tuple[NDArray[np.uint8], tuple[Body, ...]]:
    """Return what is true of one scene in one time window.

    Parameters
    ----------
    ground : Ground
    network : Network
    scene : int
        Which scene of the batch.
    window : TimeWindow
        Pairs and their weights.
    planes : (8, y, x) array
        What is seen of the scene in that window.
    smoothing : int
        Side of the averaging window, nodes.

    Returns
    -------
    labels, bodies
        (y, x) labels as in `Sample`, and the bodies in their order. Slides of 5 mm/yr or more at their peak are bodies
        where they move by more than a fifth of it; slower ones, those of fewer than 6 nodes and subsidence bowls are to
        be ignored; ice, shores and all other ground are quiet.
    """
    mover = ground.mover[scene].cpu().numpy()
    velocity = ground.velocity[scene].cpu().numpy()
    share = _window_share(ground.course[scene].cpu().numpy().astype(np.float64), network, window)
    labels = np.zeros(mover.shape, np.uint8)
    bodies: list[Body] = []
    boxes = find_objects(mover, len(ground.movers[scene]))
    for number, (what, box) in enumerate(zip(ground.movers[scene], boxes, strict=True), start=1):
        if what.kind not in (Kind.SLIDE, Kind.BOWL) or box is None:
            continue
        visible = np.where(mover[box] == number, velocity[box], 0)
        peak = float(visible.flat[np.abs(visible).argmax()])
        inside = np.abs(visible) > _RIM * abs(peak)
        shown = peak * float(share[number])
        wanted = what.kind == Kind.SLIDE and abs(shown) >= LEAST_VELOCITY and inside.sum() >= _LEAST_NODES
        if not wanted or len(bodies) == IGNORED - 1:
            labels[box][inside] = IGNORED
            continue
        seen = _visibility(visible * float(share[number]), box, planes, smoothing, ground.pixel_m)
        bodies.append(Body(shown, abs(what.velocity), what.length_m, what.width_m, what.behaviour, seen))
        labels[box][inside] = len(bodies)
    return labels, tuple(bodies)


def _visibility(
    velocity: NDArray[np.floating],
    box: tuple[slice, ...],
    planes: NDArray[np.float32],
    smoothing: int,
    pixel_m: float,
) -> float:
    """Return the standard errors by which a body of this velocity in this box stands out to a filter that matches it.

    The squares of its true significance are summed over all nodes. Differences of a moving mean of n by n pixels are
    alike over n nodes across their direction and hardly along it, so that so many count as one.
    """
    margin = smoothing + 1
    before = [min(k.start, margin) for k in box]
    after = [min(size - k.stop, margin) for k, size in zip(box, planes.shape[1:], strict=True)]
    wide = [slice(k.start - b, k.stop + a) for k, b, a in zip(box, before, after, strict=True)]
    mean = uniform_filter(np.pad(velocity, list(zip(before, after, strict=True))).astype(np.float32), smoothing)
    total = 0.0
    for axis, sigma in enumerate(planes[_SIGMA : _SIGMA + 2, *wide]):
        gradient = np.diff(mean, axis=axis, append=np.take(mean, [-1], axis)) * (REFERENCE_PIXEL / pixel_m)
        total += float((np.divide(gradient, sigma, out=np.zeros_like(mean), where=sigma > 0) ** 2).sum())
    return math.sqrt(total / smoothing)


def _window_share(course: NDArray[np.float64], network: Network, window: TimeWindow) -> NDArray[np.float64]:
    """Mean velocity of each mover in a window, relative to its long-term one."""
    index = {day: k for k, day in enumerate(network.dates)}
    chosen = [network.pairs[k] for k in window.members]
    way = np.stack([course[:, index[p.secondary]] - course[:, index[p.reference]] for p in chosen], axis=1)
    years = np.array([pair.years for pair in chosen])
    return np.asarray(way @ window.weights / (years @ window.weights), np.float64)


def _stack_scene(
    ground: Ground,
    network: Network,
    seed: int,
    scene: int,
    stacked: NDArray[np.complex64],
    count: int,
    smoothing: int | None,
) -> list[Sample]:
    """Stack one scene over `count` time windows."""
    rng = np.random.default_rng([seed, _SCENE, scene])
    aimed = int(np.clip(round(rng.uniform(*_REACH_M) / ground.pixel_m), 1, 5))
    side = smoothing if smoothing is not None else aimed
    weights = "network" if rng.uniform() < 0.85 else "equal"
    windows = _draw_windows(network.pairs, count, rng)
    name = f"sim-{seed}-{scene}"
    plan = plan_arrays(
        stacked, network.pairs, ground.pixel_m, network.wavelength, windows, side, weights=weights,
        look=ground.look[scene], track=name,
    )  # fmt: skip
    samples = []
    for window, stack in zip(plan.windows, stack_plan(stacked, plan), strict=True):
        planes = network_planes(stack)
        labels, bodies = label_bodies(ground, network, scene, window, planes=planes, smoothing=side)
        radians = radians_per_gradient(stack.total_years, network.wavelength)
        samples.append(
            Sample(
                planes, labels, bodies, name, window.name, ground.pixel_m, radians, stack.total_pairs
            )
        )  # fmt: skip
    return samples


def _draw_windows(pairs: tuple[Pair, ...], count: int, rng: np.random.Generator) -> dict[str, list[int]]:
    """Draw `count` time windows: all pairs, and some of seasons, sliding years and random pairs."""
    everything = list(range(len(pairs)))
    first, last = pairs[0].reference, max(pair.secondary for pair in pairs)
    starts = int(rng.integers(1, 13))
    wet = {(starts + k - 1) % 12 + 1 for k in range(6)}
    found = {"wet": in_months(pairs, wet), "dry": in_months(pairs, set(range(1, 13)) - wet)}
    for years in (1, 2):
        span = timedelta(days=round(365.25 * years))
        if first + span < last:
            begin = first + (last - first - span) * rng.uniform()
            found[f"years{years}"] = between(pairs, begin, begin + span)
    for number in range(1, count + 1):
        share = rng.uniform(0.3, 0.9)
        size = max(_LEAST_PAIRS, round(share * len(pairs)))
        found[f"part{number}"] = np.sort(rng.choice(len(pairs), size, replace=False)).tolist()
    usual = [k for k, v in found.items() if _LEAST_PAIRS <= len(v) < len(everything) and not k.startswith("part")]
    parts = [k for k in found if k.startswith("part")]
    # One part competes with the others, the rest fills up.
    order = [*rng.permutation([*usual, parts[0]]).tolist(), *parts[1:]]
    return {"all": everything, **{name: found[name] for name in order[: count - 1]}}
