import math

import numpy as np
import pytest
import torch

from groundshift.simulate.batched.igrams import Interferograms, igrams
from groundshift.timeseries import dem_per_metre, invert_network


@pytest.fixture(scope="module")
def network(network_of):
    return network_of(8, baselines=[0.0, 80.0, -40.0, 120.0, 10.0, -90.0, 60.0, 30.0])


def test_steady_motion_gives_four_pi_over_lambda_times_the_way_and_grows_away_from_the_satellite(network, ground_of):
    found = Interferograms(ground_of(network, velocity=-50.0), network, 1)
    inside = found.ground.mover == 1
    for index, pair in enumerate(network.pairs):
        motion = found.motion(index)
        expected = 4 * math.pi / network.wavelength * 0.050 * pair.days / 365.25
        assert expected > 0
        torch.testing.assert_close(motion[inside], torch.full_like(motion[inside], expected), rtol=1e-5, atol=1e-5)
        assert (motion[~inside] == 0).all()


def test_motion_and_dem_error_add_to_whatever_else_there_is(network, ground_of):
    still, moving = (Interferograms(ground_of(network, velocity=v), network, 3) for v in (0.0, 70.0))
    rough = Interferograms(ground_of(network, dem_error=torch.full((2, 48, 64), 9.0)), network, 3)
    for index, pair in enumerate(network.pairs):
        rest = still.phase(index)
        torch.testing.assert_close(moving.phase(index) - rest, moving.motion(index), rtol=0, atol=1e-4)
        # 4.2e-4 rad per metre and metre at 850 km and 39 degrees.
        expected = torch.full_like(rest, 4.236e-4 * pair.perpendicular_baseline * 9.0)
        torch.testing.assert_close(rough.phase(index) - rest, expected, rtol=1e-3, atol=1e-4)


def test_dem_error_comes_back_from_the_inversion_with_its_sign(network, ground_of):
    error = torch.linspace(-20, 20, 64).expand(2, 48, 64)
    flat, rough = (Interferograms(ground_of(network, dem_error=e), network, 3) for e in (0 * error, error))
    count = len(network.pairs)
    unw = torch.stack([(rough.phase(k) - flat.phase(k))[0] for k in range(count)]).numpy()
    per_metre = dem_per_metre(network.pairs, 850_000.0, 39.0)
    found = invert_network(unw, None, network.pairs, network.wavelength, dem_per_metre=per_metre)
    np.testing.assert_allclose(found.dem_error, error[0], atol=0.02)


def test_phase_closes_around_three_dates_where_pairs_bring_nothing_of_their_own(network, ground_of):
    ground = ground_of(network, velocity=40.0, scenes=40, forest=torch.ones(40, 48, 64))
    found = Interferograms(ground, network, 2)
    index = {(p.reference, p.secondary): k for k, p in enumerate(network.pairs)}
    a, b, c = network.dates[:3]
    loop = found.phase(index[a, b]) + found.phase(index[b, c]) - found.phase(index[a, c])
    closed = loop.abs().amax((1, 2)) < 1e-4
    # Short pairs are biased in 40 % of the scenes, and some keep ramps of their own.
    assert 0.35 < closed.float().mean() < 0.8


def test_the_sum_of_consecutive_pairs_is_the_last_date_less_the_first(network, ground_of):
    found = Interferograms(ground_of(network, scenes=4, velocity=40.0), network, 0)
    found._bias[:], found._ramps[:] = 0, 0
    index = {(p.reference, p.secondary): k for k, p in enumerate(network.pairs)}
    chain = sum(found.phase(index[pair]) for pair in zip(network.dates[:-1], network.dates[1:], strict=True))
    torch.testing.assert_close(chain, found._date_phase(7) - found._date_phase(0), rtol=0, atol=2e-5)


