"""PUNet and DDNet: as large as published, and what they see."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.punet import DDNet, PUNet  # noqa: E402

torch.set_num_threads(1)


def evened(network):
    """The same network with weights that let everything through: means over all that a layer sees."""
    for name, value in network.named_parameters():
        value.data.fill_(1 / value[0].numel() if value.ndim == 4 else float("norm" in name or ".1." in name))
    return network.double().eval()


def seen_from_the_middle(network, side):
    """Rows and columns of the input that the answer in the middle depends on."""
    x = torch.rand(1, 2, side, side, dtype=torch.float64, requires_grad=True)
    network(x)[0, 0, side // 2, side // 2].backward()
    places = x.grad[0].nonzero()
    return places[:, 0].unique().tolist(), [(int(c.min()), int(c.max())) for c in places[:, 1:].T]


@pytest.mark.parametrize("network", [PUNet, DDNet])
def test_they_have_2_15_million_parameters_as_published(network):
    count = sum(p.numel() for p in network().parameters())
    # 3 x 3 kernels with offsets, and two numbers per channel of each normalisation.
    one, norm = 64 * 64 * 9 + 64, 2 * 64
    dilated, residual = 3 * (one + norm) + (192 * 64 * 9 + 64) + norm, one + norm
    assert count == (64 * 9 + 64) + 8 * dilated + 10 * residual + (64 * 9 + 1) == 2_147_393


def test_the_receptive_field_has_89_pixels_as_published_and_coherence_is_not_seen():
    torch.manual_seed(0)
    planes, extent = seen_from_the_middle(evened(PUNet(channels=1)), 101)
    assert planes == [0]
    assert extent == [(50 - 44, 50 + 44)] * 2


def test_each_block_adds_its_reach():
    torch.manual_seed(0)
    # First and last convolution and one residual block: 1 pixel each; one dilated block: 3 pixels and its fusion 1.
    assert seen_from_the_middle(evened(PUNet(1, 1, 1)), 41)[1] == [(20 - 7, 20 + 7)] * 2


def test_any_size_goes_and_the_answer_is_of_that_size():
    network = PUNet(4, 1, 1).eval()
    for shape in ((17, 33), (32, 32)):
        assert network(torch.rand(3, 2, *shape)).shape == (3, 1, *shape)


def test_phase_is_scaled_to_zero_and_one():
    network = PUNet(1, 1, 1)
    seen = []
    network.first.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    network.eval()(torch.tensor([-torch.pi, 0.0, torch.pi]).reshape(1, 1, 1, 3).expand(1, 2, 1, 3))
    torch.testing.assert_close(seen[0].flatten(), torch.tensor([0.0, 0.5, 1.0]))


def test_mixed_precision_leaves_the_phase_in_single_precision():
    network = PUNet(4, 1, 1).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 2, 16, 16)).dtype == torch.float32
