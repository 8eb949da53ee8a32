"""Dilated convolutions in mixed precision."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.dilated import DilatedConv2d  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize("channels", [8, 20, 24, 32, 40, 120])
@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_gradients_in_mixed_precision_are_those_in_single_precision(channels, dilation):
    torch.manual_seed(0)
    layer = DilatedConv2d(channels, dilation).to(memory_format=torch.channels_last)
    x = torch.randn(2, channels, 32, 32).contiguous(memory_format=torch.channels_last)
    gradients = []
    for mixed in (True, False):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            out = layer(x)
        assert out.shape == x.shape
        out.float().square().mean().backward()
        gradients.append(layer.weight.grad.clone())
    # bfloat16 keeps eight bits.
    assert float((gradients[0] - gradients[1]).abs().max()) < 0.02 * float(gradients[1].abs().max())


def test_it_is_a_plain_convolution_otherwise():
    torch.manual_seed(0)
    layer = DilatedConv2d(6, 3, bias=False).double()
    plain = torch.nn.Conv2d(6, 6, 3, padding=3, dilation=3, bias=False).double()
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(1, 6, 12, 14, dtype=torch.float64)
    assert torch.equal(layer(x), plain(x))
