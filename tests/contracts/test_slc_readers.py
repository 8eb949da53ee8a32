"""What every reader of single-look images must do, shown on small products whose numbers are known.

The products come from the writers in tests/products_slc; tests/products_slc/scene.py says how a new one joins.
"""

import importlib
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.products import scene as igram_scene
from tests.products_slc.scene import ALL, AMPLITUDE, SlcScene, make_slc_scene

from groundshift.errors import GroundshiftError, NoDataError, ProductError
from groundshift.io.open_slcs import SLC_READERS, holds_slcs
from groundshift.io.slc import SlcStack
from groundshift.types import Window

FOLDER = Path(__file__).parents[1] / "products_slc"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("scene", "__init__", "conftest"))
WRITERS = [importlib.import_module(f"tests.products_slc.{name}") for name in NAMES]
IGRAM_NAMES = sorted(path.stem for path in FOLDER.with_name("products").glob("*.py") if path.stem != "scene")


class Product:
    """A writer with the reader it is for, and the answers it does not give itself."""

    def __init__(self, writer: ModuleType) -> None:
        self.writer = writer
        self.reader: Any = importlib.import_module(writer.MODULE)
        self.gives = getattr(writer, "GIVES", ALL - {"path"})
        self.cannot = getattr(writer, "CANNOT", frozenset())
        self.one_file = getattr(writer, "ONE_FILE", False)
        self.location_pixels = getattr(writer, "LOCATION_PIXELS", 0.01)
        self.image_tolerance = AMPLITUDE * getattr(writer, "IMAGE_TOLERANCE", 1e-6)
        self.path_tolerance = getattr(writer, "PATH_TOLERANCE", 1e-4)
        self.baseline_tolerance = getattr(writer, "BASELINE_TOLERANCE", 0.06)
        self.look_tolerance = getattr(writer, "LOOK_TOLERANCE", 2e-3)
        self.scene = make_slc_scene(getattr(writer, "CRS", "EPSG:4326"))

    def write(self, folder: Path, scene: SlcScene) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return self.writer.write(folder, scene)

    def write_bursts(self, folder: Path, scenes: list[SlcScene]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        if hasattr(self.writer, "write_bursts"):
            return self.writer.write_bursts(folder, scenes)
        for scene in scenes:
            self.write(folder / scene.burst, scene)
        return folder

    def open_one(self, path: Path, *, strict: bool = False) -> SlcStack:
        """Open a path that holds one burst."""
        (stack,) = self.reader.open_slcs(path, strict=strict)
        return stack

    def open(self, folder: Path, scene: SlcScene) -> SlcStack:
        return self.open_one(self.write(folder, scene))

    def flat(self, stack: SlcStack, index: int, window: Window | None = None) -> np.ndarray:
        """Read an image and take out the path that the stack says is still in it."""
        day, window = stack.dates[index], window or stack.full
        image = stack.read(day, window)
        if stack.read_path is None:
            return image
        return image * np.exp(4j * np.pi / stack.wavelength * np.nan_to_num(stack.read_path(day, window)))

    def remove_companion(self, root: Path, stack: SlcStack, index: int) -> None:
        """Take away a file that a date needs."""
        if hasattr(self.writer, "remove_companion"):
            self.writer.remove_companion(root, stack.dates[index])
            return
        files = stack.files[stack.dates[index]]
        assert len(files) > 1, f"{self.writer.NAME} must say CANNOT 'companion' or give remove_companion"
        files[-1].unlink()

    def skip_if_cannot(self, what: str) -> None:
        if what in self.cannot:
            pytest.skip(f"the layout of {self.writer.NAME} cannot express this: {what}")

    def skip_unless_gives(self, what: str) -> None:
        if what not in self.gives:
            pytest.skip(f"{self.writer.NAME} does not give {what}")

    def phase_tolerance(self) -> float:
        return 4 * math.pi / self.scene.wavelength * self.path_tolerance if "path" in self.gives else 1e-5


@pytest.fixture(params=WRITERS, ids=NAMES)
def product(request: pytest.FixtureRequest) -> Product:
    return Product(request.param)


@pytest.fixture
def stack(product: Product, tmp_path: Path) -> SlcStack:
    return product.open(tmp_path / "product", product.scene)


def expect_one_skipped(product: Product, path: Path, kept: list[int]) -> None:
    """Show that one bad image is skipped with one line, or stops a strict opening with the same line."""
    stack = product.open_one(path)
    assert list(stack.dates) == [product.scene.dates[i] for i in kept]
    (problem,) = [p for p in stack.problems if p.skipped]
    one_line(problem.message, problem.path)
    with pytest.raises(ProductError) as caught:
        product.reader.open_slcs(path, strict=True)
    assert str(caught.value) == problem.message


def one_line(message: str, path: Path) -> None:
    """A message is one line that names the file and, after a semicolon, the remedy."""
    assert "\n" not in message
    assert str(path) in message
    assert ";" in message
    assert message.rsplit(";", 1)[1].strip()


def without(kept: tuple[Any, ...], index: int) -> list[Any]:
    return [one for i, one in enumerate(kept) if i != index]


def test_every_reader_is_tried() -> None:
    assert {reader.PRODUCT for reader in SLC_READERS} == {writer.NAME for writer in WRITERS}


def test_name_of_the_reader_is_that_of_the_product(product: Product) -> None:
    assert product.reader.PRODUCT == product.writer.NAME


def test_product_is_recognised_and_an_empty_or_strange_folder_is_not(product: Product, tmp_path: Path) -> None:
    path = product.write(tmp_path / "product", product.scene)
    assert product.reader.recognises(path)
    assert holds_slcs(path)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert not product.reader.recognises(empty)
    (empty / "notes.txt").write_text("20180702 nothing to read")
    (empty / "holiday_20180702.jpg").write_bytes(b"\xff\xd8\xff")
    assert not product.reader.recognises(empty)


def test_no_other_reader_takes_it_for_its_own(product: Product, tmp_path: Path) -> None:
    """Plain GeoTIFF is asked last and may recognise more."""
    path = product.write(tmp_path / "product", product.scene)
    others = [reader for reader in SLC_READERS if reader.PRODUCT not in (product.writer.NAME, "geotiff")]
    assert [reader.PRODUCT for reader in others if reader.recognises(path)] == []


@pytest.mark.parametrize("name", IGRAM_NAMES)
def test_interferograms_are_not_taken_for_single_look_images(name: str, tmp_path: Path) -> None:
    writer = importlib.import_module(f"tests.products.{name}")
    scene = igram_scene.make_scene(getattr(writer, "CRS", "EPSG:4326"))
    path = writer.write(tmp_path, scene)
    assert [reader.PRODUCT for reader in SLC_READERS if reader.recognises(path)] == []
    assert not holds_slcs(path)


def test_dates_are_those_of_the_files_in_order(product: Product, stack: SlcStack) -> None:
    assert [str(day) for day in stack.dates] == ["2018-07-02", "2018-07-14", "2018-07-26", "2018-08-31"]
    assert stack.dates == product.scene.dates
    assert [p for p in stack.problems if p.skipped] == []
    assert set(stack.files) == set(stack.dates)
    assert all(file.exists() for files in stack.files.values() for file in files)
    assert stack.product == product.reader.PRODUCT


def test_images_are_those_of_the_scene_and_no_data_read_as_zero(product: Product, stack: SlcStack) -> None:
    for index, layer in enumerate(product.scene.layers):
        raw = stack.read(stack.dates[index])
        assert raw.dtype == np.complex64
        assert raw.shape == product.scene.grid.shape
        np.testing.assert_array_equal(raw != 0, layer.image != 0)
        np.testing.assert_allclose(np.abs(raw), np.abs(layer.image), rtol=0, atol=product.image_tolerance)
        change = np.angle((product.flat(stack, index) * layer.image.conj())[layer.image != 0])
        np.testing.assert_allclose(change, 0, atol=product.phase_tolerance() + product.image_tolerance / 50)


def test_phase_of_a_pair_grows_where_the_ground_moves_away(product: Product, stack: SlcStack) -> None:
    """Scene: ground in lower rows moves away faster, by 0.2 rad per row and 12 days."""
    igram = product.flat(stack, 0) * product.flat(stack, 1).conj()
    down = np.angle(np.sum(igram[1:] * igram[:-1].conj()))
    assert down == pytest.approx(0.2, abs=2e-3)


def test_path_still_in_the_phase_is_that_of_the_orbits(product: Product, stack: SlcStack) -> None:
    """Where a product has taken it out, there is none to take out again."""
    if "path" not in product.gives:
        assert stack.read_path is None
        return
    for day, layer in zip(stack.dates, product.scene.layers, strict=True):
        path = stack.read_path(day, stack.full)
        assert path.dtype == np.float64
        np.testing.assert_allclose(path, product.scene.path(layer), rtol=0, atol=product.path_tolerance)
    window = Window(11, 5, 7, 9)
    np.testing.assert_allclose(stack.read_path(day, window), path[window.rows, window.columns], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "window",
    [Window(0, 0, 40, 30), Window(0, 0, 1, 30), Window(11, 5, 7, 9), Window(39, 29, 1, 1), Window(2, 20, 9, 10)],
)
def test_window_equals_the_crop_of_the_whole(product: Product, stack: SlcStack, window: Window) -> None:
    for day in stack.dates[:2]:
        whole = stack.read(day)
        np.testing.assert_array_equal(stack.read(day, window), whole[window.rows, window.columns])


def test_reading_and_opening_again_give_the_same(product: Product, tmp_path: Path) -> None:
    path = product.write(tmp_path / "product", product.scene)
    first, second = product.open_one(path), product.open_one(path)
    assert first.dates == second.dates
    one = first.read(first.dates[2])
    np.testing.assert_array_equal(one, first.read(first.dates[2]))
    np.testing.assert_array_equal(one, second.read(second.dates[2]))


def test_stack_can_be_sent_to_another_process(product: Product, stack: SlcStack) -> None:
    sent = pickle.loads(pickle.dumps(stack))
    assert sent.dates == stack.dates
    window = Window(11, 5, 7, 9)
    np.testing.assert_array_equal(sent.read(sent.dates[1], window), stack.read(stack.dates[1], window))
    if stack.read_path is not None:
        np.testing.assert_array_equal(sent.read_path(sent.dates[1], window), stack.read_path(stack.dates[1], window))


def test_threads_may_read_at_the_same_time(product: Product, stack: SlcStack) -> None:
    windows = [Window(y, 0, 10, 30) for y in (0, 10, 20, 30)]
    tasks = [(day, window) for day in stack.dates for window in windows]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda task: stack.read(*task), tasks))
    for (day, window), image in zip(tasks, found, strict=True):
        np.testing.assert_array_equal(image, stack.read(day, window))


