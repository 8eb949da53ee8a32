"""`groundshift train`: what it leaves, how it goes on, and what it refuses."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from groundshift.cli import models  # noqa: E402
from groundshift.detect.network import NetworkDetector  # noqa: E402
from groundshift.detect.planes import PLANES  # noqa: E402
from groundshift.training.config import TrainConfig  # noqa: E402
from groundshift.training.samples import Body, Sample, write_sample  # noqa: E402

SMALL = ("--tile", 32, "--width", 0.1, "--batch", 2, "--threads", 1, "--workers", 0)
FILES = ["checkpoint.pt", "curves.png", "log.jsonl", "metrics.csv", "model.onnx", "predictions.png", "train.yaml"]


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def a_sample(k):
    rng = np.random.default_rng(k)
    y, x = np.mgrid[:40, :44]
    inside = np.hypot((y - 15 - k) / 6, (x - 20) / 5) < 1
    field = 30.0 * inside + rng.normal(size=inside.shape)
    planes = np.zeros((len(PLANES), *inside.shape), np.float32)
    planes[PLANES.index("gradient_y"), :-1] = np.diff(field, axis=0)
    planes[PLANES.index("gradient_x"), :, :-1] = np.diff(field, axis=1)
    for axis in "yx":
        planes[PLANES.index(f"significance_{axis}")] = planes[PLANES.index(f"gradient_{axis}")]
        planes[PLANES.index(f"sigma_{axis}")] = 1
    planes[PLANES.index("coherence")], planes[PLANES.index("known")] = 0.6, 1
    body = Body(30.0, 30.0, 480, 400, "steady")
    return Sample(planes, inside.astype(np.uint8), (body,), f"scene {k // 2}", "all", 40.0, -0.3, 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight samples of four scenes."""
    folder = tmp_path_factory.mktemp("samples")
    for k in range(8):
        write_sample(folder / f"{k}.npz", a_sample(k))
    return folder


def only_line(ran, code, pattern):
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert len(ran.lines) == 1, ran.err
    assert re.fullmatch(f"groundshift: {pattern}", ran.lines[0]), ran.lines[0]


# What it leaves


