"""Cross-validation of a fringe classifier by scene, with Tables 6 and 7 of Kamiyama et al. (2018).

The scenes are split into parts. Each is judged by a network that learned from the others: on its windows (Table 6), and
on its whole interferograms, scanned (Table 7). What is judged is kept, so that a run that was stopped goes on.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift import __version__
from groundshift.detect.fringe_scan import CELL, FringePlace, FringeScanner, find_places
from groundshift.errors import NoDataError
from groundshift.io.atomic import write_text
from groundshift.training.data import split_by_scene
from groundshift.training.fringes.config import FringeDataConfig, FringeTrainConfig
from groundshift.training.fringes.judge import Counts, break_even, count_windows
from groundshift.training.fringes.patches import Patch, checksum_of, read_patch
from groundshift.workflows.fringe_config import FringeEvaluationConfig
from groundshift.workflows.making_fringes import read_fringe_scene
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.training_fringes import gather_patches, run_fringe_training

__all__ = ["FoldResult", "judge_scene", "run_fringe_evaluation", "write_tables"]

_AT_ONCE = 64


class FoldResult(NamedTuple):
    """How the network of one part did on it."""

    weighed: Counts
    """Windows, each class weighed to half of all."""
    plain: Counts
    """Windows, each counting once."""
    bep_weighed: float
    bep_plain: float
    scenes: dict[str, Counts]
    """Candidates and false places in whole interferograms, by filter: `none`, `size`, `size and slope`."""
    interferograms: int
    slopes: tuple[int, int]
    """Places on slopes and on flats after the size filter."""


def run_fringe_evaluation(config: FringeEvaluationConfig, reporter: Reporter) -> dict[str, Any]:
    """Train and judge a network for each part of the scenes; leave `tables.md` and `tables.json`.

    Returns
    -------
    dict
        What `tables.json` holds.

    Raises
    ------
    NoDataError
        If there are fewer scenes than parts, or a part lacks a class.
    GroundshiftError
        If windows cannot be read, or training fails.
    """
    everything = gather_patches(_training(config, 0, ()), reporter)
    scenes = sorted({patch.scene for patch in everything})
    try:
        parts = split_by_scene(scenes, [1.0] * config.folds, config.plan.seed)
    except ValueError as error:
        raise NoDataError(
            f"{count_of(len(scenes), 'scene')} cannot be split into {config.folds} parts; name files SCENE_NUMBER.tif, "
            "give fewer --folds, or make windows with --by-pair"
        ) from error
    results = []
    with claimed(config.output):
        for number, part in enumerate(parts, start=1):
            names = tuple(scenes[k] for k in part)
            own = [p for p in everything if p.scene in names and not p.padded]
            for kind, wanted in (("positive", True), ("negative", False)):
                if not any(p.positive is wanted for p in own):
                    raise NoDataError(
                        f"fold {number} ({', '.join(names[:3])}) has no {kind} window to judge on; add scenes, give "
                        "fewer --folds, or try another --seed"
                    )
            results.append(_fold(config, number, names, own, checksum_of(everything), reporter))
        text, facts = write_tables(results)
        write_text(config.output / "tables.md", text)
        write_text(config.output / "tables.json", json.dumps(facts, indent=1, default=str) + "\n")
    return facts


def judge_scene(
    score: NDArray[np.float32], labels: NDArray[np.int16], slope: NDArray[np.float32] | None, config: Any
) -> dict[str, tuple[Counts, list[FringePlace]]]:
    """Count the candidates of a scanned interferogram that are found, and the places that are none.

    Parameters
    ----------
    score : (y, x) float array
        Of the cells.
    labels : (10 y, 10 x) int array
        k on the k-th candidate, -1 where it is neither one nor the other, else 0.
    slope : (10 y, 10 x) float array, optional
        Mean slope of the pixels, degrees.
    config : PlaceConfig

    Returns
    -------
    dict
        By filter: `none`, `size`, and `size and slope` where slopes are known (15 degrees unless the settings say).

    Notes
    -----
    A candidate is found where a place touches it. A place that touches none counts as false, unless it touches ground
    that is neither one nor the other.
    """
    rows, columns = score.shape
    blocks = labels[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).swapaxes(1, 2)
    cells = None if slope is None else slope[CELL // 2 : rows * CELL : CELL, CELL // 2 : columns * CELL : CELL]
    # Labels count up to the last candidate with a pixel in a cell.
    wanted = {int(k) for k in np.unique(blocks) if k > 0}
    filters: dict[str, dict[str, Any]] = {"none": {"least_cells": 1}, "size": {"least_cells": config.least_cells}}
    if cells is not None:
        steep = 15.0 if config.least_slope is None else config.least_slope
        filters["size and slope"] = {"least_cells": config.least_cells, "slope": cells, "least_slope": steep}
    found: dict[str, tuple[Counts, list[FringePlace]]] = {}
    for name, options in filters.items():
        places = find_places(score, config.threshold, **{"slope": cells, **options})
        seen: set[int] = set()
        false = 0
        for place in places:
            y, x = place.corner
            under = blocks[y : y + place.mask.shape[0], x : x + place.mask.shape[1]][place.mask]
            touched = {int(k) for k in np.unique(under)} - {0}
            seen |= touched - {-1}
            false += not touched
        found[name] = (Counts(len(seen), len(wanted - seen), false), places)
    return found


def write_tables(results: Sequence[FoldResult]) -> tuple[str, dict[str, Any]]:
    """Return Tables 6 and 7 as Markdown, and as plain values."""
    header = ["", *(f"cv{k}" for k in range(1, len(results) + 1)), "Average"]
    lines = ["## Windows (as Table 6), each class weighed to half of all", ""]
    lines += _table(header, _window_rows([r.weighed for r in results], [r.bep_weighed for r in results]))
    lines += ["", "## Windows, each counting once", ""]
    lines += _table(header, _window_rows([r.plain for r in results], [r.bep_plain for r in results]))
    facts: dict[str, Any] = {"folds": [_plain(r) for r in results]}
    filters = [name for name in ("none", "size", "size and slope") if all(name in r.scenes for r in results)]
    for name in filters:
        lines += ["", f"## Whole interferograms (as Table 7), filter: {name}", ""]
        counts = [r.scenes[name] for r in results]
        lines += _table(header, _window_rows(counts, None))
        whole = Counts(*(sum(getattr(c, part) for c in counts) for part in Counts._fields))
        facts[f"scenes, filter {name}"] = {"recall": whole.recall, "precision": whole.precision, **whole._asdict()}
    number = sum(r.interferograms for r in results)
    if filters and number:
        steep, flat = (sum(r.slopes[k] for r in results) for k in (0, 1))
        lines += [
            "",
            f"After the size filter {(steep + flat) / number:.1f} places in an interferogram of {number}, {steep} on "
            f"slopes and {flat} on flats.",
        ]
    for name in ("weighed", "plain"):
        counts = [getattr(r, name) for r in results]
        bep = [getattr(r, f"bep_{name}") for r in results]
        facts[f"windows, {name}"] = {
            "recall": _mean([c.recall for c in counts]), "precision": _mean([c.precision for c in counts]),
            "bep": _mean(bep),
        }  # fmt: skip
    return "\n".join(lines) + "\n", facts


def _training(config: FringeEvaluationConfig, number: int, without: tuple[str, ...]) -> FringeTrainConfig:
    """Return the settings of the training of one fold: all other scenes, to the last step, as in the paper."""
    return FringeTrainConfig(
        inputs=config.inputs, output=config.output / f"fold-{number}", model=config.model, plan=config.plan,
        machine=config.machine, data=FringeDataConfig(without=without, validation_share=0),
    )  # fmt: skip


def _fold(
    config: FringeEvaluationConfig, number: int, names: tuple[str, ...], own: list[Patch], samples: str,
    reporter: Reporter,
) -> FoldResult:  # fmt: skip
    """Train and judge on one part, or recall what was judged before."""
    training = _training(config, number, names)
    facts = training.model_dump(mode="json", exclude={"machine", "output", "inputs"})
    told = [__version__, samples, facts, config.places.model_dump(mode="json")]
    mark = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    kept = training.output / "judged.json"
    if (before := _recalled(kept, mark)) is not None:
        reporter.say(f"fold {number} of {config.folds}: judged before")
        return before
    reporter.say(f"fold {number} of {config.folds}: judged on {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}")
    done = run_fringe_training(training, reporter)
    if done.ending == "time":
        raise NoDataError(f"{training.output}: the time was up before the last step; the same command goes on")
    result = _judge(config, FringeScanner.load(done.model, config.machine.threads), names, own, reporter)
    write_text(kept, json.dumps({"mark": mark, "result": _plain(result)}) + "\n")
    return result


def _judge(
    config: FringeEvaluationConfig, scanner: FringeScanner, names: tuple[str, ...], own: list[Patch], reporter: Reporter
) -> FoldResult:
    """Judge a network on the windows and the whole interferograms of some scenes."""
    scores = np.concatenate([
        scanner.judge(np.stack([np.stack([s.wrapped, s.coherence]) for s in map(read_patch, own[k : k + _AT_ONCE])]))
        for k in range(0, len(own), _AT_ONCE)
    ])  # fmt: skip
    positive = np.array([p.positive for p in own], np.bool_)
    threshold = config.places.threshold
    files = [
        f for path in config.inputs for f in sorted((path / "scenes").glob("*.tif")) if f.stem.split("_")[0] in names
    ]
    totals: dict[str, Counts] = {}
    steep = flat = 0
    with reporter.bar("scanning", len(files)) as advance:
        for file in files:
            image = read_fringe_scene(file)
            score = scanner.scan(np.angle(image.igram).astype(np.float32), np.abs(image.igram))
            judged = judge_scene(score, image.labels, image.slope, config.places)
            for name, (counts, _) in judged.items():
                before = totals.get(name, Counts(0, 0, 0))
                totals[name] = Counts(*(a + b for a, b in zip(before, counts, strict=True)))
            slopes = [place.slope for place in judged["size"][1]]
            steep, flat = steep + sum(s >= 15 for s in slopes), flat + sum(s < 15 for s in slopes)
            advance()
    return FoldResult(
        count_windows(scores, positive, equal=True, threshold=threshold),
        count_windows(scores, positive, equal=False, threshold=threshold),
        break_even(scores, positive, equal=True), break_even(scores, positive, equal=False),
        totals, len(files), (steep, flat),
    )  # fmt: skip


def _plain(result: FoldResult) -> dict[str, Any]:
    """Return a result as plain values."""
    return {
        **result._asdict(), "weighed": list(result.weighed), "plain": list(result.plain),
        "scenes": {name: list(counts) for name, counts in result.scenes.items()}, "slopes": list(result.slopes),
    }  # fmt: skip


def _recalled(path: Path, mark: str) -> FoldResult | None:
    """Read what was judged before; None unless it is of the same windows and settings."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        if kept["mark"] != mark:
            return None
        found = kept["result"]
        return FoldResult(
            Counts(*found["weighed"]), Counts(*found["plain"]), float(found["bep_weighed"]), float(found["bep_plain"]),
            {name: Counts(*counts) for name, counts in found["scenes"].items()}, int(found["interferograms"]),
            (int(found["slopes"][0]), int(found["slopes"][1])),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _window_rows(counts: Sequence[Counts], bep: Sequence[float] | None) -> list[list[str]]:
    """Rows of a table: counts, then shares in percent with their mean."""
    rows = [[name.upper(), *(f"{getattr(c, name):.4g}" for c in counts), "-"] for name in ("tp", "fn", "fp")]
    shares = {"Recall": [c.recall for c in counts], "Precision": [c.precision for c in counts]}
    if bep is not None:
        shares["BEP"] = list(bep)
    for name, values in shares.items():
        rows.append([name, *(_percent(v) for v in values), _percent(_mean(values))])
    return rows


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table as Markdown."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _percent(value: float) -> str:
    """Write a share in percent."""
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def _mean(values: Sequence[float]) -> float:
    """Mean of what is known."""
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan
