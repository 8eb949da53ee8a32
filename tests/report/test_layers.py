import io
import math

import matplotlib
import numpy as np
import pytest
from PIL import Image

from groundshift.report.layers import (
    Bounds,
    Layer,
    colour_stops,
    hill_shade,
    make_layer,
    on_mercator,
    reduce_by,
    render_layer,
    round_limit,
    share_scales,
    to_mercator,
)


def rgba(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def test_a_picture_is_transparent_exactly_where_values_are_not_finite():
    values = np.array([[0.0, np.nan, 1.0], [np.inf, -np.inf, 0.5]], np.float32)
    for indexed in (False, True):
        alpha = rgba(render_layer(values, "viridis", 0, 1, indexed=indexed))[..., 3]
        np.testing.assert_array_equal(alpha, np.where(np.isfinite(values), 255, 0))


def test_ends_of_the_scale_have_the_end_colours_and_values_beyond_keep_them():
    image = rgba(render_layer(np.array([[-9.0, -2.0, 2.0, 9.0]]), "RdBu_r", -2, 2))
    low, high = (np.round(255 * np.array(matplotlib.colormaps["RdBu_r"](v)[:3])) for v in (0.0, 1.0))
    np.testing.assert_allclose(image[0, :2, :3], [low, low], atol=1)
    np.testing.assert_allclose(image[0, 2:, :3], [high, high], atol=1)


def test_palette_and_rgba_pictures_are_the_same():
    values = np.random.default_rng(0).normal(size=(40, 30))
    plain, small = (render_layer(values, "RdBu", -2, 2, indexed=i) for i in (False, True))
    assert Image.open(io.BytesIO(plain)).mode == "RGBA"
    np.testing.assert_array_equal(rgba(plain), rgba(small))
    assert len(small) < 0.6 * len(plain)


def test_one_slope_has_the_same_colour_as_phase_and_as_velocity():
    phase = np.linspace(-4, 4, 101)[None]
    radians = make_layer("gradient_radians", "g", phase)
    velocity = make_layer("velocity_gradient", "v", -phase, vmax=4.0)
    assert (radians.cmap, radians.vmin, radians.vmax, radians.unit) == ("RdBu_r", -4.0, 4.0, "rad")
    a, b = (rgba(render_layer(k.values, k.cmap, k.vmin, k.vmax)).astype(int) for k in (radians, velocity))
    np.testing.assert_allclose(a, b, atol=1)
    assert a[0, -1, 0] > a[0, -1, 2]  # phase grows away from the satellite, and away is red


def test_colour_stops_run_from_low_to_high():
    assert colour_stops("gray", 3) == ["#000000", "#808080", "#ffffff"]


@pytest.mark.parametrize(
    ("top", "limit"), [(0.9, 1.0), (1.0, 1.0), (1.3, 1.5), (34.0, 40.0), (500.0, 500.0), (801.0, 1000.0)]
)
def test_limits_are_round_and_hold_the_value(top, limit):
    assert round_limit(np.array([top, -top, np.nan])) == pytest.approx(limit)


def test_a_percentile_leaves_the_fastest_out():
    assert round_limit(np.array([*range(-60, 0), *[3000.0] * 5]), percentile=90.0) == 60.0


def test_the_limit_of_nothing_is_one():
    assert round_limit(np.full((2, 2), np.nan)) == 1.0


def test_flat_ground_has_the_sine_of_the_suns_elevation():
    shade = hill_shade(np.full((4, 5), 900.0), (30.0, 30.0), sun_elevation=30.0)
    np.testing.assert_allclose(shade, 0.5, atol=1e-6)


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 180.0, 270.0, 315.0])
def test_a_slope_that_faces_the_sun_is_brightest_and_its_back_is_dark(azimuth):
    y, x = np.mgrid[:6, :7] * 20.0
    towards = x * math.sin(math.radians(azimuth)) - y * math.cos(math.radians(azimuth))
    # A 45 degree slope that falls towards the sun stands square to a sun 45 degrees high.
    np.testing.assert_allclose(hill_shade(-towards, (20.0, 20.0), sun_azimuth=azimuth), 1.0, atol=1e-6)
    np.testing.assert_allclose(hill_shade(towards, (20.0, 20.0), sun_azimuth=azimuth), 0.0, atol=1e-6)


def test_shade_is_unknown_beside_unknown_heights():
    height = np.zeros((5, 5))
    height[2, 2] = np.nan
    assert np.isnan(hill_shade(height, (30.0, 30.0))[1, 2])
    assert np.isnan(hill_shade(np.zeros((1, 5)), (30.0, 30.0))).all()


