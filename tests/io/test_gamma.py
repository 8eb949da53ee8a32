import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.products import gamma as radar_product
from tests.products import gamma_map as map_product
from tests.products.scene import make_scene

from groundshift.errors import DamagedFileError, NoDataError, ProductError
from groundshift.geometry.lookup import invert_lookup
from groundshift.io import gamma
from groundshift.io.gamma_par import map_grid, perpendicular_baseline, read_parameters
from groundshift.types import MapGrid, Pair, RadarGrid, Window

DATA = Path(os.environ.get("GROUNDSHIFT_DATA", ""))
real = [
    pytest.mark.real,
    pytest.mark.skipif("GROUNDSHIFT_DATA" not in os.environ, reason="GROUNDSHIFT_DATA is not set"),
]


@pytest.fixture
def scene():
    return make_scene()


@pytest.fixture
def radar(scene, tmp_path):
    return radar_product.write(tmp_path, scene)


def each(folder, pattern):
    found = sorted(folder.rglob(pattern))
    assert found
    return found


def test_radar_grid_has_the_spacing_on_the_ground(radar, scene):
    stack = gamma.open_stack(radar)
    assert isinstance(stack.grid, RadarGrid)
    # A slant range pixel of 9.318248 m covers 1 / sin(incidence) of it on the ground.
    assert stack.grid.spacing == pytest.approx((13.98359, 9.318248 / np.sin(np.radians(37.3))))
    assert stack.look.heading == pytest.approx(190.2)
    assert stack.look.right_looking
    assert stack.look.direction == "descending"


def test_left_looking_radar(radar):
    (file,) = each(radar, "*.rmli.par")
    file.write_text(file.read_text().replace(" 90.0000", "-90.0000"))
    assert not gamma.open_stack(radar).look.right_looking


def test_map_grid_puts_the_corner_at_the_centre_of_the_first_pixel(tmp_path, scene):
    stack = gamma.open_stack(map_product.write(tmp_path, scene))
    assert isinstance(stack.grid, MapGrid)
    np.testing.assert_allclose(stack.grid.lonlat(0.0, 0.0), (101.9505, 30.8595), atol=1e-9)


def test_utm_map(tmp_path):
    par = tmp_path / "seg.dem_par"
    par.write_text(
        "DEM_projection:     UTM\nwidth: 30\nnlines: 40\ncorner_north: 3416000.0 m\ncorner_east: 210000.0 m\n"
        "post_north: -40.0 m\npost_east: 40.0 m\nprojection_zone: 48\nfalse_northing: 0.000 m\n"
    )
    grid = map_grid(read_parameters(par))
    assert grid.crs == "EPSG:32648"
    assert (grid.transform.c, grid.transform.f) == (209_980, 3_416_020)
    par.write_text(par.read_text().replace("false_northing: 0.000", "false_northing: 10000000.000"))
    assert map_grid(read_parameters(par)).crs == "EPSG:32748"
    par.write_text(par.read_text().replace("UTM", "PS"))
    with pytest.raises(ProductError, match=r"projection PS is not read; geocode to EQA or UTM$"):
        map_grid(read_parameters(par))


def test_magnitude_within_one_is_taken_as_coherence(radar, scene):
    for file, layer in zip(each(radar, "*.diff.sm"), scene.layers, strict=True):
        layer.igram.astype(">c8").tofile(file)
    for file in each(radar, "*.cc"):
        file.unlink()
    stack = gamma.open_stack(radar)
    assert stack.coherence_source == "product"
    for pair, layer in zip(stack.pairs, scene.layers, strict=True):
        np.testing.assert_array_equal(stack.read(pair), layer.igram)


def test_magnitude_a_little_above_one_is_one(radar, scene):
    """Filters overshoot: a coherence of 1.0005 still is one."""
    for file, layer in zip(each(radar, "*.diff.sm"), scene.layers, strict=True):
        igram = layer.igram.copy()
        igram[10, 10] *= np.float32(1.0005) / np.abs(igram[10, 10])
        igram.astype(">c8").tofile(file)
    for file in each(radar, "*.cc"):
        file.unlink()
    stack = gamma.open_stack(radar)
    assert stack.coherence_source == "product"
    igram = stack.read(stack.pairs[0])
    assert np.abs(igram[10, 10]) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(np.angle(igram[10, 10] * scene.layers[0].igram[10, 10].conj()), 0, atol=1e-6)


