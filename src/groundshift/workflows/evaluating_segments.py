"""Networks that outline moving ground judged as in Table I of Bralet et al. (2024), and by clean measures."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.segments import SegmentNetwork
from groundshift.errors import NoDataError
from groundshift.training.segments.config import SplitName
from groundshift.training.segments.judge import CleanMetrics, PaperMetrics, clean_metrics, paper_metrics
from groundshift.training.segments.samples import SegmentSample, read_data, sets_of, split_data
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["PUBLISHED", "EvaluatedSegments", "SegmentRow", "run_segment_evaluation", "tell_left_out"]

PUBLISHED = {
    "FCN, from scratch": (0.690, 0.980, 0.645, 0.503, 21.695),
    "FCN, pre-trained": (0.677, 0.976, 0.628, 0.486, 22.951),
    "DeepLabV3, from scratch": (0.673, 0.978, 0.630, 0.486, 22.352),
    "DeepLabV3, pre-trained": (0.666, 0.976, 0.620, 0.480, 22.887),
    "UNet": (0.675, 0.977, 0.636, 0.497, 25.912),
    "ResUNet": (0.681, 0.979, 0.639, 0.500, 25.921),
    "SepUNet": (0.651, 0.972, 0.606, 0.466, 28.026),
}
"""Table I of Bralet et al. (2024): F1, AUC, Dice, IoU and Hausdorff distance on the real ISSLIDE set."""

_TOLD = 5
"""Files left out that are named on the terminal."""


class SegmentRow(NamedTuple):
    """What one network reaches."""

    name: str
    paper: PaperMetrics
    clean: CleanMetrics


@dataclass(frozen=True)
class EvaluatedSegments:
    """What networks reach on what was held back."""

    split: SplitName
    patches: int
    zones: tuple[str, ...]
    single: tuple[SegmentRow, ...]
    """On single interferograms."""
    several: tuple[SegmentRow, ...]
    """On several interferograms of a place at once; empty unless a network does that."""
    sets: int

    def text(self) -> str:
        """Return the tables as text; published rows stand in that of the paper's own measure only."""
        lines = [f"Split {self.split}, patches held back: {self.patches:,} of {', '.join(self.zones)}", ""]
        if self.single:
            lines += [*_paper_table(self.single, published=True), "", *_clean_table(self.single)]
        if self.several:
            lines += ["", f"Several interferograms of a place: {count_of(self.sets, 'set')}", ""]
            lines += [*_paper_table(self.several, published=False), "", *_clean_table(self.several)]
        return "\n".join(lines) + "\n"

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "split": self.split,
            "patches": self.patches,
            "zones": list(self.zones),
            "sets": self.sets,
            "published_on_the_real_set": {n: dict(zip(_NAMES, row, strict=True)) for n, row in PUBLISHED.items()},
            **{
                part: {r.name: {"paper": r.paper._asdict(), "clean": r.clean._asdict()} for r in rows}
                for part, rows in (("single", self.single), ("several", self.several))
            },
        }


_NAMES = ("f1", "auc", "dice", "iou", "hd")


def run_segment_evaluation(
    roots: Sequence[Path],
    models: Sequence[str],
    reporter: Reporter,
    *,
    split: SplitName = "clean",
    seed: int = 0,
    dates: int = 6,
    probability: float = 0.5,
) -> EvaluatedSegments:
    """Judge networks on the part of a data set that was held back.

    Parameters
    ----------
    roots : sequence of path
        Data sets in the format of ISSLIDE.
    models : sequence of str
        Names of shipped models or .onnx files.
    reporter : Reporter
    split : "paper" or "clean"
    seed : int
        Of the clean split; that of training.
    dates : int
        Most interferograms of a place at once.
    probability : float
        From which on the clean measures count ground as found.

    Returns
    -------
    EvaluatedSegments
        Where a network looks at several interferograms, it and all others are judged on these too: the mask is the
        ground that any of them shows moving, and of the others the mean over the interferograms is taken.

    Raises
    ------
    MissingFileError, NoDataError
        If there is no such data set or model, or nothing is held back.
    UnknownFormatError
        If a model is of another kind.
    """
    networks = _distinct([SegmentNetwork.load(m) for m in models], models)
    given = read_data(roots, as_published=split == "paper")
    tell_left_out(given.problems, reporter)
    chosen = split_data(given, split, seed).judge
    samples = [given.samples[k] for k in chosen]
    if not any(s.moves for s in samples):
        raise NoDataError("no mask that was held back shows motion; try another --seed, or add zones")
    for name, network in networks.items():
        _warn_of_learned(name, network, roots, split, seed, reporter)
    sets = sets_of(samples, dates) if any(n.sees_many for n in networks.values()) else []
    together = [np.any([s.load().mask > 0 for s in group], axis=0) for group in sets]
    single, several = [], []
    masks = [s.load().mask > 0 for s in samples]
    with reporter.bar("judging", len(networks) * (len(samples) + len(sets))) as advance:
        for name, network in networks.items():
            told: list[NDArray[np.float32]] = []
            if not network.sees_many:
                for sample in samples:
                    told.append(_look(network, [sample.load()]))
                    advance()
                single.append(_row(name, told, masks, probability))
            if sets:
                found = []
                for group in sets:
                    found.append(_look(network, [s.load() for s in group]))
                    advance()
                label = name if network.sees_many else f"{name}, mean of each"
                several.append(_row(label, found, together, probability))
    zones = tuple(sorted({given.patches[k].zone for k in chosen}))
    return EvaluatedSegments(split, len(samples), zones, tuple(single), tuple(several), len(sets))


