"""Shortcuts, attention and DropBlock against their formulas."""

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.attention import CBAM, ChannelGate, attention_unit  # noqa: E402
from groundshift.nets.blocks import DropBlock, Shortcut, residual_unit, scaled  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [(64, 1, 64), (64, 0.5, 32), (64, 0.125, 8), (32, 0.125, 8), (1024, 0.3, 304), (16, 0.01, 8)],
)
def test_widths_give_multiples_of_eight(channels, width, expected):
    assert scaled(channels, width) == expected


@pytest.mark.parametrize("width", [0, -1, float("nan")])
def test_width_must_be_positive(width):
    with pytest.raises(ValueError, match="width must be positive"):
        scaled(64, width)


def test_shortcut_adds_what_is_inside():
    inner = torch.nn.Conv2d(4, 4, 3, padding=1)
    x = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(Shortcut(inner)(x), x + inner(x))


def test_residual_unit_has_the_parameters_of_its_two_convolutions():
    count = sum(p.numel() for p in residual_unit(64, 32).parameters())
    assert count == 64 * 32 + 2 * 32 + 9 * 32 * 64 + 2 * 64


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_attention_agrees_with_its_equations():
    torch.manual_seed(0)
    cbam = CBAM(32).eval()
    with torch.no_grad():
        for parameter in cbam.parameters():
            parameter.normal_(0, 0.4)
        cbam.spatial.weigh[1].running_mean.fill_(0.2)
        cbam.spatial.weigh[1].running_var.fill_(1.7)
        x = torch.randn(1, 32, 12, 17)
        answer = cbam(x)[0].double().numpy()

    f = x[0].double().numpy()
    first, _, second = cbam.channel.shared
    w1, b1, w2, b2 = (p.detach().double().numpy() for p in (first.weight, first.bias, second.weight, second.bias))

    def mlp(v):
        return w2 @ np.maximum(w1 @ v + b1, 0) + b2

    f = f * sigmoid(mlp(f.mean((1, 2))) + mlp(f.max((1, 2))))[:, None, None]
    conv, norm = cbam.spatial.weigh
    kernel = conv.weight.detach().double().numpy()[0]
    both = sum(
        ndimage.correlate(plane, k, mode="constant") for plane, k in zip((f.max(0), f.mean(0)), kernel, strict=True)
    )
    normal = (both - 0.2) / np.sqrt(1.7 + norm.eps) * norm.weight.item() + norm.bias.item()
    np.testing.assert_allclose(answer, f * sigmoid(normal), rtol=1e-4, atol=1e-5)


def test_attention_keeps_what_it_does_not_attend_to():
    """With y = r + CBAM(r) and gates between 0 and 1, features grow, but to less than twice what they were."""
    torch.manual_seed(0)
    unit, x = attention_unit(16), torch.randn(2, 16, 9, 9)
    with torch.no_grad():
        ratio = unit(x) / x
    assert (ratio >= 1).all()
    assert (ratio < 2).all()


@pytest.mark.parametrize("size", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("channels", [8, 64, 512])
def test_untrained_gates_learn_whatever_the_features_are(channels, size):
    for seed in range(10):
        torch.manual_seed(seed)
        gate = ChannelGate(channels)
        weights = gate(size * torch.rand(2, channels, 6, 6))
        weights.square().sum().backward()
        assert weights.min().item() > 0.01
        assert weights.max().item() < 0.99
        assert all(p.grad.abs().max() > 0 for p in gate.parameters())


@pytest.mark.parametrize(("block", "shape"), [(3, (13, 13)), (5, (26, 20)), (7, (52, 52)), (7, (4, 9)), (1, (8, 8))])
def test_dropped_nodes_form_whole_squares_at_the_published_rate(block, shape):
    torch.manual_seed(0)
    layer = DropBlock(block)
    layer.set_progress(1)
    y = layer(torch.ones(32, 64, *shape))
    gone = (y == 0).numpy()
    side = min(block, *shape)
    places = [n - side + 1 for n in shape]
    in_squares, reach = np.zeros_like(gone), np.zeros(shape)
    for row in range(places[0]):
        for column in range(places[1]):
            square = (..., slice(row, row + side), slice(column, column + side))
            in_squares[square] |= gone[square].all((2, 3), keepdims=True)
            reach[square] += 1
    np.testing.assert_array_equal(gone, in_squares)
    # A node stays if none of the squares that reach it is drawn.
    rate = 0.1 / side**2 * np.prod(shape) / np.prod(places)
    expected = 1 - np.mean((1 - rate) ** reach)
    assert abs(gone.mean() - expected) < 4 * np.sqrt(expected * side**2 / gone.size)
    # Survivors are raised so that the mean stays.
    assert abs(float(y.mean()) - 1) < 1e-5


def test_channels_are_dropped_each_by_itself():
    torch.manual_seed(0)
    layer = DropBlock(3)
    layer.set_progress(1)
    gone = (layer(torch.ones(1, 64, 60, 60))[0] == 0).flatten(1).float()
    together = torch.corrcoef(gone) - torch.eye(64)
    assert abs(float(together.mean())) < 0.02


def test_dropblock_comes_on_over_the_first_three_fifths():
    layer = DropBlock(5)
    kept = []
    for fraction in (0, 0.15, 0.3, 0.6, 0.8, 1):
        layer.set_progress(fraction)
        kept.append(layer.keep)
    assert kept == pytest.approx([1, 0.975, 0.95, 0.9, 0.9, 0.9])


def test_dropblock_is_off_at_first_and_in_evaluation():
    x = torch.randn(2, 3, 10, 10)
    layer = DropBlock(3)
    assert torch.equal(layer(x), x)
    layer.set_progress(1)
    assert not torch.equal(layer(x), x)
    assert torch.equal(layer.eval()(x), x)


def test_dropblock_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="block must be at least 1"):
        DropBlock(0)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], instead got 1.5"):
        DropBlock(3).set_progress(1.5)
