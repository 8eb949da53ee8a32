import importlib.util
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import NoDataError, ProductError
from groundshift.io import geotiff, open_stack
from groundshift.io.rasters import polar
from groundshift.simulate import SceneConfig, simulate_scene, write_scene
from groundshift.types import LookGeometry, MapGrid, RadarGrid, Window


def load(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "products" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"products_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


write_tif = load("geotiff").write_tif
GRID = MapGrid((12, 14), Affine(40, 0, 210_000, 0, -40, 3_416_000), "EPSG:32648")
PAIR = "20180702_20180714"
Y, X = np.mgrid[:12, :14]
PHASE = (0.3 * X - 0.2 * Y + 0.05).astype(np.float32)
COHERENCE = (0.3 + 0.04 * X).astype(np.float32)
IGRAM = COHERENCE * np.exp(1j * PHASE)

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def put(folder: Path, **rasters: np.ndarray) -> Path:
    """Write rasters named by what comes after the pair."""
    for name, array in rasters.items():
        write_tif(folder / f"{PAIR}_{name}.tif", array, GRID)
    return folder


def only(folder: Path, **options: Any) -> np.ndarray:
    stack = geotiff.open_stack(folder, **options)
    (pair,) = stack.pairs
    return stack.read(pair)


@pytest.mark.parametrize(
    ("phase", "coherence"), [("unw", "cc"), ("wrapped_phase", "corr"), ("diff_pha", "coh"), ("ifg", "cor")]
)
def test_names_tell_phase_from_coherence(tmp_path: Path, phase: str, coherence: str) -> None:
    put(tmp_path, **{phase: PHASE, coherence: COHERENCE, "dem": PHASE + 900, "unw_conncomp": PHASE})
    np.testing.assert_allclose(only(tmp_path), IGRAM, atol=1e-6)


def test_name_with_nothing_but_dates_is_a_phase(tmp_path: Path) -> None:
    write_tif(tmp_path / f"{PAIR}.tif", PHASE, GRID)
    put(tmp_path, cc=COHERENCE)
    np.testing.assert_allclose(only(tmp_path), IGRAM, atol=1e-6)


def test_dates_may_stand_in_the_name_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / PAIR).mkdir()
    write_tif(tmp_path / PAIR / "unw.tif", PHASE, GRID)
    write_tif(tmp_path / PAIR / "cc.tif", COHERENCE, GRID)
    np.testing.assert_allclose(only(tmp_path), IGRAM, atol=1e-6)


def test_complex_raster_brings_its_own_coherence(tmp_path: Path) -> None:
    put(tmp_path, int=IGRAM.astype(np.complex64))
    stack = geotiff.open_stack(tmp_path)
    assert stack.coherence_source == "product"
    np.testing.assert_allclose(stack.read(stack.pairs[0]), IGRAM, atol=1e-6)


@pytest.mark.parametrize("amplitude", [1.0, 250.0])
def test_magnitude_of_a_phasor_or_an_amplitude_is_no_coherence(tmp_path: Path, amplitude: float) -> None:
    put(tmp_path, int=(amplitude * np.exp(1j * PHASE)).astype(np.complex64))
    stack = geotiff.open_stack(tmp_path)
    assert stack.coherence_source == "estimated"
    igram = stack.read(stack.pairs[0])
    np.testing.assert_allclose(np.angle(igram * IGRAM.conj()), 0, atol=1e-5)
    np.testing.assert_allclose(np.abs(igram), 1, atol=1e-4)  # a plane without noise


def test_coherence_raster_is_taken_before_the_magnitude(tmp_path: Path) -> None:
    put(tmp_path, int=(250 * np.exp(1j * PHASE)).astype(np.complex64), coh=COHERENCE)
    np.testing.assert_allclose(only(tmp_path), IGRAM, atol=1e-6)


def test_wrapped_phase_is_taken_before_unwrapped(tmp_path: Path) -> None:
    put(tmp_path, unw=PHASE + 1, phase=PHASE, cc=COHERENCE)
    np.testing.assert_allclose(only(tmp_path), IGRAM, atol=1e-6)


def test_zero_phase_is_data_only_where_the_coherence_is_above_zero(tmp_path: Path) -> None:
    phase, coherence = PHASE.copy(), COHERENCE.copy()
    phase[2, 3] = phase[5, 6] = 0
    coherence[5, 6] = 0
    igram = only(put(tmp_path, unw=phase, cc=coherence))
    assert igram[2, 3] == pytest.approx(COHERENCE[2, 3])
    assert igram[5, 6] == 0
    assert np.count_nonzero(igram) == igram.size - 1


