"""What ASF holds over an area: Sentinel-1 bursts and OPERA CSLCs, found with asf_search in NASA's CMR."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import asf_search
import shapely
from asf_search.search.geo_search import geo_search
from shapely.geometry import shape

from groundshift.acquire._session import Session
from groundshift.acquire.errors import ServiceError
from groundshift.acquire.planning import Scene, covers
from groundshift.acquire.wish import Wish

__all__ = ["find_scenes", "find_statics", "why_nothing"]

_ask: Any = geo_search  # its types are narrower than what it takes
# Else a search that fails is sent to ASF with its area, unasked.
asf_search.REPORT_ERRORS = False

_BURST = re.compile(r"S1_(?P<burst>\d{6}_IW\d)_(?P<day>\d{8})T\d{6}_(?P<pol>[VH]{2})_(?P<rank>[0-9A-F]{4})-BURST")
_CSLC = re.compile(
    r"OPERA_L2_CSLC-S1_T\d{3}-(?P<number>\d{6})-(?P<swath>IW\d)_(?P<day>\d{8})T\d{6}Z_(?P<made>\d{8}T\d{6}Z)_S1\w_"
    r"(?P<pol>[VH]{2})_v(?P<version>[\d.]+)"
)
_STATIC = re.compile(
    r"OPERA_L2_CSLC-S1-STATIC_T\d{3}-(?P<number>\d{6})-(?P<swath>IW\d)_(?P<from>\d{8})_S1\w_v(?P<version>[\d.]+)"
)
_BURSTS = {"dataset": "SLC-BURST", "beamMode": "IW", "polarization": ["VV", "HH"]}
_CSLCS = {"dataset": "OPERA-S1", "processingLevel": "CSLC"}
_STATICS = {"dataset": "OPERA-S1", "processingLevel": "CSLC-STATIC"}
_MARGIN = 0.05
"""Degrees by which a search is wider than the area: footprints of one burst differ by some hundred metres."""
_ALGORITHMS = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512"}
_SOME = 250
"""So many granules are looked at to tell which tracks there are."""


def find_scenes(session: Session, wish: Wish) -> list[Scene]:
    """Find the images of a track over an area: bursts that HyP3 takes, or OPERA CSLCs.

    Raises
    ------
    ServiceError
        If the catalogue does not answer, or refuses the search.
    """
    if wish.product == "hyp3-burst":
        found = _search(session, wish, **_dates(wish), **_track(wish), **_BURSTS)
        return [scene for scene in map(_burst, found) if scene is not None]
    found = _search(session, wish, **_dates(wish), **_track(wish), **_CSLCS)
    return [scene for scene in map(_cslc, found) if scene is not None]


def find_statics(session: Session, wish: Wish) -> list[Scene]:
    """Find the static layers (look vectors, layover and shadow) of the OPERA CSLCs of a track over an area.

    Raises
    ------
    ServiceError
        If the catalogue does not answer, or refuses the search.
    """
    found = _search(session, wish, **_track(wish), **_STATICS)
    return [scene for scene in map(_static, found) if scene is not None]


def why_nothing(session: Session, wish: Wish) -> str:
    """Say why nothing was found of a track, looking at some granules of others.

    Raises
    ------
    ServiceError
        If the catalogue does not answer, or refuses the search.
    """
    span = f"between {wish.start} and {wish.end}"
    kind = _BURSTS if wish.product == "hyp3-burst" else _CSLCS
    found = _search(session, wish, **_dates(wish), **kind, maxResults=_SOME)
    found = [product for product in found if covers(shape(product.geometry), wish.geometry)]
    there = {(int(p.properties["pathNumber"] or 0), str(p.properties["flightDirection"]).lower()) for p in found}
    if not there:
        return f"no images over the area {span}; check the dates, and that longitude comes before latitude"
    way = f" {wish.direction}" if wish.direction else ""
    others = ", ".join(f"{track} ({direction})" for track, direction in sorted(there))
    return f"track {wish.track}{way} has no images over the area {span}; tracks there: {others}"


def _track(wish: Wish) -> dict[str, Any]:
    """Return the options of a search for one track."""
    direction = {} if wish.direction is None else {"flightDirection": wish.direction.upper()}
    return {"relativeOrbit": wish.track, **direction}


def _dates(wish: Wish) -> dict[str, Any]:
    """Return the options of a search between two dates, both included."""
    return {
        "start": datetime.combine(wish.start, time.min, UTC),
        "end": datetime.combine(wish.end, time.max.replace(microsecond=0), UTC),
    }


def _search(session: Session, wish: Wish, **options: Any) -> list[Any]:
    """Search over a little more than the area."""
    wide = shapely.buffer(wish.geometry, _MARGIN, join_style="mitre", mitre_limit=2.0)
    try:
        results = _ask(intersectsWith=wide.wkt, session=session, **options)
        results.raise_if_incomplete()
    except asf_search.ASFError as error:
        raise ServiceError(
            f"the catalogue of ASF refuses the search ({_one_line(error)}); simplify the area, or try again later"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ServiceError(
            f"the catalogue of ASF answers something unknown ({_one_line(error)}); bring asf_search up to date"
        ) from error
    return list(results)


def _burst(product: Any) -> Scene | None:
    """Return a burst of ASF's collection; None if it is no burst of wide swaths."""
    name = str(product.properties["fileID"])
    match = _BURST.fullmatch(name)
    if match is None:
        return None
    return Scene(
        name, match["burst"], date.fromisoformat(match["day"]), match["pol"], shape(product.geometry), match["rank"]
    )


