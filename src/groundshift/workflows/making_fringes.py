"""Windows to learn from, made of whole interferograms and outlines of candidates, or of simulated scenes.

Leaves whole interferograms in `scenes/` (phase without what is large, coherence, candidates, mean slope), and windows
of both classes cut from them in `positive/` and `negative/`.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyogrio
import shapely
import yaml
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from groundshift.detect.fringe_scan import WINDOW, mean_slope
from groundshift.errors import DamagedFileError, NoDataError, OutputError
from groundshift.interferometry.filters import remove_large_scale
from groundshift.io.atomic import write_text
from groundshift.io.rasters import raster_grid, read_band, write_geotiff
from groundshift.training.fringes.config import CutConfig
from groundshift.training.fringes.cutting import FringeImage, cut_candidate, cut_other, cut_window, has_places
from groundshift.training.fringes.patches import CLASSES, write_patch
from groundshift.training.labelled import Outline, label_outlines, read_outlines
from groundshift.training.samples import IGNORED
from groundshift.types import Grid, Pair, Window
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.fringe_config import FringeMakeConfig
from groundshift.workflows.fringe_pixels import FringePixels, choose_fringe_pairs
from groundshift.workflows.inputs import open_tracks, tell_problems
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import PairFailedError

__all__ = ["MadeWindows", "read_fringe_scene", "run_fringe_making"]

_BANDS = ("wrapped phase, radians", "coherence", "candidates", "mean slope, degrees")
_UNCLEAR = -1


class MadeWindows(NamedTuple):
    """What a run leaves."""

    folder: Path
    scenes: int
    """Whole interferograms."""
    candidates: int
    positive: int
    negative: int


def run_fringe_making(config: FringeMakeConfig, reporter: Reporter) -> MadeWindows:
    """Make windows of both classes; interferograms that are there already are kept.

    Raises
    ------
    NoDataError
        If no candidate lies on the interferograms, or there is no ground without one.
    OutputError
        If the folder holds windows made with other settings, or cannot be written.
    GroundshiftError
        If inputs or polygons cannot be read.
    """
    folder = config.output
    with claimed(folder):
        _claim(config)
        names = list(_simulate(config, reporter) if config.run.simulated else _prepare(config, reporter))
        return _cut_all(config, sorted(names), reporter)


def read_fringe_scene(path: Path, cut: CutConfig | None = None) -> FringeImage:
    """Read a whole interferogram of `scenes/`, to be cut as `cut` says.

    Raises
    ------
    MissingFileError, DamagedFileError
        If it is not there, cannot be read, or has not the four bands.
    """
    whole = Window(0, 0, *raster_grid(path).shape)
    try:
        phase, coherence, labels, slope = (np.asarray(read_band(path, whole, k), np.float32) for k in range(1, 5))
    except (RasterioError, IndexError) as error:
        raise DamagedFileError(f"{path}: expected four bands ({', '.join(_BANDS)}); make it again") from error
    igram = np.where(np.isfinite(phase), np.nan_to_num(coherence) * np.exp(1j * np.nan_to_num(phase)), 0)
    return FringeImage(
        igram.astype(np.complex64), np.nan_to_num(labels).astype(np.int16),
        slope if np.isfinite(slope).any() else None, path.stem.split("_")[0], cut or CutConfig(),
    )  # fmt: skip


def _claim(config: FringeMakeConfig) -> None:
    """Keep windows of other settings out of the folder."""
    path = config.output / "windows.yaml"
    text = yaml.safe_dump(config.model_dump(mode="json", exclude={"output"}), sort_keys=False, allow_unicode=True)
    if path.exists() and path.read_text("utf-8") != text:
        raise OutputError(f"{config.output}: holds windows made with other settings; choose another output folder")
    write_text(path, text)


def _simulate(config: FringeMakeConfig, reporter: Reporter) -> Iterator[Path]:
    """Simulate scenes."""
    # These need torch, which the making of windows from interferograms does not.
    from groundshift.simulate.fringes import simulate_fringes  # noqa: PLC0415
    from groundshift.training.fringes.samples import scene_grid  # noqa: PLC0415

    grid = scene_grid(config.scenes)
    with reporter.bar("simulating", config.run.simulated) as advance:
        for number in range(config.run.simulated):
            seed = config.run.seed * 1_000_000 + number
            scene = simulate_fringes(config.scenes, seed)
            slope = mean_slope(scene.heights, grid)
            for pair, igram, labels in zip(scene.pairs, scene.igrams, scene.labels, strict=True):
                name = f"simulated-{seed}-{pair.name.replace('_', '-')}" if config.run.by_pair else f"simulated-{seed}"
                seen = _small_scale(igram, grid, config.take.large_scale)
                yield _write_scene(config.output, name, pair, seen, labels, slope, grid)
            advance()


def _small_scale(igram: NDArray[np.complex64], grid: Grid, size: float) -> NDArray[np.complex64]:
    """Take out what is large, if anything is to be."""
    return remove_large_scale(igram, grid.spacing, size) if size else igram


def _prepare(config: FringeMakeConfig, reporter: Reporter) -> Iterator[Path]:
    """Bring interferograms to working pixels, and draw the candidates on them."""
    assert config.run.polygons is not None
    outlines = _outlines(config.run.polygons, config.run.layer)
    opened = SurveyConfig(
        inputs=config.inputs, output=config.output, product=config.product, pattern=config.pattern,
        wavelength=config.wavelength,
    )  # fmt: skip
    for stack in open_tracks(opened):
        tell_problems(stack, reporter)
        pixels = FringePixels.of(stack, config.take.fringe_pixel)
        reporter.say(pixels.told(config.take.fringe_pixel))
        slope = pixels.slope(config.take.dem)
        if slope is None:
            reporter.warn(f"{stack.track}: no heights, so slopes and flats are not told apart; name a DEM with --dem")
            slope = np.full(pixels.grid.shape, np.nan, np.float32)
        pairs = choose_fringe_pairs(stack, config.take)
        with reporter.bar(f"{stack.track}: preparing", len(pairs)) as advance:
            for pair in pairs:
                try:
                    igram = pixels.igram(pair, config.take.large_scale)
                except PairFailedError as error:
                    reporter.warn(f"{error}; pair left out")
                else:
                    own = [outline for outline, name in outlines if name in ("", pair.name)]
                    labels = _drawn(own, pixels.grid)
                    place = stack.track.replace("_", "-")
                    name = f"{place}-{pair.name.replace('_', '-')}" if config.run.by_pair else place
                    yield _write_scene(config.output, name, pair, igram, labels, slope, pixels.grid)
                advance()


def _outlines(path: Path, layer: str | None) -> list[tuple[Outline, str]]:
    """Read outlines with the pair that they hold for, which is empty where they hold for all."""
    if layer is None:
        # The same layer that `read_outlines` takes; a vector file that it refuses stops here in its words.
        read_outlines(path)
        kinds = pyogrio.list_layers(path)  # type: ignore[no-untyped-call]
        layer = next(str(name) for name, kind in kinds if "Polygon" in str(kind))
    every = read_outlines(path, layer)
    frame = pyogrio.read_dataframe(path, layer=layer)  # type: ignore[no-untyped-call]
    if "pair" not in frame.columns:
        return [(outline, "") for outline in every]
    places = frame.to_crs("EPSG:4326").geometry.representative_point()
    # An empty field is None or NaN.
    named = [
        (point, name.strip() if isinstance(name, str) else "")
        for point, name in zip(places, frame["pair"], strict=True)
    ]
    return [(outline, name) for outline in every for point, name in named if shapely.contains(outline.polygon, point)]


def _drawn(outlines: Sequence[Outline], grid: Grid) -> NDArray[np.int16]:
    """Draw candidates on an interferogram."""
    y, x = np.mgrid[: grid.shape[0], : grid.shape[1]].astype(np.float64)
    labels, _ = label_outlines(outlines, *grid.lonlat(y, x), math.prod(grid.spacing))
    return np.where(labels == IGNORED, _UNCLEAR, labels.astype(np.int16)).astype(np.int16)


def _write_scene(
    folder: Path, scene: str, pair: Pair, igram: NDArray[np.complex64], labels: NDArray[np.int16],
    slope: NDArray[np.float32], grid: Grid,
) -> Path:  # fmt: skip
    """Write a whole interferogram."""
    path = folder / "scenes" / f"{scene}_{pair.name.replace('_', '-')}.tif"
    if not path.exists():
        known = igram != 0
        phase = np.where(known, np.angle(igram), np.nan)
        bands = np.stack([phase, np.where(known, np.abs(igram), np.nan), labels, slope]).astype(np.float32)
        write_geotiff(path, bands, grid, nodata=math.nan, description="; ".join(_BANDS))
    return path


def _cut_all(config: FringeMakeConfig, paths: Sequence[Path], reporter: Reporter) -> MadeWindows:
    """Cut windows from all interferograms, as many from each candidate and as many others from each interferogram."""
    held, clear, candidates = [], [], 0
    for path in paths:
        image = read_fringe_scene(path, config.cut)
        number = len(image.middles)
        candidates += number
        held += [(path, k) for k in range(number)]
        if has_places(image):
            clear.append(path)
    if not held:
        if config.run.simulated:
            raise NoDataError(
                "no simulated scene shows a candidate; give more scenes with --simulated, or more --slides"
            )
        raise NoDataError(
            f"{config.run.polygons}: no candidate lies on {count_of(len(paths), 'interferogram')}; name those of its "
            "area"
        )
    if not clear:
        raise NoDataError(
            f"no window of {WINDOW} x {WINDOW} pixels without a candidate fits on the interferograms; give larger ones"
        )
    wanted = config.run.per_class
    counts = [0, 0]
    with reporter.bar("cutting", len(held) + len(clear)) as advance:
        for k, (path, which) in enumerate(held):
            image = read_fringe_scene(path, config.cut)
            rng = np.random.default_rng([config.run.seed, 21, k])
            for n in range(_part(wanted, len(held), k)):
                row, column = (int(v) for v in image.middles[which])
                sample = cut_candidate(image, rng, which) if n else cut_window(image, row, column, None, positive=True)
                # Padding is marked, for windows to judge on are those that were found.
                mark = f"_pad{n}" if n else ""
                name = f"{path.stem}_{which + 1}{mark}.tif"
                write_patch(config.output / CLASSES[0] / name, sample, config.take.fringe_pixel)
                counts[0] += 1
            advance()
        for k, path in enumerate(clear):
            image = read_fringe_scene(path, config.cut)
            rng = np.random.default_rng([config.run.seed, 22, k])
            for n in range(_part(wanted, len(clear), k)):
                other = cut_other(image, rng)
                assert other is not None
                write_patch(config.output / CLASSES[1] / f"{path.stem}_{n + 1}.tif", other, config.take.fringe_pixel)
                counts[1] += 1
            advance()
    return MadeWindows(config.output, len(paths), candidates, counts[0], counts[1])


def _part(total: int, parts: int, k: int) -> int:
    """Return the share of one of several parts; of candidates and interferograms at least one each."""
    return max(1, total * (k + 1) // parts - total * k // parts)
