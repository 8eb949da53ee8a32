"""Weights of exported models taken back into networks: they compute the same, and go on from there."""

from pathlib import Path

import pytest
import torch
from torch import nn

from groundshift.detect.models import WEIGHTS, find_model, is_shipped
from groundshift.errors import UnknownFormatError
from groundshift.training.config import ModelConfig
from groundshift.training.export import Metadata, compare, export_onnx
from groundshift.training.fringes.config import FringeModelConfig
from groundshift.training.fringes.tasks import make_fringe_task
from groundshift.training.imported import settle_norms, take_weights
from groundshift.training.masks.config import MaskModelConfig
from groundshift.training.masks.tasks import make_mask_task
from groundshift.training.mining.config import BowlModelConfig
from groundshift.training.mining.tasks import make_bowl_task
from groundshift.training.segments.config import SegmentModelConfig
from groundshift.training.segments.tasks import make_segment_task
from groundshift.training.tasks import make_task

MADE = {
    "bodynet": lambda: make_task(ModelConfig(network="bodynet", width=0.25, dropblock=False)),
    "bowlnet": lambda: make_bowl_task(BowlModelConfig(network="bowlnet", width=0.125)),
    "punet_light": lambda: make_bowl_task(BowlModelConfig(network="punet_light", width=0.25)),
    "masknet": lambda: make_mask_task(MaskModelConfig(width=0.125)),
    "slidenet": lambda: make_segment_task(SegmentModelConfig(network="slidenet", width=0.25)),
    "resunet": lambda: make_segment_task(SegmentModelConfig(network="resunet", width=0.5)),
    "sepunet": lambda: make_segment_task(SegmentModelConfig(network="sepunet", width=0.5)),
    "slim": lambda: make_fringe_task(FringeModelConfig(width=0.25)),
}
SHIPPED = {
    "bodynet": lambda: make_task(ModelConfig()),
    "bowlnet": lambda: make_bowl_task(BowlModelConfig(network="bowlnet", width=0.75)),
    "punet": lambda: make_bowl_task(BowlModelConfig(network="punet_light", width=0.75)),
    "masknet": lambda: make_mask_task(MaskModelConfig()),
    "slidenet": lambda: make_segment_task(SegmentModelConfig(network="slidenet")),
    "fringes": lambda: make_fringe_task(FringeModelConfig()),
}


def _learned(model):
    """Give norms and weights values as after learning."""
    generator = torch.Generator().manual_seed(5)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and value.ndim < 2:
            drawn = torch.rand(value.shape, generator=generator)
            value.copy_(0.5 + drawn if name.endswith(("running_var", ".weight")) else 0.2 * (drawn - 0.5))


@pytest.mark.parametrize("name", MADE)
def test_what_was_exported_computes_the_same_when_it_is_taken_back(name, tmp_path):
    torch.manual_seed(1)
    task, model = MADE[name]()
    _learned(model)
    path = tmp_path / "model.onnx"
    export_onnx(task, model, path, Metadata(name, {}))
    torch.manual_seed(2)
    task, fresh = MADE[name]()
    take_weights(task, fresh, path)
    assert compare(task, task.exported(fresh).eval(), path, path) < 1e-4


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_can_be_taken(name):
    task, model = SHIPPED[name]()
    take_weights(task, model, find_model(name))
    assert compare(task, task.exported(model).eval(), WEIGHTS / f"{name}.onnx", Path(name)) < 1e-4


def test_settled_norms_change_nothing_and_go_on_doing_nothing_while_it_learns():
    task, model = SHIPPED["slidenet"]()
    names = take_weights(task, model, find_model("slidenet"))
    seen = (
        torch.rand(4, 2, 96, 96, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 1.0])[:, None, None]
    )
    model.eval()
    with torch.inference_mode():
        before = model(seen).clone()
    settle_norms(model, names, lambda: model(seen))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(names) == len(norms)
    assert not any(torch.allclose(m.running_var, torch.ones_like(m.running_var)) for m in norms)
    with torch.inference_mode():
        torch.testing.assert_close(model(seen), before, rtol=1e-4, atol=1e-4)
        # By the statistics of the batch instead of those that were kept.
        torch.testing.assert_close(model.train()(seen), before, rtol=1e-3, atol=1e-3)


def test_a_file_of_another_network_is_one_line(tmp_path):
    task, model = MADE["slidenet"]()
    export_onnx(task, model, tmp_path / "a.onnx", Metadata("a", {"model": {"network": "slidenet", "width": 0.25}}))
    other, wide = make_segment_task(SegmentModelConfig(network="slidenet", width=0.5))
    with pytest.raises(
        UnknownFormatError, match=r"a\.onnx: holds weights of slidenet of width 0\.25; give its --network"
    ):
        take_weights(other, wide, tmp_path / "a.onnx")


@pytest.mark.parametrize("content", [b"", b"no model at all", bytes(range(256))])
def test_a_file_that_is_no_model_is_one_line(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(UnknownFormatError, match=r"a\.onnx: no(t an ONNX file| model that training has exported)"):
        take_weights(*MADE["slim"](), tmp_path / "a.onnx")


def test_a_name_is_that_of_a_shipped_model_unless_such_a_file_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_shipped(Path("slidenet"))
    assert not is_shipped(Path("slidenet.onnx"))
    (tmp_path / "slidenet").mkdir()
    assert not is_shipped(Path("slidenet"))
