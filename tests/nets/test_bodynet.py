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
        nodes = np.argwhere(two_bodies() == label)
        votes = nodes + targets.offset[:, nodes[:, 0], nodes[:, 1]].numpy().T
        np.testing.assert_allclose(votes, np.broadcast_to(nodes.mean(0), votes.shape), atol=1e-5)


def test_halos_are_quiet_ground_next_to_their_body():
    labels = two_bodies()
    owner = body_targets(labels, np.ones((48, 64), bool)).owner.numpy()
    np.testing.assert_array_equal(np.where(owner > 0, owner, 0), np.where(labels == 255, 0, labels))
    assert set(np.unique(owner)) == {-2, -1, 0, 1, 2}
    assert owner[10, 30] == -1  # next to the first body
    assert owner[10, 34] == 0
    assert owner[24, 20] == 0
    assert owner[28, 43] == -2


def test_what_is_not_judged_costs_nothing():
    known = np.ones((48, 64), bool)
    known[:5] = False
    targets = body_targets(two_bodies(), known)
    assert (targets.weight[:, 60:] == 0).all()
    assert (targets.weight[:5] == 0).all()
    batch = BodyTargets(*(t[None] for t in targets))
    generator = torch.Generator().manual_seed(0)
    maps = BodyMaps(*(torch.randn(1, n, 48, 64, generator=generator) for n in (1, 2)))
    before = body_losses(maps, batch)
    maps.body[..., 60:] += 5
    after = body_losses(maps, batch)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


def test_perfect_maps_cost_next_to_nothing():
    targets = BodyTargets(*(t[None] for t in body_targets(two_bodies(), np.ones((48, 64), bool))))
    body = torch.where(targets.owner > 0, 20.0, -20.0)[:, None]
    losses = body_losses(BodyMaps(body, targets.offset), targets)
    for name, value in losses.items():
        assert value < 0.01, name


def test_overlap_is_the_mean_over_the_bodies_of_all_images():
    """One body seen whole, one not at all, and one that spills over twice its size within its halo."""
    labels = np.zeros((2, 48, 64), np.uint8)
    labels[0, 5:15, 5:15] = 1
    labels[0, 30:40, 5:15] = 2
    labels[1, 5:15, 5:15] = 1
    seen = np.zeros((2, 48, 64), np.float32)
    seen[0, 5:15, 5:15] = 1
    seen[1, 5:15, 5:15] = seen[1, 5:15, 15:18] = seen[1, 15:18, 5:15] = seen[1, 2:5, 5:15] = 1
    known = np.ones((48, 64), bool)
    targets = BodyTargets(*map(torch.stack, zip(*(body_targets(one, known) for one in labels), strict=True)))
    maps = BodyMaps(torch.from_numpy(seen * 80 - 40)[:, None], torch.zeros(2, 2, 48, 64))
    expected = np.mean([0, 1 - 1 / 101, 1 - 201 / (100 + 190 + 1)])
    assert body_losses(maps, targets)["overlap"].item() == pytest.approx(expected, abs=1e-5)


def test_without_bodies_only_false_ones_cost():
    targets = BodyTargets(*(t[None] for t in body_targets(np.zeros((48, 64), np.uint8), np.ones((48, 64), bool))))
    losses = body_losses(BodyMaps(torch.zeros(1, 1, 48, 64), torch.ones(1, 2, 48, 64)), targets)
    assert losses["body"].item() == pytest.approx(20 * np.log(2), rel=1e-5)
    assert losses["overlap"] == losses["offset"] == 0


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