def test_zero_phase_without_coherence_is_no_data(tmp_path: Path) -> None:
    phase = PHASE.copy()
    phase[2, 3] = 0
    igram = only(put(tmp_path, unw=phase))
    assert igram[2, 3] == 0
    assert np.count_nonzero(igram) == igram.size - 1


@pytest.mark.parametrize("nodata", [-9999.0, 0.0, np.nan, -3.4028234663852886e38])
def test_nodata_tag_is_no_data_in_either_raster(tmp_path: Path, nodata: float) -> None:
    phase, coherence = PHASE.copy(), COHERENCE.copy()
    phase[2, 3] = coherence[5, 6] = nodata
    write_tif(tmp_path / f"{PAIR}_unw.tif", phase, GRID, nodata=nodata)
    write_tif(tmp_path / f"{PAIR}_cc.tif", coherence, GRID, nodata=nodata)
    igram = only(tmp_path)
    assert igram[2, 3] == igram[5, 6] == 0
    assert np.count_nonzero(igram) == igram.size - 2


def test_two_kinds_of_phase_for_the_same_pairs_must_be_told_apart(tmp_path: Path) -> None:
    put(tmp_path, unw=PHASE, filt_unw=PHASE + 1, cc=COHERENCE)
    with pytest.raises(ProductError) as caught:
        geotiff.open_stack(tmp_path)
    message = (
        f"{tmp_path}: {PAIR}_filt_unw.tif and {PAIR}_unw.tif both look like the phase of {PAIR}; choose one kind with "
        "a pattern, such as '*_*_filt_unw.tif'"
    )
    assert str(caught.value) == message
    np.testing.assert_allclose(only(tmp_path, pattern="*[0-9]_unw.tif"), IGRAM, atol=1e-6)
    turned = only(tmp_path, pattern="*_filt_unw.tif")
    np.testing.assert_allclose(turned, IGRAM * np.exp(1j), atol=1e-6)


def test_pattern_with_groups_reads_dates_that_no_rule_knows(tmp_path: Path) -> None:
    """Here the second acquisition stands first in the name."""
    write_tif(tmp_path / "sec20180714.ref20180702.dat.tif", PHASE, GRID)
    stack = geotiff.open_stack(tmp_path, pattern=r"sec(?P<secondary>\d{8})\.ref(?P<reference>\d{8})")
    assert [p.name for p in stack.pairs] == [PAIR]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(?P<reference>\d{8}", "is no regular expression"),
        (r"(?P<reference>\d{8})", "must have the named groups 'reference' and 'secondary'"),
    ],
)
def test_pattern_that_cannot_work_is_named(tmp_path: Path, pattern: str, message: str) -> None:
    put(tmp_path, unw=PHASE)
    with pytest.raises(ProductError, match=message):
        geotiff.open_stack(tmp_path, pattern=pattern)


def test_pattern_that_fits_nothing_leaves_no_pair(tmp_path: Path) -> None:
    put(tmp_path, unw=PHASE)
    with pytest.raises(NoDataError, match="no interferograms here; give the folder that holds them"):
        geotiff.open_stack(tmp_path, pattern="*.int.tif")


def test_coherence_on_another_grid_is_named(tmp_path: Path) -> None:
    put(tmp_path, unw=PHASE)
    write_tif(tmp_path / f"{PAIR}_cc.tif", COHERENCE, GRID.shifted(0.5, 0))
    with pytest.raises(NoDataError) as caught:
        geotiff.open_stack(tmp_path)
    companion = tmp_path / f"{PAIR}_cc.tif"
    assert str(caught.value) == f"{companion}: not on the grid of {PAIR}_unw.tif; bring it to that grid"


def test_wavelength_is_given_or_of_the_tag_or_of_sentinel1_with_a_note(tmp_path: Path) -> None:
    put(tmp_path, unw=PHASE)
    stack = geotiff.open_stack(tmp_path)
    assert stack.wavelength == SENTINEL1_WAVELENGTH
    (note,) = stack.problems
    assert not note.skipped
    assert "wavelength" in note.message
    assert geotiff.open_stack(tmp_path, strict=True).wavelength == SENTINEL1_WAVELENGTH
    assert geotiff.open_stack(tmp_path, wavelength=0.236).wavelength == 0.236
    write_tif(tmp_path / f"{PAIR}_unw.tif", PHASE, GRID, WAVELENGTH_METRES=0.0562)
    stack = geotiff.open_stack(tmp_path)
    assert (stack.wavelength, stack.problems) == (0.0562, ())
    with pytest.raises(ValueError, match="wavelength must be positive"):
        geotiff.open_stack(tmp_path, wavelength=0)


