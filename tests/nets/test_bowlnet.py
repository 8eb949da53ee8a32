"""Our own network for bowls: what it sees, and what it must not see."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.bowlnet import BowlNet, differences  # noqa: E402

torch.set_num_threads(1)

LAGS = (1, 3, 8)


@pytest.fixture(scope="module")
def network():
    """Weights and statistics that leave nothing at zero."""
    torch.manual_seed(0)
    network = BowlNet(0.125).double().eval()
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator, dtype=value.dtype)
            value.add_(0.2 * noise if "var" in name else 0.1 * (noise - 0.5))
    return network


def igram(shape=(48, 64), hole=(slice(5, 15), slice(20, 40))):
    """Phase of many cycles in noise, and coherence, with a hole."""
    generator = torch.Generator().manual_seed(1)
    y, x = (torch.arange(n, dtype=torch.float64) for n in shape)
    noise = torch.randn(2, 1, *shape, generator=generator, dtype=torch.float64)
    phase = 30 * torch.exp(-((y[:, None] - 20) ** 2 + (x - 30) ** 2) / 200) + 0.3 * noise
    coherence = 0.2 + 0.8 * torch.rand(2, 1, *shape, generator=generator, dtype=torch.float64)
    coherence[..., *hole] = 0
    return torch.cat([phase, coherence], 1)


def furthest(one, other):
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def test_a_constant_changes_nothing(network):
    x = igram()
    with torch.no_grad():
        before = network(x)
        for constant in (0.7, -2.9, 100.0):
            moved = x.clone()
            moved[:, :1] += constant
            assert furthest(network(moved), before) < 1e-9
        moved[:, :1, 24:] += 1.0
        assert furthest(network(moved), before) > 1e-2


def test_whole_cycles_change_nothing(network):
    x = igram()
    wrapped = x.clone()
    wrapped[:, :1] = torch.remainder(x[:, :1] + torch.pi, 2 * torch.pi) - torch.pi
    assert (wrapped[:, :1] - x[:, :1]).abs().max() > 12
    with torch.no_grad():
        assert furthest(network(wrapped), network(x)) < 1e-9


def test_phase_without_data_is_not_seen(network):
    x = igram()
    with torch.no_grad():
        before = network(x)
        x[:, :1, 5:15, 20:40] = torch.randn(2, 1, 10, 20, dtype=torch.float64)
        assert all(torch.equal(a, b) for a, b in zip(network(x), before, strict=True))
        x[:, :1, 4, 20] += 1
        assert furthest(network(x), before) > 1e-3


def test_differences_are_those_of_a_ramp_and_there_are_none_across_the_edge():
    rows, columns = 20, 24
    y, x = (torch.arange(n, dtype=torch.float64) for n in (rows, columns))
    slope = {"down": 0.4, "right": -1.1}
    ramp = (slope["down"] * y[:, None] + slope["right"] * x)[None, None]
    planes = differences(ramp, torch.full_like(ramp, 0.5))[0]
    assert planes.shape == (4 * len(LAGS) + 2, rows, columns)
    steps = planes[:-2].unflatten(0, (len(LAGS), 2, 2))
    for lag, (down, right) in zip(LAGS, steps, strict=True):
        for (cosine, sine), past, name in (
            (down, (slice(rows - lag, None),), "down"),
            (right, (slice(None), slice(columns - lag, None)), "right"),
        ):
            there = torch.ones(rows, columns, dtype=torch.float64)
            there[past] = 0
            angle = torch.tensor(lag * slope[name], dtype=torch.float64)
            torch.testing.assert_close(cosine, angle.cos() * there)
            torch.testing.assert_close(sine, angle.sin() * there)
    torch.testing.assert_close(planes[-2:], torch.stack([torch.full_like(planes[0], 0.5), torch.ones_like(planes[0])]))


def test_there_are_no_differences_to_where_there_are_no_data():
    x = igram()
    known = (x[:1, 1:] > 0).double()
    planes = differences(x[:1, :1], x[:1, 1:])[0]
    lengths = torch.hypot(planes[:-2:2], planes[1:-2:2])
    for k, (lag, axis) in enumerate((lag, axis) for lag in LAGS for axis in (0, 1)):
        both = torch.zeros(48, 64, dtype=torch.float64)
        near, far = (
            known[0, 0].narrow(axis, 0, both.shape[axis] - lag),
            known[0, 0].narrow(axis, lag, both.shape[axis] - lag),
        )
        both.narrow(axis, 0, both.shape[axis] - lag).copy_(near * far)
        torch.testing.assert_close(lengths[k], both)
    assert (planes[-2:, 5:15, 20:40] == 0).all()


def test_reversed_motion_reverses_the_sines_only():
    x = igram()
    one, other = differences(x[:, :1], x[:, 1:]), differences(-x[:, :1], x[:, 1:])
    sines = torch.zeros(one.shape[1], dtype=torch.bool)
    sines[1:-2:2] = True
    torch.testing.assert_close(other[:, sines], -one[:, sines])
    torch.testing.assert_close(other[:, ~sines], one[:, ~sines])


def test_a_bowl_is_seen_whole(network):
    x = igram((160, 160), (slice(0), slice(0))).requires_grad_()
    network(x[:1]).gradient[0, 0, 20, 20].backward()
    assert x.grad[0, 0, 20, 110].abs() > 0


def test_the_error_stays_within_its_limits(network):
    with torch.no_grad():
        before = network.out.bias.clone()
        for bias, limit in ((1e6, 2.0), (-1e6, -6.0)):
            network.out.bias.fill_(bias)
            assert (network(igram()).log_scale == limit).all()
        network.out.bias.copy_(before)


def test_mixed_precision_leaves_the_answers_in_single_precision():
    network = BowlNet(0.125).eval()
    with torch.autocast("cpu", torch.bfloat16):
        maps = network(igram().float())
    assert all(m.dtype == torch.float32 for m in maps)
