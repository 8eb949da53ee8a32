"""One scene over mines written as a folder of GeoTIFFs with its truth; the layout is that of docs/geotiff-folder.md."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import yaml
from affine import Affine
from numpy.typing import NDArray

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.io.atomic import write_text
from groundshift.io.rasters import write_geotiff
from groundshift.simulate.mining.scenes import MiningScenes
from groundshift.types import MapGrid, Pair

__all__ = ["mining_pairs", "write_mines"]

_CRS = "EPSG:32649"
_CORNER = (500_000.0, 4_200_000.0)
"""Easting and northing of the upper left corner, over coal in Shanxi."""
_PIXEL_M = 20.0
_START = date(2015, 1, 5)
_HEADING, _INCIDENCE = 350.0, 39.0


def mining_pairs(scenes: MiningScenes, max_days: int) -> list[tuple[int, int, Pair]]:
    """Return the pairs of up to so many days: indices of their dates, and the pairs."""
    days = [int(d) for d in scenes.days]
    when = [_START + timedelta(d) for d in days]
    return [
        (a, b, Pair(when[a], when[b]))
        for a in range(len(days))
        for b in range(a + 1, len(days))
        if days[b] - days[a] <= max_days
    ]


def write_mines(
    scenes: MiningScenes,
    number: int,
    folder: Path,
    *,
    max_days: int = 36,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write one scene of a batch: all pairs of up to `max_days`, and its truth.

    Parameters
    ----------
    scenes : MiningScenes
        With the first date on 2015-01-05.
    number : int
        Which scene of the batch.
    folder : path
        Made if need be.
    max_days : int
        Longest temporal baseline.
    progress : callable, optional
        Told the number of pairs done and of all.

    Raises
    ------
    OutputError
        If it cannot be written.

    Notes
    -----
    The truth is `truth_subsidence.tif`, metres that the ground has sunk along the line of sight from the first date to
    the last, and `truth_peak.csv`, for each date the metres that the deepest pixel has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pairs = mining_pairs(scenes, max_days)
    rows, columns = scenes.shapes.shape[2:]
    grid = MapGrid((rows, columns), Affine(_PIXEL_M, 0, _CORNER[0], 0, -_PIXEL_M, _CORNER[1]), _CRS)
    for done, (a, b, pair) in enumerate(pairs, 1):
        seen = scenes.pair(a, b)
        for name, values in (("phase", seen.wrapped), ("coh", seen.coherence)):
            write_geotiff(folder / f"{pair.name}_{name}.tif", values[number].numpy(), grid, nodata=float("nan"))
        if progress is not None:
            progress(done, len(pairs))
    metres = _metres(scenes, number)
    write_geotiff(folder / "truth_subsidence.tif", metres[-1], grid, unit="metre")
    deepest = np.unravel_index(np.abs(metres[-1]).argmax(), metres.shape[1:])
    when = [_START + timedelta(int(d)) for d in scenes.days]
    lines = [f"{day},{value:.6f}" for day, value in zip(when, metres[:, *deepest], strict=True)]
    write_text(folder / "truth_peak.csv", "\n".join(["date,metres", *lines]) + "\n")
    facts = {
        "wavelength_m": SENTINEL1_WAVELENGTH, "heading_deg": _HEADING, "incidence_deg": _INCIDENCE,
        "right_looking": True, "track": f"mines-{scenes.seed}-{number}",
    }  # fmt: skip
    write_text(folder / "metadata.yaml", yaml.safe_dump(facts, sort_keys=False))


def _metres(scenes: MiningScenes, number: int) -> NDArray[np.float64]:
    """Return by how much the ground has sunk at each date, (date, y, x)."""
    sunk = [scenes.sunk(0, k)[number].sum(0).numpy() for k in range(len(scenes.days))]
    return np.asarray(sunk, np.float64) * SENTINEL1_WAVELENGTH / (4 * np.pi)
