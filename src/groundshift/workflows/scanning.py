"""Every short interferogram of a track scanned for bowls of mining subsidence, and what was seen brought together.

What each pair shows is kept in the track's folder, so that a scan that was stopped goes on where it was, and new pairs
cost only themselves.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Collection, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift import __version__
from groundshift.detect.bowls import Bowl, find_bowls
from groundshift.detect.fringes import scan_fringes
from groundshift.detect.sites import Sighting, Site, associate
from groundshift.errors import NoDataError
from groundshift.io.atomic import atomic_path, write_text
from groundshift.io.incoherent import judge_noise
from groundshift.io.plausible import judge_signs
from groundshift.io.stack import InterferogramStack, Problem
from groundshift.types import Grid, Looks, Pair, Window
from groundshift.unwrap import average_igram
from groundshift.workflows.choices import choose_looks, choose_scanned
from groundshift.workflows.config import SettingError
from groundshift.workflows.foresight import load_bowl_network
from groundshift.workflows.parts import BowlConfig
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import PairFailedError, file_marks, read_pair

__all__ = ["Scan", "Watcher", "choose_watcher", "read_averaged", "scan_track"]

_STRIP_BYTES = 64e6
"""A pair is read in strips of rows of about this size."""
_SCANNED = "scanned.json"
"""Beside what the pairs show: which of them the last whole scan brought together."""


class Watcher(NamedTuple):
    """What looks at single interferograms."""

    name: str
    checksum: str
    """Of the model; empty for the rules."""
    look: Callable[[NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
    """From wrapped phase (radians, NaN without data) and coherence to the probability of ground that moves, and phase
    that is unwrapped up to a constant, radians."""
    least_score: float = 0.0
    """From which a bowl counts."""


class Scan(NamedTuple):
    """What the single interferograms of a track show."""

    detector: str
    """Name of what looked."""
    checksum: str
    """As of the `Watcher`."""
    grid: Grid
    """Of the pixels that were looked at."""
    sites: tuple[Site, ...]
    pairs: tuple[Pair, ...]
    """Pairs that were looked at."""
    coherence: NDArray[np.float32]
    """(y, x) mean over the pairs."""
    problems: tuple[Problem, ...]
    """Pairs that could not be."""


def choose_watcher(config: BowlConfig) -> Watcher:
    """Return what `config` names.

    Raises
    ------
    GroundshiftError
        If there is no such model, or it does not find footprints and unwrap.
    """
    if config.bowl_detector == "rules":
        return Watcher("fringes", "", _by_fringes, config.bowl_score or 0.0)
    network = load_bowl_network(config.bowl_model, "--bowl-model")
    if network.kind == "unwrapped":
        raise SettingError(
            f"--bowl-model: {config.bowl_model} unwraps but does not find bowls; choose bowlnet or ddnet"
        )

    def look(
        wrapped: NDArray[np.float32], coherence: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        view = network.look(wrapped, coherence)
        assert view.probability is not None
        # Where the network only finds, the depth of a bowl is that of the integrated fringes.
        phase = view.phase if view.phase is not None else _by_fringes(wrapped, coherence)[1]
        return view.probability, phase

    least = network.least_score if config.bowl_score is None else config.bowl_score
    return Watcher(network.name, network.checksum, look, least)


def _by_fringes(
    wrapped: NDArray[np.float32], coherence: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Look at the density of fringes."""
    found = scan_fringes(wrapped, np.isfinite(wrapped), coherence)
    return found.probability, found.phase


def scan_track(
    stack: InterferogramStack,
    config: BowlConfig,
    watcher: Watcher,
    folder: Path,
    reporter: Reporter,
    *,
    with_former: bool = False,
    known: Collection[Problem] = (),
) -> Scan:
    """Look for bowls in every short interferogram of a track, and bring together what was seen at one place.

    Parameters
    ----------
    stack : InterferogramStack
    config : BowlConfig
    watcher : Watcher
    folder : path
        Of the track; what each pair shows is kept in `bowls/` below it.
    reporter : Reporter
    with_former : bool
        Whether pairs that the last scan brought together count although `stack` does not have them, or their files are
        not there any more, as in an update.
    known : collection of Problem
        What has been warned of already.

    Raises
    ------
    NoDataError
        If no pair is short enough, or none can be read.
    OutputError
        If what was found cannot be written.
    """
    pairs = choose_scanned(stack, config)
    looks = choose_looks(stack.grid, config.bowl_pixel)
    grid = stack.grid.multilooked(looks)
    sightings: list[Sighting] = []
    used: list[Pair] = []
    problems: list[Problem] = []
    total, count = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.uint16)
    told = _settings_mark(stack, config, watcher)
    former = _former(folder / "bowls", told, pairs, config.bowl_days) if with_former else {}
    with reporter.bar(f"{stack.track}: scanning", len(pairs)) as advance:
        for pair in [*pairs, *former]:
            kept = folder / "bowls" / f"{pair.name}.npz"
            try:
                gone = with_former and not all(f.exists() for f in stack.files.get(pair, ()))
                seen = former.get(pair) or _recalled(kept, told, None if gone else _files_mark(stack, pair))
                if seen is None:
                    seen = _scan_pair(stack, pair, looks, config, watcher)
                    _keep(kept, told, _files_mark(stack, pair), pair, seen)
            except PairFailedError as error:
                problems.append(Problem(stack.files.get(pair, (stack.root,))[0], str(error)))
                if problems[-1] not in known:
                    reporter.warn(f"{error}; pair left out")
            else:
                if seen.noise:
                    reporter.warn(f"{stack.track}: {pair.name} is all noise; nothing can be seen in it")
                used.append(pair)
                sightings += [Sighting(pair, bowl) for bowl in seen.bowls]
                total += seen.coherence.astype(np.float32) / np.float32(255)
                count += seen.coherence > 0
            if pair not in former:
                advance()
    if not used:
        last = problems[-1].message
        raise NoDataError(f"{stack.root}: none of {count_of(len(pairs), 'pair')} could be read; last: {last}")
    write_text(folder / "bowls" / _SCANNED, json.dumps([pair.name for pair in used]) + "\n")
    sites = associate(sightings, least_dates=config.site_dates)
    doubt = judge_signs([float(np.median([s.bowl.peak for s in site.sightings])) for site in sites])
    if doubt:
        reporter.warn(f"{stack.track}: {doubt}")
    reporter.say(
        f"{stack.track}: {count_of(len(sightings), 'bowl')} in {count_of(len(used), 'pair')}, "
        f"{count_of(len(sites), 'site')} confirmed"
    )
    mean = np.asarray(total / np.maximum(count, 1), np.float32)
    return Scan(watcher.name, watcher.checksum, grid, tuple(sites), tuple(used), mean, tuple(problems))


