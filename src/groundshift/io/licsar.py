"""LiCSAR frames of COMET: geocoded interferograms of Sentinel-1.

`GEOC/` or `interferograms/` holds a folder for each pair with `<pair>.geo.diff_pha.tif` (wrapped, filtered),
`.geo.diff_unfiltered_pha.tif`, `.geo.unw.tif` and `.geo.cc.tif`, taken in this order; the coherence is uint8 (255 is 1)
since October 2019, float before. Beside it, or in `metadata/`, lie `<frame>.geo.{E,N,U,hgt}.tif`, `baselines` and
`metadata.txt`.

Sign: as ours. LiCSAR is processed with GAMMA, whose phase grows with range, and LiCSBAS takes -wavelength / (4 pi)
times the phase as displacement towards the satellite (its issues 294 and 493 say which way positive is).
"""

import math
import re
from collections import defaultdict
from pathlib import Path

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import GroundshiftError
from groundshift.io.baselines import Baselines, pair_baseline, read_baselines
from groundshift.io.dates import pair_or_problem
from groundshift.io.mapped import Raster, centre_mean, heights_on, join_coherence, look_from, settle_maps
from groundshift.io.stack import InterferogramStack, Problem, ReadHeight
from groundshift.types import LookGeometry, MapGrid, Pair

__all__ = ["PRODUCT", "open_stack", "recognises"]

PRODUCT = "licsar"

_PHASES = (".geo.diff_pha.tif", ".geo.diff_unfiltered_pha.tif", ".geo.unw.tif")
_COHERENCE = ".geo.cc.tif"
_FRAME = re.compile(r"\d{3}[AD]_\d{5}_\d{6}")
_DEPTHS = ("*", "*/*", "*/*/*")


def recognises(path: Path) -> bool:
    """Whether `path` is a folder with LiCSAR interferograms in it or in folders of pairs."""
    return path.is_dir() and any(
        entry.name.endswith(_PHASES) for depth in _DEPTHS for entry in path.glob(depth) if not entry.is_dir()
    )


def open_stack(path: Path, *, strict: bool = False) -> InterferogramStack:
    """Open a LiCSAR frame.

    Parameters
    ----------
    path : path
        The frame's folder, or its `GEOC` or `interferograms` folder.
    strict : bool
        Stop at the first pair that would be skipped.

    Raises
    ------
    ProductError
        If `strict` and a pair would be skipped.
    NoDataError
        If no usable pair is left; the line is that of the first problem.
    """
    problems: list[Problem] = []
    phases, coherence = _find(path, problems)
    joined = join_coherence(phases, coherence, _COHERENCE, problems)
    baselines = _baselines(path)
    joined = [
        one._replace(pair=Pair(one.pair.reference, one.pair.secondary, pair_baseline(one.pair, baselines)))
        for one in joined
    ]
    mapped = settle_maps(path, joined, problems, strict=strict, crop=False)
    read_height, notes = _heights(path, mapped.grid)
    return InterferogramStack(
        product=PRODUCT,
        root=path,
        track=_frame(path),
        pairs=tuple(mapped.pairs),
        grid=mapped.grid,
        wavelength=SENTINEL1_WAVELENGTH,
        sign="LiCSAR phase is ours: it grows when the ground moves away from the satellite",
        coherence_source=mapped.coherence_source,
        read_pair=mapped.read,
        look=_look(path, mapped.grid),
        read_height=read_height,
        problems=(*mapped.problems, *notes),
        files=mapped.files,
    )


def _find(root: Path, problems: list[Problem]) -> tuple[list[tuple[Pair, Path]], dict[Path, Path]]:
    """Return the phase raster of each folder of a pair, and the coherence of each phase raster."""
    folders: dict[tuple[Path, str], dict[str, Path]] = defaultdict(dict)
    for depth in _DEPTHS:
        for file in sorted(root.glob(depth)):
            stem, dot, kind = file.name.partition(".geo.")
            if dot and file.is_file() and f"{dot}{kind}" in (*_PHASES, _COHERENCE):
                folders[file.parent, stem][f"{dot}{kind}"] = file
    phases: list[tuple[Pair, Path]] = []
    coherence: dict[Path, Path] = {}
    for (folder, stem), files in folders.items():
        phase = next((files[kind] for kind in _PHASES if kind in files), None)
        pair = pair_or_problem(phase or folder, stem)
        if isinstance(pair, Problem):
            problems.append(pair)
        elif pair is not None and phase is None:
            line = f"{folder}: no {_PHASES[0]} or {_PHASES[-1]} for {stem}; fetch one or remove the folder"
            problems.append(Problem(folder, line))
        elif pair is not None and phase is not None:
            phases.append((pair, phase))
            if _COHERENCE in files:
                coherence[phase] = files[_COHERENCE]
    return phases, coherence


def _metadata(root: Path, pattern: str) -> Path | None:
    """Return a file of the frame: in the folder given, in one below it, or beside it."""
    for place in (root, root / "metadata", root / "GEOC", root.resolve().parent, root.resolve().parent / "metadata"):
        found = sorted(place.glob(pattern))
        if found:
            return found[0]
    return None


def _baselines(root: Path) -> Baselines:
    """Return the frame's perpendicular baselines, none if there is no list."""
    path = _metadata(root, "baselines")
    return {} if path is None else read_baselines(path)


def _look(root: Path, grid: MapGrid) -> LookGeometry | None:
    """Return the look geometry from the unit vectors at the centre, else from `metadata.txt`."""
    vector: list[float] = []
    for name in "ENU":
        path = _metadata(root, f"*.geo.{name}.tif")
        try:
            value = None if path is None else centre_mean(Raster.open(path), grid)
        except GroundshiftError:
            value = None
        if value is not None:
            vector.append(value)
    if len(vector) == 3 and math.hypot(*vector) > 0.5:
        # The vector points to the satellite; one that points down is that of the opposite custom.
        side = math.copysign(1.0, vector[2])
        return look_from(*(side * v for v in vector))
    path = _metadata(root, "metadata.txt")
    values = {} if path is None else _read_metadata(path)
    if "heading" in values and 0 < values.get("avg_incidence_angle", 0) < 90:
        return LookGeometry(values["heading"], values["avg_incidence_angle"])
    return None


def _read_metadata(path: Path) -> dict[str, float]:
    """Return the numbers of `key=value` lines."""
    values: dict[str, float] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return values
    for line in text.splitlines():
        key, _, word = line.partition("=")
        try:
            values[key.strip()] = float(word)
        except ValueError:
            continue
    return values


def _heights(root: Path, grid: MapGrid) -> tuple[ReadHeight | None, list[Problem]]:
    """Return a reader of the frame's heights, or what is wrong with them."""
    path = _metadata(root, "*.geo.hgt.tif")
    if path is None:
        return None, []
    try:
        # Sea and frame edge are 0, which the file does not always declare.
        raster = Raster.open(path)
        return heights_on(raster._replace(nodata=0.0 if raster.nodata is None else raster.nodata), grid), []
    except GroundshiftError as error:
        return None, [Problem(path, str(error), skipped=False)]


def _frame(root: Path) -> str:
    """Return the frame's name, else that of the folder."""
    path = _metadata(root, "*.geo.[ENU].tif")
    for text in (str(root.resolve()), "" if path is None else path.name):
        found = _FRAME.findall(text)
        if found:
            return str(found[-1])
    return root.resolve().name