def test_rasters_without_coordinates_take_those_of_the_others(tmp_path: Path) -> None:
    put(tmp_path, unw=PHASE)
    write_tif(tmp_path / "20180702_20180726_unw.tif", PHASE, MapGrid(GRID.shape, GRID.transform, ""))
    stack = geotiff.open_stack(tmp_path, wavelength=0.05)
    assert len(stack.pairs) == 2
    assert stack.grid == GRID
    assert [p.skipped for p in stack.problems] == [False]


def test_degrees_without_a_coordinate_system_are_taken_as_wgs84(tmp_path: Path) -> None:
    grid = MapGrid((12, 14), Affine(0.001, 0, 101.9, 0, -0.001, 30.8), "")
    write_tif(tmp_path / f"{PAIR}_unw.tif", PHASE, grid)
    stack = geotiff.open_stack(tmp_path, wavelength=0.05)
    assert stack.grid == MapGrid((12, 14), grid.transform, "EPSG:4326")
    assert "EPSG:4326" in stack.problems[0].message


def test_metres_without_a_coordinate_system_cannot_be_placed(tmp_path: Path) -> None:
    write_tif(tmp_path / f"{PAIR}_unw.tif", PHASE, MapGrid(GRID.shape, GRID.transform, ""))
    with pytest.raises(ProductError, match="no coordinate system; assign one with gdal_edit -a_srs"):
        geotiff.open_stack(tmp_path)


def test_raster_without_any_place_is_taken_as_radar_geometry(tmp_path: Path) -> None:
    write_tif(tmp_path / f"{PAIR}_unw.tif", PHASE, None)
    stack = geotiff.open_stack(tmp_path, wavelength=0.05)
    assert isinstance(stack.grid, RadarGrid)
    assert stack.grid.spacing == (20, 20)
    assert "20 m" in stack.problems[0].message


def test_rotated_raster_is_skipped(tmp_path: Path) -> None:
    put(tmp_path, unw=PHASE)
    rotated = MapGrid(GRID.shape, GRID.transform @ Affine.rotation(10), GRID.crs)
    write_tif(tmp_path / "20180702_20180726_unw.tif", PHASE, rotated)
    stack = geotiff.open_stack(tmp_path, wavelength=0.05)
    assert [p.name for p in stack.pairs] == [PAIR]
    assert "gdalwarp" in stack.problems[0].message


def test_single_raster_opens(tmp_path: Path) -> None:
    put(tmp_path, unw=PHASE, cc=COHERENCE)
    stack = geotiff.open_stack(tmp_path / f"{PAIR}_unw.tif", wavelength=0.05)
    assert [p.name for p in stack.pairs] == [PAIR]


def test_many_offset_bands_are_no_phase(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / f"{PAIR}-F.tif",
        "w",
        driver="GTiff",
        height=12,
        width=14,
        count=3,
        dtype="float32",
        crs=GRID.crs,
        transform=GRID.transform,
    ) as sink:
        sink.write(np.stack([PHASE] * 3))
    with pytest.raises(NoDataError):
        geotiff.open_stack(tmp_path)


def test_gamma_parameters_beside_the_rasters_give_look_and_wavelength(tmp_path: Path) -> None:
    put(tmp_path, unw=PHASE)
    (tmp_path / "r20180702.par").write_text(
        "heading:   -12.27 degrees\nincidence_angle:   39.70 degrees\nradar_frequency: 5.405e+09 Hz\n"
    )
    stack = geotiff.open_stack(tmp_path)
    assert (stack.look.heading, stack.look.incidence) == (-12.27, 39.70)
    assert stack.wavelength == pytest.approx(299_792_458 / 5.405e9)
    assert stack.problems == ()


METADATA = """\
wavelength_m: 0.236
heading_deg: 190.0
incidence_deg: 39.0
right_looking: false
track: test-1
satellite: passed over
perpendicular_baselines_m:
  20180702_20180714: -34.2
  '20180702_20180726': 12
  20180714_20180726: null
  20200101_20200113: 5.0
"""


