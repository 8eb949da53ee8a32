"""Sites of mining subsidence as detections: placed on Earth, with their velocity and what the terrain is like."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely

from groundshift.detect import Detection, outline
from groundshift.detect.detection import SINGLE_PAIRS
from groundshift.detect.sites import Site
from groundshift.errors import DamagedFileError, GroundshiftError
from groundshift.geometry import mean_slope_aspect
from groundshift.gradients.stack import node_offset
from groundshift.gradients.store import SumsFile
from groundshift.gradients.sums import StackPlan
from groundshift.io.atomic import write_text
from groundshift.workflows.progress import Reporter
from groundshift.workflows.scanning import Scan
from groundshift.workflows.track import Ground

__all__ = ["keep_sites", "recall_sites", "site_detections", "velocity_of_site"]


def site_detections(scan: Scan, sums: SumsFile, ground: Ground, reporter: Reporter) -> list[Detection]:
    """Return the confirmed sites of a track as detections; one that the grid cannot place is named and left out.

    `sums` are those of the same track, on whose nodes the `ground` is known.
    """
    plan = sums.plan
    found = []
    for site in scan.sites:
        rows, columns = site.window.rows, site.window.columns
        corner = (site.window.y, site.window.x)
        velocity, sigma = velocity_of_site(site, plan.wavelength)
        try:
            polygon = outline(site.mask, corner, scan.grid)
        except GroundshiftError as error:
            reporter.warn(f"{plan.track}: a site left out: {error}")
            continue
        slope, aspect = _terrain(site, scan, plan, ground)
        found.append(
            Detection(
                polygon=polygon,
                score=site.score,
                detector=scan.detector,
                track=plan.track,
                window=SINGLE_PAIRS,
                directions=("phase",),
                velocity=velocity,
                velocity_sigma=sigma,
                significance=abs(velocity) / sigma if sigma > 0 else math.inf,
                mean_coherence=float(scan.coherence[rows, columns][site.mask].mean()),
                n_pairs=len(site.sightings),
                slope=slope,
                aspect=aspect,
            )
        )
    return found


def _terrain(site: Site, scan: Scan, plan: StackPlan, ground: Ground) -> tuple[float | None, float | None]:
    """Return mean slope and aspect under a site, degrees; None where they are not known."""
    if ground.terrain is None:
        return None, None
    inside = np.zeros(ground.terrain.slope.shape, np.bool_)
    places = []
    for pixels, first, axis in zip(np.nonzero(site.mask), (site.window.y, site.window.x), (0, 1), strict=True):
        # From the middle of a scanned pixel to the node that is nearest.
        ratio = scan.grid.spacing[axis] / plan.grid.spacing[axis]
        node = np.round((pixels + first + 0.5) * ratio - 0.5 - node_offset(plan.smoothing)).astype(np.intp)
        places.append(np.clip(node, 0, inside.shape[axis] - 1))
    inside[tuple(places)] = True
    found = mean_slope_aspect(ground.terrain, inside)
    if found is None:
        return None, None
    return found[0], found[1] if math.isfinite(found[1]) else None


def velocity_of_site(site: Site, wavelength: float) -> tuple[float, float]:
    """Return the line-of-sight velocity of the fastest part of a site, and its standard error, mm/yr.

    The median over its sightings of the peak over the time between the dates, positive towards the satellite; the error
    is that of a median of as many values that scatter as these do, NaN of a single one.
    """
    per_radian = -1000 * wavelength / (4 * math.pi)
    rates = np.array([s.bowl.peak * per_radian / s.pair.years for s in site.sightings])
    middle = float(np.median(rates))
    if len(rates) < 2:
        return middle, math.nan
    spread = 1.4826 * float(np.median(np.abs(rates - middle)))
    return middle, math.sqrt(math.pi / 2) * spread / math.sqrt(len(rates))


def keep_sites(path: Path, detections: Sequence[Detection]) -> None:
    """Write the sites of a track, for runs that do not look at its interferograms again.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    rows = [{**vars(d), "polygon": d.polygon.wkt} for d in detections]
    write_text(path, json.dumps(rows, indent=1) + "\n")


def recall_sites(path: Path) -> list[Detection]:
    """Read the sites that an earlier run has kept; none where none did.

    Raises
    ------
    DamagedFileError
        If the file is not what was kept.
    """
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [
            Detection(**{**row, "polygon": shapely.from_wkt(row["polygon"]), "directions": tuple(row["directions"])})
            for row in rows
        ]
    except (OSError, ValueError, TypeError, KeyError, shapely.GEOSException) as error:
        raise DamagedFileError(f"{path}: not the sites of a track; delete it and run again with its pairs") from error
