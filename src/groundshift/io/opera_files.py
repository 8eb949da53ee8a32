"""Files of OPERA CSLC-S1 and COMPASS: where they lie, what their names and groups tell, in both layouts."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from groundshift.errors import GroundshiftError, ProductError
from groundshift.geometry.orbits import Orbit
from groundshift.io.agree import GridKey
from groundshift.io.dates import date_in_name
from groundshift.io.hdf5 import opened
from groundshift.io.slc_agree import split_burst
from groundshift.types import MapGrid

__all__ = [
    "POLARISATIONS",
    "ImageFile",
    "describe_image",
    "describe_static",
    "grid_key",
    "holds_image",
    "image_files",
    "read_orbit",
    "static_file",
]

POLARISATIONS = ("VV", "HH", "VH", "HV")
"""Names that an image may have; the first of them that most dates have is taken."""

_DEPTHS = ("*.h5", "*/*.h5", "*/*/*.h5")


class _Layout(NamedTuple):
    """Where the groups of a file are."""

    data: str
    metadata: str
    identification: str


_OLDER = ("science/SENTINEL1/CSLC/metadata", "science/SENTINEL1/identification")
_LAYOUTS = (
    _Layout("data", "metadata", "identification"),
    _Layout("science/SENTINEL1/CSLC/grids", *_OLDER),
)
_STATIC_GROUPS = ("data", "science/SENTINEL1/CSLC/grids/static_layers", "science/SENTINEL1/CSLC/grids")
_VECTORS = ("position", "velocity")
_STATIC_LAYERS = frozenset({"los_east", "los_north", "layover_shadow_mask", "z"})


class ImageFile(NamedTuple):
    """What the file of one date says of itself."""

    file: Path
    burst: str
    day: date
    data: str
    """Group of the images."""
    orbit: str
    """Group of the state vectors."""
    polarisations: tuple[str, ...]
    grid: MapGrid
    wavelength: float | None


def image_files(path: Path) -> Iterator[Path]:
    """Yield the HDF5 files at `path` that may be images: neither static layers nor what a processor compressed."""
    files = [path] if path.is_file() else (file for depth in _DEPTHS for file in sorted(path.glob(depth)))
    for file in files:
        name = file.name.lower()
        if name.endswith(".h5") and "static" not in name and not name.startswith("compressed"):
            yield file


def holds_image(file: Path) -> bool:
    """Whether a file holds an image of this product, whatever its name."""
    with suppress(GroundshiftError), opened(file) as source:
        return any(f"{layout.data}/{name}" in source for layout in _LAYOUTS for name in POLARISATIONS)
    return False


def static_file(root: Path, burst: str, image: Path) -> Path | None:
    """Return the static layers of a burst: the latest, by its name, of the nearest place that has some.

    Places are the folder of the image, the folder given with those below it, and the folders beside the one given.
    """
    folder = root if root.is_dir() else root.parent
    for place, depths in ((image.parent, _DEPTHS[:1]), (folder, _DEPTHS), (folder.resolve().parent, _DEPTHS[:2])):
        for depth in depths:
            named = place.glob(depth.replace("*.h5", "*[sS][tT][aA][tT][iI][cC]*.h5"))
            found = [file for file in named if split_burst(file.name)[0] == burst]
            if found:
                return max(found, key=lambda file: file.name)
    return None


def describe_image(file: Path) -> ImageFile:
    """Read what a file says of itself.

    Raises
    ------
    DamagedFileError
        If it cannot be decoded.
    ProductError
        If it holds no image, was not flattened, or does not tell grid, burst or date.
    """
    named, rest = split_burst(file.name)
    with opened(file) as source:
        layout = next((one for one in _LAYOUTS if one.data in source), _LAYOUTS[0])
        names = {name: f"{layout.data}/{name}" for name in POLARISATIONS}
        present = tuple(name for name, at in names.items() if at in source and source[at].dtype.kind == "c")
        if not present:
            raise ProductError(f"{file}: no complex image VV, HH, VH or HV in it; fetch the file again")
        processing = f"{layout.metadata}/processing_information"
        for name in ("ellipsoidal_flattening_applied", "topographic_flattening_applied"):
            if not _value(source, f"{processing}/parameters/{name}", True):
                raise ProductError(f"{file}: made without flattening; process it again with flattening on")
        grid = _grid(file, source, layout.data, source[names[present[0]]].shape)
        groups = [f"{processing}/{name}" for name in ("input_burst_metadata", "s1_burst_metadata")]
        wavelengths = [float(_value(source, f"{group}/wavelength", 0.0)) for group in groups]
        burst = split_burst(_text(source, f"{layout.identification}/burst_id"))[0] or named
        times = [f"{layout.identification}/zero_doppler_start_time", *(f"{group}/sensing_start" for group in groups)]
        days = [date_in_name(_text(source, time)) for time in times]
    day = next((day for day in [*days, date_in_name(rest)] if day is not None), None)
    if burst is None or day is None:
        what = "burst" if burst is None else "date"
        raise ProductError(f"{file}: does not tell its {what}; name it by it, such as t144_308029_iw1_20240624.h5")
    wavelength = next((value for value in wavelengths if 0.001 < value < 2), None)
    return ImageFile(file, burst, day, layout.data, f"{layout.metadata}/orbit", present, grid, wavelength)


def describe_static(file: Path) -> tuple[str, frozenset[str], MapGrid]:
    """Return the group of the static layers of a file, which of them it has, and their grid.

    Raises
    ------
    DamagedFileError
        If it cannot be decoded.
    ProductError
        If it has none.
    """
    with opened(file) as source:
        for group in _STATIC_GROUPS:
            layers = frozenset(_STATIC_LAYERS & set(source[group])) if group in source else frozenset()
            if layers:
                return group, layers, _grid(file, source, group, source[f"{group}/{min(layers)}"].shape)
    raise ProductError(f"{file}: no static layers in it; fetch the file again")


def read_orbit(image: ImageFile) -> Orbit | None:
    """Read the orbit of a date, or None where the file has none that can be used."""
    with suppress(GroundshiftError), opened(image.file) as source:
        group = source[image.orbit]
        vectors = [np.stack([group[f"{kind}_{axis}"][()] for axis in "xyz"], axis=1) for kind in _VECTORS]
        return Orbit(*(_doubles(values) for values in (group["time"][()], *vectors)))
    return None


def grid_key(grid: MapGrid) -> GridKey:
    """Return what tells a grid from others: its place to a millimetre."""
    digits = 8 if grid.crs == "EPSG:4326" else 3
    return GridKey(grid.shape, (*(round(float(v), digits) for v in grid.transform[:6]), grid.crs))


def _doubles(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return float64 in machine byte order."""
    return np.ascontiguousarray(values, np.float64)


