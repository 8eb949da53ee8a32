"""Targets as an ESRI Shapefile, for programs that know nothing newer.

A Shapefile holds names of ten characters, texts of 254 bytes and no nulls of its own; `FIELDS` says what the columns of
the inventory are called in it.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely
from numpy.typing import NDArray

from groundshift.errors import OutputError
from groundshift.inventory import Target
from groundshift.inventory.columns import TARGET_COLUMNS, column_arrays, target_rows
from groundshift.inventory.tables import OGR_ERRORS
from groundshift.io.atomic import atomic_path

__all__ = ["FIELDS", "export_shapefile"]

_write: Any = pyogrio.raw.write  # it carries no types

_SHORT = {
    "velocity_los_mm_yr": "vel_los",
    "velocity_sigma_mm_yr": "vel_sigma",
    "velocity_slope_mm_yr": "vel_slope",
    "mean_coherence": "coherence",
}
FIELDS = {column.name: _SHORT.get(column.name, column.name) for column in TARGET_COLUMNS}
"""Name in the Shapefile of each column of the layer `targets`."""

_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_STALE = (".qix", ".sbn", ".sbx", ".idm", ".ind", ".qpj", ".shp.xml")
"""Indexes and notes of other programs, which would belong to the file that was there before."""
_BYTES = 254


def export_shapefile(path: Path, targets: Sequence[Target]) -> tuple[str, ...]:
    """Write targets as a Shapefile with its companions, all of them or none.

    Parameters
    ----------
    path : path
        Ends in `.shp`; `.shx`, `.dbf`, `.prj` and `.cpg` come beside it, in UTF-8 and EPSG:4326. An older Shapefile of
        that name is replaced with all that belongs to it.
    targets : sequence of Target
        May be empty. Fields are named by `FIELDS`; what is unknown is left blank.

    Returns
    -------
    tuple of str
        Identities of the targets of which a text was cut to 254 bytes; it then ends in `...`.

    Raises
    ------
    ValueError
        If `path` does not end in `.shp`.
    OutputError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".shp":
        raise ValueError(f"path must end in .shp, instead got {path}")
    arrays = column_arrays(TARGET_COLUMNS, target_rows(targets))
    cut = np.zeros(len(targets), bool)
    for k, (column, array) in enumerate(zip(TARGET_COLUMNS, arrays, strict=True)):
        if column.type == "integer":
            # Counts of pairs fit, and 64 bits are written as 18 digits, which some programs read as a real number.
            arrays[k] = array.astype(np.int32)
        if column.type == "text":
            shortened = [_shortened(text) for text in array]
            cut |= np.array([a != b for a, b in zip(array, shortened, strict=True)], bool)
            array[:] = shortened
    # The last one to be entered is the first to take its place: a `.shp` is there only when all the others are.
    with ExitStack() as stack:
        places = {part: stack.enter_context(atomic_path(path.with_suffix(part))) for part in _PARTS}
        made = places[".shp"]
        _write_parts(path, made, targets, arrays)
        for part in _PARTS[1:]:
            os.replace(made.with_suffix(part), places[part])
    for part in _STALE:
        path.with_suffix(part).unlink(missing_ok=True)
    return tuple(target.id for target, short in zip(targets, cut, strict=True) if short)


def _write_parts(final: Path, path: Path, targets: Sequence[Target], arrays: Sequence[NDArray[Any]]) -> None:
    """Write all parts side by side, and see that they are whole."""
    try:
        _write(
            path,
            np.array([shapely.to_wkb(t.geometry) for t in targets], object),
            list(arrays),
            list(FIELDS.values()),
            driver="ESRI Shapefile",
            geometry_type="Polygon",
            crs="EPSG:4326",
            encoding="UTF-8",
        )
        whole = _is_whole(path, len(targets))
    except (*OGR_ERRORS, OSError) as error:
        reason = " ".join(str(error).split())
        raise OutputError(f"{final}: cannot be written ({reason[-80:]}); free some space and run again") from error
    if not whole:
        raise OutputError(f"{final}: the disk is full; free some space and run again")


def _is_whole(path: Path, count: int) -> bool:
    """Whether the parts are as long as they say: GDAL does not tell when the disk fills up while it closes them."""
    shapes, index, table = (path.with_suffix(part).read_bytes() for part in _PARTS[:3])
    header, record = (int.from_bytes(table[at : at + 2], "little") for at in (8, 10))
    return (
        len(shapes) == 2 * int.from_bytes(shapes[24:28], "big")
        and len(index) == 100 + 8 * count
        and int.from_bytes(table[4:8], "little") == count
        and len(table) >= header + count * record
        and all(path.with_suffix(part).stat().st_size > 0 for part in _PARTS[3:])
    )


def _shortened(text: str) -> str:
    """Cut a text to what a Shapefile holds."""
    return text if len(text.encode()) <= _BYTES else text.encode()[: _BYTES - 3].decode(errors="ignore") + "..."
