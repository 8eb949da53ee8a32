"""The rule-based detector: bodies of known velocity and outline are found, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from groundshift.detect import Rules, find_bodies
from groundshift.errors import NoDataError
from groundshift.gradients.integrate import relative_velocity

SHAPE = (100, 110)
SMOOTHING = 5
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)


def differences(v):
    dy, dx = np.full(v.shape, np.nan), np.full(v.shape, np.nan)
    dy[:-1], dx[:, :-1] = np.diff(v, axis=0), np.diff(v, axis=1)
    return np.stack([dy, dx])


def make_noise(rng, sigma, shape=SHAPE):
    """Velocities whose differences scatter by `sigma` and are alike over an averaging window, as those of a stack."""
    v = ndimage.uniform_filter(rng.standard_normal((shape[0] + 20, shape[1] + 20)), SMOOTHING)[10:-10, 10:-10]
    return v * sigma / np.nanstd(differences(v))


def plug(centre, half, shape=SHAPE):
    """A body that moves as one: 1 inside, falling to 0 within its outline, which is returned as well."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    r = np.hypot((y - centre[0]) / half[0], (x - centre[1]) / half[1])
    return ndimage.uniform_filter(np.maximum(1 - r**6, 0), SMOOTHING), r < 1


def dome(centre, width):
    return np.exp(-((Y - centre[0]) ** 2 + (X - centre[1]) ** 2) / (2 * width**2))


def on_image(body, shape=SHAPE):
    """The body's mask on the whole image."""
    out = np.zeros(shape, bool)
    out[body.corner[0] :, body.corner[1] :][: body.mask.shape[0], : body.mask.shape[1]] = body.mask
    return out


def overlap(body, truth):
    found = on_image(body, truth.shape)
    return (found & truth).sum() / (found | truth).sum()


def find(stack, rules=None, velocity=None, valid=None):
    velocity = relative_velocity(stack, reach=50) if velocity is None else velocity
    valid = np.ones(velocity.shape, bool) if valid is None else valid
    return find_bodies(stack, velocity.astype(np.float32), valid, rules or Rules())


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("speed", "sigma"), [(20.0, 0.1), (20.0, 0.5), (60.0, 0.5), (150.0, 2.0)])
@pytest.mark.parametrize("half", [(12, 8), (7, 7), (8, 20)])
def test_body_is_found_with_its_velocity_and_outline(make_stack, sign, speed, sigma, half):
    shape, truth = plug((47.3, 55.8), half)
    noise = make_noise(np.random.default_rng(int(speed + 10 * sigma)), sigma)
    (body,) = find(make_stack(differences(sign * speed * shape + noise), sigma, smoothing=SMOOTHING))
    assert np.sign(body.velocity) == sign
    # Screening over 50 nodes takes a few hundredths off the peak.
    assert abs(body.velocity - sign * speed) < 2 * body.velocity_sigma + 0.04 * speed
    assert body.velocity_sigma < 30 * sigma
    assert overlap(body, truth) > 0.6
    assert body.significance > Rules().significance
    assert body.directions
    assert set(body.directions) <= {"north", "east"}


def make_turbulence(rng, sigma, shape=SHAPE):
    """As `make_noise`, of the spectrum that atmosphere has: power 8/3, so that errors add up over long distances."""
    side = 256
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    k[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((side, side))) * k ** (-4 / 3)).real
    v = ndimage.uniform_filter(field, SMOOTHING)[: shape[0], : shape[1]]
    return v * sigma / np.nanstd(differences(v))


@pytest.mark.parametrize(("make", "least", "most"), [(make_noise, 0.1, 1.0), (make_turbulence, 0.5, 3.0)])
def test_velocity_scatters_as_its_standard_error_says(make_stack, make, least, most):
    """Of 25 noisy copies of a body: white noise less than said, atmosphere up to three times as much."""
    shape, _ = plug((30, 30), (8, 8), (60, 60))
    rng = np.random.default_rng(0)
    found = []
    for _ in range(25):
        v = 40 * shape + make(rng, 0.3, (60, 60))
        body = find(make_stack(differences(v), 0.3, smoothing=SMOOTHING))[0]
        found.append((body.velocity, body.velocity_sigma))
    velocity, sigma = np.array(found).T
    assert least * sigma.mean() < velocity.std() < most * sigma.mean()
    assert abs(velocity.mean() - 40) < 1.5


