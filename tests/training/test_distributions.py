import csv
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, stats

from groundshift.detect.planes import PLANES
from groundshift.training.distributions import BINS, LAGS, QUANTILES, compare, measure, tiles_of
from groundshift.training.samples import IGNORED, Sample


def a_sample(significance, sigma=1.0, known=None, coherence=0.5):
    """Make a sample of a map of significances, (2, y, x)."""
    shape = significance.shape[1:]
    planes = np.zeros((len(PLANES), *shape), np.float32)
    planes[0:2], planes[4:6] = significance, sigma
    planes[2:4] = planes[0:2] * planes[4:6]
    planes[6], planes[7] = coherence, 1
    planes *= np.ones(shape) if known is None else known
    return Sample(planes, np.zeros(shape, np.uint8), (), "s", "all", 40.0, -0.3, 20)


def noise(seed, shape=(64, 64)):
    return np.random.default_rng(seed).normal(size=(2, *shape))


def lags_of(figures, way):
    return [figures.values[f"correlation {way}", f"lag {lag}"] for lag in LAGS]


# One tile


def test_normal_noise_has_the_quantiles_of_the_half_normal_distribution_and_no_correlation():
    figures = measure(a_sample(noise(1, (400, 400)), sigma=3.0))
    for percent in QUANTILES:
        expected = stats.halfnorm.ppf(percent / 100)
        assert figures.values["significance", f"{percent} %"] == pytest.approx(expected, abs=0.02)
        assert figures.values["gradient", f"{percent} %"] == pytest.approx(3 * expected, abs=0.06)
        assert figures.values["sigma", f"{percent} %"] == 3.0
        assert figures.values["coherence", f"{percent} %"] == 0.5
    np.testing.assert_allclose([*lags_of(figures, "along"), *lags_of(figures, "across")], 0, atol=0.01)
    assert figures.values["kurtosis", "excess"] == pytest.approx(0, abs=0.03)
    assert figures.values["known", "share"] == 1
    edges = BINS["significance"]
    np.testing.assert_allclose(figures.shares["significance"], np.diff(stats.halfnorm.cdf(edges)), atol=0.003)


def test_uniform_values_have_the_kurtosis_of_the_uniform_distribution():
    values = np.random.default_rng(2).uniform(-3, 3, (2, 300, 300))
    assert measure(a_sample(values)).values["kurtosis", "excess"] == pytest.approx(-1.2, abs=0.02)


def test_differences_of_averages_correlate_as_theory_has_it():
    side = 4
    white = np.random.default_rng(3).normal(size=(600, 600))
    average = ndimage.uniform_filter(white, side)
    # Along the difference only the ends of the windows count, across it windows overlap less and less.
    differences = np.stack([np.diff(average, axis=0)[:, :-1], np.diff(average, axis=1)[:-1]])
    figures = measure(a_sample(differences))
    along = [-0.5 if lag == side else 0.0 for lag in LAGS]
    across = [max(0.0, 1 - lag / side) for lag in LAGS]
    np.testing.assert_allclose(lags_of(figures, "along"), along, atol=0.015)
    np.testing.assert_allclose(lags_of(figures, "across"), across, atol=0.015)


def test_a_transposed_or_reversed_map_has_the_same_figures():
    sample = a_sample(ndimage.gaussian_filter(noise(4), (0, 1, 3)), sigma=np.abs(noise(5)) + 0.1)
    order = [PLANES.index(f"{name}_{axis}") for name in ("significance", "gradient", "sigma") for axis in "xy"]
    turned = replace(sample, planes=sample.planes[[*order, 6, 7]].swapaxes(1, 2), labels=sample.labels.T)
    signs = np.array([-1, -1, -1, -1, 1, 1, 1, 1], np.float32)[:, None, None]
    expected = measure(sample)
    for other in (turned, replace(sample, planes=sample.planes * signs)):
        found = measure(other)
        assert found.values == pytest.approx(expected.values, rel=1e-6)
        for name in BINS:
            np.testing.assert_allclose(found.shares[name], expected.shares[name], atol=1e-6)


