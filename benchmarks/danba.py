"""The figures of the Danba scene.

Called as `python benchmarks/danba.py FIGURE $GROUNDSHIFT_DATA/danba [--draws 20] [--detector rules]`:

- `halves`: correlation of the stacks of two periods that share no date
- `flips`: half of the pairs conjugated at random, so that steady motion cancels and noise stays
- `number`: number of pairs against detections, as in section 6.1 of Fu et al. (2022)
- `picture`: draws docs/images/danba.png
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import uniform_filter
from shapely import Point

from groundshift.gradients.stack import GradientStack
from groundshift.inventory import Target
from groundshift.io import InterferogramStack, open_stack
from groundshift.types import Pair, Window
from groundshift.workflows.concluding import conclude
from groundshift.workflows.config import DetectConfig, SeriesConfig, StackConfig, SurveyConfig
from groundshift.workflows.detecting import survey_track
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import stack_track

SPLIT = date(2018, 11, 1)
NO_SERIES = SeriesConfig(series=False)
SLIDE = Point(101.9398, 30.8399)
"""A point well inside the visible body."""


def stacked(stack: InterferogramStack, config: StackConfig) -> GradientStack:
    """Stack all pairs of a scene in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as out:
        return stack_track(stack, config, Path(out), Reporter(quiet=True)).sums.stack(0)


def surveyed(stack: InterferogramStack, stacking: StackConfig, detect: DetectConfig) -> Sequence[Target]:
    """Survey a scene in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as out:
        config = SurveyConfig(inputs=(stack.root,), output=Path(out), stack=stacking, detect=detect, series=NO_SERIES)
        reporter = Reporter(quiet=True)
        result = survey_track(stack, config, reporter)
        return conclude([result], config, reporter, "benchmark", datetime.now(UTC)).targets


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation over nodes known to both."""
    known = np.isfinite(a + b)
    return float(np.corrcoef(a[known], b[known])[0, 1])


def paper_sum(stack: InterferogramStack, power: float) -> np.ndarray:
    """Return mean differences of the 10 x 10 mean, weighted by (|u1| |u2|)^power: 0 is the paper's way."""
    total, weights = np.zeros((2, *stack.grid.shape)), np.zeros((2, *stack.grid.shape))
    for pair in stack.pairs:
        igram = stack.read(pair)
        mean = uniform_filter(igram.real, 10, mode="constant") + 1j * uniform_filter(igram.imag, 10, mode="constant")
        for axis in (0, 1):
            step = np.roll(mean, -1, axis) * mean.conj()
            weight = np.abs(step) ** power
            total[axis] += weight * np.angle(step)
            weights[axis] += weight
    edge = np.full(stack.grid.shape, np.nan)
    edge[5:-5, 5:-5] = 1
    return total / np.maximum(weights, 1e-12) * edge


def halves(folder: Path, draws: int, detect: DetectConfig) -> None:
    """Correlate the stacks of two periods that share no date."""
    del draws, detect
    stack = open_stack(folder)
    early = stack.select([p for p in stack.pairs if p.secondary < SPLIT])
    late = stack.select([p for p in stack.pairs if p.reference > SPLIT])
    print(f"{len(early.pairs)} pairs before {SPLIT}, {len(late.pairs)} after; 10 x 10 mean, adjacent differences\n")
    print(f"{'stack':<44} azimuth  range")

    def row(name: str, make: Callable[[InterferogramStack], np.ndarray]) -> None:
        a, b = make(early), make(late)
        print(f"{name:<44} {correlation(a[0], b[0]):7.3f} {correlation(a[1], b[1]):6.3f}")

    row("unweighted sum (Fu et al. (2022))", lambda s: paper_sum(s, 0))
    row("weighted by coherence, sqrt(|u1||u2|)", lambda s: paper_sum(s, 0.5))
    row("weighted by coherence, |u1||u2|", lambda s: paper_sum(s, 1))
    plain = StackConfig(max_days=96, working_pixel=1.0, wet_months=(), sliding_years=None)
    row("Groundshift, --weights equal", lambda s: stacked(s, plain.model_copy(update={"weights": "equal"})).rate)
    row("Groundshift, default", lambda s: stacked(s, plain).rate)


