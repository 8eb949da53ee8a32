"""Pictures of a judgement: precision over recall, and scores held against the share that is right."""

from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from groundshift.training.judge import Judgement

__all__ = ["precision_recall_figure", "reliability_figure"]

_WAYS = {"box": ("boxes, IoU 0.5", "#0072B2"), "mask": ("masks, IoU 0.5", "#009E73"), "hit": ("hits", "#D55E00")}
_RIGHT = {"hit": ("right: a hit", "#D55E00"), "overlap": ("right: IoU 0.5", "#0072B2")}


def precision_recall_figure(judgement: Judgement) -> Figure:
    """Draw precision over recall for each way of matching, with the points of highest F1 and of each confidence."""
    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    recall = np.linspace(0.005, 1, 400)
    for f1 in (0.2, 0.4, 0.6, 0.8):
        reached = recall > f1 / 2 + 1e-3
        precision = f1 * recall[reached] / (2 * recall[reached] - f1)
        axes.plot(recall[reached][precision <= 1], precision[precision <= 1], color="#d0d0d0", lw=0.8, zorder=0)
        axes.annotate(f"F1 {f1:g}", (1.0, f1 / (2 - f1)), color="#909090", fontsize=7, ha="right", va="bottom")
    told = [name for name in judgement.confidences if name != "any" and not name.endswith("best")]
    points = {"best": "*", **dict(zip(told, cycle("sD^v<>pPX"), strict=False))}
    for way, shown in judgement.curves.items():
        label, colour = _WAYS[way]
        axes.plot(shown.recall, shown.precision, color=colour, lw=1.6, label=label)
        for name, marker in points.items():
            at = (judgement.scores[f"{way} {what} at {name}"].value for what in ("recall", "precision"))
            axes.plot(*([v] for v in at), marker, color=colour, ms=10 if name == "best" else 5, mec="white", mew=0.6)
    for name, marker in points.items():
        axes.plot([], [], marker, color="#606060", label="highest F1" if name == "best" else f"confidence {name}")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("recall: share of the bodies found")
    axes.set_ylabel("precision: share of the predictions right")
    axes.set_title(judgement.detector, parse_math=False, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    return figure


def reliability_figure(judgement: Judgement) -> Figure:
    """Draw the share of right predictions over the score, and how many predictions there are of each score."""
    figure = Figure(figsize=(5.0, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="#909090", lw=1, ls="--", label="a score is the probability")
    for name, found in judgement.reliability.items():
        label, colour = _RIGHT[name]
        known = found.predictions > 0
        error = "" if np.isnan(found.error) else f", error {found.error:.3f}"
        upper.plot(found.score[known], found.right[known], "o-", color=colour, ms=4, lw=1.4, label=label + error)
    counts = judgement.reliability["hit"].predictions
    lower.stairs(counts, np.linspace(0, 1, counts.size + 1), fill=True, color="#B0B0B0")
    if counts.any():
        lower.set_yscale("log")
        lower.set_ylim(0.7, 2 * float(counts.max()))
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    upper.set_ylabel("share of the predictions right")
    upper.set_title(judgement.detector, parse_math=False, fontsize=10, loc="left")
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    lower.set_xlabel("score")
    lower.set_ylabel("predictions")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
