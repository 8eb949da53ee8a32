"""The inventory for Google Earth: targets coloured by velocity, balloons that tell the evidence, maps laid over."""

import html
import io
import math
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplekml
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray
from pyproj import CRS
from shapely import MultiPolygon, Polygon

from groundshift.checks import check_positive, check_shape
from groundshift.inventory.model import Target
from groundshift.io.atomic import atomic_path
from groundshift.types import MapGrid

__all__ = ["Overlay", "velocity_colour", "velocity_limit", "write_kmz"]

_simplekml: Any = simplekml  # it carries no types
_MAP = colormaps["RdBu"]
_CLASSES = 21
_UNKNOWN = (0.5, 0.5, 0.5)
_MAX_PIXELS = 4096
_PNG = b"\x89PNG\r\n\x1a\n"
# Characters that XML 1.0 has no way to write.
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, eq=False)
class Overlay:
    """A map laid over the ground.

    `image` is a PNG, or a (y, x) array drawn in red (negative), white and blue (positive), transparent where NaN;
    `limit` is the value of full colour, by default the 98th percentile of the magnitudes. `grid` is in EPSG:4326.
    """

    name: str
    image: bytes | NDArray[np.floating[Any]]
    grid: MapGrid
    limit: float | None = None
    visible: bool = False
    """Whether it shows when the file is opened; a survey has many maps of the same ground."""