def test_nodes_without_data_do_not_count():
    known = np.random.default_rng(6).uniform(size=(64, 64)) < 0.7
    sample = a_sample(noise(7), known=known)
    planes = sample.planes.copy()
    planes[: PLANES.index("known"), ~known] = 1e6
    assert measure(replace(sample, planes=planes)).values == measure(sample).values
    assert measure(sample).values["known", "share"] == pytest.approx(known.mean())
    # A direction of its own may be unknown at a node that is known.
    planes = sample.planes.copy()
    planes[:6:2, :30] = 0
    half = measure(replace(sample, planes=planes)).values["significance", "5 %"]
    both = np.abs(np.concatenate([sample.planes[0, 30:][known[30:]], sample.planes[1][known]]))
    assert half == pytest.approx(np.percentile(both, 5), rel=1e-6)


def test_a_tile_with_hardly_any_data_has_no_figures_but_the_share_of_them():
    known = np.zeros((64, 64))
    known[:10, :10] = 1
    figures = measure(a_sample(noise(8), known=known))
    assert figures.values.pop(("known", "share")) == pytest.approx(100 / 64**2)
    assert np.isnan(list(figures.values.values())).all()
    assert all(np.isnan(shares).all() for shares in figures.shares.values())


def test_what_lies_beyond_the_histograms_falls_into_the_outer_bins():
    figures = measure(a_sample(np.full((2, 20, 20), 40.0), sigma=1e-4))
    assert figures.shares["significance"][-1] == 1
    assert figures.shares["sigma"][0] == 1
    assert figures.shares["gradient"][0] == 1


def test_bodies_cover_what_is_labelled_and_judged():
    sample = a_sample(noise(9))
    sample.labels[:16], sample.labels[16:24], sample.labels[24:32] = 1, 2, IGNORED
    assert measure(sample).moving == pytest.approx(24 / 64)


# Tiles


@pytest.mark.parametrize(
    ("shape", "side", "places"),
    [
        ((64, 64), (64, 64), [(0, 0)]),
        ((40, 30), (64, 64), [(0, 0)]),
        ((64, 100), (32, 40), [(0, 0), (0, 60), (32, 0), (32, 60)]),
        ((10, 100), (10, 10), [(0, 0), (0, 30), (0, 60), (0, 90)]),
    ],
)
def test_tiles_reach_from_corner_to_corner(shape, side, places):
    sample = a_sample(noise(10, shape))
    tiles = list(tiles_of(sample, side))
    assert len(tiles) == len(places)
    for tile, (top, left) in zip(tiles, places, strict=True):
        np.testing.assert_array_equal(tile.planes, sample.planes[:, top : top + side[0], left : left + side[1]])
        assert tile.labels.shape == tile.planes.shape[1:]


def test_tiles_without_data_are_left_out():
    known = np.ones((64, 64))
    known[32:, 32:] = 0
    assert len(list(tiles_of(a_sample(noise(11), known=known), (32, 32)))) == 3


# Comparison


@pytest.fixture(scope="module")
def alike():
    simulated = [measure(a_sample(noise(k, (40, 40)))) for k in range(300)]
    real = {f"r{k} all": [measure(a_sample(noise(1000 + k, (40, 40))))] for k in range(40)}
    return compare(simulated, real, (40, 40))


def test_of_maps_alike_a_tenth_lies_outside(alike):
    varied = [row for row in alike.rows if row.simulated[0] < row.simulated[2]]
    outside = sum(len(row.outside) for row in varied) / sum(len(row.real) for row in varied)
    assert len(varied) >= len(QUANTILES) + 2 * len(LAGS)
    assert 0.06 < outside < 0.14
    for row in varied:
        assert np.mean(list(row.below.values())) == pytest.approx(0.5, abs=0.2)


