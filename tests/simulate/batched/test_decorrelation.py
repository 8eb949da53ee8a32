import math
from datetime import date

import numpy as np
import pytest
import torch

from groundshift.simulate.batched.decorrelation import Decorrelation, noisy, strain_loss


def noise(shape, seed=0):
    return torch.randn((2, *shape), generator=torch.Generator().manual_seed(seed))


def made(gamma, looks, phase=0.7, count=(1, 300, 400)):
    real, imaginary = noisy(
        torch.full(count, phase), torch.full(count, gamma), torch.full((1, 1, 1), looks), noise(count)
    )
    return torch.complex(real, imaginary)


@pytest.mark.parametrize(("gamma", "looks"), [(0.95, 20.0), (0.9, 60.0), (0.99, 5.0)])
def test_the_phase_variance_at_high_coherence_is_that_of_the_textbook(gamma, looks):
    error = torch.angle(made(gamma, looks) * torch.exp(torch.tensor(-0.7j)))
    assert float(error.mean()) == pytest.approx(0, abs=3e-3)
    assert float(error.var()) == pytest.approx((1 - gamma**2) / (2 * looks * gamma**2), rel=0.03)


def test_without_coherence_the_magnitude_is_that_of_a_mean_of_looks_and_the_phase_is_anywhere():
    z = made(0.0, 30.0)
    assert float(z.abs().mean()) == pytest.approx(math.sqrt(math.pi / (4 * 30)), rel=0.01)
    assert abs(complex((z / z.abs()).mean())) < 0.01


def test_many_looks_keep_the_coherence_and_no_magnitude_exceeds_one():
    assert float(made(0.6, 1000.0).abs().mean()) == pytest.approx(0.6, rel=2e-3)
    assert float(made(0.9, 3.0).abs().max()) <= 1 + 1e-6


def test_a_ramp_costs_coherence_as_the_sinc_of_its_slope():
    ramp = 0.9 * torch.arange(20.0).expand(1, 12, 20)
    loss = strain_loss(ramp)
    torch.testing.assert_close(loss[..., :-1], torch.full((1, 12, 19), float(np.exp(-0.81 / 24))))
    assert float(loss[0, 0, 0]) == pytest.approx(np.sinc(0.9 / (2 * np.pi)), abs=0.03)
    torch.testing.assert_close(strain_loss(torch.full((1, 4, 5), 9.0)), torch.ones(1, 4, 5))


@pytest.fixture(scope="module")
def flat(network_of, ground_of):
    network = network_of(10)
    halves = torch.zeros(12, 48, 64)
    halves[:, :, 32:] = 1
    return network, ground_of(network, scenes=12, forest=halves)


def test_coherence_falls_with_time_and_faster_in_woods(flat):
    network, ground = flat
    still = torch.zeros(12, 48, 64)
    law = Decorrelation(ground, network, 1)
    law._wetness[:] = 1
    first = [k for k, pair in enumerate(network.pairs) if pair.reference == network.dates[0]]
    gamma = [law.coherence(k, still) for k in first]
    assert [network.pairs[k].days for k in first] == [12, 24, 36]
    assert (gamma[0] > gamma[1]).all()
    assert (gamma[1] > gamma[2]).all()
    bare, woods = (torch.stack(gamma)[..., side] for side in (slice(0, 32), slice(32, 64)))
    assert (bare.mean((2, 3)) > woods.mean((2, 3))).all()
    assert float(torch.stack(gamma).min()) > 0
    assert float(torch.stack(gamma).max()) < 1


def test_what_is_fixed_keeps_its_coherence_and_fringes_cost_some_of_it(flat, ground_of):
    network, _ = flat
    fixed = torch.full((2, 48, 64), torch.nan)
    fixed[:, :10], fixed[:, 10:20] = 0.02, 0.9
    law = Decorrelation(ground_of(network, fixed_coherence=fixed), network, 3)
    still, ramp = torch.zeros(2, 48, 64), 1.2 * torch.arange(64.0).expand(2, 48, 64)
    gamma = law.coherence(0, still)
    torch.testing.assert_close(gamma[:, :20], fixed[:, :20])
    torch.testing.assert_close(law.coherence(0, ramp), gamma * strain_loss(ramp))


def test_snow_lies_high_and_in_winter_and_takes_coherence(network_of, ground_of):
    network = network_of(30, start=date(2019, 1, 15))
    heights = torch.linspace(0, 3000, 48)[None, :, None].expand(30, 48, 64).contiguous()
    still = torch.zeros(30, 48, 64)
    bare = Decorrelation(ground_of(network, scenes=30, heights=heights), network, 6)
    white = Decorrelation(ground_of(network, scenes=30, heights=heights, snow_height=heights), network, 6)
    lost = torch.stack([bare.coherence(k, still) - white.coherence(k, still) for k in (0, 45)])
    assert float(lost.min()) >= 0
    winter, summer = (lost > 0.05).float().mean((2, 3))
    assert 0.3 < (winter > 0).float().mean() < 0.8  # some scenes never have snow
    assert summer.sum() < 0.5 * winter.sum()
    covered = lost[0] > 0.05
    assert heights[covered].mean() > heights[~covered].mean()


def test_long_baselines_cost_coherence_in_woods_above_all(network_of, ground_of):
    near, far = network_of(), network_of(baselines=[0.0, 300.0] * 4)
    halves = torch.zeros(2, 48, 64)
    halves[:, :, 32:] = 1
    still = torch.zeros(2, 48, 64)
    ratio = Decorrelation(ground_of(far, forest=halves), far, 1).coherence(0, still) / Decorrelation(
        ground_of(near, forest=halves), near, 1
    ).coherence(0, still)
    assert (ratio < 1).all()
    assert (ratio[..., 32:].amax((1, 2)) < ratio[..., :32].amin((1, 2))).all()
