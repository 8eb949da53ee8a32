"""Networks over mines joined to samples: inputs, answers, and files that answer alike."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
onnx = pytest.importorskip("onnx")

import onnxruntime  # noqa: E402

from groundshift.detect.bowl_network import BowlNetwork, phase_of  # noqa: E402
from groundshift.training.export import MOST_DIFFERENCE, Metadata, export_onnx  # noqa: E402
from groundshift.training.mining.config import BowlModelConfig  # noqa: E402
from groundshift.training.mining.tasks import make_bowl_task  # noqa: E402

OUTPUTS = {"bowls": ["probability", "down", "right", "error"], "footprint": ["probability"], "unwrapped": ["phase"]}
KINDS = {"bowlnet": "bowls", "unet": "footprint", "ddnet_light": "footprint", "punet_light": "unwrapped"}


def shaken(network):
    """Give a network weights and statistics that leave nothing at zero."""
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            value.add_(0.1 * noise) if "var" in name else value.add_(0.05 * (noise - 0.5))
    return network.eval()


@pytest.fixture(scope="module", params=KINDS)
def exported(request, tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    task, network = make_bowl_task(BowlModelConfig(network=request.param, width=0.125))
    network = shaken(network)
    path = tmp_path_factory.mktemp("models") / f"{request.param}.onnx"
    difference = export_onnx(task, network, path, Metadata("trial", {"model": {"network": request.param}}))
    torch.set_num_threads(before)
    return request.param, task, network, path, difference


def told(answer):
    return {name: getattr(answer, name) for name in answer._fields if getattr(answer, name) is not None}


def test_onnx_runtime_computes_what_torch_does(exported):
    name, task, network, path, difference = exported
    assert task.kind == KINDS[name]
    assert difference < MOST_DIFFERENCE
    session = onnxruntime.InferenceSession(str(path))
    assert [value.name for value in session.get_outputs()] == OUTPUTS[task.kind]
    rng = np.random.default_rng(0)
    for shape in [(1, 96, 32), (2, 32, 64)]:
        wrapped = rng.uniform(-np.pi, np.pi, shape)
        coherence = rng.random(shape) * (rng.random(shape) < 0.9)
        x = np.stack([wrapped * (coherence > 0), coherence], 1).astype(np.float32)
        with torch.inference_mode():
            expected = task.exported(network)(torch.from_numpy(x))
        for found, value in zip(session.run(None, {"interferogram": x}), expected, strict=True):
            assert found.shape == (shape[0], 1, *shape[1:])
            wanted = value.numpy()
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * max(1, np.abs(wanted).max()))


def test_the_file_finds_what_the_task_finds_on_any_size(exported, a_sample):
    _, task, network, path, _ = exported
    detector = BowlNetwork.load(path)
    assert (detector.kind, detector.name) == (task.kind, "trial")
    sample = a_sample()
    view = detector.look(sample.wrapped, sample.coherence)
    answer = task.predict(network, [sample])[0]
    for name, values in told(answer).items():
        assert values.shape == (40, 48)
        expected = np.where(sample.known, values, 0) if name == "probability" else values
        np.testing.assert_allclose(
            getattr(view, name), expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()), err_msg=name
        )
    assert {name for name in view._fields if getattr(view, name) is not None} == set(told(answer))


def test_the_file_tells_what_it_is(exported):
    name, task, _, path, _ = exported
    metadata = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert metadata["groundshift.kind"] == task.kind
    assert json.loads(metadata["groundshift.planes"]) == ["wrapped", "coherence"]
    assert json.loads(metadata["groundshift.config"])["model"]["network"] == name


def test_answers_are_those_of_the_network_in_their_units(exported, a_sample):
    _, task, network, _, _ = exported
    sample = a_sample(shape=(32, 64))
    x = torch.from_numpy(np.stack([sample.wrapped, sample.coherence])[None])
    with torch.inference_mode():
        out = network(x)
    answer = task.predict(network, [sample])[0]
    if task.kind == "bowls":
        error = torch.exp(out.log_scale)
        phase = phase_of(*(m[0, 0].numpy() for m in (*out.gradient.split(1, 1), error)), sample.known)
        expected = {
            "probability": torch.sigmoid(out.bowl),
            "phase": torch.from_numpy(phase[None, None]),
            "error": error,
        }
    else:
        expected = {"phase": out} if task.kind == "unwrapped" else {"probability": torch.sigmoid(out)}
    assert set(told(answer)) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(answer, name), value[0, 0].numpy(), rtol=1e-5, atol=1e-5)


def test_a_network_that_learns_is_asked_as_it_is_used_and_learns_on(exported, a_sample):
    _, task, network, _, _ = exported
    samples = [a_sample(), a_sample(2)]
    expected = [told(a) for a in task.predict(network, samples)]
    statistics = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    found = [told(a) for a in task.predict(network, samples)]
    assert network.training
    network.eval()
    assert all(torch.equal(value, statistics[name]) for name, value in network.state_dict().items())
    for one, other in zip(found, expected, strict=True):
        for name, values in other.items():
            np.testing.assert_array_equal(one[name], values)


def test_batches_hold_inputs_and_truth_of_each_sample(exported, a_sample):
    _, task, network, _, _ = exported
    samples = [a_sample(0, (32, 48)), a_sample(4, (32, 48))]
    batch = task.batch(samples)
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "interferogram": (2, 2, 32, 48), **dict.fromkeys(("phase", "bowl", "footprint", "known"), (2, 1, 32, 48)),
    }  # fmt: skip
    for k, sample in enumerate(samples):
        np.testing.assert_array_equal(batch["interferogram"][k], np.stack([sample.wrapped, sample.coherence]))
        np.testing.assert_array_equal(batch["known"][k, 0], sample.known)
        for name in ("phase", "bowl", "footprint"):
            np.testing.assert_array_equal(batch[name][k, 0], getattr(sample, name))
    losses = task.losses(task.outputs(network, batch, 0.0), batch)
    assert all(value.ndim == 0 and torch.isfinite(value) for value in losses.values())


@pytest.mark.parametrize("network", ["bowlnet", "unet", "ddnet_light"])
def test_drawn_footprints_are_learned_from_by_all_that_find(network, a_sample):
    torch.manual_seed(0)
    task, model = make_bowl_task(BowlModelConfig(network=network, width=0.125))
    batch = task.batch([a_sample(0, (32, 48), told=False), a_sample(1, (32, 48), told=False)])
    before = None
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(12):
        loss = sum(task.losses(task.outputs(model, batch, 0.0), batch).values())
        before = float(loss.detach()) if before is None else before
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.9 * before


def test_light_networks_have_the_same_form_with_fewer_and_narrower_blocks():
    sizes = {}
    for name in ("ddnet", "ddnet_light", "punet", "punet_light"):
        _, network = make_bowl_task(BowlModelConfig(network=name))
        sizes[name] = sum(p.numel() for p in network.parameters())
        assert (len(network.dilated), len(network.residual)) == ((4, 4) if "light" in name else (8, 10))
    assert sizes["ddnet"] == sizes["punet"] == 2_147_393
    assert sizes["ddnet_light"] == sizes["punet_light"] < sizes["punet"] / 10
