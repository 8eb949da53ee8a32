import math
from datetime import date

import numpy as np
import pytest
import torch

from groundshift.simulate.batched.air import Air, year_fraction


def test_delays_do_not_depend_on_the_order_they_are_asked_in(network_of, ground_of):
    network = network_of()
    ground = ground_of(network)
    forwards, backwards = Air(ground, network, 4), Air(ground, network, 4)
    late = {k: backwards.delay(k) for k in reversed(range(8))}
    for k in range(8):
        torch.testing.assert_close(forwards.delay(k), late[k], rtol=0, atol=0)
    assert (Air(ground, network, 5).delay(0) - late[0]).abs().max() > 0.01


def test_the_air_does_not_depend_on_the_number_of_threads(network_of, ground_of):
    network = network_of()
    heights = 1000 * torch.rand((2, 48, 64), generator=torch.Generator().manual_seed(1))
    ground = ground_of(network, heights=heights)
    one = Air(ground, network, 4).delay(3)
    torch.set_num_threads(2)
    try:
        torch.testing.assert_close(Air(ground, network, 4).delay(3), one, rtol=0, atol=0)
    finally:
        torch.set_num_threads(1)


def test_the_delay_that_follows_the_height_is_proportional_to_it(network_of, ground_of):
    network = network_of()
    heights = 800 * torch.rand((2, 48, 64), generator=torch.Generator().manual_seed(1))
    flat, low, high = (Air(ground_of(network, heights=k * heights), network, 2).delay(3) for k in (0, 1, 2))
    torch.testing.assert_close(high - flat, 2 * (low - flat), rtol=1e-4, atol=1e-4)
    # Above the mean height the delay has one sign, below it the other: none at the mean height.
    rise = heights - heights.mean((1, 2), keepdim=True)
    slope = (low - flat) / rise
    assert (slope[0, rise[0].abs() > 50] * slope[0, 0, 0] > 0).all()


def test_strength_is_some_radians_at_10_km_in_c_band_and_goes_with_the_inverse_wavelength(network_of, ground_of):
    from dataclasses import replace

    network = network_of()
    ground = ground_of(network, (64, 64), scenes=40, pixel_m=150.0)
    long_wave = replace(network, wavelength=4 * network.wavelength)

    def steps(which):
        air = Air(ground, which, 1)
        fields = torch.stack([air.delay(k) - air.delay(k + 1) for k in range(0, 8, 2)])
        # Second differences do not see the ramps of the ionosphere.
        bend = fields[..., 32:] - 2 * fields[..., 16:-16] + fields[..., :-32]
        return bend.square().mean((0, 2, 3)).sqrt().numpy()

    short = np.median(steps(network))
    assert 0.3 < short < 3
    assert np.median(steps(long_wave)) == pytest.approx(short / 4, rel=0.2)


def test_the_year_is_counted_from_its_first_day():
    assert year_fraction(date(2019, 1, 1)) == 0
    assert year_fraction(date(2019, 7, 2)) == pytest.approx(0.5, abs=0.003)
    assert math.floor(year_fraction(date(2020, 12, 31))) == 0
