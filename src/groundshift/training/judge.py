"""Judging a detector: its predictions on maps with known truth, summed up in one `Judgement`.

Everything is told three ways: by boxes and by masks at intersections over union of 0.5 and more, as papers do, and by
hits, as a field crew would. Each number comes for all bodies and by their size, speed and behaviour and by time window,
with an interval from drawing whole scenes.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.calibration import fit_calibration
from groundshift.detect.prediction import Prediction
from groundshift.errors import NoDataError
from groundshift.training.cases import Cases
from groundshift.training.metrics import (
    Curve,
    Ranking,
    Reliability,
    average_precision,
    best_confidence,
    bootstrap,
    confidence_averages,
    curve,
    points,
    reliability,
)
from groundshift.training.samples import Sample

__all__ = ["CONFIDENCES", "ClassScores", "Judgement", "Value", "judge"]

CONFIDENCES = (0.5, 0.8)
"""Confidences told of by default: that of an even chance, and that of Fu et al. (2022), Table 2."""


class Value(NamedTuple):
    """A number with the ends of its 95 % interval; NaN what is not known."""

    value: float
    low: float = math.nan
    high: float = math.nan


class ClassScores(NamedTuple):
    """Scores for the bodies of one class."""

    bodies: int
    scores: dict[str, Value]


@dataclass(frozen=True)
class Judgement:
    """What a detector is worth on a set of samples."""

    detector: str
    maps: int
    scenes: int
    bodies: int
    predictions: int
    area_km2: float
    """Ground judged; a map of another time window counts again."""
    draws: int
    """Draws of scenes behind the intervals."""
    seed: int
    confidences: dict[str, float]
    """Named confidences: `0.5`, `0.8`, `any` (0), and the one of highest F1 of each way of matching, `box best`..."""
    scores: dict[str, Value]
    """`box ap50`, `box ap50_95`, `mask ap50`, `mask ap50_95`, `ap_conf10_mean`, `ap_conf10_recall`, and for each way of
    matching (box, mask, hit) and each of `confidences` such names as `hit recall at 0.8`: precision, recall, f1,
    false_per_1000_km2. Those of masks only if all predictions have one."""
    classes: dict[str, dict[str, ClassScores]]
    """The same by `size`, `speed`, `behaviour` and `window`."""
    curves: dict[str, Curve]
    """Precision and recall by way of matching."""
    reliability: dict[str, Reliability]
    """Whether scores are probabilities: of a hit, and of an overlap of 0.5."""
    calibration: tuple[float, float] | None
    """Slope and intercept that would make scores the probability of a hit; None without predictions."""
    about: dict[str, Any]
    """How the judgement came about, such as the command and the checksum of the model."""

    def to_json(self) -> str:
        """Return everything as JSON; a number that is not finite becomes null, curves are cut to 101 confidences."""
        facts = asdict(self)
        facts["scores"] = _named(self.scores)
        facts["classes"] = {
            group: {name: {"bodies": c.bodies, "scores": _named(c.scores)} for name, c in members.items()}
            for group, members in self.classes.items()
        }
        facts["curves"] = {name: _thinned(c)._asdict() for name, c in self.curves.items()}
        facts["reliability"] = {name: r._asdict() for name, r in self.reliability.items()}
        return json.dumps(_plain(facts), indent=1, allow_nan=False)

    def table(self) -> str:
        """Return the main numbers as text."""
        ways = [way for way in ("box", "mask", "hit") if f"{way} recall at any" in self.scores]
        lines = [
            f"{self.detector}: {self.predictions:,} predictions on {self.maps:,} maps of {self.scenes:,} scenes, "
            f"{self.bodies:,} bodies, {self.area_km2:,.1f} km2",
            f"in brackets 95 % intervals from {self.draws} draws of scenes" if self.draws else "without intervals",
            "",
        ]
        names = [n for n in ("box ap50", "box ap50_95", "mask ap50", "mask ap50_95") if n in self.scores]
        for name in [*names, "ap_conf10_mean", "ap_conf10_recall"]:
            lines.append(f"{name:<18}{_written(self.scores[name])}")
        lines += ["", f"{'matched by':<12}{'confidence':<17}{'precision':<22}{'recall':<22}{'F1':<8}false/1,000 km2"]
        for way in ways:
            for name in [*(n for n in self.confidences if not n.endswith("best")), "best"]:
                at = self.confidences[f"{way} best" if name == "best" else name]
                label = f"best F1 ({at:.2f})" if name == "best" else name
                cells = [self.scores[f"{way} {what} at {name}"] for what in _POINT]
                lines.append(
                    f"{way:<12}{label:<17}{_written(cells[0]):<22}{_written(cells[1]):<22}"
                    f"{_number(cells[2].value):<8}{_number(cells[3].value, 1)}"
                )
        head = f"{'bodies':>9}  {'box AP50':<22}{'box recall, any':<18}{'hit recall, best':<22}"
        for group, members in self.classes.items():
            lines += ["", f"{'by ' + group:<20}{head}"]
            for name, found in members.items():
                s = found.scores
                lines.append(
                    f"{name:<20}{found.bodies:>9,}  {_written(s['box ap50']):<22}"
                    f"{_number(s['box recall at any'].value):<18}{_written(s['hit recall at best'])}"
                )
        lines += ["", "expected calibration error: " + ", ".join(
            f"{_number(r.error)} ({name})" for name, r in self.reliability.items()
        )]  # fmt: skip
        return "\n".join(line.rstrip() for line in lines) + "\n"


def judge(
    judged: Iterable[tuple[Sample, Sequence[Prediction]]],
    *,
    detector: str,
    confidences: Sequence[float] = CONFIDENCES,
    draws: int = 200,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
) -> Judgement:
    """Judge predictions by the truth.

    Parameters
    ----------
    judged : iterable of (Sample, predictions)
        Gone through once; samples are not kept.
    detector : str
        Name to tell.
    confidences : sequence of float
        Where precision and recall are told, besides any confidence and the one of highest F1.
    draws : int
        Draws of scenes for the intervals; 0 for none.
    seed : int
        Seed of the draws.
    about : mapping, optional
        What to keep with the judgement; plain values.

    Raises
    ------
    NoDataError
        If there is no sample.
    DamagedFileError
        If a label has no body.
    """
    cases = Cases()
    for sample, predictions in judged:
        cases.add(sample, predictions)
    if not cases.windows:
        raise NoDataError("there is no sample to judge by; name folders that hold some")
    everything = cases.joined()
    whole = everything.rankings()
    named = {f"{c:g}": c for c in sorted(confidences)} | {"any": 0.0}
    best = {way: best_confidence(ranks[0]) for way, ranks in whole.items()}

    def measured(rankings: dict[str, tuple[Ranking, ...]]) -> dict[str, Value]:
        plain = _measure(rankings, named, best, None)
        ends = bootstrap(
            lambda counts: _measure(rankings, named, best, counts), everything.scenes, draws=draws, seed=seed
        )
        return {name: Value(value, *ends.get(name, (math.nan, math.nan))) for name, value in plain.items()}

    hits, overlaps = whole["hit"][0], whole["mask" if "mask" in whole else "box"][0]
    return Judgement(
        detector=detector,
        maps=len(cases.windows),
        scenes=everything.scenes,
        bodies=hits.found_at.size,
        predictions=everything.score.size,
        area_km2=float(everything.area_km2.sum()),
        draws=draws if everything.scenes > 1 else 0,
        seed=seed,
        confidences=named | {f"{way} best": c for way, c in best.items()},
        scores=measured(whole),
        classes={
            group: {
                name: ClassScores(int(c.bodies.sum()), measured(everything.rankings(c))) for name, c in members.items()
            }
            for group, members in everything.classes().items()
        },
        curves={way: curve(ranks[0]) for way, ranks in whole.items()},
        reliability={
            "hit": reliability(hits.score, hits.right),
            "overlap": reliability(overlaps.score, overlaps.right),
        },
        calibration=fit_calibration(hits.score, hits.right) if hits.score.size else None,
        about=dict(about or {}),
    )


_POINT = ("precision", "recall", "f1", "false_per_1000_km2")


def _measure(
    rankings: dict[str, tuple[Ranking, ...]],
    named: dict[str, float],
    best: dict[str, float],
    counts: NDArray[np.float64] | None,
) -> dict[str, float]:
    """Return all scores by name, each scene counting as often as `counts` says."""
    found: dict[str, float] = {}
    for way in ("box", "mask"):
        if way in rankings:
            each = [average_precision(ranking, counts) for ranking in rankings[way]]
            found |= {f"{way} ap50": each[0], f"{way} ap50_95": float(np.mean(each))}
    found["ap_conf10_mean"], found["ap_conf10_recall"] = confidence_averages(rankings["box"][0], counts)
    for way, ranks in rankings.items():
        wanted = {**named, "best": best[way]}
        for name, at in zip(wanted, points(ranks[0], list(wanted.values()), counts), strict=True):
            found |= {f"{way} {what} at {name}": getattr(at, what) for what in _POINT}
    return found


def _named(scores: dict[str, Value]) -> dict[str, dict[str, float]]:
    """Return scores with named ends."""
    return {name: value._asdict() for name, value in scores.items()}


def _thinned(full: Curve) -> Curve:
    """Return a curve at confidences from 1 to 0 in steps of 0.01; NaN above the highest score."""
    confidence = np.linspace(1, 0, 101)
    at = np.searchsorted(-full.confidence, -confidence, side="right") - 1
    precision = np.append(full.precision, np.nan)[at]
    return Curve(confidence, precision, np.where(at < 0, 0.0, np.append(full.recall, np.nan)[at]))


def _plain(value: Any) -> Any:
    """Return plain values for JSON."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: float, digits: int = 3) -> str:
    """Write a number, a dash for none."""
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def _written(value: Value) -> str:
    """Write a value with its interval."""
    ends = "" if math.isnan(value.low) else f" [{value.low:.3f}, {value.high:.3f}]"
    return _number(value.value) + ends
