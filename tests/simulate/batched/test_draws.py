import numpy as np
import pytest
import torch

from groundshift.simulate.batched.draws import PowerLaw, generator

CPU = torch.device("cpu")


def structure(law, lag, draws=60):
    """Mean square difference between points `lag` pixels apart, the mean of both axes, by scene."""
    total = 0
    for k in range(draws):
        field = law.draw(generator(CPU, 3, k))
        total = total + (field[:, lag:] - field[:, :-lag]).square().mean((1, 2)) / 2
        total = total + (field[:, :, lag:] - field[:, :, :-lag]).square().mean((1, 2)) / 2
    return total.numpy() / draws


@pytest.mark.parametrize("stretch", [1.0, 2.0])
def test_the_structure_function_is_the_power_law_at_a_quarter_of_the_side(stretch):
    exponents = [8 / 3, 3.2, 11 / 3]
    law = PowerLaw((96, 128), 50.0, exponents, CPU, stretch=[stretch] * 3, bearings=[0.0, 0.7, 1.2])
    expected = [(24 * 50.0 / 10_000) ** (e - 2) for e in exponents]
    np.testing.assert_allclose(structure(law, 24), expected, rtol=0.12)


def test_the_structure_function_grows_as_r_to_the_exponent_less_two():
    law = PowerLaw((128, 128), 50.0, [8 / 3, 11 / 3], CPU)
    growth = np.log2(structure(law, 8, 25) / structure(law, 4, 25))
    assert growth[0] == pytest.approx(2 / 3, abs=0.2)
    assert growth[1] == pytest.approx(5 / 3, abs=0.2)


def test_a_stream_gives_the_same_numbers_whatever_was_drawn_before():
    law = PowerLaw((40, 50), 30.0, [3.0], CPU)
    first = law.draw(generator(CPU, 1, 2))
    law.draw(generator(CPU, 1, 3))
    torch.testing.assert_close(law.draw(generator(CPU, 1, 2)), first, rtol=0, atol=0)
    assert (law.draw(generator(CPU, 2, 1)) - first).abs().max() > 0.01
