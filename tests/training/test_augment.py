"""Variations of samples: what is done to a field of velocities is what is done to its planes."""

from dataclasses import replace

import numpy as np
import pytest

from groundshift.detect.planes import PLANES, network_planes
from groundshift.training.augment import (
    augmented,
    blended,
    cropped,
    flipped,
    mosaic,
    padded,
    reversed_motion,
    transposed,
    with_boxes,
    with_coherence_gain,
    with_gaps,
)
from groundshift.training.config import AugmentConfig
from groundshift.training.samples import IGNORED, Body, Sample

BODY = Body(20.0, 25.0, 400.0, 200.0, "steady")
COHERENCE, KNOWN = PLANES.index("coherence"), PLANES.index("known")
BUT_COHERENCE = [k for k in range(len(PLANES)) if k != COHERENCE]


@pytest.fixture
def planes_of(make_stack):
    """Make the planes of a field of velocities (mm/yr), as a survey makes them from a stack."""

    def make(field, noise, coherence):
        gradient, sigma = np.full((2, 2, *field.shape), np.nan)
        gradient[0, :-1], gradient[1, :, :-1] = np.diff(field, axis=0), np.diff(field, axis=1)
        sigma[0, :-1], sigma[1, :, :-1] = noise[1:] + noise[:-1], noise[:, 1:] + noise[:, :-1]
        return network_planes(replace(make_stack(gradient, sigma, smoothing=1), mean_coherence=coherence))

    return make


@pytest.fixture
def draw(planes_of):
    """Draw a field of velocities with its truth, and the sample it gives."""

    def make(seed=0, shape=(20, 26), holes=0.0, radians=-4.0):
        rng = np.random.default_rng(seed)
        field = np.cumsum(rng.normal(size=shape), axis=1).astype(np.float32)
        field[rng.random(shape) < holes] = np.nan
        noise, coherence = rng.uniform(0.1, 1, shape).astype(np.float32), rng.uniform(0, 1, shape).astype(np.float32)
        labels = np.zeros(shape, np.uint8)
        labels[3:9, 4:12], labels[12:18, 10:20], labels[0:3, 20:24] = 1, 2, IGNORED
        bodies = (BODY, BODY._replace(velocity=-7.0, speed=-9.0))
        maps = (field, noise, coherence, labels)
        return maps, Sample(planes_of(*maps[:3]), labels, bodies, f"s{seed}", "all", 40.0, radians, 50)

    return make


CHANGES = {
    "rows turned": (lambda s: flipped(s, 0), lambda m: m[::-1]),
    "columns turned": (lambda s: flipped(s, 1), lambda m: m[:, ::-1]),
    "transposed": (transposed, lambda m: m.T),
    "half turn": (lambda s: flipped(flipped(s, 1), 0), lambda m: m[::-1, ::-1]),
    "quarter turn": (lambda s: flipped(transposed(s), 0), lambda m: m.T[::-1]),
    "cut": (lambda s: cropped(s, 2, 3, (17, 18)), lambda m: m[2:19, 3:21]),
}


@pytest.mark.parametrize("holes", [0.0, 0.15])
@pytest.mark.parametrize("name", CHANGES)
def test_planes_of_the_changed_field_are_the_changed_planes(draw, planes_of, name, holes):
    change, same = CHANGES[name]
    (field, noise, coherence, labels), sample = draw(holes=holes)
    found = change(sample)
    expected = planes_of(same(field), same(noise), same(coherence))
    np.testing.assert_allclose(found.planes[BUT_COHERENCE], expected[BUT_COHERENCE], rtol=2e-6, atol=1e-6)
    # A node that had no difference, and now has one, takes the coherence of the node that had it.
    assert ((found.planes[COHERENCE] > 0) == (expected[KNOWN] > 0)).all()
    assert np.isclose(found.planes[COHERENCE], expected[COHERENCE]).mean() > 0.9
    assert found.planes.flags.c_contiguous
    if name != "cut":
        np.testing.assert_array_equal(found.labels, same(labels))


def test_reversed_motion_is_that_of_the_negative_field(draw, planes_of):
    (field, noise, coherence, _), sample = draw()
    found = reversed_motion(sample)
    np.testing.assert_allclose(found.planes, planes_of(-field, noise, coherence), rtol=2e-6)
    assert [b.velocity for b in found.bodies] == [-20.0, 7.0]


def test_turning_twice_changes_nothing(draw):
    _, sample = draw()
    for twice in (flipped(flipped(sample, 0), 0), flipped(flipped(sample, 1), 1), transposed(transposed(sample))):
        np.testing.assert_array_equal(twice.planes[BUT_COHERENCE], sample.planes[BUT_COHERENCE])
        np.testing.assert_array_equal(twice.labels, sample.labels)


def test_of_a_cut_body_enough_must_be_left(draw):
    _, sample = draw()
    # Body 1 is 6 x 8 nodes: a quarter of it are 12, two of its rows 16 and one 8.
    assert (cropped(sample, 7, 0, (13, 26)).labels == 1).sum() == 16
    rest = cropped(sample, 8, 0, (12, 26)).labels
    assert (rest == 1).sum() == 0
    assert (rest[0, 4:12] == IGNORED).all()


