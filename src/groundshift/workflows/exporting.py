"""Export: chosen targets of a finished survey in the form that another program reads."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pystac
import rasterio
from rasterio.errors import RasterioError
from shapely import MultiPolygon, Polygon, box

from groundshift.errors import DamagedFileError, GroundshiftError, NoDataError
from groundshift.export import (
    Server,
    StacAsset,
    export_geojson,
    export_mintpy,
    export_postgis,
    export_series,
    export_shapefile,
    export_stac,
    parse_url,
)
from groundshift.gradients.store import open_sums
from groundshift.inventory import (
    Kind,
    Review,
    Target,
    TargetSeries,
    is_current,
    read_inventory,
    read_runs,
    read_series,
    write_kmz,
)
from groundshift.io.patches import PatchSeries, patch_path, read_patch
from groundshift.workflows.config import SettingError
from groundshift.workflows.coverage import footprint, united
from groundshift.workflows.destination import Destination
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["ExportOutput", "Selection", "run_export"]

_GEOTIFF = pystac.MediaType.GEOTIFF.value
_FILES = (
    ("inventory", "inventory.gpkg", "Targets, detections, series and runs", pystac.MediaType.GEOPACKAGE.value, "data"),
    ("report", "report.html", "Report to read offline", pystac.MediaType.HTML.value, "overview"),
    ("targets", "targets.kmz", "Targets for Google Earth", "application/vnd.google-earth.kmz", "visual"),
    ("density", "density.tif", "Density of targets", _GEOTIFF, "data"),
    ("provenance", "provenance.json", "Versions, inputs and seeds", pystac.MediaType.JSON.value, "metadata"),
    ("settings", "run.yaml", "Settings of the survey", "application/yaml", "metadata"),
)
"""Key, name, title, media type and role of the files beside the maps."""


@dataclass(frozen=True)
class Selection:
    """Which targets go into an export; an empty choice takes all."""

    review: tuple[Review, ...] = ()
    kind: tuple[Kind, ...] = ()
    target: tuple[str, ...] = ()
    """Identities."""
    track: tuple[str, ...] = ()
    """Tracks that the targets, and their series, are seen from."""
    current_only: bool = False
    """Leave out what the last run that looked there did not see."""

    @property
    def takes_all(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()


@dataclass(frozen=True)
class ExportOutput:
    """What an export leaves."""

    form: str
    to: str
    """File or database; without a password."""
    targets: int
    files: tuple[Path, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is told, by form."""


@dataclass(frozen=True)
class _Inventory:
    """An inventory and what of it was chosen."""

    path: Path
    selection: Selection
    targets: tuple[Target, ...]
    chosen: tuple[Target, ...]

    @property
    def folder(self) -> Path:
        """Folder of the survey."""
        return self.path.parent

    def series(self) -> list[TargetSeries]:
        """Read the series of the chosen targets and tracks."""
        names, tracks = {t.id for t in self.chosen}, self.selection.track
        return [s for s in read_series(self.path) if s.target in names and (not tracks or s.track in tracks)]


def run_export(folder: Path, to: Destination, selection: Selection, reporter: Reporter) -> ExportOutput:
    """Export targets of a finished survey, whole or not at all.

    Raises
    ------
    SettingError
        If destination and selection do not go together, or the URL of a database is none.
    GroundshiftError
        If there is no inventory in `folder`, it does not hold what is asked for, or the export cannot be written.
    """
    server = _server(to)
    if to.form == "stac" and not selection.takes_all:
        raise SettingError("--to: a STAC item tells the whole survey; leave out the options that select targets")
    if to.form == "mintpy" and len(selection.target) != 1:
        raise SettingError(f"--target: expected one target for MintPy, instead got {len(selection.target)}; name one")
    path = folder / "inventory.gpkg"
    targets = tuple(read_inventory(path))
    inventory = _Inventory(path, selection, targets, _select(path, targets, selection))
    if not inventory.chosen and to.form != "stac":
        reporter.warn(f"none of {count_of(len(targets), 'target')} in {path} is selected")
    if server is not None:
        output = _to_postgis(inventory, server)
    elif to.form == "csv":
        output = _to_csv(inventory, to.path)
    elif to.form == "mintpy":
        output = _to_mintpy(inventory, to.path)
    elif to.form == "stac":
        output = _to_stac(inventory, to.path)
    else:
        output = _to_map(inventory, to, reporter)
    reporter.say(f"{count_of(output.targets, 'target')} exported: {output.to}")
    return output


def _server(to: Destination) -> Server | None:
    """Take the URL of a database apart before anything is read."""
    if to.form != "postgis":
        return None
    try:
        return parse_url(to.text)
    except ValueError as error:
        raise SettingError(f"--to: {error}") from None


def _select(path: Path, targets: Sequence[Target], selection: Selection) -> tuple[Target, ...]:
    """Choose targets, and see that those and the tracks that were named are there."""
    _check_known(path, "target", selection.target, [t.id for t in targets])
    _check_known(path, "track", selection.track, [track for t in targets for track in t.tracks])
    return tuple(
        t
        for t in targets
        if (not selection.review or t.review in selection.review)
        and (not selection.kind or t.kind in selection.kind)
        and (not selection.target or t.id in selection.target)
        and (not selection.track or set(t.tracks) & set(selection.track))
        and (not selection.current_only or is_current(t))
    )


def _check_known(path: Path, what: str, named: Sequence[str], known: Sequence[str]) -> None:
    """Raise NoDataError for a name that is not there."""
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(set(known)), 1)
            meant = f"did you mean {near[0]}" if near else "see the table of the report"
            raise NoDataError(f"{path}: no {what} {name!r}; {meant}")