HUGE = f"1{400 * '0'}"


def put_folder(folder: Path, metadata: str = METADATA) -> Path:
    """Write the plain folder of docs/geotiff-folder.md: three pairs, terrain, truth, metadata."""
    folder.mkdir(exist_ok=True)
    for pair in (PAIR, "20180702_20180726", "20180714_20180726"):
        write_tif(folder / f"{pair}_phase.tif", PHASE, GRID)
        write_tif(folder / f"{pair}_coh.tif", COHERENCE, GRID)
    write_tif(folder / "dem.tif", HEIGHT, GRID, nodata=-32768)
    write_tif(folder / "truth_velocity.tif", PHASE, GRID)
    (folder / "metadata.yaml").write_text(metadata, encoding="utf-8")
    return folder


HEIGHT = (900 + 10 * Y + X).astype(np.float32)
HEIGHT[3, 4] = -32768


def test_metadata_gives_what_the_rasters_cannot_say(tmp_path: Path) -> None:
    """Unquoted, YAML takes the name of a pair for a whole number."""
    stack = geotiff.open_stack(put_folder(tmp_path / "folder"))
    assert stack.wavelength == 0.236
    assert stack.look == LookGeometry(190.0, 39.0, right_looking=False)
    assert stack.track == "test-1"
    assert [p.perpendicular_baseline for p in stack.pairs] == [-34.2, 12.0, None]
    assert stack.problems == ()
    for pair in stack.pairs:
        np.testing.assert_allclose(stack.read(pair), IGRAM, atol=1e-6)
        assert {f.name for f in stack.files[pair]} == {f"{pair.name}_phase.tif", f"{pair.name}_coh.tif"}


def test_given_wavelength_goes_before_that_of_the_metadata(tmp_path: Path) -> None:
    assert geotiff.open_stack(put_folder(tmp_path), wavelength=0.031).wavelength == 0.031


@pytest.mark.parametrize("metadata", ["", "heading_deg: 190", "incidence_deg: 39\nright_looking: true"])
def test_one_angle_alone_is_no_look_direction(tmp_path: Path, metadata: str) -> None:
    stack = geotiff.open_stack(put_folder(tmp_path, metadata))
    assert stack.look is None
    assert stack.track == tmp_path.name
    assert stack.wavelength == SENTINEL1_WAVELENGTH
    assert [p.perpendicular_baseline for p in stack.pairs] == [None] * 3


def test_metadata_goes_before_gamma_parameters(tmp_path: Path) -> None:
    put_folder(tmp_path, "wavelength_m: 0.056\n")
    (tmp_path / "r20180702.par").write_text(
        "heading:   -12.27 degrees\nincidence_angle:   39.70 degrees\nradar_frequency: 5.405e+09 Hz\n"
    )
    stack = geotiff.open_stack(tmp_path)
    assert stack.wavelength == 0.056
    assert stack.look == LookGeometry(-12.27, 39.70)


