from dataclasses import replace

import numpy as np
import pytest
import torch

from groundshift.detect.planes import PLANES
from groundshift.errors import OutputError
from groundshift.gradients.stack import TimeWindow
from groundshift.simulate.batched.config import BatchConfig
from groundshift.simulate.batched.ground import make_ground
from groundshift.simulate.batched.igrams import Interferograms
from groundshift.simulate.batched.network import draw_network
from groundshift.simulate.batched.types import Kind, Mover
from groundshift.training import simulated
from groundshift.training.samples import IGNORED, boxes_of, list_samples, read_sample
from groundshift.training.simulated import SimulatedSamples, label_bodies, simulate_samples, write_samples
from groundshift.training.stacks import stack_arrays

CPU = torch.device("cpu")
SMALL = BatchConfig(
    shape=(48, 64), scenes=2, pixel_m=(50.0, 60.0), dates=(10, 14), pairs=(14, 18), slides=(60, 80), quiet_share=0.0
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples():
    return simulate_samples(SMALL, 3)


@pytest.fixture(scope="module")
def network():
    config = BatchConfig(dates=(40, 40), pairs=(200, 200), intervals_days=(12,), max_days=(36,))
    return draw_network(config, np.random.default_rng(3))


@pytest.fixture(scope="module")
def land(network):
    """Ground with four movers, drawn by hand: two slides, a bowl and ice."""
    ground = make_ground(BatchConfig(shape=(60, 80), scenes=1), network, 1, pixel_m=40.0, device=CPU)
    mover = torch.zeros((1, 60, 80), dtype=torch.int64)
    velocity = torch.zeros((1, 60, 80))
    y, x = torch.arange(60.0)[:, None], torch.arange(80.0)[None, :]
    places = [(15, 15, -40.0), (15, 55, 30.0), (45, 15, -90.0), (45, 55, 700.0)]
    for number, (row, column, peak) in enumerate(places, start=1):
        profile = torch.clamp(1 - ((y - row) ** 2 + (x - column) ** 2) / 100, min=0)
        mover[0][profile > 0] = number
        velocity[0] += peak * profile
    kinds = [Kind.SLIDE, Kind.SLIDE, Kind.BOWL, Kind.GLACIER]
    movers = tuple(
        Mover(kind, "dome", "steady", peak, 800.0, 700.0) for kind, (_, _, peak) in zip(kinds, places, strict=True)
    )
    course = torch.zeros((1, 5, len(network.dates)))
    course[0, 1:] = torch.tensor(network.years)
    return replace(ground, mover=mover, velocity=velocity, course=course, movers=(movers,))


def everything(network, weights=None):
    count = len(network.pairs)
    return TimeWindow("all", np.arange(count), np.ones(count) if weights is None else weights)


def labelled(land, network, window, sigma=1.0, smoothing=1):
    planes = np.zeros((len(PLANES), *land.mover.shape[1:]), np.float32)
    planes[PLANES.index("sigma_y")] = planes[PLANES.index("sigma_x")] = sigma
    return label_bodies(land, network, 0, window, planes=planes, smoothing=smoothing)


def test_visibility_sums_the_squares_of_the_true_significance(land, network):
    _, bodies = labelled(land, network, everything(network), sigma=0.5)
    for number, body in enumerate(bodies, start=1):
        alone = np.pad(np.where(land.mover[0].numpy() == number, land.velocity[0].numpy(), 0), 2)
        squares = sum((np.diff(alone, axis=axis) ** 2).sum() for axis in (0, 1))
        assert body.visibility == pytest.approx(np.sqrt(squares) / 0.5 * 40 / land.pixel_m, rel=1e-4)
    _, smooth = labelled(land, network, everything(network), sigma=0.5, smoothing=5)
    assert all(a.visibility > b.visibility > 0 for a, b in zip(bodies, smooth, strict=True))


def test_slides_are_labelled_where_they_move_by_more_than_a_fifth_of_their_peak(land, network):
    labels, bodies = labelled(land, network, everything(network))
    assert [body.velocity for body in bodies] == pytest.approx([-40.0, 30.0])
    assert [body.speed for body in bodies] == [40.0, 30.0]
    speed = land.velocity[0].abs().numpy()
    for label, peak in ((1, 40.0), (2, 30.0)):
        np.testing.assert_array_equal(labels == label, (land.mover[0].numpy() == label) & (speed > 0.2 * peak))
    bowl, ice = land.mover[0].numpy() == 3, land.mover[0].numpy() == 4
    np.testing.assert_array_equal(labels == IGNORED, bowl & (speed > 18.0))
    assert (labels[ice] == 0).all()
    assert (labels[land.mover[0].numpy() == 0] == 0).all()


def test_steady_slides_have_one_velocity_whatever_the_weights(land, network):
    rng = np.random.default_rng(0)
    for _ in range(3):
        _, bodies = labelled(land, network, everything(network, rng.uniform(0, 2, len(network.pairs))))
        assert [body.velocity for body in bodies] == pytest.approx([-40.0, 30.0], rel=1e-4)


def test_the_velocity_of_a_window_is_the_weighted_way_over_the_weighted_time(land, network):
    course = land.course.clone()
    years = np.array(network.years)
    way = years + 0.4 * np.sin(2 * np.pi * years)
    course[0, 1] = torch.from_numpy(way)
    weights = np.linspace(0.5, 1.5, len(network.pairs))
    moved = dict(zip(network.dates, way, strict=True))
    above = sum(w * (moved[p.secondary] - moved[p.reference]) for w, p in zip(weights, network.pairs, strict=True))
    below = sum(w * p.years for w, p in zip(weights, network.pairs, strict=True))
    _, bodies = labelled(replace(land, course=course), network, everything(network, weights))
    assert bodies[0].velocity == pytest.approx(-40.0 * above / below, rel=1e-5)
    assert bodies[0].speed == 40.0


def test_a_slide_that_rests_in_a_window_or_hardly_shows_is_ignored(land, network):
    course = land.course.clone()
    course[0, 1] *= 0.12  # 4.8 mm/yr
    labels, bodies = labelled(replace(land, course=course), network, everything(network))
    assert [body.velocity for body in bodies] == pytest.approx([30.0])
    assert (labels[land.mover[0].numpy() == 2] <= 1).all()
    assert labels[15, 15] == IGNORED

    mover = torch.where(land.mover == 2, 0, land.mover)
    mover[0, 15, 53:58] = 2
    labels, bodies = labelled(replace(land, mover=mover), network, everything(network))
    assert [body.velocity for body in bodies] == pytest.approx([-40.0])
    assert (labels[15, 53:58] == IGNORED).all()


def test_without_noise_the_stack_shows_the_gradient_of_the_true_velocity(land, network):
    slow = replace(land, velocity=0.3 * land.velocity * (land.mover <= 3))
    motion = Interferograms(slow, network, 0)
    phasors = np.stack(
        [torch.polar(torch.ones(60, 80), motion.motion(k)[0]).numpy() for k in range(len(network.pairs))]
    )
    stack = stack_arrays(
        phasors, network.pairs, 40.0, network.wavelength, {"all": list(range(len(network.pairs)))}, 1
    )[0]  # fmt: skip
    velocity = slow.velocity[0].numpy()
    for axis in (0, 1):
        true = np.diff(velocity, axis=axis, append=np.take(velocity, [-1], axis))
        shown = stack.velocity_gradient[axis]
        known = np.isfinite(shown)
        assert known.mean() > 0.9
        assert np.corrcoef(true[known], shown[known])[0, 1] > 0.999
        np.testing.assert_allclose(shown[known], true[known], atol=0.05)


def test_the_velocity_gradient_correlates_with_truth_through_all_noise(land, network):
    """Coherent ground under the simulated air and noise still shows its slides."""
    still = torch.zeros_like(land.velocity)
    town = replace(land, fixed_coherence=still + 0.95, snow_height=still - torch.inf, dem_error=still)
    made = Interferograms(town, network, 12)
    igrams = np.stack([made.igram(k)[0].numpy() for k in range(len(network.pairs))])
    stack = stack_arrays(
        igrams, network.pairs, 40.0, network.wavelength, {"all": list(range(len(network.pairs)))}, 2
    )[0]  # fmt: skip
    velocity = land.velocity[0].numpy()
    slides = np.isin(land.mover[0].numpy(), (1, 2))
    for axis in (0, 1):
        true = np.diff(velocity, axis=axis, append=np.take(velocity, [-1], axis))
        shown = stack.velocity_gradient[axis]
        inside = slides & np.isfinite(shown)
        assert np.corrcoef(true[inside], shown[inside])[0, 1] > 0.8


def test_a_batch_gives_its_scenes_in_order_each_over_all_pairs_first(samples):
    assert len(samples) == 6
    assert [sample.scene for sample in samples] == ["sim-3-0"] * 3 + ["sim-3-1"] * 3
    for first in (0, 3):
        names = [sample.window for sample in samples[first : first + 3]]
        assert names[0] == "all"
        assert len(set(names)) == 3
        assert samples[first].total_pairs > max(sample.total_pairs for sample in samples[first + 1 : first + 3])


def test_samples_have_planes_and_labels_of_their_bodies(samples):
    assert sum(len(sample.bodies) for sample in samples) > 3
    for sample in samples:
        assert sample.planes.shape == (len(PLANES), 48, 64)
        assert sample.planes.dtype == np.float32
        assert np.isfinite(sample.planes).all()
        assert 0.3 < sample.planes[PLANES.index("known")].mean() <= 1
        assert 50 <= sample.pixel_m <= 110
        assert sample.radians < 0
        assert set(boxes_of(sample.labels)) == set(range(1, len(sample.bodies) + 1))
        for body in sample.bodies:
            assert abs(body.velocity) >= simulated.LEAST_VELOCITY


def same(first, second):
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.planes, two.planes)
        np.testing.assert_array_equal(one.labels, two.labels)
        assert (one.scene, one.window, one.bodies) == (two.scene, two.window, two.bodies)


