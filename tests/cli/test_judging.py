"""`groundshift evaluate`: what it prints, what it leaves, and what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from tests import onnx_models

from groundshift.cli.judging import evaluate
from groundshift.detect.network import NetworkDetector
from groundshift.detect.planes import network_planes, radians_per_gradient
from groundshift.training.judge import judge
from groundshift.training.rule_based import RuleDetector
from groundshift.training.samples import Body, Sample, read_sample, write_sample

NAMES = ["judgement.json", "pr.png", "reliability.png", "report.md"]


@pytest.fixture(scope="module")
def folder(make_stack, tmp_path_factory):
    """Six samples of three scenes, with a body each in noise."""
    folder = tmp_path_factory.mktemp("samples")
    y, x = np.mgrid[:70, :64]
    for k in range(6):
        rng = np.random.default_rng(k)
        inside = np.hypot((y - 25 - 4 * k) / 9, (x - 30) / 7) < 1
        v = (20.0 + 10 * k) * inside + 1.2 * rng.standard_normal(inside.shape)
        v = ndimage.uniform_filter(v, 4)
        gradient = np.full((2, *v.shape), np.nan)
        gradient[0, :-1], gradient[1, :, :-1] = np.diff(v, axis=0), np.diff(v, axis=1)
        stack = make_stack(gradient, 0.3, smoothing=4)
        radians = radians_per_gradient(stack.total_years, stack.wavelength)
        bodies = (Body(20.0 + 10 * k, 20.0 + 10 * k, 700.0, 560.0, "steady"),)
        made = Sample(
            network_planes(stack), inside.astype(np.uint8), bodies, f"s{k % 3}", "all", 40.0, radians, stack.total_pairs
        )
        write_sample(folder / "in" / f"{k}.npz", made)
    return folder / "in"


def test_rules_are_judged_and_everything_is_written(groundshift, folder, tmp_path):
    out = tmp_path / "out"
    ran = groundshift("evaluate", "rules", folder, "-o", out, "--bootstrap", "20")
    assert ran.code == 0
    assert ran.lines == [f"judgement: {out / 'report.md'}"]
    samples = [read_sample(path) for path in sorted(folder.glob("*.npz"))]
    found = judge([(s, RuleDetector().predict(s)) for s in samples], detector="rules", draws=20)
    assert ran.out == found.table()
    assert found.scores["hit recall at any"].value == 1.0
    assert sorted(p.name for p in out.iterdir()) == NAMES
    facts = json.loads((out / "judgement.json").read_text())
    assert facts["about"]["command"].split()[0] == "groundshift"
    assert facts["about"]["thresholds"]["rules"]["significance"] == 4.0
    assert replace(found, about=facts["about"]).to_json() == (out / "judgement.json").read_text()
    report = (out / "report.md").read_text()
    assert found.table() in report
    assert all(name in report for name in ("pr.png", "reliability.png"))


def test_a_model_is_judged_by_what_it_predicts(groundshift, folder, tmp_path):
    path = onnx_models.write_significant(
        tmp_path / "m.onnx", calibration={"slope": 2.0, "intercept": -1.0, "least_score": 0.5}
    )
    ran = groundshift("evaluate", path, folder, "-o", tmp_path / "out", "--json", "--bootstrap", "0")
    assert (ran.code, ran.err) == (0, "")
    facts = json.loads(ran.out)
    model = NetworkDetector.load(path)
    samples = [read_sample(p) for p in sorted(folder.glob("*.npz"))]
    found = judge([(s, model.predict(s.planes)) for s in samples], detector=model.name, draws=0)
    assert facts == json.loads(replace(found, about=facts["about"]).to_json())
    assert found.predictions > 6
    assert facts["about"]["sha256"] == model.checksum
    slope, intercept = found.calibration
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"slope {2 * slope:.4f} and intercept {intercept - slope:.4f}." in report


def test_a_model_of_boxes_sees_the_gradients_in_radians(groundshift, folder, tmp_path):
    path = onnx_models.write_boxes(tmp_path / "m.onnx")
    ran = groundshift("evaluate", path, folder, "-o", tmp_path / "out", "--json", "--scenes", "1")
    facts = json.loads(ran.out)
    samples = [read_sample(folder / f"{k}.npz") for k in (0, 3)]
    model = NetworkDetector.load(path)
    many = sum(len(model.predict(s.planes, s.gradient_radians())) for s in samples)
    assert (facts["maps"], facts["scenes"], facts["predictions"]) == (2, 1, many)
    assert not [name for name in facts["scores"] if name.startswith("mask")]


def test_options_reach_the_judgement(groundshift, folder, tmp_path):
    options = ["--seed", "7", "--bootstrap", "5", "--recall-at", "0.25", "0.9"]
    ran = groundshift("evaluate", "rules", folder, folder, "-o", tmp_path / "out", "--quiet", *options)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    facts = json.loads((tmp_path / "out" / "judgement.json").read_text())
    assert (facts["maps"], facts["seed"], facts["draws"]) == (6, 7, 5)
    assert list(facts["confidences"])[:5] == ["0.25", "0.5", "0.8", "0.9", "any"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--bootstrap", "-1"], "--bootstrap: expected at least 0, instead got -1"),
        (["--seed", "-1"], "--seed: expected at least 0, instead got -1"),
        (["--scenes", "0"], "--scenes: expected at least 1, instead got 0"),
        (["--recall-at", "1.5"], "--recall-at: expected 0 to 1, instead got 1.5"),
        (["--least-visibility", "-1"], "--least-visibility: expected at least 0, instead got -1.0"),
        (["--recall-at", "nan"], "--recall-at: expected 0 to 1, instead got nan"),
    ],
)
def test_options_that_cannot_be_are_one_line(groundshift, folder, tmp_path, option, message):
    ran = groundshift("evaluate", "rules", folder, "-o", tmp_path / "out", *option)
    assert (ran.code, ran.out, ran.lines) == (2, "", [f"groundshift: {message}"])
    assert not (tmp_path / "out").exists()


def test_inputs_that_cannot_be_are_one_line(groundshift, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.npz").write_bytes(b"no archive")
    for model, samples, message in [
        ("rules", "none", "none: no such file or folder; check the spelling"),
        ("rules", "empty", "empty: holds no samples"),
        ("rules", "broken", "a.npz: not a sample"),
        ("nobody", folder, "nobody: no such model"),
        (tmp_path / "no.onnx", folder, "no.onnx: no such file or folder; check the spelling"),
    ]:
        ran = groundshift("evaluate", model, tmp_path / samples, "-o", tmp_path / "out")
        assert (ran.code, ran.out, len(ran.lines)) == (1, "", 1)
        assert message in ran.lines[0]
    ran = groundshift("evaluate", "rules", folder, "-o", folder)
    assert ran.lines == [f"groundshift: {folder}: holds the input; choose another output folder"]


def test_python_may_call_the_command_as_well(folder, tmp_path, capsys):
    assert evaluate("rules", (folder,), output=tmp_path / "out", bootstrap=0, scenes=1) == 0
    assert capsys.readouterr().out.startswith("rules: ")
