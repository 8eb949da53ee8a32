"""What every reader must do, shown on small products whose numbers are known.

The products come from the writers in tests/products; tests/products/scene.py says how a new one joins.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.products.scene import ALL, make_scene

from groundshift.errors import GroundshiftError, ProductError
from groundshift.io.stack import InterferogramStack
from groundshift.types import Pair, Window

FOLDER = Path(__file__).parents[1] / "products"


NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("scene", "__init__", "conftest"))
WRITERS = [importlib.import_module(f"tests.products.{name}") for name in NAMES]


class Product:
    """A writer with the reader it is for, and the answers it does not give itself."""

    def __init__(self, writer: ModuleType) -> None:
        self.writer = writer
        self.reader: Any = importlib.import_module(writer.MODULE)
        self.gives = getattr(writer, "GIVES", ALL)
        self.cannot = getattr(writer, "CANNOT", frozenset())
        self.one_file = getattr(writer, "ONE_FILE", False)
        self.location_pixels = getattr(writer, "LOCATION_PIXELS", 0.01)
        self.coherence_tolerance = getattr(writer, "COHERENCE_TOLERANCE", 1e-3)
        self.phase_tolerance = getattr(writer, "PHASE_TOLERANCE", 1e-4)
        self.scene = make_scene(getattr(writer, "CRS", "EPSG:4326"))

    def write(self, folder: Path, scene: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return self.writer.write(folder, scene)

    def open(self, folder: Path, scene: Any, *, strict: bool = False) -> InterferogramStack:
        return self.reader.open_stack(self.write(folder, scene), strict=strict)

    def remove_companion(self, root: Path, stack: InterferogramStack, pair: Pair) -> Path:
        """Take away a file that `pair` needs, and return it."""
        if hasattr(self.writer, "remove_companion"):
            return self.writer.remove_companion(root, pair)
        files = stack.files[pair]
        assert len(files) > 1, f"{self.writer.NAME} must say CANNOT 'companion' or give remove_companion"
        files[-1].unlink()
        return files[-1]

    def skip_if_cannot(self, what: str) -> None:
        if what in self.cannot:
            pytest.skip(f"the layout of {self.writer.NAME} cannot express this: {what}")

    def skip_unless_gives(self, what: str) -> None:
        if what not in self.gives:
            pytest.skip(f"{self.writer.NAME} does not give {what}")


@pytest.fixture(params=WRITERS, ids=NAMES)
def product(request: pytest.FixtureRequest) -> Product:
    return Product(request.param)


@pytest.fixture
def stack(product: Product, tmp_path: Path) -> InterferogramStack:
    return product.open(tmp_path / "product", product.scene)


def phases_agree(igram: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    both = (igram != 0) & (expected != 0)
    assert both.any()
    np.testing.assert_allclose(np.angle(igram * expected.conj())[both], 0, atol=tolerance)


def expect_one_skipped(
    product: Product, folder: Path, change: Callable[[Any, int], Any], index: int = 1, left: int | None = None
) -> None:
    """Show that one bad pair among four is skipped with one line, or stops a strict opening with the same line."""
    path = product.write(folder, change(product.scene, index))
    stack = product.reader.open_stack(path)
    skipped = [p for p in stack.problems if p.skipped]
    assert len(skipped) == 1
    names = [layer.name for layer in product.scene.layers]
    kept = [p.name for p in stack.pairs]
    assert kept == (names if left == len(names) else [n for i, n in enumerate(names) if i != index])
    one_line(skipped[0].message, skipped[0].path)
    with pytest.raises(ProductError) as caught:
        product.reader.open_stack(path, strict=True)
    assert str(caught.value) == skipped[0].message


def open_and_read(product: Product, path: Path, pair: Pair) -> np.ndarray:
    return product.reader.open_stack(path).read(pair)


def one_line(message: str, path: Path) -> None:
    """A message is one line that names the file and, after a semicolon, the remedy."""
    assert "\n" not in message
    assert str(path) in message
    assert ";" in message
    assert message.rsplit(";", 1)[1].strip()


def test_there_are_products_to_try() -> None:
    assert WRITERS


def test_name_of_the_reader_is_that_of_the_product(product: Product) -> None:
    assert product.reader.PRODUCT == product.writer.NAME


def test_product_is_recognised_and_an_empty_or_strange_folder_is_not(product: Product, tmp_path: Path) -> None:
    assert product.reader.recognises(product.write(tmp_path / "product", product.scene))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert not product.reader.recognises(empty)
    (empty / "notes.txt").write_text("20180702 20180714 nothing to read")
    (empty / "holiday_20180702_20180714.jpg").write_bytes(b"\xff\xd8\xff")
    assert not product.reader.recognises(empty)


def test_no_other_reader_takes_it_for_its_own(product: Product, tmp_path: Path) -> None:
    """Plain GeoTIFF and raw rasters are asked last and may recognise more."""
    path = product.write(tmp_path / "product", product.scene)
    others = {writer.MODULE for writer in WRITERS if writer.NAME not in (product.writer.NAME, "geotiff", "wzp")}
    assert [name for name in sorted(others) if importlib.import_module(name).recognises(path)] == []


def test_pairs_and_dates_are_those_of_the_files_in_date_order(product: Product, stack: InterferogramStack) -> None:
    assert [p.name for p in stack.pairs] == [layer.name for layer in product.scene.layers]
    assert [str(d) for d in stack.dates] == ["2018-07-02", "2018-07-14", "2018-07-26", "2018-08-31", "2018-10-06"]
    assert [p for p in stack.problems if p.skipped] == []
    assert set(stack.files) == set(stack.pairs)
    assert all(file.exists() for files in stack.files.values() for file in files)


def test_phase_has_our_sign_and_no_data_read_as_zero(product: Product, stack: InterferogramStack) -> None:
    for pair, layer in zip(stack.pairs, product.scene.layers, strict=True):
        igram = stack.read(pair)
        assert igram.dtype == np.complex64
        assert igram.shape == product.scene.grid.shape
        np.testing.assert_array_equal(igram != 0, layer.valid)
        phases_agree(igram, layer.igram, product.phase_tolerance)


def test_phase_grows_when_the_ground_moves_away(product: Product, stack: InterferogramStack) -> None:
    """Scene: phase grows by 0.2 rad per row over 12 days, so ground in lower rows has moved farther away."""
    igram = stack.read(stack.pairs[0])
    down = np.angle(np.sum(igram[1:] * igram[:-1].conj()))
    assert down == pytest.approx(0.2, abs=1e-3)


def test_magnitude_is_the_coherence(product: Product, stack: InterferogramStack) -> None:
    for pair, layer in zip(stack.pairs, product.scene.layers, strict=True):
        magnitude = np.abs(stack.read(pair))
        assert magnitude.max() <= 1 + 1e-6
        if "coherence" in product.gives:
            np.testing.assert_allclose(magnitude, np.abs(layer.igram), atol=product.coherence_tolerance)
    assert stack.coherence_source == ("product" if "coherence" in product.gives else "estimated")


@pytest.mark.parametrize(
    "window",
    [Window(0, 0, 40, 30), Window(0, 0, 1, 30), Window(11, 5, 7, 9), Window(39, 29, 1, 1), Window(2, 20, 9, 10)],
)
def test_window_equals_the_crop_of_the_whole(product: Product, stack: InterferogramStack, window: Window) -> None:
    for pair in stack.pairs[:2]:
        whole = stack.read(pair)
        np.testing.assert_array_equal(stack.read(pair, window), whole[window.rows, window.columns])


def test_reading_and_opening_again_give_the_same(product: Product, tmp_path: Path) -> None:
    path = product.write(tmp_path / "product", product.scene)
    first, second = product.reader.open_stack(path), product.reader.open_stack(path)
    assert first.pairs == second.pairs
    one = first.read(first.pairs[2])
    np.testing.assert_array_equal(one, first.read(first.pairs[2]))
    np.testing.assert_array_equal(one, second.read(second.pairs[2]))


def test_pixels_lie_where_the_scene_has_them(product: Product, stack: InterferogramStack) -> None:
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


def test_heights_are_those_of_the_scene(product: Product, stack: InterferogramStack) -> None:
    product.skip_unless_gives("heights")
    window = Window(4, 3, 30, 20)
    heights = stack.read_height(window)
    assert heights.dtype == np.float32
    np.testing.assert_allclose(heights, product.scene.heights[window.rows, window.columns], atol=0.2)


def test_baselines_are_those_of_the_files(product: Product, stack: InterferogramStack) -> None:
    product.skip_unless_gives("baselines")
    found = [p.perpendicular_baseline for p in stack.pairs]
    np.testing.assert_allclose(found, [layer.baseline for layer in product.scene.layers], atol=0.06)


def test_wavelength_is_that_of_the_scene(product: Product, stack: InterferogramStack) -> None:
    product.skip_unless_gives("wavelength")
    assert stack.wavelength == pytest.approx(product.scene.wavelength, rel=1e-6)


def test_look_geometry_is_that_of_the_scene(product: Product, stack: InterferogramStack) -> None:
    product.skip_unless_gives("look")
    np.testing.assert_allclose(stack.look.to_satellite, product.scene.look.to_satellite, atol=2e-3)
    assert stack.look.direction == "descending"


def test_sign_is_said_in_words(product: Product, stack: InterferogramStack) -> None:
    assert "away" in stack.sign


def test_nan_and_infinite_phases_read_as_zero(product: Product, tmp_path: Path) -> None:
    stack = product.open(tmp_path / "product", product.scene.poisoned(1))
    igram = stack.read(stack.pairs[1])
    assert np.isfinite(igram).all()
    np.testing.assert_array_equal(igram[[5, 7, 9], [6, 8, 3]], 0)
    assert np.count_nonzero(igram) == product.scene.layers[1].valid.sum() - 3


def test_pair_without_any_data_reads_as_zeros(product: Product, tmp_path: Path) -> None:
    stack = product.open(tmp_path / "product", product.scene.emptied(1))
    assert len(stack.pairs) == len(product.scene.layers)
    assert not stack.read(stack.pairs[1]).any()
    assert stack.read(stack.pairs[0]).any()


def test_pair_the_wrong_way_round_is_skipped(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("reversed")
    expect_one_skipped(product, tmp_path / "product", lambda scene, i: scene.reversed(i))


def test_pair_given_twice_is_taken_once(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("doubled")
    expect_one_skipped(product, tmp_path / "product", lambda scene, i: scene.doubled(i), left=4)


def test_pair_on_another_grid_is_skipped(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("differing")
    expect_one_skipped(product, tmp_path / "product", lambda scene, i: scene.differing(i))


def test_pair_without_its_companion_is_skipped(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("companion")
    path = product.write(tmp_path / "product", product.scene)
    whole = product.reader.open_stack(path)
    product.remove_companion(path, whole, whole.pairs[1])
    stack = product.reader.open_stack(path)
    assert stack.pairs == (whole.pairs[0], *whole.pairs[2:])
    (problem,) = [p for p in stack.problems if p.skipped]
    one_line(problem.message, problem.path)
    with pytest.raises(ProductError):
        product.reader.open_stack(path, strict=True)


def test_truncated_file_is_named(product: Product, tmp_path: Path) -> None:
    """Only the pair of the file is lost, at opening if its size tells, else when it is read."""
    product.skip_if_cannot("truncated")
    path = product.write(tmp_path / "product", product.scene)
    whole = product.reader.open_stack(path)
    pair = whole.pairs[1]
    victim = whole.files[pair][0]
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    if product.one_file:
        with pytest.raises(GroundshiftError) as caught:
            open_and_read(product, path, pair)
        one_line(str(caught.value), victim)
        return
    stack = product.reader.open_stack(path)
    if pair in stack.pairs:
        with pytest.raises(GroundshiftError) as caught:
            stack.read(pair)
        one_line(str(caught.value), victim)
    else:
        (problem,) = [p for p in stack.problems if p.skipped]
        one_line(problem.message, victim)
    for other in (whole.pairs[0], *whole.pairs[2:]):
        np.testing.assert_array_equal(stack.read(other), whole.read(other))


def test_empty_file_is_named(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("truncated")
    path = product.write(tmp_path / "product", product.scene)
    whole = product.reader.open_stack(path)
    victim = whole.files[whole.pairs[1]][0]
    victim.write_bytes(b"")
    if product.one_file:
        with pytest.raises(GroundshiftError) as caught:
            product.reader.open_stack(path)
        one_line(str(caught.value), victim)
        return
    stack = product.reader.open_stack(path)
    assert stack.pairs == (whole.pairs[0], *whole.pairs[2:])
    assert [victim in (p.path,) for p in stack.problems if p.skipped] == [True]


def test_no_good_pair_left_gives_the_first_reason(product: Product, tmp_path: Path) -> None:
    product.skip_if_cannot("reversed")
    scene = replace(product.scene, layers=product.scene.reversed(0).layers[:1])
    path = product.write(tmp_path / "product", scene)
    with pytest.raises(GroundshiftError, match="wrong way round") as caught:
        product.reader.open_stack(path)
    assert "\n" not in str(caught.value)


def test_folder_without_interferograms_is_said_in_one_line(product: Product, tmp_path: Path) -> None:
    with pytest.raises(GroundshiftError) as caught:
        product.reader.open_stack(tmp_path)
    one_line(str(caught.value), tmp_path)
