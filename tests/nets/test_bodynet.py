"""Our own network: scaling, targets and losses."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.bodynet import BodyMaps, BodyNet, scaled  # noqa: E402
from groundshift.nets.bodynet_loss import BodyTargets, body_losses, body_targets  # noqa: E402

torch.set_num_threads(1)


def two_bodies():
    labels = np.zeros((48, 64), np.uint8)
    labels[10:20, 12:30] = 1
    labels[30:40, 40:46] = 2
    labels[:, 60:] = 255
    return labels


def test_scaling_is_odd_in_the_signs_and_zero_without_data():
    planes = torch.rand(2, 8, 16, 16) + 0.1
    planes[:, 7] = 1
    planes[:, 7, :, :4] = 0
    flipped = planes.clone()
    flipped[:, :4] *= -1
    a, b = scaled(planes), scaled(flipped)
    torch.testing.assert_close(a[:, :4], -b[:, :4])
    torch.testing.assert_close(a[:, 4:], b[:, 4:])
    assert (a[..., :4] == 0).all()


def test_offsets_of_all_nodes_meet_in_the_centre():
    targets = body_targets(two_bodies(), np.ones((48, 64), bool))
    for label in (1, 2):
        rows, columns = np.nonzero(two_bodies() == label)
        ends = {
            (r + int(targets.offset[0, r, c]), c + int(targets.offset[1, r, c]))
            for r, c in zip(rows, columns, strict=True)
        }
        (end,) = ends
        assert targets.centre[end] == 1
    assert (targets.centre == 1).sum() == 2


def test_what_is_not_judged_costs_nothing():
    known = np.ones((48, 64), bool)
    known[:5] = False
    targets = body_targets(two_bodies(), known)
    assert (targets.weight[:, 60:] == 0).all()
    assert (targets.weight[:5] == 0).all()
    batch = BodyTargets(*(t[None] for t in targets))
    generator = torch.Generator().manual_seed(0)
    maps = BodyMaps(*(torch.randn(1, n, 48, 64, generator=generator) for n in (1, 1, 2)))
    before = body_losses(maps, batch)
    for heat in (maps.body, maps.centre):
        heat[..., 60:] += 5
    after = body_losses(maps, batch)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


def test_perfect_maps_cost_next_to_nothing():
    targets = BodyTargets(*(t[None] for t in body_targets(two_bodies(), np.ones((48, 64), bool))))
    body = torch.where(targets.body > 0, 20.0, -20.0)[:, None]
    centre = torch.where(targets.centre == 1, 20.0, -20.0)[:, None]
    losses = body_losses(BodyMaps(body, centre, targets.offset), targets)
    for name, value in losses.items():
        assert value < 0.01, name


def test_a_small_body_weighs_more_per_node_but_less_in_all():
    targets = body_targets(two_bodies(), np.ones((48, 64), bool))
    labels = two_bodies()
    large, small = targets.weight[labels == 1], targets.weight[labels == 2]
    assert small[0] > large[0]
    assert small.sum() < large.sum()


def test_the_network_starts_out_seeing_few_bodies():
    network = BodyNet(0.25).eval()
    with torch.no_grad():
        maps = network(torch.zeros(1, 8, 64, 64))
    assert torch.sigmoid(maps.body).mean() < 0.1
    assert maps.offset.shape == (1, 2, 64, 64)


@pytest.mark.parametrize(("directions", "blind"), [("y", [1, 3, 5]), ("x", [0, 2, 4]), ("both", [])])
def test_a_network_of_one_direction_does_not_see_the_other(directions, blind):
    torch.manual_seed(0)
    network = BodyNet(0.25, directions).eval()
    planes = torch.rand(1, 8, 32, 32)
    with torch.no_grad():
        before = network(planes)
        for k in range(6):
            changed = planes.clone()
            changed[:, k] += 1
            same = torch.equal(network(changed).body, before.body)
            assert same == (k in blind)
