"""The table of detectors, after Table 2 of Fu et al. (2022): trained alike, judged on held-out scenes and on Danba.

    python benchmarks/detectors.py WORK [--batches 400] [--tiles 8000] [--tile 128] [--seeds 0 1 2] [--only NAME ...]
                                        [--ablation] [--visible 6] [--threads 2] [--danba $GROUNDSHIFT_DATA/danba]

Simulates samples (seeds from 100,000 on to learn from, from 900,000 on to judge by: no scene is in both), trains every
network on as many tiles, judges it and prints a row: mean and spread over the seeds. What is finished in WORK is kept,
so that a stopped run goes on. Widths are chosen so that all networks cost about as much arithmetic a tile. All learn
with AdamW in one cycle: in so few steps Adam and then stochastic gradients, as in the paper, bring the YOLO networks
less far (F1 of hits 0.31 against 0.42 after 200 steps). Bodies that stand out of the noise by fewer than `--visible`
standard errors count neither way in judging, nor those of fewer than six in training. The last row is of the
weights in the package, which have learned for longer.
"""

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from danba import SLIDE
from groundshift.io import open_stack
from groundshift.training.config import DataConfig, MachineConfig, ModelConfig, PlanConfig, TrainConfig
from groundshift.workflows.concluding import conclude
from groundshift.workflows.config import DetectConfig, SeriesConfig, SurveyConfig
from groundshift.workflows.detecting import survey_track
from groundshift.workflows.judging import JudgingConfig, run_judging
from groundshift.workflows.progress import Reporter
from groundshift.workflows.sampling import SamplesConfig, SamplesPlan, run_samples
from groundshift.workflows.training import run_training

LEAST_VISIBILITY = 6.0
"""Standard errors by which bodies to learn from stand out."""
OURS = {"weight_decay": 0.05}
PLAIN_YOLO = {"network": "yolov3", "width": 0.25, "attention": False, "dropblock": False, "box_loss": "mse"}
YOLO_R = {"network": "attention_yolov3_r", "width": 0.25}
NETWORKS = {
    "yolov3": (PLAIN_YOLO, {}, {}),
    "a-yolov3-r": (YOLO_R, {}, {}),
    "a-yolov3-t": ({"network": "attention_yolov3_t", "width": 0.75}, {}, {}),
    "ours": ({"network": "bodynet"}, OURS, {}),
}
"""Settings of model, plan and augmentation."""
ABLATION = {
    "a-yolov3-r without attention": (YOLO_R | {"attention": False}, {}, {}),
    "a-yolov3-r without DropBlock": (YOLO_R | {"dropblock": False}, {}, {}),
    "a-yolov3-r with MSE for CIoU": (YOLO_R | {"box_loss": "mse"}, {}, {}),
    "a-yolov3-r with hard labels": (YOLO_R | {"label_smoothing": 0.0}, {}, {}),
    "a-yolov3-r without mosaic": (YOLO_R, {}, {"mosaic": 0.0}),
    "ours without mosaic": ({"network": "bodynet"}, OURS, {"mosaic": 0.0}),
    "ours without blending": ({"network": "bodynet"}, OURS, {"blend": 0.0}),
    "ours with azimuth or north alone": ({"network": "bodynet", "directions": "y"}, OURS, {}),
    "ours with range or east alone": ({"network": "bodynet", "directions": "x"}, OURS, {}),
    "ours taught boxes for outlines": ({"network": "bodynet"}, OURS, {"outlines": False}),
}
SHOWN = (
    "box ap50", "box ap50_95", "mask ap50", "ap_conf10_mean", "box precision at 0.8", "box recall at 0.8",
    "box precision at best", "box recall at best", "hit precision at best", "hit recall at best",
)  # fmt: skip


def samples(work: Path, name: str, first_seed: int, batches: int, workers: int) -> Path:
    """Simulate a set of samples, or find it."""
    plan = SamplesPlan(first_seed=first_seed, batches=batches, workers=workers)
    run_samples(SamplesConfig(output=work / name, plan=plan), Reporter())
    return work / name


