"""Known slides injected into the real noise of the Danba scene.

    python benchmarks/injected.py $GROUNDSHIFT_DATA/danba [--draws 40] [--detector rules network]

Half of the pairs are conjugated at random, which cancels steady motion and keeps the noise; then one to three slides of
known outline and speed are added to the phase of every pair. A target that overlaps a slide is right; a slide of at
least 9 mm/yr along the line of sight is to be found.
"""

import argparse
import math
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from shapely import MultiPoint, Polygon

from groundshift.geometry import ring_to_lonlat
from groundshift.io import InterferogramStack, open_stack
from groundshift.types import Pair, Window
from groundshift.workflows.concluding import conclude
from groundshift.workflows.config import DetectConfig, SeriesConfig, StackConfig, SurveyConfig
from groundshift.workflows.detecting import survey_track
from groundshift.workflows.progress import Reporter


def slide(shape: tuple[int, int], spacing: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Draw a speed from 0 to 1: a turned, ragged plug or dome of 250 to 900 m."""
    length = float(np.exp(rng.uniform(np.log(250), np.log(900))))
    width = length / rng.uniform(1, 2.5)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    y = (y - rng.uniform(0.15, 0.85) * shape[0]) * spacing[0]
    x = (x - rng.uniform(0.15, 0.85) * shape[1]) * spacing[1]
    turn = rng.uniform(0, 2 * math.pi)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    angle = np.arctan2(across, along)
    edge = 1 + sum(rng.normal(0, 0.07) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(2, 6))
    rho = np.hypot(along / length * 2, across / width * 2) / edge
    power = rng.uniform(1.5, 8)
    return np.where(rho < 1, 1 - np.minimum(rho, 1) ** power, 0).astype(np.float32)


def draw(stack: InterferogramStack, seed: int, count: int) -> tuple[InterferogramStack, list[Polygon]]:
    """Return a stack of `count` pairs with slides injected, and their outlines."""
    rng = np.random.default_rng(seed)
    pairs = sorted(rng.permutation(len(stack.pairs))[:count])
    flipped = {stack.pairs[k] for k in rng.permutation(pairs)[: count // 2]}
    velocity = np.zeros(stack.grid.shape, np.float32)
    outlines = []
    for _ in range(rng.integers(1, 4)):
        pattern = slide(stack.grid.shape, stack.grid.spacing, rng)
        if (pattern > 0).sum() < 250 or ((pattern > 0) & (velocity != 0)).any():
            continue
        peak = float(np.exp(rng.uniform(np.log(9), np.log(110)))) * rng.choice([-1, 1])
        velocity += np.float32(peak) * pattern
        outlines.append(_outline(pattern > 0, stack))
    per_mm = -4 * math.pi / stack.wavelength / 1000

    def read(pair: Pair, window: Window) -> np.ndarray:
        igram = stack.read_pair(pair, window)
        igram = igram.conj() if pair in flipped else igram
        phase = velocity[window.rows, window.columns] * np.float32(per_mm * pair.years)
        return (igram * np.exp(1j * phase)).astype(np.complex64)

    return replace(stack.select([stack.pairs[k] for k in pairs]), read_pair=read), outlines


def _outline(mask: np.ndarray, stack: InterferogramStack) -> Polygon:
    """Outline a slide on Earth by the hull of its pixels."""
    hull = np.array(MultiPoint(np.argwhere(mask)).convex_hull.exterior.coords)
    return Polygon(ring_to_lonlat(hull[:, 0], hull[:, 1], stack.grid)).buffer(0)


def main() -> None:
    """Print a row for each detector and number of pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--pairs", type=int, nargs="+", default=[60, 180])
    parser.add_argument("--detector", nargs="+", default=["rules", "network"])
    parser.add_argument("--model")
    given = parser.parse_args()
    stack = open_stack(given.folder)
    print(f"{'detector':<10} pairs  slides  found  targets  right  recall  precision    F1")
    for detector in given.detector:
        settings = {"detector": detector} | ({"model": given.model} if given.model else {})
        for count in given.pairs:
            total = np.zeros(4, int)
            for seed in range(given.draws):
                made, outlines = draw(stack, seed, count)
                with tempfile.TemporaryDirectory() as out:
                    config = SurveyConfig(
                        inputs=(stack.root,), output=Path(out), stack=StackConfig(max_days=96),
                        detect=DetectConfig(**settings), series=SeriesConfig(series=False),
                    )  # fmt: skip
                    reporter = Reporter(quiet=True)
                    result = survey_track(made, config, reporter)
                    targets = [t.geometry for t in conclude([result], config, reporter, "", datetime.now(UTC)).targets]
                found = sum(any(t.intersects(o) for t in targets) for o in outlines)
                right = sum(any(t.intersects(o) for o in outlines) for t in targets)
                total += [len(outlines), found, len(targets), right]
            slides, found, targets_, right = total
            recall, precision = found / slides, right / max(targets_, 1)
            f1 = 2 * recall * precision / max(recall + precision, 1e-9)
            counts = f"{detector:<10} {count:5d} {slides:7d} {found:6d} {targets_:8d} {right:6d}"
            print(f"{counts} {recall:7.2f} {precision:10.2f} {f1:5.2f}")


if __name__ == "__main__":
    main()
