"""Series of displacement as a table of text, for spreadsheets and statistics."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from groundshift.inventory import TargetSeries
from groundshift.inventory.columns import SERIES_COLUMNS
from groundshift.io.atomic import write_text

__all__ = ["export_series"]


def export_series(path: Path, series: Sequence[TargetSeries]) -> int:
    """Write series of displacement as CSV, one line per target, track and date, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in `.csv`. The first line names the columns, and their units: `target`, `track`, `date` (YYYY-MM-DD),
        `displacement_mm` (towards the satellite, since the first date) and `sigma_mm` (its standard error).
    series : sequence of TargetSeries
        What is NaN is left empty.

    Returns
    -------
    int
        Lines written, without the first.

    Raises
    ------
    ValueError
        If `path` does not end in `.csv`.
    OutputError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise ValueError(f"path must end in .csv, instead got {path}")
    rows = [
        (s.target, s.track, day, _written(displacement), _written(sigma))
        for s in series
        for day, displacement, sigma in zip(s.dates.astype("datetime64[D]"), s.displacement_mm, s.sigma_mm, strict=True)
    ]
    sink = io.StringIO()
    table = csv.writer(sink, lineterminator="\n")
    table.writerow([column.name for column in SERIES_COLUMNS])
    table.writerows(rows)
    write_text(path, sink.getvalue())
    return len(rows)


def _written(value: float) -> str:
    """Write a number of millimetres to the micrometre, or nothing."""
    return f"{value:.3f}" if math.isfinite(value) else ""