def test_a_cut_must_lie_within(draw):
    _, sample = draw()
    with pytest.raises(ValueError, match=r"within \(20, 26\) nodes"):
        cropped(sample, 5, 0, (16, 26))


def test_padding_adds_nodes_without_data_after_the_map(draw):
    _, sample = draw()
    found = padded(sample, (32, 20))
    assert found.planes.shape == (len(PLANES), 32, 26)
    np.testing.assert_array_equal(found.planes[:, :20], sample.planes)
    assert not found.planes[:, 20:].any()
    assert not found.labels[20:].any()


def pieces_of(samples, centre):
    """Cut each sample to the quarter that it fills."""
    rows, columns = [(0, centre[0]), (centre[0], 20)], [(0, centre[1]), (centre[1], 26)]
    return [
        cropped(sample, y0, x0, (y1 - y0, x1 - x0))
        for sample, ((y0, y1), (x0, x1)) in zip(samples, [(r, c) for r in rows for c in columns], strict=True)
    ]


def test_a_mosaic_is_the_field_put_together_with_unknown_differences_at_the_seams(draw, planes_of):
    drawn = [draw(seed) for seed in range(4)]
    found = mosaic(pieces_of([sample for _, sample in drawn], (11, 9)))
    joined = []
    for part in range(3):
        upper = np.hstack([drawn[0][0][part][:11, :9], drawn[1][0][part][:11, 9:]])
        lower = np.hstack([drawn[2][0][part][11:, :9], drawn[3][0][part][11:, 9:]])
        joined.append(np.vstack([upper, lower]))
    expected = planes_of(*joined)
    for k, name in enumerate(PLANES):
        if name.endswith("_y"):
            expected[k, 10] = 0
        if name.endswith("_x"):
            expected[k, :, 8] = 0
    # The node before both seams has neither difference.
    expected[:, 10, 8] = 0
    np.testing.assert_allclose(found.planes[:, :-1, :-1], expected[:, :-1, :-1], rtol=2e-6, atol=1e-6)


def test_bodies_of_a_mosaic_are_numbered_through(draw):
    samples = []
    for k in range(4):
        _, sample = draw(k)
        samples.append(
            replace(sample, bodies=tuple(b._replace(length_m=10.0 * k + j) for j, b in enumerate(sample.bodies)))
        )
    found = mosaic(pieces_of(samples, (10, 13)))
    numbers = [int(n) for n in np.unique(found.labels) if n not in (0, IGNORED)]
    assert numbers == list(range(1, len(found.bodies) + 1))
    for number, body in enumerate(found.bodies, 1):
        k, j = divmod(round(body.length_m), 10)
        assert (samples[k].labels[found.labels == number] == j + 1).all()


def test_radians_of_a_mosaic_are_those_of_its_parts(draw):
    samples = [draw(k, radians=-1.0 - k)[1] for k in range(4)]
    pieces = pieces_of(samples, (10, 13))
    found = mosaic(pieces, in_radians=True)
    whole, part = found.gradient_radians(), samples[3].gradient_radians()
    np.testing.assert_allclose(whole[:, 10:-1, 13:-1], part[:, 10:-1, 13:-1], rtol=1e-5)
    # As if stacked over another time: gradient and error grow alike, the significance stays.
    plain = mosaic(pieces).planes
    for axis in "yx":
        at = {name: PLANES.index(f"{name}_{axis}") for name in ("significance", "gradient", "sigma")}
        np.testing.assert_array_equal(found.planes[at["significance"]], plain[at["significance"]])
        np.testing.assert_allclose(found.planes[at["sigma"], 10:, 13:], 4 * plain[at["sigma"], 10:, 13:], rtol=1e-6)
        np.testing.assert_allclose(
            found.planes[at["gradient"], 10:, 13:], 4 * plain[at["gradient"], 10:, 13:], rtol=1e-6
        )


def test_pieces_of_a_mosaic_must_fit(draw):
    _, sample = draw()
    with pytest.raises(ValueError, match="pieces must fit together"):
        mosaic([sample, sample, sample, cropped(sample, 0, 0, (19, 26))])


def test_phases_of_a_blend_are_the_sum_of_its_parts(draw, planes_of):
    (field, noise, coherence, _), sample = draw(0, holes=0.1)
    (other_field, other_noise, other_coherence, _), other = draw(1, holes=0.1)
    found = blended(sample, other, 0.5)
    expected = planes_of(field + 0.5 * other_field, noise, coherence * np.sqrt(np.sqrt(other_coherence)))
    same = [PLANES.index(name) for name in ("gradient_y", "gradient_x", "coherence", "known")]
    np.testing.assert_allclose(found.planes[same], expected[same], rtol=1e-4, atol=1e-5)
    both = planes_of(field + other_field, noise, coherence), planes_of(field + other_field, other_noise, coherence)
    for axis in ("y", "x"):
        sigma, gradient, significance = (PLANES.index(f"{n}_{axis}") for n in ("sigma", "gradient", "significance"))
        np.testing.assert_allclose(
            found.planes[sigma] ** 2, both[0][sigma] ** 2 + 0.25 * both[1][sigma] ** 2, rtol=1e-4, atol=1e-6
        )
        there = found.planes[sigma] > 0
        ratio = found.planes[gradient][there] / found.planes[sigma][there]
        np.testing.assert_allclose(found.planes[significance][there], np.clip(ratio, -50, 50), rtol=1e-5)


