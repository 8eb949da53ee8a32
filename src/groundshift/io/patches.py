"""How the ground around one target moved, pixel by pixel, as seen from one track: a netCDF4 file for each.

The file follows the CF conventions, so that xarray, QGIS and GDAL open it: dates, a map's coordinates with its
coordinate system, or the longitude and latitude of every pixel of a radar patch. It holds numbers and text only;
nothing in it is ever run.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
import xarray
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from groundshift.checks import check_positive, check_shape
from groundshift.errors import DamagedFileError, MissingFileError, UnknownFormatError
from groundshift.io.atomic import atomic_path
from groundshift.types import Grid, LookGeometry, MapGrid, Pair, RadarGrid

__all__ = ["PatchSeries", "patch_path", "read_patch", "write_patch"]

_VERSION = 1
_EPOCH = np.datetime64("1970-01-01", "D")
_UNSAFE = re.compile(r'[\x00-\x1f%/\\:*?"<>|]')
_DAYS = {"units": "days since 1970-01-01", "calendar": "standard"}

_BY_DATE = {
    "displacement": ("m", "displacement along the line of sight, positive towards the satellite"),
    "sigma": ("m", "standard error of the displacement"),
}
_BY_PIXEL = {
    "velocity": ("m year-1", "velocity along the line of sight, positive towards the satellite; years of 365.25 days"),
    "velocity_sigma": ("m year-1", "standard error of the velocity: 1.96 of it are half of the 95 % interval"),
    "temporal_coherence": ("1", "temporal coherence of the inversion"),
    "coherence": ("1", "mean coherence of the pairs"),
    "stacked_velocity": ("m year-1", "velocity integrated from the stacked gradients"),
    "height": ("m", "height of the terrain"),
}


@dataclass(frozen=True, eq=False)
class PatchSeries:
    """How the patch around one target moved along the line of sight of one track.

    Arrays are float32, NaN where nothing is known.
    """

    target: str
    """Identity of the target."""
    track: str
    grid: Grid
    """Pixels of the patch, at full resolution."""
    wavelength: float
    """Metres."""
    look: LookGeometry | None
    """None where the product does not tell."""
    dates: NDArray[np.datetime64]
    """(date,) in days, ascending."""
    displacement: NDArray[np.float32]
    """(date, y, x) metres, positive towards the satellite."""
    sigma: NDArray[np.float32]
    """(date, y, x) standard error in metres."""
    velocity: NDArray[np.float32]
    """(y, x) metres per year of 365.25 days, positive towards the satellite."""
    velocity_sigma: NDArray[np.float32]
    """(y, x) standard error in metres per year, of which 1.96 are half of the 95 % interval."""
    temporal_coherence: NDArray[np.float32]
    """(y, x) from 0 to 1."""
    coherence: NDArray[np.float32]
    """(y, x) mean over the pairs, from 0 to 1."""
    stacked_velocity: NDArray[np.float32]
    """(y, x) metres per year, integrated from the stacked gradients."""
    inside: NDArray[np.bool_]
    """(y, x) whether the pixel lies in the target."""
    height: NDArray[np.float32]
    """(y, x) metres."""
    reference: NDArray[np.intp]
    """(n, 2) rows and columns of the pixels whose mean displacement is zero."""
    pairs: tuple[Pair, ...]
    """Pairs that were used."""
    left_out: tuple[tuple[str, str], ...]
    """Name of each pair that was not, and why."""
    facts: Mapping[str, str]
    """What else is told of it, in order."""

    def __post_init__(self) -> None:
        check_positive("wavelength", self.wavelength)
        cube = (len(self.dates), *self.grid.shape)
        if np.any(np.diff(self.dates.astype("datetime64[D]")) <= np.timedelta64(0, "D")):
            raise ValueError("dates must ascend")
        for name in _BY_DATE:
            check_shape(name, getattr(self, name), cube)
        for name in (*_BY_PIXEL, "inside"):
            check_shape(name, getattr(self, name), self.grid.shape)
        check_shape("reference", self.reference, (len(self.reference), 2))
        if np.any((self.reference < 0) | (self.reference >= np.array(self.grid.shape))):
            raise ValueError(f"reference must hold pixels of a grid of {self.grid.shape}, instead got others")


def patch_path(folder: Path, target: str, track: str) -> Path:
    """Return where the series of a target seen from a track is kept, under a name that every file system allows.

    Examples
    --------
    >>> patch_path(Path("series"), "wm2x1nf-2", "T135").as_posix()
    'series/wm2x1nf-2-T135.nc'
    >>> patch_path(Path("series"), "upper/lower", "T135").as_posix()
    'series/upper%2Flower-T135.nc'
    """
    return folder / (_UNSAFE.sub(lambda found: quote(found[0], safe=""), f"{target}-{track}") + ".nc")


def write_patch(path: Path, patch: PatchSeries) -> None:
    """Write the series of a patch as netCDF4, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.

    Notes
    -----
    The longitude and latitude of a radar patch are kept at its pixel centres.
    """
    variables: dict[str, Any] = {
        **{
            name: (("date", "y", "x"), np.asarray(getattr(patch, name), np.float32), _said(*said))
            for name, said in _BY_DATE.items()
        },
        **{
            name: (("y", "x"), np.asarray(getattr(patch, name), np.float32), _said(*said))
            for name, said in _BY_PIXEL.items()
        },
        "inside": (("y", "x"), patch.inside.astype(np.int8), {"long_name": "whether the pixel lies in the target"}),
    }
    coordinates, placing = _map_place(patch.grid) if isinstance(patch.grid, MapGrid) else _radar_place(patch.grid)
    for _, _, attributes in variables.values():
        attributes.update(placing)
    fields = list(variables)
    variables.update(_tables(patch))
    days = (patch.dates.astype("datetime64[D]") - _EPOCH).astype(np.int32)
    coordinates["date"] = ("date", days, {"standard_name": "time", "long_name": "acquisition", **_DAYS})
    dataset = xarray.Dataset(variables, coordinates, _attributes(patch))
    # The checksum tells a file that has rotted from one that holds strange numbers.
    packed = {name: {"zlib": True, "complevel": 4, "shuffle": True, "fletcher32": True} for name in fields}
    # Made in memory: HDF5 takes the whole process down with it when the disk fills up.
    content = dataset.to_netcdf(engine="h5netcdf", encoding=packed)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read_patch(path: Path) -> PatchSeries:
    """Read the series of a patch that `write_patch` wrote.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there, is damaged, or is another netCDF file.
    UnknownFormatError
        If a newer Groundshift wrote it.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; run the survey again to make it")
    try:
        # Looked at by h5py first: on a root that is damaged h5netcdf complains once more while it is cleared away.
        with h5py.File(path) as file:  # type: ignore[attr-defined,no-untyped-call]  # h5py ships no types
            version = int(np.ravel(file.attrs["groundshift_patch"])[0])
        if version <= _VERSION:
            with xarray.open_dataset(path, engine="h5netcdf", decode_cf=False) as source:
                return _patch(source.load())
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, IndexError, CRSError) as error:
        raise DamagedFileError(f"{path}: damaged, or no series of a target; run the survey again") from error
    raise UnknownFormatError(
        f"{path}: written by a newer Groundshift (series {version}, this one reads up to {_VERSION}); "
        "upgrade Groundshift"
    )


