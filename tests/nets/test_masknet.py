"""Mask Net: what it sees, how its kernels choose, what it learns from."""

import math

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.masknet import AttentionGate, MaskNet  # noqa: E402
from groundshift.nets.masknet_loss import mask_loss  # noqa: E402
from groundshift.nets.selective import ResidualSelective, SelectiveBasic, SelectiveUnit, groups_of  # noqa: E402
from groundshift.training.masks.config import MaskModelConfig  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MaskNet(0.125).double().eval()


def igram(shape=(32, 64)):
    generator = torch.Generator().manual_seed(1)
    drawn = torch.rand(3, 2, 1, *shape, generator=generator, dtype=torch.float64)
    wrapped, coherence, amplitude = torch.pi * (2 * drawn[0] - 1), 0.1 + 0.9 * drawn[1], 0.01 + 0.99 * drawn[2]
    coherence[..., 5:15, 20:40] = 0
    return torch.cat([wrapped, coherence, amplitude], 1)


# What it sees


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
        x[:, :1][x[:, 1:2] == 0] += 1.5
        assert torch.equal(network(x), before)


def test_amplitude_that_is_not_given_looks_like_that_of_the_median(network):
    x = igram()
    with torch.no_grad():
        seen = []
        for plane in (x[:, 2:], torch.zeros_like(x[:, 2:]), torch.full_like(x[:, 2:], 0.5)):
            seen.append(network(torch.cat([x[:, :2], plane], 1)))
    assert torch.equal(seen[1], seen[2])
    assert (seen[0] - seen[1]).abs().max() > 1e-3


def test_a_lake_is_seen_from_its_other_side(network):
    x = igram((96, 96))[:1].requires_grad_()
    network(x)[0, 0, 8, 8].backward()
    assert x.grad[0, 1, 88, 88].abs() > 0


# How it is built


def test_channels_are_those_of_resnet18_at_width_one():
    network = MaskNet()
    assert network.stem[0].out_channels == 64
    assert [stage[1].conv[0].out_channels for stage in network.stages] == [64, 128, 256, 512]
    assert [len(stage) for stage in network.stages] == [2, 2, 2, 2]
    assert all(isinstance(block, SelectiveBasic) for stage in network.stages for block in stage)
    assert all(isinstance(up.block, ResidualSelective) for up in network.ups)


def test_weights_of_the_default_width_take_less_than_15_mb():
    values = sum(p.numel() for p in MaskNet(MaskModelConfig().width).parameters())
    assert 4 * values < 15e6


def test_kernels_are_in_groups_of_four_channels_and_more_beyond_128():
    assert [groups_of(c) for c in (8, 32, 64, 128, 256, 512)] == [2, 8, 16, 32, 32, 32]
    with pytest.raises(ValueError, match="channels must be a multiple of 32, instead got 136"):
        groups_of(136)


# How kernels choose


def test_branches_see_three_and_five_pixels():
    unit = SelectiveUnit(8, 8).double().eval()
    for branch, offsets in zip(unit.branches, ({-1, 0, 1}, {-2, 0, 2}), strict=True):
        x = torch.randn(1, 8, 11, 11, dtype=torch.float64, requires_grad=True)
        branch[0](x)[0, :, 5, 5].sum().backward()
        rows, columns = (set((k - 5).tolist()) for k in x.grad[0].abs().sum(0).nonzero().T)
        assert rows == columns == offsets


def test_weights_of_the_branches_add_up_to_one_for_each_channel():
    torch.manual_seed(0)
    unit = SelectiveUnit(8, 16).double().eval()
    weights = unit.weights(torch.randn(3, 16, 6, 6, dtype=torch.float64))
    assert weights.shape == (3, 2, 16, 1, 1)
    torch.testing.assert_close(weights.sum(1), torch.ones(3, 16, 1, 1, dtype=torch.float64))


@pytest.mark.parametrize("chosen", [0, 1])
def test_a_unit_that_chooses_one_branch_answers_with_it(chosen):
    torch.manual_seed(0)
    unit = SelectiveUnit(8, 8).double().eval()
    with torch.no_grad():
        unit.choose.weight.zero_()
        unit.choose.bias.copy_(torch.tensor([50.0] * 8 + [-50.0] * 8) * (1 - 2 * chosen))
        x = torch.randn(2, 8, 9, 9, dtype=torch.float64)
        torch.testing.assert_close(unit(x), unit.branches[chosen](x))


def test_dilated_groups_learn_alike_in_mixed_precision():
    torch.manual_seed(0)
    unit = SelectiveUnit(24, 24).to(memory_format=torch.channels_last)
    convolution = unit.branches[1][0]
    x = torch.randn(2, 24, 16, 16).to(memory_format=torch.channels_last)
    gradients = []
    for mixed in (False, True):
        convolution.weight.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            out = convolution(x)
        out.float().square().sum().backward()
        gradients.append(convolution.weight.grad.clone())
    torch.testing.assert_close(gradients[1], gradients[0])


def test_a_gate_lets_pass_a_share_that_follows_the_call():
    torch.manual_seed(0)
    gate = AttentionGate(6, 10).double().eval()
    skip, call = torch.randn(2, 6, 5, 7, dtype=torch.float64), torch.randn(2, 10, 5, 7, dtype=torch.float64)
    share = gate.gate(skip, call)
    assert share.shape == (2, 1, 5, 7)
    assert ((share > 0) & (share < 1)).all()
    torch.testing.assert_close(gate(skip, call), skip * share)
    with torch.no_grad():
        gate.psi.bias.fill_(60)
        torch.testing.assert_close(gate(skip, call), skip)
        gate.psi.bias.fill_(-60)
        assert gate(skip, call).abs().max() < 1e-12


# What it learns from


def test_the_loss_has_its_closed_forms():
    coherent = torch.zeros(1, 1, 8, 8)
    coherent[..., :4] = 1
    judged = torch.ones_like(coherent)
    undecided = mask_loss(torch.zeros_like(coherent), coherent, judged, dice=0.5)
    assert float(undecided["cross"]) == pytest.approx(math.log(2))
    # Half of 32 pixels found of 32 found in all and 32 wanted.
    assert float(undecided["dice"]) == pytest.approx(0.5 * (1 - (2 * 16 + 1) / (32 + 32 + 1)))
    right = mask_loss(100 * (2 * coherent - 1), coherent, judged, dice=0.5)
    wrong = mask_loss(-100 * (2 * coherent - 1), coherent, judged, dice=0.5)
    assert float(sum(right.values())) == pytest.approx(0, abs=1e-6)
    assert float(wrong["cross"]) == pytest.approx(100)
    assert float(wrong["dice"]) == pytest.approx(0.5 * (1 - 1 / 65))


def test_nothing_is_learned_where_nobody_knows():
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    judged = (torch.rand(2, 1, 8, 8) > 0.5).float()
    sum(mask_loss(logits, (torch.rand(2, 1, 8, 8) > 0.5).float(), judged).values()).backward()
    assert torch.equal(logits.grad != 0, judged > 0)
