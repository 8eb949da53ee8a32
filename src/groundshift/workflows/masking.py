"""Interferograms masked one by one: which pixels are coherent, and in how many pairs of a stack they are."""

import csv
import hashlib
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import rasterio
from matplotlib.figure import Figure
from numpy.typing import NDArray

from groundshift import __version__
from groundshift.detect.mask_network import MaskNetwork
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, UnknownFormatError
from groundshift.io.atomic import atomic_path, write_text
from groundshift.io.rasters import read_band, write_geotiff
from groundshift.io.stack import InterferogramStack
from groundshift.masks.decorrelation import coherent_above, otsu_threshold
from groundshift.types import Pair
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.inputs import open_tracks, tell_problems
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import PairFailedError, SourceFile, file_marks, read_pair

__all__ = [
    "MaskView", "MaskingConfig", "draw_view", "load_mask_network", "look_at", "preview_masking", "run_masking",
]  # fmt: skip

NO_DATA = 255
"""In a mask, beside 1 for coherent and 0 for decorrelated."""
_DONE = "masked.json"
"""Beside the maps of a track: what was made of which files."""
_PANEL = 3.0
"""Height of the pictures' panels, inches."""


@dataclass(frozen=True)
class MaskingConfig:
    """What masking can be told."""

    inputs: tuple[Path, ...]
    output: Path
    product: str | None = None
    pattern: str | None = None
    wavelength: float | None = None
    mask_with: Literal["network", "otsu", "threshold"] = "network"
    """What makes the masks that are written."""
    model: str = "masknet"
    probability: float = 0.5
    """Of being coherent, from which on a pixel is."""
    threshold: float = 0.3
    """Coherence above which a pixel is coherent by the fixed threshold."""
    amplitude: Path | None = None
    """Raster of amplitudes on the grid of the interferograms, for the network."""

    def survey(self) -> SurveyConfig:
        """Return what opens the inputs."""
        return SurveyConfig(
            inputs=self.inputs, output=self.output, product=self.product, pattern=self.pattern,
            wavelength=self.wavelength,
        )  # fmt: skip


class MaskView(NamedTuple):
    """What one pair shows; arrays (y, x)."""

    igram: NDArray[np.complex64]
    probability: NDArray[np.float32] | None
    """Of being coherent; None without a network."""
    masks: dict[str, NDArray[np.bool_]]
    """By name of what made them; True is coherent."""
    otsu: float
    """Otsu's threshold; NaN where there is none."""


def run_masking(config: MaskingConfig, reporter: Reporter) -> list[dict[str, Any]]:
    """Mask every interferogram.

    Leaves `masks.csv` and, in a folder for each track, for every pair `PAIR_coherent.tif` (1 coherent, 0 decorrelated,
    255 without data), `PAIR_probability.tif` of a network, and `PAIR.png`; of several pairs `share_coherent.tif`, the
    share of those with data in which a pixel is coherent. Run again, pairs that are done already are kept.

    Returns
    -------
    list of dict
        A row of `masks.csv` for each pair.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened, none of the pairs of the only track can be read, the model or the amplitude is not
        there or does not suit, or an output cannot be written.
    """
    network = load_mask_network(config.model, "--mask-model") if config.mask_with == "network" else None
    rows: list[dict[str, Any]] = []
    stacks = open_tracks(config.survey(), located=False)
    with claimed(config.output):
        for stack in stacks:
            tell_problems(stack, reporter)
            try:
                rows += _mask_track(stack, config, network, reporter)
            except NoDataError as error:
                if len(stacks) == 1:
                    raise
                reporter.warn(f"{stack.track} left out: {error}")
        write_text(config.output / "masks.csv", _table(rows))
    return rows


def preview_masking(config: MaskingConfig) -> list[dict[str, Any]]:
    """Say what would be masked, without reading a pixel.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened, or there is no such model.
    """
    if config.mask_with == "network":
        load_mask_network(config.model, "--mask-model")
    return [
        {
            "track": stack.track,
            "product": stack.product,
            "pairs": len(stack.pairs),
            "pixels": list(stack.grid.shape),
            "masked_with": config.mask_with,
            "skipped": [p.message for p in stack.problems if p.skipped],
        }
        for stack in open_tracks(config.survey(), located=False)
    ]