@pytest.mark.parametrize("magnitude", [3000.0, 1.0])
def test_magnitude_that_is_no_coherence_is_replaced_by_an_estimate(radar, scene, magnitude):
    """Intensities, and phasors of length one, say nothing about coherence; the phase itself is smooth."""
    for file, layer in zip(each(radar, "*.diff.sm"), scene.layers, strict=True):
        (np.where(layer.valid, magnitude, 0) * np.exp(1j * layer.unwrapped)).astype(">c8").tofile(file)
    for file in each(radar, "*.cc"):
        file.unlink()
    stack = gamma.open_stack(radar)
    assert stack.coherence_source == "estimated"
    for pair, layer in zip(stack.pairs, scene.layers, strict=True):
        igram = stack.read(pair)
        np.testing.assert_array_equal(igram != 0, layer.valid)
        np.testing.assert_allclose(np.angle(igram * layer.igram.conj())[layer.valid], 0, atol=1e-4)
        assert np.abs(igram[layer.valid]).min() > 0.95
        for window in (Window(7, 4, 9, 11), Window(39, 0, 1, 30)):
            np.testing.assert_array_equal(stack.read(pair, window), igram[window.rows, window.columns])


def test_last_step_of_processing_is_read_when_all_are_there(radar, scene):
    for file in each(radar, "*.diff.sm"):
        raw = np.fromfile(file, ">c8")
        (raw * np.exp(1j)).astype(">c8").tofile(file.with_suffix(""))
        np.angle(raw).astype(">f4").tofile(file.with_suffix("").with_suffix(".unw"))
        file.with_name(file.name + ".bmp").write_bytes(b"BM")
    stack = gamma.open_stack(radar)
    assert all(files[0].name.endswith(".diff.sm") for files in stack.files.values())
    assert stack.problems == ()


def test_pair_that_lacks_the_last_step_is_named(radar):
    files = each(radar, "*.diff.sm")
    files[1].rename(files[1].with_suffix(""))
    stack = gamma.open_stack(radar)
    assert len(stack.pairs) == 3
    assert [p.message for p in stack.problems] == [
        f"{files[1].with_suffix('')}: the other pairs are read from diff.sm files; make one for this pair too"
    ]


def test_folder_of_the_interferograms_alone_finds_parameters_above(radar):
    for file in each(radar, "*.rmli.par"):
        file.rename(radar / file.name)
    inner, outer = gamma.open_stack(radar / "diff"), gamma.open_stack(radar)
    assert gamma.recognises(radar / "diff")
    assert [p.name for p in inner.pairs] == [p.name for p in outer.pairs]
    np.testing.assert_array_equal(inner.grid.longitude, outer.grid.longitude)


def test_without_lookup_table_the_stack_opens_and_says_so(radar):
    each(radar, "*.lt_fine")[0].unlink()
    stack = gamma.open_stack(radar)
    assert stack.grid.longitude is None
    assert stack.read_height is None
    assert [(p.skipped, p.message) for p in stack.problems] == [
        (
            False,
            f"{radar}: no lookup table with its dem_par, so no position is known; add the .lt_fine and .dem_par files",
        )
    ]


def test_size_may_come_from_an_offset_file(radar, scene):
    (par,) = each(radar, "*.rmli.par")
    text = par.read_text()
    par.write_text("\n".join(line for line in text.splitlines() if not line.startswith(("range_s", "azimuth_l"))))
    (radar / "20180702_20180714.off").write_text(
        "interferogram_width:                   30\n"
        "interferogram_azimuth_lines:           40\n"
        "interferogram_range_pixel_spacing:       9.318248   m\n"
        "interferogram_azimuth_pixel_spacing:    13.983590   m\n"
    )
    stack = gamma.open_stack(radar)
    assert stack.grid.shape == (40, 30)
    assert stack.grid.spacing == pytest.approx((13.98359, 9.318248 / np.sin(np.radians(37.3))))


def test_table_of_base_perp_goes_before_the_baseline_vector(radar):
    table = "line range B_t B_c B_n look bpara bperp blen\n" + "".join(
        f"  {line}  0   0.0000    39.4441     4.4393    27.496918     22.1492     {value:.4f}     39.6932\n"
        for line, value in enumerate((30.0, 32.0, 34.0))
    )
    (radar / "20180702_20180714_bperp.par").write_text(table)
    assert gamma.open_stack(radar).pairs[0].perpendicular_baseline == pytest.approx(32.0)


@pytest.mark.parametrize(
    ("gone", "line"),
    [
        (
            "radar_frequency",
            "no radar_frequency in any parameter file tells the wavelength; add an .slc.par or .mli.par",
        ),
        (
            "incidence_angle",
            "no incidence_angle in any parameter file, so the ground range is unknown; add an .slc.par or .mli.par",
        ),
        (
            "range_samples",
            None,
        ),
    ],
)
def test_missing_parameters_are_named(radar, gone, line):
    (par,) = each(radar, "*.rmli.par")
    par.write_text("\n".join(row for row in par.read_text().splitlines() if not row.startswith(gone)))
    with pytest.raises(ProductError) as caught:
        gamma.open_stack(radar)
    first = radar / "diff" / "20180702_20180714.diff.sm"
    expected = f"{radar}: {line}"
    if line is None:
        expected = (
            f"{first}: 9600 bytes fit no size in EQA.dem_par; fetch the file again or put the right .par beside it"
        )
    assert str(caught.value) == expected


