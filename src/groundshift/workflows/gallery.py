"""Simulated samples beside real maps: both made as a network meets them, drawn, and compared in numbers.

Real maps are stacked and masked as a survey does, so that they are what a network would see of these tracks.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from groundshift.detect.planes import network_planes, radians_per_gradient
from groundshift.errors import DamagedFileError, NoDataError, ProductError
from groundshift.gradients.stack import closes
from groundshift.gradients.store import SumsFile, open_sums
from groundshift.io.atomic import write_text
from groundshift.report import save_figure
from groundshift.simulate.batched.config import BatchConfig
from groundshift.training.distributions import Comparison, Figures, compare, measure, tiles_of
from groundshift.training.gallery import best_piece, distributions_figure, gallery_figure
from groundshift.training.samples import Sample, list_samples, read_sample
from groundshift.workflows.config import Config, MaskConfig, StackConfig, SurveyConfig, save_config
from groundshift.workflows.inputs import open_tracks, tell_problems
from groundshift.workflows.maps import is_located
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter
from groundshift.workflows.resume import blocks_left
from groundshift.workflows.sampling import SamplesConfig, SamplesPlan, run_samples
from groundshift.workflows.stacking import stack_track
from groundshift.workflows.track import Ground, look_at_ground, valid_nodes

__all__ = ["GalleryConfig", "run_gallery"]

_SIDE = 256
"""Most rows and columns of what is drawn, and of a tile that is measured."""


class GalleryConfig(Config):
    """Everything that a gallery can be told."""

    inputs: tuple[Path, ...] = ()
    """Real maps: interferograms as a survey takes them, or folders that hold gradients.zarr."""
    output: Path
    """Folder for pictures and numbers."""
    samples: Path | None = None
    """Folder of simulated samples; without one some are simulated."""
    limit: Annotated[int, Field(ge=1)] = 200
    """Most samples of that folder to look at, evenly chosen."""
    first_seed: Annotated[int, Field(ge=0, le=2**52)] = 0
    """Seed of the first batch to simulate."""
    batches: Annotated[int, Field(ge=1)] = 4
    """Batches to simulate."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that simulate, of one thread each."""
    least_moving: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a simulated tile that bodies must cover for real maps to be held against it."""
    rows: Annotated[int, Field(ge=1, le=100)] = 6
    """Most maps of either kind to draw."""
    product: str | None = None
    """Name of the reader; recognised from the files by default."""
    pattern: str | None = None
    """For plain GeoTIFF: pattern of the file names."""
    wavelength: Annotated[float, Field(gt=0)] | None = None
    """For plain GeoTIFF: radar wavelength, metres."""
    stack: StackConfig = StackConfig()
    mask: MaskConfig = MaskConfig()
    scenes: BatchConfig = BatchConfig()

    @model_validator(mode="after")
    def _check(self) -> "GalleryConfig":
        if self.stack.step != 1:
            raise ValueError(f"stack.step: networks see neighbours compared, expected 1, instead got {self.stack.step}")
        return self


def run_gallery(config: GalleryConfig, reporter: Reporter) -> Comparison:
    """Draw and compare; writes `gallery.png`, `distributions.png`, `distributions.csv` and `gallery.yaml`.

    Interferograms are stacked into `stacks/TRACK` of the output folder, and samples, where none are given, simulated
    into `samples`; what an earlier run with the same settings left there is used as it stands.

    Returns
    -------
    Comparison
        Simulated tiles and real maps, each time window of each track a map of its own.

    Raises
    ------
    NoDataError
        If there are no samples, or none to hold real maps against.
    ProductError
        If a stack does not hold forward differences along both axes.
    GroundshiftError
        If an input cannot be read, or an output cannot be written.
    """
    with claimed(config.output):
        save_config(config, config.output / "gallery.yaml")
        sums = _open_real(config, reporter)
        shapes = [s.plan.grid.shape for s in sums.values()]
        side = (min([_SIDE, *(rows for rows, _ in shapes)]), min([_SIDE, *(columns for _, columns in shapes)]))
        windows = sum(len(s.plan.windows) for s in sums.values())
        chosen = _evenly(windows, config.rows)
        real: dict[str, list[Figures]] = {}
        drawn: list[Sample] = []
        with reporter.bar("real maps", windows) as advance:
            for k, sample in enumerate(_real_samples(sums, config.mask, reporter)):
                name = f"{sample.scene} {sample.window}"
                tiles = [measure(tile) for tile in tiles_of(sample, side)]
                if tiles:
                    real[name] = tiles
                else:
                    reporter.warn(f"{name}: masks leave no node with data; left out")
                if tiles and k in chosen:
                    drawn.append(best_piece(sample, _SIDE))
                advance()
        simulated, shown = _look_at_simulated(config, side, reporter)
        comparison = compare(simulated, real, side)
        write_text(config.output / "distributions.csv", comparison.to_csv())
        save_figure(distributions_figure(comparison), config.output / "distributions.png")
        save_figure(gallery_figure(drawn, shown), config.output / "gallery.png")
    return comparison


def _open_real(config: GalleryConfig, reporter: Reporter) -> dict[str, SumsFile]:
    """Open or make the sums of all real inputs, each under a name of its own."""
    found: list[SumsFile] = []
    products: list[Path] = []
    for path in config.inputs:
        stored = [path] if (path / "zarr.json").exists() else _sums_below(path, config.output)
        found += [_checked(open_sums(p)) for p in stored]
        if not stored:
            products.append(path)
    survey = SurveyConfig(
        inputs=tuple(products), output=config.output, product=config.product, pattern=config.pattern,
        wavelength=config.wavelength, stack=config.stack, mask=config.mask,
    )  # fmt: skip
    for source in open_tracks(survey, located=False):
        tell_problems(source, reporter)
        found.append(
            _checked(stack_track(source, config.stack, config.output / "stacks" / source.track, reporter).sums)
        )
    named: dict[str, SumsFile] = {}
    for sums in found:
        name, number = sums.plan.track, 2
        while name in named:
            name, number = f"{sums.plan.track}-{number}", number + 1
        named[name] = sums
    return named


def _sums_below(path: Path, output: Path) -> list[Path]:
    """Find the sums that a folder holds, other than those that this workflow makes."""
    own = output.resolve() / "stacks"
    return sorted(p for p in path.rglob("gradients.zarr") if p.is_dir() and own not in p.resolve().parents)


def _checked(sums: SumsFile) -> SumsFile:
    """Stop at sums that are not finished, or not of neighbours."""
    if blocks_left(sums, sums.plan.grid.shape[0]):
        raise DamagedFileError(f"{sums.path}: not finished; run `groundshift stack` again to complete it")
    if not closes(sums.plan.directions):
        raise ProductError(f"{sums.path}: not stacked between neighbours along both axes; stack again with --step 1")
    return sums


def _real_samples(named: dict[str, SumsFile], mask: MaskConfig, reporter: Reporter) -> Iterator[Sample]:
    """Give all time windows of all tracks as a network sees them; what is true of them is not known."""
    for name, sums in named.items():
        ground = Ground(None, None, None, {})
        if is_located(sums.plan.grid):
            ground = look_at_ground(sums, mask, reporter)
        for stack in sums.stacks():
            planes = network_planes(stack, valid_nodes(stack, ground, mask).valid)
            yield Sample(
                planes, np.zeros(planes.shape[1:], np.uint8), (), name, stack.window,
                math.sqrt(math.prod(stack.grid.spacing)), radians_per_gradient(stack.total_years, stack.wavelength),
                stack.total_pairs,
            )  # fmt: skip


def _look_at_simulated(
    config: GalleryConfig, side: tuple[int, int], reporter: Reporter
) -> tuple[list[Figures], list[Sample]]:
    """Measure simulated samples one after the other, and keep some to draw."""
    if config.samples is None:
        plan = SamplesPlan(first_seed=config.first_seed, batches=config.batches, workers=config.workers)
        made = run_samples(SamplesConfig(output=config.output / "samples", plan=plan, scenes=config.scenes), reporter)
        files: Sequence[Path] = made.files
    else:
        found = list_samples(config.samples)
        files = [found[k] for k in _evenly(len(found), config.limit)]
    count = len(files)
    chosen = _evenly(count, config.rows)
    figures: list[Figures] = []
    drawn: list[Sample] = []
    with reporter.bar("simulated samples", count) as advance:
        for k, sample in enumerate(map(read_sample, files)):
            tiles = map(measure, tiles_of(sample, side))
            figures += [tile for tile in tiles if tile.moving >= config.least_moving]
            if k in chosen:
                drawn.append(best_piece(sample, _SIDE))
            advance()
    if not figures:
        raise NoDataError(
            f"bodies cover no tile of {count} simulated samples to a share of {config.least_moving:g}; lower "
            "--least-moving"
        )
    return figures, drawn


def _evenly(count: int, most: int) -> Sequence[int]:
    """Choose at most so many numbers below `count`, evenly spread."""
    return [int(k) for k in np.unique(np.linspace(0, count - 1, min(count, most)).round())]
