"""Training from settings to a model: samples, split, loop, calibration, export."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from groundshift.detect.calibration import calibrated
from groundshift.detect.prediction import Prediction
from groundshift.errors import NoDataError
from groundshift.io.atomic import write_text
from groundshift.nets.anchors import cluster_anchors
from groundshift.training.checkpoint import load_checkpoint
from groundshift.training.config import TrainConfig
from groundshift.training.curves import draw_predictions
from groundshift.training.data import (
    EndlessSamples,
    JoinedSamples,
    Samples,
    Supply,
    fingerprint,
    split_by_scene,
)
from groundshift.training.export import Metadata, export_onnx
from groundshift.training.judge import Judgement, judge
from groundshift.training.labelled import open_samples
from groundshift.training.loop import Trainer
from groundshift.training.samples import IGNORED, Sample, boxes_of, judged
from groundshift.training.simulated import SimulatedSamples
from groundshift.training.tasks import Task, UnknownNetworkError, make_task
from groundshift.workflows.config import SettingError
from groundshift.workflows.device import found_device
from groundshift.workflows.learning import TrainOutput, check_same, check_samples, learn, start_from
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["run_training"]

_SEEDS_APART = 1_000_000
"""Batches of simulated scenes that one seed may use; validation takes the last tenth of them."""
_PARTS = ("inputs", "model", "data", "augment", "plan", "scenes")
"""Settings that a run is continued with."""
_MOST_BOXES = 5000
_ANCHORS = {"yolov3": 9, "attention_yolov3_r": 9, "attention_yolov3_t": 6}
"""How many box sizes networks of boxes start from."""


def run_training(config: TrainConfig, reporter: Reporter, *, fresh: bool = False) -> TrainOutput:
    """Train a network, or go on with a run that was stopped, and export its best weights.

    Leaves `model.onnx`, `checkpoint.pt`, `train.yaml`, `metrics.csv`, `curves.png` and `predictions.png` in the output
    folder.

    Raises
    ------
    OutputError
        If the folder holds a run with other settings, or cannot be written.
    NoDataError
        If there is nothing to learn from, or nothing to validate on.
    TooLargeError
        If a batch does not fit into memory.
    """
    folder = config.output
    with claimed(folder):
        checkpoint = folder / "checkpoint.pt"
        state = load_checkpoint(checkpoint) if checkpoint.exists() and not fresh else None
        if state is not None:
            check_same(config, state["config"], _PARTS, folder)
        device = torch.device(found_device(config.machine.device))
        if config.machine.threads is not None:
            torch.set_num_threads(config.machine.threads)
        learned, validation = _open(config, device)
        _warn_of_shared_scenes(learned, validation, reporter)
        samples = fingerprint(learned, validation)
        if state is not None:
            check_samples(samples, state["samples"], folder)
        steps = config.plan.batches(None if isinstance(learned, EndlessSamples) else len(learned))
        anchors = state["anchors"].numpy() if state and state["anchors"] is not None else None
        if state is None:
            anchors = _anchors(config, learned)
        torch.manual_seed(config.plan.seed)
        try:
            task, model = make_task(config.model, anchors)
        except UnknownNetworkError as error:
            raise SettingError(str(error)) from error
        supply = Supply(
            learned, config.augment, config.plan.batch, config.plan.seed,
            in_radians=task.in_radians, least_visibility=config.data.least_visibility,
        )  # fmt: skip
        trainer = Trainer(
            config, task, model, supply, validation, _figures,
            steps=steps, checkpoint=checkpoint, device=device, anchors=anchors, samples=samples,
        )  # fmt: skip
        if state is not None:
            trainer.restore(state)
        elif config.model.start_from is not None:
            start_from(trainer, task, config.model.start_from, config.model)
        write_text(folder / "train.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        tile = f"{config.augment.tile} nodes"
        ending = learn(trainer, reporter, folder, draw_predictions, tile, "--batch, --tile or --width")
        judgement = _export(config, task, trainer, validation, folder)
        return TrainOutput(
            ending, trainer.step, steps, trainer.best_step or trainer.step,
            {} if judgement is None else _chosen(judgement), folder / "model.onnx", checkpoint,
        )  # fmt: skip


def _open(config: TrainConfig, device: torch.device) -> tuple[Samples | EndlessSamples, list[Sample]]:
    """Open what is learned from, and read what is validated on."""
    data, seed = config.data, config.plan.seed
    learned: Samples | EndlessSamples
    held: Sequence[Sample] = ()
    if data.simulated:
        first = seed * _SEEDS_APART
        learned = EndlessSamples(SimulatedSamples(config.scenes, first, device=device, keep=12))
        if not data.validation:
            endless = SimulatedSamples(config.scenes, first + _SEEDS_APART * 9 // 10, device=device)
            held = [endless[k] for k in range(min(data.validation_limit, 4 * config.scenes.scenes * 3))]
    else:
        learned = _joined(config.inputs, data.polygons, data.layer)
        if not data.validation and data.validation_share > 0:
            try:
                parts = split_by_scene(
                    [learned.scene(k) for k in range(len(learned))],
                    (1 - data.validation_share, data.validation_share),
                    seed,
                )
            except ValueError as error:
                raise NoDataError(
                    "all samples are of one scene, and splits go by scene; name others with --validation, or give "
                    "--validation-share 0"
                ) from error
            learned, held = (JoinedSamples([learned], part) for part in parts)
    if data.validation:
        held = _joined(data.validation, data.polygons, data.layer)
    chosen = np.linspace(0, len(held) - 1, min(len(held), data.validation_limit)).round().astype(int)
    validation = [judged(held[int(k)], data.least_visibility) for k in np.unique(chosen)]
    if validation and not any(((s.labels > 0) & (s.labels != IGNORED)).any() for s in validation):
        raise NoDataError("no validation sample holds a body; name others with --validation")
    return learned, validation


def _warn_of_shared_scenes(learned: Samples | EndlessSamples, validation: Sequence[Sample], reporter: Reporter) -> None:
    """Tell if figures of the validation will flatter."""
    if isinstance(learned, EndlessSamples):
        return
    scenes = {sample.scene for sample in validation}
    shared = scenes & {learned.scene(k) for k in range(len(learned))}
    if shared:
        reporter.warn(
            f"{count_of(len(shared), 'scene')} of {len(scenes)} to validate on, such as {min(shared)}, are learned "
            "from as well; the figures will flatter"
        )


def _joined(paths: Sequence[Path], polygons: Path | None, layer: str | None) -> Samples:
    """Open samples of several places as one."""
    return JoinedSamples([open_samples(path, polygons=polygons, layer=layer) for path in paths])


def _anchors(config: TrainConfig, learned: Samples | EndlessSamples) -> NDArray[np.float64] | None:
    """Cluster the sizes of the boxes to learn, for networks that start from such; None where they are too few."""
    wanted = _ANCHORS.get(config.model.network)
    if wanted is None:
        return None
    count = 300 if isinstance(learned, EndlessSamples) else len(learned)
    rng = np.random.default_rng([config.plan.seed, 5])
    sizes: list[tuple[float, float]] = []
    for k in range(count) if isinstance(learned, EndlessSamples) else rng.permutation(count):
        sizes += [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes_of(learned[int(k)].labels).values()]
        if len(sizes) >= _MOST_BOXES:
            break
    # Tiles are transposed at random, so every size occurs both ways.
    if config.augment.symmetry:
        sizes += [(h, w) for w, h in sizes]
    return cluster_anchors(sizes, wanted, seed=config.plan.seed) if len(set(sizes)) >= wanted else None


def _judged(task: Task, model: nn.Module, samples: Sequence[Sample], name: str) -> Judgement:
    """Judge a network."""
    return judge(zip(samples, task.predict(model, samples), strict=True), detector=name, draws=0)


def _figures(predictions: Sequence[Sequence[Prediction]], samples: Sequence[Sample]) -> dict[str, float]:
    """Judge predictions while training."""
    return _chosen(judge(zip(samples, predictions, strict=True), detector="training", draws=0))


def _chosen(judgement: Judgement) -> dict[str, float]:
    """Pick the figures to follow; the first one decides."""
    way = "mask" if "mask ap50" in judgement.scores else "box"
    names = {
        "ap50": f"{way} ap50",
        "box_ap50": "box ap50",
        "hit_f1": "hit f1 at best",
        "hit_precision": "hit precision at best",
        "hit_recall": "hit recall at best",
    }
    return {name: judgement.scores[key].value for name, key in names.items()}


def _export(
    config: TrainConfig, task: Task, trainer: Trainer, validation: Sequence[Sample], folder: Path
) -> Judgement | None:
    """Calibrate the best weights on the validation samples and write them as ONNX."""
    model = trainer.best_model()
    judgement = _judged(task, model, validation, folder.name) if validation else None
    slope, intercept, least = 1.0, 0.0, 0.5
    if judgement is not None and judgement.calibration is not None and judgement.calibration[0] > 0:
        slope, intercept = judgement.calibration
        best = judgement.confidences["hit best"]
        if math.isfinite(best):
            least = float(calibrated(best, slope, intercept))
    metadata = Metadata(folder.resolve().name, config.model_dump(mode="json"), slope, intercept, least)
    export_onnx(task, model, folder / "model.onnx", metadata)
    return judgement
