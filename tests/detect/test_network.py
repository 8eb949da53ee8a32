"""A network at work: what it draws comes out calibrated, on maps of any size, and a wrong model says what is wrong."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from tests import onnx_models

from groundshift.detect.bodies import decode_bodies
from groundshift.detect.calibration import calibrated
from groundshift.detect.models import checksum
from groundshift.detect.network import NetworkDetector
from groundshift.detect.planes import PLANES
from groundshift.errors import MissingFileError, UnknownFormatError

SHAPE = (700, 90)
"""Longer than a tile."""


def random_planes(shape=SHAPE, seed=0):
    planes = np.random.default_rng(seed).standard_normal((len(PLANES), *shape)).astype(np.float32)
    planes[PLANES.index("known")] = 1
    return planes


def same(a, b):
    """Whether two lists of predictions agree."""
    assert [p.box for p in a] == [p.box for p in b]
    np.testing.assert_allclose([p.score for p in a], [p.score for p in b], atol=1e-5)
    for p, q in zip(a, b, strict=True):
        np.testing.assert_array_equal(p.mask, q.mask)


def test_a_model_tells_what_it_is(tmp_path):
    path = onnx_models.write_random(
        tmp_path / "mine.onnx", calibration={"slope": 2, "intercept": -1, "least_score": 0.3}
    )
    found = NetworkDetector.load(path)
    assert (found.name, found.kind, found.path) == ("tiny-bodies", "bodies", path)
    assert found.calibration == (2, -1, 0.3)
    assert found.checksum == checksum(path)
    assert NetworkDetector.load(onnx_models.write_random(tmp_path / "b.onnx", name=None)).name == "b"
    assert NetworkDetector.load(str(onnx_models.write_boxes(tmp_path / "c.onnx")), threads=1).kind == "boxes"


def test_predictions_are_those_of_the_maps_of_the_whole(tmp_path):
    """Tiles are 640 nodes long; the model looks two nodes far."""
    path = onnx_models.write_random(tmp_path / "a.onnx")
    planes = random_planes()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    body, offset = session.run(["body", "offset"], {"planes": planes[np.newaxis]})
    expected = decode_bodies(body[0, 0], offset[0], planes[PLANES.index("known")] > 0)
    assert len(expected) > 20
    assert max(p.box[3] for p in expected) > 640
    same(NetworkDetector.load(path).predict(planes), expected)


def test_scores_are_calibrated_and_keep_their_order(tmp_path):
    planes = random_planes((64, 96))
    plain = NetworkDetector.load(onnx_models.write_random(tmp_path / "a.onnx")).predict(planes)
    changed = {"slope": 0.5, "intercept": -0.7, "least_score": 0.9}
    found = NetworkDetector.load(onnx_models.write_random(tmp_path / "b.onnx", calibration=changed)).predict(planes)
    assert [p.box for p in found] == [p.box for p in plain]
    np.testing.assert_allclose([p.score for p in found], calibrated([p.score for p in plain], 0.5, -0.7))
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    # What a survey keeps is its own affair.
    assert found[-1].score < 0.9


def test_nothing_known_is_nothing_found(tmp_path):
    detector = NetworkDetector.load(onnx_models.write_random(tmp_path / "a.onnx"))
    assert detector.predict(np.zeros((len(PLANES), 40, 50), np.float32)) == []


def spikes(places, size=2.0, shape=(700, 900)):
    radians = np.zeros(shape)
    for at in places:
        radians[at] = size
    return radians


@pytest.mark.parametrize("shift", [0, 1])
def test_a_box_is_found_once_wherever_tiles_meet(tmp_path, shift):
    """Tiles of 640 x 640 nodes on 700 x 900 of them: they part at row 352 and column 464, as `test_tiling` has it."""
    detector = NetworkDetector.load(onnx_models.write_boxes(tmp_path / "a.onnx"))
    places = [(y + shift, x + shift) for y in (1, 63, 351, 639, 696) for x in (1, 287, 463, 639, 896)]
    nothing = np.zeros((700, 900))
    found = detector.predict(random_planes((700, 900)), np.stack([spikes(places), nothing]))
    expected = [(max(x - 3, 0), max(y - 3, 0), min(x + 4, 900), min(y + 4, 700)) for y, x in places]
    assert sorted(p.box for p in found) == sorted(expected)
    np.testing.assert_allclose([p.score for p in found], 0.5)
    assert all(p.mask is None for p in found)


def test_both_directions_make_one_box_and_radians_saturate_at_four(tmp_path):
    detector = NetworkDetector.load(onnx_models.write_boxes(tmp_path / "a.onnx"))
    planes = random_planes((64, 64))
    radians = np.stack([spikes([(20, 20)], -3.0, (64, 64)), spikes([(21, 22)], 9.0, (64, 64))])
    radians[:, 50:] = np.nan
    (found,) = detector.predict(planes, radians)
    assert found.box == (17, 17, 26, 25)
    assert found.score == pytest.approx(1, abs=1e-5)
    # What is not known is not looked at.
    planes[PLANES.index("known"), 21, 22] = 0
    (found,) = detector.predict(planes, radians)
    assert found.box == (17, 17, 24, 24)
    assert found.score == pytest.approx(0.75)


def test_the_model_sees_numbers_only_and_none_above_one(tmp_path):
    seen = []

    class Watched:
        def run(self, names, inputs):
            seen.append(inputs["gradient"])
            return [np.zeros((1, 0, 4), np.float32), np.zeros((1, 0), np.float32)]

    detector = replace(NetworkDetector.load(onnx_models.write_boxes(tmp_path / "a.onnx")), session=Watched())
    radians = np.full((2, 33, 40), np.nan)
    radians[0, :4], radians[1, 5] = 9.0, -2.0
    assert detector.predict(random_planes((33, 40)), radians) == []
    assert [s.shape for s in seen] == [(1, 1, 64, 64)] * 2
    assert [sorted(set(s.ravel().tolist())) for s in seen] == [[0, 1], [-0.5, 0]]


def test_arguments_of_another_shape_are_refused(tmp_path):
    bodies = NetworkDetector.load(onnx_models.write_random(tmp_path / "a.onnx"))
    boxes = NetworkDetector.load(onnx_models.write_boxes(tmp_path / "b.onnx"))
    with pytest.raises(ValueError, match=r"planes must have shape \(8, 40, 50\)"):
        bodies.predict(np.zeros((6, 40, 50), np.float32))
    with pytest.raises(ValueError, match="radians must be given to tiny-boxes"):
        boxes.predict(random_planes((40, 50)))
    with pytest.raises(ValueError, match=r"radians must have shape \(2, 40, 50\)"):
        boxes.predict(random_planes((40, 50)), np.zeros((2, 40, 51)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": None}, "groundshift.kind is None, expected one of 'bodies', 'boxes'"),
        ({"kind": "fringes"}, "groundshift.kind is 'fringes', expected one of 'bodies', 'boxes'"),
        ({"kind": "boxes"}, "takes {'planes': ['n', 8, 'y', 'x']}, expected gradient of 1 planes"),
        ({"channels": 6}, "takes {'planes': ['n', 6, 'y', 'x']}, expected planes of 8 planes"),
        ({"planes": ["a", "b"]}, """looks at ["a", "b"], expected ["significance_y", """),
        ({"outputs": ("body",)}, "has no output offset"),
        ({"calibration": None}, "groundshift.calibration is '', expected slope, intercept, least_score"),
        ({"calibration": {"slope": 1}}, "groundshift.calibration is '{\"slope\": 1}', expected slope, intercept"),
        ({"calibration": {"slope": -1, "intercept": 0, "least_score": 0.5}}, "expected a positive slope and a"),
        ({"calibration": {"slope": 1, "intercept": 0, "least_score": 2}}, "expected a positive slope and a"),
    ],
)  # fmt: skip
def test_what_is_no_model_for_groundshift_is_one_line(tmp_path, changes, message):
    path = onnx_models.write_random(tmp_path / "a.onnx", **changes)
    with pytest.raises(UnknownFormatError) as caught:
        NetworkDetector.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: not a model for Groundshift (")
    assert message in text
    assert text.endswith("); export it with `groundshift train`")
    assert "\n" not in text


def test_a_file_that_is_no_onnx_is_one_line(tmp_path):
    for content in (b"", b"hello" * 100):
        path = tmp_path / "a.onnx"
        path.write_bytes(content)
        with pytest.raises(UnknownFormatError, match=r"a\.onnx: not a model for Groundshift \(") as caught:
            NetworkDetector.load(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(MissingFileError, match="no such file"):
        NetworkDetector.load(tmp_path / "b.onnx")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 48}, r"fails on a map of 64 x 64: .* Got: 64 Expected: 48"),
        ({"pad": 1}, r"body has shape \(1, 62, 62\) for planes of \(8, 64, 64\)"),
    ],
)
def test_a_model_that_does_not_answer_for_every_node_is_one_line(tmp_path, changes, message):
    detector = NetworkDetector.load(onnx_models.write_random(tmp_path / "a.onnx", **changes))
    with pytest.raises(UnknownFormatError, match=message) as caught:
        detector.predict(random_planes((64, 64)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("network", ["bodynet", "attention_yolov3_t"])
def test_a_trained_network_finds_the_same_here_as_where_it_was_trained(tmp_path, network):
    torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
    from groundshift.training.config import ModelConfig
    from groundshift.training.export import Metadata, export_onnx
    from groundshift.training.samples import Sample
    from groundshift.training.tasks import make_task

    torch.set_num_threads(1)
    torch.manual_seed(3)
    task, model = make_task(ModelConfig(network=network, width=0.125))
    # Fresh networks expect next to nothing; without that bias they find something.
    for part in model.modules():
        if isinstance(part, torch.nn.Conv2d) and part.bias is not None:
            torch.nn.init.zeros_(part.bias)
    model.eval()
    planes = np.abs(random_planes((75, 90)))
    planes[: PLANES.index("sigma_y")] = random_planes((75, 90), seed=1)[: PLANES.index("sigma_y")]
    planes[:, 30:34] = 0
    sample = Sample(planes, np.zeros((75, 90), np.uint8), (), "s", "all", 40.0, 1.5, 50)
    export_onnx(task, model, tmp_path / "a.onnx", Metadata("trained", {}))
    (expected,) = task.predict(model, [sample])
    found = NetworkDetector.load(tmp_path / "a.onnx", threads=1).predict(planes, sample.gradient_radians())
    assert len(expected) >= 5
    np.testing.assert_allclose([p.box for p in found], [p.box for p in expected], atol=1e-3)
    np.testing.assert_allclose([p.score for p in found], [p.score for p in expected], atol=1e-4)
    for p, q in zip(found, expected, strict=True):
        np.testing.assert_array_equal(p.mask, q.mask)


def test_detection_needs_no_torch():
    code = (
        "import sys, groundshift.detect.network, groundshift.workflows.survey; print('torch' in sys.modules, "
        "'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
