"""`groundshift train-mining`: its options, what it tells, and what it refuses."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine

torch = pytest.importorskip("torch")

from groundshift.cli import models  # noqa: E402
from groundshift.training.mining.config import BowlTrainConfig  # noqa: E402
from groundshift.workflows import training_bowls  # noqa: E402

PARTS = {n: f.annotation for n, f in BowlTrainConfig.model_fields.items() if hasattr(f.annotation, "model_fields")}
TINY = (
    "--width", 0.125, "--batch", 2, "--threads", 1, "--workers", 0, "--shape", 32, 48, "--scenes", 2, "--dates", 2,
    "--bowls", 1, 3,
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(training_bowls, "_VALIDATION", 4)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def masks(tmp_path):
    """Two interferograms of two scenes."""
    y, x = np.mgrid[:40, :48]
    bowl = 15 * np.exp(-((y - 18) ** 2 + (x - 25) ** 2) / 60)
    for name in ("datong_1", "wuhai_1"):
        write(tmp_path / "masks" / "phase" / f"{name}.tif", np.angle(np.exp(1j * bowl)).astype(np.float32))
        write(tmp_path / "masks" / "mask" / f"{name}.tif", (bowl > 1.5).astype(np.uint8))
    return tmp_path / "masks"


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype,
        transform=Affine(20, 0, 0, 0, -20, 0),
    ) as file:  # fmt: skip
        file.write(values, 1)


def only_line(ran, code, pattern):
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert len(ran.lines) == 1, ran.err
    assert re.fullmatch(f"groundshift: {pattern}", ran.lines[0]), ran.lines[0]


# What it does


def test_a_run_tells_how_it_ended_and_is_gone_on_with(groundshift, tmp_path):
    out = tmp_path / "out"
    options = (*TINY, "--steps", 2, "--validate-every", 1, "--record-every", 1)
    ran = groundshift("train-mining", "-o", out, *options, "--max-minutes", 1e-9, "--json")
    assert (ran.code, ran.err) == (0, "")
    told = json.loads(ran.out)
    assert (told["ending"], told["step"], told["steps"]) == ("time", 1, 2)
    assert set(told["figures"]) == {"score", "iou", "precision", "recall", "right"}
    ran = groundshift("train-mining", "-o", out, "--config", out / "train.yaml")
    assert (ran.code, ran.out) == (0, "")
    assert "going on at step 1 of 2" in ran.err
    assert f"model: {out / 'model.onnx'}" in ran.err
    assert (out / "model.onnx").exists()
    only_line(
        groundshift("train-mining", "-o", out, *options, "--rate", 0.5), 1,
        ".*out: holds a run with another setting of rate; give those in train.yaml to go on, another output folder, "
        "or --fresh to start anew",
    )  # fmt: skip


VALUES = {
    "network": "unet", "width": 0.3, "start_from": "START", "no_coherence": 0.11, "filtered": 0.12, "holes": 0.13,
    "steps": 17, "epochs": 3.5, "batch": 5, "optimiser": "paper", "rate": 0.01, "weight_decay": 0.02, "average": 0.5,
    "validate_every": 6, "patience": 7, "record_every": 8, "seed": 9, "device": "cpu", "mixed_precision": False,
    "threads": 3, "workers": 4, "max_minutes": 2.5, "checkpoint_minutes": 1.5, "shape": (48, 64), "scenes": 10,
    "dates": 11, "interval_days": 24, "bowls": (1, 2), "panel_share": 0.21, "uplift_share": 0.22,
    "peak_rad": (1.0, 2.0), "sigma_pixels": (3.0, 4.0), "distortion_pixels": (5.0, 6.0), "turbulence_rad": (0.1, 0.2),
    "ramp_rad": (0.3, 0.4), "terrain_rad": (0.5, 0.6), "coherence": (0.7, 0.8), "memory_days": (30.0, 40.0),
    "looks": (5.0, 6.0), "water_share": 0.23, "patch_share": 0.24,
}  # fmt: skip


def test_every_option_reaches_its_setting_and_no_other(groundshift, masks, tmp_path, monkeypatch):
    seen = []

    def keep(settings, reporter, *, fresh):
        seen.append((settings, fresh))
        raise KeyboardInterrupt

    monkeypatch.setattr(training_bowls, "run_bowl_training", keep)
    (tmp_path / "start.pt").touch()
    values = VALUES | {"start_from": tmp_path / "start.pt"}
    command = ["train-mining", masks, "-o", tmp_path / "out"]
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if value is False:
            command.append(f"--no-{option[2:]}")
        else:
            command += [option, *(value if isinstance(value, tuple) else (value,))]
    assert groundshift(*command, "--fresh", "--quiet").code == 1
    settings, fresh = seen[0]
    assert fresh
    assert settings.inputs == (masks,)
    found = {name: value for part in PARTS for name, value in getattr(settings, part)}
    assert found == values


def test_options_win_over_the_file_and_leave_the_rest_of_it(groundshift, tmp_path, monkeypatch):
    seen = []

    def keep(settings, reporter, *, fresh):
        seen.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_bowls, "run_bowl_training", keep)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"plan": {"steps": 5, "rate": 0.1}, "scenes": {"dates": 4}}))
    groundshift("train-mining", "-o", tmp_path / "out", "--config", tmp_path / "a.yaml", "--rate", 0.2, "--looks", 3, 4)
    groundshift("train-mining", "-o", tmp_path / "out")
    assert (seen[0].plan.steps, seen[0].plan.rate, seen[0].scenes.dates, seen[0].scenes.looks) == (5, 0.2, 4, (3, 4))
    assert seen[1] == BowlTrainConfig(output=tmp_path / "out")


def test_help_has_a_meaning_for_every_option_and_no_name_stands_for_two(groundshift):
    from groundshift.cli import app

    ran = groundshift("train-mining", "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "[default: ]" not in ran.out
    shown = [a for a in app["train-mining"].assemble_argument_collection() if a.show and not a.children]
    assert [a.name for a in shown if not a.parameter.help] == []
    options = [name for a in shown for name in a.names]
    assert len(set(options)) == len(options)
    names = [name for part in PARTS.values() for name in part.model_fields]
    assert len(set(names)) == len(names)
    assert set(names) == set(VALUES)
    assert {f"--{name.replace('_', '-')}" for name in names} <= set(options)


def test_defaults_that_the_help_shows_are_those_of_a_run(tmp_path):
    settings = BowlTrainConfig(output=tmp_path)
    assert all(getattr(settings, name) == part() for name, part in PARTS.items())


# What it refuses


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ([], "no output given; name a folder with -o"),
        (["-o", "OUT", "--epochs", 3], "--epochs: simulated scenes have no end; give --steps instead"),
        (["-o", "OUT", "--shape", 100, 128], "--shape: expected multiples of 16, instead got 100 x 128"),
        (["-o", "OUT", "--shape", 16, 16], "--shape: expected at least 32, instead got '16'"),
        (["IN", "-o", "OUT", "--network", "punet"], "--network: punet learns to unwrap, which masks do not tell; .*"),
        (["-o", "OUT", "--network", "resnet"], "--network: expected one of 'bowlnet', .*'unet', instead got 'resnet'"),
        (["-o", "OUT", "--holes", 1.5], "--holes: expected at most 1.*, instead got '1.5'"),
        (["-o", "OUT", "--peak-rad", 9, 2], r"peak_rad must be \(low, high\) with 0 <= low <= high, instead got .*"),
        (["-o", "OUT", "--coherence", 0.5, 1.5], r"coherence must be at most 1, instead got \(0.5, 1.5\)"),
        (["-o", "OUT", "--device", "cuda:7"], "--device: cuda:7 is not there .*; give auto or cpu"),
        (["-o", "OUT", "--config", "FILE"], ".*a.yaml: spoil.hole: no such setting, did you mean holes; see .*"),
        (["-o", "OUT", "--tile", 32], ".*--tile.*; see groundshift train-mining --help"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(groundshift, masks, tmp_path, arguments, pattern):
    (tmp_path / "a.yaml").write_text("spoil:\n  hole: 1\n")
    places = {"IN": masks, "OUT": tmp_path / "out", "FILE": tmp_path / "a.yaml"}
    ran = groundshift("train-mining", *(places.get(a, a) for a in arguments))
    only_line(ran, 2, pattern)


def test_what_cannot_be_learned_from_is_one_line(groundshift, masks, tmp_path):
    command = ("train-mining", masks, "-o", tmp_path / "out", "--network", "unet", *TINY)
    (tmp_path / "empty").mkdir()
    only_line(groundshift("train-mining", tmp_path / "no", *command[2:]), 1, ".*no: no such file or folder; .*")
    only_line(groundshift("train-mining", tmp_path / "empty", *command[2:]), 1, r".*phase: no \*\.tif; expected .*")
    write(masks / "mask" / "wuhai_1.tif", np.zeros((40, 48), np.uint8))
    only_line(groundshift(*command), 1, r"no mask to (learn from|validate on) \(wuhai\) marks ground with data; .*")
    write(masks / "mask" / "wuhai_1.tif", np.zeros((40, 40), np.uint8))
    only_line(groundshift(*command), 1, r".*wuhai_1\.tif: expected 40 x 48 pixels as of its phase, instead got 40 x 40")
    (masks / "mask" / "wuhai_1.tif").unlink()
    only_line(groundshift(*command), 1, r".*wuhai_1\.tif: no such file; every phase/NAME\.tif needs its mask/NAME\.tif")
    (masks / "phase" / "wuhai_1.tif").unlink()
    only_line(groundshift(*command), 1, r"all masks are of one scene, .*; name files SCENE_NUMBER\.tif")
    write(masks / "phase" / "datong_1.tif", np.full((40, 48), 90, np.float32))
    only_line(groundshift(*command), 1, r".*datong_1\.tif: expected wrapped phase in radians, .*")


def test_a_checkpoint_to_start_from_must_be_one_of_such_a_network(groundshift, tmp_path):
    command = ("train-mining", "-o", tmp_path / "out", *TINY, "--steps", 1)
    only_line(
        groundshift(*command, "--start-from", tmp_path / "no.pt"), 1, r".*no\.pt: no such file or folder; check the .*"
    )
    (tmp_path / "a.pt").write_text("weights")
    only_line(groundshift(*command, "--start-from", tmp_path / "a.pt"), 1, r".*a\.pt: not a checkpoint of .*")


def test_without_torch_one_line_says_what_to_install(groundshift, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None if name in ("torch", "onnx") else object())
    only_line(
        groundshift("train-mining", "-o", tmp_path / "out"), 1,
        r'training needs torch, onnx; install with pip install "groundshift\[train\]"',
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_the_command_line_loads_without_torch():
    code = "import sys, groundshift.cli as c; c.main(['train-mining', '--help']); sys.exit('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "--panel-share" in ran.stdout