def on_danba(model: str, detector: str, folder: Path) -> str:
    """Survey Danba: whether the landslide is found, and how many other targets."""
    with tempfile.TemporaryDirectory() as out:
        detect = DetectConfig(detector=detector, **({"model": model} if detector == "network" else {}))
        config = SurveyConfig(inputs=(folder,), output=Path(out), detect=detect, series=SeriesConfig(series=False))
        result = survey_track(open_stack(folder), config, Reporter(quiet=True))
        targets = conclude([result], config, Reporter(quiet=True), "", datetime.now(UTC)).targets
    found = any(t.geometry.intersects(SLIDE) for t in targets)
    return f"{'found' if found else 'missed'} + {sum(not t.geometry.intersects(SLIDE) for t in targets)}"


def judged(model: str, test: Path, out: Path, visible: float) -> dict[str, float]:
    """Judge a detector, or read the judgement that is there."""
    out = out / f"{visible:g}"
    path = out / "judgement.json"
    if not path.exists():
        run_judging(JudgingConfig(model, (test,), out, 0, least_visibility=visible), Reporter(quiet=True), "benchmark")
    scores = json.loads(path.read_text())["scores"]
    return {name: scores[name]["value"] if name in scores else np.nan for name in SHOWN}


def cost(log: Path) -> float:
    """Return the minutes of a run, whose log starts from zero again each time that it is continued."""
    seconds = [json.loads(line)["seconds"] for line in log.read_text().splitlines()]
    ends = [now for now, then in zip(seconds, [*seconds[1:], 0.0], strict=True) if then < now]
    return sum(ends) / 60


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--batches", type=int, default=400, help="batches of scenes to learn from, 12 samples each")
    parser.add_argument("--test-batches", type=int, default=40)
    parser.add_argument("--tiles", type=int, default=8_000, help="tiles that each network learns from")
    parser.add_argument("--tile", type=int, default=128, help="side of a tile to learn from, nodes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=[*NETWORKS, *ABLATION])
    parser.add_argument("--ablation", action="store_true", help="the ablation instead of the table")
    parser.add_argument("--visible", type=float, default=LEAST_VISIBILITY)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--danba", type=Path)
    given = parser.parse_args()
    learn = samples(given.work, "learn", 100_000, given.batches, given.workers)
    validation = samples(given.work, "validation", 800_000, 10, given.workers)
    test = samples(given.work, "test", 900_000, given.test_batches, given.workers)
    print("| detector | " + " | ".join(SHOWN) + " | minutes | Danba |")

    def row(name: str, values: list[dict[str, float]], minutes: list[float], danba: list[str]) -> None:
        cells = []
        for key in SHOWN:
            found = [v[key] for v in values]
            spread = f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else ""
            cells.append(f"{np.mean(found):.3f}{spread}")
        spent = f"{np.mean(minutes):.0f}" if minutes else "-"
        print(f"| {name} | {' | '.join(cells)} | {spent} | {', '.join(danba) or '-'} |", flush=True)

    if not given.ablation:
        danba = [on_danba("", "rules", given.danba)] if given.danba else []
        row("rules", [judged("rules", test, given.work / "rules", given.visible)], [], danba)
    for name, (model, plan, augment) in (ABLATION if given.ablation else NETWORKS).items():
        if given.only and name not in given.only:
            continue
        values, minutes, danba = [], [], []
        for seed in given.seeds:
            out = given.work / f"{name.replace(' ', '-')}-{seed}"
            config = TrainConfig(
                inputs=(learn,), output=out, model=ModelConfig(**model), augment={"tile": given.tile, **augment},
                data=DataConfig(validation=(validation,), least_visibility=LEAST_VISIBILITY),
                plan=PlanConfig(steps=given.tiles // 8, batch=8, seed=seed, average=0.998, **plan),
                machine=MachineConfig(threads=given.threads),
            )  # fmt: skip
            if not (out / "model.onnx").exists():
                with Reporter(log=out / "log.jsonl") as reporter:
                    run_training(config, reporter)
            minutes.append(cost(out / "log.jsonl"))
            values.append(judged(str(out / "model.onnx"), test, out / "judged", given.visible))
            if given.danba:
                danba.append(on_danba(str(out / "model.onnx"), "network", given.danba))
        row(name, values, minutes, danba)
    if not given.ablation:
        model = DetectConfig().model
        danba = [on_danba(model, "network", given.danba)] if given.danba else []
        row("weights of the package", [judged(model, test, given.work / "package", given.visible)], [], danba)


if __name__ == "__main__":
    main()
