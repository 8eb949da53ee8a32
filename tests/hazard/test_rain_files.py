"""Rain from tables and grids: the same rain, however it is written."""

from datetime import date

import numpy as np
import pytest
import xarray

from groundshift.errors import GroundshiftError, MissingFileError, NoDataError
from groundshift.hazard import RainFileError, read_rain


def written(tmp_path, text, name="rain.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "date,rain_mm\n2018-08-30,1.5\n2018-08-31,0\n2018-09-02,4\n",
        "Time;Precipitation (mm/day)\n30.08.2018;1,5\n31.08.2018;0\n01.09.2018;\n02.09.2018;4,0\n",
        "station\tday\tprecip\nX\t20180830\t1.5\nX\t20180831\t0.0\nX\t20180901\t-9999\nX\t20180902\t4\n",
        "# a gauge\n2018,mm\n".replace("2018", "date")
        + "2018-08-30T00:00,1.5\n2018-08-31T00:00,0\n2018-09-02T00:00,4\n",
    ],
)
def test_tables_of_days(tmp_path, text):
    rain = read_rain(written(tmp_path, text))
    assert (rain.first, rain.unit) == (date(2018, 8, 30), "mm/day")
    np.testing.assert_array_equal(rain.values, [1.5, 0.0, np.nan, 4.0])
    assert rain.gaps() == [(date(2018, 9, 1), date(2018, 9, 1))]


@pytest.mark.parametrize(
    "text",
    [
        "month,rain\n2018-01,62\n2018-02,28\n",
        "date,rain mm/day\n2018-01,2\n2018-02,1\n",
        "date,rain\n2018-01-01,62\n2018-02-01,28\n",
    ],
)
def test_tables_of_months_are_spread_over_their_days(tmp_path, text):
    rain = read_rain(written(tmp_path, text))
    np.testing.assert_allclose(rain.values, [2.0] * 31 + [1.0] * 28)


DAYS = np.arange("2018-07-01", "2018-07-05", dtype="datetime64[D]")
LONS, LATS = np.array([98.0, 98.5, 99.0]), np.array([31.0, 31.5])
FIELD = np.arange(24.0).reshape(4, 2, 3) + 1
"""Millimetres per day, (day, lat, lon)."""


def grid(
    values, units, name, *, time=None, lons=LONS, lats=LATS, dims=("time", "lat", "lon"), since="days since 2018-07-01"
):
    time = np.arange(len(values)) if time is None else time
    return xarray.Dataset(
        {name: (dims, values, {"units": units})},
        {dims[0]: (dims[0], time, {"units": since}), "lat": lats, "lon": lons},
    )


def test_grids_of_days_are_read_between_cells(tmp_path):
    path = tmp_path / "a.nc"
    grid(FIELD, "mm/day", "precipitation").to_netcdf(path, engine="h5netcdf")
    at_cell = read_rain(path, lon=98.5, lat=31.5)
    assert at_cell.first == date(2018, 7, 1)
    np.testing.assert_allclose(at_cell.values, FIELD[:, 1, 1])
    between = read_rain(path, lon=98.25, lat=31.25)
    np.testing.assert_allclose(between.values, FIELD[:, :, :2].mean(axis=(1, 2)))
    some = read_rain(path, lon=98.5, lat=31.5, start=date(2018, 7, 2), end=date(2018, 7, 3))
    np.testing.assert_allclose(some.values, FIELD[1:3, 1, 1])


def test_order_of_axes_units_and_format_do_not_matter(tmp_path):
    kinds = {
        "rate.nc": (grid(FIELD / 24, "mm/hr", "precipitation"), "h5netcdf"),
        "turned.nc": (
            grid(FIELD[:, ::-1], "mm", "precip", lats=LATS[::-1]).transpose("time", "lon", "lat"), "scipy",
        ),
        "flux.nc": (grid(FIELD / 86400, "kg m-2 s-1", "pr"), "scipy"),
        "metres.nc": (grid(FIELD / 1000, "m", "tp", lons=LONS), "h5netcdf"),
        "west.nc": (grid(FIELD, "mm d-1", "pr", lons=LONS - 360), "h5netcdf"),
    }  # fmt: skip
    for name, (data, engine) in kinds.items():
        data.to_netcdf(tmp_path / name, engine=engine)
        found = read_rain(tmp_path / name, lon=98.8, lat=31.1)
        expected = FIELD[:, 0, 1] * 0.4 * 0.8 + FIELD[:, 0, 2] * 0.6 * 0.8
        expected += (FIELD[:, 1, 1] * 0.4 + FIELD[:, 1, 2] * 0.6) * 0.2
        np.testing.assert_allclose(found.values, expected, rtol=1e-6, err_msg=name)


