"""Series as MintPy keeps them: attributes and arrays by h5py, and, where there is one, by MintPy itself.

MintPy needs an environment of its own; GROUNDSHIFT_MINTPY names its Python.
"""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from groundshift.errors import OutputError, ProductError
from groundshift.export import export_mintpy
from groundshift.io.lookup import look_from_angles
from groundshift.types import LookGeometry, MapGrid, Pair, RadarGrid

SOUTH_UP = MapGrid((4, 5), Affine(-40, 0, 210_200, 0, 40, 3_414_840), "EPSG:32648")
"""The ground of the patch, with rows from south to north and columns from east to west."""


@pytest.fixture(scope="session")
def mintpy():
    """Run a script in MintPy's environment and return the JSON of its last line."""
    python = os.environ.get("GROUNDSHIFT_MINTPY")
    if not python:
        pytest.skip("GROUNDSHIFT_MINTPY names no Python with MintPy")

    def run(script: str, folder: Path):
        done = subprocess.run([python, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture
def radar():
    y, x = np.mgrid[:4, :5].astype(np.float64)
    return RadarGrid((4, 5), (13.97, 9.3), 102 - 1e-4 * x + 2e-5 * y, 30.8 - 1e-4 * y)


def opened(path):
    with h5py.File(path) as file:
        return dict(file.attrs), {name: file[name][()] for name in file}, {n: dict(file[n].attrs) for n in file}


def test_displacements_dates_and_baselines(tmp_path, patch):
    given = patch()
    export_mintpy(tmp_path / "timeseries.h5", given)
    attributes, arrays, _ = opened(tmp_path / "timeseries.h5")
    assert all(isinstance(value, str) for value in attributes.values())
    np.testing.assert_array_equal(arrays["timeseries"], given.displacement)
    assert arrays["timeseries"].dtype == np.float32
    assert arrays["date"].dtype == "S8"
    assert arrays["date"].tolist() == [b"20160101", b"20160113", b"20160206"]
    np.testing.assert_allclose(arrays["bperp"], [0, 30, -50], atol=1e-4)
    expected = {
        "FILE_TYPE": "timeseries", "UNIT": "m", "LENGTH": "4", "WIDTH": "5", "WAVELENGTH": "0.05546576",
        "PROCESSOR": "groundshift", "PROJECT_NAME": "T135", "REF_DATE": "20160101", "START_DATE": "20160101",
        "END_DATE": "20160206", "HEADING": "-167.9", "ORBIT_DIRECTION": "DESCENDING", "ANTENNA_SIDE": "-1",
        "CENTER_INCIDENCE_ANGLE": "39.25", "X_FIRST": "210000.0", "Y_FIRST": "3415000.0", "X_STEP": "40.0",
        "Y_STEP": "-40.0", "X_UNIT": "meters", "Y_UNIT": "meters", "EPSG": "32648", "UTM_ZONE": "48N",
        "REF_Y": "3", "REF_X": "1",
    }  # fmt: skip
    assert expected.items() <= attributes.items()
    lon, lat = given.grid.lonlat(np.array(3.0), np.array(1.0))
    assert (float(attributes["REF_LON"]), float(attributes["REF_LAT"])) == (lon, lat)


def test_velocity_and_geometry_lie_beside(tmp_path, patch):
    given = patch()
    files = export_mintpy(tmp_path / "timeseries.h5", given)
    assert [f.name for f in files] == ["timeseries.h5", "velocity.h5", "geometryGeo.h5"]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    attributes, arrays, units = opened(tmp_path / "velocity.h5")
    np.testing.assert_array_equal(arrays["velocity"], given.velocity)
    np.testing.assert_array_equal(arrays["velocityStd"], given.velocity_sigma)
    assert (attributes["FILE_TYPE"], attributes["UNIT"]) == ("velocity", "m/year")
    assert (attributes["DATE12"], units["velocityStd"]["UNIT"]) == ("20160101_20160206", "m/year")
    attributes, arrays, units = opened(tmp_path / "geometryGeo.h5")
    assert attributes["FILE_TYPE"] == "geometry"
    assert "REF_Y" not in attributes
    np.testing.assert_array_equal(arrays["height"], given.height)
    assert (units["height"]["UNIT"], units["incidenceAngle"]["UNIT"]) == ("m", "degree")


@pytest.mark.parametrize("heading", [-167.9, -12.1, 12.0, 190.0])
@pytest.mark.parametrize("right", [True, False])
def test_angles_are_those_to_the_satellite_anticlockwise_from_north(tmp_path, patch, heading, right):
    look = LookGeometry(heading, 39.25, right)
    export_mintpy(tmp_path / "timeseries.h5", patch(look=look))
    _, arrays, _ = opened(tmp_path / "geometryGeo.h5")
    incidence, azimuth = np.radians(arrays["incidenceAngle"]), np.radians(arrays["azimuthAngle"])
    to_satellite = -np.sin(incidence) * np.sin(azimuth), np.sin(incidence) * np.cos(azimuth), np.cos(incidence)
    for got, expected in zip(to_satellite, look.to_satellite, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)
    if right:
        back = look_from_angles(arrays["incidenceAngle"], arrays["azimuthAngle"])
        assert (back.heading - heading + 180) % 360 == pytest.approx(180, abs=1e-4)


def test_a_radar_patch_has_the_place_of_every_pixel_and_its_size_along_the_beam(tmp_path, patch, radar):
    given = patch(radar)
    files = export_mintpy(tmp_path / "timeseries.h5", given)
    assert files[2].name == "geometryRadar.h5"
    attributes, arrays, _ = opened(files[2])
    np.testing.assert_array_equal(arrays["longitude"], radar.longitude)
    np.testing.assert_array_equal(arrays["latitude"], radar.latitude)
    assert not {"X_FIRST", "EPSG"} & set(attributes)
    assert float(attributes["AZIMUTH_PIXEL_SIZE"]) == 13.97
    assert float(attributes["RANGE_PIXEL_SIZE"]) == pytest.approx(9.3 * np.sin(np.radians(39.25)))


def test_what_is_not_known_is_left_out(tmp_path, patch):
    given = patch(
        RadarGrid((4, 5), (14.0, 9.3)), look=None, pairs=(Pair(*patch().dates[:2].tolist(), 30.0),),
        reference=np.empty((0, 2), int),
    )  # fmt: skip
    files = export_mintpy(tmp_path / "timeseries.h5", given)
    attributes, arrays, _ = opened(files[0])
    assert "bperp" not in arrays  # the last date hangs in the air
    assert not {"HEADING", "ORBIT_DIRECTION", "REF_Y", "RANGE_PIXEL_SIZE"} & set(attributes)
    assert set(opened(files[2])[1]) == {"height"}


def test_a_map_that_runs_from_south_to_north_is_turned(tmp_path, patch):
    upright = patch()
    names = ("displacement", "sigma", "velocity", "velocity_sigma", "height")
    turned = replace(
        upright,
        grid=SOUTH_UP,
        reference=np.array([[3, 0], [0, 3]]),
        **{name: getattr(upright, name)[..., ::-1, ::-1] for name in names},
    )
    for name, given in (("a", upright), ("b", turned)):
        export_mintpy(tmp_path / name / "timeseries.h5", given)
    for file in ("timeseries.h5", "velocity.h5", "geometryGeo.h5"):
        one, other = opened(tmp_path / "a" / file), opened(tmp_path / "b" / file)
        assert one[0] == other[0]
        for name in one[1]:
            np.testing.assert_array_equal(one[1][name], other[1][name])


def test_degrees_are_said(tmp_path, patch):
    grid = MapGrid((4, 5), Affine(1 / 3600, 0, 101.9, 0, -1 / 3600, 30.9), "EPSG:4326")
    export_mintpy(tmp_path / "timeseries.h5", patch(grid))
    attributes, _, _ = opened(tmp_path / "timeseries.h5")
    assert (attributes["X_UNIT"], attributes["EPSG"], float(attributes["X_FIRST"])) == ("degrees", "4326", 101.9)
    assert "UTM_ZONE" not in attributes


@pytest.mark.parametrize("crs", ["EPSG:2225", CRS.from_proj4("+proj=laea +lat_0=31 +lon_0=102 +ellps=GRS80").to_wkt()])
def test_a_coordinate_system_that_mintpy_cannot_name_is_one_line(tmp_path, patch, crs):
    grid = MapGrid((4, 5), Affine(40, 0, 0, 0, -40, 0), crs)
    message = r"^a map in .* has no attributes in MintPy, which wants an EPSG code in degrees or metres; reproject the "
    with pytest.raises(ProductError, match=message):
        export_mintpy(tmp_path / "timeseries.h5", patch(grid))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["velocity.h5", "geometryRadar.h5", "timeseries.h5"])
def test_results_of_mintpy_itself_are_not_written_over(tmp_path, patch, name):
    with h5py.File(tmp_path / name, "w") as file:
        file.attrs["PROCESSOR"] = "isce"
    before = (tmp_path / name).read_bytes()
    message = rf"^{tmp_path / name}: not written by Groundshift and would be replaced; choose another folder$"
    with pytest.raises(OutputError, match=message):
        export_mintpy(tmp_path / "timeseries.h5", patch())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {name: before}


def test_an_export_takes_the_place_of_an_older_one_of_another_geometry(tmp_path, patch, radar):
    export_mintpy(tmp_path / "timeseries.h5", patch(radar))
    export_mintpy(tmp_path / "timeseries.h5", patch())
    assert {p.name for p in tmp_path.iterdir()} == {"timeseries.h5", "velocity.h5", "geometryGeo.h5"}


def test_refuses_another_name(tmp_path, patch):
    with pytest.raises(ValueError, match=r"^path must be named timeseries\.h5, instead got "):
        export_mintpy(tmp_path / "series.h5", patch())


# MintPy itself


def test_mintpy_reads_every_array_and_attribute(tmp_path, patch, radar, mintpy):
    for name, given in (("map", patch()), ("radar", patch(radar))):
        files = export_mintpy(tmp_path / name / "timeseries.h5", given)
        script = (
            "import json, numpy as np\n"
            "from mintpy.utils import readfile, utils as ut\n"
            "from mintpy.objects import timeseries\n"
            "ts, atr = readfile.read('timeseries.h5')\n"
            "v, vatr = readfile.read('velocity.h5', datasetName='velocity')\n"
            "s = readfile.read('velocity.h5', datasetName='velocityStd')[0]\n"
            "one = readfile.read('timeseries.h5', datasetName='20160113')[0]\n"
            "o = timeseries('timeseries.h5'); o.open(print_msg=False)\n"
            f"coord = {'geo' if name == 'map' else 'radar'!r}\n"
            "g = ut.get_geometry_file(['height', 'incidenceAngle'], coord=coord, abspath=False, print_msg=False)\n"
            "h, gatr = readfile.read(g, datasetName='height')\n"
            "inc = readfile.read(g, datasetName='incidenceAngle')[0]\n"
            "np.savez('read.npz', ts=ts, v=v, s=s, one=one, h=h, inc=inc, pbase=o.pbase, tbase=o.tbase)\n"
            "print(json.dumps({'atr': atr, 'v': vatr, 'g': gatr, 'dates': o.dateList, 'geometry': g}))\n"
        )
        told = mintpy(script, tmp_path / name)
        assert told["dates"] == ["20160101", "20160113", "20160206"]
        assert Path(told["geometry"]).name == files[2].name
        assert (told["atr"]["FILE_TYPE"], told["v"]["FILE_TYPE"], told["g"]["FILE_TYPE"]) == (
            "timeseries", "velocity", "geometry"
        )  # fmt: skip
        assert (told["atr"]["UNIT"], told["v"]["UNIT"], told["atr"]["PROCESSOR"]) == ("m", "m/year", "groundshift")
        with np.load(tmp_path / name / "read.npz") as read:
            np.testing.assert_array_equal(read["ts"], given.displacement)
            np.testing.assert_array_equal(read["one"], given.displacement[1])
            np.testing.assert_array_equal(read["v"], given.velocity)
            np.testing.assert_array_equal(read["s"], given.velocity_sigma)
            np.testing.assert_array_equal(read["h"], given.height)
            np.testing.assert_allclose(read["inc"], 39.25)
            np.testing.assert_allclose(read["pbase"], [0, 30, -50], atol=1e-4)
            np.testing.assert_array_equal(read["tbase"], [0, 12, 36])


def test_mintpy_fits_the_velocity_that_the_series_has(tmp_path, patch, mintpy):
    years = np.array([0, 12, 36]) / 365.25
    moved = (-0.03 * years[:, None, None] * np.ones((4, 5))).astype(np.float32)
    export_mintpy(tmp_path / "timeseries.h5", patch(displacement=moved))
    script = (
        "import json\n"
        "from mintpy.cli import timeseries2velocity\n"
        "from mintpy.utils import readfile\n"
        "timeseries2velocity.main(['timeseries.h5', '-o', 'fitted.h5'])\n"
        "v, atr = readfile.read('fitted.h5', datasetName='velocity')\n"
        "print(); print(json.dumps({'low': float(v.min()), 'high': float(v.max()), 'unit': atr['UNIT']}))\n"
    )
    told = mintpy(script, tmp_path)
    assert (told["low"], told["high"]) == (pytest.approx(-0.03, rel=1e-4), pytest.approx(-0.03, rel=1e-4))
    assert told["unit"] == "m/year"


@pytest.mark.parametrize("grid", [None, SOUTH_UP], ids=["north up", "south up"])
def test_mintpy_finds_the_reference_and_the_corners_where_they_are(tmp_path, patch, mintpy, grid):
    export_mintpy(tmp_path / "timeseries.h5", patch(grid))
    script = (
        "import json\n"
        "from mintpy.objects.coord import coordinate\n"
        "from mintpy.utils import readfile, utils as ut\n"
        "atr = readfile.read_attribute('velocity.h5')\n"
        "y, x = coordinate(atr).lalo2yx(float(atr['REF_LAT']), float(atr['REF_LON']))\n"
        "found = [int(y), int(x)], [int(atr['REF_Y']), int(atr['REF_X'])]\n"
        "print(); print(json.dumps([*found, [float(v) for v in ut.four_corners(atr)]]))\n"
    )
    found, named, corners = mintpy(script, tmp_path)
    assert found == named == ([3, 1] if grid is None else [0, 3])
    assert corners == [3_414_840, 3_415_000, 210_000, 210_200]