def test_pixels_lie_where_the_scene_has_them(product: Product, stack: SlcStack) -> None:
    y, x = np.array([3.0, 20.0, 36.25]), np.array([2.0, 12.5, 27.0])
    lon, lat = stack.grid.lonlat(y, x)
    if stack.grid.axis_names == ("azimuth", "range") and np.isnan(lon).all():
        assert product.location_pixels == math.inf
        return
    here_lon, here_lat = product.scene.grid.lonlat(y, x)
    step_y, step_x = product.scene.grid.spacing
    metres_y = (lat - here_lat) * 111_195
    metres_x = (lon - here_lon) * 111_195 * np.cos(np.radians(here_lat))
    assert np.hypot(metres_y / step_y, metres_x / step_x).max() <= product.location_pixels


def test_heights_are_those_of_the_scene(product: Product, stack: SlcStack) -> None:
    if "heights" not in product.gives:
        assert stack.read_height is None
        return
    window = Window(4, 3, 30, 20)
    heights = stack.read_height(window)
    assert heights.dtype == np.float32
    np.testing.assert_allclose(heights, product.scene.heights[window.rows, window.columns], atol=0.2)


def test_mask_leaves_out_layover_and_shadow(product: Product, stack: SlcStack) -> None:
    if "mask" not in product.gives:
        assert stack.read_mask is None
        return
    window = Window(25, 2, 12, 16)
    np.testing.assert_array_equal(stack.read_mask(stack.full), product.scene.usable)
    np.testing.assert_array_equal(stack.read_mask(window), product.scene.usable[window.rows, window.columns])