class _Seen(NamedTuple):
    """What one pair shows."""

    bowls: tuple[Bowl, ...]
    coherence: NDArray[np.uint8]
    """(y, x) in units of 1/255, at least 1 where there are data."""
    noise: bool
    days: tuple[date, date]


def _scan_pair(stack: InterferogramStack, pair: Pair, looks: Looks, config: BowlConfig, watcher: Watcher) -> _Seen:
    """Look at one pair."""
    igram = read_averaged(stack, pair, looks)
    known = igram != 0
    coherence = np.abs(igram)
    level = np.where(known, np.clip(np.round(255 * coherence), 1, 255), 0).astype(np.uint8)
    if not known.any() or judge_noise(igram):
        return _Seen((), level, bool(known.any()), (pair.reference, pair.secondary))
    wrapped = np.where(known, np.angle(igram), np.nan).astype(np.float32)
    probability, phase = watcher.look(wrapped, coherence)
    bowls = find_bowls(
        probability, phase, known,
        least_probability=config.bowl_probability, least_pixels=config.bowl_pixels, least_score=watcher.least_score,
    )  # fmt: skip
    return _Seen(tuple(bowls), level, False, (pair.reference, pair.secondary))


def read_averaged(stack: InterferogramStack, pair: Pair, looks: Looks) -> NDArray[np.complex64]:
    """Read a whole pair in strips, averaged to the grid that is looked at."""
    width = stack.grid.shape[1]
    rows, columns = stack.grid.multilooked(looks).shape
    step = max(1, int(_STRIP_BYTES / (8 * width * looks.y))) * looks.y
    out = np.zeros((rows, columns), np.complex64)
    for top in range(0, rows * looks.y, step):
        strip = read_pair(stack, pair, Window(top, 0, min(step, rows * looks.y - top), columns * looks.x))
        out[top // looks.y : (top + strip.shape[0]) // looks.y] = average_igram(strip, looks)
    return out


def _settings_mark(stack: InterferogramStack, config: BowlConfig, watcher: Watcher) -> str:
    """Tell with which settings pairs are looked at."""
    facts = [
        __version__, stack.product, stack.grid.shape, config.bowl_pixel, config.bowl_probability, config.bowl_pixels,
        watcher.name, watcher.checksum, watcher.least_score,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _files_mark(stack: InterferogramStack, pair: Pair) -> str:
    """Tell from which files a pair is read."""
    return hashlib.sha256(json.dumps([pair.name, file_marks(stack, pair)]).encode()).hexdigest()


def _keep(path: Path, told: str, files: str, pair: Pair, seen: _Seen) -> None:
    """Write what a pair shows."""
    masks = [b.mask.ravel() for b in seen.bowls]
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            told=np.array(told),
            files=np.array(files),
            dates=np.array([pair.reference, pair.secondary], "datetime64[D]"),
            windows=np.array([b.window for b in seen.bowls], np.int64).reshape(-1, 4),
            masks=np.packbits(np.concatenate(masks) if masks else np.zeros(0, np.bool_)),
            scores=np.array([b.score for b in seen.bowls], np.float64),
            peaks=np.array([b.peak for b in seen.bowls], np.float64),
            coherence=seen.coherence,
            noise=np.array(seen.noise),
        )


def _former(folder: Path, told: str, present: Sequence[Pair], most_days: int) -> dict[Pair, _Seen]:
    """Return what the last whole scan has seen in other pairs with the same settings."""
    try:
        names = set(json.loads((folder / _SCANNED).read_text("utf-8"))) - {pair.name for pair in present}
    except (OSError, ValueError, TypeError):
        return {}
    found = {}
    for name in sorted(names):
        seen = _recalled(folder / f"{name}.npz", told, None)
        if seen is not None and Pair(*seen.days).days <= most_days:
            found[Pair(*seen.days)] = seen
    return found


def _recalled(path: Path, told: str, files: str | None) -> _Seen | None:
    """Read what an earlier run has seen in a pair; None unless it was made from the same."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["told"]) != told or (files is not None and str(kept["files"]) != files):
                return None
            days = tuple(kept["dates"].astype(object))
            windows = [Window(*map(int, w)) for w in kept["windows"]]
            sizes = [w.height * w.width for w in windows]
            bits = np.unpackbits(kept["masks"])[: sum(sizes)].astype(np.bool_)
            masks = np.split(bits, np.cumsum(sizes)[:-1]) if sizes else []
            bowls = tuple(
                Bowl(w, m.reshape(w.height, w.width), float(s), float(p))
                for w, m, s, p in zip(windows, masks, kept["scores"], kept["peaks"], strict=True)
            )
            return _Seen(bowls, kept["coherence"], bool(kept["noise"]), days)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
