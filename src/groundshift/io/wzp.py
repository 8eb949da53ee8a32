"""`.wzp` rasters: wrapped phase without header, little-endian float32, line by line.

The name holds the dates and often starts with the number of columns: `300_20190120-20190201.wzp`. A text file of the
same name ending in `.txt`, `.yaml` or `.yml` may give more, one `name: value` on a line: `width` in pixels, `spacing`
(pixel size in metres) and `wavelength` (metres). Without a width the image is taken as square.

Sign: the format does not state one. The phase is taken as that of `reference * conj(secondary)` with the earlier date
as reference, so that it grows when the ground moves away; in the sample of Wu-Patrick/Deformation-Monitoring it grows
towards the middle of the mining bowls, which subside.

A value of exactly 0, NaN and infinite values are no data. There is no coherence, so it is estimated, and no
geolocation.
"""

import math
import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import DamagedFileError, GroundshiftError, ProductError
from groundshift.io.agree import Found, GridKey, settle_on_grid
from groundshift.io.dates import dates_in_name, pair_or_problem
from groundshift.io.estimate import consistent_igram
from groundshift.io.plausible import usable_phase
from groundshift.io.rasters import read_binary
from groundshift.io.stack import InterferogramStack, Problem
from groundshift.types import Pair, RadarGrid, Window

__all__ = ["PRODUCT", "open_stack", "recognises"]

PRODUCT = "wzp"

SPACING = 20.0
"""Metres; what is taken where no side file tells."""


def recognises(path: Path) -> bool:
    """Whether a `.wzp` file with two dates in its name is here."""
    return any(dates_in_name(file.name) is not None for file in _files(path))


def open_stack(path: Path, *, strict: bool = False) -> InterferogramStack:
    """Open a folder of `.wzp` rasters, or a single one.

    Raises
    ------
    ProductError
        If `strict` and a pair would be skipped.
    NoDataError
        If no pair can be used; the line is that of the first reason.
    """
    problems: list[Problem] = []
    found: list[Found] = []
    headers: dict[Path, _Header] = {}
    for file in _files(path):
        pair = pair_or_problem(file)
        if isinstance(pair, Problem):
            problems.append(pair)
        elif pair is not None:
            try:
                headers[file] = _header(file)
            except GroundshiftError as error:
                problems.append(Problem(file, str(error)))
                continue
            shape = headers[file].shape
            if usable_phase(file, partial(_read_phase, file, shape), shape, problems):
                found.append(Found(pair, (file,), GridKey(shape, (headers[file].spacing or SPACING,))))
    kept, key, settled = settle_on_grid(path, found, problems, strict)
    first_file = next(iter(kept.values()))[0]
    first = headers[first_file]
    untold = [name for name, value in (("wavelength", first.wavelength), ("spacing", first.spacing)) if value is None]
    if untold:
        text = (
            f"{first_file}: {' and '.join(untold)} not told, taken as Sentinel-1's 0.0555 m and {SPACING:g} m pixels; "
            f"write them into {first_file.with_suffix('.txt').name}"
        )
        settled = (*settled, Problem(first_file, text, skipped=False))
    spacing = first.spacing or SPACING
    return InterferogramStack(
        product=PRODUCT,
        root=path,
        track=(path if path.is_dir() else path.parent).resolve().name,
        pairs=tuple(kept),
        grid=RadarGrid(key.shape, (spacing, spacing)),
        wavelength=first.wavelength or SENTINEL1_WAVELENGTH,
        sign="taken as growing when the ground moves away, for the format does not state it; kept as it is",
        coherence_source="estimated",
        read_pair=partial(_read, {pair: files[0] for pair, files in kept.items()}, key.shape),
        problems=settled,
        files=kept,
    )


class _Header(NamedTuple):
    """What name, size and side file tell of one raster; None where they do not."""

    shape: tuple[int, int]
    spacing: float | None
    wavelength: float | None


def _files(path: Path) -> list[Path]:
    """List the `.wzp` files of a folder, or the one given."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() == ".wzp")
    return [path] if path.suffix.lower() == ".wzp" else []


def _header(file: Path) -> _Header:
    """Find out the shape of a raster, and what its side file tells."""
    told = _side_file(file)
    size = file.stat().st_size
    pixels = size // 4
    leading = re.match(r"(\d{1,5})_", file.name)
    width = int(told.get("width", leading[1] if leading else math.isqrt(pixels)))
    if size == 0 or size % 4 or width <= 0 or pixels % width:
        raise DamagedFileError(
            f"{file}: {size} bytes are no whole lines of {width} float32 pixels; fetch it again, or write its width "
            f"into {file.with_suffix('.txt').name}"
        )
    square = leading is not None and "width" not in told and pixels != width * width
    if square and "height" not in told:
        # A width in the name goes with a square image in all known samples: a file cut at a line end would pass else.
        raise DamagedFileError(
            f"{file}: expected {4 * width * width} bytes ({width} x {width} pixels), instead got {size}; fetch it "
            f"again, or write its width into {file.with_suffix('.txt').name}"
        )
    return _Header((pixels // width, width), told.get("spacing"), told.get("wavelength"))


def _side_file(file: Path) -> dict[str, float]:
    """Read `name: value` lines beside a raster."""
    for suffix in (".txt", ".yaml", ".yml"):
        side = file.with_suffix(suffix)
        if side.is_file():
            lines = re.findall(r"^\s*(\w+)\s*[:=]\s*([^#\n]*)", side.read_text(errors="replace"), re.MULTILINE)
            return {name.lower(): _positive(side, name, value) for name, value in lines if name.lower() in _TOLD}
    return {}


_TOLD = ("width", "height", "spacing", "wavelength")


def _positive(side: Path, name: str, text: str) -> float:
    """Return a positive number of a side file."""
    try:
        value = float(text.strip())
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ProductError(f"{side}: {name} must be a positive number, instead got {text.strip()!r}; mend the line")
    return value


def _read(files: dict[Pair, Path], shape: tuple[int, int], pair: Pair, window: Window) -> NDArray[np.complex64]:
    """Read one pair over a window, its magnitude estimated."""
    return consistent_igram(partial(_read_phase, files[pair], shape), window, shape)


def _read_phase(file: Path, shape: tuple[int, int], window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read phase and validity over a window."""
    phase = read_binary(file, shape, "<f4", window)
    return phase, phase != 0
