"""Sentinel-1 interferograms of ASF's HyP3: single bursts, several bursts (both ISCE2), and whole scenes (GAMMA).

A product is a folder of GeoTIFFs on a UTM map that share a name: `_wrapped_phase.tif`, else `_unw_phase.tif` wrapped
again, with `_corr.tif`; `_dem.tif`, `_lv_theta.tif`, `_lv_phi.tif` and a `.txt` of `key: value` lines (`Baseline` is
the perpendicular one in metres, `Heading` in degrees; no wavelength is given). Rasters cut to a common area
(`..._clip.tif`) are preferred. Grids of one burst differ by some pixels from pair to pair: what all cover is read.

Sign: as ours. "Negative values indicate movement towards the sensor, and positive values indicate movement away from
the sensor" (HyP3 product guides), the reference being the older image.

Coherence: `_corr` of the ISCE2 products is a phase-sigma correlation, the agreement of neighbouring phases after
filtering, and runs higher than the coherence of the two images; that of the GAMMA products is the latter.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import GroundshiftError, ProductError
from groundshift.io.dates import pair_or_problem
from groundshift.io.mapped import (
    Mapped,
    MappedPair,
    Raster,
    centre_mean,
    heights_on,
    join_coherence,
    look_from,
    settle_maps,
)
from groundshift.io.stack import InterferogramStack, Problem, ReadHeight
from groundshift.types import LookGeometry, Pair

__all__ = ["PRODUCT", "open_stack", "recognises"]

PRODUCT = "hyp3"

_STEM = r"S1[A-Z]{0,2}_\w.*?_INT\d\d_.+?"
_FILE = re.compile(
    rf"(?P<stem>{_STEM})_(?P<kind>wrapped_phase|unw_phase|corr|dem|lv_theta|lv_phi)(?P<cut>_clip\w*)?\.tiff?"
)
_ZIP = re.compile(rf"{_STEM}\.zip")
_PLACES = (
    re.compile(r"S1[A-Z]?_(\d{6}_IW\d)_"),
    re.compile(r"S1[A-Z]?_(\d{3}_[0-9a-z-]+)_IW_"),
    re.compile(r"S1[A-Z]?_(\d{3})_[EW]\d"),
)
"""Where the names of burst, bursts and track stand; names of whole scenes do not tell."""
_DEPTHS = ("*", "*/*", "*/*/*")


def recognises(path: Path) -> bool:
    """Whether `path` holds HyP3 interferograms, be they still zipped."""
    if path.is_file():
        return _ZIP.fullmatch(path.name) is not None
    return any(_FILE.fullmatch(f.name) or _ZIP.fullmatch(f.name) for f in _walk(path))


def open_stack(path: Path, *, strict: bool = False) -> InterferogramStack:
    """Open a folder of HyP3 products of one burst or frame.

    Parameters
    ----------
    path : path
        The folder that holds a folder for each pair, or all files in one.
    strict : bool
        Stop at the first pair that would be skipped.

    Raises
    ------
    ProductError
        If the products are still zipped, or `strict` and a pair would be skipped.
    NoDataError
        If no usable pair is left; the line is that of the first problem.
    """
    problems: list[Problem] = []
    products = _products(path, problems)
    place = _usual_place(products, problems)
    phases = [(one.pair, one.phase) for one in products]
    coherence = {one.phase: one.files["corr"] for one in products if "corr" in one.files}
    by_phase = {one.phase: one for one in products}
    joined = [
        _with_baseline(one, by_phase[one.phase.path])
        for one in join_coherence(phases, coherence, "_corr.tif", problems)
    ]
    mapped = settle_maps(path, joined, problems, strict=strict, crop=True)
    in_use = [by_phase[one.phase.path] for one in mapped.pairs.values()]
    read_height, notes = _heights(mapped, in_use)
    return InterferogramStack(
        product=PRODUCT,
        root=path,
        track=place or path.resolve().name,
        pairs=tuple(mapped.pairs),
        grid=mapped.grid,
        wavelength=SENTINEL1_WAVELENGTH,
        sign="HyP3 phase is ours: it grows when the ground moves away from the satellite",
        coherence_source=mapped.coherence_source,
        read_pair=mapped.read,
        look=_look(mapped, in_use),
        read_height=read_height,
        problems=(*mapped.problems, *notes),
        files=mapped.files,
    )


class _Product(NamedTuple):
    """The files of one pair by kind."""

    stem: str
    pair: Pair
    phase: Path
    files: dict[str, Path]

    @property
    def place(self) -> str | None:
        """Burst, bursts or track that the name states."""
        return next((match[1] for match in (p.match(self.stem) for p in _PLACES) if match), None)

    @property
    def text(self) -> dict[str, float]:
        """The numbers of the product's text file; none if it is missing."""
        values: dict[str, float] = {}
        try:
            lines = (self.phase.parent / f"{self.stem}.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return values
        for line in lines:
            key, _, word = line.partition(":")
            try:
                values[key.strip()] = float(word)
            except ValueError:
                continue
        return values


def _walk(root: Path) -> Iterator[Path]:
    """Yield the files of a folder and its folders in order of depth and name."""
    if root.is_dir():
        for depth in _DEPTHS:
            yield from sorted(entry for entry in root.glob(depth) if entry.is_file())


def _products(root: Path, problems: list[Problem]) -> list[_Product]:
    """Return the products below a folder, leaving out those that name no pair of dates in order."""
    files: dict[tuple[Path, str], dict[str, dict[str, Path]]] = defaultdict(lambda: defaultdict(dict))
    zipped = root if root.is_file() else None
    for file in _walk(root):
        match = _FILE.fullmatch(file.name)
        if match:
            files[file.parent, match["stem"]][match["cut"] or ""][match["kind"]] = file
        elif zipped is None and _ZIP.fullmatch(file.name):
            zipped = file
    if not files and zipped is not None:
        raise ProductError(f"{zipped}: still zipped; unzip the products and give the folder that holds them")
    products: list[_Product] = []
    for (_, stem), cuts in files.items():
        # The rasters cut to a common area, if there are any, stand in for the whole ones.
        kinds = cuts.get("", {}) | next((cuts[cut] for cut in sorted(cuts, reverse=True)), {})
        phase = kinds.get("wrapped_phase") or kinds.get("unw_phase")
        if phase is None:
            first = min(kinds.values())
            line = f"{first}: no _wrapped_phase.tif or _unw_phase.tif beside it; fetch the product again or remove it"
            problems.append(Problem(first, line))
            continue
        pair = pair_or_problem(phase, stem)
        if isinstance(pair, Problem):
            problems.append(pair)
        elif pair is not None:
            products.append(_Product(stem, pair, phase, kinds))
    return products


def _usual_place(products: list[_Product], problems: list[Problem]) -> str | None:
    """Leave only the products of the burst or track that most are of, and return its name."""
    if not products:
        return None
    usual = Counter(one.place for one in products).most_common(1)[0][0]
    for one in [one for one in products if one.place != usual]:
        products.remove(one)
        line = (
            f"{one.phase}: is of {one.place or 'another area'}, the others of {usual}; put each burst in its own folder"
        )
        problems.append(Problem(one.phase, line))
    return usual


def _with_baseline(one: MappedPair, product: _Product) -> MappedPair:
    """Add the perpendicular baseline of the text file."""
    baseline = product.text.get("Baseline")
    return one._replace(pair=Pair(one.pair.reference, one.pair.secondary, baseline))


def _look(mapped: Mapped, products: list[_Product]) -> LookGeometry | None:
    """Return the look geometry at the centre from the look vectors, else from the text file.

    Both angles are of the direction from the ground to the satellite: theta above the horizon, phi from east towards
    north (HyP3 product guide).
    """
    for one in products:
        if "lv_theta" not in one.files or "lv_phi" not in one.files:
            continue
        try:
            theta = centre_mean(Raster.open(one.files["lv_theta"]), mapped.grid)
            phi = centre_mean(Raster.open(one.files["lv_phi"]), mapped.grid)
        except GroundshiftError:
            continue
        if theta is not None and phi is not None:
            flat = math.cos(theta)
            return look_from(flat * math.cos(phi), flat * math.sin(phi), math.sin(theta))
    for one in products:
        text = one.text
        try:
            radius, distance = text["Earth radius at nadir"], text["Slant range center"]
            orbit, heading = radius + text["Spacecraft height"], text["Heading"]
            # Triangle of Earth's centre, ground and satellite.
            cosine = (orbit**2 - radius**2 - distance**2) / (2 * radius * distance)
            return LookGeometry(heading, math.degrees(math.acos(cosine)))
        except (KeyError, ValueError, ZeroDivisionError):
            continue
    return None


def _heights(mapped: Mapped, products: list[_Product]) -> tuple[ReadHeight | None, list[Problem]]:
    """Return a reader of the heights of the first product whose terrain covers the stack."""
    problem: list[Problem] = []
    for one in products:
        if "dem" not in one.files:
            continue
        try:
            return heights_on(Raster.open(one.files["dem"]), mapped.grid), []
        except GroundshiftError as error:
            problem = [Problem(one.files["dem"], str(error), skipped=False)]
    return None, problem
