"""Checking a random sample of targets by eye, and what it says about all of them.

Fu et al. (2022) (5.1) looked at 100 targets drawn at random in optical images: 72 landslides, 8 other deformation, 20
that could not be told. `verification_sample` draws them, `write_sample` writes what the checker needs, `read_verdicts`
counts what was filled in, and `precision_interval` gives the precision with its uncertainty.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplekml
from scipy.stats import binomtest
from shapely import MultiPolygon

from groundshift.checks import check_within
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, OutputError
from groundshift.inventory.columns import Column, column_array
from groundshift.inventory.model import Target
from groundshift.inventory.tables import OGR_ERRORS, write_layer
from groundshift.io.atomic import atomic_path, write_text

__all__ = [
    "PrecisionInterval",
    "Verdicts",
    "precision_interval",
    "read_verdicts",
    "verification_sample",
    "write_sample",
]

_simplekml: Any = simplekml  # it carries no types
_COLUMNS = (
    Column("number", "integer"),
    Column("id", "text"),
    Column("longitude", "real"),
    Column("latitude", "real"),
    Column("area_m2", "real"),
    Column("verdict", "text"),
    Column("checker", "text"),
    Column("remark", "text"),
)


class Verdicts(NamedTuple):
    """How many targets of a sample were judged to be what."""

    confirmed: int
    """Landslides: the word `landslide`."""
    other: int
    """Other deformation, such as mining: the word `other`."""
    undecided: int
    """Cannot tell: the word `unclear`."""


class PrecisionInterval(NamedTuple):
    """Precision of an inventory from a checked sample, shares from 0 to 1."""

    low: float
    """Lower end of the interval with all undecided targets taken as wrong."""
    estimate_low: float
    """Share confirmed, undecided ones taken as wrong."""
    estimate_high: float
    """Share confirmed, undecided ones taken as right."""
    high: float
    """Upper end of the interval with all undecided targets taken as right."""


def verification_sample(targets: Sequence[Target], n: int = 100, seed: int = 0) -> list[Target]:
    """Draw targets at random, none twice.

    Parameters
    ----------
    targets : sequence of Target
        What to draw from, such as all that were not rejected.
    n : int
        How many; all of them, in random order, if there are fewer.
    seed : int
        The same seed draws the same targets, whatever their order.

    Raises
    ------
    ValueError
        If `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, instead got {n}")
    ordered = sorted(targets, key=lambda t: t.id)
    picks = np.random.default_rng(seed).permutation(len(ordered))[:n]
    return [ordered[i] for i in picks]


def write_sample(folder: Path, sample: Sequence[Target]) -> tuple[Path, Path, Path]:
    """Write a sample for its checker: `verification.csv`, `verification.kml` and `verification.gpkg`.

    The columns `verdict` (landslide, other or unclear), `checker` and `remark` are empty, to be filled in either the
    CSV or the GeoPackage. Scores and velocities are left out, so that they do not sway the checker.

    Returns
    -------
    csv, kml, gpkg : paths

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    folder = Path(folder)
    table, earth, package = (folder / f"verification.{suffix}" for suffix in ("csv", "kml", "gpkg"))
    rows = []
    for number, t in enumerate(sample, start=1):
        centre = t.geometry.centroid
        rows.append((number, t.id, round(centre.x, 6), round(centre.y, 6), round(t.area_m2), "", "", ""))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([c.name for c in _COLUMNS])
    writer.writerows(rows)
    write_text(table, text.getvalue())
    write_text(earth, _kml(sample))
    with atomic_path(package) as temporary:
        arrays = [column_array(c, [row[i] or None for row in rows]) for i, c in enumerate(_COLUMNS)]
        try:
            write_layer(temporary, "verification", _COLUMNS, arrays, [t.geometry for t in sample])
        except OGR_ERRORS as error:
            reason = " ".join(str(error).rsplit("failed: ", 1)[-1].split())
            message = f"{package}: cannot be written ({reason[-80:]}); free some space and run again"
            raise OutputError(message) from error
    return table, earth, package


def read_verdicts(path: Path) -> Verdicts:
    """Count the verdicts in a `verification.csv` that was filled in.

    Commas or semicolons may part the columns, whichever the spreadsheet has saved; a row without a verdict has not been
    checked yet and is left out.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there, has no column `verdict`, or a verdict is another word.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; write the sample first") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path}: not a readable text file; save it as CSV in UTF-8") from error
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    counts = {"landslide": 0, "other": 0, "unclear": 0}
    try:
        if "verdict" not in (reader.fieldnames or ()):
            raise DamagedFileError(f"{path}: no column 'verdict'; restore the first line")
        for row in reader:
            verdict = (row["verdict"] or "").strip().lower()
            if verdict and verdict not in counts:
                raise DamagedFileError(
                    f"{path}: line {reader.line_num}: verdict must be landslide, other or unclear, instead got "
                    f"{verdict!r}; correct it"
                )
            if verdict:
                counts[verdict] += 1
    except csv.Error as error:
        raise DamagedFileError(f"{path}: not a readable CSV ({error}); save it as CSV in UTF-8") from error
    return Verdicts(counts["landslide"], counts["other"], counts["unclear"])


def precision_interval(
    confirmed: int, other: int, undecided: int = 0, *, confidence: float = 0.95
) -> PrecisionInterval:
    """Bound the precision of an inventory from a random sample of it.

    Parameters
    ----------
    confirmed, other, undecided : int
        Targets found to be right, found to be wrong, and not decided.
    confidence : float
        Level of the intervals, 0 to 1.

    Returns
    -------
    PrecisionInterval
        Wilson intervals, once with the undecided taken as wrong and once as right; `low` and `high` enclose both.

    Raises
    ------
    ValueError
        If a count is negative or `confidence` is outside (0, 1).
    NoDataError
        If all counts are zero.

    Notes
    -----
    Whoever counts any deformation as right passes it as `confirmed`, with `other` zero.

    Examples
    --------
    The sample of Fu et al. (2022):

    >>> [round(v, 2) for v in precision_interval(72, 8, 20)]
    [0.63, 0.72, 0.92, 0.96]
    """
    if min(confirmed, other, undecided) < 0:
        raise ValueError(f"counts must not be negative, instead got {confirmed}, {other} and {undecided}")
    check_within("confidence", confidence, 1e-9, 1 - 1e-9)
    total = confirmed + other + undecided
    if total == 0:
        raise NoDataError("no target of the sample has a verdict; fill in the column 'verdict'")
    worst = binomtest(confirmed, total).proportion_ci(confidence, method="wilson")
    best = binomtest(confirmed + undecided, total).proportion_ci(confidence, method="wilson")
    return PrecisionInterval(float(worst.low), confirmed / total, (confirmed + undecided) / total, float(best.high))


def _kml(sample: Sequence[Target]) -> str:
    """Outlines with their numbers, for Google Earth."""
    kml = _simplekml.Kml(name="Targets to verify")
    style = _simplekml.Style()
    style.polystyle.fill = 0
    style.linestyle.color = _simplekml.Color.yellow
    style.linestyle.width = 2
    for number, t in enumerate(sample, start=1):
        place = kml.newmultigeometry(name=f"{number}: {t.id}")
        for part in t.geometry.geoms if isinstance(t.geometry, MultiPolygon) else [t.geometry]:
            place.newpolygon(outerboundaryis=[(x, y) for x, y, *_ in part.exterior.coords])
        place.style = style
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + str(kml.kml(format=False))