def flips(folder: Path, draws: int, detect: DetectConfig) -> None:
    """Conjugate half of the pairs at random: steady motion cancels, noise stays."""
    stack = open_stack(folder)
    for days in (36, 96):
        silent, counts = 0, []
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            flipped = {stack.pairs[k] for k in rng.permutation(len(stack.pairs))[: len(stack.pairs) // 2]}

            def read(pair: Pair, window: Window, flipped: set[Pair] = flipped) -> np.ndarray:
                igram = stack.read_pair(pair, window)
                return igram.conj() if pair in flipped else igram

            found = surveyed(replace(stack, read_pair=read), StackConfig(max_days=days), detect)
            counts.append(len(found))
            silent += not found
        print(f"pairs up to {days} days: {silent} of {draws} draws without a target; targets per draw {counts}")


def number(folder: Path, draws: int, detect: DetectConfig) -> None:
    """Take fewer pairs at random, as in section 6.1 of Fu et al. (2022)."""
    stack = open_stack(folder)
    print("pairs up to 96 days\npairs  slide found  other targets a draw  median significance of the slide")
    for count in (10, 30, 50, 100, 200):
        found, others, strength = 0, 0, []
        for seed in range(draws):
            chosen = np.random.default_rng(seed).permutation(len(stack.pairs))[:count]
            targets = surveyed(stack.select([stack.pairs[k] for k in sorted(chosen)]), StackConfig(max_days=96), detect)
            hits = [t for t in targets if t.geometry.intersects(SLIDE)]
            found += bool(hits)
            others += len(targets) - len(hits)
            strength.append(max((d.significance for t in hits for d in t.detections), default=0.0))
        print(f"{count:5d}  {found:4d} of {draws:<4d} {others / draws:13.1f} {np.median(strength):22.1f}")


def picture(folder: Path, draws: int, detect: DetectConfig) -> None:
    """Draw both gradients and the integrated velocity, with the target found."""
    del draws
    stack = open_stack(folder)
    with tempfile.TemporaryDirectory() as out:
        config = SurveyConfig(inputs=(folder,), output=Path(out), detect=detect, series=NO_SERIES)
        result = survey_track(stack, config, Reporter(quiet=True))
        targets = conclude([result], config, Reporter(quiet=True), "", datetime.now(UTC)).targets
    content = result.content
    shown = [layer for layer in content.layers if layer.name.startswith("velocity") or "relative" in layer.name]
    west, south, east, north = content.bounds
    fig, axes = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    for ax, layer in zip(axes, shown, strict=True):
        image = ax.imshow(
            layer.values, cmap=layer.cmap, vmin=layer.vmin, vmax=layer.vmax, extent=(west, east, south, north),
            aspect=1 / np.cos(np.radians(south)),
        )  # fmt: skip
        for target in targets:
            ax.plot(*target.geometry.exterior.xy, color="black", lw=1.2)
        ax.set_title(layer.name, fontsize=10)
        ax.set_xlim(101.932, 101.952)
        ax.set_ylim(30.834, 30.8455)
        ax.set_xticks([])
        ax.set_yticks([])
        fig.colorbar(image, ax=ax, label=layer.unit, shrink=0.85)
    path = Path(__file__).parent.parent / "docs" / "images" / "danba.png"
    fig.savefig(path, dpi=110)
    print(path)


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure", choices=("halves", "flips", "number", "picture"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--detector", choices=("rules", "network"))
    parser.add_argument("--model", help="name or file of the network")
    given = parser.parse_args()
    chosen = {"detector": given.detector, "model": given.model}
    detect = DetectConfig(**{name: value for name, value in chosen.items() if value is not None})
    figures = {"halves": halves, "flips": flips, "number": number, "picture": picture}
    figures[given.figure](given.folder, given.draws, detect)


if __name__ == "__main__":
    main()
