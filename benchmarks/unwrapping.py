"""Unwrappers on hard simulated patches, and the closure check on simulated networks and on Danba.

    python benchmarks/unwrapping.py patches [--seeds 5] [--looks 4]
    python benchmarks/unwrapping.py closure [$GROUNDSHIFT_DATA/danba]

*patches*: 100 x 100 pixels of known phase, steep, noisy, holed or cut by a river, with the noise of so many looks at
each coherence; where the phase is steep the coherence is lower still. A pixel is right where it is within half a cycle
of the truth, once the commonest whole cycle of each region of data is taken out. The bed of the river, all noise, is
not judged; both banks are one region.

*closure*: 40 dates, pairs of up to 48 days, a ragged body that moves steadily, atmosphere, a river, dates of little
coherence. The rate of each pixel, sum w phi t / sum w t^2 over its pairs, is compared with that of the true phases.
"""

import argparse
import importlib.util
import time
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, label

from groundshift.io import open_stack
from groundshift.simulate.decorrelation import add_noise, strain_loss
from groundshift.types import Pair
from groundshift.unwrap import PatchPhase, Unwrapper, check_closure, choose_unwrapper, unwrap_patch

SIDE = 100
COHERENCES = (0.9, 0.7, 0.5, 0.4, 0.3)
KINDS = ("bowl", "dome", "plug", "holes", "river", "rough")
NETWORKS = {
    "clear": {"speed": 60.0, "initial": 0.85, "final": 0.1, "decay": 40.0, "looks": 6.0},
    "noisy": {"speed": 90.0, "initial": 0.85, "final": 0.08, "decay": 30.0, "looks": 4.0},
    "worse": {"speed": 60.0, "initial": 0.7, "final": 0.05, "decay": 20.0, "looks": 3.0},
}
"""Radians per year; coherence at no time and after long; its decay in days; looks."""
STEEPEST = np.pi
"""Radians per pixel at the steepest place of bowl, dome and plug."""


class Patch(NamedTuple):
    """A patch of known phase; `factor` on the coherence, 0 without data; `judged` where truth is asked for."""

    phase: np.ndarray
    factor: np.ndarray
    judged: np.ndarray


class Score(NamedTuple):
    """What one unwrapper makes of one patch; NaN if it failed."""

    right: float
    rmse: float
    inside: float
    right_inside: float
    seconds: float


def make_patch(kind: str, rng: np.random.Generator) -> Patch:
    """Draw a patch of a kind."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + rng.uniform(-8, 8, (2, 1, 1))
    factor = np.ones((SIDE, SIDE), np.float32)
    phase = 0.8 * _unit(gaussian_filter(rng.standard_normal((SIDE, SIDE)), 15))
    judged = np.ones((SIDE, SIDE), np.bool_)
    if kind == "rough":
        slope, turn = rng.uniform(0.8, 1.4), rng.uniform(0, 2 * np.pi)
        phase = slope * (np.cos(turn) * y + np.sin(turn) * x)
        phase += 4 * _unit(gaussian_filter(rng.standard_normal((SIDE, SIDE)), 5))
        return Patch(phase.astype(np.float32), factor, judged)
    body = _bowl(y, x) if kind in ("bowl", "holes") else _slide(y, x, rng, 3 if kind == "plug" else 2)
    steep = 0.6 * STEEPEST if kind in ("holes", "river") else STEEPEST
    body *= steep / max(np.abs(np.diff(body, axis=axis)).max() for axis in (0, 1))
    if kind == "holes":
        field = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 3)
        factor[field > np.quantile(field, 0.75)] = 0
        judged = factor > 0
    if kind == "river":
        bed = np.abs(x + 0.3 * y - 8 - 6 * np.sin(y / 15)) < rng.uniform(2, 4)
        factor[bed] = 0.05
        judged = ~bed
    return Patch((phase + body).astype(np.float32), factor, judged)


def _unit(field: np.ndarray) -> np.ndarray:
    """Scale to a standard deviation of one."""
    return field / field.std()


def _bowl(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Sink like ground over a mine."""
    return -np.exp(-(y**2 / (2 * 15.0**2) + x**2 / (2 * 11.0**2)))


def _slide(y: np.ndarray, x: np.ndarray, rng: np.random.Generator, power: float) -> np.ndarray:
    """Move a turned body with a ragged edge: a dome (power 2), or a plug whose motion falls off near its edge."""
    turn = rng.uniform(0, 2 * np.pi)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    angle = np.arctan2(across, along)
    edge = 1 + sum(rng.normal(0, 0.08) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(2, 7))
    rho = np.minimum(np.hypot(along / 33, across / 21) / edge, 1)
    return 1 - rho**power if power > 2 else (1 - rho**2) ** 1.5


