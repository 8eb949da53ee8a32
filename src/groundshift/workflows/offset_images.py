"""Amplitude images of all sensors laid over one of them: opened, put on the ground, brought into its geometry, kept."""

import csv
import hashlib
import io
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from groundshift import __version__
from groundshift.errors import DamagedFileError, GroundshiftError, NoDataError, ProductError
from groundshift.geometry.orbits import earth_fixed
from groundshift.io.amplitude import AmplitudeImage
from groundshift.io.amplitudes import open_amplitudes
from groundshift.io.atomic import write_text
from groundshift.io.rasters import raster_grid, write_geotiff
from groundshift.offsets.errors import RegistrationError
from groundshift.offsets.lookup import GroundGrid, ground_of
from groundshift.offsets.ortho import orthorectify
from groundshift.offsets.refine import Residual, register_to_dem
from groundshift.types import RadarGrid, Window
from groundshift.workflows.offsets_config import OffsetsConfig, SceneConfig
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import SourceFile

__all__ = ["Dem", "Laid", "choose_reference", "find_images", "lay_over", "looked_at", "read_dem"]

_MARKS = "marks.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")
_PART = 200
"""Nodes of the elevation model along a side, at least, that tell which part of the reference an area is."""


class Dem(NamedTuple):
    """An elevation model; heights are metres above the ellipsoid, NaN where unknown."""

    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    height: NDArray[np.float64]
    path: Path


@dataclass(frozen=True)
class Laid:
    """Images on the pixels of the reference."""

    reference: AmplitudeImage
    ground: GroundGrid
    images: tuple[AmplitudeImage, ...]
    """Those that could be laid over, by date; the reference is one of them."""
    folder: Path
    left_out: tuple[str, ...]
    """Why others could not."""

    def path(self, image: AmplitudeImage) -> Path:
        """Where an image lies."""
        sensor = _UNSAFE.sub("-", image.sensor)  # as files of all kinds give it
        return self.folder / f"{sensor}_{image.day:%Y%m%d}.tif"

    def read(self, image: AmplitudeImage) -> NDArray[np.float32]:
        """Read an image, (y, x) amplitude, zero without data.

        Raises
        ------
        DamagedFileError
            If the file has been damaged since.
        """
        try:
            with rasterio.open(self.path(image)) as source:
                return np.asarray(source.read(1), np.float32)
        except (RasterioError, OSError) as error:
            raise DamagedFileError(f"{self.path(image)}: cannot be read; remove it and run again") from error


def find_images(config: OffsetsConfig, reporter: Reporter) -> list[AmplitudeImage]:
    """Open all images; those that cannot be used are named.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened, or holds none.
    ProductError
        If two images are of one day.
    """
    images: list[AmplitudeImage] = []
    for path in config.inputs:
        found = open_amplitudes(path, product=config.product)
        images += [image for image in found.images if not config.sensors or image.sensor in config.sensors]
        for problem in found.problems:
            reporter.warn(problem.message)
    images.sort(key=lambda image: (image.day, image.sensor))
    for one, other in itertools.pairwise(images):
        if one.day == other.day:
            raise ProductError(
                f"{one.path} ({one.sensor}) and {other.path} ({other.sensor}) are both of {one.day}; dates tell images "
                "apart, so leave one out, or choose with --sensors (--amplitude-sensors of a survey)"
            )
    if len(images) < 2:
        raise NoDataError(f"offsets need at least two images, instead got {len(images)}; add images of other dates")
    return images


