"""What holds for every network, whatever it is for. A new network adds its case to `CASES`."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets import NETWORKS  # noqa: E402
from groundshift.nets.attention import ChannelGate, SpatialGate  # noqa: E402
from groundshift.nets.bodynet_loss import BodyTargets, body_losses, body_targets  # noqa: E402
from groundshift.nets.bowl_loss import (  # noqa: E402
    BowlTruth,
    ddnet_loss,
    gradient_and_footprint_loss,
    punet_loss,
    unet_loss,
)
from groundshift.nets.bowl_unet import BowlUnet  # noqa: E402
from groundshift.nets.bowlnet import BowlNet  # noqa: E402
from groundshift.nets.isslide import SmallUnet  # noqa: E402
from groundshift.nets.masknet import MaskNet  # noqa: E402
from groundshift.nets.masknet_loss import mask_loss  # noqa: E402
from groundshift.nets.punet import DDNet, PUNet  # noqa: E402
from groundshift.nets.resnet_segments import ResnetSegments  # noqa: E402
from groundshift.nets.segment_loss import segment_loss  # noqa: E402
from groundshift.nets.slidenet import SlideNet, SlideNetTimes  # noqa: E402
from groundshift.nets.yolo_loss import yolo_losses  # noqa: E402

torch.set_num_threads(1)

SHAPE = (64, 96)
BOXES = [torch.tensor([[10.0, 12.0, 30.0, 28.0], [60.0, 20.0, 90.0, 60.0]]), torch.tensor([[33.0, 5.0, 47.0, 29.0]])]


class Case(NamedTuple):
    """How to build one network, small, and what to expect of it."""

    build: Callable[[], torch.nn.Module]
    channels: int
    shapes: Callable[[int, int], list[tuple[int, ...]]]
    """Shapes of the outputs without their batch axis, from height and width."""
    loss: Callable[[torch.nn.Module, Any], torch.Tensor]
    """Of the outputs for a batch of two images of 64 x 96, given what is true of them."""
    gates: int = 0
    """Number of gates of attention."""


def yolo(name, strides, gates, **options):
    def shapes(height, width):
        return [(3, 6, height // stride, width // stride) for stride in strides]

    def loss(network, outputs):
        return sum(yolo_losses(outputs, network.anchors, network.strides, BOXES, smoothing=0).values())

    return Case(lambda: NETWORKS[name](width=0.125, **options), 1, shapes, loss, gates)


def bodies():
    targets = []
    for boxes in BOXES:
        labels = np.zeros(SHAPE, np.uint8)
        for label, (x0, y0, x1, y1) in enumerate(boxes.int().tolist(), start=1):
            labels[y0:y1, x0:x1] = label
        targets.append(body_targets(labels, np.ones(SHAPE, bool)))
    return BodyTargets(*map(torch.stack, zip(*targets, strict=True)))


def bowls():
    depth = torch.zeros(2, 1, *SHAPE)
    for image, boxes in zip(depth, BOXES, strict=True):
        for x0, y0, x1, y1 in boxes.int().tolist():
            image[:, y0:y1, x0:x1] = 3.0
    return BowlTruth(depth, depth, (depth > 0).float(), torch.ones_like(depth))


class OneMap(torch.nn.Module):
    """A network that answers with one map, as one of several."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return (self.network(x),)


def one_map(build, loss):
    return Case(
        lambda: OneMap(build()),
        2,
        lambda height, width: [(1, height, width)],
        lambda _, outputs: sum(loss(outputs[0], bowls()).values()),
    )


def masks():
    def loss(_, outputs):
        truth = bowls()
        return sum(mask_loss(outputs[0], truth.footprint, truth.known).values())

    return Case(lambda: OneMap(MaskNet(0.25)), 3, lambda height, width: [(1, height, width)], loss)


