"""Networks that outline moving slopes joined to samples: inputs, answers, and files that answer alike."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
onnx = pytest.importorskip("onnx")

from groundshift.detect.segments import SegmentNetwork  # noqa: E402
from groundshift.training import export  # noqa: E402
from groundshift.training.export import MOST_DIFFERENCE, Metadata, export_onnx  # noqa: E402
from groundshift.training.segments.config import SegmentModelConfig  # noqa: E402
from groundshift.training.segments.pictures import draw_segments  # noqa: E402
from groundshift.training.segments.samples import SegmentSet  # noqa: E402
from groundshift.training.segments.tasks import make_segment_task  # noqa: E402

KINDS = {
    "unet": "footprint", "resunet": "footprint", "sepunet": "footprint", "fcn": "footprint", "deeplabv3": "footprint",
    "slidenet": "footprint", "slidenet_times": "footprint_of_many",
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def known_kind(monkeypatch):
    monkeypatch.setitem(export._OUTPUTS, "footprint_of_many", ("probability",))


def made(network):
    torch.manual_seed(1)
    task, model = make_segment_task(SegmentModelConfig(network=network, width=0.2))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _ in range(8):  # so that the normalisation has seen some
            x = torch.rand((2, 2, 32, 32), generator=generator)
            model(x.unsqueeze(1) if network == "slidenet_times" else x)
    return task, model.eval()


@pytest.mark.parametrize("network", KINDS)
def test_files_answer_as_the_network_does(network, a_sample, tmp_path):
    task, model = made(network)
    assert task.kind == KINDS[network]
    path = tmp_path / "model.onnx"
    assert export_onnx(task, model, path, Metadata("trial", {})) <= MOST_DIFFERENCE
    found = SegmentNetwork.load(path, threads=1)
    members = (a_sample(0), a_sample(1), a_sample(2))
    sample = SegmentSet(members) if found.sees_many else members[0]
    seen = members if found.sees_many else members[:1]
    told = found.look(np.stack([m.wrapped for m in seen]), np.stack([m.coherence for m in seen]))
    (wanted,) = task.predict(model, [sample])
    known = sample.known
    np.testing.assert_allclose(told[known], wanted[known], atol=1e-4)
    assert (told[~known] == 0).all()


def test_sets_of_several_sizes_make_one_batch(a_sample):
    task, model = made("slidenet_times")
    sets = [SegmentSet((a_sample(0), a_sample(1), a_sample(2))), SegmentSet((a_sample(3),))]
    batch = task.batch(sets)
    assert batch["interferogram"].shape == (2, 3, 2, 24, 24)
    with torch.no_grad():
        both = task.outputs(model, batch, 0.0)
        torch.testing.assert_close(both[1:], task.outputs(model, task.batch(sets[1:]), 0.0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("network", "terms"), [("resunet", {"cross"}), ("slidenet", {"cross", "dice"})])
def test_networks_of_the_authors_learn_by_their_loss(network, terms, a_sample):
    task, model = made(network)
    batch = task.batch([a_sample(0), a_sample(1)])
    assert set(task.losses(task.outputs(model, batch, 0.0), batch)) == terms


def test_pictures_are_drawn_of_samples_and_of_sets(a_sample, tmp_path):
    answer = a_sample().mask
    draw_segments(tmp_path / "a.png", [a_sample(), SegmentSet((a_sample(1),))], [answer, answer])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
