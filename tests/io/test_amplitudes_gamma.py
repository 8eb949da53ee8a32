"""Amplitude images of GAMMA."""

import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tests.io.amplitude_pass import GROUND, NOON, picture, seen, vectors

from groundshift.errors import DamagedFileError, ProductError
from groundshift.geometry.orbits import earth_fixed
from groundshift.io import amplitudes_gamma
from groundshift.io.amplitudes import open_amplitudes
from groundshift.io.gamma_par import read_parameters
from groundshift.types import Window

START, INTERVAL, NEAR, STEP = NOON - 2.5, 4.7e-4, 750_000.0, 4.684257

FORMATS = {
    "FCOMPLEX": lambda a: (a * np.exp(1j * a)).astype(">c8"),
    "SCOMPLEX": lambda a: np.stack([-a, np.zeros_like(a)], axis=-1).astype(">i2"),
    "FLOAT": lambda a: (a**2).astype(">f4"),
}


def write(folder: Path, name: str, form: str = "FCOMPLEX", **changes: str) -> Path:
    """Write the picture with its parameter file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    FORMATS.get(form, FORMATS["FLOAT"])(picture()).tofile(path)
    times, positions, velocities = vectors()
    facts = {
        "title": "scene",
        "sensor": "PALSAR FBS HH",
        "date": "2010 02 25",
        "start_time": f"{START:.6f}   s",
        "azimuth_line_time": f"{INTERVAL:.7e}   s",
        "range_samples": str(picture().shape[1]),
        "azimuth_lines": str(picture().shape[0]),
        "image_format": form,
        "image_geometry": "SLANT_RANGE",
        "range_pixel_spacing": f"{STEP:.6f}   m",
        "near_range_slc": f"{NEAR:.4f}  m",
        "azimuth_deskew": "ON",
        "azimuth_angle": "90.0000   degrees",
        "radar_frequency": "1.2700000e+09  Hz",
        "number_of_state_vectors": str(len(times)),
        "time_of_first_state_vector": f"{times[0]:.6f}   s",
        "state_vector_interval": f"{times[1] - times[0]:.6f}   s",
    } | changes
    for i, (position, velocity) in enumerate(zip(positions, velocities, strict=True), 1):
        facts[f"state_vector_position_{i}"] = " ".join(f"{x:.4f}" for x in position) + "  m m m"
        facts[f"state_vector_velocity_{i}"] = " ".join(f"{x:.5f}" for x in velocity) + "  m/s m/s m/s"
    path.with_name(f"{name}.par").write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))
    return path


@pytest.mark.parametrize(("name", "form"), [("a.rslc", "FCOMPLEX"), ("a.slc", "SCOMPLEX"), ("a.rmli", "FLOAT")])
def test_pixels_are_amplitudes(tmp_path: Path, name: str, form: str) -> None:
    image = amplitudes_gamma.open_images(write(tmp_path, name, form))[0]
    assert (image.day, image.sensor, image.calibration) == (date(2010, 2, 25), "PALSAR", None)
    np.testing.assert_allclose(image.read(), picture(), rtol=1e-6)
    np.testing.assert_allclose(image.read(Window(3, 2, 5, 4)), picture()[3:8, 2:6], rtol=1e-6)
    assert image.read()[0, 0] == 0


def test_what_is_not_finite_or_negative_reads_as_zero(tmp_path: Path) -> None:
    path = write(tmp_path, "a.mli", "FLOAT")
    values = np.fromfile(path, ">f4")
    values[5:8] = np.nan, np.inf, -3
    values.tofile(path)
    np.testing.assert_array_equal(amplitudes_gamma.open_images(path)[0].read().ravel()[5:8], 0)


def test_ground_lies_where_the_circle_sees_it(tmp_path: Path) -> None:
    geometry = amplitudes_gamma.open_images(write(tmp_path, "a.slc"))[0].geometry
    place, (times, distances) = geometry.place(GROUND), seen()
    assert geometry.first_time == START
    np.testing.assert_allclose(place.row, (times - START) / INTERVAL, atol=0.05)
    np.testing.assert_allclose(place.column, (distances - NEAR) / STEP, atol=1e-3)


def test_a_radar_may_look_to_the_left(tmp_path: Path) -> None:
    geometry = amplitudes_gamma.open_images(write(tmp_path, "a.slc", azimuth_angle="-90.0"))[0].geometry
    assert np.isnan(geometry.place(GROUND).row).all()
    assert np.isfinite(geometry.place(GROUND * [1, -1, 1]).row).all()


def test_columns_of_ground_range_are_those_of_the_polynomial(tmp_path: Path) -> None:
    told = "{:.5f} 750000.00000 0.5 4.0e-07 0.0 0.0 s m 1 m^-1 m^-2 m^-3"
    changes = {f"{row}_slant_range_polynomial": told.format(START) for row in ("first", "center", "last")}
    path = write(tmp_path, "a.mli", "FLOAT", image_geometry="GROUND_RANGE", range_pixel_spacing="12.5 m", **changes)
    columns = np.array([0.0, 1000.0, 2000.0])
    distances = amplitudes_gamma.open_images(path)[0].geometry.axis.distance(columns, np.array(START))
    np.testing.assert_allclose(distances, 750_000 + 0.5 * 12.5 * columns + 4e-7 * (12.5 * columns) ** 2)


def test_of_a_day_the_first_form_and_polarisation_are_taken(tmp_path: Path) -> None:
    for name in ("20100225.rmli", "20100225_HV.rslc", "20100225_HH.rslc", "20100412.rmli"):
        write(tmp_path, name, "FLOAT" if "mli" in name else "FCOMPLEX")
    (tmp_path / "20100412_iw1.slc.TOPS_par").write_text("")
    (tmp_path / "20100412_iw1.slc").write_bytes(b"")
    found = amplitudes_gamma.find(tmp_path.iterdir())
    assert [path.name for path in found] == ["20100225_HH.rslc", "20100412.rmli"]


@pytest.mark.parametrize(
    ("sensor", "name"),
    [("S1A IW IW1 VV", "Sentinel-1"), ("PALSAR-2", "PALSAR-2"), ("PALSAR2 UBS", "PALSAR-2"), ("TSX-1 SM", "TSX-1")],
)
def test_sensors_have_the_names_that_other_readers_give(tmp_path: Path, sensor: str, name: str) -> None:
    assert amplitudes_gamma.open_images(write(tmp_path, "a.slc", sensor=sensor))[0].sensor == name


@pytest.mark.parametrize(
    ("changes", "error", "line"),
    [
        ({"azimuth_deskew": "OFF"}, ProductError, "azimuth_deskew is OFF; process the image again with deskew"),
        ({"date": "2010 13 25"}, DamagedFileError, "no day behind date; restore the file"),
        ({"near_range_slc": "far"}, DamagedFileError, "no number for near_range_slc; restore the file"),
        ({"azimuth_line_time": "0.0"}, DamagedFileError, "line_interval must be positive, instead got 0.0"),
        ({"number_of_state_vectors": "0"}, DamagedFileError, "no state vectors"),
        ({"image_geometry": "GROUND_RANGE"}, DamagedFileError, "no first_slant_range_polynomial; restore the file"),
        ({"image_format": "BYTE"}, ProductError, "image_format is BYTE, expected one of FCOMPLEX, SCOMPLEX, FLOAT"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, changes: dict[str, str], error: type[Exception], line: str) -> None:
    path = write(tmp_path, "a.slc", **changes)
    with pytest.raises(error, match=re.escape(f"{path}.par: {line}")):
        amplitudes_gamma.open_images(path)


def test_a_truncated_image_and_a_missing_parameter_file_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "20100225.slc")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DamagedFileError, match=r"20100225\.slc: expected 864 bytes .* instead got 856"):
        amplitudes_gamma.open_images(path)
    path.with_name("20100225.slc.par").unlink()
    with pytest.raises(DamagedFileError, match=r"20100225\.slc\.par: cannot be read"):
        amplitudes_gamma.open_images(path)


def test_images_in_folders_come_by_day(tmp_path: Path) -> None:
    for day in ("20100412", "20100225"):
        write(tmp_path / "rslc" / day, f"{day}.rslc", date=f"{day[:4]} {day[4:6]} {day[6:]}")
    found = open_amplitudes(tmp_path)
    assert [str(image.day) for image in found.images] == ["2010-02-25", "2010-04-12"]
    assert not found.problems


@pytest.mark.real
def test_the_middle_of_a_real_image_lies_in_its_middle_row(real_data: Path) -> None:
    geometry = amplitudes_gamma.radar_geometry(read_parameters(real_data / "danba" / "20190109.rmli.par"))
    assert geometry.shape == (101, 175)
    assert geometry.wavelength == pytest.approx(0.05546576, rel=1e-6)
    place = geometry.place(earth_fixed(101.9690469, 30.8348056, 0.0))
    np.testing.assert_allclose(place.row, 50, atol=0.05)
    # The file tells the distance of the middle on a smooth Earth.
    np.testing.assert_allclose(place.distance, 855_069.5005, atol=100)
