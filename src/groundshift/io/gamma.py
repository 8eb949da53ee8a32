"""GAMMA interferograms: headerless big-endian rasters beside the text files that describe them.

A folder and its subfolders hold one file for each pair, named by its two dates: complex interferograms (`.diff`,
`.diff.ml.sm`, `.int`, ...) or unwrapped phase (`.unw`, wrapped again here), in radar geometry or geocoded. Width and
lines come from the `.rmli.par`, `.diff_par`, `.off` or `dem_par` file whose size is that of the rasters.

Sign: as ours, the earlier image being the first. GAMMA phase grows with range: LiCSBAS and the HyP3 InSAR product
guide, both on GAMMA phase, take -wavelength / (4 pi) times it as the displacement towards the sensor, which GAMMA's own
`dispmap` (DIFF&GEO reference manual) counts positive.

Coherence: the `.cc` file of the pair where there is one; else the magnitude if that behaves like a coherence; else
estimated from the phase. Zero is no data everywhere.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import GroundshiftError, ProductError
from groundshift.io import gamma_par as par
from groundshift.io.agree import Found, GridKey, settle_on_grid
from groundshift.io.baselines import Baselines, pair_baseline, read_baselines
from groundshift.io.dates import pair_or_problem
from groundshift.io.estimate import consistent_igram
from groundshift.io.gamma_files import TYPES, Role, is_table, kind_of, listing, role_of
from groundshift.io.plausible import usable_phase
from groundshift.io.rasters import polar, read_binary
from groundshift.io.stack import InterferogramStack, Problem, ReadHeight
from groundshift.types import Grid, Pair, RadarGrid, Window

__all__ = ["PRODUCT", "open_stack", "recognises"]

PRODUCT = "gamma"

Magnitude = Literal["file", "magnitude", "estimated"]
"""Where the coherence is: a file of its own, the magnitude, or nowhere."""


def recognises(path: Path) -> bool:
    """Whether `path` is a folder with GAMMA interferograms and their parameter files."""
    if not path.is_dir():
        return False
    files = listing(path)
    return any(par.is_par_name(f.name) for f in files) and any(
        role_of(f.name) in ("complex", "unwrapped") for f in files
    )


def open_stack(path: Path, *, strict: bool = False) -> InterferogramStack:
    """Open a folder of GAMMA interferograms.

    Parameters
    ----------
    path : path
        The folder that holds interferograms and parameter files, in it or in its subfolders; parameter files may also
        lie in the folder above.
    strict : bool
        Stop at the first pair that would be skipped.

    Raises
    ------
    ProductError, DamagedFileError
        If nothing tells the size, wavelength or geometry of the rasters.
    NoDataError
        If no usable pair is left; the line is that of the first problem.
    """
    files = listing(path)
    chosen, problems = _choosekind_of(files)
    pars = [par.read_parameters(f) for f in files if par.is_par_name(f.name)]
    if not chosen:
        settle_on_grid(path, [], problems, strict)
    layout = _layout(path, chosen, pars)
    shape = layout.shape or (0, 0)
    # What describes the rasters themselves is asked first, then everything else in order of name.
    pars = [layout, *(one for one in pars if one is not layout and not one.is_map)]

    whole, broken = _of_size(chosen, shape)
    whole = [one for one in whole if one.role == "complex" or _usable(one, shape, problems)]
    coherence = _companions(whole, [f for f in files if role_of(f.name) == "coherence"], shape)
    found = [Found(c.pair, (c.path, *coherence.files.get(c.path, ())), GridKey(shape)) for c in coherence.kept]
    by_pair, _, settled = settle_on_grid(path, found, [*problems, *broken, *coherence.problems], strict)

    magnitude = coherence.magnitude
    role: Role = chosen[0].role
    if magnitude != "file" and role == "complex" and _is_coherence([f[0] for f in by_pair.values()], shape):
        magnitude = "magnitude"
    by_pair = _with_baselines(by_pair, files, pars)
    grid, read_height, notes = _place(path, layout, pars, files)
    return InterferogramStack(
        product=PRODUCT,
        root=path,
        track=path.resolve().name,
        pairs=tuple(by_pair),
        grid=grid,
        wavelength=par.wavelength(path, pars),
        sign="GAMMA phase is ours: it grows when the ground moves away from the satellite",
        coherence_source="estimated" if magnitude == "estimated" else "product",
        read_pair=_Rasters(by_pair, shape, role, magnitude).read,
        look=par.look_geometry(pars),
        read_height=read_height,
        problems=(*settled, *notes),
        files=by_pair,
    )


class _Candidate(NamedTuple):
    """An interferogram of one pair."""

    pair: Pair
    path: Path
    role: Role


class _Companions(NamedTuple):
    """Candidates with the coherence that goes with them."""

    kept: list[_Candidate]
    files: dict[Path, tuple[Path, ...]]
    magnitude: Magnitude
    problems: list[Problem]


def _choosekind_of(files: Iterable[Path]) -> tuple[list[_Candidate], list[Problem]]:
    """Keep the kind of interferogram (such as `.diff.ml.sm`) that most pairs have; complex before unwrapped."""
    kinds: dict[tuple[Role, str], list[_Candidate]] = defaultdict(list)
    problems: list[Problem] = []
    for file in files:
        role = role_of(file.name)
        if role is None or role == "coherence":
            continue
        pair = pair_or_problem(file)
        if isinstance(pair, Problem):
            problems.append(pair)
        elif pair is not None:
            kinds[role, kind_of(file.name)].append(_Candidate(pair, file, role))
    if not kinds:
        return [], problems
    ranked = sorted(
        kinds, key=lambda k: (len({c.pair for c in kinds[k]}), k[0] == "complex", len(k[1]), k[1]), reverse=True
    )
    kept = kinds[ranked[0]]
    have = {c.pair for c in kept}
    for other in ranked[1:]:
        lacking = [c for c in kinds[other] if c.pair not in have]
        have.update(c.pair for c in lacking)
        problems += [
            Problem(c.path, f"{c.path}: the other pairs are read from {ranked[0][1]} files; make one for this pair too")
            for c in lacking
        ]
    return kept, problems


def _layout(root: Path, chosen: Sequence[_Candidate], pars: Sequence[par.Parameters]) -> par.Parameters:
    """Return the parameter file whose size most of the interferograms have."""
    sized = [one for one in pars if one.shape is not None]
    if not sized:
        raise ProductError(
            f"{root}: no .rmli.par, .diff_par, .off or dem_par here tells the width; put one beside the rasters"
        )
    counts = Counter(c.path.stat().st_size // np.dtype(TYPES[c.role]).itemsize for c in chosen)
    fitting = [one for one in sized if counts[math.prod(one.shape or ())] > 0]
    if not fitting:
        first = chosen[0].path
        names = ", ".join(sorted({one.path.name for one in sized})[:3])
        raise ProductError(
            f"{first}: {first.stat().st_size} bytes fit no size in {names}; "
            "fetch the file again or put the right .par beside it"
        )
    return max(fitting, key=lambda one: (counts[math.prod(one.shape or ())], _telling(one)))


def _telling(one: par.Parameters) -> int:
    """Rank parameter files of the same size by how much they say."""
    if one.is_map:
        return 1
    return 2 if one.number("radar_frequency") else 0


def _of_size(chosen: Sequence[_Candidate], shape: tuple[int, int]) -> tuple[list[_Candidate], list[Problem]]:
    """Part files of the right size from others."""
    kept: list[_Candidate] = []
    problems: list[Problem] = []
    for one in chosen:
        line = _wrong_size(one.path, shape, one.role)
        if line is None:
            kept.append(one)
        else:
            problems.append(Problem(one.path, line))
    return kept, problems


def _usable(one: _Candidate, shape: tuple[int, int], problems: list[Problem]) -> bool:
    """Whether the numbers of an unwrapped phase are radians."""
    read_phase = partial(_read_phase, one.path, shape, one.role)
    return usable_phase(one.path, read_phase, shape, problems, wrapped_expected=False)


def _wrong_size(path: Path, shape: tuple[int, int], role: Role) -> str | None:
    """Say in one line that a file has another size than the grid, or None if it fits."""
    expected = math.prod(shape) * np.dtype(TYPES[role]).itemsize
    size = path.stat().st_size
    if size == expected:
        return None
    return (
        f"{path}: expected {expected} bytes ({shape[0]} x {shape[1]} pixels), instead got {size}; "
        "fetch the file again or remove it"
    )


def _companions(chosen: Sequence[_Candidate], coherence: Sequence[Path], shape: tuple[int, int]) -> _Companions:
    """Find the coherence of each pair; if any pair has one, those without are left out."""
    by_pair: dict[str, list[Path]] = defaultdict(list)
    for file in coherence:
        pair = pair_or_problem(file)
        if isinstance(pair, Pair):
            by_pair[pair.name].append(file)
    kept: list[_Candidate] = []
    files: dict[Path, tuple[Path, ...]] = {}
    problems: list[Problem] = []
    for one in chosen:
        near = sorted(
            by_pair[one.pair.name],
            key=lambda f: (f.parent != one.path.parent, not f.name.startswith(one.path.name.partition(".")[0]), f),
        )
        fitting = [f for f in near if _wrong_size(f, shape, "coherence") is None]
        if fitting:
            kept.append(one)
            files[one.path] = (fitting[0],)
        elif near:
            problems.append(Problem(near[0], _wrong_size(near[0], shape, "coherence") or ""))
        else:
            line = f"{one.path}: no coherence file for this pair, but other pairs have one; add the .cc file"
            problems.append(Problem(one.path, line))
    if files:
        return _Companions(kept, files, "file", problems)
    # No pair has a coherence of this grid: there may be some of another geometry, which is worth a word.
    notes = [replace(p, skipped=False) for p in problems if p.path in coherence][:1]
    return _Companions(list(chosen), {}, "estimated", notes)


def _is_coherence(files: Sequence[Path], shape: tuple[int, int]) -> bool:
    """Whether magnitudes lie in [0, 1] and differ, judged from rows all over the first, middle and last file."""
    low, high = np.inf, 0.0
    for file in {files[0], files[len(files) // 2], files[-1]}:
        for top in np.linspace(0, shape[0] - 1, 9).astype(int):
            rows = min(8, shape[0] - int(top))
            magnitude = np.abs(read_binary(file, shape, ">c8", Window(int(top), 0, rows, shape[1])))
            magnitude = magnitude[np.isfinite(magnitude) & (magnitude > 0)]
            if magnitude.size:
                low, high = min(low, float(magnitude.min())), max(high, float(magnitude.max()))
    return high <= 1.001 and high - low > 0.01


@dataclass(frozen=True)
class _Rasters:
    """The rasters of all pairs, and how they are read."""

    files: dict[Pair, tuple[Path, ...]]
    shape: tuple[int, int]
    role: Role
    magnitude: Magnitude

    def read(self, pair: Pair, window: Window) -> NDArray[np.complex64]:
        """Read one pair over a window."""
        path, *companion = self.files[pair]
        if self.magnitude == "estimated":
            return consistent_igram(partial(_read_phase, path, self.shape, self.role), window, self.shape)
        if self.magnitude == "file":
            phase, valid = _read_phase(path, self.shape, self.role, window)
            return polar(read_binary(companion[0], self.shape, TYPES["coherence"], window), phase, valid)
        raw = read_binary(path, self.shape, TYPES[self.role], window)
        igram: NDArray[np.complex64] = np.where(np.isfinite(raw), raw, 0).astype(np.complex64, copy=False)
        igram /= np.maximum(np.abs(igram), np.float32(1))
        return igram


def _read_phase(
    path: Path, shape: tuple[int, int], role: Role, window: Window
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read phase in radians, and where there is any."""
    raw = read_binary(path, shape, TYPES[role], window)
    valid = np.isfinite(raw) & (raw != 0)
    phase = np.angle(raw) if role == "complex" else raw
    return np.where(valid, phase, 0).astype(np.float32), valid