def _said(units: str, long_name: str) -> dict[str, Any]:
    return {"units": units, "long_name": long_name}


def _attributes(patch: PatchSeries) -> dict[str, Any]:
    """Return what the file says about itself."""
    look = patch.look
    return {
        "Conventions": "CF-1.11",
        "title": f"Motion of the ground around target {patch.target} seen from track {patch.track}",
        "source": "Groundshift",
        "groundshift_patch": _VERSION,
        "target": patch.target,
        "track": patch.track,
        "wavelength": float(patch.wavelength),
        **(
            {}
            if look is None
            else {
                "heading": float(look.heading),
                "incidence": float(look.incidence),
                "looks": "right" if look.right_looking else "left",
            }
        ),
    }


def _tables(patch: PatchSeries) -> dict[str, Any]:
    """Return what goes by pair, by reference pixel and by fact."""

    def days(of: Callable[[Pair], date]) -> NDArray[np.int32]:
        found = np.array([of(p) for p in patch.pairs], "datetime64[D]")
        return (found - _EPOCH).astype(np.int32)

    baselines = [np.nan if p.perpendicular_baseline is None else p.perpendicular_baseline for p in patch.pairs]
    return {
        "pair_reference": ("pair", days(lambda p: p.reference), dict(_DAYS)),
        "pair_secondary": ("pair", days(lambda p: p.secondary), dict(_DAYS)),
        "perpendicular_baseline": ("pair", np.array(baselines, np.float64), {"units": "m"}),
        "reference_pixel": (
            ("reference", "axis"),
            np.asarray(patch.reference, np.int32),
            {"long_name": "row and column of the pixels whose mean displacement is zero"},
        ),
        "left_out_pair": ("left_out", np.array([name for name, _ in patch.left_out], str)),
        "left_out_reason": ("left_out", np.array([reason for _, reason in patch.left_out], str)),
        "fact_name": ("fact", np.array(list(patch.facts), str)),
        "fact_text": ("fact", np.array(list(patch.facts.values()), str)),
    }