class OneDate(torch.nn.Module):
    """A network of many dates that is given one."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x[:, None])


def outlines(logits, truth):
    return segment_loss(logits, truth.footprint, truth.known, dice=True)


CASES = {
    "yolov3": yolo("yolov3", (8, 16, 32), 0),
    "yolov3 with attention behind stages": yolo("yolov3", (8, 16, 32), 2 * 5, attention="stage"),
    "attention_yolov3_r": yolo("attention_yolov3_r", (8, 16, 32), 2 * 23),
    "attention_yolov3_t": yolo("attention_yolov3_t", (16, 32), 2 * 7),
    "bodynet": Case(
        lambda: NETWORKS["bodynet"](width=0.25),
        8,
        lambda height, width: [(1, height, width), (2, height, width)],
        lambda _, outputs: sum(body_losses(outputs, bodies()).values()),
    ),
    "bowlnet": Case(
        lambda: BowlNet(0.25),
        2,
        lambda height, width: [(2, height, width), (1, height, width), (1, height, width)],
        lambda _, outputs: sum(gradient_and_footprint_loss(outputs, bowls()).values()),
    ),
    "unet over mines": one_map(lambda: BowlUnet(0.125), unet_loss),
    "ddnet": one_map(lambda: DDNet(8, 1, 1), ddnet_loss),
    "masknet": masks(),
    "punet": one_map(lambda: PUNet(8, 2, 2), punet_loss),
    "unet over slopes": one_map(lambda: SmallUnet("plain"), outlines),
    "resunet": one_map(lambda: SmallUnet("residual"), outlines),
    "sepunet": one_map(lambda: SmallUnet("separable"), outlines),
    "fcn": one_map(lambda: ResnetSegments(pyramid=False, width=0.125), outlines),
    "deeplabv3": one_map(lambda: ResnetSegments(pyramid=True, width=0.125), outlines),
    "slidenet": one_map(lambda: SlideNet(0.2), outlines),
    "slidenet_times": one_map(lambda: OneDate(SlideNetTimes(0.2)), outlines),
}


@pytest.fixture(params=CASES, scope="module")
def case(request):
    return CASES[request.param]


def built(case, seed=0):
    torch.manual_seed(seed)
    return case.build()


def images(case, count=2, shape=SHAPE, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((count, case.channels, *shape), generator=generator)


def settled(case):
    """A network in evaluation whose normalisation has seen some images."""
    network = built(case)
    with torch.no_grad():
        for seed in range(20):
            network(images(case, seed=seed))
    return network.eval()


def test_every_network_has_a_case():
    assert set(NETWORKS) <= set(CASES)


@pytest.mark.parametrize("shape", [(64, 96), (32, 160), (224, 96)])
def test_outputs_have_their_shapes_for_all_multiples_of_32(case, shape):
    with torch.no_grad():
        outputs = built(case)(images(case, shape=shape))
    assert [tuple(o.shape) for o in outputs] == [(2, *s) for s in case.shapes(*shape)]
    assert all(torch.isfinite(o).all() for o in outputs)


def test_gradients_reach_every_parameter(case):
    network = built(case)
    case.loss(network, network(images(case))).backward()
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_what_was_saved_answers_alike(case):
    network = settled(case)
    kept = io.BytesIO()
    torch.save(network.state_dict(), kept)
    kept.seek(0)
    again = built(case, seed=7).eval()
    x = images(case)
    with torch.no_grad():
        assert not torch.equal(again(x)[0], network(x)[0])
        again.load_state_dict(torch.load(kept, weights_only=True))
        assert all(torch.equal(a, b) for a, b in zip(again(x), network(x), strict=True))


def test_images_of_a_batch_do_not_see_each_other(case):
    network = settled(case)
    x = images(case, 3)
    with torch.no_grad():
        for together, alone in zip(network(x), network(x[1:2]), strict=True):
            torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


def test_one_batch_is_learnt_by_heart(case):
    network = built(case)
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    x = images(case)
    losses = []
    while len(losses) < 120 and (not losses or losses[-1] > 0.2 * losses[0]):
        loss = case.loss(network, network(x))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def test_all_gates_lie_between_zero_and_one(case):
    network = built(case)
    gates = []
    for module in network.modules():
        if isinstance(module, ChannelGate | SpatialGate):
            module.register_forward_hook(lambda _module, _inputs, output: gates.append(output.detach()))
    with torch.no_grad():
        network(images(case))
    assert all(((gate > 0) & (gate < 1)).all() for gate in gates)
    assert len(gates) == case.gates
