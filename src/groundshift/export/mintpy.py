"""The series of one target as MintPy keeps them: `timeseries.h5`, `velocity.h5` and the geometry, in HDF5.

Everything lies at the root of a file and attributes are text, as MintPy has it (its documentation, data structure and
attributes). Displacement is in metres and velocity in metres per year, positive towards the satellite on both sides, so
that no number changes. NaN is not known.
"""

import io
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from groundshift.constants import EARTH_RADIUS
from groundshift.errors import OutputError, ProductError
from groundshift.io.atomic import atomic_path
from groundshift.io.lookup import wrapped_degrees
from groundshift.io.patches import PatchSeries
from groundshift.types import LookGeometry, MapGrid, Pair, RadarGrid

__all__ = ["export_mintpy"]

_PROCESSOR = "groundshift"
_GEOMETRIES = ("geometryGeo.h5", "geometryRadar.h5")

Layers = Mapping[str, tuple[NDArray[Any], str]]
"""Arrays by their name in MintPy, each with its unit, or "" for none."""


def export_mintpy(path: Path, patch: PatchSeries) -> tuple[Path, ...]:
    """Write the series of a target as MintPy reads them, all files or none.

    Parameters
    ----------
    path : path
        Named `timeseries.h5`; `velocity.h5` and `geometryGeo.h5`, or `geometryRadar.h5` for a patch in radar geometry,
        come beside it, where MintPy looks for them.
    patch : PatchSeries
        One target seen from one track.

    Returns
    -------
    tuple of path
        What was written.

    Raises
    ------
    ValueError
        If `path` is not named `timeseries.h5`.
    ProductError
        If the coordinate system of the patch is one that MintPy has no attributes for.
    OutputError
        If a file cannot be written, or one that stands there is not of ours.

    Notes
    -----
    MintPy knows one reference pixel, while ours is the mean of several. `REF_Y` and `REF_X` name the one of them whose
    own series is nearest to that mean; its series is not exactly zero. Perpendicular baselines of the dates are written
    where those of the pairs tell them all. A map whose rows run from south to north is turned.
    """
    path = Path(path)
    if path.name != "timeseries.h5":
        raise ValueError(f"path must be named timeseries.h5, instead got {path}")
    patch = _north_up(patch)
    on_map = isinstance(patch.grid, MapGrid)
    geometry, stale = (path.with_name(name) for name in (_GEOMETRIES if on_map else reversed(_GEOMETRIES)))
    shared = _shared(patch)
    measured = {**shared, "REF_DATE": shared["START_DATE"], **_reference(patch)}
    files = {
        path: _timeseries(patch, measured),
        path.with_name("velocity.h5"): _velocity(patch, measured),
        geometry: _geometry(patch, shared),
    }
    for place in (*files, stale):
        _check_ours(place)
    with ExitStack() as stack:
        for place, content in files.items():
            stack.enter_context(atomic_path(place)).write_bytes(content)
    stale.unlink(missing_ok=True)
    return tuple(files)


def _north_up(patch: PatchSeries) -> PatchSeries:
    """Turn a map so that its rows run from north to south and its columns from west to east, as MintPy has them."""
    grid = patch.grid
    if not isinstance(grid, MapGrid) or grid.axis_signs == (-1, 1):
        return patch
    (y_sign, x_sign), (height, width), t = grid.axis_signs, grid.shape, grid.transform
    corner = (t.c if x_sign > 0 else t.c + t.a * width, t.f if y_sign < 0 else t.f + t.e * height)
    rows, columns = patch.reference.T
    arrays = {field.name: getattr(patch, field.name) for field in fields(patch) if field.name != "reference"}
    turned: dict[str, Any] = {
        name: array[..., ::-y_sign, ::x_sign]
        for name, array in arrays.items()
        if isinstance(array, np.ndarray) and array.ndim >= 2
    }
    return replace(
        patch,
        grid=replace(grid, transform=Affine(abs(t.a), 0, corner[0], 0, -abs(t.e), corner[1])),
        reference=np.stack(
            [rows if y_sign < 0 else height - 1 - rows, columns if x_sign > 0 else width - 1 - columns], axis=1
        ),
        **turned,
    )


