"""Images of PALSAR and PALSAR-2 in CEOS files."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.io.amplitude_pass import GROUND, picture, seen
from tests.io.ceos_files import (
    DAY,
    GROUND_STEP,
    NEAR,
    PALSAR,
    PALSAR_2,
    PRF,
    RATE_2_MHZ,
    RATE_MHZ,
    START,
    change,
    leader,
    sorted_picture,
    sphere_ranges,
    write,
    write_detected,
)

from groundshift.constants import SPEED_OF_LIGHT
from groundshift.errors import DamagedFileError, MissingFileError, ProductError
from groundshift.geometry.radar import GroundAxis
from groundshift.io import ceos
from groundshift.io.amplitudes import open_amplitudes
from groundshift.types import Window


@pytest.mark.parametrize(("rest", "sensor"), [(PALSAR, "PALSAR"), (PALSAR_2, "PALSAR-2")])
def test_pixels_are_magnitudes(tmp_path: Path, rest: str, sensor: str) -> None:
    (image,) = ceos.open_images(write(tmp_path, rest))
    assert (image.product, image.sensor, image.day) == ("ceos", sensor, DAY)
    assert [file.name for file in image.files] == [f"IMG-HH-{rest}", f"LED-{rest}"]
    np.testing.assert_allclose(image.read(), picture(40), rtol=1e-6)
    np.testing.assert_allclose(image.read(Window(3, 2, 5, 4)), picture(40)[3:8, 2:6], rtol=1e-6)
    assert image.read()[0, 0] == 0


def test_what_is_not_finite_reads_as_zero(tmp_path: Path) -> None:
    image = picture(40)
    image[7, 2:4] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        (found,) = ceos.open_images(write(tmp_path, image=image))
    np.testing.assert_array_equal(found.read()[7, 2:4], 0)
    np.testing.assert_allclose(found.read()[8:], picture(40)[8:], rtol=1e-6)


@pytest.mark.parametrize(
    ("rest", "prf", "rate_mhz", "stamp"), [(PALSAR, PRF, RATE_MHZ, 1e-3), (PALSAR_2, 3000.0, RATE_2_MHZ, 1e-6)]
)
def test_ground_lies_where_the_circle_sees_it(
    tmp_path: Path, rest: str, prf: float, rate_mhz: float, stamp: float
) -> None:
    """Stamps are cut off to milliseconds or microseconds, and vectors are a minute apart."""
    geometry = ceos.open_images(write(tmp_path, rest))[0].geometry
    assert abs(geometry.first_time - START) < stamp
    assert geometry.line_interval == pytest.approx(1 / prf, rel=1e-12)
    place, (times, distances) = geometry.place(GROUND), seen()
    np.testing.assert_allclose(place.row, (times - geometry.first_time) * prf, atol=0.01)
    np.testing.assert_allclose(place.column, (distances - NEAR) * 2 * rate_mhz * 1e6 / SPEED_OF_LIGHT, atol=2e-3)


def test_the_first_time_is_that_of_many_stamps(tmp_path: Path) -> None:
    """One stamp of PALSAR is cut off to two rows; the mean of forty to their mean loss of half a millisecond."""
    geometry = ceos.open_images(write(tmp_path))[0].geometry
    assert START - geometry.first_time == pytest.approx(0.5e-3, abs=0.1e-3)


def test_backscatter_of_one_has_the_amplitude_of_the_calibration(tmp_path: Path) -> None:
    image = ceos.open_images(write(tmp_path))[0]
    assert image.calibration is not None
    assert 20 * np.log10(image.calibration) - 83 - 32 == pytest.approx(0, abs=1e-9)


def test_clock_angle_tells_the_look_side(tmp_path: Path) -> None:
    path = write(tmp_path, PALSAR_2)
    (tmp_path / f"LED-{PALSAR_2}").write_bytes(leader("ALOS2", -90.0, RATE_2_MHZ, 3000.0))
    geometry = ceos.open_images(path)[0].geometry
    assert not geometry.right_looking
    assert np.isnan(geometry.place(GROUND).row).all()


@pytest.mark.parametrize("turned", ["", "rows", "columns", "both"])
def test_detected_images_have_ground_range_whatever_the_order(tmp_path: Path, turned: str) -> None:
    expected = sorted_picture(np.empty((30, 5601)))
    steps = (-1 if turned in ("rows", "both") else 1, -1 if turned in ("columns", "both") else 1)
    path = write_detected(tmp_path, lambda image: sorted_picture(image)[:: steps[0], :: steps[1]])
    (image,) = ceos.open_images(path)
    np.testing.assert_array_equal(image.read(), expected)
    np.testing.assert_array_equal(image.read(Window(3, 40, 5, 7)), expected[3:8, 40:47])
    axis = image.geometry.axis
    assert isinstance(axis, GroundAxis)
    columns = np.linspace(0, 5600, 50)
    # Headers have whole metres.
    np.testing.assert_allclose(axis.distance(columns, np.array(START)), sphere_ranges(columns), atol=0.6)
    assert image.geometry.first_time == pytest.approx(START, abs=1e-3)
    assert image.geometry.line_interval == pytest.approx(2e-3, rel=1e-6)
    assert image.calibration == pytest.approx(10 ** (83 / 20))


def test_lines_that_end_elsewhere_are_no_times_of_the_flight(tmp_path: Path) -> None:
    """Two hundredths of a degree are 2.2 km, of 14 m a row."""
    path = write_detected(tmp_path, sorted_picture, elsewhere=0.02)
    with pytest.raises(ProductError, match=re.escape(f"{path}: the ends of its lines lie 1")):
        ceos.open_images(path)
    path = write_detected(tmp_path, sorted_picture, elsewhere=None)
    assert len(ceos.open_images(path)) == 1


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_gdal_reads_the_same_pixels_where_it_knows_the_format(tmp_path: Path) -> None:
    with rasterio.Env() as env:
        if "SAR_CEOS" not in env.drivers():
            pytest.skip("this build of GDAL has no SAR_CEOS driver")
    path = write_detected(tmp_path, sorted_picture)
    with rasterio.open(path, driver="SAR_CEOS") as source:
        np.testing.assert_array_equal(ceos.open_images(path)[0].read(), source.read(1))


def test_three_exact_ranges_give_the_others_to_centimetres() -> None:
    columns = np.array([0.0, 2800.0, 5600.0])
    powers = ceos._slant_polynomial(GROUND_STEP * columns, sphere_ranges(columns))
    every = np.linspace(0, 5600, 200)
    found = np.polynomial.polynomial.polyval(GROUND_STEP * every, powers)
    np.testing.assert_allclose(found, sphere_ranges(every), atol=0.05)


def test_of_polarisations_one_is_read(tmp_path: Path) -> None:
    for polarisation in ("HV", "HH"):
        path = write(tmp_path, polarisation=polarisation)
    for other in ("VOL-ALPSRP031591140-H1.1__A", "TRL-ALPSRP031591140-H1.1__A", "summary.txt"):
        (tmp_path / other).write_bytes(b"")
    assert ceos.find(tmp_path.iterdir()) == [path]
    assert ceos.find([tmp_path / f"IMG-HV-{PALSAR}"]) == [tmp_path / f"IMG-HV-{PALSAR}"]


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ("ALPSRP031591140-H1.5GUA", "level 1.5G lies on a map"),
        ("ALOS2014410740-140829-UBSR2.1GUA", "level 2.1G lies on a map"),
        ("ALPSRP031591140-H1.0__A", "level 1.0 is raw signal and no image"),
        ("ALPSRS049842950-W1.1__D", "ScanSAR, whose rows belong to several bursts"),
        ("ALOS2014410740-140829-WBDR1.1__D-F1", "ScanSAR, whose rows belong to several bursts"),
    ],
)
def test_what_has_no_rows_of_one_flight_is_refused(tmp_path: Path, rest: str, line: str) -> None:
    path = tmp_path / f"IMG-HH-{rest}"
    path.write_bytes(b"")
    assert ceos.find([path]) == [path]
    with pytest.raises(ProductError, match=re.escape(f"{path}: {line}")) as caught:
        ceos.open_images(path)
    assert "\n" not in str(caught.value)


def test_missing_leader_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / f"LED-{PALSAR}").unlink()
    with pytest.raises(MissingFileError, match=re.escape(f"LED-{PALSAR}: no such file; restore it, for it has the")):
        ceos.open_images(path)


@pytest.mark.parametrize("size", [10, 700, 3000, 6000])
def test_truncated_leader_is_named(tmp_path: Path, size: int) -> None:
    path = write(tmp_path)
    led = tmp_path / f"LED-{PALSAR}"
    led.write_bytes(led.read_bytes()[:size])
    with pytest.raises(DamagedFileError, match=re.escape(f"{led}: truncated within a record")):
        ceos.open_images(path)


def test_leader_without_orbit_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    led = tmp_path / f"LED-{PALSAR}"
    led.write_bytes(led.read_bytes()[: 720 + 4096])
    with pytest.raises(DamagedFileError, match=re.escape(f"{led}: no platform position record")):
        ceos.open_images(path)


@pytest.mark.parametrize(
    ("at", "content", "line"),
    [
        (720 + 501, b" " * 16, "no number for the wavelength"),
        (720 + 501, b"       0.0000000", "the wavelength is 0"),
        (720 + 477, b"  45.000", "the sensor clock angle is 45 degrees"),
        (720 + 4096 + 149, b"  14", "no date of the state vectors"),
        (720 + 4096 + 387, b"x" * 22, "no number for the state vectors"),
    ],
)
def test_numbers_of_the_leader_that_cannot_be_read_are_named(
    tmp_path: Path, at: int, content: bytes, line: str
) -> None:
    path = write(tmp_path)
    led = tmp_path / f"LED-{PALSAR}"
    change(led, at, content)
    with pytest.raises(DamagedFileError, match=re.escape(f"{led}: {line}")):
        ceos.open_images(path)


def test_truncated_image_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    size = 720 + 40 * (412 + 72)
    line = f"{path}: expected {size} bytes (40 x 9 pixels), instead got {size - 1}; fetch the product again"
    with pytest.raises(DamagedFileError, match=re.escape(line)):
        ceos.open_images(path)


def test_image_that_is_cut_off_once_it_is_open_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    (image,) = ceos.open_images(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DamagedFileError, match=re.escape(f"{path}: gone or truncated")):
        image.read()


@pytest.mark.parametrize(
    ("at", "content", "line"),
    [
        (9, struct.pack(">I", 600), "its first record says 600 bytes, expected 720"),
        (187, b"   500", "lines of 500 bytes, but prefix, 9 pixels and suffix take 484"),
        (249, b"       x", "no number for the number of pixels"),
        (720 + 9, struct.pack(">I", 500), "a line says it has 500 bytes, expected 484"),
        (720 + 37, struct.pack(">I", 0), "a line without a date"),
    ],
)
def test_wrong_lengths_are_named(tmp_path: Path, at: int, content: bytes, line: str) -> None:
    path = write(tmp_path)
    change(path, at, content)
    with pytest.raises(DamagedFileError, match=re.escape(f"{path}: {line}")):
        ceos.open_images(path)


def test_a_range_window_that_changes_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    change(path, 720 + 39 * (412 + 72) + 117, struct.pack(">I", NEAR + 300))
    with pytest.raises(
        ProductError, match=re.escape(f"{path}: the slant range of its first pixel is 750000 to 750300 m")
    ):
        ceos.open_images(path)


def test_other_scenes_are_read_where_one_is_damaged(tmp_path: Path) -> None:
    write(tmp_path, PALSAR_2)
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    found = open_amplitudes(tmp_path)
    assert [image.sensor for image in found.images] == ["PALSAR-2"]
    assert [problem.path for problem in found.problems] == [path]