def test_noise_beside_a_fast_body_does_not_borrow_its_edges(make_stack):
    """A fast body has steep edges on all sides; slow ground beside it that moves the other way is no body for that."""
    shape, truth = plug((48, 50), (10, 10))
    for seed in range(20):
        v = 80 * shape + make_turbulence(np.random.default_rng(seed), 0.5)
        (body,) = find(make_stack(differences(v), 0.5, smoothing=SMOOTHING))
        assert overlap(body, truth) > 0.6


@pytest.mark.parametrize(("make", "sigma"), [(make_noise, 2.0), (make_turbulence, 1.0)])
def test_noise_alone_gives_nothing(make_stack, make, sigma):
    """In 20 scenes whose bumps of noise are much faster than the slowest body looked for."""
    fastest = []
    for seed in range(20):
        stack = make_stack(differences(make(np.random.default_rng(seed), sigma)), sigma, smoothing=SMOOTHING)
        velocity = relative_velocity(stack, reach=50)
        fastest.append(np.nanmax(np.abs(velocity)))
        assert find(stack, velocity=velocity) == []
    assert np.median(fastest) > 1.2 * Rules().least_velocity


def test_noise_of_which_the_standard_error_is_not_told_would_be_found(make_stack):
    """So that the test above can fail: the same bumps, with a standard error five times too small."""
    stack = make_stack(differences(make_noise(np.random.default_rng(0), 2.0)), 0.4, smoothing=SMOOTHING)
    assert len(find(stack)) > 10


def test_whole_chain_on_interferograms_of_noise_and_of_a_body(stack_igrams, join_dates):
    """From phases on: in noise nothing is found, with a body of 60 mm/yr that body."""
    pairs = join_dates(range(0, 12 * 30, 12))
    years = np.array([p.years for p in pairs])[:, None, None]
    shape, truth = plug((38, 42), (9, 9), (80, 80))
    for seed in range(4):
        phase = 0.9 * np.random.default_rng(seed).standard_normal((len(pairs), 80, 80))
        for speed in (0, 60):
            # 4.4 mm/yr are a radian a year.
            igrams = 0.7 * np.exp(1j * (phase - speed / 4.414 * years * shape))
            stack = stack_igrams(igrams, pairs, smoothing=SMOOTHING)
            bodies = find(stack)
            assert len(bodies) == (speed > 0)
            for body in bodies:
                assert overlap(body, truth) > 0.6
                assert abs(body.velocity - speed) < 3 * body.velocity_sigma


@pytest.mark.parametrize("sign", [1, -1])
def test_polarity_in_the_wrong_order_is_no_body(make_stack, sign):
    v = sign * 30 * plug((50, 55), (10, 10))[0]
    stack = make_stack(differences(v), 0.3, smoothing=SMOOTHING)
    assert len(find(stack, velocity=v)) == 1
    assert find(replace(stack, rate=-stack.rate), velocity=v) == []


def test_one_patch_alone_is_no_body(make_stack):
    v = 30 * plug((50, 55), (10, 10))[0]
    sigma = np.full((2, *SHAPE), 0.3)
    assert len(find(make_stack(differences(v), sigma, smoothing=SMOOTHING), velocity=v)) == 1
    # On the way in, along either axis, nothing is certain.
    sigma[0, :50] = sigma[1, :, :55] = 50
    assert find(make_stack(differences(v), sigma, smoothing=SMOOTHING), velocity=v) == []


@pytest.mark.parametrize(("axis", "name"), [(0, "north"), (1, "east")])
def test_directions_are_those_that_show_both_patches(make_stack, axis, name):
    v = 30 * plug((50, 55), (10, 10))[0]
    sigma = np.full((2, *SHAPE), 50.0)
    sigma[axis] = 0.3
    (body,) = find(make_stack(differences(v), sigma, smoothing=SMOOTHING), velocity=v)
    assert body.directions == (name,)


def joined(lower, saddle):
    """Two domes, 20 and `lower` mm/yr fast, joined by a ridge of `saddle` times the lower one."""
    ridge = saddle * lower * np.exp(-((Y - 50) ** 2) / (2 * 5**2)) * ((X > 35) & (X < 75))
    return np.maximum.reduce([20 * dome((50, 35), 5), lower * dome((50, 75), 5), ridge])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("lower", [20.0, 12.0])