def load_mask_network(model: str, option: str) -> MaskNetwork:
    """Load a network that masks; errors begin with the `option` that names it.

    Raises
    ------
    MissingFileError, DamagedFileError, UnknownFormatError
        If there is no such model, or it is not one.
    """
    try:
        return MaskNetwork.load(model)
    except (MissingFileError, DamagedFileError, UnknownFormatError) as error:
        raise type(error)(f"{option}: {error}") from error


def _mask_track(
    stack: InterferogramStack, config: MaskingConfig, network: MaskNetwork | None, reporter: Reporter
) -> list[dict[str, Any]]:
    """Mask the pairs of one track.

    Raises
    ------
    NoDataError
        If none can be read.
    """
    folder = config.output / stack.track
    amplitude = None if config.amplitude is None or network is None else _amplitude(config.amplitude, stack)
    told = _settings_mark(config, network)
    done = _recalled(folder / _DONE)
    rows: list[dict[str, Any]] = []
    total, count = np.zeros(stack.grid.shape, np.uint16), np.zeros(stack.grid.shape, np.uint16)
    unread: list[PairFailedError] = []
    with reporter.bar(f"{stack.track}: masking", len(stack.pairs)) as advance:
        for pair in sorted(stack.pairs):
            try:
                mark = _files_mark(stack, pair, told)
                row = _kept(done.get(pair.name), mark, folder, pair, network is not None)
                if row is None:
                    row = _mask_pair(stack, pair, config, network, amplitude, folder)
                    done[pair.name] = {"mark": mark, "row": row}
                    write_text(folder / _DONE, json.dumps(done) + "\n")
                mask = read_band(folder / f"{pair.name}_coherent.tif", stack.full)
                total += mask == 1
                count += mask != NO_DATA
                if row["pixels"] == 0:
                    reporter.warn(f"{stack.track}: {pair.name} has no data")
                rows.append(row)
            except PairFailedError as error:
                unread.append(error)
                reporter.warn(f"{error}; pair left out")
            advance()
    if not rows:
        raise NoDataError(f"{stack.root}: none of {count_of(len(stack.pairs), 'pair')} could be read; {unread[-1]}")
    if len(stack.pairs) > 1:
        share = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
        write_geotiff(
            folder / "share_coherent.tif", share, stack.grid, nodata=math.nan,
            description=f"share of {count_of(len(rows), 'pair')} in which the ground is coherent",
        )  # fmt: skip
    return rows


def _mask_pair(
    stack: InterferogramStack,
    pair: Pair,
    config: MaskingConfig,
    network: MaskNetwork | None,
    amplitude: NDArray[np.float32] | None,
    folder: Path,
) -> dict[str, Any]:
    """Mask one pair, write its maps, and return its row."""
    view = look_at(read_pair(stack, pair, stack.full), config, network, amplitude)
    known = view.igram != 0
    chosen = np.where(known, view.masks[config.mask_with], NO_DATA).astype(np.uint8)
    text = f"{pair.reference} to {pair.secondary}"
    write_geotiff(
        folder / f"{pair.name}_coherent.tif", chosen, stack.grid, nodata=NO_DATA,
        description=f"1 coherent, 0 decorrelated, {text}",
    )  # fmt: skip
    if view.probability is not None:
        write_geotiff(
            folder / f"{pair.name}_probability.tif",
            np.where(known, view.probability, np.float32(np.nan)),
            stack.grid,
            nodata=math.nan,
            description=f"probability that the ground is coherent, {text}",
        )
    draw_view(folder / f"{pair.name}.png", pair, view, config)
    pixels = int(known.sum())
    shares = {f"coherent_{name}": round(float(mask.sum() / max(pixels, 1)), 4) for name, mask in view.masks.items()}
    return {
        "track": stack.track,
        "pair": pair.name,
        "pixels": pixels,
        "otsu_threshold": None if math.isnan(view.otsu) else round(view.otsu, 4),
        **shares,
    }


