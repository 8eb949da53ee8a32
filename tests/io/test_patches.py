"""Series of patches as netCDF files: exact round trips, what other programs see, and damage."""

import json
import resource
import subprocess
import sys
from dataclasses import fields, replace
from datetime import date

import h5py
import numpy as np
import pytest
import rasterio
import xarray
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from groundshift.errors import DamagedFileError, MissingFileError, OutputError, UnknownFormatError
from groundshift.io.patches import PatchSeries, patch_path, read_patch, write_patch
from groundshift.types import LookGeometry, MapGrid, Pair, RadarGrid, Window

UTM = MapGrid((3, 4), Affine(40, 0, 210_000.1, 0, -40, 3_415_000.7), "EPSG:32648")
LONLAT = MapGrid((3, 4), Affine(1 / 3600, 0, 101.9, 0, -1 / 3600, 30.9), "EPSG:4326")
LOOK = LookGeometry(-167.9, 39.25)


def make(grid=UTM, **given):
    rng = np.random.default_rng(4)
    height, width = grid.shape
    days = np.array(["2016-01-01", "2016-01-13", "2019-02-06"], "datetime64[D]")
    maps = ("velocity", "velocity_sigma", "temporal_coherence", "coherence", "stacked_velocity", "height")
    arrays = {name: rng.normal(size=grid.shape).astype(np.float32) for name in maps}
    arrays["velocity"][0, -1] = np.nan
    arrays["stacked_velocity"][:] = np.nan
    known = {
        "target": "wm2x1nf",
        "track": "T135",
        "grid": grid,
        "wavelength": 0.05546576,
        "look": LOOK,
        "dates": days,
        "displacement": rng.normal(size=(3, height, width)).astype(np.float32),
        "sigma": np.full((3, height, width), np.nan, np.float32),
        **arrays,
        "inside": rng.random(grid.shape) > 0.5,
        "reference": np.array([[0, 1], [2, 3]]),
        "pairs": (Pair(date(2016, 1, 1), date(2016, 1, 13), -81.25), Pair(date(2016, 1, 13), date(2019, 2, 6))),
        "left_out": (("20160101_20190206", "only 40 % of its triplets close; Häuser, 裂缝"),),
        "facts": {"Unwrapper": "whirlwind", "Reference": "0.2 mm/yr over 5 choices", "Note": ""},
    }
    return PatchSeries(**{**known, **given})


def radar(**given):
    y, x = np.mgrid[:3, :4].astype(np.float64)
    lon, lat = 102 - 1e-4 * x + 2e-5 * y, 30.8 - 1e-4 * y
    lon[1, 2] = lat[1, 2] = np.nan
    return RadarGrid((3, 4), (13.97, 9.3), lon, lat, **given)


