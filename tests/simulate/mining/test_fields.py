"""Random fields: Perlin noise as its definition has it, bowls as their formula has them."""

import math

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.simulate.mining import fields  # noqa: E402
from groundshift.simulate.mining.fields import bent_bowls, bowls, distortions, perlin  # noqa: E402

torch.set_num_threads(1)

SHAPE = (48, 64)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


# Perlin noise


def test_noise_reaches_one_of_its_limits_and_leaves_neither():
    noise = perlin(20, SHAPE, source())
    assert noise.shape == (20, *SHAPE)
    torch.testing.assert_close(noise.abs().amax((1, 2)), torch.ones(20))
    assert (noise.abs() <= 1).all()


def test_the_same_seed_draws_the_same_noise_and_another_one_other():
    assert torch.equal(perlin(3, SHAPE, source(1)), perlin(3, SHAPE, source(1)))
    assert not torch.equal(perlin(3, SHAPE, source(1)), perlin(3, SHAPE, source(2)))
    assert perlin(0, SHAPE, source()).shape == (0, *SHAPE)


def plain_octave(cells, shape, angle, length):
    """Perlin noise pixel by pixel: vectors at the four corners of a cell, blended by the quintic."""

    def fade(t):
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    found = torch.zeros(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            y, x = (i + 0.5) * cells[0] / shape[0], (j + 0.5) * cells[1] / shape[1]
            row, column = math.floor(y), math.floor(x)
            fy, fx = y - row, x - column
            corner = {
                (a, b): length[row + a, column + b]
                * (math.cos(angle[row + a, column + b]) * (fy - a) + math.sin(angle[row + a, column + b]) * (fx - b))
                for a in (0, 1)
                for b in (0, 1)
            }
            above = corner[0, 0] + fade(fx) * (corner[0, 1] - corner[0, 0])
            below = corner[1, 0] + fade(fx) * (corner[1, 1] - corner[1, 0])
            found[i, j] = above + fade(fy) * (below - above)
    return found


def test_an_octave_is_that_of_its_definition_pixel_by_pixel():
    cells, shape = torch.tensor([[3, 5], [6, 2]]), (13, 17)
    found = fields._octave(cells, shape, source(4))
    again = source(4)
    angle, length = 2 * math.pi * torch.rand(2, 7, 6, generator=again), torch.rand(2, 7, 6, generator=again)
    for k in range(2):
        torch.testing.assert_close(
            found[k], plain_octave(cells[k].tolist(), shape, angle[k], length[k]), rtol=1e-4, atol=1e-5
        )


def test_an_octave_is_zero_at_its_nodes():
    # Four cells over six pixels: the centres of rows and columns 1 and 4 lie on nodes.
    octave = fields._octave(torch.tensor([[4, 4]]), (6, 6), source())[0]
    assert octave[1::3, 1::3].abs().max() < 1e-6
    assert octave[::3, ::3].abs().min() > 1e-6


def test_more_octaves_are_rougher():
    def roughness(octaves):
        noise = perlin(30, SHAPE, source(3), octaves=octaves)
        return float((noise.diff(dim=2) ** 2).mean() / (noise**2).mean())

    assert roughness(5) > 5 * roughness(1)


# Bowls


def even_bowls(centre, sigma, angle, flatness):
    """Without distortion, one."""
    return bent_bowls(
        torch.tensor([centre]), torch.tensor([sigma]), torch.tensor([angle]), torch.tensor([flatness]),
        torch.zeros(1, 2, *SHAPE),
    )[0]  # fmt: skip


@pytest.mark.parametrize("flatness", [1.0, 2.0, 0.8])
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_a_bowl_without_distortion_has_its_closed_form(flatness, angle):
    (row, column), (first, second) = (20.5, 30.0), (6.0, 11.0)
    y, x = torch.arange(48.0)[:, None] - row, torch.arange(64.0) - column
    # The first axis leads from the rows' axis towards the columns'.
    along, across = y * math.cos(angle) + x * math.sin(angle), x * math.cos(angle) - y * math.sin(angle)
    expected = torch.exp(-0.5 * ((along / first) ** 2 + (across / second) ** 2) ** flatness)
    torch.testing.assert_close(even_bowls((row, column), (first, second), angle, flatness), expected)


def test_the_centre_is_deepest_where_it_is_said_to_be():
    bowl = even_bowls((13.0, 41.0), (5.0, 5.0), 0.0, 1.0)
    assert bowl[13, 41] == 1
    assert int(bowl.argmax()) == 13 * 64 + 41


def test_flat_floors_are_wider_and_have_steeper_edges():
    gaussian, flat = (even_bowls((24.0, 32.0), (8.0, 8.0), 0.0, f)[24] for f in (1.0, 2.0))
    assert (flat > 0.9).sum() > 1.5 * (gaussian > 0.9).sum()
    assert flat.diff().abs().max() > 1.3 * gaussian.diff().abs().max()


def test_distortion_keeps_the_centre_and_the_range_and_changes_the_rest():
    centre = torch.tensor([[20.0, 30.0], [10.0, 50.0], [-4.0, 70.0]])
    sigma, flat = torch.full((3, 2), 9.0), torch.ones(3)
    even = bent_bowls(centre, sigma, torch.zeros(3), flat, torch.zeros(3, 2, *SHAPE))
    bent = bowls(centre, sigma, torch.zeros(3), torch.full((3,), 5.0), flat, SHAPE, source())
    assert bent[0, 20, 30] == bent[1, 10, 50] == 1
    assert ((bent >= 0) & (bent <= 1)).all()
    assert ((bent - even)[:2].abs().amax((1, 2)) > 0.05).all()
    # Beyond the edge the shift of the nearest pixel counts.
    torch.testing.assert_close(bent[2, 0, 63], even[2, 0, 63])


def test_distortion_that_is_zero_is_none_and_more_of_it_shifts_in_proportion():
    assert (distortions(torch.zeros(2), SHAPE, source()) == 0).all()
    once, thrice = (distortions(torch.full((2,), size), SHAPE, source(5)) for size in (2.0, 6.0))
    torch.testing.assert_close(thrice, 3 * once)


def test_shifts_vary_as_the_sum_of_what_25_points_with_vectors_in_a_disc_do():
    y, x = 7, 11
    away = torch.tensor([math.hypot(y - (a + 0.5) * 4, x - (b + 0.5) * 6) for a in range(5) for b in range(5)])
    t = (1 - away / math.hypot(20, 30)) ** 5
    found = distortions(torch.full((4000,), 3.0), (20, 30), source(6))[:, :, y, x]
    # Along either axis the mean square within a disc of radius 3 is 9 / 4.
    variance = 9 / 4 * float(((3 * t**2 - 2 * t**3) ** 2).sum())
    assert float(found.var()) == pytest.approx(variance, rel=0.06)
    assert float(found.mean(0).abs().max()) < 4 * math.sqrt(variance / 4000)