def look_at(
    igram: NDArray[np.complex64],
    config: MaskingConfig,
    network: MaskNetwork | None,
    amplitude: NDArray[np.float32] | None,
) -> MaskView:
    """Look at one interferogram in all ways.

    Parameters
    ----------
    igram : (y, x) complex64 array
        Magnitude is coherence, zero without data.
    config : MaskingConfig
        Thresholds.
    network : MaskNetwork, optional
        Without one, thresholds alone look.
    amplitude : (y, x) float array, optional
        For the network.

    Returns
    -------
    MaskView
        Where coherence is the same everywhere, Otsu masks nothing.
    """
    known = igram != 0
    coherence = np.abs(igram)
    try:
        otsu = otsu_threshold(coherence)
    except NoDataError:
        otsu = math.nan
    masks = {
        "otsu": coherent_above(coherence, 0 if math.isnan(otsu) else otsu),
        "threshold": coherent_above(coherence, config.threshold),
    }
    if network is None:
        return MaskView(igram, None, masks, otsu)
    wrapped = np.where(known, np.angle(igram), np.nan).astype(np.float32)
    probability = network.look(wrapped, coherence, amplitude)
    return MaskView(igram, probability, {"network": known & (probability >= config.probability), **masks}, otsu)


def draw_view(path: Path, pair: Pair, view: MaskView, config: MaskingConfig) -> None:
    """Draw phase, coherence and all masks, as Wang et al. (2023) do in their Figure 5.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    known = view.igram != 0
    titles = {
        "network": f"network: {config.probability:g} or more",
        "otsu": "Otsu: none" if math.isnan(view.otsu) else f"Otsu: coherence above {view.otsu:.2f}",
        "threshold": f"coherence above {config.threshold:g}",
    }
    shown: list[tuple[NDArray[Any], str, float, float, str]] = [
        (np.angle(view.igram), "twilight", -math.pi, math.pi, "wrapped phase, rad"),
        (np.abs(view.igram), "gray", 0, 1, "coherence"),
        *((mask.astype(np.float32), "gray", 0, 1, titles[name]) for name, mask in view.masks.items()),
    ]
    rows, columns = known.shape
    width = min(max(_PANEL * columns / rows, 1.8), 4.5)
    figure = Figure(figsize=(len(shown) * (width + 0.3), _PANEL + 0.9), layout="constrained")
    for axes, (values, colours, low, high, title) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        axes.set_facecolor("tan")
        image = axes.imshow(
            np.where(known, values, np.nan), cmap=colours, vmin=low, vmax=high, interpolation="nearest"
        )  # fmt: skip
        if low < 0 or title == "coherence":
            figure.colorbar(image, ax=axes, shrink=0.8)
        axes.set_title(title, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(f"{pair.reference} to {pair.secondary}, {pair.days} days; masks: white is coherent", fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _amplitude(path: Path, stack: InterferogramStack) -> NDArray[np.float32]:
    """Read amplitudes on the grid of a stack.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there, cannot be read or has another size.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the spelling of --amplitude")
    values = np.asarray(np.abs(read_band(path, stack.full)), np.float32)
    with rasterio.open(path) as source:
        found = (source.height, source.width)
    if found != stack.grid.shape:
        rows, columns = stack.grid.shape
        raise DamagedFileError(
            f"{path}: expected {rows} x {columns} pixels as of {stack.track}, instead got {found[0]} x {found[1]}; cut "
            "it to the grid of the interferograms"
        )
    return values


def _settings_mark(config: MaskingConfig, network: MaskNetwork | None) -> str:
    """Tell with which settings pairs are masked."""
    looked = None if network is None else [network.checksum, config.probability]
    bright = None if config.amplitude is None or network is None else SourceFile.of(config.amplitude).mark
    return json.dumps([__version__, config.mask_with, config.threshold, looked, bright])


def _files_mark(stack: InterferogramStack, pair: Pair, told: str) -> str:
    """Tell with which settings and from which files a pair is masked."""
    facts = [told, pair.name, list(stack.grid.shape), file_marks(stack, pair)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _recalled(path: Path) -> dict[str, Any]:
    """Read what an earlier run has made; nothing if that cannot be read."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _kept(done: Any, mark: str, folder: Path, pair: Pair, network: bool) -> dict[str, Any] | None:
    """Return the row of a pair whose maps are there and were made from the same."""
    if not isinstance(done, dict) or done.get("mark") != mark:
        return None
    names = ["_coherent.tif", ".png", *(["_probability.tif"] if network else [])]
    row: dict[str, Any] = done["row"]
    return row if all((folder / f"{pair.name}{name}").exists() for name in names) else None


def _table(rows: list[dict[str, Any]]) -> str:
    """Write rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["track", "pair"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
