"""The plain U-Net: what it sees."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.bowl_unet import BowlUnet  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return BowlUnet(0.125).double().eval()


def igram(shape=(32, 48)):
    generator = torch.Generator().manual_seed(1)
    wrapped = torch.pi * (2 * torch.rand(2, 1, *shape, generator=generator, dtype=torch.float64) - 1)
    coherence = 0.1 + 0.9 * torch.rand(2, 1, *shape, generator=generator, dtype=torch.float64)
    coherence[..., 5:15, 20:40] = 0
    return torch.cat([wrapped, coherence], 1)


def test_whole_cycles_change_nothing_and_half_ones_do(network):
    x = igram()
    with torch.no_grad():
        before = network(x)
        x[:, :1] += 2 * torch.pi * torch.randint(-5, 6, x[:, :1].shape).double()
        torch.testing.assert_close(network(x), before, rtol=0, atol=1e-9)
        x[:, :1, 16:] += torch.pi
        assert (network(x) - before).abs().max() > 1e-3


def test_phase_without_data_is_not_seen(network):
    x = igram()
    with torch.no_grad():
        before = network(x)
        x[:, :1][x[:, 1:] == 0] += 1.5
        assert torch.equal(network(x), before)


def test_channels_double_on_each_level():
    network = BowlUnet()
    assert [level[0].out_channels for level in network.down] == [32, 64, 128, 256, 512]
    assert [up.out_channels for up in network.up] == [256, 128, 64, 32]


def test_a_bowl_is_seen_from_its_other_side(network):
    """The deepest level joins what lies 40 pixels apart."""
    x = igram((64, 64))[:1].requires_grad_()
    network(x)[0, 0, 8, 8].backward()
    assert x.grad[0, 0, 48, 8].abs() > 0
