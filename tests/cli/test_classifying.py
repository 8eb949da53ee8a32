"""The commands on fringes: their options, what they tell, and what they refuse."""

import json
import re

import numpy as np
import pytest
from tests.workflows.test_classifying import write_stack

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from tests.workflows.fringe_models import write_known  # noqa: E402

from groundshift.training.fringes.config import FringeTrainConfig  # noqa: E402
from groundshift.training.fringes.patches import FringeSample, write_patch  # noqa: E402
from groundshift.workflows import training_fringes  # noqa: E402


@pytest.fixture
def model(tmp_path):
    return write_known(tmp_path / "known.onnx")


@pytest.fixture
def windows(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("positive", "negative"):
        for scene in ("gassan", "kii"):
            phase = rng.uniform(-3, 3, (150, 150)).astype(np.float32)
            sample = FringeSample(phase, np.full((150, 150), 0.5, np.float32), name == "positive", scene)
            write_patch(tmp_path / "windows" / name / f"{scene}_1.tif", sample, 28)
    return tmp_path / "windows"


def only_line(ran, code, pattern):
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert len(ran.lines) == 1, ran.err
    assert re.fullmatch(f"groundshift: {pattern}", ran.lines[0]), ran.lines[0]


def test_a_stack_is_classified(groundshift, tmp_path, model):
    stack, out = write_stack(tmp_path / "in", days=(46,)), tmp_path / "out"
    options = ("--model", model, "--large-scale", 0)
    plan = groundshift("classify", stack, "-o", out, *options, "--dry-run")
    assert plan.code == 0
    assert re.search(r"^scan +in one pass$", plan.out, re.MULTILINE)
    assert not out.exists()
    ran = groundshift("classify", stack, "-o", out, *options, "--json")
    told = json.loads(ran.out)
    assert [(c["pair"], c["cells"]) for c in told["candidates"]] == [("20080105_20080220", 9)]
    ran = groundshift("classify", stack, "-o", out, *options, "--least-cells", 10)
    assert f"0 candidates: {out / 'candidates.csv'}" in ran.err


def test_what_classify_refuses(groundshift, tmp_path, model):
    stack = write_stack(tmp_path / "in", days=(46,), dem=False)
    only_line(groundshift("classify", "-o", tmp_path / "out"), 2, "no inputs given; name folders of interferograms")
    only_line(groundshift("classify", stack), 2, "no output given; name a folder with -o")
    only_line(
        groundshift("classify", stack, "-o", tmp_path / "out", "--model", tmp_path / "other.onnx"), 1,
        r".*other.onnx: no such file; check the spelling of --model",
    )  # fmt: skip
    only_line(
        groundshift("classify", stack, "-o", tmp_path / "out", "--model", model, "--least-slope", 15, "--quiet"), 2,
        "--least-slope: gassan brings no heights; name a DEM with --dem",
    )  # fmt: skip


def test_windows_are_made_and_a_network_learns_from_them(groundshift, tmp_path, windows, monkeypatch):
    ran = groundshift(
        "train-classify", windows, "-o", tmp_path / "run", "--width", 0.1, "--steps", 2, "--batch", 2, "--threads", 1,
        "--workers", 0, "--validation-share", 0.5, "--json",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    told = json.loads(ran.out)
    assert (told["ending"], told["step"]) == ("done", 2)
    ran = groundshift(
        "evaluate-classify", windows, "-o", tmp_path / "judged", "--folds", 2, "--width", 0.1, "--steps", 1,
        "--batch", 2, "--threads", 1, "--workers", 0,
    )  # fmt: skip
    assert ran.code == 0
    assert "| Recall |" in ran.out
    assert "Whole interferograms" not in ran.out
    assert f"tables: {tmp_path / 'judged' / 'tables.md'}" in ran.err


def test_what_the_others_refuse(groundshift, tmp_path, windows):
    only_line(groundshift("evaluate-classify", "-o", tmp_path / "out"), 2, "no inputs given; name folders of windows")
    only_line(
        groundshift("make-fringes", "-o", tmp_path / "out"), 2, "expected inputs or --simulated, one of both",
    )  # fmt: skip
    only_line(
        groundshift("train-classify", tmp_path, "-o", tmp_path / "out", "--quiet"), 1,
        ".*positive: no such folder; expected windows in positive and negative",
    )  # fmt: skip
    for path in (windows / "negative").iterdir():
        path.unlink()
    only_line(
        groundshift("train-classify", windows, "-o", tmp_path / "out", "--quiet"), 1,
        r".*negative: no \*\.tif; put windows of 150 x 150 pixels here",
    )  # fmt: skip


def test_options_reach_their_settings(groundshift, tmp_path, windows, monkeypatch):
    seen = []

    def keep(settings, reporter, *, fresh):
        seen.append((settings, fresh))
        raise KeyboardInterrupt

    monkeypatch.setattr(training_fringes, "run_fringe_training", keep)
    values = {
        "network": "paper", "width": 0.3, "seen": "centre", "without": ("kii",), "validation_share": 0.4,
        "most_shift": 5, "near_share": 0.1, "near_pixels": 33, "least_data": 0.6, "steep_degrees": 12.0, "steps": 17,
        "batch": 7, "optimiser": "adamw", "rate": 0.02, "seed": 3, "threads": 2, "workers": 0, "side": 300,
        "pixel_m": 25.0, "wavelength_m": 0.24, "pairs": 9, "slides": (2, 4), "ramp_rad": 1.5,
        "ionosphere_share": 0.1,
    }  # fmt: skip
    command = ["train-classify", windows, "-o", tmp_path / "out", "--fresh"]
    for name, value in values.items():
        command += [f"--{name.replace('_', '-')}", *(value if isinstance(value, tuple) else (value,))]
    assert groundshift(*command).code == 1
    settings, fresh = seen[0]
    assert fresh
    assert isinstance(settings, FringeTrainConfig)
    parts = settings.model_dump()
    told = {k: v for part in parts.values() if isinstance(part, dict) for k, v in part.items()}
    assert {name: told[name] for name in values} == values