def _to_map(inventory: _Inventory, to: Destination, reporter: Reporter) -> ExportOutput:
    """Write targets as GeoJSON, KMZ or Shapefile."""
    facts: dict[str, Any] = {}
    if to.form == "geojson":
        export_geojson(to.path, inventory.chosen)
    elif to.form == "kmz":
        write_kmz(to.path, inventory.chosen)
    else:
        facts["cut"] = export_shapefile(to.path, inventory.chosen)
        if facts["cut"]:
            names = ", ".join(facts["cut"][:5]) + (", ..." if len(facts["cut"]) > 5 else "")
            reporter.warn(f"a Shapefile holds 254 bytes of text; longer ones were cut: {names}")
    return ExportOutput(to.form, to.text, len(inventory.chosen), (to.path,), facts)


def _to_csv(inventory: _Inventory, path: Path) -> ExportOutput:
    """Write series as CSV."""
    series = inventory.series()
    if not series:
        raise NoDataError(f"{inventory.path}: no series of the targets selected; the report tells why each has none")
    rows = export_series(path, series)
    return ExportOutput("csv", str(path), len({s.target for s in series}), (path,), {"rows": rows})


def _to_mintpy(inventory: _Inventory, path: Path) -> ExportOutput:
    """Write the series of one target as MintPy keeps them."""
    patch = _patch(inventory)
    files = export_mintpy(path, patch)
    facts = {"target": patch.target, "track": patch.track, "dates": len(patch.dates)}
    return ExportOutput("mintpy", str(path), 1, files, facts)


def _patch(inventory: _Inventory) -> PatchSeries:
    """Read the series of the one target that was chosen."""
    (name,), folder = inventory.selection.target, inventory.folder / "series"
    tracks = sorted(
        {*(t for target in inventory.chosen for t in target.tracks), *(s.track for s in inventory.series())}
    )
    wanted = [track for track in tracks if not inventory.selection.track or track in inventory.selection.track]
    found = [track for track in wanted if patch_path(folder, name, track).is_file()]
    if not found:
        raise NoDataError(f"{folder}: no series of target {name}; the report tells why")
    if len(found) > 1:
        raise SettingError(f"--track: target {name} has series from {', '.join(found)}; name one")
    path = patch_path(folder, name, found[0])
    patch = read_patch(path)
    if (patch.target, patch.track) != (name, found[0]):
        raise DamagedFileError(
            f"{path}: is of target {patch.target} and track {patch.track}, not of {name} and {found[0]}; "
            "run the survey again"
        )
    return patch


def _to_stac(inventory: _Inventory, path: Path) -> ExportOutput:
    """Write a STAC item of the survey."""
    targets, runs, folder = inventory.targets, read_runs(inventory.path), inventory.folder
    firsts = [r.first_date for r in runs] or [t.first_seen for t in targets]
    lasts = [r.last_date for r in runs] or [t.last_seen for t in targets]
    if not firsts:
        raise NoDataError(f"{inventory.path}: neither runs nor targets, so no dates; run the survey again")
    assets = _assets(folder)
    export_stac(
        path,
        name=folder.resolve().name,
        area=_area(inventory),
        first_date=min(firsts),
        last_date=max(lasts),
        written=runs[-1].started if runs else datetime.combine(max(lasts), time.min, UTC),
        assets=assets,
        facts={
            "groundshift:version": runs[-1].version if runs else "",
            "groundshift:tracks": sorted({track for r in runs for track in r.tracks}),
            "groundshift:targets": len(targets),
        },
    )
    return ExportOutput("stac", str(path), len(targets), (path,), {"assets": [a.name for a in assets]})


def _area(inventory: _Inventory) -> Polygon | MultiPolygon:
    """Return the ground that was surveyed; where the sums are gone, the box around the targets."""
    footprints: list[Polygon] = []
    for path in sorted(inventory.folder.glob("stacks/*/gradients.zarr")):
        try:
            footprints.append(footprint(open_sums(path).plan.grid))
        except GroundshiftError:
            continue
    area = united(footprints or [box(*t.geometry.bounds) for t in inventory.targets])
    if area.is_empty:
        raise NoDataError(f"{inventory.folder}: neither stacks nor targets, so no place; run the survey again")
    return area if footprints else box(*area.bounds)


def _assets(folder: Path) -> list[StacAsset]:
    """List the files of a survey: those of the whole, and the maps of each track over all its pairs."""
    found = [
        StacAsset(key, folder / name, title, media_type, (role,), _unit(folder / name))
        for key, name, title, media_type, role in _FILES
        if (folder / name).is_file()
    ]
    for path in sorted(folder.glob("stacks/*/*.tif")):
        track, name = path.parent.name, path.stem
        role = "data-mask" if name == "valid" else "data"
        title = f"{name.replace('_', ' ')}, {track}"
        found.append(StacAsset(f"{track}-{name}", path, title, _GEOTIFF, (role,), _unit(path)))
    return found


def _unit(path: Path) -> str:
    """Return the unit of a map, or nothing."""
    if path.suffix != ".tif":
        return ""
    try:
        with rasterio.open(path) as source:
            return source.units[0] or ""
    except RasterioError:
        return ""


def _to_postgis(inventory: _Inventory, server: Server) -> ExportOutput:
    """Bring the chosen targets, their series and all runs into a database."""
    done = export_postgis(server, inventory.chosen, read_runs(inventory.path), inventory.series())
    place = f"schema {server.schema} of {server.name}"
    facts = {name: value for name, value in done._asdict().items() if name != "targets"}
    return ExportOutput("postgis", place, done.targets, (), facts)
