"""`groundshift mask`, `train-mask` and `evaluate-mask`: options, what they tell, and what they refuse."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from tests.workflows.mask_models import write_mask_model

from groundshift.training.masks.config import MaskTrainConfig
from groundshift.workflows import masking

PARTS = {n: f.annotation for n, f in MaskTrainConfig.model_fields.items() if hasattr(f.annotation, "model_fields")}
TINY = (
    "--width", 0.125, "--batch", 2, "--threads", 1, "--workers", 0, "--shape", 32, 64, "--scenes", 2, "--pairs-seen", 2,
)  # fmt: skip


@pytest.fixture
def model(tmp_path):
    return write_mask_model(tmp_path / "model.onnx")


@pytest.fixture
def masks(tmp_path):
    """Two interferograms of two scenes, each with a lake of noise."""
    rng = np.random.default_rng(0)
    usable = np.ones((40, 48), np.uint8)
    usable[10:30, 10:30] = 0
    for name in ("taihu_1", "danba_1"):
        phase = np.where(usable, 0.5, rng.uniform(-3, 3, usable.shape)).astype(np.float32)
        write(tmp_path / "drawn" / "phase" / f"{name}.tif", phase)
        write(tmp_path / "drawn" / "coherence" / f"{name}.tif", np.where(usable, 0.8, 0.2).astype(np.float32))
        write(tmp_path / "drawn" / "mask" / f"{name}.tif", usable)
    return tmp_path / "drawn"


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


# mask


def test_a_stack_is_masked_and_gone_on_with(groundshift, simulated, model, tmp_path, monkeypatch):
    monkeypatch.setattr(masking, "draw_view", lambda path, *_: path.write_bytes(b""))
    out = tmp_path / "out"
    command = ("mask", simulated, "-o", out, "--mask-model", model)
    ran = groundshift(*command)
    assert (ran.code, ran.out) == (0, "")
    assert f"30 pairs masked: {out / 'masks.csv'}" in ran.err
    track = next(p for p in out.iterdir() if p.is_dir())
    assert len(list(track.glob("*_coherent.tif"))) == 30 + 1
    monkeypatch.setattr(masking, "_mask_pair", lambda *_: pytest.fail("made again"))
    told = json.loads(groundshift(*command, "--json").out)
    assert len(told["masks"]) == 30
    assert all(0 <= row["coherent_network"] <= 1 for row in told["masks"])


def test_a_dry_run_says_what_would_be_done(groundshift, simulated, tmp_path):
    command = ("mask", simulated, "-o", tmp_path / "out", "--mask-with", "otsu", "--dry-run")
    ran = groundshift(*command)
    assert (ran.code, ran.err) == (0, "")
    assert re.search(r"^pairs +30$", ran.out, re.M)
    assert re.search(r"^masked with +otsu$", ran.out, re.M)
    (track,) = json.loads(groundshift(*command, "--json").out)["tracks"]
    assert (track["pairs"], track["pixels"]) == (30, [64, 80])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "pattern"),
    [
        ([], 2, "no inputs given; name folders or files of interferograms"),
        (["IN"], 2, "no output given; name a folder with -o"),
        (["IN", "-o", "OUT", "--mask-probability", 1.5], 2, "--mask-probability: expected 0 to 1, instead got 1.5"),
        (["IN", "-o", "OUT", "--mask-coherence", -1], 2, "--mask-coherence: expected 0 to 1, instead got -1"),
        (["IN", "-o", "OUT", "--wavelength", 0], 2, "--wavelength: expected more than 0, instead got 0.0"),
        (["IN", "-o", "OUT", "--mask-with", "luck"], 2, ".*--mask-with.*; see groundshift mask --help"),
        (["IN", "-o", "OUT", "--mask-with", "otsu", "--amplitude", "IN"], 2, "--amplitude: is for a network, .*"),
        (["IN", "-o", "OUT", "--amplitude", "NO"], 1, ".*no: no such file or folder; check the spelling"),
        (["NO", "-o", "OUT"], 1, ".*no: no such file or folder; check the spelling"),
        (["IN", "-o", "IN"], 1, ".*: holds the input; choose another output folder"),
        (["IN", "-o", "OUT", "--mask-model", "nothing"], 1, "--mask-model: nothing: no such model; .*"),
        (["IN", "-o", "OUT", "--mask-model", "bowlnet"], 1, "--mask-model: .*groundshift.kind is 'bowls', expected .*"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(groundshift, simulated, tmp_path, arguments, code, pattern):
    places = {"IN": simulated, "OUT": tmp_path / "out", "NO": tmp_path / "no"}
    only_line(groundshift("mask", *(places.get(a, a) for a in arguments)), code, pattern)


# train-mask


@pytest.fixture
def torch(monkeypatch):
    found = pytest.importorskip("torch", reason="needs torch (the train extra)")
    from groundshift.workflows import learning, training_masks

    monkeypatch.setattr(training_masks, "_VALIDATION", 4)
    for module, slow in ((training_masks, "draw_masks"), (learning, "draw_curves"), (learning, "export_onnx")):
        monkeypatch.setattr(module, slow, lambda *_: None)
    before = found.get_num_threads()
    yield found
    found.set_num_threads(before)


@pytest.mark.usefixtures("torch")
def test_a_run_tells_how_it_ended_and_is_gone_on_with(groundshift, tmp_path):
    out = tmp_path / "out"
    options = (*TINY, "--steps", 2, "--validate-every", 1, "--record-every", 1)
    ran = groundshift("train-mask", "-o", out, *options, "--max-minutes", 1e-9, "--json")
    assert (ran.code, ran.err) == (0, "")
    told = json.loads(ran.out)
    assert (told["ending"], told["step"], told["steps"]) == ("time", 1, 2)
    assert set(told["figures"]) == {"iou", "f1", "boundary_f1", "lost", "left"}
    ran = groundshift("train-mask", "-o", out, "--config", out / "train.yaml")
    assert (ran.code, ran.out) == (0, "")
    assert "going on at step 1 of 2" in ran.err
    assert f"model: {out / 'model.onnx'}" in ran.err


VALUES = {
    "network": "masknet", "width": 0.3, "dice": 0.1, "start_from": "START", "no_amplitude": 0.11,
    "no_coherence": 0.12, "filtered": 0.13, "biased": 0.16, "holes": 0.14, "gaps": 0.15, "steps": 17, "epochs": 3.5,
    "batch": 5, "optimiser": "paper", "rate": 0.01, "weight_decay": 0.02, "average": 0.5, "validate_every": 6,
    "patience": 7, "record_every": 8, "seed": 9, "device": "cpu", "mixed_precision": False, "threads": 3,
    "workers": 4, "max_minutes": 2.5, "checkpoint_minutes": 1.5, "shape": (64, 96), "scenes": 10, "dates": (11, 12),
    "looks": (5.0, 6.0), "pairs_seen": 3, "pixel_m": (20.0, 30.0), "coarse_share": 0.2, "radar_share": 0.3,
    "intervals_days": (6, 18), "pairs": (20, 40), "max_days": (18, 30), "wavelengths_m": (0.03, 0.06),
    "slides": (1, 2), "velocity_mm_yr": (5.0, 6.0), "length_m": (200.0, 300.0), "quiet_share": 0.4,
}  # fmt: skip


@pytest.mark.usefixtures("torch")
def test_every_option_reaches_its_setting_and_no_other(groundshift, masks, tmp_path, monkeypatch):
    from groundshift.workflows import training_masks

    seen = []

    def keep(settings, reporter, *, fresh):
        seen.append((settings, fresh))
        raise KeyboardInterrupt

    monkeypatch.setattr(training_masks, "run_mask_training", keep)
    (tmp_path / "start.pt").touch()
    (tmp_path / "lakes.gpkg").touch()
    values = VALUES | {"start_from": tmp_path / "start.pt"}
    command = ["train-mask", masks, "-o", tmp_path / "out", "--polygons", tmp_path / "lakes.gpkg", "--layer", "a"]
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if value is False:
            command.append(f"--no-{option[2:]}")
        elif name in ("intervals_days", "max_days", "wavelengths_m"):
            for one in value:
                command += [option, one]
        else:
            command += [option, *(value if isinstance(value, tuple) else (value,))]
    ran = groundshift(*command, "--fresh", "--quiet")
    assert ran.code == 1, ran.err
    settings, fresh = seen[0]
    assert fresh
    assert (settings.inputs, settings.polygons, settings.layer) == ((masks,), tmp_path / "lakes.gpkg", "a")
    assert {name: value for part in PARTS for name, value in getattr(settings, part)} == values


def test_help_has_a_meaning_for_every_option_and_no_name_stands_for_two(groundshift):
    from groundshift.cli import app

    for command in ("mask", "train-mask", "evaluate-mask"):
        ran = groundshift(command, "--help")
        assert (ran.code, ran.err) == (0, "")
        assert "[default: ]" not in ran.out
        shown = [a for a in app[command].assemble_argument_collection() if a.show and not a.children]
        assert [a.name for a in shown if not a.parameter.help] == []
        options = [name for a in shown for name in a.names]
        assert len(set(options)) == len(options)
    names = [name for part in PARTS.values() for name in part.model_fields]
    assert len(set(names)) == len(names)
    assert set(names) == set(VALUES)


def test_defaults_that_the_help_shows_are_those_of_a_run(tmp_path):
    settings = MaskTrainConfig(output=tmp_path)
    assert all(getattr(settings, name) == part() for name, part in PARTS.items())


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ([], "no output given; name a folder with -o"),
        (["-o", "OUT", "--epochs", 3], "--epochs: simulated scenes have no end; give --steps instead"),
        (["-o", "OUT", "--shape", 100, 128], "--shape: expected multiples of 32, instead got 100 x 128"),
        (["-o", "OUT", "--polygons", "IN"], "--polygons: simulated scenes bring their own truth; .*"),
        (["-o", "OUT", "--looks", 9, 2], r"looks must be \(low, high\) with 1 <= low <= high, instead got \(9, 2\)"),
        (["-o", "OUT", "--gaps", 1.5], "--gaps: expected at most 1.*, instead got '1.5'"),
        (["-o", "OUT", "--config", "FILE"], ".*a.yaml: spoil.hole: no such setting, did you mean holes; see .*"),
    ],
)
@pytest.mark.usefixtures("torch")
def test_wrong_usage_of_training_is_one_line(groundshift, masks, tmp_path, arguments, pattern):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"spoil": {"hole": 1}}))
    places = {"IN": masks, "OUT": tmp_path / "out", "FILE": tmp_path / "a.yaml"}
    only_line(groundshift("train-mask", *(places.get(a, a) for a in arguments)), 2, pattern)


# evaluate-mask


@pytest.mark.usefixtures("torch")
def test_drawn_masks_judge(groundshift, masks, model, tmp_path):
    ran = groundshift("evaluate-mask", model, masks, "-o", tmp_path / "judged", "--mask-coherence", 0.5)
    assert ran.code == 0, ran.err
    assert ran.out == (tmp_path / "judged" / "table.txt").read_text()
    told = json.loads(groundshift("evaluate-mask", model, masks, "-o", tmp_path / "judged", "--json").out)
    assert list(told["masks"]) == ["tiny-coherent", "Otsu", "coherence above 0.3"]
    # Coherence is 0.8 on land and 0.2 on water: every way finds the lakes.
    for figures in told["masks"].values():
        assert figures == pytest.approx({"iou": 1, "f1": 1, "boundary_f1": 1, "lost": 0, "left": 0})


@pytest.mark.usefixtures("torch")
def test_wrong_usage_of_judging_is_one_line(groundshift, model, masks, tmp_path):
    command = ("evaluate-mask", model)
    out = ("-o", tmp_path / "out")
    only_line(groundshift(*command, *out, "--samples", 0), 2, "--samples: expected at least 1, instead got 0")
    only_line(groundshift(*command, *out, "--mask-coherence", 3), 2, "--mask-coherence: expected 0 to 1, instead got 3")
    only_line(groundshift(*command, *out, "--polygons", masks), 2, "--polygons: simulated scenes bring their own .*")
    only_line(groundshift("evaluate-mask", "nothing", *out), 1, "--model: nothing: no such model; .*")
    only_line(groundshift(*command, tmp_path / "no", *out), 1, ".*no: no such file or folder; check the spelling")


def test_the_command_line_loads_without_torch():
    code = "import sys, groundshift.cli as c; c.main(['train-mask', '--help']); sys.exit('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "--no-amplitude" in ran.stdout