def _shared(patch: PatchSeries) -> dict[str, str]:
    """Return the attributes of all files."""
    days = _days(patch)
    grid = patch.grid
    return {
        "PROCESSOR": _PROCESSOR,
        "PROJECT_NAME": patch.track,
        "DATA_TYPE": "float32",
        "LENGTH": str(grid.shape[0]),
        "WIDTH": str(grid.shape[1]),
        "WAVELENGTH": repr(float(patch.wavelength)),
        "START_DATE": days[0],
        "END_DATE": days[-1],
        **(_map_attributes(grid) if isinstance(grid, MapGrid) else _radar_attributes(grid, patch.look)),
        **_look_attributes(patch.look),
    }


def _days(patch: PatchSeries) -> list[str]:
    """Write the dates as MintPy does."""
    return [f"{day:%Y%m%d}" for day in patch.dates.astype("datetime64[D]").tolist()]


def _timeseries(patch: PatchSeries, attributes: Mapping[str, str]) -> memoryview:
    """Return the file of displacements."""
    layers: dict[str, tuple[NDArray[Any], str]] = {
        "date": (np.array(_days(patch), "S8"), ""),
        "timeseries": (patch.displacement, "m"),
    }
    baselines = _date_baselines(patch)
    if baselines is not None:
        layers["bperp"] = (baselines, "m")
    return _file(layers, {**attributes, "FILE_TYPE": "timeseries", "UNIT": "m"})


def _velocity(patch: PatchSeries, attributes: Mapping[str, str]) -> memoryview:
    """Return the file of velocities."""
    layers = {"velocity": (patch.velocity, "m/year"), "velocityStd": (patch.velocity_sigma, "m/year")}
    dates = f"{attributes['START_DATE']}_{attributes['END_DATE']}"
    return _file(layers, {**attributes, "FILE_TYPE": "velocity", "UNIT": "m/year", "DATE12": dates})


def _geometry(patch: PatchSeries, attributes: Mapping[str, str]) -> memoryview:
    """Return the file of heights, places and angles."""
    grid = patch.grid
    layers: dict[str, tuple[NDArray[Any], str]] = {"height": (patch.height, "m")}
    if isinstance(grid, RadarGrid) and grid.longitude is not None:
        lon, lat = grid.lonlat(*np.mgrid[: grid.shape[0], : grid.shape[1]].astype(np.float64))
        layers |= {"latitude": (lat, "degree"), "longitude": (lon, "degree")}
    if patch.look is not None:
        east, north, _ = patch.look.to_satellite
        # Towards the satellite, anticlockwise from north.
        azimuth = np.degrees(np.arctan2(-east, north))
        layers["incidenceAngle"] = (np.full(grid.shape, patch.look.incidence, np.float32), "degree")
        layers["azimuthAngle"] = (np.full(grid.shape, azimuth, np.float32), "degree")
    return _file(layers, {**attributes, "FILE_TYPE": "geometry", "UNIT": "m"})


def _map_attributes(grid: MapGrid) -> dict[str, str]:
    """Say where a map lies: the outer corner of its first pixel, and the size of a pixel."""
    crs, t = CRS.from_user_input(grid.crs), grid.transform
    code = crs.to_epsg()
    metres = crs.is_projected and float(crs.axis_info[0].unit_conversion_factor) == 1.0
    if code is None or not (crs.is_geographic or metres):
        raise ProductError(
            f"a map in {crs.name} has no attributes in MintPy, which wants an EPSG code in degrees or metres; "
            "reproject the interferograms"
        )
    unit = "degrees" if crs.is_geographic else "meters"
    zone = {"UTM_ZONE": crs.utm_zone} if crs.utm_zone else {}
    return {
        "X_FIRST": repr(float(t.c)),
        "Y_FIRST": repr(float(t.f)),
        "X_STEP": repr(float(t.a)),
        "Y_STEP": repr(float(t.e)),
        "X_UNIT": unit,
        "Y_UNIT": unit,
        "EPSG": str(code),
        **zone,
    }