def judge(found: PatchPhase, patch: Patch, seconds: float) -> Score:
    """Compare an unwrapped phase with the truth."""
    unwrapped, inside = found.unwrapped[0], found.conncomp[0] > 0
    if found.failures:
        return Score(np.nan, np.nan, np.nan, np.nan, seconds)
    error = unwrapped - patch.phase
    regions, count = label(patch.factor > 0)
    for region in range(1, count + 1):
        where = (regions == region) & patch.judged
        if where.any():
            cycles = np.round(error[where] / (2 * np.pi)).astype(int)
            error[where] -= 2 * np.pi * (np.bincount(cycles - cycles.min()).argmax() + cycles.min())
    error, inside = error[patch.judged], inside[patch.judged]
    right = np.abs(error) < np.pi
    return Score(
        float(right.mean()), float(np.sqrt((error**2).mean())), float(inside.mean()),
        float(right[inside].mean()) if inside.any() else np.nan, seconds,
    )  # fmt: skip


def run(unwrapper: Unwrapper, kind: str, coherence: float, seed: int, looks: float) -> Score:
    """Unwrap one patch; the seed alone decides what it is."""
    rng = np.random.default_rng([KINDS.index(kind), round(100 * coherence), seed])
    patch = make_patch(kind, rng)
    true = (coherence * patch.factor * strain_loss(patch.phase)).astype(np.float32)
    igram = np.where(patch.factor > 0, add_noise(patch.phase, true, looks, rng, window=3), 0).astype(np.complex64)
    began = time.perf_counter()
    found = unwrap_patch(igram[np.newaxis], looks, unwrapper)
    return judge(found, patch, time.perf_counter() - began)


def make_network(
    rng: np.random.Generator, speed: float, initial: float, final: float, decay: float, looks: float
) -> tuple[list[Pair], np.ndarray, np.ndarray]:
    """Draw the pairs, true phases and interferograms of a network over a moving body."""
    days = np.cumsum(12 * rng.choice([1, 1, 1, 2], 40))
    dates = [date(2018, 1, 1) + timedelta(int(d)) for d in days]
    joined = [(i, j) for i in range(40) for j in range(i + 1, 40) if days[j] - days[i] <= 48]
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    body = speed * _slide(y, x, rng, 5)
    fields = [0.8 * _unit(gaussian_filter(rng.standard_normal((SIDE, SIDE)), 12)) - body * d / 365.25 for d in days]
    keeps = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 6)
    keeps = 0.4 + 1.6 * (keeps - keeps.min()) / np.ptp(keeps)
    bed = np.abs(x - 28 - 6 * np.sin(y / 18)) < 2.5
    bad = rng.random(40) < 0.1
    phases = np.array([fields[j] - fields[i] for i, j in joined], np.float32)
    igrams = np.empty(phases.shape, np.complex64)
    for k, (i, j) in enumerate(joined):
        true = (initial - final) * np.exp(-(days[j] - days[i]) / (decay * keeps)) + final
        true = np.where(bed, 0.05, true) * (0.55 if bad[i] or bad[j] else 1) * strain_loss(phases[k])
        igrams[k] = add_noise(phases[k], true.astype(np.float32), looks, rng, window=3)
    return [Pair(dates[i], dates[j]) for i, j in joined], phases, igrams


def rate_error(error: np.ndarray, weight: np.ndarray, pairs: list[Pair]) -> str:
    """Return median and RMS error of the rate in radians per year, and the share of pixels that have one."""
    years = np.array([p.years for p in pairs])[:, np.newaxis, np.newaxis]
    total = (weight * years**2).sum(axis=0)
    known = total > 0
    if not known.any():
        return "no pixel"
    rate = (weight * years * error).sum(axis=0)[known] / total[known]
    return f"{np.median(np.abs(rate)):.2f}, {np.sqrt((rate**2).mean()):.2f} ({100 * known.mean():.0f} %)"