def test_noise_that_is_larger_lies_outside_in_its_size_and_not_in_its_shape():
    simulated = [measure(a_sample(noise(k, (40, 40)))) for k in range(100)]
    tiles = [measure(a_sample(2 * noise(100 + k, (40, 40)))) for k in range(3)]
    found = compare(simulated, {"large all": tiles}, (40, 40))
    rows = {(row.quantity, row.statistic): row for row in found.rows}
    for percent in QUANTILES:
        row = rows["significance", f"{percent} %"]
        assert row.outside == ["large all"]
        assert row.below == {"large all": 1.0}
        middle = sorted(tile.values["significance", f"{percent} %"] for tile in tiles)[1]
        assert row.real["large all"] == middle
    assert rows["coherence", "50 %"].outside == rows["known", "share"].outside == []
    kurtosis = rows["kurtosis", "excess"]
    np.testing.assert_allclose(
        kurtosis.simulated, np.percentile([t.values["kurtosis", "excess"] for t in simulated], (5, 50, 95))
    )
    assert abs(kurtosis.real["large all"]) < 0.2
    mean = np.mean([tile.shares["significance"] for tile in tiles], axis=0)
    np.testing.assert_allclose(found.real_histograms["significance"]["large all"], mean)


def test_the_table_lists_what_lies_outside_furthest_first(alike):
    lines = alike.table().splitlines()
    rows = [row for row in alike.rows if row.outside]
    assert lines[0].startswith(
        f"{sum(len(row.outside) for row in rows)} of {len(alike.rows) * 40} figures of real maps"
    )
    assert "300 simulated tiles of at most 40 x 40 nodes" in lines[0]
    assert {tuple(line[:30].split()) for line in lines[2:]} == {
        (*row.quantity.split(), *row.statistic.split()) for row in rows
    }

    def distance(row):
        low, _, high = row.simulated
        values = np.array(list(row.real.values()))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nanmax(np.maximum(low - values, values - high) / (high - low))

    first = max(rows, key=distance)
    assert lines[2].startswith(first.quantity)
    assert f"{len(first.outside)} of 40: {', '.join(first.outside[:3])}" in lines[2]


def test_without_real_maps_the_table_says_so():
    found = compare([measure(a_sample(noise(1)))], {}, (64, 64))
    assert found.table() == "1 simulated tile of at most 64 x 64 nodes; no real map to hold against them\n"


def test_the_csv_holds_all_figures_and_histograms(alike):
    lines = list(csv.DictReader(alike.to_csv().splitlines()))
    figures = {(line["quantity"], line["statistic"]): line for line in lines if line["unit"] != "share"}
    assert len(figures) == len(alike.rows)
    for row in alike.rows:
        line = figures[row.quantity, row.statistic]
        assert [float(line[f"simulated {p} %"]) for p in (5, 50, 95)] == pytest.approx(row.simulated, rel=1e-4)
        assert {name: float(line[name]) for name in alike.maps} == pytest.approx(row.real, rel=1e-4)
    bins = [line for line in lines if line["unit"] == "share"]
    assert len(bins) == sum(edges.size - 1 for edges in BINS.values())
    for quantity in BINS:
        total = sum(float(line["r0 all"]) for line in bins if line["quantity"] == quantity)
        assert total == pytest.approx(1, rel=1e-4)
    assert {line["unit"] for line in lines if line["quantity"] == "sigma"} == {"mm/yr per 40 m", "share"}


def test_a_real_map_without_enough_data_is_empty_and_never_outside():
    known = np.zeros((40, 40))
    known[0, 0] = 1
    simulated = [measure(a_sample(noise(k, (40, 40)))) for k in range(20)]
    found = compare(simulated, {"bare all": [measure(a_sample(noise(1, (40, 40)), known=known))]}, (40, 40))
    assert [row.quantity for row in found.rows if row.outside] == ["known"]
    line = next(line for line in csv.DictReader(found.to_csv().splitlines()) if line["quantity"] == "kurtosis")
    assert line["bare all"] == ""
    assert found.facts()["maps"] == ["bare all"]
