"""The whole chain on a simulated scene with known truth."""

from dataclasses import dataclass
from pathlib import Path

from groundshift.inventory import Target
from groundshift.simulate import Scene, SceneConfig, simulate_scene, write_scene
from groundshift.workflows.concluding import SurveyOutput
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.survey import run_survey

__all__ = ["DemoOutput", "Score", "compare", "run_demo", "simulate_to"]


@dataclass(frozen=True)
class Score:
    """Targets held against the truth of a simulated scene."""

    slides: int
    """Slides that move faster than the threshold."""
    found: int
    """Of those, how many a target overlaps."""
    targets: int
    right: int
    """Targets that overlap any slide."""


@dataclass(frozen=True)
class DemoOutput:
    """What the demo leaves."""

    survey: SurveyOutput
    score: Score


def simulate_to(config: SceneConfig, folder: Path, reporter: Reporter) -> Scene:
    """Simulate a scene and write it as a plain GeoTIFF product with its truth beside it."""
    scene = simulate_scene(config)
    with reporter.bar("simulating", len(scene.pairs)) as advance:
        done = 0

        def progress(now: int, total: int) -> None:
            nonlocal done
            del total
            advance(now - done)
            done = now

        write_scene(scene, folder, progress=progress)
    return scene


def compare(targets: tuple[Target, ...], scene: Scene, least_velocity: float) -> Score:
    """Count slides found and targets that are right.

    A slide counts if its velocity along the line of sight reaches `least_velocity` mm/yr.
    """
    moving = [s for s in scene.slides if abs(s.los_velocity) >= least_velocity]
    return Score(
        slides=len(moving),
        found=sum(any(t.geometry.intersects(s.polygon) for t in targets) for s in moving),
        targets=len(targets),
        right=sum(any(t.geometry.intersects(s.polygon) for s in scene.slides) for t in targets),
    )


def run_demo(folder: Path, config: SceneConfig, reporter: Reporter, command: str) -> DemoOutput:
    """Simulate a scene, survey it, and hold the targets against the truth."""
    scene = simulate_to(config, folder / "scene", reporter)
    survey = run_survey(SurveyConfig(inputs=(folder / "scene",), output=folder / "survey"), reporter, command)
    return DemoOutput(survey, compare(survey.targets, scene, 10.0))