def test_the_seed_makes_the_same_samples(samples):
    same(samples, simulate_samples(SMALL, 3))
    assert not np.array_equal(samples[0].planes, simulate_samples(SMALL, 4)[0].planes)


def test_as_many_windows_as_wanted_and_the_smoothing_given():
    found = simulate_samples(SMALL, 1, windows_per_scene=7, smoothing=4)
    assert len(found) == 14
    for sample in found:
        rows = sample.planes[PLANES.index("known")].any(1)
        assert not rows[:2].any()  # a window of four reaches two pixels up
    with pytest.raises(ValueError, match="windows_per_scene must lie in"):
        simulate_samples(SMALL, 1, windows_per_scene=0)


def test_an_endless_source_counts_through_the_batches(samples):
    source = SimulatedSamples(SMALL, 2, keep=1)
    same([source[k] for k in (6, 9, 11)], [samples[k] for k in (0, 3, 5)])
    assert source[0].scene == "sim-2-0"
    same([source[7]], [samples[1]])
    with pytest.raises(IndexError, match="index must not be negative, instead got -1"):
        source[-1]


def test_written_samples_are_kept_and_only_what_is_missing_is_made_again(tmp_path, monkeypatch):
    written = list(write_samples(tmp_path, SMALL, 3, 2, windows_per_scene=2))
    assert written == list(list_samples(tmp_path))
    assert len(written) == 8
    assert written[0].name == "000003-0-all.npz"
    assert {path.name.rsplit("-", 1)[0] for path in written} == {f"00000{s}-{b}" for s in (3, 4) for b in (0, 1)}
    before = {path: path.read_bytes() for path in written}

    # A run that was stopped within the second batch.
    for path in written[5:]:
        path.unlink()
    written[4].write_bytes(b"kept")
    made = []

    def simulate(config, seed, **more):
        made.append(seed)
        return simulate_samples(config, seed, **more)

    monkeypatch.setattr(simulated, "simulate_samples", simulate)
    again = list(write_samples(tmp_path, SMALL, 3, 2, windows_per_scene=2))
    assert sorted(again) == written
    assert made == [4]
    assert written[4].read_bytes() == b"kept"
    for path in written[:4] + written[5:]:
        assert path.read_bytes() == before[path]
    assert list(write_samples(tmp_path, SMALL, 3, 2, windows_per_scene=2)) == written
    assert made == [4]


def test_a_written_sample_reads_back(tmp_path, samples):
    path = next(write_samples(tmp_path, SMALL, 3, 1))
    found = read_sample(path)
    assert (found.scene, found.window, found.total_pairs) == (
        samples[0].scene, samples[0].window, samples[0].total_pairs,
    )  # fmt: skip
    np.testing.assert_array_equal(found.labels, samples[0].labels)
    np.testing.assert_allclose(found.planes, samples[0].planes, rtol=1e-3, atol=1e-4)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(OutputError, match="cannot be written"):
        next(write_samples(blocked / "folder", SMALL, 3, 1))
