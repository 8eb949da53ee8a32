import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.io.radar_scene import COLUMNS, INTERVAL, LAT, LINES, LON, NEAR, RADIUS, SPACING, RadarScene, make_radar_scene
from tests.products_slc import gamma as writer
from tests.products_slc.scene import make_slc_scene

from groundshift.errors import NoDataError, ProductError
from groundshift.io import slc_gamma
from groundshift.io.gamma_ground import orbit_of
from groundshift.io.gamma_par import read_parameters
from groundshift.types import Looks, Window

SCENE = make_slc_scene()
START = writer.NOON - (LINES - 1) / 2 * INTERVAL


@pytest.fixture(scope="module")
def radar() -> RadarScene:
    return make_radar_scene()


def edit(path: Path, **values: object) -> None:
    """Put other values behind keys of a parameter file."""
    text = path.read_text()
    for key, value in values.items():
        text, count = re.subn(rf"^{key}:.*$", f"{key}: {value}", text, flags=re.MULTILINE)
        assert count == 1
    path.write_text(text)


def write_radar(folder: Path, radar: RadarScene, looks: Looks) -> Path:
    """Write the scene with a map of ten metres, whose lookup counts pixels after `looks`."""
    (folder / "rslc").mkdir(parents=True)
    (folder / "geo").mkdir()
    for number, layer in enumerate(radar.layers):
        path = folder / "rslc" / f"{layer.name}.rslc"
        radar.image(layer).astype(">c8").tofile(path)
        par = path.with_name(f"{path.name}.par")
        writer.write_par(par, radar.scene, layer)
        # Each date has its own clock; only that of the image with the looks is compared with the lookup.
        edit(par, near_range_slc=NEAR, range_pixel_spacing=SPACING, start_time=START + 0.7 * number)
    mli = folder / "geo" / "20180702.mli.par"
    writer.write_par(mli, radar.scene, radar.layers[0])
    edit(
        mli,
        range_looks=8,
        azimuth_looks=2,
        range_samples=COLUMNS // 8,
        azimuth_lines=LINES // 2,
        near_range_slc=NEAR + 3.5 * SPACING,
        range_pixel_spacing=8 * SPACING,
        start_time=START + 0.5 * INTERVAL,
        azimuth_line_time=2 * INTERVAL,
        image_format="FLOAT",
    )
    size = int(2 * RADIUS / 1e-4)
    lat, lon = np.mgrid[LAT + RADIUS : LAT - RADIUS : size * 1j, LON - RADIUS : LON + RADIUS : size * 1j]
    line, column = radar.pixel(radar.position(lon, lat))
    line, column = (line - (looks.y - 1) / 2) / looks.y, (column - (looks.x - 1) / 2) / looks.x
    (column + 1j * line).astype(">c8").tofile(folder / "geo" / "20180702.lt_fine")
    radar.terrain(lon, lat).astype(">f4").tofile(folder / "geo" / "EQA.dem")
    (folder / "geo" / "EQA.dem_par").write_text(
        f"DEM_projection:     EQA\ndata_format:        REAL*4\nwidth: {size}\nnlines: {size}\n"
        f"corner_lat: {lat[0, 0]:.10f}  decimal degrees\ncorner_lon: {lon[0, 0]:.10f}  decimal degrees\n"
        f"post_lat: {lat[1, 0] - lat[0, 0]:.12e}  decimal degrees\n"
        f"post_lon: {lon[0, 1] - lon[0, 0]:.12e}  decimal degrees\n"
    )
    return folder


@pytest.mark.parametrize("looks", [Looks(1, 1), Looks(2, 8)])
def test_phase_is_constant_once_the_path_is_taken_out(tmp_path: Path, radar: RadarScene, looks: Looks) -> None:
    """Of images whose phase is that of the range alone; ten turns are taken out. Rounded vectors leave a constant."""
    (stack,) = slc_gamma.open_slcs(write_radar(tmp_path, radar, looks), strict=True)
    paths = stack.read_path(stack.dates[3], stack.full)
    assert np.isfinite(paths).all()
    assert np.ptp(paths) > 10 / (4 * np.pi) * stack.wavelength
    for index in (1, 2, 3):
        phase = radar.flat(stack, index)
        assert np.abs(np.median(phase)) < 0.05
        assert np.abs(phase - np.median(phase)).max() < 0.01


