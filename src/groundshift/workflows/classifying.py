"""Interferograms scanned one by one for fringes of landslides, as experts look through them."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from matplotlib.figure import Figure
from numpy.typing import NDArray
from shapely import Polygon

from groundshift import __version__
from groundshift.detect.fringe_scan import CELL, FringePlace, FringeScanner, find_places
from groundshift.errors import DamagedFileError, NoDataError, OutputError
from groundshift.inventory.columns import Column, column_arrays
from groundshift.inventory.tables import OGR_ERRORS, write_layer
from groundshift.io.atomic import atomic_path, write_text
from groundshift.io.incoherent import judge_noise
from groundshift.io.rasters import read_band, write_geotiff
from groundshift.io.stack import InterferogramStack
from groundshift.types import Grid, Looks, Pair, Window
from groundshift.workflows.config import SettingError, SurveyConfig
from groundshift.workflows.fringe_config import ClassifyConfig
from groundshift.workflows.fringe_pixels import FringePixels, choose_fringe_pairs
from groundshift.workflows.inputs import open_tracks, tell_problems
from groundshift.workflows.maps import is_located
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import PairFailedError, file_marks

__all__ = ["preview_classify", "run_classify"]

_STEEP = 15.0
"""Degrees from which ground is a slope, as in the paper."""
_COLUMNS = (
    Column("track", "text"), Column("pair", "text"), Column("candidate", "integer"), Column("score", "real"),
    Column("cells", "integer"), Column("area_m2", "real"), Column("slope", "real"),
)  # fmt: skip


class _Look(NamedTuple):
    """What one pair shows."""

    rows: list[dict[str, Any]]
    places: list[FringePlace]
    score: NDArray[np.float32]


def run_classify(config: ClassifyConfig, reporter: Reporter) -> dict[str, Any]:
    """Scan every interferogram for fringes of landslides; go on with a run that was stopped.

    Leaves `candidates.csv`, `candidates.gpkg` (outlines, where the product knows its place), `pairs.csv`, and in a
    folder for each track for every pair `PAIR_score.tif`, `PAIR.png` and `PAIR.json`.

    Returns
    -------
    dict
        `candidates`: a row for each; `pairs`: a row for each pair.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened, no pair is to be looked at, there is no such model, or an output cannot be
        written.
    """
    scanner = FringeScanner.load(config.scan.model)
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    outlines: list[Polygon] = []
    stacks = _stacks(config)
    with claimed(config.output):
        for stack in stacks:
            tell_problems(stack, reporter)
            try:
                _classify_track(stack, config, scanner, reporter, rows, pairs, outlines)
            except NoDataError as error:
                if len(stacks) == 1:
                    raise
                reporter.warn(f"{stack.track} left out: {error}")
        write_text(config.output / "candidates.csv", _table(rows, [c.name for c in _COLUMNS]))
        write_text(config.output / "pairs.csv", _table(pairs, ["track", "pair"]))
        if outlines:
            _write_outlines(config.output / "candidates.gpkg", rows, outlines)
        else:
            # That of an earlier run with other filters.
            (config.output / "candidates.gpkg").unlink(missing_ok=True)
    return {"candidates": rows, "pairs": pairs}


def preview_classify(config: ClassifyConfig) -> list[dict[str, Any]]:
    """Say what would be looked at, without reading a pixel."""
    scanner = FringeScanner.load(config.scan.model)
    facts = []
    for stack in _stacks(config):
        pixels = FringePixels.of(stack, config.take.fringe_pixel)
        facts.append({
            "track": stack.track,
            "product": stack.product,
            "pairs": f"{len(choose_fringe_pairs(stack, config.take))} of {len(stack.pairs)}",
            "pixels": list(pixels.grid.shape),
            "pixel_m": [round(m, 1) for m in pixels.grid.spacing],
            "cells": [n // CELL for n in pixels.grid.shape],
            "model": scanner.model.name,
            "scan": "in one pass" if scanner.free_size else "window by window",
            "skipped": [p.message for p in stack.problems if p.skipped],
        })  # fmt: skip
    return facts


def _stacks(config: ClassifyConfig) -> list[InterferogramStack]:
    """Open the inputs."""
    opened = SurveyConfig(
        inputs=config.inputs, output=config.output, product=config.product, pattern=config.pattern,
        wavelength=config.wavelength,
    )  # fmt: skip
    return open_tracks(opened, located=False)


def _classify_track(
    stack: InterferogramStack, config: ClassifyConfig, scanner: FringeScanner, reporter: Reporter,
    rows: list[dict[str, Any]], pairs: list[dict[str, Any]], outlines: list[Polygon],
) -> None:  # fmt: skip
    """Look at the pairs of one track; add what they show.

    Raises
    ------
    NoDataError
        If no pair is to be looked at, or none can be read.
    """
    chosen = choose_fringe_pairs(stack, config.take)
    pixels = FringePixels.of(stack, config.take.fringe_pixel)
    reporter.say(pixels.told(config.take.fringe_pixel))
    cells = pixels.grid.multilooked(Looks(CELL, CELL))
    if not all(cells.shape):
        raise NoDataError(
            f"{stack.root}: {' x '.join(map(str, pixels.grid.shape))} pixels hold no cell of {CELL} x {CELL}"
        )
    located = is_located(cells)
    slope = _cell_slope(pixels, config)
    if slope is None and config.places.least_slope is not None:
        raise SettingError(f"--least-slope: {stack.track} brings no heights; name a DEM with --dem")
    folder = config.output / stack.track
    failed: list[PairFailedError] = []
    with reporter.bar(f"{stack.track}: looking", len(chosen)) as advance:
        for pair in chosen:
            try:
                look = _look(pixels, pair, config, scanner, slope, cells, folder, reporter)
            except PairFailedError as error:
                failed.append(error)
                reporter.warn(f"{error}; pair left out")
            else:
                rows += look.rows
                pairs.append(_about_pair(stack.track, pair, look, slope))
                if located:
                    outlines += [_outline(place, cells) for place in look.places]
            advance()
    if len(failed) == len(chosen):
        raise NoDataError(f"{stack.root}: none of {count_of(len(chosen), 'pair')} could be read; last: {failed[-1]}")
    own = [row for row in pairs if row["track"] == stack.track]
    found = sum(row["candidates"] for row in own)
    where = ""
    if slope is not None:
        steep = sum(row["on_slopes"] for row in own)
        where = f", {steep} on slopes ({_STEEP:g} degrees or more), which are {own[0]['slope_share']:.0%} of the ground"
    reporter.say(f"{stack.track}: {count_of(found, 'candidate')} in {count_of(len(own), 'pair')}{where}")


def _look(
    pixels: FringePixels, pair: Pair, config: ClassifyConfig, scanner: FringeScanner,
    slope: NDArray[np.float32] | None, cells: Grid, folder: Path, reporter: Reporter,
) -> _Look:  # fmt: skip
    """Look at one pair, or recall what an earlier run has seen.

    Raises
    ------
    PairFailedError
        If it cannot be read.
    """
    scan = _scan_mark(pixels.stack, pair, config, scanner)
    marks = {"scan": scan, "places": config.places.model_dump(mode="json")}
    kept, picture = folder / f"{pair.name}.json", folder / f"{pair.name}.png"
    score = _recalled(folder / f"{pair.name}_score.tif", kept, scan, cells)
    known = score is not None
    igram = None
    if score is None:
        igram = pixels.igram(pair, config.take.large_scale)
        if not igram.any() or judge_noise(igram):
            what = "is all noise; nothing can be seen in it" if igram.any() else "has no data"
            reporter.warn(f"{pixels.stack.track}: {pair.name} {what}")
            score = np.full(cells.shape, np.nan, np.float32)
        else:
            score = scanner.scan(np.angle(igram).astype(np.float32), np.abs(igram))
        write_geotiff(
            folder / f"{pair.name}_score.tif", score, cells, nodata=math.nan,
            description=f"probability of fringes of a landslide, {pair.reference} to {pair.secondary}",
        )  # fmt: skip
    places = find_places(
        score, config.places.threshold, least_cells=config.places.least_cells, slope=slope,
        least_slope=config.places.least_slope,
    )  # fmt: skip
    if not (known and picture.exists() and _marks(kept) == marks):
        igram = pixels.igram(pair, config.take.large_scale) if igram is None else igram
        _draw(picture, pair, igram, score, places)
        write_text(kept, json.dumps(marks) + "\n")
    return _Look(_rows(pixels.stack, pair, places, cells), places, score)


def _cell_slope(pixels: FringePixels, config: ClassifyConfig) -> NDArray[np.float32] | None:
    """Mean slope of each cell; that around its middle, for it changes little within."""
    slope = pixels.slope(config.take.dem)
    if slope is None:
        return None
    rows, columns = (n // CELL * CELL for n in slope.shape)
    return slope[CELL // 2 : rows : CELL, CELL // 2 : columns : CELL]


def _scan_mark(stack: InterferogramStack, pair: Pair, config: ClassifyConfig, scanner: FringeScanner) -> str:
    """Tell what the scores of a pair are made from."""
    files = file_marks(stack, pair)
    take = config.take
    facts = [__version__, stack.product, stack.grid.shape, pair.name, files, take.fringe_pixel, take.large_scale,
             scanner.model.checksum]  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _marks(path: Path) -> dict[str, Any]:
    """Read what a pair was looked at with."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _recalled(path: Path, kept: Path, mark: str, cells: Grid) -> NDArray[np.float32] | None:
    """Read the scores of an earlier run; None unless they were made from the same."""
    if _marks(kept).get("scan") != mark or not path.exists():
        return None
    try:
        return np.asarray(read_band(path, Window(0, 0, *cells.shape)), np.float32)
    except DamagedFileError:
        return None