@pytest.mark.parametrize(
    ("metadata", "key", "message"),
    [
        ("wavelength_m: five", "wavelength_m", "a number of metres between 0.001 and 2, instead got 'five'"),
        ("wavelength_m: 5.5465763", "wavelength_m", "a number of metres between 0.001 and 2, instead got 5.5465763"),
        ("wavelength_m: true", "wavelength_m", "a number of metres between 0.001 and 2, instead got True"),
        ("wavelength_m: .nan", "wavelength_m", "a number of metres between 0.001 and 2, instead got nan"),
        ("heading_deg: 361", "heading_deg", "a number of degrees from -360 to 360, instead got 361"),
        (f"heading_deg: {HUGE}", "heading_deg", f"a number of degrees from -360 to 360, instead got {HUGE[:57]}..."),
        ("incidence_deg: 90", "incidence_deg", "a number of degrees between 0 and 90, instead got 90"),
        ("incidence_deg: [39]", "incidence_deg", "a number of degrees between 0 and 90, instead got [39]"),
    ],
)  # fmt: skip
def test_number_that_cannot_be_is_named(tmp_path: Path, metadata: str, key: str, message: str) -> None:
    with pytest.raises(ProductError) as caught:
        geotiff.open_stack(put_folder(tmp_path, metadata))
    assert str(caught.value) == f"{tmp_path / 'metadata.yaml'}: {key} must be {message}; mend it or leave it out"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("right_looking: 1", "right_looking must be true or false, instead got 1; write one of them"),
        ("track: 021", "track must be text, instead got 17; put the name in quotes"),
        ("track: ' '", "track must be text, instead got ' '; put the name in quotes"),
        ("- 1", "expected names with values; see docs/geotiff-folder.md for its form"),
        ("track: a\n b: [", "not a YAML file, line 2; see docs/geotiff-folder.md for its form"),
        ("taken: 2018-13-45", "not a YAML file; see docs/geotiff-folder.md for its form"),
        (
            "perpendicular_baselines_m: [1]",
            "perpendicular_baselines_m must be pairs with metres, instead got [1]; write a line for each pair",
        ),
        (
            "perpendicular_baselines_m: {first: 3}",
            "perpendicular_baselines_m must be YYYYMMDD_YYYYMMDD, instead got 'first'; name each pair by its two dates",
        ),
        (
            "perpendicular_baselines_m: {20180714_20180702: 3}",
            "perpendicular_baselines_m: dates 2018-07-14 and 2018-07-02 are the wrong way round; form the pair again "
            "with the earlier date as reference, or rename it if only the name is wrong",
        ),
        (
            "perpendicular_baselines_m: {20180702_20180714: far}",
            "perpendicular_baselines_m: 20180702_20180714 must be a number of metres within 100 km, instead got 'far'; "
            "mend it or leave it out",
        ),
    ],
)
def test_metadata_of_another_form_is_named(tmp_path: Path, metadata: str, message: str) -> None:
    with pytest.raises(ProductError) as caught:
        geotiff.open_stack(put_folder(tmp_path, metadata))
    assert str(caught.value) == f"{tmp_path / 'metadata.yaml'}: {message}"


def test_metadata_that_is_no_text_is_named(tmp_path: Path) -> None:
    put_folder(tmp_path)
    (tmp_path / "metadata.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ProductError, match=r"metadata.yaml: not a YAML file; see docs/geotiff-folder.md"):
        geotiff.open_stack(tmp_path)


def test_terrain_is_read_by_windows_and_its_nodata_is_unknown(tmp_path: Path) -> None:
    read_height = geotiff.open_stack(put_folder(tmp_path)).read_height
    whole = read_height(Window(0, 0, *GRID.shape))
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, np.where(HEIGHT < 0, np.nan, HEIGHT))
    window = Window(2, 3, 5, 6)
    np.testing.assert_array_equal(read_height(window), whole[window.rows, window.columns])


@pytest.mark.parametrize(
    "grid",
    [
        GRID.shifted(0.5, 0),
        MapGrid((11, 14), GRID.transform, GRID.crs),
        MapGrid(GRID.shape, GRID.transform, "EPSG:32647"),
    ],
    ids=["beside", "smaller", "other zone"],
)
def test_terrain_on_another_grid_is_not_read_and_named(tmp_path: Path, grid: MapGrid) -> None:
    put_folder(tmp_path)
    write_tif(tmp_path / "dem.tif", HEIGHT[: grid.shape[0]], grid)
    stack = geotiff.open_stack(tmp_path)
    assert stack.read_height is None
    (note,) = stack.problems
    assert not note.skipped
    assert note.message == (
        f"{tmp_path / 'dem.tif'}: not on the grid of the pairs, heights are not read; bring it to that grid or give it "
        "with --dem"
    )


def test_unreadable_terrain_is_no_reason_to_stop(tmp_path: Path) -> None:
    put_folder(tmp_path)
    (tmp_path / "dem.tif").write_bytes(b"II*\0")
    stack = geotiff.open_stack(tmp_path)
    assert stack.read_height is None
    assert [str(tmp_path / "dem.tif") in p.message for p in stack.problems] == [True]


@pytest.mark.parametrize("name", ["dem.tif", "truth.tif", "truth_velocity.tif", "truth_20180101_20180113.tif"])
@pytest.mark.parametrize("pattern", [None, "*.tif"])
def test_terrain_and_truth_are_never_taken_for_a_pair(tmp_path: Path, name: str, pattern: str | None) -> None:
    """Not even where the folder's name holds two dates, or a pattern fits."""
    below = tmp_path / "20180101_20180113"
    below.mkdir()
    write_tif(below / name, PHASE, GRID)
    assert not geotiff.recognises(tmp_path)
    assert not geotiff.recognises(below / name)
    with pytest.raises(NoDataError, match="no interferograms here"):
        geotiff.open_stack(tmp_path, pattern=pattern)