def choose_reference(images: Sequence[AmplitudeImage], scene: SceneConfig) -> AmplitudeImage:
    """Return the image that the others are laid over.

    Raises
    ------
    NoDataError
        If there is none of the date and sensor asked for.
    """
    sensor, day = scene.wanted
    if day is not None:
        for image in images:
            if image.day == day and sensor in (None, image.sensor):
                return image
        known = ", ".join(f"{i.sensor}={i.day}" for i in images[:6])
        raise NoDataError(f"--reference: no image of {scene.reference}; there are {known}{' ...' * (len(images) > 6)}")
    sensors = [image.sensor for image in images]
    most = max(dict.fromkeys(sensors), key=sensors.count)
    own = [image for image in images if image.sensor == most]
    return own[len(own) // 2]


def read_dem(scene: SceneConfig) -> Dem:
    """Read the elevation model, around the area if there is one.

    Raises
    ------
    NoDataError
        If none is given, or it does not cover the area.
    DamagedFileError
        If it cannot be read.
    """
    if scene.dem is None:
        raise NoDataError("no elevation model given; name one that covers the images with --dem")
    grid = raster_grid(scene.dem)
    with rasterio.open(scene.dem) as source:
        try:
            band = source.read(1, masked=True)
        except RasterioError as error:
            raise DamagedFileError(f"{scene.dem}: cannot be read; fetch the file again") from error
    height = np.asarray(band.astype(np.float64).filled(np.nan), np.float64) + scene.geoid
    longitude, latitude = grid.lonlat(*np.mgrid[: grid.shape[0], : grid.shape[1]].astype(np.float64))
    if not np.isfinite(height).any():
        raise NoDataError(f"{scene.dem}: holds no heights; choose another elevation model")
    return Dem(longitude, latitude, height, scene.dem)


def looked_at(reference: AmplitudeImage, dem: Dem, scene: SceneConfig) -> Window:
    """Return the part of the reference that shows the area asked for.

    Raises
    ------
    NoDataError
        If the reference does not show it, or the elevation model does not cover it.
    """
    if scene.area is None:
        return reference.full
    west, south, east, north = scene.area
    inside = (dem.longitude >= west) & (dem.longitude <= east) & (dem.latitude >= south) & (dem.latitude <= north)
    inside &= np.isfinite(dem.height)
    if not inside.any():
        raise NoDataError(f"{dem.path}: does not cover --area; give a model that does")
    rows, columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    every = tuple(max(1, (len(n)) // _PART) for n in (rows, columns))
    lon, lat, height = (a[box][:: every[0], :: every[1]] for a in (dem.longitude, dem.latitude, dem.height))
    place = reference.geometry.place(earth_fixed(lon, lat, height))
    shown = np.isfinite(place.row) & np.isfinite(place.column)
    limits = []
    for places, size in zip((place.row, place.column), reference.geometry.shape, strict=True):
        low = int(np.floor(np.min(places[shown], initial=np.inf))) if shown.any() else 0
        high = int(np.ceil(np.max(places[shown], initial=-np.inf))) if shown.any() else -1
        limits.append((max(low, 0), min(high, size - 1)))
    (top, bottom), (left, right) = limits
    if top >= bottom or left >= right:
        raise NoDataError(f"{reference.path}: does not show --area; choose another area or reference")
    return Window(top, left, bottom - top + 1, right - left + 1)


def lay_over(config: OffsetsConfig, images: Sequence[AmplitudeImage], reporter: Reporter) -> Laid:
    """Bring all images into the geometry of the reference; what an earlier run has made is kept.

    Leaves `ortho/SENSOR_DATE.tif` and `images.csv`, with what each image was off by before and after.

    Raises
    ------
    GroundshiftError
        If the elevation model does not do, the reference cannot be put on it, or fewer than two images are left.
    """
    reference = choose_reference(images, config.scene)
    dem = read_dem(config.scene)
    window = looked_at(reference, dem, config.scene)
    name = f"{reference.path}: {reference.sensor} of {reference.day}"
    folder = config.output / "ortho"
    ground = ground_of(reference.geometry, dem.longitude, dem.latitude, dem.height, window, name=name)
    amplitude = reference.read(window)
    if config.scene.match_relief:
        try:
            moved = register_to_dem(amplitude, ground, name=name)
        except RegistrationError as error:
            reporter.warn(f"{error}; its orbit is trusted")
        else:
            reporter.say(
                f"{reference.sensor} of {reference.day}: {moved.azimuth:+.1f} rows and {moved.range:+.1f} columns "
                "beside the elevation model, corrected"
            )
            ground = ground_of(moved.geometry, dem.longitude, dem.latitude, dem.height, window, name=name)
    kept = _Kept(folder, [_mark(reference), _mark_of(dem.path), config.scene.model_dump(mode="json"), list(window)])
    laid, rows, reasons = [], [], []
    draft = Laid(reference, ground, (), folder, ())
    grid = RadarGrid((window.height, window.width), (1.0, 1.0))
    with reporter.bar("laying images over", len(images)) as advance:
        for image in images:
            path = draft.path(image)
            told = kept.recall(path, image)
            try:
                if told is None:
                    if image is reference:
                        made, residuals = amplitude, None
                    else:
                        ortho = orthorectify(amplitude, ground, image, search=config.scene.ortho_search)
                        made, residuals = ortho.amplitude, ortho.residuals
                    write_geotiff(path, made, grid, nodata=0.0, description="amplitude")
                    told = kept.keep(path, image, residuals)
            except GroundshiftError as error:
                reporter.warn(f"{error}; image left out")
                reasons.append(str(error))
            else:
                laid.append(image)
                rows.append([str(image.day), image.sensor, str(image.path), *told])
            advance()
    if len(laid) < 2:
        raise NoDataError(f"{reasons[0]}; no image is left to compare the reference with")
    _write_table(config.output / "images.csv", rows)
    reporter.log("laid over", images=len(laid), left_out=len(reasons))
    if reasons:
        reporter.say(f"{count_of(len(laid), 'image')} laid over, {len(reasons)} left out")
    return Laid(reference, ground, tuple(laid), folder, tuple(reasons))


class _Kept:
    """The images that are there, and from what each was made."""

    def __init__(self, folder: Path, facts: list[Any]) -> None:
        self._folder, self._facts = folder, [__version__, *facts]
        try:
            found = json.loads((folder / _MARKS).read_text("utf-8"))
        except (OSError, ValueError):
            found = {}
        self._known: dict[str, Any] = found if isinstance(found, dict) else {}

    def recall(self, path: Path, image: AmplitudeImage) -> list[str] | None:
        """Return what was told of an image; None unless it is there and made from the same."""
        known = self._known.get(path.name)
        if not (isinstance(known, dict) and known.get("mark") == self._digest(image) and path.exists()):
            return None
        told = known.get("told")
        return [str(t) for t in told] if isinstance(told, list) else None

    def keep(self, path: Path, image: AmplitudeImage, residuals: Sequence[Residual] | None) -> list[str]:
        """Note that an image is there; return what is told of it."""
        told = [] if residuals is None else [str(residuals[0].patches)]
        told += [f"{v:.3f}" for r in residuals or () for v in (r.azimuth, r.range)]
        self._known[path.name] = {"mark": self._digest(image), "told": told}
        write_text(self._folder / _MARKS, json.dumps(self._known, indent=1) + "\n")
        return told

    def _digest(self, image: AmplitudeImage) -> str:
        """Tell from what an image is made."""
        return hashlib.sha256(json.dumps([*self._facts, _mark(image)], default=str).encode()).hexdigest()


def _mark(image: AmplitudeImage) -> list[Any]:
    """Tell the files of an image from others."""
    return [_mark_of(f) for f in image.files or (image.path,)]


def _mark_of(path: Path) -> tuple[str, int, int]:
    """Tell a file from others."""
    return SourceFile.of(path).mark


def _write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write what each image was off by, pixels of the reference: before, after one correction, after two."""
    names = [f"{part}_{when}_px" for when in ("before", "once", "after") for part in ("azimuth", "range")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["date", "sensor", "path", "patches", *names])
    writer.writerows(rows)
    write_text(path, text.getvalue())
