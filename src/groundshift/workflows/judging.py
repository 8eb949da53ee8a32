"""Judging a detector on stored samples: its predictions, the judgement, and the files that tell it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from groundshift import __version__
from groundshift.detect.network import NetworkDetector
from groundshift.detect.prediction import Prediction
from groundshift.detect.rules import Rules
from groundshift.detect.screen import Screen
from groundshift.io.atomic import write_text
from groundshift.report import save_figure
from groundshift.training.judge import CONFIDENCES, Judgement, judge
from groundshift.training.judge_plots import precision_recall_figure, reliability_figure
from groundshift.training.rule_based import RuleDetector
from groundshift.training.samples import Sample, judged, list_samples, read_sample
from groundshift.workflows.config import DetectConfig, MaskConfig, ScreenConfig, StackConfig
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter

__all__ = ["RULES", "JudgingConfig", "run_judging"]

RULES = "rules"
"""Names the rule-based detector where a model is expected."""


@dataclass(frozen=True)
class JudgingConfig:
    """What is judged, by what, and how."""

    model: str
    """Name of a shipped model, an .onnx file, or `rules`."""
    samples: tuple[Path, ...]
    """Folders of samples."""
    output: Path
    bootstrap: int = 200
    """Draws of scenes for the intervals."""
    seed: int = 0
    scenes: int | None = None
    """Only so many scenes, the first ones by name of file."""
    confidences: tuple[float, ...] = ()
    """Where to tell precision and recall, besides those always told."""
    least_visibility: float = 0.0
    """Bodies that stand out of the noise by fewer standard errors count neither way."""


def run_judging(config: JudgingConfig, reporter: Reporter, command: str) -> Judgement:
    """Judge a detector and write `judgement.json`, `pr.png`, `reliability.png` and `report.md`.

    Raises
    ------
    NoDataError
        If a folder holds no sample.
    DamagedFileError
        If a sample cannot be read.
    MissingFileError, UnknownFormatError
        If there is no such model, or it is none.
    OutputError
        If results cannot be written.
    """
    # A folder may be given twice, or lie in another.
    files = list(dict.fromkeys(file.resolve() for folder in config.samples for file in list_samples(folder)))
    detector = _load(config.model)
    with claimed(config.output):
        with reporter.bar("judging", len(files)) as advance:
            judgement = judge(
                (
                    (judged(sample, config.least_visibility), detector.predict(sample))
                    for sample in _samples(files, config.scenes, advance)
                ),
                detector=detector.name,
                confidences=sorted({*CONFIDENCES, *config.confidences}),
                draws=config.bootstrap,
                seed=config.seed,
                about={"command": command, "groundshift": __version__, **detector.facts},
            )
        write_text(config.output / "judgement.json", judgement.to_json())
        save_figure(precision_recall_figure(judgement), config.output / "pr.png")
        save_figure(reliability_figure(judgement), config.output / "reliability.png")
        write_text(config.output / "report.md", _report(judgement, detector, command))
    return judgement


class _Detector(NamedTuple):
    """A detector as far as judging goes."""

    name: str
    predict: Callable[[Sample], Sequence[Prediction]]
    facts: dict[str, Any]
    calibration: tuple[float, float] | None
    """Slope and intercept that its scores have gone through."""


def _load(model: str) -> _Detector:
    """Load what `JudgingConfig.model` names."""
    if model == RULES:
        rules = _rules()
        return _Detector(RULES, rules.predict, {"thresholds": asdict(rules)}, None)
    network = NetworkDetector.load(model)
    return _Detector(
        network.name,
        lambda sample: network.predict(sample.planes, sample.gradient_radians()),
        {"model": str(network.path), "sha256": network.checksum, "calibration": network.calibration._asdict()},
        (network.calibration.slope, network.calibration.intercept),
    )


def _rules() -> RuleDetector:
    """Return the rules with the thresholds that a survey has by default."""
    detect, screen = DetectConfig(), ScreenConfig()
    return RuleDetector(
        rules=Rules(detect.significance, detect.least_velocity, detect.outline, detect.separation, detect.least_area),
        screen=Screen(screen.least_gradient, screen.least_share),
        reach_m=detect.reach,
        least_coherence=MaskConfig().least_coherence,
        smoothing_m=StackConfig().smoothing_limit,
    )


def _samples(files: Sequence[Path], scenes: int | None, advance: Callable[[], None]) -> Iterator[Sample]:
    """Read samples one by one, of the first `scenes` scenes only."""
    seen: set[str] = set()
    for file in files:
        sample = read_sample(file)
        if scenes is None or len(seen) < scenes or sample.scene in seen:
            seen.add(sample.scene)
            yield sample
        advance()


def _report(judgement: Judgement, detector: _Detector, command: str) -> str:
    """Write the report."""
    return f"""# {judgement.detector}, judged

Made by Groundshift {__version__} with

    {command}

```text
{judgement.table()}```

![Precision over recall](pr.png)
![Reliability of the score](reliability.png)

{_advice(judgement, detector)}

## How to read this

- A *body* is ground that moves, as the samples label it. Ground that they leave unjudged counts neither for nor against
  the detector.
- *box*, *mask*: a prediction is right if its intersection over union with a free body reaches 0.5 (AP50:95: the mean
  over 0.50, 0.55 ... 0.95). *hit*: it covers at least 20 % of a body, or at least half of it lies inside one.
- *ap_conf10_mean* is the mean precision at the confidences 0.1, 0.2 ... 1.0, the likely reading of the mAP of Fu et al.
  (2022); *ap_conf10_recall* weighs each precision with the recall that its confidence adds.
- *best F1* is the confidence of highest F1 on these samples; its scores are flattered by that choice.
- Sizes are the longer side of a body's box. A wrong prediction counts in its own size class, and in every class of
  speed and behaviour, for it has neither.
- Intervals hold 95 % of {judgement.draws} draws of whole scenes (seed {judgement.seed}).
"""


def _advice(judgement: Judgement, detector: _Detector) -> str:
    """Say how scores would become probabilities."""
    if judgement.calibration is None:
        return "The detector found nothing."
    slope, intercept = judgement.calibration
    text = (
        f"Scores would be probabilities of a hit with slope {slope:.4f} and intercept {intercept:.4f} on their log-odds"
    )
    if detector.calibration is None:
        return f"{text}."
    # One straight line after another is a straight line.
    given, lift = detector.calibration
    slope, intercept = slope * given, slope * lift + intercept
    return f"{text}; on the raw scores of the model that is slope {slope:.4f} and intercept {intercept:.4f}."