@pytest.mark.parametrize("looks", [Looks(1, 1), Looks(2, 8)])
def test_pixels_lie_on_the_terrain(tmp_path: Path, radar: RadarScene, looks: Looks) -> None:
    (stack,) = slc_gamma.open_slcs(write_radar(tmp_path, radar, looks))
    lon, lat = radar.lonlat
    window = Window(5, 20, 40, 100)
    expected = radar.terrain(lon, lat)[window.rows, window.columns]
    np.testing.assert_allclose(stack.read_height(window), expected, rtol=0, atol=0.5)
    found = stack.grid.lonlat(*np.mgrid[window.rows, window.columns].astype(float))
    # The places of the grid are those after the looks, and straight between them: hills of 40 m lie 50 m off.
    metres = 111_195 * np.hypot(
        (found[0] - lon[window.rows, window.columns]) * np.cos(np.radians(LAT)),
        found[1] - lat[window.rows, window.columns],
    )
    assert metres.max() < (0.5 if looks == Looks(1, 1) else 5.0)
    assert stack.grid.spacing == pytest.approx((13.98359, SPACING / np.sin(np.radians(SCENE.look.incidence))))


def test_window_of_the_path_is_the_crop_of_the_whole(tmp_path: Path, radar: RadarScene) -> None:
    (stack,) = slc_gamma.open_slcs(write_radar(tmp_path, radar, Looks(2, 8)))
    whole = stack.read_path(stack.dates[2], stack.full)
    for window in (Window(0, 0, 1, 1), Window(31, 77, 20, 60), Window(59, 0, 1, COLUMNS)):
        found = stack.read_path(stack.dates[2], window)
        np.testing.assert_allclose(found, whole[window.rows, window.columns], rtol=0, atol=1e-6)


def test_baseline_is_that_at_the_middle(tmp_path: Path, radar: RadarScene) -> None:
    (stack,) = slc_gamma.open_slcs(write_radar(tmp_path, radar, Looks(2, 8)))
    found = [stack.baselines[day] for day in stack.dates]
    np.testing.assert_allclose(found, [layer.baseline for layer in radar.layers], rtol=0, atol=0.05)


def test_short_numbers_are_read(tmp_path: Path) -> None:
    folder = writer.write(tmp_path / "stack", SCENE)
    for layer in SCENE.layers:
        image = SCENE.unflattened(layer)
        parts = np.stack([image.real, image.imag], axis=-1).round().astype(">i2")
        parts.tofile(folder / "rslc" / f"{layer.name}.rslc")
        writer.write_par(folder / "rslc" / f"{layer.name}.rslc.par", SCENE, layer, "SCOMPLEX")
    (stack,) = slc_gamma.open_slcs(folder, strict=True)
    image = stack.read(stack.dates[1])
    assert image.dtype == np.complex64
    np.testing.assert_allclose(image, SCENE.unflattened(SCENE.layers[1]), rtol=0, atol=0.75)
    window = Window(11, 5, 7, 9)
    np.testing.assert_array_equal(stack.read(stack.dates[1], window), image[window.rows, window.columns])


def test_first_polarisation_is_read(tmp_path: Path) -> None:
    folder = writer.write(tmp_path / "stack", SCENE)
    for file in sorted((folder / "rslc").iterdir()):
        end = file.name.partition(".")[2]
        other = file.with_name(file.name.replace(end, f"vh.{end}"))
        other.write_bytes(file.read_bytes())
        file.rename(file.with_name(file.name.replace(end, f"vv.{end}")))
    (stack,) = slc_gamma.open_slcs(folder, strict=True)
    assert {files[0].name for files in stack.files.values()} == {f"{layer.name}.vv.rslc" for layer in SCENE.layers}
    assert stack.track == "stack"