def test_reducing_keeps_the_mean_of_whole_blocks():
    values = np.random.default_rng(0).normal(size=(12, 18)).astype(np.float32)
    np.testing.assert_allclose(reduce_by(values, 3), values.reshape(4, 3, 6, 3).mean(axis=(1, 3)), atol=1e-6)


def test_reducing_a_constant_changes_nothing_even_in_partial_blocks():
    np.testing.assert_allclose(reduce_by(np.full((7, 10), 2.5), 4), np.full((2, 3), 2.5))


def test_a_block_needs_half_of_its_pixels():
    values = np.array([[1.0, np.nan, 5.0, np.nan], [3.0, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(reduce_by(values, 2), [[2.0, np.nan]])


def test_mercator_metres_of_known_places():
    assert to_mercator(180.0, 0.0) == pytest.approx((20037508.342789, 0.0), abs=1e-5)
    assert to_mercator(0.0, 85.0511287798) == pytest.approx((0.0, to_mercator(0.0, 85.0)[1]))
    assert to_mercator(0.0, 45.0)[1] == pytest.approx(5621521.486192, abs=1e-5)


def test_a_parallel_stays_where_it_is_when_rows_are_bent_to_mercator():
    bounds = Bounds(10.0, 20.0, 30.0, 70.0)
    values = np.repeat((np.arange(1000) < 400).astype(np.float32)[:, None], 20, axis=1)  # the step is at 50 degrees
    png, (_, bottom, _, top) = on_mercator(Layer("l", values, "", 0, 1, "gray"), bounds, 1)
    bright = (rgba(png)[:, 0, 0] > 128).sum()
    step = top + bright / 1000 * (bottom - top)
    assert step == pytest.approx(to_mercator(0, 50.0)[1], abs=(top - bottom) / 1000)


def test_a_reduced_picture_covers_its_last_partial_block():
    bounds = Bounds(0.0, 0.0, 1.0, 1.0)
    _, (left, bottom, right, top) = on_mercator(Layer("l", np.zeros((10, 10)), "", 0, 1, "gray"), bounds, 4)
    assert (left, top) == pytest.approx(to_mercator(0.0, 1.0))
    assert (right, bottom) == pytest.approx(to_mercator(1.2, -0.2))


def test_errors_say_what_was_expected_and_received():
    with pytest.raises(ValueError, match=r"^layer 'l' must have shape \(y, x\), instead got \(3,\)$"):
        Layer("l", np.zeros(3), "", 0, 1, "gray")
    with pytest.raises(ValueError, match=r"^layer 'l' must have vmin < vmax, instead got 1 and 1$"):
        Layer("l", np.zeros((2, 2)), "", 1, 1, "gray")
    with pytest.raises(ValueError, match=r"^cmap must be a Matplotlib colour map such as RdBu_r, instead got 'jetty'$"):
        render_layer(np.zeros((2, 2)), "jetty", 0, 1)


def test_layers_that_share_a_scale_show_equal_values_in_equal_colours():
    small, large = (make_layer("velocity", n, np.array([[1.0, top]])) for n, top in (("small", 3.0), ("large", 40.0)))
    coherence = make_layer("coherence", "coherence", np.array([[0.5, 1.0]]))
    (first, other), (second,) = share_scales([[small, coherence], [large]])
    assert (first.vmin, first.vmax) == (second.vmin, second.vmax) == (large.vmin, large.vmax) == (-40.0, 40.0)
    assert (other.vmin, other.vmax) == (0.0, 1.0)
    a, b = (rgba(render_layer(k.values, k.cmap, k.vmin, k.vmax)) for k in (first, second))
    np.testing.assert_array_equal(a[0, 0], b[0, 0])
    assert [k.vmax for (k,) in share_scales([[small], [large]], named=True)] == [3.0, 40.0]


def test_scales_of_velocities_are_fitted_to_what_is_there_and_those_of_their_kind_stay():
    cut = [make_layer("velocity", "v", np.array([[top]]), vmax=20.0) for top in (2.0, 70.0)]
    significance = make_layer("significance", "s", np.array([[30.0]]))
    assert [k.vmax for some in share_scales([cut[:1]], fit=True) for k in some] == [2.0]
    assert [(k.vmin, k.vmax) for some in share_scales([cut], fit=True) for k in some] == [(-80.0, 80.0)] * 2
    assert share_scales([[significance]], fit=True)[0][0].vmax == 6.0