def write_kmz(path: Path, targets: Sequence[Target], overlays: Sequence[Overlay] = ()) -> None:
    """Write targets and maps for Google Earth, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in `.kmz`.
    targets : sequence of Target
        Drawn in folders by kind; rejected ones in a folder of their own, not shown at first.
    overlays : sequence of Overlay
        Maps below the targets; arrays above 4096 pixels a side are thinned.

    Raises
    ------
    ValueError
        If `path` does not end in `.kmz`, or the image or the grid of an overlay does not fit.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".kmz":
        raise ValueError(f"path must end in .kmz, instead got {path}")
    limit = velocity_limit([t.velocity_los_mm_yr for t in targets])
    kml = _simplekml.Kml(name="Groundshift")
    images = {"files/legend.png": _legend(limit)}
    legend = kml.newscreenoverlay(name="Legend: velocity along the line of sight")
    legend.icon.href = "files/legend.png"
    corner = {"x": 0.02, "y": 0.05, "xunits": _simplekml.Units.fraction, "yunits": _simplekml.Units.fraction}
    legend.overlayxy = _simplekml.OverlayXY(**{**corner, "x": 0, "y": 0})
    legend.screenxy = _simplekml.ScreenXY(**corner)
    if overlays:
        maps = kml.newfolder(name="Maps")
        for number, overlay in enumerate(overlays):
            href = f"files/map{number}.png"
            images[href] = _draw(overlay)
            _lay(maps, overlay, href)
    _add_targets(kml, targets, limit)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", '<?xml version="1.0" encoding="UTF-8"?>\n' + kml.kml(format=False))
        for name, image in images.items():
            archive.writestr(name, image, zipfile.ZIP_STORED)


def velocity_limit(velocities: Sequence[float]) -> float:
    """Choose the velocity of full colour: the 95th percentile of the magnitudes, rounded up to 1, 2 or 5 times 10^n.

    At least 10 mm/yr, so that a quiet area does not look alarming.

    Examples
    --------
    >>> velocity_limit([-31.0, 12.0, float("nan")])
    50.0
    """
    known = np.abs([v for v in velocities if math.isfinite(v)])
    top = max(10.0, float(np.percentile(known, 95))) if len(known) else 10.0
    decade = 10.0 ** math.floor(math.log10(top))
    return next(step * decade for step in (1.0, 2.0, 5.0, 10.0) if step * decade >= top * (1 - 1e-9))


def velocity_colour(velocity: float, limit: float) -> tuple[float, float, float]:
    """Return red, green, blue (0 to 1) of a velocity: red away from the satellite, blue towards it, grey if unknown."""
    check_positive("limit", limit)
    if not math.isfinite(velocity):
        return _UNKNOWN
    r, g, b, _ = _MAP(min(max((velocity / limit + 1) / 2, 0.0), 1.0))
    return float(r), float(g), float(b)


def _add_targets(kml: Any, targets: Sequence[Target], limit: float) -> None:
    """Add a folder per kind with one placemark per target."""
    folders: dict[str, Any] = {}
    styles: dict[int | None, Any] = {}
    for target in targets:
        rejected = target.review == "rejected"
        title = "Rejected" if rejected else target.kind.capitalize()
        if title not in folders:
            folders[title] = kml.newfolder(name=title, visibility=int(not rejected))
        place = folders[title].newmultigeometry(
            name=_clean(target.id), description=_balloon(target), visibility=int(not rejected)
        )
        parts = target.geometry.geoms if isinstance(target.geometry, MultiPolygon) else [target.geometry]
        for part in parts:
            _add_polygon(place, part)
        place.style = _style(styles, target.velocity_los_mm_yr, limit)


def _add_polygon(place: Any, part: Polygon) -> None:
    """Add a polygon, holes included."""
    polygon = place.newpolygon()
    polygon.outerboundaryis = [(x, y) for x, y, *_ in part.exterior.coords]
    polygon.innerboundaryis = [[(x, y) for x, y, *_ in ring.coords] for ring in part.interiors]


def _style(styles: dict[int | None, Any], velocity: float, limit: float) -> Any:
    """Return the style of a velocity; targets of one colour class share it, which keeps the file small."""
    half = (_CLASSES - 1) // 2
    known = math.isfinite(velocity)
    number = round(min(max(velocity / limit, -1.0), 1.0) * half) if known else None
    if number not in styles:
        red, green, blue = (
            round(255 * c) for c in velocity_colour(velocity if number is None else number / half * limit, limit)
        )
        style = _simplekml.Style()
        style.polystyle.color = _simplekml.Color.rgb(red, green, blue, 130)
        style.linestyle.color = _simplekml.Color.rgb(red * 2 // 3, green * 2 // 3, blue * 2 // 3, 255)
        style.linestyle.width = 2
        styles[number] = style
    return styles[number]


def _balloon(t: Target) -> str:
    """Tell a target as an HTML table; every text in it is escaped."""
    rows = [
        ("Kind", t.kind),
        ("Score", _number(t.score, 2)),
        (
            "Velocity, line of sight",
            f"{_number(t.velocity_los_mm_yr, 1, sign=True)} ± {_number(t.velocity_sigma_mm_yr, 1)} mm/yr",
        ),
        ("Velocity, down the slope", _number(t.velocity_slope_mm_yr, 1, " mm/yr")),
        ("Area", _number(t.area_m2 / 1e4, 1, " ha")),
        ("Slope, facing", f"{_number(t.slope_deg, 0, '°')}, {_number(t.aspect_deg, 0, '°')}"),
        ("Behaviour", t.behaviour),
        ("Seen", f"{t.first_seen} to {t.last_seen}"),
        ("Coherence", _number(t.mean_coherence, 2)),
        ("Pairs", str(t.n_pairs)),
        ("Tracks", ", ".join(t.tracks)),
        ("Evidence", ", ".join(t.evidence)),
        ("Review", t.review),
        ("Note", t.note),
    ]
    cells = "".join(f"<tr><td><b>{html.escape(k)}</b></td><td>{html.escape(_clean(v))}</td></tr>" for k, v in rows if v)
    return f"<table>{cells}</table><p>Positive velocities are towards the satellite.</p>"


def _number(value: float | None, digits: int, unit: str = "", *, sign: bool = False) -> str:
    """Write a number, or that it is unknown."""
    if value is None or not math.isfinite(value):
        return "unknown"
    return f"{value:{'+' if sign else ''}.{digits}f}{unit}"


def _clean(text: str) -> str:
    """Leave out characters that XML cannot hold."""
    return _UNPRINTABLE.sub("", text)


def _lay(folder: Any, overlay: Overlay, href: str) -> None:
    """Lay an image over the ground at the outer corners of its grid."""
    if CRS.from_user_input(overlay.grid.crs) != CRS.from_epsg(4326):
        raise ValueError(f"grid of overlay {overlay.name!r} must be in EPSG:4326, instead got {overlay.grid.crs}")
    t, (height, width) = overlay.grid.transform, overlay.grid.shape
    ground = folder.newgroundoverlay(name=_clean(overlay.name), visibility=int(overlay.visible))
    ground.icon.href = href
    ground.color = "c8ffffff"  # a little transparent, so that the terrain shines through
    ground.latlonbox.west, ground.latlonbox.east = sorted((t.c, t.c + t.a * width))
    ground.latlonbox.south, ground.latlonbox.north = sorted((t.f, t.f + t.e * height))


def _draw(overlay: Overlay) -> bytes:
    """Return the PNG of an overlay, north up and west to the left."""
    if isinstance(overlay.image, bytes):
        if not overlay.image.startswith(_PNG):
            raise ValueError(f"image of overlay {overlay.name!r} must be a PNG, instead got other bytes")
        return overlay.image
    check_shape(f"image of overlay {overlay.name!r}", overlay.image, overlay.grid.shape)
    step = max(1, math.ceil(max(overlay.grid.shape) / _MAX_PIXELS))
    y_sign, x_sign = overlay.grid.axis_signs
    values = overlay.image[::-y_sign, ::x_sign][::step, ::step].astype(np.float64)
    known = np.isfinite(values)
    limit = overlay.limit
    if limit is None:
        limit = float(np.percentile(np.abs(values[known]), 98)) if known.any() else 1.0
    limit = limit if limit > 0 else 1.0
    rgba = _MAP(np.clip((np.where(known, values, 0) / limit + 1) / 2, 0, 1), bytes=True)
    rgba[..., 3] = np.where(known, 255, 0)
    return _png(rgba)


def _png(rgba: NDArray[np.uint8]) -> bytes:
    """Encode an image."""
    sink = io.BytesIO()
    imsave(sink, rgba, format="png")
    return sink.getvalue()


def _legend(limit: float) -> bytes:
    """Draw the colour scale of the velocities."""
    figure = Figure(figsize=(3.2, 0.9), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.55, 0.84, 0.2))
    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), _MAP), cax=axes, orientation="horizontal")
    bar.set_ticks([-limit, -limit / 2, 0, limit / 2, limit])
    bar.ax.tick_params(labelsize=7)
    axes.set_title("away  <  velocity in mm/yr  >  towards", fontsize=8)
    sink = io.BytesIO()
    figure.savefig(sink, format="png")
    return sink.getvalue()
