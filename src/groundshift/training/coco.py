"""Labelled images in the form of COCO (Lin et al. (2014), "Microsoft COCO"): one JSON file beside its images.

An image is either an `.npz` with the array `planes`, all that a network sees, or a GeoTIFF of two bands: the summed
phase differences along rows and along columns, radians per node, as Fu et al. (2022) shows them. Of the latter neither
standard errors nor coherence are known: the scatter of each map stands for the former, 0.5 for the latter. Detectors of
boxes see no difference; those of bodies are better taught with planes.
"""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from shapely import Polygon, box

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.detect.planes import PLANES, REFERENCE_PIXEL, radians_per_gradient
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.training.augment import LEAST_NODES
from groundshift.training.data import Samples
from groundshift.training.samples import IGNORED, Body, Sample

__all__ = ["CocoSamples", "coco_samples", "planes_of_radians"]

_PAPER_YEARS = 19.0
"""Summed temporal baselines of Fu et al. (2022), years; with them radians become velocities unless an image tells."""
_NORMAL = 1.4826
"""Standard deviations of a normal distribution per median absolute deviation."""


class CocoSamples(Samples):
    """Images of a COCO file, read when they are asked for.

    Parameters
    ----------
    path : path
        The JSON file.
    images : sequence of dict
        Its images.
    marks : dict
        The annotations of each image by its id.
    """

    def __init__(self, path: Path, images: Sequence[dict[str, Any]], marks: dict[Any, list[dict[str, Any]]]) -> None:
        self._path, self._images, self._marks = path, images, marks

    def __len__(self) -> int:
        return len(self._images)

    def one(self, k: int) -> Sample:
        """Read an image and draw its annotations.

        Raises
        ------
        MissingFileError, DamagedFileError
            If the image is not there, cannot be read, or an annotation has another form.
        """
        image = self._images[k]
        file = self._path.parent / str(image["file_name"])
        if not file.is_file():
            raise MissingFileError(f"{file}: no such image, though {self._path.name} names it; check its place")
        planes, facts = _read_planes(file, image) if file.suffix == ".npz" else _read_radians(file, image)
        labels, bodies = self._draw(image, planes.shape[1:], facts["pixel_m"])
        return Sample(
            planes, labels, bodies, self.scene(k), str(image.get("window", "all")),
            facts["pixel_m"], facts["radians"], int(facts["total_pairs"]),
        )  # fmt: skip

    def scene(self, k: int) -> str:
        """Return the scene of an image: its field `scene`, else the name of its file."""
        image = self._images[k]
        return str(image.get("scene") or Path(str(image["file_name"])).stem)

    def _draw(
        self, image: dict[str, Any], shape: tuple[int, ...], pixel_m: float
    ) -> tuple[NDArray[np.uint8], tuple[Body, ...]]:
        """Draw the annotations of an image, the smaller ones over the larger ones."""
        labels = np.zeros(shape, np.uint8)
        bodies: list[Body] = []
        masks = [(self._mask(image, mark, shape), mark) for mark in self._marks.get(image["id"], [])]
        for mask, mark in sorted(masks, key=lambda one: -int(one[0].sum())):
            few = np.count_nonzero(mask) < LEAST_NODES
            if mark.get("iscrowd") or few or len(bodies) == IGNORED - 1:
                labels[mask] = IGNORED
                continue
            rows, columns = np.nonzero(mask)
            sides = sorted((float(np.ptp(rows) + 1) * pixel_m, float(np.ptp(columns) + 1) * pixel_m))
            bodies.append(Body(float("nan"), float("nan"), sides[1], sides[0], "unknown"))
            labels[mask] = len(bodies)
        return labels, tuple(bodies)

    def _mask(self, image: dict[str, Any], mark: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Draw one annotation: polygons, run lengths, or a box if there is nothing else."""
        outline = mark.get("segmentation")
        try:
            if isinstance(outline, dict):
                return _runs(outline, shape)
            if outline:
                parts: list[Any] = [Polygon(np.asarray(ring, np.float64).reshape(-1, 2)) for ring in outline]
            else:
                x, y, width, height = map(float, mark["bbox"])
                parts = [box(x, y, x + width, y + height)]
            drawn = rasterize(parts, shape, transform=Affine.identity(), dtype="uint8")
        except (KeyError, ValueError, TypeError) as error:
            raise DamagedFileError(
                f"{self._path}: annotation {mark.get('id')} of {image['file_name']} cannot be drawn ({error}); give "
                "polygons, run lengths as numbers, or a bbox"
            ) from error
        return np.asarray(drawn, np.bool_)


def coco_samples(path: Path) -> CocoSamples:
    """Open a COCO file.

    Parameters
    ----------
    path : path
        JSON of `images` (`id`, `file_name` beside the JSON, and optionally `scene`, `window`, `pixel_m` and `radians`,
        the radians per mm/yr of difference between neighbouring nodes) and `annotations` (`image_id` and a
        `segmentation` of polygons or run lengths, or a `bbox`). `iscrowd` marks what counts neither way. All categories
        are landslides.

    Raises
    ------
    DamagedFileError
        If it is not JSON of that form.
    NoDataError
        If it names no image.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        images, annotations = found["images"], found["annotations"]
        marks: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in images}
        for image in images:
            _ = image["file_name"]
        for annotation in annotations:
            marks[annotation["image_id"]].append(annotation)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedFileError(f"{path}: not a COCO file ({type(error).__name__}: {error}); export it again") from error
    if not images:
        raise NoDataError(f"{path}: names no image; export it with its images")
    return CocoSamples(path, images, marks)