def test_bodies_of_both_parts_of_a_blend_are_judged_by_what_is_left_of_them(draw):
    _, sample = draw(0)
    labels = np.zeros_like(sample.labels)
    labels[2:9, 4:13], labels[12:16, 0:6], labels[0:4, 20:26] = 1, 2, 3
    bodies = (BODY, BODY._replace(velocity=40.0, visibility=8.0), BODY._replace(velocity=-9.0))
    found = blended(sample, replace(draw(1)[1], labels=labels, bodies=bodies), 0.5)
    assert [b.velocity for b in found.bodies] == [BODY.velocity, -7.0, BODY.velocity / 2, 20.0]
    assert (found.labels[sample.labels == 1] == 1).all()
    # Of the first of the other map only a rim is left; its third is now slower than 5 mm/yr.
    assert (found.labels[(labels == 1) & (sample.labels == 0)] == IGNORED).all()
    assert (found.labels[(labels == 2) & (sample.labels == 0)] == 4).all()
    assert (found.labels[labels == 3] == IGNORED).all()
    sigma = PLANES.index("sigma_y"), PLANES.index("sigma_x")
    inside = labels == 2
    share = np.mean([(0.5 * draw(1)[1].planes[k][inside] / found.planes[k][inside]) ** 2 for k in sigma])
    assert found.bodies[3].visibility == pytest.approx(8 * np.sqrt(share), rel=1e-5)


def test_maps_of_other_shapes_are_not_blended(draw):
    with pytest.raises(ValueError, match="one shape"):
        blended(draw(0)[1], draw(0, shape=(9, 9))[1], 1.0)


def test_gaps_take_data_away_and_bodies_that_lost_nearly_all_are_not_judged(draw):
    _, sample = draw()
    gaps = np.zeros((20, 26), bool)
    gaps[3:9, 4:11], gaps[12:15] = True, True
    found = with_gaps(sample, gaps)
    assert not found.planes[:, gaps].any()
    np.testing.assert_array_equal(found.planes[:, ~gaps], sample.planes[:, ~gaps])
    assert (found.labels[sample.labels == 1] == IGNORED).all()
    assert (found.labels[sample.labels == 2] == 2).all()


def test_coherence_stays_within_its_bounds(draw):
    _, sample = draw()
    found = with_coherence_gain(sample, 1.2).planes
    np.testing.assert_allclose(found[COHERENCE], np.minimum(sample.planes[COHERENCE] * 1.2, 1), rtol=1e-6)
    np.testing.assert_array_equal(found[BUT_COHERENCE], sample.planes[BUT_COHERENCE])


@pytest.mark.parametrize("count", [1, 4])
def test_every_variation_is_a_sample_of_the_tile(draw, count):
    samples = [draw(k, shape=(70, 80), holes=0.1)[1] for k in range(count)]
    config = AugmentConfig(tile=64, dropout=0.5)
    for seed in range(30):
        found = augmented(samples, config, np.random.default_rng(seed), onto=samples[0])
        assert found.planes.shape == (len(PLANES), 64, 64)
        assert not (found.planes * (found.planes[KNOWN] == 0)).any()
        assert set(np.unique(found.labels)) <= {0, IGNORED, *range(1, len(found.bodies) + 1)}
        again = augmented(samples, config, np.random.default_rng(seed), onto=samples[0])
        np.testing.assert_array_equal(found.planes, again.planes)
        np.testing.assert_array_equal(found.labels, again.labels)


def test_nothing_is_varied_where_all_is_off(draw):
    _, sample = draw(shape=(32, 32))
    config = AugmentConfig(tile=32, symmetry=False, mosaic=0, blend=0, dropout=0, coherence_gain=0)
    found = augmented([sample], config, np.random.default_rng(0))
    np.testing.assert_array_equal(found.planes, sample.planes)


def test_boxes_are_filled_and_the_smaller_lies_on_top():
    labels = np.zeros((20, 20), np.uint8)
    labels[2, 2:12] = labels[2:12, 2] = 1
    labels[8:10, 8:10] = 2
    labels[15:, 15:] = 255
    sample = Sample(np.zeros((len(PLANES), 20, 20), np.float32), labels, (BODY, BODY), "s", "all", 40.0, 1.0, 9)
    filled = with_boxes(sample).labels
    assert (filled == 1).sum() == 100 - 4
    np.testing.assert_array_equal(filled == 2, labels == 2)
    np.testing.assert_array_equal(filled == 255, labels == 255)
