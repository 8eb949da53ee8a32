"""Surveys with either detector: who looked is noted, and a model that cannot be used stops the run at once."""

import json
import math
import re

import pytest
import yaml
from tests import onnx_models

from groundshift.detect.models import checksum
from groundshift.inventory import read_inventory


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that draws bodies where gradients are significant."""
    return onnx_models.write_significant(tmp_path_factory.mktemp("models") / "mine.onnx")


def detections_of(folder):
    return [d for t in read_inventory(folder / "inventory.gpkg") for d in t.detections]


def test_a_network_finds_the_slides_and_is_noted_with_its_weights(groundshift, surveyed, model, tmp_path):
    out = tmp_path / "out"
    ran = groundshift("detect", surveyed, "-o", out, "--detector", "network", "--model", model, "--json")
    assert (ran.code, ran.err) == (0, "")
    targets = json.loads(ran.out)["targets"]
    by_rules = read_inventory(surveyed / "inventory.gpkg")
    found = read_inventory(out / "inventory.gpkg")
    assert len(targets) == len(found) >= 1
    for target in by_rules:
        twins = [t for t in found if t.geometry.intersects(target.geometry)]
        assert twins
        assert any(t.velocity_los_mm_yr * target.velocity_los_mm_yr > 0 for t in twins)
    assert {d.detector for d in detections_of(out)} == {"tiny-bodies"}
    assert all(0.5 * 2 / 3 <= d.score <= 1 for d in detections_of(out))
    assert all(t.score >= 0.5 or len({d.window for d in t.detections}) >= 3 for t in found)

    noted = json.loads((out / "provenance.json").read_text())
    assert noted["detector"] == {
        "name": "tiny-bodies", "kind": "bodies", "file": str(model), "sha256": checksum(model),
        "calibration": onnx_models.CALIBRATION, "least_score": 0.5,
    }  # fmt: skip
    assert "onnxruntime" in noted["libraries"]
    settings = yaml.safe_load((out / "run.yaml").read_text())["detect"]
    assert (settings["detector"], settings["model"]) == ("network", str(model))
    assert "tiny-bodies" in (out / "report.html").read_text()


def test_a_survey_with_a_network_is_stacking_and_detection_with_it(groundshift, simulated, surveyed, model, tmp_path):
    options = ("--detector", "network", "--model", model, "-q")
    assert groundshift("survey", simulated, "-o", tmp_path / "whole", *options).code == 0
    assert groundshift("detect", surveyed, "-o", tmp_path / "part", *options).code == 0
    whole, part = (
        [(d.score, d.velocity, d.window, d.polygon.wkb) for d in detections_of(tmp_path / name)]
        for name in ("whole", "part")
    )
    assert whole == part
    assert len(whole) >= 3


def test_the_rules_are_noted_too(surveyed):
    assert json.loads((surveyed / "provenance.json").read_text())["detector"] == {"name": "rules"}
    assert {d.detector for d in detections_of(surveyed)} == {"rules"}


def test_least_score_is_that_of_the_model_unless_given(groundshift, surveyed, tmp_path):
    least = 0.75
    calibration = {"slope": 1.0, "intercept": 0.0, "least_score": least}
    strict = onnx_models.write_significant(tmp_path / "strict.onnx", calibration=calibration)
    found = {}
    for name, options in {"own": (), "given": ("--least-score", "0.3")}.items():
        out = tmp_path / name
        ran = groundshift("detect", surveyed, "-o", out, "--detector", "network", "--model", strict, *options, "-q")
        assert ran.code == 0
        found[name] = read_inventory(out / "inventory.gpkg")
        faintest = (least if name == "own" else 0.3) * 2 / 3
        assert min(d.score for t in found[name] for d in t.detections) >= faintest
    for target in found["own"]:
        agree = {d.window for d in target.detections if d.score >= least * 2 / 3}
        assert target.score >= least or len(agree) >= 3
    assert min(t.score for t in found["given"]) < least
    assert len(found["given"]) > len(found["own"]) > 0


def test_calibration_reaches_detections_and_targets(groundshift, surveyed, tmp_path):
    """A target is false only if every track is wrong; windows of one track are one witness."""
    scores = {}
    for slope in (1.0, 0.5):
        calibration = {"slope": slope, "intercept": -0.4, "least_score": 0.0}
        path = onnx_models.write_significant(tmp_path / f"{slope}.onnx", calibration=calibration)
        out = tmp_path / f"{slope}"
        assert groundshift("detect", surveyed, "-o", out, "--detector", "network", "--model", path, "-q").code == 0
        scores[slope] = sorted(d.score for d in detections_of(out))
        for target in read_inventory(out / "inventory.gpkg"):
            assert target.score == pytest.approx(max(d.score for d in target.detections))
    halved = [1 / (1 + math.exp(-(0.5 * (math.log(s / (1 - s)) + 0.4) - 0.4))) for s in scores[1.0]]
    assert scores[0.5] == pytest.approx(halved, abs=1e-5)


def test_a_model_that_draws_boxes_looks_at_radians(groundshift, surveyed, tmp_path):
    path = onnx_models.write_boxes(tmp_path / "boxes.onnx")
    out = tmp_path / "out"
    ran = groundshift("detect", surveyed, "-o", out, "--detector", "network", "--model", path, "-q")
    assert ran.code == 0
    found = detections_of(out)
    assert len(found) >= 1
    assert {d.detector for d in found} == {"tiny-boxes"}
    assert json.loads((out / "provenance.json").read_text())["detector"]["kind"] == "boxes"


@pytest.mark.parametrize("command", ["survey", "detect"])
def test_a_model_that_cannot_be_used_stops_before_any_work(groundshift, simulated, surveyed, tmp_path, command):
    given, out = {"survey": simulated, "detect": surveyed}[command], tmp_path / "out"
    (tmp_path / "text.onnx").write_text("hello")
    for model, message in (
        ("bodynett", r"bodynett: no such model; .*name a file that ends in \.onnx"),
        (tmp_path / "none.onnx", r".*none\.onnx: no such file; check the spelling of --model"),
        (tmp_path / "text.onnx", r".*text\.onnx: not a model for Groundshift \(.*\); export it with .*"),
    ):
        ran = groundshift(command, given, "-o", out, "--detector", "network", "--model", model)
        assert (ran.code, len(ran.lines)) == (1, 1)
        assert re.fullmatch(f"groundshift: {message}", ran.lines[0])
        assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--detector", "eye"], "--detector: expected one of 'network' or 'rules', instead got 'eye'"),
        (["--least-score", "1.5"], "--least-score: expected at most 1.0, instead got '1.5'"),
    ],
)
def test_wrong_settings_of_the_detector_are_wrong_usage(groundshift, options, message):
    ran = groundshift("detect", "a", "-o", "b", *options)
    assert (ran.code, ran.lines) == (2, [f"groundshift: {message}"])
