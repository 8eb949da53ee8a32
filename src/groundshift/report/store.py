"""What a report shows, kept beside it, so that the page can be made anew and the viewer can show it: `report.h5`.

An HDF5 file with a group for each track, and one for each target with series; arrays are datasets of numbers, and what
describes them is JSON in a dataset `about`. Targets are not in it: the inventory has them, with what people have
written since.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, UnknownFormatError
from groundshift.inventory.model import Target
from groundshift.io.atomic import atomic_path
from groundshift.report.content import Histogram, MaskShare, ReportContent, SeriesContent, TrackContent
from groundshift.report.layers import Bounds, Layer
from groundshift.types import LookGeometry, Pair

__all__ = ["StoredSeries", "read_content", "write_content"]

_VERSION = 1
_LAYER = ("name", "unit", "vmin", "vmax", "cmap", "base", "evidence")
_DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError)


def write_content(path: Path, content: ReportContent) -> None:
    """Keep what a report shows, whole or not at all.

    Parameters
    ----------
    path : path
        Such as `OUT/report.h5`; an older one is replaced.
    content : ReportContent
        All but its targets is kept; layers as float32. `patches`, where they are given, are not: they are cut out of
        the layers when the report is made anew.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    known = {t.id for t in content.targets}
    about = {
        "version": _VERSION,
        "title": content.title,
        "facts": {name: str(value) for name, value in content.facts.items()},
        "settings": content.settings,
        "messages": list(content.messages),
        "alerts": list(content.alerts),
    }
    # Made in memory: HDF5 takes the whole process down with it when the disk fills up.
    sink = io.BytesIO()
    with h5py.File(sink, "w") as file:  # type: ignore[attr-defined,no-untyped-call]  # h5py ships no types
        _describe(file, about)
        tracks = file.create_group("tracks")
        for number, track in enumerate(content.tracks):
            _write_track(tracks.create_group(str(number)), track)
        series = file.create_group("series")
        for number, (target, found) in enumerate(content.series.items()):
            if target in known:
                group = series.create_group(str(number))
                _describe(group, {"target": target})
                for k, one in enumerate(found):
                    _write_series(group.create_group(f"track-{k}"), one)
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(sink.getbuffer())


def read_content(path: Path, targets: Sequence[Target]) -> ReportContent:
    """Read what `write_content` has kept, for these targets; series are read when they are asked for.

    Raises
    ------
    MissingFileError
        If the file is not there.
    DamagedFileError, UnknownFormatError
        If it is damaged, no such file, or one of a newer Groundshift.
    """
    path = Path(path)
    with _opened(path) as file:
        about = _about(file)
        tracks = [_read_track(file["tracks"][str(k)]) for k in range(len(file["tracks"]))]
        return ReportContent(
            title=about["title"],
            facts=about["facts"],
            tracks=tracks,
            targets=targets,
            settings=about["settings"],
            messages=about["messages"],
            alerts=about.get("alerts", []),
            series=StoredSeries(path),
        )


class StoredSeries(Mapping[str, Sequence[SeriesContent]]):
    """Series by target, each read from the file when it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _opened(path) as file:
            self._groups = {_about(group)["target"]: name for name, group in file["series"].items()}

    def __getitem__(self, target: str) -> tuple[SeriesContent, ...]:
        """Read the series of one target, one for each track."""
        name = self._groups[target]
        with _opened(self._path) as file:
            group = file["series"][name]
            if _about(group)["target"] != target:
                raise KeyError(target)
            return tuple(_read_series(group[f"track-{k}"]) for k in range(len(group) - 1))

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open the file; whatever is wrong with it becomes one line."""
    if not path.exists():
        raise MissingFileError(f"{path}: not there; run the survey again, which takes up its finished sums")
    try:
        with h5py.File(path) as file:  # type: ignore[attr-defined,no-untyped-call]  # h5py ships no types
            version = _about(file)["version"]
            if version > _VERSION:
                raise UnknownFormatError(f"{path}: written by a newer Groundshift; upgrade Groundshift")
            yield file
    except _DAMAGE as error:
        if isinstance(error, GroundshiftError):
            raise
        raise DamagedFileError(f"{path}: cannot be read; run the survey again, which writes it anew") from error


def _describe(group: Any, about: Mapping[str, object]) -> None:
    """Write what describes a group; a dataset has no limit of length, as attributes have."""
    group["about"] = json.dumps(about, default=lambda value: dict(value) if isinstance(value, Mapping) else str(value))