def _with_baselines(
    by_pair: dict[Pair, tuple[Path, ...]], files: Sequence[Path], pars: Sequence[par.Parameters]
) -> dict[Pair, tuple[Path, ...]]:
    """Return the same files under pairs that know their perpendicular baseline, where the product tells it."""
    of_pair: dict[str, list[Path]] = defaultdict(list)
    listed: Baselines = {}
    for file in files:
        lower = file.name.lower()
        if "base" not in lower and "bperp" not in lower:
            continue
        pair = pair_or_problem(file)
        if isinstance(pair, Pair):
            of_pair[pair.name].append(file)
        elif pair is None and file.stat().st_size < 10_000_000:
            listed |= read_baselines(file)
    known: dict[Pair, tuple[Path, ...]] = {}
    for pair, paths in by_pair.items():
        # Tables of base_perp first: they hold what base.par only implies.
        values = (
            par.perpendicular_baseline(f, pars) for f in sorted(of_pair[pair.name], key=lambda f: "bperp" not in f.name)
        )
        value = next((v for v in values if v is not None), pair_baseline(pair, listed))
        known[replace(pair, perpendicular_baseline=value)] = paths
    return known


def _place(
    root: Path, layout: par.Parameters, pars: Sequence[par.Parameters], files: Sequence[Path]
) -> tuple[Grid, ReadHeight | None, list[Problem]]:
    """Return where the pixels lie, their heights where known, and what is worth saying."""
    if layout.is_map:
        terrain = par.terrain_on_map(layout, files)
        return par.map_grid(layout), None if terrain is None else terrain.read, []
    shape = layout.shape or (0, 0)
    grid = RadarGrid(shape, par.radar_spacing(root, layout, pars))
    tables = sorted((f for f in files if is_table(f.name)), key=lambda f: ("fine" not in f.name, f))
    maps = [one for one in map(par.read_parameters, (f for f in files if par.is_par_name(f.name))) if one.is_map]
    for table in tables:
        for one in maps:
            if one.shape is None or table.stat().st_size != math.prod(one.shape) * 8:
                continue
            try:
                lon, lat, height = par.radar_terrain(table, one, par.terrain_on_map(one, files), shape)
            except GroundshiftError as error:
                return grid, None, [Problem(table, str(error), skipped=False)]
            heights = height.astype(np.float32)
            reader = partial(_crop, heights) if np.isfinite(heights).any() else None
            return replace(grid, longitude=lon, latitude=lat), reader, []
    line = f"{root}: no lookup table with its dem_par, so no position is known; add the .lt_fine and .dem_par files"
    return grid, None, [Problem(root, line, skipped=False)]


def _crop(heights: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Return heights over a window."""
    return heights[window.rows, window.columns]
