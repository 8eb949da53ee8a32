"""Models as ONNX files: what they compute and what they tell of themselves."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import onnxruntime  # noqa: E402

from groundshift.detect.network import NetworkDetector  # noqa: E402
from groundshift.detect.planes import PLANES  # noqa: E402
from groundshift.training.config import ModelConfig  # noqa: E402
from groundshift.training.export import MOST_DIFFERENCE, ExportError, Metadata, export_onnx  # noqa: E402
from groundshift.training.samples import Sample  # noqa: E402
from groundshift.training.tasks import direction_images, make_task  # noqa: E402

METADATA = Metadata("trial", {"plan": {"steps": 3}}, 1.5, -0.25, 0.4)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shaken(network):
    """Give a network weights and statistics that leave nothing at zero."""
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if value.is_floating_point() and "anchors" not in name:
            noise = torch.rand(value.shape, generator=generator)
            value.add_(0.1 * noise) if "var" in name else value.add_(0.05 * (noise - 0.5))
    # Untrained networks are sure that there is nothing; these are not.
    with torch.no_grad():
        if hasattr(network, "out"):
            network.out.bias[:8] = 0
        else:
            for head in (network.fine_head[-1], network.coarse_head[-1]):
                head.bias.view(3, 6)[:, 4] = 0
    return network.eval()


@pytest.fixture(scope="module", params=["bodynet", "attention_yolov3_t"])
def exported(request, tmp_path_factory):
    torch.manual_seed(1)
    task, network = make_task(ModelConfig(network=request.param, width=0.1))
    network = shaken(network)
    path = tmp_path_factory.mktemp("models") / f"{request.param}.onnx"
    return task, network, path, export_onnx(task, network, path, METADATA)


def a_map(shape):
    rng = np.random.default_rng(5)
    planes = rng.normal(size=(len(PLANES), *shape)).astype(np.float32)
    for axis in "yx":
        planes[PLANES.index(f"sigma_{axis}")] = 0.5
    planes[PLANES.index("coherence")], planes[PLANES.index("known")] = 0.5, 1
    return Sample(planes, np.zeros(shape, np.uint8), (), "s", "all", 40.0, -1.0, 10)


def test_onnx_runtime_computes_what_torch_does(exported):
    task, network, path, difference = exported
    assert difference < MOST_DIFFERENCE
    session = onnxruntime.InferenceSession(str(path))
    for shape in [(96, 32), (64, 160)]:
        sample = a_map(shape)
        if task.kind == "bodies":
            inputs = {"planes": sample.planes[np.newaxis]}
            with torch.inference_mode():
                body, offset = network(torch.from_numpy(inputs["planes"]))
            expected = {"body": torch.sigmoid(body), "offset": offset}
        else:
            inputs = {"gradient": direction_images(sample)}
            with torch.inference_mode():
                boxes, scores = network.decode(network(torch.from_numpy(inputs["gradient"])))
            expected = {"boxes": boxes, "scores": scores}
        assert [value.name for value in session.get_outputs()] == list(expected)
        for name, found in zip(expected, session.run(None, inputs), strict=True):
            values = expected[name].numpy()
            np.testing.assert_allclose(found, values, rtol=0, atol=1e-4 * max(1, np.abs(values).max()), err_msg=name)


def test_a_survey_finds_with_the_file_what_the_task_finds(exported):
    task, network, path, _ = exported
    sample = a_map((64, 96))
    detector = NetworkDetector.load(path)
    found = detector.predict(sample.planes, sample.gradient_radians())
    expected = task.predict(network, [sample])[0]
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(
        np.sort([p.box for p in found], axis=0), np.sort([p.box for p in expected], axis=0), rtol=0, atol=1e-2
    )


def test_the_file_tells_what_it_is(exported):
    task, _, path, _ = exported
    told = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert told["groundshift.kind"] == task.kind
    assert told["groundshift.name"] == "trial"
    assert json.loads(told["groundshift.config"]) == {"plan": {"steps": 3}}
    assert json.loads(told["groundshift.calibration"]) == {"slope": 1.5, "intercept": -0.25, "least_score": 0.4}
    assert json.loads(told["groundshift.planes"]) == list(PLANES)


def test_a_file_that_computes_something_else_is_not_written(tmp_path):
    task, network = make_task(ModelConfig(width=0.1))

    class Forked(torch.nn.Module):
        """Traced it is one network, run it is another."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, planes):
            maps = self.network(planes)
            shift = 1.0 if torch.jit.is_tracing() else 0.0
            return type(maps)(maps.body + shift, maps.offset)

    with pytest.raises(
        ExportError, match=r"a\.onnx: ONNX Runtime differs from torch by 0\.\d+, expected at most 0.0001"
    ):
        export_onnx(task, Forked(), tmp_path / "a.onnx", METADATA)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(ExportError, match="differs from torch by inf"):
        export_onnx(task, network, tmp_path / "a.onnx", METADATA)
    assert list(tmp_path.iterdir()) == []