def test_folder_one_level_up_finds_the_same_companions(tmp_path: Path) -> None:
    put_folder(tmp_path / "scene")
    stack = geotiff.open_stack(tmp_path)
    assert stack.track == "test-1"
    assert stack.read_height is not None


def test_simulated_scene_comes_back_with_look_baselines_and_heights(tmp_path: Path) -> None:
    config = SceneConfig(seed=5, shape=(64, 72), n_dates=4, n_slides=1, gap_share=0.0)
    scene = simulate_scene(config)
    write_scene(scene, tmp_path / "scene")
    stack = open_stack(tmp_path / "scene", strict=True)
    assert stack.product == "geotiff"
    assert stack.look == LookGeometry(config.heading, config.incidence, config.right_looking)
    assert stack.wavelength == config.wavelength_m
    assert stack.track == "simulated-5"
    assert stack.problems == ()
    assert [p.name for p in stack.pairs] == [p.name for p in scene.pairs]
    expected = [p.perpendicular_baseline for p in scene.pairs]
    np.testing.assert_allclose([p.perpendicular_baseline for p in stack.pairs], expected, atol=1e-3)
    np.testing.assert_array_equal(stack.read_height(stack.full), scene.heights)
    np.testing.assert_allclose(stack.read(stack.pairs[1]), scene.igram(scene.pairs[1]), atol=1e-6)


def test_raster_without_a_place_is_opened_without_a_warning(tmp_path: Path) -> None:
    """In a process of its own, for pytest sets the filters of this one."""
    write_tif(tmp_path / f"{PAIR}_unw.tif", PHASE, None)
    program = "import sys, pathlib; from groundshift.io import geotiff; geotiff.open_stack(pathlib.Path(sys.argv[1]))"
    run = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert run.stderr == ""


@given(
    arrays(np.float32, (5, 7), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    arrays(np.float32, (5, 7), elements=st.floats(-1e4, 1e4, width=32)),
    arrays(bool, (5, 7)),
)
def test_joined_coherence_and_phase_are_coherence_times_phasor(coherence, phase, valid) -> None:
    igram = polar(coherence, phase, valid)
    assert igram.dtype == np.complex64
    good = valid & np.isfinite(coherence)
    expected = np.where(good, np.clip(np.nan_to_num(coherence), 0, 1) * np.exp(1j * phase.astype(np.float64)), 0)
    np.testing.assert_allclose(igram, expected, atol=1e-6)


def data(name: str) -> Path:
    root = os.environ.get("GROUNDSHIFT_DATA")
    if not root:
        pytest.skip("GROUNDSHIFT_DATA is not set")
    return Path(root) / name


@pytest.mark.real
def test_mexico_city_sinks_most_on_the_lake_bed_in_the_east() -> None:
    """The hills of the west edge stand still, the bed of Lake Texcoco in the east sinks by decimetres a year."""
    stack = geotiff.open_stack(data("mexico_city"))
    assert len(stack.pairs) == 30
    assert stack.coherence_source == "product"
    assert stack.look.direction == "ascending"
    assert stack.wavelength == pytest.approx(0.0555, abs=1e-4)
    # Summed phase differences of neighbouring columns are free of the unwrapping and of the reference.
    east = np.zeros((60, 99))
    for pair in stack.pairs:
        igram = stack.read(pair)
        east += np.angle(igram[:, 1:] * igram[:, :-1].conj()) / pair.years
    sinking = stack.wavelength / (4 * np.pi) * np.nanmedian(east, axis=0).sum() / len(stack.pairs)
    assert 0.1 < sinking < 0.5  # metres a year, along the line of sight


@pytest.mark.real
def test_sydney_opens_with_estimated_coherence() -> None:
    stack = geotiff.open_stack(data("sydney/tif"))
    assert len(stack.pairs) == 17
    assert len(stack.dates) == 13
    assert stack.coherence_source == "estimated"
    assert stack.wavelength == pytest.approx(0.0562, abs=1e-4)
    assert stack.pairs[0].reference == date(2006, 6, 19)
    whole = stack.read(stack.pairs[0])
    window = Window(10, 9, 31, 20)
    np.testing.assert_array_equal(stack.read(stack.pairs[0], window), whole[window.rows, window.columns])
    assert 0.5 < np.abs(whole).mean() < 1
