"""The fringe classifiers: sizes as published, 16 classes of phase, one pass over a scene that equals its windows."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.detect import fringe_scan  # noqa: E402
from groundshift.nets import fringe_alexnet  # noqa: E402
from groundshift.nets.fringe_alexnet import CLASSES, STEP, WINDOW, FringeAlexNet, phase_classes  # noqa: E402

torch.set_num_threads(1)


def scene(rows, columns, seed=0):
    """Draw phase and coherence, with gaps."""
    made = torch.Generator().manual_seed(seed)
    wrapped = (torch.rand(1, 1, rows, columns, generator=made) * 2 - 1) * math.pi
    coherence = torch.rand(1, 1, rows, columns, generator=made)
    known = torch.rand(1, 1, rows, columns, generator=made) < 0.9
    return torch.cat([wrapped * known, coherence * known], 1)


def slim(seed=0):
    """A slim network whose norms are those of its maps, so that its answers differ from place to place."""
    torch.manual_seed(seed)
    network = FringeAlexNet("slim", 0.5)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.inference_mode():
        network(scene(WINDOW + 5 * STEP, WINDOW + 5 * STEP, seed + 1))
    return network.eval()


def sides_of(network, planes):
    """Sides of the maps after every convolution and pool of the features."""
    found = []
    x = torch.zeros(1, planes, WINDOW, WINDOW)
    for part in network.features:
        x = part(x)
        if isinstance(part, torch.nn.Conv2d | torch.nn.MaxPool2d):
            found.append(x.shape[-1])
    return found


def kinds(network, kind):
    return [part for part in network.modules() if isinstance(part, kind)]


def test_paper_has_the_sizes_of_its_text():
    with torch.device("meta"):
        network = FringeAlexNet("paper", seen="centre")
    hidden = kinds(network, torch.nn.Linear)
    assert len(kinds(network, torch.nn.Conv2d)) == 5
    assert len(kinds(network, torch.nn.MaxPool2d)) == 2
    assert [(layer.in_features, layer.out_features) for layer in hidden] == [(16384, 4096), (4096, 4096), (4096, 2)]
    assert [drop.p for drop in kinds(network, torch.nn.Dropout)] == [0.5, 0.5]
    assert sides_of(FringeAlexNet("paper", 0.05, "centre"), 1) == [35, 17, 17, 8, 8, 8, 8]


def test_slim_has_the_same_order_and_no_padding():
    network = FringeAlexNet("slim")
    assert sides_of(network, 3) == [29, 27, 23, 11, 9, 7, 5]
    assert len(kinds(network, torch.nn.MaxPool2d)) == 2
    assert all(layer.padding == (0, 0) for layer in kinds(network, torch.nn.Conv2d))
    assert all(layer.padding == 0 for layer in kinds(network, torch.nn.MaxPool2d))
    strides = [layer.stride[0] if isinstance(layer.stride, tuple) else layer.stride for layer in network.features
               if isinstance(layer, torch.nn.Conv2d | torch.nn.MaxPool2d)]  # fmt: skip
    assert math.prod(strides) == STEP
    assert 4 * sum(p.numel() for p in network.parameters()) < 15e6


def test_one_pass_over_a_scene_gives_every_window_its_own_answer():
    network, whole = slim(), scene(WINDOW + 5 * STEP + 3, WINDOW + 3 * STEP)
    with torch.inference_mode():
        found = network(whole)
        assert found.shape == (1, 2, 6, 4)
        assert found.std((2, 3)).min() > 0.02
        for y in range(6):
            for x in range(4):
                window = whole[:, :, STEP * y : STEP * y + WINDOW, STEP * x : STEP * x + WINDOW]
                torch.testing.assert_close(network(window)[..., 0, 0], found[..., y, x], atol=1e-5, rtol=0)


def test_an_answer_depends_on_its_window_and_on_all_of_it():
    network = slim()
    plane = scene(WINDOW, WINDOW).requires_grad_(True)
    network(plane)[0, 1].sum().backward()
    # The phase is seen in classes, whose middle no small change moves; coherence is seen as it is.
    seen = plane.grad[0, 1] != 0
    assert seen.any(0).all()
    assert seen.any(1).all()


@pytest.mark.parametrize("variant", ["slim", "paper"])
@pytest.mark.parametrize("seen", ["circle", "centre"])
def test_phase_is_seen_in_sixteen_classes_and_not_where_there_are_no_data(variant, seen):
    torch.manual_seed(1)
    network = FringeAlexNet(variant, 0.05, seen).eval()
    plane = scene(WINDOW, WINDOW)
    within = plane.clone()
    within[:, :1] = phase_classes(plane[:, :1])
    gap = plane.clone()
    gap[:, :1] = torch.where(plane[:, 1:] > 0, plane[:, :1], 2.0)
    with torch.inference_mode():
        expected = network(plane)
        torch.testing.assert_close(network(within), expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(network(gap), expected, atol=0, rtol=0)
        assert (network(-plane) - expected).abs().max() > 1e-6


def test_classes_are_equal_and_cover_the_circle():
    phase = torch.linspace(-math.pi, math.pi, 16_001)
    middles, counts = torch.unique(phase_classes(phase), return_counts=True)
    np.testing.assert_allclose(middles, (np.arange(CLASSES) + 0.5) * 2 * math.pi / CLASSES - math.pi, atol=1e-6)
    assert counts.min() >= 999
    assert counts.max() <= 1002
    assert (phase_classes(phase) - phase).abs().max() <= math.pi / CLASSES + 1e-6


@pytest.mark.parametrize("variant", ["slim", "paper"])
def test_gradients_reach_every_weight(variant):
    torch.manual_seed(2)
    network = FringeAlexNet(variant, 0.1)
    planes = torch.cat([scene(WINDOW, WINDOW, seed) for seed in range(4)])
    torch.nn.functional.cross_entropy(network(planes).flatten(1), torch.tensor([0, 1, 0, 1])).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_scans_go_by_the_window_and_the_step_of_the_network():
    assert (fringe_scan.WINDOW, fringe_scan.CELL) == (fringe_alexnet.WINDOW, fringe_alexnet.STEP)