def test_baselines_are_those_of_the_files(product: Product, stack: SlcStack) -> None:
    product.skip_unless_gives("baselines")
    found = [stack.baselines[day] for day in stack.dates]
    expected = [layer.baseline for layer in product.scene.layers]
    np.testing.assert_allclose(found, expected, rtol=0, atol=product.baseline_tolerance)
    assert found[0] == 0


def test_wavelength_is_that_of_the_scene(product: Product, stack: SlcStack) -> None:
    product.skip_unless_gives("wavelength")
    assert stack.wavelength == pytest.approx(product.scene.wavelength, rel=1e-6)


def test_look_geometry_is_that_of_the_scene(product: Product, stack: SlcStack) -> None:
    product.skip_unless_gives("look")
    expected = product.scene.look.to_satellite
    np.testing.assert_allclose(stack.look.to_satellite, expected, rtol=0, atol=product.look_tolerance)
    assert stack.look.direction == "descending"


def test_values_that_are_not_finite_read_as_zero(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("nonfinite")
    stack = product.open(tmp_path / "product", product.scene.poisoned(1))
    image = stack.read(stack.dates[1])
    assert np.isfinite(image).all()
    np.testing.assert_array_equal(image[[5, 7, 9], [6, 8, 3]], 0)
    assert np.count_nonzero(image) == np.count_nonzero(product.scene.layers[1].image) - 3


def test_date_without_any_data_reads_as_zeros(product: Product, tmp_path: Path) -> None:
    stack = product.open(tmp_path / "product", product.scene.emptied(1))
    assert stack.dates == product.scene.dates
    assert not stack.read(stack.dates[1]).any()
    assert stack.read(stack.dates[0]).any()


def test_bursts_are_sorted_by_themselves(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("bursts")
    other = product.scene.neighbour("T144-308030-IW1")
    path = product.write_bursts(tmp_path / "product", [other, product.scene])
    stacks = product.reader.open_slcs(path, strict=True)
    assert holds_slcs(path)
    assert [stack.track for stack in stacks] == [product.scene.burst, other.burst]
    for stack, scene in zip(stacks, (product.scene, other), strict=True):
        assert stack.dates == scene.dates
        np.testing.assert_allclose(
            np.abs(stack.read(stack.dates[1])), np.abs(scene.layers[1].image), rtol=0, atol=3 * product.image_tolerance
        )
        if math.isfinite(product.location_pixels):
            np.testing.assert_allclose(
                stack.grid.lonlat(np.array(9.0), np.array(4.0)),
                scene.grid.lonlat(np.array(9.0), np.array(4.0)),
                rtol=0,
                atol=1e-3 * product.location_pixels,
            )


def test_burst_of_one_date_is_named_and_stops_no_other(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("bursts")
    other = product.scene.neighbour("T144-308030-IW1")
    path = product.write_bursts(tmp_path / "product", [cut(other, 1), product.scene])
    (stack,) = product.reader.open_slcs(path)
    assert stack.track == product.scene.burst
    (problem,) = [p for p in stack.problems if p.skipped]
    one_line(problem.message, problem.path)
    assert other.burst in problem.message
    with pytest.raises(ProductError) as caught:
        product.reader.open_slcs(path, strict=True)
    assert str(caught.value) == problem.message


def test_date_given_twice_is_taken_once(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("doubled")
    path = product.write(tmp_path / "product", product.scene.doubled(1))
    expect_one_skipped(product, path, [0, 1, 2, 3])


def test_date_on_another_grid_is_skipped(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("differing")
    path = product.write(tmp_path / "product", product.scene.differing(1))
    expect_one_skipped(product, path, [0, 2, 3])


def test_date_without_its_companion_is_skipped(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("companion")
    path = product.write(tmp_path / "product", product.scene)
    product.remove_companion(path, product.open_one(path), 1)
    expect_one_skipped(product, path, [0, 2, 3])


def test_truncated_file_is_named(product: Product, tmp_path: Path) -> None:
    """Only the date of the file is lost, at opening if its size tells, else when it is read."""
    product.skip_if_cannot("truncated")
    path = product.write(tmp_path / "product", product.scene)
    whole = product.open_one(path)
    day = whole.dates[1]
    expected = {other: whole.read(other) for other in whole.dates}
    victim = whole.files[day][0]
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    if product.one_file:
        with pytest.raises(GroundshiftError) as caught:
            product.open_one(path).read(day)
        one_line(str(caught.value), victim)
        return
    stack = product.open_one(path)
    if day in stack.dates:
        with pytest.raises(GroundshiftError) as caught:
            stack.read(day)
        one_line(str(caught.value), victim)
    else:
        (problem,) = [p for p in stack.problems if p.skipped]
        one_line(problem.message, victim)
    for other in without(whole.dates, 1):
        np.testing.assert_array_equal(stack.read(other), expected[other])


def test_empty_file_is_named(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("truncated")
    path = product.write(tmp_path / "product", product.scene)
    whole = product.open_one(path)
    victim = whole.files[whole.dates[1]][0]
    victim.write_bytes(b"")
    if product.one_file:
        with pytest.raises(GroundshiftError) as caught:
            product.open_one(path)
        one_line(str(caught.value), victim)
        return
    stack = product.open_one(path)
    assert list(stack.dates) == without(whole.dates, 1)
    assert [p.path for p in stack.problems if p.skipped] == [victim]


def test_file_that_goes_while_it_is_used_is_named(product: Product, stack: SlcStack) -> None:
    if product.one_file:
        pytest.skip(f"{product.writer.NAME} has one file for all dates")
    victim = stack.files[stack.dates[1]][0]
    victim.unlink()
    with pytest.raises(GroundshiftError) as caught:
        stack.read(stack.dates[1])
    one_line(str(caught.value), victim)
    assert stack.read(stack.dates[0]).any()


def test_one_image_is_no_stack(product: Product, tmp_path: Path) -> None:
    path = product.write(tmp_path / "product", cut(product.scene, 1))
    with pytest.raises(NoDataError, match="2 are needed") as caught:
        product.reader.open_slcs(path)
    assert "\n" not in str(caught.value)


def test_folder_without_images_is_said_in_one_line(product: Product, tmp_path: Path) -> None:
    with pytest.raises(GroundshiftError) as caught:
        product.reader.open_slcs(tmp_path)
    one_line(str(caught.value), tmp_path)


def cut(scene: SlcScene, count: int) -> SlcScene:
    """Return the scene with only its first layers."""
    return replace(scene, layers=scene.layers[:count])
