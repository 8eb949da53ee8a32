import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
from affine import Affine

from groundshift.constants import EARTH_RADIUS, SENTINEL1_WAVELENGTH
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, ProductError
from groundshift.io import mintpy
from groundshift.types import MapGrid, RadarGrid


def load(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "products" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"products_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Y, X = np.mgrid[:9, :11]
PHASE = (0.3 * X - 0.2 * Y + 0.05).astype(np.float32)
COHERENCE = (0.3 + 0.04 * X).astype(np.float32)
IGRAM = COHERENCE * np.exp(1j * PHASE)


def put(folder: Path, attributes: dict[str, Any] | None = None, **layers: Any) -> Path:
    """Write a stack of two pairs; a layer given as None is left out."""
    told = {
        "date": np.array([[b"20180702", b"20180714"], [b"20180702", b"20180726"]], "S8"),
        "bperp": np.array([12.5, -40.0], np.float32),
        "dropIfgram": np.array([True, True]),
        "unwrapPhase": np.stack([PHASE, PHASE + 7]),
        "coherence": np.stack([COHERENCE, COHERENCE]),
        **layers,
    }
    file = folder / "ifgramStack.h5"
    with h5py.File(file, "w") as sink:
        sink.attrs.update({"WAVELENGTH": "0.0555", **(attributes or {})})
        for name, value in told.items():
            if value is not None:
                sink[name] = value
    return file


def test_true_in_drop_ifgram_keeps_a_pair(tmp_path: Path) -> None:
    stack = mintpy.open_stack(put(tmp_path, dropIfgram=np.array([False, True])))
    assert [p.name for p in stack.pairs] == ["20180702_20180726"]
    np.testing.assert_allclose(stack.read(stack.pairs[0]), IGRAM * np.exp(7j), atol=1e-5)
    assert any("1 of 2 pairs are dropped" in p.message and not p.skipped for p in stack.problems)


def test_stack_with_all_pairs_dropped_has_nothing_left(tmp_path: Path) -> None:
    with pytest.raises(NoDataError):
        mintpy.open_stack(put(tmp_path, dropIfgram=np.array([False, False])))


def test_wrapped_phase_is_taken_first_and_may_be_zero_where_coherent(tmp_path: Path) -> None:
    wrapped, coherence = np.stack([PHASE, PHASE]), np.stack([COHERENCE, COHERENCE])
    wrapped[0, 2, 3] = wrapped[0, 5, 6] = coherence[0, 5, 6] = 0
    stack = mintpy.open_stack(put(tmp_path, wrapPhase=wrapped, coherence=coherence))
    igram = stack.read(stack.pairs[0])
    assert igram[2, 3] == pytest.approx(COHERENCE[2, 3])
    assert igram[5, 6] == 0
    np.testing.assert_allclose(stack.read(stack.pairs[1]), IGRAM, atol=1e-6)


def test_unwrapped_phase_of_zero_is_no_data_even_where_coherent(tmp_path: Path) -> None:
    phase = np.stack([PHASE, PHASE])
    phase[0, 2, 3] = 0
    stack = mintpy.open_stack(put(tmp_path, unwrapPhase=phase))
    assert np.argwhere(stack.read(stack.pairs[0]) == 0).tolist() == [[2, 3]]


def test_coherence_is_estimated_where_there_is_none(tmp_path: Path) -> None:
    stack = mintpy.open_stack(put(tmp_path, coherence=None))
    assert stack.coherence_source == "estimated"
    np.testing.assert_allclose(stack.read(stack.pairs[0]), np.exp(1j * PHASE), atol=1e-4)


@pytest.mark.parametrize(
    ("attributes", "crs"),
    [
        ({"X_UNIT": "degrees"}, "EPSG:4326"),
        ({"X_UNIT": "meters", "UTM_ZONE": "11N"}, "EPSG:32611"),
        ({"X_UNIT": "meters", "UTM_ZONE": "47S"}, "EPSG:32747"),
        ({"X_UNIT": "meters", "EPSG": "32648"}, "EPSG:32648"),
    ],
)
def test_first_coordinates_are_the_outer_corner(tmp_path: Path, attributes: dict[str, str], crs: str) -> None:
    place = {"X_FIRST": "100.5", "Y_FIRST": "30.25", "X_STEP": "0.5", "Y_STEP": "-0.25"}
    stack = mintpy.open_stack(put(tmp_path, place | attributes))
    assert stack.grid == MapGrid((9, 11), Affine(0.5, 0, 100.5, 0, -0.25, 30.25), crs)


def test_metres_without_a_zone_cannot_be_placed(tmp_path: Path) -> None:
    place = {"X_FIRST": "100", "Y_FIRST": "30", "X_STEP": "40", "Y_STEP": "-40", "X_UNIT": "meters"}
    with pytest.raises(ProductError, match="a grid in meters without EPSG or UTM_ZONE; set one of the attributes"):
        mintpy.open_stack(put(tmp_path, place))


def test_geocoded_geometry_gives_heights_and_look(tmp_path: Path) -> None:
    put(tmp_path, {"X_FIRST": "101", "Y_FIRST": "30", "X_STEP": "0.1", "Y_STEP": "-0.1"})
    with h5py.File(tmp_path / "geometryGeo.h5", "w") as sink:
        sink["height"] = PHASE + 100
        sink["incidenceAngle"], sink["azimuthAngle"] = np.full(PHASE.shape, 37.0), np.full(PHASE.shape, -102.0)
    stack = mintpy.open_stack(tmp_path)
    assert stack.look.incidence == 37
    assert stack.look.heading == pytest.approx(-168)  # 90 + 102 = 192, descending
    assert stack.look.direction == "descending"
    np.testing.assert_array_equal(stack.read_height(stack.full), PHASE + 100)


def test_radar_pixels_without_places_come_down_from_the_orbit_to_the_ground(tmp_path: Path) -> None:
    attributes = {
        "AZIMUTH_PIXEL_SIZE": "78.0",
        "RANGE_PIXEL_SIZE": "34.9",
        "HEIGHT": str(EARTH_RADIUS / 9),
        "EARTH_RADIUS": str(EARTH_RADIUS),
        "CENTER_INCIDENCE_ANGLE": "30",
    }
    stack = mintpy.open_stack(put(tmp_path, attributes))
    assert isinstance(stack.grid, RadarGrid)
    assert stack.grid.spacing == pytest.approx((78.0 * 0.9, 34.9 * 2))
    assert any("geometryRadar.h5: no such file" in p.message for p in stack.problems)


def test_geometry_on_another_grid_is_named(tmp_path: Path) -> None:
    put(tmp_path)
    with h5py.File(tmp_path / "geometryRadar.h5", "w") as sink:
        sink["height"] = np.zeros((9, 12))
    with pytest.raises(ProductError, match=r"geometryRadar\.h5: not on the grid of ifgramStack\.h5"):
        mintpy.open_stack(tmp_path)


def test_pixels_at_longitude_and_latitude_zero_have_no_place(tmp_path: Path) -> None:
    load_scene = load("scene").make_scene()
    path = load("mintpy").write(tmp_path, load_scene)
    with h5py.File(path / "inputs" / "geometryRadar.h5", "a") as sink:
        sink["longitude"][0, 0] = sink["latitude"][0, 0] = 0
    grid = mintpy.open_stack(path).grid
    assert np.isnan(grid.longitude[0, 0])
    assert np.isfinite(grid.longitude).sum() == grid.longitude.size - 1
    assert grid.spacing == pytest.approx(load_scene.grid.spacing, rel=1e-3)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"unwrapPhase": None}, "neither wrapPhase nor unwrapPhase in it; load interferograms with load_data.py"),
        ({"coherence": np.ones((2, 9, 12))}, "coherence and unwrapPhase differ in shape; load them again"),
        ({"bperp": np.ones(3)}, "date, bperp and dropIfgram differ in length from the phase; load it again"),
    ],
)
def test_file_that_contradicts_itself_is_named(tmp_path: Path, layers: dict[str, Any], message: str) -> None:
    file = put(tmp_path, **layers)
    with pytest.raises(ProductError) as caught:
        mintpy.open_stack(file)
    assert str(caught.value).startswith(f"{file}: {message}")


