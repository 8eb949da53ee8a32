from dataclasses import replace

import numpy as np
import pytest
from matplotlib.contour import QuadContourSet

from groundshift.detect.planes import PLANES
from groundshift.training.distributions import BINS, LAGS, compare, measure
from groundshift.training.gallery import best_piece, distributions_figure, gallery_figure
from groundshift.training.samples import IGNORED, Body, Sample


def a_sample(seed, shape=(40, 50), scene="s", bodies=()):
    rng = np.random.default_rng(seed)
    planes = rng.normal(size=(len(PLANES), *shape)).astype(np.float32)
    planes[4:6] = np.abs(planes[4:6]) + 0.1
    planes[6] = rng.uniform(size=shape)
    planes[7] = rng.uniform(size=shape) < 0.8
    planes[:7] *= planes[7]
    labels = np.zeros(shape, np.uint8)
    for number in range(1, len(bodies) + 1):
        labels[10 * number : 10 * number + 5, 5:20] = number
    found = tuple(Body(velocity, abs(velocity), 400, 200, "steady") for velocity in bodies)
    return Sample(planes, labels, found, scene, "all", 40.0, -0.3, 20)


def panels(figure, columns=5):
    """Axes of the maps, row by row, after those of the colour bars."""
    return np.reshape(figure.axes[columns:], (-1, columns))


def test_every_map_is_drawn_as_it_is_and_all_on_the_same_scales():
    samples = [a_sample(1), a_sample(2, (30, 64)), a_sample(3, bodies=(-20.0, 30.0))]
    rows = panels(gallery_figure(samples[:1], samples[1:]))
    assert rows.shape == (3, 5)
    for sample, row in zip(samples, rows, strict=True):
        plane = dict(zip(PLANES, sample.planes, strict=True))
        expected = [
            plane["significance_y"],
            plane["significance_x"],
            (plane["sigma_y"] + plane["sigma_x"]) / 2,
            plane["coherence"],
            np.hypot(plane["significance_y"], plane["significance_x"]),
        ]
        for axes, values in zip(row, expected, strict=True):
            shown = axes.images[0].get_array()
            np.testing.assert_array_equal(np.ma.getmaskarray(shown), plane["known"] == 0)
            np.testing.assert_allclose(shown.compressed(), values[plane["known"] > 0], rtol=1e-6)
    for column in rows.T:
        assert len({axes.images[0].get_clim() for axes in column}) == 1
        assert len({axes.images[0].get_cmap().name for axes in column}) == 1
    assert [row[0].get_ylabel().split(":")[0] for row in rows] == ["real", "simulated", "simulated"]
    assert rows[1][0].get_ylabel().endswith("1.2 x 2.6 km")


def test_truth_is_outlined_by_the_way_it_moves_and_only_where_it_is_known():
    truth = a_sample(1, bodies=(-20.0, 30.0))
    truth.labels[35:, 40:] = IGNORED
    rows = panels(gallery_figure([truth], [truth]))
    assert not any(isinstance(artist, QuadContourSet) for axes in rows[0] for artist in axes.collections)
    away, towards, ignored = rows[1][-1].collections
    for contour, place in ((away, (10, 15)), (towards, (20, 25)), (ignored, (35, 40))):
        corners = np.concatenate([path.vertices for path in contour.get_paths()])
        assert corners[:, 1].min() == pytest.approx(place[0] - 0.5, abs=0.51)
        assert corners[:, 1].max() == pytest.approx(place[1] - 0.5, abs=0.51)
    (red, _, blue, _), (other_red, _, other_blue, _) = away.get_edgecolor()[0], towards.get_edgecolor()[0]
    assert red > blue
    assert other_blue > other_red
    assert ignored.hatches == ["/////"]


def test_names_are_written_as_they_are():
    figure = gallery_figure([], [a_sample(1, scene="$a_b$")])
    figure.canvas.draw()
    assert "$a_b$" in panels(figure)[0][0].get_ylabel()


def test_the_piece_drawn_is_the_one_with_most_data():
    sample = a_sample(4, (30, 44))
    known = np.random.default_rng(5).uniform(size=(30, 44)) < np.linspace(0, 1, 44)
    sample = replace(sample, planes=sample.planes * known)
    best = max(
        sample.planes[7, top : top + 12, left : left + 12].sum() for top in range(19) for left in range(33)
    )  # fmt: skip
    piece = best_piece(sample, 12)
    assert piece.planes.shape == (8, 12, 12)
    assert piece.planes[7].sum() == best
    whole = best_piece(sample, 64)
    np.testing.assert_array_equal(whole.planes, sample.planes)
    full = best_piece(replace(sample, planes=np.ones_like(sample.planes), labels=np.arange(1320).reshape(30, 44)), 10)
    assert full.labels[0, 0] == 10 * 44 + 17


@pytest.fixture(scope="module")
def compared():
    simulated = [measure(a_sample(k)) for k in range(30)]
    real = {f"{track} {window}": [measure(a_sample(100 + k))] for k, (track, window) in enumerate(
        (t, w) for t in ("north", "south") for w in ("all", "wet")
    )}  # fmt: skip
    return compare(simulated, real, (40, 50))


def test_distributions_show_the_spread_and_each_real_map_upon_it(compared):
    figure = distributions_figure(compared)
    figure.canvas.draw()
    histograms, rest = figure.axes[:4], figure.axes[4:]
    for axes, (quantity, edges) in zip(histograms, BINS.items(), strict=True):
        band, median, *real = [patch.get_data() for patch in axes.patches]
        np.testing.assert_array_equal(band.values, compared.histograms[quantity][2])
        np.testing.assert_array_equal(band.baseline, compared.histograms[quantity][0])
        np.testing.assert_array_equal(median.values, compared.histograms[quantity][1])
        assert len(real) == 4
        for name, shown in zip(compared.maps, real, strict=True):
            np.testing.assert_array_equal(shown.values, compared.real_histograms[quantity][name])
            np.testing.assert_array_equal(shown.edges, edges)
    for axes, way in zip(rest[:2], ("along", "across"), strict=True):
        rows = [row for row in compared.rows if row.quantity == f"correlation {way}"]
        drawn = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == len(LAGS)]
        expected = [[row.simulated[1] for row in rows]] + [[row.real[name] for row in rows] for name in compared.maps]
        np.testing.assert_allclose(drawn, expected)
    for axes, quantity in zip(rest[2:], ("kurtosis", "known"), strict=True):
        row = next(row for row in compared.rows if row.quantity == quantity)
        drawn = [line.get_xdata()[0] for line in axes.lines]
        np.testing.assert_allclose(drawn, [row.simulated[1], *row.real.values()])
        low, high = axes.get_xlim()
        assert low <= min(row.simulated[0], *drawn)
        assert high >= max(row.simulated[2], *drawn)


def test_tracks_have_colours_of_their_own_and_whole_stacks_thick_lines(compared):
    figure = distributions_figure(compared)
    real = figure.axes[0].patches[2:]
    colours, widths = [tuple(p.get_edgecolor()) for p in real], [p.get_linewidth() for p in real]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert widths[0] == widths[2] > widths[1] == widths[3]
    assert [text.get_text() for text in figure.legends[0].get_texts()][2:] == ["real: north", "real: south"]
