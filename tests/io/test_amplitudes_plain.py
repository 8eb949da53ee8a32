"""Amplitude images in plain rasters with YAML beside."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from tests.io.amplitude_pass import GROUND, NOON, orbit, picture, seen

from groundshift.errors import DamagedFileError, MissingFileError, ProductError
from groundshift.geometry.radar import GroundAxis, RadarGeometry, SlantAxis
from groundshift.io.amplitudes import open_amplitudes
from groundshift.io.amplitudes_plain import open_images, write_plain
from groundshift.types import Window

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")

DAY = date(2010, 2, 25)
NEAR, STEP, START, INTERVAL = 750_000.0, 4.684257, NOON - 2.5, 4.7e-4


def geometry(axis: SlantAxis | GroundAxis | None = None, right: bool = True) -> RadarGeometry:
    axis = axis or SlantAxis(NEAR, STEP)
    return RadarGeometry(orbit(), picture().shape, START, INTERVAL, axis, 0.2360571, right)


def write(folder: Path, image: np.ndarray | None = None, **changes: object) -> Path:
    """Write an image, then other values into its YAML file; None takes a name out."""
    path = folder / "scene.tif"
    write_plain(picture(), path, DAY, "PALSAR", geometry(), calibration=250.0)
    if image is not None:
        write_raster(path, image)
    beside = path.with_suffix(".yaml")
    facts = yaml.safe_load(beside.read_text()) | changes
    beside.write_text(yaml.safe_dump({name: value for name, value in facts.items() if value is not None}))
    return beside


def write_raster(path: Path, image: np.ndarray, driver: str = "GTiff", nodata: float | None = None) -> None:
    height, width = image.shape
    profile = {"driver": driver, "height": height, "width": width, "count": 1, "dtype": image.dtype, "nodata": nodata}
    with rasterio.open(path, "w", **profile) as sink:
        sink.write(image, 1)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    image = open_images(write(tmp_path))[0]
    assert (image.product, image.day, image.sensor, image.calibration) == ("plain", DAY, "PALSAR", 250.0)
    assert image.files == (tmp_path / "scene.tif", tmp_path / "scene.yaml")
    np.testing.assert_array_equal(image.read(), picture())
    np.testing.assert_array_equal(image.read(Window(3, 2, 5, 4)), picture()[3:8, 2:6])


def test_ground_lies_where_the_circle_sees_it(tmp_path: Path) -> None:
    place = open_images(write(tmp_path))[0].geometry.place(GROUND)
    times, distances = seen()
    np.testing.assert_allclose(place.row, (times - START) / INTERVAL, atol=1e-4)
    np.testing.assert_allclose(place.column, (distances - NEAR) / STEP, atol=1e-4)


def test_ground_range_comes_back(tmp_path: Path) -> None:
    axis = GroundAxis(12.5, np.array([START, START + 1]), np.array([[NEAR, 0.6, 1e-7], [NEAR + 5, 0.61, 1e-7]]))
    write_plain(picture(), tmp_path / "a.tif", DAY, "x", geometry(axis, right=False))
    found = open_images(tmp_path / "a.yaml")[0].geometry
    assert not found.right_looking
    assert isinstance(found.axis, GroundAxis)
    np.testing.assert_array_equal(found.axis.coefficients, axis.coefficients)
    np.testing.assert_array_equal(found.axis.times, axis.times)


@pytest.mark.parametrize(
    "moment", ["2010-02-25T12:00:00.25Z", "2010-02-25 13:00:00.25+01:00", "2010-02-25T12:00:00.25"]
)
def test_times_may_be_written_out(tmp_path: Path, moment: str) -> None:
    assert open_images(write(tmp_path, first_line_time=moment))[0].geometry.first_time == NOON + 0.25


def test_times_before_midnight_are_negative(tmp_path: Path) -> None:
    found = open_images(write(tmp_path, first_line_time="2010-02-24T23:59:59Z"))[0]
    assert found.geometry.first_time == -1.0


@pytest.mark.parametrize(
    ("quantity", "values"),
    [
        ("amplitude", lambda a: a),
        ("intensity", lambda a: a**2),
        ("db", lambda a: 20 * np.log10(np.where(a > 0, a, np.nan))),
        ("complex", lambda a: (a * np.exp(1j * a)).astype(np.complex64)),
    ],
)
def test_quantities_become_amplitudes(
    tmp_path: Path, quantity: str, values: Callable[[np.ndarray], np.ndarray]
) -> None:
    image = open_images(write(tmp_path, values(picture().astype(np.float64)), quantity=quantity))[0]
    assert image.read().dtype == np.float32
    np.testing.assert_allclose(image.read(), picture(), rtol=1e-6)


def test_zero_db_is_one_and_not_without_data(tmp_path: Path) -> None:
    found = open_images(write(tmp_path, np.zeros((12, 9), np.float32), quantity="db"))[0]
    np.testing.assert_array_equal(found.read(), 1)


def test_what_is_no_data_reads_as_zero(tmp_path: Path) -> None:
    beside = write(tmp_path)
    image = picture()
    image[2, 3:6] = np.nan, np.inf, -9999
    write_raster(tmp_path / "scene.tif", image, nodata=-9999)
    found = open_images(beside)[0].read()
    np.testing.assert_array_equal(found[2, 3:6], 0)
    np.testing.assert_array_equal(found[3:], picture()[3:])


@pytest.mark.parametrize(("driver", "name"), [("PNG", "scene.png"), ("ENVI", "scene.img"), ("ENVI", "scene")])
def test_any_raster_will_do(tmp_path: Path, driver: str, name: str) -> None:
    write(tmp_path)
    (tmp_path / "scene.tif").unlink()
    write_raster(tmp_path / name, picture().astype(np.uint16), driver)
    (image,) = open_amplitudes(tmp_path).images
    np.testing.assert_array_equal(image.read(), picture())
    assert open_amplitudes(tmp_path / name).images[0].files == image.files


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"wavelenght": 0.2}, "wavelenght: extra inputs are not permitted"),
        ({"wavelength": None}, "wavelength: field required"),
        ({"wavelength": -0.2}, "wavelength: input should be greater than 0"),
        ({"look": "up"}, "look: input should be 'right' or 'left'"),
        ({"first_line_time": "noon"}, "first_line_time: input should be a valid number"),
        ({"near_range": None}, "give near_range and range_spacing, or ground_range"),
        ({"orbit": []}, "orbit: tuple should have at least 2 items"),
        ({"quantity": "complex"}, "quantity is complex, but scene.tif is not complex; correct quantity"),
    ],
)
def test_a_mistake_is_named_with_its_field(tmp_path: Path, changes: dict[str, object], line: str) -> None:
    beside = write(tmp_path, **changes)
    with pytest.raises(ProductError, match=re.escape(f"{beside}: {line}")) as caught:
        open_images(beside)
    assert "\n" not in str(caught.value)


def test_state_vectors_must_ascend(tmp_path: Path) -> None:
    beside = write(tmp_path)
    vectors = yaml.safe_load(beside.read_text())["orbit"]
    beside = write(tmp_path, orbit=vectors[::-1])
    with pytest.raises(ProductError, match=re.escape(f"{beside}: times must ascend")):
        open_images(beside)


def test_text_that_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    beside = write(tmp_path)
    beside.write_text(beside.read_text() + "\nbad: [1, 2\n")
    with pytest.raises(ProductError, match=re.escape(f"{beside}: cannot be read as YAML at line ")):
        open_images(beside)


def test_a_raster_must_be_there_once_and_whole(tmp_path: Path) -> None:
    beside = write(tmp_path)
    (tmp_path / "scene.img").write_bytes(b"other")
    with pytest.raises(ProductError, match=r"scene\.img and scene\.tif both have its name; leave one of them"):
        open_images(beside)
    (tmp_path / "scene.tif").unlink()
    with pytest.raises(DamagedFileError, match=r"scene\.img: not a readable raster"):
        open_images(beside)
    (tmp_path / "scene.img").unlink()
    with pytest.raises(MissingFileError, match=r"no raster of the same name beside; put scene\.tif there"):
        open_images(beside)


def test_an_image_of_another_shape_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("image must have shape (12, 9), instead got (3, 9)")):
        write_plain(picture()[:3], tmp_path / "a.tif", DAY, "x", geometry())
    assert not list(tmp_path.iterdir())