def test_file_without_dates_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="truncated or not a MintPy file; copy or load it again"):
        mintpy.open_stack(put(tmp_path, date=None))


def test_dates_that_are_none_skip_their_pair(tmp_path: Path) -> None:
    dates = np.array([[b"2018070x", b"20180714"], [b"20180702", b"20180726"]], "S8")
    stack = mintpy.open_stack(put(tmp_path, date=dates))
    assert [p.name for p in stack.pairs] == ["20180702_20180726"]
    assert [p.skipped for p in stack.problems if "pair 0 has dates" in p.message] == [True]


def test_wavelength_missing_is_noted(tmp_path: Path) -> None:
    file = put(tmp_path)
    with h5py.File(file, "a") as sink:
        del sink.attrs["WAVELENGTH"]
    stack = mintpy.open_stack(file)
    assert stack.wavelength == SENTINEL1_WAVELENGTH
    assert any("no WAVELENGTH" in p.message and not p.skipped for p in stack.problems)


def test_unknown_baselines_are_none(tmp_path: Path) -> None:
    stack = mintpy.open_stack(put(tmp_path, bperp=np.array([np.nan, 3.0])))
    assert [p.perpendicular_baseline for p in stack.pairs] == [None, 3.0]


def test_folder_without_a_stack_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"no ifgramStack\.h5 here or in inputs/; give the folder that holds it"):
        mintpy.open_stack(tmp_path)


def test_any_hdf5_of_interferograms_is_recognised_and_others_are_not(tmp_path: Path) -> None:
    assert mintpy.recognises(put(tmp_path).rename(tmp_path / "danba.h5"))
    with h5py.File(tmp_path / "timeseries.h5", "w") as sink:
        sink["date"], sink["timeseries"] = [b"20180702"], np.zeros((1, 2, 2))
    assert not mintpy.recognises(tmp_path / "timeseries.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    assert not mintpy.recognises(tmp_path / "text.h5")