def _radar_attributes(grid: RadarGrid, look: LookGeometry | None) -> dict[str, str]:
    """Say how large a radar pixel is: along the ground track, and along the beam."""
    found = {"AZIMUTH_PIXEL_SIZE": repr(float(grid.spacing[0])), "EARTH_RADIUS": repr(float(EARTH_RADIUS))}
    if look is not None:
        found["RANGE_PIXEL_SIZE"] = repr(float(grid.spacing[1] * np.sin(np.radians(look.incidence))))
    return found


def _look_attributes(look: LookGeometry | None) -> dict[str, str]:
    """Say how the satellite looks."""
    if look is None:
        return {}
    return {
        "HEADING": repr(wrapped_degrees(look.heading)),
        "ORBIT_DIRECTION": look.direction.upper(),
        "ANTENNA_SIDE": "-1" if look.right_looking else "1",
        "CENTER_INCIDENCE_ANGLE": repr(float(look.incidence)),
    }


def _reference(patch: PatchSeries) -> dict[str, str]:
    """Name the reference pixel whose series is nearest to zero."""
    if not len(patch.reference):
        return {}
    rows, columns = patch.reference.T
    square = patch.displacement[:, rows, columns].astype(np.float64) ** 2
    known = np.isfinite(square)
    size = np.where(known, square, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    y, x = patch.reference[int(np.argmin(np.where(known.any(axis=0), size, np.inf)))].tolist()
    found: dict[str, str] = {}
    lon, lat = (float(v) for v in patch.grid.lonlat(np.float64(y), np.float64(x)))  # type: ignore[arg-type]
    if np.isfinite(lon) and np.isfinite(lat):
        found = {"REF_LON": repr(lon), "REF_LAT": repr(lat)}
    return {"REF_Y": str(y), "REF_X": str(x), **found}


def _date_baselines(patch: PatchSeries) -> NDArray[np.float32] | None:
    """Return perpendicular baselines of the dates in metres, from the first, or None if the pairs do not tell all."""
    days = {day: k for k, day in enumerate(patch.dates.astype("datetime64[D]").tolist())}

    def known(pair: Pair) -> bool:
        return pair.perpendicular_baseline is not None and pair.reference in days and pair.secondary in days

    pairs = [pair for pair in patch.pairs if known(pair)]
    design = np.zeros((len(pairs), len(days)))
    for row, pair in enumerate(pairs):
        design[row, days[pair.secondary]], design[row, days[pair.reference]] = 1.0, -1.0
    if not pairs or np.linalg.matrix_rank(design[:, 1:]) < len(days) - 1:
        return None
    found = np.linalg.lstsq(design[:, 1:], np.array([pair.perpendicular_baseline for pair in pairs], float))[0]
    return np.concatenate([[0.0], found]).astype(np.float32)


def _file(layers: Layers, attributes: Mapping[str, str]) -> memoryview:
    """Make a file in memory: HDF5 takes the whole process down with it when the disk fills up."""
    sink = io.BytesIO()
    with h5py.File(sink, "w") as file:  # type: ignore[attr-defined,no-untyped-call]  # h5py ships no types
        for name, (values, unit) in layers.items():
            dataset = file.create_dataset(name, data=values)
            if unit:
                dataset.attrs["UNIT"] = unit
        file.attrs.update(attributes)
    return sink.getbuffer()


def _check_ours(path: Path) -> None:
    """Keep results of MintPy itself from being written over."""
    if not path.exists():
        return
    try:
        with h5py.File(path) as file:  # type: ignore[attr-defined,no-untyped-call]  # h5py ships no types
            ours = file.attrs.get("PROCESSOR") == _PROCESSOR
    except OSError:
        ours = False
    if not ours:
        raise OutputError(f"{path}: not written by Groundshift and would be replaced; choose another folder")