def closure_of_networks(names: list[str]) -> None:
    """Print what the closure check makes of simulated networks."""
    print("| network | unwrapper | right | outside components | right there | kept | changed | right of these "
          "| left out | right after | rate: all pairs | components only | checked |")  # fmt: skip
    print("|---" * 13 + "|")
    for name, settings in NETWORKS.items():
        for tool in map(choose_unwrapper, names):
            pairs, truth, igrams = make_network(np.random.default_rng(3), **settings)
            phase = unwrap_patch(igrams, settings["looks"], tool)
            found = check_closure(phase, pairs)
            inside = phase.conncomp > 0
            trust = inside.sum(axis=0)
            at = trust >= np.quantile(trust, 0.98)
            before = phase.unwrapped - truth
            before = before - 2 * np.pi * np.round(np.median(before[:, at], axis=1) / (2 * np.pi))[:, None, None]
            after = before + 2 * np.pi * found.cycles
            square = np.minimum(np.abs(igrams), 0.99) ** 2
            weight, kept = square / (1.1 - square), found.kept
            known, changed = np.isfinite(found.unwrapped) & kept[:, None, None], found.cycles[kept] != 0
            right, right_after = np.abs(before) < np.pi, np.abs(after) < np.pi
            shares = [right.mean(), 1 - inside.mean(), right[~inside].mean()]
            shares += [changed.mean(), right_after[kept][changed].mean(), 1 - known[kept].mean()]
            cells = [f"{100 * share:.1f} %" for share in (*shares, right_after[known].mean())]
            cells.insert(3, f"{kept.sum()} of {len(pairs)}")
            rates = [
                rate_error(before, weight, pairs),
                rate_error(before, weight * inside, pairs),
                rate_error(after, weight * known, pairs),
            ]
            print(f"| {name} | {tool.name} | " + " | ".join(cells + rates) + " |", flush=True)


def closure_of_stack(folder: Path, names: list[str]) -> None:
    """Print what the closure check makes of a real scene."""
    stack = open_stack(folder)
    igrams = np.array([stack.read(pair) for pair in stack.pairs])
    print("\n| unwrapper | kept | in no triplet | in components | changed | left out | short-pair bias | seconds |")
    print("|---" * 8 + "|")
    for tool in map(choose_unwrapper, names):
        phase = unwrap_patch(igrams, 5, tool)
        began = time.perf_counter()
        found = check_closure(phase, stack.pairs)
        seconds = time.perf_counter() - began
        kept = found.kept
        shares = (
            (phase.conncomp[kept] > 0).mean(),
            (found.cycles[kept] != 0).mean(),
            np.isnan(found.unwrapped[kept]).mean(),
        )
        cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
        print(f"| {tool.name} | {kept.sum()} of {len(kept)} | {found.n_untested} | {cells} "
              f"| {found.short_pair_bias:.3f} rad | {seconds:.1f} |")  # fmt: skip


def compare_on_patches(names: list[str], seeds: int, looks: float) -> None:
    """Print both tables of the unwrappers."""
    tools = [choose_unwrapper(name) for name in names]
    for tool in tools:
        run(tool, "bowl", 0.9, 0, looks)  # loads the library
    cases = [(tool, kind, c, seed) for tool in tools for kind in KINDS for c in COHERENCES for seed in range(seeds)]
    scores = np.array([run(*case, looks) for case in cases])
    scores = scores.reshape(len(tools), len(KINDS), len(COHERENCES), seeds, -1)
    right = np.nanmean(scores[..., 0], axis=-1)
    print(f"| pixels right, % ({' / '.join(names)}) | " + " | ".join(f"coherence {c}" for c in COHERENCES) + " |")
    print("|---" * (len(COHERENCES) + 1) + "|")
    for k, kind in enumerate(KINDS):
        cells = (" / ".join(f"{100 * r:.1f}" for r in right[:, k, c]) for c in range(len(COHERENCES)))
        print(f"| {kind} | " + " | ".join(cells) + " |")
    print("\n| unwrapper | right | at least as good | RMSE, rad | in components | right of these | failures | s |")
    print("|---" * 8 + "|")
    for name, own in zip(names, scores, strict=True):
        mean = np.nanmean(own.reshape(-1, 5), axis=0)
        good = np.mean(own[..., 0] >= np.nanmax(scores[..., 0], axis=0) - 0.001)
        print(
            f"| {name} | {mean[0]:.3f} | {good:.2f} | {mean[1]:.2f} | {mean[2]:.2f} | {mean[3]:.3f} "
            f"| {int(np.isnan(own[..., 0]).sum())} of {own[..., 0].size} | {mean[4]:.3f} |"
        )


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["patches", "closure"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--looks", type=float, default=4)
    given = parser.parse_args()
    names = ["whirlwind"] + (["snaphu"] if importlib.util.find_spec("snaphu") else [])
    if given.what == "patches":
        compare_on_patches(names, given.seeds, given.looks)
        return
    closure_of_networks(names)
    if given.folder is not None:
        closure_of_stack(given.folder, names)


if __name__ == "__main__":
    main()