def _cslc(product: Any) -> Scene | None:
    """Return an OPERA CSLC; None if its name is none."""
    name = str(product.properties["fileID"])
    match = _CSLC.fullmatch(name)
    if match is None:
        return None
    rank = f"{_sortable(match['version'])} {match['made']}"
    return _with_file(product, f"{match['number']}_{match['swath']}", match["day"], match["pol"], rank)


def _static(product: Any) -> Scene | None:
    """Return static layers; None if the name is none of theirs."""
    name = str(product.properties["fileID"])
    match = _STATIC.fullmatch(name)
    if match is None:
        return None
    rank = f"{_sortable(match['version'])} {match['from']}"
    return _with_file(product, f"{match['number']}_{match['swath']}", None, "", rank)


def _with_file(product: Any, burst: str, day: str | None, polarization: str, rank: str) -> Scene | None:
    """Return a scene with the place, size and checksum of its HDF5 file; None if the catalogue names no such file."""
    name = str(product.properties["fileID"])
    url = next((link for link in _links(product) if link.endswith(f"/{name}.h5")), None)
    if url is None:
        return None
    size, checksum = _archived(product, f"{name}.h5")
    when = None if day is None else date.fromisoformat(day)
    return Scene(name, burst, when, polarization, shape(product.geometry), rank, url, size, checksum)


def _links(product: Any) -> Iterator[str]:
    """Yield where the files of a granule can be fetched from."""
    for link in product.umm.get("RelatedUrls", ()):
        if link.get("Type") == "GET DATA" and str(link.get("URL", "")).startswith("https://"):
            yield str(link["URL"])


def _archived(product: Any, file: str) -> tuple[int | None, tuple[str, str] | None]:
    """Return size in bytes and checksum of a file of a granule, each None where the catalogue does not tell."""
    for entry in product.umm.get("DataGranule", {}).get("ArchiveAndDistributionInformation", ()):
        if entry.get("Name") != file:
            continue
        told = entry.get("Checksum") or {}
        algorithm = _ALGORITHMS.get(str(told.get("Algorithm", "")).lower().replace("-", ""))
        checksum = (algorithm, str(told["Value"]).lower()) if algorithm and told.get("Value") else None
        size = entry.get("SizeInBytes")
        return (None if size is None else int(size)), checksum
    return None, None


def _sortable(version: str) -> str:
    """Write a version so that later ones sort later."""
    return ".".join(part.zfill(4) for part in version.split("."))


def _one_line(error: Exception) -> str:
    """Shorten what a client says."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