def test_dates_in_folders_of_their_own_and_bursts_not_joined(tmp_path: Path) -> None:
    """As LiCSAR keeps them: the joined image beside those of its swaths, the geometry beside the images."""
    folder = writer.write(tmp_path / "021D", SCENE)
    for file in sorted((folder / "rslc").iterdir()):
        place = folder / "RSLC" / file.name[:8]
        place.mkdir(parents=True, exist_ok=True)
        file.rename(place / file.name)
        if file.suffix == ".rslc":
            (place / f"{file.stem}.IW1.rslc").write_bytes(b"")
            (place / f"{file.stem}.IW1.rslc.TOPS_par").write_bytes(b"")
    for given in (folder, folder / "RSLC"):
        (stack,) = slc_gamma.open_slcs(given, strict=True)
        assert stack.dates == SCENE.dates
        assert stack.track == given.name
        assert np.isfinite(stack.read_path(stack.dates[1], stack.full)).all()


def test_stack_without_ground_is_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = writer.write(tmp_path / "stack", SCENE)
    (folder / "geo" / "20180702.lt_fine").unlink()
    with pytest.raises(NoDataError, match="no lookup table with its dem_par and elevation model") as caught:
        slc_gamma.open_slcs(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "put the .lt_fine, .dem_par and .dem files here" in str(caught.value)


def test_ground_of_another_burst_is_not_taken(tmp_path: Path) -> None:
    writer.write(make(tmp_path / "tracks" / "one"), SCENE)
    two = writer.write(make(tmp_path / "tracks" / "two"), SCENE)
    for file in (two / "geo").iterdir():
        file.unlink()
    (stack,) = slc_gamma.open_slcs(tmp_path / "tracks")
    assert stack.track == "one"
    (problem,) = [p for p in stack.problems if p.skipped]
    assert str(two / "rslc") in problem.message
    assert "no lookup table" in problem.message


def test_ground_that_all_bursts_share_is_taken(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = writer.write(make(tmp_path / "tracks" / name), SCENE)
        if name == "one":
            (folder / "geo").rename(tmp_path / "tracks" / "geo")
        else:
            for file in (folder / "geo").iterdir():
                file.unlink()
    assert [stack.track for stack in slc_gamma.open_slcs(tmp_path / "tracks", strict=True)] == ["one", "two"]


def test_lookup_of_other_images_is_said(tmp_path: Path) -> None:
    folder = writer.write(tmp_path / "stack", SCENE)
    table = folder / "geo" / "20180702.lt_fine"
    (np.fromfile(table, ">c8") + 5000).astype(">c8").tofile(table)
    with pytest.raises(NoDataError, match="its lookup table reaches no pixel of the images; put the table of these"):
        slc_gamma.open_slcs(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"number_of_state_vectors": 1}, "no state vectors, so the path to the ground is unknown; restore the file"),
        ({"state_vector_velocity_3": "1.0 2.0"}, "state vector 3 is not whole; restore the file"),
        ({"state_vector_interval": "-10.0"}, "its state vectors are -10.0 s apart; restore the file"),
        ({"image_format": "FLOAT"}, "no size or no format of complex numbers in it; restore the file"),
    ],
)
def test_date_with_a_damaged_parameter_file_is_left_out(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    folder = writer.write(tmp_path / "stack", SCENE)
    par = folder / "rslc" / f"{SCENE.layers[1].name}.rslc.par"
    edit(par, **change)
    (stack,) = slc_gamma.open_slcs(folder)
    assert stack.dates == tuple(layer.day for i, layer in enumerate(SCENE.layers) if i != 1)
    assert [p.message for p in stack.problems] == [f"{par}: {reason}"]


def test_image_longer_than_its_parameter_file_says_is_left_out(tmp_path: Path) -> None:
    folder = writer.write(tmp_path / "stack", SCENE)
    image = folder / "rslc" / f"{SCENE.layers[1].name}.rslc"
    image.write_bytes(image.read_bytes() + b"1234")
    (stack,) = slc_gamma.open_slcs(folder)
    (problem,) = stack.problems
    assert problem.message == (
        f"{image}: expected 9600 bytes (40 x 30 pixels, FCOMPLEX), instead got 9604; resample it again or remove it"
    )


def test_vectors_that_end_before_the_image_are_named(tmp_path: Path) -> None:
    folder = writer.write(tmp_path / "stack", SCENE)
    par = folder / "rslc" / f"{SCENE.layers[2].name}.rslc.par"
    edit(par, number_of_state_vectors=6)
    with pytest.raises(ProductError, match="its state vectors end before the image") as caught:
        slc_gamma.open_slcs(folder)
    assert str(par) in str(caught.value)


def test_orbit_is_that_of_the_parameter_file(tmp_path: Path) -> None:
    arc = SCENE.orbit(SCENE.layers[1])
    writer.write_par(tmp_path / "a.rslc.par", SCENE, SCENE.layers[1])
    orbit = orbit_of(read_parameters(tmp_path / "a.rslc.par"))
    np.testing.assert_allclose(orbit.times, writer.NOON + arc.times, rtol=0, atol=1e-6)
    np.testing.assert_allclose(orbit.positions, arc.positions, rtol=0, atol=1e-4)
    np.testing.assert_allclose(orbit.velocities, arc.velocities, rtol=0, atol=1e-5)


def test_dem_in_utm_serves_too(tmp_path: Path, radar: RadarScene) -> None:
    """The map of a lookup may be in metres; the ground is the same."""
    from pyproj import Transformer

    folder = write_radar(tmp_path, radar, Looks(1, 1))
    (stack,) = slc_gamma.open_slcs(folder)
    expected = stack.read_path(stack.dates[3], stack.full)
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32647", always_xy=True)
    east, north = to_utm.transform(LON, LAT)
    y, x = np.mgrid[north + 1900 : north - 1900 : 381j, east - 1900 : east + 1900 : 381j]
    lon, lat = to_utm.transform(x, y, direction="INVERSE")
    line, column = radar.pixel(radar.position(lon, lat))
    (column + 1j * line).astype(">c8").tofile(folder / "geo" / "20180702.lt_fine")
    radar.terrain(lon, lat).astype(">f4").tofile(folder / "geo" / "EQA.dem")
    (folder / "geo" / "EQA.dem_par").write_text(
        "DEM_projection:     UTM\nprojection_zone: 47\nfalse_northing: 0.000   m\ndata_format: REAL*4\n"
        f"width: 381\nnlines: 381\ncorner_north: {y[0, 0]:.6f}   m\ncorner_east: {x[0, 0]:.6f}   m\n"
        "post_north: -10.0   m\npost_east: 10.0   m\n"
    )
    (stack,) = slc_gamma.open_slcs(folder)
    found = stack.read_path(stack.dates[3], stack.full)
    np.testing.assert_allclose(found, expected, rtol=0, atol=4e-5)


def test_folder_without_images_is_said(tmp_path: Path) -> None:
    (tmp_path / "20180702.rslc.par").write_text("title: alone\n")
    assert not slc_gamma.recognises(tmp_path)
    assert not slc_gamma.recognises(tmp_path / "20180702.rslc.par")
    with pytest.raises(NoDataError, match=r"no resampled images \(<date>.rslc\) here; give the folder that holds them"):
        slc_gamma.open_slcs(tmp_path)


def test_two_passes_of_one_day_are_one_date(tmp_path: Path) -> None:
    folder = writer.write(tmp_path / "stack", replace(SCENE, layers=SCENE.layers[:2]).doubled(1))
    (stack,) = slc_gamma.open_slcs(folder)
    (problem,) = stack.problems
    assert "is already given by" in problem.message


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