def same(one, two):
    """Whether two patches, or their grids, are equal to the last bit."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        elif isinstance(a, RadarGrid):
            same(a, b)
        else:
            assert a == b, field.name


@pytest.mark.parametrize(
    "patch",
    [
        make(),
        make(LONLAT, look=None),
        make(radar(), look=replace(LOOK, right_looking=False)),
        make(RadarGrid((3, 4), (13.97, 9.3))),
        make(pairs=(), left_out=(), facts={}, reference=np.empty((0, 2), int)),
        make(dates=np.array(["1995-06-01"], "datetime64[D]"), displacement=np.zeros((1, 3, 4), np.float32),
             sigma=np.ones((1, 3, 4), np.float32)),
        make(MapGrid((3, 4), Affine(25, 0, 0.1, 0, 25, -0.3), CRS.from_epsg(3035).to_wkt())),
    ],
    ids=["map", "degrees", "radar", "no place", "no tables", "one date", "wkt"],
)  # fmt: skip
def test_what_is_written_is_read_back_to_the_last_bit(tmp_path, patch):
    write_patch(tmp_path / "a.nc", patch)
    same(read_patch(tmp_path / "a.nc"), patch)


@settings(max_examples=15, deadline=None)
@given(
    transform=st.tuples(*[st.floats(1e-6, 1e7), st.floats(-1e7, 1e7)] * 2),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    baseline=st.none() | st.floats(-1e3, 1e3),
)
def test_places_baselines_and_texts_of_any_kind_survive(tmp_path_factory, transform, shape, text, baseline):
    path = tmp_path_factory.mktemp("any") / "a.nc"
    grid = MapGrid(shape, Affine(transform[0], 0, transform[1], 0, -transform[2], transform[3]), "EPSG:32648")
    pair = Pair(date(2016, 1, 1), date(2016, 1, 13), baseline)
    patch = make(grid, pairs=(pair,), facts={"fact": text}, target=f"t{text}", reference=np.zeros((1, 2), int))
    write_patch(path, patch)
    same(read_patch(path), patch)


def test_a_cut_from_a_large_radar_scene_keeps_the_places_of_its_pixels_and_nothing_else(tmp_path):
    y, x = np.mgrid[:300, :400].astype(np.float64)
    whole = RadarGrid((300, 400), (14.0, 9.3), 102 - 1e-4 * x + 1e-8 * y * x, 30.8 - 1e-4 * y)
    cut = whole.cropped(Window(120, 200, 3, 4))
    write_patch(tmp_path / "a.nc", make(cut))
    back = read_patch(tmp_path / "a.nc").grid
    centres = np.mgrid[:3, :4].astype(float)
    for got, expected in zip(back.lonlat(*centres), cut.lonlat(*centres), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert back.longitude.shape == (3, 4)


def test_other_programs_see_dates_places_and_units(tmp_path):
    patch = make()
    write_patch(tmp_path / "a.nc", patch)
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as seen:
        np.testing.assert_array_equal(seen["date"].values.astype("datetime64[D]"), patch.dates)
        np.testing.assert_array_equal(seen["pair_secondary"].values[1].astype("datetime64[D]"), patch.dates[2])
        assert seen["displacement"].dims == ("date", "y", "x")
        assert seen["displacement"].attrs["units"] == "m"
        assert CRS.from_cf(seen["spatial_ref"].attrs) == CRS.from_epsg(32648)
        east, north = UTM.transform @ (2.5, 0.5)
        assert (seen["x"].values[2], seen["y"].values[0]) == (pytest.approx(east), pytest.approx(north))
        assert seen["x"].attrs["units"] == "metre"
        assert seen.attrs["Conventions"].startswith("CF-1.")


def test_gdal_lays_the_velocity_where_the_grid_is(tmp_path):
    if "netCDF" not in rasterio.drivers.raster_driver_extensions().values():
        pytest.skip("this GDAL reads no netCDF")
    patch = make()
    write_patch(tmp_path / "a.nc", patch)
    with rasterio.open(f"netcdf:{tmp_path / 'a.nc'}:velocity") as seen:
        assert seen.transform.almost_equals(UTM.transform, 1e-6)
        assert seen.crs.to_epsg() == 32648
        np.testing.assert_array_equal(seen.read(1), patch.velocity)


def test_a_radar_patch_names_the_place_of_every_pixel(tmp_path):
    write_patch(tmp_path / "a.nc", make(radar()))
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as seen:
        assert {"longitude", "latitude"} <= set(seen["velocity"].coords)
        np.testing.assert_array_equal(seen["longitude"], radar().longitude)


def test_reading_unpickles_nothing(tmp_path):
    write_patch(tmp_path / "a.nc", make())
    code = (
        "import pickle, sys\n"
        # xarray loads it, and it pickles functions of its own while it does.
        "import dask.base\n"
        "def refuse(*a, **k): raise SystemExit('unpickled')\n"
        "from groundshift.io.patches import read_patch\n"
        "from pathlib import Path\n"
        "pickle.load = pickle.loads = refuse\n"
        "pickle.Unpickler = refuse\n"
        "print(read_patch(Path(sys.argv[1])).target)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.nc")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "wm2x1nf\n"


# Damage


DAMAGED = r"damaged, or no series of a target; run the survey again$"


def test_no_file_is_one_line(tmp_path):
    with pytest.raises(MissingFileError, match=rf"^{tmp_path}/a.nc: no such file; run the survey again to make it$"):
        read_patch(tmp_path / "a.nc")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_one_line(tmp_path, share):
    path = tmp_path / "a.nc"
    write_patch(path, make())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DamagedFileError, match=rf"^{path}: {DAMAGED}"):
        read_patch(path)


def test_another_file_of_that_name_is_one_line(tmp_path):
    path = tmp_path / "a.nc"
    path.write_text(json.dumps({"no": "netCDF"}))
    with pytest.raises(DamagedFileError, match=DAMAGED):
        read_patch(path)
    path.unlink()
    xarray.Dataset({"a": ("x", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(DamagedFileError, match=DAMAGED):
        read_patch(path)


def test_rotten_numbers_are_told_from_good_ones(tmp_path):
    path = tmp_path / "a.nc"
    write_patch(path, make())
    with h5py.File(path) as source:
        chunk = source["displacement"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=DAMAGED):
        read_patch(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.__delitem__("velocity"),
        lambda f: f.attrs.__delitem__("target"),
        lambda f: f.attrs.__setitem__("wavelength", -1.0),
        lambda f: f["spatial_ref"].attrs.__setitem__("GeoTransform", "1 2 three"),
        lambda f: f["spatial_ref"].attrs.__setitem__("crs", "nowhere"),
        lambda f: f["pair_secondary"].__setitem__(0, -10),
        lambda f: f["reference_pixel"].__setitem__(0, 99),
        lambda f: f["date"].__setitem__(0, 99_999),
    ],
    ids=["variable", "attribute", "value", "transform", "crs", "pair", "reference", "dates"],
)
def test_a_file_that_contradicts_itself_is_one_line(tmp_path, change):
    path = tmp_path / "a.nc"
    write_patch(path, make())
    with h5py.File(path, "r+") as source:
        change(source)
    with pytest.raises(DamagedFileError, match=DAMAGED):
        read_patch(path)


def test_a_file_of_a_newer_groundshift_is_refused(tmp_path):
    path = tmp_path / "a.nc"
    write_patch(path, make())
    with h5py.File(path, "r+") as source:
        source.attrs["groundshift_patch"] = 2
    message = rf"^{path}: written by a newer Groundshift \(series 2, this one reads up to 1\); upgrade Groundshift$"
    with pytest.raises(UnknownFormatError, match=message):
        read_patch(path)


def test_a_disk_that_fills_up_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.nc"
    write_patch(path, make())
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OutputError, match=rf"^{path}: the disk is full; free some space and run again"):
            write_patch(path, make())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"velocity": np.zeros((4, 3), np.float32)}, r"velocity must have shape \(3, 4\), instead got \(4, 3\)"),
        ({"sigma": np.zeros((2, 3, 4), np.float32)}, r"sigma must have shape \(3, 3, 4\), instead got \(2, 3, 4\)"),
        ({"reference": np.zeros((2, 3), int)}, r"reference must have shape \(2, 2\), instead got \(2, 3\)"),
        ({"reference": np.array([[0, 4]])}, r"reference must hold pixels of a grid of \(3, 4\), instead got others"),
        ({"wavelength": 0.0}, r"wavelength must be positive, instead got 0.0"),
        ({"dates": np.array(["2016-01-02", "2016-01-01", "2017-01-01"], "datetime64[D]")}, "dates must ascend"),
    ],
)
def test_refuses_arrays_that_do_not_fit(wrong, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make(**wrong)


def test_names_tell_target_and_track_and_stay_in_their_folder(tmp_path):
    paths = [patch_path(tmp_path, target, "T1") for target in ("a/b", "a%2Fb", "../up", "裂缝", "a:b")]
    assert len(set(paths)) == len(paths)
    assert {p.resolve().parent for p in paths} == {tmp_path}
    assert paths[3].name == "裂缝-T1.nc"
