"""The detector on simulated scenes with known truth.

    python benchmarks/simulated.py [--first 100] [--scenes 10]

A slide counts if it moves at least 8 mm/yr along the line of sight; it is found if a target overlaps it, and a target
is right if it overlaps a slide. The seeds from 0 to 9 were looked at while thresholds were chosen; those from 100 on
were not.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from groundshift.simulate import SceneConfig, simulate_scene, to_stack
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.survey import conclude, survey_track


def score(seed: int) -> tuple[int, int, int, int, list[float]]:
    """Return slides found, slides, targets right, targets, and the overlap of each slide found."""
    scene = simulate_scene(SceneConfig(seed=seed))
    with tempfile.TemporaryDirectory() as out:
        config = SurveyConfig(inputs=(Path("."),), output=Path(out))
        reporter = Reporter(quiet=True)
        result = survey_track(to_stack(scene), config, reporter)
        targets = [t.geometry for t in conclude([result], config, reporter, "", datetime.now(UTC)).targets]
    moving = [s.polygon for s in scene.slides if abs(s.los_velocity) >= 8]
    best = [max((t.intersection(s).area / t.union(s).area for t in targets), default=0.0) for s in moving]
    right = sum(any(t.intersects(s.polygon) for s in scene.slides) for t in targets)
    return sum(b > 0 for b in best), len(moving), right, len(targets), [b for b in best if b > 0]


def main() -> None:
    """Print a row a scene and the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=100, help="first seed")
    parser.add_argument("--scenes", type=int, default=10)
    given = parser.parse_args()
    total, overlaps = np.zeros(4, int), []
    for seed in range(given.first, given.first + given.scenes):
        *counts, overlap = score(seed)
        total += counts
        overlaps += overlap
        print(f"seed {seed}: {counts[0]} of {counts[1]} slides found, {counts[2]} of {counts[3]} targets right")
    found, slides, right, targets = total
    print(
        f"recall {found / slides:.2f}, precision {right / max(targets, 1):.2f}, "
        f"median IoU of those found {np.median(overlaps):.2f}"
    )


if __name__ == "__main__":
    main()