def _about(group: Any) -> dict[str, Any]:
    """Read what describes a group."""
    about = json.loads(group["about"][()])
    if not isinstance(about, dict):
        raise TypeError(f"about must be an object, instead got {about!r}")
    return about


def _write_track(group: Any, track: TrackContent) -> None:
    """Write one track."""
    histogram = track.significance
    about = {
        "name": track.name,
        "bounds": track.bounds,
        "pairs_used": _pairs_out(track.pairs_used),
        "pairs_unused": _pairs_out(track.pairs_unused),
        "files_left_out": list(track.files_left_out),
        "warnings": list(track.warnings),
        "masks": [list(mask) for mask in track.masks],
        "look": asdict(track.look) if track.look is not None else None,
        "beyond": [histogram.below, histogram.above] if histogram is not None else None,
        "layers": _write_layers(group, track.layers),
    }
    if histogram is not None:
        group["edges"], group["counts"] = histogram.edges, histogram.counts
    _describe(group, about)


def _read_track(group: Any) -> TrackContent:
    """Read one track."""
    about = _about(group)
    beyond = about["beyond"]
    return TrackContent(
        name=about["name"],
        bounds=Bounds(*about["bounds"]),
        layers=_read_layers(group, about["layers"]),
        pairs_used=_pairs_in(about["pairs_used"]),
        pairs_unused=_pairs_in(about["pairs_unused"]),
        files_left_out=about["files_left_out"],
        warnings=about["warnings"],
        masks=[MaskShare(*mask) for mask in about["masks"]],
        significance=Histogram(group["edges"][()], group["counts"][()], *beyond) if beyond else None,
        look=LookGeometry(**about["look"]) if about["look"] else None,
    )


def _write_series(group: Any, series: SeriesContent) -> None:
    """Write one series."""
    group["series"] = np.stack([_days_out(series.dates), series.displacement_mm, series.sigma_mm])
    group["fit"] = np.stack([_days_out(series.fit_dates), series.fit_mm])
    about = {
        "track": series.track,
        "breaks": [day.isoformat() for day in series.breaks],
        "facts": dict(series.facts),
        "bounds": series.bounds,
        "reason": series.reason,
        "layers": _write_layers(group, series.layers),
    }
    _describe(group, about)


def _read_series(group: Any) -> SeriesContent:
    """Read one series."""
    about = _about(group)
    days, displacement, sigma = group["series"][()]
    fit_days, fit = group["fit"][()]
    return SeriesContent(
        track=about["track"],
        dates=_days_in(days),
        displacement_mm=displacement,
        sigma_mm=sigma,
        fit_dates=_days_in(fit_days),
        fit_mm=fit,
        breaks=tuple(date.fromisoformat(day) for day in about["breaks"]),
        facts=about["facts"],
        layers=tuple(_read_layers(group, about["layers"])),
        bounds=Bounds(*about["bounds"]) if about["bounds"] else None,
        reason=about["reason"],
    )


def _write_layers(group: Any, layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Write the values of layers and return what describes them."""
    told = []
    for number, layer in enumerate(layers):
        group.create_dataset(
            f"layer-{number}", data=np.asarray(layer.values, np.float32), compression="gzip", shuffle=True
        )
        told.append({name: getattr(layer, name) for name in _LAYER})
    return told


def _read_layers(group: Any, told: Sequence[dict[str, Any]]) -> list[Layer]:
    """Read layers."""
    return [Layer(values=group[f"layer-{k}"][()], **about) for k, about in enumerate(told)]


def _pairs_out(pairs: Sequence[Pair]) -> list[tuple[str, str, float | None]]:
    """Return pairs as JSON holds them."""
    return [(p.reference.isoformat(), p.secondary.isoformat(), p.perpendicular_baseline) for p in pairs]


def _pairs_in(rows: Sequence[Sequence[Any]]) -> list[Pair]:
    """Return pairs from JSON."""
    return [Pair(date.fromisoformat(a), date.fromisoformat(b), baseline) for a, b, baseline in rows]


def _days_out(dates: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return dates as days since 1970."""
    return dates.astype("datetime64[D]").astype(np.float64)


def _days_in(days: NDArray[np.float64]) -> NDArray[np.datetime64]:
    """Return dates from days since 1970."""
    return days.astype(np.int64).astype("datetime64[D]")