def planes_of_radians(radians: NDArray[np.float32], per_gradient: float, pixel_m: float) -> NDArray[np.float32]:
    """Make planes of summed phase differences alone.

    Parameters
    ----------
    radians : (2, y, x) float array
        Along rows and columns, radians per node; NaN without data.
    per_gradient : float
        Radians per mm/yr of difference between neighbouring nodes.
    pixel_m : float
        Distance of nodes.

    Returns
    -------
    (8, y, x) float32 array
        The standard error is 1.4826 times the median absolute deviation of each map; the coherence is 0.5.
    """
    known = np.isfinite(radians).all(0)
    gradient = np.where(known, np.nan_to_num(radians) / per_gradient * (REFERENCE_PIXEL / pixel_m), 0)
    planes = np.zeros((len(PLANES), *known.shape), np.float32)
    for k, axis in enumerate(("y", "x")):
        values = gradient[k][known]
        middle = np.median(values) if values.size else 0.0
        sigma = max(float(_NORMAL * np.median(np.abs(values - middle))) if values.size else 0.0, 1e-3)
        planes[PLANES.index(f"gradient_{axis}")] = np.clip(gradient[k], -200, 200)
        planes[PLANES.index(f"sigma_{axis}")] = min(sigma, 200.0)
        planes[PLANES.index(f"significance_{axis}")] = np.clip(gradient[k] / sigma, -50, 50)
    planes[PLANES.index("coherence")] = 0.5
    planes[PLANES.index("known")] = 1
    return np.asarray(planes * known, np.float32)


def _read_planes(file: Path, image: dict[str, Any]) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Read planes and what the file tells of them."""
    try:
        with np.load(file, allow_pickle=False) as data:
            planes = np.asarray(data["planes"], np.float32)
            told = {name: float(data[name]) for name in ("pixel_m", "radians", "total_pairs") if name in data}
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise DamagedFileError(f"{file}: holds no planes ({error}); write the array `planes` with np.savez") from error
    if planes.ndim != 3 or planes.shape[0] != len(PLANES):
        raise DamagedFileError(f"{file}: planes must have shape ({len(PLANES)}, y, x), instead got {planes.shape}")
    return planes, _facts(image, told)


def _read_radians(file: Path, image: dict[str, Any]) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Read two bands of radians."""
    try:
        with rasterio.open(file) as source:
            if source.count != 2:
                raise DamagedFileError(
                    f"{file}: expected two bands, the summed phase differences along rows and along columns, instead "
                    f"got {source.count}; write both in one file"
                )
            radians = source.read(out_dtype="float32", masked=True).filled(np.nan)
            metric = source.crs is not None and source.crs.is_projected
            told = {"pixel_m": float(abs(source.transform.a))} if metric else {}
    except RasterioError as error:
        raise DamagedFileError(f"{file}: cannot be read as an image ({error}); export it again") from error
    facts = _facts(image, told)
    return planes_of_radians(radians, facts["radians"], facts["pixel_m"]), facts


def _facts(image: dict[str, Any], told: dict[str, float]) -> dict[str, float]:
    """Join what the JSON, the file and the paper say."""
    default = {
        "pixel_m": REFERENCE_PIXEL,
        "radians": radians_per_gradient(_PAPER_YEARS, SENTINEL1_WAVELENGTH),
        "total_pairs": 0.0,
    }
    given = {name: float(image[name]) for name in default if isinstance(image.get(name), int | float)}
    return default | told | given


def _runs(outline: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Draw run lengths, which go down the columns and begin with zeros."""
    counts = outline["counts"]
    if isinstance(counts, str) or list(outline["size"]) != list(shape):
        raise ValueError("run lengths must be numbers for the size of the image")
    lengths = np.asarray(counts, np.int64)
    flat = np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
    return np.asarray(flat.reshape(shape[1], shape[0]).T)