def test_no_parameter_file_at_all(radar):
    for file in (*each(radar, "*.par"), *each(radar, "*_par")):
        file.unlink()
    assert not gamma.recognises(radar)
    with pytest.raises(
        ProductError,
        match=r"no \.rmli\.par, \.diff_par, \.off or dem_par here tells the width; put one beside the rasters$",
    ):
        gamma.open_stack(radar)


def test_damaged_spacing_is_named(radar):
    (par,) = each(radar, "*.rmli.par")
    par.write_text(par.read_text().replace("9.318248", "wide"))
    with pytest.raises(DamagedFileError) as caught:
        gamma.open_stack(radar)
    assert str(caught.value) == f"{par}: no pixel spacing; restore the file"


def test_coherence_of_the_wrong_size_is_named(radar):
    victim = each(radar, "*.cc")[2]
    victim.write_bytes(victim.read_bytes()[:-4])
    stack = gamma.open_stack(radar)
    assert len(stack.pairs) == 3
    assert [p.message for p in stack.problems] == [
        f"{victim}: expected 4800 bytes (40 x 30 pixels), instead got 4796; fetch the file again or remove it"
    ]


def test_file_shortened_after_opening_is_named_when_read(radar):
    stack = gamma.open_stack(radar)
    victim = stack.files[stack.pairs[0]][0]
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(DamagedFileError) as caught:
        stack.read(stack.pairs[0], Window(0, 0, 2, 30))
    assert str(victim) in str(caught.value)


def test_window_reads_only_its_rows(radar, scene, monkeypatch):
    """No more bytes are asked for than the rows of the window have."""
    stack = gamma.open_stack(radar)
    asked = []
    whole = np.fromfile

    def counted(path, dtype, **options):
        asked.append(options["count"])
        return whole(path, dtype, **options)

    monkeypatch.setattr(np, "fromfile", counted)
    stack.read(stack.pairs[0], Window(10, 5, 3, 4))
    assert asked == [90, 90]


def test_folder_of_problems_only_gives_the_first(tmp_path, scene):
    bad = replace(scene, layers=scene.reversed(0).layers[:1])
    path = radar_product.write(tmp_path, bad)
    with pytest.raises(NoDataError, match=r"20180714_20180702\.diff\.sm: dates 2018-07-14 and 2018-07-02"):
        gamma.open_stack(path)


@pytest.fixture(scope="module")
def danba():
    return gamma.open_stack(DATA / "danba", strict=True)


class TestDanba:
    pytestmark = real

    def test_pairs_and_dates(self, danba):
        assert gamma.recognises(DATA / "danba")
        assert len(danba.pairs) == 201
        assert (str(danba.dates[0]), danba.grid.shape) == ("2016-01-01", (101, 175))
        assert {p.days for p in danba.pairs} <= set(range(12, 97))
        assert danba.coherence_source == "product"
        assert danba.wavelength == pytest.approx(0.0554658, abs=1e-7)
        assert danba.look.direction == "descending"
        assert danba.grid.spacing == pytest.approx((13.98, 15.38), abs=0.01)

    def test_dates_fall_into_two_groups(self, danba):
        groups: list[set] = []
        for pair in danba.pairs:
            joined = {pair.reference, pair.secondary}.union(
                *(g for g in groups if g & {pair.reference, pair.secondary})
            )
            groups = [g for g in groups if not g & joined] + [joined]
        years = sorted({d.year for d in group} for group in groups)
        assert sorted(map(sorted, years)) == [[2016], [2018, 2019]]

    def test_reads_what_the_files_hold(self, danba):
        for pair in danba.pairs[::40]:
            raw = np.fromfile(DATA / "danba" / "diff" / f"{pair.name}.diff.ml.sm", ">c8").reshape(101, 175)
            window = Window(20, 33, 30, 50)
            np.testing.assert_array_equal(danba.read(pair, window), raw[window.rows, window.columns])

    def test_lies_where_the_scene_is(self, danba):
        lon, lat = danba.grid.lonlat(50.0, 87.0)
        assert (lon, lat) == pytest.approx((101.97, 30.84), abs=0.04)
        known = np.isfinite(danba.grid.longitude)
        assert known.mean() > 0.95
        heights = danba.read_height(danba.full)
        assert np.nanmin(heights) >= 1795
        assert np.nanmax(heights) <= 3217

    def test_positions_agree_with_the_table_they_are_inverted_from(self, danba):
        """The table at the found position gives the radar pixel again, outside layover to a tenth of a pixel."""
        table = np.fromfile(DATA / "danba" / "20190109.lt_fine", ">c8").reshape(184, 495)
        grid = map_grid(read_parameters(DATA / "danba" / "EQA.dem_par"))
        t = grid.transform
        map_x = (danba.grid.longitude - t.c) / t.a - 0.5
        map_y = (danba.grid.latitude - t.f) / t.e - 0.5
        y, x = np.nonzero(np.isfinite(map_x))
        i, j = np.clip(np.rint(map_y[y, x]).astype(int), 0, 183), np.clip(np.rint(map_x[y, x]).astype(int), 0, 494)
        # The nearest entry of the table is at most half a map pixel, that is about half a radar pixel, away.
        off = np.hypot(table.imag[i, j] - y, table.real[i, j] - x)
        assert np.median(off) < 0.6
        assert np.percentile(off, 95) < 2.0

    def test_inversion_keeps_smooth_fields(self):
        """Radar coordinates themselves come back as the coordinates of each radar pixel."""
        table = np.fromfile(DATA / "danba" / "20190109.lt_fine", ">c8").reshape(184, 495).astype(complex)
        back = invert_lookup(table.imag, table.real, np.stack([table.imag, table.real]), (101, 175))
        y, x = np.mgrid[:101, :175]
        known = np.isfinite(back[0])
        np.testing.assert_allclose(back[0][known], y[known], atol=1e-4)
        np.testing.assert_allclose(back[1][known], x[known], atol=1e-4)

    def test_folder_of_interferograms_alone(self, danba):
        inner = gamma.open_stack(DATA / "danba" / "diff")
        assert inner.pairs == danba.pairs
        np.testing.assert_array_equal(inner.grid.latitude, danba.grid.latitude)