def _map_place(grid: MapGrid) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the coordinates of a map, and the attributes by which a variable refers to them."""
    crs, t = CRS.from_user_input(grid.crs), grid.transform
    if crs.is_geographic:
        names, units = ("latitude", "longitude"), ("degrees_north", "degrees_east")
    else:
        names, units = ("projection_y_coordinate", "projection_x_coordinate"), (crs.axis_info[0].unit_name,) * 2
    place = {
        **{name: value for name, value in crs.to_cf().items() if isinstance(value, str | float | int)},
        "GeoTransform": " ".join(repr(float(v)) for v in (t.c, t.a, t.b, t.f, t.d, t.e)),
        "crs": grid.crs,
    }
    y, x = np.arange(grid.shape[0]) + 0.5, np.arange(grid.shape[1]) + 0.5
    return {
        "spatial_ref": ((), np.int32(0), place),
        "y": ("y", t.f + t.e * y, {"standard_name": names[0], "units": units[0], "axis": "Y"}),
        "x": ("x", t.c + t.a * x, {"standard_name": names[1], "units": units[1], "axis": "X"}),
    }, {"grid_mapping": "spatial_ref"}


def _radar_place(grid: RadarGrid) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the coordinates of a radar patch, and the attributes by which a variable refers to them."""
    place = {"long_name": "radar geometry: rows along azimuth, columns along range", "spacing": np.array(grid.spacing)}
    found: dict[str, Any] = {"radar_grid": ((), np.int32(0), place)}
    if grid.longitude is None or grid.latitude is None:
        return found, {}
    lon, lat = grid.lonlat(*np.mgrid[: grid.shape[0], : grid.shape[1]].astype(np.float64))
    found["longitude"] = (("y", "x"), lon, {"standard_name": "longitude", "units": "degrees_east"})
    found["latitude"] = (("y", "x"), lat, {"standard_name": "latitude", "units": "degrees_north"})
    return found, {}


def _patch(source: xarray.Dataset) -> PatchSeries:
    """Take a file apart."""

    def dates(name: str) -> NDArray[np.datetime64]:
        return _EPOCH + source[name].values.astype("timedelta64[D]")

    def texts(name: str) -> list[str]:
        return [str(text) for text in source[name].values]

    shape = (int(source.sizes["y"]), int(source.sizes["x"]))
    baselines = source["perpendicular_baseline"].values.astype(np.float64)
    a = source.attrs
    look = LookGeometry(float(a["heading"]), float(a["incidence"]), a["looks"] == "right") if "heading" in a else None
    return PatchSeries(
        target=str(a["target"]),
        track=str(a["track"]),
        grid=_grid(source, shape),
        wavelength=float(a["wavelength"]),
        look=look,
        dates=dates("date"),
        **{name: source[name].values.astype(np.float32) for name in (*_BY_DATE, *_BY_PIXEL)},
        inside=source["inside"].values.astype(bool),
        reference=source["reference_pixel"].values.astype(np.intp).reshape(-1, 2),
        pairs=tuple(
            Pair(first.item(), second.item(), None if np.isnan(baseline) else float(baseline))
            for first, second, baseline in zip(dates("pair_reference"), dates("pair_secondary"), baselines, strict=True)
        ),
        left_out=tuple(zip(texts("left_out_pair"), texts("left_out_reason"), strict=True)),
        facts=dict(zip(texts("fact_name"), texts("fact_text"), strict=True)),
    )


def _grid(source: xarray.Dataset, shape: tuple[int, int]) -> Grid:
    """Return the grid of a file."""
    if "spatial_ref" in source:
        place = source["spatial_ref"].attrs
        CRS.from_user_input(str(place["crs"]))
        c, a, b, f, d, e = (float(v) for v in str(place["GeoTransform"]).split())
        return MapGrid(shape, Affine(a, b, c, d, e, f), str(place["crs"]))
    along, across = (float(v) for v in source["radar_grid"].attrs["spacing"])
    if "longitude" not in source:
        return RadarGrid(shape, (along, across))
    lon, lat = (source[name].values.astype(np.float64) for name in ("longitude", "latitude"))
    check_shape("longitude", lon, shape)
    check_shape("latitude", lat, shape)
    return RadarGrid(shape, (along, across), lon, lat)