def _value(source: Any, name: str, otherwise: Any) -> Any:
    """Return a single value of a file, or `otherwise` where it is not there."""
    return source[name][()] if name in source else otherwise


def _text(source: Any, name: str) -> str:
    """Return a text of a file, empty where it is not there."""
    value = _value(source, name, "")
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _grid(file: Path, source: Any, group: str, shape: tuple[int, ...]) -> MapGrid:
    """Return the grid of a group; coordinates are those of pixel centres."""
    x, y = source[f"{group}/x_coordinates"], source[f"{group}/y_coordinates"]
    if (len(y), len(x)) != tuple(shape) or min(shape) < 2:
        raise ProductError(f"{file}: {len(y)} x {len(x)} coordinates for pixels of shape {shape}; fetch it again")
    dy, dx = (float(one[-1] - one[0]) / (len(one) - 1) for one in (y, x))
    epsg = int(_value(source, f"{group}/projection", 0))
    if not (np.isfinite(dy) and np.isfinite(dx) and dy and dx and epsg):
        raise ProductError(f"{file}: does not tell where its pixels lie; fetch the file again")
    transform = Affine(dx, 0, float(x[0]) - dx / 2, 0, dy, float(y[0]) - dy / 2)
    return MapGrid((int(shape[0]), int(shape[1])), transform, f"EPSG:{epsg}")