@pytest.mark.parametrize(("saddle", "bodies"), [(0.0, 2), (0.4, 2), (0.57, 2), (0.63, 1), (0.8, 1), (1.0, 1)])
def test_height_of_the_saddle_decides_between_one_body_and_two(make_stack, sign, lower, saddle, bodies):
    v = sign * joined(lower, saddle)
    found = find(make_stack(differences(v), 0.1, smoothing=SMOOTHING), Rules(separation=0.6), velocity=v)
    assert len(found) == bodies
    places = [on_image(b) for b in found]
    assert sum(p[50, 35] for p in places) == 1
    if bodies == 2:
        assert sum(p[50, 75] for p in places) == 1
        assert not (places[0] & places[1]).any()
        assert sorted(abs(b.velocity) for b in found) == pytest.approx([lower, 20], rel=0.02)


def test_two_equal_peaks_of_one_body_are_one(make_stack):
    # Eight nodes apart the saddle is as high as 0.8 of both peaks, seventeen apart 0.37.
    for apart, bodies in ((8, 1), (17, 2)):
        v = 20 * np.maximum(dome((50, 45), 6), dome((50, 45 + apart), 6))
        assert len(find(make_stack(differences(v), 0.1, smoothing=SMOOTHING), velocity=v)) == bodies


@pytest.mark.parametrize("others", [0.0, 80.0])
def test_slowest_body_looked_for_is_found(make_stack, others):
    """Alone in its scene, and beside a much faster one."""
    v = 4.2 * dome((50, 25), 7) + others * dome((50, 80), 7)
    stack = make_stack(differences(v), 0.02, smoothing=SMOOTHING)
    found = find(stack, Rules(least_velocity=4.0), velocity=v)
    expected = [4.2, 80.0] if others else [4.2]
    assert sorted(b.velocity for b in found) == pytest.approx(expected, rel=0.03)
    assert len(find(stack, Rules(least_velocity=4.4), velocity=v)) == len(expected) - 1


def test_body_next_to_one_that_moves_the_other_way(make_stack):
    v = 25 * dome((50, 40), 6) - 25 * dome((50, 70), 6)
    found = find(make_stack(differences(v), 0.1, smoothing=SMOOTHING), velocity=v)
    assert sorted(np.sign([b.velocity for b in found])) == [-1, 1]
    for body in found:
        column = 40 if body.velocity > 0 else 70
        assert on_image(body)[50, column]
        assert abs(body.velocity) == pytest.approx(25, rel=0.02)


def test_most_significant_body_comes_first(make_stack):
    v = sum(speed * dome(centre, 5) for speed, centre in ((14, (20, 20)), (40, (25, 80)), (24, (75, 50))))
    found = find(make_stack(differences(v), 0.3, smoothing=SMOOTHING), velocity=v)
    assert [round(b.velocity / 10) for b in found] == [4, 2, 1]
    assert [b.significance for b in found] == sorted((b.significance for b in found), reverse=True)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_outline_is_where_velocity_has_fallen_to_its_share(make_stack, share):
    # A cone falls to the share at that share of its radius, counted from the foot.
    v = 30 * np.maximum(1 - np.hypot(Y - 50, X - 55) / 24, 0)
    (body,) = find(make_stack(differences(v), 0.1, smoothing=SMOOTHING), Rules(outline=share), velocity=v)
    assert body.velocity == pytest.approx(30)
    assert body.mask.sum() == pytest.approx((np.hypot(Y - 50, X - 55) < 24 * (1 - share)).sum(), rel=0.01)


def test_level_of_the_surroundings_does_not_matter(make_stack):
    v = 30 * dome((50, 55), 6)
    stack = make_stack(differences(v), 0.1, smoothing=SMOOTHING)
    (one,) = find(stack, velocity=v)
    for level in (-3.0, 3.0):
        (other,) = [b for b in find(stack, velocity=v + level) if abs(b.velocity) > 10]
        assert other.velocity == pytest.approx(one.velocity, rel=0.01)
        assert overlap(other, on_image(one)) > 0.95


def test_limits_are_inclusive(make_stack):
    v = 30 * plug((50, 55), (10, 10))[0]
    stack = make_stack(differences(v), 0.3, smoothing=SMOOTHING)
    # Drawn at the share of the peak at which the area is taken, too.
    rules = Rules(outline=0.4)
    (body,) = find(stack, rules, velocity=v)
    area = float(body.mask.sum()) * 40 * 40
    limits = {
        "least_area_m2": (area, area + 1),
        "least_velocity": (body.velocity - 1e-3, body.velocity + 1e-3),
        "significance": (body.significance, np.nextafter(body.significance, 1e9)),
    }
    for name, (met, missed) in limits.items():
        assert len(find(stack, replace(rules, **{name: met}), velocity=v)) == 1, name
        assert find(stack, replace(rules, **{name: missed}), velocity=v) == [], name


