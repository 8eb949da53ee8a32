"""Networks that outline moving slopes: their published sizes, what they see, and sets in any order."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.isslide import SmallUnet, phase_planes  # noqa: E402
from groundshift.nets.resnet_segments import ResnetSegments  # noqa: E402
from groundshift.nets.segment_loss import segment_loss  # noqa: E402
from groundshift.nets.slidenet import SlideNet, SlideNetTimes, smooth_gradient  # noqa: E402

torch.set_num_threads(1)

BUILT = {
    "unet": lambda: SmallUnet("plain"),
    "resunet": lambda: SmallUnet("residual"),
    "sepunet": lambda: SmallUnet("separable"),
    "fcn": lambda: ResnetSegments(pyramid=False, width=0.125),
    "deeplabv3": lambda: ResnetSegments(pyramid=True, width=0.125),
    "slidenet": lambda: SlideNet(0.2),
}


def count(network):
    return sum(p.numel() for p in network.parameters())


def images(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(shape, generator=generator)
    x[..., 0, :, :] = 6 * x[..., 0, :, :] - 3
    return x


def settled(network):
    """A network in evaluation whose normalisation has seen some images."""
    with torch.no_grad():
        for seed in range(5):
            x = images(2, 2, 32, 32, seed=seed)
            network(x.unsqueeze(1) if isinstance(network, SlideNetTimes) else x)
    return network.eval()


@pytest.mark.parametrize(("blocks", "number"), [("plain", 100_849), ("residual", 100_849), ("separable", 52_321)])
def test_small_networks_have_the_published_sizes(blocks, number):
    assert count(SmallUnet(blocks)) == number


@pytest.mark.parametrize(
    ("pyramid", "published", "per_class"), [(False, 35_322_218, 512 + 1), (True, 42_004_074, 256 + 1)]
)
def test_large_networks_have_the_sizes_of_the_library_the_authors_took(pyramid, published, per_class):
    # There with 21 classes and an auxiliary head: 1024 to 256 channels by 3 x 3, normalisation, 21 classes.
    auxiliary = 1024 * 256 * 9 + 2 * 256 + 21 * 257
    assert count(ResnetSegments(pyramid=pyramid)) == published - auxiliary - 20 * per_class


@pytest.mark.parametrize("network", [SlideNet(), SlideNetTimes()], ids=["slidenet", "slidenet_times"])
def test_our_networks_take_less_than_15_megabytes(network):
    assert 4 * sum(v.numel() for v in network.state_dict().values()) < 14.5e6


def test_planes_are_coherence_cosine_and_sine_and_nothing_without_data():
    x = images(1, 2, 8, 8)
    x[0, :, 2, 3] = 0
    planes = phase_planes(x)
    torch.testing.assert_close(planes[:, 0], x[:, 1])
    torch.testing.assert_close(torch.atan2(planes[:, 2], planes[:, 1]), x[:, 0], atol=1e-5, rtol=1e-5)
    assert planes[0, :, 2, 3].abs().max() == 0


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("shape", [(100, 100), (37, 50), (33, 65)])
def test_any_size_is_answered_in_its_size(name, shape):
    network = settled(BUILT[name]())
    with torch.no_grad():
        out = network(images(1, 2, *shape))
    assert out.shape == (1, 1, *shape)
    assert torch.isfinite(out).all()


def test_smooth_gradient_of_a_ramp_is_its_slope():
    y, x = np.mgrid[:20, :24]
    wrapped = np.angle(np.exp(1j * (0.9 * y - 2.5 * x))).astype(np.float32)
    coherence = np.full(wrapped.shape, 0.7, np.float32)
    planes = smooth_gradient(torch.from_numpy(np.stack([wrapped, coherence])[np.newaxis])).numpy()[0]
    inside = np.s_[:17, :20]
    np.testing.assert_allclose(np.arctan2(planes[1], planes[0])[inside], 0.9, atol=1e-4)
    np.testing.assert_allclose(np.arctan2(planes[3], planes[2])[inside], -2.5, atol=1e-4)
    np.testing.assert_allclose(np.hypot(planes[0], planes[1])[inside], 1.0, atol=1e-4)


def test_smooth_gradient_of_noise_is_short():
    wrapped = np.random.default_rng(0).uniform(-np.pi, np.pi, (60, 60)).astype(np.float32)
    planes = smooth_gradient(torch.from_numpy(np.stack([wrapped, np.ones_like(wrapped)])[np.newaxis])).numpy()[0]
    # The mean of 25 random phasors has a length of about 1 / 5.
    assert np.hypot(planes[0], planes[1]).mean() == pytest.approx(np.sqrt(np.pi / 4 / 25), rel=0.1)


def test_a_constant_changes_no_smooth_gradient():
    x = images(1, 2, 16, 16)
    y = x.clone()
    y[:, 0] += 1.3
    torch.testing.assert_close(smooth_gradient(y), smooth_gradient(x), atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def times():
    torch.manual_seed(0)
    return settled(SlideNetTimes(0.2))


def test_order_of_the_dates_does_not_matter(times):
    x = images(1, 4, 2, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(times(x[:, [2, 0, 3, 1]]), times(x), atol=1e-5, rtol=1e-5)


def test_interferograms_without_data_do_not_count(times):
    x = images(1, 3, 2, 32, 48)
    more = torch.cat([x, torch.zeros(1, 2, 2, 32, 48)], 1)
    with torch.no_grad():
        torch.testing.assert_close(times(more), times(x), atol=1e-5, rtol=1e-5)
        assert torch.isfinite(times(torch.zeros(1, 2, 2, 32, 48))).all()


def test_an_interferogram_given_twice_says_no_more_than_once(times):
    x = images(1, 1, 2, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(times(x.repeat(1, 3, 1, 1, 1)), times(x), atol=1e-5, rtol=1e-5)


def test_sets_of_a_batch_do_not_see_each_other(times):
    x = images(3, 2, 2, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(times(x)[1:2], times(x[1:2]), atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_parameter_of_the_network_of_many_dates():
    torch.manual_seed(0)
    network = SlideNetTimes(0.2)
    mask = (images(2, 1, 32, 32) > 0).float()
    sum(segment_loss(network(images(2, 3, 2, 32, 32)), mask, torch.ones_like(mask), dice=True).values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_loss_is_that_of_its_definition():
    logits = torch.tensor([[[[0.0, 2.0], [-1.0, 5.0]]]])
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    known = torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]])
    p = 1 / (1 + np.exp([0.0, -2.0, 1.0]))
    found = segment_loss(logits, mask, known, dice=True)
    assert float(found["cross"]) == pytest.approx(-np.mean(np.log([p[0], p[1], 1 - p[2]])), rel=1e-5)
    assert float(found["dice"]) == pytest.approx(1 - (2 * (p[0] + p[1]) + 1) / (p.sum() + 2 + 1), rel=1e-5)
    assert set(segment_loss(logits, mask, known, dice=False)) == {"cross"}