class TestSydney:
    pytestmark = real

    def test_opens_without_coherence_beside_it(self):
        stack = gamma.open_stack(DATA / "sydney" / "gamma", strict=True)
        assert len(stack.pairs) == 17
        assert len(stack.dates) == 13
        assert stack.grid.shape == (72, 47)
        assert stack.grid.axis_names == ("north", "east")
        assert stack.coherence_source == "estimated"
        assert stack.wavelength == pytest.approx(0.0562, abs=1e-4)
        assert stack.look.incidence == pytest.approx(22.9671)
        assert stack.read_height(Window(0, 0, 72, 47)).max() == 371
        assert all(p.perpendicular_baseline is not None for p in stack.pairs)

    def test_is_the_geotiff_beside_it(self):
        """The same interferogram was exported to GeoTIFF: phase agrees everywhere, wrapped again."""
        stack = gamma.open_stack(DATA / "sydney" / "gamma")
        for pair in stack.pairs[::5]:
            name = f"geo_{pair.reference:%y%m%d}-{pair.secondary:%y%m%d}_unw.tif"
            with rasterio.open(DATA / "sydney" / "tif" / name) as source:
                unw = source.read(1)
            igram = stack.read(pair)
            assert ((igram != 0) == (unw != 0)).all()
            both = igram != 0
            np.testing.assert_allclose(np.angle(igram[both] * np.exp(-1j * unw[both])), 0, atol=1e-4)

    def test_coherence_is_found_in_a_folder_of_its_own(self):
        stack = gamma.open_stack(DATA / "sydney")
        assert stack.coherence_source == "product"
        pair = stack.pairs[0]
        coherence = np.fromfile(DATA / "sydney" / "coherence" / "20060619-20061002_utm.unw.cc", ">f4").reshape(72, 47)
        igram = stack.read(pair)
        np.testing.assert_allclose(np.abs(igram)[igram != 0], coherence[igram != 0], atol=1e-6)


@pytest.mark.real
@pytest.mark.skipif("GROUNDSHIFT_DATA" not in os.environ, reason="GROUNDSHIFT_DATA is not set")
def test_baseline_vector_gives_what_base_perp_printed():
    """At the image centre the formula agrees with GAMMA's own table for all pairs of Mexico City."""
    folder = DATA / "mexico_city"
    pars = [read_parameters(folder / "r20180106_VV_slc.par")]
    for file in sorted((folder / "geometry").glob("*_base.par")):
        table = Path(str(file).replace("_base.par", "_bperp.par"))
        by_vector, by_table = (perpendicular_baseline(f, pars) for f in (file, table))
        assert by_vector == pytest.approx(by_table, abs=0.5)


def test_pair_is_known_by_its_dates_alone(radar):
    stack = gamma.open_stack(radar)
    layer = make_scene().layers[0]
    pair = stack.pairs[0]
    assert (pair.reference, pair.secondary) == (layer.first, layer.second)
    assert pair == Pair(layer.first, layer.second, pair.perpendicular_baseline)