def tell_left_out(problems: Sequence[str], reporter: Reporter) -> None:
    """Name the first files that were left out, and count the rest."""
    for line in problems[:_TOLD]:
        reporter.warn(line)
    if len(problems) > _TOLD:
        further = count_of(len(problems) - _TOLD, "further file")
        reporter.warn(f"{further} left out", lines=list(problems[_TOLD:]))


def _look(network: SegmentNetwork, members: Sequence[SegmentSample]) -> NDArray[np.float32]:
    """Return what a network says of one place."""
    return network.look(np.stack([m.wrapped for m in members]), np.stack([m.coherence for m in members]))


def _row(
    name: str, told: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]], probability: float
) -> SegmentRow:
    """Judge one network; the paper's measure is of the images whose mask shows motion."""
    moving = [k for k, mask in enumerate(masks) if mask.any()]
    paper = paper_metrics([told[k] for k in moving], [masks[k] for k in moving])
    return SegmentRow(name, paper, clean_metrics(told, masks, probability))


def _distinct(networks: Sequence[SegmentNetwork], given: Sequence[str]) -> dict[str, SegmentNetwork]:
    """Name networks; those of one name by what was given."""
    names = [n.name for n in networks]
    return {
        n.name if names.count(n.name) == 1 else f"{n.name} ({path})": n
        for n, path in zip(networks, given, strict=True)
    }  # fmt: skip


def _warn_of_learned(
    name: str, network: SegmentNetwork, roots: Sequence[Path], split: str, seed: int, reporter: Reporter
) -> None:
    """Warn if a network learned from the same data set by another split."""
    config = json.loads(network.model.session.get_modelmeta().custom_metadata_map.get("groundshift.config", "{}"))
    before = {**config.get("data", {}), "seed": config.get("plan", {}).get("seed")}
    same = {Path(p).resolve() for p in config.get("inputs", [])} & {p.resolve() for p in roots}
    if same and (before.get("split") != split or (split == "clean" and before.get("seed") != seed)):
        told = f"--split {before.get('split')} --seed {before.get('seed')}"
        reporter.warn(
            f"{name} learned from this data set with {told}; some of what it is judged by here may have taught it"
        )


def _paper_table(rows: Sequence[SegmentRow], *, published: bool) -> list[str]:
    """Write Table I."""
    lines = [
        "As Bralet et al. (2024) measure (threshold chosen on these images, AUC of the last image, images averaged)",
        f"{'':<34}{'F1':>8}{'AUC':>8}{'Dice':>8}{'IoU':>8}{'HD':>9}{'above':>8}",
    ]
    if published:
        lines += [f"{name + ' *':<34}{_numbers(row)}" for name, row in PUBLISHED.items()]
    lines += [f"{r.name:<34}{_numbers(r.paper[:5])}{r.paper.threshold:>8.2f}" for r in rows]
    return [*lines, "* as published, on the real ISSLIDE set"] if published else lines


def _clean_table(rows: Sequence[SegmentRow]) -> list[str]:
    """Write the clean measures."""
    return [
        "Clean (F1 and AUC of all pixels together, threshold fixed, empty answers count)",
        f"{'':<34}{'F1':>8}{'AUC':>8}{'Dice':>8}{'IoU':>8}{'HD95':>9}{'from':>8}",
        *(f"{r.name:<34}{_numbers(r.clean[:5])}{r.clean.threshold:>8.2f}" for r in rows),
    ]


def _numbers(row: Sequence[float]) -> str:
    """Write four shares and a distance."""
    shown = ["-" if math.isnan(v) else f"{v:.3f}" for v in row]
    return "".join(f"{text:>{width}}" for text, width in zip(shown, (8, 8, 8, 8, 9), strict=True))