def test_area_is_measured_on_the_ground(make_stack, map_grid):
    v = 30 * plug((50, 55), (10, 10))[0]
    for pixel, found in ((20.0, 1), (10.0, 0)):
        stack = make_stack(differences(v), 0.3, smoothing=SMOOTHING, grid=map_grid(SHAPE, pixel))
        assert len(find(stack, Rules(least_area_m2=60_000), velocity=v)) == found


def test_holes_inside_a_body_belong_to_it(make_stack):
    v = 30 * plug((50, 55), (14, 14))[0]
    gradient = differences(v)
    v[49:52, 54:57] = np.nan
    gradient[:, 48:52, 53:57] = np.nan
    (body,) = find(make_stack(gradient, 0.3, smoothing=SMOOTHING), velocity=v)
    assert on_image(body)[49:52, 54:57].all()


def test_what_is_not_valid_is_not_looked_at(make_stack):
    v = 30 * plug((50, 30), (10, 10))[0] + 30 * plug((50, 80), (10, 10))[0]
    stack = make_stack(differences(v), 0.3, smoothing=SMOOTHING)
    assert len(find(stack, velocity=v)) == 2
    valid = np.ones(SHAPE, bool)
    valid[:, 55:] = False
    (body,) = find(stack, velocity=v, valid=valid)
    assert on_image(body)[50, 30]
    assert find(stack, velocity=v, valid=np.zeros(SHAPE, bool)) == []


@pytest.mark.parametrize(("row", "column"), [(50, 0), (50, 109), (0, 55), (99, 55), (50, 4), (96, 55)])
def test_body_at_the_border_is_found_as_far_as_it_is_seen(make_stack, row, column):
    v = 30 * dome((row, column), 8)
    noise = make_noise(np.random.default_rng(1), 0.2)
    (body,) = find(make_stack(differences(v + noise), 0.2, smoothing=SMOOTHING))
    seen = on_image(body)
    assert seen[row, column]
    assert overlap(body, v > Rules().outline * 30) > 0.6
    assert body.velocity == pytest.approx(30, rel=0.2)
    # Only the axis along the border shows both patches where half of the body is cut off.
    if column in (0, 109):
        assert body.directions == ("north",)
    if row in (0, 99):
        assert body.directions == ("east",)


def test_nothing_known_is_nothing_found(make_stack):
    stack = make_stack(np.full((2, 30, 30), np.nan), smoothing=SMOOTHING)
    with pytest.raises(NoDataError):
        relative_velocity(stack)
    assert find(stack, velocity=np.full((30, 30), np.nan)) == []
    assert find(stack, velocity=np.full((30, 30), 50.0)) == []


@pytest.mark.parametrize("at", [(0, 0), (50, 55), (99, 109)])
def test_single_valid_pixels_stop_nothing(make_stack, at):
    v = 30 * plug((50, 55), (10, 10))[0] + 10
    stack = make_stack(differences(v), 0.3, smoothing=SMOOTHING)
    valid = np.zeros(SHAPE, bool)
    valid[at] = True
    assert find(stack, Rules(least_area_m2=0), velocity=v, valid=valid) == []
    valid[::5, ::5] = True
    assert find(stack, Rules(least_area_m2=0), velocity=v, valid=valid) == []


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 40), (40, 1)])
def test_tiny_scenes_stop_nothing(make_stack, shape):
    v = np.zeros(shape)
    v[shape[0] // 2, shape[1] // 2] = 50
    assert find(make_stack(differences(v), 0.3), Rules(least_area_m2=0), velocity=v) == []


def test_shapes_must_agree(make_stack):
    stack = make_stack(np.zeros((2, *SHAPE)))
    with pytest.raises(ValueError, match=r"^velocity must have shape \(100, 110\), instead got \(9, 9\)$"):
        find(stack, velocity=np.zeros((9, 9)))
    with pytest.raises(ValueError, match=r"^valid must have shape \(100, 110\), instead got \(9, 9\)$"):
        find(stack, velocity=np.zeros(SHAPE), valid=np.ones((9, 9), bool))