def test_interferograms_do_not_depend_on_the_order_they_are_asked_in(network, ground_of):
    ground = ground_of(network, scenes=5, velocity=30.0)
    backwards = Interferograms(ground, network, 8)
    late = {k: backwards.igram(k) for k in reversed(range(len(network.pairs)))}
    count = 0
    for index, igram in igrams(ground, network, 8):
        torch.testing.assert_close(igram, late[index], rtol=0, atol=0)
        count += 1
    assert count == len(network.pairs)
    other = Interferograms(ground, network, 9)
    assert not torch.equal(other.igram(0), late[0])
    assert not torch.equal(late[0], late[1])


def test_magnitudes_are_coherences_and_follow_the_truth(network, ground_of):
    shape = (96, 128)
    split = torch.full((40, *shape), 0.03)
    split[:, :, 64:] = 0.9
    found = Interferograms(ground_of(network, shape, scenes=40, fixed_coherence=split), network, 4)
    igram = found.igram(0)
    assert igram.dtype == torch.complex64
    assert igram.shape == (40, *shape)
    magnitude = igram.abs()
    assert float(magnitude.max()) <= 1 + 1e-6
    assert set(found._treatments) == {"raw", "coherence", "smoothed", "goldstein", "unit", "biased"}
    for b, treatment in enumerate(found._treatments):
        there = magnitude[b] > 0
        left, right = there.clone(), there.clone()
        left[:, 56:], right[:, :72] = False, False
        if treatment == "unit":
            torch.testing.assert_close(magnitude[b][there], torch.ones(int(there.sum())))
        elif left.any() and right.any():
            assert magnitude[b][right].mean() > 0.75
            assert magnitude[b][left].mean() < magnitude[b][right].mean() - 0.1


def test_the_phase_of_the_product_is_the_true_one_where_coherence_is_high(network, ground_of):
    ground = ground_of(network, (64, 64), scenes=12, velocity=60.0, fixed_coherence=torch.full((12, 64, 64), 0.97))
    found = Interferograms(ground, network, 5)
    error = found.igram(2) * torch.polar(torch.ones(12, 64, 64), -found.phase(2))
    edge = torch.nn.functional.max_pool2d((ground.mover[:, None] == 1).float(), 9, 1, 4)[:, 0]
    far = (error.abs() > 0) & ((edge == 0) | (edge == 1))
    assert float(error[far].angle().square().mean().sqrt()) < 0.25


def test_some_scenes_lack_pixels_for_good_and_some_pairs_lack_a_band(network, ground_of):
    blind = torch.zeros(40, 48, 64, dtype=torch.bool)
    blind[:, :6] = True
    found = Interferograms(ground_of(network, scenes=40, blind=blind), network, 6)
    empty = torch.stack([found.igram(k) == 0 for k in range(len(network.pairs))])
    for_good = empty.all(0)
    assert 2 <= (for_good.float().mean((1, 2)) > 0.02).sum() <= 25
    bands = empty.all(2).any(2) | empty.all(3).any(2)
    assert 1 <= bands.any(0).sum() <= 20
    assert empty.float().mean() < 0.15


def test_ground_of_another_network_is_refused(network, network_of, ground_of):
    ground = ground_of(network_of(5))
    with pytest.raises(ValueError, match=r"ground\.course must have a column for each of 8 dates, instead got 5"):
        Interferograms(ground, network, 0)


def test_short_pairs_are_biased_alike_and_the_more_the_shorter_they_are(network, ground_of):
    ground = ground_of(network, scenes=30, forest=torch.ones(30, 48, 64))
    found = Interferograms(ground, network, 2)
    biased = np.flatnonzero(found._bias)
    unbiased = Interferograms(ground, network, 2)
    unbiased._bias = np.zeros(30)
    index = {(p.reference, p.secondary): k for k, p in enumerate(network.pairs)}
    first = [index[network.dates[0], network.dates[k]] for k in (1, 2, 3)]
    bias = torch.stack([found.phase(k) - unbiased.phase(k) for k in first]).mean((2, 3)).numpy()
    assert (np.abs(np.delete(bias, biased, axis=1)) < 1e-6).all()
    assert (np.abs(bias[0, biased]) > np.abs(bias[1, biased])).all()
    assert (np.abs(bias[1, biased]) > np.abs(bias[2, biased])).all()
    assert np.abs(bias).max() < 0.6