def test_imerg_months_are_in_a_group_and_in_a_folder(tmp_path):
    for number, value in ((0, 0.25), (1, 0.5)):
        data = grid(
            np.full((1, 3, 2), value), "mm/hr", "precipitation", dims=("time", "lon", "lat"),
            time=[(1514764800, 1517443200)[number]], since="seconds since 1970-01-01 00:00:00 UTC",
        )  # fmt: skip
        data["time"].attrs["calendar"] = "julian"
        data.to_netcdf(tmp_path / f"3B-MO.MS.MRG.2018{number}.HDF5", group="Grid", engine="h5netcdf")
    rain = read_rain(tmp_path, lon=98.2, lat=31.2)
    np.testing.assert_allclose(rain.values, [6.0] * 31 + [12.0] * 28)
    assert rain.first == date(2018, 1, 1)


def test_era5_hours_are_summed_and_its_months_are_means_of_days(tmp_path):
    hours = np.arange(72)
    hourly = np.tile(np.arange(72.0)[:, None, None] / 1e5, (1, 2, 3))
    grid(hourly, "m", "tp", dims=("valid_time", "lat", "lon"), time=hours, since="hours since 2018-07-01").to_netcdf(
        tmp_path / "hours.nc"
    )
    found = read_rain(tmp_path / "hours.nc", lon=98.5, lat=31.2)
    # A total that only rises within days is taken for one that is counted up; this one rises all the time.
    assert found.values.size == 3
    months = grid(np.full((2, 2, 3), 0.003), "m", "tp", time=[0, 31], since="days since 2018-07-01")
    months.to_netcdf(tmp_path / "months.nc")
    np.testing.assert_allclose(read_rain(tmp_path / "months.nc", lon=98.5, lat=31.2).values, np.full(62, 3.0))


def test_era5_land_totals_are_counted_up_from_midnight(tmp_path):
    rng = np.random.default_rng(1)
    rain = rng.exponential(1, (3, 24)) * (rng.random((3, 24)) < 0.6) / 1000
    stamps = np.arange(1, 73)
    counted = np.cumsum(rain, axis=1).ravel()[:, None, None] * np.ones((1, 2, 3))
    grid(counted, "m", "tp", time=stamps, since="hours since 2018-07-01").to_netcdf(tmp_path / "land.nc")
    found = read_rain(tmp_path / "land.nc", lon=98.5, lat=31.2)
    np.testing.assert_allclose(found.values, 1000 * rain.sum(axis=1), rtol=1e-6)
    plain = rain.ravel()[:, None, None] * np.ones((1, 2, 3))
    grid(plain, "m", "tp", time=stamps - 1, since="hours since 2018-07-01").to_netcdf(tmp_path / "era5.nc")
    np.testing.assert_allclose(read_rain(tmp_path / "era5.nc", lon=98.5, lat=31.2).values, found.values, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,a,b\n2018-01-01,1,2\n", r"must have one column of rain, instead got date, a, b; name it 'rain_mm'$"),
        ("when,rain\n2018-01-01,1\n", r"has no column of dates among when, rain; name it 'date'$"),
        ("date,rain\n1/2/2018,1\n", r"has dates like '1/2/2018', which are not recognised; write them as 2018-08-31$"),
        ("date,rain\n2018-01-01,1\n2018-01-02,x\n", r"has no date and number in row 3: '2018-01-02', 'x'; correct"),
        ("date,rain\n2018-01-03,1\n2018-01-03,2\n", r"gives 2018-01-03 twice; keep one value for each day$"),
    ],
)
def test_tables_that_cannot_be_used_are_told(tmp_path, text, message):
    with pytest.raises(RainFileError, match=message) as told:
        read_rain(written(tmp_path, text))
    assert isinstance(told.value, GroundshiftError)


def test_grids_that_cannot_be_used_are_told(tmp_path):
    path = tmp_path / "a.nc"
    grid(FIELD, "inches", "precipitation").to_netcdf(path)
    with pytest.raises(RainFileError, match=r"is gridded; give the longitude and latitude of the place$"):
        read_rain(path)
    with pytest.raises(RainFileError, match=r"covers latitude 30.75 to 31.75, not 40; get the rain of the place$"):
        read_rain(path, lon=98.5, lat=40.0)
    with pytest.raises(RainFileError, match=r"has rain in 'inches'; it must be in mm or m per step"):
        read_rain(path, lon=98.5, lat=31.2)
    with pytest.raises(MissingFileError, match=r"does not exist; name a table or a gridded file of rain$"):
        read_rain(tmp_path / "none.csv")
    with pytest.raises(NoDataError, match=r"holds no rain from 2020-01-01 to the last day; check its dates$"):
        read_rain(written(tmp_path, "date,rain\n2018-01-01,1\n"), start=date(2020, 1, 1))
    (tmp_path / "broken.nc").write_bytes(b"not a grid at all")
    with pytest.raises(GroundshiftError, match=r"broken\.nc"):
        read_rain(tmp_path / "broken.nc", lon=98.5, lat=31.2)