def _rows(stack: InterferogramStack, pair: Pair, places: Sequence[FringePlace], cells: Grid) -> list[dict[str, Any]]:
    """Describe the candidates of a pair."""
    located = is_located(cells)
    rows = []
    for number, place in enumerate(places, 1):
        y, x = (float(v.mean()) for v in np.nonzero(place.mask))
        y, x = place.corner[0] + y, place.corner[1] + x
        row: dict[str, Any] = {
            "track": stack.track, "pair": pair.name, "candidate": number, "score": round(place.score, 4),
            "cells": place.cells, "area_m2": round(place.cells * math.prod(cells.spacing)),
            "slope": round(place.slope, 1) if math.isfinite(place.slope) else None,
        }  # fmt: skip
        if located:
            lonlat = cells.lonlat(np.array([y]), np.array([x]))
            row |= {name: round(float(v[0]), 6) for name, v in zip(("longitude", "latitude"), lonlat, strict=True)}
        rows.append(row)
    return rows


def _about_pair(track: str, pair: Pair, look: _Look, slope: NDArray[np.float32] | None) -> dict[str, Any]:
    """Count the candidates of a pair on slopes and on flats, beside the share of ground that is a slope."""
    told = np.isfinite(look.score)
    row: dict[str, Any] = {
        "track": track, "pair": pair.name, "days": pair.days, "cells": int(told.sum()), "candidates": len(look.places),
    }  # fmt: skip
    if slope is not None:
        steep = sum(place.slope >= _STEEP for place in look.places)
        ground = slope[np.isfinite(slope)]
        share = float((ground >= _STEEP).mean()) if ground.size else math.nan
        flat = sum(place.slope < _STEEP for place in look.places)
        row |= {"on_slopes": steep, "on_flats": flat, "slope_share": round(share, 4)}
    return row


