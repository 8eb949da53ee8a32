"""Detectors on simulated scenes with known truth.

    python benchmarks/simulated.py [--kind plain hard seasonal steep] [--detector rules network] [--scenes 10]
        [--decorrelation none otsu threshold network] [--mask-model masknet]

The scenes come from `groundshift simulate`, not from the simulator that networks are trained with. A slide counts if it
moves at least 8 mm/yr along the line of sight (in the half-year in which it moves most if it is seasonal; of `--kind
seasonal` those that come back over all dates). It is found if a target overlaps it, and a target is right if it
overlaps a slide. `--decorrelation` surveys the same scenes with ground left out of each pair, one way after the other.
The seeds from 0 to 9 were looked at while thresholds were chosen; those from 100 on were not.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np

from groundshift.simulate import Scene, SceneConfig, Slide, simulate_scene, to_stack
from groundshift.workflows.concluding import conclude
from groundshift.workflows.config import DetectConfig, MaskConfig, SeriesConfig, StackConfig, SurveyConfig
from groundshift.workflows.detecting import survey_track
from groundshift.workflows.masked import without_decorrelated
from groundshift.workflows.progress import Reporter

KINDS = {
    "plain": {},
    "hard": {
        "n_dates": 24,
        "gap_share": 0.25,
        "speed_mm_yr": (10.0, 70.0),
        "seasonal_share": 0.5,
        "seasonal_amplitude": (0.5, 1.5),
        "dem_error_m": 12.0,
        "forest_share": 0.6,
    },
    "seasonal": {
        "speed_mm_yr": (1.0, 1.0001),
        "seasonal_share": 1.0,
        "accelerating_share": 0.0,
        "seasonal_amplitude": (40.0, 120.0),
        "n_dates": 62,
    },
    "steep": {"max_slope": 55.0, "incidence": 30.0, "heading": 350.0},
}
"""What departs from the defaults of `SceneConfig`."""
LEAST_SPEED = 8.0
"""Slides below this are not asked for, mm/yr along the line of sight; to find them is not wrong."""


def speed(slide: Slide, scene: Scene) -> float:
    """Return the fastest mean velocity along the line of sight over half a year, mm/yr; over all dates if steady."""
    if slide.behaviour != "seasonal":
        return abs(slide.los_velocity)
    years = np.linspace(0, (scene.dates[-1] - scene.dates[0]).days / 365.25, 400)
    way = slide.course.at(years)
    half = np.interp(years + 0.5, years, way) - way
    whole = years <= years[-1] - 0.5
    return float(np.abs(half[whole]).max() / 0.5 * slide.speed * abs(slide.sensitivity))


def cancels(slide: Slide, scene: Scene) -> bool:
    """Whether less than a tenth of its speed is left over all dates, from first to last and along their trend."""
    if slide.behaviour != "seasonal":
        return False
    years = np.array([(day - scene.dates[0]).days / 365.25 for day in scene.dates])
    way = slide.course.at(years) * slide.speed * abs(slide.sensitivity)
    return max(abs(way[-1] - way[0]) / years[-1], abs(np.polyfit(years, way, 1)[0])) < speed(slide, scene) / 10


def score(
    kind: str, seed: int, detect: DetectConfig, mask: MaskConfig, *, seasons: bool = True
) -> tuple[int, int, int, int, list[float]]:
    """Return slides found, slides, targets right, targets, and the overlap of each slide found."""
    scene = simulate_scene(SceneConfig(seed=seed, **KINDS[kind]))
    with tempfile.TemporaryDirectory() as out:
        stack = StackConfig() if seasons else StackConfig(wet_months=(), sliding_years=None)
        config = SurveyConfig(
            inputs=(Path("."),), output=Path(out), detect=detect, stack=stack, mask=mask,
            series=SeriesConfig(series=False),
        )  # fmt: skip
        reporter = Reporter(quiet=True)
        result = survey_track(without_decorrelated(to_stack(scene), mask, Path(out) / "masks"), config, reporter)
        targets = [t.geometry for t in conclude([result], config, reporter, "", datetime.now(UTC)).targets]
    slides = [s for s in scene.slides if speed(s, scene) >= LEAST_SPEED and (kind != "seasonal" or cancels(s, scene))]
    moving = [s.polygon for s in slides]
    best = [max((t.intersection(s).area / t.union(s).area for t in targets), default=0.0) for s in moving]
    right = sum(any(t.intersects(s.polygon) for s in scene.slides) for t in targets)
    return sum(b > 0 for b in best), len(moving), right, len(targets), [b for b in best if b > 0]


def main() -> None:
    """Print a row for each detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", nargs="+", choices=tuple(KINDS), default=["plain"])
    parser.add_argument("--detector", nargs="+", default=["rules", "network"])
    parser.add_argument("--model", help="name or file of the network")
    parser.add_argument("--least-score", type=float)
    parser.add_argument("--decorrelation", nargs="+", default=["none"])
    parser.add_argument("--mask-model", default="masknet")
    parser.add_argument("--first", type=int, default=100, help="first seed")
    parser.add_argument("--scenes", type=int, default=10)
    given = parser.parse_args()
    print("scenes      detector     slides  recall  targets  precision    F1  median IoU of those found")
    for kind in given.kind:
        for detector, way in product(given.detector, given.decorrelation):
            mask = MaskConfig(decorrelation=way, mask_model=given.mask_model)
            chosen = {"model": given.model, "least_score": given.least_score} if detector == "network" else {}
            detect = DetectConfig(detector=detector, **{k: v for k, v in chosen.items() if v is not None})
            for seasons in (False, True) if kind == "seasonal" else (True,):
                total, overlaps = np.zeros(4, int), []
                for seed in range(given.first, given.first + given.scenes):
                    *counts, overlap = score(kind, seed, detect, mask, seasons=seasons)
                    total += counts
                    overlaps += overlap
                found, slides, right, targets = total
                recall, precision = found / slides, right / max(targets, 1)
                f1 = 2 * recall * precision / max(recall + precision, 1e-9)
                name = f"{kind}{'' if seasons else ', year'}{'' if way == 'none' else f', {way}'}"
                iou = np.median(overlaps) if overlaps else np.nan
                numbers = f"{slides:6d} {recall:7.2f} {targets:8d} {precision:10.2f} {f1:5.2f} {iou:6.2f}"
                print(f"{name:<15} {detector:<8} {numbers}", flush=True)


if __name__ == "__main__":
    main()