def test_a_run_leaves_a_model_that_surveys_take_and_all_that_tells_of_it(groundshift, folder, tmp_path):
    out = tmp_path / "out"
    ran = groundshift(
        "train", folder, "-o", out, *SMALL, "--steps", 6, "--validate-every", 3, "--record-every", 2,
        "--validation-share", 0.25, "--json",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    told = json.loads(ran.out)
    assert (told["ending"], told["step"], told["steps"]) == ("done", 6, 6)
    assert sorted(path.name for path in out.iterdir()) == FILES
    with (out / "metrics.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["step"] for row in rows] == ["2", "3", "4", "6"]
    assert [row["ap50"] != "" for row in rows] == [False, True, False, True]
    for name in ("curves.png", "predictions.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    detector = NetworkDetector.load(out / "model.onnx")
    assert (detector.kind, detector.name) == ("bodies", "out")
    detector.predict(a_sample(0).planes)
    settings = yaml.safe_load((out / "train.yaml").read_text())
    assert TrainConfig.model_validate(settings).plan.steps == 6


def test_a_run_in_pieces_has_the_curve_of_one_in_a_whole_and_its_settings_stand_in_a_file(
    groundshift, folder, tmp_path
):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    options = (*SMALL, "--steps", 4, "--validate-every", 2, "--record-every", 1, "--validation-share", 0.25)
    assert groundshift("train", folder, "-o", whole, *options).code == 0
    endings = []
    for _ in range(4):
        ran = groundshift("train", "-o", pieces, "--config", whole / "train.yaml", "--max-minutes", 1e-9, "--json")
        assert ran.code == 0, ran.err
        endings.append(json.loads(ran.out)["ending"])
    assert endings == ["time"] * 3 + ["done"]
    assert (pieces / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    once_more = groundshift("train", "-o", pieces, "--config", whole / "train.yaml")
    assert once_more.code == 0
    assert "going on at step 4 of 4" in once_more.err


def test_boxes_are_learned_as_well_and_other_settings_are_not_mixed(groundshift, folder, tmp_path):
    out = tmp_path / "boxes"
    options = ("--network", "attention_yolov3_t", *SMALL, "--validation-share", 0.25, "--no-attention")
    assert groundshift("train", folder, "-o", out, *options, "--steps", 1).code == 0
    assert NetworkDetector.load(out / "model.onnx").kind == "boxes"
    only_line(
        groundshift("train", folder, "-o", out, *options, "--steps", 2, "--rate", 0.01), 1,
        ".*boxes: holds a run with another setting of steps, rate; give those in train.yaml to go on, another output "
        "folder, or --fresh to start anew",
    )  # fmt: skip
    assert groundshift("train", folder, "-o", out, *options, "--steps", 2, "--fresh").code == 0


def test_a_run_is_not_continued_on_other_samples(groundshift, tmp_path):
    for k in range(3):
        write_sample(tmp_path / "in" / f"{k}.npz", a_sample(2 * k))
    command = ("train", tmp_path / "in", "-o", tmp_path / "out", *SMALL, "--steps", 1, "--validation-share", 0.4)
    assert groundshift(*command).code == 0
    write_sample(tmp_path / "in" / "3.npz", a_sample(6))
    only_line(groundshift(*command), 1, ".*out: holds a run that learned from other samples; give those of then .*")


def test_a_trained_network_may_learn_on(groundshift, folder, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    options = (*SMALL, "--validation-share", 0.25)
    assert groundshift("train", folder, "-o", first, *options, "--steps", 1).code == 0
    start = ("--start-from", first / "checkpoint.pt")
    assert groundshift("train", folder, "-o", second, *options, "--steps", 1, "--rate", 1e-12, *start).code == 0
    before, after = (torch.load(path / "checkpoint.pt", weights_only=True) for path in (first, second))
    kernels = [name for name, value in after["model"].items() if value.ndim == 4]
    for name in kernels:
        torch.testing.assert_close(after["model"][name], before["best"][name], rtol=1e-4, atol=1e-7)
    wider = ("--tile", 32, "--width", 0.5, "--batch", 2, "--validation-share", 0.25)
    only_line(
        groundshift("train", folder, "-o", tmp_path / "third", *wider, *start), 2,
        ".*checkpoint.pt: holds weights of bodynet of width 0.1, expected those of bodynet of width 0.5; give that "
        "--network and --width",
    )  # fmt: skip


def test_simulated_scenes_have_no_end_and_those_to_validate_on_are_others(groundshift, tmp_path, monkeypatch):
    from groundshift.workflows import training

    seen = {}

    class Simulated:
        def __init__(self, config, seed, *, device="cpu", keep=4):
            assert config.shape == (64, 64)
            self.seed, self.asked = seed, seen.setdefault(seed, [])

        def __getitem__(self, k):
            self.asked.append(k)
            return replace(a_sample(k % 8), scene=f"sim-{self.seed + k}")

    monkeypatch.setattr(training, "SimulatedSamples", Simulated)
    for seed in (0, 1):
        ran = groundshift(
            "train", "--simulated", "--shape", 64, 64, "--seed", seed, "-o", tmp_path / f"{seed}", *SMALL, "--steps", 2,
            "--validation-limit", 3, "--mosaic", 0,
        )  # fmt: skip
        assert ran.code == 0, ran.err
    assert len(seen) == 4
    seeds = sorted(seen)
    assert min(np.diff(seeds)) >= 100_000
    # Two steps of two tiles, and three samples to validate on; blending may read one of them again.
    assert sorted(sorted(set(asked)) for asked in seen.values()) == [[0, 1, 2], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3]]


def test_figures_that_flatter_are_warned_of(groundshift, folder, tmp_path):
    ran = groundshift("train", folder, "-o", tmp_path / "out", *SMALL, "--steps", 1, "--validation", folder)
    assert ran.code == 0
    assert "warning: 4 scenes of 4 to validate on, such as scene 0, are learned from as well" in ran.err


# What it refuses


def test_help_has_a_meaning_for_every_option(groundshift):
    from groundshift.cli import app

    ran = groundshift("train", "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "[default: ]" not in ran.out
    shown = [a for a in app["train"].assemble_argument_collection() if a.show and not a.children]
    assert [a.name for a in shown if not a.parameter.help] == []
    parts = [f.annotation for f in TrainConfig.model_fields.values() if hasattr(f.annotation, "model_fields")]
    names = [name for part in parts for name in part.model_fields]
    assert len(set(names)) == len(names)
    assert {f"--{name.replace('_', '-')}" for name in names} <= {a.name for a in shown}


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ([], "no output given; name a folder with -o"),
        (["-o", "OUT"], "nothing to learn from; name folders of samples, or give --simulated"),
        (["IN", "-o", "OUT", "--simulated"], "expected samples or --simulated, instead got both; leave one .*"),
        (["-o", "OUT", "--simulated", "--epochs", 3], "--epochs: simulated scenes have no end; give --steps instead"),
        (["IN", "-o", "OUT", "--rate", 0], "--rate: expected more than 0.0, instead got '0'"),
        (["IN", "-o", "OUT", "--tile", 100], "--tile: .*multiple of 32.*"),
        (["IN", "-o", "OUT", "--network", "resnet"], "--network: expected one of .*bodynet.*, instead got 'resnet'"),
        (["IN", "-o", "OUT", "--device", "cuda:7"], "--device: cuda:7 is not there .*; give auto or cpu"),
        (["IN", "-o", "OUT", "--config", "FILE"], ".*a.yaml: plan.step: no such setting, did you mean steps; see .*"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(groundshift, folder, tmp_path, arguments, pattern):
    (tmp_path / "a.yaml").write_text("plan:\n  step: 3\n")
    places = {"IN": folder, "OUT": tmp_path / "out", "FILE": tmp_path / "a.yaml"}
    ran = groundshift("train", *(places.get(a, a) for a in arguments))
    only_line(ran, 2, pattern)


def test_what_cannot_be_learned_from_is_one_line(groundshift, folder, tmp_path):
    only_line(groundshift("train", tmp_path / "no", "-o", tmp_path / "out"), 1, ".*no: no such file or folder; .*")
    (tmp_path / "empty").mkdir()
    only_line(groundshift("train", tmp_path / "empty", "-o", tmp_path / "out"), 1, ".*empty: holds no samples .*")
    for k in (0, 1):
        write_sample(tmp_path / "one" / f"{k}.npz", a_sample(k))
    only_line(
        groundshift("train", tmp_path / "one", "-o", tmp_path / "out"), 1,
        "all samples are of one scene, and splits go by scene; name others with --validation, or give "
        "--validation-share 0",
    )  # fmt: skip
    quiet = replace(a_sample(0), labels=np.zeros((40, 44), np.uint8))
    write_sample(tmp_path / "quiet" / "0.npz", quiet)
    only_line(
        groundshift("train", folder, "-o", tmp_path / "out", "--validation", tmp_path / "quiet"), 1,
        "no validation sample holds a body; name others with --validation",
    )  # fmt: skip


def test_without_torch_one_line_says_what_to_install(groundshift, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None if name in ("torch", "onnx") else object())
    only_line(
        groundshift("train", folder, "-o", tmp_path / "out"), 1,
        r'training needs torch, onnx; install with pip install "groundshift\[train\]"',
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_the_command_line_loads_without_torch():
    code = "import sys, groundshift.cli; groundshift.cli.main(['train', '--help']); sys.exit('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "--optimiser" in ran.stdout