def _outline(place: FringePlace, cells: Grid) -> Polygon:
    """Outline the cells of a candidate along their edges, in longitude and latitude."""
    y, x = np.nonzero(place.mask)
    y, x = y + place.corner[0], x + place.corner[1]
    # A hair wider, so that cells that touch at a corner are one.
    shape = shapely.union_all(shapely.box(x - 0.501, y - 0.501, x + 0.501, y + 0.501))

    def to_lonlat(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(cells.lonlat(corners[:, 1], corners[:, 0]))

    outline = shapely.transform(shape, to_lonlat)
    # A lookup table may have holes; a candidate in one has a row but no outline.
    if isinstance(outline, Polygon) and np.isfinite(shapely.get_coordinates(outline)).all():
        return outline
    return Polygon()


def _write_outlines(path: Path, rows: Sequence[dict[str, Any]], outlines: Sequence[Polygon]) -> None:
    """Write the layer `candidates` of a GeoPackage, of those that have a place."""
    placed = [row for row in rows if "longitude" in row]
    arrays = column_arrays(_COLUMNS, [[row[c.name] for c in _COLUMNS] for row in placed])
    with atomic_path(path) as temporary:
        try:
            write_layer(temporary, "candidates", _COLUMNS, arrays, outlines)
        except OGR_ERRORS as error:
            raise OutputError(f"{path}: cannot be written ({error}); free some space and run again") from error


def _draw(
    path: Path, pair: Pair, igram: NDArray[np.complex64], score: NDArray[np.float32], places: Sequence[FringePlace]
) -> None:
    """Draw the phase without what is large, with the candidates outlined, and the scores."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    phase = np.where(igram != 0, np.angle(igram), np.nan)
    shown = left.imshow(phase, cmap="twilight", vmin=-math.pi, vmax=math.pi, interpolation="nearest")
    figure.colorbar(shown, ax=left, shrink=0.8)
    left.set_title("wrapped phase without what is large, rad", fontsize=9)
    edges = (-0.5, score.shape[1] * CELL - 0.5, score.shape[0] * CELL - 0.5, -0.5)
    image = right.imshow(score, cmap="viridis", vmin=0, vmax=1, extent=edges, interpolation="nearest")
    figure.colorbar(image, ax=right, shrink=0.8)
    right.set_title("probability of fringes of a landslide", fontsize=9)
    for number, place in enumerate(places, 1):
        framed = np.kron(np.pad(place.mask, 1), np.ones((CELL, CELL))).astype(np.float32)
        y, x = ((corner - 1) * CELL for corner in place.corner)
        for axes in (left, right):
            axes.contour(
                np.arange(framed.shape[1]) + x, np.arange(framed.shape[0]) + y, framed, levels=[0.5], colors=["red"],
                linewidths=0.9,
            )  # fmt: skip
        left.annotate(str(number), (x + CELL, y + CELL), fontsize=7, color="red")
    for axes in (left, right):
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(f"{pair.reference} to {pair.secondary}, {pair.days} days", fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Write rows as CSV; only a line of names if there are none."""
    found = list(dict.fromkeys([*names, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, found, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
